//! OpenSSL configuration: what is the same for all sessions of a certificate, and what is a session's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use openssl::error::ErrorStack;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{
    AlpnError, Ssl, SslContext, SslMethod, SslMode, SslOptions, SslSessionCacheMode, SslVerifyMode,
    SslVersion, select_next_proto,
};
use openssl::x509::{X509, X509VerifyResult};

use super::fingerprint::Fingerprint;
use super::session::{Role, SessionConfig};
use crate::proto::srtp::Profile;

/// RFC 8827 §6.5: forward secrecy and AEAD only. ECDSA first: that is what browsers have. All are AES-GCM:
/// the length check of `record` counts on it.
const CIPHERS: &str = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:\
                       ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384";
/// P-256 is the one everybody has (RFC 8827 §6.5); X25519 is faster.
const GROUPS: &str = "X25519:P-256:P-384";
/// RFC 8833 §4: length-prefixed protocol names.
const APPLICATION_PROTOCOLS: &[u8] = b"\x06webrtc\x08c-webrtc";

/// The context that all sessions of a certificate share.
pub(super) fn new_context(certificate: &X509, key: &PKey<Private>) -> Result<SslContext, ErrorStack> {
    let mut builder = SslContext::builder(SslMethod::dtls())?;
    builder.set_min_proto_version(Some(SslVersion::DTLS1_2))?;
    builder.set_max_proto_version(Some(SslVersion::DTLS1_2))?;
    builder.set_options(
        // The MTU is given per session; without this OpenSSL lowers it after two timeouts.
        SslOptions::NO_QUERY_MTU
            | SslOptions::NO_TICKET
            | SslOptions::NO_COMPRESSION
            | SslOptions::NO_RENEGOTIATION
            | SslOptions::CIPHER_SERVER_PREFERENCE,
    );
    // A thousand idle sessions shouldn't hold a thousand record buffers.
    builder.set_mode(SslMode::RELEASE_BUFFERS);
    builder.set_session_cache_mode(SslSessionCacheMode::OFF);
    builder.set_cipher_list(CIPHERS)?;
    builder.set_groups_list(GROUPS)?;
    builder.set_certificate(certificate)?;
    builder.set_private_key(key)?;
    builder.check_private_key()?;
    builder.set_alpn_protos(APPLICATION_PROTOCOLS)?;
    builder.set_alpn_select_callback(|_, offered| {
        select_next_proto(APPLICATION_PROTOCOLS, offered).ok_or(AlpnError::NOACK)
    });
    Ok(builder.build())
}

/// A new connection object for one session. `mismatch` is set when the peer's certificate has none of
/// the fingerprints.
pub(super) fn new_connection(config: &SessionConfig, mismatch: &Arc<AtomicBool>) -> Result<Ssl, ErrorStack> {
    let mut ssl = Ssl::new(config.certificate.context())?;
    match config.role {
        Role::Client => ssl.set_connect_state(),
        Role::Server => ssl.set_accept_state(),
    }
    // RFC 5764 §4.1: offered in every session, data-only ones too (RFC 9143 §11).
    if !config.srtp_profiles.is_empty() {
        let names: Vec<&str> = config.srtp_profiles.iter().copied().map(openssl_name).collect();
        ssl.set_tlsext_use_srtp(&names.join(":"))?;
    }
    ssl.set_mtu(config.mtu as u32)?;
    let fingerprints = config.remote_fingerprints.clone();
    let mismatch = Arc::clone(mismatch);
    // The certificates are self-signed: what makes one trusted is its fingerprint alone (RFC 8827 §5.1).
    // OpenSSL calls back for each finding and each certificate of the chain.
    ssl.set_verify_callback(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT, move |_, chain| {
        if chain.error_depth() != 0 {
            return true;
        }
        let der = chain.current_cert().and_then(|certificate| certificate.to_der().ok());
        let matches = der.is_some_and(|der| Fingerprint::any_matches(&fingerprints, &der));
        if !matches {
            mismatch.store(true, Ordering::Relaxed);
            chain.set_error(X509VerifyResult::APPLICATION_VERIFICATION);
        }
        matches
    });
    Ok(ssl)
}

/// The names OpenSSL has for the profiles.
fn openssl_name(profile: Profile) -> &'static str {
    match profile {
        Profile::AeadAes128Gcm => "SRTP_AEAD_AES_128_GCM",
        Profile::AeadAes256Gcm => "SRTP_AEAD_AES_256_GCM",
        Profile::Aes128CmHmacSha1_80 => "SRTP_AES128_CM_SHA1_80",
    }
}
