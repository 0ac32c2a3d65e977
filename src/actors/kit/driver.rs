//! One item per actor, polled after each drain of its mailbox: input from the lanes, one batch of output, and the
//! only timer of the actor.
//!
//! An actor that hosts a state machine needs nothing else: its handlers change the state, and whatever follows from
//! that (packets, events, a new deadline) is picked up here, once, however many messages were handled.

use std::{
    future::Future,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Instant,
};

use actix::{Actor, ActorContext, ActorFuture, AsyncContext};
use tokio::{
    task::coop::unconstrained,
    time::{Sleep, sleep_until},
};

use super::{
    clock,
    metered::{Metered, MeteredContext},
    turn::give_way,
};

/// Packets that [`Driven::take_input`] should take at most, over all its lanes: at some microseconds each, the
/// thread is free again well within a millisecond.
pub const INPUT_BUDGET: usize = 64;

/// Deadlines handled in one poll: a state machine that has several timers due, but not one that never advances.
pub(super) const DEADLINE_ROUNDS: usize = 8;

/// An actor that hosts a state machine.
pub trait Driven: Actor<Context = MeteredContext<Self>> + Metered {
    /// Takes at most [`INPUT_BUDGET`] packets from the lanes of this actor, and says whether more wait. Polled before
    /// [`Driven::flush`] in every round.
    fn take_input(&mut self, _cx: &mut Context<'_>, _now: Instant, _ctx: &mut Self::Context) -> bool {
        false
    }

    /// Hands on everything the state machine has produced.
    fn flush(&mut self, now: Instant, ctx: &mut Self::Context);

    /// When [`Driven::handle_deadline`] is to be called next, if nothing else happens.
    fn deadline(&self) -> Option<Instant>;

    /// The deadline has passed.
    fn handle_deadline(&mut self, now: Instant, ctx: &mut Self::Context);
}

/// Starts to drive an actor; to be called once, in `started`, which runs again after a restart.
///
/// A driven actor stops when its last address is gone, whatever else it has spawned.
pub fn drive<A: Driven>(ctx: &mut A::Context) {
    ctx.spawn(Driver { timer: None, armed: None, abandoned: false });
}

struct Driver {
    /// Made when it is first needed: most actors on a quiet peer have no deadline.
    timer: Option<Pin<Box<Sleep>>>,
    /// When the timer fires; not later than the actor's deadline. `None` if it does not run.
    armed: Option<Instant>,
    /// The last address was gone in the round before.
    abandoned: bool,
}

impl<A: Driven> ActorFuture<A> for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, actor: &mut A, ctx: &mut A::Context, cx: &mut Context<'_>) -> Poll<()> {
        let now = clock::now();
        let mut again = actor.take_input(cx, now, ctx);
        for _ in 0..DEADLINE_ROUNDS {
            if actor.deadline().is_none_or(|deadline| deadline > now) {
                break;
            }
            actor.handle_deadline(now, ctx);
        }
        actor.flush(now, ctx);
        if let Some(deadline) = actor.deadline() {
            again |= self.arm(deadline, now, cx);
        }
        if !ctx.connected() {
            // A message may have come in between the drain and the last address going: one more round.
            if self.abandoned && !again && !ctx.exhausted() {
                ctx.stop();
                return Poll::Ready(());
            }
            self.abandoned = true;
            again = true;
        } else {
            self.abandoned = false;
        }
        if again {
            give_way(cx);
        }
        Poll::Pending
    }
}

impl Driver {
    /// Makes sure that the actor is polled at its deadline. True if that is now.
    ///
    /// A deadline that moves back leaves the timer as it is: most do, at every packet, and firing early for one of
    /// many costs less than setting the timer each time.
    fn arm(&mut self, deadline: Instant, now: Instant, cx: &mut Context<'_>) -> bool {
        if deadline <= now {
            return true; // A timer that is already due would wake the task at once, before others get their turn.
        }
        if self.armed.is_some_and(|armed| now < armed && armed <= deadline) {
            return false;
        }
        let timer = match &mut self.timer {
            Some(timer) => {
                timer.as_mut().reset(deadline.into());
                timer
            }
            none => none.insert(Box::pin(sleep_until(deadline.into()))),
        };
        // Unconstrained: a task that has used up its cooperative budget is told that the timer is pending, without
        // the timer having been set.
        if pin!(unconstrained(timer.as_mut())).poll(cx).is_ready() {
            self.armed = None;
            return true;
        }
        self.armed = Some(deadline);
        false
    }
}
