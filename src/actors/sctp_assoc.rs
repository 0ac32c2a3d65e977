//! `SctpAssoc`: the association that carries a peer's data channels, and the parent of their actors.
//!
//! One per DTLS session, and it never restarts: what the peer has acknowledged can't be asked for
//! again. After a panic its channels close with an error; media is not affected. It may be made before
//! there is a transport: channels can be opened at once, and connect when [`StartSctp`] comes.

use std::{
    collections::HashMap,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context as TaskContext, Waker},
    time::Instant,
};

use actix::prelude::*;
use bytes::Bytes;

use crate::{
    actors::{
        data_channel::{DATA_CHANNEL_POLICY, DataChannel, Incoming, Link, Ready},
        kit::{
            self, ActorKind, DownReason, Driven, Gauge, LaneReceiver, Metered, MeteredContext, Policy,
            TrackedGauge,
        },
    },
    messages::{
        data_channel::{self, Outgoing},
        error::RtcError,
        sctp::{
            CloseSctp, CollectSctpStatistics, ConfigureSctp, OpenDataChannel, RtcSctpTransportState,
            SctpEvent, SctpSink, SctpStatistics, SharedSctpSnapshot, StartSctp,
        },
    },
    proto::sctp::{
        Association, AssociationConfig, ChannelKey, ChannelParameters, DEFAULT_REMOTE_MAX_MESSAGE_SIZE,
        Event, OpenError,
    },
};

/// What was sent and acknowledged can't be known again.
pub const SCTP_ASSOC_POLICY: Policy = Policy::never();

/// Packets sent per turn: one full segmented send. Then DTLS has its turn, and everyone else.
const PACKETS_PER_TURN: usize = 64;
/// Events handled per turn; each message is one.
const EVENTS_PER_TURN: usize = 256;

/// What the actor needs from its surroundings.
pub struct SctpEnvironment {
    /// The largest message accepted, in bytes: our `a=max-message-size`.
    pub max_message_size: u32,
    /// Where the state is published.
    pub snapshot: SharedSctpSnapshot,
    /// Hears what happens. Called on the actor's thread.
    pub report: Rc<dyn Fn(SctpEvent)>,
    /// Packets that `DtlsActor` has decrypted.
    pub packets: LaneReceiver<Bytes>,
}

/// One peer's association.
pub struct SctpAssoc {
    environment: SctpEnvironment,
    association: Association,
    /// Present once started.
    outbound: Option<Arc<dyn SctpSink>>,
    channels: HashMap<ChannelKey, Channel>,
    ready: Rc<Ready>,
    max_message_size: Arc<AtomicU64>,
    opened: u64,
    closed: u64,
    inbox: Vec<Bytes>,
    outbox: Vec<Bytes>,
    /// There is more to do than one turn takes.
    busy: bool,
    /// As often as it was counted.
    reader_stalls: u64,
}

struct Channel {
    link: Rc<Link>,
    /// The actor lives as long as this.
    #[cfg_attr(not(feature = "fault-injection"), expect(dead_code, reason = "held, not used"))]
    actor: Addr<DataChannel>,
    was_open: bool,
    _gauge: TrackedGauge,
}

impl SctpAssoc {
    /// An association that waits for [`StartSctp`].
    pub fn new(environment: SctpEnvironment) -> Self {
        let config = AssociationConfig {
            max_message_size: environment.max_message_size,
            ..AssociationConfig::default()
        };
        environment.snapshot.lock().max_message_size = DEFAULT_REMOTE_MAX_MESSAGE_SIZE;
        Self {
            environment,
            association: Association::new(config),
            outbound: None,
            channels: HashMap::new(),
            ready: Rc::default(),
            max_message_size: Arc::new(AtomicU64::new(DEFAULT_REMOTE_MAX_MESSAGE_SIZE)),
            opened: 0,
            closed: 0,
            inbox: Vec::new(),
            outbox: Vec::new(),
            busy: false,
            reader_stalls: 0,
        }
    }

    fn report(&self, event: SctpEvent) {
        (self.environment.report)(event);
    }

    fn set_state(&self, state: RtcSctpTransportState) {
        let is_news = std::mem::replace(&mut self.environment.snapshot.lock().state, state) != state;
        if is_news {
            self.report(SctpEvent::StateChanged(state));
        }
    }

    /// Starts the actor of a channel.
    fn add_channel(&mut self, key: ChannelKey, parameters: ChannelParameters) -> data_channel::DataChannel {
        let (handle, end) = data_channel::channel(parameters, Arc::clone(&self.max_message_size));
        let link = Rc::new(Link::new(key, end, Rc::clone(&self.ready)));
        let actor = DataChannel::new(Rc::clone(&link));
        let orphan = Rc::clone(&link);
        let down = move |reason| {
            if !matches!(reason, DownReason::Stopped) {
                orphan.abandon();
            }
        };
        let actor = kit::start(DATA_CHANNEL_POLICY, down, |_| actor);
        let gauge = kit::statistics().track(Gauge::DataChannels);
        self.channels.insert(key, Channel { link, actor, was_open: false, _gauge: gauge });
        handle
    }

