//! What an agent makes of datagrams and candidates nobody should send.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::super::*;
use super::simulation::{A, World, config, payloads, transmits};
use crate::proto::stun::{
    AttributeType, Class, ErrorCode, IntegrityKey, Message, MessageBuilder, Method, TransactionId,
};

/// A peer played by hand: it writes what a test wants written.
pub(super) struct Peer {
    pub(super) credentials: Credentials,
    agent: Credentials,
    random: StdRng,
}

impl Peer {
    pub(super) fn of(agent: &Agent) -> Self {
        let mut random = StdRng::seed_from_u64(77);
        Self {
            credentials: Credentials::generate(&mut random),
            agent: agent.local_credentials().clone(),
            random,
        }
    }

    pub(super) fn start(&mut self, class: Class, method: Method) -> MessageBuilder {
        MessageBuilder::new(class, method, TransactionId::random(&mut self.random))
    }

    fn username(&self) -> String {
        format!("{}:{}", self.agent.ufrag, self.credentials.ufrag)
    }

    fn key(&self) -> IntegrityKey {
        IntegrityKey::new(self.agent.password.as_bytes())
    }

    pub(super) fn request_without_role(&mut self, priority: u32, nominate: bool) -> Bytes {
        let username = self.username();
        let mut message = self.start(Class::Request, Method::BINDING).username(&username).priority(priority);
        if nominate {
            message = message.use_candidate();
        }
        message.integrity(&self.key()).finish()
    }

    pub(super) fn request(&mut self, priority: u32, nominate: bool) -> Bytes {
        let username = self.username();
        let mut message = self
            .start(Class::Request, Method::BINDING)
            .username(&username)
            .priority(priority)
            .ice_controlling(1);
        if nominate {
            message = message.use_candidate();
        }
        message.integrity(&self.key()).finish()
    }

    /// Answers a check of the agent.
    pub(super) fn answer(&self, request: &[u8], mapped: SocketAddr) -> Bytes {
        let request = Message::parse(request).unwrap();
        let key = IntegrityKey::new(self.credentials.password.as_bytes());
        assert!(request.verify_integrity(&key));
        assert!(request.has_fingerprint());
        MessageBuilder::new(Class::SuccessResponse, Method::BINDING, request.transaction_id())
            .xor_mapped_address(mapped)
            .integrity(&key)
            .finish()
    }

    fn refusal(&self, request: &[u8], error: ErrorCode<'_>) -> MessageBuilder {
        let request = Message::parse(request).unwrap();
        MessageBuilder::new(Class::ErrorResponse, Method::BINDING, request.transaction_id()).error_code(error)
    }
}

const PATH: (&str, &str) = ("192.0.2.1:5000", "198.51.100.1:7000");

fn base() -> SocketAddr {
    PATH.0.parse().unwrap()
}

fn remote() -> SocketAddr {
    PATH.1.parse().unwrap()
}

/// A controlled agent with one candidate, its peer, and the time.
fn scene() -> (Agent, Peer, Instant) {
    let now = Instant::now();
    let mut agent = Agent::new(now, config(Role::Controlled, 3, 0), StdRng::seed_from_u64(5));
    agent.add_local_candidate(now, Candidate::host(base(), 65_535)).unwrap();
    let peer = Peer::of(&agent);
    (agent, peer, now)
}

/// The same with the peer's credentials and one candidate known, and its first check sent.
fn checking_scene() -> (Agent, Peer, Instant, Bytes) {
    let (mut agent, peer, now) = scene();
    agent.set_remote_credentials(now, peer.credentials.clone()).unwrap();
    agent.add_remote_candidate(now, Candidate::host(remote(), 65_535)).unwrap();
    agent.handle_timeout(now);
    let check = payloads(&mut agent).pop().expect("the first check goes out at once");
    (agent, peer, now, check)
}

fn state_of_the_pair(agent: &Agent) -> PairState {
    agent.pairs().next().unwrap().state
}

