//! The execution context of every actor: actix's own, plus counting and a bound on each drain.
//!
//! actix drains a mailbox until it is empty before anything else of that actor, or any timer of its thread,
//! runs. Here a drain ends after [`MAILBOX_BUDGET`] messages; then the actor's other work has its turn, then
//! the thread's. [`start`](super::start) is the only way to make such a context: its guard hands out the budget.

use std::{rc::Rc, time::Instant};

use actix::{
    Actor, ActorContext, ActorFuture, ActorState, Addr, AsyncContext, Handler, Message, SpawnHandle,
    dev::{
        AsyncContextParts, ContextParts, Envelope, EnvelopeProxy, Mailbox, MessageResponse, OneshotSender,
        ToEnvelope,
    },
};

use super::{
    belt::Turn,
    clock,
    kind::ActorKind,
    stats::{self, Statistics},
};

/// Messages handled in one drain of a mailbox: at a microsecond each, timers wait far less than a millisecond.
pub const MAILBOX_BUDGET: u32 = 64;

/// What an actor is counted as.
pub trait Metered {
    /// The kind of actor.
    const KIND: ActorKind;
}

/// The execution context of actors started by [`start`](super::start).
pub struct MeteredContext<A>
where
    A: Actor<Context = Self>,
{
    parts: ContextParts<A>,
    statistics: Statistics,
    /// Messages that may still be handled in this poll.
    budget: u32,
    /// Where the actor's work is done if not here: what panics there is the actor's panic.
    station: Option<Rc<dyn Turn>>,
}

impl<A: Actor<Context = Self>> MeteredContext<A> {
    pub(super) fn new(mailbox: &Mailbox<A>, statistics: Statistics) -> Self {
        Self {
            parts: ContextParts::new(mailbox.sender_producer()),
            statistics,
            budget: MAILBOX_BUDGET,
            station: None,
        }
    }

    /// The statistics of this actor's shard.
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// Whether anyone holds an address of this actor.
    pub fn connected(&self) -> bool {
        self.parts.connected()
    }

    /// From now on the actor's work is done there.
    pub(super) fn works_at(&mut self, station: Rc<dyn Turn>) {
        self.station = Some(station);
    }

    /// What was said by a panic of the actor's work outside of its polls.
    pub(super) fn take_panic(&self) -> Option<String> {
        self.station.as_ref()?.take_panic()
    }

    /// Allows another batch of messages; called by the guard before each poll.
    pub(super) fn refill(&mut self) {
        self.budget = MAILBOX_BUDGET;
    }

    /// Whether messages may be left because the batch was full.
    pub(super) fn exhausted(&self) -> bool {
        self.budget == 0
    }
}

impl<A: Actor<Context = Self>> ActorContext for MeteredContext<A> {
    fn stop(&mut self) {
        self.parts.stop();
    }

    fn terminate(&mut self) {
        self.parts.terminate();
    }

    fn state(&self) -> ActorState {
        self.parts.state()
    }
}

impl<A: Actor<Context = Self>> AsyncContext<A> for MeteredContext<A> {
    fn address(&self) -> Addr<A> {
        self.parts.address()
    }

    fn spawn<F>(&mut self, future: F) -> SpawnHandle
    where
        F: ActorFuture<A, Output = ()> + 'static,
    {
        self.parts.spawn(future)
    }

    fn wait<F>(&mut self, future: F)
    where
        F: ActorFuture<A, Output = ()> + 'static,
    {
        self.parts.wait(future);
    }

    /// The mailbox asks this before each message. Saying yes when the batch is full ends the drain, while the
    /// actor's futures are still polled, which a real `wait` would prevent.
    fn waiting(&self) -> bool {
        self.exhausted() || self.parts.waiting()
    }

    fn cancel_future(&mut self, handle: SpawnHandle) -> bool {
        self.parts.cancel_future(handle)
    }
}

impl<A: Actor<Context = Self>> AsyncContextParts<A> for MeteredContext<A> {
    fn parts(&mut self) -> &mut ContextParts<A> {
        &mut self.parts
    }
}

impl<A, M> ToEnvelope<A, M> for MeteredContext<A>
where
    A: Actor<Context = Self> + Handler<M> + Metered,
    M: Message + Send + 'static,
    M::Result: Send,
{
    fn pack(message: M, reply: Option<OneshotSender<M::Result>>) -> Envelope<A> {
        stats::message_sent(Some(A::KIND));
        Envelope::with_proxy(Box::new(Letter {
            kind: A::KIND,
            sent: clock::now(),
            message: Some(message),
            reply,
        }))
    }
}

/// A message in a mailbox.
struct Letter<M: Message> {
    kind: ActorKind,
    sent: Instant,
    /// `None` once handled.
    message: Option<M>,
    reply: Option<OneshotSender<M::Result>>,
}

impl<A, M> EnvelopeProxy<A> for Letter<M>
where
    A: Actor<Context = MeteredContext<A>> + Handler<M> + Metered,
    M: Message + Send + 'static,
    M::Result: Send,
{
    fn handle(&mut self, actor: &mut A, context: &mut MeteredContext<A>) {
        context.budget = context.budget.saturating_sub(1);
        let reply = self.reply.take();
        if reply.as_ref().is_some_and(OneshotSender::is_closed) {
            return; // The asker has given up: a dead letter.
        }
        if let Some(message) = self.message.take() {
            let waited = clock::now().saturating_duration_since(self.sent);
            context.statistics.actors[A::KIND].mailbox_wait.record(waited);
            actor.handle(message, context).handle(context, reply);
        }
    }
}

impl<M: Message> Drop for Letter<M> {
    fn drop(&mut self) {
        if self.message.is_some() {
            stats::dead_letter(Some(self.kind));
        }
    }
}
