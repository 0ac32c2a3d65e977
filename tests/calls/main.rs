//! Calls between two connections of this library over real sockets on loopback, actors and all.

#[cfg(test)]
mod call;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod media;

#[cfg(test)]
/// Runs a test on a plain tokio runtime, as an application would, with a limit that only a bug
/// reaches.
fn run<F: Future<Output = ()>>(test: F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(std::time::Duration::from_secs(60), test).await.expect("the test hangs");
    });
}
