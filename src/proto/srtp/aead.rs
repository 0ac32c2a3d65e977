//! AES-GCM for SRTP and SRTCP (RFC 7714): how its nonces are made.

use smallvec::SmallVec;

use super::header::{RTCP_CLEAR_LENGTH, RTCP_INDEX_LENGTH};
use super::{Profile, SrtpError};
pub(super) use crate::proto::aes_gcm::TAG_LENGTH;
use crate::proto::aes_gcm::{AesGcm, CipherFailed, NONCE_LENGTH};

pub(super) struct Aead {
    cipher: AesGcm,
    salt: zeroize::Zeroizing<[u8; NONCE_LENGTH]>,
}

impl Aead {
    pub(super) fn new(profile: Profile, key: &[u8], salt: &[u8]) -> Result<Self, SrtpError> {
        if !matches!(profile, Profile::AeadAes128Gcm | Profile::AeadAes256Gcm) {
            return Err(SrtpError::WrongKeyLength);
        }
        let salt: [u8; NONCE_LENGTH] = salt.try_into().map_err(|_| SrtpError::WrongKeyLength)?;
        if key.len() != profile.key_length() {
            return Err(SrtpError::WrongKeyLength);
        }
        Ok(Self { cipher: AesGcm::new(key), salt: zeroize::Zeroizing::new(salt) })
    }

    /// RFC 7714 §8.1: two zero bytes, SSRC, roll-over counter, sequence number; XOR salt.
    pub(super) fn rtp_nonce(&self, ssrc: u32, index: u64) -> [u8; NONCE_LENGTH] {
        self.salted(ssrc, index.to_be_bytes())
    }

    /// RFC 7714 §9.1: two zero bytes, SSRC, two zero bytes, 31-bit index; XOR salt.
    pub(super) fn rtcp_nonce(&self, ssrc: u32, index: u32) -> [u8; NONCE_LENGTH] {
        self.salted(ssrc, u64::from(index).to_be_bytes())
    }

    /// Both formulas are the SSRC followed by a 48-bit number.
    fn salted(&self, ssrc: u32, index: [u8; 8]) -> [u8; NONCE_LENGTH] {
        let mut nonce = [0; NONCE_LENGTH];
        nonce[2..6].copy_from_slice(&ssrc.to_be_bytes());
        nonce[6..].copy_from_slice(&index[2..]);
        for (byte, salt) in nonce.iter_mut().zip(self.salt.iter()) {
            *byte ^= salt;
        }
        nonce
    }

    /// Encrypts `text` in place and returns the tag over the associated data and it.
    pub(super) fn seal(
        &mut self,
        nonce: &[u8; NONCE_LENGTH],
        associated: &[u8],
        text: &mut [u8],
    ) -> Result<[u8; TAG_LENGTH], SrtpError> {
        Ok(self.cipher.seal(nonce, associated, text)?)
    }

    /// Decrypts `text` in place if the tag matches; else what `text` holds is unspecified.
    pub(super) fn open(
        &mut self,
        nonce: &[u8; NONCE_LENGTH],
        associated: &[u8],
        text: &mut [u8],
        tag: &[u8; TAG_LENGTH],
    ) -> Result<(), SrtpError> {
        if self.cipher.open(nonce, associated, text, tag)? {
            Ok(())
        } else {
            Err(SrtpError::AuthenticationFailed)
        }
    }
}

/// RFC 7714 §9.2, §9.3: what of a packet is in the clear, and the word with its index. Most often that is the packet's
/// first words alone.
pub(super) fn rtcp_associated_data(
    clear: &[u8],
    index_word: [u8; RTCP_INDEX_LENGTH],
) -> SmallVec<[u8; RTCP_CLEAR_LENGTH + RTCP_INDEX_LENGTH]> {
    let mut associated = SmallVec::from_slice(clear);
    associated.extend_from_slice(&index_word);
    associated
}

impl From<CipherFailed> for SrtpError {
    fn from(_: CipherFailed) -> Self {
        Self::Cipher
    }
}
