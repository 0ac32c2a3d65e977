//! Views of DTLS 1.2 records and of the handshake fragments in them (RFC 6347 §4.1, §4.2.2).
//!
//! Total: anything malformed ends the iteration. Nothing here is authenticated.

/// Type, version, epoch, sequence number, length.
pub(super) const RECORD_HEADER_LENGTH: usize = 13;
/// Type, length, message sequence, fragment offset, fragment length.
const FRAGMENT_HEADER_LENGTH: usize = 12;
/// RFC 5246 §6.2.3: plaintext of 2^14 bytes and 2,048 of cipher expansion.
const MAXIMUM_RECORD_LENGTH: usize = (1 << 14) + 2048;
/// The explicit nonce and the tag of AES-GCM (RFC 5288 §3), which all our cipher suites use. An encrypted
/// record is longer. OpenSSL takes a shorter one for an internal error and ends the session, though
/// anyone can send it: such records must never reach it.
const ENCRYPTION_OVERHEAD: usize = 8 + 16;
/// The epoch of everything encrypted: there is no renegotiation.
pub(super) const ENCRYPTED_EPOCH: u16 = 1;
/// First byte of every DTLS version: 254.255 is 1.0 (in hellos), 254.253 is 1.2.
const MAJOR_VERSION: u8 = 254;
/// DTLS 1.2, as our records say.
pub(super) const RECORD_VERSION: [u8; 2] = [MAJOR_VERSION, 253];

pub(super) const CHANGE_CIPHER_SPEC: u8 = 20;
pub(super) const ALERT: u8 = 21;
pub(super) const HANDSHAKE: u8 = 22;
pub(super) const APPLICATION_DATA: u8 = 23;

pub(super) const CLIENT_HELLO: u8 = 1;
pub(super) const HELLO_VERIFY_REQUEST: u8 = 3;
pub(super) const CERTIFICATE: u8 = 11;
pub(super) const SERVER_HELLO_DONE: u8 = 14;
pub(super) const CERTIFICATE_VERIFY: u8 = 15;
pub(super) const CLIENT_KEY_EXCHANGE: u8 = 16;
pub(super) const FINISHED: u8 = 20;

/// One record of a datagram.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record<'a> {
    pub(super) content_type: u8,
    pub(super) epoch: u16,
    pub(super) sequence_number: u64,
    /// The record with its header.
    pub(super) bytes: &'a [u8],
    /// The record without its header; encrypted unless the epoch is 0.
    pub(super) body: &'a [u8],
}

impl Record<'_> {
    /// Whether the record could be one of the encrypted epoch.
    pub(super) fn may_be_encrypted(&self) -> bool {
        self.epoch == ENCRYPTED_EPOCH && self.body.len() > ENCRYPTION_OVERHEAD
    }
}

/// The records of a datagram, up to the first malformed one.
pub(super) fn records(mut datagram: &[u8]) -> impl Iterator<Item = Record<'_>> {
    std::iter::from_fn(move || {
        let header = datagram.first_chunk::<RECORD_HEADER_LENGTH>()?;
        let length = usize::from(u16::from_be_bytes([header[11], header[12]]));
        if header[1] != MAJOR_VERSION || length > MAXIMUM_RECORD_LENGTH {
            return None;
        }
        let (bytes, rest) = datagram.split_at_checked(RECORD_HEADER_LENGTH + length)?;
        datagram = rest;
        let sequence_number = [0, 0, header[5], header[6], header[7], header[8], header[9], header[10]];
        Some(Record {
            content_type: header[0],
            epoch: u16::from_be_bytes([header[3], header[4]]),
            sequence_number: u64::from_be_bytes(sequence_number),
            bytes,
            body: &bytes[RECORD_HEADER_LENGTH..],
        })
    })
}

/// A piece of a handshake message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fragment<'a> {
    pub(super) message_type: u8,
    /// Length of the whole message.
    pub(super) message_length: usize,
    pub(super) message_sequence: u16,
    pub(super) offset: usize,
    pub(super) body: &'a [u8],
}

impl Fragment<'_> {
    pub(super) fn end(&self) -> usize {
        self.offset + self.body.len()
    }
}

/// The fragments in the body of an unencrypted handshake record, up to the first malformed one.
pub(super) fn fragments(mut body: &[u8]) -> impl Iterator<Item = Fragment<'_>> {
    std::iter::from_fn(move || {
        let header = body.first_chunk::<FRAGMENT_HEADER_LENGTH>()?;
        let length = |at: usize| {
            usize::from(header[at]) << 16 | usize::from(header[at + 1]) << 8 | usize::from(header[at + 2])
        };
        let (message_length, offset, fragment_length) = (length(1), length(6), length(9));
        let rest = &body[FRAGMENT_HEADER_LENGTH..];
        let (fragment, rest) = rest.split_at_checked(fragment_length)?;
        if offset + fragment_length > message_length {
            return None;
        }
        body = rest;
        Some(Fragment {
            message_type: header[0],
            message_length,
            message_sequence: u16::from_be_bytes([header[4], header[5]]),
            offset,
            body: fragment,
        })
    })
}
