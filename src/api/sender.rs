//! `RtcRtpSender` (W3C webrtc-pc §5.2): what is sent on a section.

use super::{
    RtcDtlsTransport, RtcDtmfSender, RtcRtpCapabilities, RtcRtpSendParameters, RtcRtpTransceiver,
    handle::Section, send_parameters, stats::RtcStatsReport,
};
use crate::{
    messages::{
        error::RtcError,
        peer_connection::{ReplaceTrack, SetSendEncodings, SetStreams},
        statistics::StatisticsSelector,
        track::MediaStreamTrack,
    },
    proto::rtp::MediaKind,
};

/// What is sent on a section (W3C `RTCRtpSender`). Clones are handles to the same one.
#[derive(Clone, PartialEq)]
pub struct RtcRtpSender {
    pub(super) section: Section,
}

impl std::fmt::Debug for RtcRtpSender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RtcRtpSender").field("section", &self.section).finish()
    }
}

impl RtcRtpSender {
    pub(crate) fn new(section: Section) -> Self {
        Self { section }
    }

    /// W3C `RTCRtpSender.getCapabilities`: what can be sent. Codecs are forwarded or packetised, not
    /// encoded; `rtx` is listed once.
    pub fn get_capabilities(kind: MediaKind) -> RtcRtpCapabilities {
        super::capabilities::of(kind)
    }

    /// Audio or video.
    pub fn kind(&self) -> MediaKind {
        self.section.kind
    }

    /// The transceiver it is part of. Not in W3C.
    pub fn transceiver(&self) -> RtcRtpTransceiver {
        self.section.transceiver()
    }

    /// W3C `track`: what is sent.
    pub fn track(&self) -> Option<MediaStreamTrack> {
        self.section.read(|transceiver| transceiver.sender_track.clone()).flatten()
    }

    /// The streams that the track is said to belong to, by their ids, as last set. Not in W3C.
    pub fn streams(&self) -> Vec<String> {
        self.section.read(|transceiver| transceiver.stream_ids.clone()).unwrap_or_default()
    }

    /// W3C `transport`: what packets go over, once there is one.
    pub fn transport(&self) -> Option<RtcDtlsTransport> {
        self.section.transport()
    }

    /// W3C `dtmf`: for audio.
    pub fn dtmf(&self) -> Option<RtcDtmfSender> {
        (self.section.kind == MediaKind::Audio).then(|| RtcDtmfSender::new(self.section.clone()))
    }

    /// W3C `getParameters`: what is sent, to be changed and given to [`Self::set_parameters`].
    pub fn get_parameters(&self) -> RtcRtpSendParameters {
        let parameters = self.section.read(send_parameters::of).unwrap_or_default().with_new_transaction();
        self.section.core.last_parameters().insert(self.section.id, parameters.clone());
        parameters
    }

    /// W3C `setParameters`: changes the encodings at once, without negotiation. What is not an encoding
    /// is read-only, and so are their number, order and rids.
    ///
    /// # Errors
    /// [`RtcError::InvalidStateError`] when stopped or closed, and without a preceding
    /// [`Self::get_parameters`] since the last change; [`RtcError::InvalidModificationError`] when these
    /// are not the parameters that were returned last, or something read-only differs;
    /// [`RtcError::RangeError`] for a `scale_resolution_down_by` below 1 or a `max_framerate` below 0.
    pub async fn set_parameters(&self, parameters: RtcRtpSendParameters) -> Result<(), RtcError> {
        self.section.check_usable()?;
        let last = self.section.core.last_parameters().get(&self.section.id).cloned();
        let last = last.ok_or_else(|| {
            RtcError::InvalidStateError("call get_parameters before each set_parameters".to_owned())
        })?;
        let encodings = send_parameters::check(self.section.kind, &last, parameters)?;
        self.section.ask(SetSendEncodings { id: self.section.id, encodings }).await?;
        // Somebody may have looked again meanwhile: only the parameters that were used up are forgotten.
        let mut slots = self.section.core.last_parameters();
        if slots.get(&self.section.id).is_some_and(|slot| slot.transaction_id == last.transaction_id) {
            slots.remove(&self.section.id);
        }
        Ok(())
    }

    /// W3C `replaceTrack`: exchanges the track while packets flow. The old one keeps flowing until the
    /// new one's first key frame; the peer sees continuous numbering and no renegotiation.
    ///
    /// # Errors
    /// [`RtcError::TypeError`] for a track of the other kind, [`RtcError::InvalidStateError`] when
    /// stopped or closed.
    pub async fn replace_track(&self, track: Option<MediaStreamTrack>) -> Result<(), RtcError> {
        self.check_track(track.as_ref())?;
        self.section.ask(ReplaceTrack { id: self.section.id, track, stream_ids: None }).await
    }

    /// [`Self::replace_track`] together with [`Self::set_streams`], so that the next description names
    /// the streams and this track. Not in W3C, where the track that was there first names the section for
    /// ever.
    ///
    /// # Errors
    /// See [`Self::replace_track`].
    pub async fn send_track(
        &self,
        track: Option<MediaStreamTrack>,
        streams: Vec<String>,
    ) -> Result<(), RtcError> {
        self.check_track(track.as_ref())?;
        let message = ReplaceTrack { id: self.section.id, track, stream_ids: Some(streams) };
        self.section.ask(message).await
    }

    /// W3C `setStreams`: the streams, by their ids, that the next description says the track belongs to.
    ///
    /// # Errors
    /// [`RtcError::InvalidStateError`] when stopped or closed, [`RtcError::TypeError`] for an id that is
    /// no token of 1 to 64 characters.
    pub async fn set_streams(&self, streams: Vec<String>) -> Result<(), RtcError> {
        self.section.check_usable()?;
        let mut stream_ids: Vec<String> = Vec::with_capacity(streams.len());
        for id in streams {
            if !stream_ids.contains(&id) {
                stream_ids.push(id);
            }
        }
        self.section.ask(SetStreams { id: self.section.id, stream_ids }).await
    }

    /// W3C `getStats`: the streams sent, and all that they refer to.
    ///
    /// # Errors
    /// [`RtcError::InvalidStateError`] when closed, [`RtcError::Gone`] when the connection has ended.
    pub async fn get_stats(&self) -> Result<RtcStatsReport, RtcError> {
        RtcStatsReport::collect(&self.section.core, StatisticsSelector::Sender(self.section.id)).await
    }

    fn check_track(&self, track: Option<&MediaStreamTrack>) -> Result<(), RtcError> {
        let kind = self.section.kind;
        match track {
            // The kind comes first (W3C webrtc-pc §5.2, `replaceTrack` steps 3 and 4).
            Some(track) if track.kind() != kind => {
                Err(RtcError::TypeError(format!("a sender of {kind} can't send a track of {}", track.kind())))
            }
            _ => self.section.check_usable(),
        }
    }
}
