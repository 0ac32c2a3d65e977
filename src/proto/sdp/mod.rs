//! Session descriptions: a typed model, a total parser and a writer (RFC 8866 and the attributes of WebRTC).
//!
//! Why not a crate: `sdp` keeps attributes as strings without meaning, `webrtc-sdp` is typed but licensed per
//! file and made for one browser; it serves the tests as an oracle.
//!
//! Invariants:
//! - Parsing is total and takes time linear in the text: every text gives a description or an [`SdpError`] with
//!   the line at fault. What may repeat is bounded by the constants here.
//! - Attributes and payload types nobody asked for are ignored (RFC 8866 5.13); malformed values of attributes
//!   that are understood reject the whole text (RFC 8829 5.8).
//! - What [`SessionDescription`] writes, it parses to an equal value.

mod attributes;
mod codec_lines;
mod description;
mod error;
mod grammar;
mod parse;
mod parse_media;
#[cfg(test)]
mod tests;
mod write;

pub use attributes::{
    Direction, ExtensionMapping, Group, MediaType, Msid, Rid, RidDirection, RtcpAddress, SctpMap, Setup,
    Simulcast, SimulcastId, SourceAttribute, SourceGroup,
};
pub use description::{MediaDescription, Origin, SessionDescription, TransportAttributes};
pub use error::{SdpError, SdpErrorReason};

/// Longest text that is parsed: about what a browser writes for 200 video sections.
pub const TEXT_BYTES_MAX: usize = 1 << 20;
/// Most media sections of a description: more than browsers handle in one peer connection.
pub const SECTIONS_MAX: usize = 1_000;
/// Candidates kept for each section; later ones are ignored, as ICE prunes to 100 pairs anyway (RFC 8445 6.1.2.5).
pub const CANDIDATES_MAX: usize = 256;
/// Most lines of any other attribute that may repeat, in each section: plan B descriptions with hundreds of
/// `a=ssrc` lines still pass.
pub const REPEATS_MAX: usize = 2_048;
/// Most `a=rid` lines of a section: simulcast uses three or four.
pub const RIDS_MAX: usize = 64;
/// Most parameters and most feedback values of one codec.
pub const CODEC_VALUES_MAX: usize = 64;
