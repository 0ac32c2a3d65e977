//! `PeerConnection`: the signalling state of one peer, and the parent of the actors that carry its
//! packets.
//!
//! It decides nothing about packets: descriptions go into `proto::jsep`, and after each one the
//! children are brought into line with what was negotiated (`reconcile`). When a child is lost for
//! good, the connection becomes `failed` or the affected part falls silent; nothing else notices.

mod children;
mod close;
mod reconcile;
mod reports;
mod requests;
mod transceiver_requests;
mod transceivers;

use std::{cell::RefCell, rc::Rc, sync::Arc, time::Duration};

use actix::prelude::*;
use bytes::Bytes;
use rand::{SeedableRng, rngs::StdRng};

pub use children::ChildDown;
use children::Children;
use transceivers::TransceiverActors;

use crate::{
    actors::{
        kit::{
            self, ActorKind, ConnectionLabel, Gauge, LaneKind, LaneReceiver, LaneSender, Metered,
            MeteredContext, Policy, TrackedGauge, Weight, lane,
        },
        network::{Egress, NetworkConfig, PeerKey},
        shard::Attachment,
    },
    messages::{
        dtls::DtlsTransportState as DtlsState,
        error::RtcError,
        ice::CandidatePair,
        peer_connection::{
            Configuration, PeerConnectionEvent, RtcIceGatheringState, RtcPeerConnectionState, SharedSnapshot,
            TransceiverSnapshot, TransportSnapshot,
        },
    },
    proto::{
        dtls::HashAlgorithm,
        ice::{self, Candidate, Credentials},
        jsep::{CandidateInit, IceParameters, Session, SessionConfig, TransportId},
        rtcp::ClockAnchor,
    },
};

/// Events that may wait for the application; beyond it the oldest are dropped and counted.
const MAX_EVENTS: usize = 256;

impl Weight for PeerConnectionEvent {
    fn weight(&self) -> usize {
        1
    }
}

/// What a connection is made with.
#[derive(Debug, Clone)]
pub struct PeerConfig {
    /// What the application chose; there is at least one certificate.
    pub configuration: Configuration,
    /// Answer connectivity checks only, never send any (RFC 8445 §2.5): for servers with a public
    /// address.
    pub ice_lite: bool,
    /// Largest message that a data channel takes from the peer, in bytes (RFC 8841 §6).
    pub max_message_size: u64,
    /// The wall clock, for sender reports.
    pub clock: ClockAnchor,
}

/// What a connection shares with the others of its shard.
pub struct PeerEnvironment {
    /// Names the peer in the router.
    pub key: PeerKey,
    /// Its sockets.
    pub attachment: Rc<Attachment>,
    /// The shard's send queue.
    pub egress: Rc<RefCell<Egress>>,
    /// Addresses that are offered.
    pub network: NetworkConfig,
}

/// How the API reaches a connection.
pub struct PeerHandle {
    /// The actor.
    pub address: Addr<PeerConnection>,
    /// What getters read.
    pub snapshot: SharedSnapshot,
    /// What happens to it.
    pub events: LaneReceiver<PeerConnectionEvent>,
}

/// One peer.
pub struct PeerConnection {
    session: Session,
    children: Children,
    transceivers: Vec<TransceiverActors>,
    key: PeerKey,
    /// Keeps the sockets for as long as the peer lives.
    attachment: Rc<Attachment>,
    clock: ClockAnchor,
    configuration: Configuration,
    offerer: Option<bool>,
    ice_state: ice::State,
    ice_role: Option<ice::Role>,
    local_candidates: Vec<Candidate>,
    selected_pair: Option<CandidatePair>,
    remote_certificates: Vec<Bytes>,
    dtls_state: DtlsState,
    round_trip_time: Option<Duration>,
    gathering: RtcIceGatheringState,
    state: RtcPeerConnectionState,
    gauge: TrackedGauge,
    _counted: TrackedGauge,
    snapshot: SharedSnapshot,
    events: LaneSender<PeerConnectionEvent>,
    negotiation_needed: bool,
    /// [`Close`](crate::messages::peer_connection::Close) has told the children to end.
    closing: bool,
}

