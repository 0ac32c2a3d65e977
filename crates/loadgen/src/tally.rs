//! What a subscriber counts: every packet by its RTP sequence number and by the number in its payload.

use std::{collections::HashMap, ops::Range};

use crate::media::{Stamp, StreamId};

/// Delays up to this many microseconds have a bucket of their own width of 1/16 of their power of two.
const OCTAVES: usize = 32;
const STEPS: usize = 16;
/// Packets that are remembered to tell late ones from repeated ones.
const REMEMBERED: u64 = 1_024;
/// Packets further back than this are not asked for again.
const ASKED_FOR: u64 = 512;

/// Delays, in a table that keeps them to about 6 %.
#[derive(Clone)]
pub(crate) struct Delays {
    buckets: Vec<u64>,
    max: u64,
}

impl Default for Delays {
    fn default() -> Self {
        Self { buckets: vec![0; OCTAVES * STEPS], max: 0 }
    }
}

impl Delays {
    pub(crate) fn record(&mut self, microseconds: u64) {
        self.max = self.max.max(microseconds);
        let index = if microseconds < STEPS as u64 {
            microseconds as usize
        } else {
            let octave = microseconds.ilog2() as usize;
            let step = (microseconds >> (octave - 4)) as usize & (STEPS - 1);
            (octave - 3) * STEPS + step
        };
        let last = self.buckets.len() - 1;
        self.buckets[index.min(last)] += 1;
    }

    /// The delay in milliseconds that `share` (0–1) of the packets did not exceed.
    pub(crate) fn percentile_ms(&self, share: f64) -> f64 {
        let total: u64 = self.buckets.iter().sum();
        let wanted = (total as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted && total > 0 {
                let upper = if index < STEPS {
                    index as u64
                } else {
                    let octave = index / STEPS + 3;
                    ((STEPS + index % STEPS + 1) as u64) << (octave - 4)
                };
                return upper.min(self.max) as f64 / 1_000.0;
            }
        }
        0.0
    }

    /// The longest delay in milliseconds.
    pub(crate) fn max_ms(&self) -> f64 {
        self.max as f64 / 1_000.0
    }
}

/// Counts over all subscribers.
#[derive(Clone, Default)]
pub(crate) struct Counts {
    /// Packets with the right content, each once.
    pub(crate) received: u64,
    /// RTP payload bytes of these.
    pub(crate) bytes: u64,
    /// Packets that came again.
    pub(crate) duplicates: u64,
    /// Packets that came behind a later one.
    pub(crate) reordered: u64,
    /// Packets whose content was not what was sent, or that could not be decrypted.
    pub(crate) damaged: u64,
    /// Packets passed over in content although RTP sequence numbers had no gap: loss that was hidden.
    pub(crate) hidden: u64,
    /// From publisher to subscriber.
    pub(crate) delays: Delays,
}

/// Positions of one stream: which have come, and how many are missing.
#[derive(Clone, Default)]
struct Positions {
    first: Option<u64>,
    highest: u64,
    /// One bit for each of the last [`REMEMBERED`] positions.
    seen: Box<[u64]>,
    /// Positions between the first of the window and the highest, and how many of them came.
    expected: u64,
    received: u64,
}

/// What a position is, compared to those before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arrival {
    /// The next one, after so many that did not come (yet).
    New {
        passed_over: u64,
    },
    Late,
    Duplicate,
}

impl Positions {
    fn take(&mut self, position: u64) -> Arrival {
        if self.first.is_none() {
            self.seen = vec![0; (REMEMBERED / 64) as usize].into();
            self.first = Some(position);
            self.highest = position;
            (self.expected, self.received) = (1, 1);
            self.mark(position);
            return Arrival::New { passed_over: 0 };
        }
        if position > self.highest {
            let passed_over = position - self.highest - 1;
            for skipped in (self.highest + 1..position).rev().take(REMEMBERED as usize) {
                self.clear(skipped);
            }
            self.expected += passed_over + 1;
            self.received += 1;
            self.highest = position;
            self.mark(position);
            return Arrival::New { passed_over };
        }
        let known = self.highest - position < REMEMBERED;
        if known && self.is_marked(position) || self.first.is_some_and(|first| position < first) {
            return Arrival::Duplicate;
        }
        self.mark(position);
        self.received += 1;
        Arrival::Late
    }

