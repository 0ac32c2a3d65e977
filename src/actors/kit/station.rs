//! A station at the belt: what an actor does with bulk, kept where the [belt](super::belt) of the thread can run it
//! without the actor's task.
//!
//! The actor stays what it is: handlers of its mailbox borrow the [`Work`] for as long as they run, its driver runs the
//! same rounds, its guard restarts it. Only most rings of its lanes take the short way.
//!
//! Invariants: no turn runs while a handler has the work, as both are on one thread and neither awaits. After a turn
//! has panicked nothing touches the work before the guard has: it treats the panic as if a poll of the actor had.

use std::{
    any::Any,
    cell::{Cell, RefCell, RefMut},
    fmt,
    marker::PhantomData,
    rc::{Rc, Weak},
    task::Context,
    time::Instant,
};

use actix::Actor;

use super::{
    belt::{self, Place, Turn},
    clock,
    doorbell::Doorbell,
    driver::{DEADLINE_ROUNDS, Driven, drive},
    guard::caught,
    metered::{Metered, MeteredContext},
    stats::{POLL_SAMPLE, Statistics, statistics},
};
use crate::proto::prefetch::Reach;

/// A state machine that is fed by lanes.
pub trait Work: Metered + 'static {
    /// Takes at most [`INPUT_BUDGET`](super::INPUT_BUDGET) packets from the lanes that `rung` names, and from those that
    /// had more the last time. True if they have more.
    fn take_input(&mut self, rung: u32, now: Instant) -> bool;

    /// Hands on everything the state machine has produced.
    fn flush(&mut self, now: Instant);

    /// When [`Work::handle_deadline`] is to be called next, if nothing else happens.
    fn deadline(&self) -> Option<Instant>;

    /// The deadline has passed.
    fn handle_deadline(&mut self, now: Instant);

    /// A turn comes soon: what it touches may be [fetched](crate::proto::prefetch).
    fn prefetch(&self, _: Reach) {}
}

/// An actor whose work is done at a station. It is [`Driven`] by that.
pub trait Stationed: Actor<Context = MeteredContext<Self>> + Metered {
    /// What is done there.
    type Work: Work;

    /// Where.
    fn station(&self) -> &Station<Self::Work>;
}

/// The work of one actor.
pub struct Station<W: Work>(Rc<Shared<W>>);

struct Shared<W> {
    bell: Doorbell,
    place: Place,
    /// The actor has started.
    is_open: Cell<bool>,
    panic: RefCell<Option<String>>,
    statistics: Statistics,
    work: RefCell<W>,
}

impl<W: Work> Station<W> {
    /// A station that `bell` calls to, on the current thread, where it is to be possible to spawn tasks. It opens with
    /// [`Station::open`].
    pub fn new(bell: &Doorbell, work: W) -> Self {
        let shared = Rc::new_cyclic(|shared: &Weak<Shared<W>>| Shared {
            bell: bell.clone(),
            place: belt::take_place(Weak::clone(shared)),
            is_open: Cell::new(false),
            panic: RefCell::new(None),
            statistics: statistics(),
            work: RefCell::new(work),
        });
        bell.stands_at(shared.place);
        Self(shared)
    }

    /// The way to this station for others of its thread.
    pub fn door(&self) -> Door<W> {
        Door { place: self.0.place, work: PhantomData }
    }

    /// The work feeds this from now on: those that feed the same are run one after the other. 0 if nothing in particular.
    pub fn feeds(&self, destination: u64) {
        belt::feeds(self.0.place, destination);
    }

    /// The work, for a handler.
    ///
    /// # Panics
    /// If the last one still has it.
    pub fn work(&self) -> RefMut<'_, W> {
        self.0.work.borrow_mut()
    }

    /// From now on the belt of this thread runs it, and the actor is driven. To be called once, in `started`.
    pub fn open<A: Stationed<Work = W>>(&self, ctx: &mut A::Context) {
        self.0.is_open.set(true);
        ctx.works_at(Rc::clone(&self.0) as _);
        drive::<A>(ctx);
    }
}

