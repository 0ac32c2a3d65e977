//! The steady state of one publisher and its subscribers, on the thread that forwards.

use std::{backtrace::Backtrace, cmp::Reverse, time::Duration};

use actix_rtc::{
    MediaKind,
    actors::kit::{Direction, ShardStatistics},
    proto::demux::PacketKind,
};

use crate::{counting, stage::Stage};

/// Packets that arrive together.
const LOT: usize = 10;
/// After so many every ring and queue has the size it keeps: a stream remembers 1,024 packets of the last second at
/// most, and while time stands still all are of the same second.
const WARM_UP_LOTS: usize = 130;
/// Lots that are counted.
const LOTS: usize = 100;
const FEW: usize = 10;
const MANY: usize = 30;
/// The received packets of a lot, and the lot itself, which is shared by all who forward it.
const ALLOCATIONS_PER_LOT: u64 = 2;
/// Datagrams are received into slabs, which are packets of some senders' histories long after: a new one, of two
/// parts, for at least so many packets.
const PACKETS_PER_SLAB: u64 = 32;
/// Wake-ups of a subscriber's two actors and of all others, each of which asks for the time once, and sometimes
/// twice more for the statistics.
const CLOCK_READS_PER_LOT: u64 = 4;

/// What the forwarding thread did while [`LOTS`] were published.
#[derive(Debug, Default)]
struct Done {
    allocations: u64,
    clock_reads: u64,
    received: u64,
    forwarded: u64,
    lots: u64,
}

/// The counters of a shard: packets in and out, lots in.
fn counters(shard: &ShardStatistics) -> [u64; 3] {
    [
        shard.traffic_in[PacketKind::Rtp].packets.get(),
        shard.traffic_out[PacketKind::Rtp].packets.get(),
        shard.lots[Direction::In].batches.get(),
    ]
}

async fn forward(kind: MediaKind, subscribers: usize) -> (Done, Vec<Backtrace>) {
    let mut stage = Stage::start(kind, subscribers).await;
    let stopped = stage.stop_time().await;
    stage.publish(WARM_UP_LOTS, LOT, true).await;
    let shards = stage.forwarder.shards().clone();
    let before = counters(&shards.statistics()[0]);
    shards.run_on(0, || async { counting::begin() }).await.unwrap();
    stage.publish(LOTS, LOT, false).await;
    let (counts, places) = shards.run_on(0, || async { counting::end() }).await.unwrap();
    let after = counters(&shards.statistics()[0]);
    drop(stopped);
    stage.end().await;
    let done = Done {
        allocations: counts.allocations,
        clock_reads: counts.clock_reads,
        received: after[0] - before[0],
        forwarded: after[1] - before[1],
        lots: after[2] - before[2],
    };
    (done, places)
}

/// Where it was allocated first, the most frequent places before the others.
fn most_frequent(places: &[Backtrace]) -> String {
    let mut texts: Vec<String> = places.iter().map(|place| callers(&place.to_string())).collect();
    texts.sort_unstable();
    let mut groups: Vec<&[String]> = texts.chunk_by(|one, other| one == other).collect();
    groups.sort_by_key(|group| Reverse(group.len()));
    groups.iter().map(|group| format!("{} times:\n{}\n", group.len(), group[0])).collect()
}

/// The lines of a backtrace that tell who allocated: from behind the allocator to the runtime's loop.
fn callers(backtrace: &str) -> String {
    let names = backtrace.lines().filter(|line| !line.trim_start().starts_with("at "));
    let names = names.skip_while(|line| !line.contains("alloc<std::alloc::System>")).skip(1);
    names.take_while(|line| !line.contains("tokio")).take(16).collect::<Vec<_>>().join("\n")
}

fn nothing_is_allocated_per_forwarded_packet(kind: MediaKind) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let test = async {
        let ((few, _), (many, places)) = (forward(kind, FEW).await, forward(kind, MANY).await);
        println!("with {FEW} subscribers {few:?}, with {MANY} {many:?}");
        for (done, subscribers) in [(&few, FEW), (&many, MANY)] {
            let received = (LOTS * LOT) as u64;
            assert_eq!((done.received, done.forwarded), (received, received * subscribers as u64));
            assert!(done.lots >= LOTS as u64, "every lot was awaited before the next was sent");
            assert!(done.allocations >= done.lots, "the counter counts: each lot is one allocation at least");
            assert!(
                done.allocations <= ALLOCATIONS_PER_LOT * done.lots + 2 * received.div_ceil(PACKETS_PER_SLAB),
                "{done:?}\n{}",
                most_frequent(&places)
            );
            assert!(
                done.clock_reads <= CLOCK_READS_PER_LOT * done.lots * (subscribers as u64 + 3),
                "the clock is read per packet: {done:?}"
            );
        }
    };
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(60), test).await.expect("the test hangs");
    });
}

#[test]
fn a_forwarded_video_packet_allocates_nothing_and_reads_no_clock() {
    nothing_is_allocated_per_forwarded_packet(MediaKind::Video);
}

#[test]
fn a_forwarded_audio_packet_allocates_nothing_and_reads_no_clock() {
    nothing_is_allocated_per_forwarded_packet(MediaKind::Audio);
}
