//! AES-GCM for SRTP and SRTCP (RFC 7714).
//!
//! One OpenSSL context with the key expanded once; a packet only sets its 12-byte nonce.

use openssl::cipher::Cipher;
use openssl::cipher_ctx::CipherCtx;
use openssl::error::ErrorStack;

use super::cipher::Direction;
use super::{Profile, SrtpError};

/// Tag of both GCM profiles (RFC 7714 §13.2).
pub(super) const TAG_LENGTH: usize = 16;
const NONCE_LENGTH: usize = 12;

pub(super) struct Aead {
    context: CipherCtx,
    direction: Direction,
    salt: zeroize::Zeroizing<[u8; NONCE_LENGTH]>,
}

impl Aead {
    pub(super) fn new(
        profile: Profile,
        direction: Direction,
        key: &[u8],
        salt: &[u8],
    ) -> Result<Self, SrtpError> {
        let cipher = match profile {
            Profile::AeadAes128Gcm => Cipher::aes_128_gcm(),
            Profile::AeadAes256Gcm => Cipher::aes_256_gcm(),
            Profile::Aes128CmHmacSha1_80 => return Err(SrtpError::WrongKeyLength),
        };
        let salt: [u8; NONCE_LENGTH] = salt.try_into().map_err(|_| SrtpError::WrongKeyLength)?;
        if key.len() != profile.key_length() {
            return Err(SrtpError::WrongKeyLength);
        }
        let mut context = CipherCtx::new()?;
        match direction {
            Direction::Seal => context.encrypt_init(Some(cipher), Some(key), None)?,
            Direction::Open => context.decrypt_init(Some(cipher), Some(key), None)?,
        }
        Ok(Self { context, direction, salt: zeroize::Zeroizing::new(salt) })
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
        associated: [&[u8]; 2],
        text: &mut [u8],
    ) -> Result<[u8; TAG_LENGTH], SrtpError> {
        debug_assert_eq!(self.direction, Direction::Seal);
        self.context.encrypt_init(None, None, Some(nonce))?;
        self.update(associated, text)?;
        self.context.cipher_final(&mut [])?;
        let mut tag = [0; TAG_LENGTH];
        self.context.tag(&mut tag)?;
        Ok(tag)
    }

    /// Decrypts `text` in place if the tag matches; else what `text` holds is unspecified.
    pub(super) fn open(
        &mut self,
        nonce: &[u8; NONCE_LENGTH],
        associated: [&[u8]; 2],
        text: &mut [u8],
        tag: &[u8; TAG_LENGTH],
    ) -> Result<(), SrtpError> {
        debug_assert_eq!(self.direction, Direction::Open);
        self.context.decrypt_init(None, None, Some(nonce))?;
        self.update(associated, text)?;
        self.context.set_tag(tag)?;
        // The library reports a wrong tag as a failed call with an empty error queue.
        self.context.cipher_final(&mut []).map_err(|_| SrtpError::AuthenticationFailed)?;
        Ok(())
    }

    fn update(&mut self, associated: [&[u8]; 2], text: &mut [u8]) -> Result<(), ErrorStack> {
        for part in associated {
            if !part.is_empty() {
                self.context.cipher_update(part, None)?;
            }
        }
        if !text.is_empty() {
            let length = text.len();
            self.context.cipher_update_inplace(text, length)?;
        }
        Ok(())
    }
}
