//! Writes STUN messages (RFC 8489 sections 5 and 14).
//!
//! The order is the caller's, except that [`MessageBuilder::integrity`] and
//! [`MessageBuilder::finish`] (which appends FINGERPRINT) come last. Padding is zeros.

use std::net::SocketAddr;

use bytes::{BufMut, Bytes, BytesMut};

use super::attribute::{self, AttributeType, ErrorCode};
use super::header::{Class, HEADER_LENGTH, MAGIC_COOKIE, Method, TransactionId, message_type};
use super::integrity::{DIGEST_LENGTH, IntegrityKey};
use super::message::{FINGERPRINT_LENGTH, FINGERPRINT_XOR};

/// Room for a connectivity check with usual credentials, so that one rarely reallocates.
const USUAL_LENGTH: usize = 128;

/// Builds one message.
#[derive(Debug)]
pub struct MessageBuilder {
    buffer: BytesMut,
    transaction: TransactionId,
}

impl MessageBuilder {
    /// Starts a message.
    pub fn new(class: Class, method: Method, transaction: TransactionId) -> Self {
        let mut buffer = BytesMut::with_capacity(USUAL_LENGTH);
        buffer.put_u16(message_type(class, method));
        buffer.put_u16(0);
        buffer.put_u32(MAGIC_COOKIE);
        buffer.put_slice(&transaction.0);
        Self { buffer, transaction }
    }

    /// Appends an attribute. A value that would not fit into a STUN message is left out: only the
    /// local side chooses values, and none of them comes near 64 KiB.
    pub fn attribute(mut self, kind: AttributeType, value: &[u8]) -> Self {
        let padded = value.len().next_multiple_of(4);
        let length = self.buffer.len() - HEADER_LENGTH + 4 + padded;
        if length + 4 + DIGEST_LENGTH + FINGERPRINT_LENGTH > usize::from(u16::MAX) {
            debug_assert!(false, "attribute {kind} of {} bytes does not fit", value.len());
            return self;
        }
        self.buffer.put_u16(kind.0);
        self.buffer.put_u16(value.len() as u16);
        self.buffer.put_slice(value);
        self.buffer.put_bytes(0, padded - value.len());
        self.set_length(length);
        self
    }

    /// Appends USERNAME.
    pub fn username(self, username: &str) -> Self {
        self.attribute(AttributeType::USERNAME, username.as_bytes())
    }

    /// Appends SOFTWARE.
    pub fn software(self, software: &str) -> Self {
        self.attribute(AttributeType::SOFTWARE, software.as_bytes())
    }

    /// Appends PRIORITY.
    pub fn priority(self, priority: u32) -> Self {
        self.attribute(AttributeType::PRIORITY, &priority.to_be_bytes())
    }

    /// Appends USE-CANDIDATE.
    pub fn use_candidate(self) -> Self {
        self.attribute(AttributeType::USE_CANDIDATE, &[])
    }

    /// Appends ICE-CONTROLLING with its tie-breaker.
    pub fn ice_controlling(self, tie_breaker: u64) -> Self {
        self.attribute(AttributeType::ICE_CONTROLLING, &tie_breaker.to_be_bytes())
    }

    /// Appends ICE-CONTROLLED with its tie-breaker.
    pub fn ice_controlled(self, tie_breaker: u64) -> Self {
        self.attribute(AttributeType::ICE_CONTROLLED, &tie_breaker.to_be_bytes())
    }

    /// Appends LIFETIME (TURN), in seconds.
    pub fn lifetime(self, seconds: u32) -> Self {
        self.attribute(AttributeType::LIFETIME, &seconds.to_be_bytes())
    }

    /// Appends CHANNEL-NUMBER (TURN).
    pub fn channel_number(self, number: u16) -> Self {
        self.attribute(AttributeType::CHANNEL_NUMBER, &(u32::from(number) << 16).to_be_bytes())
    }

    /// Appends XOR-MAPPED-ADDRESS.
    pub fn xor_mapped_address(self, address: SocketAddr) -> Self {
        self.xor_address(AttributeType::XOR_MAPPED_ADDRESS, address)
    }

    /// Appends an XORed address attribute.
    pub fn xor_address(self, kind: AttributeType, address: SocketAddr) -> Self {
        let address = attribute::xor_address(address, self.transaction);
        self.address(kind, address)
    }

    /// Appends an address attribute in clear.
    pub fn address(self, kind: AttributeType, address: SocketAddr) -> Self {
        let (value, length) = attribute::encode_address(address);
        self.attribute(kind, &value[..length])
    }

    /// Appends ERROR-CODE.
    pub fn error_code(self, error: ErrorCode<'_>) -> Self {
        let mut value = Vec::with_capacity(4 + error.reason.len());
        value.extend_from_slice(&[0, 0, (error.code / 100) as u8 & 0x07, (error.code % 100) as u8]);
        value.extend_from_slice(error.reason.as_bytes());
        self.attribute(AttributeType::ERROR_CODE, &value)
    }

    /// Appends UNKNOWN-ATTRIBUTES.
    pub fn unknown_attributes(self, unknown: impl IntoIterator<Item = AttributeType>) -> Self {
        let value: Vec<u8> = unknown.into_iter().flat_map(|kind| kind.0.to_be_bytes()).collect();
        self.attribute(AttributeType::UNKNOWN_ATTRIBUTES, &value)
    }

    /// Appends MESSAGE-INTEGRITY over everything so far. Only FINGERPRINT may follow.
    pub fn integrity(mut self, key: &IntegrityKey) -> Self {
        // RFC 8489 section 14.5: the length field already counts MESSAGE-INTEGRITY when it is signed.
        self.set_length(self.buffer.len() - HEADER_LENGTH + 4 + DIGEST_LENGTH);
        let digest = key.sign(&[&self.buffer]);
        self.buffer.put_u16(AttributeType::MESSAGE_INTEGRITY.0);
        self.buffer.put_u16(DIGEST_LENGTH as u16);
        self.buffer.put_slice(&digest);
        self
    }

    /// Appends FINGERPRINT and gives the message out.
    pub fn finish(mut self) -> Bytes {
        self.set_length(self.buffer.len() - HEADER_LENGTH + FINGERPRINT_LENGTH);
        let fingerprint = crc32fast::hash(&self.buffer) ^ FINGERPRINT_XOR;
        self.buffer.put_u16(AttributeType::FINGERPRINT.0);
        self.buffer.put_u16(4);
        self.buffer.put_u32(fingerprint);
        self.buffer.freeze()
    }

    /// Gives the message out without FINGERPRINT (TURN does not need it).
    pub fn finish_without_fingerprint(self) -> Bytes {
        self.buffer.freeze()
    }

    fn set_length(&mut self, length: usize) {
        self.buffer[2..4].copy_from_slice(&(length as u16).to_be_bytes());
    }
}
