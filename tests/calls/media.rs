//! Media from one application to the other.

use std::sync::Arc;

use actix_rtc::{
    RtcPeerConnectionState, UdpMode,
    actors::kit::{Direction, Label, ShardStatistics},
    proto::demux::PacketKind,
};

use crate::{
    call::{Call, Camera, Engines, mark_of},
    run_undisturbed,
};

/// Every station of the packet path has counted: calls into the kernel, lots, packets.
fn the_path_is_counted(near: &[Arc<ShardStatistics>], far: &[Arc<ShardStatistics>]) {
    let of = |shards: &[Arc<ShardStatistics>], count: &dyn Fn(&ShardStatistics) -> u64| -> u64 {
        shards.iter().map(|statistics| count(statistics)).sum()
    };
    assert!(of(near, &|s| s.lots[Direction::Out].batches.get()) > 0);
    let lots = of(near, &|s| s.lots[Direction::Out].packets.get());
    assert_eq!(lots, of(near, &|s| s.traffic_out[PacketKind::Rtp].packets.get()));
    for engine in [near, far] {
        let received: u64 =
            PacketKind::ALL.iter().map(|kind| of(engine, &|s| s.traffic_in[*kind].packets.get())).sum();
        assert_eq!(of(engine, &|s| s.calls[Direction::In].packets.get()), received);
        assert!(of(engine, &|s| s.calls[Direction::Out].packets.get()) > 0);
    }
    assert!(of(far, &|s| s.lots[Direction::In].packets.get()) >= 100);
}

async fn media_arrives_and_closing_is_noticed(udp: UdpMode) {
    let engines = Engines::start(udp).await;
    let camera = Camera::start(&engines, 1).await;
    let mut call = Call::start(&engines, &camera.track).await;
    let packets = call.next_packets(100).await;
    assert!(packets[0].key_frame, "a viewer starts with a key frame");
    assert!(packets.windows(2).all(|pair| pair[1].sequence_number == pair[0].sequence_number + 1));
    call.sender.close().await;
    assert!(
        call.receiver_events.until(RtcPeerConnectionState::Closed).await || {
            call.receiver.connection_state() == RtcPeerConnectionState::Closed
        }
    );
    let shards = [&engines.near, &engines.far].map(|engine| engine.shards().statistics());
    // When the threads have ended, all numbers belong together.
    engines.shutdown().await;
    the_path_is_counted(&shards[0], &shards[1]);
}

#[test]
fn media_flows_over_a_shared_socket() {
    run_undisturbed(|| media_arrives_and_closing_is_noticed(UdpMode::Shared { port: 0 }));
}

#[test]
fn media_flows_over_own_sockets() {
    run_undisturbed(|| media_arrives_and_closing_is_noticed(UdpMode::PerConnection));
}

#[test]
fn a_track_is_exchanged_without_gap_or_repeat() {
    run_undisturbed(|| async {
        let engines = Engines::start(UdpMode::Shared { port: 0 }).await;
        let (first, second) = (Camera::start(&engines, 1).await, Camera::start(&engines, 2).await);
        let mut call = Call::start(&engines, &first.track).await;
        let mut packets = call.next_packets(50).await;
        call.transceiver.sender().replace_track(Some(second.track.clone())).await.unwrap();
        while packets.last().is_none_or(|packet| mark_of(packet) == 1) {
            packets.extend(call.next_packets(1).await);
        }
        packets.extend(call.next_packets(50).await);
        let marks: Vec<u8> = packets.iter().map(mark_of).collect();
        let switch = marks.iter().position(|mark| *mark == 2).unwrap();
        assert!(marks[switch..].iter().all(|mark| *mark == 2), "the old track is silent after the switch");
        assert!(packets[switch].key_frame, "the new track takes over with a key frame");
        for pair in packets.windows(2) {
            assert_eq!(pair[1].sequence_number, pair[0].sequence_number + 1, "no gap, no repeat");
            assert!(pair[1].timestamp.wrapping_sub(pair[0].timestamp) < 1 << 31, "time never runs backwards");
        }
    });
}
