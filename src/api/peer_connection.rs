//! `RtcPeerConnection` (W3C webrtc-pc §4.4).

use std::sync::{Arc, Mutex, PoisonError};

use actix::Addr;

use super::{
    RtcConfiguration, RtcDataChannel, RtcDataChannelInit, RtcDtlsTransport, RtcEngine, RtcEvents,
    RtcIceCandidateInit, RtcIceTransport, RtcRtpReceiver, RtcRtpSender, RtcRtpTransceiver,
    RtcRtpTransceiverInit, RtcSctpTransport, RtcSessionDescription, RtcStatsReport, TrackOrKind,
    engine::ask,
    handle::{Core, Section},
    send_parameters,
};
use crate::{
    actors::{
        peer_connection::{PeerConfig, PeerConnection},
        shard::CreatePeer,
    },
    messages::{
        error::RtcError,
        peer_connection::{
            AddIceCandidate, AddTrack, AddTransceiver, Close, CreateAnswer, CreateDataChannel, CreateOffer,
            PeerSnapshot, RemoveTrack, RequestIceRestart, RtcIceGatheringState, RtcPeerConnectionState,
            SetConfiguration, SetLocalDescription, SetRemoteDescription,
        },
        statistics::StatisticsSelector,
        track::MediaStreamTrack,
    },
    proto::{
        ice,
        jsep::{DescriptionView, OfferOptions, SignalingState, TransceiverId, TransceiverInit},
    },
};

/// A connection to one peer (W3C `RTCPeerConnection`). Clones are handles to the same connection; when
/// the last one is dropped, the connection is closed, whatever handles of its parts there are.
#[derive(Clone)]
pub struct RtcPeerConnection {
    inner: Arc<Inner>,
}

struct Inner {
    core: Arc<Core>,
    events: Mutex<Option<RtcEvents>>,
    shard: usize,
    /// W3C `[[Configuration]]`.
    configuration: Mutex<RtcConfiguration>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if self.core.address.connected() {
            self.core.address.do_send(Close);
        }
    }
}

impl std::fmt::Debug for RtcPeerConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.inner.core.read(|snapshot| {
            f.debug_struct("RtcPeerConnection")
                .field("connection_state", &snapshot.connection_state)
                .field("signaling_state", &snapshot.signaling_state)
                .finish()
        })
    }
}

/// Making and ending it.
impl RtcPeerConnection {
    /// A connection on the [global engine](RtcEngine::global).
    ///
    /// # Errors
    /// See [`Self::on`]; [`RtcError::OperationError`] also when the engine can't be started.
    pub async fn new(configuration: RtcConfiguration) -> Result<Self, RtcError> {
        let engine = RtcEngine::global()
            .await
            .map_err(|error| RtcError::OperationError(format!("the engine can't be started: {error}")))?;
        Self::on(&engine, configuration).await
    }

    /// A connection on this engine.
    ///
    /// # Errors
    /// [`RtcError::SyntaxError`] for the URL of a server that can't be read,
    /// [`RtcError::InvalidAccessError`] for a TURN server without credentials, for a certificate that has
    /// expired, and when the configuration names a shard that does not exist;
    /// [`RtcError::OperationError`] when no socket can be bound, [`RtcError::Gone`] after a shutdown.
    pub async fn on(engine: &RtcEngine, configuration: RtcConfiguration) -> Result<Self, RtcError> {
        let shard = configuration.shard.unwrap_or_else(|| engine.shards().least_loaded());
        let actor = engine
            .shard(shard)
            .ok_or_else(|| RtcError::InvalidAccessError(format!("the engine has no shard {shard}")))?;
        let config = PeerConfig {
            ice_lite: configuration.ice_lite,
            max_message_size: configuration.max_message_size,
            configuration: configuration.checked(engine.certificate())?,
            clock: engine.clock(),
        };
        let handle = ask(actor, CreatePeer(config)).await??;
        let core = Core::new(handle.address, handle.snapshot);
        let events = RtcEvents::new(Arc::clone(&core), handle.events);
        let (events, configuration) = (Mutex::new(Some(events)), Mutex::new(configuration));
        Ok(Self { inner: Arc::new(Inner { core, events, shard, configuration }) })
    }