impl PeerConnection {
    /// Starts a connection and its transport on the current thread.
    ///
    /// # Errors
    /// When the certificate's fingerprint can't be computed.
    pub fn start(config: PeerConfig, environment: PeerEnvironment) -> Result<PeerHandle, RtcError> {
        let mut random = StdRng::from_os_rng();
        let credentials = Credentials::generate(&mut random);
        let certificate = config.configuration.certificates.first().cloned();
        let certificate =
            certificate.ok_or_else(|| RtcError::InvalidAccessError("a certificate is needed".to_owned()))?;
        let fingerprint = certificate
            .fingerprint(HashAlgorithm::Sha256)
            .map_err(|error| RtcError::OperationError(error.to_string()))?;
        let ice = IceParameters {
            ufrag: credentials.ufrag.clone(),
            password: credentials.password.clone(),
            lite: config.ice_lite,
        };
        // RFC 7022 §5: a canonical name that is random per session and says nothing about the host.
        let cname = Credentials::generate(&mut random).ufrag.clone();
        let session_config = SessionConfig::new(vec![fingerprint.to_string()], ice, cname);
        let session = Session::new(session_config, random);
        let (events, event_receiver) = lane(LaneKind::Events, MAX_EVENTS, None);
        let snapshot = SharedSnapshot::default();
        let shared = snapshot.clone();
        let statistics = kit::statistics();
        // Never restarted: what was negotiated with the peer can't be rebuilt; it reports and ends.
        let address = kit::start(
            Policy::never(),
            |reason| tracing::debug!(?reason, "peer connection ended"),
            move |ctx| {
                let children = Children::start(ctx, &config, &environment, certificate, credentials);
                environment.attachment.join(environment.key, ctx.address().downgrade().recipient());
                let mut connection = Self {
                    session,
                    children,
                    transceivers: Vec::new(),
                    key: environment.key,
                    attachment: environment.attachment,
                    clock: config.clock,
                    configuration: config.configuration,
                    offerer: None,
                    ice_state: ice::State::New,
                    ice_role: None,
                    local_candidates: Vec::new(),
                    selected_pair: None,
                    remote_certificates: Vec::new(),
                    dtls_state: DtlsState::New,
                    round_trip_time: None,
                    gathering: RtcIceGatheringState::New,
                    state: RtcPeerConnectionState::New,
                    gauge: statistics.track(Gauge::ConnectionState(ConnectionLabel::New)),
                    _counted: statistics.track(Gauge::Peers),
                    snapshot: shared,
                    events,
                    negotiation_needed: false,
                    closing: false,
                };
                connection.publish();
                connection
            },
        );
        Ok(PeerHandle { address, snapshot, events: event_receiver })
    }

    fn emit(&self, event: PeerConnectionEvent) {
        self.events.push(kit::now(), event);
    }

    /// Writes what getters read, and tells what has changed.
    fn publish(&mut self) {
        let signaling = self.session.signaling_state();
        let state = self.connection_state();
        let transceivers: Vec<_> = self.session.transceivers().iter().map(|t| self.snapshot_of(t)).collect();
        let transport = self.transport_snapshot();
        let can_trickle = self.session.remote_description().map(|remote| {
            remote.sdp.lines().any(|line| line.starts_with("a=ice-options:") && line.contains("trickle"))
        });
        let previous_signaling = {
            let mut snapshot = self.snapshot.lock();
            snapshot.connection_state = state;
            snapshot.ice_connection_state = Some(self.ice_state);
            snapshot.ice_gathering_state = self.gathering;
            snapshot.local_description = self.session.local_description();
            snapshot.remote_description = self.session.remote_description();
            snapshot.current_local_description = self.session.current_local_description();
            snapshot.current_remote_description = self.session.current_remote_description();
            snapshot.pending_local_description = self.session.pending_local_description();
            snapshot.pending_remote_description = self.session.pending_remote_description();
            snapshot.can_trickle_ice_candidates = can_trickle;
            snapshot.closed = self.closing;
            snapshot.transports.insert(TransportId(0), transport);
            snapshot.transceivers = transceivers;
            snapshot.signaling_state.replace(signaling)
        };
        self.snapshot.notify();
        if previous_signaling.is_some_and(|previous| previous != signaling) {
            self.emit(PeerConnectionEvent::SignalingStateChange(signaling));
        }
        if state != self.state {
            self.state = state;
            self.gauge.set(Gauge::ConnectionState(connection_label(state)));
            self.emit(PeerConnectionEvent::ConnectionStateChange(state));
        }
        let needed = self.session.negotiation_needed();
        if needed && !std::mem::replace(&mut self.negotiation_needed, needed) {
            self.emit(PeerConnectionEvent::NegotiationNeeded);
        }
        self.negotiation_needed = needed;
    }

