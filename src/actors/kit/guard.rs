//! Containment of panics: each poll of an actor is caught, and its policy says what comes next.
//!
//! After a panic that the policy forgives, [`Supervised::restarting`] puts the actor into a usable state and
//! `started` runs again. Its address and the messages behind the one that panicked survive; that message is lost,
//! its asker is told so, and futures the actor had spawned are dropped. Code of the actor never runs while its
//! thread unwinds, so a second panic can't abort the process.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll, Waker},
};

use actix::{
    Actor, ActorContext, ActorState, Addr, Supervised,
    dev::{AsyncContextParts, ContextFut, Mailbox, channel},
};
use tracing::error;

use super::{
    clock,
    metered::{Metered, MeteredContext},
    policy::{DownReason, Policy, Restarts},
    stats::{self, ActorStatistics, POLL_SAMPLE, Statistics},
    turn::give_way,
};

/// Mailboxes are not bounded by actix (an `Addr` clone is one more slot), so don't pretend: 0 says no bound, and
/// sends never fail for fullness. What bounds a mailbox is that callers await their answer.
const MAILBOX_UNBOUNDED: usize = 0;

/// Starts an actor on the current arbiter and guards it.
///
/// `down` is called once when the actor has ended for good, after its mailbox has closed; not when the whole
/// thread ends. It must not panic (that is caught, and lost).
///
/// # Panics
/// When `build` does, or outside of an arbiter or `LocalSet`.
pub fn start<A>(
    policy: Policy,
    down: impl FnOnce(DownReason) + 'static,
    build: impl FnOnce(&mut MeteredContext<A>) -> A,
) -> Addr<A>
where
    A: Metered + Supervised + Actor<Context = MeteredContext<A>>,
{
    let statistics = stats::statistics();
    let (sender, receiver) = channel::channel(MAILBOX_UNBOUNDED);
    let mailbox = Mailbox::new(receiver);
    let mut context = MeteredContext::new(&mailbox, statistics.clone());
    let actor = build(&mut context);
    statistics.actors[A::KIND].started.add(1);
    actix_rt::spawn(Guard {
        future: Some(ContextFut::new(context, actor, mailbox)),
        restarts: Restarts::new(policy),
        down: Some(Box::new(down)),
        statistics,
    });
    Addr::new(sender)
}

/// Owner of one actor.
struct Guard<A>
where
    A: Metered + Supervised + Actor<Context = MeteredContext<A>>,
{
    /// `None` once the actor has ended.
    future: Option<ContextFut<A, MeteredContext<A>>>,
    restarts: Restarts,
    down: Option<Box<dyn FnOnce(DownReason)>>,
    statistics: Statistics,
}

impl<A> Future for Guard<A>
where
    A: Metered + Supervised + Actor<Context = MeteredContext<A>>,
{
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let Some(future) = this.future.as_mut() else { return Poll::Ready(()) };
        let counters = &this.statistics.actors[A::KIND];
        let begin = counters.polls.get().is_multiple_of(POLL_SAMPLE.into()).then(clock::now);
        counters.polls.add(1);
        future.ctx().refill();
        let polled = match future.ctx().take_panic() {
            Some(message) => Err(message),
            None => caught(|| Pin::new(&mut *future).poll(cx)),
        };
        if let Some(begin) = begin {
            counters.poll_time.record(clock::now().saturating_duration_since(begin));
        }
        let exhausted = future.ctx().exhausted();
        let reason = match polled {
            Ok(Poll::Pending) => {
                if exhausted {
                    this.counters().yields.add(1);
                    give_way(cx);
                }
                return Poll::Pending;
            }
            Ok(Poll::Ready(())) => DownReason::Stopped,
            Err(message) => match this.recover(message) {
                Ok(()) => {
                    // The others get their turn before the restarted actor gets its next.
                    give_way(cx);
                    return Poll::Pending;
                }
                Err(reason) => reason,
            },
        };
        this.end();
        if let Some(down) = this.down.take() {
            let _ = caught(|| down(reason));
        }
        Poll::Ready(())
    }
}

impl<A> Guard<A>
where
    A: Metered + Supervised + Actor<Context = MeteredContext<A>>,
{
    /// Restarts the actor, as often as its policy allows: `restarting` can panic as well.
    fn recover(&mut self, mut message: String) -> Result<(), DownReason> {
        loop {
            self.counters().panics.add(1);
            let Some(future) = self.future.as_mut() else { return Err(DownReason::Panicked { message }) };
            // A panic on the way out must not revive an actor that was told to stop.
            let ending = matches!(future.ctx().state(), ActorState::Stopping | ActorState::Stopped);
            if ending || !self.restarts.allow(clock::now()) {
                error!(actor = A::KIND.as_str(), panic = message, "actor panicked and is not restarted");
                return Err(if ending {
                    DownReason::Panicked { message }
                } else {
                    self.restarts.refused(message)
                });
            }
            match caught(|| future.restart()) {
                Ok(true) => {
                    error!(actor = A::KIND.as_str(), panic = message, "actor panicked and is restarted");
                    self.counters().restarts.add(1);
                    return Ok(());
                }
                Ok(false) => {
                    error!(
                        actor = A::KIND.as_str(),
                        panic = message,
                        "actor panicked and nobody holds its address"
                    );
                    return Err(DownReason::Panicked { message });
                }
                Err(again) => {
                    error!(
                        actor = A::KIND.as_str(),
                        panic = message,
                        "actor panicked and so did its restart"
                    );
                    message = again;
                }
            }
        }
    }

    /// Ends the actor in steps that are caught one by one: `stopped` if it has not run, then `drop`.
    fn end(&mut self) {
        let Some(mut future) = self.future.take() else { return };
        self.counters().stopped.add(1);
        // An actor that has not (again) started must not be stopped either, and polling would start it.
        if future.ctx().state() != ActorState::Stopped && future.ctx().parts().started() {
            future.ctx().stop();
            let _ = caught(|| {
                let _ = Pin::new(&mut future).poll(&mut Context::from_waker(Waker::noop()));
            });
        }
        // Keeps the drop of the future from polling it again.
        future.ctx().terminate();
        let _ = caught(move || drop(future));
    }

    fn counters(&self) -> &ActorStatistics {
        &self.statistics.actors[A::KIND]
    }
}

/// The thread ends: the actor's `stopped` still runs, but nobody is left to be told.
impl<A> Drop for Guard<A>
where
    A: Metered + Supervised + Actor<Context = MeteredContext<A>>,
{
    fn drop(&mut self) {
        self.end();
    }
}

/// Runs something that may panic; the error is what the panic said.
pub(super) fn caught<R>(run: impl FnOnce() -> R) -> Result<R, String> {
    catch_unwind(AssertUnwindSafe(run)).map_err(panic_message)
}

fn panic_message(payload: Box<dyn Any + Send>) -> String {
    let message = if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a value that is not text".to_owned()
    };
    // A payload is any value, and its drop may panic too.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(payload)));
    message
}
