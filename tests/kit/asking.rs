//! Mailboxes: deadlines, dead letters, and turns.

use std::{cell::Cell, rc::Rc, time::Duration};

use actix::prelude::*;
use actix_rtc::actors::kit::{
    ActorKind, AskError, DEFAULT_DEADLINE, MAILBOX_BUDGET, Metered, MeteredContext, Policy, Probe, ask,
    mailbox_totals, start, statistics, tell,
};

use super::{largest_step, paused, settle};

struct Count;

impl Message for Count {
    type Result = u32;
}

struct Forward(u32);

impl Message for Forward {
    type Result = ();
}

/// Sends itself the same message again and again.
struct Restless {
    handled: Rc<Cell<u32>>,
}

impl Actor for Restless {
    type Context = MeteredContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.spawn(fut::wrap_future::<_, Self>(std::future::pending()));
    }
}

impl Supervised for Restless {}

impl Metered for Restless {
    const KIND: ActorKind = ActorKind::Shard;
}

impl Handler<Forward> for Restless {
    type Result = ();

    fn handle(&mut self, Forward(left): Forward, ctx: &mut Self::Context) {
        self.handled.set(self.handled.get() + 1);
        if left > 0 {
            tell(&ctx.address(), Forward(left - 1));
        }
    }
}

/// Answers never.
struct Silent;

impl Actor for Silent {
    type Context = MeteredContext<Self>;
}

impl Supervised for Silent {}

impl Metered for Silent {
    const KIND: ActorKind = ActorKind::Room;
}

impl Handler<Count> for Silent {
    type Result = ResponseFuture<u32>;

    fn handle(&mut self, _: Count, _: &mut Self::Context) -> Self::Result {
        Box::pin(std::future::pending())
    }
}

#[test]
fn a_question_without_an_answer_ends_at_its_deadline() {
    paused(async {
        let silent = start(Policy::never(), |_| {}, |_| Silent);
        let begin = tokio::time::Instant::now();
        assert_eq!(ask(&silent, Count, Duration::from_secs(3)).await, Err(AskError::DeadlinePassed));
        assert_eq!(begin.elapsed(), Duration::from_secs(3));
        let recipient = silent.recipient();
        assert_eq!(ask(&recipient, Count, DEFAULT_DEADLINE).await, Err(AskError::DeadlinePassed));
    });
}

#[test]
fn asking_works_from_tasks_that_move_between_threads() {
    fn assert_send<T: Send>(value: T) -> T {
        value
    }
    paused(async {
        let (probe, _inbox) = Probe::<Count>::answering(|_| 7);
        let recipient = probe.clone().recipient();
        assert_eq!(assert_send(ask(&probe, Count, DEFAULT_DEADLINE)).await, Ok(7));
        assert_eq!(assert_send(ask(&recipient, Count, DEFAULT_DEADLINE)).await, Ok(7));
    });
}

// The only test with actors of kind `SctpAssoc`: these totals are of the whole process.
#[test]
fn messages_that_nobody_handles_are_dead_letters() {
    struct End;

    impl Message for End {
        type Result = ();
    }
    struct Brief;
    impl Actor for Brief {
        type Context = MeteredContext<Self>;
    }
    impl Supervised for Brief {}
    impl Metered for Brief {
        const KIND: ActorKind = ActorKind::SctpAssoc;
    }
    impl Handler<End> for Brief {
        type Result = ();
        fn handle(&mut self, _: End, ctx: &mut Self::Context) {
            ctx.stop();
        }
    }
    paused(async {
        let totals = || mailbox_totals(Some(ActorKind::SctpAssoc));
        let brief = start(Policy::never(), |_| {}, |_| Brief);
        assert!(tell(&brief, End));
        assert!(tell(&brief, End), "still queued behind the end");
        drop(brief.send(End));
        settle().await;
        assert_eq!((totals().sent, totals().dead_letters), (3, 2));
        assert!(!tell(&brief, End));
        assert_eq!((totals().sent, totals().dead_letters), (4, 3));
        let before = mailbox_totals(None).dead_letters;
        assert!(!tell(&brief.recipient(), End));
        assert_eq!(mailbox_totals(None).dead_letters, before + 1);
        assert_eq!(statistics().actors[ActorKind::SctpAssoc].mailbox_wait.count(), 1);
    });
}

#[test]
fn an_actor_that_keeps_itself_busy_lets_others_run() {
    paused(async {
        let handled = Rc::new(Cell::new(0));
        let actor = Restless { handled: Rc::clone(&handled) };
        let restless = start(Policy::never(), |_| {}, |_| actor);
        tell(&restless, Forward(10 * MAILBOX_BUDGET));
        let progress = Rc::clone(&handled);
        let largest = largest_step(20, move || progress.get() as usize).await;
        assert_eq!(largest, MAILBOX_BUDGET as usize);
        settle().await;
        assert_eq!(handled.get(), 10 * MAILBOX_BUDGET + 1, "nothing is forgotten");
        assert_eq!(statistics().actors[ActorKind::Shard].yields.get(), 10);
    });
}

#[test]
fn time_in_the_mailbox_is_measured() {
    paused(async {
        let handled = Rc::new(Cell::new(0));
        let actor = Restless { handled };
        let restless = start(Policy::never(), |_| {}, |_| actor);
        tell(&restless, Forward(0));
        tokio::time::advance(Duration::from_millis(5)).await;
        settle().await;
        let wait = &statistics().actors[ActorKind::Shard].mailbox_wait;
        assert_eq!((wait.count(), wait.sum()), (1, Duration::from_millis(5)));
    });
}

#[test]
fn a_probe_hands_out_what_it_received() {
    paused(async {
        let (probe, mut inbox) = Probe::<Count>::start();
        assert!(inbox.try_next().is_none());
        tell(&probe, Count);
        assert!(inbox.next().await.is_some());
        assert!(inbox.next().await.is_none(), "does not wait forever");
        assert_eq!(inbox.drain().len(), 0);
    });
}
