//! What actix lacks: panic guards, lanes, one deadline per actor, statistics, shards.
//!
//! The only place of the project that knows the insides of actix.
//!
//! | file | gives |
//! |---|---|
//! | `guard`, `policy` | [`start`]: an actor whose panics are contained, with bounded restarts and a hook for the end |
//! | `metered` | [`MeteredContext`]: the context of every actor; counts its mailbox and yields after a batch |
//! | `lane` | [`lane()`]: a bounded, drop-oldest path for bulk traffic, beside the mailbox |
//! | `doorbell` | [`Doorbell`]: tells an actor which of its lanes have something |
//! | `driver` | [`drive`]: input from lanes, one batch of output, one deadline, after each mailbox drain |
//! | `station`, `belt` | [`Station`]: work of an actor that its thread runs without the actor's task; in which order |
//! | `aside` | [`aside()`]: work beside an actor whose end its driver notices |
//! | `ask` | [`ask()`] with a deadline, [`tell`] with dead letters counted |
//! | `stats`, `cell`, `kind` | single-writer counters of each shard, indexed by label enums |
//! | `shards`, `load` | [`Shards`]: the threads on which actors live, usable from any program, and how busy they are |
//! | `features` | what the kernel gives and refuses |
//! | `turn` | how a busy actor gives way to timers and sockets |
//! | `probe` | [`Probe`]: an actor for tests that collects messages |
//! | `clock` | [`now`]: the only clock of the actor layer |

mod aside;
mod ask;
mod belt;
mod cell;
mod clock;
mod doorbell;
mod driver;
mod features;
mod guard;
mod kind;
mod lane;
mod load;
mod metered;
mod policy;
mod probe;
mod shards;
mod station;
mod stats;
mod turn;

#[cfg(feature = "fault-injection")]
pub use self::clock::clock_reads;
pub use self::{
    aside::aside,
    ask::{AskError, DEFAULT_DEADLINE, Destination, ask, tell},
    cell::{Counter, DURATION_BOUNDS, GaugeCell, Histogram, PerLabel},
    clock::{now, wall_clock},
    doorbell::Doorbell,
    driver::{Driven, INPUT_BUDGET, drive},
    features::{kernel_feature, note_feature},
    guard::start,
    kind::{
        ActorKind, ConnectionLabel, Direction, DropReason, DtlsLabel, Gauge, IceLabel, KernelFeature, Label,
        LaneKind,
    },
    lane::{LaneReceiver, LaneSender, Taken, Weight, lane, lane_depth},
    metered::{MAILBOX_BUDGET, Metered, MeteredContext},
    policy::{DownReason, Policy},
    probe::{Inbox, Probe},
    shards::{ShardError, ShardLoad, Shards, ShardsConfig},
    station::{Door, Station, Stationed, Work},
    stats::{
        ActorStatistics, Batches, LaneStatistics, MailboxTotals, POLL_SAMPLE, ShardLabel, ShardStatistics,
        Statistics, TrackedGauge, Traffic, all_statistics, mailbox_totals, statistics,
    },
};