    /// Hands on what the channels want.
    fn take_wishes(&mut self, cx: &TaskContext<'_>, now: Instant) {
        for key in self.ready.take(cx) {
            let Some(channel) = self.channels.get(&key) else { continue };
            while let Some(outgoing) = channel.link.take_outgoing() {
                match outgoing {
                    Outgoing::Message(message) => {
                        let (bytes, room) = (message.data.len(), message.data.len().max(1));
                        if self.association.send(now, key, message).is_err() {
                            // The peer was quicker in closing the channel.
                            channel.link.sent(bytes, room);
                        }
                    }
                    Outgoing::Close => self.association.close(key),
                }
            }
            if channel.link.reads_again() {
                self.association.set_reading(key, true);
            }
        }
    }

    fn take_events(&mut self) {
        for _ in 0..EVENTS_PER_TURN {
            let Some(event) = self.association.poll_event() else { return };
            self.handle_event(event);
        }
        self.busy = true;
    }

    fn handle_event(&mut self, event: Event) {
        match event {
            Event::Connected { max_channels } => {
                self.environment.snapshot.lock().max_channels = Some(max_channels);
                self.set_state(RtcSctpTransportState::Connected);
            }
            Event::Opened { channel, id, parameters } => {
                let handle = self.add_channel(channel, parameters);
                self.opened += 1;
                if let Some(channel) = self.channels.get_mut(&channel) {
                    channel.was_open = true;
                    // At once, so that the application gets a channel that is open.
                    channel.link.end().identify(id);
                    channel.link.end().open();
                }
                self.report(SctpEvent::DataChannel(handle));
            }
            Event::Identified { channel, id } => self.tell(channel, Incoming::Identified(id)),
            Event::Open(channel) => {
                self.opened += 1;
                if let Some(channel) = self.channels.get_mut(&channel) {
                    channel.was_open = true;
                }
                self.tell(channel, Incoming::Open);
            }
            Event::Message(channel, message) => self.tell(channel, Incoming::Message(message)),
            Event::Sent { channel, bytes, room } => {
                if let Some(channel) = self.channels.get(&channel) {
                    channel.link.sent(bytes, room);
                }
            }
            Event::Closing(channel) => self.tell(channel, Incoming::Closing),
            Event::Closed { channel, error } => self.remove(channel, Incoming::Closed(error)),
            Event::Ended { error } => {
                if let Some(error) = error {
                    self.report(SctpEvent::Failed(error.to_string()));
                }
                self.set_state(RtcSctpTransportState::Closed);
            }
        }
    }

    fn tell(&mut self, key: ChannelKey, incoming: Incoming) {
        let Some(channel) = self.channels.get(&key) else { return };
        if !channel.link.tell(incoming) {
            self.association.set_reading(key, false);
        }
    }

    fn remove(&mut self, key: ChannelKey, last: Incoming) {
        if let Some(channel) = self.channels.remove(&key) {
            self.closed += u64::from(channel.was_open);
            channel.link.tell(last);
            // Its address goes here; it ends when it has handed on what it was told.
        }
    }

    /// Packets of the peer, one turn's worth. True if there are more.
    fn take_packets(&mut self, cx: &mut TaskContext<'_>, now: Instant) -> bool {
        let more = self.environment.packets.poll_take(cx, now, kit::INPUT_BUDGET, &mut self.inbox);
        if !self.inbox.is_empty() {
            kit::statistics().lot_in(self.inbox.len() as u64);
        }
        for packet in self.inbox.drain(..) {
            self.association.handle_packet(now, packet);
        }
        more
    }

    fn count_stalls(&mut self) {
        let stalls = self.association.counters().reader_stalls;
        if stalls > self.reader_stalls {
            kit::statistics().reader_stalled(stalls - self.reader_stalls);
            self.reader_stalls = stalls;
        }
    }

    /// One lot of packets to DTLS.
    fn send_packets(&mut self, now: Instant) {
        let Some(outbound) = &self.outbound else { return };
        while self.outbox.len() < PACKETS_PER_TURN {
            let Some(packet) = self.association.poll_transmit(now) else { break };
            self.outbox.push(packet);
        }
        if self.outbox.is_empty() {
            return;
        }
        self.busy |= self.outbox.len() == PACKETS_PER_TURN;
        kit::statistics().lot_out(self.outbox.len() as u64);
        outbound.push_all(now, &mut self.outbox.drain(..));
    }
}

impl Metered for SctpAssoc {
    const KIND: ActorKind = ActorKind::SctpAssoc;
}

impl Actor for SctpAssoc {
    type Context = MeteredContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        kit::drive::<Self>(ctx);
    }
}

impl Supervised for SctpAssoc {}

