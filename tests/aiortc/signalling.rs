//! What aiortc's `test_rtcpeerconnection.py` says of descriptions: directions, mids, what has nothing in common.

use actix_rtc::proto::jsep::{
    Description, Direction, JsepError, MediaKind, OfferOptions, Session, SessionConfig, TransceiverInit,
};
use rand::{SeedableRng, rngs::StdRng};

fn session(seed: u64) -> Session {
    let bytes: Vec<String> = (0..32).map(|byte| format!("{:02X}", (byte + seed) % 256)).collect();
    let config = SessionConfig::new(vec![format!("sha-256 {}", bytes.join(":"))], format!("cname{seed}"));
    Session::new(config, StdRng::seed_from_u64(seed))
}

fn add(session: &mut Session, kind: MediaKind, direction: Direction) {
    session.add_transceiver(kind, TransceiverInit { direction, ..TransceiverInit::default() }).unwrap();
}

fn offer(session: &mut Session) -> Description {
    let offer = session.create_offer(OfferOptions::default()).unwrap();
    session.set_local_description(offer.clone()).unwrap();
    offer
}

fn answer(session: &mut Session) -> Description {
    let answer = session.create_answer().unwrap();
    session.set_local_description(answer.clone()).unwrap();
    answer
}

/// Both current directions after an exchange in which the answerer has a track when it `sends`, and wants this.
fn negotiated(offered: Direction, sends: bool, wanted: Direction) -> [Option<Direction>; 2] {
    let (mut one, mut two) = (session(1), session(2));
    add(&mut one, MediaKind::Audio, offered);
    two.set_remote_description(offer(&mut one)).unwrap();
    if sends {
        two.add_track(MediaKind::Audio, vec!["stream".to_owned()], None).unwrap();
    }
    let id = two.transceivers()[0].id();
    two.set_direction(id, wanted).unwrap();
    let answer = answer(&mut two);
    one.set_remote_description(answer).unwrap();
    [&one, &two].map(|session| session.transceivers()[0].current_direction())
}

#[test]
fn recvonly_meets_recvonly_in_inactive() {
    let both = negotiated(Direction::Recvonly, true, Direction::Recvonly);
    assert_eq!(both, [Some(Direction::Inactive); 2]);
}

#[test]
fn an_offer_to_receive_is_answered_by_sending() {
    let both = negotiated(Direction::Recvonly, true, Direction::Sendrecv);
    assert_eq!(both, [Some(Direction::Recvonly), Some(Direction::Sendonly)]);
}

#[test]
fn an_offer_to_send_is_answered_by_receiving() {
    let both = negotiated(Direction::Sendonly, true, Direction::Sendrecv);
    assert_eq!(both, [Some(Direction::Sendonly), Some(Direction::Recvonly)]);
}

#[test]
fn an_offer_of_both_ways_may_be_answered_recvonly() {
    let both = negotiated(Direction::Sendrecv, true, Direction::Recvonly);
    assert_eq!(both, [Some(Direction::Sendonly), Some(Direction::Recvonly)]);
}

#[test]
fn an_offer_of_both_ways_may_be_answered_sendonly() {
    let both = negotiated(Direction::Sendrecv, true, Direction::Sendonly);
    assert_eq!(both, [Some(Direction::Recvonly), Some(Direction::Sendonly)]);
}

#[test]
fn a_peer_with_other_mids_is_answered_with_its_own() {
    let (mut one, mut two) = (session(1), session(2));
    add(&mut one, MediaKind::Audio, Direction::Sendrecv);
    let offer = offer(&mut one);
    let theirs = offer.sdp.replace("a=mid:0", "a=mid:sdparta_0").replace("BUNDLE 0", "BUNDLE sdparta_0");
    two.set_remote_description(Description::offer(theirs)).unwrap();
    let answer = answer(&mut two);
    assert!(answer.sdp.contains("a=mid:sdparta_0\r\n") && answer.sdp.contains("BUNDLE sdparta_0"));
    assert_eq!(two.transceivers()[0].mid(), Some("sdparta_0"));
    let back = answer.sdp.replace("sdparta_0", "0");
    one.set_remote_description(Description::answer(back)).unwrap();
}

#[test]
fn mids_follow_the_order_of_sections() {
    let (mut one, mut two) = (session(1), session(2));
    for kind in [MediaKind::Video, MediaKind::Audio, MediaKind::Video] {
        add(&mut one, kind, Direction::Sendrecv);
    }
    let offer = offer(&mut one);
    let mids: Vec<&str> = offer.sdp.lines().filter_map(|line| line.strip_prefix("a=mid:")).collect();
    assert_eq!(mids, ["0", "1", "2"]);
    two.set_remote_description(offer).unwrap();
    let found: Vec<_> = two.transceivers().iter().map(|t| (t.kind(), t.mid().map(str::to_owned))).collect();
    let expected = [(MediaKind::Video, "0"), (MediaKind::Audio, "1"), (MediaKind::Video, "2")];
    assert_eq!(found, expected.map(|(kind, mid)| (kind, Some(mid.to_owned()))));
}

/// The answer to an offer whose only codec nobody knows.
fn without_common_codec(kind: MediaKind, known: &str) {
    let (mut one, mut two) = (session(1), session(2));
    add(&mut one, kind, Direction::Sendrecv);
    let codecs = one.config().media.of(kind).codecs.clone();
    let only = codecs.into_iter().find(|codec| codec.name == known).unwrap();
    let id = one.transceivers()[0].id();
    one.set_codec_preferences(id, vec![only]).unwrap();
    let offer = offer(&mut one);
    two.set_remote_description(Description::offer(offer.sdp.replace(known, "nobody-knows"))).unwrap();
    let answer = answer(&mut two);
    assert!(answer.sdp.contains(&format!("m={kind} 0 ")), "rejected in place: {}", answer.sdp);
}

#[test]
fn audio_without_a_common_codec_is_rejected() {
    without_common_codec(MediaKind::Audio, "opus");
}

#[test]
fn video_without_a_common_codec_is_rejected() {
    without_common_codec(MediaKind::Video, "VP8");
}

#[test]
fn an_answer_with_another_media_type_is_refused() {
    let (mut one, mut two) = (session(1), session(2));
    add(&mut one, MediaKind::Audio, Direction::Sendrecv);
    two.set_remote_description(offer(&mut one)).unwrap();
    let answer = answer(&mut two);
    let other = answer.sdp.replace("m=audio", "m=video");
    let refused = one.set_remote_description(Description::answer(other));
    assert_eq!(refused.as_ref().map_err(JsepError::name), Err("InvalidAccessError"), "{refused:?}");
}
