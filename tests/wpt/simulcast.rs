//! Ports of `webrtc/protocol/simulcast-offer.html` and `simulcast-answer.html` (RFC 8853).

use crate::support::*;
use actix_rtc::proto::jsep::{Description, Direction, MediaKind, SendEncoding, Session, TransceiverInit};

const RIDS: [&str; 3] = ["foo", "bar", "baz"];

#[track_caller]
fn assert_sends_layers(sdp: &str) {
    for rid in RIDS {
        assert!(
            lines(sdp, "a=rid:").iter().any(|line| line.starts_with(&format!("{rid} send"))),
            "{rid}: {sdp}"
        );
    }
    let simulcast = lines(sdp, "a=simulcast:");
    assert!(simulcast.iter().any(|line| line.starts_with("send foo;bar;baz")), "{simulcast:?}");
}

fn offered(simulcast: &str) -> Session {
    let sdp = format!(
        "{PREAMBLE}a=group:BUNDLE 0\r\na=msid-semantic: WMS\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\n\
         a=rtcp:9 IN IP4 0.0.0.0\r\n{CREDENTIALS}a=ice-options:trickle\r\n{FINGERPRINT}a=setup:actpass\r\na=mid:0\r\n\
         a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\na=recvonly\r\na=rtcp-mux\r\n\
         a=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 ccm fir\r\na=rid:foo recv\r\na=rid:bar recv\r\na=rid:baz recv\r\n\
         a=simulcast:recv {simulcast}\r\n"
    );
    let mut session = session();
    session.set_remote_description(Description::offer(sdp)).expect("offer");
    let id = session.transceivers()[0].id();
    session.set_direction(id, Direction::Sendonly).expect("direction");
    session
}

/// protocol/simulcast-offer.html: "createOffer() with multiple send encodings should create simulcast offer"
#[test]
fn create_offer_with_multiple_send_encodings_should_create_simulcast_offer() {
    let mut session = session();
    let send_encodings = RIDS.map(|rid| SendEncoding { rid: Some(rid.to_owned()) }).to_vec();
    session
        .add_transceiver(MediaKind::Video, TransceiverInit { send_encodings, ..TransceiverInit::default() })
        .expect("transceiver");
    assert_sends_layers(&offer(&mut session).sdp);
}

/// protocol/simulcast-answer.html: "createAnswer() with multiple send encodings should create simulcast answer"
#[test]
fn create_answer_with_multiple_send_encodings_should_create_simulcast_answer() {
    assert_sends_layers(&offered("foo;bar;baz").create_answer().expect("answer").sdp);
}

/// protocol/simulcast-answer.html: "Using the ~rid SDP syntax in a remote offer does not control the local
/// encodings active flag": the layer is accepted like the others
#[test]
fn using_the_tilde_rid_syntax_in_a_remote_offer_does_not_take_the_layer_away() {
    let answer = offered("foo;~bar;baz").create_answer().expect("answer");
    let simulcast = lines(&answer.sdp, "a=simulcast:");
    assert!(
        simulcast.iter().any(|line| line.replace('~', "").starts_with("send foo;bar;baz")),
        "{simulcast:?}"
    );
}