#[test]
fn a_good_check_is_answered_with_the_senders_address_and_signed() {
    let (mut agent, mut peer, now) = scene();
    let request = peer.request(1, false);
    agent.handle_packet(now, base(), remote(), &request).unwrap();
    let answer = payloads(&mut agent).pop().unwrap();
    let answer = Message::parse(&answer).unwrap();
    assert_eq!(answer.class(), Class::SuccessResponse);
    assert_eq!(answer.xor_mapped_address(), Some(remote()));
    assert!(answer.verify_integrity(&peer.key()) && answer.has_fingerprint());
    assert_eq!(answer.username(), None);
    assert_eq!(answer.transaction_id(), Message::parse(&request).unwrap().transaction_id());
}

#[test]
fn unauthenticated_requests_are_refused_unsigned_sparingly_and_change_nothing() {
    type Make = fn(&mut Peer) -> Bytes;
    let cases: [(Make, Rejected, Option<u16>); 5] = [
        (
            |p| {
                p.start(Class::Request, Method::BINDING)
                    .priority(1)
                    .software("a long name to be refused")
                    .finish()
            },
            Rejected::MissingCredentials,
            Some(400),
        ),
        (
            |p| {
                let username = p.username();
                p.start(Class::Request, Method::BINDING)
                    .username(&username)
                    .priority(1)
                    .software("abc")
                    .finish()
            },
            Rejected::MissingCredentials,
            Some(400),
        ),
        (
            |p| {
                let (username, key) = (p.username(), p.key());
                p.start(Class::Request, Method::ALLOCATE).username(&username).integrity(&key).finish()
            },
            Rejected::WrongMethod,
            Some(400),
        ),
        (
            |p| {
                let username = p.username();
                p.start(Class::Request, Method::BINDING)
                    .username(&username)
                    .priority(1)
                    .integrity(&IntegrityKey::new(b"wrong"))
                    .finish()
            },
            Rejected::BadIntegrity,
            Some(401),
        ),
        (
            |p| {
                let key = p.key();
                p.start(Class::Request, Method::BINDING)
                    .username("nobody:x")
                    .priority(1)
                    .integrity(&key)
                    .finish()
            },
            Rejected::UnknownUfrag,
            None,
        ),
    ];
    for (make, reason, code) in cases {
        let (mut agent, mut peer, now) = scene();
        let mut bytes_in = 0;
        let mut answers = Vec::new();
        for _ in 0..10_000 {
            let request = make(&mut peer);
            bytes_in += request.len();
            assert_eq!(agent.handle_packet(now, base(), remote(), &request), Err(reason));
            answers.extend(payloads(&mut agent));
        }
        assert!(answers.len() <= 4, "{reason}: {} answers", answers.len());
        assert_eq!(answers.is_empty(), code.is_none());
        assert!(answers.iter().map(Bytes::len).sum::<usize>() <= bytes_in);
        for answer in &answers {
            let answer = Message::parse(answer).unwrap();
            assert_eq!(answer.error_code().map(|error| error.code), code);
            assert!(!answer.has_integrity() && answer.username().is_none());
        }
        assert_eq!(agent.remote_candidates().len(), 0);
        assert_eq!(agent.pairs().count(), 0);
        assert_eq!(agent.state(), State::New);
    }
}

#[test]
fn a_short_request_is_not_answered_with_more_bytes() {
    let (mut agent, mut peer, now) = scene();
    let request = peer.start(Class::Request, Method::BINDING).finish_without_fingerprint();
    assert_eq!(request.len(), 20);
    agent.handle_packet(now, base(), remote(), &request).unwrap_err();
    assert!(payloads(&mut agent).is_empty());
}

#[test]
fn unknown_required_attributes_are_listed() {
    let (mut agent, mut peer, now) = scene();
    let (username, key) = (peer.username(), peer.key());
    let request = peer
        .start(Class::Request, Method::BINDING)
        .username(&username)
        .priority(1)
        .attribute(AttributeType(0x7123), b"what?")
        .integrity(&key)
        .finish();
    assert_eq!(agent.handle_packet(now, base(), remote(), &request), Err(Rejected::UnknownAttribute));
    let answer = payloads(&mut agent).pop().unwrap();
    let answer = Message::parse(&answer).unwrap();
    assert_eq!(answer.error_code().unwrap().code, 420);
    assert_eq!(answer.attribute(AttributeType::UNKNOWN_ATTRIBUTES), Some(&[0x71, 0x23][..]));
    assert!(answer.verify_integrity(&key));
}

