//! `RtcPeerConnection` (W3C webrtc-pc §4.4).

use std::sync::{Arc, Mutex, PoisonError};

use actix::Addr;
use futures_util::StreamExt;

use super::{
    RtcConfiguration, RtcEngine, RtcEvents, RtcIceCandidateInit, RtcRtpTransceiver, RtcSessionDescription,
    engine::ask,
};
use crate::{
    actors::{
        peer_connection::{PeerConfig, PeerConnection},
        shard::CreatePeer,
    },
    messages::{
        error::RtcError,
        peer_connection::{
            AddIceCandidate, AddTrack, AddTransceiver, Close, Configuration, CreateAnswer, CreateOffer,
            PeerConnectionEvent as RtcPeerConnectionEvent, PeerSnapshot, RequestIceRestart,
            RtcIceGatheringState, RtcPeerConnectionState, SetLocalDescription, SetRemoteDescription,
            SharedSnapshot,
        },
        track::MediaStreamTrack,
    },
    proto::{
        ice,
        jsep::{OfferOptions, SignalingState, TransceiverId, TransceiverInit},
        rtp::MediaKind,
    },
};

/// A connection to one peer. Clones are handles to the same connection; when the last one is dropped,
/// the connection is closed.
#[derive(Clone)]
pub struct RtcPeerConnection {
    inner: Arc<Inner>,
}

struct Inner {
    address: Addr<PeerConnection>,
    snapshot: SharedSnapshot,
    events: Mutex<Option<RtcEvents>>,
    shard: usize,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if self.address.connected() {
            self.address.do_send(Close);
        }
    }
}

impl std::fmt::Debug for RtcPeerConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let snapshot = self.inner.snapshot.lock();
        f.debug_struct("RtcPeerConnection")
            .field("connection_state", &snapshot.connection_state)
            .field("signaling_state", &snapshot.signaling_state)
            .finish()
    }
}

impl RtcPeerConnection {
    /// A connection on the [global engine](RtcEngine::global).
    ///
    /// # Errors
    /// [`RtcError::OperationError`] when the engine can't be started or no socket can be bound.
    pub async fn new(configuration: RtcConfiguration) -> Result<Self, RtcError> {
        let engine = RtcEngine::global()
            .await
            .map_err(|error| RtcError::OperationError(format!("the engine can't be started: {error}")))?;
        Self::on(&engine, configuration).await
    }

    /// A connection on this engine.
    ///
    /// # Errors
    /// [`RtcError::InvalidAccessError`] when the configuration names a shard that does not exist,
    /// [`RtcError::OperationError`] when no socket can be bound, [`RtcError::Gone`] after a shutdown.
    pub async fn on(engine: &RtcEngine, configuration: RtcConfiguration) -> Result<Self, RtcError> {
        let shard = configuration.shard.unwrap_or_else(|| engine.shards().least_loaded());
        let actor = engine
            .shard(shard)
            .ok_or_else(|| RtcError::InvalidAccessError(format!("the engine has no shard {shard}")))?;
        let config = PeerConfig {
            configuration: Configuration {
                certificates: vec![configuration.certificate.unwrap_or_else(|| engine.certificate().clone())],
                ..Configuration::default()
            },
            ice_lite: configuration.ice_lite,
            max_message_size: 262_144,
            clock: engine.clock(),
        };
        let handle = ask(actor, CreatePeer(config)).await??;
        Ok(Self {
            inner: Arc::new(Inner {
                address: handle.address,
                snapshot: handle.snapshot,
                events: Mutex::new(Some(RtcEvents::new(handle.events))),
                shard,
            }),
        })
    }

