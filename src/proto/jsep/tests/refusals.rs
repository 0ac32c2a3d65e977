//! What is refused, with which error, and that a refusal changes nothing.

use super::browser::chromium_offer;
use super::*;
use crate::proto::sdp::SdpErrorReason;

fn refusal_of(offer: String) -> JsepError {
    let mut session = session(1);
    let error = session.set_remote_description(Description::offer(offer)).expect_err("must be refused");
    assert_eq!(session.signaling_state(), SignalingState::Stable);
    assert!(session.transceivers().is_empty() && session.remote_description().is_none());
    error
}

#[test]
fn malformed_text_names_line_and_reason() {
    let offer = chromium_offer().replace("a=setup:actpass", "a=setup:maybe");
    let line = offer.lines().position(|line| line == "a=setup:maybe").expect("there") + 1;
    let error = refusal_of(offer);
    assert_eq!(error, JsepError::Syntax { line, reason: SdpErrorReason::BadAttribute("setup") });
    assert_eq!(error.name(), "RTCError");
    assert_eq!(
        error.to_string(),
        format!("the session description is malformed in line {line}: a=setup is malformed")
    );
}

#[test]
fn offers_that_can_not_be_secure_or_connected_are_refused() {
    let offer = chromium_offer();
    let without = |start: &str| -> String {
        offer.split_inclusive("\r\n").filter(|line| !line.starts_with(start)).collect()
    };
    for (offer, refusal) in [
        (without("a=ice-pwd"), Refusal::MissingIceCredentials { section: 0 }),
        (without("a=fingerprint"), Refusal::MissingFingerprint { section: 0 }),
        (offer.replace("sha-256 ", "md5 "), Refusal::MissingFingerprint { section: 0 }),
        (offer.replace("a=setup:actpass", "a=setup:holdconn"), Refusal::BadSetup { section: 0 }),
        (without("a=rtcp-mux"), Refusal::MissingRtcpMux { section: 0 }),
        (offer.replace("extmap:10 ", "extmap:1 "), Refusal::ExtensionConflict { section: 1 }),
        (
            offer.replace(" 63 9", " 64 9").replace(":63 ", ":64 "),
            Refusal::ReservedPayloadType { section: 0 },
        ),
    ] {
        let error = refusal_of(offer);
        assert_eq!(error, JsepError::InvalidAccess(refusal));
        assert_eq!(error.name(), "InvalidAccessError");
    }
}

#[test]
fn later_offers_keep_their_sections() {
    let mut session = session(1);
    let offer = chromium_offer();
    session.set_remote_description(Description::offer(offer.clone())).expect("offer");
    answer(&mut session);
    let (shorter, _) = offer.split_once("m=application").expect("has data");
    let shorter = shorter.replace("BUNDLE 0 1 2", "BUNDLE 0 1");
    let renamed = offer.replace("BUNDLE 0 1 2", "BUNDLE 7 1 2").replace("a=mid:0", "a=mid:7");
    let retyped = offer.replace("m=audio", "m=video");
    for (offer, refusal) in [
        (shorter, Refusal::SectionCount { expected: 3, found: 2 }),
        (renamed, Refusal::MidChanged { section: 0 }),
        (retyped, Refusal::MediaTypeChanged { section: 0 }),
    ] {
        let error = session.set_remote_description(Description::offer(offer)).expect_err("refused");
        assert_eq!(error, JsepError::InvalidAccess(refusal));
        assert_eq!(session.transceivers().len(), 2);
    }
}

#[test]
fn answers_must_fit_their_offer() {
    let (mut left, mut right) = (session(1), session(2));
    left.add_transceiver(MediaKind::Audio, init(Direction::Sendrecv)).expect("added");
    left.add_transceiver(MediaKind::Video, init(Direction::Sendrecv)).expect("added");
    let offer = left.create_offer(OfferOptions::default()).expect("offer");
    left.set_local_description(offer.clone()).expect("local");
    right.set_remote_description(offer).expect("remote");
    let answer = answer(&mut right).sdp;
    let (shorter, _) = answer.split_once("m=video").expect("has video");
    for (text, refusal) in [
        (shorter.replace("BUNDLE 0 1", "BUNDLE 0"), Refusal::SectionCount { expected: 2, found: 1 }),
        (answer.replace("BUNDLE 0 1", "BUNDLE 0"), Refusal::NotBundled { section: 1 }),
        (answer.replace("BUNDLE 0 1", "BUNDLE 0 1 2"), Refusal::BundleGrown),
        (answer.replace("setup:active", "setup:actpass"), Refusal::BadSetup { section: 0 }),
        (answer.replace("a=mid:1", "a=mid:x"), Refusal::MidChanged { section: 1 }),
        (answer.replace("m=video", "m=audio"), Refusal::MediaTypeChanged { section: 1 }),
        (
            answer.replace("opus", "unknown").replace("111 9 0 8 110 126", "111"),
            Refusal::NoCommonFormat { section: 0 },
        ),
    ] {
        let error = left.set_remote_description(Description::answer(text)).expect_err("refused");
        assert_eq!(error, JsepError::InvalidAccess(refusal));
        assert_eq!(left.signaling_state(), SignalingState::HaveLocalOffer);
    }
    left.set_remote_description(Description::answer(answer)).expect("the real one still fits");
}

