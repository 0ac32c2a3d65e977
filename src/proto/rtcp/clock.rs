//! NTP time for sender reports, from a monotonic clock and one anchor.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Seconds from the NTP epoch (1900) to the Unix epoch (1970).
const UNIX_OFFSET: u64 = 2_208_988_800;

/// An NTP timestamp: 32 bits of seconds, 32 bits of fraction (RFC 3550 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NtpTime(pub u64);

impl NtpTime {
    /// The middle 32 bits, as in LSR and DLSR.
    pub fn compact(self) -> u32 {
        (self.0 >> 16) as u32
    }
}

impl From<SystemTime> for NtpTime {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self((since.as_secs().wrapping_add(UNIX_OFFSET) << 32).wrapping_add(fraction(since)))
    }
}

/// The wall clock at one instant; the owner of the clock makes one per process and hands it in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockAnchor {
    /// The monotonic time ...
    pub instant: Instant,
    /// ... at which the wall clock showed this.
    pub ntp: NtpTime,
}

impl ClockAnchor {
    /// The NTP time of an instant before or after the anchor.
    pub fn ntp_at(&self, now: Instant) -> NtpTime {
        match now.checked_duration_since(self.instant) {
            Some(after) => NtpTime(self.ntp.0.wrapping_add(ntp_duration(after))),
            None => NtpTime(self.ntp.0.wrapping_sub(ntp_duration(self.instant - now))),
        }
    }

    /// The 24 bits (6.18 seconds) of the `abs-send-time` header extension.
    pub fn absolute_send_time_at(&self, now: Instant) -> u32 {
        (self.ntp_at(now).0 >> 14) as u32 & 0x00ff_ffff
    }
}

fn ntp_duration(duration: Duration) -> u64 {
    (duration.as_secs() << 32).wrapping_add(fraction(duration))
}

fn fraction(duration: Duration) -> u64 {
    // A division by a constant; the nanoseconds are below 2^30, so the shift fits.
    (u64::from(duration.subsec_nanos()) << 32) / 1_000_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_anchor_extends_both_ways() {
        let instant = Instant::now() + Duration::from_secs(10);
        let anchor = ClockAnchor { instant, ntp: NtpTime(100 << 32) };
        assert_eq!(anchor.ntp_at(instant), NtpTime(100 << 32));
        assert_eq!(anchor.ntp_at(instant + Duration::from_millis(1500)), NtpTime(101 << 32 | 1 << 31));
        assert_eq!(anchor.ntp_at(instant - Duration::from_millis(500)), NtpTime(99 << 32 | 1 << 31));
        // 6.18 bits: a quarter second is 2^16.
        assert_eq!(
            anchor.absolute_send_time_at(instant + Duration::from_millis(250)),
            (100 % 64) << 18 | 1 << 16
        );
    }

    #[test]
    fn ntp_counts_from_1900() {
        assert_eq!(NtpTime::from(UNIX_EPOCH).0 >> 32, UNIX_OFFSET);
        assert_eq!(NtpTime(0x1234_5678_9abc_def0).compact(), 0x5678_9abc);
    }
}
