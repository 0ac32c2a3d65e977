//! A station at the belt: what an actor does with bulk, kept where the [belt](super::belt) of the thread can run it
//! without the actor's task.
//!
//! The actor stays what it is: handlers of its mailbox borrow the [`Work`] for as long as they run, its driver runs the
//! same rounds and keeps the time, its guard restarts it. Only most rings of its lanes take the short way.
//!
//! Invariants: no turn runs while a handler has the work, as both are on one thread and neither awaits. After a turn
//! has panicked nothing touches the work before the guard has: it treats the panic as if a poll of the actor had.

use std::{
    cell::{Cell, RefCell, RefMut},
    rc::Rc,
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
    place: Cell<Option<Place>>,
    /// What the actor's driver was told last: its timer does not run later.
    told: Cell<Option<Instant>>,
    panic: RefCell<Option<String>>,
    statistics: Statistics,
    work: RefCell<W>,
}

impl<W: Work> Station<W> {
    /// A station that `bell` calls to. It opens with [`Station::open`].
    pub fn new(bell: &Doorbell, work: W) -> Self {
        Self(Rc::new(Shared {
            bell: bell.clone(),
            place: Cell::new(None),
            told: Cell::new(None),
            panic: RefCell::new(None),
            statistics: statistics(),
            work: RefCell::new(work),
        }))
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
        let shared = &self.0;
        if shared.place.get().is_none_or(|place| !belt::is_here(place)) {
            let station: Rc<dyn Turn> = Rc::clone(shared) as _;
            let place = belt::take_place(Rc::downgrade(&station));
            shared.place.set(Some(place));
            shared.bell.stands_at(place);
        }
        ctx.works_at(Rc::clone(shared) as _);
        drive::<A>(ctx);
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
        let is_sooner = match (work.deadline(), self.told.get()) {
            (Some(deadline), Some(told)) => deadline < told,
            (deadline, None) => deadline.is_some(),
            (None, Some(_)) => false,
        };
        if is_sooner {
            // The timer is the driver's.
            self.bell.wake();
        }
        more
    }
}

impl<W: Work> Turn for Shared<W> {
    fn turn(&self, now: Instant) -> bool {
        if self.panic.borrow().is_some() {
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
            self.panic.replace(Some(message));
            self.bell.wake();
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
        if let Some(place) = self.place.get() {
            belt::give_back(place);
        }
    }
}

impl<A: Stationed> Driven for A {
    fn take_input(&mut self, cx: &mut Context<'_>, now: Instant, _: &mut Self::Context) -> bool {
        let station = self.station();
        let rung = station.0.bell.answer(cx);
        station.work().take_input(rung, now)
    }

    fn flush(&mut self, now: Instant, _: &mut Self::Context) {
        self.station().work().flush(now);
    }

    fn deadline(&self) -> Option<Instant> {
        let station = self.station();
        let deadline = station.work().deadline();
        station.0.told.set(deadline);
        deadline
    }

    fn handle_deadline(&mut self, now: Instant, _: &mut Self::Context) {
        self.station().work().handle_deadline(now);
    }
}
