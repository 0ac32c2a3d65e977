//! An actor for tests: collects the messages it gets.

use std::time::Duration;

use actix::{Actor, Addr, Handler, Message, MessageResult, Supervised};
use tokio::sync::mpsc;

use super::{
    ask::DEFAULT_DEADLINE,
    guard::start,
    kind::ActorKind,
    metered::{Metered, MeteredContext},
    policy::Policy,
};

/// Collects messages of type `M` for a test, in place of the actor that would get them.
///
/// ```no_run
/// # use actix_rtc::actors::kit::Probe;
/// # struct TrackAdded; impl actix::Message for TrackAdded { type Result = (); }
/// # async fn example() {
/// let (address, mut inbox) = Probe::<TrackAdded>::start();
/// // ... hand `address.recipient()` to the actor under test, make it act, and:
/// let _: TrackAdded = inbox.next().await.expect("the actor says that a track was added");
/// # let _ = address; }
/// ```
pub struct Probe<M: Message> {
    received: mpsc::UnboundedSender<M>,
    answer: Answer<M>,
}

type Answer<M> = Box<dyn FnMut(&M) -> <M as Message>::Result>;

impl<M> Probe<M>
where
    M: Message + Send + Unpin + 'static,
    M::Result: Send,
{
    /// Starts a probe on the current arbiter that answers with the default value.
    pub fn start() -> (Addr<Self>, Inbox<M>)
    where
        M::Result: Default,
    {
        Self::answering(|_| M::Result::default())
    }

    /// Starts a probe on the current arbiter that answers as told.
    pub fn answering(answer: impl FnMut(&M) -> M::Result + 'static) -> (Addr<Self>, Inbox<M>) {
        let (received, messages) = mpsc::unbounded_channel();
        let probe = Self { received, answer: Box::new(answer) };
        (start(Policy::never(), |_| {}, |_| probe), Inbox { messages })
    }
}

impl<M: Message + Unpin + 'static> Actor for Probe<M> {
    type Context = MeteredContext<Self>;
}

impl<M: Message> Metered for Probe<M> {
    const KIND: ActorKind = ActorKind::Probe;
}

impl<M: Message + Unpin + 'static> Supervised for Probe<M> {}

impl<M: Message + Unpin + 'static> Handler<M> for Probe<M> {
    type Result = MessageResult<M>;

    fn handle(&mut self, message: M, _: &mut Self::Context) -> Self::Result {
        let answer = (self.answer)(&message);
        // A test that dropped its inbox does not care.
        let _ = self.received.send(message);
        MessageResult(answer)
    }
}

/// What a [`Probe`] has received.
#[derive(Debug)]
pub struct Inbox<M> {
    messages: mpsc::UnboundedReceiver<M>,
}

impl<M> Inbox<M> {
    /// The next message; `None` if none comes within [`DEFAULT_DEADLINE`] (at once, with paused time and nothing left
    /// to do) or the probe has ended.
    pub async fn next(&mut self) -> Option<M> {
        self.next_within(DEFAULT_DEADLINE).await
    }

    /// The next message; `None` if none comes within `patience` or the probe has ended.
    pub async fn next_within(&mut self, patience: Duration) -> Option<M> {
        tokio::time::timeout(patience, self.messages.recv()).await.ok().flatten()
    }

    /// The next message that has already been handled.
    pub fn try_next(&mut self) -> Option<M> {
        self.messages.try_recv().ok()
    }

    /// All messages that have already been handled.
    pub fn drain(&mut self) -> Vec<M> {
        std::iter::from_fn(|| self.try_next()).collect()
    }
}
