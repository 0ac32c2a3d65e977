//! Descriptions in the style of other products: what aiortc tests of its parser, and how each comes back.
//!
//! Every text here was written for these tests, after what the products write.

use super::*;

const PRINT: &str =
    "A1:B2:C3:D4:E5:F6:07:18:29:3A:4B:5C:6D:7E:8F:90:A1:B2:C3:D4:E5:F6:07:18:29:3A:4B:5C:6D:7E:8F:90";

fn read(text: &str) -> SessionDescription {
    let text = text.replace("PRINT", PRINT).replace('\n', "\r\n");
    let description: SessionDescription = text.parse().unwrap_or_else(|error| panic!("{error} in\n{text}"));
    assert_eq!(description.to_string().parse(), Ok(description.clone()), "read, written and read again");
    description
}

fn names(section: &MediaDescription) -> Vec<(u8, &str, u32)> {
    section.codecs.iter().map(|c| (c.payload_type, c.name.as_str(), c.clock_rate)).collect()
}

const CHROME: &str = "v=0
o=- 5501234567890123456 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE audio video
a=msid-semantic: WMS lstream
m=audio 40111 UDP/TLS/RTP/SAVPF 111 103 9 0 8 105 13 110 126
c=IN IP4 192.0.2.58
a=rtcp:9 IN IP4 0.0.0.0
a=candidate:77 1 udp 2122262783 2001:db8::58 40110 typ host generation 0 network-id 2 network-cost 10
a=candidate:78 1 udp 2122194687 192.0.2.58 40111 typ host generation 0 network-id 1
a=candidate:79 1 tcp 1518283007 2001:db8::58 9 typ host tcptype active generation 0
a=ice-ufrag:Zx+9
a=ice-pwd:q1w2e3r4t5y6u7i8o9p0a1s2
a=ice-options:trickle
a=fingerprint:sha-256 PRINT
a=setup:actpass
a=mid:audio
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=sendrecv
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:103 ISAC/16000
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:105 CN/16000
a=rtpmap:13 CN/8000
a=rtpmap:110 telephone-event/48000
a=rtpmap:126 telephone-event/8000
a=ssrc:1001 cname:chromecname
a=ssrc:1001 msid:lstream ltrack
a=ssrc:1001 mslabel:lstream
a=ssrc:1001 label:ltrack
m=video 40112 UDP/TLS/RTP/SAVPF 96 97 102 124
c=IN IP4 192.0.2.58
a=rtcp:9 IN IP4 0.0.0.0
a=ice-ufrag:Zx+9
a=ice-pwd:q1w2e3r4t5y6u7i8o9p0a1s2
a=fingerprint:sha-256 PRINT
a=setup:actpass
a=mid:video
a=extmap:2 urn:ietf:params:rtp-hdrext:toffset
a=extmap:3 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=sendrecv
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:96 VP8/90000
a=rtcp-fb:96 goog-remb
a=rtcp-fb:96 ccm fir
a=rtcp-fb:96 nack
a=rtcp-fb:96 nack pli
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
a=rtpmap:102 H264/90000
a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f
a=rtpmap:124 ulpfec/90000
a=ssrc-group:FID 2001 2002
a=ssrc:2001 cname:chromecname
a=ssrc:2002 cname:chromecname
";

#[test]
fn chrome_audio() {
    let description = read(CHROME);
    assert_eq!(description.bundle(), ["audio", "video"]);
    assert_eq!(description.origin.session_id, "5501234567890123456");
    let audio = &description.media[0];
    assert_eq!((audio.port, audio.protocol.as_str()), (40_111, "UDP/TLS/RTP/SAVPF"));
    assert_eq!(audio.connection.as_deref(), Some("IN IP4 192.0.2.58"));
    assert_eq!(names(audio).len(), 9);
    assert_eq!(audio.codecs[0].channels, Some(2));
    assert_eq!(audio.codecs[0].feedback, ["transport-cc"]);
    assert_eq!(audio.rtcp, Some(RtcpAddress { port: 9, address: Some("IN IP4 0.0.0.0".to_owned()) }));
    assert_eq!((audio.candidates.len(), audio.transport.end_of_candidates), (3, false));
    assert_eq!(audio.transport.ice_ufrag.as_deref(), Some("Zx+9"));
    assert_eq!(audio.transport.fingerprints, [format!("sha-256 {PRINT}")]);
    assert_eq!(audio.transport.setup, Some(Setup::Actpass));
    let cname = audio.sources.iter().find(|source| source.name == "cname");
    assert_eq!(cname.and_then(|source| source.value.as_deref()), Some("chromecname"));
}

