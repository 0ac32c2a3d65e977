//! What is negotiated for an outgoing stream.

use super::EncodingStream;
use crate::proto::rtcp::ClockAnchor;
use crate::proto::rtp::{CodecParameters, ExtensionMap, MediaKind, Mid, Rid};

/// What is negotiated for an outgoing stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SenderParameters {
    /// Audio or video.
    pub kind: MediaKind,
    /// The SSRC of the stream.
    pub ssrc: u32,
    /// The SSRC of its retransmissions (RFC 4588); `None`: lost packets are sent again as they were.
    pub rtx_ssrc: Option<u32>,
    /// The encoding's name, written into every packet (RFC 8852) if the extension was negotiated, and as the repaired
    /// one into its retransmissions.
    pub rid: Option<Rid>,
    /// The encodings of a simulcast section, each with its own SSRCs; empty: there is one, with those above. A
    /// [`Sender`](super::Sender) is one encoding and ignores this: its actor makes one for each.
    pub encodings: Vec<EncodingStream>,
    /// The peer's limit from `b=`, in bits per second. Passed to whoever encodes: nothing is dropped for it.
    pub bitrate_max: Option<u64>,
    /// The codecs the peer accepts, with the payload types to use.
    pub codecs: Vec<CodecParameters>,
    /// The header extension ids.
    pub extensions: ExtensionMap,
    /// The section's name, written into every packet if the extension was negotiated.
    pub mid: Option<Mid>,
    /// Our canonical name, one per peer connection.
    pub cname: String,
    /// `a=rtcp-rsize` was negotiated (RFC 5506).
    pub reduced_size: bool,
    /// The wall clock, for sender reports and `abs-send-time`.
    pub clock: ClockAnchor,
}

impl SenderParameters {
    /// Whether a packet composed with either is the same, to the byte.
    pub(super) fn compose_as(&self, other: &Self) -> bool {
        self.ssrc == other.ssrc
            && self.rid == other.rid
            && self.mid == other.mid
            && self.extensions == other.extensions
            && self.codecs == other.codecs
            && self.clock == other.clock
    }
}
