//! `IceConnectionActor`: a connection of ICE alone, without descriptions, DTLS or media. The parent of one
//! `IceAgent` for each component, each with sockets of its own; [`Components`] decides what they agree on.
//!
//! Datagrams do not come here: they pass between the handle and the agents' sockets.
//!
//! Never restarted: what the application has told it can't be asked for again. An agent that panics is
//! restarted by its own policy, and then all components need new credentials.
//!
//! - starting, and hearing the agents: here; what the application asks for: `requests`

mod requests;

use std::{net::SocketAddr, rc::Rc, sync::Arc};

use actix::prelude::*;
use bytes::Bytes;
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::sync::{mpsc, watch};

use super::{
    ice_agent::{DATAGRAMS_MAX, DatagramPort, ICE_AGENT_POLICY, IceAgent, IceEnvironment},
    kit::{
        self, ActorKind, DownReason, LaneKind, LaneReceiver, LaneSender, Metered, MeteredContext, Policy,
        Weight, lane,
    },
    lanes::control_lane,
    network::{Inbound, NetworkConfig, PeerLanes},
    shard::TransportPlace,
};
use crate::{
    messages::{
        ice::{CloseIce, IceEvent, IceServers, RestartIce, SetIceRole},
        ice_connection::{DatagramCounters, IceConnectionEvent, IceConnectionSnapshot},
        peer_connection::RtcIceGatheringState,
    },
    proto::ice::{AgentConfig, ComponentEvent, Components, Credentials, Role, State, Timings},
};

/// Events that may wait for the application: every candidate that a connection can gather, and then some.
const MAX_EVENTS: usize = 1_024;

impl Weight for IceConnectionEvent {
    fn weight(&self) -> usize {
        1
    }
}

impl Weight for IceEvent {
    fn weight(&self) -> usize {
        1
    }
}

/// What a connection, or a single agent, is made with.
#[derive(Debug, Clone)]
pub struct IceSettings {
    /// Who nominates, until signalling says otherwise.
    pub role: Role,
    /// Act as a lite agent.
    pub lite: bool,
    /// Components 1 to this; a single agent has the first only.
    pub components: u8,
    /// Who is asked for candidates.
    pub servers: IceServers,
    /// Our credentials; random ones by default.
    pub credentials: Option<Credentials>,
    /// Which addresses are offered; those of the engine by default.
    pub network: Option<NetworkConfig>,
    /// Timers of the agents.
    pub timings: Timings,
}

/// One agent as its owner sees it.
pub struct IceAgentHandle {
    /// Its component.
    pub component: u8,
    /// The actor.
    pub address: Addr<IceAgent>,
    /// Where datagrams to be sent go.
    pub outbound: mpsc::Sender<Bytes>,
    /// Where datagrams that have arrived are.
    pub inbound: LaneReceiver<Inbound>,
    /// What went through.
    pub counters: Arc<DatagramCounters>,
}

/// How the API reaches a connection.
pub struct IceConnectionHandle {
    /// The actor.
    pub address: Addr<IceConnectionActor>,
    /// What getters read.
    pub snapshot: watch::Receiver<IceConnectionSnapshot>,
    /// What happens to it.
    pub events: LaneReceiver<IceConnectionEvent>,
    /// Its components.
    pub agents: Vec<IceAgentHandle>,
}

/// What an agent's owner hears.
enum AgentReport {
    Ice(IceEvent),
    Down(DownReason),
    SocketLost(SocketAddr),
}

/// `IceAgent` → its `IceConnectionActor`, control.
#[derive(Message)]
#[rtype(result = "()")]
struct Reported(u8, AgentReport);

struct Agent {
    component: u8,
    address: Addr<IceAgent>,
    counters: Arc<DatagramCounters>,
    /// Held for as long as the agent needs its sockets.
    _place: TransportPlace,
}

