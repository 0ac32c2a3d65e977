//! The channels of an association: opening, sending, reading, closing.
//!
//! A channel has at most one stream, and a stream at most one channel. A stream without a channel
//! belongs to one that is not open yet (negotiated, and the peer was quicker), or was refused.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use sctp_proto::{Error, PayloadProtocolIdentifier as Ppid, ReliabilityType};

use super::{
    association::{Association, OpenError, Phase, SendError},
    channel::{ChannelKey, ChannelParameters, Message, MessageKind, Priority, Reliability},
    config::{CLOSE_PATIENCE, MAX_INCOMING_CHANNELS, MAX_ORPHANS, MAX_RESETS, first_id},
    event::{Event, SctpError},
    packet::{DataHeader, PPID_BINARY_EMPTY, PPID_STRING_EMPTY},
};
use crate::proto::dcep;

/// One channel.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) parameters: ChannelParameters,
    pub(super) id: Option<u16>,
    state: State,
    /// The peer has opened it.
    is_incoming: bool,
    /// RFC 8832 §6: until the peer has agreed, everything is sent in order.
    is_acknowledged: bool,
    queue: VecDeque<Queued>,
    /// Bytes of this channel in the crate: unsent, or not acknowledged.
    pub(super) loaded: usize,
    /// Of these, bytes that were never sent.
    pub(super) unsent: usize,
    reads: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// It has no stream.
    Connecting,
    Open,
    /// We close it as soon as its queue is empty.
    Finishing,
    /// A direction was reset, or is about to be; what to tell in the end.
    Closing(Option<SctpError>),
}

#[derive(Debug)]
struct Queued {
    message: Message,
    /// RFC 3758 §4.1: not to be sent after this.
    expires: Option<Instant>,
}

/// One stream, as far as it concerns its channel.
#[derive(Debug, Default)]
pub(super) struct Stream {
    channel: Option<ChannelKey>,
    /// It is among those to read.
    is_listed: bool,
    /// It has messages that its channel does not want to read.
    is_unread: bool,
    /// Came before there was a channel.
    orphan: Option<Message>,
    /// We have asked for a reset of our direction, and when.
    reset_since: Option<Instant>,
    /// The peer has reset its direction.
    is_finished: bool,
    /// The peer uses the stream again, although we don't know yet that it knows of our reset.
    is_reopened: bool,
}

impl Stream {
    pub(super) fn is_unread(&self) -> bool {
        self.is_unread
    }
}

impl Association {
    /// Opens a channel. It gets its stream when the association is connected.
    ///
    /// # Errors
    /// Says why there can't be such a channel.
    pub fn open(&mut self, parameters: ChannelParameters) -> Result<ChannelKey, OpenError> {
        if !matches!(self.phase, Phase::New | Phase::Setup(_) | Phase::Connected) {
            return Err(OpenError::Ended);
        }
        if let Some(id) = parameters.negotiated {
            let is_closing = self.streams.get(&id).is_some_and(|stream| stream.reset_since.is_some());
            if self.taken.contains(&id) || is_closing {
                return Err(OpenError::IdTaken(id));
            }
            if id >= self.max_channels {
                return Err(OpenError::IdTooLarge { id, max_channels: self.max_channels });
            }
        }
        let key = self.new_channel(parameters, false);
        if self.role.is_some() && !self.identify(key) {
            self.remove_channel(key);
            return Err(OpenError::NoStream);
        }
        if self.is_connected() {
            self.attach(key);
        } else {
            self.waiting.push_back(key);
        }
        Ok(key)
    }

    fn new_channel(&mut self, parameters: ChannelParameters, is_incoming: bool) -> ChannelKey {
        let key = ChannelKey(self.next_key);
        self.next_key += 1;
        self.taken.extend(parameters.negotiated);
        let channel = Channel {
            id: parameters.negotiated,
            is_acknowledged: is_incoming || parameters.negotiated.is_some(),
            parameters,
            state: State::Connecting,
            is_incoming,
            queue: VecDeque::new(),
            loaded: 0,
            unsent: 0,
            reads: true,
        };
        self.channels.insert(key, channel);
        key
    }

