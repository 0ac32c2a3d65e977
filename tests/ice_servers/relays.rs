//! Several TURN servers, servers that forget, relays of IPv6, and data channels over relays, through coturn.

use std::time::Duration;

use actix_rtc::{
    MediaKind, RtcConfiguration, RtcDataChannelEvent, RtcDataChannelInit, RtcDataChannelMessage,
    RtcIceCandidate, RtcIceCandidateType, RtcIceConnectionState, RtcPeerConnection, RtcPeerConnectionEvent,
    RtcRtpTransceiverInit, UdpMode,
};
use futures_util::StreamExt;

use crate::{
    call::{Engines, negotiate},
    coturn::Coturn,
    relayed::{Relayed, engine, engines, relay_only, until_logged},
    runner::{run, run_within},
};

fn udp(server: &Coturn) -> RtcConfiguration {
    relay_only(&format!("turn:127.0.0.1:{}", server.port), "secret")
}

/// The candidates of a connection that is gathering for its first offer.
async fn gathered(peer: &RtcPeerConnection) -> Vec<RtcIceCandidate> {
    let mut events = peer.events().unwrap();
    peer.add_transceiver(MediaKind::Audio, RtcRtpTransceiverInit::default()).await.unwrap();
    peer.set_local_description(None).await.unwrap();
    let mut found = Vec::new();
    loop {
        match events.next().await.unwrap() {
            RtcPeerConnectionEvent::IceCandidate(Some(init)) if !init.candidate.is_empty() => {
                found.push(RtcIceCandidate::new(init).unwrap());
            }
            RtcPeerConnectionEvent::IceCandidate(None) => return found,
            RtcPeerConnectionEvent::IceCandidateError { error_text, .. } => panic!("{error_text}"),
            _ => {}
        }
    }
}

#[test]
fn two_turn_servers_of_one_configuration_give_a_relay_each() {
    run(async {
        let (Some(first), Some(second)) = (Coturn::start(&[]), Coturn::start(&[])) else { return };
        let engines = engines(&first).await;
        let mut both = udp(&first);
        both.ice_servers.extend(udp(&second).ice_servers);
        let peer = RtcPeerConnection::on(&engines.near, both.clone()).await.unwrap();
        let candidates = gathered(&peer).await;
        assert_eq!(candidates.len(), 2, "{candidates:?}");
        for candidate in &candidates {
            assert_eq!(candidate.kind, Some(RtcIceCandidateType::Relay));
        }
        let is_allocated = |log: &str| log.contains("ALLOCATE processed, success");
        until_logged(&first, is_allocated).await;
        until_logged(&second, is_allocated).await;
        peer.close().await;
        // One of the two is gone: the other carries the call.
        drop(second);
        let mut call = Relayed::start(&engines, both.clone(), both).await;
        call.sees(50).await;
        call.close().await;
        engines.shutdown().await;
    });
}

#[test]
fn a_server_that_has_forgotten_its_relays_gives_others_for_a_restart() {
    run_within(Duration::from_secs(60), async {
        let Some(mut server) = Coturn::start(&[]) else { return };
        let engines = engines(&server).await;
        let mut call = Relayed::start(&engines, udp(&server), udp(&server)).await;
        call.sees(50).await;
        let before = relays_of(&call.sender);
        server.restart();
        call.sender.restart_ice().await.unwrap();
        negotiate(&call.sender, &call.receiver).await;
        // That the relay in use is gone is told at once.
        loop {
            match call.events.next().await.unwrap() {
                RtcPeerConnectionEvent::IceConnectionStateChange(RtcIceConnectionState::Disconnected) => {
                    break;
                }
                RtcPeerConnectionEvent::IceConnectionStateChange(state) => {
                    assert_ne!(state, RtcIceConnectionState::Failed);
                }
                _ => {}
            }
        }
        // Media flows again, after a gap: what was sent to the relays of before is lost.
        call.sees_after_a_gap(300).await;
        let after = relays_of(&call.sender);
        assert!(after.iter().any(|relay| !before.contains(relay)), "{before:?} {after:?}");
        call.assert_only_relays_are_known();
        call.close().await;
        engines.shutdown().await;
    });
}

fn relays_of(peer: &RtcPeerConnection) -> Vec<String> {
    let sdp = peer.local_description().unwrap().sdp;
    let lines = sdp.lines().filter(|line| line.starts_with("a=candidate:"));
    let ports = lines.filter_map(|line| Some(line.split(' ').nth(5)?.to_owned()));
    ports.collect()
}

#[test]
fn a_data_channel_goes_through_relays_on_both_sides() {
    run(async {
        let Some(server) = Coturn::start(&[]) else { return };
        let engines = engines(&server).await;
        let near = RtcPeerConnection::on(&engines.near, udp(&server)).await.unwrap();
        let far = RtcPeerConnection::on(&engines.far, udp(&server)).await.unwrap();
        let ours = near.create_data_channel("relayed", RtcDataChannelInit::default()).await.unwrap();
        let (mut our_events, mut far_events) = (ours.events(), far.events().unwrap());
        negotiate(&near, &far).await;
        let theirs = loop {
            if let RtcPeerConnectionEvent::DataChannel(channel) = far_events.next().await.unwrap() {
                break channel;
            }
        };
        let mut their_events = theirs.events();
        loop {
            if let RtcDataChannelEvent::Open = our_events.next().await.unwrap() {
                break;
            }
        }
        let large = vec![7_u8; 100_000];
        ours.send(large.clone()).await.unwrap();
        loop {
            if let RtcDataChannelEvent::Message(message) = their_events.next().await.unwrap() {
                assert_eq!(message, RtcDataChannelMessage::Binary(large.into()));
                break;
            }
        }
        theirs.send("back").await.unwrap();
        loop {
            if let RtcDataChannelEvent::Message(message) = our_events.next().await.unwrap() {
                assert_eq!(message, RtcDataChannelMessage::Text("back".into()));
                break;
            }
        }
        let pair = near.sctp().unwrap().transport().ice_transport().get_selected_candidate_pair().unwrap();
        let kinds = (pair.local.kind, pair.remote.kind);
        assert_eq!(kinds, (Some(RtcIceCandidateType::Relay), Some(RtcIceCandidateType::Relay)));
        near.close().await;
        far.close().await;
        engines.shutdown().await;
    });
}

#[test]
fn item_42_a_relay_of_ipv6_carries_a_call() {
    run(async {
        let Some(server) = Coturn::start(&["listening-ip=::1", "relay-ip=::1"]) else { return };
        let near = engine(UdpMode::Shared { port: 0 }, &server.certificate, false).await;
        let far = engine(UdpMode::PerConnection, &server.certificate, false).await;
        let engines = Engines { near, far };
        let configuration = relay_only(&format!("turn:[::1]:{}", server.port), "secret");
        let mut call = Relayed::start(&engines, configuration.clone(), configuration).await;
        call.assert_only_relays_are_known_at("::1");
        call.sees(100).await;
        call.close().await;
        engines.shutdown().await;
    });
}
