//! The dictionaries of RTP parameters and capabilities (W3C webrtc-pc §5.2), in JSON with the names of
//! the W3C.

use serde::{Deserialize, Serialize};

pub use crate::proto::Priority as RtcPriorityType;

/// What a sender does, and what can be changed of it (W3C `RTCRtpSendParameters`). Made by
/// `get_parameters`, changed, and given back to `set_parameters`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RtcRtpSendParameters {
    /// Names this look at the parameters: `set_parameters` takes those that were looked at last.
    pub transaction_id: String,
    /// What is sent: one entry, or one per simulcast layer.
    pub encodings: Vec<RtcRtpEncodingParameters>,
    /// Negotiated header extensions. Read-only.
    pub header_extensions: Vec<RtcRtpHeaderExtensionParameters>,
    /// RTCP. Read-only.
    pub rtcp: RtcRtcpParameters,
    /// Negotiated codecs, the one that is sent first. Read-only.
    pub codecs: Vec<RtcRtpCodecParameters>,
}

/// What a receiver takes (W3C `RTCRtpReceiveParameters`).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RtcRtpReceiveParameters {
    /// Negotiated header extensions.
    pub header_extensions: Vec<RtcRtpHeaderExtensionParameters>,
    /// RTCP.
    pub rtcp: RtcRtcpParameters,
    /// Negotiated codecs.
    pub codecs: Vec<RtcRtpCodecParameters>,
}

/// Parameters that both directions have (W3C `RTCRtpParameters`; for wiring transports by hand, with the
/// `muxId` of ORTC §9.3).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RtcRtpParameters {
    /// Codecs.
    pub codecs: Vec<RtcRtpCodecParameters>,
    /// Header extensions.
    pub header_extensions: Vec<RtcRtpHeaderExtensionParameters>,
    /// The value of the MID header extension (RFC 9143 §15); empty for none.
    pub mux_id: String,
    /// RTCP.
    pub rtcp: RtcRtcpParameters,
}

/// One encoding of what a sender sends (W3C `RTCRtpEncodingParameters`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RtcRtpEncodingParameters {
    /// The simulcast layer (RFC 8851): 1 to 255 letters and digits. Fixed when the sender is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rid: Option<String>,
    /// Whether it is sent. Default: true.
    pub active: bool,
    /// The most it may take, in bits per second without headers of the layers below RTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bitrate: Option<u64>,
    /// The most frames per second, for video. Advice to who encodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_framerate: Option<f64>,
    /// By how much width and height are divided before encoding, at least 1, for video. Advice to who
    /// encodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_resolution_down_by: Option<f64>,
    /// Which streams go without first when bandwidth is short (W3C webrtc-priority §4).
    pub priority: RtcPriorityType,
    /// The priority in the network (DSCP, RFC 8837); that of [`Self::priority`] when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_priority: Option<RtcPriorityType>,
}

impl Default for RtcRtpEncodingParameters {
    fn default() -> Self {
        Self {
            rid: None,
            active: true,
            max_bitrate: None,
            max_framerate: None,
            scale_resolution_down_by: None,
            priority: RtcPriorityType::Low,
            network_priority: None,
        }
    }
}

impl RtcRtpEncodingParameters {
    /// An active encoding with this rid.
    pub fn with_rid(rid: impl Into<String>) -> Self {
        Self { rid: Some(rid.into()), ..Self::default() }
    }
}

/// RTCP of a sender or receiver (W3C `RTCRtcpParameters`; `mux` and `ssrc` are those of ORTC §9.6).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RtcRtcpParameters {
    /// The canonical name (RFC 7022).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cname: Option<String>,
    /// Reduced-size RTCP (RFC 5506).
    pub reduced_size: bool,
    /// Multiplexed with RTP: always.
    pub mux: bool,
    /// The source that reports; `None` when any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssrc: Option<u32>,
}

impl Default for RtcRtcpParameters {
    fn default() -> Self {
        Self { cname: None, reduced_size: false, mux: true, ssrc: None }
    }
}

