//! One batch of output, one deadline.

use std::{
    cell::RefCell,
    rc::Rc,
    task,
    time::{Duration, Instant},
};

use actix::prelude::*;
use actix_rtc::actors::kit::{
    ActorKind, DEFAULT_DEADLINE, Driven, INPUT_BUDGET, LaneKind, LaneReceiver, Metered, MeteredContext,
    Policy, aside, ask, drive, lane, now, start, tell,
};
use bytes::Bytes;

use super::{largest_step, paused, settle};

/// What a driven actor did.
#[derive(Default)]
struct Done {
    flushes: Vec<usize>,
    fired: Vec<Instant>,
    stopped: bool,
}

struct Machine {
    input: LaneReceiver<Bytes>,
    output: Vec<Bytes>,
    deadline: Option<Instant>,
    /// Deadlines that are due again at once.
    repeats: u32,
    done: Rc<RefCell<Done>>,
}

impl Actor for Machine {
    type Context = MeteredContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        drive::<Self>(ctx);
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.done.borrow_mut().stopped = true;
    }
}

impl Supervised for Machine {}

impl Metered for Machine {
    const KIND: ActorKind = ActorKind::IceAgent;
}

impl Driven for Machine {
    fn take_input(&mut self, cx: &mut task::Context<'_>, now: Instant, _: &mut Self::Context) -> bool {
        self.input.poll_take(cx, now, INPUT_BUDGET, &mut self.output)
    }