#[test]
fn calls_in_the_wrong_state_are_invalid_state_errors() {
    let mut session = session(1);
    let answer = Description::answer(chromium_offer());
    assert_eq!(session.create_answer().expect_err("stable").name(), "InvalidStateError");
    for error in [
        session.set_remote_description(answer).expect_err("stable"),
        session.set_remote_description(Description::rollback()).expect_err("stable"),
        session.set_local_description(Description::rollback()).expect_err("stable"),
        session.add_remote_candidate(&CandidateInit::default()).expect_err("no description"),
    ] {
        assert_eq!(error.name(), "InvalidStateError");
    }
    session.set_remote_description(Description::offer(chromium_offer())).expect("offer");
    let error = session.create_offer(OfferOptions::default()).expect_err("have-remote-offer");
    assert_eq!(
        error.to_string(),
        "creating an offer is not possible while the signalling state is have-remote-offer"
    );
    session.close();
    assert_eq!(session.create_answer().expect_err("closed").name(), "InvalidStateError");
    assert!(session.add_transceiver(MediaKind::Audio, init(Direction::Sendrecv)).is_err());
    assert_eq!(session.signaling_state(), SignalingState::Closed);
}

#[test]
fn a_local_description_must_be_the_one_created() {
    let mut session = session(1);
    session.add_transceiver(MediaKind::Audio, init(Direction::Sendrecv)).expect("added");
    let offer = session.create_offer(OfferOptions::default()).expect("offer");
    let changed = Description::offer(offer.sdp.replace("sendrecv", "sendonly"));
    assert_eq!(session.set_local_description(changed), Err(JsepError::InvalidModification));
    let unix = Description::offer(offer.sdp.replace("\r\n", "\n"));
    session.set_local_description(unix).expect("line ends do not matter");
    let mut implicit = data_session(2);
    implicit.set_remote_description(offer).expect("offer");
    implicit.set_local_description(Description::answer("")).expect("created on the way");
    assert_eq!(implicit.signaling_state(), SignalingState::Stable);
}

#[test]
fn unknown_media_and_protocols_are_rejected_in_place() {
    let mut session = session(1);
    let offer = chromium_offer()
        .replace("m=application 51932 UDP/DTLS/SCTP webrtc-datachannel", "m=text 51932 UDP/TLS/RTP/SAVPF 98")
        .replace("m=audio 50463 UDP/TLS/RTP/SAVPF", "m=audio 50463 RTP/XYZ");
    session.set_remote_description(Description::offer(offer)).expect("offer");
    let answer = parsed(&answer(&mut session));
    let rejected: Vec<bool> = answer.media.iter().map(|section| section.rejected()).collect();
    assert_eq!(rejected, [true, false, true]);
    assert_eq!(answer.media[0].protocol, "RTP/XYZ");
    assert_eq!(answer.bundle(), ["1"]);
    assert_eq!(session.transport().expect("that of the second section").ufrag, "9RBC");
}

#[test]
fn ids_of_media_can_not_break_the_description() {
    let mut session = session(1);
    for id in ["", "a b", "x\r\na=evil", &"x".repeat(65)] {
        let init = sending(Direction::Sendonly, "s", id);
        assert_eq!(session.add_transceiver(MediaKind::Audio, init), Err(JsepError::MalformedMediaId));
    }
    assert_eq!(
        session.add_local_candidate(TransportId(0), "candidate:1\r\na=evil"),
        Err(JsepError::MalformedCandidate)
    );
}

/// Offers made to cost time (protocols.md A46, A47). What would be quadratic would not end in anybody's patience.
#[test]
fn huge_offers_are_answered_or_refused() {
    let (head, _) =
        chromium_offer().split_once("m=audio").map(|(a, b)| (a.to_owned(), b.to_owned())).expect("audio");
    let transport = format!(
        "a=ice-ufrag:9RBC\r\na=ice-pwd:ChisVS8h1TTaW+jFQNOiXKHC\r\na=fingerprint:{FINGERPRINT}\r\na=setup:actpass\r\n"
    );
    let mids: String = (0..1000).map(|n| format!(" {n}")).collect();
    let head = head.replace(" 0 1 2", &mids) + &transport;
    let extensions: String = (1..=14).map(|n| format!("a=extmap:{n} urn:{n}\r\n")).collect();
    let sources: String = (0..30).map(|n| format!("a=ssrc:{n} cname:x\r\n")).collect();
    for filler in [extensions, sources, "a=rtpmap:97 VP9/90000\r\na=rtcp-fb:* nack\r\n".to_owned()] {
        let mut offer = head.clone();
        for mid in 0..1000 {
            offer += &format!(
                "m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=mid:{mid}\r\na=rtcp-mux\r\na=rtpmap:96 VP8/90000\r\n{filler}"
            );
        }
        let mut session = session(1);
        session.set_remote_description(Description::offer(offer.clone())).expect("offer");
        answer(&mut session);
        session.set_remote_description(Description::offer(offer)).expect("offer");
        answer(&mut session);
        assert_eq!(session.transceivers().len(), 1000);
        session.create_offer(OfferOptions::default()).expect("offer");
    }
}
