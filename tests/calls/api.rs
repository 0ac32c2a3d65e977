//! The handles of the API in real calls: what they show, what they refuse, and by which W3C error.

use std::time::{Duration, SystemTime};

use actix_rtc::{
    KeyType, MediaKind, RtcBundlePolicy, RtcCertificate, RtcConfiguration, RtcDtlsTransportState, RtcError,
    RtcIceRole, RtcIceServer, RtcIceTransportState, RtcPeerConnection, RtcPeerConnectionEvent,
    RtcPeerConnectionState, RtcRtpEncodingParameters, RtcRtpReceiver, RtcRtpTransceiverDirection,
    RtcRtpTransceiverInit, UdpMode, local_track, proto::dtls::Certificate,
};
use futures_util::{StreamExt, future::join};

use crate::{
    call::{Call, Camera, Engines, negotiate},
    run,
};

async fn connection(engines: &Engines) -> RtcPeerConnection {
    RtcPeerConnection::on(&engines.near, RtcConfiguration::on_shard(0)).await.unwrap()
}

fn name<T: std::fmt::Debug>(result: Result<T, RtcError>) -> &'static str {
    result.unwrap_err().name()
}

#[test]
fn a_track_is_sent_by_one_sender_at_a_time() {
    run(async {
        let engines = Engines::start(UdpMode::PerConnection).await;
        let camera = Camera::start(&engines, 1).await;
        let (one, other) = (connection(&engines).await, connection(&engines).await);
        let sender = one.add_track(&camera.track, vec!["stream".to_owned()]).await.unwrap();
        assert_eq!(sender.track(), Some(camera.track.clone()));
        assert_eq!(sender.streams(), ["stream"]);
        assert_eq!(name(one.add_track(&camera.track, Vec::new()).await), "InvalidAccessError");
        assert_eq!(name(other.remove_track(&sender).await), "InvalidAccessError");

        one.remove_track(&sender).await.unwrap();
        assert_eq!(sender.track(), None);
        assert_eq!(one.get_senders(), std::slice::from_ref(&sender), "the sender stays");
        one.remove_track(&sender).await.unwrap();
        assert_eq!(one.add_track(&camera.track, Vec::new()).await.unwrap(), sender, "and is used again");
        engines.shutdown().await;
    });
}

#[test]
fn a_track_is_replaced_by_one_of_its_kind() {
    run(async {
        let engines = Engines::start(UdpMode::PerConnection).await;
        let camera = Camera::start(&engines, 1).await;
        let connection = connection(&engines).await;
        let init = RtcRtpTransceiverInit::default();
        let audio = connection.add_transceiver(MediaKind::Audio, init).await.unwrap();
        let replaced = audio.sender().replace_track(Some(camera.track.clone())).await;
        assert_eq!(name(replaced), "TypeError");
        audio.sender().replace_track(None).await.unwrap();
        audio.stop().await.unwrap();
        audio.stop().await.unwrap();
        assert_eq!(name(audio.sender().replace_track(None).await), "InvalidStateError");
        assert_eq!(
            name(audio.set_direction(RtcRtpTransceiverDirection::Inactive).await),
            "InvalidStateError"
        );
        assert_eq!(audio.direction(), RtcRtpTransceiverDirection::Stopped);
        engines.shutdown().await;
    });
}

/// W3C webrtc-pc §5.2, `getParameters` and `setParameters`.
#[test]
fn parameters_are_looked_at_before_they_are_set() {
    run(async {
        let engines = Engines::start(UdpMode::PerConnection).await;
        let camera = Camera::start(&engines, 1).await;
        let call = Call::start(&engines, &camera.track).await;
        let sender = call.transceiver.sender();
        assert_eq!(name(sender.set_parameters(Default::default()).await), "InvalidStateError");

        let mut parameters = sender.get_parameters();
        assert_eq!(parameters.codecs[0].mime_type, "video/VP8");
        assert!(parameters.codecs[0].rtcp_feedback.iter().any(|feedback| feedback.kind == "nack"));
        assert!(!parameters.header_extensions.is_empty());
        assert!(parameters.rtcp.cname.is_some());
        assert_eq!(parameters.encodings[0].scale_resolution_down_by, Some(1.0));
        parameters.encodings[0].max_bitrate = Some(300_000);
        sender.set_parameters(parameters.clone()).await.unwrap();
        assert_eq!(sender.get_parameters().encodings[0].max_bitrate, Some(300_000));
        assert_eq!(name(sender.set_parameters(parameters).await), "InvalidModificationError", "used up");

        let mut parameters = sender.get_parameters();
        parameters.encodings[0].scale_resolution_down_by = Some(0.5);
        assert_eq!(name(sender.set_parameters(parameters).await), "RangeError");
        let mut parameters = sender.get_parameters();
        parameters.codecs.clear();
        assert_eq!(name(sender.set_parameters(parameters).await), "InvalidModificationError");
        assert_eq!(call.receiver.get_receivers()[0].get_parameters().codecs[0].mime_type, "video/VP8");
        engines.shutdown().await;
    });
}

