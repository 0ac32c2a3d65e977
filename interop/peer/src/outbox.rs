//! What goes to the script: answers, signalling and events, as JSON texts.

use std::{io::Write as _, time::Instant};

use serde_json::{Value, json};

/// The way to the script. Clones lead to the same one.
#[derive(Clone)]
pub(crate) struct Outbox {
    way: Way,
    /// What the times of events count from.
    start: Instant,
}

#[derive(Clone)]
enum Way {
    Socket(actix_ws::Session),
    /// A line each on standard output.
    Lines,
}

impl Outbox {
    pub(crate) fn new(socket: actix_ws::Session) -> Self {
        Self { way: Way::Socket(socket), start: Instant::now() }
    }

    pub(crate) fn lines() -> Self {
        Self { way: Way::Lines, start: Instant::now() }
    }

    /// A script that has gone is noticed where it is read.
    pub(crate) async fn send(&mut self, message: Value) {
        match &mut self.way {
            Way::Socket(socket) => {
                let _ = socket.text(message.to_string()).await;
            }
            Way::Lines => {
                let mut out = std::io::stdout().lock();
                let _ = writeln!(out, "{message}").and_then(|()| out.flush());
            }
        }
    }

    pub(crate) async fn answer(&mut self, id: u64, result: anyhow::Result<Value>) {
        let message = match result {
            Ok(value) => json!({ "answer": id, "value": value }),
            Err(error) => json!({ "answer": id, "error": format!("{error:#}") }),
        };
        self.send(message).await;
    }

    pub(crate) async fn event(&mut self, name: &str, detail: Value) {
        let at = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.send(json!({ "event": name, "detail": detail, "at": at })).await;
    }

    pub(crate) async fn pong(&mut self, bytes: &[u8]) {
        if let Way::Socket(socket) = &mut self.way {
            let _ = socket.pong(bytes).await;
        }
    }

    pub(crate) async fn close(self) {
        if let Way::Socket(socket) = self.way {
            let _ = socket.close(None).await;
        }
    }
}
