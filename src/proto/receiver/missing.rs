//! Which packets are missing, and when to ask for them (RFC 4585 §6.2.1).

use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

/// Packets asked for at the same time. More missing ones are past repair: a key frame is cheaper.
const MISSING_MAX: u64 = 1000;

/// Times one packet is asked for; ten round trips are longer than any useful playout delay.
const TRIES_MAX: u8 = 10;

/// Packets that were only reordered usually arrive within this time.
const REORDER_DELAY: Duration = Duration::from_millis(5);

/// Round trip times assumed are kept within these bounds: a request must not be repeated in a tight loop, nor so
/// late that the answer is of no use.
const ROUND_TRIP_MIN: Duration = Duration::from_millis(20);
const ROUND_TRIP_MAX: Duration = Duration::from_millis(500);

#[derive(Debug, Clone, Copy)]
struct MissingPacket {
    sequence: u64,
    due: Instant,
    tries: u8,
}

/// The missing packets of one source, in ascending order.
#[derive(Debug, Default)]
pub(super) struct MissingPackets {
    packets: VecDeque<MissingPacket>,
    /// Not later than the earliest `due`.
    next_due: Option<Instant>,
}

impl MissingPackets {
    /// Notes a gap above all others. False: too much is missing, everything was given up.
    pub(super) fn add(&mut self, now: Instant, gap: Range<u64>) -> bool {
        if gap.is_empty() {
            return true;
        }
        if self.packets.len() as u64 + (gap.end - gap.start) > MISSING_MAX {
            self.clear();
            return false;
        }
        let due = now + REORDER_DELAY;
        self.packets.extend(gap.map(|sequence| MissingPacket { sequence, due, tries: 0 }));
        self.next_due = Some(self.next_due.map_or(due, |next| next.min(due)));
        true
    }

    /// The packet has arrived.
    pub(super) fn remove(&mut self, sequence: u64) {
        if let Ok(at) = self.packets.binary_search_by_key(&sequence, |packet| packet.sequence) {
            self.packets.remove(at);
        }
        if self.packets.is_empty() {
            self.next_due = None;
        }
    }

    pub(super) fn contains(&self, number: u16) -> bool {
        self.packets.iter().any(|packet| packet.sequence as u16 == number)
    }

    pub(super) fn clear(&mut self) {
        self.packets.clear();
        self.next_due = None;
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.next_due
    }

    /// The numbers to ask for now, at most `limit`, ascending; each again after a round trip.
    pub(super) fn take_due(&mut self, now: Instant, round_trip: Duration, limit: usize) -> Vec<u16> {
        let mut numbers = Vec::new();
        if self.next_due.is_none_or(|due| due > now) {
            return numbers;
        }
        let again = now + round_trip.clamp(ROUND_TRIP_MIN, ROUND_TRIP_MAX);
        self.packets.retain_mut(|packet| {
            if packet.due > now || numbers.len() == limit {
                return true;
            }
            if packet.tries == TRIES_MAX {
                return false;
            }
            numbers.push(packet.sequence as u16);
            packet.tries += 1;
            packet.due = again;
            true
        });
        self.next_due = self.packets.iter().map(|packet| packet.due).min();
        numbers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUND_TRIP: Duration = Duration::from_millis(100);

    #[test]
    fn a_packet_that_was_only_late_is_not_asked_for() {
        let now = Instant::now();
        let mut missing = MissingPackets::default();
        assert!(missing.add(now, 10..12));
        assert_eq!(missing.take_due(now, ROUND_TRIP, 100), []);
        missing.remove(10);
        assert_eq!(missing.take_due(now + REORDER_DELAY, ROUND_TRIP, 100), [11]);
        missing.remove(11);
        assert_eq!(missing.next_due(), None);
    }

    #[test]
    fn asks_once_per_round_trip_and_gives_up() {
        let mut now = Instant::now();
        let mut missing = MissingPackets::default();
        assert!(missing.add(now, 65535..65537));
        let mut asked = Vec::new();
        while let Some(due) = missing.next_due() {
            assert!(due > now);
            now = due;
            let numbers = missing.take_due(now, ROUND_TRIP, 100);
            if !numbers.is_empty() {
                assert_eq!(numbers, [65535, 0]);
                asked.push(now);
            }
        }
        assert_eq!(asked.len(), 10);
        assert!(asked.windows(2).all(|pair| pair[1] - pair[0] == ROUND_TRIP));
    }

    #[test]
    fn too_much_missing_is_given_up() {
        let now = Instant::now();
        let mut missing = MissingPackets::default();
        assert!(missing.add(now, 0..900));
        assert!(!missing.add(now, 1000..1200));
        assert_eq!(missing.next_due(), None);
        assert!(missing.add(now, 2000..3000));
        assert!(!missing.add(now, 5000..6001));
    }

    #[test]
    fn a_full_message_leaves_the_rest_due() {
        let now = Instant::now();
        let mut missing = MissingPackets::default();
        assert!(missing.add(now, 0..10));
        let now = now + REORDER_DELAY;
        assert_eq!(missing.take_due(now, ROUND_TRIP, 6), [0, 1, 2, 3, 4, 5]);
        assert_eq!(missing.next_due(), Some(now));
        assert_eq!(missing.take_due(now, ROUND_TRIP, 6), [6, 7, 8, 9]);
    }
}
