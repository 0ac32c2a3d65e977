//! `DataPort`: reads the data channels of one participant, holds what comes against the limits and passes it to the
//! room.
//!
//! One message is under way at a time, so that the room's mailbox holds at most one of each participant. Who sends
//! more than the limits allow is told, and read more slowly for a moment: SCTP's receive window then slows the sender
//! down. Never restarts: after a panic the participant's channels are closed, of which its client is told.

use std::{collections::BTreeMap, time::Duration};

use actix::{fut::ready, prelude::*};
use actix_rtc::{
    RtcDataChannel, RtcDataChannelEvent, RtcDataChannelMessage, TrySendError,
    actors::kit::{self, ActorKind, DownReason, Metered, MeteredContext, Policy},
};
use futures_util::{StreamExt, stream};

use super::{
    envelope::{self, Addressed},
    label::ChannelName,
};
use crate::{
    config::DataLimits,
    ids::ParticipantId,
    metrics::{Counted, DataDrop, DataMetrics},
    problem::{Code, Problem},
    rate_limit::RateLimit,
    room::{EndOutlet, EndOutlets, Forward, ForwardError, OpenOutlet, OpenOutletError, Room},
};

/// What it had taken of its messages is lost with it.
const POLICY: Policy = Policy::never();
/// How long nothing is read of a participant that exceeds its rates.
const PAUSE: Duration = Duration::from_millis(100);
/// Errors about the rate are told at most so often on one channel, with the number of messages refused.
const RATE_ERRORS_INTERVAL: Duration = Duration::from_secs(1);

/// A channel of the participant, by the port's own number for it.
struct Inlet {
    channel: RtcDataChannel,
    name: ChannelName,
    /// Since the client was last told that it exceeds its rates; `None`: not for a while.
    refused: Option<Box<Refused>>,
    _counted: Counted,
}

/// Messages that were refused and not told of yet.
#[derive(Default)]
struct Refused {
    count: u64,
    latest: Option<Problem>,
}

/// The data channels of one participant.
pub(crate) struct DataPort {
    participant: ParticipantId,
    room: Addr<Room>,
    limits: DataLimits,
    metrics: DataMetrics,
    messages: RateLimit,
    bytes: RateLimit,
    inlets: BTreeMap<u64, Inlet>,
    next_key: u64,
}

/// Closes a channel that is not taken, and says why.
pub(crate) fn refuse(metrics: &DataMetrics, channel: &RtcDataChannel, problem: Problem) {
    metrics.refused(problem.code);
    let problem = problem.on_channel(channel.label());
    // Its queue is empty. If it is gone meanwhile, nobody is there to be told.
    let _ = channel.try_send(envelope::error(&problem));
    channel.close();
}

impl DataPort {
    /// Starts on the current shard, which must be the room's.
    pub(crate) fn start(
        participant: ParticipantId,
        room: Addr<Room>,
        limits: DataLimits,
        metrics: DataMetrics,
    ) -> Addr<Self> {
        let down = {
            let (room, participant) = (room.clone(), participant.clone());
            move |reason| {
                if reason != DownReason::Stopped {
                    tracing::error!(%participant, ?reason, "the data channels of a participant were lost");
                    kit::tell(&room, EndOutlets(participant));
                }
            }
        };
        let now = kit::now();
        let bytes = RateLimit::new(now, limits.bytes_per_second).with_room_for(limits.message_bytes);
        let messages = RateLimit::new(now, limits.messages_per_second);
        kit::start(POLICY, down, move |_| Self {
            participant,
            room,
            limits,
            metrics,
            messages,
            bytes,
            inlets: BTreeMap::new(),
            next_key: 0,
        })
    }

    /// The name of a channel that may be taken.
    fn check(&self, channel: &RtcDataChannel) -> Result<ChannelName, Problem> {
        let most = self.limits.channels;
        if self.inlets.len() >= most {
            let sentence = format!("the server takes {most} data channels of one participant");
            return Err(Problem::new(Code::TooManyChannels, sentence));
        }
        ChannelName::of(channel).map_err(|error| Problem::new(Code::UnknownChannel, error.to_string()))
    }

