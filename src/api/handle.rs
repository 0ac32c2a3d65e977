//! What all handles of one connection share: the actor's address, what it published last, and the W3C
//! internal slots that belong to handles alone.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use actix::Addr;

use super::{
    MediaStream, MediaStreamTrack, RtcDtlsTransport, RtcIceTransport, RtcRtpReceiver, RtcRtpSendParameters,
    RtcRtpSender, RtcRtpTransceiver, RtcStatsReport, remote_streams::RemoteStreams,
};
use crate::{
    actors::{kit, peer_connection::PeerConnection},
    messages::{
        error::RtcError,
        peer_connection::{PeerSnapshot, SharedSnapshot, TransceiverSnapshot, TransportSnapshot},
    },
    proto::{
        jsep::{TransceiverId, TransportId},
        rtp::MediaKind,
    },
};

/// Shared by the handles of one connection. It does not keep the connection open: that is up to the
/// `RtcPeerConnection`s.
pub(crate) struct Core {
    pub(crate) address: Addr<PeerConnection>,
    pub(crate) snapshot: SharedSnapshot,
    /// W3C `[[LastReturnedParameters]]` of each sender. Grows with the transceivers, of which a session
    /// has a limited number.
    last_parameters: Mutex<BTreeMap<TransceiverId, RtcRtpSendParameters>>,
    /// What a connection that was closed still has to say.
    last_report: Mutex<RtcStatsReport>,
    streams: Mutex<RemoteStreams>,
}

impl Core {
    pub(crate) fn new(address: Addr<PeerConnection>, snapshot: SharedSnapshot) -> Arc<Self> {
        Arc::new(Self {
            address,
            snapshot,
            last_parameters: Mutex::default(),
            last_report: Mutex::default(),
            streams: Mutex::default(),
        })
    }

    /// Looks at what the actor published last.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&PeerSnapshot) -> T) -> T {
        read(&self.snapshot.lock())
    }

    /// The same for one transceiver; `None` when it has left the session.
    pub(crate) fn transceiver<T>(
        &self,
        id: TransceiverId,
        read: impl FnOnce(&TransceiverSnapshot) -> T,
    ) -> Option<T> {
        self.snapshot.lock().transceivers.iter().find(|transceiver| transceiver.id == id).map(read)
    }

    /// The same for one transport.
    pub(crate) fn transport<T>(
        &self,
        id: TransportId,
        read: impl FnOnce(&TransportSnapshot) -> T,
    ) -> Option<T> {
        self.snapshot.lock().transports.get(&id).map(|transport| read(transport))
    }

    /// Asks the actor with the deadline of the API. A connection that was closed answers nothing but
    /// `InvalidStateError` (W3C webrtc-pc §4.4.1.5: `[[IsClosed]]`).
    pub(crate) async fn ask<M, T>(&self, message: M) -> Result<T, RtcError>
    where
        Addr<PeerConnection>: kit::Destination<M>,
        M: actix::Message<Result = Result<T, RtcError>>,
    {
        self.check_open()?;
        match super::engine::ask(&self.address, message).await {
            Ok(answer) => answer,
            Err(error) => {
                self.check_open()?;
                Err(error)
            }
        }
    }

    /// # Errors
    /// [`RtcError::InvalidStateError`] once the connection was closed.
    pub(crate) fn check_open(&self) -> Result<(), RtcError> {
        if self.read(|snapshot| snapshot.closed) {
            return Err(RtcError::InvalidStateError("the connection is closed".to_owned()));
        }
        Ok(())
    }

    pub(crate) fn last_parameters(&self) -> MutexGuard<'_, BTreeMap<TransceiverId, RtcRtpSendParameters>> {
        // It is only read and replaced as a whole: a panic leaves nothing half done.
        self.last_parameters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The streams that the peer has put a track into; brings all streams in line with its last
    /// description before.
    pub(crate) fn streams_of(&self, track: &MediaStreamTrack, ids: &[String]) -> Vec<MediaStream> {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        self.read(|snapshot| streams.follow(snapshot));
        ids.iter().map(|id| streams.with_track(id, track)).collect()
    }

    /// Brings all streams in line with the peer's last description.
    pub(crate) fn update_streams(&self) {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        self.read(|snapshot| streams.follow(snapshot));
    }

    pub(crate) fn last_report(&self) -> MutexGuard<'_, RtcStatsReport> {
        self.last_report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core").finish_non_exhaustive()
    }
}

/// Where a handle of a transceiver, sender or receiver leads to.
#[derive(Clone)]
pub(crate) struct Section {
    pub(crate) core: Arc<Core>,
    pub(crate) id: TransceiverId,
    pub(crate) kind: MediaKind,
}

impl Section {
    pub(crate) fn read<T>(&self, read: impl FnOnce(&TransceiverSnapshot) -> T) -> Option<T> {
        self.core.transceiver(self.id, read)
    }

    pub(crate) fn stopped(&self) -> bool {
        self.read(|transceiver| transceiver.stopped).unwrap_or(true)
    }

    /// # Errors
    /// [`RtcError::InvalidStateError`] once it was stopped, or its connection closed.
    pub(crate) fn check_usable(&self) -> Result<(), RtcError> {
        self.core.check_open()?;
        if self.stopped() {
            return Err(RtcError::InvalidStateError("the transceiver is stopped".to_owned()));
        }
        Ok(())
    }

    /// [`Core::ask`] about this section. One that leaves the session while the question is under way, which
    /// only stopped ones do, is unknown to the actor, and to W3C a stopped one.
    pub(crate) async fn ask<M, T>(&self, message: M) -> Result<T, RtcError>
    where
        Addr<PeerConnection>: kit::Destination<M>,
        M: actix::Message<Result = Result<T, RtcError>>,
    {
        match self.core.ask(message).await {
            Err(RtcError::InvalidAccessError(_)) if self.stopped() => {
                Err(RtcError::InvalidStateError("the transceiver is stopped".to_owned()))
            }
            answer => answer,
        }
    }

    /// The same for what W3C leaves undone on a stopped transceiver, without an error.
    pub(crate) async fn ask_unless_stopped<M>(&self, message: M) -> Result<(), RtcError>
    where
        Addr<PeerConnection>: kit::Destination<M>,
        M: actix::Message<Result = Result<(), RtcError>>,
    {
        self.core.check_open()?;
        if self.stopped() {
            return Ok(());
        }
        match self.ask(message).await {
            Err(RtcError::InvalidStateError(_)) if self.stopped() => self.core.check_open(),
            answer => answer,
        }
    }

    pub(crate) fn transceiver(&self) -> RtcRtpTransceiver {
        RtcRtpTransceiver::new(self.clone())
    }

    pub(crate) fn sender(&self) -> RtcRtpSender {
        RtcRtpSender::new(self.clone())
    }

    pub(crate) fn receiver(&self) -> RtcRtpReceiver {
        RtcRtpReceiver::new(self.clone())
    }

    /// The transport that the section uses, once there is one.
    pub(crate) fn transport(&self) -> Option<RtcDtlsTransport> {
        let id = self.read(|transceiver| transceiver.transport).flatten()?;
        Some(RtcDtlsTransport::new(RtcIceTransport::new(Arc::clone(&self.core), id)))
    }
}

impl PartialEq for Section {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && Arc::ptr_eq(&self.core, &other.core)
    }
}

impl std::fmt::Debug for Section {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Section").field("id", &self.id).field("kind", &self.kind).finish_non_exhaustive()
    }
}
