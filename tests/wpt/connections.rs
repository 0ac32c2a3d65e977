//! Ports that need packets or events: the rest of `webrtc/protocol/`, `RTCPeerConnection-ondatachannel.html`,
//! `-onnegotiationneeded.html` and the events of `-set*Description-*.html`.

use actix_rtc::{
    KeyType, MediaKind, RtcCertificate, RtcConfiguration, RtcDataChannelEvent, RtcDataChannelInit,
    RtcDataChannelMessage, RtcDataChannelState, RtcDtlsTransportState, RtcIceCandidateType,
    RtcPeerConnection, RtcPeerConnectionEvent, RtcPeerConnectionState, RtcRtpTransceiverDirection,
    RtcRtpTransceiverInit, RtcSctpTransportState, RtcSessionDescription, RtcSignalingState,
    RtcSignalingState::{HaveLocalOffer, HaveRemoteOffer, Stable},
    stats::RtcStats,
};
use futures_util::StreamExt;

use crate::pair::{Pair, Peer, Source, flows, negotiate, run};

async fn data_channel(peer: &Peer) -> actix_rtc::RtcDataChannel {
    peer.connection.create_data_channel("datachannel", RtcDataChannelInit::default()).await.unwrap()
}

async fn add(connection: &RtcPeerConnection, kind: MediaKind) {
    connection.add_transceiver(kind, RtcRtpTransceiverInit::default()).await.unwrap();
}

mod protocol {
    use super::*;

    /// protocol/bundle.https.html: "not negotiating BUNDLE creates two separate ice and dtls transports"
    #[test]
    fn not_negotiating_bundle_creates_two_separate_ice_and_dtls_transports() {
        run(async {
            let mut pair = Pair::new().await;
            let sources = [Source::microphone(&pair.engine).await, Source::camera(&pair.engine).await];
            for source in &sources {
                pair.one.connection.add_track(&source.track, vec!["stream".to_owned()]).await.unwrap();
            }
            let (one, two) = (&pair.one.connection, &pair.two.connection);
            one.set_local_description(None).await.unwrap();
            one.gathering_complete().await.unwrap();
            let offer = one.local_description().unwrap();
            let kept = offer.sdp.lines().filter(|line| !line.starts_with("a=group:BUNDLE"));
            let sdp: String = kept.map(|line| format!("{line}\r\n")).collect();
            two.set_remote_description(RtcSessionDescription { sdp, ..offer }).await.unwrap();
            two.set_local_description(None).await.unwrap();
            two.gathering_complete().await.unwrap();
            one.set_remote_description(two.local_description().unwrap()).await.unwrap();
            pair.connected().await;
            flows(&pair.two.track(0).await).await;
            flows(&pair.two.track(1).await).await;
            let senders = pair.one.connection.get_senders();
            let transports: Vec<_> = senders.iter().map(|sender| sender.transport().unwrap()).collect();
            assert_ne!(transports[0], transports[1]);
            assert_ne!(transports[0].ice_transport(), transports[1].ice_transport());
            pair.end().await;
        });
    }

    /// protocol/bundle.https.html: "bundles on the first transport and closes the second"
    #[test]
    fn bundles_on_the_first_transport_and_closes_the_second() {
        run(async {
            let mut pair = Pair::new().await;
            let sources = [Source::microphone(&pair.engine).await, Source::camera(&pair.engine).await];
            for source in &sources {
                pair.one.connection.add_track(&source.track, vec!["stream".to_owned()]).await.unwrap();
            }
            let (one, two) = (&pair.one.connection, &pair.two.connection);
            one.set_local_description(None).await.unwrap();
            let second = one.get_senders()[1].transport().unwrap();
            assert_ne!(one.get_senders()[0].transport(), Some(second.clone()));
            one.gathering_complete().await.unwrap();
            two.set_remote_description(one.local_description().unwrap()).await.unwrap();
            two.set_local_description(None).await.unwrap();
            two.gathering_complete().await.unwrap();
            one.set_remote_description(two.local_description().unwrap()).await.unwrap();
            pair.connected().await;
            flows(&pair.two.track(0).await).await;
            flows(&pair.two.track(1).await).await;
            let senders = pair.one.connection.get_senders();
            assert_eq!(senders[0].transport(), senders[1].transport());
            assert_ne!(senders[1].transport(), Some(second.clone()));
            assert_eq!(second.state(), RtcDtlsTransportState::Closed);
            pair.end().await;
        });
    }

