//! What the RFCs demand and nothing else here shows by name. The numbers are those of `docs/ice-tests.md`.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::super::*;
use super::hostile::{base, checking_scene, remote, scene};
use super::peer::Peer;
use super::simulation::{A, B, World, config, payloads, transmits};
use crate::proto::stun::{
    AttributeType, Class, ErrorCode, IntegrityKey, Message, MessageBuilder, Method, TransactionId,
};

/// A controlling agent facing a lite peer played by hand, its first check answered.
fn nominating_scene() -> (Agent, Peer, std::time::Instant, Vec<u8>) {
    let now = std::time::Instant::now();
    let mut agent = Agent::new(now, config(Role::Controlled, 3, 0), StdRng::seed_from_u64(5));
    agent.set_remote_lite(true);
    agent.add_local_candidate(now, Candidate::host(base(), 65_535)).unwrap();
    let peer = Peer::of(&agent);
    agent.set_remote_credentials(now, peer.credentials.clone()).unwrap();
    agent.add_remote_candidate(now, Candidate::host(remote(), 65_535)).unwrap();
    agent.end_of_remote_candidates(now);
    agent.handle_timeout(now);
    let check = payloads(&mut agent).pop().unwrap();
    agent.handle_packet(now, base(), remote(), &peer.answer(&check, base())).unwrap();
    let now = now + Duration::from_millis(50);
    agent.handle_timeout(now);
    let nomination = payloads(&mut agent).pop().expect("the nomination follows");
    assert!(Message::parse(&nomination).unwrap().use_candidate());
    (agent, peer, now, nomination.to_vec())
}

#[test]
fn item_4_the_signature_covers_a_length_that_ends_with_it() {
    let key = IntegrityKey::new(b"secret");
    let message =
        MessageBuilder::new(Class::Request, Method::BINDING, TransactionId([3; 12])).username("a:b");
    let mut bytes = message.integrity(&key).finish_without_fingerprint().to_vec();
    assert!(Message::parse(&bytes).unwrap().verify_integrity(&key));
    // Whatever is appended, the signature stays right as long as the real length is in the header.
    bytes.extend_from_slice(&[0xC0, 0x57, 0, 4, 1, 2, 3, 4]);
    let length = u16::try_from(bytes.len() - 20).unwrap();
    bytes[2..4].copy_from_slice(&length.to_be_bytes());
    assert!(Message::parse(&bytes).unwrap().verify_integrity(&key));
    bytes[21] ^= 1;
    assert!(!Message::parse(&bytes).is_ok_and(|message| message.verify_integrity(&key)));
}

#[test]
fn item_5_padding_is_sent_as_zeros_and_read_as_anything() {
    let message = MessageBuilder::new(Class::Request, Method::BINDING, TransactionId([3; 12]));
    let mut bytes = message.username("abcde").finish_without_fingerprint().to_vec();
    assert_eq!(bytes[24..], *b"abcde\0\0\0");
    bytes[29..].fill(0xFF);
    assert_eq!(Message::parse(&bytes).unwrap().username(), Some("abcde"));
}

#[test]
fn item_6_unknown_optional_attributes_are_ignored() {
    let (mut agent, mut peer, now) = scene();
    let (username, key) = (peer.username(), peer.key());
    let request = peer.start(Class::Request, Method::BINDING).username(&username).priority(1);
    let request = request.attribute(AttributeType(0xC123), b"what?").integrity(&key).finish();
    agent.handle_packet(now, base(), remote(), &request).unwrap();
    let answer = payloads(&mut agent).pop().unwrap();
    assert_eq!(Message::parse(&answer).unwrap().class(), Class::SuccessResponse);
}

#[test]
fn item_10_every_transaction_has_a_random_id_of_its_own() {
    let mut world = World::two_hosts(41);
    world.connect(Duration::from_secs(5));
    world.run_for(Duration::from_secs(3_600));
    let mut seen: HashMap<TransactionId, Vec<u8>> = HashMap::new();
    for sent in &world.delivered {
        let message = Message::parse(&sent.payload).unwrap();
        if message.class() == Class::Request {
            let before = seen.insert(message.transaction_id(), sent.payload.to_vec());
            assert!(before.is_none_or(|before| before == sent.payload), "an id for two requests");
        }
    }
    assert!(seen.len() > 1_000, "{}", seen.len());
    let bytes: Vec<u8> = seen.keys().flat_map(|id| id.0).collect();
    let ones = bytes.iter().map(|byte| byte.count_ones()).sum::<u32>() as f64 / (bytes.len() * 8) as f64;
    assert!((0.48..0.52).contains(&ones), "{ones}");
}

#[test]
fn item_11_not_even_an_indication_with_an_unknown_attribute_is_answered() {
    let (mut agent, mut peer, now) = scene();
    for attribute in [AttributeType(0x7123), AttributeType(0xC123)] {
        let indication =
            peer.start(Class::Indication, Method::BINDING).attribute(attribute, b"what?").finish();
        agent.handle_packet(now, base(), remote(), &indication).unwrap();
    }
    assert!(payloads(&mut agent).is_empty());
    assert!(agent.remote_candidates().is_empty());
}

