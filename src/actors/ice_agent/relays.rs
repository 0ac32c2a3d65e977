//! Relays: which TURN server is tried at which address, and what becomes of the relayed addresses
//! (RFC 8656 sections 7.2 to 7.4, RFC 8489 section 10).

use std::{
    collections::VecDeque,
    io,
    net::{IpAddr, SocketAddr},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use actix::prelude::*;
use rand::{SeedableRng, rngs::StdRng};

use super::{IceAgent, gathering::Server};
use crate::{
    actors::{
        kit::{self, DownReason, MeteredContext},
        network::{NetworkConfig, Relay, Socket, host_addresses},
        turn_client::{Connection, TURN_CLIENT_POLICY, TurnClient, TurnEnvironment, connect},
    },
    messages::{
        ice::IceTransportPolicy,
        turn::{CloseRelay, RelayEvent, RelayReport},
    },
    proto::{
        Protocol,
        ice::{Candidate, ServerHost, ServerTransport, UNREACHABLE},
        turn::{Client, ClientConfig, Failure, Families},
    },
};

/// Most relays of an agent, the ones under way included.
const MAX_RELAYS: usize = 8;
/// How often a server may name another (RFC 8489 section 10 asks to notice circles).
const MAX_REDIRECTIONS: usize = 2;
/// How long one address of a server is tried while there is another.
const ADDRESS_PATIENCE: Duration = Duration::from_secs(2);
/// RFC 8656 section 7.4: the 5-tuple has an allocation that is not ours; another port has none.
const ALLOCATION_MISMATCH: u16 = 437;

/// How often a relay that a server has lost is made anew: one that loses all of them is no help.
const MAX_RENEWALS: usize = 3;

/// One server as a relay.
struct Attempt {
    /// A new one for each connection: reports of earlier ones are nobody's.
    id: u32,
    server: Server,
    /// The name that a certificate must be for.
    name: String,
    address: SocketAddr,
    others: VecDeque<SocketAddr>,
    gives_way_at: Option<Instant>,
    redirections: Vec<SocketAddr>,
    has_changed_port: bool,
    /// How often a relay of this server was made anew after its loss.
    renewals: usize,
    client: Option<(Addr<TurnClient>, Rc<Relay>)>,
    /// Set when it can be used.
    live: Option<Live>,
}

struct Live {
    relayed: Vec<SocketAddr>,
    mapped: SocketAddr,
    /// From before a restart: offered again when the server has said that it is still there.
    is_doubtful: bool,
}

impl Attempt {
    fn is_of(&self, server: &Server) -> bool {
        (&server.url, &server.username, &server.credential)
            == (&self.server.url, &self.server.username, &self.server.credential)
    }

    fn close(&self) {
        if let Some((client, _)) = &self.client {
            client.do_send(CloseRelay);
        }
    }
}

/// The relays of an agent.
#[derive(Default)]
pub(super) struct Relays {
    attempts: Vec<Attempt>,
    next_id: u32,
}

impl Relays {
    pub(super) fn is_busy(&self) -> bool {
        self.attempts.iter().any(|attempt| attempt.live.as_ref().is_none_or(|live| live.is_doubtful))
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.attempts.iter().filter_map(|attempt| attempt.gives_way_at).min()
    }

    fn position(&self, id: u32) -> Option<usize> {
        self.attempts.iter().position(|attempt| attempt.id == id)
    }

    fn fresh_id(&mut self) -> u32 {
        self.next_id = self.next_id.wrapping_add(1);
        self.next_id
    }
}

impl IceAgent {
    /// At the start of a round: relays that are still wanted are offered again (RFC 8445 section 9 allows it,
    /// as it does for sockets), what is under way is given up, what is not wanted any more closed.
    pub(super) fn keep_relays(&mut self, now: Instant) {
        let attempts = std::mem::take(&mut self.gatherer.relays.attempts);
        for mut attempt in attempts {
            let in_use = self.selected.map(|selected| selected.local);
            let is_selected = attempt
                .live
                .as_ref()
                .is_some_and(|live| live.relayed.iter().any(|relayed| Some(*relayed) == in_use));
            let is_wanted = self.gatherer.servers.iter().any(|server| attempt.is_of(server));
            if attempt.live.is_some() && is_wanted {
                // A restart follows when something is wrong: it may be the relay.
                if let (Some(live), Some((_, relay))) = (&mut attempt.live, &attempt.client) {
                    live.is_doubtful = true;
                    relay.verify(now);
                }
                self.gatherer.relays.attempts.push(attempt);
            } else if is_selected {
                // Media goes on over it until the new generation has a pair.
                self.gatherer.relays.attempts.push(attempt);
            } else {
                self.retire(now, &attempt);
            }
        }
    }

    fn retire(&mut self, now: Instant, attempt: &Attempt) {
        attempt.close();
        for relayed in attempt.live.iter().flat_map(|live| &live.relayed) {
            self.environment.sockets.remove_relayed(*relayed);
            self.agent.remove_local_base(now, Protocol::Udp, *relayed);
        }
    }

    /// Tries a server at these addresses, one after the other.
    pub(super) fn start_relay(
        &mut self,
        now: Instant,
        server: Server,
        addresses: Vec<SocketAddr>,
        ctx: &mut MeteredContext<Self>,
    ) {
        let is_kept = self
            .gatherer
            .relays
            .attempts
            .iter()
            .any(|attempt| attempt.live.is_some() && attempt.is_of(&server));
        let mut others = VecDeque::from(addresses);
        let Some(address) = others.pop_front().filter(|_| !is_kept) else { return };
        if self.gatherer.relays.attempts.len() >= MAX_RELAYS {
            return self.report_error(
                None,
                &server.text,
                UNREACHABLE,
                "there are too many relays".to_owned(),
            );
        }
        let name = match &server.url.host {
            ServerHost::Ip(ip) => ip.to_string(),
            ServerHost::Name(name) => name.clone(),
        };
        let attempt = Attempt {
            id: 0,
            server,
            name,
            address,
            others,
            gives_way_at: None,
            redirections: Vec::new(),
            has_changed_port: false,
            renewals: 0,
            client: None,
            live: None,
        };
        self.open(now, attempt, ctx);
    }

    /// Connects to the attempt's address, at the pace of all agents.
    fn open(&mut self, now: Instant, mut attempt: Attempt, ctx: &mut MeteredContext<Self>) {
        let id = self.gatherer.relays.fresh_id();
        attempt.id = id;
        attempt.client = None;
        attempt.gives_way_at = (!attempt.others.is_empty()).then(|| now + ADDRESS_PATIENCE);
        let (transport, address) = (attempt.server.url.transport, attempt.address);
        let (name, trust) = (attempt.name.clone(), self.environment.network.tls.clone());
        self.gatherer.relays.attempts.push(attempt);
        let (_, starts_at) = super::gathering::pacer().reserve(now);
        let connecting = async move {
            if starts_at > now {
                tokio::time::sleep_until(starts_at.into()).await;
            }
            connect(transport, address, &name, &trust).await
        };
        kit::aside(ctx, connecting, move |actor: &mut Self, result, ctx| actor.connected(id, result, ctx));
    }

    fn connected(&mut self, id: u32, result: io::Result<Connection>, ctx: &mut MeteredContext<Self>) {
        let now = kit::now();
        let Some(index) = self.gatherer.relays.position(id) else { return };
        let connection = match result {
            Ok(connection) => connection,
            Err(error) => return self.attempt_failed(now, id, Failure::Unreachable(error.to_string()), ctx),
        };
        let attempt = &mut self.gatherer.relays.attempts[index];
        let config = ClientConfig {
            username: attempt.server.username.clone(),
            password: attempt.server.credential.clone(),
            is_stream: attempt.server.url.transport != ServerTransport::Udp,
            families: families(&self.environment.network),
            ..ClientConfig::default()
        };
        let wire = connection.wire();
        let relay = Rc::new(Relay::new(Client::new(now, config, StdRng::from_os_rng()), wire));
        let agent = ctx.address().downgrade();
        let report: Rc<dyn Fn(RelayReport)> = Rc::new(move |report| {
            if let Some(agent) = agent.upgrade() {
                agent.do_send(report);
            }
        });
        let lost = Rc::clone(&report);
        let down = move |reason: DownReason| {
            if reason != DownReason::Stopped {
                let failure = Failure::Unreachable("its actor is lost".to_owned());
                lost(RelayReport { id, event: RelayEvent::Failed(failure) });
            }
        };
        let environment =
            TurnEnvironment { relay: Rc::clone(&relay), lanes: self.environment.lanes.clone(), id, report };
        let client = kit::start(TURN_CLIENT_POLICY, down, |_| TurnClient::new(environment, connection));
        attempt.client = Some((client, relay));
    }

    fn allocated(
        &mut self,
        id: u32,
        relayed: Vec<SocketAddr>,
        mapped: SocketAddr,
        ctx: &mut MeteredContext<Self>,
    ) {
        let now = kit::now();
        let Some(index) = self.gatherer.relays.position(id) else { return };
        let Some((_, relay)) = self.gatherer.relays.attempts[index].client.clone() else { return };
        let mut usable = Vec::new();
        for address in relayed {
            // A server that names an address of this host would get what others send from there.
            if !self.is_own(address)
                && self.environment.sockets.add_relayed(Rc::new(Socket::relayed(address, Rc::clone(&relay))))
            {
                usable.push(address);
            }
        }
        if usable.is_empty() {
            return self.attempt_failed(now, id, Failure::Unusable, ctx);
        }
        let mut attempt = self.gatherer.relays.attempts.remove(index);
        attempt.gives_way_at = None;
        attempt.live = Some(Live { relayed: usable, mapped, is_doubtful: false });
        self.offer_relay(now, &attempt);
        self.gatherer.relays.attempts.push(attempt);
        self.end_when_done();
    }

    fn is_own(&self, address: SocketAddr) -> bool {
        let all = NetworkConfig { include_loopback: true, ..NetworkConfig::default() };
        let is_bound = self.environment.sockets.iter().any(|socket| {
            socket.local().port() == address.port() && socket.local().is_ipv4() == address.is_ipv4()
        });
        is_bound && host_addresses(&all).is_ok_and(|own| own.iter().any(|own| own.internal == address.ip()))
    }

    fn offer_relay(&mut self, now: Instant, attempt: &Attempt) {
        let Some(Live { relayed, mapped, .. }) = &attempt.live else { return };
        for (index, address) in relayed.iter().enumerate() {
            let preference = relay_preference(attempt.server.url.transport, index);
            let mut candidate = Candidate::relayed(*address, *mapped, preference);
            if self.environment.servers.policy == IceTransportPolicy::Relay {
                candidate = candidate.without_related_address();
            }
            self.offer(now, candidate.from_server(Arc::clone(&attempt.server.url)));
        }
    }

    /// What comes next when an address of a server gives no relay.
    fn attempt_failed(&mut self, now: Instant, id: u32, failure: Failure, ctx: &mut MeteredContext<Self>) {
        let Some(index) = self.gatherer.relays.position(id) else { return };
        let mut attempt = self.gatherer.relays.attempts.remove(index);
        attempt.close();
        match &failure {
            Failure::Alternate { server, domain } if self.may_follow(&attempt, *server) => {
                attempt.redirections.push(attempt.address);
                attempt.address = *server;
                if let Some(domain) = domain.as_deref().filter(|domain| is_name(domain)) {
                    attempt.name = domain.to_owned();
                }
                return self.open(now, attempt, ctx);
            }
            Failure::Refused { code: ALLOCATION_MISMATCH, .. } if !attempt.has_changed_port => {
                attempt.has_changed_port = true;
                return self.open(now, attempt, ctx);
            }
            Failure::Unreachable(_) | Failure::Timeout => {
                if let Some(next) = attempt.others.pop_front() {
                    attempt.address = next;
                    return self.open(now, attempt, ctx);
                }
            }
            _ => {}
        }
        let text = match &failure {
            Failure::Refused { reason, .. } => reason.clone(),
            other => other.to_string(),
        };
        self.report_error(None, &attempt.server.text, failure.code(), text);
        self.end_when_done();
    }

    /// A56: a server may send us to another server, not to whatever listens here or beside us.
    fn may_follow(&self, attempt: &Attempt, to: SocketAddr) -> bool {
        let is_circle = to == attempt.address || attempt.redirections.contains(&to);
        let is_served =
            if to.is_ipv4() { self.environment.network.ipv4 } else { self.environment.network.ipv6 };
        !is_circle
            && is_served
            && attempt.redirections.len() < MAX_REDIRECTIONS
            && may_redirect(attempt.address.ip(), to)
    }

    /// A live relay is gone, and with it its candidates. What is sent over a selected pair with it goes nowhere: the
    /// state says so, and a restart helps, for which there is a relay again, if the server gives one.
    fn relay_lost(&mut self, now: Instant, index: usize, failure: &Failure, ctx: &mut MeteredContext<Self>) {
        let mut attempt = self.gatherer.relays.attempts.remove(index);
        tracing::warn!(server = %attempt.server.url, %failure, "a relay is lost");
        self.retire(now, &attempt);
        if attempt.renewals < MAX_RENEWALS && self.gatherer.servers.iter().any(|server| attempt.is_of(server))
        {
            attempt.renewals += 1;
            attempt.live = None;
            self.open(now, attempt, ctx);
        }
    }

    /// A server says that a relay is still there.
    fn relay_confirmed(&mut self, now: Instant, index: usize) {
        let attempt = &mut self.gatherer.relays.attempts[index];
        if attempt.live.as_mut().is_some_and(|live| std::mem::take(&mut live.is_doubtful)) {
            let attempt = self.gatherer.relays.attempts.remove(index);
            self.offer_relay(now, &attempt);
            self.gatherer.relays.attempts.push(attempt);
            self.end_when_done();
        }
    }

    /// The path does not answer: perhaps because a server has lost a relay, which nothing else would tell.
    pub(super) fn verify_relays(&self, now: Instant) {
        for attempt in self.gatherer.relays.attempts.iter().filter(|attempt| attempt.live.is_some()) {
            if let Some((_, relay)) = &attempt.client {
                relay.verify(now);
            }
        }
    }

    /// Addresses that take too long give way to others.
    pub(super) fn advance_relays(&mut self, now: Instant, ctx: &mut MeteredContext<Self>) {
        let is_due = |attempt: &Attempt| attempt.gives_way_at.is_some_and(|at| at <= now);
        while let Some(attempt) = self.gatherer.relays.attempts.iter().find(|attempt| is_due(attempt)) {
            self.attempt_failed(now, attempt.id, Failure::Timeout, ctx);
        }
    }

    /// The time for gathering is over.
    pub(super) fn give_up_relays(&mut self) {
        let attempts = std::mem::take(&mut self.gatherer.relays.attempts);
        let (live, late): (Vec<_>, Vec<_>) = attempts.into_iter().partition(|attempt| attempt.live.is_some());
        self.gatherer.relays.attempts = live;
        // A server that can't say whether a relay is still there: it is kept for what goes over it, and not offered.
        for live in self.gatherer.relays.attempts.iter_mut().filter_map(|attempt| attempt.live.as_mut()) {
            live.is_doubtful = false;
        }
        for attempt in late {
            attempt.close();
            let text = "the TURN server does not answer".to_owned();
            self.report_error(None, &attempt.server.text, UNREACHABLE, text);
        }
    }

    /// The agent ends.
    pub(super) fn close_relays(&mut self) {
        for attempt in std::mem::take(&mut self.gatherer.relays.attempts) {
            attempt.close();
            for relayed in attempt.live.iter().flat_map(|live| &live.relayed) {
                self.environment.sockets.remove_relayed(*relayed);
            }
        }
    }
}

impl Handler<RelayReport> for IceAgent {
    type Result = ();

    fn handle(&mut self, message: RelayReport, ctx: &mut Self::Context) {
        let RelayReport { id, event } = message;
        let Some(index) = self.gatherer.relays.position(id) else { return };
        match event {
            RelayEvent::Allocated { relayed, mapped } => self.allocated(id, relayed, mapped, ctx),
            RelayEvent::Confirmed => self.relay_confirmed(kit::now(), index),
            RelayEvent::Failed(failure) if self.gatherer.relays.attempts[index].live.is_some() => {
                self.relay_lost(kit::now(), index, &failure, ctx);
            }
            RelayEvent::Failed(failure) => self.attempt_failed(kit::now(), id, failure, ctx),
        }
    }
}

fn families(network: &NetworkConfig) -> Families {
    match (network.ipv4, network.ipv6) {
        (true, true) => Families::Both,
        (false, true) => Families::Ipv6,
        _ => Families::Ipv4,
    }
}

/// Of the ways to a server UDP is the best, and TLS is a TCP with more to do.
fn relay_preference(transport: ServerTransport, index: usize) -> u16 {
    let class = match transport {
        ServerTransport::Udp => 3,
        ServerTransport::Tcp => 2,
        ServerTransport::Tls | ServerTransport::Dtls => 1,
    };
    (class << 14) - 1 - u16::try_from(index).unwrap_or_default()
}

/// Whether a server at `from` may send us to `to`: to the outside always, into a private network or to this
/// host only from there.
fn may_redirect(from: IpAddr, to: SocketAddr) -> bool {
    let ip = to.ip().to_canonical();
    let is_usable = to.port() != 0
        && !ip.is_unspecified()
        && !ip.is_multicast()
        && !matches!(ip, IpAddr::V4(ip) if ip.is_broadcast() || ip.is_link_local());
    is_usable && reach(ip) <= reach(from.to_canonical())
}

/// How far inside an address is.
fn reach(ip: IpAddr) -> u8 {
    match ip {
        _ if ip.is_loopback() => 2,
        IpAddr::V4(ip) if ip.is_private() => 1,
        IpAddr::V6(ip) if ip.is_unique_local() || ip.is_unicast_link_local() => 1,
        _ => 0,
    }
}

/// RFC 8489 section 14.16: a domain name, nothing else.
fn is_name(domain: &str) -> bool {
    !domain.is_empty()
        && domain.len() <= 255
        && domain.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a56_a_server_can_not_send_us_further_inside_than_it_is() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        for (from, to, may) in [
            ("198.51.100.1", "203.0.113.1:3478", true),
            ("198.51.100.1", "127.0.0.1:3478", false),
            ("198.51.100.1", "10.0.0.1:3478", false),
            ("198.51.100.1", "[::ffff:127.0.0.1]:3478", false),
            ("198.51.100.1", "[::1]:3478", false),
            ("198.51.100.1", "[fd00::1]:3478", false),
            ("198.51.100.1", "169.254.169.254:80", false),
            ("198.51.100.1", "0.0.0.0:3478", false),
            ("198.51.100.1", "224.0.0.1:3478", false),
            ("198.51.100.1", "203.0.113.1:0", false),
            ("10.0.0.1", "10.0.0.2:3478", true),
            ("10.0.0.1", "127.0.0.1:3478", false),
            ("10.0.0.1", "203.0.113.1:3478", true),
            ("127.0.0.1", "127.0.0.1:3479", true),
        ] {
            assert_eq!(may_redirect(ip(from), to.parse().unwrap()), may, "{from} {to}");
        }
    }

    #[test]
    fn names_of_servers_are_names() {
        assert!(is_name("turn.example.org"));
        for text in ["", "a b", "a\r\nb", "http://x", &"a".repeat(256)] {
            assert!(!is_name(text), "{text:?}");
        }
    }

    #[test]
    fn the_way_to_the_server_ranks_relays() {
        let of = |transport| relay_preference(transport, 0);
        assert!(of(ServerTransport::Udp) > of(ServerTransport::Tcp));
        assert!(of(ServerTransport::Tcp) > of(ServerTransport::Tls));
        assert_ne!(relay_preference(ServerTransport::Udp, 0), relay_preference(ServerTransport::Udp, 1));
    }
}
