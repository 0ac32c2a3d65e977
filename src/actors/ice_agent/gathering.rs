//! Gathering: host addresses at once, STUN and TURN servers as they answer (RFC 8445 section 5.1.1).
//!
//! Nothing here waits: names are looked up and connections made by futures beside the actor, candidates are
//! told as they are found, and [`GATHERING_LIMIT`] ends whatever has not answered. What the relays do is in
//! [`super::relays`].

use std::{
    collections::HashSet,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, LazyLock},
    time::Instant,
};

use super::{IceAgent, relays::Relays};
use crate::{
    actors::{
        kit::{self, MeteredContext},
        network::local_preference,
    },
    messages::ice::{CandidateError, IceEvent, IceServer, IceTransportPolicy},
    proto::{
        Protocol,
        ice::{
            Candidate, CandidateKind, GATHERING_LIMIT, Gathering, GatheringEvent, Pacer, ServerHost,
            ServerKind, ServerTransport, ServerUrl, UNREACHABLE,
        },
    },
};

/// URLs beyond these are not asked: the API refuses more.
const MAX_SERVERS: usize = 64;

/// The pace of all agents of the process (RFC 8445 section 14.2).
static PACER: LazyLock<Arc<Pacer>> = LazyLock::new(Arc::default);

/// The pace of all agents of the process.
pub(super) fn pacer() -> Arc<Pacer> {
    Arc::clone(&PACER)
}

/// A server of the configuration, read.
#[derive(Debug, Clone)]
pub(super) struct Server {
    pub(super) url: Arc<ServerUrl>,
    pub(super) username: String,
    pub(super) credential: String,
    /// The URL as the application wrote it: that is what events name.
    pub(super) text: String,
}

/// What is under way.
pub(super) struct Gatherer {
    pub(super) probes: Gathering,
    pub(super) relays: Relays,
    pub(super) servers: Vec<Server>,
    /// Servers whose names are being looked up.
    lookups: HashSet<usize>,
    /// Results of an earlier round are nobody's any more.
    round: u32,
    ends_at: Option<Instant>,
    /// Local sockets to ask STUN servers from.
    pub(super) bases: Vec<SocketAddr>,
    /// Candidates that were told in this round; no more than the agent takes.
    told: Vec<Told>,
}

/// Transport, address, and the base of what is translated.
type Told = (Protocol, SocketAddr, Option<SocketAddr>);

impl Gatherer {
    pub(super) fn new() -> Self {
        Self {
            probes: Gathering::new(Some(pacer()), rand::rng()),
            relays: Relays::default(),
            servers: Vec::new(),
            lookups: HashSet::new(),
            round: 0,
            ends_at: None,
            bases: Vec::new(),
            told: Vec::new(),
        }
    }

    fn is_busy(&self) -> bool {
        !self.lookups.is_empty() || !self.probes.is_done() || self.relays.is_busy()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        [self.probes.poll_timeout(), self.ends_at, self.relays.deadline()].into_iter().flatten().min()
    }

    /// False if that was told in this round.
    fn note_told(&mut self, candidate: Told) -> bool {
        let is_news = !self.told.contains(&candidate);
        if is_news {
            self.told.push(candidate);
        }
        is_news
    }
}

impl IceAgent {
    /// Starts a round. One that is under way is over without an end of its own.
    pub(super) fn gather(&mut self, now: Instant, ctx: &mut MeteredContext<Self>) {
        self.gathered = true;
        let gatherer = &mut self.gatherer;
        gatherer.round = gatherer.round.wrapping_add(1);
        gatherer.lookups.clear();
        gatherer.probes.stop();
        gatherer.told.clear();
        gatherer.bases.clear();
        gatherer.ends_at = Some(now + GATHERING_LIMIT);
        match self.environment.servers.policy {
            IceTransportPolicy::All => self.gather_hosts(now),
            IceTransportPolicy::Relay => self.forget_direct_candidates(now, |_| true),
        }
        self.gatherer.servers = if self.agent.is_lite() { Vec::new() } else { self.read_servers() };
        self.keep_relays(now);
        for index in 0..self.gatherer.servers.len() {
            self.look_up(now, index, ctx);
        }
        self.end_when_done();
    }

