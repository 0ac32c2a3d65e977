//! The threads on which actors live: one arbiter per core, owned by the library, so that actors work in any program.
//!
//! actix starts actors on the current thread's arbiter only, and panics where there is none, such as in a plain
//! `#[tokio::main]`. [`Shards`] brings its own `System` on its own thread; its handles work from any task.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use actix_rt::{Arbiter, ArbiterHandle, System, SystemRunner};
use core_affinity::CoreId;
use parking_lot::{Condvar, Mutex};
use thiserror::Error;
use tokio::sync::oneshot;

use super::{
    clock,
    features::note_feature,
    kind::{Gauge, KernelFeature},
    load::LoadMeter,
    stats::{ShardLabel, ShardStatistics, Statistics, statistics},
};

/// How often a shard shows that it runs.
const HEARTBEAT: Duration = Duration::from_millis(250);

/// Task polls between two looks at sockets and timers; half of tokio's default, because packets wait in sockets.
const EVENT_INTERVAL: u32 = 31;

/// A shard that has not shown itself for so long takes nothing new, whatever it said before.
const WEDGED: Duration = Duration::from_secs(2);

/// Differences in [`ShardLoad::busy`] below this are noise: then the number of peers decides.
const BUSY_STEP: f64 = 0.1;

/// What a shard has to do.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ShardLoad {
    /// The share of the last seconds that its thread spent on a core, from 0 to 1. 1 if it is wedged.
    pub busy: f64,
    /// Peer connections that are not closed.
    pub peers: usize,
    /// Rooms.
    pub rooms: usize,
}

impl ShardLoad {
    /// By what shards are compared: less is better.
    pub fn key(&self) -> (u32, usize, usize) {
        ((self.busy / BUSY_STEP) as u32, self.peers, self.rooms)
    }
}

/// How to start [`Shards`].
#[derive(Clone, Debug)]
pub struct ShardsConfig {
    /// Number of shards; at least one. By default, the number of cores this process may use.
    pub count: usize,
    /// Whether each shard keeps to one core: only if there are several shards, and as many cores that this process
    /// may use. A single one is left to the scheduler, and so are all if the system refuses.
    pub pin: bool,
}

impl Default for ShardsConfig {
    fn default() -> Self {
        Self { count: thread::available_parallelism().map_or(1, usize::from), pin: true }
    }
}

/// Why work could not be done on a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ShardError {
    /// There is no shard of this number.
    #[error("there is no shard {0}")]
    Unknown(usize),
    /// The shards have been shut down.
    #[error("the shards have been shut down")]
    Closed,
    /// The work panicked on its shard.
    #[error("the work panicked on its shard")]
    Panicked,
    /// Not all threads ended in time; they are left to themselves.
    #[error("the shards did not shut down in time")]
    DeadlinePassed,
}

/// The threads on which actors live. Clones are handles to the same threads; when the last one is dropped, the
/// threads are told to end, but only [`Shards::shutdown`] waits for it.
#[derive(Clone, Debug)]
pub struct Shards {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    arbiters: Vec<ArbiterHandle>,
    statistics: Vec<Arc<ShardStatistics>>,
    system: System,
    ended: Arc<Ended>,
    /// Where the search for the least loaded shard begins, so that equals take turns.
    turn: AtomicUsize,
}

/// Set by the system thread as its last act.
#[derive(Debug, Default)]
struct Ended {
    done: Mutex<bool>,
    changed: Condvar,
}

impl Shards {
    /// Starts the threads. Blocks for the moment that takes.
    pub fn start(config: ShardsConfig) -> io::Result<Self> {
        let count = config.count.max(1);
        let cores = if config.pin && count > 1 { cores_for(count) } else { Vec::new() };
        let statistics: Vec<_> =
            (0..count).map(|number| Arc::new(ShardStatistics::new(ShardLabel::Shard(number)))).collect();
        let ended = Arc::new(Ended::default());
        let (started, ready) = mpsc::sync_channel(1);
        let system_thread = SystemThread { statistics: statistics.clone(), cores, ended: Arc::clone(&ended) };
        thread::Builder::new()
            .name("actix-rtc-system".to_owned())
            .spawn(move || system_thread.run(&started))?;
        let (system, arbiters) =
            ready.recv().map_err(|_| io::Error::other("the system thread ended before it began"))??;
        let turn = AtomicUsize::new(0);
        Ok(Self { inner: Arc::new(Inner { arbiters, statistics, system, ended, turn }) })
    }

