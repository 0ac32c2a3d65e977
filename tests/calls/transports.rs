//! Several transports: by bundle policy, and with a peer that knows nothing of bundling.

use actix_rtc::{
    RtcBundlePolicy, RtcConfiguration, RtcDtlsTransportState, RtcEngine, RtcEvents, RtcPeerConnection,
    RtcPeerConnectionEvent, RtcPeerConnectionState, RtcRtpTransceiverDirection, RtcRtpTransceiverInit,
    RtcSessionDescription, UdpMode,
};
use futures_util::StreamExt;

use crate::{
    call::{Camera, Engines, mark_of},
    run,
};

async fn connection(engine: &RtcEngine, policy: RtcBundlePolicy) -> RtcPeerConnection {
    let mut configuration = RtcConfiguration::on_shard(0);
    configuration.bundle_policy = policy;
    RtcPeerConnection::on(engine, configuration).await.unwrap()
}

/// The description as a peer writes it that has never heard of bundling (RFC 9143).
fn unbundled(mut description: RtcSessionDescription) -> RtcSessionDescription {
    let lines = description.sdp.lines().filter(|line| !line.starts_with("a=group:BUNDLE"));
    description.sdp = lines.map(|line| format!("{line}\r\n")).collect();
    description
}

struct Pair {
    engines: Engines,
    offerer: RtcPeerConnection,
    answerer: RtcPeerConnection,
    offerer_events: RtcEvents,
    answerer_events: RtcEvents,
    _cameras: [Camera; 2],
}

impl Pair {
    /// Two video tracks from the offerer to the answerer, not yet negotiated.
    async fn start(policy: RtcBundlePolicy, udp: UdpMode) -> Self {
        let engines = Engines::start(udp).await;
        let cameras = [Camera::start(&engines, 1).await, Camera::start(&engines, 2).await];
        let offerer = connection(&engines.near, policy).await;
        let answerer = connection(&engines.far, policy).await;
        for camera in &cameras {
            let init = RtcRtpTransceiverInit::with_direction(RtcRtpTransceiverDirection::Sendonly);
            offerer.add_transceiver(&camera.track, init).await.unwrap();
        }
        let (offerer_events, answerer_events) = (offerer.events().unwrap(), answerer.events().unwrap());
        Self { engines, offerer, answerer, offerer_events, answerer_events, _cameras: cameras }
    }

    /// One exchange with all candidates; answers how many transports the offerer had before the answer.
    async fn negotiate(&self, change: fn(RtcSessionDescription) -> RtcSessionDescription) -> usize {
        self.offerer.set_local_description(None).await.unwrap();
        self.offerer.gathering_complete().await.unwrap();
        let proposed = self.offerer.transports().len();
        let offer = change(self.offerer.local_description().unwrap());
        self.answerer.set_remote_description(offer).await.unwrap();
        self.answerer.set_local_description(None).await.unwrap();
        self.answerer.gathering_complete().await.unwrap();
        let answer = change(self.answerer.local_description().unwrap());
        self.offerer.set_remote_description(answer).await.unwrap();
        proposed
    }

    /// Waits until both sides are connected, and media of both cameras has arrived.
    async fn is_in_use(&mut self) {
        let mut marks = Vec::new();
        while marks.len() < 2 {
            let event = self.answerer_events.next().await.unwrap();
            let RtcPeerConnectionEvent::Track { track, .. } = event else { continue };
            marks.push(mark_of(&track.packets().next().await.unwrap().packets[0]));
        }
        marks.sort_unstable();
        assert_eq!(marks, [1, 2]);
        for (connection, events) in
            [(&self.offerer, &mut self.offerer_events), (&self.answerer, &mut self.answerer_events)]
        {
            while connection.connection_state() != RtcPeerConnectionState::Connected {
                events.next().await.unwrap();
            }
        }
    }

    fn transports(&self) -> [usize; 2] {
        [&self.offerer, &self.answerer].map(|connection| {
            let transports = connection.transports();
            for transport in &transports {
                assert_eq!(transport.state(), RtcDtlsTransportState::Connected);
                assert!(transport.ice_transport().get_selected_candidate_pair().is_some());
                assert_eq!(transport.get_remote_certificates().len(), 1);
            }
            transports.len()
        })
    }
}

async fn a_bundling_peer_leaves_one_transport(policy: RtcBundlePolicy, proposed: usize) {
    let mut pair = Pair::start(policy, UdpMode::Shared { port: 0 }).await;
    assert_eq!(pair.negotiate(|description| description).await, proposed);
    pair.is_in_use().await;
    assert_eq!(pair.transports(), [1, 1]);
    pair.engines.shutdown().await;
}

#[test]
fn max_compat_proposes_a_transport_for_each_section_and_a_bundling_peer_leaves_one() {
    run(a_bundling_peer_leaves_one_transport(RtcBundlePolicy::MaxCompat, 2));
}

#[test]
fn balanced_proposes_a_transport_for_each_kind() {
    run(a_bundling_peer_leaves_one_transport(RtcBundlePolicy::Balanced, 1));
}

#[test]
fn max_bundle_has_one_transport_from_the_beginning() {
    run(a_bundling_peer_leaves_one_transport(RtcBundlePolicy::MaxBundle, 1));
}

async fn every_section_has_its_transport(udp: UdpMode) {
    let mut pair = Pair::start(RtcBundlePolicy::MaxCompat, udp).await;
    assert_eq!(pair.negotiate(unbundled).await, 2);
    pair.is_in_use().await;
    assert_eq!(pair.transports(), [2, 2]);
    let senders = pair.offerer.get_senders();
    assert_ne!(senders[0].transport(), senders[1].transport(), "each sender uses that of its section");
    // A restart concerns all of them, and media goes on.
    let before: Vec<_> =
        pair.offerer.transports().iter().map(|t| t.ice_transport().get_local_parameters()).collect();
    pair.offerer.restart_ice().await.unwrap();
    assert_eq!(pair.negotiate(unbundled).await, 2);
    let after: Vec<_> =
        pair.offerer.transports().iter().map(|t| t.ice_transport().get_local_parameters()).collect();
    assert!(before.iter().zip(&after).all(|(before, after)| before != after));
    for receiver in pair.answerer.get_receivers() {
        let mut packets = receiver.track().unwrap().packets();
        for _ in 0..20 {
            packets.next().await.unwrap();
        }
    }
    assert_eq!(pair.transports(), [2, 2]);
    // One hangs up on both.
    pair.offerer.close().await;
    while pair.answerer.connection_state() != RtcPeerConnectionState::Closed {
        pair.answerer_events.next().await.unwrap();
    }
    pair.engines.shutdown().await;
}

#[test]
fn a_peer_that_does_not_bundle_gets_a_transport_for_each_section_over_a_shared_socket() {
    run(every_section_has_its_transport(UdpMode::Shared { port: 0 }));
}

#[test]
fn a_peer_that_does_not_bundle_gets_a_transport_for_each_section_over_own_sockets() {
    run(every_section_has_its_transport(UdpMode::PerConnection));
}
