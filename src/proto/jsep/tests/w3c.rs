//! The calls of W3C WebRTC as far as a session decides them: tracks, transceivers, preferences, configuration,
//! negotiation needed, and the name of each error.

use std::sync::Arc;

use super::*;

fn codec(session: &Session, kind: MediaKind, name: &str) -> crate::proto::rtp::CodecParameters {
    let codecs = &session.config().media.of(kind).codecs;
    codecs.iter().find(|codec| codec.name == name).cloned().expect("a capability")
}

/// aiortc: addTrack audio/video.
#[test]
fn add_track_takes_a_sender_without_a_track_else_makes_one() {
    let mut session = session(1);
    let waiting = session.add_transceiver(MediaKind::Audio, init(Direction::Recvonly)).expect("added");
    let first =
        session.add_track(MediaKind::Audio, vec!["s".to_owned()], Some("a".to_owned())).expect("added");
    assert_eq!(first, waiting);
    assert_eq!(session.transceiver(first).expect("there").direction(), Direction::Sendrecv);
    let second = session.add_track(MediaKind::Audio, Vec::new(), Some("b".to_owned())).expect("added");
    assert_ne!(second, first);
    let error = session.add_track(MediaKind::Audio, Vec::new(), Some("a".to_owned())).expect_err("twice");
    assert_eq!((&error, error.name()), (&JsepError::TrackInUse(first), "InvalidAccessError"));
    let with_track =
        session.add_transceiver(MediaKind::Video, sending(Direction::Sendonly, "s", "c")).expect("added");
    let other = session.add_track(MediaKind::Video, Vec::new(), Some("d".to_owned())).expect("added");
    assert_ne!(other, with_track, "its sender has a track");
    session.set_has_track(with_track, false).expect("replaced by nothing");
    let reused = session.add_track(MediaKind::Video, Vec::new(), Some("e".to_owned())).expect("added");
    assert_eq!(reused, with_track);
}

#[test]
fn remove_track_stops_sending_and_needs_negotiation() {
    let (mut left, mut right) = (session(1), session(2));
    let id = left.add_track(MediaKind::Audio, vec!["s".to_owned()], Some("a".to_owned())).expect("added");
    exchange(&mut left, &mut right);
    left.remove_track(id).expect("removed");
    assert_eq!(left.transceiver(id).expect("there").direction(), Direction::Recvonly);
    assert!(left.negotiation_needed());
    left.remove_track(id).expect("again is no mistake");
    exchange(&mut left, &mut right);
    assert!(left.transceiver(id).expect("there").send_parameters().is_none());
    assert_eq!(right.transceivers()[0].remote_track_id(), None);
    // A sender that has sent is not used for another track (W3C 5.1 addTrack).
    let again = left.add_track(MediaKind::Audio, vec!["s".to_owned()], Some("a".to_owned())).expect("added");
    assert_ne!(again, id);
    for round in 0..10 {
        exchange(&mut left, &mut right);
        let id = left.transceivers().iter().find(|t| t.has_track()).expect("sends").id();
        left.remove_track(id).expect("removed");
        left.stop(id).expect("stopped");
        exchange(&mut left, &mut right);
        left.add_track(MediaKind::Audio, Vec::new(), Some(format!("t{round}"))).expect("added");
    }
    let (offer, _) = exchange(&mut left, &mut right);
    assert_eq!(offer.media.len(), 2, "sections are recycled");
    let unknown = TransceiverId(999);
    assert_eq!(left.remove_track(unknown).expect_err("unknown").kind(), ErrorKind::InvalidAccess);
    left.close();
    assert_eq!(left.remove_track(id).expect_err("closed").kind(), ErrorKind::InvalidState);
}

