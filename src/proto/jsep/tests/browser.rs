//! Offers as browsers write them, and what they need in the answer.

use super::*;
use crate::proto::sdp::{Direction as SdpDirection, Setup};

/// An offer with microphone, camera in three layers and a data channel, in the words of Chromium.
pub(super) fn chromium_offer() -> String {
    let transport = "c=IN IP4 127.0.0.1\r\n\
         a=rtcp:9 IN IP4 0.0.0.0\r\n\
         a=candidate:3480680434 1 udp 2122260223 192.0.2.7 50463 typ host generation 0 network-id 1\r\n\
         a=ice-ufrag:9RBC\r\n\
         a=ice-pwd:ChisVS8h1TTaW+jFQNOiXKHC\r\n\
         a=ice-options:trickle\r\n\
         a=fingerprint:sha-256 C9:7C:26:5A:54:0A:64:C0:E4:BD:1E:81:8D:94:4B:0B:A8:11:BF:62:E7:64:AA:0A:FC:2A:05:75:6C:7D:E4:9D\r\n\
         a=setup:actpass\r\n";
    let mut video = String::new();
    for (payload_type, rtx, name, fmtp) in [
        (96, 97, "VP8", ""),
        (102, 103, "H264", "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f"),
        (39, 40, "H264", "level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=4d001f"),
        (98, 99, "VP9", "profile-id=0"),
        (100, 101, "VP9", "profile-id=2"),
    ] {
        video += &format!("a=rtpmap:{payload_type} {name}/90000\r\n");
        for feedback in ["goog-remb", "transport-cc", "ccm fir", "nack", "nack pli"] {
            video += &format!("a=rtcp-fb:{payload_type} {feedback}\r\n");
        }
        if !fmtp.is_empty() {
            video += &format!("a=fmtp:{payload_type} {fmtp}\r\n");
        }
        video += &format!("a=rtpmap:{rtx} rtx/90000\r\na=fmtp:{rtx} apt={payload_type}\r\n");
    }
    format!(
        "v=0\r\no=- 4927258209574929655 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1 2\r\n\
         a=extmap-allow-mixed\r\na=msid-semantic: WMS stream\r\n\
         m=audio 50463 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126\r\n{transport}a=mid:0\r\n\
         a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n\
         a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n\
         a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\n\
         a=sendrecv\r\na=msid:stream microphone\r\na=rtcp-mux\r\na=rtcp-rsize\r\n\
         a=rtpmap:111 opus/48000/2\r\na=rtcp-fb:111 transport-cc\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n\
         a=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\na=rtpmap:9 G722/8000\r\na=rtpmap:0 PCMU/8000\r\n\
         a=rtpmap:8 PCMA/8000\r\na=rtpmap:13 CN/8000\r\na=rtpmap:110 telephone-event/48000\r\n\
         a=rtpmap:126 telephone-event/8000\r\n\
         a=ssrc:2280203144 cname:PALMe\r\na=ssrc:2280203144 msid:stream microphone\r\n\
         m=video 37598 UDP/TLS/RTP/SAVPF 96 97 102 103 39 40 98 99 100 101\r\n{transport}a=mid:1\r\n\
         a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\n\
         a=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n\
         a=extmap:11 urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id\r\n\
         a=sendrecv\r\na=msid:stream camera\r\na=rtcp-mux\r\na=rtcp-rsize\r\n{video}\
         a=rid:q send\r\na=rid:h send\r\na=rid:f send\r\na=simulcast:send q;h;f\r\n\
         m=application 51932 UDP/DTLS/SCTP webrtc-datachannel\r\n{transport}a=mid:2\r\n\
         a=sctp-port:5000\r\na=max-message-size:262144\r\n"
    )
}

#[test]
fn the_answer_keeps_order_numbers_and_tags_of_the_offer() {
    let mut session = session(1);
    session.set_remote_description(Description::offer(chromium_offer())).expect("offer");
    let answer = parsed(&answer(&mut session));
    assert_eq!(answer.bundle(), ["0", "1"]);
    let mids: Vec<_> = answer.media.iter().map(|section| section.mid.as_deref()).collect();
    assert_eq!(mids, [Some("0"), Some("1"), Some("2")]);
    let audio = &answer.media[0];
    assert_eq!(
        names(&audio.codecs),
        [
            (111, "opus"),
            (9, "G722"),
            (0, "PCMU"),
            (8, "PCMA"),
            (110, "telephone-event"),
            (126, "telephone-event")
        ]
    );
    assert_eq!(audio.direction, Some(SdpDirection::Recvonly));
    assert!(audio.rtcp_mux && audio.rtcp_reduced_size && !audio.bundle_only);
    assert!(
        audio.codecs.iter().all(|codec| codec.feedback.is_empty()),
        "no transport-cc without an estimator"
    );
    let ids: Vec<_> = audio.extensions.iter().map(|extension| extension.id).collect();
    assert_eq!(ids, [1, 4]);
    assert_eq!(answer.transport.setup, Some(Setup::Active));
    assert!(answer.extmap_allow_mixed);
    // No data channels configured: the section is refused, and out of the bundle.
    assert!(answer.media[2].rejected());
    assert_eq!(answer.media[2].formats, ["webrtc-datachannel"]);
}

