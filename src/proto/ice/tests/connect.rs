//! Connecting: roles, trickle, networks, addresses, and not connecting.

use std::time::Duration;

use super::super::*;
use super::simulation::{A, B, Weather, World, config};

const PATIENT: Duration = Duration::from_secs(60);

#[test]
fn two_hosts_connect_within_a_few_check_intervals() {
    let mut world = World::two_hosts(1);
    world.connect(PATIENT);
    world.assert_agreed();
    // One round trip (20 ms) to check, one interval of pacing (50 ms), one round trip to nominate.
    assert!(world.elapsed() <= Duration::from_millis(100), "{:?}", world.elapsed());
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.states(), [State::Completed, State::Completed]);
    for side in [A, B] {
        assert_eq!(world.states_seen(side).first(), Some(&State::Checking));
        assert!(world.sides[side].sent <= 8, "{}", world.sides[side].sent);
    }
}

#[test]
fn every_seed_connects_through_foul_weather() {
    for seed in 0..150 {
        let mut world = World::two_hosts(seed);
        world.weather = Weather::foul();
        println!("seed {seed}");
        world.connect(PATIENT);
        // One in three round trips lost for minutes would end consent, and rightly so.
        world.weather.loss = 0.02;
        world.run_for(Duration::from_secs(120));
        world.assert_agreed();
        assert!(world.states().iter().all(|state| matches!(state, State::Completed | State::Disconnected)));
    }
}

#[test]
fn every_seed_connects_with_many_candidates_and_trickle() {
    for seed in 0..40 {
        println!("seed {seed}");
        let mut world = World::new(seed);
        world.weather = Weather { loss: 0.1, duplication: 0.1, delay_ms: 5..60 };
        for (index, preference) in [(1_u16, 100_u16), (2, 300), (3, 200)] {
            world.host(A, &format!("192.0.2.{index}:5000"), preference);
            world.host(A, &format!("[2001:db8::{index}]:5000"), preference + 1);
            world.host(B, &format!("198.51.100.{index}:6000"), preference);
            world.host(B, &format!("[2001:db8:1::{index}]:6000"), preference + 1);
        }
        world.signal_credentials(B);
        world.signal_credentials(A);
        for index in 0..6 {
            for to in [A, B] {
                let candidate = world.agent(1 - to).local_candidates()[index].clone();
                world.signal_candidate(to, &candidate).unwrap();
                world.run_for(Duration::from_millis(30));
            }
        }
        world.signal_end(A);
        world.signal_end(B);
        world.connect(PATIENT);
        world.run_for(Duration::from_secs(45));
        world.assert_agreed();
        for side in [A, B] {
            let agent = world.agent(side);
            assert!(matches!(agent.state(), State::Completed), "{:?}", agent.state());
        }
    }
}

#[test]
fn the_best_path_is_chosen_among_those_that_work() {
    let mut world = World::new(3);
    world.host(A, "192.0.2.1:5000", 10);
    world.host(A, "192.0.2.9:5000", 20);
    world.host(B, "198.51.100.1:6000", 10);
    world.host(B, "198.51.100.9:6000", 20);
    world.signal_all();
    world.connect(PATIENT);
    let pair = world.agent(A).selected_pair().unwrap();
    assert_eq!(pair.local, "192.0.2.9:5000".parse().unwrap());
    assert_eq!(pair.remote, "198.51.100.9:6000".parse().unwrap());

    let mut world = World::new(3);
    world.host(A, "192.0.2.1:5000", 10);
    world.host(A, "192.0.2.9:5000", 20);
    world.host(B, "198.51.100.1:6000", 10);
    let (one, other) = ("192.0.2.9".parse().unwrap(), "198.51.100.1".parse().unwrap());
    world.broken.extend([(one, other), (other, one)]);
    world.signal_all();
    world.connect(PATIENT);
    assert_eq!(world.agent(A).selected_pair().unwrap().local, "192.0.2.1:5000".parse().unwrap());
    // Not longer than the patience for the better pair.
    assert!(world.elapsed() < Duration::from_millis(500), "{:?}", world.elapsed());
}

