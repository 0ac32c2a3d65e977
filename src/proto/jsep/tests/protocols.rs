//! The rules of JSEP, SDP and BUNDLE that young stacks violate: numbers 85 to 97 of the project's protocol list, each
//! cited where it is tested.

use super::browser::chromium_offer;
use super::*;
use crate::proto::sdp::MediaType;

fn answered(offer: &str) -> (Session, SessionDescription) {
    let mut session = data_session(1);
    session.set_remote_description(Description::offer(offer)).expect("offer");
    let answer = parsed(&answer(&mut session));
    (session, answer)
}

fn without(text: &str, start: &str) -> String {
    text.split_inclusive("\r\n").filter(|line| !line.starts_with(start)).collect()
}

/// 85: the number and the order of m-lines never change, and lines with port 0 are used again.
#[test]
fn sections_keep_their_places_and_rejected_ones_are_recycled() {
    let (mut left, mut right) = (data_session(1), data_session(2));
    let ids: Vec<_> = (0..3)
        .map(|_| left.add_transceiver(MediaKind::Audio, init(Direction::Sendrecv)).expect("added"))
        .collect();
    left.add_data_section().expect("open");
    exchange(&mut left, &mut right);
    left.stop(ids[1]).expect("stopped");
    let (offer, _) = exchange(&mut left, &mut right);
    assert_eq!((offer.media.len(), offer.media[1].port), (4, 0));
    right.add_transceiver(MediaKind::Video, init(Direction::Sendrecv)).expect("added");
    let (offer, answer) = exchange(&mut right, &mut left);
    let kinds: Vec<_> = offer.media.iter().map(|section| section.media_type.to_string()).collect();
    assert_eq!(kinds, ["audio", "video", "audio", "application"]);
    assert_eq!(answer.media.len(), 4);
    assert_eq!(offer.media[1].mid.as_deref(), Some("4"), "a new section has a new tag");
}

/// 86: one session id for all descriptions; the version grows by one when something changes, and only then.
#[test]
fn the_session_id_is_stable_and_the_version_counts_changes() {
    let (mut left, mut right) = (session(1), session(2));
    left.add_transceiver(MediaKind::Audio, init(Direction::Sendrecv)).expect("added");
    let first = parsed(&left.create_offer(OfferOptions::default()).expect("offer"));
    let again = parsed(&left.create_offer(OfferOptions::default()).expect("offer"));
    assert_eq!(first, again, "creating changes nothing");
    let (offer, _) = exchange(&mut left, &mut right);
    assert_eq!(offer.origin, first.origin);
    let id = left.add_transceiver(MediaKind::Video, init(Direction::Sendrecv)).expect("added");
    let mut version: u64 = offer.origin.session_version.parse().expect("numeric");
    for direction in [Direction::Sendonly, Direction::Inactive, Direction::Inactive] {
        let changes = direction != left.transceiver(id).expect("there").direction();
        left.set_direction(id, direction).expect("set");
        let (offer, _) = exchange(&mut left, &mut right);
        version += u64::from(changes);
        assert_eq!(offer.origin.session_version, version.to_string());
        assert_eq!(offer.origin.session_id, first.origin.session_id);
    }
}

/// 87: an answer repeats the mids; what it rejects has port 0 and is in no group.
#[test]
fn rejected_sections_leave_the_bundle() {
    let offer =
        chromium_offer().replace("m=video 37598 UDP/TLS/RTP/SAVPF", "m=message 37598 UDP/TLS/RTP/SAVPF");
    let (_, answer) = answered(&offer);
    let mids: Vec<_> = answer.media.iter().map(|section| section.mid.as_deref()).collect();
    assert_eq!(mids, [Some("0"), Some("1"), Some("2")]);
    assert_eq!(answer.media[1].media_type, MediaType::Other("message".to_owned()));
    assert_eq!((answer.media[1].port, answer.bundle()), (0, &["0".to_owned(), "2".to_owned()][..]));
}

/// 88: attributes of categories IDENTICAL and TRANSPORT are read wherever they are.
#[test]
fn transport_attributes_are_read_from_any_section_of_a_bundle() {
    let offer = chromium_offer();
    let starts: Vec<usize> = offer.match_indices("m=").map(|(at, _)| at).collect();
    for keep in 0..3 {
        let mut text = offer[..starts[0]].to_owned();
        for (section, start) in starts.iter().enumerate() {
            let body = &offer[*start..starts.get(section + 1).copied().unwrap_or(offer.len())];
            let bare = ["a=ice-ufrag", "a=ice-pwd", "a=fingerprint", "a=setup"]
                .iter()
                .fold(body.to_owned(), |b, s| without(&b, s));
            text += if section == keep { body } else { &bare };
        }
        let (session, _) = answered(&text);
        assert_eq!(session.transport().expect("known").ufrag, "9RBC", "only section {keep} has them");
    }
}

