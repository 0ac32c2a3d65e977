//! Finds out that a client is gone although its TCP connection says nothing.

use std::time::{Duration, Instant};

/// Pings per idle time: one that is lost is no proof.
const PINGS_PER_TIMEOUT: u32 = 3;

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    Ping,
    /// Nothing came for too long.
    Dead,
}

/// When something came last, and when to ask next.
#[derive(Debug)]
pub(super) struct Keepalive {
    timeout: Duration,
    heard: Instant,
    next_ping: Instant,
}

impl Keepalive {
    pub(super) fn new(now: Instant, timeout: Duration) -> Self {
        Self { timeout, heard: now, next_ping: now + timeout / PINGS_PER_TIMEOUT }
    }

    /// Something came, whatever it was.
    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = now;
    }

    pub(super) fn deadline(&self) -> Instant {
        self.next_ping.min(self.heard + self.timeout)
    }

    pub(super) fn due(&mut self, now: Instant) -> Due {
        if now >= self.heard + self.timeout {
            return Due::Dead;
        }
        if now < self.next_ping {
            return Due::Nothing;
        }
        self.next_ping = now + self.timeout / PINGS_PER_TIMEOUT;
        Due::Ping
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_client_is_asked_and_then_given_up() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut keepalive = Keepalive::new(start, Duration::from_secs(30));
        assert_eq!(keepalive.due(at(5)), Due::Nothing);
        assert_eq!(keepalive.deadline(), at(10));
        assert_eq!(keepalive.due(at(10)), Due::Ping);
        assert_eq!(keepalive.due(at(20)), Due::Ping);
        keepalive.heard(at(21));
        assert_eq!(keepalive.due(at(30)), Due::Ping);
        assert_eq!(keepalive.due(at(51)), Due::Dead);
    }
}
