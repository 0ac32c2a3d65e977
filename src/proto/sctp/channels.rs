//! The channels of an association: opening them, and reading what comes.
//!
//! A channel has at most one stream, and a stream at most one channel. A stream without a channel
//! belongs to one that is not open yet (negotiated, and the peer was quicker), or was refused.

use std::{collections::VecDeque, time::Instant};

use bytes::{Bytes, BytesMut};
use sctp_proto::{Error, PayloadProtocolIdentifier as Ppid, ReliabilityType};

use super::{
    association::{Association, OpenError, Phase},
    channel::{ChannelKey, ChannelParameters, Message, MessageKind, Priority},
    config::{MAX_INCOMING_CHANNELS, MAX_ORPHANS, MESSAGE_OVERHEAD, first_id},
    event::{Event, SctpError},
};
use crate::proto::dcep;

/// One channel.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) parameters: ChannelParameters,
    pub(super) id: Option<u16>,
    pub(super) state: State,
    /// The peer has opened it.
    is_incoming: bool,
    /// RFC 8832 §6: until the peer has agreed, everything is sent in order.
    pub(super) is_acknowledged: bool,
    pub(super) queue: VecDeque<Queued>,
    /// Bytes of this channel in the crate: unsent, or not acknowledged.
    pub(super) loaded: usize,
    /// Of these, bytes that were never sent.
    pub(super) unsent: usize,
    reads: bool,
    /// Came while it did not read.
    pub(super) unread: VecDeque<Message>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// It has no stream.
    Connecting,
    Open,
    /// We close it as soon as its queue is empty.
    Finishing,
    /// A direction was reset, or is about to be; what to tell in the end.
    Closing(Option<SctpError>),
}

#[derive(Debug)]
pub(super) struct Queued {
    pub(super) message: Message,
    /// RFC 3758 §4.1: not to be sent after this.
    pub(super) expires: Option<Instant>,
}

/// One stream, as far as it concerns its channel.
#[derive(Debug, Default)]
pub(super) struct Stream {
    pub(super) channel: Option<ChannelKey>,
    /// It is among those to read.
    pub(super) is_listed: bool,
    /// It has messages that its channel does not want to read.
    pub(super) is_unread: bool,
    /// Came before there was a channel.
    pub(super) orphan: Option<Message>,
    /// We have asked for a reset of our direction, and when.
    pub(super) reset_since: Option<Instant>,
    /// The peer has reset its direction.
    pub(super) is_finished: bool,
    /// The peer uses the stream again, although we don't know yet that it knows of our reset.
    pub(super) is_reopened: bool,
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
        self.touch();
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
            unread: VecDeque::new(),
        };
        self.channels.insert(key, channel);
        key
    }

    pub(super) fn remove_channel(&mut self, key: ChannelKey) -> Option<Channel> {
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
        self.held -= channel.unread.iter().map(weight).sum::<usize>();
        Some(channel)
    }

    /// Whether messages of this channel may be polled. Those that come meanwhile fill the association's
    /// receive window.
    pub fn set_reading(&mut self, key: ChannelKey, reads: bool) {
        self.touch();
        let Some(channel) = self.channels.get_mut(&key) else { return };
        channel.reads = reads;
        if reads && !channel.unread.is_empty() && !self.delivering.contains(&key) {
            self.delivering.push_back(key);
        }
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

    pub(super) fn attach_waiting(&mut self) {
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
        self.touch();
        let Some(core) = &mut self.core else { return false };
        let written = core.association.stream(id).and_then(|mut stream| {
            stream.set_reliability_params(false, ReliabilityType::Reliable, 0)?;
            stream.write_sctp(bytes, Ppid::Dcep)
        });
        written.is_ok()
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
    pub(super) fn list(&mut self, id: u16) {
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
        // Ahead of a reader that is slow: the crate walks over what it holds at each packet.
        let may_hold = self.held < self.config.receive_window as usize;
        let reads = match stream.channel.and_then(|key| self.channels.get(&key)) {
            Some(channel) => channel.reads && channel.unread.is_empty() || may_hold,
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

    /// Tells one message that was kept for a channel which reads again. False when there is none.
    pub(super) fn deliver_next(&mut self) -> bool {
        let Some(key) = self.delivering.pop_front() else { return false };
        let Some(channel) = self.channels.get_mut(&key).filter(|channel| channel.reads) else { return true };
        if let Some(message) = channel.unread.pop_front() {
            let is_empty = channel.unread.is_empty();
            let unread_stream = channel.id.filter(|_| is_empty);
            let weight = weight(&message);
            self.held -= weight;
            self.note_read(weight);
            self.events.push_back(Event::Message(key, message));
            if !is_empty {
                // Behind the other channels.
                self.delivering.push_back(key);
            }
            self.list_unread(unread_stream);
        }
        true
    }

    /// What did not fit any more can be read now.
    fn list_unread(&mut self, id: Option<u16>) {
        let Some(id) = id else { return };
        if self.streams.get_mut(&id).is_some_and(|stream| std::mem::take(&mut stream.is_unread)) {
            self.list(id);
        }
    }

    /// Tells everything that was kept for a channel: it is about to end.
    pub(super) fn deliver_held(&mut self, key: ChannelKey) {
        let Some(channel) = self.channels.get_mut(&key) else { return };
        for message in std::mem::take(&mut channel.unread) {
            self.held -= weight(&message);
            self.events.push_back(Event::Message(key, message));
        }
    }

    /// Forgets it: the application has closed the channel.
    pub(super) fn drop_held(&mut self, key: ChannelKey) {
        let Some(channel) = self.channels.get_mut(&key) else { return };
        let weight: usize = std::mem::take(&mut channel.unread).iter().map(weight).sum();
        self.held -= weight;
        self.note_read(weight);
    }

    /// Reads everything that is there, whoever wants it or not: the association is about to end.
    pub(super) fn read_everything(&mut self) {
        let streams: Vec<u16> =
            self.streams.iter().filter(|(_, s)| s.channel.is_some()).map(|(id, _)| *id).collect();
        for id in streams {
            while self.read(id) {}
        }
        for key in self.channels.keys().copied().collect::<Vec<_>>() {
            self.deliver_held(key);
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
        if chunks.read(&mut data).is_err() {
            return true;
        }
        let data = data.freeze();
        let (length, held) = (data.len(), self.held);
        self.handle_user_data(id, chunks.ppi, data);
        if self.held == held {
            self.note_read(length);
        }
        true
    }

    fn handle_user_data(&mut self, id: u16, ppi: Ppid, data: Bytes) {
        match ppi {
            Ppid::Dcep => self.handle_dcep(id, &data),
            Ppid::String => self.handle_message(id, Message { kind: MessageKind::Text, data }),
            Ppid::Binary => self.handle_message(id, Message { kind: MessageKind::Binary, data }),
            // RFC 8831 §6.6: the one byte means nothing.
            Ppid::StringEmpty => self.handle_message(id, Message::text("")),
            Ppid::BinaryEmpty => self.handle_message(id, Message::binary(Bytes::new())),
            // RFC 8831 §8 lists no other that is in use.
            Ppid::Unknown => {}
        }
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
        let Some(channel) = self.channels.get_mut(&key) else { return };
        if !matches!(channel.state, State::Open | State::Finishing) {
            return;
        }
        if channel.reads && channel.unread.is_empty() {
            self.events.push_back(Event::Message(key, message));
        } else {
            self.held += weight(&message);
            channel.unread.push_back(message);
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
}

/// What a message that is kept costs: also empty ones something.
fn weight(message: &Message) -> usize {
    message.data.len() + MESSAGE_OVERHEAD
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