#[test]
fn chrome_video() {
    let description = read(CHROME);
    let video = &description.media[1];
    assert_eq!(
        names(video),
        [(96, "VP8", 90_000), (97, "rtx", 90_000), (102, "H264", 90_000), (124, "ulpfec", 90_000)]
    );
    assert_eq!(video.codecs[0].feedback, ["goog-remb", "ccm fir", "nack", "nack pli"]);
    assert_eq!(video.codecs[1].apt(), Some(96));
    assert_eq!(video.source_groups, [SourceGroup { semantics: "FID".to_owned(), ssrcs: vec![2001, 2002] }]);
    assert!(video.rtcp_mux && video.rtcp_reduced_size);
    assert!(video.codecs.iter().all(|codec| codec.channels.is_none()));
}

const FIREFOX: &str = "v=0
o=mozilla...THIS_IS_SDPARTA-99.0 4412345678901234567 0 IN IP4 0.0.0.0
s=-
t=0 0
a=sendrecv
a=fingerprint:sha-256 PRINT
a=group:BUNDLE 0 1
a=ice-options:trickle
a=msid-semantic:WMS *
m=audio 45274 UDP/TLS/RTP/SAVPF 109 9 0 8 101
c=IN IP4 192.0.2.58
a=candidate:0 1 UDP 2122187007 192.0.2.58 45274 typ host
a=candidate:0 2 UDP 2122187006 192.0.2.58 38612 typ host
a=candidate:2 1 TCP 2105458943 192.0.2.58 9 typ host tcptype active
a=sendrecv
a=end-of-candidates
a=extmap:1/sendonly urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:2/recvonly urn:ietf:params:rtp-hdrext:csrc-audio-level
a=extmap:3 urn:ietf:params:rtp-hdrext:sdes:mid
a=fmtp:109 maxplaybackrate=48000;stereo=1;useinbandfec=1
a=fmtp:101 0-15
a=ice-pwd:f9b83487285016f7492197a5790ceee5
a=ice-ufrag:403a81e1
a=mid:0
a=msid:{dee771c7-671a-451e-b847-f86f8e87c7d8} {12692dea-686c-47ca-b3e9-48f38fc92b78}
a=rtcp:38612 IN IP4 192.0.2.58
a=rtcp-mux
a=rtpmap:109 opus/48000/2
a=rtpmap:9 G722/8000/1
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=setup:actpass
a=ssrc:882128807 cname:{ed463ac5-dabf-44d4-8b9f-e14318427b2b}
m=video 42738 UDP/TLS/RTP/SAVPF 120 126
c=IN IP4 192.0.2.58
a=sendrecv
a=fmtp:126 profile-level-id=42e01f;level-asymmetry-allowed=1;packetization-mode=1
a=fmtp:120 max-fs=12288;max-fr=60
a=ice-pwd:f9b83487285016f7492197a5790ceee5
a=ice-ufrag:403a81e1
a=mid:1
a=rtcp-fb:120 nack
a=rtcp-fb:120 ccm fir
a=rtcp-mux
a=rtpmap:120 VP8/90000
a=rtpmap:126 H264/90000
a=setup:actpass
";

#[test]
fn firefox_audio() {
    let description = read(FIREFOX);
    assert_eq!(description.origin.username, "mozilla...THIS_IS_SDPARTA-99.0");
    let audio = &description.media[0];
    // Attributes come before the maps that they belong to.
    assert_eq!(audio.codecs[0].parameter("stereo"), Some("1"));
    assert_eq!(audio.codecs[4].parameters, [("0-15".to_owned(), None)]);
    assert_eq!(audio.codecs[1].channels, Some(1));
    assert_eq!(audio.extensions[0].direction, Some(Direction::Sendonly));
    assert!(audio.transport.end_of_candidates);
    assert_eq!(description.transport_of(audio).fingerprints.len(), 1, "from the session");
    assert_eq!(audio.msids[0].stream.as_deref(), Some("{dee771c7-671a-451e-b847-f86f8e87c7d8}"));
}

#[test]
fn firefox_video() {
    let description = read(FIREFOX);
    let video = &description.media[1];
    assert_eq!(names(video), [(120, "VP8", 90_000), (126, "H264", 90_000)]);
    assert_eq!(video.codecs[0].parameter("max-fr"), Some("60"));
    assert_eq!(video.codecs[0].feedback, ["nack", "ccm fir"]);
}