#[test]
fn a_check_without_priority_is_a_bad_request() {
    let (mut agent, mut peer, now) = scene();
    let (username, key) = (peer.username(), peer.key());
    let request = peer.start(Class::Request, Method::BINDING).username(&username).integrity(&key).finish();
    assert_eq!(agent.handle_packet(now, base(), remote(), &request), Err(Rejected::MissingAttribute));
    let answer = payloads(&mut agent).pop().unwrap();
    assert_eq!(Message::parse(&answer).unwrap().error_code().unwrap().code, 400);
}

#[test]
fn indications_are_taken_and_never_answered() {
    let (mut agent, mut peer, now) = scene();
    let indication = peer.start(Class::Indication, Method::BINDING).finish();
    agent.handle_packet(now, base(), remote(), &indication).unwrap();
    assert!(payloads(&mut agent).is_empty());
}

#[test]
fn a_nomination_behind_the_signature_is_ignored() {
    let (mut agent, mut peer, now) = scene();
    agent.set_remote_credentials(now, peer.credentials.clone()).unwrap();
    let (username, key) = (peer.username(), peer.key());
    let request = peer
        .start(Class::Request, Method::BINDING)
        .username(&username)
        .priority(1)
        .integrity(&key)
        .use_candidate()
        .finish();
    agent.handle_packet(now, base(), remote(), &request).unwrap();
    agent.handle_timeout(now);
    for sent in transmits(&mut agent) {
        if Message::parse(&sent.payload).unwrap().class() == Class::Request {
            agent.handle_packet(now, base(), remote(), &peer.answer(&sent.payload, base())).unwrap();
        }
    }
    assert_eq!(state_of_the_pair(&agent), PairState::Succeeded);
    assert_eq!(agent.selected_pair(), None);
}

#[test]
fn ten_thousand_authenticated_addresses_fill_no_table() {
    for (lite, nominate, before) in [
        (false, false, false),
        (false, true, false),
        (true, true, false),
        (false, false, true),
        (true, true, true),
    ] {
        let now = Instant::now();
        let mut configuration = config(Role::Controlled, 3, 0);
        configuration.lite = lite;
        let mut agent = Agent::new(now, configuration, StdRng::seed_from_u64(5));
        agent.add_local_candidate(now, Candidate::host(base(), 65_535)).unwrap();
        let mut peer = Peer::of(&agent);
        if !before {
            agent.set_remote_credentials(now, peer.credentials.clone()).unwrap();
        }
        let mut time = now;
        let mut checks = 0;
        for port in 10_000..20_000 {
            time += Duration::from_millis(1);
            let request = peer.request(1, nominate);
            let _ = agent.handle_packet(time, base(), SocketAddr::new(remote().ip(), port), &request);
            agent.handle_timeout(time);
            checks += transmits(&mut agent)
                .iter()
                .filter(|sent| Message::parse(&sent.payload).unwrap().class() == Class::Request)
                .count();
        }
        if before {
            agent.set_remote_credentials(time, peer.credentials.clone()).unwrap();
        }
        assert!(agent.pairs().count() <= 100, "{}", agent.pairs().count());
        assert!(agent.remote_candidates().len() <= 100, "{}", agent.remote_candidates().len());
        // Ten seconds of pacing at 50 ms, and few repetitions of what was evicted soon after.
        assert!(checks <= 700, "{checks} checks");
    }
}

#[test]
fn the_selected_pair_survives_a_flood_of_nominations() {
    let mut world = World::two_hosts(31);
    world.connect(Duration::from_secs(5));
    let side = super::simulation::B;
    let pair = world.agent(side).selected_pair().unwrap();
    let mut peer = Peer::of(world.agent(side));
    for port in 10_000..12_000 {
        let request = peer.request(u32::MAX, true);
        let _ = world.inject(side, pair.local, SocketAddr::new(remote().ip(), port), &request);
        world.run_for(Duration::from_millis(5));
    }
    assert_eq!(world.agent(side).selected_pair(), Some(pair), "nobody answered from there");
    assert!(world.agent(side).pairs().count() <= 100);
}