#[test]
fn a8_both_controlling_or_both_controlled_ends_with_one_of_each() {
    for role in [Role::Controlling, Role::Controlled] {
        for seed in 0..40 {
            println!("seed {seed} {role:?}");
            let mut world = World::with(seed, config(role, seed, A), config(role, seed, B));
            world.weather = Weather { loss: 0.1, duplication: 0.1, delay_ms: 1..40 };
            if seed % 4 == 0 {
                world.agent(A).tie_breaker = 7;
                world.agent(B).tie_breaker = 7;
            }
            world.host(A, "192.0.2.1:5000", 65_535);
            world.host(B, "192.0.2.2:6000", 65_535);
            world.signal_all();
            world.connect(PATIENT);
            world.run_for(Duration::from_secs(45));
            world.assert_agreed();
            assert_ne!(world.agent(A).role(), world.agent(B).role());
        }
    }
}

#[test]
fn a_lite_agent_answers_and_is_nominated_to() {
    for seed in 0..20 {
        let mut lite = config(Role::Controlling, seed, B);
        lite.lite = true;
        let mut world = World::with(seed, config(Role::Controlled, seed, A), lite);
        world.weather = Weather { loss: 0.1, duplication: 0.1, delay_ms: 1..40 };
        world.host(A, "192.0.2.1:5000", 65_535);
        world.host(B, "192.0.2.2:6000", 65_535);
        world.agent(A).set_remote_lite(true);
        assert_eq!(world.agent(A).role(), Role::Controlling, "a full agent facing a lite one");
        assert_eq!(world.agent(B).role(), Role::Controlled);
        world.signal_all();
        world.connect(PATIENT);
        world.assert_agreed();
        world.run_for(Duration::from_secs(300));
        assert_eq!(world.states(), [State::Completed, State::Completed]);
        let requests = world.agent(B).pairs().map(|pair| pair.counters.requests_sent).sum::<u32>();
        assert_eq!(requests, 0, "a lite agent sends no checks");
    }
}

#[test]
fn a_lite_agent_needs_no_candidates_of_the_peer() {
    let mut world = World::with(1, config(Role::Controlling, 1, A), {
        let mut lite = config(Role::Controlled, 1, B);
        lite.lite = true;
        lite
    });
    world.host(A, "10.0.0.1:5000", 65_535);
    world.nat.insert("10.0.0.1:5000".parse().unwrap(), "203.0.113.1:40000".parse().unwrap());
    world.host(B, "192.0.2.2:6000", 65_535);
    world.signal_credentials(A);
    world.signal_candidates(A);
    world.signal_credentials(B);
    world.connect(PATIENT);
    world.assert_agreed();
    assert_eq!(world.agent(B).selected_pair().unwrap().remote_kind, CandidateKind::PeerReflexive);
}

#[test]
fn checks_that_come_before_the_answer_are_answered_and_used_later() {
    let mut world = World::new(5);
    world.host(A, "192.0.2.1:5000", 65_535);
    world.host(B, "192.0.2.2:6000", 65_535);
    // The answerer knows everything, the offerer nothing yet.
    world.signal_credentials(B);
    world.signal_candidates(B);
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.states(), [State::New, State::Checking]);
    let answered = world.agent(B).pairs().next().unwrap().counters.responses_received;
    assert!(answered > 0, "answered at once");
    world.signal_credentials(A);
    let before = world.elapsed();
    world.connect(PATIENT);
    assert!(world.elapsed() - before <= Duration::from_millis(120), "{:?}", world.elapsed() - before);
    world.assert_agreed();
}

