//! Work that the belt of a thread runs in place of its actor's task.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::{Duration, Instant},
};

use actix::prelude::*;
use actix_rtc::actors::kit::{
    ActorKind, Door, Doorbell, DownReason, INPUT_BUDGET, LaneKind, LaneReceiver, LaneSender, Metered,
    MeteredContext, Policy, Station, Stationed, Work, lane, now, start,
};
use bytes::Bytes;

use super::{paused, settle, turn};

/// What happened, by whom.
type Log = Rc<RefCell<Vec<String>>>;

/// Passes packets on, and writes down that it did.
struct Relay {
    name: &'static str,
    input: LaneReceiver<Bytes>,
    output: Option<LaneSender<Bytes>>,
    inbox: Vec<Bytes>,
    /// More waits than the last turn took.
    more: bool,
    deadline: Option<Instant>,
    /// How soon after a packet something is due.
    due: Option<Duration>,
    log: Log,
}

impl Metered for Relay {
    const KIND: ActorKind = ActorKind::RtpSender;
}

impl Work for Relay {
    fn take_input(&mut self, rung: u32, now: Instant) -> bool {
        if rung == 0 && !self.more {
            return false;
        }
        self.more = self.input.take(now, INPUT_BUDGET, &mut self.inbox).more;
        assert!(self.inbox.iter().all(|packet| packet.as_ref() != b"poison"), "poisonous packet");
        self.more
    }

    fn flush(&mut self, now: Instant) {
        if self.inbox.is_empty() {
            return;
        }
        self.log.borrow_mut().push(format!("{} {}", self.name, self.inbox.len()));
        if let Some(due) = self.due.take() {
            self.deadline = Some(now + due);
        }
        match &self.output {
            Some(output) => drop(output.push_all(now, self.inbox.drain(..))),
            None => self.inbox.clear(),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn handle_deadline(&mut self, _: Instant) {
        self.deadline = None;
        self.log.borrow_mut().push(format!("{} is due", self.name));
    }
}

/// The actor of a [`Relay`].
struct Worker {
    station: Station<Relay>,
    log: Log,
}

impl Metered for Worker {
    const KIND: ActorKind = ActorKind::RtpSender;
}

impl Actor for Worker {
    type Context = MeteredContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.station.open::<Self>(ctx);
    }
}

impl Supervised for Worker {
    fn restarting(&mut self, _: &mut Self::Context) {
        let mut work = self.station.work();
        work.inbox.clear();
        self.log.borrow_mut().push(format!("{} is restarted", work.name));
    }
}

impl Stationed for Worker {
    type Work = Relay;

    fn station(&self) -> &Station<Relay> {
        &self.station
    }
}

/// Asks a worker for its name, by its mailbox.
struct Name;

impl Message for Name {
    type Result = String;
}

impl Handler<Name> for Worker {
    type Result = String;

    fn handle(&mut self, _: Name, _: &mut Self::Context) -> String {
        self.station.work().name.to_owned()
    }
}

/// Tells a worker what it feeds.
struct Feed(u64);

impl Message for Feed {
    type Result = ();
}

impl Handler<Feed> for Worker {
    type Result = ();

