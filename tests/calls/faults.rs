//! Panics on demand in every actor of a call: the table of DESIGN, row by row. Needs the feature
//! `fault-injection`, which `cargo xtask test` turns on.
#![cfg(feature = "fault-injection")]

use actix_rtc::{
    RtcDataChannelEvent, RtcDataChannelInit, RtcEvents, RtcPeerConnection, RtcPeerConnectionState, UdpMode,
    actors::{
        fault_injection::{FaultTarget, InjectFault},
        kit::{ActorKind, DropReason},
    },
    proto::demux::PacketKind,
};

use futures_util::StreamExt;

use crate::{
    call::{Call, Camera, Engines, negotiate},
    run,
};

/// Of this test's own threads: other tests run at the same time.
fn restarts(engines: &Engines, kind: ActorKind) -> u64 {
    let shards = [&engines.near, &engines.far].into_iter().flat_map(|engine| engine.shards().statistics());
    shards.map(|statistics| statistics.actors[kind].restarts.get()).sum()
}

/// What must be true of a call after one of its actors has panicked.
enum Outcome {
    /// The actor came back; media flows and no state has changed.
    Recovers(ActorKind),
    /// The connection is over, in this state, and its peer is told or notices by itself.
    Ends(RtcPeerConnectionState),
}

async fn after_a_panic(target: FaultTarget, on_sender: bool, outcome: Outcome) {
    // A relay is there for the tracks of another thread.
    let shards = if target == FaultTarget::TrackRelay { 2 } else { 1 };
    let engines = Engines::start_with(UdpMode::Shared { port: 0 }, shards).await;
    let camera = Camera::start_on(&engines, shards - 1, 1).await;
    let mut bystander = Call::start(&engines, &camera.track).await;
    let mut call = Call::start(&engines, &camera.track).await;
    call.next_packets(20).await;
    let victim = if on_sender { call.sender.clone() } else { call.receiver.clone() };
    let before = match &outcome {
        Outcome::Recovers(kind) => restarts(&engines, *kind),
        Outcome::Ends(_) => 0,
    };
    assert!(victim.address().send(InjectFault(target)).await.unwrap(), "there is no {target:?}");
    match outcome {
        Outcome::Recovers(kind) => {
            let last = call.next_packets(1).await.pop().unwrap().sequence_number;
            let packets = call.next_packets(100).await;
            assert!(packets.last().unwrap().sequence_number > last, "media goes on");
            let mut numbers: Vec<_> = packets.iter().map(|packet| packet.sequence_number).collect();
            numbers.dedup();
            assert_eq!(numbers.len(), packets.len(), "no sequence number is used twice");
            assert_eq!(restarts(&engines, kind), before + 1);
            for connection in [&call.sender, &call.receiver] {
                assert_eq!(connection.connection_state(), RtcPeerConnectionState::Connected);
            }
        }
        Outcome::Ends(state) => {
            while victim.connection_state() != state && victim.address().connected() {
                tokio::task::yield_now().await;
            }
            if victim.address().connected() {
                assert_eq!(victim.connection_state(), state);
            }
        }
    }
    // Nobody else notices.
    bystander.next_packets(50).await;
    assert_eq!(bystander.receiver.connection_state(), RtcPeerConnectionState::Connected);
    engines.shutdown().await;
}

#[test]
fn a_panic_costs_no_more_than_its_row_of_the_table_says() {
    run(async {
        let rows = [
            (FaultTarget::RtpSender, true, Outcome::Recovers(ActorKind::RtpSender)),
            (FaultTarget::RtpReceiver, false, Outcome::Recovers(ActorKind::RtpReceiver)),
            (FaultTarget::TrackRelay, true, Outcome::Recovers(ActorKind::TrackRelay)),
            (FaultTarget::IceAgent, true, Outcome::Recovers(ActorKind::IceAgent)),
            (FaultTarget::Dtls, true, Outcome::Ends(RtcPeerConnectionState::Failed)),
            (FaultTarget::PeerConnection, true, Outcome::Ends(RtcPeerConnectionState::Closed)),
        ];
        for (target, on_sender, outcome) in rows {
            println!("panic in {target:?}");
            after_a_panic(target, on_sender, outcome).await;
        }
    });
}

