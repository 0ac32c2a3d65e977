//! Why a certificate or a session failed.

use openssl::error::ErrorStack;

use crate::proto::aes_gcm::CipherFailed;

/// Why DTLS refused something or gave up.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum DtlsError {
    /// Blame: the peer, or somebody in between. No signalled fingerprint matches its certificate.
    #[error("the peer's certificate matches no signalled fingerprint")]
    FingerprintMismatch,
    /// Blame: the peer. The handshake ended without a certificate of the peer.
    #[error("the peer sent no certificate")]
    NoPeerCertificate,
    /// Blame: the peer or the network. The handshake took too long.
    #[error("the handshake did not finish in time")]
    HandshakeTimeout,
    /// Blame: the peer. It ended the handshake or the session with this alert (RFC 5246 §7.2).
    #[error("the peer sent alert {description} ({})", alert_name(*description))]
    PeerAlert {
        /// The alert's number.
        description: u8,
    },
    /// Blame: the peer. What it sent can't be accepted.
    #[error("the handshake failed: {0}")]
    Handshake(#[source] ErrorStack),
    /// Blame: local. The handshake ended with a cipher suite that was not offered.
    #[error("the handshake ended with an unexpected cipher suite")]
    UnexpectedCipherSuite,
    /// All 2^48 record numbers of the session are used (RFC 6347 §4.1).
    #[error("all record numbers of the session are used")]
    Exhausted,
    /// Blame: the caller. Data can be sent while connected only.
    #[error("the session is not connected")]
    NotConnected,
    /// Blame: the caller. A record carries at most 16,384 bytes.
    #[error("{0} bytes do not fit into one record")]
    TooLarge(usize),
    /// Blame: the caller. Nobody polls what is to be sent.
    #[error("too many datagrams wait to be polled")]
    QueueFull,
    /// Blame: the caller. A session without a fingerprint could trust nobody.
    #[error("no remote fingerprint was given")]
    NoFingerprint,
    /// Blame: the caller. The path MTU lies outside 256..=16,384 bytes.
    #[error("an MTU of {0} bytes is not usable")]
    InvalidMtu(usize),
    /// Blame: the caller. Certificate and private key don't belong together, or can't be read.
    #[error("the certificate is not usable: {0}")]
    InvalidCertificate(&'static str),
    /// Blame: local. OpenSSL failed where it shouldn't.
    #[error("the cryptography library failed: {0}")]
    Library(#[from] ErrorStack),
    /// Blame: local. The cipher of records failed where it shouldn't (out of memory).
    #[error("the cipher failed")]
    Cipher,
}

impl From<CipherFailed> for DtlsError {
    fn from(_: CipherFailed) -> Self {
        Self::Cipher
    }
}

/// Names of the alerts one meets in practice.
fn alert_name(description: u8) -> &'static str {
    match description {
        0 => "close_notify",
        10 => "unexpected_message",
        20 => "bad_record_mac",
        40 => "handshake_failure",
        42 => "bad_certificate",
        43 => "unsupported_certificate",
        46 => "certificate_unknown",
        47 => "illegal_parameter",
        48 => "unknown_ca",
        50 => "decode_error",
        51 => "decrypt_error",
        70 => "protocol_version",
        71 => "insufficient_security",
        80 => "internal_error",
        _ => "other",
    }
}
