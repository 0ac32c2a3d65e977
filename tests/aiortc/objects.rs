//! Transports and transceivers as objects: what is refused once a transport is stopped, and what policies leave over.

use actix_rtc::{
    MediaKind, RtcConfiguration, RtcDtlsTransportState, RtcIceGatheringState, RtcIceRole, RtcIceTransportPolicy,
    RtcPeerConnection, RtcRtpCodecParameters, RtcRtpParameters, RtcRtpTransceiverInit,
    ortc::{
        DEFAULT_SCTP_PORT, RtcDtlsTransport, RtcIceGatherOptions, RtcIceGatherer, RtcIceTransport, RtcRtpReceiver,
        RtcRtpSender, RtcSctpTransport,
    },
};

use crate::pair::{Pair, Source, run};

async fn stopped(pair: &Pair) -> (RtcIceGatherer, RtcIceTransport, RtcDtlsTransport) {
    let gatherer = RtcIceGatherer::new(&pair.engine, RtcIceGatherOptions::default()).await.unwrap();
    let ice = RtcIceTransport::new(&gatherer);
    let dtls = RtcDtlsTransport::new(&ice);
    ice.stop().await;
    assert_eq!(dtls.state(), RtcDtlsTransportState::Closed);
    (gatherer, ice, dtls)
}

fn vp8() -> RtcRtpParameters {
    let codec = RtcRtpCodecParameters {
        payload_type: 97,
        mime_type: "video/VP8".to_owned(),
        clock_rate: 90_000,
        ..RtcRtpCodecParameters::default()
    };
    RtcRtpParameters { codecs: vec![codec], ..RtcRtpParameters::default() }
}

#[test]
fn a_stopped_ice_transport_can_not_be_started() {
    run(async {
        let pair = Pair::new().await;
        let (gatherer, ice, _) = stopped(&pair).await;
        let refused = ice.start(gatherer.get_local_parameters(), RtcIceRole::Controlling).await;
        assert_eq!(refused.unwrap_err().name(), "InvalidStateError");
        pair.end().await;
    });
}

#[test]
fn there_are_no_data_channels_over_a_stopped_transport() {
    run(async {
        let pair = Pair::new().await;
        let (_, _, dtls) = stopped(&pair).await;
        let refused = RtcSctpTransport::new(&dtls, DEFAULT_SCTP_PORT).await;
        assert_eq!(refused.err().map(|error| error.name()), Some("InvalidStateError"));
        pair.end().await;
    });
}

#[test]
fn nothing_is_sent_over_a_stopped_transport() {
    run(async {
        let pair = Pair::new().await;
        let (_, _, dtls) = stopped(&pair).await;
        let camera = Source::camera(&pair.engine).await;
        let refused = RtcRtpSender::new(&camera.track, &dtls).send(vp8()).await;
        assert_eq!(refused.unwrap_err().name(), "InvalidStateError");
        pair.end().await;
    });
}

#[test]
fn nothing_is_received_over_a_stopped_transport() {
    run(async {
        let pair = Pair::new().await;
        let (_, _, dtls) = stopped(&pair).await;
        let refused = RtcRtpReceiver::new(MediaKind::Video, &dtls).receive(vp8()).await;
        assert_eq!(refused.err().map(|error| error.name()), Some("InvalidStateError"));
        pair.end().await;
    });
}

/// aiortc refuses the second one; W3C allows it (webrtc-pc 5.1, the note at `addTrack`).
#[test]
fn a_transceiver_sends_the_track_it_was_made_for_even_if_another_one_does() {
    run(async {
        let pair = Pair::new().await;
        let source = Source::microphone(&pair.engine).await;
        let connection = &pair.one.connection;
        for number in 1..=2 {
            let made =
                connection.add_transceiver(&source.track, RtcRtpTransceiverInit::default()).await.unwrap();
            assert_eq!(made.kind(), MediaKind::Audio);
            assert_eq!(made.sender().track().unwrap().id(), source.track.id());
            assert_eq!(connection.get_transceivers().len(), number);
        }
        pair.end().await;
    });
}

#[test]
fn relay_only_without_a_server_ends_gathering_without_any_candidate() {
    run(async {
        let pair = Pair::new().await;
        let mut configuration = RtcConfiguration::default();
        configuration.ice_transport_policy = RtcIceTransportPolicy::Relay;
        let connection = RtcPeerConnection::on(&pair.engine, configuration).await.unwrap();
        connection.add_transceiver(MediaKind::Audio, RtcRtpTransceiverInit::default()).await.unwrap();
        connection.set_local_description(None).await.unwrap();
        connection.gathering_complete().await.unwrap();
        assert_eq!(connection.ice_gathering_state(), RtcIceGatheringState::Complete);
        let description = connection.local_description().unwrap().sdp;
        assert!(!description.contains("a=candidate:"), "{description}");
        assert!(description.contains("a=end-of-candidates"), "{description}");
        connection.close().await;
        pair.end().await;
    });
}
