//! `RtcRtpReceiver` (W3C webrtc-pc §5.3): what arrives on a section.

use std::time::{Duration, Instant, SystemTime};

use super::{
    RtcDtlsTransport, RtcRtpCapabilities, RtcRtpContributingSource, RtcRtpReceiveParameters,
    RtcRtpSynchronizationSource, RtcRtpTransceiver, handle::Section, send_parameters, stats::RtcStatsReport,
};
use crate::{
    actors::kit,
    messages::{
        error::RtcError,
        peer_connection::{GetSources, SetJitterBufferTarget},
        statistics::StatisticsSelector,
        track::MediaStreamTrack,
    },
    proto::{receiver::RtpSource, rtp::MediaKind},
};

/// What arrives on a section (W3C `RTCRtpReceiver`). Clones are handles to the same one.
#[derive(Clone, PartialEq)]
pub struct RtcRtpReceiver {
    section: Section,
}

impl std::fmt::Debug for RtcRtpReceiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RtcRtpReceiver").field("section", &self.section).finish()
    }
}

impl RtcRtpReceiver {
    pub(crate) fn new(section: Section) -> Self {
        Self { section }
    }

    /// W3C `RTCRtpReceiver.getCapabilities`: what can be received, and forwarded or recorded.
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

    /// W3C `track`: what the peer sends; muted until it does. `None` when the transceiver has left its
    /// connection, or its receiver was lost.
    pub fn track(&self) -> Option<MediaStreamTrack> {
        self.section.read(|transceiver| transceiver.receiver_track.clone()).flatten()
    }

    /// W3C `transport`: what packets come over, once there is one.
    pub fn transport(&self) -> Option<RtcDtlsTransport> {
        self.section.transport()
    }

    /// W3C `getParameters`: what was negotiated.
    pub fn get_parameters(&self) -> RtcRtpReceiveParameters {
        self.section.read(send_parameters::of_receiver).unwrap_or_default()
    }

    /// W3C `getContributingSources`: who contributed to what came in the last 10 s, the latest first.
    ///
    /// # Errors
    /// [`RtcError::InvalidStateError`] when closed, [`RtcError::Gone`] when the connection has ended.
    pub async fn get_contributing_sources(&self) -> Result<Vec<RtcRtpContributingSource>, RtcError> {
        let (now, wall) = (kit::now(), kit::wall_clock());
        let sources = self.section.core.ask(GetSources(self.section.id)).await?.contributing;
        let shown = sources.iter().map(|source| RtcRtpContributingSource {
            timestamp: milliseconds_at(now, wall, source),
            source: source.source,
            audio_level: source.linear_audio_level(),
            rtp_timestamp: source.rtp_timestamp,
        });
        Ok(shown.collect())
    }

    /// W3C `getSynchronizationSources`: who sent what came in the last 10 s, the latest first.
    ///
    /// # Errors
    /// [`RtcError::InvalidStateError`] when closed, [`RtcError::Gone`] when the connection has ended.
    pub async fn get_synchronization_sources(&self) -> Result<Vec<RtcRtpSynchronizationSource>, RtcError> {
        let (now, wall) = (kit::now(), kit::wall_clock());
        let sources = self.section.core.ask(GetSources(self.section.id)).await?.synchronization;
        let shown = sources.iter().map(|source| RtcRtpSynchronizationSource {
            timestamp: milliseconds_at(now, wall, source),
            source: source.source,
            audio_level: source.linear_audio_level(),
            rtp_timestamp: source.rtp_timestamp,
        });
        Ok(shown.collect())
    }

    /// W3C `jitterBufferTarget`: how long media shall wait at least, as last set.
    pub fn jitter_buffer_target(&self) -> Option<Duration> {
        self.section.read(|transceiver| transceiver.jitter_buffer_target).flatten()
    }

    /// Sets W3C `jitterBufferTarget`, for whoever plays the track; `None`: as short as possible.
    ///
    /// # Errors
    /// [`RtcError::RangeError`] above 4 s, [`RtcError::InvalidStateError`] when stopped or closed.
    pub async fn set_jitter_buffer_target(&self, target: Option<Duration>) -> Result<(), RtcError> {
        self.section.core.ask(SetJitterBufferTarget { id: self.section.id, target }).await
    }

    /// W3C `getStats`: the streams received, and all that they refer to.
    ///
    /// # Errors
    /// [`RtcError::InvalidStateError`] when closed, [`RtcError::Gone`] when the connection has ended.
    pub async fn get_stats(&self) -> Result<RtcStatsReport, RtcError> {
        RtcStatsReport::collect(&self.section.core, StatisticsSelector::Receiver(self.section.id)).await
    }
}

/// When a source was heard, in milliseconds since 1970.
fn milliseconds_at(now: Instant, wall: SystemTime, source: &RtpSource) -> f64 {
    let at = wall.checked_sub(now.saturating_duration_since(source.at)).unwrap_or(SystemTime::UNIX_EPOCH);
    at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64() * 1_000.0
}
