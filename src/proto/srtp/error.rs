//! Why a packet could not be protected or unprotected. Each cause is usable as a drop reason.

use openssl::error::ErrorStack;

/// Why SRTP refused a packet.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SrtpError {
    /// Blame: whoever sent the bytes. Too short for its headers and tag.
    #[error("packet is too short")]
    TooShort,
    /// Blame: whoever sent the bytes. The version field isn't 2.
    #[error("packet is not RTP version 2")]
    WrongVersion,
    /// Blame: the network or an attacker. The tag doesn't match.
    #[error("authentication failed")]
    AuthenticationFailed,
    /// Blame: the network or an attacker. This index was received before.
    #[error("packet was received before")]
    Replayed,
    /// Blame: the network. Older than the replay window, so it can't be told from a replay.
    #[error("packet is older than the replay window")]
    TooOld,
    /// Blame: the caller. This index was used before; encrypting again would repeat a nonce.
    #[error("index was used before")]
    IndexReused,
    /// Blame: the caller. A repetition of a packet that was never sent.
    #[error("index was not used before, so this is no repetition")]
    IndexUnused,
    /// The key is used up: 2^48 RTP or 2^31 RTCP packets (RFC 3711 §9.2).
    #[error("all packet indices of this key are used")]
    IndexExhausted,
    /// More SSRCs than one session is allowed to have.
    #[error("too many streams in this session")]
    TooManyStreams,
    /// Blame: the caller. No room for the tag behind the packet.
    #[error("buffer has no room for the authentication tag")]
    BufferTooSmall,
    /// Blame: the caller. Key or salt of a length that the profile doesn't have.
    #[error("key or salt has the wrong length for the profile")]
    WrongKeyLength,
    /// Blame: local. OpenSSL failed where it shouldn't (out of memory, cipher not built in).
    #[error("cryptography library failed")]
    Library(#[from] ErrorStack),
    /// Blame: local. The AEAD failed where it shouldn't (out of memory).
    #[error("cipher failed")]
    Cipher,
}

impl SrtpError {
    /// A short constant name, for counters of dropped packets.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::TooShort => "too_short",
            Self::WrongVersion => "wrong_version",
            Self::AuthenticationFailed => "authentication_failed",
            Self::Replayed => "replayed",
            Self::TooOld => "too_old",
            Self::IndexReused => "index_reused",
            Self::IndexUnused => "index_unused",
            Self::IndexExhausted => "index_exhausted",
            Self::TooManyStreams => "too_many_streams",
            Self::BufferTooSmall => "buffer_too_small",
            Self::WrongKeyLength => "wrong_key_length",
            Self::Library(_) => "library",
            Self::Cipher => "cipher",
        }
    }
}
