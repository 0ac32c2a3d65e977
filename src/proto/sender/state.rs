//! What survives a restart of a sender.

use std::time::Instant;

use super::continuity::{Counters, Shifts};
use crate::proto::rtp::ClockReference;

/// All that a restarted sender needs to go on without using an SRTP index twice, and without the receiver noticing
/// more than a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SenderState {
    /// The first sequence number, without wraparound.
    pub(super) first_sequence: u64,
    /// The next sequence number, without wraparound.
    pub(super) next_sequence: u64,
    /// The next sequence number of the retransmission stream.
    pub(super) next_rtx_sequence: u64,
    /// The latest timestamp and when it was first sent.
    pub(super) latest: Option<Latest>,
    /// The last picture counters sent.
    pub(super) counters: Counters,
    /// The source that flows.
    pub(super) source: Option<Source>,
    /// The generation that was asked for last.
    pub(super) asked: Option<u32>,
    /// For sender reports: modulo 2^32.
    pub(super) packet_count: u32,
    pub(super) octet_count: u32,
    /// The last FIR answered: who asked, and its number.
    pub(super) answered_fir: [Option<(u32, u8)>; 4],
}

/// The latest timestamp that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Latest {
    pub(super) timestamp: u32,
    pub(super) clock_rate: u32,
    pub(super) at: Instant,
}

/// How a source's numbers become this stream's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) generation: u32,
    pub(super) ssrc: u32,
    /// The number it started with here: earlier packets are not sent.
    pub(super) floor: u64,
    pub(super) highest: u64,
    /// When its last packet came.
    pub(super) heard: Instant,
    /// Added to its sequence numbers, modulo 2^64.
    pub(super) sequence_shift: u64,
    /// Added to its timestamps, modulo 2^32.
    pub(super) timestamp_shift: u32,
    pub(super) shifts: Shifts,
    /// What its publisher reported about its clock.
    pub(super) clock: Option<ClockReference>,
    /// Packets are missing for good: wait for a key frame.
    pub(super) interrupted: bool,
}

/// Seconds by which timestamps may run ahead of arrival, over a gap.
const STEP_SLACK: u32 = 5;

/// The largest step of timestamps over a pause: just below half of their range.
const PAUSE_MAX: u32 = 0x7000_0000;

impl Source {
    /// The timestamp of this moment by the publisher's own report.
    pub(super) fn timestamp_at(&self, now: Instant, clock_rate: u32) -> Option<u32> {
        let reference = self.clock?;
        let at_reference = reference.timestamp.wrapping_add(self.timestamp_shift);
        Some(match now.checked_duration_since(reference.instant) {
            Some(_) => at_reference.wrapping_add(elapsed(reference.instant, now, clock_rate)),
            None => at_reference.wrapping_sub(elapsed(now, reference.instant, clock_rate)),
        })
    }
}

impl Latest {
    /// The timestamp of this moment: for sender reports.
    pub(super) fn timestamp_at(self, now: Instant) -> u32 {
        self.timestamp.wrapping_add(elapsed(self.at, now, self.clock_rate))
    }

    /// True if a packet sent now may have this timestamp: later than the last, and not by much more than the time that
    /// passed.
    pub(super) fn is_followed_by(self, timestamp: u32, now: Instant) -> bool {
        let step = timestamp.wrapping_sub(self.timestamp);
        let slack = self.clock_rate.saturating_mul(STEP_SLACK);
        step != 0 && step <= elapsed(self.at, now, self.clock_rate).saturating_add(slack).min(PAUSE_MAX)
    }

    /// The timestamp of a new source's first packet: later by the time that passed, and by at least one.
    pub(super) fn timestamp_after(self, now: Instant, clock_rate: u32) -> u32 {
        // Half the range and more would look like going backwards.
        self.timestamp.wrapping_add(elapsed(self.at, now, clock_rate).clamp(1, PAUSE_MAX))
    }
}

/// The time between in units of a clock, modulo 2^32.
fn elapsed(from: Instant, to: Instant, clock_rate: u32) -> u32 {
    let (elapsed, rate) = (to.saturating_duration_since(from), u64::from(clock_rate));
    let whole = elapsed.as_secs().wrapping_mul(rate);
    whole.wrapping_add(u64::from(elapsed.subsec_nanos()) * rate / 1_000_000_000) as u32
}
