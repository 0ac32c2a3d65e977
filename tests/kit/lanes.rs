//! Bulk traffic is bounded, and never in the way of control.

use std::{
    cell::Cell,
    rc::Rc,
    task::{Context, Waker},
    time::{Duration, Instant},
};

use actix::prelude::*;
use actix_rtc::actors::kit::{
    ActorKind, DEFAULT_DEADLINE, Driven, DropReason, INPUT_BUDGET, LaneKind, LaneReceiver, Metered,
    MeteredContext, Policy, ask, drive, lane, lane_depth, now, start, statistics,
};
use bytes::Bytes;

use super::{paused, settle, turn};

const SECOND: Duration = Duration::from_secs(1);

fn take<T>(receiver: &LaneReceiver<T>, now: Instant, budget: usize) -> (Vec<T>, bool) {
    let mut out = Vec::new();
    let more = receiver.poll_take(&mut Context::from_waker(Waker::noop()), now, budget, &mut out);
    (out, more)
}

#[test]
fn a_full_lane_drops_the_oldest_and_marks_the_gap() {
    let (sender, receiver) = lane::<Vec<u8>>(LaneKind::SenderMedia, 4, None);
    for number in 0..6 {
        sender.push(now(), vec![number]);
    }
    assert_eq!(receiver.depth(), 4);
    assert_eq!(take(&receiver, now(), 64).0, [[2], [3], [4], [5]]);
    assert_eq!(receiver.take_dropped(), 2);
    assert_eq!(receiver.take_dropped(), 0, "a gap is told once");
    let counted = &statistics().lanes[LaneKind::SenderMedia];
    assert_eq!((counted.pushed.get(), counted.taken.get(), counted.dropped_full.get()), (6, 4, 2));
    assert_eq!(statistics().drops[DropReason::LaneFull].get(), 2);
}

#[test]
fn a_lane_that_nobody_empties_is_seen_to_fill_and_its_end_takes_it_off() {
    // No other test uses this kind: the depth is counted over the whole process.
    let depth = || lane_depth(LaneKind::Relay);
    let (sender, receiver) = lane::<Bytes>(LaneKind::Relay, 4, None);
    sender.push_all(now(), (0..6).map(|_| Bytes::from_static(b"x")));
    assert_eq!(depth(), 4);
    assert_eq!(take(&receiver, now(), 1).0.len(), 1);
    assert_eq!(depth(), 3);
    let other = sender.clone();
    let pushed = now();
    std::thread::spawn(move || other.push(pushed, Bytes::from_static(b"y"))).join().unwrap();
    assert_eq!(depth(), 4, "what a thread that has ended put in is still there");
    drop(receiver);
    sender.push(now(), Bytes::new());
    assert_eq!(depth(), 0);
}

#[test]
fn capacity_and_budget_are_counted_in_packets() {
    let (sender, receiver) = lane::<Vec<u8>>(LaneKind::Media, 10, None);
    sender.push_all(now(), [vec![1; 4], vec![2; 4], vec![3; 4]].into_iter());
    assert_eq!(receiver.depth(), 8, "the first lot made room");
    let (taken, more) = take(&receiver, now(), 7);
    assert_eq!((taken, more), (vec![vec![2; 4]], true));
    sender.push(now(), vec![4; 10]);
    assert_eq!(take(&receiver, now(), 1), (vec![vec![4; 10]], false), "one item in any case");
    sender.push(now(), vec![5; 11]);
    assert_eq!(receiver.depth(), 0, "an item that is larger than the lane never fits");
    assert_eq!(receiver.take_dropped(), 4 + 4 + 11);
    sender.push_all(now(), (0..20).map(|_| Vec::new()));
    assert_eq!(receiver.depth(), 10, "an empty item counts as one packet");
}

#[test]
fn what_waited_too_long_is_dropped_and_marks_the_gap() {
    let (sender, receiver) = lane::<Bytes>(LaneKind::ReceiverRtp, 64, Some(SECOND));
    let begin = now();
    sender.push(begin, Bytes::from_static(b"old"));
    sender.push(begin + SECOND, Bytes::from_static(b"new"));
    let (taken, more) = take(&receiver, begin + SECOND + Duration::from_millis(1), 64);
    assert_eq!((taken, more), (vec![Bytes::from_static(b"new")], false));
    assert_eq!(receiver.take_dropped(), 1);
    let counted = &statistics().lanes[LaneKind::ReceiverRtp];
    assert_eq!((counted.dropped_age.get(), counted.wait.count()), (1, 1));
}

