//! A token bucket: so many messages, or bytes, per second on average, more for a moment.

use std::time::Instant;

/// Seconds' worth that may come at once: all candidates of a host with many addresses, say.
const BURST_SECONDS: u32 = 4;

/// Counts the messages, or bytes, of one client.
#[derive(Debug)]
pub(crate) struct RateLimit {
    per_second: f64,
    capacity: f64,
    tokens: f64,
    filled: Instant,
}

impl RateLimit {
    pub(crate) fn new(now: Instant, per_second: u32) -> Self {
        let capacity = f64::from(per_second.saturating_mul(BURST_SECONDS));
        Self { per_second: f64::from(per_second), capacity, tokens: capacity, filled: now }
    }

    /// With room for so many at once, however few come per second.
    pub(crate) fn with_room_for(mut self, amount: usize) -> Self {
        self.capacity = self.capacity.max(amount as f64);
        self.tokens = self.capacity;
        self
    }

    /// Whether one more message is within the limit; if so, it is counted.
    pub(crate) fn allow(&mut self, now: Instant) -> bool {
        self.take(now, 1)
    }

    /// Whether so many more bytes are within the limit; if so, they are counted.
    pub(crate) fn take(&mut self, now: Instant, amount: usize) -> bool {
        let amount = amount as f64;
        let elapsed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.filled = now;
        self.tokens = (self.tokens + elapsed * self.per_second).min(self.capacity);
        if self.tokens < amount {
            return false;
        }
        self.tokens -= amount;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_passes_a_flood_does_not_and_time_heals() {
        let start = Instant::now();
        let mut limit = RateLimit::new(start, 10);
        assert!((0..40).all(|_| limit.allow(start)));
        assert!(!limit.allow(start));
        let later = start + Duration::from_millis(250);
        assert!(limit.allow(later) && limit.allow(later) && !limit.allow(later));
        let much_later = start + Duration::from_secs(60);
        assert_eq!((0..100).filter(|_| limit.allow(much_later)).count(), 40);
    }
}
