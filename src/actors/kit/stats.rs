//! Statistics of each shard: written by its thread only, read by anyone at any time.
//!
//! A reader sends no message, so a wedged actor is still seen, by its shard's age of last progress. Series are
//! per shard and label, never per peer. What a thread counted is kept after its end, under the same
//! [`ShardLabel`], so that totals never go back.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt,
    ops::Deref,
    rc::Rc,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::proto::demux::PacketKind;

use super::{
    cell::{Absorb, Counter, GaugeCell, Histogram, PerLabel, nanoseconds},
    clock,
    kind::{ActorKind, ConnectionLabel, Direction, DropReason, DtlsLabel, Gauge, IceLabel, Label, LaneKind},
};

/// Which thread counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ShardLabel {
    /// A shard, by its number.
    Shard(usize),
    /// Any other thread of the program.
    Other,
}

impl fmt::Display for ShardLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shard(number) => write!(f, "{number}"),
            Self::Other => f.write_str("other"),
        }
    }
}

/// One in so many wake-ups is timed.
pub const POLL_SAMPLE: u32 = 16;

/// What all actors of a kind did on one shard.
#[derive(Debug, Default)]
pub struct ActorStatistics {
    /// Actors started.
    pub started: Counter,
    /// Actors that ended, for whatever reason.
    pub stopped: Counter,
    /// Panics caught.
    pub panics: Counter,
    /// Restarts after a panic.
    pub restarts: Counter,
    /// Polls that ended because the batch was full, so that others got their turn.
    pub yields: Counter,
    /// Wake-ups, and turns of its [`Work`](super::Work) without one.
    pub polls: Counter,
    /// Time of one in [`POLL_SAMPLE`] of these: reading the clock twice costs as much as a quick actor's whole poll.
    pub poll_time: Histogram,
    /// Time each handled message waited in the mailbox; its count is the number of messages handled.
    pub mailbox_wait: Histogram,
}

impl Absorb for ActorStatistics {
    fn absorb(&self, other: &Self) {
        self.started.absorb(&other.started);
        self.stopped.absorb(&other.stopped);
        self.panics.absorb(&other.panics);
        self.restarts.absorb(&other.restarts);
        self.yields.absorb(&other.yields);
        self.polls.absorb(&other.polls);
        self.poll_time.absorb(&other.poll_time);
        self.mailbox_wait.absorb(&other.mailbox_wait);
    }
}

impl ActorStatistics {
    /// About how long these actors kept their shard busy, from the polls that were timed.
    pub fn busy(&self) -> Duration {
        self.poll_time.sum().saturating_mul(POLL_SAMPLE)
    }
}

/// What went through all lanes of a kind that end on one shard. Counted in packets.
#[derive(Debug, Default)]
pub struct LaneStatistics {
    /// Packets offered.
    pub pushed: Counter,
    /// Packets handed to the receiver.
    pub taken: Counter,
    /// Oldest packets dropped for newer ones.
    pub dropped_full: Counter,
    /// Packets dropped because they had waited too long.
    pub dropped_age: Counter,
    /// Time each item taken had waited.
    pub wait: Histogram,
    /// What this thread has put into lanes of the kind, its own and others', less what it has taken out.
    pub(super) depth: GaugeCell,
}

impl Absorb for LaneStatistics {
    fn absorb(&self, other: &Self) {
        self.pushed.absorb(&other.pushed);
        self.taken.absorb(&other.taken);
        self.dropped_full.absorb(&other.dropped_full);
        self.dropped_age.absorb(&other.dropped_age);
        self.wait.absorb(&other.wait);
        self.depth.add(other.depth.get());
    }
}

/// Packets and their bytes.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Number of packets.
    pub packets: Counter,
    /// Sum of their lengths.
    pub bytes: Counter,
}

impl Absorb for Traffic {
    fn absorb(&self, other: &Self) {
        self.packets.absorb(&other.packets);
        self.bytes.absorb(&other.bytes);
    }
}

/// Batches and what they held.
#[derive(Debug, Default)]
pub struct Batches {
    /// Number of batches.
    pub batches: Counter,
    /// Number of packets in them.
    pub packets: Counter,
}

impl Absorb for Batches {
    fn absorb(&self, other: &Self) {
        self.batches.absorb(&other.batches);
        self.packets.absorb(&other.packets);
    }
}

