//! The conversations of `RtpReceiver` and `RtpSender` with `DtlsActor` and `PeerConnection`.

use std::time::{Duration, Instant};

use actix::Message;
use bytes::Bytes;

use super::track::MediaStreamTrack;
use crate::proto::{receiver::ReceiverParameters, rtp::Rid, sender::SenderParameters};

/// A decrypted RTP packet, routed to its section.
#[derive(Debug, Clone)]
pub struct ReceivedRtp {
    /// The packet, header included.
    pub packet: Bytes,
    /// The simulcast layer it belongs to.
    pub rid: Option<Rid>,
    /// It repairs another stream (RTX).
    pub repaired: bool,
}

/// `DtlsActor` → `RtpReceiver`. Class: media.
pub trait RtpSink: Send + Sync {
    /// Takes packets in order; never blocks; drops its oldest when full.
    fn push_all(&self, now: Instant, packets: &mut dyn Iterator<Item = ReceivedRtp>);
}

/// `DtlsActor` → `RtpReceiver` or `RtpSender`. Class: feedback.
pub trait RtcpSink: Send + Sync {
    /// Takes one decrypted compound packet.
    fn push(&self, now: Instant, compound: Bytes);
}

/// `PeerConnection` → `RtpReceiver`, control: the outcome of a negotiation.
#[derive(Message)]
#[rtype(result = "()")]
pub struct SetReceiveParameters(pub ReceiverParameters);

/// `PeerConnection` → `RtpReceiver`, control: the section receives no more; its track ends.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct StopReceiver;

/// `PeerConnection` → `RtpReceiver`, control: the round trip to the peer, for the pace of NACKs.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct SetRoundTripTime(pub Duration);

/// `PeerConnection` → `RtpSender`, control: the outcome of a negotiation. `None`: nothing is sent
/// until the next one.
#[derive(Message)]
#[rtype(result = "()")]
pub struct SetSendParameters(pub Option<SenderParameters>);

/// `PeerConnection` → `RtpSender`, control: take media from this track from its next key frame on
/// (W3C `replaceTrack`); the old one keeps flowing until then. `None` falls silent at once.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct SwapTrack(pub Option<MediaStreamTrack>);

/// `PeerConnection` → `RtpSender`, control: say BYE and stop.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct StopSender;