/// A connection of ICE alone.
pub struct IceConnectionActor {
    components: Components,
    agents: Vec<Agent>,
    lite: bool,
    remote_lite: bool,
    has_gathered: bool,
    /// The application has asked to connect: what is known of the peer reaches the agents.
    is_started: bool,
    /// What getters see. Whoever waits for something is woken by [`Self::settle`], and only when there is
    /// something that can be waited for.
    shown: watch::Sender<IceConnectionSnapshot>,
    is_news: bool,
    events: LaneSender<IceConnectionEvent>,
}

impl IceConnectionActor {
    /// Starts a connection on the current thread, with a place for each component.
    pub fn start(settings: IceSettings, places: Vec<TransportPlace>) -> IceConnectionHandle {
        let mut random = StdRng::from_os_rng();
        let tie_breaker = random.random();
        let credentials = settings.credentials.clone();
        let credentials = credentials.unwrap_or_else(|| Credentials::generate(&mut random));
        let role = if settings.lite { Role::Controlled } else { settings.role };
        let count = u8::try_from(places.len()).unwrap_or(u8::MAX);
        let components = Components::new(count, role);
        let snapshot = IceConnectionSnapshot {
            state: State::New,
            role,
            gathering_state: RtcIceGatheringState::New,
            components: components.numbers().collect(),
            local_candidates: Vec::new(),
            remote_candidates: Vec::new(),
            local_credentials: credentials.clone(),
            remote_credentials: None,
            selected_pairs: Vec::new(),
            was_connected: false,
        };
        let (shown, snapshot) = watch::channel(snapshot);
        let (events, event_receiver) = lane(LaneKind::Events, MAX_EVENTS, None);
        let mut handles = Vec::new();
        let down = |reason| tracing::debug!(?reason, "a connection of ICE alone has ended");
        let address = kit::start(Policy::never(), down, |ctx: &mut MeteredContext<Self>| {
            let mut agents = Vec::new();
            for (component, place) in components.numbers().zip(places) {
                let parent = ctx.address().downgrade();
                // Weak: a child does not keep its parent alive.
                let report = Rc::new(move |report| {
                    if let Some(parent) = parent.upgrade() {
                        parent.do_send(Reported(component, report));
                    }
                });
                let mut config = AgentConfig::new(role, credentials.clone());
                (config.component, config.tie_breaker) = (component, Some(tie_breaker));
                let handle = start_agent(config, &settings, &place, report);
                let (address, counters) = (handle.address.clone(), Arc::clone(&handle.counters));
                agents.push(Agent { component, address, counters, _place: place });
                handles.push(handle);
            }
            Self {
                components,
                agents,
                lite: settings.lite,
                remote_lite: false,
                has_gathered: false,
                is_started: false,
                shown,
                is_news: false,
                events,
            }
        });
        IceConnectionHandle { address, snapshot, events: event_receiver, agents: handles }
    }

    fn emit(&self, event: IceConnectionEvent) {
        self.events.push(kit::now(), event);
    }

    /// Changes what getters see, without waking anybody.
    fn show(&self, change: impl FnOnce(&mut IceConnectionSnapshot)) {
        self.shown.send_if_modified(|shown| {
            change(shown);
            false
        });
    }

    /// Does what the components ask for, and wakes those who wait for it.
    fn settle(&mut self) {
        while let Some(event) = self.components.poll_event() {
            match event {
                ComponentEvent::StateChanged(state) => {
                    self.show(|shown| shown.state = state);
                    self.is_news = true;
                    self.emit(IceConnectionEvent::StateChanged(state));
                }
                ComponentEvent::GatheringComplete => {
                    self.show(|shown| shown.gathering_state = RtcIceGatheringState::Complete);
                    self.is_news = true;
                    self.emit(IceConnectionEvent::GatheringComplete);
                }
                ComponentEvent::SetRole(component, role) => {
                    self.tell(component, |agent| agent.do_send(SetIceRole(role)));
                }
                ComponentEvent::RoleChanged(role) => {
                    self.show(|shown| shown.role = role);
                    self.emit(IceConnectionEvent::RoleChanged(role));
                }
                ComponentEvent::Removed(component) => self.remove(component),
            }
        }
        if std::mem::take(&mut self.is_news) {
            self.shown.send_modify(|_| {});
        }
    }