#[test]
fn a_lane_closes_with_its_last_receiver() {
    let (sender, receiver) = lane::<Bytes>(LaneKind::Stun, 4, None);
    let twin = receiver.clone();
    drop(receiver);
    assert!(!sender.is_closed());
    sender.push(now(), Bytes::new());
    drop(twin);
    assert!(sender.is_closed());
    sender.push_all(now(), (0..3).map(|_| Bytes::new()));
    assert_eq!(statistics().drops[DropReason::LaneClosed].get(), 4);
}

#[test]
fn only_the_first_push_wakes_the_receiver() {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    };
    #[derive(Default)]
    struct Alarm(AtomicUsize);
    impl std::task::Wake for Alarm {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }
    let alarm = Arc::new(Alarm::default());
    let waker = Waker::from(Arc::clone(&alarm));
    let cx = &mut Context::from_waker(&waker);
    let (sender, receiver) = lane::<Bytes>(LaneKind::Stun, 4, None);
    let mut out = Vec::new();
    sender.push(now(), Bytes::new());
    assert_eq!(alarm.0.load(SeqCst), 0, "nobody waits yet");
    assert!(!receiver.poll_take(cx, now(), 64, &mut out));
    for _ in 0..10 {
        sender.push(now(), Bytes::new());
    }
    assert_eq!(alarm.0.load(SeqCst), 1);
    assert!(receiver.poll_take(cx, now(), 2, &mut out));
    sender.push(now(), Bytes::new());
    assert_eq!(alarm.0.load(SeqCst), 1, "who was told of more comes back without being woken");
    while receiver.poll_take(cx, now(), 2, &mut out) {}
    sender.push(now(), Bytes::new());
    assert_eq!(alarm.0.load(SeqCst), 2);
}

/// Takes what it can.
struct Slow {
    input: LaneReceiver<Bytes>,
    taken: Vec<Bytes>,
    handled: Rc<Cell<usize>>,
}

impl Actor for Slow {
    type Context = MeteredContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        drive::<Self>(ctx);
    }
}

impl Supervised for Slow {}

impl Metered for Slow {
    const KIND: ActorKind = ActorKind::RtpReceiver;
}

impl Driven for Slow {
    fn take_input(&mut self, cx: &mut Context<'_>, now: Instant, _: &mut Self::Context) -> bool {
        let more = self.input.poll_take(cx, now, INPUT_BUDGET, &mut self.taken);
        self.handled.set(self.handled.get() + self.taken.len());
        self.taken.clear();
        more
    }

    fn flush(&mut self, _: Instant, _: &mut Self::Context) {}

    fn deadline(&self) -> Option<Instant> {
        None
    }

    fn handle_deadline(&mut self, _: Instant, _: &mut Self::Context) {}
}

struct Handled;

impl Message for Handled {
    type Result = usize;
}

impl Handler<Handled> for Slow {
    type Result = usize;

    fn handle(&mut self, _: Handled, _: &mut Self::Context) -> usize {
        self.handled.get()
    }
}

#[test]
fn control_stays_prompt_while_a_lane_is_offered_five_times_what_is_taken() {
    paused(async {
        let (sender, input) = lane(LaneKind::Media, 512, None);
        let handled = Rc::new(Cell::new(0));
        let slow = Slow { input, taken: Vec::new(), handled: Rc::clone(&handled) };
        let slow = start(Policy::never(), |_| {}, |_| slow);
        let flood = tokio::task::spawn_local(async move {
            loop {
                sender.push_all(now(), (0..5 * INPUT_BUDGET).map(|_| Bytes::new()));
                turn().await;
            }
        });
        // Paused time stands still while anything is ready: promptness is counted in packets handled before the answer.
        let questions = tokio::task::spawn_local(async move {
            for _ in 0..100 {
                let before = handled.get();
                let at_answer = ask(&slow, Handled, DEFAULT_DEADLINE).await.unwrap();
                assert!(
                    at_answer - before <= INPUT_BUDGET,
                    "{} packets before the answer",
                    at_answer - before
                );
                turn().await;
            }
        });
        questions.await.unwrap();
        flood.abort();
        settle().await;
        let counted = &statistics().lanes[LaneKind::Media];
        assert!(counted.dropped_full.get() > 2 * counted.taken.get(), "the lane was overloaded");
        assert_eq!(counted.pushed.get(), counted.taken.get() + counted.dropped_full.get());
    });
}
