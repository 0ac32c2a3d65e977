//! Why a datagram is not a STUN message.

use super::attribute::AttributeType;

/// What is wrong with a datagram that was read as STUN. The sender is to blame for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StunError {
    /// Fewer bytes than a STUN header has.
    #[error("shorter than the 20 bytes of a STUN header")]
    TooShort,
    /// The two most significant bits are not zero (RFC 8489 section 5).
    #[error("the two most significant bits are not zero")]
    NotStun,
    /// Bytes 4 to 7 are not 0x2112A442: an RFC 3489 client or no STUN at all.
    #[error("the magic cookie is wrong")]
    BadCookie,
    /// The length field is no multiple of 4 or differs from the datagram's length.
    #[error("the length field does not match the datagram")]
    LengthMismatch,
    /// An attribute claims more bytes than the message has left.
    #[error("attribute {0} runs past the end of the message")]
    TruncatedAttribute(AttributeType),
    /// An attribute this codec knows has a length or a content its definition does not allow.
    #[error("attribute {0} is malformed")]
    MalformedAttribute(AttributeType),
    /// The FINGERPRINT does not match the message (RFC 8489 section 14.7).
    #[error("the FINGERPRINT does not match")]
    BadFingerprint,
    /// Something follows FINGERPRINT, which must be last (RFC 8489 section 14.7).
    #[error("an attribute follows FINGERPRINT")]
    FingerprintNotLast,
}
