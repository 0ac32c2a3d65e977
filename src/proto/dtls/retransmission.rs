//! When a flight is sent again (RFC 6347 §4.2.4), by the time that is passed in.
//!
//! OpenSSL allows twelve expiries per flight and one is needed to read the answer, so eleven
//! retransmissions are spread over the handshake's 30 s. Growing by half instead of doubling puts seven
//! of them into the first 3.3 s, where they help: at 0.10 0.25 0.48 0.81 1.3 2.1 3.2 4.9 7.5 11.3 17.1 s.
//! The RFC's initial second is for networks of unknown delay; ICE has just measured this one.
//!
//! From the third on the network is known to be bad, and each is followed, half-way to the next, by a
//! copy of the same bytes. A copy reaches a peer that missed the original, and costs no expiry. It can't
//! replace retransmission: a peer that has the original drops it as a replay, and so isn't reminded that
//! its own answer may be lost. When the eleven are used, copies go on.

use std::time::{Duration, Instant};

use super::openssl_timer::MAXIMUM_EXPIRIES;

const INITIAL_INTERVAL: Duration = Duration::from_millis(100);
/// Retransmissions without a copy.
const EXPIRIES_BEFORE_COPIES: u32 = 3;
/// Between copies once OpenSSL can retransmit no more.
const LAST_INTERVAL: Duration = Duration::from_secs(2);

/// How the flight is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// By OpenSSL, with new record sequence numbers.
    Retransmit,
    /// The same bytes.
    Copy,
}

/// The schedule of the flight in the air, and OpenSSL's count of its expiries.
#[derive(Debug, Default)]
pub(super) struct Retransmission {
    next: Option<(Instant, Step)>,
    interval: Duration,
    expiries: u32,
}

impl Retransmission {
    /// A new flight was sent: OpenSSL's count starts over, and so does the schedule.
    pub(super) fn start(&mut self, now: Instant) {
        let next = Some((now + INITIAL_INTERVAL, Step::Retransmit));
        *self = Self { next, interval: INITIAL_INTERVAL, expiries: 0 };
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.next.map(|(at, _)| at)
    }

    /// What is due, if anything. The step after it is scheduled.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Step> {
        let (_, step) = self.next.filter(|(at, _)| *at <= now)?;
        let expiries = self.expiries + u32::from(step == Step::Retransmit);
        // The last expiry is kept for reading the answer.
        let exhausted = expiries + 1 >= MAXIMUM_EXPIRIES;
        self.next = Some(match step {
            _ if exhausted => (now + LAST_INTERVAL, Step::Copy),
            Step::Copy => (now + self.interval / 2, Step::Retransmit),
            Step::Retransmit => {
                self.interval = self.interval * 3 / 2;
                if expiries >= EXPIRIES_BEFORE_COPIES {
                    (now + self.interval / 2, Step::Copy)
                } else {
                    (now + self.interval, Step::Retransmit)
                }
            }
        });
        Some(step)
    }

    /// OpenSSL counted an expiry.
    pub(super) fn count_expiry(&mut self) {
        self.expiries += 1;
    }

    /// Whether the peer's answer can still be read.
    pub(super) fn can_expire(&self) -> bool {
        self.expiries < MAXIMUM_EXPIRIES
    }

    /// Whether a flight is in the air.
    pub(super) fn is_running(&self) -> bool {
        self.next.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Milliseconds after the start, and the step, of everything within 30 s.
    fn schedule() -> Vec<(u128, Step)> {
        let start = Instant::now();
        let mut retransmission = Retransmission::default();
        retransmission.start(start);
        let mut steps = Vec::new();
        while let Some(now) = retransmission.next().filter(|now| *now - start < Duration::from_secs(30)) {
            let step = retransmission.take_due(now).unwrap();
            if step == Step::Retransmit {
                retransmission.count_expiry();
            }
            steps.push(((now - start).as_millis(), step));
        }
        steps
    }

    #[test]
    fn eleven_retransmissions_grow_by_half_and_leave_one_expiry() {
        let times: Vec<_> =
            schedule().into_iter().filter(|(_, step)| *step == Step::Retransmit).map(|(at, _)| at).collect();
        assert_eq!(times, [100, 250, 475, 812, 1318, 2078, 3217, 4925, 7488, 11_333, 17_099]);
        assert_eq!(times.len() as u32, MAXIMUM_EXPIRIES - 1);
    }

    #[test]
    fn copies_fill_the_gaps_and_the_end() {
        let times: Vec<_> =
            schedule().into_iter().filter(|(_, step)| *step == Step::Copy).map(|(at, _)| at).collect();
        assert_eq!(
            times,
            [643, 1065, 1698, 2647, 4071, 6207, 9410, 14_216, 19_099, 21_099, 23_099, 25_099, 27_099, 29_099]
        );
    }
}
