//! AES-GCM as SRTP (RFC 7714) and DTLS records (RFC 5288) use it.
//!
//! The cipher is aws-lc's, not OpenSSL's: a packet is one call there instead of five, and a key takes less memory, which
//! counts where it has to be fetched from memory for every packet (BENCHMARKS.md). It zeroes a key's memory before
//! it frees it. That no nonce is used twice is the caller's to see to.

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

/// Length of the tag: all uses here have the whole one.
pub(super) const TAG_LENGTH: usize = 16;
/// Length of a nonce (RFC 5116 §5.1).
pub(super) const NONCE_LENGTH: usize = 12;

/// The library failed where it shouldn't: out of memory, or a key of another length than 16 or 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CipherFailed;

/// A key.
pub(super) struct AesGcm(State);

/// An expanded key takes half a kilobyte, and not every key is used: those of records of a connection without data
/// channels, of media in a direction that has none.
enum State {
    Unused(Zeroizing<Vec<u8>>),
    Used(LessSafeKey),
}

impl AesGcm {
    /// A key of 16 or 32 bytes. Others fail when they are used.
    pub(super) fn new(key: &[u8]) -> Self {
        Self(State::Unused(Zeroizing::new(key.to_vec())))
    }

    #[inline(always)]
    fn key(&mut self) -> Result<&LessSafeKey, CipherFailed> {
        if let State::Unused(key) = &self.0 {
            self.0 = State::Used(expand(key)?);
        }
        match &self.0 {
            State::Used(key) => Ok(key),
            State::Unused(_) => Err(CipherFailed),
        }
    }

    /// Encrypts `text` in place and returns the tag over the associated data and it.
    pub(super) fn seal(
        &mut self,
        nonce: &[u8; NONCE_LENGTH],
        associated: &[u8],
        text: &mut [u8],
    ) -> Result<[u8; TAG_LENGTH], CipherFailed> {
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let tag = self.key()?.seal_in_place_separate_tag(nonce, Aad::from(associated), text);
        tag.ok().and_then(|tag| tag.as_ref().try_into().ok()).ok_or(CipherFailed)
    }

    /// Decrypts `text` in place. False: the tag does not match, and what `text` holds is unspecified.
    pub(super) fn open(
        &mut self,
        nonce: &[u8; NONCE_LENGTH],
        associated: &[u8],
        text: &mut [u8],
        tag: &[u8; TAG_LENGTH],
    ) -> Result<bool, CipherFailed> {
        let nonce = Nonce::assume_unique_for_key(*nonce);
        Ok(self.key()?.open_in_place_separate_tag(nonce, Aad::from(associated), tag, text).is_ok())
    }
}

#[cold]
fn expand(key: &[u8]) -> Result<LessSafeKey, CipherFailed> {
    let algorithm = if key.len() == AES_256_GCM.key_len() { &AES_256_GCM } else { &AES_128_GCM };
    UnboundKey::new(algorithm, key).map(LessSafeKey::new).map_err(|_| CipherFailed)
}