    fn remove_channel(&mut self, key: ChannelKey) -> Option<Channel> {
        let channel = self.channels.remove(&key)?;
        if let Some(id) = channel.id {
            self.taken.remove(&id);
        }
        self.incoming_channels -= usize::from(channel.is_incoming);
        self.loaded_channels.remove(&key);
        self.loaded = self.loaded.saturating_sub(channel.loaded);
        self.unsent = self.unsent.saturating_sub(channel.unsent);
        self.scheduler.remove(key);
        self.timed.remove(&key);
        Some(channel)
    }

    /// Accepts a message. The caller bounds how many wait: nothing is refused for their number.
    ///
    /// # Errors
    /// When the channel is not open, or the peer does not take messages of this size.
    pub fn send(&mut self, now: Instant, key: ChannelKey, message: Message) -> Result<(), SendError> {
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

    /// Closes a channel: what was accepted is sent before (RFC 8831 §6.7).
    pub fn close(&mut self, key: ChannelKey) {
        let Some(channel) = self.channels.get_mut(&key) else { return };
        match channel.state {
            State::Connecting => {
                // Nobody knows of it.
                if let Some(id) = self.remove_channel(key).and_then(|channel| channel.id) {
                    self.ids.release(id);
                }
                self.waiting.retain(|waiting| *waiting != key);
                self.events.push_back(Event::Closed { channel: key, error: None });
            }
            State::Open if channel.queue.is_empty() => self.reset(key, None),
            State::Open => channel.state = State::Finishing,
            State::Finishing | State::Closing(_) => {}
        }
    }

    /// Whether messages of this channel may be polled. Those that come meanwhile fill the association's
    /// receive window.
    pub fn set_reading(&mut self, key: ChannelKey, reads: bool) {
        let Some(channel) = self.channels.get_mut(&key) else { return };
        channel.reads = reads;
        let Some(id) = channel.id.filter(|_| reads) else { return };
        if self.streams.get_mut(&id).is_some_and(|stream| std::mem::take(&mut stream.is_unread)) {
            self.list(id);
        }
    }

    /// W3C webrtc-pc §6.1.1: identifiers are known as soon as the DTLS role is.
    pub(super) fn identify_waiting(&mut self) {
        for key in self.waiting.clone() {
            if !self.identify(key) {
                self.give_up(key, SctpError::NoStream);
            }
        }
    }

    fn identify(&mut self, key: ChannelKey) -> bool {
        let Some(channel) = self.channels.get(&key) else { return false };
        if channel.id.is_some() {
            return true;
        }
        let (taken, streams) = (&self.taken, &self.streams);
        let is_used = |id: u16| streams.contains_key(&id) || taken.contains(&id);
        let Some(id) = self.ids.allocate(self.max_channels, is_used) else { return false };
        self.set_id(key, id);
        self.events.push_back(Event::Identified { channel: key, id });
        true
    }

    fn set_id(&mut self, key: ChannelKey, id: u16) {
        if let Some(channel) = self.channels.get_mut(&key) {
            channel.id = Some(id);
            self.taken.insert(id);
        }
    }

    fn give_up(&mut self, key: ChannelKey, error: SctpError) {
        self.waiting.retain(|waiting| *waiting != key);
        if self.remove_channel(key).is_some() {
            self.events.push_back(Event::Closed { channel: key, error: Some(error) });
        }
    }

    /// The association is set up: channels get their streams.
    pub(super) fn connected(&mut self, now: Instant) {
        if !matches!(self.phase, Phase::Setup(_)) {
            return;
        }
        self.phase = Phase::Connected;
        self.events.push_back(Event::Connected { max_channels: self.max_channels });
        self.attach_waiting();
        self.request_resets(now);
    }

    fn attach_waiting(&mut self) {
        for key in std::mem::take(&mut self.waiting) {
            self.attach(key);
        }
    }

    /// Gives a channel its stream, and tells the peer of it unless it was negotiated.
    fn attach(&mut self, key: ChannelKey) {
        let Some(channel) = self.channels.get(&key) else { return };
        let Some(id) = channel.id else { return };
        if id >= self.max_channels {
            return self.give_up(key, SctpError::NoStream);
        }
        let negotiated = channel.parameters.negotiated.is_some();
        let open = if negotiated { None } else { Some(open_message(&channel.parameters)) };
        let Some(core) = &mut self.core else { return };
        match core.association.open_stream(id, Ppid::Binary) {
            Ok(_) => {}
            // The peer was quicker: what it sent waits.
            Err(Error::ErrStreamAlreadyExist)
                if self.streams.get(&id).is_some_and(|s| s.channel.is_none()) => {}
            // Its reset is under way: try again when that is done.
            Err(_) => return self.waiting.push_back(key),
        }
        if let Some(open) = open
            && !open.serialise().is_ok_and(|bytes| self.write_dcep(id, &bytes))
        {
            self.streams.entry(id).or_default();
            self.refuse(id);
            return self
                .give_up(key, SctpError::ChannelRefused("its label is longer than what the peer accepts"));
        }
        let stream = self.streams.entry(id).or_default();
        stream.channel = Some(key);
        let orphan = stream.orphan.take();
        let was_unread = std::mem::take(&mut stream.is_unread);
        if let Some(channel) = self.channels.get_mut(&key) {
            channel.state = State::Open;
        }
        self.events.push_back(Event::Open(key));
        if let Some(message) = orphan {
            self.events.push_back(Event::Message(key, message));
        }
        if was_unread {
            self.list(id);
        }
    }

    /// RFC 8832 §6: in order and reliably. False if the peer takes no message of this size, or the stream
    /// is about to end.
    fn write_dcep(&mut self, id: u16, bytes: &Bytes) -> bool {
        let Some(core) = &mut self.core else { return false };
        let written = core.association.stream(id).and_then(|mut stream| {
            stream.set_reliability_params(false, ReliabilityType::Reliable, 0)?;
            stream.write_sctp(bytes, Ppid::Dcep)
        });
        written.is_ok()
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

    pub(super) fn stream_opened(&mut self, id: u16) {
        let stream = self.streams.entry(id).or_default();
        if stream.is_finished {
            stream.is_reopened = true;
        }
    }

    pub(super) fn stream_readable(&mut self, id: u16) {
        self.list(id);
    }

    /// There is something to read on a stream.
    fn list(&mut self, id: u16) {
        let stream = self.streams.entry(id).or_default();
        // A new channel has to wait until the old one is gone.
        if !stream.is_listed && !stream.is_reopened {
            stream.is_listed = true;
            self.readable.push_back(id);
        }
    }

    /// Reads one message of the next stream that has one. False when there is nothing to read.
    pub(super) fn read_next(&mut self) -> bool {
        let Some(id) = self.readable.pop_front() else { return false };
        let Some(stream) = self.streams.get_mut(&id) else { return true };
        stream.is_listed = false;
        let reads = match stream.channel.and_then(|key| self.channels.get(&key)) {
            Some(channel) => channel.reads,
            None => stream.orphan.is_none(),
        };
        if !reads {
            stream.is_unread = true;
            return true;
        }
        if self.read(id) {
            // Behind the other streams.
            self.list(id);
        }
        true
    }

    /// Reads everything that is there, whoever wants it or not: the association is about to end.
    pub(super) fn read_everything(&mut self) {
        let streams: Vec<u16> =
            self.streams.iter().filter(|(_, s)| s.channel.is_some()).map(|(id, _)| *id).collect();
        for id in streams {
            while self.read(id) {}
        }
    }

    /// Reads one message of a stream, if there is one.
    fn read(&mut self, id: u16) -> bool {
        let Some(core) = &mut self.core else { return false };
        let Ok(Some(chunks)) = core.association.stream(id).and_then(|mut stream| stream.read()) else {
            return false;
        };
        self.inbound.read(chunks.chunks.len());
        let mut data = BytesMut::zeroed(chunks.len());
        self.note_read(data.len());
        if chunks.read(&mut data).is_err() {
            return true;
        }
        let data = data.freeze();
        match chunks.ppi {
            Ppid::Dcep => self.handle_dcep(id, &data),
            Ppid::String => self.handle_message(id, Message { kind: MessageKind::Text, data }),
            Ppid::Binary => self.handle_message(id, Message { kind: MessageKind::Binary, data }),
            // RFC 8831 §6.6: the one byte means nothing.
            Ppid::StringEmpty => self.handle_message(id, Message::text("")),
            Ppid::BinaryEmpty => self.handle_message(id, Message::binary(Bytes::new())),
            // RFC 8831 §8 lists no other that is in use.
            Ppid::Unknown => {}
        }
        true
    }

    fn handle_message(&mut self, id: u16, message: Message) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let Some(key) = stream.channel else {
            stream.orphan = Some(message);
            let orphans = self.streams.values().filter(|stream| stream.orphan.is_some()).count();
            if orphans > MAX_ORPHANS {
                self.refuse(id);
            }
            return;
        };
        // W3C webrtc-pc §6.2: only an open channel has messages.
        if self.channels.get(&key).is_some_and(|c| matches!(c.state, State::Open | State::Finishing)) {
            self.events.push_back(Event::Message(key, message));
        }
    }

    fn handle_dcep(&mut self, id: u16, bytes: &[u8]) {
        let channel = self.streams.get(&id).and_then(|stream| stream.channel);
        match (dcep::Message::parse(bytes), channel) {
            (Ok(dcep::Message::Open(open)), None) => self.accept(id, open),
            (Ok(dcep::Message::Ack), Some(key)) => {
                if let Some(channel) = self.channels.get_mut(&key) {
                    channel.is_acknowledged = true;
                }
            }
            // OPEN on a channel, ACK without one, or neither.
            (Ok(dcep::Message::Open(_)), Some(key)) => {
                self.reset(key, Some(SctpError::ChannelRefused("the peer has opened it twice")));
            }
            (Err(_), Some(key)) => {
                self.reset(key, Some(SctpError::ChannelRefused("the peer's control message is malformed")));
            }
            (Ok(dcep::Message::Ack) | Err(_), None) => self.refuse(id),
        }
    }

    /// The peer opens a channel.
    fn accept(&mut self, id: u16, open: dcep::Open) {
        // RFC 8832 §6: the peer has the other parity. With ours, it may be about to collide.
        let is_ours = self.role.is_some_and(|role| id % 2 == first_id(role));
        let is_refused = is_ours
            || id >= self.max_channels
            || self.incoming_channels >= MAX_INCOMING_CHANNELS
            || self.streams.get(&id).is_none_or(|stream| stream.reset_since.is_some())
            || self.taken.contains(&id);
        if is_refused {
            return self.refuse(id);
        }
        let parameters = ChannelParameters {
            label: open.label,
            protocol: open.protocol,
            ordered: open.ordered,
            reliability: open.reliability,
            priority: Priority::from_weight(open.priority),
            negotiated: None,
        };
        let key = self.new_channel(parameters.clone(), true);
        self.set_id(key, id);
        if let Some(channel) = self.channels.get_mut(&key) {
            channel.state = State::Open;
        }
        self.incoming_channels += 1;
        let stream = self.streams.entry(id).or_default();
        stream.channel = Some(key);
        let orphan = stream.orphan.take();
        if let Ok(ack) = dcep::Message::Ack.serialise() {
            self.write_dcep(id, &ack);
        }
        self.events.push_back(Event::Opened { channel: key, id, parameters });
        if let Some(message) = orphan {
            // Unordered data has overtaken the OPEN.
            self.events.push_back(Event::Message(key, message));
        }
    }

    /// Resets a stream that has no channel.
    fn refuse(&mut self, id: u16) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.orphan = None;
            if stream.reset_since.is_none() && !self.resets.contains(&id) {
                self.resets.push_back(id);
            }
        }
    }

    /// Closes a channel now. What it had not sent is given up.
    fn reset(&mut self, key: ChannelKey, error: Option<SctpError>) {
        let Some(channel) = self.channels.get_mut(&key) else { return };
        if matches!(channel.state, State::Closing(_)) {
            return;
        }
        let has_failed = error.is_some();
        channel.state = State::Closing(error);
        channel.queue.clear();
        self.scheduler.remove(key);
        self.timed.remove(&key);
        if let Some(id) = channel.id {
            self.resets.push_back(id);
        }
        if has_failed {
            self.events.push_back(Event::Closing(key));
        }
    }

    /// Asks the crate for the resets that are due. It sends them when the stream's data has been
    /// acknowledged.
    pub(super) fn request_resets(&mut self, now: Instant) {
        while self.resets_outstanding < MAX_RESETS
            && let Some(core) = &mut self.core
            && let Some(id) = self.resets.pop_front()
        {
            let Some(stream) = self.streams.get_mut(&id) else { continue };
            if stream.is_finished || stream.reset_since.is_some() {
                continue;
            }
            if core.association.stream(id).and_then(|mut stream| stream.close()).is_ok() {
                stream.reset_since = Some(now);
                self.resets_outstanding += 1;
                self.inbound.discarding.insert(id);
            } else {
                // Only an association that is ending refuses.
                self.forget_stream(id, false);
            }
        }
    }

    /// The peer has reset its direction; the crate answers with ours.
    pub(super) fn stream_finished(&mut self, now: Instant, id: u16) {
        self.inbound.forget_stream(id);
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.is_finished = true;
        stream.is_unread = false;
        if stream.reset_since.is_none() {
            stream.reset_since = Some(now);
            self.resets_outstanding += 1;
        }
        let Some(key) = stream.channel else { return };
        let Some(channel) = self.channels.get_mut(&key) else { return };
        if !matches!(channel.state, State::Closing(_)) {
            channel.state = State::Closing(None);
            channel.queue.clear();
            self.scheduler.remove(key);
            self.timed.remove(&key);
            self.events.push_back(Event::Closing(key));
        }
    }

    /// Our direction was reset too, or can't be.
    pub(super) fn stream_reset(&mut self, _: Instant, id: u16, is_reusable: bool) {
        let Some(stream) = self.streams.get(&id) else { return };
        if !stream.is_finished && is_reusable {
            return;
        }
        let is_reopened = stream.is_reopened;
        self.forget_stream(id, is_reusable);
        if is_reopened {
            self.streams.insert(id, Stream::default());
            self.list(id);
        }
        if self.is_connected() {
            self.attach_waiting();
        }
    }

    /// A stream is done with, and so is its channel.
    fn forget_stream(&mut self, id: u16, is_reusable: bool) {
        let Some(stream) = self.streams.remove(&id) else { return };
        self.inbound.forget_stream(id);
        if stream.reset_since.is_some() {
            self.resets_outstanding = self.resets_outstanding.saturating_sub(1);
        }
        if is_reusable {
            self.ids.release(id);
        }
        let Some(key) = stream.channel else { return };
        let Some(channel) = self.remove_channel(key) else { return };
        let error = match channel.state {
            State::Closing(error) => error,
            _ => None,
        };
        self.events.push_back(Event::Closed { channel: key, error });
    }

    /// When a peer that does not reset its half has had enough time.
    pub(super) fn closing_deadline(&self) -> Option<Instant> {
        if self.resets_outstanding == 0 {
            return None;
        }
        self.streams
            .values()
            .filter_map(|stream| stream.reset_since)
            .min()
            .map(|since| since + CLOSE_PATIENCE)
    }

    /// Forgets such streams. Their identifiers are not used again.
    pub(super) fn expire_closing(&mut self, now: Instant) {
        if self.closing_deadline().is_none_or(|due| due > now) {
            return;
        }
        let late = |stream: &Stream| stream.reset_since.is_some_and(|since| since + CLOSE_PATIENCE <= now);
        let late: Vec<u16> =
            self.streams.iter().filter(|(_, stream)| late(stream)).map(|(id, _)| *id).collect();
        for id in late {
            self.forget_stream(id, false);
            // Whatever still comes on it goes nowhere.
            self.inbound.discarding.insert(id);
        }
    }
}

fn open_message(parameters: &ChannelParameters) -> dcep::Message {
    dcep::Message::Open(dcep::Open {
        ordered: parameters.ordered,
        reliability: parameters.reliability,
        priority: parameters.priority.weight(),
        label: parameters.label.clone(),
        protocol: parameters.protocol.clone(),
    })
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
            let left =
                expires.map_or(limit.into(), |expires| expires.saturating_duration_since(now).as_millis());
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