#[test]
fn safari_video() {
    let description = read(
        "v=0
o=- 3301234567890123456 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0
a=msid-semantic: WMS cb7e185b
m=video 9 UDP/TLS/RTP/SAVPF 96 97 98 99 127 125 104
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=ice-ufrag:9KhP
a=ice-pwd:mlPea2xBCmFmNLfmy/jlqw1D
a=ice-options:trickle
a=fingerprint:sha-256 PRINT
a=setup:actpass
a=mid:0
a=extmap:14 urn:ietf:params:rtp-hdrext:toffset
a=extmap:13 urn:3gpp:video-orientation
a=sendrecv
a=msid:cb7e185b 420c6f28
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:96 H264/90000
a=fmtp:96 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=640c1f
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
a=rtpmap:98 H264/90000
a=fmtp:98 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f
a=rtpmap:99 rtx/90000
a=fmtp:99 apt=98
a=rtpmap:127 red/90000
a=rtpmap:125 rtx/90000
a=fmtp:125 apt=127
a=rtpmap:104 ulpfec/90000
a=ssrc-group:FID 3001 3002
a=ssrc:3001 cname:safari
a=ssrc:3002 cname:safari
",
    );
    let profiles: Vec<_> =
        description.media[0].codecs.iter().filter_map(|codec| codec.parameter("profile-level-id")).collect();
    assert_eq!(profiles, ["640c1f", "42e01f"]);
    assert_eq!(description.media[0].codecs[5].apt(), Some(127));
}

const FREESWITCH: &str = "v=0
o=FreeSWITCH 1538380016 1538380017 IN IP4 203.0.113.4
s=FreeSWITCH
c=IN IP4 203.0.113.4
t=0 0
a=msid-semantic: WMS lyNSTe6w
m=audio 16628 UDP/TLS/RTP/SAVPF 8 101
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=ptime:20
a=fingerprint:sha-256 PRINT
a=setup:active
a=rtcp-mux
a=rtcp:16628 IN IP4 203.0.113.4
a=ice-ufrag:75EDuLTEOkEUd3cu
a=ice-pwd:5dvb9SbfooWc49814CupdeTS
a=candidate:0560693492 1 udp 659136 203.0.113.4 16628 typ host generation 0
a=end-of-candidates
a=ssrc:2690029308 cname:rbaag6w9fGmRXQm6
";

#[test]
fn freeswitch_audio() {
    let description = read(FREESWITCH);
    assert!(description.bundle().is_empty());
    assert_eq!(description.connection.as_deref(), Some("IN IP4 203.0.113.4"));
    assert_eq!(description.session_name, "FreeSWITCH");
    let audio = &description.media[0];
    assert_eq!((&audio.connection, &audio.mid, audio.direction), (&None, &None, None));
    assert_eq!(description.direction_of(audio), Direction::Sendrecv);
    assert_eq!((audio.packet_time, audio.transport.setup), (Some(20), Some(Setup::Active)));
    assert_eq!(audio.rtcp.as_ref().map(|rtcp| rtcp.port), Some(16_628));
}

#[test]
fn freeswitch_audio_without_dtls() {
    let text = FREESWITCH
        .replace("a=fingerprint:sha-256 PRINT\na=setup:active\n", "")
        .replace("UDP/TLS/RTP/SAVPF", "RTP/AVP");
    let description = read(&text);
    let transport = description.transport_of(&description.media[0]);
    assert!(transport.fingerprints.is_empty() && transport.setup.is_none());
    assert_eq!(names(&description.media[0]), [(8, "PCMA", 8_000), (101, "telephone-event", 8_000)]);
}

#[test]
fn dtls_of_the_session() {
    let text = FREESWITCH
        .replace("a=fingerprint:sha-256 PRINT\na=setup:active\n", "")
        .replace("t=0 0\n", "t=0 0\na=fingerprint:sha-256 PRINT\na=setup:actpass\n");
    let description = read(&text);
    let transport = description.transport_of(&description.media[0]);
    assert_eq!(transport.fingerprints, [format!("sha-256 {PRINT}")]);
    assert_eq!(transport.setup, Some(Setup::Actpass));
}