/// Value of the last heartbeat before the first one: no process is 584 years old.
const NO_HEARTBEAT: u64 = u64::MAX;

/// Everything one shard counts. To count, use [`statistics`].
#[derive(Debug)]
pub struct ShardStatistics {
    label: ShardLabel,
    /// By kind of actor.
    pub actors: PerLabel<ActorKind, ActorStatistics>,
    /// By kind of lane.
    pub lanes: PerLabel<LaneKind, LaneStatistics>,
    /// Datagrams received.
    pub traffic_in: PerLabel<PacketKind, Traffic>,
    /// Datagrams handed to the kernel.
    pub traffic_out: PerLabel<PacketKind, Traffic>,
    /// Packets that went no further.
    pub drops: PerLabel<DropReason, Counter>,
    /// Lots handed from actor to actor on the way in and out.
    pub lots: PerLabel<Direction, Batches>,
    /// Calls into the kernel, with the datagrams each moved.
    pub calls: PerLabel<Direction, Batches>,
    /// Times that an SCTP association had to stop its peer, because messages of a channel were not read.
    pub reader_stalls: Counter,
    /// Consumers that take a track of another shard by themselves, because there were too many relays.
    pub relays_refused: Counter,
    /// How late the shard's heartbeat was: what every timer of the shard suffers.
    pub lag: Histogram,
    peers: GaugeCell,
    data_channels: GaugeCell,
    rooms: GaugeCell,
    ice_states: PerLabel<IceLabel, GaugeCell>,
    dtls_states: PerLabel<DtlsLabel, GaugeCell>,
    connection_states: PerLabel<ConnectionLabel, GaugeCell>,
    /// Nanoseconds from [`epoch`] to the last heartbeat, or [`NO_HEARTBEAT`].
    last_progress: AtomicU64,
    /// A number from 0 to 1, as its bits.
    busy_share: AtomicU64,
}

impl ShardStatistics {
    pub(super) fn new(label: ShardLabel) -> Self {
        Self {
            label,
            actors: PerLabel::default(),
            lanes: PerLabel::default(),
            traffic_in: PerLabel::default(),
            traffic_out: PerLabel::default(),
            drops: PerLabel::default(),
            lots: PerLabel::default(),
            calls: PerLabel::default(),
            reader_stalls: Counter::default(),
            relays_refused: Counter::default(),
            lag: Histogram::default(),
            peers: GaugeCell::default(),
            data_channels: GaugeCell::default(),
            rooms: GaugeCell::default(),
            ice_states: PerLabel::default(),
            dtls_states: PerLabel::default(),
            connection_states: PerLabel::default(),
            last_progress: AtomicU64::new(NO_HEARTBEAT),
            busy_share: AtomicU64::new(0.0_f64.to_bits()),
        }
    }

    /// Whose statistics these are.
    pub fn label(&self) -> ShardLabel {
        self.label
    }

    /// The number of things that exist now.
    pub fn gauge(&self, gauge: Gauge) -> i64 {
        self.gauge_cell(gauge).get()
    }

    /// Time since the shard's thread last showed that it runs; `None` for threads without a heartbeat.
    pub fn progress_age(&self, now: Instant) -> Option<Duration> {
        let last = self.last_progress.load(Relaxed);
        let since_epoch = nanoseconds(now.saturating_duration_since(epoch()));
        (last != NO_HEARTBEAT).then(|| Duration::from_nanos(since_epoch.saturating_sub(last)))
    }

    /// The share of the last seconds that the shard's thread spent on a core, from 0 to 1; 0 for threads without
    /// a heartbeat.
    pub fn busy_share(&self) -> f64 {
        f64::from_bits(self.busy_share.load(Relaxed))
    }

    fn gauge_cell(&self, gauge: Gauge) -> &GaugeCell {
        match gauge {
            Gauge::Peers => &self.peers,
            Gauge::Rooms => &self.rooms,
            Gauge::DataChannels => &self.data_channels,
            Gauge::IceState(state) => &self.ice_states[state],
            Gauge::DtlsState(state) => &self.dtls_states[state],
            Gauge::ConnectionState(state) => &self.connection_states[state],
        }
    }
}

