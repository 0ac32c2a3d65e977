//! What this side can send and receive: codecs and header extensions for each kind of media.
//!
//! The defaults are those of a forwarder: it decodes nothing, so it offers what browsers offer, and answers
//! every H264 profile it is offered. Feedback leaves out `transport-cc` and `goog-remb`: nothing answers them
//! as long as there is no bandwidth estimator.

use super::types::MediaKind;
use crate::proto::rtp::CodecParameters;
use std::sync::{Arc, LazyLock};

/// Capabilities for both kinds of media, each shared by all sessions that have the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaCapabilities {
    /// For `m=audio`.
    pub audio: Arc<KindCapabilities>,
    /// For `m=video`.
    pub video: Arc<KindCapabilities>,
}

/// Capabilities for one kind of media.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KindCapabilities {
    /// Codecs in order of preference, with the payload types wanted in offers; rtx follows its codec.
    pub codecs: Vec<CodecParameters>,
    /// Header extensions with the ids wanted in offers.
    pub extensions: Vec<(u8, String)>,
    /// Whether an answer accepts any H264 profile as long as H264 is among `codecs`.
    pub any_h264_profile: bool,
}

impl MediaCapabilities {
    /// Those of one kind.
    pub fn of(&self, kind: MediaKind) -> &KindCapabilities {
        match kind {
            MediaKind::Audio => &self.audio,
            MediaKind::Video => &self.video,
        }
    }
}

impl Default for MediaCapabilities {
    fn default() -> Self {
        static AUDIO: LazyLock<Arc<KindCapabilities>> = LazyLock::new(|| Arc::new(audio()));
        static VIDEO: LazyLock<Arc<KindCapabilities>> = LazyLock::new(|| Arc::new(video()));
        Self { audio: Arc::clone(&AUDIO), video: Arc::clone(&VIDEO) }
    }
}

/// Header extension that carries the identification tag (RFC 9143 15).
pub(super) const MID_URI: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
/// Header extension that carries the RTP stream id (RFC 8852).
pub(super) const RID_URI: &str = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id";

const AUDIO_EXTENSIONS: [(u8, &str); 3] = [
    (1, "urn:ietf:params:rtp-hdrext:ssrc-audio-level"),
    (2, "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"),
    (4, MID_URI),
];

const VIDEO_EXTENSIONS: [(u8, &str); 9] = [
    (2, "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"),
    (13, "urn:3gpp:video-orientation"),
    (5, "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"),
    (8, "http://www.webrtc.org/experiments/rtp-hdrext/color-space"),
    (4, MID_URI),
    (10, RID_URI),
    (11, "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"),
    (12, "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"),
    (9, "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time"),
];

fn extensions(list: &[(u8, &str)]) -> Vec<(u8, String)> {
    list.iter().map(|&(id, uri)| (id, uri.to_owned())).collect()
}

fn audio() -> KindCapabilities {
    let codec =
        |payload_type, name: &str, clock_rate, channels, parameters: &[(&str, &str)]| CodecParameters {
            payload_type,
            name: name.to_owned(),
            clock_rate,
            channels: Some(channels),
            parameters: parameters.iter().map(|&(n, v)| (n.to_owned(), Some(v.to_owned()))).collect(),
            feedback: Vec::new(),
        };
    KindCapabilities {
        codecs: vec![
            codec(111, "opus", 48_000, 2, &[("minptime", "10"), ("useinbandfec", "1")]),
            // RFC 3551 4.5.2: the clock rate of G722 is 8,000 by an old mistake.
            codec(9, "G722", 8_000, 1, &[]),
            codec(0, "PCMU", 8_000, 1, &[]),
            codec(8, "PCMA", 8_000, 1, &[]),
            codec(110, "telephone-event", 48_000, 1, &[]),
            codec(126, "telephone-event", 8_000, 1, &[]),
        ],
        extensions: extensions(&AUDIO_EXTENSIONS),
        any_h264_profile: false,
    }
}

fn video() -> KindCapabilities {
    let mut codecs = Vec::new();
    let mut add = |payload_type: u8, rtx: u8, name: &str, parameters: &[(&str, &str)]| {
        codecs.push(CodecParameters {
            payload_type,
            name: name.to_owned(),
            clock_rate: 90_000,
            channels: None,
            parameters: parameters.iter().map(|&(n, v)| (n.to_owned(), Some(v.to_owned()))).collect(),
            feedback: ["ccm fir", "nack", "nack pli"].map(str::to_owned).to_vec(),
        });
        codecs.push(CodecParameters {
            payload_type: rtx,
            name: "rtx".to_owned(),
            clock_rate: 90_000,
            channels: None,
            parameters: vec![("apt".to_owned(), Some(payload_type.to_string()))],
            feedback: Vec::new(),
        });
    };
    let h264 = |mode, profile| {
        [("level-asymmetry-allowed", "1"), ("packetization-mode", mode), ("profile-level-id", profile)]
    };
    add(96, 97, "VP8", &[]);
    add(98, 99, "VP9", &[("profile-id", "0")]);
    add(102, 103, "H264", &h264("1", "42e01f"));
    add(104, 107, "H264", &h264("1", "42001f"));
    add(108, 109, "H264", &h264("0", "42e01f"));
    add(114, 115, "H264", &h264("0", "42001f"));
    add(45, 46, "AV1", &[("level-idx", "5"), ("profile", "0"), ("tier", "0")]);
    KindCapabilities { codecs, extensions: extensions(&VIDEO_EXTENSIONS), any_h264_profile: true }
}
