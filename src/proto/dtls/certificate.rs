//! Self-signed certificates, and the OpenSSL context that goes with each.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use openssl::asn1::{Asn1Time, Asn1TimeRef};
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, Private};
use openssl::rsa::Rsa;
use openssl::ssl::SslContext;
use openssl::x509::{X509, X509NameBuilder};
use zeroize::Zeroizing;

use super::DtlsError;
use super::context::new_context;
use super::fingerprint::{Fingerprint, HashAlgorithm};

/// How long a generated certificate is valid: the longest that W3C's `generateCertificate` allows,
/// because a server keeps one for the life of its process.
const VALIDITY_DAYS: u32 = 365;
/// RFC 5280 §4.1.2.5: the end of the year 9999, after which there are no dates.
const LATEST: u64 = 253_402_300_799;
/// RFC 8827 §6.5 asks for P-256; RSA is for peers that can't.
const RSA_BITS: u32 = 2048;
/// RFC 5280 §4.1.2.2 allows up to 20 bytes; 64 random bits avoid repetition.
const SERIAL_NUMBER_BITS: i32 = 64;

/// The key of a generated certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyType {
    /// ECDSA on P-256: the default of every browser, and 20 times faster to sign with.
    EcdsaP256,
    /// RSA with 2,048 bits.
    Rsa2048,
}

/// A certificate with its private key. Clones share both.
#[derive(Clone)]
pub struct Certificate(Arc<Inner>);

struct Inner {
    x509: X509,
    key: PKey<Private>,
    der: Vec<u8>,
    /// One context for all sessions of the certificate: making one costs as much as a signature.
    context: SslContext,
}

/// A certificate and its private key as text. The key is wiped when dropped.
pub struct Pem {
    /// The certificate.
    pub certificate: String,
    /// The private key, PKCS #8.
    pub private_key: Zeroizing<String>,
}

impl Certificate {
    /// Makes a key and a self-signed certificate that is valid for a year from now. Takes 0.3 ms for P-256
    /// and some 100 ms for RSA.
    pub fn generate(key_type: KeyType) -> Result<Self, DtlsError> {
        let (from, until) = (Asn1Time::days_from_now(0)?, Asn1Time::days_from_now(VALIDITY_DAYS)?);
        Self::self_signed(key_type, &from, &until)
    }

    /// [`Self::generate`] with another validity, in whole seconds.
    pub fn generate_for(key_type: KeyType, validity: Range<SystemTime>) -> Result<Self, DtlsError> {
        let time = |time: SystemTime| {
            let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
            Asn1Time::from_unix(since.min(LATEST).try_into().unwrap_or_default())
        };
        Self::self_signed(key_type, &*time(validity.start)?, &*time(validity.end)?)
    }

    fn self_signed(key_type: KeyType, from: &Asn1TimeRef, until: &Asn1TimeRef) -> Result<Self, DtlsError> {
        let key = match key_type {
            KeyType::EcdsaP256 => {
                let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
                PKey::from_ec_key(EcKey::generate(&group)?)?
            }
            KeyType::Rsa2048 => PKey::from_rsa(Rsa::generate(RSA_BITS)?)?,
        };
        let mut name = X509NameBuilder::new()?;
        // The name tells nothing about who we are: it is sent in clear.
        name.append_entry_by_nid(Nid::COMMONNAME, "WebRTC")?;
        let name = name.build();
        let mut serial_number = BigNum::new()?;
        serial_number.rand(SERIAL_NUMBER_BITS, MsbOption::MAYBE_ZERO, false)?;
        let mut builder = X509::builder()?;
        // X.509 version 3 is written as 2.
        builder.set_version(2)?;
        builder.set_serial_number(serial_number.to_asn1_integer()?.as_ref())?;
        builder.set_subject_name(&name)?;
        builder.set_issuer_name(&name)?;
        builder.set_pubkey(&key)?;
        builder.set_not_before(from)?;
        builder.set_not_after(until)?;
        builder.sign(&key, MessageDigest::sha256())?;
        Self::from_parts(builder.build(), key)
    }

    /// Reads a certificate and its private key, both PEM.
    pub fn from_pem(certificate: &[u8], private_key: &[u8]) -> Result<Self, DtlsError> {
        let unreadable = |what| move |_| DtlsError::InvalidCertificate(what);
        let x509 = X509::from_pem(certificate).map_err(unreadable("the certificate is not PEM"))?;
        let key = PKey::private_key_from_pem(private_key)
            .map_err(unreadable("the private key is not unencrypted PEM"))?;
        Self::from_parts(x509, key)
    }

    fn from_parts(x509: X509, key: PKey<Private>) -> Result<Self, DtlsError> {
        if !matches!(key.id(), Id::EC | Id::RSA) {
            return Err(DtlsError::InvalidCertificate("the key is neither ECDSA nor RSA"));
        }
        if !x509.public_key()?.public_eq(&key) {
            return Err(DtlsError::InvalidCertificate("the private key is that of another certificate"));
        }
        let der = x509.to_der()?;
        let context = new_context(&x509, &key)?;
        Ok(Self(Arc::new(Inner { x509, key, der, context })))
    }

    /// Certificate and key as text, to be stored and read again.
    pub fn to_pem(&self) -> Result<Pem, DtlsError> {
        let not_text = |_| DtlsError::InvalidCertificate("the PEM is not text");
        let certificate = String::from_utf8(self.0.x509.to_pem()?).map_err(not_text)?;
        let private_key = String::from_utf8(self.0.key.private_key_to_pem_pkcs8()?).map_err(not_text)?;
        Ok(Pem { certificate, private_key: Zeroizing::new(private_key) })
    }

    /// Its fingerprint, for `a=fingerprint`.
    pub fn fingerprint(&self, algorithm: HashAlgorithm) -> Result<Fingerprint, DtlsError> {
        Ok(Fingerprint::of_der(algorithm, &self.0.der)?)
    }

    /// The end of its validity.
    pub fn expires(&self) -> Result<SystemTime, DtlsError> {
        let epoch = Asn1Time::from_unix(0)?;
        seconds_between(&epoch, self.0.x509.not_after())
            .map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
            .ok_or(DtlsError::InvalidCertificate("it expired before 1970"))
    }

    /// The encoded certificate.
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    pub(super) fn context(&self) -> &SslContext {
        &self.0.context
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Certificate").field("bytes", &self.0.der.len()).finish_non_exhaustive()
    }
}

/// A certificate as statistics show it: DER in base64, without line breaks (W3C `base64Certificate`).
pub fn base64(der: &[u8]) -> String {
    openssl::base64::encode_block(der)
}

fn seconds_between(from: &Asn1TimeRef, to: &Asn1TimeRef) -> Option<u64> {
    let difference = from.diff(to).ok()?;
    let seconds = i64::from(difference.days) * 86_400 + i64::from(difference.secs);
    u64::try_from(seconds).ok()
}
