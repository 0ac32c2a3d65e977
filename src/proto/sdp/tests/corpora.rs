//! Descriptions collected from other projects, and another parser's opinion of them.

use super::*;
use std::path::{Path, PathBuf};
use webrtc_sdp::attribute_type::{SdpAttribute, SdpAttributeType};

/// A description with something of everything, for mutation.
pub(super) const SAMPLE: &str = "v=0\r\no=- 4962303333179871722 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n\
    a=ice-options:trickle ice2\r\na=group:BUNDLE a1 v1 d1\r\na=group:LS a1\r\na=extmap-allow-mixed\r\n\
    a=msid-semantic:WMS *\r\n\
    m=audio 10100 UDP/TLS/RTP/SAVPF 96 0 8 97 98\r\nc=IN IP4 203.0.113.100\r\nb=AS:64\r\na=mid:a1\r\n\
    a=sendrecv\r\na=rtpmap:96 opus/48000/2\r\na=fmtp:96 minptime=10;useinbandfec=1\r\na=rtpmap:0 PCMU/8000\r\n\
    a=rtpmap:8 PCMA/8000\r\na=rtpmap:97 telephone-event/8000\r\na=rtpmap:98 telephone-event/48000\r\n\
    a=fmtp:97 0-15\r\na=maxptime:120\r\na=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid\r\n\
    a=extmap:2 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\na=msid:47017fee-b6c1 track\r\n\
    a=ice-ufrag:ETEn\r\na=ice-pwd:OtSK0WpNtpUjkY4+86js7Z/l\r\n\
    a=fingerprint:sha-256 19:E2:1C:3B:4B:9F:81:E6:B8:5C:F4:A5:A8:D8:73:04:BB:05:2F:70:9F:04:A9:0E:05:E9:26:33:E8:70:88:A2\r\n\
    a=setup:actpass\r\na=tls-id:91bbf309c0990a6bec11e38ba2933cee\r\na=rtcp-mux\r\na=rtcp-rsize\r\n\
    a=candidate:1 1 udp 2113929471 203.0.113.100 10100 typ host\r\na=end-of-candidates\r\n\
    a=ssrc-group:FID 1 2\r\na=ssrc:1 cname:x\r\n\
    m=video 0 UDP/TLS/RTP/SAVPF 100 101\r\na=mid:v1\r\na=bundle-only\r\na=rtpmap:100 VP8/90000\r\n\
    a=rtpmap:101 rtx/90000\r\na=fmtp:101 apt=100\r\na=rtcp-fb:100 nack pli\r\na=rtcp-fb:* nack\r\n\
    a=rid:1 send pt=100;max-width=1280\r\na=rid:2 send\r\na=simulcast:send 1;~2 recv 3\r\n\
    m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:d1\r\na=sctp-port:5000\r\n\
    a=max-message-size:65536\r\n";

/// The vectors beside this checkout, where there are any.
fn vectors() -> Option<PathBuf> {
    let given = std::env::var_os("ACTIX_RTC_VECTORS").map(PathBuf::from);
    let path = given.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors"));
    path.exists().then_some(path)
}

/// Name and text of all descriptions of the corpora.
fn descriptions() -> Vec<(String, String)> {
    let mut found = vec![("sample".to_owned(), SAMPLE.to_owned())];
    let Some(root) = vectors() else { return found };
    for folder in ["sdp-mozilla-mpl2", "sdp-transform-mit", "libwebrtc-fuzz-corpora/sdp"] {
        let Ok(entries) = std::fs::read_dir(root.join(folder)) else { continue };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            if let Ok(bytes) = std::fs::read(&path) {
                found.push((path.display().to_string(), String::from_utf8_lossy(&bytes).into_owned()));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn collected_descriptions_are_refused_or_understood() {
    for (name, text) in descriptions() {
        if let Ok(description) = text.parse::<SessionDescription>() {
            assert_eq!(description.to_string().parse(), Ok(description), "{name}");
        }
    }
}

#[test]
fn another_parser_finds_the_same_in_what_both_accept() {
    let mut compared = 0;
    for (name, text) in descriptions() {
        let (Ok(ours), Ok(theirs)) =
            (text.parse::<SessionDescription>(), webrtc_sdp::parse_sdp(&text, false))
        else {
            continue;
        };
        compared += 1;
        assert_eq!(ours.media.len(), theirs.media.len(), "{name}");
        for (our, their) in ours.media.iter().zip(&theirs.media) {
            assert_eq!(our.media_type.to_string(), their.get_type().to_string(), "{name}");
            assert_eq!(u32::from(our.port), their.get_port(), "{name}");
            let (mut mid, mut ufrag, mut candidates, mut maps) = (None, None, 0, 0);
            for attribute in their.get_attributes() {
                match attribute {
                    SdpAttribute::Mid(value) => mid = Some(value.clone()),
                    SdpAttribute::IceUfrag(value) => ufrag = Some(value.clone()),
                    SdpAttribute::Candidate(_) => candidates += 1,
                    SdpAttribute::Extmap(_) => maps += 1,
                    SdpAttribute::Rtpmap(map) => {
                        let codec = our.codecs.iter().find(|codec| codec.payload_type == map.payload_type);
                        let codec = codec.unwrap_or_else(|| panic!("{name}: {}", map.payload_type));
                        assert_eq!(
                            (&codec.name, codec.clock_rate),
                            (&map.codec_name, map.frequency),
                            "{name}"
                        );
                    }
                    _ => {}
                }
            }
            assert_eq!((&our.mid, &our.transport.ice_ufrag), (&mid, &ufrag), "{name}");
            assert!(our.candidates.len() >= candidates, "{name}");
            assert_eq!(our.extensions.len(), maps, "{name}");
            assert_eq!(our.rtcp_mux, their.get_attribute(SdpAttributeType::RtcpMux).is_some(), "{name}");
        }
    }
    assert!(compared > 0 || vectors().is_none());
}

#[test]
fn what_another_parser_accepts_is_refused_only_for_ice_characters() {
    for (name, text) in descriptions() {
        let Err(error) = text.parse::<SessionDescription>() else { continue };
        if webrtc_sdp::parse_sdp(&text, false).is_ok() {
            // RFC 8839 5.4: `ufrag_voice` has a character that is none of ICE's.
            assert_eq!(error.reason, SdpErrorReason::BadAttribute("ice-ufrag"), "{name}: {error}");
        }
    }
}