    /// The events, once: a second call returns `None`.
    pub fn events(&self) -> Option<RtcEvents> {
        self.inner.events.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// W3C `getConfiguration`: as given, or as last set.
    pub fn get_configuration(&self) -> RtcConfiguration {
        self.inner.configuration.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// W3C `setConfiguration`: servers and policies of ICE take effect with the next gathering. What W3C
    /// says can't be changed must be as it is; [`Self::get_configuration`] is the way to begin.
    ///
    /// # Errors
    /// [`RtcError::InvalidStateError`] when closed; [`RtcError::InvalidModificationError`] when
    /// certificates, bundle policy, or, after the first local description, the size of the candidate
    /// pool differ; for servers see [`Self::on`].
    pub async fn set_configuration(&self, configuration: RtcConfiguration) -> Result<(), RtcError> {
        self.inner.core.check_open()?;
        let configuration = configuration.replacing(&self.get_configuration())?;
        self.inner.core.ask(SetConfiguration(configuration.changed()?)).await?;
        *self.inner.configuration.lock().unwrap_or_else(PoisonError::into_inner) = configuration;
        Ok(())
    }

    /// W3C `close`: says BYE and close_notify to the peer; done when both are queued.
    pub async fn close(&self) {
        // Closed twice, or its actor is gone: there is nothing left to close.
        let _ = ask(&self.inner.core.address, Close).await;
    }

    /// The shard whose thread hosts this connection. Not in W3C.
    pub fn shard(&self) -> usize {
        self.inner.shard
    }

    /// The actor, for messages that the API has no method for. Not in W3C.
    pub fn address(&self) -> &Addr<PeerConnection> {
        &self.inner.core.address
    }
}

/// Descriptions and candidates.
impl RtcPeerConnection {
    /// W3C `createOffer`.
    ///
    /// # Errors
    /// [`RtcError::InvalidStateError`] when closed.
    pub async fn create_offer(&self, options: OfferOptions) -> Result<RtcSessionDescription, RtcError> {
        Ok(self.inner.core.ask(CreateOffer(options)).await?.into())
    }

    /// W3C `createAnswer`.
    ///
    /// # Errors
    /// [`RtcError::InvalidStateError`] unless a remote offer waits for an answer.
    pub async fn create_answer(&self) -> Result<RtcSessionDescription, RtcError> {
        Ok(self.inner.core.ask(CreateAnswer).await?.into())
    }

    /// W3C `setLocalDescription`; `None` makes the description that the signalling state asks for.
    /// Returns at once: candidates follow as events and in [`Self::local_description`].
    ///
    /// # Errors
    /// [`RtcError::InvalidStateError`] in the wrong signalling state,
    /// [`RtcError::InvalidModificationError`] for a description that was not made by this connection.
    pub async fn set_local_description(
        &self,
        description: Option<RtcSessionDescription>,
    ) -> Result<(), RtcError> {
        self.inner.core.ask(SetLocalDescription(description.map(Into::into))).await
    }

    /// W3C `setRemoteDescription`.
    ///
    /// # Errors
    /// [`RtcError::SyntaxError`] with line and reason for a malformed description,
    /// [`RtcError::InvalidStateError`] in the wrong signalling state, [`RtcError::InvalidAccessError`]
    /// for one that can't be applied.
    pub async fn set_remote_description(&self, description: RtcSessionDescription) -> Result<(), RtcError> {
        self.inner.core.ask(SetRemoteDescription(description.into())).await
    }

    /// W3C `addIceCandidate`; `None` or an empty candidate: the peer has no more.
    ///
    /// # Errors
    /// [`RtcError::InvalidStateError`] without a remote description, [`RtcError::TypeError`] for a
    /// candidate that names no section, [`RtcError::OperationError`] for one that can't be read or
    /// belongs to no section.
    pub async fn add_ice_candidate(&self, candidate: Option<RtcIceCandidateInit>) -> Result<(), RtcError> {
        self.inner.core.ask(AddIceCandidate(candidate.map(Into::into))).await
    }

    /// W3C `restartIce`: the next offer has new ICE credentials. Does nothing when closed.
    ///
    /// # Errors
    /// [`RtcError::Gone`] when the connection's actor does not answer.
    pub async fn restart_ice(&self) -> Result<(), RtcError> {
        if self.inner.core.check_open().is_err() {
            return Ok(());
        }
        ask(&self.inner.core.address, RequestIceRestart).await
    }

    /// Waits until all local candidates are known, for signalling without trickle. Cancel-safe. Not in
    /// W3C.
    ///
    /// # Errors
    /// [`RtcError::Gone`] when the connection ends before.
    pub async fn gathering_complete(&self) -> Result<(), RtcError> {
        let done = |snapshot: &PeerSnapshot| {
            snapshot.ended || snapshot.ice_gathering_state == RtcIceGatheringState::Complete
        };
        self.inner.core.snapshot.until(done).await;
        match self.ice_gathering_state() {
            RtcIceGatheringState::Complete => Ok(()),
            _ => Err(RtcError::Gone("the connection has ended".to_owned())),
        }
    }

    /// W3C `localDescription`, with the candidates gathered so far.
    pub fn local_description(&self) -> Option<RtcSessionDescription> {
        self.description(PeerSnapshot::local_description)
    }

    /// W3C `currentLocalDescription`: the one negotiated last.
    pub fn current_local_description(&self) -> Option<RtcSessionDescription> {
        self.description(|snapshot| snapshot.current_local_description.as_ref())
    }

    /// W3C `pendingLocalDescription`: the one under negotiation.
    pub fn pending_local_description(&self) -> Option<RtcSessionDescription> {
        self.description(|snapshot| snapshot.pending_local_description.as_ref())
    }

    /// W3C `remoteDescription`, with the candidates signalled so far.
    pub fn remote_description(&self) -> Option<RtcSessionDescription> {
        self.description(PeerSnapshot::remote_description)
    }

    /// W3C `currentRemoteDescription`: the one negotiated last.
    pub fn current_remote_description(&self) -> Option<RtcSessionDescription> {
        self.description(|snapshot| snapshot.current_remote_description.as_ref())
    }

    /// W3C `pendingRemoteDescription`: the one under negotiation.
    pub fn pending_remote_description(&self) -> Option<RtcSessionDescription> {
        self.description(|snapshot| snapshot.pending_remote_description.as_ref())
    }

    /// W3C `canTrickleIceCandidates`: whether the peer takes candidates one by one; `None` before its
    /// first description.
    pub fn can_trickle_ice_candidates(&self) -> Option<bool> {
        self.inner.core.read(|snapshot| snapshot.can_trickle_ice_candidates)
    }

    fn description(
        &self,
        which: impl FnOnce(&PeerSnapshot) -> Option<&DescriptionView>,
    ) -> Option<RtcSessionDescription> {
        let view = self.inner.core.read(|snapshot| which(snapshot).cloned())?;
        Some(view.description().into())
    }
}

/// Media.
impl RtcPeerConnection {
    /// W3C `addTrack`: sends `track`, on a transceiver of its kind that never sent anything or a new one.
    /// `streams` are the ids of the streams that it is said to belong to.
    ///
    /// # Errors
    /// [`RtcError::InvalidStateError`] when closed, [`RtcError::InvalidAccessError`] when a sender has
    /// this track already.
    pub async fn add_track(
        &self,
        track: &MediaStreamTrack,
        streams: Vec<String>,
    ) -> Result<RtcRtpSender, RtcError> {
        self.inner.core.check_open()?;
        if self.get_senders().iter().any(|sender| sends(sender, track)) {
            let sentence = "a sender of this connection sends this track already".to_owned();
            return Err(RtcError::InvalidAccessError(sentence));
        }
        let message = AddTrack { track: track.clone(), stream_ids: streams };
        let id = self.inner.core.ask(message).await?;
        Ok(self.section(id, track.kind()).sender())
    }

    /// W3C `removeTrack`: the sender falls silent, and its transceiver wants to send no more.
    ///
    /// # Errors
    /// [`RtcError::InvalidStateError`] when closed, [`RtcError::InvalidAccessError`] for a sender of
    /// another connection.
    pub async fn remove_track(&self, sender: &RtcRtpSender) -> Result<(), RtcError> {
        self.inner.core.check_open()?;
        if !Arc::ptr_eq(&sender.section.core, &self.inner.core) {
            let sentence = "the sender belongs to another connection".to_owned();
            return Err(RtcError::InvalidAccessError(sentence));
        }
        // W3C webrtc-pc §5.1, `removeTrack` step 6: a sender that was stopped sends nothing any more.
        sender.section.ask_unless_stopped(RemoveTrack(sender.section.id)).await
    }

    /// W3C `addTransceiver`: a new section, for a track or a kind of media.
    ///
    /// # Errors
    /// [`RtcError::InvalidStateError`] when closed, [`RtcError::TypeError`] for rids that are missing,
    /// malformed or not unique and for [`Direction::Stopped`](crate::proto::jsep::Direction::Stopped),
    /// [`RtcError::RangeError`] for a `scale_resolution_down_by` below 1 or a `max_framerate` below 0.
    pub async fn add_transceiver(
        &self,
        track_or_kind: impl Into<TrackOrKind>,
        init: RtcRtpTransceiverInit,
    ) -> Result<RtcRtpTransceiver, RtcError> {
        self.inner.core.check_open()?;
        let (kind, track) = match track_or_kind.into() {
            TrackOrKind::Track(track) => (track.kind(), Some(track)),
            TrackOrKind::Kind(kind) => (kind, None),
        };
        let send_encodings = send_parameters::initial(kind, init.send_encodings)?;
        let init = TransceiverInit {
            direction: init.direction,
            stream_ids: init.streams,
            track_id: track.as_ref().map(|track| track.id().to_owned()),
            // The actor fills them in from those of the message.
            send_encodings: Vec::new(),
        };
        let message = AddTransceiver { kind, track, init, send_encodings };
        let id = self.inner.core.ask(message).await?;
        Ok(self.section(id, kind).transceiver())
    }

    /// W3C `getTransceivers`, in the order of creation; stopped ones leave with the negotiation.
    pub fn get_transceivers(&self) -> Vec<RtcRtpTransceiver> {
        self.sections(|_| true).map(|section| section.transceiver()).collect()
    }

    /// W3C `getSenders`: those of the transceivers that are not stopped.
    pub fn get_senders(&self) -> Vec<RtcRtpSender> {
        self.sections(|stopped| !stopped).map(|section| section.sender()).collect()
    }

    /// W3C `getReceivers`: those of the transceivers that are not stopped.
    pub fn get_receivers(&self) -> Vec<RtcRtpReceiver> {
        self.sections(|stopped| !stopped).map(|section| section.receiver()).collect()
    }

    /// The transceiver with this name. Not in W3C.
    pub fn transceiver(&self, id: TransceiverId) -> Option<RtcRtpTransceiver> {
        let kind = self.inner.core.transceiver(id, |transceiver| transceiver.kind)?;
        Some(self.section(id, kind).transceiver())
    }

    /// The transports that were negotiated so far, the oldest first; also those that bundling has left
    /// without sections. Not in W3C.
    pub fn transports(&self) -> Vec<RtcDtlsTransport> {
        let ids: Vec<_> = self.inner.core.read(|snapshot| snapshot.transports.keys().copied().collect());
        ids.into_iter()
            .map(|id| RtcDtlsTransport::new(RtcIceTransport::new(Arc::clone(&self.inner.core), id)))
            .collect()
    }

    /// W3C `createDataChannel`. The first one asks for a section in the next offer; a channel opens when the
    /// peer has agreed, and takes messages from then on.
    ///
    /// # Errors
    /// [`RtcError::TypeError`] for a label or protocol of more than 65,535 bytes, for both limits of
    /// retransmission at once and for a negotiated channel without an identifier,
    /// [`RtcError::OperationError`] when the identifier is taken or none is left,
    /// [`RtcError::InvalidStateError`] when closed, or when the association has ended.
    pub async fn create_data_channel(
        &self,
        label: impl Into<String>,
        init: RtcDataChannelInit,
    ) -> Result<RtcDataChannel, RtcError> {
        let channel = self.inner.core.ask(CreateDataChannel { label: label.into(), init }).await?;
        Ok(channel.into())
    }

    /// W3C `sctp`: what carries the data channels; `None` before they were negotiated.
    pub fn sctp(&self) -> Option<RtcSctpTransport> {
        let sctp = self.inner.core.read(|snapshot| snapshot.sctp.clone())?;
        let ice = RtcIceTransport::new(Arc::clone(&self.inner.core), sctp.transport);
        Some(RtcSctpTransport::new(sctp.association, RtcDtlsTransport::new(ice)))
    }

    /// W3C `getStats`: of everything, or of what sends or receives one track.
    ///
    /// # Errors
    /// [`RtcError::InvalidAccessError`] when not exactly one sender or receiver has the track,
    /// [`RtcError::Gone`] when the connection's actor does not answer.
    pub async fn get_stats(&self, selector: Option<&MediaStreamTrack>) -> Result<RtcStatsReport, RtcError> {
        let selector = match selector {
            None => StatisticsSelector::All,
            Some(track) => self.select(track)?,
        };
        RtcStatsReport::collect(&self.inner.core, selector).await
    }

    /// W3C webrtc-pc §8.2, `getStats` step 3.
    fn select(&self, track: &MediaStreamTrack) -> Result<StatisticsSelector, RtcError> {
        let sending = self.get_senders().into_iter().filter(|sender| sends(sender, track));
        let receiving = self
            .get_receivers()
            .into_iter()
            .filter(|receiver| receiver.track().is_some_and(|received| received.id() == track.id()));
        let mut selectors = sending
            .map(|sender| StatisticsSelector::Sender(sender.section.id))
            .chain(receiving.map(|receiver| StatisticsSelector::Receiver(receiver.transceiver().id())));
        match (selectors.next(), selectors.next()) {
            (Some(selector), None) => Ok(selector),
            (None, _) => Err(RtcError::InvalidAccessError(
                "no sender and no receiver of this connection has the track".to_owned(),
            )),
            (Some(_), Some(_)) => Err(RtcError::InvalidAccessError(
                "more than one sender or receiver of this connection has the track".to_owned(),
            )),
        }
    }

    fn section(&self, id: TransceiverId, kind: crate::proto::rtp::MediaKind) -> Section {
        Section { core: Arc::clone(&self.inner.core), id, kind }
    }

    fn sections(&self, wanted: impl Fn(bool) -> bool) -> impl Iterator<Item = Section> {
        let found: Vec<_> = self.inner.core.read(|snapshot| {
            let transceivers = snapshot.transceivers.iter();
            transceivers.filter(|t| wanted(t.stopped)).map(|t| self.section(t.id, t.kind)).collect()
        });
        found.into_iter()
    }
}

fn sends(sender: &RtcRtpSender, track: &MediaStreamTrack) -> bool {
    sender.track().is_some_and(|sent| sent.id() == track.id())
}

/// States.
impl RtcPeerConnection {
    /// W3C `connectionState`.
    pub fn connection_state(&self) -> RtcPeerConnectionState {
        self.inner.core.read(|snapshot| snapshot.connection_state)
    }

    /// W3C `iceConnectionState`.
    pub fn ice_connection_state(&self) -> ice::State {
        self.inner.core.read(|snapshot| snapshot.ice_connection_state).unwrap_or(ice::State::New)
    }

    /// W3C `iceGatheringState`.
    pub fn ice_gathering_state(&self) -> RtcIceGatheringState {
        self.inner.core.read(|snapshot| snapshot.ice_gathering_state)
    }

    /// W3C `signalingState`.
    pub fn signaling_state(&self) -> SignalingState {
        self.inner.core.read(|snapshot| snapshot.signaling_state).unwrap_or(SignalingState::Stable)
    }
}
