//! The checked view over a received STUN message (RFC 8489 sections 5, 6.3 and 14).
//!
//! `Message::parse` is total: whatever the bytes, it returns a view or names what is wrong. A view
//! that exists has a valid header, attributes that all fit, known attributes of the right shape, and
//! a FINGERPRINT that is last and correct if there is one. Integrity is *not* checked by parsing.
//!
//! Attributes that follow MESSAGE-INTEGRITY are invisible to every getter (RFC 8489 section 9), so
//! nothing can be smuggled in behind the signature.

use std::net::SocketAddr;

use super::attribute::{self, AttributeType, ErrorCode};
use super::error::StunError;
use super::header::{Class, HEADER_LENGTH, MAGIC_COOKIE, Method, TransactionId, split_message_type};
use super::integrity::{DIGEST_LENGTH, IntegrityKey};

/// What FINGERPRINT's CRC-32 is XORed with (RFC 8489 section 14.7): "STUN".
pub(super) const FINGERPRINT_XOR: u32 = 0x5354_554E;

/// Length of FINGERPRINT with its header.
pub(super) const FINGERPRINT_LENGTH: usize = 8;

/// A well-formed STUN message, borrowed from its datagram.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    bytes: &'a [u8],
    class: Class,
    method: Method,
    /// Where the attributes that count end: at MESSAGE-INTEGRITY, FINGERPRINT or the end.
    visible_end: usize,
    integrity_offset: Option<usize>,
    has_fingerprint: bool,
}

