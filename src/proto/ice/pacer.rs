//! The pacing that all agents of a process share (RFC 8445 section 14.2): however many agents there are,
//! new transactions start at least 5 ms apart.
//!
//! An agent that wants to start one reserves a slot, waits for it, and takes it. Reserving gives everybody a
//! turn without waking all at each; taking makes sure of the distance when timers are late.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Slots reserved further ahead than this are forgotten: either the clock has jumped, or thousands of agents
/// start at once, and then it matters little who goes first.
const MAX_AHEAD: Duration = Duration::from_secs(10);

/// Shared by everything that starts STUN transactions.
#[derive(Debug)]
pub struct Pacer {
    interval: Duration,
    slots: Mutex<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    next: Option<Instant>,
    taken: Option<Instant>,
}

impl Pacer {
    /// The least time between two transactions (RFC 8445 section 14.2).
    pub const MIN_INTERVAL: Duration = Duration::from_millis(5);

    /// A pacer that keeps transactions [`Pacer::MIN_INTERVAL`] apart.
    pub fn new() -> Self {
        Self { interval: Self::MIN_INTERVAL, slots: Mutex::default() }
    }

    /// The next free slot, not before `now`. It is the caller's; one that is not taken is lost.
    pub fn reserve(&self, now: Instant) -> Instant {
        let mut slots = self.slots.lock();
        let slot = match slots.next {
            Some(next) if next > now && next - now <= MAX_AHEAD => next,
            _ => now,
        };
        slots.next = Some(slot + self.interval);
        slot
    }

    /// Takes a slot whose time has come.
    ///
    /// # Errors
    /// When to try again, because another was taken too recently.
    pub fn take(&self, now: Instant) -> Result<(), Instant> {
        let mut slots = self.slots.lock();
        let free = slots.taken.map(|taken| taken + self.interval);
        match free {
            Some(free) if free > now && free - now <= self.interval => Err(free),
            _ => {
                slots.taken = Some(now);
                Ok(())
            }
        }
    }
}

impl Default for Pacer {
    fn default() -> Self {
        Self::new()
    }
}

/// One user's place in the queue.
#[derive(Debug, Default)]
pub(super) struct Turn {
    has_slot: bool,
}

impl Turn {
    /// Whether a transaction may start now; if not, when to ask again.
    pub(super) fn take(&mut self, pacer: Option<&Pacer>, now: Instant) -> Result<(), Instant> {
        let Some(pacer) = pacer else { return Ok(()) };
        if !self.has_slot {
            let slot = pacer.reserve(now);
            self.has_slot = true;
            if slot > now {
                return Err(slot);
            }
        }
        pacer.take(now)?;
        self.has_slot = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_5_ms_apart_and_never_in_the_past() {
        let (pacer, start) = (Pacer::new(), Instant::now());
        let slots: Vec<_> = (0..4).map(|_| (pacer.reserve(start) - start).as_millis()).collect();
        assert_eq!(slots, [0, 5, 10, 15]);
        let later = start + Duration::from_secs(60);
        assert_eq!(pacer.reserve(later), later);
    }

    #[test]
    fn late_timers_do_not_bring_transactions_together() {
        let (pacer, start) = (Pacer::new(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(pacer.take(at(4)), Ok(()));
        assert_eq!(pacer.take(at(5)), Err(at(9)));
        assert_eq!(pacer.take(at(9)), Ok(()));
    }

    #[test]
    fn a_clock_that_was_ahead_delays_nobody() {
        let (pacer, start) = (Pacer::new(), Instant::now());
        pacer.reserve(start + Duration::from_secs(3_600));
        assert_eq!(pacer.take(start + Duration::from_secs(3_600)), Ok(()));
        assert_eq!(pacer.reserve(start), start);
        assert_eq!(pacer.take(start), Ok(()));
    }
}
