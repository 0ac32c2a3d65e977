//! `RtcCertificate` (W3C webrtc-pc §4.10): the identity that a connection shows in its DTLS handshakes.

use std::time::{Duration, SystemTime};

use super::{KeyType, RtcDtlsFingerprint};
use crate::{
    actors::kit,
    messages::error::RtcError,
    proto::dtls::{Certificate, DtlsError, HashAlgorithm},
};

/// W3C webrtc-pc §4.10.1: how long a certificate is valid unless the application says.
const DEFAULT_VALIDITY: Duration = Duration::from_secs(30 * DAY);
/// W3C webrtc-pc §4.10.1: the longest.
pub(super) const MAX_VALIDITY: Duration = Duration::from_secs(365 * DAY);
/// How far the peer's clock may be behind ours.
const CLOCK_SKEW: Duration = Duration::from_secs(DAY);
const DAY: u64 = 24 * 60 * 60;

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
        Self::generate_with_expiry(key_type, DEFAULT_VALIDITY)
    }

    /// [`Self::generate`] with another validity from now (W3C `expires`), at most 365 days; longer ones
    /// count as that. Whole seconds.
    ///
    /// # Errors
    /// See [`Self::generate`].
    pub fn generate_with_expiry(key_type: KeyType, validity: Duration) -> Result<Self, RtcError> {
        let now = kit::wall_clock();
        let validity = now - CLOCK_SKEW..now + validity.min(MAX_VALIDITY);
        Certificate::generate_for(key_type, validity).map(Self).map_err(operation)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_expire_when_told_and_after_a_year_at_most() {
        let within = |certificate: &RtcCertificate, days: u64| {
            let left = certificate.expires().duration_since(SystemTime::now()).unwrap();
            left.abs_diff(Duration::from_secs(days * DAY)) < Duration::from_secs(60)
        };
        let of =
            |days| RtcCertificate::generate_with_expiry(KeyType::EcdsaP256, Duration::from_secs(days * DAY));
        assert!(within(&RtcCertificate::generate(KeyType::EcdsaP256).unwrap(), 30));
        assert!(within(&of(2).unwrap(), 2));
        assert!(within(&of(10_000).unwrap(), 365));
        assert!(!of(2).unwrap().is_expired());
        assert!(of(0).unwrap().is_expired());
    }

    #[test]
    fn pem_goes_out_and_in_for_both_kinds_of_key() {
        for key_type in [KeyType::EcdsaP256, KeyType::Rsa2048] {
            let certificate = RtcCertificate::generate(key_type).unwrap();
            let pem = certificate.to_pem().unwrap();
            assert!(!format!("{pem:?}").contains("PRIVATE"));
            let read = RtcCertificate::from_pem(&pem.certificate, &pem.private_key).unwrap();
            assert_eq!(read, certificate);
            assert_eq!(read.get_fingerprints(), certificate.get_fingerprints());
            assert_eq!(read.expires(), certificate.expires());
        }
    }

    #[test]
    fn keys_of_other_certificates_and_nonsense_are_data_errors() {
        let pem = || RtcCertificate::generate(KeyType::EcdsaP256).unwrap().to_pem().unwrap();
        let (one, other) = (pem(), pem());
        for (certificate, key) in [
            (one.certificate.as_str(), other.private_key.as_str()),
            ("nonsense", one.private_key.as_str()),
            (one.certificate.as_str(), ""),
        ] {
            assert_eq!(RtcCertificate::from_pem(certificate, key).unwrap_err().name(), "DataError");
        }
    }

    #[test]
    fn there_are_three_fingerprints_in_lower_case() {
        let fingerprints = RtcCertificate::generate(KeyType::EcdsaP256).unwrap().get_fingerprints();
        let shapes: Vec<_> = fingerprints.iter().map(|f| (f.algorithm.as_str(), f.value.len())).collect();
        assert_eq!(shapes, [("sha-256", 95), ("sha-384", 143), ("sha-512", 191)]);
        assert!(fingerprints.iter().all(|f| f.value == f.value.to_lowercase()));
    }
}
