//! The measured window: what is remembered at its start, counted at its end, and who is to blame for what is missing.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use serde::Serialize;

use super::room::Room;
use crate::{
    media::StreamId,
    peer::Totals,
    tally::Counts,
    usage::{SATURATED_PERCENT, Usage, backlog_drops},
};

/// Packets that one datagram of a full receive buffer may have held: the kernel counts what it drops before it
/// takes segments apart, and puts at most so many together (UDP_MAX_SEGMENTS).
const SEGMENTS_MAX: u64 = 128;

/// What was so when the window began.
#[derive(Default)]
pub(super) struct Before {
    /// The next packet of each stream, with the room it goes to.
    pub(super) streams: Vec<(usize, StreamId, u64)>,
    overflows: u64,
    backlog_drops: u64,
    pub(super) joined: u64,
    pub(super) left: u64,
    /// What subscribers that left in the window had lost.
    pub(super) lost: u64,
}

/// What was so when it ended.
pub(super) struct Closed {
    seconds: f64,
    generator_cpu_percent: f64,
    totals: Totals,
    lost: u64,
    unsent: u64,
    overflows: u64,
    backlog_drops: u64,
    /// As before: numbers of the window, for each room's stream.
    streams: Vec<(usize, StreamId, Range<u64>)>,
}

/// The result; times in seconds and milliseconds as the names say.
#[derive(Serialize)]
pub(super) struct WindowEnd {
    event: &'static str,
    profile: String,
    publishers: usize,
    subscribers: usize,
    rooms: u32,
    seconds: f64,
    sent: u64,
    received: u64,
    received_bytes: u64,
    /// All that is missing.
    lost: u64,
    /// Of these, at the ends of streams that fell silent.
    lost_at_end: u64,
    /// What is missing although sequence numbers have no gap.
    hidden_loss: u64,
    /// The most of both that was lost here: sockets that overflowed, and what could not be sent.
    lost_here_max: u64,
    duplicates: u64,
    reordered: u64,
    damaged: u64,
    unsent_datagrams: u64,
    receive_overflows: u64,
    receive_buffer_bytes: usize,
    kernel_backlog_drops: u64,
    late_frames: u64,
    frame_late_ms_p99: f64,
    key_frame_requests: u64,
    retransmission_requests: u64,
    retransmissions: u64,
    connected: usize,
    joined: u64,
    left: u64,
    srtp_profile: String,
    latency_ms_p50: f64,
    latency_ms_p99: f64,
    latency_ms_max: f64,
    #[serde(flatten)]
    direct: Option<Direct>,
    generator_cpu_percent: f64,
    generator_saturated: bool,
}

/// The same way without a server.
#[derive(Serialize)]
struct Direct {
    direct_received: u64,
    direct_ms_p50: f64,
    direct_ms_p99: f64,
    direct_ms_max: f64,
}

impl Direct {
    fn of(counts: &Counts) -> Option<Self> {
        (counts.received > 0).then(|| Self {
            direct_received: counts.received,
            direct_ms_p50: counts.delays.percentile_ms(0.5),
            direct_ms_p99: counts.delays.percentile_ms(0.99),
            direct_ms_max: counts.delays.max_ms(),
        })
    }
}

impl WindowEnd {
    /// Says what makes the numbers doubtful.
    pub(super) fn warn(&self) {
        if self.generator_saturated {
            eprintln!(
                "generator saturated: {:.0} % of its core; losses may be its own",
                self.generator_cpu_percent
            );
        }
        if self.receive_overflows > 0 {
            eprintln!(
                "{} datagrams came to full sockets here (buffers of {} KiB): up to {} of {} lost packets are not the \
                 server's; as root, or with a larger net.core.rmem_max, buffers are larger",
                self.receive_overflows,
                self.receive_buffer_bytes / 1024,
                self.lost_here_max,
                self.lost + self.hidden_loss
            );
        }
        if self.kernel_backlog_drops > 0 {
            eprintln!(
                "the kernel dropped {} packets between sockets (net.core.netdev_max_backlog), maybe of this run",
                self.kernel_backlog_drops
            );
        }
    }
}

impl Room {
    pub(super) fn start_window(&self) {
        let streams = self.next_packets();
        let mut world = self.world.borrow_mut();
        let srtp_profile = world.totals.srtp_profile;
        world.totals = Totals { srtp_profile, ..Default::default() };
        world.unsent = 0;
        let overflows = world.overflows();
        world.peers().filter_map(|peer| peer.media.tally()).for_each(|tally| tally.start_window());
        *self.before.borrow_mut() =
            Before { streams, overflows, backlog_drops: backlog_drops(), ..Before::default() };
        self.members.borrow_mut().iter_mut().for_each(|member| member.is_counted = true);
    }

