//! Behaviour of the actor kit, by its public interface, in virtual time.

mod asking;
mod driver;
mod guard;
mod lanes;
mod shards;
mod stations;

use std::future::Future;

/// Runs a test where actors can be started and time passes only when nothing else is left to do.
fn paused<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    let runtime = runtime.expect("the system has room for one more runtime");
    tokio::task::LocalSet::new().block_on(&runtime, test)
}

/// Lets everything that is ready run.
async fn settle() {
    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
}

/// Lets each task that is ready run once. (tokio's `yield_now` lets them run until none is ready.)
async fn turn() {
    let mut has_waited = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut has_waited, true) {
            return std::task::Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

/// Runs for a number of turns of the thread, in each of which timers and sockets are looked at; returns the largest
/// step of `progress` in one turn.
async fn largest_step(turns: usize, progress: impl Fn() -> usize) -> usize {
    let (mut largest, mut before) = (0, progress());
    for _ in 0..turns {
        tokio::task::yield_now().await;
        largest = largest.max(progress() - before);
        before = progress();
    }
    largest
}
