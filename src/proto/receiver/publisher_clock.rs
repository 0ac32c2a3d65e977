//! The publisher's clock, from its sender reports (RFC 3550 §6.4.1).
//!
//! A report says which RTP timestamp belongs to which NTP time of the publisher. Audio and video of one publisher share
//! that NTP clock, so translating it to the local clock by the fastest report keeps them in step for subscribers.

use std::time::{Duration, Instant};

use crate::proto::rtcp::NtpTime;
use crate::proto::rtp::ClockReference;

/// A report that is off by more belongs to a clock that was set anew.
const STEP_MAX: Duration = Duration::from_secs(5);

/// The publisher's clock.
#[derive(Debug, Default)]
pub(super) struct PublisherClock {
    /// An NTP time and the local time that belongs to it: the report that took the shortest way.
    base: Option<(NtpTime, Instant)>,
    reference: Option<ClockReference>,
}

impl PublisherClock {
    pub(super) fn sender_report(&mut self, now: Instant, ntp: NtpTime, timestamp: u32) {
        let expected = self.base.and_then(|(base, at)| translate(base, at, ntp));
        let instant = match expected {
            Some(expected) if expected <= now && now - expected <= STEP_MAX => expected,
            // This one was faster, or the clock was set anew.
            _ => {
                self.base = Some((ntp, now));
                now
            }
        };
        self.reference = Some(ClockReference { instant, timestamp });
    }

    /// The last report in local time.
    pub(super) fn reference(&self) -> Option<ClockReference> {
        self.reference
    }
}

/// The local time of an NTP time, given that of another; `None` out of range.
fn translate(base: NtpTime, at: Instant, ntp: NtpTime) -> Option<Instant> {
    let difference = ntp.0.wrapping_sub(base.0) as i64;
    let magnitude = difference.unsigned_abs();
    let nanoseconds = (magnitude & 0xffff_ffff) * 1_000_000_000 >> 32;
    let duration = Duration::new(magnitude >> 32, nanoseconds as u32);
    if difference < 0 { at.checked_sub(duration) } else { at.checked_add(duration) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ntp(milliseconds: u64) -> NtpTime {
        NtpTime((5000 << 32) + (milliseconds << 32) / 1000)
    }

    fn after(start: Instant, clock: &PublisherClock) -> i64 {
        let instant = clock.reference().expect("a report came").instant;
        let microseconds = match instant.checked_duration_since(start) {
            Some(after) => after.as_micros() as i64,
            None => -((start - instant).as_micros() as i64),
        };
        (microseconds + 500).div_euclid(1000)
    }

    #[test]
    fn the_fastest_report_sets_the_relation() {
        let start = Instant::now();
        let mut clock = PublisherClock::default();
        assert_eq!(clock.reference(), None);
        // Sent at 0, 1000, 2000 and 3000; under way for 50, 90, 20 and 60 ms.
        for (sent, under_way, expected) in [(0, 50, 50), (1000, 90, 1050), (2000, 20, 2020), (3000, 60, 3020)]
        {
            clock.sender_report(start + Duration::from_millis(sent + under_way), ntp(sent), 7);
            assert_eq!(after(start, &clock), expected);
        }
    }

    #[test]
    fn a_clock_that_was_set_anew_is_followed() {
        let start = Instant::now();
        let mut clock = PublisherClock::default();
        clock.sender_report(start, ntp(1_000_000), 7);
        for wild in [ntp(0), NtpTime(0), NtpTime(u64::MAX), NtpTime(1 << 63), ntp(2_000_000)] {
            clock.sender_report(start + Duration::from_secs(1), wild, 7);
            assert_eq!(after(start, &clock), 1000);
        }
    }
}
