//! Which media section a packet belongs to (RFC 9143 §9.2).

use super::{ExtensionMap, Extensions, Mid, Rid, RtpError};

/// What is negotiated for one media section.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Section {
    /// The caller's number for the section, returned in [`Route`].
    pub index: usize,
    /// `a=mid`.
    pub mid: Option<Mid>,
    /// The payload types that may arrive.
    pub payload_types: Vec<u8>,
    /// Signalled sources with their retransmission source (`a=ssrc`, `a=ssrc-group:FID`).
    pub ssrcs: Vec<(u32, Option<u32>)>,
    /// The encodings that may arrive (`a=rid`).
    pub rids: Vec<Rid>,
}

/// Where a packet goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// [`Section::index`].
    pub section: usize,
    /// The encoding, as learned from this or an earlier packet of the same source.
    pub rid: Option<Rid>,
    /// The source is a repair stream of `rid` (it named itself with `repaired-rtp-stream-id`), or it was
    /// signalled as the retransmission source of another one.
    pub repaired: bool,
}

/// Why a packet has no section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// Not an RTP packet.
    #[error(transparent)]
    Malformed(#[from] RtpError),
    /// RFC 9143 §9.2: a MID that no section has.
    #[error("no media section has this MID")]
    UnknownMid,
    /// The section does not have this RID.
    #[error("the media section has no such RID")]
    UnknownRid,
    /// No section has this source or payload type, or several have the payload type.
    #[error("the source is unknown and the payload type names no section")]
    Unknown,
}

/// Learns SSRC → section from MID, RID and payload type.
#[derive(Debug, Clone, Default)]
pub struct Demultiplexer {
    sections: Vec<Section>,
}

impl Demultiplexer {
    /// Without sections: nothing is routed.
    pub fn new() -> Self {
        Self::default()
    }

    /// After each negotiation: all sections that may receive, and the ids of the bundle (RFC 9143 §9.1: one id
    /// has one meaning in all sections). What was learned stays for sections that stay.
    pub fn set_sections(&mut self, sections: Vec<Section>, extensions: ExtensionMap) {
        let _ = extensions;
        self.sections = sections;
    }

    /// Routes a packet by its (authenticated) header bytes.
    pub fn route_packet(&mut self, packet: &[u8]) -> Result<Route, RouteError> {
        let _ = packet;
        Err(RouteError::Unknown)
    }

    /// Routes by values that are already decoded.
    pub fn route(
        &mut self,
        ssrc: u32,
        payload_type: u8,
        extensions: &Extensions,
    ) -> Result<Route, RouteError> {
        let _ = (ssrc, payload_type, extensions);
        Err(RouteError::Unknown)
    }
}
