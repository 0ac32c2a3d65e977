//! Restart: new credentials, the old pair in use until a new one is nominated (RFC 8445 section 9).

use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::super::*;
use super::simulation::{A, B, World, config};

const MINUTE: Duration = Duration::from_secs(60);

fn connected(seed: u64) -> World {
    let mut world = World::two_hosts(seed);
    world.connect(MINUTE);
    world.run_for(Duration::from_secs(1));
    world
}

fn restart(world: &mut World, side: usize, seed: u64) {
    let (now, credentials) = (world.now, Credentials::generate(&mut StdRng::seed_from_u64(seed)));
    world.agent(side).restart(now, credentials).unwrap();
}

fn lost_its_pair(world: &World, side: usize) -> bool {
    world.sides[side].events.iter().any(|(_, event)| *event == Event::SelectedPairChanged(None))
}

fn nominations(world: &World, side: usize) -> usize {
    let events = world.sides[side].events.iter();
    events.filter(|(_, event)| matches!(event, Event::SelectedPairChanged(Some(_)))).count()
}

/// Offer with new credentials, then the answer: the offerer restarts first.
fn negotiate_restart(world: &mut World, seed: u64) {
    restart(world, A, seed);
    // The answerer learns of it before it has made its own new credentials.
    world.signal_credentials(B);
    world.signal_candidates(B);
    world.signal_end(B);
    world.run_for(Duration::from_millis(35));
    restart(world, B, seed + 1);
    world.run_for(Duration::from_millis(35));
    world.signal_credentials(A);
    world.signal_candidates(A);
    world.signal_end(A);
}

#[test]
fn the_old_pair_stays_until_the_new_one_is_nominated() {
    for seed in 0..60 {
        println!("seed {seed}");
        let mut world = connected(seed);
        world.weather.loss = 0.1;
        let old = world.agent(A).selected_pair().unwrap();
        negotiate_restart(&mut world, 500 + seed);
        for side in [A, B] {
            assert!(world.agent(side).selected_pair().is_some(), "the old pair carries on");
        }
        let renewed =
            world.run_until(MINUTE, |world| nominations(world, A) == 2 && nominations(world, B) == 2);
        assert!(renewed, "{:?}", world.states());
        world.weather.loss = 0.0;
        world.run_for(MINUTE);
        world.assert_agreed();
        assert_eq!(world.states(), [State::Completed, State::Completed]);
        assert!(!lost_its_pair(&world, A) && !lost_its_pair(&world, B));
        assert_ne!(world.agent(A).selected_pair().unwrap().id, old.id);
        assert_eq!(world.agent(A).pairs().count(), 1, "nothing is left of the old generation");
    }
}

#[test]
fn the_answerer_may_change_its_credentials_before_it_learns_the_offerers() {
    let mut world = connected(100);
    restart(&mut world, A, 700);
    restart(&mut world, B, 701);
    for to in [B, A] {
        world.signal_credentials(to);
        world.signal_candidates(to);
        world.signal_end(to);
    }
    assert!(world.run_until(MINUTE, |world| nominations(world, A) == 2 && nominations(world, B) == 2));
    world.run_for(MINUTE);
    world.assert_agreed();
    assert_eq!(world.states(), [State::Completed, State::Completed]);
}

#[test]
fn restarts_in_a_row_and_from_either_side_work() {
    for seed in 0..20 {
        println!("seed {seed}");
        let mut world = connected(seed);
        for round in 0..5 {
            negotiate_restart(&mut world, 900 + seed * 10 + round);
            if round == 2 {
                // Impatient: again before the first is done.
                negotiate_restart(&mut world, 2_000 + seed);
            }
            world.run_for(Duration::from_secs(10));
            world.assert_agreed();
            assert_eq!(world.states(), [State::Completed, State::Completed], "round {round}");
        }
        assert!(!lost_its_pair(&world, A) && !lost_its_pair(&world, B));
    }
}

#[test]
fn an_unanswered_restart_leaves_the_connection_as_it_is() {
    let mut world = connected(101);
    restart(&mut world, A, 800);
    world.run_for(MINUTE * 10);
    assert_eq!(world.states()[A], State::Connected);
    assert_eq!(world.states()[B], State::Completed);
    world.assert_agreed();
    let counters = world.agent(A).pairs().next().unwrap().counters;
    assert!(counters.consent_requests_sent > 100, "consent goes on with the old credentials");
}

#[test]
fn a_restart_on_a_dead_path_loses_the_old_pair_and_finds_a_new_one() {
    let mut world = connected(102);
    world.dark = true;
    world.run_for(Duration::from_secs(20));
    negotiate_restart(&mut world, 810);
    world.run_for(Duration::from_secs(13));
    assert_eq!(world.states(), [State::Checking, State::Checking]);
    assert!(lost_its_pair(&world, A));
    world.dark = false;
    world.connect(MINUTE);
    world.run_for(MINUTE);
    assert_eq!(world.states(), [State::Completed, State::Completed]);
}

