//! Two connections that offer relayed candidates only, through coturn.

use std::time::{Duration, Instant};

use actix_rtc::{
    NetworkConfig, RtcConfiguration, RtcEngine, RtcEngineConfig, RtcEvents, RtcIceCandidateType,
    RtcIceServer, RtcIceTransportPolicy, RtcPeerConnection, RtcPeerConnectionEvent, RtcPeerConnectionState,
    RtcRtpTransceiver, RtcRtpTransceiverDirection, RtcRtpTransceiverInit, TlsTrust, UdpMode,
};
use futures_util::StreamExt;

use crate::{
    call::{Camera, Engines, Viewer, negotiate},
    coturn::Coturn,
    runner::{run, run_within, stalls::Stalls},
};

pub(crate) async fn engine(udp: UdpMode, trusted: &[u8], ipv4: bool) -> RtcEngine {
    let mut config = RtcEngineConfig::default();
    config.shards.count = 1;
    config.shards.pin = false;
    config.udp = udp;
    let mut tls = TlsTrust::default();
    tls.additional_roots.push(trusted.to_vec());
    let mut network = NetworkConfig::default();
    network.include_loopback = true;
    network.ipv4 = ipv4;
    network.tls = tls;
    config.network = network;
    RtcEngine::start(config).await.unwrap()
}

pub(crate) async fn engines(server: &Coturn) -> Engines {
    let near = engine(UdpMode::Shared { port: 0 }, &server.certificate, true).await;
    Engines { near, far: engine(UdpMode::PerConnection, &server.certificate, true).await }
}

pub(crate) fn relay_only(url: &str, credential: &str) -> RtcConfiguration {
    let mut server = RtcIceServer::new(url);
    server.username = Some("user".into());
    server.credential = Some(credential.into());
    let mut configuration = RtcConfiguration::on_shard(0);
    configuration.ice_servers = vec![server];
    configuration.ice_transport_policy = RtcIceTransportPolicy::Relay;
    configuration
}

pub(crate) struct Relayed {
    pub(crate) sender: RtcPeerConnection,
    pub(crate) receiver: RtcPeerConnection,
    transceiver: RtcRtpTransceiver,
    viewer: Viewer,
    stalls: Stalls,
    /// Of the sender, after it was connected.
    pub(crate) events: RtcEvents,
    _camera: Camera,
}

impl Relayed {
    /// A camera from one to the other, both behind relays.
    pub(crate) async fn start(engines: &Engines, near: RtcConfiguration, far: RtcConfiguration) -> Self {
        let stalls = Stalls::watch();
        let camera = Camera::start(engines, 1).await;
        let sender = RtcPeerConnection::on(&engines.near, near).await.unwrap();
        let receiver = RtcPeerConnection::on(&engines.far, far).await.unwrap();
        let init = RtcRtpTransceiverInit {
            direction: RtcRtpTransceiverDirection::Sendonly,
            ..RtcRtpTransceiverInit::default()
        };
        let transceiver = sender.add_transceiver(&camera.track, init).await.unwrap();
        let (mut sender_events, mut receiver_events) = (sender.events().unwrap(), receiver.events().unwrap());
        negotiate(&sender, &receiver).await;
        let viewer = loop {
            if let RtcPeerConnectionEvent::Track { track, .. } = receiver_events.next().await.unwrap() {
                break Viewer::start(track.packets());
            }
        };
        assert!(sender_events.until(RtcPeerConnectionState::Connected).await);
        assert!(receiver_events.until(RtcPeerConnectionState::Connected).await);
        Self { sender, receiver, transceiver, viewer, stalls, events: sender_events, _camera: camera }
    }

    pub(crate) fn assert_only_relays_are_known(&self) {
        self.assert_only_relays_are_known_at("127.0.0.1");
    }

    pub(crate) fn assert_only_relays_are_known_at(&self, address: &str) {
        let unspecified = if address.contains(':') { "::" } else { "0.0.0.0" };
        for description in [self.sender.local_description(), self.receiver.local_description()] {
            let sdp = description.unwrap().sdp;
            let candidates: Vec<_> = sdp.lines().filter(|line| line.starts_with("a=candidate")).collect();
            assert!(!candidates.is_empty());
            for line in candidates {
                let ending = format!(" typ relay raddr {unspecified} rport 9");
                assert!(line.contains(&format!(" {address} ")) && line.contains(&ending), "{line}");
            }
        }
        let ice = self.transceiver.sender().transport().unwrap().ice_transport();
        let pair = ice.get_selected_candidate_pair().unwrap();
        assert_eq!(pair.local.kind, Some(RtcIceCandidateType::Relay));
    }

    /// Waits for `count` more packets, and asserts that none was ever missing but for want of the machine.
    pub(crate) async fn sees(&mut self, count: u64) {
        let missing = self.viewer.missing_after(count).await;
        assert!(missing == 0 || self.stalls.happened(), "media never stops: {missing} packets are missing");
    }

    /// Waits for `count` more packets, whatever is missing before them.
    pub(crate) async fn sees_after_a_gap(&mut self, count: u64) {
        self.viewer.missing_after(count).await;
    }

    pub(crate) async fn close(self) {
        self.sender.close().await;
        self.receiver.close().await;
    }
}