#[test]
fn a_peer_behind_a_translator_is_learned_and_its_candidate_upgraded_in_place() {
    let mut world = World::new(6);
    let (base, public) = ("10.0.0.1:5000", "203.0.113.1:40000");
    world.host(A, base, 65_535);
    world.nat.insert(base.parse().unwrap(), public.parse().unwrap());
    world.host(B, "192.0.2.2:6000", 65_535);
    world.signal_credentials(A);
    world.signal_candidates(A);
    world.signal_credentials(B);
    world.connect(PATIENT);
    world.assert_agreed();
    let learned = world.agent(B).remote_candidates().to_vec();
    assert_eq!(learned.len(), 1);
    assert_eq!(learned[0].kind, CandidateKind::PeerReflexive);
    let own = world.agent(A).local_candidates().to_vec();
    assert!(
        own.iter().any(|c| c.kind == CandidateKind::PeerReflexive && c.address.ip() == public.parse().ok())
    );

    let now = world.now;
    let gathered = Candidate::server_reflexive(public.parse().unwrap(), base.parse().unwrap(), 65_535);
    let stored = world.agent(A).add_local_candidate(now, gathered).unwrap();
    world.signal_candidate(B, &stored).unwrap();
    let upgraded = world.agent(B).remote_candidates().to_vec();
    assert_eq!(upgraded.len(), 1);
    assert_eq!(upgraded[0].kind, CandidateKind::ServerReflexive);
    assert_eq!(world.agent(B).pairs().next().unwrap().remote_kind, CandidateKind::ServerReflexive);
    assert_eq!(world.agent(B).selected_pair().unwrap().remote_kind, CandidateKind::ServerReflexive);
}

#[test]
fn a_host_with_a_public_alias_is_reached_at_its_alias() {
    let mut world = World::new(7);
    let (base, public) = ("10.0.0.1:5000".parse().unwrap(), "203.0.113.1:5000".parse().unwrap());
    world.nat.insert(base, public);
    let now = world.now;
    world.agent(A).add_local_candidate(now, Candidate::mapped_host(public, base, 65_535)).unwrap();
    world.host(B, "192.0.2.2:6000", 65_535);
    world.signal_all();
    world.connect(PATIENT);
    world.assert_agreed();
    assert_eq!(world.agent(A).selected_pair().unwrap().local, base);
    assert_eq!(world.agent(B).selected_pair().unwrap().remote, public);
    assert_eq!(world.agent(A).local_candidates().len(), 1, "the alias is no new candidate");
}

#[test]
fn ipv6_and_link_local_hosts_connect() {
    for (a, b) in [("[2001:db8::1]:5000", "[2001:db8::2]:6000"), ("[fe80::1]:5000", "[fe80::2]:6000")] {
        let mut world = World::new(8);
        world.host(A, a, 65_535);
        world.host(B, b, 65_535);
        world.signal_all();
        world.connect(PATIENT);
        world.assert_agreed();
    }
}

#[test]
fn without_a_path_it_fails_after_the_patience_and_not_before() {
    let mut world = World::two_hosts(9);
    world.dark = true;
    world.run_for(PATIENT * 3);
    assert_eq!(world.states(), [State::Failed, State::Failed]);
    for side in [A, B] {
        let failed = world.time_of(side, |event| *event == Event::StateChanged(State::Failed)).unwrap();
        assert!((39_500..=40_000).contains(&failed.as_millis()), "{failed:?}");
        assert_eq!(world.states_seen(side), [State::Checking, State::Failed]);
        assert_eq!(world.agent(side).poll_timeout(), None, "a failed agent sleeps");
        assert!(world.sides[side].sent <= 7);
    }
}

#[test]
fn without_candidates_it_waits_for_the_peer_to_come() {
    // RFC 8863: an empty list of candidates is no failure; the peer's check is still to come.
    let mut world = World::new(10);
    world.host(A, "192.0.2.1:5000", 65_535);
    world.host(B, "192.0.2.2:6000", 65_535);
    world.signal_credentials(A);
    world.signal_end(A);
    world.run_for(Duration::from_secs(35));
    assert_eq!(world.agent(A).state(), State::Checking);
    world.signal_credentials(B);
    world.signal_candidates(B);
    world.connect(Duration::from_secs(1));
    world.assert_agreed();
}

#[test]
fn without_end_of_candidates_failing_takes_twice_as_long() {
    let mut world = World::new(11);
    world.host(A, "192.0.2.1:5000", 65_535);
    world.signal_credentials(A);
    world.run_for(PATIENT * 3);
    let failed = world.time_of(A, |event| *event == Event::StateChanged(State::Failed)).unwrap();
    assert_eq!(failed.as_millis(), 79_000);
}

#[test]
fn a_late_candidate_saves_the_connection() {
    let mut world = World::new(12);
    world.host(A, "192.0.2.1:5000", 65_535);
    world.host(B, "192.0.2.2:6000", 65_535);
    world.signal_credentials(A);
    world.signal_credentials(B);
    world.run_for(Duration::from_secs(30));
    world.signal_candidates(A);
    world.connect(Duration::from_secs(1));
    world.assert_agreed();
}