    /// Adds a candidate and tells it, unless it is redundant (RFC 8445 section 5.1.3) or was told already.
    pub(super) fn offer(&mut self, now: Instant, candidate: Candidate) {
        let kind = candidate.kind;
        // A candidate that the agent refuses (one too many) is not signalled.
        let Ok(stored) = self.agent.add_local_candidate(now, candidate) else { return };
        let (Some(address), base) = (stored.address.ip(), stored.base()) else { return };
        // A translated address may lead to several of ours, and is one to the peer.
        let base = base.filter(|_| kind != CandidateKind::Host);
        if stored.kind == kind
            && self.gatherer.note_told((stored.protocol, address, base))
            && let Some(told) = self.as_told(stored)
        {
            self.report(IceEvent::LocalCandidate(told));
        }
    }

    fn read_servers(&self) -> Vec<Server> {
        let mut servers = Vec::new();
        for server in self.environment.servers.servers.iter().take(MAX_SERVERS) {
            match read(server) {
                Ok(server) => servers.push(server),
                Err(text) => self.report_error(None, &server.url, UNREACHABLE, text),
            }
        }
        servers
    }

    pub(super) fn report_error(&self, address: Option<SocketAddr>, url: &str, code: u16, text: String) {
        // The peer may be shown what the application is told: with relays only, or where they are hidden, no address
        // of this host.
        let environment = &self.environment;
        let is_shown =
            environment.servers.policy == IceTransportPolicy::All && !environment.network.hide_host_addresses;
        let address = address.filter(|_| is_shown);
        self.report(IceEvent::CandidateError(CandidateError { address, url: url.to_owned(), code, text }));
    }

    fn look_up(&mut self, now: Instant, index: usize, ctx: &mut MeteredContext<Self>) {
        let Some(Server { url, .. }) = self.gatherer.servers.get(index) else { return };
        let port = url.port;
        let name = match &url.host {
            ServerHost::Ip(ip) => return self.found(now, index, vec![SocketAddr::new(*ip, port)], ctx),
            ServerHost::Name(name) => name.clone(),
        };
        self.gatherer.lookups.insert(index);
        let round = self.gatherer.round;
        // The system's resolver runs on a thread of its own.
        let lookup = async move {
            let found = tokio::net::lookup_host((name, port)).await?;
            io::Result::Ok(found.collect::<Vec<_>>())
        };
        kit::aside(ctx, lookup, move |actor: &mut Self, result: io::Result<Vec<SocketAddr>>, ctx| {
            if actor.gatherer.round != round || !actor.gatherer.lookups.remove(&index) {
                return;
            }
            match result {
                Ok(addresses) => actor.found(kit::now(), index, addresses, ctx),
                Err(error) => {
                    actor.server_failed(index, format!("the server's name can't be looked up: {error}"))
                }
            }
            actor.end_when_done();
        });
    }

    fn server_failed(&self, index: usize, text: String) {
        if let Some(server) = self.gatherer.servers.get(index) {
            self.report_error(None, &server.text, UNREACHABLE, text);
        }
    }

    /// A server's addresses are known: one of each family is used, in the order of the resolver (RFC 6724).
    fn found(
        &mut self,
        now: Instant,
        index: usize,
        mut addresses: Vec<SocketAddr>,
        ctx: &mut MeteredContext<Self>,
    ) {
        let network = &self.environment.network;
        let mut families = HashSet::new();
        addresses.retain(|address| {
            let is_wanted = if address.is_ipv4() { network.ipv4 } else { network.ipv6 };
            is_wanted && families.insert(address.is_ipv4())
        });
        if addresses.is_empty() {
            return self.server_failed(index, "the server has no address of a family in use".to_owned());
        }
        let Some(server) = self.gatherer.servers.get(index).cloned() else { return };
        match (server.url.kind, server.url.transport) {
            (_, ServerTransport::Dtls) => {
                self.server_failed(index, "servers over DTLS are not supported".to_owned());
            }
            (ServerKind::Stun, ServerTransport::Udp) => self.ask(now, index, &addresses),
            // What such a server sees is a TCP port, of no use for UDP.
            (ServerKind::Stun, _) => {
                self.server_failed(index, "a STUN server over TLS tells no UDP address".to_owned());
            }
            (ServerKind::Turn, transport) => {
                if transport == ServerTransport::Udp {
                    // TURN servers are STUN servers too; that they answer is not required of them.
                    self.ask(now, index, &addresses);
                }
                self.start_relay(now, server, addresses, ctx);
            }
        }
    }