/// Totals only: what existed on a thread ended with it.
impl Absorb for ShardStatistics {
    fn absorb(&self, other: &Self) {
        self.actors.absorb(&other.actors);
        self.lanes.absorb(&other.lanes);
        self.traffic_in.absorb(&other.traffic_in);
        self.traffic_out.absorb(&other.traffic_out);
        self.drops.absorb(&other.drops);
        self.lots.absorb(&other.lots);
        self.calls.absorb(&other.calls);
        self.reader_stalls.absorb(&other.reader_stalls);
        self.relays_refused.absorb(&other.relays_refused);
        self.lag.absorb(&other.lag);
    }
}

/// The current thread's right to count: reads like [`ShardStatistics`], and is not `Send`.
#[derive(Clone, Debug)]
pub struct Statistics(Rc<Writer>);

/// Last handle of a thread: when it goes, the counts move to the retired ones.
#[derive(Debug)]
struct Writer(Arc<ShardStatistics>);

impl Deref for Statistics {
    type Target = ShardStatistics;

    fn deref(&self) -> &ShardStatistics {
        &self.0.0
    }
}

impl Statistics {
    /// Makes the current thread the writer of `shared`, and lists it for readers.
    pub(super) fn install(shared: Arc<ShardStatistics>) -> Self {
        registry().lock().live.push(Arc::clone(&shared));
        let handle = Self(Rc::new(Writer(shared)));
        let _ = CURRENT.try_with(|current| current.replace(Some(handle.clone())));
        handle
    }

    /// The numbers, for a reader on any thread.
    pub fn shared(&self) -> Arc<ShardStatistics> {
        Arc::clone(&self.0.0)
    }

    /// Counts packets that go no further.
    #[inline]
    pub fn drop(&self, reason: DropReason, packets: u64) {
        self.drops[reason].add(packets);
    }

    /// Counts how often a peer was stopped because an application did not read.
    pub fn reader_stalled(&self, times: u64) {
        self.reader_stalls.add(times);
    }

    /// Counts a consumer that found no room for one more relay.
    pub fn relay_refused(&self) {
        self.relays_refused.add(1);
    }

    /// Counts datagrams received.
    #[inline]
    pub fn packets_in(&self, kind: PacketKind, packets: u64, bytes: u64) {
        self.traffic_in[kind].packets.add(packets);
        self.traffic_in[kind].bytes.add(bytes);
    }

    /// Counts datagrams handed to the kernel.
    #[inline]
    pub fn packets_out(&self, kind: PacketKind, packets: u64, bytes: u64) {
        self.traffic_out[kind].packets.add(packets);
        self.traffic_out[kind].bytes.add(bytes);
    }

    /// Counts one lot on its way from the network.
    #[inline]
    pub fn lot_in(&self, packets: u64) {
        self.lots[Direction::In].batches.add(1);
        self.lots[Direction::In].packets.add(packets);
    }

    /// Counts one lot on its way to the network.
    #[inline]
    pub fn lot_out(&self, packets: u64) {
        self.lots[Direction::Out].batches.add(1);
        self.lots[Direction::Out].packets.add(packets);
    }

    /// Counts one receive call and the datagrams it brought.
    #[inline]
    pub fn receive_call(&self, datagrams: u64) {
        self.calls[Direction::In].batches.add(1);
        self.calls[Direction::In].packets.add(datagrams);
    }

    /// Counts send calls and the datagrams (segments) they took.
    #[inline]
    pub fn send_calls(&self, calls: u64, datagrams: u64) {
        self.calls[Direction::Out].batches.add(calls);
        self.calls[Direction::Out].packets.add(datagrams);
    }

    /// Changes the number of things that exist now. [`Statistics::track`] can't forget to take back.
    pub fn gauge_add(&self, gauge: Gauge, change: i64) {
        self.gauge_cell(gauge).add(change);
    }

    /// Counts one thing in a gauge for as long as the guard lives.
    pub fn track(&self, gauge: Gauge) -> TrackedGauge {
        self.gauge_add(gauge, 1);
        TrackedGauge { statistics: self.clone(), gauge }
    }

