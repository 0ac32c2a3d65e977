//! First exchanges between two sessions.

use std::sync::Arc;

use super::*;
use crate::proto::sdp::Direction as SdpDirection;

#[test]
fn both_sides_agree_on_directions_and_sources() {
    let (mut left, mut right) = (session(1), session(2));
    let audio =
        left.add_transceiver(MediaKind::Audio, sending(Direction::Sendrecv, "s", "mic")).expect("added");
    let video =
        left.add_transceiver(MediaKind::Video, sending(Direction::Sendonly, "s", "cam")).expect("added");
    let (offer, answer) = exchange(&mut left, &mut right);
    assert_eq!(offer.bundle(), ["0", "1"]);
    // RFC 9143 7.2.1: only the first section has an address of its own.
    assert!(!offer.media[0].bundle_only && offer.media[1].bundle_only && offer.media[1].port == 0);
    assert_eq!(answer.bundle(), ["0", "1"]);
    assert_eq!(answer.media[0].direction, Some(SdpDirection::Recvonly));
    assert_eq!(left.transceiver(audio).expect("there").current_direction(), Some(Direction::Sendonly));
    assert_eq!(left.transceiver(video).expect("there").current_direction(), Some(Direction::Sendonly));
    for mid in ["0", "1"] {
        let send = left.transceiver_by_mid(mid).and_then(|t| t.send_parameters()).expect("sends");
        let receive = right.transceiver_by_mid(mid).and_then(|t| t.receive_parameters()).expect("receives");
        assert_eq!(receive.ssrcs, [(send.ssrc(), send.rtx_ssrc())]);
        assert_eq!(names(&send.codecs), names(&receive.codecs));
        assert_eq!(send.extensions, receive.extensions);
        assert_eq!(send.mid, mid);
        assert!(send.reduced_size && receive.reduced_size);
    }
    assert_eq!(right.transceiver_by_mid("1").expect("there").remote_track_id(), Some("cam"));
    assert_eq!(left.transport().expect("known").dtls_role, Some(DtlsRole::Server));
    assert_eq!(right.transport().expect("known").dtls_role, Some(DtlsRole::Client));
    assert_eq!(left.transport().expect("known").ufrag, right.local_ice().ufrag);
    assert!(!left.negotiation_needed() && !right.negotiation_needed());
}

#[test]
fn an_answerer_sends_what_the_offer_wants_to_receive() {
    let (mut client, mut server) = (session(1), session(2));
    client.add_transceiver(MediaKind::Video, init(Direction::Recvonly)).expect("added");
    let offer = client.create_offer(OfferOptions::default()).expect("offer");
    client.set_local_description(offer.clone()).expect("local");
    server.set_remote_description(offer).expect("remote");
    let id = server.transceivers()[0].id();
    assert_eq!(server.transceivers()[0].remote_direction(), Some(Direction::Recvonly));
    server.set_direction(id, Direction::Sendonly).expect("set");
    server.set_sending_track(id, vec!["room".to_owned()], Some("track-7".to_owned())).expect("set");
    let answer = answer(&mut server);
    client.set_remote_description(answer.clone()).expect("answer");
    let send = server.transceiver(id).and_then(|t| t.send_parameters().cloned()).expect("sends");
    let rtx = send.rtx_ssrc().expect("rtx was negotiated");
    for line in [
        "a=sendonly".to_owned(),
        "a=msid:room track-7".to_owned(),
        format!("a=ssrc-group:FID {} {rtx}", send.ssrc()),
        format!("a=ssrc:{} cname:cname2", send.ssrc()),
        format!("a=ssrc:{} msid:room track-7", send.ssrc()),
        format!("a=ssrc:{rtx} cname:cname2"),
    ] {
        assert!(answer.sdp.lines().any(|known| known == line), "{line} in\n{}", answer.sdp);
    }
    let receive = client.transceivers()[0].receive_parameters().expect("receives");
    assert_eq!(receive.ssrcs, [(send.ssrc(), Some(rtx))]);
    assert_eq!(client.transceivers()[0].remote_stream_ids(), ["room"]);
    assert_eq!(client.transceivers()[0].remote_track_id(), Some("track-7"));
}

#[test]
fn a_recvonly_offer_without_a_track_is_answered_inactive() {
    let (mut client, mut server) = (session(1), session(2));
    client.add_transceiver(MediaKind::Audio, init(Direction::Recvonly)).expect("added");
    let (_, answer) = exchange(&mut client, &mut server);
    assert_eq!(answer.media[0].direction, Some(SdpDirection::Inactive));
    assert!(!answer.media[0].rejected());
    assert!(client.transceivers()[0].receive_parameters().is_none());
}

