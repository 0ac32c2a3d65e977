//! What the application asks of one encoding of a sender (W3C webrtc-pc §5.2.4, webrtc-priority §3).

pub use crate::proto::Priority;
use crate::proto::rtp::Rid;

/// What the application asks of one encoding (W3C `RTCRtpEncodingParameters`). Media comes encoded and is not
/// transcoded: the limits are passed to whoever encodes the track.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EncodingParameters {
    /// Which encoding; `None`: the only one.
    pub rid: Option<Rid>,
    /// Whether it is sent.
    pub active: bool,
    /// Bits per second at most.
    pub max_bitrate: Option<u64>,
    /// Frames per second at most.
    pub max_framerate: Option<f64>,
    /// Divides width and height, at least 1.
    pub scale_resolution_down_by: Option<f64>,
    /// Share of the bandwidth.
    pub priority: Priority,
    /// Marking of the packets (RFC 8837).
    pub network_priority: Priority,
}

impl Default for EncodingParameters {
    fn default() -> Self {
        Self {
            rid: None,
            active: true,
            max_bitrate: None,
            max_framerate: None,
            scale_resolution_down_by: None,
            priority: Priority::Low,
            network_priority: Priority::Low,
        }
    }
}

/// The identity of one encoding on the wire, as negotiated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EncodingStream {
    /// Its name, written into its packets (RFC 8852).
    pub rid: Rid,
    /// Its source.
    pub ssrc: u32,
    /// The source of its retransmissions.
    pub rtx_ssrc: Option<u32>,
}