    /// Candidates of one side only; the other one learns its peer's address from the checks.
    fn one_way(callers: bool) {
        run(async {
            let mut pair = Pair::new().await;
            data_channel(&pair.one).await;
            let (one, two) = (&pair.one.connection, &pair.two.connection);
            let offer = one.create_offer(Default::default()).await.unwrap();
            two.set_remote_description(offer.clone()).await.unwrap();
            let answer = two.create_answer().await.unwrap();
            one.set_local_description(Some(offer)).await.unwrap();
            two.set_local_description(Some(answer.clone())).await.unwrap();
            one.set_remote_description(answer).await.unwrap();
            let (from, to) = if callers { (&mut pair.one, &pair.two) } else { (&mut pair.two, &pair.one) };
            for candidate in from.candidates().await {
                to.connection.add_ice_candidate(Some(candidate)).await.unwrap();
            }
            pair.connected().await;
            let blind = if callers { &pair.one } else { &pair.two };
            let transport = blind.connection.sctp().unwrap().transport().ice_transport();
            let selected = transport.get_selected_candidate_pair().unwrap();
            assert_eq!(selected.local.kind, Some(RtcIceCandidateType::Host));
            assert_eq!(selected.remote.kind, Some(RtcIceCandidateType::Prflx));
            pair.end().await;
        });
    }

    /// protocol/candidate-exchange.https.html: "Adding only caller -> callee candidates gives a connection"
    #[test]
    fn adding_only_caller_to_callee_candidates_gives_a_connection() {
        one_way(true);
    }

    /// protocol/candidate-exchange.https.html: "Adding only callee -> caller candidates gives a connection"
    #[test]
    fn adding_only_callee_to_caller_candidates_gives_a_connection() {
        one_way(false);
    }

    /// protocol/candidate-exchange.https.html: "Explicit offer/answer exchange gives a connection"
    #[test]
    fn explicit_offer_answer_exchange_gives_a_connection() {
        run(async {
            let mut pair = Pair::new().await;
            data_channel(&pair.one).await;
            pair.negotiate().await;
            pair.connected().await;
            let transport = pair.one.connection.sctp().unwrap().transport().ice_transport();
            let selected = transport.get_selected_candidate_pair().unwrap();
            assert_eq!(selected.local.kind, Some(RtcIceCandidateType::Host));
            let remote = selected.remote.kind.unwrap();
            assert!([RtcIceCandidateType::Host, RtcIceCandidateType::Prflx].contains(&remote));
            pair.end().await;
        });
    }

    /// What the statistics of the transport say of its security.
    async fn assert_acceptable(connection: &RtcPeerConnection) {
        let report = connection.get_stats(None).await.unwrap();
        let Some(RtcStats::Transport(stats)) = report.of_type("transport").next() else {
            panic!("no transport")
        };
        assert_eq!(stats.tls_version.as_deref(), Some("FEFD"));
        let cipher = stats.dtls_cipher.as_deref().unwrap();
        assert!(cipher.starts_with("TLS_ECDHE_ECDSA_WITH_AES_"), "forward secrecy and AEAD: {cipher}");
        let profile = stats.srtp_cipher.as_deref().unwrap();
        assert!(profile.contains("AES") && !profile.contains("NULL"), "{profile}");
    }

    /// protocol/crypto-suite.https.html: "tlsVersion is acceptable on data-only", and the same for dtlsCipher and
    /// srtpCipher
    #[test]
    fn tls_version_and_ciphers_are_acceptable_on_data_only() {
        run(async {
            let mut pair = Pair::new().await;
            data_channel(&pair.one).await;
            pair.negotiate().await;
            pair.connected().await;
            assert_acceptable(&pair.one.connection).await;
            pair.end().await;
        });
    }

