//! The end of channels (RFC 8831 §6.7, RFC 6525): both directions of the stream are reset, and only then
//! is its identifier free.
//!
//! The crate waits with a reset until the peer has acknowledged the stream's data, and answers a reset of
//! the peer with ours.

use std::time::Instant;

use super::{
    association::Association,
    channel::ChannelKey,
    channels::{State, Stream},
    config::{CLOSE_PATIENCE, MAX_RESETS},
    event::{Event, SctpError},
};

impl Association {
    /// Closes a channel: what was accepted is sent before (RFC 8831 §6.7).
    pub fn close(&mut self, key: ChannelKey) {
        self.touch();
        // W3C webrtc-pc §6.2: an application that has closed its channel hears no more messages.
        self.drop_held(key);
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

    /// Resets a stream that has no channel.
    pub(super) fn refuse(&mut self, id: u16) {
        self.touch();
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.orphan = None;
            if stream.reset_since.is_none() && !self.resets.contains(&id) {
                self.resets.push_back(id);
            }
        }
    }

    /// Closes a channel now. What it had not sent is given up.
    pub(super) fn reset(&mut self, key: ChannelKey, error: Option<SctpError>) {
        if self.channels.get(&key).is_none_or(|channel| matches!(channel.state, State::Closing(_))) {
            return;
        }
        self.touch();
        let has_failed = error.is_some();
        if has_failed {
            self.deliver_held(key);
        }
        let Some(channel) = self.channels.get_mut(&key) else { return };
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
        // It came before the end, and is told before it.
        self.deliver_held(key);
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
        if !is_reusable {
            // The peer has refused: whatever still comes on it goes nowhere.
            self.inbound.discarding.insert(id);
        }
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
