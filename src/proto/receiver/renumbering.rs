//! Numbers for what is passed on: packets that carry only padding take none.
//!
//! Publishers probe the bandwidth with padding. It is of no use to subscribers, but leaving it out would look like a
//! loss, so all later numbers move down by one. A padding packet that arrives when a later packet was already passed
//! on has its number given out; it must then be passed on too, empty, to close that gap.

use std::collections::VecDeque;

/// Padding packets remembered, for packets that arrive after later padding. Bursts of probes are 5–20 packets.
const REMEMBERED_MAX: usize = 256;

/// The numbering of one source.
#[derive(Debug, Default)]
pub(super) struct Renumbering {
    /// Left out, ascending; the oldest are forgotten.
    left_out: VecDeque<u64>,
    /// How many were left out in all.
    total: u64,
    /// The highest that was passed on.
    passed_on: Option<u64>,
    /// Below this, the number of packets left out is no longer known.
    floor: u64,
}

impl Renumbering {
    /// The number under which to pass on a packet; `None` when it is too old to be told.
    pub(super) fn pass_on(&mut self, sequence: u64) -> Option<u64> {
        if sequence < self.floor {
            return None;
        }
        let above = match self.left_out.back() {
            Some(last) if *last > sequence => {
                self.left_out.len() - self.left_out.partition_point(|left_out| *left_out < sequence)
            }
            _ => 0,
        };
        self.passed_on = Some(self.passed_on.map_or(sequence, |highest| highest.max(sequence)));
        Some(sequence - (self.total - above as u64))
    }

    /// A padding packet arrived. True: left out; false: it must be passed on, as a later one was.
    pub(super) fn leave_out(&mut self, sequence: u64) -> bool {
        if self.passed_on.is_some_and(|highest| sequence < highest) {
            return false;
        }
        let at = self.left_out.partition_point(|left_out| *left_out < sequence);
        self.left_out.insert(at, sequence);
        self.total += 1;
        if self.left_out.len() > REMEMBERED_MAX
            && let Some(forgotten) = self.left_out.pop_front()
        {
            self.floor = forgotten;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn padding_leaves_no_gap() {
        let mut numbers = Renumbering::default();
        assert_eq!(numbers.pass_on(10), Some(10));
        assert!(numbers.leave_out(11));
        assert!(numbers.leave_out(12));
        assert_eq!(numbers.pass_on(13), Some(11));
        assert_eq!(numbers.pass_on(15), Some(13), "14 is a loss");
    }

    #[test]
    fn reordering_around_padding_is_kept_apart() {
        let mut numbers = Renumbering::default();
        assert_eq!(numbers.pass_on(10), Some(10));
        assert!(numbers.leave_out(13));
        assert!(numbers.leave_out(12), "padding, reordered among itself");
        assert_eq!(numbers.pass_on(11), Some(11), "before the padding, arrives after it");
        assert_eq!(numbers.pass_on(14), Some(12));
    }

    #[test]
    fn late_padding_fills_the_number_it_was_given() {
        let mut numbers = Renumbering::default();
        assert_eq!(numbers.pass_on(10), Some(10));
        assert_eq!(numbers.pass_on(12), Some(12));
        assert!(!numbers.leave_out(11));
        assert_eq!(numbers.pass_on(11), Some(11));
        assert_eq!(numbers.pass_on(13), Some(13));
    }

    #[test]
    fn what_is_forgotten_is_not_guessed() {
        let mut numbers = Renumbering::default();
        for sequence in 10..10 + 2 * REMEMBERED_MAX as u64 {
            assert!(numbers.leave_out(sequence));
        }
        assert_eq!(numbers.pass_on(9), None);
        assert_eq!(numbers.left_out.len(), REMEMBERED_MAX);
    }

    proptest! {
        /// Whatever the order of arrival: no number twice, order kept, and no gap once all have arrived.
        #[test]
        fn numbers_are_unique_ordered_and_without_gap(padding in proptest::collection::vec(any::<bool>(), 1..200),
                                                      keys in proptest::collection::vec(0usize..12, 200)) {
            let mut order: Vec<usize> = (0..padding.len()).collect();
            order.sort_by_key(|index| index + keys[*index]);
            let mut numbers = Renumbering::default();
            let mut given = Vec::new();
            for index in order {
                let sequence = 1000 + index as u64;
                if !padding[index] || !numbers.leave_out(sequence) {
                    given.push((sequence, numbers.pass_on(sequence).expect("not old")));
                }
            }
            given.sort_unstable();
            if let Some((_, first)) = given.first().copied() {
                let expected: Vec<u64> = (first..first + given.len() as u64).collect();
                prop_assert_eq!(given.iter().map(|(_, number)| *number).collect::<Vec<_>>(), expected);
            }
        }
    }
}
