//! The belt of a thread: one task that runs what many actors do with bulk, one after the other.
//!
//! A turn of an actor as a task of its own passes the scheduler, its guard, its mailbox and its driver, each with state
//! that nobody has touched since the last time. For a subscriber's share of a frame that costs as much as encrypting
//! it. The belt goes straight to the [station](super::station) that was rung for.
//!
//! Order: what a station rings for has its turn right after it, while what it was given is in the cache. Of those that
//! wait otherwise, the ones that feed the same destination run one after the other, so that their packets leave in one call;
//! else it is first come first served. Who rings meanwhile waits until all of them have had their turn. After
//! [`TURNS_MAX`] turns the rest of the thread has its own: two stations that keep each other busy starve nobody.
//!
//! Since it knows who is next, it asks for their memory ahead of their turns ([`prefetch`](crate::proto::prefetch)).
//!
//! The belt also keeps the time for its stations, with one timer for all. A deadline that moves back costs nothing until
//! it would have been next: most do, whenever there is media, before they are ever due.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    future::Future,
    pin::{Pin, pin},
    rc::{Rc, Weak},
    sync::atomic::{AtomicU32, Ordering},
    task::{Context, Poll, Waker},
    time::Instant,
};

use tokio::{
    task::coop::unconstrained,
    time::{Sleep, sleep_until},
};

use super::{clock, turn::give_way};
use crate::proto::prefetch::{Reach, prefetch_at};

/// Turns before timers and sockets are looked at: as many tasks as tokio polls in one go.
const TURNS_MAX: usize = 64;

/// Turns that share one look at the clock: together they take less time than what is measured by it is precise to.
const TURNS_PER_CLOCK_READ: usize = 8;

/// What is asked for so many turns before the one that needs it: each stage needs what the one before has brought.
struct Stage {
    turns: usize,
    of_station: Reach,
    /// Of what the station feeds.
    of_fed: Option<Reach>,
}

const STAGES: [Stage; 3] = [
    Stage { turns: 6, of_station: Reach::Itself, of_fed: None },
    Stage { turns: 4, of_station: Reach::Referred, of_fed: Some(Reach::Itself) },
    Stage { turns: 2, of_station: Reach::Beyond, of_fed: Some(Reach::Referred) },
];

/// What a belt runs.
pub(super) trait Turn: Any {
    /// One turn; must contain its panics. True: more waits than it was allowed to take.
    fn turn(&self, now: Instant) -> bool;

    /// What a turn said when it panicked; once.
    fn take_panic(&self) -> Option<String>;

    /// A turn comes soon: what is [`Reach::Referred`] or [`Reach::Beyond`] may be fetched.
    fn prefetch(&self, reach: Reach);
}

/// A station's place on the belt of its thread. No two are the same, also of belts that are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// From 1.
    belt: u32,
    slot: u32,
}

impl Place {
    /// As one number, never 0.
    pub(super) fn to_bits(self) -> u64 {
        u64::from(self.belt) << 32 | u64::from(self.slot)
    }

    pub(super) fn from_bits(bits: u64) -> Option<Self> {
        (bits != 0).then_some(Self { belt: (bits >> 32) as u32, slot: bits as u32 })
    }
}

thread_local! {
    static BELT: Belt = const { Belt::new() };
}

struct Belt {
    /// 0 while its task does not run.
    id: Cell<u32>,
    slots: RefCell<Vec<Slot>>,
    vacant: RefCell<Vec<u32>>,
    /// When slots want a turn, the soonest first. What differs from [`Slot::queued`] is outdated. Not more than a few for
    /// each slot: one is added only if it is sooner than the one before, and goes when its time has come.
    due: RefCell<BinaryHeap<Reverse<(Instant, u32)>>>,
    /// Rung for, first come first served.
    ready: RefCell<VecDeque<u32>>,
    /// Those of `ready` that are run now, the next one last.
    batch: Cell<Vec<Waiting>>,
    /// Rung for in the turn that runs now.
    following: RefCell<Vec<u32>>,
    /// Rung for by those that had their turn just now, the next one last; empty in between.
    next: Cell<Vec<u32>>,
    is_running: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// In the order in which they run.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    destination: u64,
    /// Of ringing.
    order: u32,
    slot: u32,
}

#[derive(Default)]
struct Slot {
    /// Held weakly: a station belongs to its actor. `None` if the slot is vacant.
    station: Option<Weak<dyn Turn>>,
    /// Of the station, in bytes.
    size: usize,
    /// What it feeds; 0 if nothing in particular.
    destination: u64,
    /// When it wants a turn, if nobody calls before.
    deadline: Option<Instant>,
    /// The soonest of its entries in [`Belt::due`]; not later than the deadline.
    queued: Option<Instant>,
}