    fn handle(&mut self, message: Feed, _: &mut Self::Context) {
        self.station.feeds(message.0);
    }
}

/// A worker and the ways to it.
struct Place {
    actor: Addr<Worker>,
    input: LaneSender<Bytes>,
    door: Door<Relay>,
    down: Rc<RefCell<Option<DownReason>>>,
}

fn worker(name: &'static str, log: &Log, output: Option<&LaneSender<Bytes>>) -> Place {
    made(name, log, output, Policy::never(), None, |_| {})
}

/// `before` sees the door when the actor has not started yet.
fn made(
    name: &'static str,
    log: &Log,
    output: Option<&LaneSender<Bytes>>,
    policy: Policy,
    due: Option<Duration>,
    before: impl FnOnce(&Door<Relay>),
) -> Place {
    let (input, receiver) = lane(LaneKind::SenderMedia, 1_000, None);
    let bell = Doorbell::default();
    receiver.rings(&bell, 1);
    let relay = Relay {
        name,
        input: receiver,
        output: output.cloned(),
        inbox: Vec::new(),
        more: false,
        deadline: None,
        due,
        log: Rc::clone(log),
    };
    let station = Station::new(&bell, relay);
    let door = station.door();
    before(&door);
    let down = Rc::<RefCell<Option<DownReason>>>::default();
    let ended = Rc::clone(&down);
    let worker = Worker { station, log: Rc::clone(log) };
    let actor = start(policy, move |reason| drop(ended.replace(Some(reason))), |_| worker);
    Place { actor, input, door, down }
}

fn packet(contents: &'static str) -> Bytes {
    Bytes::from_static(contents.as_bytes())
}

#[test]
fn what_a_station_rings_for_has_its_turn_right_after_it() {
    paused(async {
        let log = Log::default();
        let ends = ["c", "d"].map(|name| worker(name, &log, None));
        let begins = [worker("a", &log, Some(&ends[0].input)), worker("b", &log, Some(&ends[1].input))];
        settle().await;
        for place in &begins {
            place.input.push(now(), packet("x"));
        }
        settle().await;
        assert_eq!(log.take(), ["a 1", "c 1", "b 1", "d 1"]);
    });
}

#[test]
fn more_than_one_turn_may_take_is_taken_in_several_and_others_come_in_between() {
    paused(async {
        let log = Log::default();
        let (much, little) = (worker("much", &log, None), worker("little", &log, None));
        settle().await;
        much.input.push_all(now(), (0..2 * INPUT_BUDGET + 1).map(|_| packet("x")));
        little.input.push(now(), packet("x"));
        settle().await;
        let budget = format!("much {INPUT_BUDGET}");
        assert_eq!(log.take(), [&budget, "little 1", &budget, "much 1"]);
    });
}

#[test]
fn those_that_feed_one_destination_run_one_after_the_other() {
    paused(async {
        let log = Log::default();
        let places = ["a", "b", "c", "d"].map(|name| worker(name, &log, None));
        settle().await;
        for (place, destination) in places.iter().zip([7, 9, 7, 0]) {
            place.actor.send(Feed(destination)).await.unwrap();
        }
        for place in &places {
            place.input.push(now(), packet("x"));
        }
        settle().await;
        assert_eq!(log.take(), ["d 1", "a 1", "c 1", "b 1"]);
    });
}

#[test]
fn two_stations_that_keep_each_other_busy_starve_neither_a_third_nor_timers() {
    paused(async {
        let log = Log::default();
        let first = worker("first", &log, None);
        let second = worker("second", &log, Some(&first.input));
        let third = worker("third", &log, None);
        settle().await;
        first.door.enter(|relay| relay.output = Some(second.input.clone()));
        first.input.push(now(), packet("x"));
        let rounds = Cell::new(0);
        while !log.borrow().iter().any(|entry| entry == "third 1") {
            // A turn of the thread each, which a belt without a bound would never give.
            turn().await;
            rounds.set(rounds.get() + 1);
            if rounds.get() == 3 {
                third.input.push(now(), packet("x"));
            }
            assert!(rounds.get() < 20, "the third is starved");
        }
        assert!(log.borrow().len() > 50, "the two were busy all the time");
        first.door.enter(|relay| relay.output = None);
        settle().await;
    });
}

#[test]
fn a_panic_in_a_turn_is_the_actors_and_what_waits_survives_a_restart() {
    paused(async {
        let log = Log::default();
        let policy = Policy::restarts(1, Duration::from_secs(10));
        let place = made("a", &log, None, policy, None, |_| {});
        settle().await;
        place.input.push(now(), packet("poison"));
        let asked = place.actor.send(Name);
        settle().await;
        place.input.push(now(), packet("x"));
        settle().await;
        assert_eq!(log.take(), ["a is restarted", "a 1"]);
        assert_eq!(asked.await.unwrap(), "a", "a message that waited is handled after the restart");
        assert!(place.down.borrow().is_none());
        place.input.push(now(), packet("poison"));
        settle().await;
        assert!(
            matches!(*place.down.borrow(), Some(DownReason::RestartsExhausted { .. })),
            "{:?}",
            place.down
        );
        assert!(place.input.is_closed(), "the work is gone with its actor");
        assert!(place.door.enter(|_| ()).is_none());
    });
}

#[test]
fn a_deadline_that_a_turn_brings_forward_is_kept() {
    paused(async {
        let log = Log::default();
        let place = made("a", &log, None, Policy::never(), Some(Duration::from_millis(20)), |_| {});
        settle().await;
        place.input.push(now(), packet("x"));
        tokio::time::sleep(Duration::from_millis(15)).await;
        assert_eq!(log.take(), ["a 1"]);
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert_eq!(log.take(), ["a is due"]);
    });
}

#[test]
fn a_ring_from_another_thread_wakes_the_actor() {
    paused(async {
        let log = Log::default();
        let place = worker("a", &log, None);
        settle().await;
        let (input, at) = (place.input.clone(), now());
        std::thread::spawn(move || input.push(at, packet("x"))).join().unwrap();
        settle().await;
        assert_eq!(log.take(), ["a 1"]);
    });
}

#[test]
fn a_door_opens_with_the_actor_and_on_its_thread_only() {
    paused(async {
        let log = Log::default();
        let early = Cell::new(true);
        let place = made("a", &log, None, Policy::never(), None, |door| {
            early.set(door.enter(|_| ()).is_some());
        });
        assert!(!early.get(), "it opened before the actor started");
        settle().await;
        assert_eq!(place.door.enter(|relay| relay.name), Some("a"));
        let door = place.door.clone();
        assert!(std::thread::spawn(move || door.enter(|_| ()).is_none()).join().unwrap());
        // Who is inside can't come in again: the work is one.
        let inner = place.door.enter(|_| place.door.enter(|_| ()).is_some());
        assert_eq!(inner, Some(false));
    });
}

#[test]
fn who_panics_behind_a_door_takes_the_actor_down_and_not_the_visitor() {
    paused(async {
        let log = Log::default();
        let place = worker("a", &log, None);
        settle().await;
        assert!(place.door.enter(|_| -> () { panic!("behind the door") }).is_none());
        assert!(place.door.enter(|_| ()).is_none(), "nobody touches the work before the guard has");
        settle().await;
        assert!(matches!(*place.down.borrow(), Some(DownReason::Panicked { .. })), "{:?}", place.down);
    });
}

#[test]
fn one_timer_keeps_the_deadlines_of_all_and_what_moves_back_is_not_early() {
    paused(async {
        let log = Log::default();
        let places = ["a", "b", "c"].map(|name| worker(name, &log, None));
        settle().await;
        let begin = now();
        let due_in = |place: &Place, milliseconds| {
            let deadline = begin + Duration::from_millis(milliseconds);
            place.door.enter(|relay| relay.deadline = Some(deadline)).expect("open");
        };
        for (place, milliseconds) in places.iter().zip([30, 20, 10]) {
            due_in(place, milliseconds);
        }
        due_in(&places[1], 40);
        tokio::time::sleep(Duration::from_millis(15)).await;
        assert_eq!(log.take(), ["c is due"]);
        due_in(&places[2], 45);
        // Who is gone is due no more.
        let [a, b, c] = places;
        drop(a);
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(log.take().is_empty(), "b has moved back, a is gone");
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(log.take(), ["b is due", "c is due"]);
        due_in(&b, 5);
        settle().await;
        assert_eq!(log.take(), ["b is due"], "what is over is due at once");
        drop(c);
    });
}
