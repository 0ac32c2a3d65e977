//! What a session is made with: identity, policies and media capabilities.

use super::capabilities::MediaCapabilities;
use super::types::{BundlePolicy, DtlsRole, IceParameters};

/// Port of SCTP inside DTLS; any number would do, all use this one.
const SCTP_PORT: u16 = 5000;
/// Largest data channel message accepted, as browsers announce it.
const MESSAGE_SIZE_MAX: u64 = 262_144;

/// Configuration of a [`Session`](super::Session).
#[derive(Debug, Clone)]
pub struct SessionConfig {
    /// Fingerprints of our certificate, each `sha-256 AA:BB:..`.
    pub fingerprints: Vec<String>,
    /// Whether our ICE agents are lite (RFC 8445 2.5).
    pub ice_lite: bool,
    /// Credentials of ICE agents that exist already (W3C `iceCandidatePoolSize`); the first transports take them in
    /// this order, later ones choose their own. `lite` in them does not count.
    pub ice_pool: Vec<IceParameters>,
    /// RTCP canonical name, one per peer connection (RFC 8834 4.9).
    pub cname: String,
    /// Codecs and header extensions.
    pub media: MediaCapabilities,
    /// Side of the DTLS handshake that an answer chooses when the offer leaves the choice.
    pub dtls_role: DtlsRole,
    /// Whether `m=application` sections are accepted.
    pub data_channels: bool,
    /// Whether offers have a section for data channels even before the first channel is made.
    pub always_negotiate_data_channels: bool,
    /// How sections are put on transports.
    pub bundle_policy: BundlePolicy,
    /// Largest data channel message accepted here, in bytes; 0 for any (RFC 8841 6).
    pub max_message_size: u64,
    /// Our SCTP port.
    pub sctp_port: u16,
    /// Whether answers repeat `a=rtcp-mux-only`: RFC 8858 4.3 forbids it, RFC 9725 4.4.2 asks WHIP endpoints for it.
    pub rtcp_mux_only_in_answers: bool,
}

impl SessionConfig {
    /// Default capabilities and policies, DTLS client in answers, with data channels.
    pub fn new(fingerprints: Vec<String>, cname: impl Into<String>) -> Self {
        Self {
            fingerprints,
            ice_lite: false,
            ice_pool: Vec::new(),
            cname: cname.into(),
            media: MediaCapabilities::default(),
            dtls_role: DtlsRole::Client,
            data_channels: true,
            always_negotiate_data_channels: false,
            bundle_policy: BundlePolicy::default(),
            max_message_size: MESSAGE_SIZE_MAX,
            sctp_port: SCTP_PORT,
            rtcp_mux_only_in_answers: false,
        }
    }
}
