//! `IceAgent`: one peer's ICE agent with its sockets.
//!
//! Restarts once in 30 s after a panic, with new credentials, and asks for an ICE restart; media goes
//! on over the pair that was selected before for as long as its consent could have lasted.

mod connections;
mod datagrams;
mod gathering;
mod hosts;
mod names;
mod relays;

use std::{
    cell::RefCell,
    rc::Rc,
    sync::Arc,
    task::Context as TaskContext,
    time::{Duration, Instant},
};

use actix::prelude::*;

pub use self::datagrams::{DATAGRAMS_MAX, DatagramPort};
use self::{connections::Connections, gathering::Gatherer, names::Names};
use crate::{
    actors::{
        kit::{
            self, ActorKind, Driven, DropReason, Gauge, IceLabel, LaneReceiver, Metered, MeteredContext,
            Policy, TrackedGauge,
        },
        network::{
            AddressWatch, Egress, Inbound, NetworkConfig, PeerKey, PeerLanes, Route, Router, SocketSet,
        },
    },
    messages::{
        ice::{
            AddRemoteCandidate, CandidatePair, CloseIce, EndOfRemoteCandidates, Gather, IceEvent, IceServers,
            IceTransportPolicy, LocalAddressLost, RestartIce, RouteChanged, SelectedRoute, SetIceRole,
            SetIceServers, SetRemoteIce,
        },
        statistics::{CollectIce, IceStatistics},
    },
    proto::{
        Protocol, Transmit,
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
    /// Tells when an address of this host is lost.
    pub watch: Rc<AddressWatch>,
    /// Which addresses are offered.
    pub network: NetworkConfig,
    /// Who is asked for candidates.
    pub servers: IceServers,
    /// Hears about candidates and states. Holds its owner weakly: a child does not keep its parent alive.
    pub report: Rc<dyn Fn(IceEvent)>,
    /// Hears about the selected pair, if somebody sends over it past the agent.
    pub route: Option<Recipient<RouteChanged>>,
    /// The application's own datagrams, where there is nothing between it and ICE.
    pub datagrams: Option<DatagramPort>,
}

/// One peer's connectivity.
pub struct IceAgent {
    agent: Agent,
    /// What the agent was made with, for another one after a panic.
    config: AgentConfig,
    lane: LaneReceiver<Inbound>,
    inbox: Vec<Inbound>,
    environment: IceEnvironment,
    selected: Option<SelectedRoute>,
    /// Set after a restart by panic: when the old pair's consent has surely ended.
    inherited_until: Option<Instant>,
    gathered: bool,
    gatherer: Gatherer,
    names: Names,
    connections: Connections,
    /// Our own address, once started.
    own: Option<actix::WeakAddr<Self>>,
    /// What was told last.
    round_trip_time: Option<Duration>,
    gauge: TrackedGauge,
}

impl IceAgent {
    /// An agent with this configuration; gathering starts with [`Gather`].
    pub fn new(mut config: AgentConfig, lane: LaneReceiver<Inbound>, environment: IceEnvironment) -> Self {
        config.pacer = Some(gathering::pacer());
        let agent = Agent::new(kit::now(), config.clone(), rand::rng());
        Self {
            agent,
            config,
            lane,
            inbox: Vec::new(),
            environment,
            selected: None,
            inherited_until: None,
            gathered: false,
            gatherer: Gatherer::new(),
            names: Names::default(),
            connections: Connections::default(),
            own: None,
            round_trip_time: None,
            gauge: kit::statistics().track(Gauge::IceState(IceLabel::New)),
        }
    }

    /// Takes a STUN message: the answer of a server, or a check and its answer.
    fn receive(&mut self, now: Instant, inbound: &Inbound) {
        let Inbound { protocol, local, remote, payload } = inbound;
        if inbound.is_end() {
            return self.connection_ended(now, *local, *remote);
        }
        let relayed = self.environment.sockets.find_relayed(*protocol, *local);
        if relayed.is_none() {
            if self.gatherer.probes.handle_packet(now, *local, *remote, payload) {
                return;
            }
            if self.environment.servers.policy == IceTransportPolicy::Relay {
                // Nothing is offered at this address, so nothing is answered from it.
                return kit::statistics().drop(DropReason::IceRejected, 1);
            }
        }
        match self.agent.handle_packet_over(now, *protocol, *local, *remote, payload) {
            // An indication proves nothing: anyone can send one.
            Ok(()) if is_indication(payload) => {}
            Ok(()) => match relayed.as_ref().and_then(|socket| socket.relay()) {
                Some(relay) => relay.trust(*remote),
                None if *protocol == Protocol::Tcp => self.trust_connection(*local, *remote),
                None => self.environment.router.borrow_mut().authenticate(self.environment.key, *remote),
            },
            Err(rejected) => {
                tracing::trace!(?rejected, "connectivity check refused");
                kit::statistics().drop(drop_reason(rejected), 1);
            }
        }
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
        self.watch_selected();
        if let Some(route) = &self.environment.route {
            route.do_send(RouteChanged(selected));
        }
    }

    /// Hears of the loss of the address that is sent from. That of a relayed pair is the TURN client's.
    fn watch_selected(&self) {
        let IceEnvironment { watch, key, sockets, .. } = &self.environment;
        let own = self
            .selected
            .filter(|selected| sockets.find_relayed(selected.protocol, selected.local).is_none());
        match (own, &self.own) {
            (Some(SelectedRoute { local, remote, .. }), Some(agent)) => {
                let agent = agent.clone();
                let tell = move |ip| {
                    if let Some(agent) = agent.upgrade() {
                        agent.do_send(LocalAddressLost(ip));
                    }
                };
                watch.watch(*key, local.ip(), remote, Rc::new(tell));
            }
            _ => watch.forget(*key),
        }
    }

    /// The selected pair as it is shown to people.
    fn shown(&self, pair: SelectedPair) -> Option<CandidatePair> {
        let is_local =
            |c: &&Arc<Candidate>| c.kind == pair.local_kind && c.has_base(pair.protocol, pair.local);
        let is_remote = |c: &&Candidate| c.kind == pair.remote_kind && c.is_at(pair.protocol, pair.remote);
        let local = self.agent.local_candidates().iter().find(is_local)?.as_ref().clone();
        let remote = self.agent.remote_candidates().iter().find(is_remote)?.clone();
        Some(CandidatePair { local, remote })
    }

    fn send(&mut self, transmit: &Transmit) {
        if transmit.protocol == Protocol::Tcp {
            self.connect(transmit.local, transmit.remote);
        }
        let environment = &self.environment;
        let Some(socket) = environment.sockets.find(transmit.protocol, transmit.local) else {
            return kit::statistics().drop(DropReason::NoRoute, 1);
        };
        if transmit.protocol == Protocol::Udp && socket.relay().is_none() {
            environment.router.borrow_mut().expect_response(environment.key, transmit.remote);
        }
        let route = Route { socket, source: Some(transmit.local.ip()), destination: transmit.remote };
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
        self.own = Some(ctx.address().downgrade());
        kit::drive::<Self>(ctx);
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        let route = self.environment.route.as_ref().filter(|route| route.connected());
        if let Some(route) = route.filter(|_| self.selected.is_some()) {
            // RFC 7675 §5.1: without an agent there is no consent, whatever ended it.
            route.do_send(RouteChanged(None));
        }
        self.environment.router.borrow_mut().remove_peer(self.environment.key);
        self.close_relays();
        self.close_connections();
        self.environment.watch.forget(self.environment.key);
    }
}

impl Supervised for IceAgent {
    fn restarting(&mut self, ctx: &mut Self::Context) {
        let now = kit::now();
        let mut random = rand::rng();
        let credentials = Credentials::generate(&mut random);
        self.config.role = self.agent.role();
        self.config.credentials.clone_from(&credentials);
        self.agent = Agent::new(now, self.config.clone(), random);
        self.inbox.clear();
        self.forget_names();
        self.gauge.set(Gauge::IceState(IceLabel::New));
        self.inherited_until = self.selected.map(|_| now + INHERITED_CONSENT);
        self.report(IceEvent::RestartNeeded(credentials));
        if self.gathered {
            self.gather(now, ctx);
        }
    }
}

impl Driven for IceAgent {
    fn take_input(&mut self, cx: &mut TaskContext<'_>, now: Instant, _: &mut Self::Context) -> bool {
        let more = self.lane.poll_take(cx, now, kit::INPUT_BUDGET, &mut self.inbox);
        let heard = !self.inbox.is_empty();
        for inbound in std::mem::take(&mut self.inbox) {
            self.receive(now, &inbound);
        }
        if heard {
            self.report_round_trip();
        }
        self.take_datagrams(cx) || more
    }

    fn flush(&mut self, now: Instant, _: &mut Self::Context) {
        self.flush_probes(now);
        while let Some(transmit) = self.agent.poll_transmit() {
            self.send(&transmit);
        }
        self.tell_failed_connections(now);
        while let Some(event) = self.agent.poll_event() {
            match event {
                Event::StateChanged(state) => {
                    self.gauge.set(Gauge::IceState(label(state)));
                    if matches!(state, State::Connected | State::Completed | State::Failed) {
                        self.gatherer.probes.release_mappings();
                    }
                    if state == State::Disconnected {
                        self.verify_relays(now);
                    }
                    self.report(IceEvent::StateChanged(state));
                }
                Event::SelectedPairChanged(pair) => {
                    let shown = pair.and_then(|pair| self.shown(pair));
                    self.report(IceEvent::SelectedPair(shown.map(Box::new)));
                    self.select(pair.map(|pair| SelectedRoute {
                        protocol: pair.protocol,
                        local: pair.local,
                        remote: pair.remote,
                    }));
                }
                Event::RoleChanged(role) => self.report(IceEvent::RoleChanged(role)),
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        [self.agent.poll_timeout(), self.inherited_until, self.gatherer.deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    fn handle_deadline(&mut self, now: Instant, ctx: &mut Self::Context) {
        self.agent.handle_timeout(now);
        self.advance_gathering(now, ctx);
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

    fn handle(&mut self, _: Gather, ctx: &mut Self::Context) {
        self.gather(kit::now(), ctx);
    }
}

impl Handler<SetRemoteIce> for IceAgent {
    type Result = ();

    fn handle(&mut self, message: SetRemoteIce, _: &mut Self::Context) {
        self.agent.set_signalled_role(message.role);
        self.agent.set_remote_lite(message.lite);
        self.report(IceEvent::RoleChanged(self.agent.role()));
        self.begin_names(&message.credentials);
        if let Err(error) = self.agent.set_remote_credentials(kit::now(), message.credentials) {
            // Checks can't succeed: the agent fails when its patience ends.
            tracing::warn!(%error, "the peer's ICE credentials can't be used");
        }
    }
}

impl Handler<SetIceRole> for IceAgent {
    type Result = ();

    fn handle(&mut self, message: SetIceRole, _: &mut Self::Context) {
        self.agent.set_role(message.0);
    }
}

impl Handler<AddRemoteCandidate> for IceAgent {
    type Result = ();

    fn handle(&mut self, message: AddRemoteCandidate, ctx: &mut Self::Context) {
        self.add_remote(message.0, ctx);
    }
}

impl Handler<EndOfRemoteCandidates> for IceAgent {
    type Result = ();

    fn handle(&mut self, _: EndOfRemoteCandidates, _: &mut Self::Context) {
        self.end_remote();
    }
}

impl Handler<RestartIce> for IceAgent {
    type Result = ();

    fn handle(&mut self, message: RestartIce, ctx: &mut Self::Context) {
        let now = kit::now();
        self.environment.router.borrow_mut().add_ufrag(self.environment.key, &message.0.ufrag);
        let peer_before = self.agent.remote_credentials().cloned();
        if let Err(error) = self.agent.restart(now, message.0) {
            return tracing::warn!(%error, "ICE was not restarted");
        }
        if self.agent.remote_credentials() != peer_before.as_ref() {
            self.forget_names();
        }
        self.gather(now, ctx);
    }
}

impl Handler<LocalAddressLost> for IceAgent {
    type Result = ();

    fn handle(&mut self, message: LocalAddressLost, _: &mut Self::Context) {
        tracing::debug!("the address of the selected pair is lost");
        self.agent.local_address_lost(message.0);
    }
}

impl Handler<CollectIce> for IceAgent {
    type Result = IceStatistics;

    fn handle(&mut self, _: CollectIce, _: &mut Self::Context) -> Self::Result {
        IceStatistics {
            role: self.agent.role(),
            local: self.agent.local_candidates().iter().map(|candidate| candidate.as_ref().clone()).collect(),
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
        self.close_relays();
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
