//! Sending messages: with an answer and a deadline, or without, but never unnoticed.

use std::{future::Future, time::Duration};

use actix::{
    Actor, Addr, Handler, MailboxError, Message, Recipient,
    dev::{SendError, ToEnvelope},
};
use thiserror::Error;

use super::{kind::ActorKind, metered::Metered, stats};

/// How long to wait for an answer when nothing says otherwise: far longer than any handler takes, short enough
/// that a caller learns of a wedged shard.
pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(10);

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AskError {
    /// The actor has ended, or panicked on this message.
    #[error("the actor has ended or failed on this message")]
    Closed,
    /// The answer did not come in time; the message may still be handled if its handling had begun.
    #[error("the actor did not answer in time")]
    DeadlinePassed,
}

/// Where a message can be sent: an [`Addr`] or a [`Recipient`].
pub trait Destination<M: Message> {
    /// What kind of actor receives, as far as that is known.
    const KIND: Option<ActorKind>;
    /// Sends a message and awaits the answer.
    fn request(&self, message: M) -> impl Future<Output = Result<M::Result, MailboxError>> + 'static;
    /// Sends a message; gives it back if the mailbox is closed.
    fn post(&self, message: M) -> Result<(), M>;
}

impl<A, M> Destination<M> for Addr<A>
where
    A: Actor + Handler<M> + Metered,
    A::Context: ToEnvelope<A, M>,
    M: Message + Send + Unpin + 'static,
    M::Result: Send,
{
    const KIND: Option<ActorKind> = Some(A::KIND);

    fn request(&self, message: M) -> impl Future<Output = Result<M::Result, MailboxError>> + 'static {
        self.send(message)
    }

    fn post(&self, message: M) -> Result<(), M> {
        match self.try_send(message) {
            Ok(()) => Ok(()),
            Err(SendError::Closed(message)) => Err(message),
            // Only actors that were not started by the kit have a capacity.
            Err(SendError::Full(message)) => {
                self.do_send(message);
                Ok(())
            }
        }
    }
}

impl<M> Destination<M> for Recipient<M>
where
    M: Message + Send + Unpin + 'static,
    M::Result: Send,
{
    const KIND: Option<ActorKind> = None;

    fn request(&self, message: M) -> impl Future<Output = Result<M::Result, MailboxError>> + 'static {
        self.send(message)
    }

    fn post(&self, message: M) -> Result<(), M> {
        match self.try_send(message) {
            Ok(()) => Ok(()),
            Err(SendError::Closed(message)) => Err(message),
            Err(SendError::Full(message)) => {
                self.do_send(message);
                Ok(())
            }
        }
    }
}

/// Sends a message and awaits the answer, for as long as `deadline`. A message whose asker has given up is not
/// handled any more. Works in any tokio task.
pub async fn ask<D, M>(to: &D, message: M, deadline: Duration) -> Result<M::Result, AskError>
where
    D: Destination<M>,
    M: Message,
{
    match tokio::time::timeout(deadline, to.request(message)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) => Err(AskError::Closed),
        Err(_) => Err(AskError::DeadlinePassed),
    }
}

/// Sends a message without awaiting an answer. False, and a dead letter, if the actor has ended.
pub fn tell<D, M>(to: &D, message: M) -> bool
where
    D: Destination<M>,
    M: Message,
{
    let sent = to.post(message).is_ok();
    if !sent {
        stats::message_sent(D::KIND);
        stats::dead_letter(D::KIND);
    }
    sent
}
