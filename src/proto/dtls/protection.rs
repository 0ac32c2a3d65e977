//! Encrypted records once the handshake is over (RFC 6347 §4.1, RFC 5288 §3): AES-GCM with the keys that
//! OpenSSL agreed on.
//!
//! OpenSSL's part ends with the handshake, and with it the 60 KB a session of its costs: what follows takes
//! two cipher contexts and a replay window. Invariants:
//!
//! - No nonce is used twice with a key. OpenSSL counts the explicit half up from a random start; we count on
//!   from the last one it used, whether that record was sent or not. The record numbers go on likewise.
//! - A record counts as received only after its tag was checked.

use bytes::{Buf, BytesMut};
use openssl::ssl::SslRef;
use zeroize::Zeroizing;

use super::error::DtlsError;
use super::prf::{self, PrfHash};
use super::record::{ENCRYPTED_EPOCH, RECORD_HEADER_LENGTH, RECORD_VERSION, Record};
use super::session::Role;
use crate::proto::aes_gcm::{AesGcm, CipherFailed, NONCE_LENGTH, TAG_LENGTH};
use crate::proto::replay_window::{Freshness, ReplayWindow};

/// The half of the nonce that both sides derive (RFC 5288 §3).
const IMPLICIT_LENGTH: usize = 4;
/// The half that a record carries.
const EXPLICIT_LENGTH: usize = NONCE_LENGTH - IMPLICIT_LENGTH;
/// Both randoms of the hellos.
const RANDOM_LENGTH: usize = 32;
/// RFC 5246 §8.1.
const MASTER_SECRET_LENGTH: usize = 48;
/// The largest record number (RFC 6347 §4.1: 48 bits).
const LAST_SEQUENCE_NUMBER: u64 = (1 << 48) - 1;
/// How much longer a record is than what it carries: header, explicit nonce, tag.
pub(super) const RECORD_OVERHEAD: usize = RECORD_HEADER_LENGTH + EXPLICIT_LENGTH + TAG_LENGTH;

/// The last encrypted record that OpenSSL made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LastSealed {
    pub(super) sequence_number: u64,
    pub(super) explicit_nonce: u64,
}

impl LastSealed {
    /// What a record says, if it is an encrypted one.
    pub(super) fn of(record: &Record<'_>) -> Option<Self> {
        let explicit = record.body.first_chunk().filter(|_| record.may_be_encrypted())?;
        let explicit_nonce = u64::from_be_bytes(*explicit);
        Some(Self { sequence_number: record.sequence_number, explicit_nonce })
    }
}

/// One direction's key and the implicit half of its nonces.
struct Half {
    cipher: AesGcm,
    implicit: Zeroizing<[u8; IMPLICIT_LENGTH]>,
}

impl Half {
    fn new(key: &[u8], implicit: &[u8; IMPLICIT_LENGTH]) -> Self {
        Self { cipher: AesGcm::new(key), implicit: Zeroizing::new(*implicit) }
    }

    fn nonce(&self, explicit: [u8; EXPLICIT_LENGTH]) -> [u8; NONCE_LENGTH] {
        let mut nonce = [0; NONCE_LENGTH];
        nonce[..IMPLICIT_LENGTH].copy_from_slice(&*self.implicit);
        nonce[IMPLICIT_LENGTH..].copy_from_slice(&explicit);
        nonce
    }
}

/// Seals and opens the records of one session.
pub(super) struct RecordProtection {
    seal: Half,
    open: Half,
    next_sequence_number: u64,
    next_explicit_nonce: u64,
    received: ReplayWindow,
}

impl RecordProtection {
    /// Takes over from an OpenSSL connection whose handshake is done.
    pub(super) fn take_over(ssl: &SslRef, role: Role, last: LastSealed) -> Result<Self, DtlsError> {
        let unsupported = || DtlsError::UnexpectedCipherSuite;
        let suite = ssl.current_cipher().and_then(|cipher| cipher.standard_name()).ok_or_else(unsupported)?;
        // RFC 5288 and 5289: the suite's hash is that of the PRF.
        let (hash, key_length) = match suite {
            suite if suite.ends_with("_WITH_AES_128_GCM_SHA256") => (PrfHash::Sha256, 16),
            suite if suite.ends_with("_WITH_AES_256_GCM_SHA384") => (PrfHash::Sha384, 32),
            _ => return Err(unsupported()),
        };
        let mut master_secret = Zeroizing::new([0; MASTER_SECRET_LENGTH]);
        let (mut client_random, mut server_random) = ([0; RANDOM_LENGTH], [0; RANDOM_LENGTH]);
        let length = ssl.session().map_or(0, |session| session.master_key(&mut *master_secret));
        if length != MASTER_SECRET_LENGTH
            || ssl.client_random(&mut client_random) != RANDOM_LENGTH
            || ssl.server_random(&mut server_random) != RANDOM_LENGTH
        {
            return Err(unsupported());
        }
        let keys = prf::expand(
            hash,
            &*master_secret,
            b"key expansion",
            [&server_random, &client_random],
            2 * (key_length + IMPLICIT_LENGTH),
        );
        Self::new(&keys, key_length, role, last)
    }