    /// The room knows the channel, or does not take it.
    fn listed(
        &mut self,
        channel: RtcDataChannel,
        name: ChannelName,
        answer: Result<Result<(), OpenOutletError>, kit::AskError>,
        ctx: &mut MeteredContext<Self>,
    ) {
        let problem = match answer {
            Ok(Ok(())) => return self.read(channel, name, ctx),
            Ok(Err(error @ OpenOutletError::InUse)) => Problem::new(Code::ChannelInUse, error.to_string()),
            Ok(Err(error @ OpenOutletError::NotThere)) => Problem::new(Code::NotJoined, error.to_string()),
            Err(error) => Problem::new(Code::Internal, format!("the room does not answer: {error}")),
        };
        refuse(&self.metrics, &channel, problem);
    }

    fn read(&mut self, channel: RtcDataChannel, name: ChannelName, ctx: &mut MeteredContext<Self>) {
        let key = self.next_key;
        self.next_key += 1;
        let events = channel.events().map(Some).chain(stream::iter([None]));
        ctx.add_stream(events.map(move |event| (key, event)));
        let counted = self.metrics.channel();
        self.inlets.insert(key, Inlet { channel, name, refused: None, _counted: counted });
    }

    fn closed(&mut self, key: u64) {
        let Some(Inlet { channel, .. }) = self.inlets.remove(&key) else { return };
        let participant = self.participant.clone();
        kit::tell(&self.room, EndOutlet { participant, channel, too_slow: false });
    }

    /// Holds a message against the limits.
    fn admit(&mut self, length: usize) -> Result<(), Problem> {
        let now = kit::now();
        let DataLimits { message_bytes, messages_per_second, bytes_per_second, .. } = self.limits;
        let within = self.messages.allow(now);
        // What is too large costs as much as the largest that is not: discarding it is work as well.
        if !(within && self.bytes.take(now, length.min(message_bytes))) {
            let sentence = format!(
                "you may send {messages_per_second} messages and {bytes_per_second} bytes per second over data channels"
            );
            return Err(Problem::new(Code::RateLimited, sentence));
        }
        if length > message_bytes {
            let sentence = format!("the message has {length} bytes, the server takes {message_bytes}");
            return Err(Problem::new(Code::TooLarge, sentence));
        }
        Ok(())
    }

    fn message(&mut self, key: u64, message: &RtcDataChannelMessage, ctx: &mut MeteredContext<Self>) {
        self.metrics.received(message.len());
        match self.admit(message.len()) {
            Ok(()) => {}
            Err(problem) if problem.code == Code::RateLimited => return self.exceeded(key, problem, ctx),
            Err(problem) => return self.refused(key, problem),
        }
        let addressed = match Addressed::read(message) {
            Ok(addressed) => addressed,
            Err(error) => return self.refused(key, error.into()),
        };
        let Some(inlet) = self.inlets.get(&key) else { return };
        let (id, to) = (addressed.id, addressed.to.clone());
        let forward = Forward {
            from: self.participant.clone(),
            channel: inlet.name.clone(),
            to: to.clone(),
            message: addressed.handed_on(&self.participant),
        };
        let room = self.room.clone();
        let asking = async move { kit::ask(&room, forward, kit::DEFAULT_DEADLINE).await };
        // Nothing else is read meanwhile.
        ctx.wait(asking.into_actor(self).map(move |answer, port, _| {
            if let Err(problem) = delivery(answer) {
                port.refused(key, problem.with_id(id).addressed_to(to));
            }
        }));
    }

    fn refused(&mut self, key: u64, problem: Problem) {
        self.metrics.refused(problem.code);
        self.tell(key, problem);
    }

    /// A message came above the rates: errors about that are gathered, and reading pauses.
    fn exceeded(&mut self, key: u64, problem: Problem, ctx: &mut MeteredContext<Self>) {
        self.metrics.refused(problem.code);
        ctx.wait(tokio::time::sleep(PAUSE).into_actor(self));
        let Some(inlet) = self.inlets.get_mut(&key) else { return };
        if let Some(refused) = &mut inlet.refused {
            refused.count += 1;
            refused.latest = Some(problem);
            return;
        }
        inlet.refused = Some(Box::default());
        self.tell(key, problem.counting(1));
        ctx.run_later(RATE_ERRORS_INTERVAL, move |port, ctx| port.tell_refused(key, ctx));
    }

