//! HTTPS, from PEM files.

use std::path::PathBuf;

use openssl::{
    error::ErrorStack,
    ssl::{SslAcceptor, SslAcceptorBuilder, SslFiletype, SslMethod},
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

/// What serves HTTPS with these files.
pub(crate) fn acceptor(https: &Https) -> Result<SslAcceptorBuilder, TlsError> {
    let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls())?;
    builder
        .set_certificate_chain_file(&https.certificate)
        .map_err(|reason| TlsError::Certificate { path: https.certificate.clone(), reason })?;
    builder
        .set_private_key_file(&https.key, SslFiletype::PEM)
        .map_err(|reason| TlsError::Key { path: https.key.clone(), reason })?;
    builder.check_private_key().map_err(|_| TlsError::Mismatch)?;
    Ok(builder)
}