#[test]
fn a_wrong_password_never_connects() {
    let mut world = World::new(13);
    world.host(A, "192.0.2.1:5000", 65_535);
    world.host(B, "192.0.2.2:6000", 65_535);
    let (now, right) = (world.now, world.agent(B).local_credentials().clone());
    let wrong = Credentials::new(right.ufrag.clone(), "x".repeat(24)).unwrap();
    world.agent(A).set_remote_credentials(now, wrong).unwrap();
    world.signal_credentials(B);
    for side in [A, B] {
        world.signal_candidates(side);
        world.signal_end(side);
    }
    world.run_for(PATIENT * 3);
    assert_eq!(world.states(), [State::Failed, State::Failed]);
}

#[test]
fn closing_is_final_and_silent() {
    let mut world = World::two_hosts(14);
    world.connect(PATIENT);
    world.run_for(Duration::from_secs(1));
    world.agent(A).close();
    world.agent(A).close();
    world.drain();
    let sent = world.sides[A].sent;
    assert_eq!(world.agent(A).state(), State::Closed);
    assert_eq!(world.agent(A).selected_pair(), None);
    assert_eq!(world.agent(A).poll_timeout(), None);
    world.run_for(PATIENT);
    assert_eq!(world.sides[A].sent, sent, "a closed agent sends nothing");
    assert_eq!(world.agent(B).state(), State::Failed, "and so revokes the peer's consent");
    let now = world.now;
    let credentials = world.agent(B).local_credentials().clone();
    assert_eq!(world.agent(A).set_remote_credentials(now, credentials), Err(IceError::Closed));
}

#[test]
fn relayed_pairs_are_nominated_only_when_nothing_direct_answers() {
    let mut world = World::new(15);
    let (relayed, mapped) = ("192.0.2.200:49152".parse().unwrap(), "203.0.113.9:1234".parse().unwrap());
    let now = world.now;
    world.agent(A).add_local_candidate(now, Candidate::relayed(relayed, mapped, 65_535)).unwrap();
    world.host(A, "192.0.2.1:5000", 65_535);
    world.host(B, "198.51.100.1:6000", 65_535);
    world.signal_all();
    world.connect(PATIENT);
    assert_eq!(world.agent(A).selected_pair().unwrap().local_kind, CandidateKind::Host);

    let mut world = World::new(15);
    world.agent(A).add_local_candidate(now, Candidate::relayed(relayed, mapped, 65_535)).unwrap();
    world.host(A, "192.0.2.1:5000", 65_535);
    world.host(B, "198.51.100.1:6000", 65_535);
    let (one, other) = ("192.0.2.1".parse().unwrap(), "198.51.100.1".parse().unwrap());
    world.broken.extend([(one, other), (other, one)]);
    world.signal_all();
    world.connect(PATIENT);
    assert_eq!(world.agent(A).selected_pair().unwrap().local, relayed);
    assert!(world.elapsed() < Duration::from_secs(1), "{:?}", world.elapsed());
}

#[test]
fn a_peer_whose_translation_changes_is_followed_when_it_nominates_again() {
    let mut world = World::new(16);
    let base = "10.0.0.1:5000".parse().unwrap();
    world.host(A, "10.0.0.1:5000", 65_535);
    world.nat.insert(base, "203.0.113.1:40000".parse().unwrap());
    world.host(B, "192.0.2.2:6000", 65_535);
    world.signal_all();
    world.connect(PATIENT);
    world.run_for(Duration::from_secs(1));
    let rebound = "203.0.113.1:41111".parse().unwrap();
    world.nat.insert(base, rebound);
    // A browser repeats USE-CANDIDATE in its checks; this agent does not, so it is made to.
    let pair = world.agent(A).selected_pair().unwrap().id;
    for _ in 0..2 {
        let now = world.now;
        world.agent(A).nominating = Some(pair);
        world.agent(A).list.trigger_first(pair);
        world.agent(A).wake(now);
        world.run_for(Duration::from_secs(2));
    }
    assert_eq!(world.agent(B).selected_pair().unwrap().remote, rebound);
    world.run_for(PATIENT);
    assert!(world.agent(B).selected_pair().is_some());
}
