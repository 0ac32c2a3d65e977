//! What a payload type means: the codec as negotiated in SDP.

/// One codec as negotiated: an `a=rtpmap` with its `a=fmtp` and `a=rtcp-fb` lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodecParameters {
    /// RTP payload type, 0–127 without 64–95.
    pub payload_type: u8,
    /// Encoding name as in SDP, e.g. `VP8`; compared without case.
    pub name: String,
    /// RTP clock rate in Hz.
    pub clock_rate: u32,
    /// Audio channels; `None` for video.
    pub channels: Option<u8>,
    /// `a=fmtp` parameters in order: `name=value` or a bare word.
    pub parameters: Vec<(String, Option<String>)>,
    /// `a=rtcp-fb` values, e.g. `nack pli`.
    pub feedback: Vec<String>,
}