    fn lost(&self) -> u64 {
        self.expected.saturating_sub(self.received)
    }

    /// Up to so many of the last positions that did not come, the oldest first.
    fn missing(&self, most: usize) -> impl Iterator<Item = u64> {
        let first = self.first.unwrap_or(self.highest).max(self.highest.saturating_sub(ASKED_FOR));
        (first..self.highest).filter(|position| !self.is_marked(*position)).take(most)
    }

    fn start_window(&mut self) {
        (self.expected, self.received) = (0, 0);
    }

    fn place(position: u64) -> (usize, u64) {
        ((position % REMEMBERED / 64) as usize, 1 << (position % 64))
    }

    fn mark(&mut self, position: u64) {
        let (word, bit) = Self::place(position);
        self.seen[word] |= bit;
    }

    fn clear(&mut self, position: u64) {
        let (word, bit) = Self::place(position);
        self.seen[word] &= !bit;
    }

    fn is_marked(&self, position: u64) -> bool {
        let (word, bit) = Self::place(position);
        self.seen[word] & bit != 0
    }
}

/// One SSRC as a subscriber sees it.
#[derive(Clone, Default)]
pub(crate) struct Source {
    sequence: Positions,
    /// Whether something that can be decoded has come.
    pub(crate) decodable: bool,
}

impl Source {
    /// RFC 3550 §A.1: the 16 bits extended by how often they wrapped around.
    fn extended(&self, sequence: u16) -> u64 {
        if self.sequence.first.is_none() {
            // Room below, for packets that come late.
            return 0x1_0000 + u64::from(sequence);
        }
        let highest = self.sequence.highest;
        let difference = i64::from(sequence.wrapping_sub(highest as u16) as i16);
        highest.wrapping_add_signed(difference)
    }

    /// Sequence numbers that are worth asking for.
    pub(crate) fn missing(&self, most: usize) -> Vec<u16> {
        self.sequence.missing(most).map(|position| position as u16).collect()
    }

    /// Extended highest sequence number, for receiver reports.
    pub(crate) fn highest(&self) -> u32 {
        self.sequence.highest as u32
    }
}

/// What one subscriber received.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) sources: HashMap<u32, Source>,
    streams: HashMap<StreamId, Positions>,
}

impl Tally {
    /// Counts a packet with the right content.
    pub(crate) fn arrived(
        &mut self,
        counts: &mut Counts,
        (ssrc, sequence): (u32, u16),
        stamp: &Stamp,
        microseconds: u64,
    ) {
        let source = self.sources.entry(ssrc).or_default();
        let by_sequence = source.sequence.take(source.extended(sequence));
        let by_number = self.streams.entry(stamp.stream).or_default().take(stamp.number);
        match by_sequence {
            Arrival::Duplicate => {
                counts.duplicates += 1;
                return;
            }
            Arrival::Late => counts.reordered += 1,
            Arrival::New { passed_over } => {
                // Another layer of a simulcast may come for a while: its numbers go on meanwhile.
                if let Arrival::New { passed_over: in_content } = by_number
                    && stamp.stream.layers == 1
                {
                    counts.hidden += in_content.saturating_sub(passed_over);
                }
            }
        }
        counts.received += 1;
        counts.delays.record(microseconds);
    }

    /// Starts counting anew without forgetting which packets came last.
    pub(crate) fn start_window(&mut self) {
        self.sources.values_mut().for_each(|source| source.sequence.start_window());
        self.streams.values_mut().for_each(Positions::start_window);
    }

    /// Packets at the end of streams that did not come, nor anything behind them: a gap needs another side. `ends` has
    /// the number of each stream's next packet, and that of the window's first.
    pub(crate) fn missing_ends(&self, ends: &[(StreamId, Range<u64>)]) -> u64 {
        let missing = |(stream, numbers): &(StreamId, Range<u64>)| {
            let seen = self.streams.get(stream).filter(|positions| positions.first.is_some());
            let next = seen.map_or(numbers.start, |positions| positions.highest + 1);
            numbers.end.saturating_sub(next.max(numbers.start))
        };
        ends.iter().map(missing).sum()
    }

