//! The pseudo-random function of TLS 1.2 (RFC 5246 §5), for the keys of the record layer (§6.3).
//!
//! HMAC over OpenSSL's plain hash states: setting up its own HMAC costs ten times what it then computes here.

use openssl::sha::{Sha256, Sha384};
use zeroize::{Zeroize, Zeroizing};

/// The hash of a cipher suite (RFC 5246 §5: that of the PRF is it, or SHA-256).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PrfHash {
    Sha256,
    Sha384,
}

/// Longest block of the hashes: that of SHA-384.
const MAXIMUM_BLOCK_LENGTH: usize = 128;
/// Longest digest.
const MAXIMUM_DIGEST_LENGTH: usize = 48;

impl PrfHash {
    const fn digest_length(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
        }
    }

    const fn block_length(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha384 => 128,
        }
    }
}

/// A hash that has begun.
#[derive(Clone)]
enum State {
    Sha256(Sha256),
    Sha384(Sha384),
}

impl State {
    fn new(hash: PrfHash) -> Self {
        match hash {
            PrfHash::Sha256 => Self::Sha256(Sha256::new()),
            PrfHash::Sha384 => Self::Sha384(Sha384::new()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(state) => state.update(bytes),
            Self::Sha384(state) => state.update(bytes),
        }
    }

    /// Appends the digest.
    fn finish(self, output: &mut Zeroizing<Vec<u8>>) {
        match self {
            Self::Sha256(state) => {
                let mut digest = state.finish();
                output.extend_from_slice(&digest);
                digest.zeroize();
            }
            Self::Sha384(state) => {
                let mut digest = state.finish();
                output.extend_from_slice(&digest);
                digest.zeroize();
            }
        }
    }
}

/// HMAC (RFC 2104) with one key: both hashes have swallowed the padded key already.
struct Hmac {
    inner: State,
    outer: State,
}

impl Hmac {
    /// `key` must not be longer than a block: a master secret has 48 bytes.
    fn new(hash: PrfHash, key: &[u8]) -> Self {
        debug_assert!(key.len() <= hash.block_length());
        let padded = |pad: u8| {
            let mut block = Zeroizing::new([pad; MAXIMUM_BLOCK_LENGTH]);
            for (byte, key) in block.iter_mut().zip(key) {
                *byte ^= key;
            }
            let mut state = State::new(hash);
            state.update(&block[..hash.block_length()]);
            state
        };
        Self { inner: padded(0x36), outer: padded(0x5c) }
    }

    /// Appends the code over all parts to `output`.
    fn sign(&self, parts: &[&[u8]], output: &mut Zeroizing<Vec<u8>>) {
        let mut inner = self.inner.clone();
        parts.iter().for_each(|part| inner.update(part));
        let mut digest = Zeroizing::new(Vec::with_capacity(MAXIMUM_DIGEST_LENGTH));
        inner.finish(&mut digest);
        let mut outer = self.outer.clone();
        outer.update(&digest);
        outer.finish(output);
    }
}

/// The states stand for the key: they are overwritten, and shown to somebody so that this is not left out.
impl Drop for Hmac {
    fn drop(&mut self) {
        for state in [&mut self.inner, &mut self.outer] {
            *state = State::new(PrfHash::Sha384);
            std::hint::black_box(state);
        }
    }
}

/// `PRF(secret, label, seed)` of as many bytes as asked for; the seed comes in two halves because it is
/// always two random values.
pub(super) fn expand(
    hash: PrfHash,
    secret: &[u8],
    label: &[u8],
    seed: [&[u8]; 2],
    length: usize,
) -> Zeroizing<Vec<u8>> {
    let hmac = Hmac::new(hash, secret);
    // Room for the last, cut off hash: growing would leave an unwiped copy behind.
    let mut output = Zeroizing::new(Vec::with_capacity(length + hash.digest_length()));
    let mut chain = Zeroizing::new(Vec::with_capacity(MAXIMUM_DIGEST_LENGTH));
    hmac.sign(&[label, seed[0], seed[1]], &mut chain);
    while output.len() < length {
        hmac.sign(&[&chain, label, seed[0], seed[1]], &mut output);
        let mut next = Zeroizing::new(Vec::with_capacity(MAXIMUM_DIGEST_LENGTH));
        hmac.sign(&[&chain], &mut next);
        chain = next;
    }
    output.truncate(length);
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect()
    }

    /// The vector for SHA-256 that was posted to the TLS working group's list and is used by many stacks.
    #[test]
    fn published_vector_for_sha_256() {
        let output = expand(
            PrfHash::Sha256,
            &hex("9bbe436ba940f017b17652849a71db35"),
            b"test label",
            [&hex("a0ba9f936cda311827a6f796"), &hex("ffd5198c")],
            100,
        );
        let expected = "e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a6b301791e90d35c9c9a46b4e14\
                        baf9af0fa022f7077def17abfd3797c0564bab4fbc91666e9def9b97fce34f796789baa48082d122ee42c5a72e\
                        5a5110fff70187347b66";
        assert_eq!(output.as_slice(), hex(expected));
    }

    /// Against HMAC as OpenSSL has it, for both hashes.
    #[test]
    fn the_codes_are_those_of_openssl() {
        use openssl::{hash::MessageDigest, pkey::PKey, sign::Signer};
        for (hash, digest) in
            [(PrfHash::Sha256, MessageDigest::sha256()), (PrfHash::Sha384, MessageDigest::sha384())]
        {
            for length in [0, 1, 48, 63] {
                let key = vec![length as u8 ^ 0xa5; length];
                let mut own = Zeroizing::new(Vec::new());
                Hmac::new(hash, &key).sign(&[b"one", b"", &[7; 200]], &mut own);
                let openssl_key = PKey::hmac(if key.is_empty() { &[0] } else { &key }).unwrap();
                let mut signer = Signer::new(digest, &openssl_key).unwrap();
                signer.update(b"one").unwrap();
                signer.update(&[7; 200]).unwrap();
                assert_eq!(
                    own.as_slice(),
                    signer.sign_to_vec().unwrap(),
                    "{hash:?}, a key of {length} bytes"
                );
            }
        }
    }
}