#[test]
fn ice_credentials_of_the_session() {
    let credentials = "a=ice-ufrag:75EDuLTEOkEUd3cu\na=ice-pwd:5dvb9SbfooWc49814CupdeTS\n";
    let text = FREESWITCH.replace(credentials, "").replace("t=0 0\n", &format!("t=0 0\n{credentials}"));
    let description = read(&text);
    assert_eq!(description.media[0].transport.ice_ufrag, None);
    let transport = description.transport_of(&description.media[0]);
    assert_eq!(transport.ice_ufrag.as_deref(), Some("75EDuLTEOkEUd3cu"));
    assert_eq!(transport.ice_pwd.as_deref(), Some("5dvb9SbfooWc49814CupdeTS"));
}

#[test]
fn ice_lite() {
    assert!(!read(FREESWITCH).ice_lite);
    assert!(read(&FREESWITCH.replace("t=0 0\n", "t=0 0\na=ice-lite\n")).ice_lite);
}

#[test]
fn rtcp_without_an_address() {
    let description = read(&FREESWITCH.replace("a=rtcp:16628 IN IP4 203.0.113.4", "a=rtcp:16628"));
    assert_eq!(description.media[0].rtcp, Some(RtcpAddress { port: 16_628, address: None }));
}

#[test]
fn feedback_for_all_codecs() {
    let description = read(&CHROME.replace("a=rtcp-fb:96 goog-remb\n", "a=rtcp-fb:* goog-remb\n"));
    assert!(description.media[1].codecs.iter().all(|codec| codec.has_feedback("goog-remb")));
}

const FIREFOX_DATA: &str = "v=0
o=mozilla...THIS_IS_SDPARTA-58.0 7514673380034989017 0 IN IP4 0.0.0.0
s=-
t=0 0
a=sendrecv
a=fingerprint:sha-256 PRINT
a=group:BUNDLE sdparta_0
a=ice-options:trickle
m=application 45791 DTLS/SCTP 5000
c=IN IP4 192.0.2.58
a=candidate:0 1 UDP 2122187007 192.0.2.58 45791 typ host
a=sendrecv
a=end-of-candidates
a=ice-pwd:d30a5aec4dd81f07d4ff3344209400ab
a=ice-ufrag:9889e0c4
a=mid:sdparta_0
a=sctpmap:5000 webrtc-datachannel 256
a=setup:actpass
a=max-message-size:1073741823
";

#[test]
fn firefox_data_of_the_drafts() {
    let description = read(FIREFOX_DATA);
    let data = &description.media[0];
    assert_eq!((data.protocol.as_str(), &data.formats[..]), ("DTLS/SCTP", &["5000".to_owned()][..]));
    let map = SctpMap { port: 5000, application: "webrtc-datachannel".to_owned(), streams: Some(256) };
    assert_eq!((data.sctp_map.as_ref(), data.sctp_port), (Some(&map), None));
    assert_eq!(data.max_message_size, Some(1_073_741_823));
}

#[test]
fn firefox_63_data() {
    let text = FIREFOX_DATA
        .replace("DTLS/SCTP 5000", "UDP/DTLS/SCTP webrtc-datachannel")
        .replace("a=sctpmap:5000 webrtc-datachannel 256", "a=sctp-port:5000");
    let description = read(&text);
    let data = &description.media[0];
    assert_eq!((&data.sctp_map, data.sctp_port), (&None, Some(5000)));
    assert_eq!(data.formats, ["webrtc-datachannel"]);
}

/// What kills aiortc's parser: parameters without a value, extensions with attributes, payload types of RTCP, short
/// candidates.
#[test]
fn what_other_parsers_trip_over() {
    let text = CHROME
        .replace("a=fmtp:97 apt=96\n", "a=fmtp:97\na=fmtp:97 apt=96\n")
        .replace("abs-send-time", "abs-send-time some attributes")
        .replace("SAVPF 111 103", "SAVPF 111 72 103")
        .replace("a=candidate:77 1 udp 2122262783 2001:db8::58 40110 typ host generation 0 network-id 2 network-cost 10", "a=candidate:77 1 udp");
    let description = read(&text);
    assert_eq!(description.media[1].codecs[1].apt(), Some(96));
    assert_eq!(description.media[1].extensions[1].attributes.as_deref(), Some("some attributes"));
    assert_eq!(description.media[0].candidates.len(), 3, "candidates are read by ICE, one by one");
}

#[test]
fn packet_times_that_are_not_whole_numbers_say_nothing() {
    let description = read(&FREESWITCH.replace("a=ptime:20", "a=ptime:20.5\na=maxptime:60"));
    assert_eq!((description.media[0].packet_time, description.media[0].packet_time_max), (None, Some(60)));
}