/// Leads to the work of a station. May be held by any thread; opens on the station's own.
pub struct Door<W> {
    place: Place,
    work: PhantomData<fn(W)>,
}

impl<W: Work> Door<W> {
    /// Does something with the work, now, and without a turn of its own. If `what` panics, that is a panic of the work's
    /// actor.
    ///
    /// `None`: it was not done, or not to its end. The station is not open, on another thread, at work, or has panicked.
    pub fn enter<R>(&self, what: impl FnOnce(&mut W) -> R) -> Option<R> {
        let station: Rc<dyn Any> = belt::station_at(self.place)?;
        let shared = station.downcast::<Shared<W>>().ok()?;
        if !shared.is_usable() {
            return None;
        }
        let mut work = shared.work.try_borrow_mut().ok()?;
        let entered = caught(|| {
            let result = what(&mut work);
            belt::schedule(self.place, work.deadline());
            result
        });
        entered.map_err(|message| shared.fail(message)).ok()
    }
}

impl<W> Door<W> {
    /// Names the station among those of its thread; never 0.
    pub fn number(&self) -> u64 {
        self.place.to_bits()
    }
}

impl<W> Clone for Door<W> {
    fn clone(&self) -> Self {
        Self { place: self.place, work: PhantomData }
    }
}

impl<W> fmt::Debug for Door<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").field("place", &self.place).finish_non_exhaustive()
    }
}

impl<W> Shared<W> {
    fn is_usable(&self) -> bool {
        self.is_open.get() && self.panic.borrow().is_none()
    }

    /// The work has panicked: the actor's guard is to decide.
    fn fail(&self, message: String) {
        self.panic.replace(Some(message));
        self.bell.wake();
    }
}

impl<W: Work> Shared<W> {
    fn round(&self, rung: u32, now: Instant) -> bool {
        let mut work = self.work.borrow_mut();
        let more = work.take_input(rung, now);
        for _ in 0..DEADLINE_ROUNDS {
            if work.deadline().is_none_or(|deadline| deadline > now) {
                break;
            }
            work.handle_deadline(now);
        }
        work.flush(now);
        belt::schedule(self.place, work.deadline());
        more
    }
}

impl<W: Work> Turn for Shared<W> {
    fn prefetch(&self, reach: Reach) {
        if reach == Reach::Referred {
            self.bell.prefetch();
        }
        if let Ok(work) = self.work.try_borrow() {
            work.prefetch(reach);
        }
    }

    fn turn(&self, now: Instant) -> bool {
        if !self.is_usable() {
            return false;
        }
        let counters = &self.statistics.actors[W::KIND];
        let begin = counters.polls.get().is_multiple_of(POLL_SAMPLE.into()).then(clock::now);
        counters.polls.add(1);
        let rung = self.bell.take();
        let done = caught(|| self.round(rung, now));
        if let Some(begin) = begin {
            counters.poll_time.record(clock::now().saturating_duration_since(begin));
        }
        done.unwrap_or_else(|message| {
            self.fail(message);
            false
        })
    }

    fn take_panic(&self) -> Option<String> {
        self.panic.take()
    }
}

impl<W> Drop for Shared<W> {
    fn drop(&mut self) {
        self.bell.stands_nowhere();
        belt::give_back(self.place);
    }
}

/// The driver does what the belt does, after messages have been handled. The time is the belt's.
impl<A: Stationed> Driven for A {
    fn take_input(&mut self, cx: &mut Context<'_>, now: Instant, _: &mut Self::Context) -> bool {
        let shared = &self.station().0;
        let rung = shared.bell.answer(cx);
        shared.round(rung, now)
    }

    fn flush(&mut self, _: Instant, _: &mut Self::Context) {}

    fn deadline(&self) -> Option<Instant> {
        None
    }

    fn handle_deadline(&mut self, _: Instant, _: &mut Self::Context) {}
}