/// aiortc: codec preferences validation.
#[test]
fn codec_preferences_name_capabilities_only() {
    let mut session = session(1);
    let id = session.add_transceiver(MediaKind::Video, init(Direction::Sendrecv)).expect("added");
    let (vp8, rtx) = (codec(&session, MediaKind::Video, "VP8"), codec(&session, MediaKind::Video, "rtx"));
    let opus = codec(&session, MediaKind::Audio, "opus");
    let mut changed = vp8.clone();
    changed.parameters.push(("x-unknown".to_owned(), None));
    for bad in [vec![rtx.clone()], vec![opus], vec![vp8.clone(), changed]] {
        let error = session.set_codec_preferences(id, bad).expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::InvalidModification);
    }
    // As capabilities name them: without numbers and feedback, with one entry for all retransmission.
    let named = |codec: &crate::proto::rtp::CodecParameters| crate::proto::rtp::CodecParameters {
        payload_type: 0,
        feedback: Vec::new(),
        ..codec.clone()
    };
    let rtx = crate::proto::rtp::CodecParameters { parameters: Vec::new(), ..named(&rtx) };
    session.set_codec_preferences(id, vec![named(&vp8), rtx, named(&vp8)]).expect("known");
    let offer = parsed(&session.create_offer(OfferOptions::default()).expect("offer"));
    assert_eq!(names(&offer.media[0].codecs), [(96, "VP8"), (97, "rtx")]);
    session.set_codec_preferences(id, Vec::new()).expect("back to all");
    let offer = parsed(&session.create_offer(OfferOptions::default()).expect("offer"));
    assert!(offer.media[0].codecs.len() > 10);
    let audio = session.add_transceiver(MediaKind::Audio, init(Direction::Sendrecv)).expect("added");
    let tones = codec(&session, MediaKind::Audio, "telephone-event");
    let error = session.set_codec_preferences(audio, vec![tones]).expect_err("no media");
    assert_eq!(error, JsepError::InvalidCodecPreferences);
}

#[test]
fn codec_preferences_reorder_later_offers_and_answers() {
    let (mut left, mut right) = (session(1), session(2));
    let id = left.add_transceiver(MediaKind::Video, init(Direction::Sendrecv)).expect("added");
    exchange(&mut left, &mut right);
    let wanted: Vec<_> = ["H264", "VP8"].map(|name| codec(&left, MediaKind::Video, name)).to_vec();
    left.set_codec_preferences(id, wanted.clone()).expect("known");
    let (offer, answer) = exchange(&mut left, &mut right);
    for description in [&offer, &answer] {
        let names: Vec<_> = names(&description.media[0].codecs).into_iter().map(|(_, name)| name).collect();
        assert_eq!(names, ["H264", "VP8"]);
    }
    let theirs = right.transceivers()[0].id();
    right.set_codec_preferences(theirs, wanted.into_iter().rev().collect()).expect("known");
    let (_, answer) = exchange(&mut left, &mut right);
    assert_eq!(names(&answer.media[0].codecs)[0].1, "VP8");
}

/// W3C 4.7.3, step by step.
#[test]
fn negotiation_is_needed_for_what_the_peer_does_not_know() {
    let (mut left, mut right) = (data_session(1), data_session(2));
    assert!(!left.negotiation_needed());
    left.add_data_section().expect("open");
    assert!(left.negotiation_needed(), "a data channel");
    exchange(&mut left, &mut right);
    assert!(!left.negotiation_needed());
    let id = left.add_transceiver(MediaKind::Audio, init(Direction::Inactive)).expect("added");
    assert!(left.negotiation_needed(), "a transceiver without a section");
    exchange(&mut left, &mut right);
    left.set_direction(id, Direction::Sendonly).expect("set");
    assert!(left.negotiation_needed(), "a direction");
    let offer = left.create_offer(OfferOptions::default()).expect("offer");
    left.set_local_description(offer.clone()).expect("local");
    assert!(!left.negotiation_needed(), "only in stable");
    right.set_remote_description(offer).expect("remote");
    let text = answer(&mut right);
    left.set_remote_description(text).expect("answer");
    assert!(!left.negotiation_needed());
    left.set_sending_track(id, vec!["other".to_owned()], None).expect("set");
    assert!(left.negotiation_needed(), "another stream");
    exchange(&mut left, &mut right);
    assert!(!left.negotiation_needed());
    left.stop(id).expect("stopped");
    assert!(left.negotiation_needed(), "a stopped transceiver");
    exchange(&mut left, &mut right);
    left.restart_ice();
    assert!(left.negotiation_needed(), "an ICE restart");
    exchange(&mut right, &mut left);
    assert!(left.negotiation_needed(), "which the peer's offer does not do");
    exchange(&mut left, &mut right);
    assert!(!left.negotiation_needed());
    left.close();
    assert!(!left.negotiation_needed());
}

