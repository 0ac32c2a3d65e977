//! Giving way to the rest of the thread.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll},
};

/// Has the current task polled again after the thread has looked at its timers and sockets.
///
/// Waking the task would not do: a `LocalSet` polls up to 61 tasks that are ready, the same one again and again,
/// before it lets the runtime look. At a full batch per poll that made timers late by 61 batches.
pub(super) fn give_way(cx: &mut Context<'_>) {
    // tokio offers its queue of deferred wakers only through this future, which enters it when first polled.
    let first: Poll<()> = pin!(tokio::task::yield_now()).poll(cx);
    debug_assert!(first.is_pending(), "the first poll of yield_now never completes");
}
