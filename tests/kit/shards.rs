//! Actors in any program.

use std::{cell::Cell, collections::BTreeSet, rc::Rc, sync::Arc, time::Duration};

use actix::prelude::*;
use actix_rtc::actors::kit::{
    ActorKind, AskError, Gauge, IceLabel, KernelFeature, Metered, MeteredContext, Policy, ShardError,
    ShardLabel, Shards, ShardsConfig, all_statistics, ask, kernel_feature, start, statistics,
};

const PATIENCE: Duration = Duration::from_secs(20);

struct WhereAreYou;

impl Message for WhereAreYou {
    type Result = String;
}

struct Resident;

impl Actor for Resident {
    type Context = MeteredContext<Self>;
}

impl Supervised for Resident {}

impl Metered for Resident {
    const KIND: ActorKind = ActorKind::PeerConnection;
}

impl Handler<WhereAreYou> for Resident {
    type Result = MessageResult<WhereAreYou>;

    fn handle(&mut self, _: WhereAreYou, ctx: &mut Self::Context) -> Self::Result {
        MessageResult(ctx.statistics().label().to_string())
    }
}

fn two_shards() -> Shards {
    Shards::start(ShardsConfig { count: 2, pin: false }).expect("the system has room for three more threads")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn actors_live_on_their_shards_in_a_plain_tokio_program() {
    let shards = two_shards();
    let mut addresses = Vec::new();
    for shard in 0..shards.len() {
        let address =
            shards.run_on(shard, || async { start(Policy::never(), |_| {}, |_| Resident) }).await.unwrap();
        let asked = address.clone();
        let label = tokio::spawn(async move { ask(&asked, WhereAreYou, PATIENCE).await }).await.unwrap();
        assert_eq!(label, Ok(shard.to_string()));
        assert_eq!(shards.statistics()[shard].label(), ShardLabel::Shard(shard));
        assert_eq!(shards.statistics()[shard].actors[ActorKind::PeerConnection].started.get(), 1);
        addresses.push(address);
    }
    shards.shutdown(PATIENCE).await.unwrap();
    for address in addresses {
        assert!(!address.connected());
        assert_eq!(ask(&address, WhereAreYou, PATIENCE).await, Err(AskError::Closed));
    }
    assert_eq!(shards.run_on(0, || async {}).await, Err(ShardError::Closed));
    shards.shutdown(PATIENCE).await.expect("shutting down twice is fine");
    assert!(!shards.is_running());
}

#[test]
fn shards_need_no_runtime_of_the_caller() {
    let shards = two_shards();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    // Neither time nor input and output are enabled on this runtime.
    runtime.block_on(async {
        assert_eq!(shards.run_on(1, || async { 1 + 1 }).await, Ok(2));
        shards.shutdown(PATIENCE).await.unwrap();
    });
}

#[tokio::test]
async fn work_that_panics_does_not_take_its_shard_along() {
    let shards = two_shards();
    let panicking = || async { panic!("work") };
    assert_eq!(shards.run_on::<_, _, ()>(0, panicking).await, Err(ShardError::Panicked));
    assert_eq!(shards.run_on(0, || async { 3 }).await, Ok(3));
    assert_eq!(shards.run_on(2, || async { 3 }).await, Err(ShardError::Unknown(2)));
    shards.shutdown(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn the_least_loaded_shard_is_the_one_with_fewest_peers() {
    let shards = two_shards();
    let turns: BTreeSet<usize> = (0..2).map(|_| shards.least_loaded()).collect();
    assert_eq!(turns.len(), 2, "equals take turns");
    shards.run_on(0, || async { statistics().gauge_add(Gauge::Peers, 1) }).await.unwrap();
    assert_eq!((shards.least_loaded(), shards.least_loaded()), (1, 1));
    shards.shutdown(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn a_busy_shard_is_not_the_least_loaded_however_few_its_peers_are() {
    let shards = two_shards();
    shards.run_on(1, || async { statistics().gauge_add(Gauge::Peers, 5) }).await.unwrap();
    assert_eq!(shards.least_loaded(), 0);
    let statistics = shards.statistics();
    // In slices, so that the shard can say how busy it is.
    while statistics[0].busy_share() < 0.1 {
        shards.run_on(0, || async { std::hint::black_box((0..200_000_u64).sum::<u64>()) }).await.unwrap();
    }
    assert!(statistics[1].busy_share() < 0.1, "the other one has nothing to do");
    assert_eq!(shards.least_loaded(), 1);
    assert_eq!(shards.loads()[1].peers, 5);
    shards.shutdown(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn shards_are_pinned_where_the_system_lets_them() {
    let config = ShardsConfig { count: 2, pin: true };
    let shards = Shards::start(config).expect("the system has room for three more threads");
    let cores = std::thread::available_parallelism().unwrap().get();
    for shard in 0..2 {
        let allowed = || async { std::thread::available_parallelism().map_or(0, usize::from) };
        let allowed = shards.run_on(shard, allowed).await.unwrap();
        if cores >= 2 && kernel_feature(KernelFeature::Affinity) == Some(true) {
            assert_eq!(allowed, 1, "one core each");
        } else {
            assert_eq!(allowed, cores, "it runs all the same");
        }
    }
    shards.shutdown(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn a_shard_shows_that_it_runs() {
    let shards = two_shards();
    shards.run_on(0, || async {}).await.unwrap();
    let now = actix_rtc::actors::kit::now();
    assert!(shards.statistics()[0].progress_age(now).is_some());
    assert!(statistics().progress_age(now).is_none(), "this thread is no shard");
    shards.shutdown(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn a_wedged_shard_does_not_hold_up_shutdown() {
    let shards = two_shards();
    let (release, wedge) = std::sync::mpsc::channel::<()>();
    let (wedged, is_wedged) = tokio::sync::oneshot::channel();
    shards.arbiter(0).spawn_fn(move || {
        wedged.send(()).unwrap();
        let _ = wedge.recv();
    });
    is_wedged.await.unwrap();
    assert_eq!(shards.shutdown(Duration::from_millis(50)).await, Err(ShardError::DeadlinePassed));
    drop(release);
    assert_eq!(shards.shutdown(PATIENCE).await, Ok(()));
}

#[tokio::test]
async fn threads_end_when_the_last_handle_is_dropped() {
    let shards = two_shards();
    let arbiter = shards.arbiter(0).clone();
    let statistics = shards.statistics();
    drop(shards);
    let (done, ended) = tokio::sync::oneshot::channel::<()>();
    arbiter.spawn(async move {
        std::future::pending::<()>().await;
        drop(done);
    });
    assert!(tokio::time::timeout(PATIENCE, ended).await.expect("the arbiter drops its tasks").is_err());
    assert_eq!(statistics.len(), 2);
}

#[tokio::test]
async fn what_an_ended_shard_counted_is_kept() {
    use actix_rtc::actors::kit::DropReason;
    let sum = || -> u64 {
        let all = all_statistics();
        all.iter()
            .filter(|one| one.label() == ShardLabel::Shard(0))
            .map(|one| one.drops[DropReason::TooLarge].get())
            .sum()
    };
    let shards = two_shards();
    shards.run_on(0, || async { statistics().drop(DropReason::TooLarge, 5) }).await.unwrap();
    assert_eq!(sum(), 5);
    shards.shutdown(PATIENCE).await.unwrap();
    assert_eq!(sum(), 5);
}

#[test]
fn tracked_gauges_leave_with_what_they_count() {
    let gauge = |state| statistics().gauge(Gauge::IceState(state));
    let mut tracked = statistics().track(Gauge::IceState(IceLabel::New));
    assert_eq!((gauge(IceLabel::New), gauge(IceLabel::Checking)), (1, 0));
    tracked.set(Gauge::IceState(IceLabel::Checking));
    assert_eq!((gauge(IceLabel::New), gauge(IceLabel::Checking)), (0, 1));
    drop(tracked);
    assert_eq!((gauge(IceLabel::New), gauge(IceLabel::Checking)), (0, 0));
}

#[tokio::test]
async fn global_shards_are_started_once() {
    let shards = Shards::global().unwrap();
    assert_eq!(shards.run_on(0, || async { Rc::new(Cell::new(4)).get() }).await, Ok(4));
    let again = Shards::global().unwrap();
    assert!(Arc::ptr_eq(&shards.statistics()[0], &again.statistics()[0]));
}
