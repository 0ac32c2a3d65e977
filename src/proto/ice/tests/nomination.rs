//! Following the nominations of peers that nominate in their own way.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::super::*;
use super::peer::Peer;
use super::simulation::{config, transmits};
use crate::proto::stun::{Class, Message};

/// A controlled agent, full or lite, and a peer that is played by hand from two addresses.
struct Scene {
    now: Instant,
    agent: Agent,
    peer: Peer,
    base: SocketAddr,
    good: SocketAddr,
    poor: SocketAddr,
}

impl Scene {
    fn new(lite: bool) -> Self {
        let mut configuration = config(Role::Controlled, 1, 0);
        configuration.lite = lite;
        let now = Instant::now();
        let mut agent = Agent::new(now, configuration, StdRng::seed_from_u64(9));
        let base = "192.0.2.1:5000".parse().unwrap();
        agent.add_local_candidate(now, Candidate::host(base, 65_535)).unwrap();
        let peer = Peer::of(&agent);
        agent.set_remote_credentials(now, peer.credentials.clone()).unwrap();
        let scene = Self {
            now,
            agent,
            peer,
            base,
            good: "198.51.100.1:1111".parse().unwrap(),
            poor: "198.51.100.1:2222".parse().unwrap(),
        };
        scene.check_events_are_new()
    }

    fn check_events_are_new(mut self) -> Self {
        while self.agent.poll_event().is_some() {}
        self
    }

    fn priority(&self, from: SocketAddr) -> u32 {
        if from == self.good { 2_000 } else { 1_000 }
    }

    /// The peer checks from an address, and answers what it is asked meanwhile.
    fn check(&mut self, from: SocketAddr, nominate: bool) {
        let request = self.peer.request(self.priority(from), nominate);
        self.agent.handle_packet(self.now, self.base, from, &request).unwrap();
        self.answer_all();
    }

    fn answer_all(&mut self) {
        for _ in 0..4 {
            self.now += Duration::from_millis(60);
            self.agent.handle_timeout(self.now);
            for sent in transmits(&mut self.agent) {
                let message = Message::parse(&sent.payload).unwrap();
                if message.class() == Class::Request {
                    let answer = self.peer.answer(&sent.payload, self.base);
                    self.agent.handle_packet(self.now, self.base, sent.remote, &answer).unwrap();
                }
            }
        }
    }

    fn selected(&self) -> Option<SocketAddr> {
        self.agent.selected_pair().map(|pair| pair.remote)
    }
}

/// Seen with aioice, which nominates with its first check: both control, and that check comes before we are told of it.
#[test]
fn a_role_that_a_check_before_signalling_took_is_not_taken_back_and_its_nomination_counts() {
    let mut configuration = config(Role::Controlling, 1, 0);
    configuration.tie_breaker = Some(0);
    let now = Instant::now();
    let mut agent = Agent::new(now, configuration, StdRng::seed_from_u64(9));
    let base = "192.0.2.1:5000".parse().unwrap();
    agent.add_local_candidate(now, Candidate::host(base, 65_535)).unwrap();
    let peer = Peer::of(&agent);
    let good = "198.51.100.1:1111".parse().unwrap();
    let mut scene = Scene { now, agent, peer, base, good, poor: good };
    let request = scene.peer.request(2_000, true);
    scene.agent.handle_packet(now, base, good, &request).unwrap();
    scene.agent.set_signalled_role(Role::Controlling);
    scene.agent.set_remote_credentials(now, scene.peer.credentials.clone()).unwrap();
    scene.answer_all();
    assert_eq!((scene.agent.role(), scene.selected()), (Role::Controlled, Some(good)));
    scene.agent.set_role(Role::Controlling);
    assert_eq!(scene.agent.role(), Role::Controlling, "who insists is obeyed");
}

#[test]
fn a_valid_pair_is_used_only_once_it_is_nominated() {
    for lite in [false, true] {
        let mut scene = Scene::new(lite);
        scene.check(scene.good, false);
        assert_eq!(scene.selected(), None);
        scene.check(scene.good, true);
        assert_eq!(scene.selected(), Some(scene.good));
    }
}

#[test]
fn of_aggressive_nominations_the_best_pair_is_used() {
    for lite in [false, true] {
        let mut scene = Scene::new(lite);
        scene.check(scene.poor, true);
        assert_eq!(scene.selected(), Some(scene.poor));
        scene.check(scene.good, true);
        assert_eq!(scene.selected(), Some(scene.good));
        scene.check(scene.poor, true);
        assert_eq!(scene.selected(), Some(scene.good), "one nomination of a worse pair changes nothing");
        scene.check(scene.good, true);
        scene.check(scene.poor, true);
        assert_eq!(scene.selected(), Some(scene.good));
    }
}

#[test]
fn a_peer_that_insists_on_a_worse_pair_is_followed() {
    for lite in [false, true] {
        let mut scene = Scene::new(lite);
        scene.check(scene.good, true);
        scene.check(scene.poor, true);
        scene.check(scene.poor, true);
        assert_eq!(scene.selected(), Some(scene.poor));
    }
}

#[test]
fn a_repeated_datagram_is_not_insistence() {
    let mut scene = Scene::new(false);
    scene.check(scene.good, true);
    scene.check(scene.poor, false);
    let request = scene.peer.request(1_000, true);
    for _ in 0..5 {
        scene.agent.handle_packet(scene.now, scene.base, scene.poor, &request).unwrap();
    }
    assert_eq!(scene.selected(), Some(scene.good));
}

#[test]
fn a_pair_in_doubt_is_left_at_once() {
    let mut scene = Scene::new(true);
    scene.check(scene.good, true);
    scene.now += Duration::from_secs(14);
    scene.agent.handle_timeout(scene.now);
    assert_eq!(scene.agent.state(), State::Disconnected);
    scene.check(scene.poor, true);
    assert_eq!(scene.selected(), Some(scene.poor));
    assert_eq!(scene.agent.state(), State::Completed);
}

#[test]
fn a_controlling_agent_is_not_nominated_to() {
    let mut scene = Scene::new(false);
    scene.agent.set_role(Role::Controlling);
    // Without a role attribute there is no conflict to resolve.
    let request = scene.peer.request_without_role(2_000, true);
    scene.agent.handle_packet(scene.now, scene.base, scene.good, &request).unwrap();
    assert_eq!(scene.selected(), None);
}

#[test]
fn the_controlling_agent_nominates_one_pair_once() {
    let mut world = super::simulation::World::new(21);
    for index in 1..4 {
        world.host(super::simulation::A, &format!("192.0.2.{index}:5000"), index);
        world.host(super::simulation::B, &format!("198.51.100.{index}:6000"), index);
    }
    world.signal_all();
    world.connect(Duration::from_secs(10));
    world.run_for(Duration::from_secs(60));
    let nominating = world.delivered.iter().filter(|sent| {
        let message = Message::parse(&sent.payload).unwrap();
        message.class() == Class::Request && message.use_candidate()
    });
    assert_eq!(nominating.count(), 1);
    let from_controlled = world.delivered.iter().any(|sent| {
        let message = Message::parse(&sent.payload).unwrap();
        message.use_candidate() && message.ice_controlled().is_some()
    });
    assert!(!from_controlled);
}
