//! The window that tells a packet from its replay (RFC 3711 §3.3.2, RFC 6347 §4.1.2.6).
//!
//! The same window guards both directions: a receiver takes an index once, a sender encrypts it once.
//! `check` never changes anything; `mark` is for after the tag was checked (or made).

/// Packets that may arrive late. Both RFCs ask for at least 64; a 1080p stream at 20 Mbit/s passes 64
/// packets in 30 ms, less than one retransmission takes.
pub(super) const WINDOW_PACKETS: u64 = 1024;
const WORDS: usize = (WINDOW_PACKETS / 64) as usize;

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

    /// The highest index that was marked.
    pub(super) fn highest(&self) -> Option<u64> {
        self.highest
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