    fn tell(&self, component: u8, tell: impl FnOnce(&Addr<IceAgent>)) {
        if let Some(agent) = self.agents.iter().find(|agent| agent.component == component) {
            tell(&agent.address);
        }
    }

    fn remove(&mut self, component: u8) {
        self.tell(component, |agent| agent.do_send(CloseIce));
        self.agents.retain(|agent| agent.component != component);
        let left = self.components.numbers().collect();
        self.show(|shown| {
            shown.components = left;
            shown.local_candidates.retain(|candidate| candidate.component != component);
            shown.selected_pairs.retain(|(of, _)| *of != component);
        });
        self.is_news = true;
        self.emit(IceConnectionEvent::ComponentRemoved(component));
    }

    fn observe(&mut self, component: u8, event: IceEvent) {
        match event {
            IceEvent::LocalCandidate(candidate) => {
                if candidate.ufrag.as_ref().is_none_or(|of| self.is_current(of)) {
                    let candidate = Arc::unwrap_or_clone(candidate);
                    self.show(|shown| shown.local_candidates.push(candidate.clone()));
                    self.emit(IceConnectionEvent::LocalCandidate(candidate));
                }
            }
            IceEvent::GatheringComplete { ufrag } => {
                if self.is_current(&ufrag) {
                    self.components.handle_gathered(component);
                }
            }
            IceEvent::CandidateError(error) => self.emit(IceConnectionEvent::CandidateError(error)),
            IceEvent::RoleChanged(role) => self.components.handle_role(component, role),
            IceEvent::SelectedPair(pair) => {
                self.show(|shown| {
                    shown.selected_pairs.retain(|(of, _)| *of != component);
                    shown.selected_pairs.extend(pair.clone().map(|pair| (component, pair)));
                    shown.was_connected |= pair.is_some();
                });
                self.is_news = true;
                self.emit(IceConnectionEvent::SelectedPairChanged { component, pair });
            }
            IceEvent::StateChanged(state) => self.components.handle_state(component, state),
            // What statistics show.
            IceEvent::RoundTripTime(_) => {}
            IceEvent::RestartNeeded(credentials) => self.agent_restarted(component, credentials),
        }
    }

    /// The agent of one component has lost what it knew: the others join its new credentials.
    fn agent_restarted(&mut self, component: u8, credentials: Credentials) {
        for agent in self.agents.iter().filter(|agent| agent.component != component) {
            agent.address.do_send(RestartIce(credentials.clone()));
        }
        self.begin_generation(credentials.clone());
        self.emit(IceConnectionEvent::RestartNeeded(credentials));
    }

    fn is_current(&self, ufrag: &str) -> bool {
        self.shown.borrow().local_credentials.ufrag == ufrag
    }

    /// New credentials: everything of the old ones is to be signalled anew.
    fn begin_generation(&mut self, credentials: Credentials) {
        self.components.restart();
        self.show(|shown| {
            shown.local_credentials = credentials;
            shown.local_candidates.clear();
            shown.remote_candidates.clear();
            shown.remote_credentials = None;
            shown.gathering_state = RtcIceGatheringState::Gathering;
        });
    }

    fn lose(&mut self, component: u8, reason: String) {
        self.components.handle_state(component, State::Failed);
        self.show(|shown| shown.selected_pairs.retain(|(of, _)| *of != component));
        self.is_news = true;
        // Nobody waits for candidates that will not come.
        self.components.handle_gathered(component);
        self.emit(IceConnectionEvent::Failure(reason));
    }
}

impl Metered for IceConnectionActor {
    const KIND: ActorKind = ActorKind::IceConnection;
}

impl Actor for IceConnectionActor {
    type Context = MeteredContext<Self>;
}

impl Drop for IceConnectionActor {
    /// Whatever has ended it: handles may hold the agents, and would never be told.
    fn drop(&mut self) {
        for agent in self.agents.drain(..) {
            agent.address.do_send(CloseIce);
        }
        self.components.close();
        self.show(|shown| shown.selected_pairs.clear());
        self.settle();
    }
}