    /// The shards of the whole process, started with the default configuration when first asked for, and again if
    /// they have been shut down since.
    pub fn global() -> io::Result<Self> {
        static GLOBAL: Mutex<Option<Shards>> = Mutex::new(None);
        let mut global = GLOBAL.lock();
        match &*global {
            Some(shards) if shards.is_running() => Ok(shards.clone()),
            _ => {
                let shards = Self::start(ShardsConfig::default())?;
                *global = Some(shards.clone());
                Ok(shards)
            }
        }
    }

    /// Number of shards; never zero.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.inner.arbiters.len()
    }

    /// Whether the threads have not been told to end.
    pub fn is_running(&self) -> bool {
        self.inner.arbiters.iter().all(ArbiterHandle::alive) && !*self.inner.ended.done.lock()
    }

    /// The arbiter of a shard.
    ///
    /// # Panics
    /// If there is no shard of this number.
    pub fn arbiter(&self, shard: usize) -> &ArbiterHandle {
        &self.inner.arbiters[shard]
    }

    /// Runs a closure on a shard and awaits its result. The future need not be `Send`: it stays there. It goes on
    /// when the caller stops waiting.
    pub async fn run_on<F, Fut, R>(&self, shard: usize, work: F) -> Result<R, ShardError>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = R> + 'static,
        R: Send + 'static,
    {
        let arbiter = self.inner.arbiters.get(shard).ok_or(ShardError::Unknown(shard))?;
        let (done, result) = oneshot::channel();
        let accepted = arbiter.spawn_fn(move || {
            actix_rt::spawn(async move {
                // The caller may have stopped waiting.
                let _ = done.send(work().await);
            });
        });
        if !accepted {
            return Err(ShardError::Closed);
        }
        result.await.map_err(|_| if arbiter.alive() { ShardError::Panicked } else { ShardError::Closed })
    }

    /// The statistics of each shard, in order.
    pub fn statistics(&self) -> Vec<Arc<ShardStatistics>> {
        self.inner.statistics.clone()
    }

    /// What each shard has to do, in order.
    pub fn loads(&self) -> Vec<ShardLoad> {
        let now = clock::now();
        let count = |gauge| usize::try_from(gauge).unwrap_or_default();
        let load = |statistics: &Arc<ShardStatistics>| {
            let is_wedged = statistics.progress_age(now).is_some_and(|age| age > WEDGED);
            ShardLoad {
                busy: if is_wedged { 1.0 } else { statistics.busy_share() },
                peers: count(statistics.gauge(Gauge::Peers)),
                rooms: count(statistics.gauge(Gauge::Rooms)),
            }
        };
        self.inner.statistics.iter().map(load).collect()
    }

    /// The shard that is the least busy, to about a tenth of a core; of those, the one with the fewest peers, then
    /// rooms; equals take turns.
    pub fn least_loaded(&self) -> usize {
        let count = self.len();
        let first = self.inner.turn.fetch_add(1, Relaxed);
        let loads = self.loads();
        (0..count)
            .map(|offset| first.wrapping_add(offset) % count)
            .min_by_key(|shard| loads[*shard].key())
            .unwrap_or_default()
    }

    /// Tells all threads to end, and waits for that at most as long as `deadline`, by the real clock. The actors'
    /// `stopped` runs; what they have yet to say to their peers must have been said before.
    ///
    /// Must not be awaited on a shard: it would wait for itself.
    pub async fn shutdown(&self, deadline: Duration) -> Result<(), ShardError> {
        self.inner.system.stop();
        let ended = Arc::clone(&self.inner.ended);
        let (done, result) = oneshot::channel();
        // A thread waits, not a timer: the caller may have no tokio runtime, or one whose time is paused.
        let spawned = thread::Builder::new().name("actix-rtc-shutdown".to_owned()).spawn(move || {
            let mut is_done = ended.done.lock();
            if !*is_done {
                ended.changed.wait_while_for(&mut is_done, |is_done| !*is_done, deadline);
            }
            let _ = done.send(*is_done);
        });
        match spawned {
            Ok(_) if result.await == Ok(true) => Ok(()),
            _ => Err(ShardError::DeadlinePassed),
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.system.stop();
    }
}