    /// Notes that the shard's thread runs, how late its heartbeat was, and how busy it is.
    pub(super) fn heartbeat(&self, now: Instant, lag: Duration, busy_share: f64) {
        self.busy_share.store(busy_share.to_bits(), Relaxed);
        self.last_progress.store(nanoseconds(now.saturating_duration_since(epoch())), Relaxed);
        self.lag.record(lag);
    }
}

/// One thing that is counted in a gauge, and leaves it when dropped, even by a panic.
#[derive(Debug)]
pub struct TrackedGauge {
    statistics: Statistics,
    gauge: Gauge,
}

impl TrackedGauge {
    /// Moves the thing to another gauge, such as its next state.
    pub fn set(&mut self, gauge: Gauge) {
        self.statistics.gauge_add(self.gauge, -1);
        self.statistics.gauge_add(gauge, 1);
        self.gauge = gauge;
    }
}

impl Drop for TrackedGauge {
    fn drop(&mut self) {
        self.statistics.gauge_add(self.gauge, -1);
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Statistics>> = const { RefCell::new(None) };
}

/// The statistics of the current thread: its shard's, or its own, which are listed as well.
pub fn statistics() -> Statistics {
    let current = CURRENT.try_with(|current| current.borrow().clone()).ok().flatten();
    current.unwrap_or_else(|| Statistics::install(Arc::new(ShardStatistics::new(ShardLabel::Other))))
}

/// The statistics of all threads that ever counted. Several can have the same label: add them up.
pub fn all_statistics() -> Vec<Arc<ShardStatistics>> {
    let registry = registry().lock();
    registry.retired.values().chain(&registry.live).map(Arc::clone).collect()
}

#[derive(Default)]
struct Registry {
    live: Vec<Arc<ShardStatistics>>,
    /// Written under the lock only: the sum of what ended threads counted.
    retired: BTreeMap<ShardLabel, Arc<ShardStatistics>>,
}

fn registry() -> &'static Mutex<Registry> {
    static REGISTRY: OnceLock<Mutex<Registry>> = OnceLock::new();
    REGISTRY.get_or_init(Mutex::default)
}

impl Drop for Writer {
    fn drop(&mut self) {
        let mut registry = registry().lock();
        registry.live.retain(|live| !Arc::ptr_eq(live, &self.0));
        let label = self.0.label;
        let retired = registry.retired.entry(label).or_insert_with(|| Arc::new(ShardStatistics::new(label)));
        retired.absorb(&self.0);
    }
}

/// The instant from which [`ShardStatistics`] measures progress.
fn epoch() -> Instant {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    *EPOCH.get_or_init(clock::now)
}

/// Mailboxes of all actors of a kind, in the whole process: senders are on any thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MailboxTotals {
    /// Messages sent, even if the mailbox had closed.
    pub sent: u64,
    /// Messages dropped unhandled: the mailbox was closed, the actor ended, or the asker had given up.
    pub dead_letters: u64,
}

/// Atomic additions, because anyone may send; a line of cache each, because shards send at the same time.
#[repr(align(128))]
#[derive(Default)]
struct MailboxCell {
    sent: AtomicU64,
    dead_letters: AtomicU64,
}

/// One cell for each kind of actor, and one for receivers whose kind is not known.
static MAILBOXES: [MailboxCell; ActorKind::ALL.len() + 1] =
    [const { MailboxCell { sent: AtomicU64::new(0), dead_letters: AtomicU64::new(0) } };
        ActorKind::ALL.len() + 1];

fn mailbox_cell(kind: Option<ActorKind>) -> &'static MailboxCell {
    &MAILBOXES[kind.map_or(ActorKind::ALL.len(), Label::index)]
}

/// Totals of the mailboxes of a kind of actor; `None` for recipients whose kind is not known.
pub fn mailbox_totals(kind: Option<ActorKind>) -> MailboxTotals {
    let cell = mailbox_cell(kind);
    MailboxTotals { sent: cell.sent.load(Relaxed), dead_letters: cell.dead_letters.load(Relaxed) }
}

/// A message is sent to an actor of this kind, as far as that is known.
pub(super) fn message_sent(kind: Option<ActorKind>) {
    mailbox_cell(kind).sent.fetch_add(1, Relaxed);
}

/// A message that was sent is not handled.
pub(super) fn dead_letter(kind: Option<ActorKind>) {
    mailbox_cell(kind).dead_letters.fetch_add(1, Relaxed);
}