impl Supervised for IceConnectionActor {}

impl Handler<Reported> for IceConnectionActor {
    type Result = ();

    fn handle(&mut self, Reported(component, report): Reported, _: &mut Self::Context) {
        if !self.agents.iter().any(|agent| agent.component == component) {
            // Of a component that was removed.
            return;
        }
        match report {
            AgentReport::Ice(event) => self.observe(component, event),
            AgentReport::Down(DownReason::Stopped) => {}
            AgentReport::Down(reason) => {
                self.lose(component, format!("the agent of component {component} is lost: {reason:?}"));
            }
            AgentReport::SocketLost(address) => {
                self.tell(component, |agent| agent.do_send(CloseIce));
                self.lose(component, format!("the socket at {address} is lost"));
            }
        }
        self.settle();
    }
}

/// Starts an agent that nobody owns but the application: its events go to a lane.
pub fn start_single(
    settings: &IceSettings,
    place: TransportPlace,
) -> (IceAgentHandle, LaneReceiver<IceEvent>) {
    let mut random = StdRng::from_os_rng();
    let credentials = settings.credentials.clone();
    let credentials = credentials.unwrap_or_else(|| Credentials::generate(&mut random));
    let (events, event_receiver) = lane(LaneKind::Events, MAX_EVENTS, None);
    let place = Rc::new(place);
    let kept = Rc::clone(&place);
    let report = Rc::new(move |report| {
        // The sockets live as long as the agent, which holds this.
        let _ = &kept;
        match report {
            AgentReport::Ice(event) => {
                events.push(kit::now(), event);
            }
            AgentReport::Down(_) | AgentReport::SocketLost(_) => {
                events.push(kit::now(), IceEvent::StateChanged(State::Failed));
            }
        }
    });
    let handle = start_agent(AgentConfig::new(settings.role, credentials), settings, &place, report);
    (handle, event_receiver)
}

fn start_agent(
    mut config: AgentConfig,
    settings: &IceSettings,
    place: &TransportPlace,
    report: Rc<dyn Fn(AgentReport)>,
) -> IceAgentHandle {
    config.lite = settings.lite;
    config.timings = settings.timings;
    let component = config.component;
    let (stun, stun_receiver) = control_lane(LaneKind::Stun);
    let (data, inbound) = lane(LaneKind::Data, DATAGRAMS_MAX, None);
    let (outbound, to_send) = mpsc::channel(DATAGRAMS_MAX);
    let counters = Arc::<DatagramCounters>::default();
    let (lost, events, down) = (Rc::downgrade(&report), Rc::clone(&report), Rc::downgrade(&report));
    let tell_lost = move |address| {
        if let Some(lost) = lost.upgrade() {
            lost(AgentReport::SocketLost(address));
        }
    };
    place.attachment.join(place.key, Rc::new(tell_lost));
    let environment = IceEnvironment {
        key: place.key,
        sockets: place.sockets.clone(),
        router: Rc::clone(&place.attachment.router),
        egress: Rc::clone(&place.egress),
        watch: Rc::clone(&place.watch),
        lanes: PeerLanes { stun, dtls: data.clone(), media: data, is_raw: true },
        network: place.network.clone(),
        servers: settings.servers.clone(),
        report: Rc::new(move |event| events(AgentReport::Ice(event))),
        route: None,
        datagrams: Some(DatagramPort { outbound: to_send, counters: Arc::clone(&counters) }),
    };
    let agent = IceAgent::new(config, stun_receiver, environment);
    let down = move |reason| {
        if let Some(down) = down.upgrade() {
            down(AgentReport::Down(reason));
        }
    };
    let address = kit::start(ICE_AGENT_POLICY, down, |_| agent);
    IceAgentHandle { component, address, outbound, inbound, counters }
}

#[cfg(feature = "fault-injection")]
crate::actors::fault_injection::impl_boom!(IceConnectionActor);
