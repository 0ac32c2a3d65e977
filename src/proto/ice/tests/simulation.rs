//! A seeded network in virtual time: loss, duplication, delay (and so reordering), address translation,
//! and broken paths.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::super::*;
use crate::proto::Transmit;

/// How the network treats datagrams.
#[derive(Debug, Clone)]
pub(super) struct Weather {
    pub(super) loss: f64,
    pub(super) duplication: f64,
    pub(super) delay_ms: std::ops::Range<u64>,
}

impl Weather {
    pub(super) fn fair() -> Self {
        Self { loss: 0.0, duplication: 0.0, delay_ms: 10..11 }
    }

    pub(super) fn foul() -> Self {
        Self { loss: 0.2, duplication: 0.1, delay_ms: 5..150 }
    }
}

/// One side and what it has told its owner.
pub(super) struct Side {
    pub(super) agent: Agent,
    pub(super) events: Vec<(Instant, Event)>,
    pub(super) sent: usize,
}

/// Two agents and what is between them.
pub(super) struct World {
    pub(super) start: Instant,
    pub(super) now: Instant,
    pub(super) sides: [Side; 2],
    pub(super) weather: Weather,
    /// Address translation: base to public address. Everybody may send to a public address.
    pub(super) nat: HashMap<SocketAddr, SocketAddr>,
    /// Directed paths (address to address) that swallow everything.
    pub(super) broken: HashSet<(IpAddr, IpAddr)>,
    /// Nothing arrives anywhere.
    pub(super) dark: bool,
    /// Datagrams to the second side vanish.
    pub(super) one_way: bool,
    /// A copy of what was delivered, newest last, bounded.
    pub(super) delivered: Vec<Transmit>,
    flying: BTreeMap<(Instant, u64), Transmit>,
    serial: u64,
    random: StdRng,
}

pub(super) const A: usize = 0;
pub(super) const B: usize = 1;

/// Seed of the credentials and choices of one side.
fn side_random(seed: u64, side: usize) -> StdRng {
    StdRng::seed_from_u64(seed.wrapping_mul(2).wrapping_add(side as u64))
}

pub(super) fn config(role: Role, seed: u64, side: usize) -> AgentConfig {
    AgentConfig::new(role, Credentials::generate(&mut StdRng::seed_from_u64(1_000 + seed * 2 + side as u64)))
}

impl World {
    /// A controlling full agent and a controlled one.
    pub(super) fn new(seed: u64) -> Self {
        Self::with(seed, config(Role::Controlling, seed, A), config(Role::Controlled, seed, B))
    }

    pub(super) fn with(seed: u64, a: AgentConfig, b: AgentConfig) -> Self {
        let now = Instant::now();
        let side = |config, index| Side {
            agent: Agent::new(now, config, side_random(seed, index)),
            events: Vec::new(),
            sent: 0,
        };
        Self {
            start: now,
            now,
            sides: [side(a, A), side(b, B)],
            weather: Weather::fair(),
            nat: HashMap::new(),
            broken: HashSet::new(),
            dark: false,
            one_way: false,
            delivered: Vec::new(),
            flying: BTreeMap::new(),
            serial: 0,
            random: StdRng::seed_from_u64(seed ^ 0x5EED),
        }
    }

    pub(super) fn agent(&mut self, side: usize) -> &mut Agent {
        &mut self.sides[side].agent
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.now - self.start
    }

    /// Gives a side a host candidate.
    pub(super) fn host(&mut self, side: usize, address: &str, preference: u16) -> Candidate {
        let (now, candidate) = (self.now, Candidate::host(address.parse().unwrap(), preference));
        self.agent(side).add_local_candidate(now, candidate).unwrap().as_ref().clone()
    }

    /// Tells `to` the credentials of the other side.
    pub(super) fn signal_credentials(&mut self, to: usize) {
        let credentials = self.agent(1 - to).local_credentials().clone();
        let now = self.now;
        self.agent(to).set_remote_credentials(now, credentials).unwrap();
    }

    /// Tells `to` one candidate, as text.
    pub(super) fn signal_candidate(&mut self, to: usize, candidate: &Candidate) -> Result<(), IceError> {
        let now = self.now;
        self.agent(to).add_remote_candidate(now, candidate.to_string().parse().unwrap())
    }

    /// Tells `to` all candidates of the other side that signalling would carry.
    pub(super) fn signal_candidates(&mut self, to: usize) {
        for candidate in self.agent(1 - to).local_candidates().to_vec() {
            if candidate.kind != CandidateKind::PeerReflexive {
                let _ = self.signal_candidate(to, &candidate);
            }
        }
    }

    pub(super) fn signal_end(&mut self, to: usize) {
        let now = self.now;
        self.agent(1 - to).end_of_local_candidates();
        self.agent(to).end_of_remote_candidates(now);
    }

    /// Offer and answer, complete and at once.
    pub(super) fn signal_all(&mut self) {
        for to in [B, A] {
            self.signal_credentials(to);
            self.signal_candidates(to);
        }
        self.signal_end(A);
        self.signal_end(B);
    }

    /// Two hosts in one network, everything signalled.
    pub(super) fn two_hosts(seed: u64) -> Self {
        let mut world = Self::new(seed);
        world.host(A, "192.0.2.1:5000", 65_535);
        world.host(B, "192.0.2.2:6000", 65_535);
        world.signal_all();
        world
    }

    /// Takes out what the agents want sent and told.
    pub(super) fn drain(&mut self) {
        for index in [A, B] {
            while let Some(event) = self.sides[index].agent.poll_event() {
                self.sides[index].events.push((self.now, event));
            }
            while let Some(transmit) = self.sides[index].agent.poll_transmit() {
                self.sides[index].sent += 1;
                self.launch(transmit);
            }
        }
    }

