//! The room's part in data channels: it knows the channels of its participants and hands messages on.
//!
//! It never waits. Each channel has a queue of its own (1 MiB): what finds no room there is dropped if the channel may
//! lose messages; if not, the channel is closed behind what is queued, and its participant told over the WebSocket.

use actix::prelude::*;
use actix_rtc::{RtcDataChannel, RtcDataChannelMessage, RtcError, TrySendError};

use super::{Member, Room, RoomEvent};
use crate::{
    data::ChannelName,
    ids::ParticipantId,
    metrics::{DataDrop, DataMetrics},
    problem::{Code, Problem},
};

/// Why a channel can't be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OpenOutletError {
    #[error("you have an open channel of this label already")]
    InUse,
    #[error("you are not in the room")]
    NotThere,
}

/// Why a message was not delivered to all that it was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ForwardError {
    #[error("you are not in the room")]
    NotThere,
    #[error("the recipient is not in the room")]
    NoSuchParticipant,
    #[error("the recipient has no open channel of this label")]
    NotListening,
    #[error("the recipient takes its messages too slowly: its channel was closed")]
    TooSlow,
    #[error("the message is larger than {0} recipient(s) can receive")]
    TooLarge(usize),
}

impl From<ForwardError> for Problem {
    fn from(error: ForwardError) -> Self {
        let code = match error {
            ForwardError::NotThere => Code::NotJoined,
            ForwardError::NoSuchParticipant => Code::NoSuchParticipant,
            ForwardError::NotListening => Code::NotListening,
            ForwardError::TooSlow | ForwardError::TooLarge(_) => Code::NotDelivered,
        };
        Self::new(code, error.to_string())
    }
}

/// What became of a message for one recipient.
enum Outcome {
    /// It waits for the network, or was dropped as a lossy channel may.
    Done,
    TooLarge,
    TooSlow,
    /// The channel is closing.
    Closed,
}

fn deliver(
    metrics: &DataMetrics,
    name: &ChannelName,
    channel: &RtcDataChannel,
    message: RtcDataChannelMessage,
) -> Outcome {
    let length = message.len();
    match channel.try_send(message) {
        Ok(()) => {
            metrics.sent(length);
            Outcome::Done
        }
        Err(TrySendError::WouldBlock(_)) if name.is_lossy() => {
            metrics.dropped(DataDrop::NoRoom);
            Outcome::Done
        }
        Err(TrySendError::WouldBlock(_)) => Outcome::TooSlow,
        Err(TrySendError::Failed(RtcError::TypeError(_))) => {
            metrics.dropped(DataDrop::TooLarge);
            Outcome::TooLarge
        }
        Err(_) => {
            metrics.dropped(DataDrop::Closed);
            Outcome::Closed
        }
    }
}

impl Room {
    fn member(&mut self, id: &ParticipantId) -> Option<&mut Member> {
        self.participants.iter_mut().find(|member| member.info.id == *id)
    }

    fn forward(&mut self, forward: Forward) -> Result<(), ForwardError> {
        if self.member(&forward.from).is_none() {
            return Err(ForwardError::NotThere);
        }
        match &forward.to {
            Some(to) => self.forward_to(to, &forward.channel, forward.message.clone()),
            None => self.forward_to_all(&forward),
        }
    }

    fn forward_to(
        &mut self,
        to: &ParticipantId,
        name: &ChannelName,
        message: RtcDataChannelMessage,
    ) -> Result<(), ForwardError> {
        let member = self.participants.iter().find(|member| member.info.id == *to);
        let member = member.ok_or(ForwardError::NoSuchParticipant)?;
        let channel = member.outlets.get(name).ok_or(ForwardError::NotListening)?;
        match deliver(&self.metrics, name, channel, message) {
            Outcome::Done => Ok(()),
            Outcome::TooLarge => Err(ForwardError::TooLarge(1)),
            Outcome::Closed => Err(ForwardError::NotListening),
            Outcome::TooSlow => {
                self.end_slow(to, name);
                Err(ForwardError::TooSlow)
            }
        }
    }

