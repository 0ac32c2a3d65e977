//! Ports of `webrtc/protocol/msid-generate.html` and `msid-parse.html` (RFC 8830).

use crate::support::*;
use actix_rtc::proto::jsep::{Description, MediaKind, Session, TransceiverInit};

/// Streams named in the first section of an offer.
fn streams(session: &mut Session) -> Vec<String> {
    let offer = offer(session);
    let named = lines(sections(&offer.sdp)[0], "a=msid:");
    named.iter().map(|value| value.split(' ').next().expect("a stream").to_owned()).collect()
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn after_add_track(stream_ids: &[&str]) -> Vec<String> {
    let mut session = session();
    session.add_track(MediaKind::Audio, names(stream_ids), None).expect("track");
    streams(&mut session)
}

fn after_add_transceiver(stream_ids: &[&str]) -> Vec<String> {
    let mut session = session();
    let init = TransceiverInit { stream_ids: names(stream_ids), ..TransceiverInit::default() };
    session.add_transceiver(MediaKind::Audio, init).expect("transceiver");
    streams(&mut session)
}

fn after_set_streams(stream_ids: &[&str]) -> Vec<String> {
    let mut session = session();
    let id = session.add_transceiver(MediaKind::Audio, TransceiverInit::default()).expect("transceiver");
    session.set_sending_track(id, names(stream_ids), None).expect("streams");
    streams(&mut session)
}

/// protocol/msid-generate.html: "No media track produces no MSID"
#[test]
fn no_media_track_produces_no_msid() {
    assert!(!data_channel_offer(&mut session()).sdp.contains("a=msid:"));
}

/// protocol/msid-generate.html: "AddTrack without a stream produces MSID with no stream ID"
#[test]
fn add_track_without_a_stream_produces_msid_with_no_stream_id() {
    assert_eq!(after_add_track(&[]), ["-"]);
}

/// protocol/msid-generate.html: "AddTrack with a stream produces MSID with a stream ID"
#[test]
fn add_track_with_a_stream_produces_msid_with_a_stream_id() {
    assert_eq!(after_add_track(&["one"]), ["one"]);
}

/// protocol/msid-generate.html: "AddTrack with two streams produces two MSID lines"
#[test]
fn add_track_with_two_streams_produces_two_msid_lines() {
    assert_eq!(after_add_track(&["one", "two"]), ["one", "two"]);
}

/// protocol/msid-generate.html: "AddTrack with the stream twice produces single MSID with a stream ID"
#[test]
fn add_track_with_the_stream_twice_produces_single_msid_with_a_stream_id() {
    assert_eq!(after_add_track(&["one", "one"]), ["one"]);
}

/// protocol/msid-generate.html: "AddTransceiver without a stream produces MSID with no stream ID"
#[test]
fn add_transceiver_without_a_stream_produces_msid_with_no_stream_id() {
    assert_eq!(after_add_transceiver(&[]), ["-"]);
}

/// protocol/msid-generate.html: "AddTransceiver with a stream produces MSID with a stream ID"
#[test]
fn add_transceiver_with_a_stream_produces_msid_with_a_stream_id() {
    assert_eq!(after_add_transceiver(&["one"]), ["one"]);
}

/// protocol/msid-generate.html: "AddTransceiver with two streams produces two MSID lines"
#[test]
fn add_transceiver_with_two_streams_produces_two_msid_lines() {
    assert_eq!(after_add_transceiver(&["one", "two"]), ["one", "two"]);
}

/// protocol/msid-generate.html: "AddTransceiver with the stream twice produces single MSID with a stream ID"
#[test]
fn add_transceiver_with_the_stream_twice_produces_single_msid_with_a_stream_id() {
    assert_eq!(after_add_transceiver(&["one", "one"]), ["one"]);
}

/// protocol/msid-generate.html: "SetStreams with a stream produces MSID with a stream ID"
#[test]
fn set_streams_with_a_stream_produces_msid_with_a_stream_id() {
    assert_eq!(after_set_streams(&["one"]), ["one"]);
}

/// protocol/msid-generate.html: "SetStreams with two streams produces two MSID lines"
#[test]
fn set_streams_with_two_streams_produces_two_msid_lines() {
    assert_eq!(after_set_streams(&["one", "two"]), ["one", "two"]);
}

/// protocol/msid-generate.html: "SetStreams with the stream twice produces single MSID with a stream ID"
#[test]
fn set_streams_with_the_stream_twice_produces_single_msid_with_a_stream_id() {
    assert_eq!(after_set_streams(&["one", "one"]), ["one"]);
}

/// The streams of the track that this description announces.
fn remote_streams(msid: &str) -> Vec<String> {
    let sdp = format!(
        "{PREAMBLE}{FINGERPRINT}{CREDENTIALS}m=video 1 RTP/SAVPF 100\r\nc=IN IP4 0.0.0.0\r\na=rtcp-mux\r\n\
         a=sendonly\r\na=mid:video\r\na=rtpmap:100 VP8/90000\r\na=setup:actpass\r\n{msid}"
    );
    let mut session = session();
    session.set_remote_description(Description::offer(sdp)).expect("offer");
    assert_eq!(session.transceivers().len(), 1);
    session.transceivers()[0].remote_stream_ids().to_vec()
}

/// protocol/msid-parse.html: "Description with no msid produces a track with a stream"
#[test]
fn description_with_no_msid_produces_a_track_with_a_stream() {
    assert_eq!(remote_streams("").len(), 1);
}

/// RTCPeerConnection-setRemoteDescription-nomsid.html: "setRemoteDescription with an SDP without a=msid lines
/// triggers ontrack with a default stream."
#[test]
fn two_tracks_without_msid_lines_are_in_the_same_default_stream() {
    let section = |kind: &str, codec: &str| {
        format!(
            "m={kind} 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\n{CREDENTIALS}\
             {FINGERPRINT}a=setup:actpass\r\na=mid:{kind}\r\na=sendrecv\r\na=rtcp-mux\r\na=rtcp-rsize\r\n\
             a=rtpmap:111 {codec}\r\n"
        )
    };
    let sections = section("audio", "opus/48000/2") + &section("video", "VP8/90000");
    let mut session = session();
    session.set_remote_description(Description::offer(format!("{PREAMBLE}{sections}"))).expect("offer");
    let streams: Vec<_> = session.transceivers().iter().map(|t| t.remote_stream_ids().to_vec()).collect();
    assert_eq!(streams[0].len(), 1);
    assert_eq!(streams[0], streams[1]);
}

/// protocol/msid-parse.html: "Description with msid:- appid produces a track with no stream"
#[test]
fn description_with_msid_without_a_stream_produces_a_track_with_no_stream() {
    assert!(remote_streams("a=msid:- foobar\r\n").is_empty());
}

/// protocol/msid-parse.html: "Description with msid:foo bar produces a stream with id foo"
#[test]
fn description_with_msid_foo_bar_produces_a_stream_with_id_foo() {
    assert_eq!(remote_streams("a=msid:foo bar\r\n"), ["foo"]);
}

/// protocol/msid-parse.html: "Description with two msid produces two streams"
#[test]
fn description_with_two_msid_produces_two_streams() {
    assert_eq!(remote_streams("a=msid:foo bar\r\na=msid:baz bar\r\n"), ["foo", "baz"]);
}
