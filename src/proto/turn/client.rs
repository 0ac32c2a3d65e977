//! The allocation: made, kept and deleted (RFC 8656 sections 6 to 8), and the data that goes over it
//! (sections 11 and 12).
//!
//! ```text
//! Allocating ──▶ Allocated ──▶ Closing ──▶ Ended
//!      │             │                       ▲
//!      └─────────────┴── failed ─────────────┘
//! ```

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::rngs::StdRng;
use smallvec::SmallVec;

use super::credentials::LongTermCredentials;
use super::error::{Failure, Rejected};
use super::frame;
use super::peers::{Admission, Peers};
use super::transaction::{Request, Transaction};
use crate::proto::demux::{self, PacketKind};
use crate::proto::stun::{AttributeType, Class, Message, MessageBuilder, Method, TransactionId};

/// Most requests under way: one per permission and channel, one for the allocation.
const MAX_TRANSACTIONS: usize = 128;

/// Most messages waiting to be taken by [`Client::poll_transmit`]; beyond it the oldest go, as they would
/// in a network.
const MAX_TRANSMITS: usize = 256;

/// The lifetime asked for and the longest that is believed (RFC 8656 section 3.2: 10 minutes by default).
const MAX_LIFETIME: Duration = Duration::from_secs(3_600);

/// An allocation is refreshed so long before its end, or after half of a short life.
const REFRESH_MARGIN: Duration = Duration::from_secs(60);

/// Never faster than this, whatever lifetime a server grants.
const MIN_REFRESH_INTERVAL: Duration = Duration::from_secs(5);

/// A NAT on the way to the server forgets a silent client (RFC 8445 section 11: Tr, 15 s).
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// How long an answer to Allocate is waited for after the client was closed, to delete what it granted.
const CLOSING_PATIENCE: Duration = Duration::from_secs(2);

/// The largest datagram that is relayed: what fits a Send indication with room for its attributes.
const MAX_PAYLOAD_LENGTH: usize = 65_000;

/// REQUESTED-TRANSPORT: UDP (RFC 8656 section 18.8).
const UDP: [u8; 4] = [17, 0, 0, 0];

/// Address families, as REQUESTED- and ADDITIONAL-ADDRESS-FAMILY write them.
const FAMILY_IPV6: [u8; 4] = [2, 0, 0, 0];

/// Which relayed addresses are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Families {
    /// One of IPv4.
    Ipv4,
    /// One of IPv6.
    Ipv6,
    /// One of each; IPv4 alone if the server has no other.
    Both,
}

/// What a client is told at its creation.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// The long-term user name; empty for none.
    pub username: String,
    /// Its password.
    pub password: String,
    /// The server is reached over TCP or TLS: nothing is repeated, ChannelData is padded.
    pub is_stream: bool,
    /// Which relayed addresses are wanted.
    pub families: Families,
    /// The lifetime to ask for (RFC 8656 section 3.2: 600 s by default).
    pub lifetime: Duration,
}

impl ClientConfig {
    /// A client over UDP for an IPv4 address, without credentials.
    pub fn new() -> Self {
        Self {
            username: String::new(),
            password: String::new(),
            is_stream: false,
            families: Families::Ipv4,
            lifetime: Duration::from_secs(600),
        }
    }
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self::new()
    }
}

/// What the owner of the client must know.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// There is an allocation.
    Allocated {
        /// Its addresses: one, or one of each family.
        relayed: SmallVec<[SocketAddr; 2]>,
        /// Our address as the server sees it.
        mapped: SocketAddr,
    },
    /// The allocation is still there, as the server has just said.
    Refreshed,
    /// There is no allocation, or none any more. The last event.
    Failed(Failure),
    /// The allocation was deleted as wished. The last event.
    Closed,
}

/// What became of something received.
#[derive(Debug, PartialEq, Eq)]
pub enum Received<'a> {
    /// It was for the client itself.
    Control,
    /// A peer's datagram.
    Data {
        /// Who sent it.
        peer: SocketAddr,
        /// Which of our relayed addresses it came to.
        relayed: SocketAddr,
        /// The datagram.
        payload: &'a [u8],
    },
}

/// What became of a datagram to a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// Its frame was written.
    Framed,
    /// It is sent when its permission is there.
    Held,
    /// It can't be sent: no allocation, no address of that family, no permission, too long.
    Dropped,
}

#[derive(Debug)]
pub(super) struct Allocation {
    pub(super) relayed: SmallVec<[SocketAddr; 2]>,
    pub(super) until: Instant,
    pub(super) refresh_at: Option<Instant>,
}

#[derive(Debug)]
pub(super) enum Phase {
    Allocating,
    Allocated(Allocation),
    Closing { until: Instant },
    Ended,
}