/// 89: payload types and their order are the offer's; unknown codecs and attributes do not disturb, malformed lines
/// reject the description.
#[test]
fn answers_follow_the_numbers_of_the_offer_and_ignore_the_unknown() {
    let offer = chromium_offer()
        .replace("SAVPF 111 63 9 0 8 13 110 126", "SAVPF 8 120 111")
        .replace("a=rtpmap:63 red/48000/2\r\n", "a=rtpmap:120 Martian/48000/2\r\na=x-martian:yes\r\n");
    let (_, answer) = answered(&offer);
    assert_eq!(names(&answer.media[0].codecs), [(8, "PCMA"), (111, "opus")]);
    let mut session = data_session(1);
    let broken = offer.replace("a=rtpmap:111 opus/48000/2", "a=rtpmap:111 opus");
    let error = session.set_remote_description(Description::offer(broken)).expect_err("malformed");
    assert!(matches!(error.kind(), ErrorKind::Syntax { line: 1.. }), "{error}");
}

/// 90: the protocol is echoed as it came.
#[test]
fn protocols_are_echoed_exactly() {
    for protocol in ["UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP", "RTP/SAVPF", "RTP/SAVP", "TCP/DTLS/RTP/SAVPF"] {
        let (_, answer) = answered(&chromium_offer().replace("UDP/TLS/RTP/SAVPF", protocol));
        assert!(answer.media[..2].iter().all(|s| s.protocol == protocol && !s.rejected()), "{protocol}");
    }
    let (session, answer) = answered(&chromium_offer().replace("UDP/DTLS/SCTP", "TCP/DTLS/SCTP"));
    assert_eq!(answer.media[2].protocol, "TCP/DTLS/SCTP");
    assert!(session.data_parameters().is_some());
}

/// 90, in the form of the drafts: `DTLS/SCTP 5000` with `a=sctpmap`.
#[test]
fn data_sections_of_the_drafts_are_answered_in_kind() {
    let offer = chromium_offer()
        .replace("UDP/DTLS/SCTP webrtc-datachannel", "DTLS/SCTP 5001")
        .replace("a=sctp-port:5000\r\na=max-message-size:262144", "a=sctpmap:5001 webrtc-datachannel 256");
    let (mut session, answer) = answered(&offer);
    let section = &answer.media[2];
    assert_eq!((section.protocol.as_str(), &section.formats[..]), ("DTLS/SCTP", &["5000".to_owned()][..]));
    let map = section.sctp_map.as_ref().expect("in kind");
    assert_eq!((map.port, map.application.as_str()), (5000, "webrtc-datachannel"));
    assert_eq!(section.sctp_port, None);
    let data = session.data_parameters().expect("negotiated");
    assert_eq!((data.local_port, data.remote_port, data.message_size_max), (5000, 5001, Some(65_536)));
    let again = parsed(&session.create_offer(OfferOptions::default()).expect("offer"));
    assert_eq!(again.media[2].protocol, "DTLS/SCTP", "and stays so");
    let (_, answer) = answered(&offer.replace("a=sctpmap:5001 webrtc-datachannel", "a=sctpmap:5001 other"));
    assert!(answer.media[2].rejected());
}

/// 91: answers have no `a=bundle-only`, and sections offered so are accepted with a port.
#[test]
fn answers_are_never_bundle_only() {
    let (mut left, mut right) = (data_session(1), data_session(2));
    for _ in 0..3 {
        left.add_transceiver(MediaKind::Video, init(Direction::Sendrecv)).expect("added");
    }
    let (offer, answer) = exchange(&mut left, &mut right);
    assert!(offer.media[2].bundle_only);
    assert!(answer.media.iter().all(|section| !section.bundle_only && section.port == 9));
}

/// 92: every bundled RTP section has the MID extension, and one id means one URI.
#[test]
fn bundled_sections_carry_the_mid_extension_under_one_id() {
    let (mut left, mut right) = (data_session(1), data_session(2));
    left.add_transceiver(MediaKind::Audio, init(Direction::Sendrecv)).expect("added");
    left.add_transceiver(MediaKind::Video, init(Direction::Sendrecv)).expect("added");
    let (offer, answer) = exchange(&mut left, &mut right);
    for description in [&offer, &answer] {
        let mid = |s: &crate::proto::sdp::MediaDescription| {
            s.extensions.iter().find(|e| e.uri == "urn:ietf:params:rtp-hdrext:sdes:mid").map(|e| e.id)
        };
        assert_eq!(mid(&description.media[0]), mid(&description.media[1]));
        assert!(mid(&description.media[0]).is_some());
    }
    let conflict = chromium_offer().replace("extmap:10 ", "extmap:1 ");
    let error = data_session(1).set_remote_description(Description::offer(conflict)).expect_err("conflict");
    assert_eq!(error, JsepError::InvalidAccess(Refusal::ExtensionConflict { section: 1 }));
}

