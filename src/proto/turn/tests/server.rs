//! A TURN server in memory that follows RFC 8656 as far as clients notice, and can be told to misbehave;
//! and a client with it, in virtual time.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::proto::stun::{AttributeType, Class, ErrorCode, IntegrityKey, Message, MessageBuilder, Method};
use crate::proto::turn::{Client, ClientConfig, Event, Families, Received, Sent};

pub(super) const REALM: &str = "example.org";

/// How the server behaves.
#[derive(Clone)]
pub(super) struct Rules {
    pub(super) asks_for_credentials: bool,
    pub(super) lifetime: u32,
    /// The nonce changes after so many requests that used it.
    pub(super) nonce_uses: u32,
    pub(super) relayed: Vec<SocketAddr>,
    /// Answers these methods with an error.
    pub(super) refuses: Vec<(Method, ErrorCode<'static>)>,
    /// Does not hear these methods.
    pub(super) deaf_to: Vec<Method>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            asks_for_credentials: true,
            lifetime: 600,
            nonce_uses: u32::MAX,
            relayed: vec!["198.51.100.7:50000".parse().unwrap()],
            refuses: Vec::new(),
            deaf_to: Vec::new(),
        }
    }
}

/// One allocation, as the server sees it.
pub(super) struct Server {
    pub(super) rules: Rules,
    pub(super) key: IntegrityKey,
    nonce: u32,
    nonce_used: u32,
    pub(super) allocated_until: Option<Instant>,
    pub(super) permissions: BTreeMap<IpAddr, Instant>,
    pub(super) channels: BTreeMap<u16, (SocketAddr, Instant)>,
    /// Every request and indication, with its time.
    pub(super) log: Vec<(Instant, Class, Method)>,
    /// What reached peers: to whom, what, and by a channel or not.
    pub(super) relayed: Vec<(SocketAddr, Vec<u8>, bool)>,
    /// What broke a rule of RFC 8656.
    pub(super) complaints: Vec<String>,
}

impl Server {
    fn new(rules: Rules) -> Self {
        Self {
            rules,
            key: IntegrityKey::long_term("user", REALM, "secret").unwrap(),
            nonce: 0,
            nonce_used: 0,
            allocated_until: None,
            permissions: BTreeMap::new(),
            channels: BTreeMap::new(),
            log: Vec::new(),
            relayed: Vec::new(),
            complaints: Vec::new(),
        }
    }

    pub(super) fn nonce(&self) -> String {
        format!("nonce-{}", self.nonce)
    }

    fn has_permission(&self, now: Instant, ip: IpAddr) -> bool {
        self.permissions.get(&ip).is_some_and(|until| *until > now)
    }

    fn handle(&mut self, now: Instant, bytes: &[u8]) -> Option<Bytes> {
        if bytes[0] >> 6 == 1 {
            let number = u16::from_be_bytes([bytes[0], bytes[1]]);
            let length = usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
            match self.channels.get(&number) {
                Some((peer, until)) if *until > now && self.has_permission(now, peer.ip()) => {
                    self.relayed.push((*peer, bytes[4..4 + length].to_vec(), true));
                }
                _ => self.complaints.push(format!("data on channel {number:#x}, which is not usable")),
            }
            return None;
        }
        let message = Message::parse(bytes).unwrap();
        self.log.push((now, message.class(), message.method()));
        if message.class() == Class::Indication {
            if message.method() == Method::SEND {
                let peer = message.xor_address(AttributeType::XOR_PEER_ADDRESS).unwrap();
                if self.has_permission(now, peer.ip()) {
                    self.relayed.push((peer, message.data().unwrap().to_vec(), false));
                } else {
                    self.complaints.push(format!("Send to {peer} without permission"));
                }
            }
            return None;
        }
        if self.rules.deaf_to.contains(&message.method()) {
            return None;
        }
        Some(self.answer(now, &message))
    }