/// Waits until the server's log has something.
pub(crate) async fn until_logged(server: &Coturn, holds: impl Fn(&str) -> bool) {
    let limit = Instant::now() + Duration::from_secs(20);
    while !holds(&server.log()) {
        assert!(Instant::now() < limit, "{}", server.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn deletions(log: &str) -> usize {
    log.lines().filter(|line| line.contains("refreshed") && line.contains("lifetime=0")).count()
}

fn media_goes_through(url: impl Fn(&Coturn) -> String) {
    run(async {
        let Some(server) = Coturn::start(&[]) else { return };
        let engines = engines(&server).await;
        let url = url(&server);
        let mut call = Relayed::start(&engines, relay_only(&url, "secret"), relay_only(&url, "secret")).await;
        call.assert_only_relays_are_known();
        call.sees(300).await;
        call.close().await;
        until_logged(&server, |log| deletions(log) >= 2).await;
        engines.shutdown().await;
    });
}

#[test]
fn media_goes_through_a_relay_over_udp_and_the_allocation_is_deleted_at_the_end() {
    media_goes_through(|server| format!("turn:127.0.0.1:{}", server.port));
}

#[test]
fn media_goes_through_a_relay_over_tcp_and_the_allocation_is_deleted_at_the_end() {
    media_goes_through(|server| format!("turn:127.0.0.1:{}?transport=tcp", server.port));
}

#[test]
fn media_goes_through_a_relay_over_tls_and_the_allocation_is_deleted_at_the_end() {
    media_goes_through(|server| format!("turns:127.0.0.1:{}", server.tls_port));
}

#[test]
fn media_goes_on_while_allocations_are_refreshed_and_nonces_change() {
    run_within(Duration::from_secs(120), async {
        let Some(server) = Coturn::start(&["max-allocate-lifetime=12", "stale-nonce=3"]) else { return };
        let engines = engines(&server).await;
        let url = format!("turn:127.0.0.1:{}", server.port);
        let mut call = Relayed::start(&engines, relay_only(&url, "secret"), relay_only(&url, "secret")).await;
        let refreshes = |log: &str| {
            log.lines().filter(|line| line.contains("refreshed") && !line.contains("lifetime=0")).count()
        };
        while refreshes(&server.log()) < 6 {
            call.sees(100).await;
        }
        call.sees(100).await;
        call.close().await;
        engines.shutdown().await;
    });
}

#[test]
fn a_server_that_names_another_is_left_for_it() {
    run(async {
        let Some(other) = Coturn::start(&[]) else { return };
        let line = format!("alternate-server=127.0.0.1:{}", other.port);
        let Some(server) = Coturn::start(&[&line]) else { return };
        let engines = engines(&server).await;
        let url = format!("turn:127.0.0.1:{}", server.port);
        let mut call = Relayed::start(&engines, relay_only(&url, "secret"), relay_only(&url, "secret")).await;
        call.sees(50).await;
        call.close().await;
        until_logged(&other, |log| deletions(log) >= 2).await;
        engines.shutdown().await;
    });
}

#[test]
fn a_relay_of_a_server_with_a_name_reaches_a_peer_that_has_none() {
    // The name may have an IPv6 address too, at which nobody listens.
    run(async {
        let Some(server) = Coturn::start(&[]) else { return };
        let engines = engines(&server).await;
        let near = relay_only(&format!("turn:localhost:{}?transport=tcp", server.port), "secret");
        let mut call = Relayed::start(&engines, near, RtcConfiguration::on_shard(0)).await;
        call.sees(100).await;
        call.close().await;
        engines.shutdown().await;
    });
}

#[test]
fn a_wrong_password_is_told_and_a_certificate_of_a_stranger_refused() {
    run(async {
        let Some(server) = Coturn::start(&[]) else { return };
        let engines = engines(&server).await;
        let stranger = engine(UdpMode::PerConnection, b"", true).await;
        let tls = format!("turns:127.0.0.1:{}", server.tls_port);
        let udp = format!("turn:127.0.0.1:{}", server.port);
        for (engine, url, credential, code) in [
            (&engines.near, &udp, "wrong", 401),
            (&engines.near, &tls, "wrong", 401),
            (&stranger, &tls, "secret", 701),
        ] {
            let peer = RtcPeerConnection::on(engine, relay_only(url, credential)).await.unwrap();
            let mut events = peer.events().unwrap();
            peer.add_transceiver(actix_rtc::MediaKind::Audio, RtcRtpTransceiverInit::default())
                .await
                .unwrap();
            peer.set_local_description(None).await.unwrap();
            let told = loop {
                match events.next().await.unwrap() {
                    RtcPeerConnectionEvent::IceCandidateError { url, error_code, address, .. } => {
                        break (url, error_code, address);
                    }
                    RtcPeerConnectionEvent::IceCandidate(candidate) => {
                        panic!("{candidate:?} before the error")
                    }
                    _ => {}
                }
            };
            assert_eq!(told, (url.clone(), code, None));
            peer.gathering_complete().await.unwrap();
            peer.close().await;
        }
        stranger.shutdown(Duration::from_secs(5)).await.unwrap();
        engines.shutdown().await;
    });
}
