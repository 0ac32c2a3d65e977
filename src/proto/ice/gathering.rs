//! Server-reflexive addresses: asking STUN servers (RFC 8445 section 5.1.1.2, RFC 8489 section 6).
//!
//! One Binding request per local socket and server, started one after the other, repeated by the timers of
//! RFC 8489, given up together after [`GATHERING_LIMIT`]. Mappings that were found are kept alive by
//! indications until somebody says that they are no longer needed (RFC 8445 section 11).
//!
//! Invariant: an answer counts only if it has the id of a request, came from where that went, and came to
//! where that left. A STUN server proves nothing else; what it says is only ever offered to the peer.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::RngCore;

use crate::proto::random::Random;

use super::address;
use super::pacer::{Pacer, Turn};
use crate::proto::stun::{AttributeType, Class, Message, MessageBuilder, Method, TransactionId};
use crate::proto::{Protocol, Transmit};

/// How long gathering may take, all in all: then whoever has not answered is left out.
pub const GATHERING_LIMIT: Duration = Duration::from_secs(5);

/// Most requests: sixteen addresses with four servers.
const MAX_PROBES: usize = 64;

/// Time between the starts of two requests of one agent (RFC 8445 section 14.2 allows down to 5 ms).
const START_INTERVAL: Duration = Duration::from_millis(20);

/// RTO (RFC 8489 section 6.2.1); doubles each time.
const FIRST_INTERVAL: Duration = Duration::from_millis(500);

/// Tr (RFC 8445 section 11).
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// The code for a server that can't be reached (W3C webrtc-pc section 4.8.1.2).
pub const UNREACHABLE: u16 = 701;

/// The longest reason that is handed on.
const MAX_REASON_LENGTH: usize = 128;

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GatheringEvent {
    /// The server told an address.
    Reflexive {
        /// The socket the request left from.
        base: SocketAddr,
        /// Where it came from, seen from the server.
        mapped: SocketAddr,
        /// What [`Gathering::ask`] was given.
        server: usize,
    },
    /// The server told none.
    Failed {
        /// The socket the request left from.
        base: SocketAddr,
        /// What [`Gathering::ask`] was given.
        server: usize,
        /// The server's error code, or [`UNREACHABLE`].
        code: u16,
        /// What the server said.
        reason: String,
    },
}

#[derive(Debug)]
struct Probe {
    id: TransactionId,
    base: SocketAddr,
    to: SocketAddr,
    server: usize,
    /// `None`: not started.
    due: Option<Instant>,
    sends: u32,
}

#[derive(Debug)]
struct Mapping {
    base: SocketAddr,
    to: SocketAddr,
    due: Instant,
}

/// The requests of one agent.
///
/// After every call that takes `now`, drain [`Gathering::poll_transmit`] and [`Gathering::poll_event`], then
/// arm one timer for [`Gathering::poll_timeout`] and call [`Gathering::handle_timeout`] when it is due.
#[derive(Debug)]
pub struct Gathering {
    pacer: Option<Arc<Pacer>>,
    turn: Turn,
    random: Random,
    probes: Vec<Probe>,
    mappings: Vec<Mapping>,
    next_start: Option<Instant>,
    ends_at: Option<Instant>,
    transmits: VecDeque<Transmit>,
    events: VecDeque<GatheringEvent>,
}