/// Gives a station of the current thread its place. To be called where tasks can be spawned: on an arbiter.
pub(super) fn take_place<T: Turn>(station: Weak<T>) -> Place {
    BELT.with(|belt| {
        if belt.id.get() == 0 {
            static IDS: AtomicU32 = AtomicU32::new(1);
            belt.id.set(IDS.fetch_add(1, Ordering::Relaxed));
            actix_rt::spawn(Running { timer: None, armed: None });
        }
        let mut slots = belt.slots.borrow_mut();
        let slot = belt.vacant.borrow_mut().pop().unwrap_or_else(|| {
            slots.push(Slot::default());
            (slots.len() - 1) as u32
        });
        slots[slot as usize].station = Some(station);
        slots[slot as usize].size = size_of::<T>();
        Place { belt: belt.id.get(), slot }
    })
}

/// The station is gone. Whoever gets its place may be given a turn for nothing.
pub(super) fn give_back(place: Place) {
    let _ = BELT.try_with(|belt| {
        if belt.id.get() == place.belt {
            belt.slots.borrow_mut()[place.slot as usize] = Slot::default();
            belt.vacant.borrow_mut().push(place.slot);
        }
    });
}

/// Gives the station at `place` a turn soon. False if that is on another thread, or its belt has ended.
pub(super) fn call(place: Place) -> bool {
    BELT.try_with(|belt| belt.call(place)).unwrap_or(false)
}

/// The station at `place` feeds this from now on: a number that others who do have as well.
pub(super) fn feeds(place: Place, destination: u64) {
    let _ = BELT.try_with(|belt| {
        if belt.id.get() == place.belt {
            belt.slots.borrow_mut()[place.slot as usize].destination = destination;
        }
    });
}

/// The station at `place` wants a turn at `deadline`, if nobody calls before, and not when it said the last time.
pub(super) fn schedule(place: Place, deadline: Option<Instant>) {
    let _ = BELT.try_with(|belt| {
        if belt.id.get() == place.belt {
            belt.schedule(place.slot, deadline);
        }
    });
}

/// The station at `place`, if that is on the current thread.
pub(super) fn station_at(place: Place) -> Option<Rc<dyn Turn>> {
    BELT.try_with(|belt| if belt.id.get() == place.belt { belt.station(place.slot) } else { None }).ok()?
}

impl Belt {
    const fn new() -> Self {
        Self {
            id: Cell::new(0),
            slots: RefCell::new(Vec::new()),
            vacant: RefCell::new(Vec::new()),
            due: RefCell::new(BinaryHeap::new()),
            ready: RefCell::new(VecDeque::new()),
            batch: Cell::new(Vec::new()),
            following: RefCell::new(Vec::new()),
            next: Cell::new(Vec::new()),
            is_running: Cell::new(false),
            waker: RefCell::new(None),
        }
    }

    fn call(&self, place: Place) -> bool {
        if self.id.get() != place.belt {
            return false;
        }
        if self.is_running.get() {
            self.following.borrow_mut().push(place.slot);
            return true;
        }
        self.ready.borrow_mut().push_back(place.slot);
        self.wake();
        true
    }

