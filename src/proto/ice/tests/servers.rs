//! Gathering from servers, relays and the common pace (protocols.md items 13, 23 and 27; RFC 8445
//! sections 5.1 and 14.2), in virtual time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::super::*;
use super::simulation::{A, World, config};
use crate::proto::stun::{AttributeType, Class, ErrorCode, Message, MessageBuilder, Method, TransactionId};
use crate::proto::{Protocol, Transmit};

const BASE: &str = "192.0.2.1:5000";
const SERVER: &str = "198.51.100.1:3478";
const MAPPED: &str = "203.0.113.9:6000";

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A gathering and everything that it sent, with the times.
struct Setup {
    gathering: Gathering,
    start: Instant,
    now: Instant,
    sent: Vec<(Duration, Transmit)>,
    events: Vec<(Duration, GatheringEvent)>,
}

impl Setup {
    fn new() -> Self {
        let start = Instant::now();
        let gathering = Gathering::new(Some(Arc::new(Pacer::new())), StdRng::seed_from_u64(3));
        Self { gathering, start, now: start, sent: Vec::new(), events: Vec::new() }
    }

    fn ask(&mut self, base: &str, server: &str, index: usize) {
        self.gathering.ask(self.now, address(base), address(server), index);
    }

    fn run(&mut self, duration: Duration) {
        let until = self.now + duration;
        loop {
            while let Some(transmit) = self.gathering.poll_transmit() {
                self.sent.push((self.now - self.start, transmit));
            }
            while let Some(event) = self.gathering.poll_event() {
                self.events.push((self.now - self.start, event));
            }
            let Some(next) = self.gathering.poll_timeout().filter(|next| *next <= until) else { break };
            self.now = self.now.max(next);
            self.gathering.handle_timeout(self.now);
        }
        self.now = until;
    }

    fn last_request(&self) -> TransactionId {
        Message::parse(&self.sent.last().unwrap().1.payload).unwrap().transaction_id()
    }

    fn receive(&mut self, local: &str, remote: &str, bytes: &[u8]) -> bool {
        self.gathering.handle_packet(self.now, address(local), address(remote), bytes)
    }
}

fn success(id: TransactionId, mapped: &str) -> Bytes {
    MessageBuilder::new(Class::SuccessResponse, Method::BINDING, id)
        .xor_mapped_address(address(mapped))
        .finish()
}

#[test]
fn a_mapping_is_told_and_kept_alive_until_it_is_not_needed() {
    let mut setup = Setup::new();
    setup.ask(BASE, SERVER, 7);
    setup.run(Duration::from_millis(30));
    assert_eq!((setup.sent[0].1.local, setup.sent[0].1.remote), (address(BASE), address(SERVER)));
    let answer = success(setup.last_request(), MAPPED);
    assert!(setup.receive(BASE, SERVER, &answer));
    assert!(!setup.receive(BASE, SERVER, &answer), "once");
    setup.run(Duration::from_millis(1));
    let expected = GatheringEvent::Reflexive { base: address(BASE), mapped: address(MAPPED), server: 7 };
    assert_eq!(setup.events[0].1, expected);
    assert!(setup.gathering.is_done());
    setup.run(Duration::from_secs(46));
    let indications = setup.sent[1..].iter().map(|(_, sent)| Message::parse(&sent.payload).unwrap().class());
    assert_eq!(indications.collect::<Vec<_>>(), [Class::Indication; 3]);
    setup.gathering.release_mappings();
    assert_eq!(setup.gathering.poll_timeout(), None);
}

#[test]
fn requests_are_repeated_by_the_timers_of_rfc_8489_and_given_up_after_5_seconds() {
    let mut setup = Setup::new();
    setup.ask(BASE, SERVER, 0);
    setup.run(Duration::from_secs(60));
    let times: Vec<_> = setup.sent.iter().map(|(at, _)| at.as_millis()).collect();
    assert_eq!(times, [0, 500, 1_500, 3_500]);
    let (at, event) = &setup.events[0];
    assert_eq!(*at, Duration::from_secs(5));
    assert!(matches!(event, GatheringEvent::Failed { code: UNREACHABLE, .. }));
    assert!(setup.gathering.is_done() && setup.gathering.poll_timeout().is_none());
}

