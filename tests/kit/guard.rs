//! Panics stay inside of their actor.

use std::{cell::RefCell, rc::Rc, time::Duration};

use actix::prelude::*;
use actix_rtc::actors::kit::{
    ActorKind, AskError, DEFAULT_DEADLINE, DownReason, Metered, MeteredContext, Policy, ask, start,
    statistics, tell,
};

use super::{paused, settle};

struct Boom;

impl Message for Boom {
    type Result = ();
}

/// Adds, and answers with the sum.
struct Add(u32);

impl Message for Add {
    type Result = u32;
}

struct Stop;

impl Message for Stop {
    type Result = ();
}

/// Where a [`Fragile`] panics.
#[derive(Default)]
struct Plan {
    panics_left_in_restarting: u32,
    panics_left_in_started: u32,
    panics_in_stopped: bool,
}

#[derive(Default)]
struct Fragile {
    sum: u32,
    plan: Plan,
    log: Log,
}

impl Fragile {
    fn with(plan: Plan) -> Self {
        let mut fragile = Self::default();
        fragile.plan = plan;
        fragile
    }
}

type Log = Rc<RefCell<Vec<&'static str>>>;

impl Actor for Fragile {
    type Context = MeteredContext<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        self.log.borrow_mut().push("started");
        if self.plan.panics_left_in_started > 0 {
            self.plan.panics_left_in_started -= 1;
            panic!("in started");
        }
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.log.borrow_mut().push("stopped");
        assert!(!std::thread::panicking(), "no actor code runs while its thread unwinds");
        assert!(!self.plan.panics_in_stopped, "in stopped");
    }
}

impl Drop for Fragile {
    fn drop(&mut self) {
        self.log.borrow_mut().push("dropped");
        assert!(!self.plan.panics_in_stopped, "in drop");
    }
}

impl Supervised for Fragile {
    fn restarting(&mut self, _: &mut Self::Context) {
        self.log.borrow_mut().push("restarting");
        if self.plan.panics_left_in_restarting > 0 {
            self.plan.panics_left_in_restarting -= 1;
            panic!("in restarting");
        }
        self.sum = 1000;
    }
}

impl Metered for Fragile {
    const KIND: ActorKind = ActorKind::Track;
}

impl Handler<Boom> for Fragile {
    type Result = ();

    fn handle(&mut self, _: Boom, _: &mut Self::Context) {
        self.sum = u32::MAX;
        panic!("boom {}", 1);
    }
}

impl Handler<Add> for Fragile {
    type Result = u32;

    fn handle(&mut self, Add(number): Add, _: &mut Self::Context) -> u32 {
        self.sum += number;
        self.sum
    }
}