#[test]
fn ten_thousand_candidates_are_capped_and_checked_slowly() {
    let (mut agent, peer, now) = scene();
    agent.set_remote_credentials(now, peer.credentials.clone()).unwrap();
    let mut refused = 0;
    for index in 0..10_000_u32 {
        let address = SocketAddr::new([203, 0, (index >> 8) as u8, index as u8].into(), 5000);
        if agent.add_remote_candidate(now, Candidate::host(address, 1)) == Err(IceError::TooManyCandidates) {
            refused += 1;
        }
    }
    assert_eq!(refused, 9_900);
    assert!(agent.pairs().count() <= 100);
    let (mut time, mut sent) = (now, 0);
    while time < now + Duration::from_secs(300) {
        let Some(due) = agent.poll_timeout() else { break };
        time = due;
        agent.handle_timeout(time);
        sent += transmits(&mut agent).len();
    }
    assert!(sent <= 700, "{sent} datagrams to victims");
    assert_eq!(agent.state(), State::Failed);
}

#[test]
fn candidates_that_may_not_be_used_are_named() {
    let (mut agent, peer, now) = scene();
    agent.set_remote_credentials(now, peer.credentials.clone()).unwrap();
    for (line, error) in [
        ("candidate:1 1 udp 1 0.0.0.0 5000 typ host", IceError::ForbiddenAddress),
        ("candidate:1 1 udp 1 169.254.169.254 5000 typ host", IceError::ForbiddenAddress),
        ("candidate:1 1 udp 1 ::ffff:169.254.169.254 5000 typ host", IceError::ForbiddenAddress),
        ("candidate:1 1 udp 1 :: 5000 typ host", IceError::ForbiddenAddress),
        ("candidate:1 1 udp 1 239.1.1.1 5000 typ host", IceError::ForbiddenAddress),
        ("candidate:1 1 udp 1 192.0.2.9 53 typ host", IceError::ForbiddenAddress),
        ("candidate:1 1 udp 1 192.0.2.9 0 typ host", IceError::ForbiddenAddress),
        ("candidate:1 2 udp 1 192.0.2.9 5000 typ host", IceError::WrongComponent),
        ("candidate:1 1 tcp 1 192.0.2.9 9 typ host tcptype active", IceError::UnsupportedTransport),
        ("candidate:1 1 udp 1 a.local 5000 typ host", IceError::UnresolvedName),
        ("candidate:1 1 udp 1 192.0.2.9 5000 typ host ufrag nope", IceError::StaleCandidate),
    ] {
        let candidate: Candidate = line.parse().unwrap();
        assert_eq!(agent.add_remote_candidate(now, candidate), Err(error), "{line}");
    }
    assert!(agent.remote_candidates().is_empty());
    // Loopback is known, and never paired with an address of the network.
    for line in
        ["candidate:1 1 udp 1 127.0.0.1 5000 typ host", "candidate:1 1 udp 1 ::ffff:127.0.0.1 5001 typ host"]
    {
        agent.add_remote_candidate(now, line.parse().unwrap()).unwrap();
    }
    assert_eq!(agent.pairs().count(), 0);
    agent.end_of_remote_candidates(now);
    let late = Candidate::host(remote(), 1);
    assert_eq!(agent.add_remote_candidate(now, late), Err(IceError::AfterEndOfCandidates));
}

#[test]
fn an_answer_that_is_not_signed_is_as_if_it_had_never_come() {
    let (mut agent, peer, now, check) = checking_scene();
    let request = Message::parse(&check).unwrap();
    let forged = [
        MessageBuilder::new(Class::SuccessResponse, Method::BINDING, request.transaction_id())
            .xor_mapped_address(base())
            .finish(),
        MessageBuilder::new(Class::SuccessResponse, Method::BINDING, request.transaction_id())
            .xor_mapped_address(base())
            .integrity(&IntegrityKey::new(b"wrong"))
            .finish(),
        peer.refusal(&check, ErrorCode::ROLE_CONFLICT).finish(),
        peer.refusal(&check, ErrorCode::UNAUTHENTICATED).finish(),
        peer.refusal(&check, ErrorCode::BAD_REQUEST).finish(),
    ];
    for answer in &forged {
        assert_eq!(agent.handle_packet(now, base(), remote(), answer), Err(Rejected::BadIntegrity));
    }
    assert_eq!(agent.role(), Role::Controlled);
    assert_eq!(state_of_the_pair(&agent), PairState::InProgress);
    agent.handle_packet(now, base(), remote(), &peer.answer(&check, base())).unwrap();
    assert_eq!(state_of_the_pair(&agent), PairState::Succeeded);
    let again = agent.handle_packet(now, base(), remote(), &peer.answer(&check, base()));
    assert_eq!(again, Err(Rejected::UnknownTransaction));
}