impl Driven for SctpAssoc {
    fn take_input(&mut self, cx: &mut TaskContext<'_>, now: Instant, _: &mut Self::Context) -> bool {
        self.take_wishes(cx, now);
        // What comes before the start waits in the lane: the peer's INIT may be ahead of our side.
        if self.outbound.is_none() {
            return false;
        }
        self.take_packets(cx, now)
    }

    fn flush(&mut self, now: Instant, _: &mut Self::Context) {
        self.busy = false;
        self.take_events();
        self.send_packets(now);
        // Sending frees room, which is an event.
        self.take_events();
        self.count_stalls();
    }

    fn deadline(&self) -> Option<Instant> {
        if self.busy {
            // Another turn, after everyone else has had one.
            return Some(kit::now());
        }
        self.association.poll_timeout()
    }

    fn handle_deadline(&mut self, now: Instant, _: &mut Self::Context) {
        self.busy = false;
        self.association.handle_timeout(now);
    }
}

impl Handler<ConfigureSctp> for SctpAssoc {
    type Result = ();

    fn handle(&mut self, message: ConfigureSctp, _: &mut Self::Context) {
        let limit = message.remote_max_message_size.unwrap_or(DEFAULT_REMOTE_MAX_MESSAGE_SIZE);
        self.association.configure(message.local_port, message.remote_port, limit);
        let limit = self.association.max_message_size();
        self.max_message_size.store(limit, Relaxed);
        self.environment.snapshot.lock().max_message_size = limit;
    }
}

impl Handler<StartSctp> for SctpAssoc {
    type Result = ();

    fn handle(&mut self, message: StartSctp, _: &mut Self::Context) {
        if self.outbound.is_none() {
            self.outbound = Some(message.outbound);
            self.association.start(kit::now(), message.role);
        }
    }
}

impl Handler<OpenDataChannel> for SctpAssoc {
    type Result = Result<data_channel::DataChannel, RtcError>;

    fn handle(&mut self, message: OpenDataChannel, _: &mut Self::Context) -> Self::Result {
        let parameters = message.init.to_parameters(&message.label)?;
        let key = self.association.open(parameters.clone()).map_err(|error| match error {
            OpenError::Ended => RtcError::InvalidStateError(error.to_string()),
            OpenError::IdTaken(_) | OpenError::IdTooLarge { .. } | OpenError::NoStream => {
                RtcError::OperationError(error.to_string())
            }
        })?;
        Ok(self.add_channel(key, parameters))
    }
}

impl Handler<CloseSctp> for SctpAssoc {
    type Result = ();

    fn handle(&mut self, message: CloseSctp, ctx: &mut Self::Context) {
        let now = kit::now();
        // What the peer said last may still be in the lane: its close_notify has overtaken it.
        let mut cx = TaskContext::from_waker(Waker::noop());
        while self.outbound.is_some() && self.take_packets(&mut cx, now) {}
        self.busy = true;
        while std::mem::take(&mut self.busy) {
            self.take_events();
        }
        match message {
            CloseSctp::Abort => {
                // W3C webrtc-pc §4.4.1 close: channels are closed without their closing procedure.
                for channel in std::mem::take(&mut self.channels).into_values() {
                    channel.link.tell(Incoming::ClosedSilently);
                }
                self.association.abort();
            }
            CloseSctp::TransportLost => self.association.transport_lost(),
        }
        self.flush(now, ctx);
        while self.busy {
            self.flush(now, ctx);
        }
        self.set_state(RtcSctpTransportState::Closed);
        self.environment.packets.close();
        ctx.stop();
    }
}

impl Handler<CollectSctpStatistics> for SctpAssoc {
    type Result = SctpStatistics;

    fn handle(&mut self, _: CollectSctpStatistics, _: &mut Self::Context) -> Self::Result {
        let counters = self.association.counters();
        SctpStatistics {
            channels: self
                .channels
                .iter()
                .map(|(key, channel)| (*key, channel.link.end().statistics()))
                .collect(),
            channels_opened: self.opened,
            channels_closed: self.closed,
            packets_sent: counters.packets_sent,
            packets_received: counters.packets_received,
            retransmissions: counters.retransmissions,
            reader_stalls: counters.reader_stalls,
        }
    }
}

#[cfg(feature = "fault-injection")]
crate::actors::fault_injection::impl_boom!(SctpAssoc);

/// Anyone → `SctpAssoc`, control: make the actor of one of your channels panic. Answers whether there
/// is one.
#[cfg(feature = "fault-injection")]
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "bool")]
pub struct BoomChannel;

#[cfg(feature = "fault-injection")]
impl Handler<BoomChannel> for SctpAssoc {
    type Result = bool;

    fn handle(&mut self, _: BoomChannel, _: &mut Self::Context) -> bool {
        let Some(channel) = self.channels.values().next() else { return false };
        channel.actor.do_send(crate::actors::fault_injection::Boom);
        true
    }
}
