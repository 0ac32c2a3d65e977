//! What an agent makes of datagrams and candidates nobody should send.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::super::*;
use super::peer::Peer;
use super::simulation::{A, World, config, payloads, transmits};
use crate::proto::stun::{AttributeType, Class, ErrorCode, IntegrityKey, Message, MessageBuilder, Method};

const PATH: (&str, &str) = ("192.0.2.1:5000", "198.51.100.1:7000");

pub(super) fn base() -> SocketAddr {
    PATH.0.parse().unwrap()
}

pub(super) fn remote() -> SocketAddr {
    PATH.1.parse().unwrap()
}

/// A controlled agent with one candidate, its peer, and the time.
pub(super) fn scene() -> (Agent, Peer, Instant) {
    let now = Instant::now();
    let mut agent = Agent::new(now, config(Role::Controlled, 3, 0), StdRng::seed_from_u64(5));
    agent.add_local_candidate(now, Candidate::host(base(), 65_535)).unwrap();
    let peer = Peer::of(&agent);
    (agent, peer, now)
}

/// The same with the peer's credentials and one candidate known, and its first check sent.
pub(super) fn checking_scene() -> (Agent, Peer, Instant, Bytes) {
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
fn item_8_a_good_check_is_answered_with_the_senders_address_and_signed() {
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
fn a2_item_7_unauthenticated_requests_are_refused_unsigned_sparingly_and_change_nothing() {
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
fn a2_a_short_request_is_not_answered_with_more_bytes() {
    let (mut agent, mut peer, now) = scene();
    let request = peer.start(Class::Request, Method::BINDING).finish_without_fingerprint();
    assert_eq!(request.len(), 20);
    agent.handle_packet(now, base(), remote(), &request).unwrap_err();
    assert!(payloads(&mut agent).is_empty());
}

#[test]
fn item_6_unknown_required_attributes_are_listed() {
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
fn item_11_indications_are_taken_and_never_answered() {
    let (mut agent, mut peer, now) = scene();
    let indication = peer.start(Class::Indication, Method::BINDING).finish();
    agent.handle_packet(now, base(), remote(), &indication).unwrap();
    assert!(payloads(&mut agent).is_empty());
}

#[test]
fn a9_a_nomination_behind_the_signature_is_ignored() {
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
fn a4_ten_thousand_authenticated_addresses_fill_no_table() {
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
fn a5_ten_thousand_candidates_are_capped_and_checked_slowly() {
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
fn a6_candidates_that_may_not_be_used_are_named() {
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
        ("candidate:1 1 tcp 1 192.0.2.9 9 typ host tcptype passive", IceError::ForbiddenAddress),
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
fn item_9_an_answer_that_is_not_signed_is_as_if_it_had_never_come() {
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
