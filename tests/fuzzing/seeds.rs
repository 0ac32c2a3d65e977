//! Inputs to begin with: one of each kind that is well formed, and the collections beside the checkout.

use std::path::{Path, PathBuf};

/// A description with audio, video with layers, and data.
const DESCRIPTION: &str = "v=0\r\no=- 4962303333179871722 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=ice-options:trickle\r\n\
    a=group:BUNDLE 0 1 2\r\na=extmap-allow-mixed\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111 0\r\nc=IN IP4 0.0.0.0\r\n\
    a=mid:0\r\na=sendrecv\r\na=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n\
    a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=msid:stream track\r\na=ice-ufrag:ETEn\r\n\
    a=ice-pwd:OtSK0WpNtpUjkY4+86js7Z/l\r\na=fingerprint:sha-256 19:E2:1C:3B:4B:9F:81:E6:B8:5C:F4:A5:A8:D8:73:04:\
    BB:05:2F:70:9F:04:A9:0E:05:E9:26:33:E8:70:88:A2\r\na=setup:actpass\r\na=rtcp-mux\r\na=rtcp-rsize\r\n\
    a=candidate:1 1 udp 2113929471 203.0.113.100 10100 typ host\r\na=end-of-candidates\r\n\
    m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\na=sendrecv\r\na=bundle-only\r\n\
    a=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\na=rtcp-fb:96 nack pli\r\n\
    a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=extmap:4 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n\
    a=rtcp-mux\r\na=rid:h send\r\na=rid:l send\r\na=simulcast:send h;~l\r\na=ssrc-group:FID 1 2\r\na=ssrc:1 cname:x\r\n\
    m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:2\r\na=bundle-only\r\n\
    a=sctp-port:5000\r\na=max-message-size:262144\r\n";

/// A Binding request with username, priority and a signature of nobody.
fn binding_request() -> Vec<u8> {
    let mut bytes = vec![0, 1, 0, 52, 0x21, 0x12, 0xa4, 0x42];
    bytes.extend_from_slice(b"transaction!");
    bytes.extend_from_slice(&[0, 6, 0, 9]);
    bytes.extend_from_slice(b"ETEn:BGKk\0\0\0");
    bytes.extend_from_slice(&[0, 0x24, 0, 4, 0x6e, 0, 1, 0xff]);
    bytes.extend_from_slice(&[0, 0x25, 0, 0, 0, 8, 0, 20]);
    bytes.extend_from_slice(&[7; 20]);
    bytes
}

