//! When a flight is sent again (RFC 6347 §4.2.4), by the time that is passed in.
//!
//! OpenSSL allows twelve expiries per flight and one is needed to read the answer, so eleven
//! retransmissions are spread over the handshake's 30 s. Growing by half instead of doubling puts seven
//! of them into the first 3.3 s, where they help: at 0.10 0.25 0.48 0.81 1.3 2.1 3.2 4.9 7.5 11.3 17.1 s.
//! The RFC's initial second is for networks of unknown delay; ICE has just measured this one.

use std::time::{Duration, Instant};

use super::openssl_timer::MAXIMUM_EXPIRIES;

const INITIAL_INTERVAL: Duration = Duration::from_millis(100);

/// The schedule of the flight in the air, and OpenSSL's count of its expiries.
#[derive(Debug, Default)]
pub(super) struct Retransmission {
    next: Option<Instant>,
    interval: Duration,
    expiries: u32,
}

impl Retransmission {
    /// A new flight was sent: OpenSSL's count starts over, and so does the schedule.
    pub(super) fn start(&mut self, now: Instant) {
        *self = Self { next: Some(now + INITIAL_INTERVAL), interval: INITIAL_INTERVAL, expiries: 0 };
    }

    pub(super) fn stop(&mut self) {
        *self = Self::default();
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.next
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.next.is_some_and(|next| next <= now)
    }

    /// The flight was sent again, or could not be; either way the next try is later.
    pub(super) fn again(&mut self, now: Instant) {
        self.interval = self.interval * 3 / 2;
        // The last expiry is kept for reading the answer.
        self.next = (self.expiries + 1 < MAXIMUM_EXPIRIES).then(|| now + self.interval);
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
        self.interval > Duration::ZERO
    }
}