impl Handler<Stop> for Fragile {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

/// What the hook was told, all the times it was called.
type Downs = Rc<RefCell<Vec<DownReason>>>;

fn guarded(policy: Policy, actor: Fragile) -> (Addr<Fragile>, Downs, Log) {
    let downs = Downs::default();
    let log = Rc::clone(&actor.log);
    let hook = Rc::clone(&downs);
    let address = start(policy, move |reason| hook.borrow_mut().push(reason), |_| actor);
    (address, downs, log)
}

const FORGIVING: Policy = Policy::restarts(2, Duration::from_secs(10));

#[test]
fn a_panic_is_contained_and_the_actor_restarted() {
    paused(async {
        let (actor, downs, log) = guarded(FORGIVING, Fragile::default());
        assert_eq!(ask(&actor, Add(1), DEFAULT_DEADLINE).await, Ok(1));
        assert_eq!(ask(&actor, Boom, DEFAULT_DEADLINE).await, Err(AskError::Closed));
        assert_eq!(ask(&actor, Add(1), DEFAULT_DEADLINE).await, Ok(1001));
        assert_eq!(*log.borrow(), ["started", "restarting", "started"]);
        assert!(downs.borrow().is_empty());
        let counted = &statistics().actors[ActorKind::Track];
        assert_eq!((counted.panics.get(), counted.restarts.get(), counted.stopped.get()), (1, 1, 0));
    });
}

#[test]
fn queued_messages_survive_a_panic() {
    paused(async {
        let (actor, _, _) = guarded(FORGIVING, Fragile::default());
        let (first, boom, second, third) =
            (actor.send(Add(1)), actor.send(Boom), actor.send(Add(2)), actor.send(Add(3)));
        assert_eq!(first.await.unwrap(), 1);
        assert!(boom.await.is_err());
        assert_eq!(second.await.unwrap(), 1002);
        assert_eq!(third.await.unwrap(), 1005);
    });
}

#[test]
fn used_up_restarts_end_the_actor_and_tell_why() {
    paused(async {
        let (actor, downs, log) = guarded(FORGIVING, Fragile::default());
        for _ in 0..3 {
            assert!(downs.borrow().is_empty());
            tell(&actor, Boom);
            settle().await;
        }
        assert_eq!(*downs.borrow(), [DownReason::RestartsExhausted { message: "boom 1".to_owned() }]);
        assert_eq!(ask(&actor, Add(1), DEFAULT_DEADLINE).await, Err(AskError::Closed));
        assert!(log.borrow().ends_with(&["stopped", "dropped"]));
    });
}

#[test]
fn restarts_outside_of_the_window_do_not_count() {
    paused(async {
        let (actor, downs, _) = guarded(FORGIVING, Fragile::default());
        for _ in 0..10 {
            tell(&actor, Boom);
            tokio::time::sleep(Duration::from_secs(6)).await;
        }
        assert!(downs.borrow().is_empty());
    });
}

#[test]
fn an_actor_that_may_never_restart_ends_at_its_first_panic() {
    paused(async {
        let (actor, downs, log) = guarded(Policy::never(), Fragile::default());
        let queued = (actor.send(Boom), actor.send(Add(1)));
        assert!(queued.0.await.is_err());
        assert!(queued.1.await.is_err());
        assert_eq!(*downs.borrow(), [DownReason::Panicked { message: "boom 1".to_owned() }]);
        assert!(!actor.connected());
        assert_eq!(*log.borrow(), ["started", "stopped", "dropped"]);
    });
}

#[test]
fn a_panic_while_restarting_is_one_more_panic() {
    paused(async {
        let actor = Fragile::with(Plan { panics_left_in_restarting: 1, ..Plan::default() });
        let (actor, downs, _) = guarded(FORGIVING, actor);
        tell(&actor, Boom);
        assert_eq!(ask(&actor, Add(1), DEFAULT_DEADLINE).await, Ok(1001));
        assert!(downs.borrow().is_empty());
        assert_eq!(statistics().actors[ActorKind::Track].panics.get(), 2);
    });
}

#[test]
fn an_actor_that_can_not_be_restarted_ends_without_being_stopped() {
    paused(async {
        let actor = Fragile::with(Plan { panics_left_in_restarting: 9, ..Plan::default() });
        let (actor, downs, log) = guarded(FORGIVING, actor);
        tell(&actor, Boom);
        settle().await;
        assert_eq!(*downs.borrow(), [DownReason::RestartsExhausted { message: "in restarting".to_owned() }]);
        assert_eq!(*log.borrow(), ["started", "restarting", "restarting", "dropped"]);
    });
}

#[test]
fn a_panic_in_started_is_a_panic_like_others() {
    paused(async {
        let actor = Fragile::with(Plan { panics_left_in_started: 1, ..Plan::default() });
        let (actor, downs, log) = guarded(FORGIVING, actor);
        assert_eq!(ask(&actor, Add(1), DEFAULT_DEADLINE).await, Ok(1001));
        assert!(downs.borrow().is_empty());
        assert_eq!(*log.borrow(), ["started", "restarting", "started"]);
    });
}

#[test]
fn panics_in_stopped_and_drop_do_not_abort() {
    paused(async {
        let actor = Fragile::with(Plan { panics_in_stopped: true, ..Plan::default() });
        let (actor, downs, _) = guarded(Policy::never(), actor);
        tell(&actor, Boom);
        settle().await;
        assert_eq!(*downs.borrow(), [DownReason::Panicked { message: "boom 1".to_owned() }]);

        let actor = Fragile::with(Plan { panics_in_stopped: true, ..Plan::default() });
        let (actor, downs, _) = guarded(FORGIVING, actor);
        tell(&actor, Stop);
        settle().await;
        assert_eq!(*downs.borrow(), [DownReason::Panicked { message: "in stopped".to_owned() }]);
    });
}

#[test]
fn an_actor_that_stops_is_reported_as_stopped() {
    paused(async {
        let (actor, downs, log) = guarded(FORGIVING, Fragile::default());
        tell(&actor, Stop);
        settle().await;
        assert_eq!(*downs.borrow(), [DownReason::Stopped]);
        assert_eq!(*log.borrow(), ["started", "stopped", "dropped"]);

        let (actor, downs, _) = guarded(FORGIVING, Fragile::default());
        drop(actor);
        settle().await;
        assert_eq!(*downs.borrow(), [DownReason::Stopped]);
        assert_eq!(statistics().actors[ActorKind::Track].stopped.get(), 2);
    });
}

#[test]
fn a_panic_in_the_hook_is_contained() {
    paused(async {
        let actor = start(Policy::never(), |_| panic!("in the hook"), |_| Fragile::default());
        tell(&actor, Stop);
        settle().await;
        assert!(!actor.connected());
    });
}

#[test]
fn actors_are_stopped_when_their_thread_ends() {
    let log = paused(async {
        let (actor, _, log) = guarded(FORGIVING, Fragile::default());
        settle().await;
        std::mem::forget(actor);
        log
    });
    assert_eq!(*log.borrow(), ["started", "stopped", "dropped"]);
}
