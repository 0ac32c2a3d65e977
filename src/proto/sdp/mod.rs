//! Session descriptions: parser and writer (RFC 8866).

mod error;

pub use error::{SdpError, SdpErrorReason};

/// Longest text that is parsed: a description with 1,000 video sections of a browser is about this long.
pub const TEXT_BYTES_MAX: usize = 1 << 20;
/// Most media sections of a description.
pub const SECTIONS_MAX: usize = 1_000;

/// Which way media flows, from the side of the description's author.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[allow(clippy::exhaustive_enums, reason = "RFC 8866 6.7 has these four")]
pub enum Direction {
    /// `a=sendrecv`, the default.
    #[default]
    Sendrecv,
    /// `a=sendonly`
    Sendonly,
    /// `a=recvonly`
    Recvonly,
    /// `a=inactive`
    Inactive,
}
