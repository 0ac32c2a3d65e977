//! `IceAgent`: one peer's ICE agent with its sockets.
//!
//! Restarts once in 30 s after a panic, with new credentials, and asks for an ICE restart; media goes
//! on over the pair that was selected before for as long as its consent could have lasted.

use std::{
    cell::RefCell,
    rc::Rc,
    task::Context as TaskContext,
    time::{Duration, Instant},
};

use actix::prelude::*;
use rand::{SeedableRng, rngs::StdRng};

use crate::{
    actors::{
        kit::{
            self, ActorKind, Driven, DropReason, Gauge, IceLabel, LaneReceiver, Metered, MeteredContext,
            Policy, TrackedGauge,
        },
        network::{
            Egress, Inbound, NetworkConfig, PeerKey, PeerLanes, Route, Router, SocketSet, host_addresses,
            local_preference,
        },
    },
    messages::{
        ice::{
            AddRemoteCandidate, CandidatePair, CloseIce, EndOfRemoteCandidates, Gather, IceEvent, IceServers,
            RestartIce, RouteChanged, SelectedRoute, SetIceServers, SetRemoteIce,
        },
        statistics::{CollectIce, IceStatistics},
    },
    proto::{
        Transmit,
        ice::{Agent, AgentConfig, Candidate, Credentials, Event, Rejected, Role, SelectedPair, State},
    },
};

/// How often an agent may be rebuilt after a panic.
pub const ICE_AGENT_POLICY: Policy = Policy::restarts(1, Duration::from_secs(30));

/// How long media may go on over a pair whose agent was lost: RFC 7675 §5.1, the life of a consent.
const INHERITED_CONSENT: Duration = Duration::from_secs(30);

/// What an agent needs from its surroundings.
pub struct IceEnvironment {
    /// Names the peer in the router.
    pub key: PeerKey,
    /// Sockets to gather on and send from.
    pub sockets: SocketSet,
    /// Leads datagrams to this peer.
    pub router: Rc<RefCell<Router>>,
    /// The shard's send queue.
    pub egress: Rc<RefCell<Egress>>,
    /// The peer's lanes, to be registered with the router.
    pub lanes: PeerLanes,
    /// Which addresses are offered.
    pub network: NetworkConfig,
    /// Who is asked for candidates.
    pub servers: IceServers,
    /// Hears about candidates and states. Holds its owner weakly: a child does not keep its parent alive.
    pub report: Rc<dyn Fn(IceEvent)>,
    /// Hears about the selected pair.
    pub route: Recipient<RouteChanged>,
}

/// One peer's connectivity.
pub struct IceAgent {
    agent: Agent,
    lane: LaneReceiver<Inbound>,
    inbox: Vec<Inbound>,
    environment: IceEnvironment,
    selected: Option<SelectedRoute>,
    /// Set after a restart by panic: when the old pair's consent has surely ended.
    inherited_until: Option<Instant>,
    gathered: bool,
    /// What was told last.
    round_trip_time: Option<Duration>,
    gauge: TrackedGauge,
}

impl IceAgent {
    /// An agent with this configuration; gathering starts with [`Gather`].
    pub fn new(config: AgentConfig, lane: LaneReceiver<Inbound>, environment: IceEnvironment) -> Self {
        let agent = Agent::new(kit::now(), config, StdRng::from_os_rng());
        Self {
            agent,
            lane,
            inbox: Vec::new(),
            environment,
            selected: None,
            inherited_until: None,
            gathered: false,
            round_trip_time: None,
            gauge: kit::statistics().track(Gauge::IceState(IceLabel::New)),
        }
    }