#[test]
fn servers_are_asked_one_after_the_other() {
    let mut setup = Setup::new();
    for index in 0..10 {
        setup.ask(&format!("192.0.2.{}:5000", index + 1), SERVER, index);
    }
    setup.run(Duration::from_millis(400));
    let times: Vec<_> = setup.sent.iter().map(|(at, _)| at.as_millis()).collect();
    assert_eq!(times.len(), 10);
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= 20), "{times:?}");
}

#[test]
fn families_do_not_mix_and_what_is_too_much_is_not_asked() {
    let mut setup = Setup::new();
    setup.ask(BASE, "[2001:db8::1]:3478", 0);
    assert!(setup.gathering.is_done());
    for index in 0..1_000u16 {
        setup.ask(&format!("192.0.2.1:{}", 1_000 + index), SERVER, 0);
    }
    setup.run(Duration::from_secs(4));
    let different: std::collections::HashSet<_> = setup.sent.iter().map(|(_, sent)| sent.local).collect();
    assert_eq!(different.len(), 64);
}

#[test]
fn errors_are_told_with_the_code_of_the_server() {
    let mut setup = Setup::new();
    setup.ask(BASE, SERVER, 0);
    setup.run(Duration::from_millis(1));
    let answer = MessageBuilder::new(Class::ErrorResponse, Method::BINDING, setup.last_request())
        .error_code(ErrorCode { code: 401, reason: "Un\nauthenticated" })
        .finish();
    assert!(setup.receive(BASE, SERVER, &answer));
    setup.run(Duration::from_millis(1));
    assert!(matches!(&setup.events[0].1,
        GatheringEvent::Failed { code: 401, reason, .. } if reason == "Unauthenticated"));
}

#[test]
fn servers_of_rfc_3489_are_understood() {
    let mut setup = Setup::new();
    setup.ask(BASE, SERVER, 0);
    setup.run(Duration::from_millis(1));
    let answer = MessageBuilder::new(Class::SuccessResponse, Method::BINDING, setup.last_request())
        .address(AttributeType::MAPPED_ADDRESS, address(MAPPED))
        .finish();
    assert!(setup.receive(BASE, SERVER, &answer));
    setup.run(Duration::from_millis(1));
    assert!(matches!(setup.events[0].1, GatheringEvent::Reflexive { .. }));
}

#[test]
fn answers_of_others_and_useless_answers_give_no_candidate() {
    let mut setup = Setup::new();
    setup.ask(BASE, SERVER, 0);
    setup.run(Duration::from_millis(1));
    let right = success(setup.last_request(), MAPPED);
    assert!(!setup.receive(BASE, "198.51.100.66:3478", &right), "another server");
    assert!(!setup.receive("192.0.2.1:5001", SERVER, &right), "another socket");
    assert!(!setup.receive(BASE, SERVER, &success(TransactionId([0; 12]), MAPPED)), "another request");
    let request = setup.sent[0].1.payload.clone();
    assert!(!setup.receive(BASE, SERVER, &request), "the request itself, reflected");
    for useless in ["0.0.0.0:5", "203.0.113.9:0", "224.0.0.1:5", "[2001:db8::1]:5"] {
        let mut setup = Setup::new();
        setup.ask(BASE, SERVER, 0);
        setup.run(Duration::from_millis(1));
        let answer = success(setup.last_request(), useless);
        assert!(setup.receive(BASE, SERVER, &answer));
        setup.run(Duration::from_millis(1));
        assert!(matches!(setup.events[0].1, GatheringEvent::Failed { code: 701, .. }), "{useless}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_gathering_panic(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        let mut setup = Setup::new();
        setup.ask(BASE, SERVER, 0);
        setup.run(Duration::from_millis(1));
        setup.receive(BASE, SERVER, &bytes);
    }
}

#[test]
fn item_23_many_agents_keep_one_pace() {
    let pacer = Arc::new(Pacer::new());
    let start = Instant::now();
    let mut agents: Vec<Agent> = (0..40)
        .map(|seed| {
            let mut config = config(Role::Controlling, seed, A);
            config.pacer = Some(Arc::clone(&pacer));
            let mut agent = Agent::new(start, config, StdRng::seed_from_u64(seed));
            agent.add_local_candidate(start, Candidate::host(address(BASE), 65_535)).unwrap();
            let remote = Credentials::generate(&mut StdRng::seed_from_u64(500 + seed));
            agent.set_remote_credentials(start, remote).unwrap();
            for host in 2..7 {
                let candidate = Candidate::host(SocketAddr::new([192, 0, 2, host].into(), 6_000), 65_535);
                agent.add_remote_candidate(start, candidate).unwrap();
            }
            agent
        })
        .collect();
    let (mut now, mut seen, mut times) = (start, std::collections::HashSet::new(), Vec::new());
    while let Some(next) = agents.iter().filter_map(Agent::poll_timeout).min() {
        now = now.max(next);
        if now - start > Duration::from_secs(3) {
            break;
        }
        for agent in &mut agents {
            if agent.poll_timeout().is_some_and(|at| at <= now) {
                agent.handle_timeout(now);
            }
            while let Some(transmit) = agent.poll_transmit() {
                // Repetitions have no pace of their own.
                if seen.insert(Message::parse(&transmit.payload).unwrap().transaction_id()) {
                    times.push(now);
                }
            }
        }
    }
    assert_eq!(times.len(), 40 * 5, "every agent had its turns");
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= Duration::from_millis(5)));
}