/// The data path may fail in whole or in part: media is not affected, and the application is told.
#[test]
fn a_panic_in_the_data_path_leaves_media_alone() {
    run(async {
        for target in [FaultTarget::DataChannel, FaultTarget::SctpAssoc] {
            let engines = Engines::start(UdpMode::Shared { port: 0 }).await;
            let camera = Camera::start(&engines, 1).await;
            let mut call = Call::start(&engines, &camera.track).await;
            let init = RtcDataChannelInit::default();
            let channel = call.sender.create_data_channel("data", init).await.unwrap();
            negotiate(&call.sender, &call.receiver).await;
            let mut events = channel.events();
            assert_eq!(events.next().await, Some(RtcDataChannelEvent::Open));
            assert!(call.sender.address().send(InjectFault(target)).await.unwrap());
            let error = events.next().await;
            assert!(matches!(error, Some(RtcDataChannelEvent::Error(_))), "{target:?}: {error:?}");
            assert_eq!(events.next().await, Some(RtcDataChannelEvent::Close));
            assert_eq!(events.next().await, None);
            call.next_packets(50).await;
            assert_eq!(call.sender.connection_state(), RtcPeerConnectionState::Connected);
            engines.shutdown().await;
        }
    });
}

#[test]
fn a_sender_that_keeps_panicking_falls_silent_and_the_connection_stays() {
    run(async {
        let engines = Engines::start(UdpMode::Shared { port: 0 }).await;
        let camera = Camera::start(&engines, 1).await;
        let mut call = Call::start(&engines, &camera.track).await;
        call.next_packets(20).await;
        for _ in 0..6 {
            assert!(call.sender.address().send(InjectFault(FaultTarget::RtpSender)).await.unwrap());
        }
        loop {
            let events = &mut call.sender_events;
            let event = events.next().await.expect("the connection has ended");
            if matches!(event, actix_rtc::RtcPeerConnectionEvent::Failure(_)) {
                break;
            }
        }
        assert_eq!(call.sender.connection_state(), RtcPeerConnectionState::Connected);
    });
}

#[test]
fn an_agent_that_keeps_panicking_fails_its_connection_and_nothing_more_is_sent() {
    run(async {
        let engines = Engines::start(UdpMode::Shared { port: 0 }).await;
        let camera = Camera::start(&engines, 1).await;
        let mut call = Call::start(&engines, &camera.track).await;
        call.next_packets(20).await;
        for _ in 0..2 {
            assert!(call.sender.address().send(InjectFault(FaultTarget::IceAgent)).await.unwrap());
        }
        wait_for_failure(&call.sender, &mut call.sender_events).await;
        let unsent = || -> u64 {
            engines.near.shards().statistics().iter().map(|s| s.drops[DropReason::NoRoute].get()).sum()
        };
        let (before, sent_before) = (unsent(), sent(&engines));
        while unsent() < before + 20 {
            tokio::task::yield_now().await;
        }
        assert_eq!(sent(&engines), sent_before, "without an agent there is no consent");
        engines.shutdown().await;
    });
}

#[test]
fn a_socket_that_keeps_panicking_fails_its_peers_and_serves_those_who_come_after() {
    run(async {
        let engines = Engines::start(UdpMode::Shared { port: 0 }).await;
        let camera = Camera::start(&engines, 1).await;
        let mut call = Call::start(&engines, &camera.track).await;
        let mut other = Call::start(&engines, &camera.track).await;
        // Three times it comes back, and nobody notices.
        for _ in 0..3 {
            assert!(call.sender.address().send(InjectFault(FaultTarget::UdpSocket)).await.unwrap());
            call.next_packets(20).await;
        }
        assert_eq!(call.sender.connection_state(), RtcPeerConnectionState::Connected);
        assert!(call.sender.address().send(InjectFault(FaultTarget::UdpSocket)).await.unwrap());
        wait_for_failure(&call.sender, &mut call.sender_events).await;
        wait_for_failure(&other.sender, &mut other.sender_events).await;
        assert_eq!(call.receiver.connection_state(), RtcPeerConnectionState::Connected, "another socket");
        let mut next = Call::start(&engines, &camera.track).await;
        next.next_packets(20).await;
        engines.shutdown().await;
    });
}

async fn wait_for_failure(connection: &RtcPeerConnection, events: &mut RtcEvents) {
    while connection.connection_state() != RtcPeerConnectionState::Failed {
        events.next().await.expect("the connection has ended");
    }
}

/// Media packets handed to the network by the near side.
fn sent(engines: &Engines) -> u64 {
    let shards = engines.near.shards().statistics();
    shards.iter().map(|s| s.traffic_out[PacketKind::Rtp].packets.get()).sum()
}