#[test]
fn an_answer_from_elsewhere_fails_the_pair() {
    let (mut agent, peer, now, check) = checking_scene();
    let elsewhere = "198.51.100.1:7001".parse().unwrap();
    let result = agent.handle_packet(now, base(), elsewhere, &peer.answer(&check, base()));
    assert_eq!(result, Err(Rejected::AsymmetricResponse));
    assert_eq!(state_of_the_pair(&agent), PairState::Failed);
}

#[test]
fn an_answer_without_a_mapped_address_or_with_unknown_attributes_fails_the_pair() {
    for unknown in [false, true] {
        let (mut agent, peer, now, check) = checking_scene();
        let id = Message::parse(&check).unwrap().transaction_id();
        let mut answer = MessageBuilder::new(Class::SuccessResponse, Method::BINDING, id);
        if unknown {
            answer = answer.xor_mapped_address(base()).attribute(AttributeType(0x7777), b"");
        }
        let answer = answer.integrity(&IntegrityKey::new(peer.credentials.password.as_bytes())).finish();
        agent.handle_packet(now, base(), remote(), &answer).unwrap_err();
        assert_eq!(state_of_the_pair(&agent), PairState::Failed);
    }
}

#[test]
fn a_role_conflict_answer_changes_role_and_tie_breaker_and_checks_again() {
    let (mut agent, peer, now, check) = checking_scene();
    let tie_breaker = agent.tie_breaker;
    let key = IntegrityKey::new(peer.credentials.password.as_bytes());
    let conflict = peer.refusal(&check, ErrorCode::ROLE_CONFLICT).integrity(&key).finish();
    agent.handle_packet(now, base(), remote(), &conflict).unwrap();
    assert_eq!(agent.role(), Role::Controlling);
    assert_ne!(agent.tie_breaker, tie_breaker);
    let next = agent.poll_timeout().unwrap();
    assert!(next <= now + Duration::from_millis(50));
    agent.handle_timeout(next);
    let check = payloads(&mut agent).pop().unwrap();
    let check = Message::parse(&check).unwrap();
    assert_eq!(check.ice_controlling(), Some(agent.tie_breaker));
    assert!(!check.use_candidate());
}

#[test]
fn checks_carry_what_rfc_8445_wants() {
    let (agent, peer, _, check) = checking_scene();
    let check = Message::parse(&check).unwrap();
    let username = format!("{}:{}", peer.credentials.ufrag, agent.local_credentials().ufrag);
    assert_eq!(check.username(), Some(username.as_str()));
    assert_eq!(check.priority(), Some(priority(CandidateKind::PeerReflexive, 65_535, 1)));
    assert_eq!(check.ice_controlled(), Some(agent.tie_breaker));
    assert_eq!(check.ice_controlling(), None);
    assert!(!check.use_candidate());
    assert!(check.has_fingerprint());
}

#[test]
fn packets_for_an_unknown_local_address_or_from_an_impossible_one_are_dropped() {
    let (mut agent, mut peer, now) = scene();
    let request = peer.request(1, true);
    let other = "192.0.2.77:5000".parse().unwrap();
    assert_eq!(agent.handle_packet(now, other, remote(), &request), Err(Rejected::UnknownLocalAddress));
    for from in ["0.0.0.0:5000", "198.51.100.1:0", "224.0.0.1:5000", "127.0.0.1:5000", "169.254.1.1:5000"] {
        let result = agent.handle_packet(now, base(), from.parse().unwrap(), &request);
        assert_eq!(result, Err(Rejected::ForbiddenAddress), "{from}");
    }
    assert!(payloads(&mut agent).is_empty());
}