#[test]
fn a_restart_revives_a_failed_agent() {
    let mut world = connected(103);
    world.dark = true;
    world.run_for(MINUTE);
    assert_eq!(world.states(), [State::Failed, State::Failed]);
    world.dark = false;
    negotiate_restart(&mut world, 820);
    world.connect(MINUTE);
    world.run_for(MINUTE);
    assert_eq!(world.states(), [State::Completed, State::Completed]);
}

#[test]
fn a_restart_can_move_to_another_path() {
    let mut world = connected(104);
    world.host(A, "198.51.100.7:5000", 65_535);
    let (a, b) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
    world.broken.extend([(a, b), (b, a)]);
    world.run_for(Duration::from_secs(15));
    assert_eq!(world.states(), [State::Disconnected, State::Disconnected]);
    negotiate_restart(&mut world, 830);
    world.run_for(Duration::from_secs(5));
    world.assert_agreed();
    assert_eq!(world.states(), [State::Connected, State::Connected].map(|_| world.states()[A]));
    assert_eq!(world.agent(A).selected_pair().unwrap().local, "198.51.100.7:5000".parse().unwrap());
    assert!(!lost_its_pair(&world, A));
}

#[test]
fn candidates_of_another_generation_are_refused() {
    let mut world = connected(105);
    let old = world.agent(B).local_candidates()[0].clone();
    assert!(old.ufrag.is_some());
    assert_eq!(world.signal_candidate(A, &old), Err(IceError::AfterEndOfCandidates));
    negotiate_restart(&mut world, 840);
    assert_eq!(world.signal_candidate(A, &old), Err(IceError::StaleCandidate));
    let new = world.agent(B).local_candidates()[0].clone();
    assert_eq!(new.ufrag.as_deref(), Some(world.agent(B).local_credentials().ufrag.as_str()));
}

#[test]
fn both_ufrags_find_the_agent_during_a_restart() {
    let mut world = connected(106);
    let old = world.agent(A).local_credentials().ufrag.clone();
    restart(&mut world, A, 850);
    let new = world.agent(A).local_credentials().ufrag.clone();
    assert!(world.agent(A).is_addressed_by(&old) && world.agent(A).is_addressed_by(&new));
    assert!(!world.agent(A).is_addressed_by("other"));
}

#[test]
fn the_same_credentials_again_are_no_restart() {
    let mut world = connected(107);
    let pair = world.agent(A).selected_pair();
    world.signal_credentials(A);
    assert_eq!(world.agent(A).selected_pair(), pair);
    assert_eq!(world.states(), [State::Completed, State::Completed]);
}

#[test]
fn a_lite_agent_restarts_too() {
    for lite_first in [false, true] {
        let mut lite = config(Role::Controlled, 108, B);
        lite.lite = true;
        let mut world = World::with(108, config(Role::Controlling, 108, A), lite);
        world.host(A, "192.0.2.1:5000", 65_535);
        world.host(B, "192.0.2.2:6000", 65_535);
        world.agent(A).set_remote_lite(true);
        world.signal_all();
        world.connect(MINUTE);
        world.run_for(Duration::from_secs(10));
        if lite_first {
            restart(&mut world, B, 860);
            world.signal_credentials(A);
            world.signal_candidates(A);
            world.run_for(Duration::from_millis(40));
            restart(&mut world, A, 861);
            world.signal_credentials(B);
        } else {
            negotiate_restart(&mut world, 862);
        }
        world.signal_end(A);
        world.signal_end(B);
        world.run_for(MINUTE);
        world.assert_agreed();
        assert_eq!(world.states(), [State::Completed, State::Completed]);
        assert_eq!((nominations(&world, A), nominations(&world, B)), (2, 2));
        assert!(!lost_its_pair(&world, A) && !lost_its_pair(&world, B));
    }
}

#[test]
fn checks_of_the_peers_old_generation_do_not_count_for_the_new_one() {
    // The peer restarted, our side has not made its new credentials yet: both generations share our
    // ufrag, and only the peer's half of USERNAME tells them apart.
    let mut world = connected(109);
    restart(&mut world, A, 870);
    world.signal_credentials(B);
    let before = world.agent(B).pairs().next().unwrap();
    world.run_for(Duration::from_secs(7));
    let pairs: Vec<_> = world.agent(B).pairs().collect();
    assert_eq!(pairs.len(), 1, "no pair of the new generation came from old checks");
    assert!(pairs[0].counters.requests_received > before.counters.requests_received);
}