/// 93: an address of zeros is not a rejection.
#[test]
fn the_unspecified_address_is_accepted() {
    let (_, answer) = answered(&chromium_offer().replace("c=IN IP4 127.0.0.1", "c=IN IP4 0.0.0.0"));
    assert!(answer.media.iter().all(|section| !section.rejected()));
}

/// 94: a rollback restores transceivers, and glare is resolved; see also the tests of renegotiation.
#[test]
fn after_glare_the_impolite_offer_wins_and_nothing_is_lost() {
    let (mut polite, mut impolite) = (data_session(1), data_session(2));
    polite.add_track(MediaKind::Audio, Vec::new(), Some("p".to_owned())).expect("added");
    impolite.add_track(MediaKind::Video, Vec::new(), Some("i".to_owned())).expect("added");
    let theirs = impolite.create_offer(OfferOptions::default()).expect("offer");
    impolite.set_local_description(theirs.clone()).expect("local");
    let ours = polite.create_offer(OfferOptions::default()).expect("offer");
    polite.set_local_description(ours).expect("local");
    assert_eq!(polite.transceivers()[0].mid(), Some("0"));
    polite.set_remote_description(theirs).expect("rolls back");
    assert_eq!(polite.transceivers()[0].mid(), None, "association undone");
    let answer = answer(&mut polite);
    impolite.set_remote_description(answer).expect("answer");
    assert!(polite.negotiation_needed());
    exchange(&mut polite, &mut impolite);
    assert!(!polite.negotiation_needed() && !impolite.negotiation_needed());
    assert_eq!(impolite.transceivers().len(), 2);
}

/// 95: one `a=simulcast` in a section; undefined rids are ignored, repeated ones too.
#[test]
fn undefined_and_repeated_rids_are_ignored() {
    let offer =
        chromium_offer().replace("a=rid:h send\r\n", "a=rid:f recv\r\n").replace("q;h;f", "q;h;f;ghost");
    let (session, answer) = answered(&offer);
    // "f" was defined twice: the first definition counts (RFC 8851 6), here a receiving one.
    let rids: Vec<_> = answer.media[1].rids.iter().map(|rid| rid.id.as_str()).collect();
    assert_eq!(rids, ["q"]);
    assert_eq!(session.transceivers()[1].receive_parameters().expect("receives").rids, ["q"]);
    let twice = chromium_offer() + "a=simulcast:send q\r\na=simulcast:send h\r\n";
    assert!(data_session(1).set_remote_description(Description::offer(twice)).is_err());
}

/// 96: `b=AS` and `b=TIAS` bound what is sent, whichever is lower, also for the whole session.
#[test]
fn bandwidth_lines_bound_the_bit_rate() {
    for (session_line, lines, expected) in [
        ("", "", None),
        ("", "b=AS:500\r\n", Some(500_000)),
        ("", "b=TIAS:400000\r\nb=AS:500\r\n", Some(400_000)),
        ("b=AS:300\r\n", "b=AS:500\r\n", Some(300_000)),
        ("b=CT:1\r\n", "", None),
    ] {
        let mut session = data_session(1);
        session.add_track(MediaKind::Audio, Vec::new(), None).expect("added");
        let offer = chromium_offer().replace("t=0 0\r\n", &format!("{session_line}t=0 0\r\n")).replacen(
            "c=IN IP4 127.0.0.1\r\n",
            &format!("c=IN IP4 127.0.0.1\r\n{lines}"),
            1,
        );
        session.set_remote_description(Description::offer(offer)).expect("offer");
        answer(&mut session);
        assert_eq!(session.transceivers()[0].send_parameters().expect("sends").bitrate_max, expected);
    }
}

/// 97: ICE credentials, fingerprint and setup of the session hold for every section without its own.
#[test]
fn sections_inherit_the_transport_of_the_session() {
    let bare = ["a=ice-ufrag", "a=ice-pwd", "a=fingerprint", "a=setup"]
        .iter()
        .fold(chromium_offer(), |t, s| without(&t, s));
    let head = format!(
        "t=0 0\r\na=ice-ufrag:sess\r\na=ice-pwd:ChisVS8h1TTaW+jFQNOiXKHC\r\na=fingerprint:{FINGERPRINT}\r\na=setup:active\r\n"
    );
    let unbundled = without(&bare.replace("t=0 0\r\n", &head), "a=group");
    let mut session = policy_session(1, BundlePolicy::MaxCompat);
    session.set_remote_description(Description::offer(unbundled)).expect("offer");
    answer(&mut session);
    assert_eq!(session.transports().len(), 3);
    for transport in session.transports() {
        let remote = transport.remote.as_ref().expect("known");
        assert_eq!((remote.ufrag.as_str(), remote.dtls_role), ("sess", Some(DtlsRole::Server)));
        assert_eq!(remote.fingerprints, [FINGERPRINT]);
    }
}

