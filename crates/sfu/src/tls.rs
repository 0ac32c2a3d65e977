//! HTTPS, from PEM files.

use std::path::PathBuf;

use openssl::{
    error::ErrorStack,
    ssl::{AlpnError, SslAcceptor, SslFiletype, SslMethod, select_next_proto},
};

use crate::config::Https;

/// Why there is no HTTPS.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The certificate chain.
    #[error(
        "the certificate {path:?} can't be used: {reason}; it must be a PEM file with the server's certificate first"
    )]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What OpenSSL says.
        reason: ErrorStack,
    },
    /// The private key.
    #[error("the key {path:?} can't be used: {reason}; it must be a PEM file without a passphrase")]
    Key {
        /// The file.
        path: PathBuf,
        /// What OpenSSL says.
        reason: ErrorStack,
    },
    /// One is not for the other.
    #[error("the key does not belong to the certificate")]
    Mismatch,
    /// OpenSSL itself.
    #[error("TLS can't be set up: {0}")]
    OpenSsl(#[from] ErrorStack),
}

/// RFC 7301 §3.1, as the server prefers them.
const PROTOCOLS: &[u8] = b"\x02h2\x08http/1.1";

/// What serves HTTPS with these files.
pub(crate) fn acceptor(https: &Https) -> Result<SslAcceptor, TlsError> {
    let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls())?;
    builder
        .set_certificate_chain_file(&https.certificate)
        .map_err(|reason| TlsError::Certificate { path: https.certificate.clone(), reason })?;
    builder
        .set_private_key_file(&https.key, SslFiletype::PEM)
        .map_err(|reason| TlsError::Key { path: https.key.clone(), reason })?;
    builder.check_private_key().map_err(|_| TlsError::Mismatch)?;
    builder
        .set_alpn_select_callback(|_, offered| select_next_proto(PROTOCOLS, offered).ok_or(AlpnError::NOACK));
    Ok(builder.build())
}