#[test]
fn encodings_of_a_transceiver_are_checked_and_kept() {
    run(async {
        let engines = Engines::start(UdpMode::PerConnection).await;
        let connection = connection(&engines).await;
        let with = |send_encodings| RtcRtpTransceiverInit { send_encodings, ..Default::default() };
        let nameless = with(vec![RtcRtpEncodingParameters::default(); 2]);
        assert_eq!(name(connection.add_transceiver(MediaKind::Video, nameless).await), "TypeError");
        let layers = ["q", "h", "f"].map(RtcRtpEncodingParameters::with_rid).to_vec();
        let transceiver = connection.add_transceiver(MediaKind::Video, with(layers)).await.unwrap();
        let encodings = transceiver.sender().get_parameters().encodings;
        let shown: Vec<_> = encodings
            .iter()
            .map(|encoding| (encoding.rid.as_deref().unwrap(), encoding.scale_resolution_down_by.unwrap()))
            .collect();
        assert_eq!(shown, [("q", 4.0), ("h", 2.0), ("f", 1.0)]);
        assert_eq!(connection.get_transceivers().len(), 1, "what was refused left nothing");
        engines.shutdown().await;
    });
}

#[test]
fn codec_preferences_decide_what_is_offered() {
    run(async {
        let engines = Engines::start(UdpMode::PerConnection).await;
        let connection = connection(&engines).await;
        let init = RtcRtpTransceiverInit::default();
        let transceiver = connection.add_transceiver(MediaKind::Video, init).await.unwrap();
        let mut codecs = RtcRtpReceiver::get_capabilities(MediaKind::Video).codecs;
        codecs.retain(|codec| codec.name() == "VP9");
        transceiver.set_codec_preferences(&codecs).await.unwrap();
        let offer = connection.create_offer(Default::default()).await.unwrap().sdp;
        assert!(offer.contains(" VP9/90000") && !offer.contains(" VP8/90000") && !offer.contains(" rtx/"));
        codecs[0].clock_rate = 1;
        assert_eq!(name(transceiver.set_codec_preferences(&codecs).await), "InvalidModificationError");
        transceiver.set_codec_preferences(&[]).await.unwrap();
        let offer = connection.create_offer(Default::default()).await.unwrap().sdp;
        assert!(offer.contains(" VP8/90000") && offer.contains(" rtx/90000"));
        engines.shutdown().await;
    });
}

#[test]
fn transports_show_how_the_peers_are_connected() {
    run(async {
        let engines = Engines::start(UdpMode::PerConnection).await;
        let camera = Camera::start(&engines, 1).await;
        let mut call = Call::start(&engines, &camera.track).await;
        let transport = call.transceiver.sender().transport().unwrap();
        assert_eq!(call.transceiver.receiver().transport(), Some(transport.clone()));
        assert_eq!(call.sender.transports(), std::slice::from_ref(&transport));
        assert_eq!(transport.state(), RtcDtlsTransportState::Connected);
        assert_eq!(transport.get_remote_certificates().len(), 1);
        let ice = transport.ice_transport();
        assert_eq!(ice.role(), RtcIceRole::Controlling);
        assert!(matches!(ice.state(), RtcIceTransportState::Connected | RtcIceTransportState::Completed));
        let pair = ice.get_selected_candidate_pair().unwrap();
        assert!(ice.get_local_candidates().contains(&pair.local));
        assert!(ice.get_remote_candidates().iter().any(|candidate| candidate.port == pair.remote.port));
        let far = call.receiver.transports().remove(0).ice_transport();
        assert_eq!(ice.get_remote_parameters(), far.get_local_parameters());
        assert_eq!(far.role(), RtcIceRole::Controlled);

        // In this order: it has to see the state from which it changes.
        let (changed, ()) = join(transport.state_change(), call.receiver.close()).await;
        assert_eq!(changed, RtcDtlsTransportState::Closed);
        assert!(call.sender_events.until(RtcPeerConnectionState::Closed).await);
        engines.shutdown().await;
    });
}

