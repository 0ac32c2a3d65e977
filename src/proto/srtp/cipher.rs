//! The cipher of one protocol in one direction: AEAD or counter mode plus HMAC.
//!
//! An enum, not a trait object: the choice is made once per session and the branch predicts well.

use super::aead::Aead;
use super::counter_mode::CounterMode;
use super::key_derivation::SessionKeys;
use super::{Profile, SrtpError};

/// What a packet is encrypted with.
pub(super) enum PacketCipher {
    Aead(Aead),
    CounterMode(CounterMode),
}

impl PacketCipher {
    pub(super) fn new(profile: Profile, keys: &SessionKeys) -> Result<Self, SrtpError> {
        Ok(match profile {
            Profile::AeadAes128Gcm | Profile::AeadAes256Gcm => {
                Self::Aead(Aead::new(profile, &keys.cipher_key, &keys.salt)?)
            }
            Profile::Aes128CmHmacSha1_80 => Self::CounterMode(CounterMode::new(keys)?),
        })
    }
}