#[test]
fn every_offered_h264_profile_is_accepted_and_unknown_profiles_of_vp9_are_not() {
    let mut session = session(1);
    session.set_remote_description(Description::offer(chromium_offer())).expect("offer");
    let answer = parsed(&answer(&mut session));
    let video = &answer.media[1];
    assert_eq!(
        names(&video.codecs),
        [
            (96, "VP8"),
            (97, "rtx"),
            (102, "H264"),
            (103, "rtx"),
            (39, "H264"),
            (40, "rtx"),
            (98, "VP9"),
            (99, "rtx")
        ]
    );
    assert_eq!(video.codecs[0].feedback, ["ccm fir", "nack", "nack pli"]);
    let profile = ("profile-level-id".to_owned(), Some("4d001f".to_owned()));
    assert!(video.codecs[4].parameters.contains(&profile), "the offer's parameters are echoed");
}

#[test]
fn all_layers_of_a_simulcast_camera_are_accepted() {
    let mut session = session(1);
    session.set_remote_description(Description::offer(chromium_offer())).expect("offer");
    let answer = answer(&mut session);
    for line in ["a=rid:q recv", "a=rid:h recv", "a=rid:f recv", "a=simulcast:recv q;h;f"] {
        assert!(answer.sdp.lines().any(|known| known == line), "{line} in {}", answer.sdp);
    }
    let camera = session.transceiver_by_mid("1").expect("camera");
    assert_eq!(camera.receive_parameters().expect("receives").rids, ["q", "h", "f"]);
}

#[test]
fn what_the_peer_sends_is_described_by_transceivers_and_transport() {
    let mut session = session(1);
    session.set_remote_description(Description::offer(chromium_offer())).expect("offer");
    assert_eq!(session.transceivers().len(), 2);
    let microphone = session.transceiver_by_mid("0").expect("microphone");
    assert_eq!(microphone.direction(), Direction::Recvonly);
    assert_eq!(microphone.remote_direction(), Some(Direction::Sendrecv));
    assert_eq!(microphone.remote_track_id(), Some("microphone"));
    assert_eq!(microphone.remote_stream_ids(), ["stream"]);
    assert!(microphone.receive_parameters().is_none(), "not before the answer");
    assert_eq!(session.transport().expect("transport").dtls_role, None);
    answer(&mut session);
    let receive =
        session.transceiver_by_mid("0").and_then(|t| t.receive_parameters().cloned()).expect("receives");
    assert_eq!(receive.ssrcs, [(2_280_203_144, None)]);
    assert_eq!(receive.mid, "0");
    assert!(receive.reduced_size);
    let transport = session.transport().expect("transport");
    assert_eq!((transport.ufrag.as_str(), transport.lite), ("9RBC", false));
    assert_eq!(transport.password, "ChisVS8h1TTaW+jFQNOiXKHC");
    assert_eq!(transport.candidates.len(), 1);
    assert!(transport.candidates[0].starts_with("candidate:3480680434 1 udp"));
    assert_eq!(transport.dtls_role, Some(DtlsRole::Client));
    assert_eq!(transport.fingerprints.len(), 1);
}

#[test]
fn data_sections_are_accepted_when_configured() {
    let mut session = data_session(1);
    session.set_remote_description(Description::offer(chromium_offer())).expect("offer");
    let answer = parsed(&answer(&mut session));
    assert_eq!(answer.bundle(), ["0", "1", "2"]);
    assert_eq!(answer.media[2].sctp_port, Some(5000));
    let data = session.data_parameters().expect("negotiated");
    assert_eq!((data.mid.as_str(), data.message_size_max), ("2", Some(262_144)));
}

#[test]
fn a_recorded_offer_of_chromium_is_answered() {
    let Some(path) = shared("offers/chromium-156-simulcast.sdp") else { return };
    let text = std::fs::read_to_string(path).expect("readable");
    let mut session = session(1);
    session.set_remote_description(Description::offer(text)).expect("offer");
    let answer = parsed(&answer(&mut session));
    assert_eq!(answer.bundle(), ["0", "1"]);
    let h264 = answer.media[1].codecs.iter().filter(|codec| codec.name == "H264").count();
    assert_eq!(h264, 6);
    let receive = session.transceiver_by_mid("1").and_then(|t| t.receive_parameters()).expect("receives");
    assert_eq!(receive.rids, ["q", "h", "f"]);
}

#[test]
fn another_parser_accepts_what_is_written() {
    let mut session = data_session(1);
    session.set_remote_description(Description::offer(chromium_offer())).expect("offer");
    let answer = answer(&mut session);
    session.add_transceiver(MediaKind::Video, sending(Direction::Sendonly, "s", "t")).expect("added");
    session
        .add_local_candidate(
            session.first_transport(),
            "candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host",
        )
        .expect("added");
    let offer = session.create_offer(OfferOptions::default()).expect("offer");
    for description in [answer, offer, session.local_description().expect("there")] {
        if let Err(error) = webrtc_sdp::parse_sdp(&description.sdp, true) {
            panic!("{error}\n{}", description.sdp);
        }
    }
}
