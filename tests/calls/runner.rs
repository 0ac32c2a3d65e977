//! Runs a test on a plain tokio runtime, as an application would, with a limit that only a bug reaches.

#[path = "../ice_servers/stalls.rs"]
pub(crate) mod stalls;

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    time::Duration,
};

use stalls::Stalls;

/// How often a test is run before its failures are its own.
const ATTEMPTS: usize = 5;

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

/// A test that counts on every packet of its media. What nobody takes for 100 ms is dropped on purpose, so one that
/// fails while the machine stood still is run again; one that fails without that, or again and again, has failed.
#[allow(dead_code, reason = "for tests with media")]
pub(crate) fn run_undisturbed<F: Future<Output = ()>>(test: impl Fn() -> F) {
    for _ in 1..ATTEMPTS {
        let stalls = Stalls::watch();
        let Err(failure) = catch_unwind(AssertUnwindSafe(|| run(test()))) else { return };
        if !stalls.happened() {
            resume_unwind(failure);
        }
        println!("the machine stood still meanwhile: once more");
    }
    run(test());
}