#[test]
fn an_agent_with_one_idle_connection_is_small() {
    let mut world = World::two_hosts(32);
    world.connect(Duration::from_secs(5));
    world.run_for(Duration::from_secs(600));
    let agent = world.agent(A);
    assert!(size_of::<Agent>() <= 2_560, "{}", size_of::<Agent>());
    assert_eq!(agent.pairs().count(), 1);
    assert!(agent.transactions.len() <= 1);
}

/// One call into an agent, for random sequences of calls.
#[derive(Debug, Clone)]
enum Call {
    Local(u8),
    Remote(u8),
    Credentials(u8),
    Restart,
    EndLocal,
    EndRemote,
    SetRole(bool),
    RemoteLite(bool),
    Request { from: u8, nominate: bool, controlling: bool },
    Answer { from: u8, error: Option<u16> },
    Garbage(Vec<u8>),
    Wait(u16),
    Close,
}

fn any_call() -> impl Strategy<Value = Call> {
    prop_oneof![
        4 => any::<u8>().prop_map(Call::Local),
        6 => any::<u8>().prop_map(Call::Remote),
        3 => (0..3_u8).prop_map(Call::Credentials),
        1 => Just(Call::Restart),
        1 => Just(Call::EndLocal),
        1 => Just(Call::EndRemote),
        1 => any::<bool>().prop_map(Call::SetRole),
        1 => any::<bool>().prop_map(Call::RemoteLite),
        10 => (any::<u8>(), any::<bool>(), any::<bool>())
            .prop_map(|(from, nominate, controlling)| Call::Request { from, nominate, controlling }),
        10 => (any::<u8>(), proptest::option::weighted(0.3, prop_oneof![Just(487), Just(400)]))
            .prop_map(|(from, error)| Call::Answer { from, error }),
        2 => proptest::collection::vec(any::<u8>(), 0..64).prop_map(Call::Garbage),
        12 => any::<u16>().prop_map(Call::Wait),
        1 => Just(Call::Close),
    ]
}

/// Applies calls and checks after each that the agent keeps its bounds and does not spin.
struct Fuzz {
    agent: Agent,
    now: Instant,
    remote: Vec<Credentials>,
    sent: Vec<crate::proto::Transmit>,
    random: StdRng,
}

impl Fuzz {
    fn address(index: u8) -> SocketAddr {
        SocketAddr::new([198, 51, 100, index % 16].into(), 5000 + u16::from(index))
    }

    fn apply(&mut self, call: Call) {
        let now = self.now;
        match call {
            Call::Local(index) => {
                let address = SocketAddr::new([192, 0, 2, index % 4 + 1].into(), 5000);
                let _ = self.agent.add_local_candidate(now, Candidate::host(address, index.into()));
            }
            Call::Remote(index) => {
                let candidate = Candidate::host(Self::address(index), index.into());
                let _ = self.agent.add_remote_candidate(now, candidate);
            }
            Call::Credentials(index) => {
                let _ = self.agent.set_remote_credentials(now, self.remote[usize::from(index)].clone());
            }
            Call::Restart => {
                let _ = self.agent.restart(now, Credentials::generate(&mut self.random));
            }
            Call::EndLocal => self.agent.end_of_local_candidates(),
            Call::EndRemote => self.agent.end_of_remote_candidates(now),
            Call::SetRole(controlling) => {
                self.agent.set_role(if controlling { Role::Controlling } else { Role::Controlled });
            }
            Call::RemoteLite(lite) => self.agent.set_remote_lite(lite),
            Call::Request { from, nominate, controlling } => self.request(from, nominate, controlling),
            Call::Answer { from, error } => self.answer(from, error),
            Call::Garbage(bytes) => {
                let _ = self.agent.handle_packet(now, base(), remote(), &bytes);
            }
            Call::Wait(milliseconds) => {
                self.now += Duration::from_millis(u64::from(milliseconds));
                self.agent.handle_timeout(self.now);
            }
            Call::Close => self.agent.close(),
        }
        self.check();
    }

