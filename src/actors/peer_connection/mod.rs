//! `PeerConnection`: the signalling state of one peer, and the parent of the actors that carry its
//! packets.
//!
//! It decides nothing about packets: descriptions go into `proto::jsep`, and after each one the
//! transports and streams are brought into line with what was negotiated (`reconcile`). When a child is
//! lost for good, its transport becomes `failed` or the affected part falls silent; nothing else notices.
//!
//! - requests: `requests` (descriptions, configuration), `transceiver_requests`, `close`
//! - children: `transports`, `transceivers`, `data`, `children` (their loss), `reconcile`
//! - what is told: `reports` (of the transports), `states`, `publish`

mod children;
mod close;
mod data;
mod publish;
mod reconcile;
mod reports;
mod requests;
mod states;
mod statistics;
mod transceiver_requests;
mod transceivers;
mod transports;

use std::rc::Rc;

use actix::prelude::*;
use rand::rngs::ThreadRng;

pub use children::ChildDown;
pub use data::SctpReported;
use publish::StaleDescriptions;
use transceivers::TransceiverActors;
pub use transports::TransportReported;
use transports::{MAX_POOL, Transports};

use crate::{
    actors::{
        kit::{
            self, ActorKind, ConnectionLabel, Gauge, LaneKind, LaneReceiver, LaneSender, Metered,
            MeteredContext, Policy, TrackedGauge, Weight, lane,
        },
        shard::TransportPlaces,
        transport::SctpActors,
    },
    messages::{
        error::RtcError,
        peer_connection::{
            Configuration, PeerConnectionEvent, RtcIceGatheringState, RtcPeerConnectionState, SharedSnapshot,
        },
    },
    proto::{
        dtls::{Certificate, HashAlgorithm},
        ice::{self, Credentials},
        jsep::{IceParameters, Session, SessionConfig, TransportId},
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
    transports: Transports,
    sctp: Option<SctpActors>,
    /// Where the association is, once data was negotiated.
    data_transport: Option<TransportId>,
    transceivers: Vec<TransceiverActors>,
    certificate: Certificate,
    clock: ClockAnchor,
    configuration: Configuration,
    /// Who made the last offer, for our ICE role.
    offerer: Option<bool>,
    ice_state: ice::State,
    gathering: RtcIceGatheringState,
    state: RtcPeerConnectionState,
    gauge: TrackedGauge,
    _counted: TrackedGauge,
    snapshot: SharedSnapshot,
    stale: StaleDescriptions,
    events: LaneSender<PeerConnectionEvent>,
    /// W3C `[[NegotiationNeeded]]`.
    negotiation_needed: bool,
    /// [`Close`](crate::messages::peer_connection::Close) has told the children to end.
    closing: bool,
}

impl PeerConnection {
    /// Starts a connection on the current thread; its transports come with the first descriptions.
    ///
    /// # Errors
    /// When there is no certificate, its fingerprint can't be computed, or no socket can be bound.
    pub fn start(config: PeerConfig, places: &Rc<TransportPlaces>) -> Result<PeerHandle, RtcError> {
        let PeerConfig { configuration, ice_lite, max_message_size, clock } = config;
        let certificate = configuration.certificates.first().cloned();
        let certificate =
            certificate.ok_or_else(|| RtcError::InvalidAccessError("a certificate is needed".to_owned()))?;
        let place = places
            .place()
            .map_err(|error| RtcError::OperationError(format!("no UDP socket could be bound: {error}")))?;
        let mut random = rand::rng();
        let pool_size = usize::from(configuration.ice_candidate_pool_size).min(MAX_POOL);
        let pool: Vec<_> = (0..pool_size).map(|_| ice_parameters(&mut random, ice_lite)).collect();
        let mut session_config = session_config(&configuration, &certificate, &mut random)?;
        session_config.ice_lite = ice_lite;
        session_config.max_message_size = max_message_size;
        session_config.ice_pool.clone_from(&pool);
        let session = Session::new(session_config, random);
        let (events, event_receiver) = lane(LaneKind::Events, MAX_EVENTS, None);
        let snapshot = SharedSnapshot::default();
        let statistics = kit::statistics();
        let mut connection = Self {
            session,
            transports: Transports::new(Rc::clone(places), place),
            sctp: None,
            data_transport: None,
            transceivers: Vec::new(),
            certificate,
            clock,
            configuration,
            offerer: None,
            ice_state: ice::State::New,
            gathering: RtcIceGatheringState::New,
            state: RtcPeerConnectionState::New,
            gauge: statistics.track(Gauge::ConnectionState(ConnectionLabel::New)),
            _counted: statistics.track(Gauge::Peers),
            snapshot: snapshot.clone(),
            stale: StaleDescriptions::default(),
            events,
            negotiation_needed: false,
            closing: false,
        };
        // Never restarted: what was negotiated with the peer can't be rebuilt; it reports and ends.
        let address = kit::start(
            Policy::never(),
            |reason| tracing::debug!(?reason, "peer connection ended"),
            move |ctx| {
                let parent = ctx.address().downgrade();
                for local in pool {
                    let config = connection.transport_config(local);
                    connection.transports.pool(&parent, config);
                }
                connection.publish(ctx);
                connection
            },
        );
        Ok(PeerHandle { address, snapshot, events: event_receiver })
    }

    fn emit(&self, event: PeerConnectionEvent) {
        self.events.push(kit::now(), event);
    }
}

fn session_config(
    configuration: &Configuration,
    certificate: &Certificate,
    random: &mut ThreadRng,
) -> Result<SessionConfig, RtcError> {
    let fingerprint = certificate
        .fingerprint(HashAlgorithm::Sha256)
        .map_err(|error| RtcError::OperationError(error.to_string()))?;
    // RFC 7022 §5: a canonical name that is random per session and says nothing about the host.
    let cname = Credentials::generate(random).ufrag.clone();
    let mut config = SessionConfig::new(vec![fingerprint.to_string()], cname);
    config.bundle_policy = configuration.bundle_policy;
    config.always_negotiate_data_channels = configuration.always_negotiate_data_channels;
    Ok(config)
}

fn ice_parameters(random: &mut ThreadRng, lite: bool) -> IceParameters {
    let credentials = Credentials::generate(random);
    IceParameters { ufrag: credentials.ufrag.clone(), password: credentials.password.clone(), lite }
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
        self.snapshot.lock().ended = true;
        self.snapshot.notify();
    }
}

impl Supervised for PeerConnection {}

#[cfg(feature = "fault-injection")]
crate::actors::fault_injection::impl_boom!(PeerConnection);