#[test]
fn candidates_of_both_sides_appear_in_descriptions() {
    let (mut left, mut right) = (session(1), session(2));
    left.add_transceiver(MediaKind::Audio, init(Direction::Sendrecv)).expect("added");
    left.add_transceiver(MediaKind::Video, init(Direction::Sendrecv)).expect("added");
    exchange(&mut left, &mut right);
    let line = "candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host";
    left.add_local_candidate(left.first_transport(), line).expect("added");
    left.add_local_candidate(left.first_transport(), line).expect("the same again changes nothing");
    left.end_of_local_candidates(left.first_transport()).expect("there");
    let description = parsed(&left.local_description().expect("there"));
    assert_eq!(description.media[0].candidates, [line].map(Arc::from));
    assert!(description.media[0].transport.end_of_candidates);
    assert!(description.media[1].candidates.is_empty());

    let candidate = |text: &str, mid: &str| CandidateInit {
        candidate: text.to_owned(),
        mid: Some(mid.to_owned()),
        ..CandidateInit::default()
    };
    assert_eq!(
        right.add_remote_candidate(&candidate(line, "0")),
        Ok(CandidateUse::Transport(TransportId(0)))
    );
    let second = "candidate:2 1 udp 2130706430 192.0.2.1 5001 typ host ufrag user1";
    // Bundled sections share the transport.
    assert_eq!(
        right.add_remote_candidate(&candidate(second, "1")),
        Ok(CandidateUse::Transport(TransportId(0)))
    );
    assert_eq!(right.transport().expect("known").candidates, [line, second].map(Arc::from));
    assert!(right.remote_description().expect("there").sdp.contains("a=candidate:2 1 udp"));
    let stale = "candidate:3 1 udp 2130706430 192.0.2.1 5002 typ host ufrag other";
    assert_eq!(right.add_remote_candidate(&candidate(stale, "0")), Err(JsepError::UnknownIceGeneration));
    assert_eq!(right.add_remote_candidate(&candidate(line, "9")), Err(JsepError::UnknownSection));
    let nowhere = CandidateInit { candidate: line.to_owned(), ..CandidateInit::default() };
    assert_eq!(right.add_remote_candidate(&nowhere), Err(JsepError::CandidateWithoutSection));
    right.add_remote_candidate(&CandidateInit::default()).expect("end for all sections");
    assert!(right.transport().expect("known").end_of_candidates);
    right.add_remote_candidate(&candidate("candidate:4 1 udp 1 192.0.2.1 9 typ host", "0")).expect("ignored");
    assert_eq!(right.transport().expect("known").candidates.len(), 2);
}

#[test]
fn candidates_of_sections_that_are_not_the_first_wait_for_the_answer() {
    let mut session = session(1);
    session.set_remote_description(Description::offer(browser::chromium_offer())).expect("offer");
    let candidate = |index| CandidateInit {
        candidate: "candidate:9 1 udp 1 192.0.2.9 9 typ host".to_owned(),
        media_line_index: Some(index),
        ..CandidateInit::default()
    };
    assert_eq!(session.add_remote_candidate(&candidate(0)), Ok(CandidateUse::Transport(TransportId(0))));
    assert_eq!(session.add_remote_candidate(&candidate(1)), Ok(CandidateUse::Recorded));
    assert_eq!(session.transport().expect("known").candidates.len(), 2);
}

#[test]
fn an_offer_without_bundle_gets_one_section() {
    let mut session = session(1);
    let offer = browser::chromium_offer().replace("a=group:BUNDLE 0 1 2\r\n", "");
    session.set_remote_description(Description::offer(offer)).expect("offer");
    let answer = parsed(&answer(&mut session));
    let rejected: Vec<bool> = answer.media.iter().map(|section| section.rejected()).collect();
    assert_eq!(rejected, [false, true, true]);
    assert!(answer.bundle().is_empty());
    assert_eq!(session.transceivers().len(), 1, "transceivers of rejected sections are gone");
}

#[test]
fn sections_without_a_tag_are_answered_without_one() {
    let mut session = session(1);
    let offer = browser::chromium_offer().replace("a=group:BUNDLE 0 1 2\r\n", "").replace("a=mid:0\r\n", "");
    session.set_remote_description(Description::offer(offer)).expect("offer");
    let answer = answer(&mut session);
    assert_eq!(parsed(&answer).media[0].mid, None);
    let audio = &session.transceivers()[0];
    assert!(audio.mid().is_some() && audio.receive_parameters().is_some());
}

