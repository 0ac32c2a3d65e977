//! Messages on their way from a channel's queue to the crate, and what is known of them there.

use std::time::{Duration, Instant};

use bytes::Bytes;
use sctp_proto::{PayloadProtocolIdentifier as Ppid, ReliabilityType};

use super::{
    association::{Association, Phase, SendError},
    channel::{ChannelKey, ChannelParameters, Message, MessageKind, Reliability},
    channels::{Queued, State},
    event::Event,
    packet::{DataHeader, PPID_BINARY_EMPTY, PPID_STRING_EMPTY},
};

impl Association {
    /// Accepts a message. The caller bounds how many wait: nothing is refused for their number.
    ///
    /// # Errors
    /// When the channel is not open, or the peer does not take messages of this size.
    pub fn send(&mut self, now: Instant, key: ChannelKey, message: Message) -> Result<(), SendError> {
        self.touch();
        let limit = self.max_message_size();
        let channel = self.channels.get_mut(&key).ok_or(SendError::NotOpen)?;
        if channel.state != State::Open || !matches!(self.phase, Phase::Connected) {
            return Err(SendError::NotOpen);
        }
        if message.data.len() as u64 > limit {
            return Err(SendError::TooLarge);
        }
        let expires = match channel.parameters.reliability {
            Reliability::MaxLifetime(limit) => {
                self.timed.insert(key);
                now.checked_add(Duration::from_millis(limit.into()))
            }
            _ => None,
        };
        channel.queue.push_back(Queued { message, expires });
        self.scheduler.add(key, channel.parameters.priority);
        Ok(())
    }

    /// Hands the next message of a channel to the crate.
    pub(super) fn load_message(&mut self, now: Instant, key: ChannelKey) {
        let Some(channel) = self.channels.get_mut(&key) else { return self.scheduler.remove(key) };
        let Some((queued, id)) = channel.queue.pop_front().zip(channel.id) else {
            return self.scheduler.remove(key);
        };
        let bytes = queued.message.data.len();
        if is_expired(&queued, now) {
            self.counters.messages_expired += 1;
            self.push_sent(key, bytes, bytes.max(1));
        } else if let Some(core) = &mut self.core {
            let written = core.association.stream(id).and_then(|mut stream| {
                let (kind, value) = reliability(&channel.parameters, queued.expires, now);
                let unordered = !channel.parameters.ordered && channel.is_acknowledged;
                stream.set_reliability_params(unordered, kind, value)?;
                let (data, ppid) = on_the_wire(queued.message);
                // The one way of writing that does not copy.
                stream.set_default_payload_type(ppid)?;
                stream.write_chunks(&mut [data])
            });
            if let Ok(written) = written {
                channel.loaded += written;
                channel.unsent += written;
                self.loaded += written;
                self.unsent += written;
                self.loaded_channels.insert(key);
            }
        }
        self.after_taking(key, bytes);
    }

    /// A message has left the queue of a channel.
    fn after_taking(&mut self, key: ChannelKey, bytes: usize) {
        let Some(channel) = self.channels.get(&key) else { return };
        let has_more = !channel.queue.is_empty();
        let is_finished = !has_more && channel.state == State::Finishing;
        self.scheduler.sent(key, bytes, has_more);
        if !has_more {
            self.timed.remove(&key);
        }
        if is_finished {
            self.reset(key, None);
        }
    }

    /// DATA was given to the network for the first time.
    pub(super) fn data_sent(&mut self, data: DataHeader) {
        let Some(key) = self.streams.get(&data.stream).and_then(|stream| stream.channel) else { return };
        let Some(channel) = self.channels.get_mut(&key) else { return };
        // DCEP is not of the application, and was not counted.
        let room = data.length.min(channel.unsent);
        if room == 0 || data.ppid == Ppid::Dcep as u32 {
            return;
        }
        channel.unsent -= room;
        self.unsent = self.unsent.saturating_sub(room);
        let is_empty = matches!(data.ppid, PPID_STRING_EMPTY | PPID_BINARY_EMPTY);
        self.push_sent(key, if is_empty { 0 } else { room }, room);
    }

    fn push_sent(&mut self, key: ChannelKey, more_bytes: usize, more_room: usize) {
        // A batch of packets is one event.
        if let Some(Event::Sent { channel, bytes, room }) = self.events.back_mut()
            && *channel == key
        {
            *bytes += more_bytes;
            *room += more_room;
            return;
        }
        self.events.push_back(Event::Sent { channel: key, bytes: more_bytes, room: more_room });
    }

    /// The crate holds nothing more of a channel, or has given up what it had not sent. (It does not say
    /// of which messages: the byte of an empty one counts as a byte then.)
    pub(super) fn gave_up(&mut self, key: ChannelKey, bytes: usize) {
        let Some(channel) = self.channels.get_mut(&key) else {
            self.loaded_channels.remove(&key);
            return;
        };
        channel.unsent -= bytes;
        self.unsent = self.unsent.saturating_sub(bytes);
        if channel.loaded == 0 {
            self.loaded_channels.remove(&key);
        }
        if bytes > 0 {
            self.push_sent(key, bytes, bytes);
        }
    }

    /// Drops what has waited for longer than its channel allows.
    pub(super) fn expire_messages(&mut self, now: Instant) {
        for key in self.timed.clone() {
            while let Some(channel) = self.channels.get_mut(&key)
                && channel.queue.front().is_some_and(|queued| is_expired(queued, now))
            {
                let Some(queued) = channel.queue.pop_front() else { break };
                let bytes = queued.message.data.len();
                self.counters.messages_expired += 1;
                self.push_sent(key, bytes, bytes.max(1));
                self.after_taking(key, 0);
            }
        }
    }

    /// When the first message expires.
    pub(super) fn expiry(&self) -> Option<Instant> {
        let first = |key| self.channels.get(key)?.queue.front()?.expires;
        // After that instant, not at it.
        self.timed.iter().filter_map(first).min().map(|expiry| expiry + Duration::from_millis(1))
    }
}

/// A lifetime of 0 still allows one attempt, if it can be made at once.
fn is_expired(queued: &Queued, now: Instant) -> bool {
    queued.expires.is_some_and(|expires| now > expires)
}

/// The limit that is left of it when the message reaches the crate.
fn reliability(
    parameters: &ChannelParameters,
    expires: Option<Instant>,
    now: Instant,
) -> (ReliabilityType, u32) {
    match parameters.reliability {
        Reliability::Reliable => (ReliabilityType::Reliable, 0),
        Reliability::MaxRetransmits(limit) => (ReliabilityType::Rexmit, limit),
        Reliability::MaxLifetime(limit) => {
            let left = expires
                .map_or_else(|| limit.into(), |expires| expires.saturating_duration_since(now).as_millis());
            // The crate would give up at once with 0.
            (ReliabilityType::Timed, u32::try_from(left).unwrap_or(u32::MAX).max(1))
        }
    }
}

/// RFC 8831 §6.6: SCTP has no empty messages. An empty write would block the stream for good.
fn on_the_wire(message: Message) -> (Bytes, Ppid) {
    match (message.kind, message.data.is_empty()) {
        (MessageKind::Text, true) => (Bytes::from_static(&[0]), Ppid::StringEmpty),
        (MessageKind::Binary, true) => (Bytes::from_static(&[0]), Ppid::BinaryEmpty),
        (MessageKind::Text, false) => (message.data, Ppid::String),
        (MessageKind::Binary, false) => (message.data, Ppid::Binary),
    }
}
