//! Runs a test on a plain tokio runtime, as an application would, with a limit that only a bug reaches.

use std::time::Duration;

/// A test of a call or two.
pub(crate) fn run<F: Future<Output = ()>>(test: F) {
    run_within(Duration::from_secs(60), test);
}

/// A test of many calls.
pub(crate) fn run_within<F: Future<Output = ()>>(limit: Duration, test: F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(limit, test).await.expect("the test hangs");
    });
}