    /// Counts at the window's end; what is still under way is asked for later.
    pub(super) fn close_window(&self, start: Instant, usage: &Usage) -> anyhow::Result<Closed> {
        let (seconds, generator_cpu_percent) = (start.elapsed().as_secs_f64(), usage.percent()?);
        let next = self.next_packets();
        let before = self.before.borrow();
        let start_of = |room: usize, stream: StreamId| {
            let known = before.streams.iter().find(|known| (known.0, known.1) == (room, stream));
            known.map_or(0, |known| known.2)
        };
        let streams = next.into_iter().map(|(room, stream, end)| (room, stream, start_of(room, stream)..end));
        let mut world = self.world.borrow_mut();
        Ok(Closed {
            seconds,
            generator_cpu_percent,
            totals: world.totals.clone(),
            lost: before.lost + self.lost_of_members(&mut world),
            unsent: world.unsent,
            overflows: world.overflows().saturating_sub(before.overflows),
            backlog_drops: backlog_drops().saturating_sub(before.backlog_drops),
            streams: streams.collect(),
        })
    }

    /// The result, when nothing of the window can be under way any more.
    pub(super) fn window_end(&self, closed: Closed) -> WindowEnd {
        let lost_at_end = self.missing_ends(&closed.streams);
        let Closed { totals, lost, unsent, overflows, .. } = closed;
        let counts = &totals.counts;
        let lost = lost + lost_at_end;
        let per_room = self.options.subscribers.div_ceil(self.options.rooms as usize) as u64;
        let excused = overflows * SEGMENTS_MAX + unsent * per_room;
        let (before, connected) = (self.before.borrow(), self.alive());
        let receive_buffer_bytes = self.world.borrow().receive_buffer_bytes;
        WindowEnd {
            event: "window_end",
            profile: format!("{:?}", self.options.profile).to_lowercase(),
            publishers: self.options.publishers,
            subscribers: self.options.subscribers,
            rooms: self.options.rooms,
            seconds: closed.seconds,
            sent: totals.sent,
            received: counts.received,
            received_bytes: counts.bytes,
            lost,
            lost_at_end,
            hidden_loss: counts.hidden,
            lost_here_max: excused.min(lost + counts.hidden),
            duplicates: counts.duplicates,
            reordered: counts.reordered,
            damaged: counts.damaged,
            unsent_datagrams: unsent,
            receive_overflows: overflows,
            receive_buffer_bytes,
            kernel_backlog_drops: closed.backlog_drops,
            late_frames: totals.late_frames,
            frame_late_ms_p99: totals.lateness.percentile_ms(0.99),
            key_frame_requests: totals.key_frame_requests,
            retransmission_requests: totals.retransmission_requests,
            retransmissions: totals.retransmissions,
            connected,
            joined: before.joined,
            left: before.left,
            srtp_profile: totals.srtp_profile.map_or("none", |profile| profile.name()).to_owned(),
            latency_ms_p50: counts.delays.percentile_ms(0.5),
            latency_ms_p99: counts.delays.percentile_ms(0.99),
            latency_ms_max: counts.delays.max_ms(),
            direct: Direct::of(&totals.direct),
            generator_cpu_percent: closed.generator_cpu_percent,
            generator_saturated: closed.generator_cpu_percent > SATURATED_PERCENT,
        }
    }

    /// What publishers send next, with their rooms.
    fn next_packets(&self) -> Vec<(usize, StreamId, u64)> {
        let mut world = self.world.borrow_mut();
        let mut all = Vec::new();
        for member in self.members.borrow().iter() {
            let Some(peer) = world.peer(member.index) else { continue };
            let next = peer.media.streams().iter().map(|stream| stream.next());
            all.extend(next.map(|(stream, number)| (member.room, stream, number)));
        }
        all
    }

    /// Packets of streams that ended early for somebody. Of a simulcast nobody gets all layers: not judged.
    fn missing_ends(&self, streams: &[(usize, StreamId, Range<u64>)]) -> u64 {
        let mut world = self.world.borrow_mut();
        let mut missing = 0;
        for member in self.members.borrow().iter().filter(|member| member.is_counted) {
            let of_room =
                streams.iter().filter(|(room, stream, _)| *room == member.room && stream.layers == 1);
            let ends: Vec<_> = of_room.map(|(_, stream, numbers)| (*stream, numbers.clone())).collect();
            let tally = world.peer(member.index).and_then(|peer| peer.media.tally());
            missing += tally.map_or(0, |tally| tally.missing_ends(&ends));
        }
        missing
    }
}

/// What is still to be said of how peers connected.
pub(super) fn rate(count: usize, elapsed: Duration) -> f64 {
    count as f64 / elapsed.as_secs_f64().max(f64::EPSILON)
}