#[test]
fn item_27_an_agent_without_any_candidate_waits_39_5_seconds() {
    let mut world = World::new(1);
    world.signal_all();
    world.run_for(Duration::from_millis(39_400));
    assert_eq!(world.agent(A).state(), State::Checking);
    world.run_for(Duration::from_millis(200));
    assert_eq!(world.agent(A).state(), State::Failed);
}

#[test]
fn candidates_of_different_servers_have_different_foundations_and_tell_where_they_are_from() {
    let (mapped, base) = (address(MAPPED), address(BASE));
    let of = |url: &str| {
        Candidate::server_reflexive(mapped, base, 1).from_server(Arc::new(url.parse::<ServerUrl>().unwrap()))
    };
    assert_ne!(of("stun:a.example.org").foundation, of("stun:b.example.org").foundation);
    assert_eq!(of("stun:a.example.org").foundation, of("stun:a.example.org").foundation);
    assert_eq!(of("stun:a.example.org").server.unwrap().to_string(), "stun:a.example.org:3478");
    let hidden = Candidate::relayed(mapped, base, 1).without_related_address().to_string();
    assert!(hidden.ends_with("raddr 0.0.0.0 rport 9"), "{hidden}");
}

#[test]
fn a_redundant_candidate_is_not_added() {
    let mut world = World::new(1);
    world.host(A, BASE, 65_535);
    let now = world.now;
    let same = Candidate::server_reflexive(address(BASE), address(BASE), 65_535);
    let known = world.agent(A).add_local_candidate(now, same).unwrap();
    assert_eq!(known.kind, CandidateKind::Host, "RFC 8445 section 5.1.3");
    assert_eq!(world.agent(A).local_candidates().len(), 1);
}

#[test]
fn a_lost_relay_takes_its_candidates_and_pairs_away() {
    let mut world = World::new(1);
    let relayed = address("198.51.100.7:50000");
    let now = world.now;
    world.agent(A).add_local_candidate(now, Candidate::relayed(relayed, address(MAPPED), 1)).unwrap();
    world.host(super::simulation::B, "192.0.2.2:6000", 65_535);
    world.signal_all();
    assert_eq!(world.agent(A).pairs().count(), 1);
    world.agent(A).remove_local_base(now, Protocol::Udp, relayed);
    assert_eq!((world.agent(A).pairs().count(), world.agent(A).local_candidates().len()), (0, 0));
    world.run_for(Duration::from_secs(60));
    assert_eq!(world.agent(A).state(), State::Failed);
}

#[test]
fn losing_the_relay_in_use_is_told_at_once_and_a_restart_over_another_helps() {
    let mut world = World::new(1);
    let [first, second] = ["198.51.100.7:50000", "198.51.100.7:50001"].map(address);
    let now = world.now;
    world.agent(A).add_local_candidate(now, Candidate::relayed(first, address(MAPPED), 1)).unwrap();
    world.host(super::simulation::B, "192.0.2.2:6000", 65_535);
    world.signal_all();
    world.connect(Duration::from_secs(10));
    let now = world.now;
    world.agent(A).remove_local_base(now, Protocol::Udp, first);
    assert_eq!(world.agent(A).state(), State::Disconnected);
    // A new relay of the same server.
    world.agent(A).add_local_candidate(now, Candidate::relayed(second, address(MAPPED), 1)).unwrap();
    assert_eq!(world.agent(A).local_candidates().len(), 1);
}
