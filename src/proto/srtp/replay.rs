//! Packet indices: the guess of RFC 3711 §3.3.1 and the replay window of §3.3.2.
//!
//! The same window guards both directions: a receiver takes an index once, a sender encrypts it once.
//! `check` never changes anything; `mark` is for after the tag was checked (or made).

/// Packets that may arrive late. RFC 3711 asks for at least 64; a 1080p stream at 20 Mbit/s passes 64
/// packets in 30 ms, less than one retransmission takes.
pub(super) const WINDOW_PACKETS: u64 = 1024;
const WORDS: usize = (WINDOW_PACKETS / 64) as usize;
/// An RTP index is 32 bits of roll-over counter and 16 bits of sequence number.
pub(super) const MAXIMUM_RTP_INDEX: u64 = (1 << 48) - 1;

/// Where an index stands relative to what was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Freshness {
    Fresh,
    Seen,
    TooOld,
}

/// The highest index so far and a bit for each of the last [`WINDOW_PACKETS`].
#[derive(Debug, Clone)]
pub(super) struct ReplayWindow {
    highest: Option<u64>,
    /// Bit `index % WINDOW_PACKETS`: a ring, so advancing clears instead of shifting.
    seen: [u64; WORDS],
}

impl ReplayWindow {
    pub(super) fn new() -> Self {
        Self { highest: None, seen: [0; WORDS] }
    }

    /// RFC 3711 §3.3.1: the index whose low 16 bits are `sequence_number` and that is nearest to the
    /// highest one so far. `None`: it would lie before the first or behind the last index.
    pub(super) fn guess_rtp_index(&self, sequence_number: u16) -> Option<u64> {
        let Some(highest) = self.highest else {
            return Some(u64::from(sequence_number));
        };
        // The signed 16-bit distance is what the RFC's case distinction comes to, except that exactly
        // half a circle away always counts as the past.
        let distance = sequence_number.wrapping_sub(highest as u16) as i16;
        let index = highest.checked_add_signed(i64::from(distance))?;
        (index <= MAXIMUM_RTP_INDEX).then_some(index)
    }

    /// Whether the next roll-over would go beyond the last index.
    pub(super) fn is_used_up(&self) -> bool {
        self.highest.is_some_and(|highest| highest >> 16 == MAXIMUM_RTP_INDEX >> 16)
    }

    pub(super) fn check(&self, index: u64) -> Freshness {
        let Some(highest) = self.highest else {
            return Freshness::Fresh;
        };
        if index > highest {
            Freshness::Fresh
        } else if highest - index >= WINDOW_PACKETS {
            Freshness::TooOld
        } else if self.seen[word(index)] & bit(index) != 0 {
            Freshness::Seen
        } else {
            Freshness::Fresh
        }
    }

    /// Records an index that `check` called fresh.
    pub(super) fn mark(&mut self, index: u64) {
        match self.highest {
            Some(highest) if index <= highest => {}
            Some(highest) => {
                self.forget(highest + 1, index);
                self.highest = Some(index);
            }
            None => self.highest = Some(index),
        }
        self.seen[word(index)] |= bit(index);
    }

    /// Clears the bits of the indices `from..=to`, which the ring still has from long ago.
    fn forget(&mut self, from: u64, to: u64) {
        if to - from >= WINDOW_PACKETS - 1 {
            self.seen = [0; WORDS];
            return;
        }
        for index in from..=to {
            self.seen[word(index)] &= !bit(index);
        }
    }
}

fn word(index: u64) -> usize {
    ((index % WINDOW_PACKETS) / 64) as usize
}

fn bit(index: u64) -> u64 {
    1 << (index % 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window_at(highest: u64) -> ReplayWindow {
        let mut window = ReplayWindow::new();
        window.mark(highest);
        window
    }

    #[test]
    fn first_packet_has_roll_over_counter_zero_wherever_it_starts() {
        assert_eq!(ReplayWindow::new().guess_rtp_index(65_530), Some(65_530));
        assert_eq!(ReplayWindow::new().guess_rtp_index(3), Some(3));
    }

    #[test]
    fn guess_crosses_the_roll_over_in_both_directions() {
        assert_eq!(window_at(65_535).guess_rtp_index(0), Some(65_536));
        assert_eq!(window_at(65_536).guess_rtp_index(65_535), Some(65_535));
        assert_eq!(window_at(3 << 16).guess_rtp_index(65_000), Some((2 << 16) + 65_000));
    }

    #[test]
    fn there_is_nothing_before_index_zero_and_nothing_after_the_last() {
        assert_eq!(window_at(5).guess_rtp_index(65_535), None);
        assert_eq!(window_at(MAXIMUM_RTP_INDEX).guess_rtp_index(0), None);
    }

    #[test]
    fn window_takes_each_index_once_and_nothing_older_than_itself() {
        let mut window = window_at(10_000);
        assert_eq!(window.check(10_000), Freshness::Seen);
        assert_eq!(window.check(10_000 - WINDOW_PACKETS), Freshness::TooOld);
        let oldest = 10_000 - WINDOW_PACKETS + 1;
        assert_eq!(window.check(oldest), Freshness::Fresh);
        window.mark(oldest);
        assert_eq!(window.check(oldest), Freshness::Seen);
        window.mark(10_001);
        assert_eq!(window.check(oldest), Freshness::TooOld);
        assert_eq!(window.check(10_000), Freshness::Seen);
    }

    #[test]
    fn window_agrees_with_a_set_over_random_walks() {
        use rand::{Rng, SeedableRng};
        for seed in 0..20u64 {
            let mut random = rand::rngs::StdRng::seed_from_u64(seed);
            let mut window = ReplayWindow::new();
            let mut seen = std::collections::HashSet::new();
            let mut highest: Option<u64> = None;
            let mut base = 100_000u64;
            for _ in 0..5_000 {
                base += random.random_range(0..4) * if random.random_bool(0.01) { 700 } else { 1 };
                let index = base - random.random_range(0..1_200);
                let expected = match highest {
                    Some(highest) if index <= highest && highest - index >= WINDOW_PACKETS => {
                        Freshness::TooOld
                    }
                    _ if seen.contains(&index) => Freshness::Seen,
                    _ => Freshness::Fresh,
                };
                assert_eq!(window.check(index), expected, "seed {seed}, index {index}");
                if expected == Freshness::Fresh {
                    window.mark(index);
                    seen.insert(index);
                    highest = highest.max(Some(index));
                }
            }
        }
    }
}
