//! Simulcast towards the peer (RFC 8853, RFC 8851, W3C 5.1 and 5.4.1).

use super::*;

fn layers(rids: &[&str]) -> TransceiverInit {
    let encoding = |rid: &&str| SendEncoding { rid: Some((*rid).to_owned()) };
    let send_encodings = rids.iter().map(encoding).collect();
    TransceiverInit { send_encodings, ..sending(Direction::Sendonly, "s", "camera") }
}

fn rids(parameters: &RtpSendParameters) -> Vec<Option<&str>> {
    parameters.encodings.iter().map(|encoding| encoding.rid.as_deref()).collect()
}

fn offered(rids: &[&str]) -> (Session, Session, String) {
    let (mut left, mut right) = (session(1), session(2));
    left.add_transceiver(MediaKind::Video, layers(rids)).expect("added");
    let offer = left.create_offer(OfferOptions::default()).expect("offer");
    left.set_local_description(offer.clone()).expect("local");
    right.set_remote_description(offer.clone()).expect("remote");
    (left, right, offer.sdp)
}

#[test]
fn layers_are_announced_by_rid_and_sent_with_sources_of_their_own() {
    let (mut left, mut right, offer) = offered(&["q", "h", "f"]);
    for line in ["a=rid:q send", "a=rid:h send", "a=rid:f send", "a=simulcast:send q;h;f"] {
        assert!(offer.lines().any(|known| known == line), "{line} in {offer}");
    }
    assert!(!offer.contains("a=ssrc:"), "layers have no numbers in descriptions");
    let answer = answer(&mut right);
    assert!(answer.sdp.contains("a=simulcast:recv q;h;f"));
    left.set_remote_description(answer).expect("answer");
    let send = left.transceivers()[0].send_parameters().expect("sends");
    assert_eq!(rids(send), [Some("q"), Some("h"), Some("f")]);
    let mut sources: Vec<u32> =
        send.encodings.iter().flat_map(|e| [e.ssrc, e.rtx_ssrc.expect("rtx was negotiated")]).collect();
    sources.sort_unstable();
    sources.dedup();
    assert_eq!(sources.len(), 6);
    assert_eq!(right.transceivers()[0].receive_parameters().expect("receives").rids, ["q", "h", "f"]);
    assert!(!left.negotiation_needed());
}

#[test]
fn layers_that_the_answer_refuses_are_dropped() {
    let (mut left, mut right, _) = offered(&["q", "h", "f"]);
    let answer = answer(&mut right).sdp.replace("a=rid:h recv\r\n", "").replace("recv q;h;f", "recv q;~f");
    left.set_remote_description(Description::answer(answer)).expect("answer");
    let transceiver = &left.transceivers()[0];
    let send = transceiver.send_parameters().expect("sends");
    assert_eq!(rids(send), [Some("q"), Some("f")]);
    assert_eq!([send.encodings[0].paused, send.encodings[1].paused], [false, true]);
    assert_eq!(transceiver.rids().collect::<Vec<_>>(), [Some("q"), Some("f")], "and do not come back");
}

#[test]
fn an_answer_without_simulcast_leaves_the_first_layer() {
    let (mut left, mut right, _) = offered(&["q", "h"]);
    let strip = |line: &&str| !line.starts_with("a=rid") && !line.starts_with("a=simulcast");
    let answer: String = answer(&mut right).sdp.split_inclusive("\r\n").filter(strip).collect();
    left.set_remote_description(Description::answer(answer)).expect("answer");
    assert_eq!(rids(left.transceivers()[0].send_parameters().expect("sends")), [None]);
    let offer = left.create_offer(OfferOptions::default()).expect("offer");
    assert!(!offer.sdp.contains("simulcast") && offer.sdp.contains("a=ssrc:"));
}

/// W3C 5.1 `addTransceiver`, the checks of `sendEncodings`.
#[test]
fn rids_of_a_new_transceiver_are_checked() {
    let mut session = session(1);
    let long = "x".repeat(17);
    for bad in ["", "a b", "@x", "a-b", long.as_str()] {
        let error = session.add_transceiver(MediaKind::Video, layers(&[bad, "ok"])).expect_err(bad);
        assert_eq!((&error, error.kind()), (&JsepError::MalformedRid, ErrorKind::Type));
    }
    let error = session.add_transceiver(MediaKind::Video, layers(&["a", "a"])).expect_err("twice");
    assert_eq!((&error, error.kind()), (&JsepError::RidsRepeated, ErrorKind::Type));
    let mut mixed = layers(&["a", "b"]);
    mixed.send_encodings[1].rid = None;
    let error = session.add_transceiver(MediaKind::Video, mixed).expect_err("mixed");
    assert_eq!((&error, error.kind()), (&JsepError::RidsMissing, ErrorKind::Type));
    assert!(session.transceivers().is_empty());
    let id = session.add_transceiver(MediaKind::Video, layers(&["only"])).expect("added");
    assert_eq!(session.transceiver(id).expect("there").rids().collect::<Vec<_>>(), [None]);
    let id = session.add_transceiver(MediaKind::Audio, layers(&["a", "b"])).expect("added");
    assert_eq!(session.transceiver(id).expect("there").rids().count(), 1, "audio has one encoding");
    let many: Vec<String> = (0..40).map(|n| format!("r{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let id = session.add_transceiver(MediaKind::Video, layers(&many)).expect("added");
    assert_eq!(session.transceiver(id).expect("there").rids().count(), 8, "surplus ones are left out");
}

/// An SFU that offers to receive layers gets them from a sender that has none of its own (W3C 4.4.1.5).
#[test]
fn layers_asked_for_by_an_offer_are_answered() {
    for track in [true, false] {
        let (mut server, mut client) = (session(1), session(2));
        server.add_transceiver(MediaKind::Video, init(Direction::Recvonly)).expect("added");
        let offer = server.create_offer(OfferOptions::default()).expect("offer").sdp;
        let offer = offer + "a=rid:1 recv max-fps=60\r\na=rid:2 recv\r\na=simulcast:recv 1;2\r\n";
        if track {
            client.add_track(MediaKind::Video, Vec::new(), Some("camera".to_owned())).expect("added");
        }
        client.set_remote_description(Description::offer(offer.clone())).expect("remote");
        assert_eq!(client.transceivers()[0].rids().collect::<Vec<_>>(), [Some("1"), Some("2")]);
        client.set_remote_description(Description::rollback()).expect("rollback");
        client.set_remote_description(Description::offer(offer)).expect("remote");
        let answer = answer(&mut client);
        for line in ["a=rid:1 send", "a=rid:2 send", "a=simulcast:send 1;2"] {
            assert!(answer.sdp.lines().any(|known| known == line), "{line} in {}", answer.sdp);
        }
        let send = client.transceivers()[0].send_parameters();
        assert_eq!(send.map(rids), track.then(|| vec![Some("1"), Some("2")]));
    }
}

#[test]
fn layers_survive_later_exchanges() {
    let (mut left, mut right, _) = offered(&["q", "h"]);
    let text = answer(&mut right);
    left.set_remote_description(text).expect("answer");
    let before = left.transceivers()[0].send_parameters().cloned();
    left.add_transceiver(MediaKind::Audio, init(Direction::Sendrecv)).expect("added");
    exchange(&mut left, &mut right);
    exchange(&mut right, &mut left);
    assert_eq!(left.transceivers()[0].send_parameters(), before.as_ref());
}