/// One allocation on one server.
///
/// After every call that takes `now`, drain [`Client::poll_transmit`] and [`Client::poll_event`], then arm
/// one timer for [`Client::poll_timeout`] and call [`Client::handle_timeout`] when it is due.
#[derive(Debug)]
pub struct Client {
    pub(super) config: ClientSettings,
    pub(super) credentials: LongTermCredentials,
    pub(super) phase: Phase,
    pub(super) peers: Peers,
    pub(super) transactions: Vec<Transaction>,
    random: StdRng,
    last_sent: Instant,
    /// When the allocation was last asked for or refreshed, for whatever reason.
    asked_at: Instant,
    transmits: VecDeque<Bytes>,
    pub(super) events: VecDeque<Event>,
}

/// What is needed of the configuration once the credentials are elsewhere.
#[derive(Debug)]
pub(super) struct ClientSettings {
    pub(super) is_stream: bool,
    pub(super) families: Families,
    lifetime: u32,
}

impl Client {
    /// A client that asks for an allocation at once. `random` must be seeded from the operating system
    /// outside tests.
    pub fn new(now: Instant, config: ClientConfig, random: StdRng) -> Self {
        let lifetime = config.lifetime.min(MAX_LIFETIME).as_secs() as u32;
        let mut client = Self {
            credentials: LongTermCredentials::new(config.username, config.password),
            config: ClientSettings { is_stream: config.is_stream, families: config.families, lifetime },
            phase: Phase::Allocating,
            peers: Peers::default(),
            transactions: Vec::new(),
            random,
            last_sent: now,
            asked_at: now,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        };
        client.request(now, Request::Allocate, 0);
        client
    }

    /// The relayed addresses, while there is an allocation.
    pub fn relayed(&self) -> &[SocketAddr] {
        match &self.phase {
            Phase::Allocated(allocation) => &allocation.relayed,
            _ => &[],
        }
    }