    /// protocol/crypto-suite.https.html: "tlsVersion is acceptable on video-only", and the same for dtlsCipher and
    /// srtpCipher
    #[test]
    fn tls_version_and_ciphers_are_acceptable_on_video_only() {
        run(async {
            let mut pair = Pair::new().await;
            add(&pair.one.connection, MediaKind::Video).await;
            pair.negotiate().await;
            pair.connected().await;
            assert_acceptable(&pair.one.connection).await;
            pair.end().await;
        });
    }

    fn establishes(ours: KeyType, theirs: KeyType) {
        run(async {
            let pair = Pair::new().await;
            let with = |key_type| {
                let mut configuration = RtcConfiguration::default();
                configuration.certificates = vec![RtcCertificate::generate(key_type).unwrap()];
                configuration
            };
            let mut one = Peer::new(&pair.engine, with(ours)).await;
            let mut two = Peer::new(&pair.engine, with(theirs)).await;
            data_channel(&one).await;
            negotiate(&one.connection, &two.connection).await;
            one.until(RtcPeerConnectionState::Connected).await;
            two.until(RtcPeerConnectionState::Connected).await;
            one.connection.close().await;
            two.connection.close().await;
            pair.end().await;
        });
    }

    /// protocol/dtls-certificates.html: "RTCPeerConnection establishes using ecdsa and ecdsa certificates"
    #[test]
    fn rtc_peer_connection_establishes_using_ecdsa_and_ecdsa_certificates() {
        establishes(KeyType::EcdsaP256, KeyType::EcdsaP256);
    }

    /// protocol/dtls-certificates.html: "RTCPeerConnection establishes using ecdsa and rsa certificates"
    #[test]
    fn rtc_peer_connection_establishes_using_ecdsa_and_rsa_certificates() {
        establishes(KeyType::EcdsaP256, KeyType::Rsa2048);
    }

    /// protocol/dtls-certificates.html: "RTCPeerConnection establishes using rsa and ecdsa certificates"
    #[test]
    fn rtc_peer_connection_establishes_using_rsa_and_ecdsa_certificates() {
        establishes(KeyType::Rsa2048, KeyType::EcdsaP256);
    }

    /// protocol/dtls-certificates.html: "RTCPeerConnection establishes using rsa and rsa certificates"
    #[test]
    fn rtc_peer_connection_establishes_using_rsa_and_rsa_certificates() {
        establishes(KeyType::Rsa2048, KeyType::Rsa2048);
    }

    /// protocol/dtls-fingerprint-validation.html: "Connection fails if one side provides a wrong DTLS fingerprint"
    #[test]
    fn connection_fails_if_one_side_provides_a_wrong_dtls_fingerprint() {
        run(async {
            let mut pair = Pair::new().await;
            data_channel(&pair.one).await;
            let (one, two) = (&pair.one.connection, &pair.two.connection);
            one.set_local_description(None).await.unwrap();
            one.gathering_complete().await.unwrap();
            two.set_remote_description(one.local_description().unwrap()).await.unwrap();
            two.set_local_description(None).await.unwrap();
            two.gathering_complete().await.unwrap();
            let answer = two.local_description().unwrap();
            let known = answer.sdp.lines().find(|line| line.starts_with("a=fingerprint:sha-256 ")).unwrap();
            let zeros = format!("a=fingerprint:sha-256 {}", vec!["00"; 32].join(":"));
            let sdp = answer.sdp.replace(known, &zeros);
            one.set_remote_description(RtcSessionDescription::answer(sdp)).await.unwrap();
            pair.one.until(RtcPeerConnectionState::Failed).await;
            pair.two.until(RtcPeerConnectionState::Failed).await;
            pair.end().await;
        });
    }