    fn ask(&mut self, now: Instant, index: usize, addresses: &[SocketAddr]) {
        let Gatherer { probes, bases, .. } = &mut self.gatherer;
        for address in addresses {
            for base in bases.iter().filter(|base| can_reach(base.ip(), address.ip())) {
                probes.ask(now, *base, *address, index);
            }
        }
    }

    /// Hands on what the STUN requests want sent and told.
    pub(super) fn flush_probes(&mut self, now: Instant) {
        let mut has_started = false;
        while let Some(transmit) = self.gatherer.probes.poll_transmit() {
            has_started = true;
            self.send(&transmit);
        }
        let mut has_ended = false;
        while let Some(event) = self.gatherer.probes.poll_event() {
            has_ended = true;
            self.probed(now, event);
        }
        if has_started || has_ended {
            let key = self.environment.key;
            self.environment.router.borrow_mut().expect_answers(key, self.gatherer.probes.transaction_ids());
        }
        if has_ended {
            self.end_when_done();
        }
    }

    fn probed(&mut self, now: Instant, event: GatheringEvent) {
        match event {
            GatheringEvent::Reflexive { base, mapped, server } => {
                let Some(server) = self.gatherer.servers.get(server) else { return };
                let index = self.gatherer.bases.iter().position(|known| *known == base).unwrap_or_default();
                let candidate = Candidate::server_reflexive(mapped, base, local_preference(index));
                self.offer(now, candidate.from_server(Arc::clone(&server.url)));
            }
            GatheringEvent::Failed { base, server, code, reason } => {
                let Some(server) = self.gatherer.servers.get(server) else { return };
                if server.url.kind == ServerKind::Stun {
                    self.report_error(Some(base), &server.text, code, reason);
                }
            }
        }
    }

    /// What is due.
    pub(super) fn advance_gathering(&mut self, now: Instant, ctx: &mut MeteredContext<Self>) {
        self.gatherer.probes.handle_timeout(now);
        self.advance_relays(now, ctx);
        if self.gatherer.ends_at.is_some_and(|at| at <= now) {
            self.gatherer.probes.give_up();
            self.flush_probes(now);
            for index in std::mem::take(&mut self.gatherer.lookups) {
                self.server_failed(index, "looking up the server's name takes too long".to_owned());
            }
            self.give_up_relays();
            self.end_when_done();
        }
    }

    /// Tells the end of the round, once.
    pub(super) fn end_when_done(&mut self) {
        if self.gatherer.ends_at.is_none() || self.gatherer.is_busy() {
            return;
        }
        self.gatherer.ends_at = None;
        if self.agent.selected_pair().is_some() {
            self.gatherer.probes.release_mappings();
        }
        self.agent.end_of_local_candidates();
        let ufrag = self.agent.local_credentials().ufrag.clone();
        self.report(IceEvent::GatheringComplete { ufrag });
    }
}

fn read(server: &IceServer) -> Result<Server, String> {
    let url: ServerUrl = server.url.parse().map_err(|error| format!("{error}"))?;
    Ok(Server {
        url: Arc::new(url),
        username: server.username.clone().unwrap_or_default(),
        credential: server.credential.clone().unwrap_or_default(),
        text: server.url.clone(),
    })
}

/// Whether it is worth asking: same family, and no request to the outside from a loopback address.
fn can_reach(base: IpAddr, server: IpAddr) -> bool {
    base.is_ipv4() == server.is_ipv4() && base.is_loopback() == server.is_loopback()
}
