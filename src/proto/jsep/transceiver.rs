//! One media section's state: what the application wants, and what was negotiated.

use super::types::{Direction, MediaKind, RtpReceiveParameters, RtpSendParameters, TransceiverId};
use crate::proto::rtp::CodecParameters;

/// A pair of sender and receiver that share one media section (W3C `RTCRtpTransceiver`).
#[derive(Debug, Clone)]
pub struct Transceiver {
    pub(super) id: TransceiverId,
    pub(super) kind: MediaKind,
    /// What the application wants; `Stopped` once `stop` was called.
    pub(super) direction: Direction,
    /// Streams of the track to send, as the application named them.
    pub(super) stream_ids: Vec<String>,
    /// Track to send; always there because `a=msid` needs one (RFC 8829 5.2.1).
    pub(super) track_id: String,
    /// Whether the application attached a track.
    pub(super) has_track: bool,
    /// Whether sending was ever negotiated.
    pub(super) has_sent: bool,
    /// What it sends, at least one: the layers of a simulcast, or one stream without a rid. Their numbers change
    /// only while nothing is sent.
    pub(super) sources: Vec<Source>,
    /// Codecs wanted in order; `None` means the capabilities.
    pub(super) preferences: Option<Vec<CodecParameters>>,
    /// RFC 8829 5.10: only transceivers made by `add_track` are taken for sections of a remote offer.
    pub(super) added_by_track: bool,
    /// Made while applying the remote offer that is pending: a rollback removes it.
    pub(super) created_by_offer: bool,
    /// What negotiation has settled or proposed.
    pub(super) link: Link,
    /// `link` of the last stable state while an exchange is in progress: what a rollback restores.
    pub(super) stable: Option<Box<Link>>,
}

/// The negotiated half of a transceiver, saved as a whole for rollback.
#[derive(Debug, Clone, Default)]
pub(super) struct Link {
    /// Index of the m-line.
    pub(super) section: Option<usize>,
    pub(super) mid: Option<String>,
    pub(super) current_direction: Option<Direction>,
    /// Direction of the peer's last description, from the peer's side.
    pub(super) remote_direction: Option<Direction>,
    pub(super) remote_stream_ids: Vec<String>,
    pub(super) remote_track_id: Option<String>,
    /// Layers that the pending remote offer asks for (W3C `proposedSendEncodings`).
    pub(super) proposed: Vec<Source>,
    pub(super) send: Option<RtpSendParameters>,
    pub(super) receive: Option<RtpReceiveParameters>,
}

/// One stream that a transceiver sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) rid: Option<String>,
    pub(super) ssrc: u32,
    /// Source of retransmissions, reserved even where rtx is not negotiated.
    pub(super) rtx_ssrc: u32,
}

impl Transceiver {
    /// What descriptions say that it sends.
    pub(super) fn announced(&self) -> &[Source] {
        if self.link.proposed.is_empty() { &self.sources } else { &self.link.proposed }
    }

    /// Source of everything that is not one of several layers.
    pub(super) fn first_ssrc(&self) -> u32 {
        self.sources.first().map_or(1, |source| source.ssrc)
    }

    /// Whether a number is taken by one of its sources.
    pub(super) fn has_ssrc(&self, ssrc: u32) -> bool {
        let mut sources = self.sources.iter().chain(&self.link.proposed);
        sources.any(|source| source.ssrc == ssrc || source.rtx_ssrc == ssrc)
    }

    /// The rids of its encodings (W3C `[[SendEncodings]]`): one `None` for a single stream. A pending remote offer
    /// that asks for layers counts; layers that an answer did not accept are gone.
    pub fn rids(&self) -> impl Iterator<Item = Option<&str>> {
        self.announced().iter().map(|source| source.rid.as_deref())
    }

    /// Whether the application attached a track, by `add_track`, `set_sending_track` or `add_transceiver`.
    pub fn has_track(&self) -> bool {
        self.has_track
    }

    /// Codecs chosen by `set_codec_preferences`, in order; `None` when all capabilities are wanted.
    pub fn codec_preferences(&self) -> Option<&[CodecParameters]> {
        self.preferences.as_deref()
    }

    /// Stops sending and receiving for good.
    pub(super) fn end(&mut self) {
        self.direction = Direction::Stopped;
        self.link.send = None;
        self.link.receive = None;
    }

    /// Its name in calls on the session.
    pub fn id(&self) -> TransceiverId {
        self.id
    }

    /// Audio or video.
    pub fn kind(&self) -> MediaKind {
        self.kind
    }

    /// Identification tag of the section it is associated with.
    pub fn mid(&self) -> Option<&str> {
        self.link.mid.as_deref()
    }

    /// Index of the section it is associated with.
    pub fn media_line_index(&self) -> Option<usize> {
        self.link.section
    }

    /// The direction that the application wants.
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// The direction that was negotiated last; `None` before the first answer.
    pub fn current_direction(&self) -> Option<Direction> {
        self.link.current_direction
    }

    /// What the peer's last description said for this section, **from the peer's side**: an SFU gives a
    /// `Recvonly` one something to send. A pending offer counts.
    pub fn remote_direction(&self) -> Option<Direction> {
        self.link.remote_direction
    }

    /// Whether `stop` was called; the transceiver leaves the session with the next answer.
    pub fn stopped(&self) -> bool {
        self.direction == Direction::Stopped
    }

    /// Streams of the track to send, as set by the application.
    pub fn stream_ids(&self) -> &[String] {
        &self.stream_ids
    }

    /// Id of the track to send.
    pub fn track_id(&self) -> &str {
        &self.track_id
    }

    /// Streams the peer puts its track in; a pending offer counts.
    pub fn remote_stream_ids(&self) -> &[String] {
        &self.link.remote_stream_ids
    }

    /// Id that the peer gave its track; a pending offer counts.
    pub fn remote_track_id(&self) -> Option<&str> {
        self.link.remote_track_id.as_deref()
    }

    /// How to send; `None` unless sending was negotiated.
    pub fn send_parameters(&self) -> Option<&RtpSendParameters> {
        self.link.send.as_ref()
    }

    /// How to receive; `None` unless receiving was negotiated.
    pub fn receive_parameters(&self) -> Option<&RtpReceiveParameters> {
        self.link.receive.as_ref()
    }
}
