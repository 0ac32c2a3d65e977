//! Work that an actor waits for without stopping: a look-up, a connection.
//!
//! What it leads to is picked up by the driver, like what a message leads to. The driver is polled before this
//! future, so its end wakes the actor once more.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use actix::{Actor, ActorFuture, AsyncContext};

/// Runs `work` beside the actor and hands its result to `done`. Dropped with the actor, and when it restarts.
pub fn aside<A, T>(
    ctx: &mut A::Context,
    work: impl Future<Output = T> + 'static,
    done: impl FnOnce(&mut A, T, &mut A::Context) + Unpin + 'static,
) where
    A: Actor,
    A::Context: AsyncContext<A>,
    T: 'static,
{
    ctx.spawn(Aside { work: Box::pin(work), done: Some(done) });
}

struct Aside<T, F> {
    work: Pin<Box<dyn Future<Output = T>>>,
    done: Option<F>,
}

impl<A, T, F> ActorFuture<A> for Aside<T, F>
where
    A: Actor,
    F: FnOnce(&mut A, T, &mut A::Context) + Unpin,
{
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, actor: &mut A, ctx: &mut A::Context, cx: &mut Context<'_>) -> Poll<()> {
        let Poll::Ready(result) = self.work.as_mut().poll(cx) else { return Poll::Pending };
        if let Some(done) = self.done.take() {
            done(actor, result, ctx);
        }
        cx.waker().wake_by_ref();
        Poll::Ready(())
    }
}