    fn answer(&mut self, now: Instant, request: &Message<'_>) -> Bytes {
        if let Some(challenge) = self.challenge(request) {
            return challenge;
        }
        let refused = self.rules.refuses.iter().find(|(method, _)| *method == request.method());
        if let Some((_, error)) = refused {
            return self.refuse(request, *error);
        }
        let response =
            MessageBuilder::new(Class::SuccessResponse, request.method(), request.transaction_id());
        let response = match request.method() {
            Method::ALLOCATE => {
                self.allocated_until = Some(now + Duration::from_secs(self.rules.lifetime.into()));
                let mut response = response.xor_mapped_address("203.0.113.5:4000".parse().unwrap());
                for address in &self.rules.relayed {
                    response = response.xor_address(AttributeType::XOR_RELAYED_ADDRESS, *address);
                }
                response.lifetime(self.rules.lifetime)
            }
            _ if self.allocated_until.is_none_or(|until| until <= now) => {
                return self.refuse(request, ErrorCode { code: 437, reason: "Allocation Mismatch" });
            }
            Method::REFRESH => {
                let lifetime = if request.lifetime() == Some(0) { 0 } else { self.rules.lifetime };
                self.allocated_until = Some(now + Duration::from_secs(lifetime.into()));
                response.lifetime(lifetime)
            }
            Method::CREATE_PERMISSION => {
                let peer = request.xor_address(AttributeType::XOR_PEER_ADDRESS).unwrap();
                self.permissions.insert(peer.ip(), now + Duration::from_secs(300));
                response
            }
            Method::CHANNEL_BIND => {
                self.bind(now, request);
                response
            }
            other => panic!("{other:?} is no request of a client"),
        };
        match self.rules.asks_for_credentials {
            true => response.integrity(&self.key).finish(),
            false => response.finish(),
        }
    }

    fn bind(&mut self, now: Instant, request: &Message<'_>) {
        let peer = request.xor_address(AttributeType::XOR_PEER_ADDRESS).unwrap();
        let number = request.channel_number().unwrap();
        let is_taken = self.channels.get(&number).is_some_and(|(other, _)| *other != peer);
        let is_elsewhere = self
            .channels
            .iter()
            .any(|(other, (bound, until))| *other != number && *bound == peer && *until > now);
        if is_taken || is_elsewhere || !(0x4000..=0x4FFF).contains(&number) {
            self.complaints.push(format!("channel {number:#x} can't be bound to {peer}"));
        }
        self.channels.insert(number, (peer, now + Duration::from_secs(600)));
        self.permissions.insert(peer.ip(), now + Duration::from_secs(300));
    }

    fn challenge(&mut self, request: &Message<'_>) -> Option<Bytes> {
        if !self.rules.asks_for_credentials {
            return None;
        }
        if !request.has_integrity() {
            return Some(self.challenged(request, ErrorCode::UNAUTHENTICATED));
        }
        self.nonce_used += 1;
        if self.nonce_used > self.rules.nonce_uses {
            self.nonce += 1;
            self.nonce_used = 0;
        }
        if request.nonce() != Some(self.nonce().as_bytes()) {
            return Some(self.challenged(request, ErrorCode::STALE_NONCE));
        }
        let is_right = request.username() == Some("user")
            && request.realm() == Some(REALM)
            && request.verify_integrity(&self.key);
        (!is_right).then(|| self.challenged(request, ErrorCode::UNAUTHENTICATED))
    }

    fn challenged(&self, request: &Message<'_>, error: ErrorCode<'_>) -> Bytes {
        MessageBuilder::new(Class::ErrorResponse, request.method(), request.transaction_id())
            .error_code(error)
            .attribute(AttributeType::REALM, REALM.as_bytes())
            .attribute(AttributeType::NONCE, self.nonce().as_bytes())
            .finish()
    }