    /// protocol/dtls-close.html: "close() causes the other end's DTLS and SCTP transport and datachannels to close"
    #[test]
    fn close_causes_the_other_ends_dtls_and_sctp_transport_and_datachannels_to_close() {
        run(async {
            let mut pair = Pair::new().await;
            data_channel(&pair.one).await;
            pair.negotiate().await;
            pair.connected().await;
            let channel = pair.two.channel().await;
            let sctp = pair.two.connection.sctp().unwrap();
            let dtls = sctp.transport();
            pair.one.connection.close().await;
            let mut events = channel.events();
            while events.next().await.is_some() {}
            assert_eq!(channel.ready_state(), RtcDataChannelState::Closed);
            while dtls.state() != RtcDtlsTransportState::Closed
                || sctp.state() != RtcSctpTransportState::Closed
            {
                tokio::task::yield_now().await;
            }
            pair.end().await;
        });
    }
}

mod ondatachannel {
    use super::*;

    /// RTCPeerConnection-ondatachannel.html: "Data channel event should fire when new data channel is announced to
    /// the remote peer"
    #[test]
    fn data_channel_event_should_fire_when_new_data_channel_is_announced_to_the_remote_peer() {
        run(async {
            let mut pair = Pair::new().await;
            data_channel(&pair.one).await;
            pair.negotiate().await;
            let channel = pair.two.channel().await;
            assert_eq!(channel.ready_state(), RtcDataChannelState::Open);
            pair.end().await;
        });
    }

    /// RTCPeerConnection-ondatachannel.html: "Should be able to send data in a datachannel event handler"
    #[test]
    fn should_be_able_to_send_data_in_a_datachannel_event_handler() {
        run(async {
            let mut pair = Pair::new().await;
            let ours = data_channel(&pair.one).await;
            pair.negotiate().await;
            let theirs = pair.two.channel().await;
            theirs.send("meow meow!").await.unwrap();
            let heard = ours.events().message().await;
            assert_eq!(heard, Some(RtcDataChannelMessage::Text("meow meow!".to_owned())));
            pair.end().await;
        });
    }

    fn same_configuration(init: RtcDataChannelInit) {
        run(async {
            let mut pair = Pair::new().await;
            let ours = pair.one.connection.create_data_channel("test", init).await.unwrap();
            pair.negotiate().await;
            let theirs = pair.two.channel().await;
            assert_eq!(theirs.label(), ours.label());
            assert_eq!(theirs.ordered(), ours.ordered());
            assert_eq!(theirs.max_packet_life_time(), ours.max_packet_life_time());
            assert_eq!(theirs.max_retransmits(), ours.max_retransmits());
            assert_eq!(theirs.protocol(), ours.protocol());
            assert!(!theirs.negotiated() && !ours.negotiated());
            assert!(theirs.id().is_some());
            assert_eq!(theirs.id(), ours.id());
            pair.end().await;
        });
    }

    /// RTCPeerConnection-ondatachannel.html: "In-band negotiated channel created on remote peer should match the same
    /// configuration as local peer"
    #[test]
    fn in_band_negotiated_channel_should_match_the_same_configuration_as_local_peer() {
        same_configuration(RtcDataChannelInit {
            ordered: false,
            max_retransmits: Some(1),
            protocol: "custom".to_owned(),
            ..RtcDataChannelInit::default()
        });
    }

    /// RTCPeerConnection-ondatachannel.html: "In-band negotiated channel created on remote peer should match the same
    /// (default) configuration as local peer"
    #[test]
    fn in_band_negotiated_channel_should_match_the_same_default_configuration_as_local_peer() {
        same_configuration(RtcDataChannelInit::default());
    }

    /// RTCPeerConnection-ondatachannel.html: "Negotiated channel should not fire datachannel event on remote peer":
    /// the channel opened after it, which does, is the first that is heard of
    #[test]
    fn negotiated_channel_should_not_fire_datachannel_event_on_remote_peer() {
        run(async {
            let mut pair = Pair::new().await;
            let init = RtcDataChannelInit { negotiated: true, id: Some(42), ..RtcDataChannelInit::default() };
            pair.one.connection.create_data_channel("test", init).await.unwrap();
            let announced =
                pair.one.connection.create_data_channel("announced", RtcDataChannelInit::default());
            let announced = announced.await.unwrap();
            pair.negotiate().await;
            assert_eq!(pair.two.channel().await.label(), announced.label());
            pair.end().await;
        });
    }