    /// RFC 5246 §6.3: both keys, then both implicit halves, the client's first; AEAD has no MAC keys.
    fn new(block: &[u8], key_length: usize, role: Role, last: LastSealed) -> Result<Self, DtlsError> {
        let (keys, implicit) = block.split_at(2 * key_length);
        let (client_key, server_key) = keys.split_at(key_length);
        let (client_half, server_half) = implicit
            .split_first_chunk()
            .and_then(|(client, rest)| Some((client, rest.first_chunk()?)))
            .ok_or(DtlsError::UnexpectedCipherSuite)?;
        let (own, peer) = match role {
            Role::Client => ((client_key, client_half), (server_key, server_half)),
            Role::Server => ((server_key, server_half), (client_key, client_half)),
        };
        Ok(Self {
            seal: Half::new(own.0, own.1),
            open: Half::new(peer.0, peer.1),
            next_sequence_number: last.sequence_number + 1,
            next_explicit_nonce: last.explicit_nonce.wrapping_add(1),
            received: ReplayWindow::new(),
        })
    }

    /// Writes `data` as one record to the front of `buffer`, which must have [`RECORD_OVERHEAD`] bytes more
    /// than that, and returns the record's length.
    pub(super) fn seal(
        &mut self,
        content_type: u8,
        data: &[u8],
        buffer: &mut [u8],
    ) -> Result<usize, DtlsError> {
        if self.next_sequence_number > LAST_SEQUENCE_NUMBER {
            return Err(DtlsError::Exhausted);
        }
        let length = data.len() + RECORD_OVERHEAD;
        let Some(record) = buffer.get_mut(..length) else {
            return Err(DtlsError::TooLarge(data.len()));
        };
        let number = numbered(self.next_sequence_number);
        let explicit = self.next_explicit_nonce.to_be_bytes();
        // Counted first: after a failure half-way the nonce is used.
        self.next_sequence_number += 1;
        self.next_explicit_nonce = self.next_explicit_nonce.wrapping_add(1);
        let (header, body) = record.split_at_mut(RECORD_HEADER_LENGTH);
        header[0] = content_type;
        header[1..3].copy_from_slice(&RECORD_VERSION);
        header[3..11].copy_from_slice(&number);
        header[11..].copy_from_slice(&((length - RECORD_HEADER_LENGTH) as u16).to_be_bytes());
        let (nonce, text) = body.split_at_mut(EXPLICIT_LENGTH);
        nonce.copy_from_slice(&explicit);
        let (text, tag) = text.split_at_mut(data.len());
        text.copy_from_slice(data);
        let associated = associated_data(number, content_type, data.len());
        let sealed = self.seal.cipher.seal(&self.seal.nonce(explicit), &associated, text)?;
        tag.copy_from_slice(&sealed);
        Ok(length)
    }

    /// Decrypts one whole record in place: its type and what it carries. `None`: it is not the peer's, or
    /// was received before.
    pub(super) fn open(&mut self, mut record: BytesMut) -> Result<Option<(u8, BytesMut)>, CipherFailed> {
        let Some(header) = record.first_chunk::<RECORD_HEADER_LENGTH>().copied() else { return Ok(None) };
        let Some(text_length) = record.len().checked_sub(RECORD_OVERHEAD) else { return Ok(None) };
        let mut number = [0; 8];
        number.copy_from_slice(&header[3..11]);
        let sequence_number = u64::from_be_bytes(number) & LAST_SEQUENCE_NUMBER;
        if header[1..3] != RECORD_VERSION || self.received.check(sequence_number) != Freshness::Fresh {
            return Ok(None);
        }
        let associated = associated_data(number, header[0], text_length);
        record.advance(RECORD_HEADER_LENGTH);
        let Some((explicit, text)) = record.split_first_chunk_mut::<EXPLICIT_LENGTH>() else {
            return Ok(None);
        };
        let Some((text, tag)) = text.split_last_chunk_mut::<TAG_LENGTH>() else { return Ok(None) };
        let nonce = self.open.nonce(*explicit);
        if !self.open.cipher.open(&nonce, &associated, text, tag)? {
            return Ok(None);
        }
        self.received.mark(sequence_number);
        record.advance(EXPLICIT_LENGTH);
        record.truncate(text_length);
        Ok(Some((header[0], record)))
    }
}

