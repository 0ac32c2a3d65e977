//! `RtcRtpTransceiver` (W3C webrtc-pc §5.4): one media section, with its sender and its receiver.

use super::{RtcRtpCodecCapability, RtcRtpEncodingParameters, RtcRtpReceiver, RtcRtpSender, handle::Section};
use crate::{
    messages::{
        error::RtcError,
        peer_connection::{SetCodecPreferences, SetDirection, StopTransceiver},
        track::MediaStreamTrack,
    },
    proto::{
        jsep::{Direction, TransceiverId},
        rtp::MediaKind,
    },
};

/// How a new transceiver begins (W3C webrtc-pc §5.1 `RTCRtpTransceiverInit`).
#[derive(Debug, Clone, PartialEq)]
pub struct RtcRtpTransceiverInit {
    /// What is wanted. Default: both ways.
    pub direction: Direction,
    /// The streams that the track sent is said to belong to, by their ids.
    pub streams: Vec<String>,
    /// What is sent; several for simulcast, each with a rid. Empty: one with the defaults.
    pub send_encodings: Vec<RtcRtpEncodingParameters>,
}

impl Default for RtcRtpTransceiverInit {
    fn default() -> Self {
        Self { direction: Direction::Sendrecv, streams: Vec::new(), send_encodings: Vec::new() }
    }
}

impl RtcRtpTransceiverInit {
    /// The default with a direction chosen.
    pub fn with_direction(direction: Direction) -> Self {
        Self { direction, ..Self::default() }
    }
}

/// What `add_transceiver` is made of: a kind, or a track to send.
#[derive(Debug, Clone)]
#[allow(clippy::exhaustive_enums, reason = "W3C: (MediaStreamTrack or DOMString)")]
pub enum TrackOrKind {
    /// Send this track.
    Track(MediaStreamTrack),
    /// Send nothing yet.
    Kind(MediaKind),
}

impl From<MediaKind> for TrackOrKind {
    fn from(kind: MediaKind) -> Self {
        Self::Kind(kind)
    }
}

impl From<MediaStreamTrack> for TrackOrKind {
    fn from(track: MediaStreamTrack) -> Self {
        Self::Track(track)
    }
}

impl From<&MediaStreamTrack> for TrackOrKind {
    fn from(track: &MediaStreamTrack) -> Self {
        Self::Track(track.clone())
    }
}

/// One media section: what is sent and what is received on it (W3C `RTCRtpTransceiver`). Clones are
/// handles to the same one, and handles to the same one are equal.
#[derive(Clone, PartialEq)]
pub struct RtcRtpTransceiver {
    section: Section,
}

impl std::fmt::Debug for RtcRtpTransceiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RtcRtpTransceiver")
            .field("id", &self.section.id)
            .field("kind", &self.section.kind)
            .field("mid", &self.mid())
            .finish()
    }
}

impl RtcRtpTransceiver {
    pub(crate) fn new(section: Section) -> Self {
        Self { section }
    }

    /// Names it within its connection. Not in W3C.
    pub fn id(&self) -> TransceiverId {
        self.section.id
    }

    /// W3C `mid`: the section it belongs to, once negotiated; `None` again when it was stopped and its
    /// section is gone.
    pub fn mid(&self) -> Option<String> {
        self.section.read(|transceiver| transceiver.mid.clone()).flatten()
    }

    /// Audio or video.
    pub fn kind(&self) -> MediaKind {
        self.section.kind
    }

    /// W3C `sender`.
    pub fn sender(&self) -> RtcRtpSender {
        self.section.sender()
    }

    /// W3C `receiver`.
    pub fn receiver(&self) -> RtcRtpReceiver {
        self.section.receiver()
    }

    /// W3C `direction`: what is wanted; [`Direction::Stopped`] after [`Self::stop`].
    pub fn direction(&self) -> Direction {
        self.section.read(|transceiver| transceiver.direction).unwrap_or(Direction::Stopped)
    }

    /// W3C `currentDirection`: what is negotiated; `None` before the first answer.
    pub fn current_direction(&self) -> Option<Direction> {
        match self.section.read(|transceiver| transceiver.current_direction) {
            Some(direction) => direction,
            // It has left the session, which only stopped ones do.
            None => Some(Direction::Stopped),
        }
    }

    /// What the peer wants, from its last description and its point of view. Not in W3C.
    pub fn remote_direction(&self) -> Option<Direction> {
        self.section.read(|transceiver| transceiver.remote_direction).flatten()
    }

    /// Over, by [`Self::stop`], by the peer, or because the connection was closed.
    pub fn stopped(&self) -> bool {
        self.section.stopped()
    }

    /// Sets W3C `direction`; takes effect with the next negotiation.
    ///
    /// # Errors
    /// [`RtcError::InvalidStateError`] when stopped or closed, [`RtcError::TypeError`] for
    /// [`Direction::Stopped`].
    pub async fn set_direction(&self, direction: Direction) -> Result<(), RtcError> {
        self.section.check_usable()?;
        self.section.ask(SetDirection { id: self.section.id, direction }).await
    }

    /// W3C `setCodecPreferences`: the codecs of the next descriptions, in this order; empty for those of
    /// [`RtcRtpReceiver::get_capabilities`] again.
    ///
    /// # Errors
    /// [`RtcError::InvalidModificationError`] for a codec that is not among the capabilities, or when
    /// there are only formats for retransmission and the like. [`RtcError::InvalidStateError`] when closed.
    /// A stopped one is left as it is.
    pub async fn set_codec_preferences(&self, codecs: &[RtcRtpCodecCapability]) -> Result<(), RtcError> {
        let codecs = super::capabilities::preferences(self.section.kind, codecs)?;
        self.section.ask_unless_stopped(SetCodecPreferences { id: self.section.id, codecs }).await
    }

    /// W3C `stop`: ends it for good; its section is rejected in the next description. Stopped ones are
    /// left as they are.
    ///
    /// # Errors
    /// [`RtcError::InvalidStateError`] when closed.
    pub async fn stop(&self) -> Result<(), RtcError> {
        self.section.ask_unless_stopped(StopTransceiver(self.section.id)).await
    }
}