    /// RTCDataChannel-close.html: "Close datachannel causes onclosing and onclose to be called"
    #[test]
    fn close_datachannel_causes_closing_and_close_to_be_told() {
        run(async {
            let mut pair = Pair::new().await;
            let ours = data_channel(&pair.one).await;
            pair.negotiate().await;
            let theirs = pair.two.channel().await;
            ours.close();
            let told: Vec<_> = theirs.events().collect().await;
            let closing = told.iter().position(|event| matches!(event, RtcDataChannelEvent::Closing));
            let close = told.iter().position(|event| matches!(event, RtcDataChannelEvent::Close));
            assert!(closing.is_some() && closing < close, "{told:?}");
            assert!(!told.iter().any(|event| matches!(event, RtcDataChannelEvent::Error(_))), "{told:?}");
            assert_eq!(theirs.ready_state(), RtcDataChannelState::Closed);
            pair.end().await;
        });
    }

    /// RTCDataChannel-close.html: "Close peerconnection causes close event and error to be called on datachannel"
    #[test]
    fn close_peerconnection_causes_close_event_and_error_to_be_told_on_datachannel() {
        run(async {
            let mut pair = Pair::new().await;
            data_channel(&pair.one).await;
            pair.negotiate().await;
            let theirs = pair.two.channel().await;
            pair.one.connection.close().await;
            let told: Vec<_> = theirs.events().collect().await;
            let error = told.iter().position(|event| matches!(event, RtcDataChannelEvent::Error(_)));
            let close = told.iter().position(|event| matches!(event, RtcDataChannelEvent::Close));
            assert!(error.is_some() && error < close, "{told:?}");
            pair.end().await;
        });
    }
}

/// Signalling states and wishes to negotiate, in the order in which they were told.
#[derive(Debug, PartialEq)]
enum Told {
    State(RtcSignalingState),
    Needed,
}

struct Listener {
    connection: RtcPeerConnection,
    events: actix_rtc::RtcEvents,
}

impl Listener {
    async fn new(pair: &Pair) -> Self {
        let connection = RtcPeerConnection::on(&pair.engine, RtcConfiguration::default()).await.unwrap();
        let events = connection.events().unwrap();
        Self { connection, events }
    }

    /// All that was told before this connection was closed.
    async fn told(mut self) -> Vec<Told> {
        // The answer to a question comes behind everything that was told before it.
        self.connection.get_stats(None).await.unwrap();
        let mut told = Vec::new();
        while let Some(Some(event)) = futures_util::FutureExt::now_or_never(self.events.next()) {
            match event {
                RtcPeerConnectionEvent::SignalingStateChange(state) => told.push(Told::State(state)),
                RtcPeerConnectionEvent::NegotiationNeeded => told.push(Told::Needed),
                _ => {}
            }
        }
        self.connection.close().await;
        told
    }
}

/// The answer of a stranger.
async fn answered(pair: &Pair, offerer: &RtcPeerConnection) {
    let stranger = RtcPeerConnection::on(&pair.engine, RtcConfiguration::default()).await.unwrap();
    stranger.set_remote_description(offerer.local_description().unwrap()).await.unwrap();
    stranger.set_local_description(None).await.unwrap();
    offerer.set_remote_description(stranger.local_description().unwrap()).await.unwrap();
    stranger.close().await;
}

mod events {
    use super::*;

    fn tells(expected: &[Told], scenario: impl AsyncFnOnce(&Pair, &RtcPeerConnection)) {
        run(async {
            let pair = Pair::new().await;
            let listener = Listener::new(&pair).await;
            scenario(&pair, &listener.connection).await;
            assert_eq!(listener.told().await, expected);
            pair.end().await;
        });
    }

