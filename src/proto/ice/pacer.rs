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

/// A slot may be taken so much late before those behind it move: then three or four wait at the door, and no turn is
/// lost to a timer that is late, as one of a busy thread is by a millisecond or several.
const SLACK: Duration = Duration::from_millis(15);

/// Shared by everything that starts STUN transactions.
#[derive(Debug)]
pub struct Pacer {
    interval: Duration,
    queue: Mutex<Queue>,
}

/// Slots are counted from an origin that moves: whoever is later than [`SLACK`] moves it, and with it everybody behind,
/// so that those do not all come when only one of them can have its turn.
#[derive(Debug, Default)]
struct Queue {
    origin: Option<Instant>,
    /// The first slot that is free.
    next: Duration,
    /// When the last transaction started.
    taken: Option<Instant>,
}

impl Queue {
    /// An instant that lies further ahead than any slot is of a clock that has jumped.
    fn is_ahead(instant: Instant, now: Instant) -> bool {
        instant > now && instant - now <= MAX_AHEAD
    }
}

/// A place in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot(Duration);

impl Pacer {
    /// The least time between two transactions (RFC 8445 section 14.2).
    pub const MIN_INTERVAL: Duration = Duration::from_millis(5);

    /// A pacer that keeps transactions [`Pacer::MIN_INTERVAL`] apart.
    pub fn new() -> Self {
        Self { interval: Self::MIN_INTERVAL, queue: Mutex::default() }
    }

    /// The next free slot, which is the caller's, and when its time comes; one that is not taken is lost.
    pub fn reserve(&self, now: Instant) -> (Slot, Instant) {
        let mut queue = self.queue.lock();
        let origin = match queue.origin {
            Some(origin) if origin <= now || Queue::is_ahead(origin, now) => origin,
            _ => {
                (queue.origin, queue.next) = (Some(now), Duration::ZERO);
                now
            }
        };
        let time = origin + queue.next;
        let slot =
            if Queue::is_ahead(time, now) { queue.next } else { now.saturating_duration_since(origin) };
        queue.next = slot + self.interval;
        (Slot(slot), origin + slot)
    }

    /// Takes a slot whose time has come.
    ///
    /// # Errors
    /// When to try again: those before have taken longer, or one was quicker.
    pub fn take(&self, slot: Slot, now: Instant) -> Result<(), Instant> {
        let mut queue = self.queue.lock();
        let origin = queue.origin.unwrap_or(now);
        let time = origin + slot.0;
        if Queue::is_ahead(time, now) {
            return Err(time);
        }
        match queue.taken.map(|taken| taken + self.interval) {
            Some(free) if free > now && free - now <= self.interval => Err(free),
            _ => {
                queue.taken = Some(now);
                // One that is taken very late was forgotten meanwhile, and must not hold up everybody.
                let late = now.saturating_duration_since(time).saturating_sub(SLACK).min(SLACK);
                queue.origin = Some(origin + late);
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
    slot: Option<Slot>,
}

impl Turn {
    /// Whether a transaction may start now; if not, when to ask again.
    pub(super) fn take(&mut self, pacer: Option<&Pacer>, now: Instant) -> Result<(), Instant> {
        let Some(pacer) = pacer else { return Ok(()) };
        let slot = match self.slot {
            Some(slot) => slot,
            None => {
                let (slot, time) = pacer.reserve(now);
                self.slot = Some(slot);
                if time > now {
                    return Err(time);
                }
                slot
            }
        };
        pacer.take(slot, now)?;
        self.slot = None;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Pacer::MIN_INTERVAL;

    /// Takes a slot at the moment of its reservation.
    fn take(pacer: &Pacer, now: Instant) -> Result<(), Instant> {
        let (slot, time) = pacer.reserve(now);
        if time > now { Err(time) } else { pacer.take(slot, now) }
    }

    #[test]
    fn slots_are_5_ms_apart_and_never_in_the_past() {
        let (pacer, start) = (Pacer::new(), Instant::now());
        let slots: Vec<_> = (0..4).map(|_| (pacer.reserve(start).1 - start).as_millis()).collect();
        assert_eq!(slots, [0, 5, 10, 15]);
        let later = start + Duration::from_secs(60);
        assert_eq!(pacer.reserve(later).1, later);
    }

    #[test]
    fn late_timers_do_not_bring_transactions_together() {
        let (pacer, start) = (Pacer::new(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        let slots = [(); 3].map(|()| pacer.reserve(start).0);
        assert_eq!(pacer.take(slots[0], at(4)), Ok(()));
        assert_eq!(pacer.take(slots[1], at(5)), Err(at(9)));
        assert_eq!(pacer.take(slots[1], at(9)), Ok(()));
        assert_eq!(pacer.take(slots[2], at(10)), Err(at(14)));
    }

    #[test]
    fn a_transaction_that_is_very_late_delays_those_behind_it() {
        let (pacer, start) = (Pacer::new(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        let slots = [(); 10].map(|()| pacer.reserve(start).0);
        assert_eq!(pacer.take(slots[0], at(20)), Ok(()));
        let waits = slots.map(|slot| pacer.take(slot, at(20)).unwrap_err());
        let expected: Vec<_> = (0..10).map(|index| at((5 * index + 5).max(25))).collect();
        assert_eq!(waits[1..], expected[1..]);
    }

    #[test]
    fn a_clock_that_was_ahead_delays_nobody() {
        let (pacer, start) = (Pacer::new(), Instant::now());
        assert_eq!(take(&pacer, start + Duration::from_secs(3_600)), Ok(()));
        assert_eq!(take(&pacer, start), Ok(()));
    }

    /// A thread whose timers are late by anything up to 30 ms, and come in any order: whoever waits asks a few
    /// times, not at every turn of the others, and none is passed over.
    #[test]
    fn a_crowd_with_late_timers_is_served_in_5_ms_each_without_asking_again_and_again() {
        use rand::{Rng, SeedableRng, rngs::StdRng};
        const CROWD: usize = 500;
        for seed in 0..20 {
            let mut random = StdRng::seed_from_u64(seed);
            let (pacer, start) = (Pacer::new(), Instant::now());
            let mut turns: Vec<_> = (0..CROWD).map(|_| (start, Turn::default())).collect();
            let (mut now, mut asked, mut served) = (start, 0, Vec::new());
            while !turns.is_empty() {
                now += Duration::from_micros(
                    random.random_range(100..if served.len() % 50 == 0 { 30_000 } else { 2_000 }),
                );
                let mut due = Vec::new();
                turns.retain_mut(|(at, turn)| {
                    let is_due = *at <= now;
                    if is_due {
                        due.push(std::mem::take(turn));
                    }
                    !is_due
                });
                while !due.is_empty() {
                    let mut turn = due.swap_remove(random.random_range(0..due.len()));
                    asked += 1;
                    match turn.take(Some(&pacer), now) {
                        Ok(()) => served.push(now),
                        Err(at) => turns.push((at, turn)),
                    }
                }
            }
            assert!(served.windows(2).all(|pair| pair[1] - pair[0] >= INTERVAL), "seed {seed}");
            let mean = (now - start) / CROWD as u32;
            assert!(mean < INTERVAL * 3 / 2, "seed {seed}: {mean:?} each");
            assert!(asked < 12 * CROWD, "seed {seed}: asked {asked} times");
        }
    }
}