impl<'a> Message<'a> {
    /// Reads a datagram.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, StunError> {
        let Some((header, _)) = bytes.split_first_chunk::<HEADER_LENGTH>() else {
            return Err(StunError::TooShort);
        };
        // RFC 8489 section 5: the first two bits are zero.
        if header[0] & 0xC0 != 0 {
            return Err(StunError::NotStun);
        }
        if header[4..8] != MAGIC_COOKIE.to_be_bytes() {
            return Err(StunError::BadCookie);
        }
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        if !length.is_multiple_of(4) || length != bytes.len() - HEADER_LENGTH {
            return Err(StunError::LengthMismatch);
        }
        let (class, method) = split_message_type(u16::from_be_bytes([header[0], header[1]]));
        let mut message = Self {
            bytes,
            class,
            method,
            visible_end: bytes.len(),
            integrity_offset: None,
            has_fingerprint: false,
        };
        message.check_attributes()?;
        Ok(message)
    }

    /// Walks the attributes once: bounds, shapes, and where integrity and fingerprint stand.
    fn check_attributes(&mut self) -> Result<(), StunError> {
        let mut walk = Attributes { bytes: self.bytes, offset: HEADER_LENGTH, end: self.bytes.len() };
        while walk.offset < walk.end {
            let offset = walk.offset;
            let (kind, value) = walk.step()?;
            if self.has_fingerprint {
                return Err(StunError::FingerprintNotLast);
            }
            if kind == AttributeType::FINGERPRINT {
                attribute::check(kind, value)?;
                self.check_fingerprint(offset, value)?;
                self.has_fingerprint = true;
                self.visible_end = self.visible_end.min(offset);
            } else if self.integrity_offset.is_some() {
                // RFC 8489 section 14.5: whatever follows MESSAGE-INTEGRITY is ignored.
            } else {
                attribute::check(kind, value)?;
                if kind == AttributeType::MESSAGE_INTEGRITY {
                    self.integrity_offset = Some(offset);
                    self.visible_end = offset;
                } else if kind == AttributeType::MESSAGE_INTEGRITY_SHA256 {
                    self.visible_end = self.visible_end.min(offset);
                }
            }
        }
        Ok(())
    }

    fn check_fingerprint(&self, offset: usize, value: &[u8]) -> Result<(), StunError> {
        let expected = crc32fast::hash(&self.bytes[..offset]) ^ FINGERPRINT_XOR;
        if value == expected.to_be_bytes() { Ok(()) } else { Err(StunError::BadFingerprint) }
    }

    /// The class.
    pub fn class(&self) -> Class {
        self.class
    }

    /// The method.
    pub fn method(&self) -> Method {
        self.method
    }

    /// The transaction id.
    pub fn transaction_id(&self) -> TransactionId {
        let mut id = [0; 12];
        id.copy_from_slice(&self.bytes[8..HEADER_LENGTH]);
        TransactionId(id)
    }

    /// The whole message as it arrived.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether the message ends in a (correct) FINGERPRINT.
    pub fn has_fingerprint(&self) -> bool {
        self.has_fingerprint
    }

    /// Whether there is a MESSAGE-INTEGRITY to verify.
    pub fn has_integrity(&self) -> bool {
        self.integrity_offset.is_some()
    }

    /// Whether MESSAGE-INTEGRITY is there and was made with `key`. Compares in constant time.
    pub fn verify_integrity(&self, key: &IntegrityKey) -> bool {
        let Some(offset) = self.integrity_offset else { return false };
        let value_start = offset + 4;
        let Some(value) = self.bytes.get(value_start..value_start + DIGEST_LENGTH) else { return false };
        // RFC 8489 section 14.5: the length field counts up to and including MESSAGE-INTEGRITY.
        let length = (value_start + DIGEST_LENGTH - HEADER_LENGTH) as u16;
        let digest = key.sign(&[&self.bytes[..2], &length.to_be_bytes(), &self.bytes[4..offset]]);
        openssl::memcmp::eq(&digest, value)
    }

    /// The attributes that count, in order of appearance.
    pub fn attributes(&self) -> impl Iterator<Item = (AttributeType, &'a [u8])> + use<'a> {
        Attributes { bytes: self.bytes, offset: HEADER_LENGTH, end: self.visible_end }
    }

    /// The first attribute of a type (RFC 8489 section 14: later ones are ignored).
    pub fn attribute(&self, kind: AttributeType) -> Option<&'a [u8]> {
        self.attributes().find(|(found, _)| *found == kind).map(|(_, value)| value)
    }

    /// The comprehension-required attributes this codec does not know: a request that has any is
    /// answered 420 (RFC 8489 section 6.3.1).
    pub fn unknown_required_attributes(&self) -> impl Iterator<Item = AttributeType> + use<'a> {
        self.attributes()
            .map(|(kind, _)| kind)
            .filter(|kind| kind.is_comprehension_required() && kind.name().is_none())
    }

    /// USERNAME.
    pub fn username(&self) -> Option<&'a str> {
        self.text(AttributeType::USERNAME)
    }

    /// REALM.
    pub fn realm(&self) -> Option<&'a str> {
        self.text(AttributeType::REALM)
    }

    /// SOFTWARE.
    pub fn software(&self) -> Option<&'a str> {
        self.text(AttributeType::SOFTWARE)
    }

    /// NONCE.
    pub fn nonce(&self) -> Option<&'a [u8]> {
        self.attribute(AttributeType::NONCE)
    }

    /// DATA.
    pub fn data(&self) -> Option<&'a [u8]> {
        self.attribute(AttributeType::DATA)
    }

    /// XOR-MAPPED-ADDRESS.
    pub fn xor_mapped_address(&self) -> Option<SocketAddr> {
        self.xor_address(AttributeType::XOR_MAPPED_ADDRESS)
    }

    /// An address attribute that is XORed (XOR-MAPPED-, XOR-PEER-, XOR-RELAYED-ADDRESS).
    pub fn xor_address(&self, kind: AttributeType) -> Option<SocketAddr> {
        let address = attribute::decode_address(self.attribute(kind)?)?;
        Some(attribute::xor_address(address, self.transaction_id()))
    }

    /// All address attributes of one XORed kind, in order: Allocate responses may have two
    /// XOR-RELAYED-ADDRESSes (RFC 8656 section 7.3).
    pub fn xor_addresses(&self, kind: AttributeType) -> impl Iterator<Item = SocketAddr> + use<'a> {
        let transaction = self.transaction_id();
        self.attributes().filter(move |(found, _)| *found == kind).filter_map(move |(_, value)| {
            Some(attribute::xor_address(attribute::decode_address(value)?, transaction))
        })
    }

    /// An address attribute in clear (MAPPED-ADDRESS, ALTERNATE-SERVER, ...).
    pub fn address(&self, kind: AttributeType) -> Option<SocketAddr> {
        attribute::decode_address(self.attribute(kind)?)
    }

    /// ERROR-CODE.
    pub fn error_code(&self) -> Option<ErrorCode<'a>> {
        ErrorCode::decode(self.attribute(AttributeType::ERROR_CODE)?)
    }

    /// PRIORITY.
    pub fn priority(&self) -> Option<u32> {
        self.number(AttributeType::PRIORITY)
    }

    /// LIFETIME in seconds.
    pub fn lifetime(&self) -> Option<u32> {
        self.number(AttributeType::LIFETIME)
    }

    /// CHANNEL-NUMBER.
    pub fn channel_number(&self) -> Option<u16> {
        self.number(AttributeType::CHANNEL_NUMBER).map(|value| (value >> 16) as u16)
    }

    /// Whether USE-CANDIDATE is there.
    pub fn use_candidate(&self) -> bool {
        self.attribute(AttributeType::USE_CANDIDATE).is_some()
    }

    /// The tie-breaker of ICE-CONTROLLING.
    pub fn ice_controlling(&self) -> Option<u64> {
        self.tie_breaker(AttributeType::ICE_CONTROLLING)
    }

    /// The tie-breaker of ICE-CONTROLLED.
    pub fn ice_controlled(&self) -> Option<u64> {
        self.tie_breaker(AttributeType::ICE_CONTROLLED)
    }

    fn text(&self, kind: AttributeType) -> Option<&'a str> {
        std::str::from_utf8(self.attribute(kind)?).ok()
    }

    fn number(&self, kind: AttributeType) -> Option<u32> {
        Some(u32::from_be_bytes(self.attribute(kind)?.try_into().ok()?))
    }

    fn tie_breaker(&self, kind: AttributeType) -> Option<u64> {
        Some(u64::from_be_bytes(self.attribute(kind)?.try_into().ok()?))
    }
}

