//! AES-GCM as SRTP (RFC 7714) and DTLS records (RFC 5288) use it.
//!
//! One OpenSSL context with the key expanded once; a packet only sets its 12-byte nonce. That no nonce is
//! used twice is the caller's to see to.

use openssl::cipher::Cipher;
use openssl::cipher_ctx::CipherCtx;
use openssl::error::ErrorStack;

/// Length of the tag: all uses here have the whole one.
pub(super) const TAG_LENGTH: usize = 16;
/// Length of a nonce (RFC 5116 §5.1).
pub(super) const NONCE_LENGTH: usize = 12;

/// Whether a context seals or opens; OpenSSL contexts are set up for one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Seal,
    Open,
}

/// A key, ready for use in one direction.
pub(super) struct AesGcm {
    context: CipherCtx,
    direction: Direction,
}

impl AesGcm {
    /// A context with a key of 16 or 32 bytes. Another length is the library's error.
    pub(super) fn new(direction: Direction, key: &[u8]) -> Result<Self, ErrorStack> {
        let cipher = if key.len() == 32 { Cipher::aes_256_gcm() } else { Cipher::aes_128_gcm() };
        let mut context = CipherCtx::new()?;
        match direction {
            Direction::Seal => context.encrypt_init(Some(cipher), Some(key), None)?,
            Direction::Open => context.decrypt_init(Some(cipher), Some(key), None)?,
        }
        Ok(Self { context, direction })
    }

    /// Encrypts `text` in place and returns the tag over the associated data and it.
    pub(super) fn seal(
        &mut self,
        nonce: &[u8; NONCE_LENGTH],
        associated: [&[u8]; 2],
        text: &mut [u8],
    ) -> Result<[u8; TAG_LENGTH], ErrorStack> {
        debug_assert_eq!(self.direction, Direction::Seal);
        self.context.encrypt_init(None, None, Some(nonce))?;
        self.update(associated, text)?;
        self.context.cipher_final(&mut [])?;
        let mut tag = [0; TAG_LENGTH];
        self.context.tag(&mut tag)?;
        Ok(tag)
    }

    /// Decrypts `text` in place. False: the tag does not match, and what `text` holds is unspecified.
    pub(super) fn open(
        &mut self,
        nonce: &[u8; NONCE_LENGTH],
        associated: [&[u8]; 2],
        text: &mut [u8],
        tag: &[u8; TAG_LENGTH],
    ) -> Result<bool, ErrorStack> {
        debug_assert_eq!(self.direction, Direction::Open);
        self.context.decrypt_init(None, None, Some(nonce))?;
        self.update(associated, text)?;
        self.context.set_tag(tag)?;
        // The library reports a wrong tag as a failed call with an empty error queue.
        Ok(self.context.cipher_final(&mut []).is_ok())
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