    /// Whether nothing will happen any more.
    pub fn is_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended)
    }

    /// Takes one message of the server: a datagram, or what [`super::Deframer`] cut out of the stream.
    ///
    /// # Errors
    /// Why it had no effect.
    pub fn handle_packet<'a>(&mut self, now: Instant, bytes: &'a [u8]) -> Result<Received<'a>, Rejected> {
        if demux::classify(bytes) == PacketKind::TurnChannel {
            let (number, payload) = frame::read_channel_data(bytes).ok_or(Rejected::Malformed)?;
            let peer = self.peers.peer_of(now, number).ok_or(Rejected::UnknownChannel)?;
            let relayed = self.relayed_for(peer).ok_or(Rejected::UnknownChannel)?;
            return Ok(Received::Data { peer, relayed, payload });
        }
        let message = Message::parse(bytes).map_err(|_| Rejected::Malformed)?;
        match message.class() {
            Class::SuccessResponse | Class::ErrorResponse => {
                self.handle_response(now, &message).map(|()| Received::Control)
            }
            Class::Indication if message.method() == Method::DATA => self.handle_data(now, &message),
            Class::Indication | Class::Request => Err(Rejected::Unexpected),
        }
    }

    /// RFC 8656 section 11.4.
    fn handle_data<'a>(&mut self, now: Instant, message: &Message<'a>) -> Result<Received<'a>, Rejected> {
        let peer = message.xor_address(AttributeType::XOR_PEER_ADDRESS).ok_or(Rejected::Malformed)?;
        let payload = message.data().ok_or(Rejected::Malformed)?;
        let relayed = self.relayed_for(peer).ok_or(Rejected::UnknownPeer)?;
        if !self.peers.is_permitted(now, peer.ip()) {
            return Err(Rejected::UnknownPeer);
        }
        Ok(Received::Data { peer, relayed, payload })
    }

    fn relayed_for(&self, peer: SocketAddr) -> Option<SocketAddr> {
        self.relayed().iter().copied().find(|relayed| relayed.is_ipv4() == peer.is_ipv4())
    }

    /// Sends a datagram to a peer: appends its frame to `out`, or keeps it until there is a permission.
    ///
    /// The first datagram to an address asks for the permission. The first that is not a connectivity check
    /// asks for a channel, and until that is bound Send indications carry the data.
    pub fn send(&mut self, now: Instant, peer: SocketAddr, payload: &[u8], out: &mut Vec<u8>) -> Sent {
        if self.relayed_for(peer).is_none() || payload.len() > MAX_PAYLOAD_LENGTH {
            return Sent::Dropped;
        }
        match self.peers.admit(now, peer.ip()) {
            Admission::Granted => {}
            Admission::Refused => return Sent::Dropped,
            Admission::Pending => {
                self.peers.hold(peer, Bytes::copy_from_slice(payload));
                return Sent::Held;
            }
            Admission::Unknown => {
                self.peers.hold(peer, Bytes::copy_from_slice(payload));
                self.peers.permission_asked(peer.ip());
                self.request(now, Request::Permission(peer.ip()), 0);
                return Sent::Held;
            }
        }
        self.last_sent = now;
        if let Some(number) = self.peers.channel_to(now, peer) {
            frame::write_channel_data(number, payload, self.config.is_stream, out);
            return Sent::Framed;
        }
        self.bind_for(now, peer, payload);
        out.extend_from_slice(&self.send_indication(peer, payload));
        Sent::Framed
    }

    /// Asks for a channel to a peer that gets data, not only checks, if it has none yet.
    pub(super) fn bind_for(&mut self, now: Instant, peer: SocketAddr, payload: &[u8]) {
        if demux::classify(payload) != PacketKind::Stun
            && let Some(number) = self.peers.number_to_bind(now, peer)
        {
            self.request(now, Request::Channel(number, peer), 0);
        }
    }

    /// RFC 8656 section 11.1. Not signed: indications never are.
    pub(super) fn send_indication(&mut self, peer: SocketAddr, payload: &[u8]) -> Bytes {
        let id = TransactionId::random(&mut self.random);
        MessageBuilder::new(Class::Indication, Method::SEND, id)
            .xor_address(AttributeType::XOR_PEER_ADDRESS, peer)
            .attribute(AttributeType::DATA, payload)
            .finish_without_fingerprint()
    }

    /// Asks the server whether the allocation is still there: a Refresh before its time. [`Event::Refreshed`] follows,
    /// or [`Event::Failed`] when the server has lost it (was restarted, say) and answers with 437. Nothing else tells
    /// of a lost allocation: what is sent through it vanishes.
    pub fn verify(&mut self, now: Instant) {
        if let Phase::Allocated(allocation) = &mut self.phase
            && allocation.refresh_at.take().is_some()
        {
            self.request(now, Request::Refresh, 0);
        }
    }

    /// The same on the word of the server, which decides how often: not more than every five seconds.
    pub(super) fn suspect(&mut self, now: Instant) {
        let at = now.max(self.asked_at + MIN_REFRESH_INTERVAL);
        if let Phase::Allocated(allocation) = &mut self.phase {
            allocation.refresh_at = allocation.refresh_at.map(|due| due.min(at));
        }
    }

    /// Deletes the allocation (RFC 8656 section 8.1). [`Event::Closed`] follows within two seconds; whoever
    /// can't wait sends what [`Client::poll_transmit`] gives now.
    pub fn close(&mut self, now: Instant) {
        match std::mem::replace(&mut self.phase, Phase::Ended) {
            Phase::Allocated(_) => {
                self.transactions.clear();
                self.transmits.clear();
                self.peers = Peers::default();
                self.phase = Phase::Closing { until: now + CLOSING_PATIENCE };
                self.request(now, Request::Delete, 0);
            }
            // The server may just have granted it.
            Phase::Allocating => self.phase = Phase::Closing { until: now + CLOSING_PATIENCE },
            phase @ (Phase::Closing { .. } | Phase::Ended) => self.phase = phase,
        }
    }

    /// The earliest time something is to be done.
    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        let (allocation, keepalive) = match &self.phase {
            Phase::Ended => return None,
            Phase::Allocating => (None, None),
            Phase::Closing { until } => (Some(*until), None),
            Phase::Allocated(allocation) => {
                let next = allocation.refresh_at.map_or(allocation.until, |at| at.min(allocation.until));
                (Some(next), self.keepalive_at())
            }
        };
        let transactions = self.transactions.iter().map(Transaction::due).min();
        [allocation, keepalive, transactions, self.peers.next_timeout(now)].into_iter().flatten().min()
    }

    fn keepalive_at(&self) -> Option<Instant> {
        (!self.config.is_stream).then_some(self.last_sent + KEEPALIVE_INTERVAL)
    }

    /// Does whatever is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.advance_transactions(now);
        match &mut self.phase {
            Phase::Closing { until } if *until <= now => self.end(Event::Closed),
            Phase::Allocated(allocation) => {
                if allocation.until <= now {
                    return self.end(Event::Failed(Failure::Timeout));
                }
                if allocation.refresh_at.is_some_and(|at| at <= now) {
                    allocation.refresh_at = None;
                    self.request(now, Request::Refresh, 0);
                }
                self.renew(now);
                if self.keepalive_at().is_some_and(|at| at <= now) {
                    self.keep_alive(now);
                }
            }
            Phase::Allocating | Phase::Closing { .. } | Phase::Ended => {}
        }
    }

    fn renew(&mut self, now: Instant) {
        while let Some(ip) = self.peers.take_permission_renewal(now) {
            self.request(now, Request::Permission(ip), 0);
        }
        while let Some((number, peer)) = self.peers.take_channel_renewal(now) {
            self.request(now, Request::Channel(number, peer), 0);
        }
        self.peers.expire(now);
    }

    fn keep_alive(&mut self, now: Instant) {
        let id = TransactionId::random(&mut self.random);
        let payload = MessageBuilder::new(Class::Indication, Method::BINDING, id).finish();
        self.transmit(now, payload);
    }

    fn advance_transactions(&mut self, now: Instant) {
        let mut index = 0;
        while let Some(transaction) = self.transactions.get_mut(index) {
            if transaction.due() > now {
                index += 1;
                continue;
            }
            match transaction.expire(now) {
                Some(payload) => {
                    self.transmit(now, payload);
                    index += 1;
                }
                None => {
                    let transaction = self.transactions.remove(index);
                    self.given_up(now, transaction.request);
                }
            }
        }
    }

    fn given_up(&mut self, now: Instant, request: Request) {
        match request {
            Request::Allocate | Request::Refresh => self.end(Event::Failed(Failure::Timeout)),
            Request::Delete => self.end(Event::Closed),
            Request::Permission(ip) => self.peers.permission_refused(now, ip),
            Request::Channel(number, _) => self.peers.channel_refused(now, number),
        }
    }

    /// Nothing more happens. A client that was closed says so, whatever else has gone wrong.
    pub(super) fn end(&mut self, event: Event) {
        let event = if matches!(self.phase, Phase::Closing { .. }) { Event::Closed } else { event };
        self.phase = Phase::Ended;
        self.transactions = Vec::new();
        self.peers = Peers::default();
        self.events.push_back(event);
    }

    /// Sends a request that was not sent before, or one that the server has `challenges` times sent back.
    pub(super) fn request(&mut self, now: Instant, request: Request, challenges: u8) {
        if self.transactions.len() >= MAX_TRANSACTIONS {
            return self.given_up(now, request);
        }
        let id = TransactionId::random(&mut self.random);
        let message = MessageBuilder::new(Class::Request, request.method(), id);
        let message = match request {
            Request::Allocate => {
                self.asked_at = now;
                self.allocate(message)
            }
            Request::Refresh => {
                self.asked_at = now;
                self.refresh(message, self.config.lifetime)
            }
            Request::Delete => self.refresh(message, 0),
            Request::Permission(ip) => {
                message.xor_address(AttributeType::XOR_PEER_ADDRESS, SocketAddr::new(ip, 0))
            }
            Request::Channel(number, peer) => {
                message.channel_number(number).xor_address(AttributeType::XOR_PEER_ADDRESS, peer)
            }
        };
        let payload = self.credentials.sign(message).finish();
        let mut transaction = Transaction::new(id, request, now, payload.clone());
        if self.config.is_stream {
            transaction = transaction.over_stream();
        }
        transaction.is_signed = self.credentials.key().is_some();
        transaction.challenges = challenges;
        self.transactions.push(transaction);
        self.transmit(now, payload);
    }

    /// RFC 8656 section 7.1.
    fn allocate(&self, message: MessageBuilder) -> MessageBuilder {
        let message =
            message.attribute(AttributeType::REQUESTED_TRANSPORT, &UDP).lifetime(self.config.lifetime);
        match self.config.families {
            Families::Ipv4 => message,
            Families::Ipv6 => message.attribute(AttributeType::REQUESTED_ADDRESS_FAMILY, &FAMILY_IPV6),
            Families::Both => message.attribute(AttributeType::ADDITIONAL_ADDRESS_FAMILY, &FAMILY_IPV6),
        }
    }

    /// RFC 8656 section 8.1: an allocation of IPv6 alone is named again.
    fn refresh(&self, message: MessageBuilder, lifetime: u32) -> MessageBuilder {
        let message = message.lifetime(lifetime);
        match self.config.families {
            Families::Ipv6 => message.attribute(AttributeType::REQUESTED_ADDRESS_FAMILY, &FAMILY_IPV6),
            Families::Ipv4 | Families::Both => message,
        }
    }

    pub(super) fn transmit(&mut self, now: Instant, payload: Bytes) {
        self.last_sent = now;
        if self.transmits.len() >= MAX_TRANSMITS {
            self.transmits.pop_front();
        }
        self.transmits.push_back(payload);
    }

    /// The next message for the server.
    pub fn poll_transmit(&mut self) -> Option<Bytes> {
        self.transmits.pop_front()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }
}

/// When an allocation of this lifetime, asked for at `asked_at`, ends and when it is refreshed.
pub(super) fn schedule(asked_at: Instant, lifetime: u32) -> (Instant, Instant) {
    let lifetime = Duration::from_secs(lifetime.into()).min(MAX_LIFETIME);
    let refresh = if lifetime > REFRESH_MARGIN * 2 { lifetime - REFRESH_MARGIN } else { lifetime / 2 };
    (asked_at + lifetime, asked_at + refresh.max(MIN_REFRESH_INTERVAL))
}
