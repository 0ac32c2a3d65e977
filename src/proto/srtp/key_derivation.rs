//! Session keys from a master key (RFC 3711 §4.3, RFC 6188 for 256 bits, RFC 7714 §11).
//!
//! The key derivation rate is always zero: keys are derived once (RFC 5764 §4.1.2 fixes it).

use openssl::symm::{Cipher, Crypter, Mode};
use zeroize::Zeroizing;

use super::{Profile, SrtpError};

/// Salts are derived and used as 14 bytes; AEAD profiles have 12 and pad on the right (RFC 7714 §11).
pub(super) const SALT_LENGTH: usize = 14;
/// HMAC-SHA1 key length (RFC 3711 §8.2).
const AUTHENTICATION_KEY_LENGTH: usize = 20;

/// Which protocol the keys are for: it picks the labels.
#[derive(Debug, Clone, Copy)]
pub(super) enum Protocol {
    Rtp,
    Rtcp,
}

/// Keys of one protocol in one direction.
pub(super) struct SessionKeys {
    pub(super) cipher_key: Zeroizing<Vec<u8>>,
    pub(super) authentication_key: Zeroizing<Vec<u8>>,
    pub(super) salt: Zeroizing<Vec<u8>>,
}

/// Derives the keys of `protocol`. Lengths of key and salt must be the profile's.
pub(super) fn derive(
    profile: Profile,
    protocol: Protocol,
    master_key: &[u8],
    master_salt: &[u8],
) -> Result<SessionKeys, SrtpError> {
    if master_key.len() != profile.key_length() || master_salt.len() != profile.salt_length() {
        return Err(SrtpError::WrongKeyLength);
    }
    // RFC 3711 §4.3.2: labels 0, 1, 2 for SRTP and 3, 4, 5 for SRTCP.
    let first_label: u8 = match protocol {
        Protocol::Rtp => 0,
        Protocol::Rtcp => 3,
    };
    let authentication_key_length = match profile {
        Profile::Aes128CmHmacSha1_80 => AUTHENTICATION_KEY_LENGTH,
        Profile::AeadAes128Gcm | Profile::AeadAes256Gcm => 0,
    };
    let key = |label: u8, length| derive_key(master_key, master_salt, first_label + label, length);
    Ok(SessionKeys {
        cipher_key: key(0, profile.key_length())?,
        authentication_key: key(1, authentication_key_length)?,
        salt: key(2, profile.salt_length())?,
    })
}

/// The key stream of AES in counter mode, started at the label XOR the master salt.
pub(super) fn derive_key(
    master_key: &[u8],
    master_salt: &[u8],
    label: u8,
    length: usize,
) -> Result<Zeroizing<Vec<u8>>, SrtpError> {
    let cipher = match master_key.len() {
        16 => Cipher::aes_128_ctr(),
        32 => Cipher::aes_256_ctr(),
        _ => return Err(SrtpError::WrongKeyLength),
    };
    let mut counter = Zeroizing::new([0u8; 16]);
    let salt = master_salt.get(..master_salt.len().min(SALT_LENGTH)).unwrap_or_default();
    counter[..salt.len()].copy_from_slice(salt);
    // RFC 3711 §4.3.1: the label stands above the 48-bit index, which is zero: byte 7 of 14.
    counter[7] ^= label;
    let mut crypter = Crypter::new(cipher, Mode::Encrypt, master_key, Some(&*counter))?;
    let zeros = vec![0u8; length];
    let mut key = Zeroizing::new(vec![0u8; length]);
    if length > 0 {
        crypter.update(&zeros, &mut key)?;
    }
    Ok(key)
}
