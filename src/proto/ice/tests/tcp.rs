//! ICE over TCP (RFC 6544): who pairs with whom, checks without retransmission, lost connections, consent.
//!
//! A connection of an active candidate is an address translation here: what leaves its base comes from another port.

use std::time::Duration;

use super::super::*;
use super::simulation::{A, B, World, config};
use crate::proto::Protocol;

const PATIENT: Duration = Duration::from_secs(60);
const ACTIVE: &str = "192.0.2.1:9";
const CONNECTION: &str = "192.0.2.1:40001";
const LISTENER: &str = "192.0.2.2:6000";

fn tcp(world: &mut World, side: usize, tcp_type: TcpType, address: &str) -> Candidate {
    let (now, candidate) = (world.now, Candidate::tcp_host(tcp_type, address.parse().unwrap(), 65_535));
    world.agent(side).add_local_candidate(now, candidate).unwrap().as_ref().clone()
}

/// One side opens, the other listens. Both have a candidate of the kind that is not paired as well.
fn over_tcp(mut world: World, opens: usize) -> World {
    let listens = 1 - opens;
    tcp(&mut world, opens, TcpType::Active, ACTIVE);
    tcp(&mut world, listens, TcpType::Passive, LISTENER);
    tcp(&mut world, listens, TcpType::Active, "192.0.2.2:9");
    world.nat.insert(ACTIVE.parse().unwrap(), CONNECTION.parse().unwrap());
    world.signal_all();
    world
}

#[test]
fn item_38_an_active_and_a_passive_side_connect_whoever_controls() {
    for opens in [A, B] {
        let mut world = over_tcp(World::new(1), opens);
        world.connect(PATIENT);
        world.assert_agreed();
        assert!(world.elapsed() <= Duration::from_millis(150), "{:?}", world.elapsed());
        let (active, passive) = (opens, 1 - opens);
        let pair = world.agent(active).selected_pair().unwrap();
        assert_eq!((pair.protocol, pair.remote), (Protocol::Tcp, LISTENER.parse().unwrap()));
        assert_eq!((pair.local_kind, pair.remote_kind), (CandidateKind::Host, CandidateKind::Host));
        let pair = world.agent(passive).selected_pair().unwrap();
        assert_eq!((pair.protocol, pair.remote), (Protocol::Tcp, CONNECTION.parse().unwrap()));
        assert_eq!(pair.remote_kind, CandidateKind::PeerReflexive);
        // No pair of the listener's was formed before a connection came, and none with an active candidate.
        for side in [A, B] {
            assert_eq!(world.agent(side).pairs().count(), 1);
        }
        let mapped = world.agent(active).local_candidates().last().unwrap().clone();
        assert_eq!((mapped.kind, mapped.protocol), (CandidateKind::PeerReflexive, Protocol::Tcp));
        assert_eq!(mapped.priority >> 24, 80, "RFC 6544 section 4.2: below all of UDP");
    }
}

#[test]
fn a_lite_agent_accepts_connections() {
    let mut lite = config(Role::Controlled, 2, B);
    lite.lite = true;
    let mut world = World::with(2, config(Role::Controlling, 2, A), lite);
    world.agent(A).set_remote_lite(true);
    let mut world = over_tcp(world, A);
    world.connect(PATIENT);
    world.assert_agreed();
}

#[test]
fn udp_is_preferred_and_tcp_is_what_is_left() {
    let mut world = World::new(3);
    world.host(A, "192.0.2.1:5000", 65_535);
    world.host(B, "192.0.2.2:6000", 65_535);
    let mut world = over_tcp(world, A);
    world.connect(PATIENT);
    assert_eq!(world.agent(A).selected_pair().unwrap().protocol, Protocol::Udp);

    let mut world = World::new(3);
    world.host(A, "192.0.2.1:5000", 65_535);
    world.host(B, "198.51.100.9:6000", 65_535);
    let path = ("192.0.2.1".parse().unwrap(), "198.51.100.9".parse().unwrap());
    world.broken.extend([path, (path.1, path.0)]);
    let mut world = over_tcp(world, A);
    world.connect(PATIENT);
    assert_eq!(world.agent(A).selected_pair().unwrap().protocol, Protocol::Tcp);
    assert_eq!(world.agent(B).selected_pair().unwrap().protocol, Protocol::Tcp);
}

#[test]
fn a_udp_and_a_tcp_socket_of_equal_addresses_are_two() {
    let mut world = World::new(4);
    world.host(A, ACTIVE, 65_535);
    world.host(B, LISTENER, 65_535);
    world.host(A, CONNECTION, 1);
    let mut world = over_tcp(world, A);
    world.connect(PATIENT);
    let agent = world.agent(B);
    assert_eq!(agent.local_candidates().len(), 3);
    let protocols: Vec<_> = agent.remote_candidates().iter().map(|candidate| candidate.protocol).collect();
    assert!(protocols.contains(&Protocol::Udp) && protocols.contains(&Protocol::Tcp));
}