    fn request(&mut self, from: u8, nominate: bool, controlling: bool) {
        let local = self.agent.local_credentials().clone();
        let id = TransactionId::random(&mut self.random);
        let mut message = MessageBuilder::new(Class::Request, Method::BINDING, id)
            .username(&format!("{}:peer", local.ufrag))
            .priority(self.random.random());
        let tie_breaker = self.random.random();
        message = if controlling {
            message.ice_controlling(tie_breaker)
        } else {
            message.ice_controlled(tie_breaker)
        };
        if nominate {
            message = message.use_candidate();
        }
        let message = message.integrity(&IntegrityKey::new(local.password.as_bytes())).finish();
        let to = SocketAddr::new([192, 0, 2, from % 4 + 1].into(), 5000);
        let _ = self.agent.handle_packet(self.now, to, Self::address(from), &message);
    }

    fn answer(&mut self, from: u8, error: Option<u16>) {
        let (Some(remote), false) = (self.agent.remote_credentials().cloned(), self.sent.is_empty()) else {
            return;
        };
        let sent = self.sent.swap_remove(usize::from(from) % self.sent.len());
        let request = Message::parse(&sent.payload).unwrap();
        let (class, id) = match error {
            Some(_) => (Class::ErrorResponse, request.transaction_id()),
            None => (Class::SuccessResponse, request.transaction_id()),
        };
        let mut message = MessageBuilder::new(class, Method::BINDING, id);
        message = match error {
            Some(code) => message.error_code(ErrorCode { code, reason: "" }),
            None => message.xor_mapped_address(sent.local),
        };
        let message = message.integrity(&IntegrityKey::new(remote.password.as_bytes())).finish();
        let source = if from % 16 == 0 { Self::address(from) } else { sent.remote };
        let _ = self.agent.handle_packet(self.now, sent.local, source, &message);
    }

    fn check(&mut self) {
        for sent in transmits(&mut self.agent) {
            if Message::parse(&sent.payload).unwrap().class() == Class::Request {
                self.sent.push(sent);
            }
        }
        while self.agent.poll_event().is_some() {}
        assert!(self.agent.pairs().count() <= 101);
        assert!(self.agent.remote_candidates().len() <= 100 && self.agent.local_candidates().len() <= 64);
        let mut turns = 0;
        while self.agent.poll_timeout().is_some_and(|at| at <= self.now) {
            self.agent.handle_timeout(self.now);
            turns += 1;
            assert!(turns < 50, "spins: {:?}", self.agent);
        }
        let has_pair = self.agent.selected_pair().is_some();
        let is_using =
            matches!(self.agent.state(), State::Connected | State::Completed | State::Disconnected);
        assert_eq!(has_pair, is_using, "{:?}", self.agent);
        if matches!(self.agent.state(), State::Failed | State::Closed) {
            assert_eq!(self.agent.poll_timeout(), None);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_change_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let (mut agent, ..) = checking_scene();
        let now = Instant::now();
        let before = format!("{agent:?}");
        let _ = agent.handle_packet(now, base(), remote(), &bytes);
        prop_assert_eq!(format!("{agent:?}"), before);
    }

    #[test]
    fn mutated_checks_never_panic(
        position in any::<prop::sample::Index>(),
        value in any::<u8>(),
        cut in 0..40_usize,
    ) {
        let (mut agent, mut peer, now) = scene();
        let mut request = peer.request(1, true).to_vec();
        let position = position.index(request.len());
        request[position] = value;
        request.truncate(request.len() - cut);
        let _ = agent.handle_packet(now, base(), remote(), &request);
    }

    #[test]
    fn any_sequence_of_calls_keeps_the_bounds(
        calls in proptest::collection::vec(any_call(), 1..120),
        lite in any::<bool>(),
        seed in 0..1_000_u64,
    ) {
        let mut configuration = config(Role::Controlling, seed, 0);
        configuration.lite = lite && seed % 2 == 0;
        let mut random = StdRng::seed_from_u64(seed);
        let now = Instant::now();
        let mut fuzz = Fuzz {
            agent: Agent::new(now, configuration, StdRng::seed_from_u64(seed)),
            now,
            remote: (0..3).map(|_| Credentials::generate(&mut random)).collect(),
            sent: Vec::new(),
            random,
        };
        for call in calls {
            fuzz.apply(call);
        }
    }
}
