//! The association: packets and time in; packets, events and a deadline out.
//!
//! ```text
//!   New ──start──▶ Setup ──cookies exchanged──▶ Connected ──shutdown──▶ Draining ──▶ ShuttingDown
//!                    └──────────┬──────────────────┴───────────────────────┴──────────────┘
//!                               ▼ abort, by either side; a violation; the transport's end; done
//!                             Ended
//! ```

use std::{
    collections::{HashMap, HashSet, VecDeque},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Instant,
};

use bytes::Bytes;
use sctp_proto::{AssociationHandle, DatagramEvent, Endpoint, Payload, StreamEvent};

use super::{
    channel::ChannelKey,
    channels::{Channel, Stream},
    config::{
        AssociationConfig, LEAD, MAX_PAYLOAD, MAX_STREAMS, MAX_UNACKNOWLEDGED, SHUTDOWN_PATIENCE,
        STALL_PATIENCE,
    },
    event::{Event, SctpError},
    flight::Flight,
    handshake::Setup,
    inbound::{Checked, Inbound},
    outbound::{self, Outbound, Sign},
    packet::{self, Builder},
    scheduler::Scheduler,
    stream_ids::StreamIds,
    window::Window,
};
use crate::proto::dtls::Role;

/// The crate wants an address; packets travel through DTLS and have none. From RFC 5737.
pub(super) const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 5000);
/// Packets made ahead of being polled: one full segmented send, so that a turn of the owner stays short.
const BATCH: usize = 64;

/// Events that wait for being polled when more messages are read: those of one turn of the owner.
const EVENTS_AHEAD: usize = 1_024;

/// Why a channel can't be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The association is over.
    #[error("the association has ended")]
    Ended,
    /// A channel with this negotiated identifier exists.
    #[error("there is a channel with the id {0} already")]
    IdTaken(u16),
    /// The peer allows fewer streams.
    #[error("the id {id} is not below the {max_channels} that the association allows")]
    IdTooLarge {
        /// What was asked for.
        id: u16,
        /// W3C `maxChannels`.
        max_channels: u16,
    },
    /// All stream identifiers are in use.
    #[error("all stream identifiers are in use")]
    NoStream,
}

/// Why a message was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The channel is not open.
    #[error("the channel is not open")]
    NotOpen,
    /// The peer takes no messages of this size.
    #[error("the message is larger than the peer accepts")]
    TooLarge,
}

/// What an association has counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets handed out.
    pub packets_sent: u64,
    /// Packets handed in.
    pub packets_received: u64,
    /// Of these, packets that were of no use at all.
    pub packets_discarded: u64,
    /// DATA chunks sent again.
    pub retransmissions: u64,
    /// Messages given up by the limits of their channel before they were sent.
    pub messages_expired: u64,
    /// Times that the receive window closed because messages were not read.
    pub reader_stalls: u64,
    /// Associations begun anew within the handshake; never more than one exists.
    pub handshakes: u64,
}

/// The crate's side of the association.
pub(super) struct Core {
    pub(super) endpoint: Endpoint,
    pub(super) handle: AssociationHandle,
    pub(super) association: sctp_proto::Association,
}

pub(super) enum Phase {
    New,
    Setup(Setup),
    Connected,
    /// What was accepted is still sent.
    Draining {
        until: Instant,
    },
    ShuttingDown {
        until: Instant,
    },
    Ended,
}

/// One association with its channels.
pub struct Association {
    pub(super) config: AssociationConfig,
    pub(super) role: Option<Role>,
    pub(super) phase: Phase,
    pub(super) core: Option<Core>,
    pub(super) inbound: Inbound,
    pub(super) outbound: Outbound,
    pub(super) transmits: VecDeque<Bytes>,
    pub(super) events: VecDeque<Event>,
    pub(super) counters: Counters,
    /// Streams that the peer allows us, and we it.
    pub(super) max_channels: u16,

    pub(super) channels: HashMap<ChannelKey, Channel>,
    pub(super) next_key: u64,
    /// Channels without a stream yet, in the order in which they were opened.
    pub(super) waiting: VecDeque<ChannelKey>,
    /// Stream identifiers that belong to a channel, whether they are streams yet or not.
    pub(super) taken: HashSet<u16>,
    pub(super) incoming_channels: usize,
    pub(super) streams: HashMap<u16, Stream>,
    pub(super) ids: StreamIds,
    /// Streams with something to read.
    pub(super) readable: VecDeque<u16>,
    /// Streams to reset, and how many resets are on their way.
    pub(super) resets: VecDeque<u16>,
    pub(super) resets_outstanding: usize,

