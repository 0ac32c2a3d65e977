//! From 16-bit sequence numbers to numbers without wraparound, each at most once (RFC 3550 A.1).

use super::ReceiveError;

/// How far back duplicates are told apart. As wide as the SRTP replay window, so nothing older gets here.
const WINDOW: u64 = 1024;

/// RFC 3550 A.1: a larger step forward is taken for a restart, and must be confirmed.
const STEP_MAX: u16 = 3000;

const WORDS: usize = (WINDOW / 64) as usize;

/// Which numbers have been seen, up to the highest.
#[derive(Debug)]
pub(super) struct SequenceWindow {
    highest: u64,
    seen: [u64; WORDS],
    /// RFC 3550 A.1 `bad_seq`: the number that would confirm a restart.
    expected_after_jump: Option<u16>,
}

/// A number that was not seen before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Admitted {
    /// The number without wraparound.
    pub(super) sequence: u64,
    /// By how much it is above the highest so far; 0 when it is below.
    pub(super) advance: u64,
    /// The source restarted: what is between is not a loss.
    pub(super) restarted: bool,
}

impl SequenceWindow {
    /// The first number is put one cycle up, so that earlier packets that arrive later have a place.
    pub(super) fn new(first: u16) -> Self {
        let mut window =
            Self { highest: u64::from(first) + 0x1_0000, seen: [0; WORDS], expected_after_jump: None };
        window.mark(window.highest);
        window
    }

    pub(super) fn highest(&self) -> u64 {
        self.highest
    }

    /// Takes a number from the stream itself.
    pub(super) fn admit(&mut self, number: u16) -> Result<Admitted, ReceiveError> {
        match self.place(number) {
            Place::Ahead(by) if by <= STEP_MAX => Ok(self.advance(u64::from(by), false)),
            Place::Behind(by) if u64::from(by) < WINDOW => self.fill(self.highest - u64::from(by)),
            Place::Ahead(_) | Place::Behind(_) => {
                // RFC 3550 A.1: two packets in a row at the new place are a restart of the source.
                if self.expected_after_jump == Some(number) {
                    let by = u64::from(number.wrapping_sub(self.highest as u16));
                    return Ok(self.advance(by, true));
                }
                self.expected_after_jump = Some(number.wrapping_add(1));
                Err(ReceiveError::SequenceJump)
            }
        }
    }

    /// Takes the original number of a retransmission; it never restarts the sequence.
    pub(super) fn admit_repaired(&mut self, number: u16) -> Result<Admitted, ReceiveError> {
        match self.place(number) {
            Place::Ahead(by) if by <= STEP_MAX => Ok(self.advance(u64::from(by), false)),
            Place::Behind(by) if u64::from(by) < WINDOW => self.fill(self.highest - u64::from(by)),
            Place::Ahead(_) | Place::Behind(_) => Err(ReceiveError::TooOld),
        }
    }

    fn place(&self, number: u16) -> Place {
        let ahead = number.wrapping_sub(self.highest as u16);
        if ahead != 0 && ahead < 0x8000 { Place::Ahead(ahead) } else { Place::Behind(ahead.wrapping_neg()) }
    }

    fn advance(&mut self, by: u64, restarted: bool) -> Admitted {
        if by >= WINDOW {
            self.seen = [0; WORDS];
        } else {
            for number in self.highest + 1..=self.highest + by {
                self.seen[word(number)] &= !bit(number);
            }
        }
        self.highest += by;
        self.mark(self.highest);
        self.expected_after_jump = None;
        Admitted { sequence: self.highest, advance: by, restarted }
    }

    fn fill(&mut self, sequence: u64) -> Result<Admitted, ReceiveError> {
        if self.seen[word(sequence)] & bit(sequence) != 0 {
            return Err(ReceiveError::Duplicate);
        }
        self.mark(sequence);
        Ok(Admitted { sequence, advance: 0, restarted: false })
    }

    fn mark(&mut self, sequence: u64) {
        self.seen[word(sequence)] |= bit(sequence);
    }
}

enum Place {
    Ahead(u16),
    Behind(u16),
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

    fn sequence(window: &mut SequenceWindow, number: u16) -> Result<u64, ReceiveError> {
        window.admit(number).map(|admitted| admitted.sequence)
    }

    #[test]
    fn numbers_go_on_over_the_wrap() {
        let mut window = SequenceWindow::new(65534);
        assert_eq!(sequence(&mut window, 65535), Ok(0x1_ffff));
        assert_eq!(sequence(&mut window, 1), Ok(0x2_0001));
        assert_eq!(sequence(&mut window, 0), Ok(0x2_0000));
        assert_eq!(sequence(&mut window, 65535), Err(ReceiveError::Duplicate));
    }

    #[test]
    fn packets_before_the_first_one_have_a_place() {
        let mut window = SequenceWindow::new(1);
        assert_eq!(sequence(&mut window, 65535), Ok(0xffff));
        assert_eq!(sequence(&mut window, 0), Ok(0x1_0000));
        assert_eq!(sequence(&mut window, 2), Ok(0x1_0002));
    }

    #[test]
    fn one_packet_far_away_changes_nothing_two_restart() {
        let mut window = SequenceWindow::new(100);
        assert_eq!(sequence(&mut window, 20_000), Err(ReceiveError::SequenceJump));
        assert_eq!(sequence(&mut window, 101), Ok(0x1_0000 + 101));
        assert_eq!(sequence(&mut window, 20_001), Err(ReceiveError::SequenceJump), "101 came between");
        let admitted = window.admit(20_002).expect("confirmed");
        assert_eq!(admitted, Admitted { sequence: 0x1_0000 + 20_002, advance: 19_901, restarted: true });
        // Backwards: numbers still grow.
        assert_eq!(sequence(&mut window, 500), Err(ReceiveError::SequenceJump));
        assert_eq!(sequence(&mut window, 501), Ok(0x2_0000 + 501));
    }

    #[test]
    fn retransmissions_never_restart() {
        let mut window = SequenceWindow::new(100);
        for number in [20_000, 20_001, 20_002] {
            assert_eq!(window.admit_repaired(number), Err(ReceiveError::TooOld));
        }
        assert_eq!(window.admit_repaired(99).map(|admitted| admitted.sequence), Ok(0x1_0000 + 99));
    }

    proptest! {
        #[test]
        fn the_true_number_is_found_once(start: u16, steps in proptest::collection::vec((1u64..40, 0u64..500), 1..300)) {
            let mut window = SequenceWindow::new(start);
            let base = u64::from(start) + 0x1_0000;
            let mut seen = HashSet::from([base]);
            let mut highest = base;
            for (step, back) in steps {
                highest += step;
                for truth in [highest, highest - back] {
                    let admitted = sequence(&mut window, truth as u16);
                    if seen.insert(truth) {
                        prop_assert_eq!(admitted, Ok(truth));
                    } else {
                        prop_assert_eq!(admitted, Err(ReceiveError::Duplicate));
                    }
                }
                prop_assert_eq!(window.highest(), highest);
            }
        }
    }
}