/// Item 6 of the facts found: `a=rtcp-mux-only` is offered, accepted, and answered only where WHIP wants it.
#[test]
fn rtcp_mux_only_is_offered_and_answered_on_demand() {
    let (mut left, mut right) = (session(1), session(2));
    left.add_transceiver(MediaKind::Audio, init(Direction::Sendrecv)).expect("added");
    let (offer, answer) = exchange(&mut left, &mut right);
    assert!(offer.media[0].rtcp_mux_only && !answer.media[0].rtcp_mux_only);
    let mut whip =
        Session::new(SessionConfig { rtcp_mux_only_in_answers: true, ..config(3) }, StdRng::seed_from_u64(3));
    whip.set_remote_description(Description::offer(offer.to_string())).expect("offer");
    assert!(parsed(&whip.create_answer().expect("answer")).media[0].rtcp_mux_only);
}

/// RFC 8841 6: 64 KiB when the peer does not say, and no limit when it says 0. Ours is announced.
#[test]
fn message_sizes_have_their_default_and_their_infinity() {
    for (line, expected) in
        [("", Some(65_536)), ("a=max-message-size:0\r\n", None), ("a=max-message-size:1000\r\n", Some(1_000))]
    {
        let (session, answer) = answered(&chromium_offer().replace("a=max-message-size:262144\r\n", line));
        assert_eq!(session.data_parameters().expect("negotiated").message_size_max, expected);
        assert_eq!(answer.media[2].max_message_size, Some(262_144));
    }
}

/// RFC 8842 3, and a web-platform test: another certificate needs an ICE restart.
#[test]
fn another_fingerprint_without_ice_restart_is_refused() {
    let offer = chromium_offer();
    let other = offer.replace("C9:7C:26", "C9:7C:27");
    let (mut session, _) = answered(&offer);
    let error = session.set_remote_description(Description::offer(other.clone())).expect_err("changed");
    assert_eq!(error, JsepError::InvalidAccess(Refusal::FingerprintChanged { section: 0 }));
    assert_eq!(error.kind(), ErrorKind::InvalidAccess);
    let restarted = other.replace("ice-ufrag:9RBC", "ice-ufrag:9RBD");
    session.set_remote_description(Description::offer(restarted)).expect("a restart may change it");
    let (mut left, mut right) = (data_session(1), data_session(2));
    left.add_transceiver(MediaKind::Audio, init(Direction::Sendrecv)).expect("added");
    exchange(&mut left, &mut right);
    let again = left.create_offer(OfferOptions::default()).expect("offer");
    left.set_local_description(again.clone()).expect("local");
    right.set_remote_description(again).expect("remote");
    let changed = answer(&mut right).sdp.replace("00:01:02", "00:01:03");
    let error = left.set_remote_description(Description::answer(changed)).expect_err("changed");
    assert_eq!(error, JsepError::InvalidAccess(Refusal::FingerprintChanged { section: 0 }));
}

/// A peer that does not bundle can't make a session open transports without end.
#[test]
fn the_number_of_transports_is_bounded() {
    let transport = format!(
        "a=ice-ufrag:9RBC\r\na=ice-pwd:ChisVS8h1TTaW+jFQNOiXKHC\r\na=fingerprint:{FINGERPRINT}\r\na=setup:actpass\r\n"
    );
    let mut offer = format!("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n{transport}");
    for mid in 0..500 {
        offer += &format!("m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:{mid}\r\na=rtcp-mux\r\n");
    }
    let mut session = policy_session(1, BundlePolicy::MaxCompat);
    session.set_remote_description(Description::offer(offer)).expect("offer");
    let accepted = parsed(&answer(&mut session)).media.iter().filter(|section| !section.rejected()).count();
    assert_eq!((accepted, session.transports().len()), (64, 64));
    for _ in 0..100 {
        session.add_transceiver(MediaKind::Audio, init(Direction::Sendrecv)).expect("added");
    }
    let offer = session.create_offer(OfferOptions::default()).expect("offer");
    session.set_local_description(offer).expect("local");
    assert_eq!(session.transports().len(), 64);
}
