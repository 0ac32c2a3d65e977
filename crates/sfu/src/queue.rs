//! A bounded queue between two tasks that holds no memory while it is empty.
//!
//! Every client has several, and they are empty nearly all of the time: those of `tokio` keep room for 32 items,
//! 1.3 to 1.8 KB each. Invariants: never more than the bound waits, but for a last item; what was sent before the last sender went is
//! still received; nothing is kept for a receiver that is gone.

use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

/// Why an item was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SendError {
    /// The receiver is behind by as many as the queue holds.
    Full,
    /// The receiver is gone.
    Closed,
}

struct State<T> {
    waiting: VecDeque<T>,
    senders: usize,
    is_received: bool,
    receiver: Option<Waker>,
    /// Who waits for the receiver to go.
    closing: Option<Waker>,
}

struct Queue<T> {
    bound: usize,
    state: Mutex<State<T>>,
}

impl<T> Queue<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Nothing panics while it is locked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where items are put.
pub(crate) struct Sender<T>(Arc<Queue<T>>);

/// Where they come out.
pub(crate) struct Receiver<T>(Arc<Queue<T>>);

/// A queue for at most `bound` items.
pub(crate) fn channel<T>(bound: usize) -> (Sender<T>, Receiver<T>) {
    let state =
        State { waiting: VecDeque::new(), senders: 1, is_received: true, receiver: None, closing: None };
    let queue = Arc::new(Queue { bound, state: Mutex::new(state) });
    (Sender(Arc::clone(&queue)), Receiver(queue))
}

impl<T> Sender<T> {
    /// Puts an item at the end, if there is room.
    pub(crate) fn try_send(&self, item: T) -> Result<(), SendError> {
        let mut state = self.0.lock();
        if !state.is_received {
            return Err(SendError::Closed);
        }
        if state.waiting.len() >= self.0.bound {
            return Err(SendError::Full);
        }
        state.waiting.push_back(item);
        let receiver = state.receiver.take();
        drop(state);
        wake(receiver);
        Ok(())
    }

    /// Puts an item at the end even if there is no room, for the one that nothing follows.
    pub(crate) fn send_last(&self, item: T) {
        let mut state = self.0.lock();
        if !state.is_received {
            return;
        }
        state.waiting.push_back(item);
        let receiver = state.receiver.take();
        drop(state);
        wake(receiver);
    }

    /// Ends when the receiver is gone.
    pub(crate) async fn closed(&self) {
        poll_fn(|context| {
            let mut state = self.0.lock();
            if state.is_received {
                state.closing = Some(context.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("bound", &self.0.bound).finish_non_exhaustive()
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.lock().senders += 1;
        Self(Arc::clone(&self.0))
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.senders -= 1;
        let receiver = if state.senders == 0 { state.receiver.take() } else { None };
        drop(state);
        wake(receiver);
    }
}

impl<T> Receiver<T> {
    /// The next item; `None` when no more can come.
    pub(crate) fn poll_recv(&mut self, context: &Context<'_>) -> Poll<Option<T>> {
        let mut state = self.0.lock();
        let Some(item) = state.waiting.pop_front() else {
            if state.senders == 0 {
                return Poll::Ready(None);
            }
            state.receiver = Some(context.waker().clone());
            return Poll::Pending;
        };
        if state.waiting.is_empty() {
            state.waiting = VecDeque::new();
        }
        Poll::Ready(Some(item))
    }

    /// Waits for the next item; `None` when no more can come.
    pub(crate) async fn recv(&mut self) -> Option<T> {
        poll_fn(|context| self.poll_recv(context)).await
    }

    /// The next item, if it is there already.
    #[cfg(test)]
    pub(crate) fn try_recv(&mut self) -> Option<T> {
        match self.poll_recv(&Context::from_waker(Waker::noop())) {
            Poll::Ready(item) => item,
            Poll::Pending => None,
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.is_received = false;
        let (dropped, closing) = (std::mem::take(&mut state.waiting), state.closing.take());
        drop(state);
        wake(closing);
        // Not under the lock: an item may do anything when it goes.
        drop(dropped);
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn items_come_out_in_order_until_the_last_sender_is_gone() {
        let (sender, mut receiver) = channel(4);
        let other = sender.clone();
        sender.try_send(1).unwrap();
        other.try_send(2).unwrap();
        drop(sender);
        assert_eq!(receiver.recv().now_or_never(), Some(Some(1)));
        assert_eq!(receiver.recv().now_or_never(), Some(Some(2)));
        assert_eq!(receiver.recv().now_or_never(), None, "one sender is left");
        drop(other);
        assert_eq!(receiver.recv().now_or_never(), Some(None));
    }

    #[test]
    fn no_more_wait_than_the_bound() {
        let (sender, mut receiver) = channel(2);
        assert_eq!([1, 2, 3].map(|item| sender.try_send(item)), [Ok(()), Ok(()), Err(SendError::Full)]);
        assert_eq!(receiver.try_recv(), Some(1));
        assert_eq!(sender.try_send(4), Ok(()));
    }

    #[test]
    fn an_empty_queue_holds_no_memory() {
        let (sender, mut receiver) = channel(256);
        for number in 0..100 {
            sender.try_send(number).unwrap();
        }
        while receiver.try_recv().is_some() {}
        assert_eq!(sender.0.lock().waiting.capacity(), 0);
    }

    #[test]
    fn who_waits_is_woken() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (sender, mut receiver) = channel(1);
            let take = async {
                let first = receiver.recv().await;
                drop(receiver);
                first
            };
            let put = async {
                tokio::task::yield_now().await;
                sender.try_send("here").unwrap();
                sender.closed().await;
            };
            assert_eq!(tokio::join!(take, put).0, Some("here"));
            assert_eq!(sender.try_send("late"), Err(SendError::Closed));
        });
    }
}
