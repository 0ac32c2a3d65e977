//! MESSAGE-INTEGRITY: HMAC-SHA1 (RFC 2104, RFC 8489 section 14.5).
//!
//! The two padded key blocks are hashed once per key, not once per message: a check then costs two
//! or three SHA-1 blocks, about a tenth of OpenSSL's one-shot HMAC.

use std::fmt;

use openssl::sha::Sha1;

/// Length of a SHA-1 digest and so of the MESSAGE-INTEGRITY value.
pub(super) const DIGEST_LENGTH: usize = 20;

/// Block length of SHA-1.
const BLOCK_LENGTH: usize = 64;

/// A key for MESSAGE-INTEGRITY with its inner and outer pads already hashed.
///
/// Short-term credentials (ICE): the key is the password. Long-term credentials (TURN): the MD5 of
/// `username:realm:password`.
#[derive(Clone)]
pub struct IntegrityKey {
    inner: Sha1,
    outer: Sha1,
}

impl IntegrityKey {
    /// Prepares a key.
    pub fn new(key: &[u8]) -> Self {
        let mut block = [0u8; BLOCK_LENGTH];
        if key.len() > BLOCK_LENGTH {
            // RFC 2104 section 2: a longer key is replaced by its digest.
            block[..DIGEST_LENGTH].copy_from_slice(&openssl::sha::sha1(key));
        } else {
            block[..key.len()].copy_from_slice(key);
        }
        let padded = |pad: u8| {
            let mut state = Sha1::new();
            state.update(&block.map(|byte| byte ^ pad));
            state
        };
        let key = Self { inner: padded(0x36), outer: padded(0x5C) };
        zeroize::Zeroize::zeroize(&mut block);
        key
    }

    /// The key of long-term credentials (RFC 8489 section 9.2.2): MD5 of `username:realm:password`. Names
    /// and passwords are taken as they are, without the profile of RFC 8265.
    pub fn long_term(username: &str, realm: &str, password: &str) -> Option<Self> {
        let mut text = format!("{username}:{realm}:{password}");
        let digest = openssl::hash::hash(openssl::hash::MessageDigest::md5(), text.as_bytes());
        zeroize::Zeroize::zeroize(&mut text);
        digest.ok().map(|digest| Self::new(&digest))
    }

    /// The HMAC over the concatenation of `parts`.
    pub(super) fn sign(&self, parts: &[&[u8]]) -> [u8; DIGEST_LENGTH] {
        let mut inner = self.inner.clone();
        for part in parts {
            inner.update(part);
        }
        let mut outer = self.outer.clone();
        outer.update(&inner.finish());
        outer.finish()
    }
}

impl fmt::Debug for IntegrityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IntegrityKey(..)")
    }
}
