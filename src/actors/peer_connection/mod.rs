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
mod transceivers;

use std::{cell::RefCell, rc::Rc, time::Duration};

use actix::prelude::*;
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
        error::RtcError,
        peer_connection::{
            RtcIceGatheringState, RtcPeerConnectionEvent, RtcPeerConnectionState, SharedSnapshot,
            TransceiverSnapshot,
        },
    },
    proto::{
        dtls::{Certificate, HashAlgorithm},
        ice::{self, Credentials},
        jsep::{BundlePolicy, CandidateInit, IceParameters, Session, SessionConfig},
        rtcp::ClockAnchor,
    },
};

/// Events that may wait for the application; beyond it the oldest are dropped and counted.
const MAX_EVENTS: usize = 256;

impl Weight for RtcPeerConnectionEvent {
    fn weight(&self) -> usize {
        1
    }
}

/// What a connection is made with.
#[derive(Debug, Clone)]
pub struct PeerConfig {
    /// Our certificate.
    pub certificate: Certificate,
    /// Answer connectivity checks only, never send any (RFC 8445 §2.5): for servers with a public
    /// address.
    pub ice_lite: bool,
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
    pub events: LaneReceiver<RtcPeerConnectionEvent>,
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
    offerer: Option<bool>,
    ice_state: ice::State,
    dtls_state: DtlsState,
    round_trip_time: Option<Duration>,
    gathering: RtcIceGatheringState,
    state: RtcPeerConnectionState,
    gauge: TrackedGauge,
    _counted: TrackedGauge,
    snapshot: SharedSnapshot,
    events: LaneSender<RtcPeerConnectionEvent>,
    negotiation_needed: bool,
    /// [`Close`](crate::messages::peer_connection::Close) has told the children to end.
    closing: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DtlsState {
    New,
    Connecting,
    Connected,
    Closed,
    Failed,
}

impl PeerConnection {
    /// Starts a connection and its transport on the current thread.
    ///
    /// # Errors
    /// When the certificate's fingerprint can't be computed.
    pub fn start(config: PeerConfig, environment: PeerEnvironment) -> Result<PeerHandle, RtcError> {
        let mut random = StdRng::from_os_rng();
        let credentials = Credentials::generate(&mut random);
        let fingerprint = config
            .certificate
            .fingerprint(HashAlgorithm::Sha256)
            .map_err(|error| RtcError::Operation(error.to_string()))?;
        let ice = IceParameters {
            ufrag: credentials.ufrag.clone(),
            password: credentials.password.clone(),
            lite: config.ice_lite,
        };
        // RFC 7022 §5: a canonical name that is random per session and says nothing about the host.
        let cname = Credentials::generate(&mut random).ufrag.clone();
        let mut session_config = SessionConfig::new(vec![fingerprint.to_string()], cname);
        session_config.ice_lite = config.ice_lite;
        session_config.ice_pool = vec![ice];
        session_config.bundle_policy = BundlePolicy::MaxBundle;
        session_config.data_channels = false;
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
                let children = Children::start(ctx, &config, &environment, credentials);
                environment.attachment.join(environment.key, ctx.address().downgrade().recipient());
                let mut connection = Self {
                    session,
                    children,
                    transceivers: Vec::new(),
                    key: environment.key,
                    attachment: environment.attachment,
                    clock: config.clock,
                    offerer: None,
                    ice_state: ice::State::New,
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

    fn emit(&self, event: RtcPeerConnectionEvent) {
        self.events.push(kit::now(), event);
    }

    /// Writes what getters read, and tells what has changed.
    fn publish(&mut self) {
        let signaling = self.session.signaling_state();
        let state = self.connection_state();
        let transceivers: Vec<_> = self.session.transceivers().iter().map(|t| self.snapshot_of(t)).collect();
        let previous_signaling = {
            let mut snapshot = self.snapshot.lock();
            snapshot.connection_state = state;
            snapshot.ice_connection_state = Some(self.ice_state);
            snapshot.ice_gathering_state = self.gathering;
            snapshot.local_description = self.session.local_description();
            snapshot.remote_description = self.session.remote_description();
            snapshot.transceivers = transceivers;
            snapshot.signaling_state.replace(signaling)
        };
        self.snapshot.notify();
        if previous_signaling.is_some_and(|previous| previous != signaling) {
            self.emit(RtcPeerConnectionEvent::SignalingStateChange(signaling));
        }
        if state != self.state {
            self.state = state;
            self.gauge.set(Gauge::ConnectionState(connection_label(state)));
            self.emit(RtcPeerConnectionEvent::ConnectionStateChange(state));
        }
        let needed = self.session.negotiation_needed();
        if needed && !std::mem::replace(&mut self.negotiation_needed, needed) {
            self.emit(RtcPeerConnectionEvent::NegotiationNeeded);
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
        let transport = self.session.transports().first();
        let section = transport.and_then(|transport| self.session.candidate_section(transport.id));
        CandidateInit {
            candidate,
            mid: section.as_ref().map(|(mid, _)| mid.clone()),
            media_line_index: section.map(|(_, index)| index),
            username_fragment: transport.map(|transport| transport.local.ufrag.clone()),
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
