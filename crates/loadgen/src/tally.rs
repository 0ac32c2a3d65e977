//! What a subscriber counts.

/// Delays up to this many microseconds have a bucket of their own width of 1/16 of their power of two.
const OCTAVES: usize = 32;
const STEPS: usize = 16;

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
    fn record(&mut self, microseconds: u64) {
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

    fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += theirs;
        }
        self.max = self.max.max(other.max);
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

/// What arrived.
#[derive(Clone, Default)]
pub(crate) struct Tally {
    /// Packets with the right content.
    pub(crate) received: u64,
    /// Packets whose number was lower than one before.
    pub(crate) out_of_order: u64,
    /// Packets whose content was not what was sent.
    pub(crate) damaged: u64,
    /// Numbers that were passed over.
    pub(crate) missing: u64,
    /// From publisher to subscriber.
    pub(crate) delays: Delays,
    last: Option<u64>,
}

impl Tally {
    /// Counts packet `number`, which took so long.
    pub(crate) fn arrived(&mut self, number: u64, microseconds: u64) {
        self.received += 1;
        self.delays.record(microseconds);
        match self.last {
            Some(last) if number <= last => {
                self.out_of_order += 1;
                self.missing = self.missing.saturating_sub(1);
                return;
            }
            Some(last) => self.missing += number - last - 1,
            None => {}
        }
        self.last = Some(number);
    }

    /// Starts counting anew without forgetting which number came last.
    pub(crate) fn reset(&mut self) {
        *self = Self { last: self.last, ..Self::default() };
    }

    /// Adds another subscriber's counts.
    pub(crate) fn add(&mut self, other: &Self) {
        self.received += other.received;
        self.out_of_order += other.out_of_order;
        self.damaged += other.damaged;
        self.missing += other.missing;
        self.delays.add(&other.delays);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_count_as_missing_until_they_are_filled() {
        let mut tally = Tally::default();
        for number in [5, 6, 9, 7, 10] {
            tally.arrived(number, 100);
        }
        assert_eq!((tally.received, tally.missing, tally.out_of_order), (5, 1, 1));
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