impl Gathering {
    /// Nobody is asked yet. `random` must be seeded from the operating system outside tests.
    pub fn new(pacer: Option<Arc<Pacer>>, random: impl RngCore + 'static) -> Self {
        Self {
            pacer,
            turn: Turn::default(),
            random: Random::new(random),
            probes: Vec::new(),
            mappings: Vec::new(),
            next_start: None,
            ends_at: None,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// Asks `to` from the socket `base`; `server` comes back in the event. What is too much is not asked.
    pub fn ask(&mut self, now: Instant, base: SocketAddr, to: SocketAddr, server: usize) {
        let (base, to) = (address::canonical(base), address::canonical(to));
        let is_known = self.probes.iter().any(|probe| probe.base == base && probe.to == to);
        if is_known || base.is_ipv4() != to.is_ipv4() || self.probes.len() >= MAX_PROBES {
            return;
        }
        if self.probes.is_empty() {
            self.ends_at = Some(now + GATHERING_LIMIT);
            self.next_start = Some(now);
        }
        let id = TransactionId::random(&mut self.random);
        self.probes.push(Probe { id, base, to, server, due: None, sends: 0 });
        self.next_start = self.next_start.or(Some(now));
    }

    /// Whether all have answered or been given up.
    pub fn is_done(&self) -> bool {
        self.probes.is_empty()
    }

    /// Gives up what is under way and keeps nothing alive any more.
    pub fn stop(&mut self) {
        self.probes = Vec::new();
        self.release_mappings();
        self.next_start = None;
        self.ends_at = None;
    }

    /// The mappings are no longer needed: a pair was selected, or there will be none.
    pub fn release_mappings(&mut self) {
        self.mappings = Vec::new();
    }

    /// The ids of requests under way: their answers are for [`Gathering::handle_packet`].
    pub fn transaction_ids(&self) -> impl Iterator<Item = TransactionId> + '_ {
        self.probes.iter().filter(|probe| probe.due.is_some()).map(|probe| probe.id)
    }

    /// Takes a datagram if it answers a request, and says whether it did.
    pub fn handle_packet(
        &mut self,
        now: Instant,
        local: SocketAddr,
        remote: SocketAddr,
        bytes: &[u8],
    ) -> bool {
        if self.probes.is_empty() {
            return false;
        }
        let Ok(message) = Message::parse(bytes) else { return false };
        if !matches!(message.class(), Class::SuccessResponse | Class::ErrorResponse) {
            return false;
        }
        let (local, remote) = (address::canonical(local), address::canonical(remote));
        let id = message.transaction_id();
        let found = self.probes.iter().position(|probe| {
            probe.id == id
                && probe.due.is_some()
                && address::same(probe.base, local)
                && address::same(probe.to, remote)
        });
        let Some(index) = found.filter(|_| message.method() == Method::BINDING) else { return false };
        let probe = self.probes.swap_remove(index);
        let event = outcome(&probe, &message);
        if matches!(event, GatheringEvent::Reflexive { .. }) {
            let due = now + KEEPALIVE_INTERVAL;
            self.mappings.push(Mapping { base: probe.base, to: probe.to, due });
        }
        self.events.push_back(event);
        true
    }

    /// The earliest time something is to be done.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let starts = self.next_start.filter(|_| self.probes.iter().any(|probe| probe.due.is_none()));
        let limit = self.ends_at.filter(|_| !self.probes.is_empty());
        let repeats = self.probes.iter().filter_map(|probe| probe.due).min();
        let keepalives = self.mappings.iter().map(|mapping| mapping.due).min();
        [starts, limit, repeats, keepalives].into_iter().flatten().min()
    }

    /// Does whatever is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.ends_at.is_some_and(|at| at <= now) {
            self.give_up();
        }
        self.start_next(now);
        for probe in self.probes.iter_mut().filter(|probe| probe.due.is_some_and(|due| due <= now)) {
            probe.sends += 1;
            probe.due = Some(now + FIRST_INTERVAL * (1 << probe.sends.min(7)));
            self.transmits.push_back(probe.request());
        }
        for mapping in self.mappings.iter_mut().filter(|mapping| mapping.due <= now) {
            mapping.due = now + KEEPALIVE_INTERVAL;
            let id = TransactionId::random(&mut self.random);
            let payload = MessageBuilder::new(Class::Indication, Method::BINDING, id).finish();
            let (protocol, local, remote) = (Protocol::Udp, mapping.base, mapping.to);
            self.transmits.push_back(Transmit { protocol, local, remote, payload });
        }
    }

    fn start_next(&mut self, now: Instant) {
        if self.next_start.is_none_or(|at| at > now) {
            return;
        }
        let Some(probe) = self.probes.iter_mut().find(|probe| probe.due.is_none()) else {
            self.next_start = None;
            return;
        };
        if let Err(at) = self.turn.take(self.pacer.as_deref(), now) {
            self.next_start = Some(at);
            return;
        }
        self.next_start = Some(now + START_INTERVAL);
        probe.due = Some(now + FIRST_INTERVAL);
        self.transmits.push_back(probe.request());
    }

    /// Gives up what has not answered.
    pub fn give_up(&mut self) {
        self.ends_at = None;
        for Probe { base, server, .. } in std::mem::take(&mut self.probes) {
            let reason = "the STUN server does not answer".to_owned();
            self.events.push_back(GatheringEvent::Failed { base, server, code: UNREACHABLE, reason });
        }
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<GatheringEvent> {
        self.events.pop_front()
    }
}

impl Probe {
    fn request(&self) -> Transmit {
        let payload: Bytes = MessageBuilder::new(Class::Request, Method::BINDING, self.id).finish();
        Transmit { protocol: Protocol::Udp, local: self.base, remote: self.to, payload }
    }
}

fn outcome(probe: &Probe, message: &Message<'_>) -> GatheringEvent {
    let Probe { base, server, .. } = *probe;
    let failed = |code, reason: &str| {
        let reason = reason.chars().filter(|c| !c.is_control()).take(MAX_REASON_LENGTH).collect();
        GatheringEvent::Failed { base, server, code, reason }
    };
    if message.class() == Class::ErrorResponse {
        let error = message.error_code();
        return failed(error.map_or(UNREACHABLE, |error| error.code), error.map_or("", |error| error.reason));
    }
    // RFC 8489 section 14.1: servers of RFC 3489 know MAPPED-ADDRESS only.
    let mapped = message.xor_mapped_address().or_else(|| message.address(AttributeType::MAPPED_ADDRESS));
    match mapped.map(address::canonical) {
        Some(mapped) if address::is_endpoint(mapped) && mapped.is_ipv4() == base.is_ipv4() => {
            GatheringEvent::Reflexive { base, mapped, server }
        }
        _ => failed(UNREACHABLE, "the STUN server told no usable address"),
    }
}