    fn forward_to_all(&mut self, forward: &Forward) -> Result<(), ForwardError> {
        let (mut slow, mut too_large) = (Vec::new(), 0);
        let others = self.participants.iter().filter(|member| member.info.id != forward.from);
        for member in others {
            let Some(channel) = member.outlets.get(&forward.channel) else { continue };
            match deliver(&self.metrics, &forward.channel, channel, forward.message.clone()) {
                Outcome::TooSlow => slow.push(member.info.id.clone()),
                Outcome::TooLarge => too_large += 1,
                Outcome::Done | Outcome::Closed => {}
            }
        }
        for id in slow {
            self.end_slow(&id, &forward.channel);
        }
        if too_large > 0 { Err(ForwardError::TooLarge(too_large)) } else { Ok(()) }
    }

    /// A reliable channel has no room for a message: it ends behind what it has, and its participant is told.
    fn end_slow(&mut self, id: &ParticipantId, name: &ChannelName) {
        let Some(member) = self.member(id) else { return };
        let Some(channel) = member.outlets.remove(name) else { return };
        channel.close();
        let sentence = "a data channel was closed: you take its messages too slowly; open it again to go on";
        let problem = Problem::new(Code::Slow, sentence).on_channel(name.as_str());
        let told = member.events.try_send(RoomEvent::DataChannelEnded(Box::new(problem)));
        tracing::info!(participant = %id, channel = ?name, "closed: it takes its messages too slowly");
        self.metrics.slow_channel_closed();
        if told.is_err() {
            self.remove(id);
        }
    }

    fn end_outlet(&mut self, ended: EndOutlet) {
        let Some(member) = self.member(&ended.participant) else { return };
        // One of the same name that was opened later stays.
        let mut outlets = member.outlets.iter();
        let Some(name) =
            outlets.find(|(_, channel)| **channel == ended.channel).map(|(name, _)| name.clone())
        else {
            return;
        };
        if ended.too_slow {
            self.end_slow(&ended.participant, &name);
        } else {
            member.outlets.remove(&name);
        }
    }
}

/// `DataPort` → `Room`, control: messages of this name can be sent to the participant over this channel.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), OpenOutletError>")]
pub(crate) struct OpenOutlet {
    pub(crate) participant: ParticipantId,
    pub(crate) name: ChannelName,
    pub(crate) channel: RtcDataChannel,
}

impl Handler<OpenOutlet> for Room {
    type Result = Result<(), OpenOutletError>;

    fn handle(&mut self, message: OpenOutlet, _: &mut Self::Context) -> Self::Result {
        let OpenOutlet { participant, name, channel } = message;
        let member = self.member(&participant).ok_or(OpenOutletError::NotThere)?;
        if member.outlets.contains_key(&name) {
            return Err(OpenOutletError::InUse);
        }
        member.outlets.insert(name, channel);
        Ok(())
    }
}

/// `DataPort` → `Room`, control: this channel has ended, or must end because its messages are taken too slowly.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct EndOutlet {
    pub(crate) participant: ParticipantId,
    pub(crate) channel: RtcDataChannel,
    pub(crate) too_slow: bool,
}

impl Handler<EndOutlet> for Room {
    type Result = ();

    fn handle(&mut self, message: EndOutlet, _: &mut Self::Context) {
        self.end_outlet(message);
    }
}

/// `DataPort`'s end → `Room`, control: nobody reads the channels of this participant any more.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct EndOutlets(pub(crate) ParticipantId);

impl Handler<EndOutlets> for Room {
    type Result = ();

    fn handle(&mut self, message: EndOutlets, _: &mut Self::Context) {
        let Some(member) = self.member(&message.0) else { return };
        for channel in std::mem::take(&mut member.outlets).into_values() {
            channel.close();
        }
    }
}

/// `DataPort` → `Room`, data: hand this on, to one participant or to all others that have such a channel.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), ForwardError>")]
pub(crate) struct Forward {
    pub(crate) from: ParticipantId,
    pub(crate) channel: ChannelName,
    pub(crate) to: Option<ParticipantId>,
    /// With the sender in its envelope.
    pub(crate) message: RtcDataChannelMessage,
}

impl Handler<Forward> for Room {
    type Result = Result<(), ForwardError>;

    fn handle(&mut self, message: Forward, _: &mut Self::Context) -> Self::Result {
        self.forward(message)
    }
}
