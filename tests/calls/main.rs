//! Calls between two connections of this library over real sockets on loopback, actors and all.

mod call;
mod churn;
mod faults;
mod media;
mod renegotiation;
mod restart;
mod security;

/// Runs a test on a plain tokio runtime, as an application would, with a limit that only a bug
/// reaches.
fn run<F: Future<Output = ()>>(test: F) {
    run_within(std::time::Duration::from_secs(60), test);
}

/// The same for tests of many calls.
fn run_within<F: Future<Output = ()>>(limit: std::time::Duration, test: F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(limit, test).await.expect("the test hangs");
    });
}