    pub(super) fn launch(&mut self, transmit: Transmit) {
        let copies = 1 + usize::from(self.random.random_bool(self.weather.duplication));
        for _ in 0..copies {
            let is_lost = self.random.random_bool(self.weather.loss);
            let delay = self.random.random_range(self.weather.delay_ms.clone());
            let is_broken = self.broken.contains(&(transmit.local.ip(), transmit.remote.ip()));
            if !is_lost && !is_broken && !self.dark {
                self.serial += 1;
                let at = self.now + Duration::from_millis(delay);
                self.flying.insert((at, self.serial), transmit.clone());
            }
        }
    }

    /// Hands a datagram to whoever owns its destination.
    fn deliver(&mut self, transmit: Transmit) {
        let source = self.nat.get(&transmit.local).copied().unwrap_or(transmit.local);
        let behind = self.nat.iter().find(|(_, public)| **public == transmit.remote).map(|(base, _)| *base);
        let target = match behind {
            Some(base) => base,
            // A private address is not reachable from outside.
            None if self.nat.contains_key(&transmit.remote) => return,
            None => transmit.remote,
        };
        for index in [A, B] {
            let owns = self.sides[index].agent.local_candidates().iter().any(|c| c.base() == Some(target));
            if owns && !(index == B && self.one_way) {
                let (now, protocol) = (self.now, transmit.protocol);
                let agent = self.agent(index);
                let _ = agent.handle_packet_over(now, protocol, target, source, &transmit.payload);
            }
        }
        if self.delivered.len() < 10_000 {
            self.delivered.push(Transmit {
                protocol: transmit.protocol,
                local: source,
                remote: target,
                payload: transmit.payload,
            });
        }
    }

    pub(super) fn inject(
        &mut self,
        side: usize,
        local: SocketAddr,
        remote: SocketAddr,
        payload: &[u8],
    ) -> Result<(), Rejected> {
        let now = self.now;
        self.agent(side).handle_packet(now, local, remote, payload)
    }

    /// Does the next thing that happens before `limit`. Returns whether there was one.
    fn step(&mut self, limit: Instant) -> bool {
        self.drain();
        let arrival = self.flying.keys().next().map(|(at, _)| *at);
        let timers = [A, B].into_iter().filter_map(|index| self.sides[index].agent.poll_timeout());
        let next = timers.chain(arrival).min();
        match next {
            Some(at) if at <= limit => self.now = self.now.max(at),
            _ => {
                self.now = limit;
                return false;
            }
        }
        if arrival.is_some_and(|at| at <= self.now) {
            let (_, transmit) = self.flying.pop_first().unwrap();
            self.deliver(transmit);
        } else {
            for index in [A, B] {
                let now = self.now;
                if self.agent(index).poll_timeout().is_some_and(|at| at <= now) {
                    self.agent(index).handle_timeout(now);
                }
            }
        }
        self.drain();
        true
    }

    /// Runs for a while. An agent that asks for the same instant again and again is a bug.
    pub(super) fn run_for(&mut self, duration: Duration) {
        self.run_until(duration, |_| false);
    }

    /// Runs until something holds; returns whether it came to hold within `limit`.
    pub(super) fn run_until(&mut self, limit: Duration, holds: impl Fn(&Self) -> bool) -> bool {
        let end = self.now + limit;
        let (mut instant, mut steps) = (self.now, 0);
        self.drain();
        while !holds(self) {
            if !self.step(end) {
                return holds(self);
            }
            steps = if self.now == instant { steps + 1 } else { 0 };
            instant = self.now;
            assert!(steps < 5_000, "the agents spin at {:?}: {:?}", self.elapsed(), self.sides[A].agent);
        }
        true
    }

    pub(super) fn connect(&mut self, limit: Duration) {
        let connected = self
            .run_until(limit, |world| world.sides.iter().all(|side| side.agent.selected_pair().is_some()));
        assert!(connected, "not connected after {:?}: {:?}", self.elapsed(), self.states());
    }

    pub(super) fn states(&self) -> [State; 2] {
        [self.sides[A].agent.state(), self.sides[B].agent.state()]
    }

    /// Both sides use the same path, seen from either end.
    pub(super) fn assert_agreed(&self) {
        let [a, b] = [A, B].map(|index| self.sides[index].agent.selected_pair().expect("a pair is selected"));
        let public = |address: SocketAddr| self.nat.get(&address).copied().unwrap_or(address);
        assert_eq!((public(a.local), a.remote), (b.remote, public(b.local)));
    }

    pub(super) fn states_seen(&self, side: usize) -> Vec<State> {
        let events = self.sides[side].events.iter();
        events
            .filter_map(|(_, event)| match event {
                Event::StateChanged(state) => Some(*state),
                _ => None,
            })
            .collect()
    }

    /// When the last event that satisfies `matches` came, since the start.
    pub(super) fn time_of(&self, side: usize, matches: impl Fn(&Event) -> bool) -> Option<Duration> {
        let events = self.sides[side].events.iter().rev();
        events.filter(|(_, event)| matches(event)).map(|(at, _)| *at - self.start).next()
    }
}

/// Everything an agent wants sent.
pub(super) fn transmits(agent: &mut Agent) -> Vec<Transmit> {
    std::iter::from_fn(|| agent.poll_transmit()).collect()
}

/// The payloads only.
pub(super) fn payloads(agent: &mut Agent) -> Vec<Bytes> {
    transmits(agent).into_iter().map(|transmit| transmit.payload).collect()
}
