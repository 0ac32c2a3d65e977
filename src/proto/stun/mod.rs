//! STUN messages (RFC 8489), with the attributes of ICE (RFC 8445) and TURN (RFC 8656).
//!
//! [`Message`] is a checked view over received bytes, [`MessageBuilder`] writes messages and
//! [`IntegrityKey`] signs and verifies them. Nothing here panics on received bytes and reading
//! allocates nothing.
//!
//! Deliberately not here: RFC 3489 compatibility, MESSAGE-INTEGRITY-SHA256 (no ICE peer uses it) and
//! transactions, which belong to the protocol that runs over STUN.

mod attribute;
mod builder;
mod error;
mod header;
mod integrity;
mod message;
#[cfg(test)]
mod tests;

pub use attribute::{AttributeType, ErrorCode};
pub use builder::MessageBuilder;
pub use error::StunError;
pub use header::{Class, HEADER_LENGTH, MAGIC_COOKIE, Method, TransactionId};
pub use integrity::IntegrityKey;
pub use message::Message;

/// Whether a datagram has the outside of a STUN message: top bits, magic cookie and length.
/// For telling protocols apart on one port (RFC 7983); [`Message::parse`] checks the rest.
pub fn is_stun(bytes: &[u8]) -> bool {
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER_LENGTH>() else { return false };
    header[0] & 0xC0 == 0
        && header[4..8] == MAGIC_COOKIE.to_be_bytes()
        && usize::from(u16::from_be_bytes([header[2], header[3]])) == rest.len()
}

/// The local username fragment a Binding request is addressed to: what precedes the colon in its
/// USERNAME. Cheap (no checksum, no HMAC): it finds the agent for a datagram from an unknown address,
/// and proves nothing about the sender.
pub fn ufrag_of(bytes: &[u8]) -> Option<&str> {
    /// Type field of a Binding request.
    const BINDING_REQUEST: [u8; 2] = [0x00, 0x01];
    if !is_stun(bytes) || bytes[..2] != BINDING_REQUEST {
        return None;
    }
    let mut rest = &bytes[HEADER_LENGTH..];
    while let Some(([a, b, c, d], after)) = rest.split_first_chunk::<4>() {
        let length = usize::from(u16::from_be_bytes([*c, *d]));
        let value = after.get(..length)?;
        match AttributeType(u16::from_be_bytes([*a, *b])) {
            AttributeType::USERNAME => {
                let end = value.iter().position(|byte| *byte == b':')?;
                return std::str::from_utf8(&value[..end]).ok();
            }
            // Whatever follows the signature does not count (RFC 8489 section 9).
            AttributeType::MESSAGE_INTEGRITY => return None,
            _ => rest = after.get(length.next_multiple_of(4)..)?,
        }
    }
    None
}