/// W3C webrtc-pc §4.4.1.6 and the constructor.
#[test]
fn configurations_are_checked() {
    run(async {
        let engines = Engines::start(UdpMode::PerConnection).await;
        let refused = async |change: fn(&mut RtcConfiguration)| {
            let mut configuration = RtcConfiguration::on_shard(0);
            change(&mut configuration);
            name(RtcPeerConnection::on(&engines.near, configuration).await)
        };
        assert_eq!(refused(|c| c.ice_servers = vec![RtcIceServer::new("stun:")]).await, "SyntaxError");
        assert_eq!(
            refused(|c| c.ice_servers = vec![RtcIceServer::new("turn:a.b")]).await,
            "InvalidAccessError"
        );
        assert_eq!(refused(|c| c.shard = Some(99)).await, "InvalidAccessError");
        let expired = |c: &mut RtcConfiguration| {
            let day = Duration::from_secs(86_400);
            let validity = SystemTime::now() - 2 * day..SystemTime::now() - day;
            let certificate = Certificate::generate_for(KeyType::EcdsaP256, validity).unwrap();
            c.certificates = vec![RtcCertificate::from(certificate)];
        };
        assert_eq!(refused(expired).await, "InvalidAccessError");

        let connection = connection(&engines).await;
        let mut configuration = connection.get_configuration();
        configuration.ice_servers = vec![RtcIceServer::new("stun:192.0.2.1")];
        connection.set_configuration(configuration.clone()).await.unwrap();
        assert_eq!(connection.get_configuration().ice_servers, configuration.ice_servers);
        configuration.bundle_policy = RtcBundlePolicy::MaxCompat;
        assert_eq!(name(connection.set_configuration(configuration).await), "InvalidModificationError");
        engines.shutdown().await;
    });
}

#[test]
fn a_certificate_of_the_application_is_the_one_that_is_shown() {
    run(async {
        let engines = Engines::start(UdpMode::PerConnection).await;
        for key_type in [KeyType::EcdsaP256, KeyType::Rsa2048] {
            let certificate = RtcCertificate::generate(key_type).unwrap();
            let mut configuration = RtcConfiguration::on_shard(0);
            configuration.certificates = vec![certificate.clone()];
            let near = RtcPeerConnection::on(&engines.near, configuration).await.unwrap();
            let far = RtcPeerConnection::on(&engines.far, RtcConfiguration::on_shard(0)).await.unwrap();
            let camera = Camera::start(&engines, 1).await;
            near.add_track(&camera.track, Vec::new()).await.unwrap();
            let mut events = far.events().unwrap();
            negotiate(&near, &far).await;
            assert!(events.until(RtcPeerConnectionState::Connected).await);
            let shown = far.transports()[0].get_remote_certificates();
            assert_eq!(shown[0], certificate.as_certificate().der());
            assert_eq!(near.get_configuration().certificates, [certificate]);
        }
        engines.shutdown().await;
    });
}

#[test]
fn a_closed_connection_refuses_everything_and_shows_its_last_state() {
    run(async {
        let engines = Engines::start(UdpMode::PerConnection).await;
        let camera = Camera::start(&engines, 1).await;
        let closed = connection(&engines).await;
        let sender = closed.add_track(&camera.track, Vec::new()).await.unwrap();
        let transceiver = sender.transceiver();
        closed.close().await;
        closed.close().await;
        assert_eq!(closed.connection_state(), RtcPeerConnectionState::Closed);
        assert_eq!(closed.ice_connection_state(), RtcIceTransportState::Closed);
        for error in [
            name(closed.create_offer(Default::default()).await),
            name(closed.create_answer().await),
            name(closed.set_local_description(None).await),
            name(closed.add_track(&camera.track, Vec::new()).await),
            name(closed.remove_track(&sender).await),
            name(closed.add_transceiver(MediaKind::Audio, Default::default()).await),
            name(closed.add_ice_candidate(None).await),
            name(closed.set_configuration(closed.get_configuration()).await),
            name(sender.replace_track(None).await),
            name(sender.set_streams(Vec::new()).await),
            name(transceiver.set_direction(RtcRtpTransceiverDirection::Inactive).await),
            name(transceiver.stop().await),
        ] {
            assert_eq!(error, "InvalidStateError");
        }
        closed.restart_ice().await.unwrap();
        engines.shutdown().await;
    });
}