/// For this target: what is well formed.
pub(crate) fn fixed(target: &str) -> Vec<Vec<u8>> {
    let text = |text: &str| text.as_bytes().to_vec();
    match target {
        "sdp_parse" => vec![text(DESCRIPTION)],
        // The first byte: offer, answer, offer in glare, provisional answer.
        "jsep_apply" => (b'0'..=b'3').map(|choice| [vec![choice], text(DESCRIPTION)].concat()).collect(),
        "stun" => vec![binding_request()],
        "rtp_header" => vec![
            [
                &[0xb1, 0xe0, 0x12, 0x34, 0, 0, 0, 1, 0xde, 0xad, 0xbe, 0xef, 0, 0, 0, 9][..],
                &[0xbe, 0xde, 0, 3, 0x10, 0x85, 0x22, 1, 2, 3, 0x40, b'0', 0xa1, b'h', b'i', 0],
                &[1, 2, 3, 4, 5, 6, 2, 2],
            ]
            .concat(),
        ],
        "rtcp_compound" => vec![
            [
                &[0x81, 201, 0, 7, 0, 0, 0, 1, 0, 0, 0, 2][..],
                &[0x10, 0, 0, 5, 0, 1, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 5],
                &[0x81, 202, 0, 3, 0, 0, 0, 1, 1, 2, b'a', b'b', 0, 0, 0, 0],
                &[0x81, 205, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 9, 0xff, 0xff],
                &[0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2],
                &[0x81, 203, 0, 1, 0, 0, 0, 1],
            ]
            .concat(),
        ],
        "dcep" => {
            let open = [&[3, 0x81, 1, 0, 0, 0, 0, 5, 0, 4, 0, 1][..], b"chatx"].concat();
            vec![open, vec![2]]
        }
        "candidate_line" => vec![
            text(
                "candidate:842163049 1 udp 1677729535 203.0.113.7 46154 typ srflx raddr 10.0.0.5 rport 46154 ufrag x",
            ),
            text("candidate:1 1 tcp 1518280447 2001:db8::1 9 typ host tcptype active generation 0"),
            text("candidate:1 1 udp 1 9b36eaac-bb2e-49bb-bb78-21c41c499900.local 5000 typ host"),
        ],
        "turn_channel" => vec![
            // On the channel that the body has bound, padded as in a stream; and a Data indication of its peer.
            [&[0x40, 0, 0, 5][..], b"hello", &[0, 0, 0]].concat(),
            [
                &[0, 0x17, 0, 20, 0x21, 0x12, 0xa4, 0x42][..],
                b"transaction!",
                &[0, 0x12, 0, 8, 0, 1, 0x32, 0x9a, 0xe1, 0x12, 0xa6, 0x43],
                &[0, 0x13, 0, 4, b'd', b'a', b't', b'a'],
            ]
            .concat(),
        ],
        "mdns" => vec![
            [
                &[0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0, 36][..],
                b"9b36eaac-bb2e-49bb-bb78-21c41c499900",
                &[5],
                b"local",
                &[0, 0, 1, 0x80, 1, 0, 0, 0, 120, 0, 4, 192, 0, 2, 1],
            ]
            .concat(),
            text("9b36eaac-bb2e-49bb-bb78-21c41c499900.local"),
        ],
        other => panic!("no seeds for {other}"),
    }
}

/// Folders of the collections that suit a target.
fn folders(target: &str) -> &'static [&'static str] {
    match target {
        "sdp_parse" | "jsep_apply" => {
            &["sdp-mozilla-mpl2", "sdp-transform-mit", "libwebrtc-fuzz-corpora/sdp"]
        }
        "stun" => &[
            "libwebrtc-fuzz-corpora/stun",
            "aioice",
            "libjuice-stun",
            "pion-stun",
            "pion-turn",
            "pion-gofuzz",
            "coturn-fuzz/FuzzStun/FuzzStun_seed_corpus",
        ],
        "turn_channel" => &[
            "libwebrtc-fuzz-corpora/stun",
            "pion-turn",
            "coturn-fuzz/FuzzStun/FuzzStun_seed_corpus",
            "coturn-fuzz/FuzzStunClient/FuzzStunClient_seed_corpus",
        ],
        "mdns" => &["libwebrtc-fuzz-corpora/mdns"],
        "rtp_header" => {
            &["libwebrtc-fuzz-corpora/rtp", "libwebrtc-fuzz-corpora/crashes-rtp", "aiortc", "werift-rtp"]
        }
        "rtcp_compound" => &[
            "libwebrtc-fuzz-corpora/rtcp",
            "libwebrtc-fuzz-corpora/crashes-rtcp",
            "aiortc",
            "mediasoup-crashes",
        ],
        _ => &[],
    }
}

/// The collections, when this checkout has them beside it or the environment names them.
fn vectors() -> Option<PathBuf> {
    let given = std::env::var_os("ACTIX_RTC_VECTORS").map(PathBuf::from);
    let path = given.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors"));
    path.is_dir().then_some(path)
}

/// Collected inputs for this target, with their names, in an order that does not change.
pub(crate) fn collected(target: &str) -> Vec<(String, Vec<u8>)> {
    let Some(root) = vectors() else { return Vec::new() };
    let mut found = Vec::new();
    for folder in folders(target) {
        for entry in std::fs::read_dir(root.join(folder)).into_iter().flatten().flatten() {
            if let Ok(bytes) = std::fs::read(entry.path()) {
                found.push((entry.path().display().to_string(), bytes));
            }
        }
    }
    found.sort();
    found
}

/// Whether there are collections at all.
pub(crate) fn has_collections() -> bool {
    vectors().is_some()
}
