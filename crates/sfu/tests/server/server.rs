//! A server on a thread of its own, ended with the test.

use std::{net::SocketAddr, sync::mpsc, thread::JoinHandle};

use actix_rtc_sfu::{config::Config, server::Server};
use tokio::sync::oneshot;

pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl TestServer {
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// With flags of the command line.
    pub(crate) fn with(flags: &'static [&'static str]) -> Self {
        let shards = if flags.contains(&"--shards") { [].as_slice() } else { &["--shards", "1"] };
        let words = [["actix-rtc-sfu", "--listen", "127.0.0.1:0"].as_slice(), shards, flags].concat();
        let config = Config::from_words(words).unwrap();
        let (stop, stopped) = oneshot::channel();
        let (started, address) = mpsc::channel();
        let serve = async move {
            let server = Server::start(config).await.unwrap();
            started.send(server.address()).unwrap();
            // The test may have panicked: that ends the server as well.
            let _ = stopped.await;
            server.shutdown().await.unwrap();
        };
        let thread = std::thread::spawn(|| actix_web::rt::System::new().block_on(serve));
        let address = address.recv().expect("the server starts");
        Self { address, stop: Some(stop), thread: Some(thread) }
    }

    /// Begins the end, without waiting for it.
    pub(crate) fn begin_shutdown(&mut self) {
        drop(self.stop.take());
    }

    /// Waits for the end; panics when it was not in order.
    pub(crate) fn wait(mut self) {
        self.begin_shutdown();
        let thread = self.thread.take().expect("it is taken here and in drop only");
        thread.join().expect("the server ends in order");
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.begin_shutdown();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the server ends in order");
        }
    }
}
