//! `RtcCertificate` (W3C webrtc-pc §4.10): the identity that a connection shows in its DTLS handshakes.

use std::time::SystemTime;

use super::{KeyType, RtcDtlsFingerprint};
use crate::{
    actors::kit,
    messages::error::RtcError,
    proto::dtls::{Certificate, DtlsError, HashAlgorithm},
};

/// A certificate with its private key (W3C webrtc-pc §4.10.2 `RTCCertificate`). Clones share both.
#[derive(Debug, Clone)]
pub struct RtcCertificate(Certificate);

impl RtcCertificate {
    /// Makes a key and a self-signed certificate that is valid for 30 days (W3C
    /// `RTCPeerConnection.generateCertificate`). ECDSA takes 0.3 ms, RSA some 100 ms of this thread.
    ///
    /// # Errors
    /// [`RtcError::OperationError`] when OpenSSL can't make one.
    pub fn generate(key_type: KeyType) -> Result<Self, RtcError> {
        Certificate::generate(key_type).map(Self).map_err(operation)
    }

    /// Reads a certificate and its unencrypted private key, both PEM.
    ///
    /// # Errors
    /// [`RtcError::DataError`] when one of them can't be read, when the key is not that of the
    /// certificate, or neither ECDSA nor RSA.
    pub fn from_pem(certificate: &str, private_key: &str) -> Result<Self, RtcError> {
        Certificate::from_pem(certificate.as_bytes(), private_key.as_bytes())
            .map(Self)
            .map_err(|error| RtcError::DataError(error.to_string()))
    }

    /// Certificate and private key (PKCS #8) as PEM, to be stored and read again.
    ///
    /// # Errors
    /// [`RtcError::OperationError`] when OpenSSL can't write them.
    pub fn to_pem(&self) -> Result<RtcCertificatePem, RtcError> {
        let pem = self.0.to_pem().map_err(operation)?;
        Ok(RtcCertificatePem { certificate: pem.certificate, private_key: pem.private_key.to_string() })
    }

    /// W3C `expires`: the end of its validity. A connection can't be made with it after that.
    pub fn expires(&self) -> SystemTime {
        // What can't be represented expired before 1970.
        self.0.expires().unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// Whether it has expired by now.
    pub fn is_expired(&self) -> bool {
        self.expires() <= kit::wall_clock()
    }

    /// W3C `getFingerprints`: SHA-256, SHA-384 and SHA-512, values in lower case.
    pub fn get_fingerprints(&self) -> Vec<RtcDtlsFingerprint> {
        [HashAlgorithm::Sha256, HashAlgorithm::Sha384, HashAlgorithm::Sha512]
            .into_iter()
            // OpenSSL has all three; without one of them there is one fingerprint fewer.
            .filter_map(|algorithm| self.0.fingerprint(algorithm).ok())
            .map(|fingerprint| RtcDtlsFingerprint::from(&fingerprint))
            .collect()
    }

    /// The certificate as the layer below knows it.
    pub fn as_certificate(&self) -> &Certificate {
        &self.0
    }
}

impl PartialEq for RtcCertificate {
    /// The same certificate; the key goes with it.
    fn eq(&self, other: &Self) -> bool {
        self.0.der() == other.0.der()
    }
}

impl Eq for RtcCertificate {}

impl From<Certificate> for RtcCertificate {
    fn from(certificate: Certificate) -> Self {
        Self(certificate)
    }
}

/// A certificate and its private key as text.
#[derive(Clone, PartialEq, Eq)]
pub struct RtcCertificatePem {
    /// The certificate.
    pub certificate: String,
    /// The private key, PKCS #8: keep it secret.
    pub private_key: String,
}

/// Without the private key.
impl std::fmt::Debug for RtcCertificatePem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RtcCertificatePem").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

fn operation(error: DtlsError) -> RtcError {
    RtcError::OperationError(error.to_string())
}