impl std::fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message")
            .field("class", &self.class)
            .field("method", &self.method)
            .field("transaction_id", &self.transaction_id())
            .field("attributes", &self.attributes().map(|(kind, _)| kind).collect::<Vec<_>>())
            .finish()
    }
}

/// Walks attributes; padding is skipped whatever its bytes (RFC 8489 section 14).
struct Attributes<'a> {
    bytes: &'a [u8],
    offset: usize,
    end: usize,
}

impl<'a> Attributes<'a> {
    fn step(&mut self) -> Result<(AttributeType, &'a [u8]), StunError> {
        let rest = &self.bytes[self.offset..self.end];
        let Some(([a, b, c, d], rest)) = rest.split_first_chunk::<4>() else {
            // Only reached if the walk were not aligned to 4, which `parse` has ruled out.
            return Err(StunError::LengthMismatch);
        };
        let kind = AttributeType(u16::from_be_bytes([*a, *b]));
        let length = usize::from(u16::from_be_bytes([*c, *d]));
        let value = rest.get(..length).ok_or(StunError::TruncatedAttribute(kind))?;
        // `end` is a multiple of 4 from the header on, so a value that fits also fits padded.
        self.offset = (self.offset + 4 + length.next_multiple_of(4)).min(self.end);
        Ok((kind, value))
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (AttributeType, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        if self.offset < self.end { self.step().ok() } else { None }
    }
}
