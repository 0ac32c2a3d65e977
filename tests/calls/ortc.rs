//! Transports wired by hand: gatherer, ICE, DTLS, data channels and RTP, without offers and answers.

use actix_rtc::{
    MediaKind, RtcDataChannelEvent, RtcDataChannelInit, RtcDataChannelMessage, RtcDtlsParameters,
    RtcDtlsTransportState, RtcEngine, RtcIceRole, RtcRtpCodecParameters, RtcRtpParameters,
    RtcSctpCapabilities, UdpMode,
    ortc::{
        DEFAULT_SCTP_PORT, RtcDtlsTransport, RtcIceGatherOptions, RtcIceGatherer, RtcIceTransport,
        RtcOrtcEvent, RtcRtpReceiver, RtcRtpSender, RtcSctpTransport,
    },
};
use futures_util::StreamExt;

use crate::{
    call::{Camera, Engines, Viewer},
    run, run_undisturbed,
};

struct Side {
    gatherer: RtcIceGatherer,
    ice: RtcIceTransport,
    dtls: RtcDtlsTransport,
}

impl Side {
    async fn new(engine: &RtcEngine) -> Self {
        let gatherer = RtcIceGatherer::new(engine, RtcIceGatherOptions::default()).await.unwrap();
        gatherer.gather().await.unwrap();
        assert!(!gatherer.get_local_candidates().is_empty());
        let ice = RtcIceTransport::new(&gatherer);
        let dtls = RtcDtlsTransport::new(&ice);
        Self { gatherer, ice, dtls }
    }

    /// Starts with what the other side has signalled.
    async fn start(&self, remote: &Self, role: RtcIceRole, fingerprints: RtcDtlsParameters) {
        for candidate in remote.gatherer.get_local_candidates() {
            self.ice.add_remote_candidate(Some(candidate.candidate)).await.unwrap();
        }
        self.ice.add_remote_candidate(None).await.unwrap();
        self.ice.start(remote.gatherer.get_local_parameters(), role).await.unwrap();
        self.dtls.start(fingerprints).await.unwrap();
    }
}

async fn pair(engines: &Engines) -> (Side, Side) {
    (Side::new(&engines.near).await, Side::new(&engines.far).await)
}