    /// Until what is queued has happened: W3C tells of a need for negotiation in a task of its own.
    async fn settle(connection: &RtcPeerConnection) {
        connection.get_stats(None).await.unwrap();
    }

    async fn channel(connection: &RtcPeerConnection) {
        connection.create_data_channel("test", RtcDataChannelInit::default()).await.unwrap();
    }

    /// RTCPeerConnection-onnegotiationneeded.html: "Creating first data channel should fire negotiationneeded event"
    #[test]
    fn creating_first_data_channel_should_fire_negotiationneeded_event() {
        tells(&[Told::Needed], async |_, connection| channel(connection).await);
    }

    /// RTCPeerConnection-onnegotiationneeded.html: "calling createDataChannel twice should fire negotiationneeded
    /// event once"
    #[test]
    fn calling_create_data_channel_twice_should_fire_negotiationneeded_event_once() {
        tells(&[Told::Needed], async |_, connection| {
            channel(connection).await;
            channel(connection).await;
        });
    }

    /// RTCPeerConnection-onnegotiationneeded.html: "addTransceiver() should fire negotiationneeded event"
    #[test]
    fn add_transceiver_should_fire_negotiationneeded_event() {
        tells(&[Told::Needed], async |_, connection| add(connection, MediaKind::Audio).await);
    }

    /// RTCPeerConnection-onnegotiationneeded.html: "Calling addTransceiver() twice should fire negotiationneeded event
    /// once"
    #[test]
    fn calling_add_transceiver_twice_should_fire_negotiationneeded_event_once() {
        tells(&[Told::Needed], async |_, connection| {
            add(connection, MediaKind::Audio).await;
            add(connection, MediaKind::Video).await;
        });
    }

    /// RTCPeerConnection-onnegotiationneeded.html: "Calling both addTransceiver() and createDataChannel() should fire
    /// negotiationneeded event once"
    #[test]
    fn calling_both_add_transceiver_and_create_data_channel_should_fire_negotiationneeded_event_once() {
        tells(&[Told::Needed], async |_, connection| {
            channel(connection).await;
            add(connection, MediaKind::Video).await;
        });
    }

    /// RTCPeerConnection-onnegotiationneeded.html: "negotiationneeded event should not fire if signaling state is not
    /// stable"
    #[test]
    fn negotiationneeded_event_should_not_fire_if_signaling_state_is_not_stable() {
        tells(&[Told::Needed, Told::State(HaveLocalOffer)], async |_, connection| {
            add(connection, MediaKind::Audio).await;
            settle(connection).await;
            connection.set_local_description(None).await.unwrap();
            channel(connection).await;
        });
    }

    /// RTCPeerConnection-onnegotiationneeded.html: "negotiationneeded event should fire only after signaling state goes
    /// back to stable after setRemoteDescription", and only after the event of that
    #[test]
    fn negotiationneeded_event_should_fire_only_after_stable_after_set_remote_description() {
        let expected = [Told::Needed, Told::State(HaveLocalOffer), Told::State(Stable), Told::Needed];
        tells(&expected, async |pair, connection| {
            add(connection, MediaKind::Audio).await;
            settle(connection).await;
            connection.set_local_description(None).await.unwrap();
            channel(connection).await;
            answered(pair, connection).await;
        });
    }

    /// RTCPeerConnection-onnegotiationneeded.html: "negotiationneeded event should fire only after signaling state goes
    /// back to stable after setLocalDescription", and only after the event of that
    #[test]
    fn negotiationneeded_event_should_fire_only_after_stable_after_set_local_description() {
        let expected = [Told::Needed, Told::State(HaveRemoteOffer), Told::State(Stable), Told::Needed];
        tells(&expected, async |pair, connection| {
            add(connection, MediaKind::Audio).await;
            add(&pair.one.connection, MediaKind::Video).await;
            let offer = pair.one.connection.create_offer(Default::default()).await.unwrap();
            settle(connection).await;
            connection.set_remote_description(offer).await.unwrap();
            channel(connection).await;
            connection.set_local_description(None).await.unwrap();
        });
    }