/// One core for each shard, or none at all if there are too few.
fn cores_for(count: usize) -> Vec<CoreId> {
    match core_affinity::get_core_ids() {
        Some(cores) if cores.len() >= count => cores.into_iter().take(count).collect(),
        _ => Vec::new(),
    }
}

type Started = io::Result<(System, Vec<ArbiterHandle>)>;

/// The thread that owns the actix system and, through it, the shards' threads.
struct SystemThread {
    statistics: Vec<Arc<ShardStatistics>>,
    cores: Vec<CoreId>,
    ended: Arc<Ended>,
}

impl SystemThread {
    fn run(self, started: &mpsc::SyncSender<Started>) {
        let runner = match runtime() {
            Ok(runtime) => System::with_tokio_rt(|| runtime),
            Err(error) => return drop(started.send(Err(error))),
        };
        let system = System::current();
        let arbiters = match self.start_arbiters(&runner) {
            Ok(arbiters) => arbiters,
            Err(error) => {
                system.stop();
                let _ = runner.run();
                return drop(started.send(Err(error)));
            }
        };
        let handles = arbiters.iter().map(Arbiter::handle).collect();
        let _ = started.send(Ok((system, handles)));
        let _ = runner.run();
        for arbiter in arbiters {
            let _ = arbiter.join();
        }
        *self.ended.done.lock() = true;
        self.ended.changed.notify_all();
    }

    fn start_arbiters(&self, runner: &SystemRunner) -> io::Result<Vec<Arbiter>> {
        runner.block_on(async {
            let shards = self.statistics.iter().enumerate();
            shards
                .map(|(number, statistics)| {
                    let core = self.cores.get(number).copied();
                    let statistics = Arc::clone(statistics);
                    let arbiter = Arbiter::try_with_tokio_rt(move || {
                        prepare_thread(number, core);
                        Statistics::install(statistics);
                        runtime()
                    })?;
                    arbiter.spawn(heartbeat());
                    Ok(arbiter)
                })
                .collect()
        })
    }
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().event_interval(EVENT_INTERVAL).build()
}

/// Names and pins the current thread, as far as the system allows.
fn prepare_thread(number: usize, core: Option<CoreId>) {
    // actix names its threads itself and takes no name from us; Linux lets a thread rename itself (15 bytes).
    #[cfg(target_os = "linux")]
    let _ = std::fs::write("/proc/thread-self/comm", format!("rtc-shard-{number}"));
    let Some(core) = core else { return };
    let is_pinned = core_affinity::set_for_current(core);
    if note_feature(KernelFeature::Affinity, is_pinned) {
        tracing::warn!(
            shard = number,
            core = core.id,
            "a shard could not be pinned to its core, and goes on without"
        );
    }
}

/// Shows forever that the current shard runs, and how busy it is.
async fn heartbeat() {
    let mut due = clock::now();
    let mut load = LoadMeter::new(due, &statistics());
    loop {
        let now = clock::now();
        show(now, due, &mut load);
        due = now + HEARTBEAT;
        tokio::time::sleep_until(due.into()).await;
    }
}

fn show(now: Instant, due: Instant, load: &mut LoadMeter) {
    let statistics = statistics();
    let busy_share = load.sample(now, &statistics);
    statistics.heartbeat(now, now.saturating_duration_since(due), busy_share);
}