#[test]
fn item_21_checks_on_other_pairs_are_answered_after_the_nomination() {
    let mut world = World::two_hosts(42);
    world.connect(Duration::from_secs(5));
    world.run_for(Duration::from_secs(60));
    let pair = world.agent(A).selected_pair().unwrap();
    let mut peer = Peer::of(world.agent(A));
    let request = peer.request(1, false);
    let elsewhere: SocketAddr = "198.51.100.77:7777".parse().unwrap();
    // The peer claims to control as well: the one with the larger tie-breaker is told so, and answers.
    world.agent(A).tie_breaker = 0;
    world.agent(A).role = Role::Controlled;
    let now = world.now;
    world.agent(A).handle_packet(now, pair.local, elsewhere, &request).unwrap();
    let answers = transmits(world.agent(A));
    let answer = answers.iter().find(|sent| sent.remote == elsewhere).expect("answered");
    assert_eq!(Message::parse(&answer.payload).unwrap().class(), Class::SuccessResponse);
    assert_eq!(world.agent(A).selected_pair(), Some(pair));
}

#[test]
fn item_22_the_number_of_pairs_is_configurable() {
    let now = std::time::Instant::now();
    let mut configuration = config(Role::Controlling, 3, 0);
    configuration.max_pairs = 5;
    let mut agent = Agent::new(now, configuration, StdRng::seed_from_u64(5));
    agent.add_local_candidate(now, Candidate::host(base(), 65_535)).unwrap();
    let peer = Peer::of(&agent);
    agent.set_remote_credentials(now, peer.credentials).unwrap();
    for host in 1..=50_u8 {
        let address = SocketAddr::new([198, 51, 100, host].into(), 5000);
        agent.add_remote_candidate(now, Candidate::host(address, u16::from(host))).unwrap();
    }
    let mut hosts: Vec<_> = agent.pairs().map(|pair| pair.remote.to_string()).collect();
    hosts.sort();
    let best: Vec<_> = (46..=50).map(|host| format!("198.51.100.{host}:5000")).collect();
    assert_eq!(hosts, best, "the best stay");
}

#[test]
fn item_31_an_alternate_server_is_not_followed_and_rfc_3489_not_spoken() {
    let (mut agent, peer, now, check) = checking_scene();
    let key = IntegrityKey::new(peer.credentials.password.as_bytes());
    let elsewhere = "203.0.113.66:3478".parse().unwrap();
    let redirection = peer
        .refusal(&check, ErrorCode { code: 300, reason: "Try Alternate" })
        .address(AttributeType(0x8023), elsewhere)
        .integrity(&key)
        .finish();
    agent.handle_packet(now, base(), remote(), &redirection).unwrap();
    assert_eq!(agent.pairs().next().unwrap().state, PairState::Failed);
    let mut time = now;
    while let Some(next) = agent.poll_timeout().filter(|next| *next < now + Duration::from_secs(30)) {
        time = time.max(next);
        agent.handle_timeout(time);
        assert!(transmits(&mut agent).iter().all(|sent| sent.remote != elsewhere));
    }
    // RFC 3489 had no cookie.
    let (mut agent, mut peer, now) = scene();
    let mut request = peer.request(1, false).to_vec();
    request[4..8].fill(7);
    assert_eq!(agent.handle_packet(now, base(), remote(), &request), Err(Rejected::Malformed));
    assert!(payloads(&mut agent).is_empty());
}

#[test]
fn a_check_of_the_peer_triggers_ours_unless_the_pair_is_valid() {
    for (state, is_triggered) in [
        (PairState::Frozen, true),
        (PairState::Waiting, true),
        // RFC 8445 section 7.3.1.4: the check under way is cancelled and another one sent.
        (PairState::InProgress, true),
        (PairState::Failed, true),
        (PairState::Succeeded, false),
    ] {
        let (mut agent, mut peer, now, check) = checking_scene();
        match state {
            PairState::Succeeded => {
                agent.handle_packet(now, base(), remote(), &peer.answer(&check, base())).unwrap();
            }
            state => agent.list.iter_mut().next().unwrap().state = state,
        }
        let request = peer.request(1, false);
        agent.handle_packet(now, base(), remote(), &request).unwrap();
        agent.handle_timeout(now + Duration::from_millis(50));
        let sent = payloads(&mut agent);
        let checks = sent.iter().filter(|sent| Message::parse(sent).unwrap().class() == Class::Request);
        assert_eq!(checks.count(), usize::from(is_triggered), "{state:?}");
        assert_eq!(agent.pairs().count(), 1, "{state:?}");
    }
}

