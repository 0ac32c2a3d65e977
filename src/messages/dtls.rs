//! The conversation around `DtlsActor`, which holds the keys of a peer.

use std::sync::Arc;

use actix::Message;

use super::rtp::{RtcpSink, RtpSink};
use crate::proto::{
    dtls::{Fingerprint, Role},
    srtp::Profile,
};

/// `PeerConnection` → `DtlsActor`, control: begin the handshake as soon as ICE has a pair.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct StartDtls {
    /// Who says hello: decided by `a=setup` (RFC 8842 §5).
    pub role: Role,
    /// Certificates the peer may show; any of them is enough (RFC 8122 §5).
    pub fingerprints: Vec<Fingerprint>,
}

/// `PeerConnection` → `DtlsActor`, control: where the packets of one media section go. A section that
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

/// `PeerConnection` → `DtlsActor`, control: forget a section.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct DetachReceiver {
    /// Its `a=mid`.
    pub mid: String,
}

/// `PeerConnection` → `DtlsActor`, control: feedback about `ssrcs` goes to this sender.
#[derive(Message)]
#[rtype(result = "()")]
pub struct AttachSender {
    /// The sender's SSRC and, where negotiated, its RTX SSRC.
    pub ssrcs: Vec<u32>,
    /// The sender's lane for RTCP.
    pub rtcp: Arc<dyn RtcpSink>,
}

/// `PeerConnection` → `DtlsActor`, control: forget a sender.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct DetachSender {
    /// What it was attached with.
    pub ssrcs: Vec<u32>,
}

/// `PeerConnection` → `DtlsActor`, control: send what is queued, then close_notify, then stop.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct CloseDtls;

/// `DtlsActor` → `PeerConnection`, control.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub enum DtlsEvent {
    /// Handshake done, fingerprint verified.
    Connected {
        /// The SRTP profile both chose; `None` when the peer wants no media.
        profile: Option<Profile>,
    },
    /// The handshake failed, or the certificate matches no fingerprint.
    Failed(String),
    /// The peer has sent close_notify.
    Closed,
}