/// The epoch and the number of a record, as they stand in its header.
fn numbered(sequence_number: u64) -> [u8; 8] {
    (u64::from(ENCRYPTED_EPOCH) << 48 | sequence_number).to_be_bytes()
}

/// RFC 5246 §6.2.3.3, with epoch and number in place of TLS's number (RFC 6347 §4.1.2.1).
fn associated_data(number: [u8; 8], content_type: u8, length: usize) -> [u8; 13] {
    let mut data = [0; 13];
    data[..8].copy_from_slice(&number);
    data[8] = content_type;
    data[9..11].copy_from_slice(&RECORD_VERSION);
    data[11..].copy_from_slice(&(length as u16).to_be_bytes());
    data
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::dtls::record::{APPLICATION_DATA, records};

    /// A client and a server with the same keys.
    fn pair(last: LastSealed) -> (RecordProtection, RecordProtection) {
        let block: Vec<u8> = (0..40).collect();
        let end = |role| RecordProtection::new(&block, 16, role, last).unwrap();
        (end(Role::Client), end(Role::Server))
    }

    fn sealed(from: &mut RecordProtection, data: &[u8]) -> BytesMut {
        let mut buffer = BytesMut::zeroed(data.len() + RECORD_OVERHEAD);
        assert_eq!(from.seal(APPLICATION_DATA, data, &mut buffer).unwrap(), buffer.len());
        buffer
    }

    const LAST: LastSealed = LastSealed { sequence_number: 0, explicit_nonce: u64::MAX - 1 };

    #[test]
    fn numbers_and_nonces_go_on_from_the_last_record_of_the_handshake() {
        let (mut client, mut server) = pair(LAST);
        for expected in 1..=3 {
            let record = sealed(&mut client, b"x");
            let view = records(&record).next().unwrap();
            let told = LastSealed::of(&view).unwrap();
            assert_eq!((view.epoch, told.sequence_number), (1, expected));
            assert_eq!(told.explicit_nonce, LAST.explicit_nonce.wrapping_add(expected));
            let opened = server.open(record).unwrap().unwrap();
            assert_eq!((opened.0, &opened.1[..]), (APPLICATION_DATA, &b"x"[..]));
        }
    }

    #[test]
    fn any_changed_byte_is_refused_and_does_not_use_up_the_number() {
        let (mut client, mut server) = pair(LAST);
        let record = sealed(&mut client, b"payload");
        for at in 0..record.len() {
            let mut changed = BytesMut::from(&record[..]);
            changed[at] ^= 1;
            // The length is what the caller has cut the record by.
            let is_covered = !(11..13).contains(&at);
            if is_covered {
                assert!(server.open(changed).unwrap().is_none(), "byte {at}");
            }
        }
        assert!(server.open(BytesMut::from(&record[..])).unwrap().is_some());
        assert!(server.open(record).unwrap().is_none(), "a replay");
    }

    #[test]
    fn both_directions_have_keys_of_their_own() {
        let (mut client, mut server) = pair(LAST);
        let record = sealed(&mut client, b"payload");
        assert!(client.open(BytesMut::from(&record[..])).unwrap().is_none(), "reflected");
        let other = sealed(&mut server, b"payload");
        assert_ne!(record, other);
        assert!(client.open(other).unwrap().is_some());
    }

    #[test]
    fn the_last_record_number_is_the_last() {
        let (mut client, _) = pair(LastSealed { sequence_number: LAST_SEQUENCE_NUMBER - 1, ..LAST });
        sealed(&mut client, b"x");
        let refused = client.seal(APPLICATION_DATA, b"x", &mut [0; 100]);
        assert!(matches!(refused, Err(DtlsError::Exhausted)));
    }

    #[test]
    fn truncated_records_are_refused() {
        let (mut client, mut server) = pair(LAST);
        let record = sealed(&mut client, b"payload");
        for length in 0..record.len() {
            assert!(server.open(BytesMut::from(&record[..length])).unwrap().is_none(), "{length} bytes");
        }
    }
}