#[test]
fn the_decision_drops_what_waits() {
    let mut world = World::new(43);
    world.host(A, "192.0.2.1:5000", 65_535);
    world.host(B, "198.51.100.1:6000", 65_535);
    for host in 1..20 {
        // Nobody is there, and pacing leaves most of them unchecked.
        let address = SocketAddr::new([203, 0, 113, host].into(), 5000);
        let now = world.now;
        world.agent(A).add_remote_candidate(now, Candidate::host(address, 1)).unwrap();
    }
    world.signal_all();
    world.connect(Duration::from_secs(5));
    let waiting = |world: &mut World| {
        let states: Vec<_> = world.agent(A).pairs().map(|pair| pair.state).collect();
        states.into_iter().filter(|state| matches!(state, PairState::Waiting | PairState::Frozen)).count()
    };
    assert_eq!(waiting(&mut world), 0);
    let sent = world.sides[A].sent;
    world.run_for(Duration::from_secs(30));
    assert_eq!(world.agent(A).pairs().count(), 1);
    assert!(world.sides[A].sent - sent < 20, "no check of what was dropped");
}

#[test]
fn a_nomination_that_a_lite_peer_refuses_fails() {
    let (mut agent, peer, now, nomination) = nominating_scene();
    let key = IntegrityKey::new(peer.credentials.password.as_bytes());
    let refusal = peer.refusal(&nomination, ErrorCode { code: 500, reason: "no" }).integrity(&key).finish();
    agent.handle_packet(now, base(), remote(), &refusal).unwrap();
    assert_eq!(agent.selected_pair(), None);
    let mut time = now;
    while agent.state() != State::Failed {
        time = agent.poll_timeout().expect("it ends").max(time);
        agent.handle_timeout(time);
        assert!(transmits(&mut agent).is_empty(), "a pair that failed is not tried again");
    }
    assert!(time - now < Duration::from_secs(40));
}

#[test]
fn an_answer_after_repetitions_counts_and_ends_them() {
    for repetitions in [1, 6] {
        let (mut agent, peer, now, check) = checking_scene();
        let (mut time, mut sent) = (now, 0);
        while sent < repetitions {
            time = agent.poll_timeout().unwrap().max(time);
            agent.handle_timeout(time);
            for repeated in payloads(&mut agent) {
                assert_eq!(repeated, check);
                sent += 1;
            }
        }
        agent.handle_packet(time, base(), remote(), &peer.answer(&check, base())).unwrap();
        assert_eq!(agent.pairs().next().unwrap().state, PairState::Succeeded);
        while let Some(next) = agent.poll_timeout().filter(|next| *next < now + Duration::from_secs(70)) {
            agent.handle_timeout(next);
            assert!(payloads(&mut agent).iter().all(|sent| *sent != check));
        }
    }
}

#[test]
fn an_address_that_is_written_differently_is_the_same() {
    let now = std::time::Instant::now();
    let mut agent = Agent::new(now, config(Role::Controlled, 3, 0), StdRng::seed_from_u64(5));
    let (base, from) = ("[2001:db8::2]:1234".parse().unwrap(), "[2001:db8::1]:2345".parse().unwrap());
    agent.add_local_candidate(now, Candidate::host(base, 65_535)).unwrap();
    let mut peer = Peer::of(&agent);
    agent.set_remote_credentials(now, peer.credentials.clone()).unwrap();
    for line in
        ["1 1 udp 99 2001:DB8:0::1 2345 typ host", "2 1 UDP 98 2001:db8::1 2345 typ srflx raddr ::1 rport 1"]
    {
        agent.add_remote_candidate(now, line.parse().unwrap()).unwrap();
    }
    let request = peer.request(1, false);
    agent.handle_packet(now, base, from, &request).unwrap();
    assert_eq!(agent.pairs().count(), 1);
    let [known] = agent.remote_candidates() else { panic!("{:?}", agent.remote_candidates()) };
    assert_eq!((known.kind, known.foundation.as_str()), (CandidateKind::Host, "1"));
}

#[test]
fn item_29_candidates_nobody_understands_fail_neither_a_description_nor_the_others() {
    let lines = [
        "candidate:1 1 udp 1 host.example.org 5000 typ host",
        "candidate:2 1 sctp 1 192.0.2.1 5000 typ host",
        "candidate:3 1 udp 1 192.0.2.1 5000 typ future",
        "candidate:4 1 udp 1 198.51.100.1 7000 typ host future-extension of-value generation 0",
    ];
    let attributes: String = lines.iter().map(|line| format!("a={line}\r\n")).collect();
    let text = format!(
        "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\n\
         c=IN IP4 0.0.0.0\r\na=mid:0\r\na=ice-ufrag:abcd\r\na=ice-pwd:{}\r\n{attributes}",
        "p".repeat(22)
    );
    let description: crate::proto::sdp::SessionDescription = text.parse().unwrap();
    let (mut agent, peer, now) = scene();
    agent.set_remote_credentials(now, peer.credentials).unwrap();
    let results: Vec<_> = description.media[0]
        .candidates
        .iter()
        .map(|line| agent.add_remote_candidate(now, line.parse()?))
        .collect();
    assert_eq!(
        results,
        [
            Err(IceError::UnresolvedName),
            Err(IceError::UnsupportedTransport),
            Err(IceError::UnknownCandidateType),
            Ok(())
        ]
    );
    assert_eq!(agent.pairs().map(|pair| pair.remote).collect::<Vec<_>>(), [remote()]);
}