    /// Packets that did not come, of all sources.
    pub(crate) fn lost(&self) -> u64 {
        self.sources.values().map(|source| source.sequence.lost()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(number: u64) -> Stamp {
        let stream = StreamId { publisher: 0, track: 0, layer: 0, layers: 1 };
        Stamp { stream, number, nanoseconds: 0 }
    }

    fn counted(arrivals: &[(u16, u64)]) -> (Counts, u64) {
        let (mut tally, mut counts) = (Tally::default(), Counts::default());
        for &(sequence, number) in arrivals {
            tally.arrived(&mut counts, (1, sequence), &stamp(number), 100);
        }
        (counts, tally.lost())
    }

    #[test]
    fn gaps_are_lost_until_they_are_filled() {
        let (counts, lost) = counted(&[(65_534, 5), (65_535, 6), (2, 9), (0, 7), (3, 10)]);
        assert_eq!((counts.received, counts.reordered, counts.duplicates, counts.hidden), (5, 1, 0, 0));
        assert_eq!(lost, 1);
    }

    #[test]
    fn what_is_missing_can_be_asked_for_until_it_comes() {
        let (mut tally, mut counts) = (Tally::default(), Counts::default());
        for position in [65_534, 65_535, 65_538, 65_540] {
            tally.arrived(&mut counts, (1, position as u16), &stamp(position), 100);
        }
        assert_eq!(tally.sources[&1].missing(9), [0, 1, 3]);
        assert_eq!(tally.sources[&1].missing(2), [0, 1]);
        tally.arrived(&mut counts, (1, 1), &stamp(65_537), 100);
        assert_eq!(tally.sources[&1].missing(9), [0, 3]);
    }

    #[test]
    fn repeated_packets_are_neither_received_nor_lost() {
        let (counts, lost) = counted(&[(1, 1), (2, 2), (2, 2), (1, 1), (3, 3)]);
        assert_eq!((counts.received, counts.duplicates, counts.reordered), (3, 2, 0));
        assert_eq!(lost, 0);
    }

    #[test]
    fn loss_behind_rewritten_sequence_numbers_is_seen() {
        let (counts, lost) = counted(&[(1, 1), (2, 2), (3, 5)]);
        assert_eq!((counts.hidden, lost), (2, 0));
    }

    #[test]
    fn a_new_window_forgets_losses_but_not_positions() {
        let (mut tally, mut counts) = (Tally::default(), Counts::default());
        for position in [1, 5] {
            tally.arrived(&mut counts, (1, position), &stamp(u64::from(position)), 100);
        }
        tally.start_window();
        assert_eq!(tally.lost(), 0);
        for position in [6, 8] {
            tally.arrived(&mut counts, (1, position), &stamp(u64::from(position)), 100);
        }
        assert_eq!(tally.lost(), 1);
    }

    #[test]
    fn a_stream_that_falls_silent_is_missing_from_there_and_one_never_heard_from_the_window_s_start() {
        let (mut tally, mut counts) = (Tally::default(), Counts::default());
        for number in [1, 2, 3] {
            tally.arrived(&mut counts, (1, number as u16), &stamp(number), 100);
        }
        let other = StreamId { publisher: 9, ..stamp(0).stream };
        assert_eq!(tally.missing_ends(&[(stamp(0).stream, 1..4)]), 0);
        assert_eq!(tally.missing_ends(&[(stamp(0).stream, 1..10), (other, 20..25)]), 6 + 5);
        assert_eq!(tally.missing_ends(&[(stamp(0).stream, 8..10)]), 2);
    }

    #[test]
    fn percentiles_are_within_a_sixteenth() {
        let mut delays = Delays::default();
        for microseconds in 1..=10_000 {
            delays.record(microseconds);
        }
        let median = delays.percentile_ms(0.5);
        assert!((4.9..=5.4).contains(&median), "{median}");
        assert_eq!(delays.max_ms(), 10.0);
        assert!(delays.percentile_ms(1.0) >= 9.9);
    }
}