#[test]
fn a_wish_that_the_peer_narrowed_needs_no_negotiation() {
    let (mut left, mut right) = (session(1), session(2));
    left.add_transceiver(MediaKind::Audio, init(Direction::Sendrecv)).expect("added");
    exchange(&mut left, &mut right);
    assert_eq!(left.transceivers()[0].current_direction(), Some(Direction::Sendonly));
    assert!(!left.negotiation_needed() && !right.negotiation_needed());
}

#[test]
fn a_data_section_that_the_peer_refuses_is_not_asked_for_again_and_again() {
    let (mut left, mut right) = (data_session(1), session(2));
    left.add_data_section().expect("open");
    left.add_transceiver(MediaKind::Audio, init(Direction::Sendrecv)).expect("added");
    exchange(&mut left, &mut right);
    assert!(left.data_parameters().is_none() && !left.negotiation_needed());
    let offer = parsed(&left.create_offer(OfferOptions::default()).expect("offer"));
    assert_eq!(
        (offer.media.len(), offer.media[1].rejected()),
        (2, false),
        "later offers try again, in its place"
    );
}

#[test]
fn restart_ice_before_the_first_offer_has_nothing_to_restart() {
    let mut session = session(1);
    session.restart_ice();
    assert!(!session.negotiation_needed());
}

/// aiortc: alwaysNegotiateDataChannels (first & subsequent).
#[test]
fn data_sections_can_be_negotiated_before_any_channel() {
    let config = SessionConfig { always_negotiate_data_channels: true, data_channels: true, ..config(1) };
    let mut left = Session::new(config.clone(), StdRng::seed_from_u64(1));
    let mut right = data_session(2);
    assert!(!left.negotiation_needed(), "nothing asks for an offer");
    left.add_transceiver(MediaKind::Audio, init(Direction::Sendrecv)).expect("added");
    let (offer, _) = exchange(&mut left, &mut right);
    let kinds: Vec<_> = offer.media.iter().map(|section| section.media_type.to_string()).collect();
    assert_eq!(kinds, ["application", "audio"], "it stands for the bundle");
    assert!(left.data_parameters().is_some() && right.data_parameters().is_some());
    // Later, it is added at the end.
    let mut left = Session::new(
        SessionConfig { always_negotiate_data_channels: false, ..config.clone() },
        StdRng::seed_from_u64(1),
    );
    let mut right = data_session(2);
    left.add_transceiver(MediaKind::Audio, init(Direction::Sendrecv)).expect("added");
    exchange(&mut left, &mut right);
    left.set_configuration(SessionConfig { always_negotiate_data_channels: true, ..left.config().clone() })
        .expect("may change");
    let (offer, _) = exchange(&mut left, &mut right);
    let kinds: Vec<_> = offer.media.iter().map(|section| section.media_type.to_string()).collect();
    assert_eq!(kinds, ["audio", "application"]);
}

/// W3C 4.4.1.6 `setConfiguration`.
#[test]
fn a_configuration_keeps_identity_and_policy() {
    let mut session = session(1);
    let same = session.config().clone();
    session.set_configuration(same.clone()).expect("the same");
    for changed in [
        SessionConfig { bundle_policy: BundlePolicy::MaxCompat, ..same.clone() },
        SessionConfig { fingerprints: Vec::new(), ..same.clone() },
        SessionConfig { ice_lite: true, ..same.clone() },
    ] {
        let error = session.set_configuration(changed).expect_err("fixed");
        assert_eq!(error.kind(), ErrorKind::InvalidModification);
    }
    session.close();
    assert_eq!(session.set_configuration(same).expect_err("closed").kind(), ErrorKind::InvalidState);
}

/// W3C 4.4.1.5: only offers can be rolled back.
#[test]
fn answers_are_not_rolled_back() {
    let (mut left, mut right) = (session(1), session(2));
    left.add_transceiver(MediaKind::Audio, init(Direction::Sendrecv)).expect("added");
    let offer = left.create_offer(OfferOptions::default()).expect("offer");
    left.set_local_description(offer.clone()).expect("local");
    assert!(left.set_remote_description(Description::rollback()).is_err(), "it was a local offer");
    right.set_remote_description(offer).expect("remote");
    assert!(right.set_local_description(Description::rollback()).is_err(), "it was a remote offer");
    let pranswer = Description { kind: SdpType::Pranswer, ..right.create_answer().expect("answer") };
    right.set_local_description(pranswer.clone()).expect("pranswer");
    left.set_remote_description(pranswer).expect("pranswer");
    for session in [&mut left, &mut right] {
        for error in [
            session.set_local_description(Description::rollback()).expect_err("provisional"),
            session.set_remote_description(Description::rollback()).expect_err("provisional"),
        ] {
            assert_eq!(error.kind(), ErrorKind::InvalidState);
        }
    }
    assert!(right.set_remote_description(Description::offer(String::new())).is_err());
}