    fn flush(&mut self, _: Instant, _: &mut Self::Context) {
        if !self.output.is_empty() {
            self.done.borrow_mut().flushes.push(self.output.len());
            let poison = self.output.iter().any(|packet| packet.as_ref() == b"poison");
            self.output.clear();
            assert!(!poison, "poisonous packet");
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn handle_deadline(&mut self, now: Instant, _: &mut Self::Context) {
        self.done.borrow_mut().fired.push(now);
        if self.repeats > 0 {
            self.repeats -= 1;
        } else {
            self.deadline = None;
        }
    }
}

struct Emit;

impl Message for Emit {
    type Result = ();
}

impl Handler<Emit> for Machine {
    type Result = ();

    fn handle(&mut self, _: Emit, _: &mut Self::Context) {
        self.output.push(Bytes::from_static(b"emitted"));
    }
}

struct SetDeadline(Option<Instant>, u32);

impl Message for SetDeadline {
    type Result = ();
}

impl Handler<SetDeadline> for Machine {
    type Result = ();

    fn handle(&mut self, SetDeadline(deadline, repeats): SetDeadline, _: &mut Self::Context) {
        self.deadline = deadline;
        self.repeats = repeats;
    }
}

/// Waits a while beside the actor, and then sets a deadline.
struct Work(Duration, Option<Instant>);

impl Message for Work {
    type Result = ();
}

impl Handler<Work> for Machine {
    type Result = ();

    fn handle(&mut self, Work(takes, deadline): Work, ctx: &mut Self::Context) {
        aside(ctx, tokio::time::sleep(takes), move |actor: &mut Self, (), _| actor.deadline = deadline);
    }
}

type Setup = (Addr<Machine>, actix_rtc::actors::kit::LaneSender<Bytes>, Rc<RefCell<Done>>);

fn machine(policy: Policy) -> Setup {
    let (sender, input) = lane(LaneKind::Stun, 512, None);
    let done = Rc::new(RefCell::new(Done::default()));
    let machine = Machine { input, output: Vec::new(), deadline: None, repeats: 0, done: Rc::clone(&done) };
    (start(policy, |_| {}, |_| machine), sender, done)
}

fn in_milliseconds(milliseconds: u64) -> Option<Instant> {
    Some(now() + Duration::from_millis(milliseconds))
}

#[test]
fn a_deadline_set_by_work_beside_the_actor_fires() {
    paused(async {
        let (machine, _lane, done) = machine(Policy::never());
        let due = in_milliseconds(50);
        tell(&machine, Work(Duration::from_millis(20), due));
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(done.borrow().fired.len(), 1);
        assert!(done.borrow().fired[0] < now() - Duration::from_millis(100), "when it was due, not later");
    });
}

#[test]
fn a_burst_of_messages_leaves_as_one_batch() {
    paused(async {
        let (machine, _lane, done) = machine(Policy::never());
        for _ in 0..50 {
            tell(&machine, Emit);
        }
        settle().await;
        assert_eq!(done.borrow().flushes, [50]);
    });
}

#[test]
fn input_is_taken_in_bounded_batches_and_nothing_is_left() {
    paused(async {
        let (_machine, lane, done) = machine(Policy::never());
        settle().await;
        lane.push_all(now(), (0..150).map(|_| Bytes::new()));
        settle().await;
        assert_eq!(done.borrow().flushes, [64, 64, 22]);
        lane.push(now(), Bytes::new());
        settle().await;
        assert_eq!(done.borrow().flushes, [64, 64, 22, 1]);
    });
}

#[test]
fn a_deadline_that_is_pushed_back_fires_once_and_in_time() {
    paused(async {
        let (machine, _lane, done) = machine(Policy::never());
        tell(&machine, SetDeadline(in_milliseconds(20), 0));
        tokio::time::sleep(Duration::from_millis(10)).await;
        let due = in_milliseconds(20).unwrap();
        tell(&machine, SetDeadline(Some(due), 0));
        tokio::time::sleep(Duration::from_millis(15)).await;
        assert!(done.borrow().fired.is_empty());
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(done.borrow().fired.len(), 1);
        let late = done.borrow().fired[0].saturating_duration_since(due);
        assert!(done.borrow().fired[0] >= due && late <= Duration::from_millis(2), "{late:?}");
    });
}

#[test]
fn a_deadline_that_moves_forward_fires_at_the_earlier_time() {
    paused(async {
        let (machine, _lane, done) = machine(Policy::never());
        tell(&machine, SetDeadline(in_milliseconds(5_000), 0));
        settle().await;
        let due = in_milliseconds(50).unwrap();
        tell(&machine, SetDeadline(Some(due), 0));
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(done.borrow().fired.len(), 1);
        assert!(done.borrow().fired[0] - due <= Duration::from_millis(2));
    });
}

#[test]
fn a_deadline_taken_back_does_not_fire_and_the_next_one_does() {
    paused(async {
        let (machine, _lane, done) = machine(Policy::never());
        tell(&machine, SetDeadline(in_milliseconds(50), 0));
        settle().await;
        tell(&machine, SetDeadline(None, 0));
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(done.borrow().fired.is_empty());
        tell(&machine, SetDeadline(in_milliseconds(50), 0));
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(done.borrow().fired.len(), 1);
    });
}

#[test]
fn a_deadline_that_never_advances_does_not_hold_up_the_thread() {
    paused(async {
        let (machine, _lane, done) = machine(Policy::never());
        tell(&machine, SetDeadline(Some(now()), 100));
        let progress = Rc::clone(&done);
        let largest = largest_step(20, move || progress.borrow().fired.len()).await;
        assert!((1..10).contains(&largest), "{largest}");
        settle().await;
        assert_eq!(done.borrow().fired.len(), 101);
    });
}

#[test]
fn a_driven_actor_ends_with_its_last_address() {
    paused(async {
        let (machine, lane, done) = machine(Policy::never());
        tell(&machine, SetDeadline(in_milliseconds(3_600_000), 0));
        settle().await;
        assert!(!done.borrow().stopped);
        tell(&machine, Emit);
        drop(machine);
        settle().await;
        assert!(done.borrow().stopped);
        assert_eq!(done.borrow().flushes, [1], "what was sent before is still handled");
        assert!(lane.is_closed());
    });
}

#[test]
fn a_poisonous_packet_costs_its_batch_and_nothing_else() {
    paused(async {
        let (machine, lane, done) = machine(Policy::restarts(1, Duration::from_secs(10)));
        settle().await;
        tell(&machine, SetDeadline(in_milliseconds(500), 0));
        lane.push_all(
            now(),
            (0..100).map(|index| Bytes::from_static(if index == 3 { b"poison" } else { b"fine" })),
        );
        settle().await;
        assert_eq!(done.borrow().flushes, [64, 36]);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(done.borrow().fired.len(), 1, "the deadline is armed again after the restart");
        ask(&machine, Emit, DEFAULT_DEADLINE).await.unwrap();
    });
}
