//! AES-GCM as SRTP (RFC 7714) and DTLS records (RFC 5288) use it.
//!
//! One OpenSSL context with the key expanded once; a packet only sets its 12-byte nonce. That no nonce is
//! used twice is the caller's to see to.

use openssl::cipher::Cipher;
use openssl::cipher_ctx::CipherCtx;
use openssl::error::ErrorStack;
use zeroize::Zeroizing;

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

/// A key for use in one direction.
pub(super) struct AesGcm {
    state: State,
    direction: Direction,
}

/// OpenSSL's context takes more than a kilobyte, and not every key is used: those of records of a connection without
/// data channels, of media in a direction that has none.
enum State {
    Unused(Zeroizing<Vec<u8>>),
    Used(CipherCtx),
}

impl AesGcm {
    /// A key of 16 or 32 bytes. Another length is the library's error, here and whenever it is used.
    pub(super) fn new(direction: Direction, key: &[u8]) -> Result<Self, ErrorStack> {
        if !matches!(key.len(), 16 | 32) {
            Self::begin(direction, key)?;
        }
        Ok(Self { state: State::Unused(Zeroizing::new(key.to_vec())), direction })
    }

    fn begin(direction: Direction, key: &[u8]) -> Result<CipherCtx, ErrorStack> {
        let cipher = if key.len() == 32 { Cipher::aes_256_gcm() } else { Cipher::aes_128_gcm() };
        let mut context = CipherCtx::new()?;
        match direction {
            Direction::Seal => context.encrypt_init(Some(cipher), Some(key), None)?,
            Direction::Open => context.decrypt_init(Some(cipher), Some(key), None)?,
        }
        Ok(context)
    }

    #[inline(always)]
    fn context(&mut self) -> Result<&mut CipherCtx, ErrorStack> {
        if let State::Unused(key) = &self.state {
            self.state = State::Used(Self::begin(self.direction, key)?);
        }
        match &mut self.state {
            State::Used(context) => Ok(context),
            State::Unused(_) => Err(ErrorStack::get()),
        }
    }

    /// Encrypts `text` in place and returns the tag over the associated data and it.
    pub(super) fn seal(
        &mut self,
        nonce: &[u8; NONCE_LENGTH],
        associated: [&[u8]; 2],
        text: &mut [u8],
    ) -> Result<[u8; TAG_LENGTH], ErrorStack> {
        debug_assert_eq!(self.direction, Direction::Seal);
        let context = self.context()?;
        context.encrypt_init(None, None, Some(nonce))?;
        update(context, associated, text)?;
        context.cipher_final(&mut [])?;
        let mut tag = [0; TAG_LENGTH];
        context.tag(&mut tag)?;
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
        let context = self.context()?;
        context.decrypt_init(None, None, Some(nonce))?;
        update(context, associated, text)?;
        context.set_tag(tag)?;
        // The library reports a wrong tag as a failed call with an empty error queue.
        Ok(context.cipher_final(&mut []).is_ok())
    }
}

fn update(context: &mut CipherCtx, associated: [&[u8]; 2], text: &mut [u8]) -> Result<(), ErrorStack> {
    for part in associated {
        if !part.is_empty() {
            context.cipher_update(part, None)?;
        }
    }
    if !text.is_empty() {
        let length = text.len();
        context.cipher_update_inplace(text, length)?;
    }
    Ok(())
}