/// aiortc: setLocalDescription/setRemoteDescription with unexpected offer or answer; createAnswer without offer;
/// createOffer/createAnswer closed.
#[test]
fn every_call_in_the_wrong_state_is_an_invalid_state_error() {
    let (mut left, mut right) = (session(1), session(2));
    left.add_transceiver(MediaKind::Audio, init(Direction::Sendrecv)).expect("added");
    assert_eq!(left.create_answer().expect_err("no offer").kind(), ErrorKind::InvalidState);
    assert_eq!(
        left.set_local_description(Description::answer("")).expect_err("no offer").kind(),
        ErrorKind::InvalidState
    );
    let offer = left.create_offer(OfferOptions::default()).expect("offer");
    right.set_remote_description(offer.clone()).expect("remote");
    assert_eq!(
        right.set_local_description(Description::offer("")).expect_err("an offer waits").kind(),
        ErrorKind::InvalidState
    );
    assert_eq!(
        right.set_remote_description(Description::answer("")).expect_err("no local offer").kind(),
        ErrorKind::InvalidState
    );
    left.set_local_description(offer).expect("local");
    assert_eq!(
        left.set_local_description(Description::answer("")).expect_err("ours is an offer").kind(),
        ErrorKind::InvalidState
    );
    for session in [&mut left, &mut right] {
        session.close();
        assert_eq!(
            session.create_offer(OfferOptions::default()).expect_err("closed").kind(),
            ErrorKind::InvalidState
        );
        assert_eq!(session.create_answer().expect_err("closed").kind(), ErrorKind::InvalidState);
        assert_eq!(
            session.add_track(MediaKind::Audio, Vec::new(), None).expect_err("closed").kind(),
            ErrorKind::InvalidState
        );
    }
}

/// aiortc: createOffer without media. A browser makes an empty description as well.
#[test]
fn an_offer_without_media_is_a_description_without_sections() {
    let (mut left, mut right) = (session(1), session(2));
    let (offer, answer) = exchange(&mut left, &mut right);
    assert!(offer.media.is_empty() && answer.media.is_empty() && offer.groups.is_empty());
    assert!(left.transports().is_empty() && right.transports().is_empty());
    assert_eq!(left.signaling_state(), SignalingState::Stable);
}

/// aiortc: no common audio/video. Sections without a common codec are rejected; the rest goes on, on the next
/// section of the group that has a port (RFC 9143 7.3.1). A bundle-only section goes with the last of those.
#[test]
fn sections_without_a_common_codec_are_rejected() {
    for (policy, accepted) in [(BundlePolicy::Balanced, true), (BundlePolicy::MaxBundle, false)] {
        let (mut left, mut right) = (policy_session(1, policy), session(2));
        let id = left.add_transceiver(MediaKind::Video, init(Direction::Sendrecv)).expect("added");
        left.add_transceiver(MediaKind::Audio, init(Direction::Sendrecv)).expect("added");
        left.set_codec_preferences(id, vec![codec(&left, MediaKind::Video, "VP8")]).expect("known");
        let mut config = right.config().clone();
        Arc::make_mut(&mut config.media.video).codecs.retain(|codec| codec.name == "H264");
        right.set_configuration(config).expect("may change");
        let (offer, answer) = exchange(&mut left, &mut right);
        assert_eq!(offer.media[1].bundle_only, !accepted, "{policy:?}");
        assert!(answer.media[0].rejected(), "{policy:?}");
        assert_eq!(answer.media[1].rejected(), !accepted, "{policy:?}");
        assert!(left.transceiver(id).is_none(), "stopped and gone");
        assert_eq!(answer.bundle(), if accepted { &["1"][..] } else { &[] });
        assert_eq!(left.transport().is_some(), accepted, "{policy:?}");
    }
}

