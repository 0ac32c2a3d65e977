//! What a session is made with: identity, transport parameters and media capabilities.

use super::capabilities::MediaCapabilities;
use super::types::{DtlsRole, IceParameters};

/// Configuration of a [`Session`](super::Session).
#[derive(Debug, Clone)]
pub struct SessionConfig {
    /// Fingerprints of our certificate, each `sha-256 AA:BB:..`.
    pub fingerprints: Vec<String>,
    /// ICE credentials to begin with. Later ones are chosen by the session; see `Session::local_ice`.
    pub ice: IceParameters,
    /// RTCP canonical name, one per peer connection (RFC 8834 4.9).
    pub cname: String,
    /// Codecs and header extensions.
    pub media: MediaCapabilities,
    /// Side of the DTLS handshake that an answer chooses when the offer leaves the choice.
    pub dtls_role: DtlsRole,
    /// Whether `m=application` sections are accepted.
    pub data_channels: bool,
}

impl SessionConfig {
    /// Default capabilities, DTLS client in answers, no data channels.
    pub fn new(fingerprints: Vec<String>, ice: IceParameters, cname: impl Into<String>) -> Self {
        Self {
            fingerprints,
            ice,
            cname: cname.into(),
            media: MediaCapabilities::default(),
            dtls_role: DtlsRole::Client,
            data_channels: false,
        }
    }
}