    pub(super) scheduler: Scheduler,
    /// Channels whose messages expire, and that have some.
    pub(super) timed: HashSet<ChannelKey>,
    /// Channels of which the crate holds messages.
    pub(super) loaded_channels: HashSet<ChannelKey>,
    /// Bytes that the crate holds: unsent, or not acknowledged.
    pub(super) loaded: usize,
    /// Of these, bytes that were never sent.
    pub(super) unsent: usize,
    flight: Flight,
    /// Channels that read again what was kept for them.
    pub(super) delivering: VecDeque<ChannelKey>,
    /// Bytes that were read for channels that do not, with what each message costs.
    pub(super) held: usize,
    /// Something was done since the crate was last asked for packets.
    is_touched: bool,
    /// When the peer acknowledged something last, or owed nothing.
    progressed: Option<Instant>,
    pub(super) is_stalled: bool,
    /// The receive window as the peer knows it.
    pub(super) window: Window,
    /// The latest time that was told.
    now: Option<Instant>,
}

impl Association {
    /// An association that waits for [`Self::start`]. Channels can be opened at once.
    pub fn new(config: AssociationConfig) -> Self {
        Self {
            inbound: Inbound::new(config.max_message_size),
            max_channels: config.streams,
            config,
            role: None,
            phase: Phase::New,
            core: None,
            outbound: Outbound::default(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            counters: Counters::default(),
            channels: HashMap::new(),
            next_key: 0,
            waiting: VecDeque::new(),
            taken: HashSet::new(),
            incoming_channels: 0,
            streams: HashMap::new(),
            ids: StreamIds::new(0),
            readable: VecDeque::new(),
            resets: VecDeque::new(),
            resets_outstanding: 0,
            scheduler: Scheduler::default(),
            timed: HashSet::new(),
            loaded_channels: HashSet::new(),
            loaded: 0,
            unsent: 0,
            flight: Flight::default(),
            delivering: VecDeque::new(),
            held: 0,
            is_touched: false,
            progressed: None,
            is_stalled: false,
            window: Window::default(),
            now: None,
        }
    }

    /// What has been counted so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Whether channels can be open.
    pub fn is_connected(&self) -> bool {
        matches!(self.phase, Phase::Connected)
    }

    /// Whether nothing will happen any more. Packets may be left to poll.
    pub fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended)
    }

    /// The largest message that can be sent, in bytes; `u64::MAX` for any.
    pub fn max_message_size(&self) -> u64 {
        match self.config.remote_max_message_size {
            // RFC 8841 §6: "any size". The crate counts in 32 bits.
            0 => u64::MAX,
            limit => limit.min(u32::MAX.into()),
        }
    }

    /// Takes over what a description says. Ports are fixed once the association is started.
    pub fn configure(&mut self, local_port: u16, remote_port: u16, remote_max_message_size: u64) {
        self.config.remote_max_message_size = remote_max_message_size;
        if matches!(self.phase, Phase::New) {
            self.config.local_port = local_port;
            self.config.remote_port = remote_port;
        }
        self.apply_send_limit();
    }

    pub(super) fn apply_send_limit(&mut self) {
        let limit = u32::try_from(self.max_message_size()).unwrap_or(u32::MAX);
        if let Some(core) = &mut self.core {
            core.association.set_max_send_message_size(limit);
        }
    }

    /// Takes a packet of the peer.
    pub fn handle_packet(&mut self, now: Instant, packet: Bytes) {
        if matches!(self.phase, Phase::New | Phase::Ended) {
            return;
        }
        self.now = Some(now);
        self.is_touched = true;
        self.counters.packets_received += 1;
        let checked = self.inbound.check(packet);
        let acknowledged = checked.acknowledged;
        if checked.is_abort {
            // What was received completely is delivered, although its reader was slow.
            self.read_everything();
            return self.end(Some(SctpError::AbortedByPeer));
        }
        if let Some((cause, information, error)) = &checked.violation {
            return self.fail(*cause, information, error.clone());
        }
        if checked.is_stale_cookie {
            return self.cookie_was_stale(now);
        }
        if let Some(answer) = checked.answer.clone() {
            self.transmits.push_back(answer);
        }
        if checked.is_shutdown {
            self.read_everything();
        }
        let Some(packet) = self.admit(now, checked) else {
            self.counters.packets_discarded += 1;
            return;
        };
        let Some(core) = &mut self.core else {
            // A header without chunks, before there is an association.
            self.counters.packets_discarded += 1;
            return;
        };
        match core.endpoint.handle(now, PEER, None, None, packet) {
            Some((handle, DatagramEvent::AssociationEvent(event))) if handle == core.handle => {
                core.association.handle_event(event);
            }
            // `admit` lets no INIT through that would make a second association.
            _ => self.counters.packets_discarded += 1,
        }
        if let Some(tsn) = acknowledged {
            self.flight.acknowledged(tsn);
        }
        self.take_crate_events(now);
        // At once, as long as somebody takes the events: the crate walks over what waits in it.
        while self.events.len() < EVENTS_AHEAD && self.read_next() {
            self.take_crate_events(now);
        }
    }

    /// Acts on what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = Some(now);
        self.is_touched = true;
        self.handle_setup_timeout(now);
        if let Some(core) = &mut self.core
            && core.association.poll_timeout().is_some_and(|due| due <= now)
        {
            core.association.handle_timeout(now);
            self.take_crate_events(now);
        }
        match self.phase {
            Phase::Draining { until } if until <= now => self.abort(),
            Phase::ShuttingDown { until } if until <= now => self.abort(),
            _ => {}
        }
        if self.stall_deadline().is_some_and(|due| due <= now) {
            self.refresh(now);
            if self.stall_deadline().is_some_and(|due| due <= now) {
                return self.fail(packet::USER_INITIATED, b"no progress", SctpError::Stalled);
            }
        }
        self.expire_closing(now);
        self.expire_messages(now);
    }

    /// When [`Self::handle_timeout`] must be called next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.has_ended() {
            return None;
        }
        let phase = match &self.phase {
            Phase::Setup(setup) => setup.deadline(),
            Phase::Draining { until } | Phase::ShuttingDown { until } => Some(*until),
            _ => None,
        };
        let crates = self.core.as_ref().and_then(|core| core.association.poll_timeout());
        [phase, crates, self.stall_deadline(), self.closing_deadline(), self.expiry()]
            .into_iter()
            .flatten()
            .min()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        while self.events.is_empty() && (self.deliver_next() || self.read_next()) {
            // The last message of a stream that the peer has reset is followed by its end.
            if let Some(now) = self.now {
                self.take_crate_events(now);
            }
        }
        self.events.pop_front()
    }

    /// The next packet to send.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Bytes> {
        self.now = Some(now);
        if self.transmits.is_empty() {
            if std::mem::take(&mut self.is_touched) {
                self.make_packets(now);
            }
            self.update_window();
        }
        let packet = self.transmits.pop_front()?;
        self.counters.packets_sent += 1;
        Some(packet)
    }

    /// There may be packets to make: everything that changes anything says so.
    pub(super) fn touch(&mut self) {
        self.is_touched = true;
    }

    /// Ends the association when everything that was accepted has been acknowledged (RFC 9260 §9.2).
    pub fn shutdown(&mut self, now: Instant) {
        self.touch();
        if matches!(self.phase, Phase::Connected) {
            self.phase = Phase::Draining { until: now + SHUTDOWN_PATIENCE };
        } else if !matches!(self.phase, Phase::Draining { .. } | Phase::ShuttingDown { .. }) {
            self.abort();
        }
    }

    /// Ends the association at once (RFC 9260 §9.1). Nothing is reported as an error.
    pub fn abort(&mut self) {
        if !self.has_ended() {
            self.send_abort(packet::USER_INITIATED, b"closed");
            self.end(None);
        }
    }

    /// The transport below is gone.
    pub fn transport_lost(&mut self) {
        // What was received completely is delivered, although its reader was slow.
        self.read_everything();
        self.end(Some(SctpError::TransportLost));
        self.transmits.clear();
    }

    /// Ends the association because of the peer, and says so to it.
    pub(super) fn fail(&mut self, cause: u16, information: &[u8], error: SctpError) {
        self.send_abort(cause, information);
        self.end(Some(error));
    }

    fn send_abort(&mut self, cause: u16, information: &[u8]) {
        self.transmits.clear();
        if self.inbound.outward.verification_tag != 0 {
            let mut abort = Builder::new(self.inbound.outward);
            abort.error(packet::ABORT, cause, information);
            self.transmits.push_back(abort.finish());
        }
    }

    pub(super) fn end(&mut self, error: Option<SctpError>) {
        if self.has_ended() {
            return;
        }
        self.phase = Phase::Ended;
        self.core = None;
        self.scheduler.clear();
        self.timed.clear();
        self.loaded_channels.clear();
        self.waiting.clear();
        self.taken.clear();
        self.readable.clear();
        self.resets.clear();
        self.streams.clear();
        self.delivering.clear();
        self.held = 0;
        let mut channels: Vec<_> = std::mem::take(&mut self.channels).into_keys().collect();
        channels.sort_unstable();
        self.events
            .extend(channels.into_iter().map(|channel| Event::Closed { channel, error: error.clone() }));
        self.events.push_back(Event::Ended { error });
    }

    /// Translates what the crate tells. To be called after anything that was done with it: the checks
    /// of the next packet depend on it.
    pub(super) fn take_crate_events(&mut self, now: Instant) {
        while let Some(core) = &mut self.core {
            let Some(event) = core.association.poll() else { return };
            match event {
                sctp_proto::Event::Connected => self.connected(now),
                sctp_proto::Event::HandshakeFailed { .. } => {}
                sctp_proto::Event::AssociationLost { reason } => {
                    return self.lost(&reason);
                }
                sctp_proto::Event::Stream(event) => self.handle_stream_event(now, event),
                sctp_proto::Event::DataChannelStatsFinal(_) | sctp_proto::Event::DatagramReceived => {}
                _ => {}
            }
        }
    }

    fn lost(&mut self, reason: &sctp_proto::AssociationError) {
        match (&self.phase, reason) {
            // SHUTDOWN COMPLETE, whoever began.
            (_, sctp_proto::AssociationError::AssociationClosed) if self.was_shut_down() => self.end(None),
            (_, sctp_proto::AssociationError::ReceiveBufferExhausted) => {
                self.fail(packet::OUT_OF_RESOURCE, b"", SctpError::OutOfResource);
            }
            _ => {
                let error = SctpError::ProtocolViolation("a chunk can't be processed");
                self.fail(packet::PROTOCOL_VIOLATION, b"", error);
            }
        }
    }

    fn was_shut_down(&self) -> bool {
        matches!(self.phase, Phase::ShuttingDown { .. })
    }

    fn handle_stream_event(&mut self, now: Instant, event: StreamEvent) {
        self.touch();
        match event {
            StreamEvent::Opened { id } => {
                // Its own list of the same, which would grow.
                if let Some(core) = &mut self.core {
                    while core.association.accept_stream().is_some() {}
                }
                self.stream_opened(id);
                if self.streams.len() > MAX_STREAMS {
                    self.fail(packet::OUT_OF_RESOURCE, b"streams", SctpError::OutOfResource);
                }
            }
            StreamEvent::Readable { id } => self.stream_readable(id),
            StreamEvent::Finished { id } => self.stream_finished(now, id),
            StreamEvent::ResetComplete { id } => self.stream_reset(now, id, true),
            StreamEvent::ResetFailed { id, .. } => self.stream_reset(now, id, false),
            _ => {}
        }
    }

    /// Makes packets until there is a batch of them, or neither the crate nor the channels have more.
    fn make_packets(&mut self, now: Instant) {
        self.refresh(now);
        self.expire_messages(now);
        self.request_resets(now);
        // The crate hands out all that it may send at once: it is asked again only for what was loaded
        // since. Each time it walks over everything that is in flight.
        let mut is_first = true;
        while self.load(now) || std::mem::take(&mut is_first) {
            is_first = false;
            let Some(core) = &mut self.core else { return };
            let Some(transmit) = core.association.poll_transmit(now) else { break };
            let Payload::RawEncode(packets) = transmit.payload else { break };
            for packet in packets {
                self.read_signs(now, &packet);
                let packet = outbound::announce_forward_tsn(self.less_window(packet));
                outbound::fit(packet, |packet| self.transmits.push_back(packet));
            }
            if self.has_ended() {
                return;
            }
            if self.transmits.len() >= BATCH {
                self.touch();
                break;
            }
        }
        self.take_crate_events(now);
        self.continue_shutdown(now);
    }

    /// Gives the crate messages while less than its lead waits in it, and the path may hold more. Says
    /// whether there were some.
    fn load(&mut self, now: Instant) -> bool {
        let mut has_loaded = false;
        if !matches!(self.phase, Phase::Connected | Phase::Draining { .. }) {
            return has_loaded;
        }
        let bytes = self.flight.bytes_allowed(MAX_UNACKNOWLEDGED);
        let mut chunks = self.flight.chunks_allowed();
        while self.unsent < LEAD && self.loaded < bytes && chunks > 0 {
            let channels = &self.channels;
            let priority =
                |key| channels.get(&key).map_or_else(Default::default, |channel| channel.parameters.priority);
            let Some(key) = self.scheduler.next(priority) else { return has_loaded };
            let before = self.loaded;
            self.load_message(now, key);
            let chunks_of_it = (self.loaded - before).div_ceil(MAX_PAYLOAD as usize).max(1);
            chunks = chunks.saturating_sub(chunks_of_it);
            has_loaded = true;
        }
        has_loaded
    }

    fn read_signs(&mut self, now: Instant, packet: &[u8]) {
        let mut signs = std::mem::take(&mut self.outbound);
        signs.read(packet, |sign| match sign {
            Sign::LocalTag(tag) => self.inbound.local_tag = tag,
            Sign::New(data) => {
                self.flight.sent(now, data.tsn);
                self.data_sent(data);
            }
            Sign::Again => self.counters.retransmissions += 1,
            Sign::Window(window) => self.window_told(window, packet),
            Sign::ShutdownComplete => self.end(None),
        });
        self.outbound = signs;
    }

    /// Asks the crate how much it still holds of each channel.
    fn refresh(&mut self, now: Instant) {
        let Some(core) = &mut self.core else { return };
        let before = self.loaded;
        let mut freed = Vec::new();
        for key in &self.loaded_channels {
            let Some(channel) = self.channels.get_mut(key) else {
                freed.push((*key, 0));
                continue;
            };
            let held = channel
                .id
                .and_then(|id| core.association.stream(id).ok()?.buffered_amount().ok())
                .unwrap_or_default();
            self.loaded = self.loaded.saturating_sub(channel.loaded.saturating_sub(held));
            channel.loaded = held;
            // Given up by the crate without having been sent.
            let given_up = channel.unsent.saturating_sub(held);
            if held == 0 || given_up > 0 {
                freed.push((*key, given_up));
            }
        }
        let mut unsent = 0;
        for (key, given_up) in freed {
            unsent += given_up;
            self.gave_up(key, given_up);
        }
        self.flight.delivered(now, before.saturating_sub(self.loaded + unsent));
        if self.loaded < before || self.loaded == 0 || self.progressed.is_none() {
            self.progressed = Some(now);
            if let Phase::Draining { until } = &mut self.phase {
                *until = now + SHUTDOWN_PATIENCE;
            }
        }
    }

    fn stall_deadline(&self) -> Option<Instant> {
        if self.loaded == 0 {
            return None;
        }
        self.progressed.map(|progressed| progressed + STALL_PATIENCE)
    }

    fn continue_shutdown(&mut self, now: Instant) {
        if let Phase::Draining { .. } = self.phase
            && self.scheduler.is_empty()
            && self.loaded == 0
            && let Some(core) = &mut self.core
            && core.association.shutdown().is_ok()
        {
            self.phase = Phase::ShuttingDown { until: now + SHUTDOWN_PATIENCE };
            self.make_packets(now);
        }
    }

    /// What the checks and the handshake make of a packet; `None` if the crate must not see it.
    fn admit(&mut self, now: Instant, checked: Checked) -> Option<Bytes> {
        if let Some(init) = checked.init {
            return self.admit_init(now, init, checked.packet?);
        }
        if checked.is_cookie && self.refuses_cookie(now) {
            return None;
        }
        if let Some(init_ack) = checked.init_ack {
            self.learn_peer(init_ack);
        }
        if checked.is_shutdown && matches!(self.phase, Phase::Connected | Phase::Draining { .. }) {
            // Not an error: nothing will be sent any more.
            self.phase = Phase::ShuttingDown { until: now + SHUTDOWN_PATIENCE };
        }
        checked.packet
    }
}

impl std::fmt::Debug for Association {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Association")
            .field("role", &self.role)
            .field("channels", &self.channels.len())
            .finish_non_exhaustive()
    }
}