    fn gather(&mut self, now: Instant) {
        self.gathered = true;
        let environment = &self.environment;
        match host_addresses(&environment.network) {
            Ok(addresses) => {
                for (index, ip) in addresses.into_iter().enumerate() {
                    let Some(address) = environment.sockets.address_of(ip) else { continue };
                    let candidate = Candidate::host(address, local_preference(index));
                    // A candidate that the agent refuses (a duplicate, one too many) is not signalled.
                    if let Ok(candidate) = self.agent.add_local_candidate(now, candidate) {
                        self.report(IceEvent::LocalCandidate(candidate));
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "the host's addresses can't be listed"),
        }
        self.agent.end_of_local_candidates();
        self.report(IceEvent::GatheringComplete);
    }

    fn report(&self, event: IceEvent) {
        (self.environment.report)(event);
    }

    /// Tells the round trip over the selected pair when it differs by more than a quarter.
    fn report_round_trip(&mut self) {
        let Some(selected) = self.agent.selected_pair() else { return };
        let pair = self.agent.pairs().find(|pair| pair.id == selected.id);
        let Some(measured) = pair.and_then(|pair| pair.counters.current_round_trip) else { return };
        let is_news = self.round_trip_time.is_none_or(|told| told.abs_diff(measured) > told / 4);
        if is_news {
            self.round_trip_time = Some(measured);
            self.report(IceEvent::RoundTripTime(measured));
        }
    }

    fn register(&self) {
        let environment = &self.environment;
        let ufrag = &self.agent.local_credentials().ufrag;
        environment.router.borrow_mut().add_peer(environment.key, ufrag, environment.lanes.clone());
    }

    fn select(&mut self, selected: Option<SelectedRoute>) {
        self.selected = selected;
        self.inherited_until = None;
        self.environment.route.do_send(RouteChanged(selected));
    }

    /// The selected pair as it is shown to people.
    fn shown(&self, pair: SelectedPair) -> Option<CandidatePair> {
        let is_local = |c: &&Candidate| c.kind == pair.local_kind && c.base() == Some(pair.local);
        let is_remote = |c: &&Candidate| c.kind == pair.remote_kind && c.address.ip() == Some(pair.remote);
        let local = self.agent.local_candidates().iter().find(is_local)?.clone();
        let remote = self.agent.remote_candidates().iter().find(is_remote)?.clone();
        Some(CandidatePair { local, remote })
    }

    fn send(&self, transmit: &Transmit) {
        let environment = &self.environment;
        let Some(socket) = environment.sockets.find(transmit.local) else {
            return kit::statistics().drop(DropReason::NoRoute, 1);
        };
        environment.router.borrow_mut().expect_response(environment.key, transmit.remote);
        let route = Route {
            socket: Rc::clone(socket),
            source: Some(transmit.local.ip()),
            destination: transmit.remote,
        };
        let length = transmit.payload.len();
        let written = environment.egress.borrow_mut().write(&route, length, |buffer| {
            buffer.copy_from_slice(&transmit.payload);
            Some(length)
        });
        let statistics = kit::statistics();
        match written {
            Ok(_) => statistics.packets_out(crate::proto::demux::PacketKind::Stun, 1, length as u64),
            Err(_) => statistics.drop(DropReason::SendQueueFull, 1),
        }
    }
}

impl Metered for IceAgent {
    const KIND: ActorKind = ActorKind::IceAgent;
}

impl Actor for IceAgent {
    type Context = MeteredContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.register();
        kit::drive::<Self>(ctx);
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        if self.selected.is_some() && self.environment.route.connected() {
            // RFC 7675 §5.1: without an agent there is no consent, whatever ended it.
            self.environment.route.do_send(RouteChanged(None));
        }
        self.environment.router.borrow_mut().remove_peer(self.environment.key);
    }
}

impl Supervised for IceAgent {
    fn restarting(&mut self, _: &mut Self::Context) {
        let now = kit::now();
        let mut random = StdRng::from_os_rng();
        let credentials = Credentials::generate(&mut random);
        let mut config = AgentConfig::new(self.agent.role(), credentials.clone());
        config.lite = self.agent.is_lite();
        self.agent = Agent::new(now, config, random);
        self.inbox.clear();
        self.gauge.set(Gauge::IceState(IceLabel::New));
        self.inherited_until = self.selected.map(|_| now + INHERITED_CONSENT);
        self.report(IceEvent::RestartNeeded(credentials));
        if self.gathered {
            self.gather(now);
        }
    }
}

impl Driven for IceAgent {
    fn take_input(&mut self, cx: &mut TaskContext<'_>, now: Instant, _: &mut Self::Context) -> bool {
        let more = self.lane.poll_take(cx, now, kit::INPUT_BUDGET, &mut self.inbox);
        let heard = !self.inbox.is_empty();
        for inbound in self.inbox.drain(..) {
            match self.agent.handle_packet(now, inbound.local, inbound.remote, &inbound.payload) {
                // An indication proves nothing: anyone can send one.
                Ok(()) if is_indication(&inbound.payload) => {}
                Ok(()) => {
                    self.environment.router.borrow_mut().authenticate(self.environment.key, inbound.remote)
                }
                Err(rejected) => {
                    tracing::trace!(?rejected, "connectivity check refused");
                    kit::statistics().drop(drop_reason(rejected), 1);
                }
            }
        }
        if heard {
            self.report_round_trip();
        }
        more
    }