    const NEGOTIATED: [Told; 3] = [Told::Needed, Told::State(HaveLocalOffer), Told::State(Stable)];

    fn negotiated_and(then: Told) -> Vec<Told> {
        NEGOTIATED.into_iter().chain([then]).collect()
    }

    /// RTCPeerConnection-onnegotiationneeded.html: "removeTrack should cause negotiationneeded to fire on the caller"
    #[test]
    fn remove_track_should_cause_negotiationneeded_to_fire_on_the_caller() {
        tells(&negotiated_and(Told::Needed), async |pair, connection| {
            let source = Source::microphone(&pair.engine).await;
            let sender = connection.add_track(&source.track, vec!["stream".to_owned()]).await.unwrap();
            settle(connection).await;
            connection.set_local_description(None).await.unwrap();
            answered(pair, connection).await;
            connection.remove_track(&sender).await.unwrap();
        });
    }

    /// RTCPeerConnection-onnegotiationneeded.html: "Updating the direction of the transceiver should cause
    /// negotiationneeded to fire"
    #[test]
    fn updating_the_direction_of_the_transceiver_should_cause_negotiationneeded_to_fire() {
        tells(&negotiated_and(Told::Needed), async |pair, connection| {
            let init = RtcRtpTransceiverInit::default();
            let transceiver = connection.add_transceiver(MediaKind::Audio, init).await.unwrap();
            settle(connection).await;
            connection.set_local_description(None).await.unwrap();
            answered(pair, connection).await;
            transceiver.set_direction(RtcRtpTransceiverDirection::Recvonly).await.unwrap();
        });
    }

    /// RTCPeerConnection-onnegotiationneeded.html: "Calling setStreams should cause negotiationneeded to fire"
    #[test]
    fn calling_set_streams_should_cause_negotiationneeded_to_fire() {
        tells(&negotiated_and(Told::Needed), async |pair, connection| {
            let init = RtcRtpTransceiverInit::default();
            let transceiver = connection.add_transceiver(MediaKind::Audio, init).await.unwrap();
            settle(connection).await;
            connection.set_local_description(None).await.unwrap();
            answered(pair, connection).await;
            transceiver.sender().set_streams(vec!["another".to_owned()]).await.unwrap();
        });
    }

    /// RTCPeerConnection-setRemoteDescription-offer.html: "setRemoteDescription(offer) from have-local-offer fires
    /// signalingstatechange twice"
    #[test]
    fn set_remote_description_offer_from_have_local_offer_fires_signalingstatechange_twice() {
        let expected = [Told::State(HaveLocalOffer), Told::State(Stable), Told::State(HaveRemoteOffer)];
        tells(&expected, async |pair, connection| {
            connection.set_local_description(None).await.unwrap();
            let offer = pair.one.connection.create_offer(Default::default()).await.unwrap();
            connection.set_remote_description(offer).await.unwrap();
            assert_eq!(connection.pending_local_description(), None);
        });
    }

    /// RTCPeerConnection-setRemoteDescription.html: "Negotiation should fire signalingsstate events"
    #[test]
    fn negotiation_should_fire_signalingsstate_events() {
        let expected = NEGOTIATED.into_iter().chain([Told::State(HaveRemoteOffer)]).collect::<Vec<_>>();
        tells(&expected, async |pair, connection| {
            let init = RtcRtpTransceiverInit::with_direction(RtcRtpTransceiverDirection::Recvonly);
            connection.add_transceiver(MediaKind::Audio, init).await.unwrap();
            settle(connection).await;
            connection.set_local_description(None).await.unwrap();
            let other = &pair.one.connection;
            other.set_remote_description(connection.local_description().unwrap()).await.unwrap();
            other.set_local_description(None).await.unwrap();
            connection.set_remote_description(other.local_description().unwrap()).await.unwrap();
            other.set_local_description(None).await.unwrap();
            connection.set_remote_description(other.local_description().unwrap()).await.unwrap();
        });
    }
}
