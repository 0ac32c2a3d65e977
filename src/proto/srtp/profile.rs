//! The SRTP protection profiles that are offered (RFC 5764 §4.1.2, RFC 7714 §14.2).

/// A protection profile: cipher, authentication and key sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Profile {
    /// AES-128 in GCM: 16-byte tag, one pass.
    AeadAes128Gcm,
    /// AES-256 in GCM: 16-byte tag, one pass.
    AeadAes256Gcm,
    /// AES-128 in counter mode with HMAC-SHA1, 10-byte tag: the one everybody must have (RFC 8827 §6.5).
    Aes128CmHmacSha1_80,
}

impl Profile {
    /// All profiles, best first: GCM costs a third of the counter mode and its separate hash.
    pub const PREFERENCE: [Self; 3] = [Self::AeadAes128Gcm, Self::AeadAes256Gcm, Self::Aes128CmHmacSha1_80];

    /// The number that stands for it in the `use_srtp` extension.
    pub fn id(self) -> u16 {
        match self {
            Self::Aes128CmHmacSha1_80 => 0x0001,
            Self::AeadAes128Gcm => 0x0007,
            Self::AeadAes256Gcm => 0x0008,
        }
    }

    /// The profile of a `use_srtp` number.
    pub fn from_id(id: u16) -> Option<Self> {
        Self::PREFERENCE.into_iter().find(|profile| profile.id() == id)
    }

    /// The IANA name, as in `RTCTransportStats.srtpCipher`.
    pub fn name(self) -> &'static str {
        match self {
            Self::AeadAes128Gcm => "AEAD_AES_128_GCM",
            Self::AeadAes256Gcm => "AEAD_AES_256_GCM",
            Self::Aes128CmHmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
        }
    }

    /// Bytes of the master key.
    pub fn key_length(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::Aes128CmHmacSha1_80 => 16,
            Self::AeadAes256Gcm => 32,
        }
    }

    /// Bytes of the master salt.
    pub fn salt_length(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 12,
            Self::Aes128CmHmacSha1_80 => 14,
        }
    }

    /// Bytes of the authentication tag of an RTP or RTCP packet.
    pub fn tag_length(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 16,
            Self::Aes128CmHmacSha1_80 => 10,
        }
    }

    /// How much longer a protected RTP packet is.
    pub fn rtp_overhead(self) -> usize {
        self.tag_length()
    }

    /// How much longer a protected RTCP packet is: the tag and the index word.
    pub fn rtcp_overhead(self) -> usize {
        self.tag_length() + super::header::RTCP_INDEX_LENGTH
    }
}