    fn flush(&mut self, _: Instant, _: &mut Self::Context) {
        while let Some(transmit) = self.agent.poll_transmit() {
            self.send(&transmit);
        }
        while let Some(event) = self.agent.poll_event() {
            match event {
                Event::StateChanged(state) => {
                    self.gauge.set(Gauge::IceState(label(state)));
                    self.report(IceEvent::StateChanged(state));
                }
                Event::SelectedPairChanged(pair) => {
                    let shown = pair.and_then(|pair| self.shown(pair));
                    self.report(IceEvent::SelectedPair(shown));
                    self.select(pair.map(|pair| SelectedRoute { local: pair.local, remote: pair.remote }))
                }
                Event::RoleChanged(role) => self.report(IceEvent::RoleChanged(role)),
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.agent.poll_timeout().into_iter().chain(self.inherited_until).min()
    }

    fn handle_deadline(&mut self, now: Instant, _: &mut Self::Context) {
        self.agent.handle_timeout(now);
        if self.inherited_until.is_some_and(|until| until <= now) {
            self.select(None);
        }
    }
}

impl Handler<SetIceServers> for IceAgent {
    type Result = ();

    fn handle(&mut self, message: SetIceServers, _: &mut Self::Context) {
        self.environment.servers = message.0;
    }
}

impl Handler<Gather> for IceAgent {
    type Result = ();

    fn handle(&mut self, _: Gather, _: &mut Self::Context) {
        self.gather(kit::now());
    }
}

impl Handler<SetRemoteIce> for IceAgent {
    type Result = ();

    fn handle(&mut self, message: SetRemoteIce, _: &mut Self::Context) {
        self.agent.set_role(message.role);
        self.agent.set_remote_lite(message.lite);
        self.report(IceEvent::RoleChanged(self.agent.role()));
        if let Err(error) = self.agent.set_remote_credentials(kit::now(), message.credentials) {
            // Checks can't succeed: the agent fails when its patience ends.
            tracing::warn!(%error, "the peer's ICE credentials can't be used");
        }
    }
}

impl Handler<AddRemoteCandidate> for IceAgent {
    type Result = ();

    fn handle(&mut self, message: AddRemoteCandidate, _: &mut Self::Context) {
        if let Err(error) = self.agent.add_remote_candidate(kit::now(), message.0) {
            // RFC 8839 §5.1: candidates that can't be used are skipped.
            tracing::debug!(%error, "remote candidate skipped");
        }
    }
}

impl Handler<EndOfRemoteCandidates> for IceAgent {
    type Result = ();

    fn handle(&mut self, _: EndOfRemoteCandidates, _: &mut Self::Context) {
        self.agent.end_of_remote_candidates(kit::now());
    }
}

impl Handler<RestartIce> for IceAgent {
    type Result = ();

    fn handle(&mut self, message: RestartIce, _: &mut Self::Context) {
        let now = kit::now();
        self.environment.router.borrow_mut().add_ufrag(self.environment.key, &message.0.ufrag);
        if let Err(error) = self.agent.restart(now, message.0) {
            return tracing::warn!(%error, "ICE was not restarted");
        }
        self.gather(now);
    }
}

impl Handler<CollectIce> for IceAgent {
    type Result = IceStatistics;

    fn handle(&mut self, _: CollectIce, _: &mut Self::Context) -> Self::Result {
        IceStatistics {
            role: self.agent.role(),
            local: self.agent.local_candidates().to_vec(),
            remote: self.agent.remote_candidates().to_vec(),
            pairs: self.agent.pairs().collect(),
            selected: self.agent.selected_pair().map(|pair| pair.id),
        }
    }
}

impl Handler<CloseIce> for IceAgent {
    type Result = ();

    fn handle(&mut self, _: CloseIce, ctx: &mut Self::Context) {
        self.agent.close();
        ctx.stop();
    }
}

/// RFC 8489 §5: the class bits of the message type say 0b01.
fn is_indication(datagram: &[u8]) -> bool {
    matches!(datagram, [high, low, ..] if high & 0x01 == 0 && low & 0x10 != 0)
}

fn drop_reason(rejected: Rejected) -> DropReason {
    match rejected {
        Rejected::Malformed | Rejected::MissingAttribute => DropReason::MalformedStun,
        Rejected::MissingCredentials | Rejected::UnknownUfrag | Rejected::BadIntegrity => {
            DropReason::StunUnauthenticated
        }
        Rejected::TableFull => DropReason::RateLimited,
        Rejected::NotRunning => DropReason::Closed,
        _ => DropReason::IceRejected,
    }
}

fn label(state: State) -> IceLabel {
    match state {
        State::New => IceLabel::New,
        State::Checking => IceLabel::Checking,
        State::Connected => IceLabel::Connected,
        State::Completed => IceLabel::Completed,
        State::Disconnected => IceLabel::Disconnected,
        State::Failed => IceLabel::Failed,
        State::Closed => IceLabel::Closed,
    }
}

/// Our role by RFC 8445 §6.1.1: the offerer controls, unless only one side is a full agent.
pub fn role_for(offerer: bool, local_lite: bool, remote_lite: bool) -> Role {
    match (local_lite, remote_lite) {
        (false, true) => Role::Controlling,
        (true, false) => Role::Controlled,
        _ if offerer => Role::Controlling,
        _ => Role::Controlled,
    }
}

#[cfg(feature = "fault-injection")]
crate::actors::fault_injection::impl_boom!(IceAgent);