    fn wake(&self) {
        let waker = self.waker.borrow_mut().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn schedule(&self, number: u32, deadline: Option<Instant>) {
        let mut slots = self.slots.borrow_mut();
        let Some(slot) = slots.get_mut(number as usize) else { return };
        slot.deadline = deadline;
        let Some(deadline) = deadline.filter(|deadline| slot.queued.is_none_or(|queued| *deadline < queued))
        else {
            return;
        };
        slot.queued = Some(deadline);
        let mut due = self.due.borrow_mut();
        due.push(Reverse((deadline, number)));
        let is_next = due.peek().is_some_and(|Reverse((at, _))| *at == deadline);
        if is_next && !self.is_running.get() {
            self.wake();
        }
    }

    /// The deadline that is next, if it is later than `now`; those that are not are given a turn.
    fn next_deadline(&self, now: Instant) -> Option<Instant> {
        let (mut slots, mut due) = (self.slots.borrow_mut(), self.due.borrow_mut());
        while let Some(Reverse((at, number))) = due.peek().copied() {
            let slot = slots.get_mut(number as usize).filter(|slot| slot.queued == Some(at));
            let deadline = slot.as_ref().and_then(|slot| slot.deadline);
            if deadline == Some(at) && at > now {
                return Some(at);
            }
            due.pop();
            let Some(slot) = slot else { continue };
            slot.queued = None;
            match deadline {
                Some(deadline) if deadline > now => {
                    slot.queued = Some(deadline);
                    due.push(Reverse((deadline, number)));
                }
                Some(_) => self.ready.borrow_mut().push_back(number),
                None => {}
            }
        }
        None
    }

    /// Runs until nobody waits, or long enough. True: somebody waits.
    fn run(&self, mut now: Instant) -> bool {
        let (mut batch, mut next) = (self.batch.take(), self.next.take());
        for turn in 0..TURNS_MAX {
            if next.is_empty() && batch.is_empty() {
                self.take_batch(&mut batch);
                self.prefetch_first(&batch);
            }
            self.prefetch_ahead(&batch);
            let Some(slot) = next.pop().or_else(|| batch.pop().map(|waiting| waiting.slot)) else { break };
            if turn > 0 && turn.is_multiple_of(TURNS_PER_CLOCK_READ) {
                now = clock::now();
            }
            if self.give_turn(slot, now) {
                self.ready.borrow_mut().push_back(slot);
            }
            next.extend(self.following.borrow_mut().drain(..).rev());
        }
        let mut ready = self.ready.borrow_mut();
        ready.extend(next.drain(..).rev());
        let more = !ready.is_empty() || !batch.is_empty();
        self.batch.set(batch);
        self.next.set(next);
        more
    }

    /// All that are ready now, the next one last.
    fn take_batch(&self, batch: &mut Vec<Waiting>) {
        let slots = self.slots.borrow();
        let mut ready = self.ready.borrow_mut();
        let waiting = |(slot, order): (u32, u32)| {
            let destination = slots.get(slot as usize).map_or(0, |slot| slot.destination);
            Waiting { destination, order, slot }
        };
        batch.extend(ready.drain(..).zip(0..).map(waiting));
        batch.sort_unstable_by(|one, other| other.cmp(one));
    }

    /// Asks for the memory of those who are soon to run, and of what they feed.
    fn prefetch_ahead(&self, batch: &[Waiting]) {
        for stage in &STAGES {
            if let Some(at) = batch.len().checked_sub(stage.turns) {
                self.prefetch(&batch[at], stage);
            }
        }
    }

    /// Makes up for the turns that the first of a batch did not have before theirs.
    fn prefetch_first(&self, batch: &[Waiting]) {
        for stage in &STAGES {
            let first = batch.iter().rev().take(stage.turns - 1);
            first.for_each(|waiting| self.prefetch(waiting, stage));
        }
    }

    fn prefetch(&self, waiting: &Waiting, stage: &Stage) {
        self.prefetch_station(waiting.slot, stage.of_station);
        let fed = Place::from_bits(waiting.destination).filter(|place| place.belt == self.id.get());
        if let Some((place, reach)) = fed.zip(stage.of_fed) {
            self.prefetch_station(place.slot, reach);
        }
    }

    fn prefetch_station(&self, slot: u32, reach: Reach) {
        if reach != Reach::Itself {
            return self.station(slot).into_iter().for_each(|station| station.prefetch(reach));
        }
        if let Some(slot) = self.slots.borrow().get(slot as usize)
            && let Some(station) = &slot.station
        {
            // The counters of its owners stand before it.
            const COUNTERS: usize = 2 * size_of::<usize>();
            prefetch_at(station.as_ptr().cast::<u8>().wrapping_sub(COUNTERS), COUNTERS + slot.size);
        }
    }

    fn station(&self, slot: u32) -> Option<Rc<dyn Turn>> {
        self.slots.borrow().get(slot as usize)?.station.as_ref()?.upgrade()
    }

    fn give_turn(&self, slot: u32, now: Instant) -> bool {
        let Some(station) = self.station(slot) else { return false };
        self.is_running.set(true);
        let more = station.turn(now);
        drop(station);
        self.is_running.set(false);
        more
    }

    /// The thread has ended, or what ran on it.
    fn end(&self) {
        self.id.set(0);
        self.is_running.set(false);
        self.slots.take();
        self.vacant.take();
        self.due.take();
        self.ready.take();
        self.batch.take();
        self.following.take();
        self.waker.take();
    }
}

/// The task of a belt.
struct Running {
    /// Made when it is first needed.
    timer: Option<Pin<Box<Sleep>>>,
    /// When the timer fires. `None` if it does not run.
    armed: Option<Instant>,
}

impl Future for Running {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        BELT.with(|belt| {
            // There before the stations run: whoever rings from now on is either run or wakes.
            belt.waker.replace(Some(cx.waker().clone()));
            let begin = clock::now();
            // For those that are due now.
            belt.next_deadline(begin);
            let mut again = belt.run(begin);
            let next = belt.next_deadline(begin);
            again |= !belt.ready.borrow().is_empty();
            if next != self.armed {
                again |= self.arm(next, cx);
            }
            if again {
                give_way(cx);
            }
        });
        Poll::Pending
    }
}

impl Running {
    /// Sets the timer to exactly this: it is one for all, and too early a wake-up of the thread costs more than setting
    /// it does. True if it fires now.
    fn arm(&mut self, deadline: Option<Instant>, cx: &mut Context<'_>) -> bool {
        self.armed = deadline;
        let Some(deadline) = deadline else {
            self.timer = None;
            return false;
        };
        let timer = match &mut self.timer {
            Some(timer) => {
                // Not `reset`: that leaves a later deadline where it was, for the thread to look at.
                timer.set(sleep_until(deadline.into()));
                timer
            }
            none => none.insert(Box::pin(sleep_until(deadline.into()))),
        };
        // Unconstrained: a task that has used up its cooperative budget is told that the timer is pending, without the
        // timer having been set.
        let fires = pin!(unconstrained(timer.as_mut())).poll(cx).is_ready();
        if fires {
            self.armed = None;
        }
        fires
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = BELT.try_with(Belt::end);
    }
}
