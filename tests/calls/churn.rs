//! What is left when connections have come and gone: nothing.

use std::{
    sync::Arc,
    task::{Context, Waker},
    time::Duration,
};

use actix_rtc::{
    RtcConfiguration, RtcPeerConnection, RtcPeerConnectionState, UdpMode,
    actors::{
        kit::{ActorKind, ConnectionLabel, DtlsLabel, Gauge, IceLabel, ShardStatistics, all_statistics},
        network::RouterSize,
    },
};
use futures_util::StreamExt;

use crate::{
    call::{Call, Camera, Engines},
    run_within,
};

/// Rounds of five calls that each end in another way, so 10 connections a round.
const ROUNDS: usize = 10;

/// How a call ends.
#[derive(Debug, Clone, Copy)]
enum End {
    ByNear,
    ByFar,
    /// All handles of both sides are dropped, without `close`.
    Dropped,
    /// The near side's `PeerConnection` panics, the far side closes.
    #[cfg(feature = "fault-injection")]
    Panic,
    /// The far side's security context is lost, so that it says nothing any more.
    #[cfg(feature = "fault-injection")]
    Vanished,
}

const ENDS: &[End] = &[
    End::ByNear,
    End::ByFar,
    End::Dropped,
    #[cfg(feature = "fault-injection")]
    End::Panic,
    #[cfg(feature = "fault-injection")]
    End::Vanished,
];

/// What exists: every gauge, and the actors alive of every kind.
#[derive(Debug, PartialEq, Eq)]
struct Census {
    gauges: Vec<(Gauge, i64)>,
    alive: Vec<(ActorKind, u64)>,
}

fn census(shards: &[Arc<ShardStatistics>]) -> Census {
    let gauges = std::iter::once(Gauge::Peers)
        .chain(IceLabel::ALL.iter().map(|state| Gauge::IceState(*state)))
        .chain(DtlsLabel::ALL.iter().map(|state| Gauge::DtlsState(*state)))
        .chain(ConnectionLabel::ALL.iter().map(|state| Gauge::ConnectionState(*state)));
    let alive = |kind: ActorKind| -> u64 {
        shards.iter().map(|s| s.actors[kind].started.get() - s.actors[kind].stopped.get()).sum()
    };
    Census {
        gauges: gauges.map(|gauge| (gauge, shards.iter().map(|s| s.gauge(gauge)).sum())).collect(),
        alive: ActorKind::ALL.iter().map(|kind| (*kind, alive(*kind))).collect(),
    }
}

async fn end(call: Call, how: End) {
    let Call { sender, receiver, mut sender_events, mut receiver_events, transceiver, mut packets } = call;
    match how {
        End::ByNear => sender.close().await,
        End::ByFar => receiver.close().await,
        End::Dropped => {
            drop((sender, receiver, transceiver));
            while sender_events.next().await.is_some() {}
            while receiver_events.next().await.is_some() {}
            while packets.next().await.is_some() {}
            return;
        }
        #[cfg(feature = "fault-injection")]
        End::Panic => inject(&sender, actix_rtc::actors::fault_injection::FaultTarget::PeerConnection).await,
        #[cfg(feature = "fault-injection")]
        End::Vanished => inject(&receiver, actix_rtc::actors::fault_injection::FaultTarget::Dtls).await,
    }
    if matches!(how, End::ByNear) {
        // The far side is told, but only its application ends it.
        while receiver.connection_state() != RtcPeerConnectionState::Closed {
            receiver_events.next().await.unwrap();
        }
    }
    receiver.close().await;
    sender.close().await;
    // Handles are still held: the streams end because the actors have ended.
    while sender_events.next().await.is_some() {}
    while receiver_events.next().await.is_some() {}
    while packets.next().await.is_some() {}
}

#[cfg(feature = "fault-injection")]
async fn inject(victim: &RtcPeerConnection, target: actix_rtc::actors::fault_injection::FaultTarget) {
    assert!(victim.address().send(actix_rtc::actors::fault_injection::InjectFault(target)).await.unwrap());
}

async fn nothing_is_left(udp: UdpMode) {
    let engines = Engines::start(udp).await;
    let camera = Camera::start(&engines, 1).await;
    let shards: Vec<_> = [&engines.near, &engines.far].iter().flat_map(|e| e.shards().statistics()).collect();
    let before = census(&shards);
    for round in 0..ROUNDS {
        for how in ENDS {
            println!("round {round}: {how:?}");
            let mut call = Call::start(&engines, &camera.track).await;
            call.next_packets(3).await;
            end(call, *how).await;
        }
    }
    // Sockets close after those who used them.
    while census(&shards) != before {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for engine in [&engines.near, &engines.far] {
        assert_eq!(
            engine.router_sizes().await.unwrap(),
            [RouterSize::default()],
            "no peer is known any more"
        );
    }
    engines.shutdown().await;
}

#[test]
fn nothing_is_left_of_calls_over_a_shared_socket() {
    run_within(Duration::from_secs(120), nothing_is_left(UdpMode::Shared { port: 0 }));
}

#[test]
fn nothing_is_left_of_calls_over_own_sockets() {
    run_within(Duration::from_secs(120), nothing_is_left(UdpMode::PerConnection));
}

/// A caller that gives up while a connection is being made leaves none behind.
#[test]
fn a_connection_that_nobody_waits_for_any_more_ends_by_itself() {
    run_within(Duration::from_secs(60), async {
        let engines = Engines::start(UdpMode::PerConnection).await;
        let shards = engines.near.shards().statistics();
        let before = census(&shards);
        let started = |shards: &[Arc<ShardStatistics>]| -> u64 {
            shards.iter().map(|s| s.actors[ActorKind::PeerConnection].started.get()).sum()
        };
        for _ in 0..20 {
            let mut making = Box::pin(RtcPeerConnection::on(&engines.near, RtcConfiguration::on_shard(0)));
            // Ready already only where the shard was quicker than this thread: then its handle is dropped.
            let _ = making.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            drop(making);
        }
        // The last one is awaited, so that the requests before it have been handled.
        drop(RtcPeerConnection::on(&engines.near, RtcConfiguration::on_shard(0)).await.unwrap());
        assert!(started(&shards) >= 1);
        while census(&shards) != before {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        engines.shutdown().await;
    });
}

/// The threads of an engine that has been shut down keep no actor.
#[test]
fn a_shutdown_ends_what_was_not_closed() {
    run_within(Duration::from_secs(60), async {
        let engines = Engines::start(UdpMode::Shared { port: 0 }).await;
        let camera = Camera::start(&engines, 1).await;
        let mut call = Call::start(&engines, &camera.track).await;
        call.next_packets(3).await;
        engines.shutdown().await;
        while call.sender_events.next().await.is_some() {}
        while call.receiver_events.next().await.is_some() {}
        while call.packets.next().await.is_some() {}
        assert!(!all_statistics().is_empty());
        assert!(call.sender.create_offer(Default::default()).await.is_err());
    });
}