#[test]
fn candidates_for_simultaneous_opens_are_taken_and_not_paired() {
    let mut world = World::new(5);
    tcp(&mut world, A, TcpType::Active, ACTIVE);
    tcp(&mut world, A, TcpType::Passive, "192.0.2.1:5000");
    world.host(B, LISTENER, 1);
    world.signal_credentials(A);
    let now = world.now;
    for line in [
        "candidate:1 1 tcp 1518280447 192.0.2.2 6001 typ host tcptype so",
        "candidate:1 1 tcp 1518280447 192.0.2.2 9 typ host tcptype active",
        "candidate:1 1 tcp 1518280447 192.0.2.2 6002 typ host",
    ] {
        world.agent(A).add_remote_candidate(now, line.parse().unwrap()).unwrap();
    }
    assert_eq!(world.agent(A).pairs().count(), 0);
    let passive = "candidate:1 1 tcp 1518280447 192.0.2.2 22 typ host tcptype passive".parse().unwrap();
    assert_eq!(world.agent(A).add_remote_candidate(now, passive), Err(IceError::ForbiddenAddress));
}

#[test]
fn checks_over_tcp_are_sent_once_and_fail_with_their_connection() {
    let mut world = over_tcp(World::new(6), A);
    world.dark = true;
    world.run_for(Duration::from_secs(30));
    let pair = world.agent(A).pairs().next().unwrap();
    assert_eq!((pair.state, pair.counters.requests_sent), (PairState::InProgress, 1));
    let now = world.now;
    let (local, remote) = (ACTIVE.parse().unwrap(), LISTENER.parse().unwrap());
    world.agent(A).path_lost(now, Protocol::Udp, local, remote);
    assert_eq!(world.agent(A).pairs().next().unwrap().state, PairState::InProgress, "another 5-tuple");
    world.agent(A).path_lost(now, Protocol::Tcp, local, remote);
    assert_eq!(world.agent(A).pairs().next().unwrap().state, PairState::Failed);
    world.run_for(Duration::from_secs(10));
    assert_eq!(world.agent(A).state(), State::Failed, "when the patience of RFC 8863 is over");
    assert_eq!(world.time_of(A, |event| *event == Event::StateChanged(State::Failed)), Some(PATIENCE));
}

const PATIENCE: Duration = Duration::from_millis(39_500);

#[test]
fn item_35_consent_is_asked_for_over_tcp_and_a_lost_connection_is_a_doubt_at_once() {
    let mut world = over_tcp(World::new(7), A);
    world.connect(PATIENT);
    world.run_for(Duration::from_secs(60));
    let pair = world.agent(A).pairs().next().unwrap();
    assert!((10..=15).contains(&pair.counters.consent_requests_sent), "{:?}", pair.counters);
    assert_eq!(world.states(), [State::Completed; 2]);

    world.dark = true;
    let now = world.now;
    world.agent(A).path_lost(now, Protocol::Tcp, ACTIVE.parse().unwrap(), LISTENER.parse().unwrap());
    world.agent(B).path_lost(now, Protocol::Tcp, LISTENER.parse().unwrap(), CONNECTION.parse().unwrap());
    assert_eq!(world.states(), [State::Disconnected; 2]);
    // The connection is opened again, from another port: the peer learns that the pair is a new one.
    world.dark = false;
    world.nat.insert(ACTIVE.parse().unwrap(), "192.0.2.1:40002".parse().unwrap());
    world.run_for(Duration::from_secs(7));
    assert_eq!(world.states(), [State::Completed; 2]);
    world.assert_agreed();
    world.dark = true;
    world.run_for(Duration::from_secs(36));
    assert_eq!(world.states(), [State::Failed; 2]);
    assert!(world.agent(A).selected_pair().is_none());
}

#[test]
fn the_loss_of_the_selected_address_is_a_doubt_and_a_restart_recovers() {
    let mut world = World::two_hosts(8);
    world.connect(PATIENT);
    world.run_for(Duration::from_secs(1));
    world.agent(A).local_address_lost("192.0.2.77".parse().unwrap());
    assert_eq!(world.agent(A).state(), State::Completed, "another address");
    // The cable is out.
    let (one, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
    world.broken.extend([(one, other), (other, one)]);
    world.agent(A).local_address_lost(one);
    assert_eq!(world.agent(A).state(), State::Disconnected);
    world.run_for(Duration::from_secs(3));

    // ICE restart: present interfaces are listed anew.
    let now = world.now;
    for side in [A, B] {
        let credentials = config(Role::Controlling, 900, side).credentials;
        world.agent(side).restart(now, credentials).unwrap();
    }
    world.agent(A).remove_local_base(now, Protocol::Udp, "192.0.2.1:5000".parse().unwrap());
    world.host(A, "198.51.100.1:5000", 65_535);
    world.signal_all();
    let recovered = world.run_until(Duration::from_secs(5), |world| {
        world.sides.iter().all(|side| matches!(side.agent.state(), State::Connected | State::Completed))
    });
    assert!(recovered, "{:?}", world.states());
    assert_eq!(
        world.agent(A).selected_pair().unwrap().local.ip(),
        "198.51.100.1".parse::<std::net::IpAddr>().unwrap()
    );
    world.assert_agreed();
}