#[test]
fn transport_attributes_may_be_anywhere_in_a_bundle() {
    let offer = browser::chromium_offer();
    // Only the second section keeps them.
    let (head, tail) = offer.split_once("m=video").expect("has video");
    let strip = |text: &str| -> String {
        let transport = ["a=ice-ufrag", "a=ice-pwd", "a=fingerprint", "a=setup"];
        text.split_inclusive("\r\n").filter(|line| !transport.iter().any(|t| line.starts_with(t))).collect()
    };
    let mut first = session(1);
    first.set_remote_description(Description::offer(format!("{}m=video{tail}", strip(head)))).expect("offer");
    answer(&mut first);
    assert_eq!(first.transport().expect("known").ufrag, "9RBC");
    // Only the session level has them.
    let stripped = strip(&offer);
    let (version, rest) = stripped.split_once("t=0 0\r\n").expect("has t");
    let attributes = "a=ice-ufrag:sess\r\na=ice-pwd:ChisVS8h1TTaW+jFQNOiXKHC\r\na=setup:passive\r\n";
    let offer = format!("{version}t=0 0\r\n{attributes}a=fingerprint:{FINGERPRINT}\r\n{rest}");
    let mut second = session(1);
    second.set_remote_description(Description::offer(offer)).expect("offer");
    answer(&mut second);
    let transport = second.transport().expect("known");
    assert_eq!((transport.ufrag.as_str(), transport.dtls_role), ("sess", Some(DtlsRole::Client)));
}

#[test]
fn every_setup_of_an_offer_gets_its_counterpart() {
    for (offered, answered, role) in [
        ("actpass", "a=setup:active", DtlsRole::Client),
        ("active", "a=setup:passive", DtlsRole::Server),
        ("passive", "a=setup:active", DtlsRole::Client),
    ] {
        let mut session = session(1);
        let offer = browser::chromium_offer().replace("a=setup:actpass", &format!("a=setup:{offered}"));
        session.set_remote_description(Description::offer(offer)).expect("offer");
        let answer = answer(&mut session);
        assert!(answer.sdp.lines().any(|line| line == answered), "{offered}");
        assert_eq!(session.transport().expect("known").dtls_role, Some(role));
    }
}

#[test]
fn codec_preferences_filter_and_order() {
    let (mut left, mut right) = (session(1), session(2));
    let id = left.add_transceiver(MediaKind::Video, init(Direction::Sendrecv)).expect("added");
    let codecs = &left.config().media.video.codecs;
    let wanted: Vec<_> = ["AV1", "VP8"]
        .iter()
        .filter_map(|name| codecs.iter().find(|codec| codec.name == *name).cloned())
        .collect();
    left.set_codec_preferences(id, wanted).expect("known codecs");
    let (offer, answer) = exchange(&mut left, &mut right);
    assert_eq!(names(&offer.media[0].codecs), [(45, "AV1"), (96, "VP8")]);
    assert_eq!(names(&answer.media[0].codecs), [(45, "AV1"), (96, "VP8")]);
    let foreign = crate::proto::rtp::CodecParameters {
        payload_type: 100,
        name: "H265".to_owned(),
        clock_rate: 90_000,
        channels: None,
        parameters: Vec::new(),
        feedback: Vec::new(),
    };
    assert_eq!(left.set_codec_preferences(id, vec![foreign]), Err(JsepError::InvalidCodecPreferences));
}

#[test]
fn add_track_meets_the_section_of_a_remote_offer() {
    let (mut left, mut right) = (session(1), session(2));
    left.add_transceiver(MediaKind::Audio, init(Direction::Sendrecv)).expect("added");
    let track = right.add_track(MediaKind::Audio, vec!["s".to_owned()], Some("t".to_owned())).expect("added");
    let waiting = right.add_transceiver(MediaKind::Audio, init(Direction::Sendrecv)).expect("added");
    exchange(&mut left, &mut right);
    assert_eq!(right.transceiver(track).expect("there").mid(), Some("0"));
    assert_eq!(right.transceiver(track).expect("there").current_direction(), Some(Direction::Sendrecv));
    assert_eq!(right.transceiver(waiting).expect("there").mid(), None);
    assert!(right.negotiation_needed());
}

#[test]
fn data_channels_alone_are_negotiated() {
    let (mut left, mut right) = (data_session(1), data_session(2));
    left.add_data_section().expect("open");
    assert!(left.negotiation_needed());
    let (offer, answer) = exchange(&mut left, &mut right);
    assert_eq!(offer.bundle(), ["0"]);
    assert_eq!(answer.bundle(), ["0"]);
    assert!(left.data_parameters().is_some() && right.data_parameters().is_some());
    assert!(!left.negotiation_needed());
}