    fn snapshot_of(&self, transceiver: &crate::proto::jsep::Transceiver) -> TransceiverSnapshot {
        let actors = self.transceivers.iter().find(|actors| actors.id == transceiver.id());
        TransceiverSnapshot {
            id: transceiver.id(),
            mid: transceiver.mid().map(str::to_owned),
            kind: transceiver.kind(),
            direction: transceiver.direction(),
            current_direction: transceiver.current_direction(),
            remote_direction: transceiver.remote_direction(),
            stopped: transceiver.stopped(),
            receiver_track: actors.and_then(|actors| actors.receiver_track()),
            sender_track: actors.and_then(|actors| actors.sender_track.clone()),
            stream_ids: transceiver.stream_ids().to_vec(),
            transport: transceiver.current_direction().map(|_| TransportId(0)),
            send_encodings: actors.map(|actors| actors.send_encodings.clone()).unwrap_or_default(),
            send_parameters: transceiver.send_parameters().cloned().map(Arc::new),
            receive_parameters: transceiver.receive_parameters().cloned().map(Arc::new),
            jitter_buffer_target: actors.and_then(|actors| actors.jitter_buffer_target),
        }
    }

    fn transport_snapshot(&self) -> TransportSnapshot {
        let remote = self.session.transport();
        let candidates = |lines: &[String]| lines.iter().filter_map(|line| line.parse().ok()).collect();
        TransportSnapshot {
            ice_role: self.ice_role,
            ice_state: Some(self.ice_state),
            gathering_state: self.gathering,
            local_candidates: self.local_candidates.clone(),
            remote_candidates: remote.as_ref().map(|r| candidates(&r.candidates)).unwrap_or_default(),
            selected_pair: self.selected_pair.clone(),
            local_parameters: Some(self.session.local_ice().clone()),
            remote_parameters: remote.map(|remote| IceParameters {
                ufrag: remote.ufrag,
                password: remote.password,
                lite: remote.lite,
            }),
            dtls_state: self.dtls_state,
            remote_certificates: self.remote_certificates.clone(),
        }
    }

    /// W3C webrtc-pc §4.3.3, from the states of the one bundled transport.
    fn connection_state(&self) -> RtcPeerConnectionState {
        if self.session.signaling_state() == crate::proto::jsep::SignalingState::Closed {
            return RtcPeerConnectionState::Closed;
        }
        match (self.ice_state, self.dtls_state) {
            // The peer has said goodbye: what ICE makes of its silence afterwards is no news.
            (_, DtlsState::Closed) => RtcPeerConnectionState::Closed,
            (ice::State::Failed | ice::State::Closed, _) | (_, DtlsState::Failed) => {
                RtcPeerConnectionState::Failed
            }
            (ice::State::Disconnected, _) => RtcPeerConnectionState::Disconnected,
            (ice::State::Connected | ice::State::Completed, DtlsState::Connected) => {
                RtcPeerConnectionState::Connected
            }
            (ice::State::New, DtlsState::New) => RtcPeerConnectionState::New,
            _ => RtcPeerConnectionState::Connecting,
        }
    }

    /// A candidate of ours as it is signalled: in the first section, which carries the bundle.
    fn candidate_init(&self, candidate: String) -> CandidateInit {
        let mid = self.session.transceivers().iter().find(|t| t.media_line_index() == Some(0));
        CandidateInit {
            candidate,
            mid: mid.and_then(|transceiver| transceiver.mid().map(str::to_owned)),
            media_line_index: Some(0),
            username_fragment: Some(self.session.local_ice().ufrag.clone()),
        }
    }
}

fn connection_label(state: RtcPeerConnectionState) -> ConnectionLabel {
    match state {
        RtcPeerConnectionState::New => ConnectionLabel::New,
        RtcPeerConnectionState::Connecting => ConnectionLabel::Connecting,
        RtcPeerConnectionState::Connected => ConnectionLabel::Connected,
        RtcPeerConnectionState::Disconnected => ConnectionLabel::Disconnected,
        RtcPeerConnectionState::Failed => ConnectionLabel::Failed,
        RtcPeerConnectionState::Closed => ConnectionLabel::Closed,
    }
}

impl Metered for PeerConnection {
    const KIND: ActorKind = ActorKind::PeerConnection;
}

impl Actor for PeerConnection {
    type Context = MeteredContext<Self>;

    fn stopped(&mut self, _: &mut Self::Context) {
        if !self.closing {
            self.abandon();
        }
        self.attachment.leave(self.key);
        self.snapshot.lock().ended = true;
        self.snapshot.notify();
    }
}

impl Supervised for PeerConnection {}

#[cfg(feature = "fault-injection")]
crate::actors::fault_injection::impl_boom!(PeerConnection);