/// W3C webrtc-pc §5.3: who was heard in the last ten seconds.
#[test]
fn a_receiver_knows_whom_it_hears() {
    run(async {
        let engines = Engines::start(UdpMode::PerConnection).await;
        let camera = Camera::start(&engines, 1).await;
        let mut call = Call::start(&engines, &camera.track).await;
        call.next_packets(5).await;
        let receiver = call.receiver.get_receivers().remove(0);
        let sources = receiver.get_synchronization_sources().await.unwrap();
        let sent = call.sender.get_stats(None).await.unwrap();
        let Some(actix_rtc::stats::RtcStats::OutboundRtp(sent)) = sent.of_type("outbound-rtp").next() else {
            panic!("nothing is sent")
        };
        assert_eq!(sources.iter().map(|source| source.source).collect::<Vec<_>>(), [sent.ssrc]);
        assert!((sent.timestamp - sources[0].timestamp).abs() < 60_000.0, "milliseconds since 1970");
        assert_eq!(receiver.get_contributing_sources().await.unwrap(), []);

        receiver.set_jitter_buffer_target(Some(Duration::from_millis(80))).await.unwrap();
        assert_eq!(receiver.jitter_buffer_target(), Some(Duration::from_millis(80)));
        let too_long = receiver.set_jitter_buffer_target(Some(Duration::from_secs(5))).await;
        assert_eq!(name(too_long), "RangeError");
        engines.shutdown().await;
    });
}

/// W3C webrtc-pc §7.
#[test]
fn tones_are_played_one_after_the_other() {
    run(async {
        let engines = Engines::start(UdpMode::PerConnection).await;
        let near = connection(&engines).await;
        let far = RtcPeerConnection::on(&engines.far, RtcConfiguration::on_shard(0)).await.unwrap();
        let (track, _writer) = local_track(&engines.near, 0, "voice", MediaKind::Audio).await.unwrap();
        let sender = near.add_track(&track, Vec::new()).await.unwrap();
        let dtmf = sender.dtmf().unwrap();
        assert!(!dtmf.can_insert_dtmf());
        assert_eq!(name(dtmf.insert_dtmf("1", None, None).await), "InvalidStateError");
        let mut events = near.events().unwrap();
        negotiate(&near, &far).await;
        assert!(events.until(RtcPeerConnectionState::Connected).await);
        while !dtmf.can_insert_dtmf() {
            tokio::task::yield_now().await;
        }
        assert_eq!(name(dtmf.insert_dtmf("1x", None, None).await), "InvalidCharacterError");
        let mut changes = dtmf.tone_changes();
        dtmf.insert_dtmf("1a", Some(40), Some(30)).await.unwrap();
        for expected in [(Some('1'), "A"), (Some('A'), ""), (None, "")] {
            let change = changes.next().await.unwrap();
            assert_eq!((change.tone, change.tone_buffer.as_str()), expected);
        }
        assert_eq!(dtmf.tone_buffer(), "");
        engines.shutdown().await;
    });
}

/// W3C webrtc-pc §5.7 and §4.4.1.5: one stream object for each id, as long as a track is in it.
#[test]
fn tracks_of_one_stream_come_in_one_stream() {
    run(async {
        let engines = Engines::start(UdpMode::PerConnection).await;
        let (first, second) = (Camera::start(&engines, 1).await, Camera::start(&engines, 2).await);
        let near = connection(&engines).await;
        let far = RtcPeerConnection::on(&engines.far, RtcConfiguration::on_shard(0)).await.unwrap();
        let mut events = far.events().unwrap();
        let sender = near.add_track(&first.track, vec!["s".to_owned()]).await.unwrap();
        near.add_track(&second.track, vec!["s".to_owned(), "t".to_owned()]).await.unwrap();
        negotiate(&near, &far).await;
        let mut arrived = Vec::new();
        while arrived.len() < 2 {
            if let RtcPeerConnectionEvent::Track { streams, track, transceiver, receiver } =
                events.next().await.unwrap()
            {
                assert_eq!(receiver.track(), Some(track));
                assert_eq!(transceiver.receiver(), receiver);
                arrived.push(streams);
            }
        }
        let (s, t) = (arrived[0][0].clone(), arrived[1][1].clone());
        assert_eq!((s.id(), t.id()), ("s", "t"));
        assert_eq!(arrived[1][0], s, "the same stream");
        assert_eq!((s.get_tracks().len(), t.get_tracks().len()), (2, 1));

        near.remove_track(&sender).await.unwrap();
        negotiate(&near, &far).await;
        loop {
            if let RtcPeerConnectionEvent::SignalingStateChange(_) = events.next().await.unwrap()
                && s.get_tracks().len() == 1
            {
                break;
            }
        }
        assert_eq!(s.get_tracks(), t.get_tracks(), "only the second camera is left");
        engines.shutdown().await;
    });
}
