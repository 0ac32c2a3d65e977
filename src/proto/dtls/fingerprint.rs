//! Certificate fingerprints as SDP carries them (RFC 8122 §5).

use std::fmt;
use std::str::FromStr;

use openssl::hash::MessageDigest;
use openssl::memcmp;

use super::DtlsError;

/// The hash of a fingerprint. MD5 and MD2 are refused (RFC 8122 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HashAlgorithm {
    /// Accepted when the peer offers nothing better.
    Sha1,
    /// What everybody sends.
    Sha256,
    /// 48 bytes.
    Sha384,
    /// 64 bytes.
    Sha512,
}

impl HashAlgorithm {
    const ALL: [Self; 4] = [Self::Sha1, Self::Sha256, Self::Sha384, Self::Sha512];

    /// The name in SDP, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "sha-1",
            Self::Sha256 => "sha-256",
            Self::Sha384 => "sha-384",
            Self::Sha512 => "sha-512",
        }
    }

    /// Bytes of a digest.
    pub fn length(self) -> usize {
        self.digest().size()
    }

    pub(super) fn digest(self) -> MessageDigest {
        match self {
            Self::Sha1 => MessageDigest::sha1(),
            Self::Sha256 => MessageDigest::sha256(),
            Self::Sha384 => MessageDigest::sha384(),
            Self::Sha512 => MessageDigest::sha512(),
        }
    }
}

/// A hash algorithm and a digest: the value of an `a=fingerprint` line.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    algorithm: HashAlgorithm,
    digest: Vec<u8>,
}

/// Why a text is no fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FingerprintError {
    /// Not two words.
    #[error("a fingerprint is a hash name, a space and colon-separated bytes")]
    Form,
    /// Unknown hash, or one that is refused.
    #[error("the hash is not one of sha-1, sha-256, sha-384, sha-512")]
    Algorithm,
    /// Not hexadecimal pairs, or the wrong number of them.
    #[error("the digest is not the colon-separated bytes of its hash")]
    Digest,
}

impl Fingerprint {
    /// Hashes a certificate.
    pub(super) fn of_der(
        algorithm: HashAlgorithm,
        certificate: &[u8],
    ) -> Result<Self, openssl::error::ErrorStack> {
        let digest = openssl::hash::hash(algorithm.digest(), certificate)?.to_vec();
        Ok(Self { algorithm, digest })
    }

    /// Hashes a certificate, DER.
    ///
    /// # Errors
    /// When OpenSSL was built without this hash.
    pub fn of_certificate(algorithm: HashAlgorithm, certificate: &[u8]) -> Result<Self, DtlsError> {
        Ok(Self::of_der(algorithm, certificate)?)
    }

    /// The hash.
    pub fn algorithm(&self) -> HashAlgorithm {
        self.algorithm
    }

    /// The digest.
    pub fn digest(&self) -> &[u8] {
        &self.digest
    }

    /// Whether any of the fingerprints is that of the certificate.
    ///
    /// RFC 8122 §5.1: only the preferred hashes count. SHA-1 is looked at when nothing else is there.
    pub(super) fn any_matches(fingerprints: &[Self], certificate: &[u8]) -> bool {
        let is_weak = |fingerprint: &&Self| fingerprint.algorithm == HashAlgorithm::Sha1;
        let only_weak = fingerprints.iter().all(|fingerprint| is_weak(&fingerprint));
        fingerprints.iter().filter(|fingerprint| only_weak || !is_weak(fingerprint)).any(|fingerprint| {
            Self::of_der(fingerprint.algorithm, certificate).is_ok_and(|own| {
                own.digest.len() == fingerprint.digest.len() && memcmp::eq(&own.digest, &fingerprint.digest)
            })
        })
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    /// RFC 8122 §5: the hash name and the hexadecimal digits are compared without regard to case.
    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let mut words = text.split_ascii_whitespace();
        let (Some(name), Some(bytes), None) = (words.next(), words.next(), words.next()) else {
            return Err(FingerprintError::Form);
        };
        let algorithm = HashAlgorithm::ALL
            .into_iter()
            .find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
            .ok_or(FingerprintError::Algorithm)?;
        // A bound before allocating: the longest digest is 64 bytes.
        if bytes.len() != 3 * algorithm.length() - 1 {
            return Err(FingerprintError::Digest);
        }
        let digest: Option<Vec<u8>> = bytes.split(':').map(hexadecimal_byte).collect();
        match digest {
            Some(digest) if digest.len() == algorithm.length() => Ok(Self { algorithm, digest }),
            _ => Err(FingerprintError::Digest),
        }
    }
}

fn hexadecimal_byte(text: &str) -> Option<u8> {
    let is_pair = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_pair { u8::from_str_radix(text, 16).ok() } else { None }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.algorithm.name())?;
        for (index, byte) in self.digest.iter().enumerate() {
            write!(formatter, "{}{byte:02X}", if index == 0 { ' ' } else { ':' })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(algorithm: HashAlgorithm, certificate: &[u8]) -> Fingerprint {
        Fingerprint::of_der(algorithm, certificate).unwrap()
    }

    #[test]
    fn every_hash_round_trips_in_any_case() {
        for algorithm in HashAlgorithm::ALL {
            let fingerprint = of(algorithm, b"certificate");
            let text = fingerprint.to_string();
            assert_eq!(text.parse(), Ok(fingerprint.clone()));
            assert_eq!(text.to_uppercase().parse(), Ok(fingerprint.clone()));
            assert_eq!(text.to_lowercase().parse(), Ok(fingerprint));
        }
    }

    #[test]
    fn text_has_the_form_of_rfc_8122() {
        let text = of(HashAlgorithm::Sha1, b"abc").to_string();
        assert_eq!(text, "sha-1 A9:99:3E:36:47:06:81:6A:BA:3E:25:71:78:50:C2:6C:9C:D0:D8:9D");
    }

    #[test]
    fn other_texts_are_refused() {
        let good = of(HashAlgorithm::Sha256, b"x").to_string();
        let (name, bytes) = good.split_once(' ').unwrap();
        let cases = [
            (String::new(), FingerprintError::Form),
            (name.to_owned(), FingerprintError::Form),
            (format!("{good} more"), FingerprintError::Form),
            (format!("md5 {bytes}"), FingerprintError::Algorithm),
            (format!("md2 {bytes}"), FingerprintError::Algorithm),
            (format!("sha-512 {bytes}"), FingerprintError::Digest),
            (format!("sha-256 {}", &bytes[3..]), FingerprintError::Digest),
            (format!("sha-256 {}", bytes.replace(':', "-")), FingerprintError::Digest),
            (format!("sha-256 +1{}", &bytes[2..]), FingerprintError::Digest),
            (format!("sha-256 ééé{}", &bytes[6..]), FingerprintError::Digest),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<Fingerprint>(), Err(error), "{text}");
        }
    }

    #[test]
    fn any_of_several_may_match_but_weak_ones_only_alone() {
        let certificate = b"certificate";
        let right = of(HashAlgorithm::Sha256, certificate);
        let wrong = of(HashAlgorithm::Sha512, b"other");
        let weak = of(HashAlgorithm::Sha1, certificate);
        assert!(Fingerprint::any_matches(&[wrong.clone(), right], certificate));
        assert!(Fingerprint::any_matches(std::slice::from_ref(&weak), certificate));
        assert!(!Fingerprint::any_matches(&[weak, wrong], certificate));
        assert!(!Fingerprint::any_matches(&[], certificate));
    }
}
