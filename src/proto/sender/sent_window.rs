//! Which sequence numbers were sent: none may be sent twice with different content (SRTP would use an index twice).

/// How far back a late packet is still sent. Receivers' SRTP replay windows are not wider.
const WINDOW: u64 = 1024;

/// The last sequence numbers sent.
#[derive(Debug)]
pub(super) struct SentWindow {
    /// One above the highest number sent.
    next: u64,
    /// Below this nothing is known: a sender before a restart may have sent it.
    floor: u64,
    sent: [u64; (WINDOW / 64) as usize],
}

impl SentWindow {
    /// Everything below `next` counts as sent.
    pub(super) fn new(next: u64) -> Self {
        Self { next, floor: next, sent: [0; (WINDOW / 64) as usize] }
    }

    /// True if this number may be sent: it is new, or late, in the window and not sent yet.
    pub(super) fn is_free(&self, sequence: u64) -> bool {
        sequence >= self.next
            || sequence >= self.floor
                && sequence + WINDOW >= self.next
                && self.sent[word(sequence)] & bit(sequence) == 0
    }

    /// Notes that the number is sent.
    pub(super) fn mark(&mut self, sequence: u64) {
        if sequence >= self.next {
            if sequence - self.next >= WINDOW {
                self.sent.fill(0);
            } else {
                for skipped in self.next..sequence {
                    self.sent[word(skipped)] &= !bit(skipped);
                }
            }
            self.next = sequence + 1;
        }
        self.sent[word(sequence)] |= bit(sequence);
    }
}

fn word(sequence: u64) -> usize {
    (sequence % WINDOW / 64) as usize
}

fn bit(sequence: u64) -> u64 {
    1 << (sequence % 64)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_number_is_free_twice(steps in proptest::collection::vec((0u64..1500, 0u64..1100), 1..300)) {
            let start = 0x1_0000;
            let mut window = SentWindow::new(start);
            let mut sent = HashSet::new();
            let mut highest = start;
            for (step, back) in steps {
                highest += if step < 1400 { step % 4 } else { step };
                for sequence in [highest, highest.saturating_sub(back)] {
                    let expected = !sent.contains(&sequence)
                        && sequence >= start
                        && sequence + WINDOW >= sent.iter().max().map_or(start, |max| max + 1);
                    prop_assert_eq!(window.is_free(sequence), expected, "{}", sequence);
                    if expected {
                        window.mark(sequence);
                        sent.insert(sequence);
                    }
                }
            }
        }
    }
}