/// A negotiated header extension (W3C `RTCRtpHeaderExtensionParameters`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RtcRtpHeaderExtensionParameters {
    /// What it means (RFC 8285 §5).
    pub uri: String,
    /// Its number in packets, 1–14 or up to 255 with two-byte headers.
    pub id: u16,
    /// Encrypted (RFC 9335): never.
    pub encrypted: bool,
}

/// A negotiated codec (W3C `RTCRtpCodecParameters`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RtcRtpCodecParameters {
    /// Its number in packets.
    pub payload_type: u8,
    /// `audio/opus`, `video/VP8`, …
    pub mime_type: String,
    /// In Hz.
    pub clock_rate: u32,
    /// For audio.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<u16>,
    /// The value of its `a=fmtp` line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sdp_fmtp_line: Option<String>,
    /// Negotiated feedback, `a=rtcp-fb` (RFC 4585 §4.2).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rtcp_feedback: Vec<RtcRtcpFeedback>,
}

impl RtcRtpCodecParameters {
    /// The parameters of [`Self::sdp_fmtp_line`]: name and value.
    pub fn parameters(&self) -> Vec<(String, Option<String>)> {
        fmtp_parameters(self.sdp_fmtp_line.as_deref())
    }
}

/// Feedback that a codec may be given (ORTC `RTCRtcpFeedback`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RtcRtcpFeedback {
    /// `nack`, `ccm`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// `pli`, `fir`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
}

/// What can be sent or received (W3C `RTCRtpCapabilities`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RtcRtpCapabilities {
    /// Codecs in order of preference; `rtx` once.
    pub codecs: Vec<RtcRtpCodecCapability>,
    /// Header extensions.
    pub header_extensions: Vec<RtcRtpHeaderExtensionCapability>,
}

/// A codec that can be negotiated (W3C `RTCRtpCodecCapability`, also `RTCRtpCodec`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RtcRtpCodecCapability {
    /// `audio/opus`, `video/VP8`, …
    pub mime_type: String,
    /// In Hz.
    pub clock_rate: u32,
    /// For audio.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<u16>,
    /// The value of its `a=fmtp` line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sdp_fmtp_line: Option<String>,
}

impl RtcRtpCodecCapability {
    /// The encoding name, behind the slash of the MIME type.
    pub fn name(&self) -> &str {
        self.mime_type.split_once('/').map_or(self.mime_type.as_str(), |(_, name)| name)
    }

    /// The parameters of [`Self::sdp_fmtp_line`]: name and value.
    pub fn parameters(&self) -> Vec<(String, Option<String>)> {
        fmtp_parameters(self.sdp_fmtp_line.as_deref())
    }
}

/// A header extension that can be negotiated (W3C `RTCRtpHeaderExtensionCapability`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RtcRtpHeaderExtensionCapability {
    /// What it means (RFC 8285 §5).
    pub uri: String,
}

/// Who contributed to what was received last (W3C `RTCRtpContributingSource`).
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RtcRtpContributingSource {
    /// When its last packet came, in milliseconds since 1970.
    pub timestamp: f64,
    /// The CSRC.
    pub source: u32,
    /// How loud it was, 0 to 1 linearly, from the header extension of RFC 6465.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_level: Option<f64>,
    /// The RTP timestamp of that packet.
    pub rtp_timestamp: u32,
}

/// Who sent what was received last (W3C `RTCRtpSynchronizationSource`).
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RtcRtpSynchronizationSource {
    /// When its last packet came, in milliseconds since 1970.
    pub timestamp: f64,
    /// The SSRC.
    pub source: u32,
    /// How loud it was, 0 to 1 linearly, from the header extension of RFC 6464.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_level: Option<f64>,
    /// The RTP timestamp of that packet.
    pub rtp_timestamp: u32,
}

fn fmtp_parameters(line: Option<&str>) -> Vec<(String, Option<String>)> {
    line.unwrap_or_default()
        .split(';')
        .map(str::trim)
        .filter(|parameter| !parameter.is_empty())
        .map(|parameter| match parameter.split_once('=') {
            Some((name, value)) => (name.trim().to_owned(), Some(value.trim().to_owned())),
            None => (parameter.to_owned(), None),
        })
        .collect()
}