    fn tell_refused(&mut self, key: u64, ctx: &mut MeteredContext<Self>) {
        let Some(inlet) = self.inlets.get_mut(&key) else { return };
        let refused = inlet.refused.take().map(|refused| *refused);
        let Some(Refused { count, latest: Some(problem) }) = refused else { return };
        inlet.refused = Some(Box::default());
        self.tell(key, problem.counting(count));
        ctx.run_later(RATE_ERRORS_INTERVAL, move |port, ctx| port.tell_refused(key, ctx));
    }

    /// Tells the client of a problem, on the channel that it is about.
    fn tell(&self, key: u64, problem: Problem) {
        let Some(Inlet { channel, name, .. }) = self.inlets.get(&key) else { return };
        let text = envelope::error(&problem.on_channel(name.as_str()));
        let length = text.len();
        match channel.try_send(text) {
            Ok(()) => self.metrics.sent(length),
            Err(TrySendError::WouldBlock(_)) if name.is_lossy() => self.metrics.dropped(DataDrop::NoRoom),
            // It asks for errors and does not read them: like any other recipient that is too slow.
            Err(TrySendError::WouldBlock(_)) => {
                let (participant, channel) = (self.participant.clone(), channel.clone());
                kit::tell(&self.room, EndOutlet { participant, channel, too_slow: true });
            }
            Err(_) => self.metrics.dropped(DataDrop::Closed),
        }
    }
}

/// What the room says of a message.
fn delivery(answer: Result<Result<(), ForwardError>, kit::AskError>) -> Result<(), Problem> {
    match answer {
        Ok(delivered) => Ok(delivered?),
        Err(error) => Err(Problem::new(Code::Internal, format!("the room does not answer: {error}"))),
    }
}

impl Metered for DataPort {
    const KIND: ActorKind = ActorKind::DataPort;
}

impl Actor for DataPort {
    type Context = MeteredContext<Self>;
}

impl Supervised for DataPort {}

/// An event of a channel; after the last one there is `None`.
impl StreamHandler<(u64, Option<RtcDataChannelEvent>)> for DataPort {
    fn handle(&mut self, (key, event): (u64, Option<RtcDataChannelEvent>), ctx: &mut Self::Context) {
        match event {
            Some(RtcDataChannelEvent::Message(message)) => self.message(key, &message, ctx),
            Some(RtcDataChannelEvent::Error(error)) => tracing::debug!(%error, "a data channel failed"),
            Some(RtcDataChannelEvent::Close) | None => self.closed(key),
            Some(_) => {}
        }
    }

    /// The others go on; without this the actor would stop.
    fn finished(&mut self, _: &mut Self::Context) {}
}

/// Client task → `DataPort`, control: the client has opened this channel.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Accept(pub(crate) RtcDataChannel);

impl Handler<Accept> for DataPort {
    type Result = ();

    fn handle(&mut self, Accept(channel): Accept, ctx: &mut Self::Context) {
        let name = match self.check(&channel) {
            Ok(name) => name,
            Err(problem) => return refuse(&self.metrics, &channel, problem),
        };
        let (room, participant) = (self.room.clone(), self.participant.clone());
        let open = OpenOutlet { participant, name: name.clone(), channel: channel.clone() };
        let asking = async move { kit::ask(&room, open, kit::DEFAULT_DEADLINE).await };
        ctx.wait(asking.into_actor(self).then(move |answer, port, ctx| {
            port.listed(channel, name, answer, ctx);
            ready(())
        }));
    }
}

/// Client task → `DataPort`, control: the client is leaving.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct End;

impl Handler<End> for DataPort {
    type Result = ();

    fn handle(&mut self, _: End, ctx: &mut Self::Context) {
        ctx.stop();
    }
}