async fn connect(a: &Side, b: &Side) {
    a.start(b, RtcIceRole::Controlling, b.dtls.get_local_parameters()).await;
    b.start(a, RtcIceRole::Controlled, a.dtls.get_local_parameters()).await;
    for side in [a, b] {
        side.ice.connected().await.unwrap();
        side.dtls.connected().await.unwrap();
        assert!(side.ice.get_selected_candidate_pair().is_some());
        assert_eq!(side.dtls.get_remote_certificates().len(), 1);
    }
    assert_eq!((a.ice.role(), b.ice.role()), (RtcIceRole::Controlling, RtcIceRole::Controlled));
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
fn data_channels_over_objects_wired_by_hand() {
    run(async {
        let engines = Engines::start(UdpMode::PerConnection).await;
        let (a, b) = pair(&engines).await;
        let near = RtcSctpTransport::new(&a.dtls, DEFAULT_SCTP_PORT).await.unwrap();
        let far = RtcSctpTransport::new(&b.dtls, DEFAULT_SCTP_PORT).await.unwrap();
        let second = RtcSctpTransport::new(&a.dtls, DEFAULT_SCTP_PORT).await.unwrap_err();
        assert_eq!(second.name(), "InvalidStateError");
        let capabilities: RtcSctpCapabilities = RtcSctpTransport::get_capabilities();
        near.start(capabilities, DEFAULT_SCTP_PORT).await.unwrap();
        far.start(capabilities, DEFAULT_SCTP_PORT).await.unwrap();
        connect(&a, &b).await;

        let channel = near.create_data_channel("chat", RtcDataChannelInit::default()).await.unwrap();
        let mut opening = channel.events();
        assert!(matches!(opening.next().await, Some(RtcDataChannelEvent::Open)));
        channel.send("hello").await.unwrap();
        let mut events = b.dtls.events().unwrap();
        let Some(RtcOrtcEvent::DataChannel(opened)) = events.next().await else { panic!("no channel") };
        assert_eq!(opened.label(), "chat");
        opened.send("and back").await.unwrap();
        let heard = |channel: &actix_rtc::RtcDataChannel| {
            let events = channel.events();
            async move {
                tokio::pin!(events);
                loop {
                    match events.next().await.expect("the channel has ended") {
                        RtcDataChannelEvent::Message(RtcDataChannelMessage::Text(text)) => return text,
                        RtcDataChannelEvent::Close => panic!("closed before the message"),
                        _ => {}
                    }
                }
            }
        };
        assert_eq!(heard(&opened).await.as_str(), "hello");
        assert_eq!(heard(&channel).await.as_str(), "and back");

        a.ice.stop().await;
        assert_eq!(a.dtls.state(), RtcDtlsTransportState::Closed);
        let refused = near.create_data_channel("late", RtcDataChannelInit::default()).await.unwrap_err();
        assert_eq!(refused.name(), "InvalidStateError");
        engines.shutdown().await;
    });
}

#[test]
fn media_over_objects_wired_by_hand() {
    run_undisturbed(|| async {
        let engines = Engines::start(UdpMode::PerConnection).await;
        let (a, b) = pair(&engines).await;
        let camera = Camera::start(&engines, 7).await;
        let sender = RtcRtpSender::new(&camera.track, &a.dtls);
        sender.send(vp8()).await.unwrap();
        let track = RtcRtpReceiver::new(MediaKind::Video, &b.dtls).receive(vp8()).await.unwrap();
        let mut viewer = Viewer::start(track.packets());
        connect(&a, &b).await;
        viewer.sees(100).await;
        engines.shutdown().await;
    });
}

#[test]
fn a_wrong_fingerprint_ends_the_handshake() {
    run(async {
        let engines = Engines::start(UdpMode::PerConnection).await;
        let (a, b) = pair(&engines).await;
        let mut wrong = b.dtls.get_local_parameters();
        for fingerprint in &mut wrong.fingerprints {
            let first = if fingerprint.value.starts_with("00") { "11" } else { "00" };
            fingerprint.value.replace_range(..2, first);
        }
        a.start(&b, RtcIceRole::Controlling, wrong).await;
        b.start(&a, RtcIceRole::Controlled, a.dtls.get_local_parameters()).await;
        assert_eq!(a.dtls.connected().await.unwrap_err().name(), "NetworkError");
        assert_eq!(a.dtls.state(), RtcDtlsTransportState::Failed);
        engines.shutdown().await;
    });
}

#[test]
fn what_can_not_be_wired_is_refused() {
    run(async {
        let engines = Engines::start(UdpMode::PerConnection).await;
        let (a, b) = pair(&engines).await;
        let no_candidate = a.ice.add_remote_candidate(Some("candidate:1 1 udp".to_owned())).await;
        assert_eq!(no_candidate.unwrap_err().name(), "OperationError");
        a.ice.add_remote_candidate(None).await.unwrap();
        let late = b.gatherer.get_local_candidates().remove(0).candidate;
        let late = a.ice.add_remote_candidate(Some(late)).await;
        assert_eq!(late.unwrap_err().name(), "InvalidStateError");
        let remote = b.gatherer.get_local_parameters();
        let unknown = a.ice.start(remote.clone(), RtcIceRole::Unknown).await;
        assert_eq!(unknown.unwrap_err().name(), "TypeError");
        let nothing_to_check = a.dtls.start(RtcDtlsParameters::default()).await;
        assert_eq!(nothing_to_check.unwrap_err().name(), "TypeError");
        let too_early = a.dtls.start(b.dtls.get_local_parameters()).await;
        assert_eq!(too_early.unwrap_err().name(), "InvalidStateError", "nobody knows who begins");
        a.ice.start(remote, RtcIceRole::Controlling).await.unwrap();
        a.dtls.start(b.dtls.get_local_parameters()).await.unwrap();
        let again = a.dtls.start(b.dtls.get_local_parameters()).await;
        assert_eq!(again.unwrap_err().name(), "InvalidStateError");
        engines.shutdown().await;
    });
}

#[test]
fn nothing_can_be_put_on_a_stopped_transport() {
    run(async {
        let engines = Engines::start(UdpMode::PerConnection).await;
        let (a, b) = pair(&engines).await;
        let camera = Camera::start(&engines, 8).await;
        a.ice.stop().await;
        let refusals = [
            a.ice.start(b.gatherer.get_local_parameters(), RtcIceRole::Controlling).await.unwrap_err(),
            a.dtls.start(b.dtls.get_local_parameters()).await.unwrap_err(),
            RtcSctpTransport::new(&a.dtls, DEFAULT_SCTP_PORT).await.unwrap_err(),
            RtcRtpSender::new(&camera.track, &a.dtls).send(vp8()).await.unwrap_err(),
            RtcRtpReceiver::new(MediaKind::Video, &a.dtls).receive(vp8()).await.unwrap_err(),
        ];
        for refusal in refusals {
            assert_eq!(refusal.name(), "InvalidStateError", "{refusal}");
        }
        engines.shutdown().await;
    });
}
