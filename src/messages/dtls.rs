//! The conversation around `DtlsActor`, which holds the keys of a peer.

use std::sync::Arc;

use actix::Message;
use serde::{Deserialize, Serialize};

use super::rtp::{RtcpSink, RtpSink};
use crate::proto::{
    dtls::{Fingerprint, Role},
    srtp::Profile,
};

/// `TransportActors` → `DtlsActor`, control: begin the handshake as soon as ICE has a pair.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct StartDtls {
    /// Who says hello: decided by `a=setup` (RFC 8842 §5).
    pub role: Role,
    /// Certificates the peer may show; any of them is enough (RFC 8122 §5).
    pub fingerprints: Vec<Fingerprint>,
}

/// `TransportActors` → `DtlsActor`, control: where the packets of one media section go. A section that
/// was attached before is replaced.
#[derive(Message)]
#[rtype(result = "()")]
pub struct AttachReceiver {
    /// Which section: its `a=mid`.
    pub mid: String,
    /// Payload types that belong to this section.
    pub payload_types: Vec<u8>,
    /// SSRCs the peer announced for it, each with its RTX SSRC.
    pub ssrcs: Vec<(u32, Option<u32>)>,
    /// RIDs the peer announced for it.
    pub rids: Vec<String>,
    /// Negotiated header extensions of the section, `a=extmap`.
    pub extensions: Vec<(u8, String)>,
    /// The receiver's lane for RTP.
    pub rtp: Arc<dyn RtpSink>,
    /// The receiver's lane for RTCP.
    pub rtcp: Arc<dyn RtcpSink>,
}

/// `TransportActors` → `DtlsActor`, control: forget a section.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct DetachReceiver {
    /// Its `a=mid`.
    pub mid: String,
}

/// `TransportActors` → `DtlsActor`, control: feedback about `ssrcs` goes to this sender.
#[derive(Message)]
#[rtype(result = "()")]
pub struct AttachSender {
    /// The sender's SSRC and, where negotiated, its RTX SSRC.
    pub ssrcs: Vec<u32>,
    /// The sender's lane for RTCP.
    pub rtcp: Arc<dyn RtcpSink>,
}

/// `TransportActors` → `DtlsActor`, control: forget a sender.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct DetachSender {
    /// What it was attached with.
    pub ssrcs: Vec<u32>,
}

/// `TransportActors` → `DtlsActor`, control: send what is queued, then close_notify, then stop.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct CloseDtls;

/// The state of a security context (W3C webrtc-pc §5.5.1 `RTCDtlsTransportState`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(clippy::exhaustive_enums, reason = "W3C has five states")]
pub enum DtlsTransportState {
    /// Nothing was negotiated yet.
    #[default]
    New,
    /// The handshake waits for a path, or runs.
    Connecting,
    /// The peer is the one that was described, and there are keys.
    Connected,
    /// Ended by a close_notify of either side.
    Closed,
    /// The handshake failed, the peer is another one, or the context was lost.
    Failed,
}

impl DtlsTransportState {
    /// The W3C name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Closed => "closed",
            Self::Failed => "failed",
        }
    }
}

/// `DtlsActor` → the owner of its transport, control.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub enum DtlsEvent {
    /// Handshake done, fingerprint verified.
    Connected {
        /// The SRTP profile both chose; `None` when the peer wants no media.
        profile: Option<Profile>,
        /// What the peer has shown, DER: its certificate (W3C `getRemoteCertificates`).
        remote_certificates: Vec<bytes::Bytes>,
    },
    /// The handshake failed, or the certificate matches no fingerprint.
    Failed(String),
    /// The peer has sent close_notify.
    Closed,
}