    /// The events, once: a second call returns `None`.
    pub fn events(&self) -> Option<RtcEvents> {
        self.inner.events.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// W3C `createOffer`.
    ///
    /// # Errors
    /// [`RtcError::InvalidStateError`] when closed.
    pub async fn create_offer(&self, options: OfferOptions) -> Result<RtcSessionDescription, RtcError> {
        Ok(ask(&self.inner.address, CreateOffer(options)).await??.into())
    }

    /// W3C `createAnswer`.
    ///
    /// # Errors
    /// [`RtcError::InvalidStateError`] unless a remote offer waits for an answer.
    pub async fn create_answer(&self) -> Result<RtcSessionDescription, RtcError> {
        Ok(ask(&self.inner.address, CreateAnswer).await??.into())
    }

    /// W3C `setLocalDescription`; `None` makes the description that the signalling state asks for.
    /// Returns at once: candidates follow as events and in [`Self::local_description`].
    ///
    /// # Errors
    /// [`RtcError::InvalidStateError`] in the wrong signalling state, [`RtcError::InvalidModificationError`] for
    /// a description that was not made by this connection.
    pub async fn set_local_description(
        &self,
        description: Option<RtcSessionDescription>,
    ) -> Result<(), RtcError> {
        ask(&self.inner.address, SetLocalDescription(description.map(Into::into))).await?
    }

    /// W3C `setRemoteDescription`.
    ///
    /// # Errors
    /// [`RtcError::SyntaxError`] with line and reason for a malformed description,
    /// [`RtcError::InvalidStateError`] in the wrong signalling state, [`RtcError::InvalidAccessError`] for one
    /// that can't be applied.
    pub async fn set_remote_description(&self, description: RtcSessionDescription) -> Result<(), RtcError> {
        ask(&self.inner.address, SetRemoteDescription(description.into())).await?
    }

    /// W3C `addIceCandidate`; `None` or an empty candidate: the peer has no more.
    ///
    /// # Errors
    /// [`RtcError::InvalidStateError`] without a remote description, [`RtcError::OperationError`] for a
    /// candidate that belongs to no section.
    pub async fn add_ice_candidate(&self, candidate: Option<RtcIceCandidateInit>) -> Result<(), RtcError> {
        ask(&self.inner.address, AddIceCandidate(candidate.map(Into::into))).await?
    }

    /// W3C `addTrack`: sends `track`, on a transceiver of its kind that sends nothing yet or a new one.
    ///
    /// # Errors
    /// [`RtcError::InvalidStateError`] when closed.
    pub async fn add_track(
        &self,
        track: &MediaStreamTrack,
        stream_ids: Vec<String>,
    ) -> Result<RtcRtpTransceiver, RtcError> {
        let id = ask(&self.inner.address, AddTrack { track: track.clone(), stream_ids }).await??;
        Ok(self.transceiver(id))
    }

    /// W3C `addTransceiver`.
    ///
    /// # Errors
    /// [`RtcError::InvalidStateError`] when closed.
    pub async fn add_transceiver(
        &self,
        kind: MediaKind,
        track: Option<MediaStreamTrack>,
        init: TransceiverInit,
    ) -> Result<RtcRtpTransceiver, RtcError> {
        let id = ask(&self.inner.address, AddTransceiver { kind, track, init, send_encodings: Vec::new() })
            .await??;
        Ok(self.transceiver(id))
    }

    /// W3C `getTransceivers`.
    pub fn transceivers(&self) -> Vec<RtcRtpTransceiver> {
        let ids: Vec<_> = self.inner.snapshot.lock().transceivers.iter().map(|t| t.id).collect();
        ids.into_iter().map(|id| self.transceiver(id)).collect()
    }

    /// The transceiver that an event named.
    pub fn transceiver(&self, id: TransceiverId) -> RtcRtpTransceiver {
        RtcRtpTransceiver::new(id, self.inner.address.clone(), self.inner.snapshot.clone())
    }

    /// W3C `restartIce`: the next offer has new ICE credentials.
    ///
    /// # Errors
    /// [`RtcError::Gone`] when the connection has ended.
    pub async fn restart_ice(&self) -> Result<(), RtcError> {
        ask(&self.inner.address, RequestIceRestart).await
    }

    /// W3C `close`: says BYE and close_notify to the peer; done when both are queued.
    pub async fn close(&self) {
        // Closed twice, or its actor is gone: there is nothing left to close.
        let _ = ask(&self.inner.address, Close).await;
    }

    /// Waits until all local candidates are known, for signalling without trickle.
    ///
    /// # Errors
    /// [`RtcError::Gone`] when the connection ends before.
    pub async fn gathering_complete(&self) -> Result<(), RtcError> {
        let done = |snapshot: &PeerSnapshot| {
            snapshot.ended || snapshot.ice_gathering_state == RtcIceGatheringState::Complete
        };
        self.inner.snapshot.until(done).await;
        match self.ice_gathering_state() {
            RtcIceGatheringState::Complete => Ok(()),
            _ => Err(RtcError::Gone("the connection has ended".to_owned())),
        }
    }

    /// W3C `connectionState`.
    pub fn connection_state(&self) -> RtcPeerConnectionState {
        self.inner.snapshot.lock().connection_state
    }

    /// W3C `iceConnectionState`.
    pub fn ice_connection_state(&self) -> ice::State {
        self.inner.snapshot.lock().ice_connection_state.unwrap_or(ice::State::New)
    }

    /// W3C `iceGatheringState`.
    pub fn ice_gathering_state(&self) -> RtcIceGatheringState {
        self.inner.snapshot.lock().ice_gathering_state
    }

    /// W3C `signalingState`.
    pub fn signaling_state(&self) -> SignalingState {
        self.inner.snapshot.lock().signaling_state.unwrap_or(SignalingState::Stable)
    }

    /// W3C `localDescription`, with the candidates gathered so far.
    pub fn local_description(&self) -> Option<RtcSessionDescription> {
        self.read(|snapshot| snapshot.local_description.clone()).map(Into::into)
    }

    /// W3C `remoteDescription`.
    pub fn remote_description(&self) -> Option<RtcSessionDescription> {
        self.read(|snapshot| snapshot.remote_description.clone()).map(Into::into)
    }

    /// The shard whose thread hosts this connection.
    pub fn shard(&self) -> usize {
        self.inner.shard
    }

    /// The actor, for messages that the API has no method for.
    pub fn address(&self) -> &Addr<PeerConnection> {
        &self.inner.address
    }

    fn read<T>(&self, read: impl FnOnce(&PeerSnapshot) -> T) -> T {
        read(&self.inner.snapshot.lock())
    }
}

impl RtcEvents {
    /// Waits for the connection to reach a state, passing over other events. `false` when it ended or
    /// failed first.
    pub async fn until(&mut self, state: RtcPeerConnectionState) -> bool {
        while let Some(event) = self.next().await {
            match event {
                RtcPeerConnectionEvent::ConnectionStateChange(reached) if reached == state => return true,
                RtcPeerConnectionEvent::ConnectionStateChange(
                    RtcPeerConnectionState::Failed | RtcPeerConnectionState::Closed,
                ) => return false,
                _ => {}
            }
        }
        false
    }
}