    fn refuse(&self, request: &Message<'_>, error: ErrorCode<'_>) -> Bytes {
        let mut response =
            MessageBuilder::new(Class::ErrorResponse, request.method(), request.transaction_id())
                .error_code(error);
        if error.code == 300 {
            response = response
                .address(AttributeType::ALTERNATE_SERVER, "192.0.2.99:3478".parse().unwrap())
                .attribute(AttributeType::ALTERNATE_DOMAIN, b"other.example.org");
        }
        response.finish()
    }

    /// How often a method was requested.
    pub(super) fn requests(&self, method: Method) -> usize {
        self.log.iter().filter(|(_, class, found)| *class == Class::Request && *found == method).count()
    }
}

/// A client and its server, one round trip of 20 ms apart.
pub(super) struct Setup {
    pub(super) client: Client,
    pub(super) server: Server,
    pub(super) now: Instant,
    pub(super) start: Instant,
    pub(super) events: Vec<Event>,
    pub(super) received: Vec<(SocketAddr, SocketAddr, Vec<u8>)>,
    /// On its way to the client.
    pending: Vec<(Instant, Bytes)>,
}

pub(super) const ROUND_TRIP: Duration = Duration::from_millis(20);

pub(super) fn config() -> ClientConfig {
    let (username, password) = ("user".into(), "secret".into());
    ClientConfig { username, password, families: Families::Both, ..ClientConfig::default() }
}

impl Setup {
    pub(super) fn new(rules: Rules, config: ClientConfig) -> Self {
        let now = Instant::now();
        let client = Client::new(now, config, StdRng::seed_from_u64(7));
        Self {
            client,
            server: Server::new(rules),
            now,
            start: now,
            events: Vec::new(),
            received: Vec::new(),
            pending: Vec::new(),
        }
    }

    /// With an allocation.
    pub(super) fn allocated(rules: Rules) -> Self {
        let mut setup = Self::new(rules, config());
        setup.run(Duration::from_millis(100));
        assert!(matches!(setup.events[..], [Event::Allocated { .. }]), "{:?}", setup.events);
        setup.events.clear();
        setup
    }

    /// Lets time pass.
    pub(super) fn run(&mut self, duration: Duration) {
        let until = self.now + duration;
        loop {
            self.drain();
            let answer = self.pending.iter().map(|(at, _)| *at).min();
            let next = answer.into_iter().chain(self.client.poll_timeout(self.now)).min();
            let Some(next) = next.filter(|next| *next <= until) else { break };
            self.now = self.now.max(next);
            let (due, later): (Vec<_>, Vec<_>) =
                std::mem::take(&mut self.pending).into_iter().partition(|(at, _)| *at <= self.now);
            self.pending = later;
            for (_, bytes) in due {
                self.receive(&bytes);
            }
            self.client.handle_timeout(self.now);
        }
        self.now = until;
    }

    fn drain(&mut self) {
        while let Some(message) = self.client.poll_transmit() {
            if let Some(answer) = self.server.handle(self.now, &message) {
                self.pending.push((self.now + ROUND_TRIP, answer));
            }
        }
        while let Some(event) = self.client.poll_event() {
            self.events.push(event);
        }
    }

    pub(super) fn receive(&mut self, bytes: &[u8]) {
        if let Ok(Received::Data { peer, relayed, payload }) = self.client.handle_packet(self.now, bytes) {
            self.received.push((peer, relayed, payload.to_vec()));
        }
    }

    /// Sends to a peer; what is framed reaches the server at once.
    pub(super) fn send(&mut self, peer: &str, payload: &[u8]) -> Sent {
        let mut out = Vec::new();
        let sent = self.client.send(self.now, peer.parse().unwrap(), payload, &mut out);
        if !out.is_empty() {
            assert!(self.server.handle(self.now, &out).is_none());
        }
        sent
    }

    /// Where the time is.
    pub(super) fn elapsed(&self) -> Duration {
        self.now - self.start
    }
}