/// W3C stop: "a transceiver that is stopping but not stopped will not affect createAnswer".
#[test]
fn stopping_shows_in_the_next_offer_and_not_in_an_answer() {
    let (mut left, mut right) = (session(1), session(2));
    for _ in 0..2 {
        left.add_transceiver(MediaKind::Audio, init(Direction::Sendrecv)).expect("added");
    }
    exchange(&mut left, &mut right);
    let id = right.transceivers()[0].id();
    right.stop(id).expect("stopped");
    let (_, answer) = exchange(&mut left, &mut right);
    assert!(!answer.media[0].rejected(), "the bundle hangs on it (RFC 9143 7.3.3)");
    assert_eq!(answer.media[0].direction, Some(crate::proto::sdp::Direction::Inactive));
    assert_eq!(answer.bundle(), ["0", "1"]);
    assert!(right.transceiver(id).is_some_and(Transceiver::stopped) && right.negotiation_needed());
    let (offer, _) = exchange(&mut right, &mut left);
    assert!(offer.media[0].rejected());
    assert_eq!(offer.bundle(), ["1"]);
    assert!(right.transceiver(id).is_none() && !right.negotiation_needed());
}

/// aiortc: DTLS role with offer actpass/passive/active is in `exchange`; addIceCandidate (no mid/index, None, before
/// SRD) here. W3C refuses candidates before the description that they belong to.
#[test]
fn candidates_need_a_description_and_a_section() {
    let mut session = session(1);
    let line = "candidate:1 1 udp 1 192.0.2.1 9 typ host".to_owned();
    let early =
        CandidateInit { candidate: line.clone(), mid: Some("0".to_owned()), ..CandidateInit::default() };
    assert_eq!(session.add_remote_candidate(&early).expect_err("too early").kind(), ErrorKind::InvalidState);
    session.set_remote_description(Description::offer(browser::chromium_offer())).expect("offer");
    session.add_remote_candidate(&early).expect("in time");
    for (candidate, kind) in [
        (CandidateInit { candidate: line.clone(), ..CandidateInit::default() }, ErrorKind::Type),
        (CandidateInit { mid: Some("x".to_owned()), ..early.clone() }, ErrorKind::Operation),
        (CandidateInit { mid: None, media_line_index: Some(9), ..early.clone() }, ErrorKind::Operation),
        (CandidateInit { username_fragment: Some("nope".to_owned()), ..early.clone() }, ErrorKind::Operation),
        (CandidateInit { candidate: "nonsense".to_owned(), ..early.clone() }, ErrorKind::Operation),
    ] {
        assert_eq!(session.add_remote_candidate(&candidate).expect_err("refused").kind(), kind);
    }
    session.add_remote_candidate(&CandidateInit { candidate: String::new(), ..early }).expect("the end");
    assert_eq!(session.can_trickle_ice_candidates(), Some(true));
}

#[test]
fn trickling_is_known_from_the_remote_description() {
    let mut session = session(1);
    assert_eq!(session.can_trickle_ice_candidates(), None);
    let offer = browser::chromium_offer().replace("a=ice-options:trickle\r\n", "");
    session.set_remote_description(Description::offer(offer)).expect("offer");
    assert_eq!(session.can_trickle_ice_candidates(), Some(false));
}

/// A section that the peer's offer rejects takes its transceiver along, with the answer and not before.
#[test]
fn a_transceiver_rejected_by_the_peer_is_gone_with_the_answer() {
    let (mut left, mut right) = (session(1), session(2));
    let id = left.add_transceiver(MediaKind::Audio, init(Direction::Sendrecv)).expect("added");
    left.add_transceiver(MediaKind::Video, init(Direction::Sendrecv)).expect("added");
    exchange(&mut left, &mut right);
    left.stop(id).expect("stopped");
    let offer = left.create_offer(OfferOptions::default()).expect("offer");
    left.set_local_description(offer.clone()).expect("local");
    right.set_remote_description(offer).expect("remote");
    assert_eq!(right.transceivers().len(), 2);
    let answer = answer(&mut right);
    left.set_remote_description(answer).expect("answer");
    assert_eq!((left.transceivers().len(), right.transceivers().len()), (1, 1));
    assert_eq!(left.transports()[0].mids, ["1"], "the transport goes on with the rest");
}
