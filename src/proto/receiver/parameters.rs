//! What is negotiated for an inbound section.

use crate::proto::rtp::{CodecParameters, ExtensionMap, MediaKind};

/// What is negotiated for an inbound section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiverParameters {
    /// Audio or video.
    pub kind: MediaKind,
    /// The codecs that may arrive, with their payload types.
    pub codecs: Vec<CodecParameters>,
    /// The header extension ids.
    pub extensions: ExtensionMap,
    /// Signalled sources with their retransmission source; may be empty.
    pub ssrcs: Vec<(u32, Option<u32>)>,
    /// The SSRC our reports come from.
    pub local_ssrc: u32,
    /// Our canonical name, one per peer connection.
    pub cname: String,
    /// `a=rtcp-rsize` was negotiated (RFC 5506).
    pub reduced_size: bool,
}
