//! `RtcRtpTransceiver` with its sender and receiver (W3C webrtc-pc §5.4).

use actix::Addr;

use super::engine::ask;
use crate::{
    actors::peer_connection::PeerConnection,
    messages::{
        error::RtcError,
        peer_connection::{ReplaceTrack, SetDirection, SharedSnapshot, StopTransceiver, TransceiverSnapshot},
        track::MediaStreamTrack,
    },
    proto::{
        jsep::{Direction, TransceiverId},
        rtp::MediaKind,
    },
};

/// One media section: what is sent and what is received on it.
#[derive(Clone)]
pub struct RtcRtpTransceiver {
    id: TransceiverId,
    address: Addr<PeerConnection>,
    snapshot: SharedSnapshot,
}

impl std::fmt::Debug for RtcRtpTransceiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RtcRtpTransceiver").field("id", &self.id).field("mid", &self.mid()).finish()
    }
}

impl RtcRtpTransceiver {
    pub(super) fn new(id: TransceiverId, address: Addr<PeerConnection>, snapshot: SharedSnapshot) -> Self {
        Self { id, address, snapshot }
    }

    fn read<T>(&self, read: impl FnOnce(&TransceiverSnapshot) -> T) -> Option<T> {
        self.snapshot.lock().transceivers.iter().find(|t| t.id == self.id).map(read)
    }

    /// Names it within its connection.
    pub fn id(&self) -> TransceiverId {
        self.id
    }

    /// W3C `mid`: the section it belongs to, once negotiated.
    pub fn mid(&self) -> Option<String> {
        self.read(|t| t.mid.clone()).flatten()
    }

    /// Audio or video.
    pub fn kind(&self) -> Option<MediaKind> {
        self.read(|t| t.kind)
    }

    /// W3C `direction`: what is wanted.
    pub fn direction(&self) -> Option<Direction> {
        self.read(|t| t.direction)
    }

    /// W3C `currentDirection`: what is negotiated.
    pub fn current_direction(&self) -> Option<Direction> {
        self.read(|t| t.current_direction).flatten()
    }

    /// What the peer wants, from its last description and its point of view.
    pub fn remote_direction(&self) -> Option<Direction> {
        self.read(|t| t.remote_direction).flatten()
    }

    /// Over, by [`Self::stop`] or by the peer.
    pub fn stopped(&self) -> bool {
        self.read(|t| t.stopped).unwrap_or(true)
    }

    /// W3C `receiver.track`: what the peer sends.
    pub fn receiver_track(&self) -> Option<MediaStreamTrack> {
        self.read(|t| t.receiver_track.clone()).flatten()
    }

    /// W3C `sender.track`: what is sent.
    pub fn sender_track(&self) -> Option<MediaStreamTrack> {
        self.read(|t| t.sender_track.clone()).flatten()
    }

    /// Sets W3C `direction`; takes effect with the next negotiation.
    ///
    /// # Errors
    /// [`RtcError::InvalidStateError`] when stopped or closed.
    pub async fn set_direction(&self, direction: Direction) -> Result<(), RtcError> {
        ask(&self.address, SetDirection { id: self.id, direction }).await?
    }

    /// W3C `sender.replaceTrack`: exchanges the track while packets flow. The old one keeps flowing
    /// until the new one's first key frame; the peer sees continuous numbering and no renegotiation.
    ///
    /// # Errors
    /// [`RtcError::TypeError`] for a track of the other kind, [`RtcError::InvalidStateError`] when stopped.
    pub async fn replace_track(&self, track: Option<MediaStreamTrack>) -> Result<(), RtcError> {
        ask(&self.address, ReplaceTrack { id: self.id, track, stream_ids: None }).await?
    }

    /// [`Self::replace_track`] together with W3C `setStreams`: the next description names the streams
    /// and the track.
    ///
    /// # Errors
    /// See [`Self::replace_track`].
    pub async fn send_track(
        &self,
        track: Option<MediaStreamTrack>,
        stream_ids: Vec<String>,
    ) -> Result<(), RtcError> {
        ask(&self.address, ReplaceTrack { id: self.id, track, stream_ids: Some(stream_ids) }).await?
    }

    /// W3C `stop`: ends it for good; its section is rejected in the next description.
    ///
    /// # Errors
    /// [`RtcError::InvalidStateError`] when closed.
    pub async fn stop(&self) -> Result<(), RtcError> {
        ask(&self.address, StopTransceiver(self.id)).await?
    }
}
