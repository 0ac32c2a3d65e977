//! Why a packet was not taken.

use crate::proto::rtp::RtpError;

/// Why a packet was not taken; a reason for the drop counters, never fatal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReceiveError {
    /// Not an RTP packet.
    #[error(transparent)]
    Malformed(#[from] RtpError),
    /// The payload type was not negotiated.
    #[error("the payload type was not negotiated")]
    UnknownPayloadType,
    /// Seen before.
    #[error("the packet was received before")]
    Duplicate,
    /// Older than the window in which duplicates are told apart.
    #[error("the packet is too old")]
    TooOld,
    /// Far away from the sequence so far, and not confirmed by a second packet (RFC 3550 A.1).
    #[error("the sequence number jumped")]
    SequenceJump,
    /// A retransmission of a source that is not known (RFC 4588 §5.3).
    #[error("the retransmission belongs to no known source")]
    UnknownRepairedSource,
    /// A retransmission without an original sequence number (RFC 4588 §4), or of another retransmission.
    #[error("the retransmission is malformed")]
    MalformedRetransmission,
}
