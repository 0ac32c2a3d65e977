//! Consent freshness (RFC 7675 section 5.1): nothing is sent to a peer that has stopped answering.
//!
//! ```text
//!            answer                    answer
//!        ┌───────────┐             ┌───────────┐
//!        ▼           │             │           ▼
//!     granted ── 2 checks unanswered ──▶ in doubt ── 30 s since the last answer ──▶ expired
//! ```
//!
//! A lite agent sends no checks: there the peer's own authenticated checks renew the consent.

use std::time::{Duration, Instant};

use rand::Rng;

use super::config::Timings;

/// How many consent checks in a row may stay unanswered before the path is in doubt.
const DOUBTFUL_AFTER: u32 = 2;

/// The consent of one selected pair.
#[derive(Debug)]
pub(super) struct Consent {
    expires: Instant,
    /// `None` in a lite agent.
    next_check: Option<Instant>,
    /// Checks sent since the last answer.
    unanswered: u32,
    /// When the missing answers become a doubt.
    doubt_at: Option<Instant>,
    in_doubt: bool,
}

impl Consent {
    /// Consent of a full agent, granted by the answer that came at `granted`.
    pub(super) fn granted(granted: Instant, now: Instant, timings: &Timings, random: &mut impl Rng) -> Self {
        Self {
            expires: granted + timings.consent_lifetime,
            next_check: Some(now + randomised(timings.consent_interval, random)),
            unanswered: 0,
            doubt_at: None,
            in_doubt: false,
        }
    }

    /// Consent of a lite agent, granted by the peer's check.
    pub(super) fn observed(now: Instant, timings: &Timings) -> Self {
        let mut consent =
            Self { expires: now, next_check: None, unanswered: 0, doubt_at: None, in_doubt: false };
        consent.renew(now, timings);
        consent
    }

    /// A valid answer (or, in a lite agent, a valid check) has come.
    pub(super) fn renew(&mut self, now: Instant, timings: &Timings) {
        self.expires = now + timings.consent_lifetime;
        self.unanswered = 0;
        self.in_doubt = false;
        self.doubt_at = match self.next_check {
            Some(_) => None,
            // The peer checks every 4 to 6 s: two of its checks are missing.
            None => Some(now + timings.consent_interval.mul_f64(2.4) + timings.consent_response_wait),
        };
    }

    /// Whether it is time for the next check; if so, the one after it is scheduled.
    pub(super) fn take_check(&mut self, now: Instant, timings: &Timings, random: &mut impl Rng) -> bool {
        if self.next_check.is_none_or(|at| at > now) {
            return false;
        }
        self.next_check = Some(now + randomised(timings.consent_interval, random));
        self.unanswered += 1;
        if self.unanswered == DOUBTFUL_AFTER {
            self.doubt_at = Some(now + timings.consent_response_wait);
        }
        true
    }

    /// Notes a doubt that has become due.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.doubt_at.is_some_and(|at| at <= now) {
            self.doubt_at = None;
            self.in_doubt = true;
        }
    }

    /// There are reasons for a doubt besides missing answers. The next answer ends it.
    pub(super) fn doubt(&mut self) {
        self.doubt_at = None;
        self.in_doubt = true;
    }

    pub(super) fn is_in_doubt(&self) -> bool {
        self.in_doubt
    }

    pub(super) fn is_expired(&self, now: Instant) -> bool {
        self.expires <= now
    }

    pub(super) fn next_timeout(&self) -> Instant {
        [self.next_check, self.doubt_at].into_iter().flatten().fold(self.expires, Instant::min)
    }
}

/// RFC 7675 section 5.1: each interval is drawn anew from 0.8 to 1.2 times the mean, so that the checks
/// of many agents spread out.
fn randomised(mean: Duration, random: &mut impl Rng) -> Duration {
    mean.mul_f64(random.random_range(0.8..1.2))
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    /// Runs until expiry, answering the checks `answer` says; returns the times of checks and doubts.
    fn run(
        mut answer: impl FnMut(usize) -> bool,
        until: Duration,
    ) -> (Vec<Duration>, Option<Duration>, Option<Duration>) {
        let (timings, mut random) = (Timings::default(), StdRng::seed_from_u64(3));
        let start = Instant::now();
        let mut consent = Consent::granted(start, start, &timings, &mut random);
        let (mut checks, mut doubt) = (Vec::new(), None);
        loop {
            let now = consent.next_timeout();
            if now - start > until {
                return (checks, doubt, None);
            }
            if consent.is_expired(now) {
                return (checks, doubt, Some(now - start));
            }
            consent.handle_timeout(now);
            if consent.is_in_doubt() && doubt.is_none() {
                doubt = Some(now - start);
            }
            if consent.take_check(now, &timings, &mut random) {
                checks.push(now - start);
                if answer(checks.len()) {
                    consent.renew(now, &timings);
                }
            }
        }
    }

    #[test]
    fn checks_are_4_to_6_seconds_apart_and_never_regular() {
        let (checks, doubt, expired) = run(|_| true, Duration::from_secs(3_600));
        assert_eq!((doubt, expired), (None, None));
        let gaps: Vec<_> = checks.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.iter().all(|gap| (4_000..=6_000).contains(&gap.as_millis())), "{gaps:?}");
        assert!(gaps.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn silence_is_a_doubt_after_two_checks_and_ends_consent_after_30_seconds() {
        let (checks, doubt, expired) = run(|_| false, Duration::from_secs(60));
        assert_eq!(doubt, Some(checks[1] + Duration::from_secs(1)));
        assert_eq!(expired, Some(Duration::from_secs(30)));
    }

    #[test]
    fn one_lost_check_is_no_doubt() {
        let (_, doubt, expired) = run(|count| count % 2 == 0, Duration::from_secs(600));
        assert_eq!((doubt, expired), (None, None));
    }
}
