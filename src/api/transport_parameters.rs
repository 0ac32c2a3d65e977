//! The dictionaries of ICE, DTLS and SCTP (W3C webrtc-pc §5.5, §5.6, §6; those of ORTC for wiring
//! transports by hand), in JSON with the names of the W3C.

use serde::{Deserialize, Serialize};

use crate::proto::dtls::{Fingerprint, FingerprintError};

/// The credentials of one side (W3C webrtc-pc §5.6.3 `RTCIceParameters`; `iceLite` is that of ORTC §3.8).
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RtcIceParameters {
    /// `a=ice-ufrag`.
    pub username_fragment: String,
    /// `a=ice-pwd`.
    pub password: String,
    /// A lite agent (RFC 8445 §2.5).
    pub ice_lite: bool,
}

/// Without the password.
impl std::fmt::Debug for RtcIceParameters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RtcIceParameters")
            .field("username_fragment", &self.username_fragment)
            .field("ice_lite", &self.ice_lite)
            .finish_non_exhaustive()
    }
}

/// Who says hello, and who the peer must be (W3C ORTC §4.5 `RTCDtlsParameters`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RtcDtlsParameters {
    /// Who begins the handshake.
    pub role: RtcDtlsRole,
    /// The certificate must match one of them.
    pub fingerprints: Vec<RtcDtlsFingerprint>,
}

/// Who begins the handshake (W3C webrtc-stats `RTCDtlsRole`, ORTC §4.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(clippy::exhaustive_enums, reason = "fixed by ORTC §4.6")]
pub enum RtcDtlsRole {
    /// Decided by the role in ICE: the controlled side begins.
    #[default]
    Auto,
    /// This side sends the ClientHello.
    Client,
    /// The other side does.
    Server,
}

/// The hash of a certificate (W3C webrtc-pc §5.5.2 `RTCDtlsFingerprint`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RtcDtlsFingerprint {
    /// `sha-256`, …
    pub algorithm: String,
    /// Hexadecimal bytes with colons between, in lower case when made here.
    pub value: String,
}

impl From<&Fingerprint> for RtcDtlsFingerprint {
    fn from(fingerprint: &Fingerprint) -> Self {
        let text = fingerprint.to_string();
        let value = text.split_once(' ').map_or_else(String::new, |(_, value)| value.to_ascii_lowercase());
        Self { algorithm: fingerprint.algorithm().name().to_owned(), value }
    }
}

impl TryFrom<&RtcDtlsFingerprint> for Fingerprint {
    type Error = FingerprintError;

    fn try_from(fingerprint: &RtcDtlsFingerprint) -> Result<Self, FingerprintError> {
        format!("{} {}", fingerprint.algorithm, fingerprint.value).parse()
    }
}

/// What an SCTP transport can do (ORTC §11.3 `RTCSctpCapabilities`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RtcSctpCapabilities {
    /// The largest message it takes, in bytes; 0 for any size (RFC 8841 §6).
    pub max_message_size: u64,
}

/// A data channel as both sides know it (ORTC §12.4 `RTCDataChannelParameters`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RtcDataChannelParameters {
    /// What the application calls it.
    pub label: String,
    /// The application's protocol on it.
    pub protocol: String,
    /// Messages arrive in the order they were sent.
    pub ordered: bool,
    /// A message is given up after this many milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_packet_life_time: Option<u16>,
    /// A message is given up after this many retransmissions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_retransmits: Option<u16>,
    /// Both applications agreed on [`Self::id`]: nothing is said in-band.
    pub negotiated: bool,
    /// The SCTP stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u16>,
}

impl Default for RtcDataChannelParameters {
    fn default() -> Self {
        Self {
            label: String::new(),
            protocol: String::new(),
            ordered: true,
            max_packet_life_time: None,
            max_retransmits: None,
            negotiated: false,
            id: None,
        }
    }
}
