//! Consent: kept, doubted, lost, and never extended by a stranger (RFC 7675).

use std::time::Duration;

use super::super::*;
use super::simulation::{A, B, World, config, transmits};

const MINUTE: Duration = Duration::from_secs(60);

fn connected(seed: u64) -> World {
    let mut world = World::two_hosts(seed);
    world.connect(MINUTE);
    world.run_for(Duration::from_secs(1));
    world
}

#[test]
fn an_idle_connection_lives_for_an_hour_on_few_packets() {
    let mut world = connected(1);
    let before = [world.sides[A].sent, world.sides[B].sent];
    world.run_for(MINUTE * 60);
    assert_eq!(world.states(), [State::Completed, State::Completed]);
    for side in [A, B] {
        let counters = world.agent(side).pairs().next().unwrap().counters;
        assert!((600..=900).contains(&counters.consent_requests_sent), "{counters:?}");
        // Own checks and answers to the peer's.
        assert!(world.sides[side].sent - before[side] <= 1_800, "{}", world.sides[side].sent);
        assert_eq!(counters.current_round_trip, Some(Duration::from_millis(20)));
        assert!(counters.round_trip_measurements >= 600);
    }
}

#[test]
fn silence_disconnects_first_and_ends_everything_after_30_seconds() {
    let mut world = connected(2);
    world.run_for(Duration::from_secs(20));
    let silent_since = world.elapsed();
    world.dark = true;
    world.run_for(MINUTE);
    for side in [A, B] {
        let doubt = world.time_of(side, |event| *event == Event::StateChanged(State::Disconnected)).unwrap();
        let lost = world.time_of(side, |event| *event == Event::SelectedPairChanged(None)).unwrap();
        // The second check in a row and a second of waiting; the last answer came up to 6 s earlier.
        let doubt = (doubt - silent_since).as_millis();
        assert!((4_000..=13_100).contains(&doubt), "{doubt}");
        let lost_after = (lost - silent_since).as_millis();
        assert!((23_900..=30_020).contains(&lost_after), "{lost_after}");
        assert_eq!(world.agent(side).state(), State::Failed);
        assert_eq!(world.agent(side).selected_pair(), None);
    }
    let sent = world.sides[A].sent;
    world.dark = false;
    world.run_for(MINUTE);
    assert_eq!(world.sides[A].sent, sent, "consent does not come back by itself");
    assert_eq!(world.states(), [State::Failed, State::Failed]);
}

#[test]
fn a_short_silence_is_survived() {
    let mut world = connected(3);
    world.dark = true;
    world.run_for(Duration::from_secs(16));
    assert_eq!(world.states(), [State::Disconnected, State::Disconnected]);
    assert!(world.agent(A).selected_pair().is_some(), "sending goes on while consent lasts");
    world.dark = false;
    world.run_for(Duration::from_secs(7));
    assert_eq!(world.states(), [State::Completed, State::Completed]);
    let pair_events = world.sides[A].events.iter();
    let pair_events = pair_events.filter(|(_, event)| matches!(event, Event::SelectedPairChanged(_))).count();
    assert_eq!(pair_events, 1);
}

#[test]
fn a_path_that_works_in_one_direction_only_loses_consent_on_both_sides() {
    let mut world = connected(4);
    world.one_way = true;
    world.run_for(MINUTE);
    assert_eq!(world.states(), [State::Failed, State::Failed]);
}

#[test]
fn a_lite_agent_notices_that_the_peer_is_gone() {
    let mut lite = config(Role::Controlled, 5, B);
    lite.lite = true;
    let mut world = World::with(5, config(Role::Controlling, 5, A), lite);
    world.host(A, "192.0.2.1:5000", 65_535);
    world.host(B, "192.0.2.2:6000", 65_535);
    world.signal_all();
    world.connect(MINUTE);
    world.run_for(MINUTE * 10);
    assert_eq!(world.states(), [State::Completed, State::Completed]);
    assert!(!world.states_seen(B).contains(&State::Disconnected));
    let silent_since = world.elapsed();
    world.dark = true;
    world.run_for(MINUTE);
    assert!(world.states_seen(B).contains(&State::Disconnected));
    let lost = world.time_of(B, |event| *event == Event::SelectedPairChanged(None)).unwrap();
    assert!(lost - silent_since <= Duration::from_secs(30));
    assert_eq!(world.agent(B).state(), State::Failed);
}

#[test]
fn a10_replayed_and_misplaced_answers_do_not_extend_consent() {
    let mut world = connected(6);
    world.run_for(Duration::from_secs(30));
    let last_real = world.now;
    let recorded = std::mem::take(&mut world.delivered);
    world.dark = true;
    // Everything that ever arrived is played again and again from its true address ...
    for _ in 0..60 {
        world.run_for(Duration::from_secs(1));
        for old in recorded.iter().filter(|old| old.remote.port() == 5000) {
            let _ = world.inject(A, old.remote, old.local, &old.payload);
        }
    }
    let lost = world.time_of(A, |event| *event == Event::SelectedPairChanged(None)).unwrap();
    assert!(world.start + lost <= last_real + Duration::from_secs(30), "{lost:?}");
    assert_eq!(world.agent(A).state(), State::Failed);
}

#[test]
fn a10_a_genuine_answer_on_another_path_does_not_extend_consent() {
    let mut world = connected(7);
    world.dark = true;
    let (a, b) = ("192.0.2.1:5000".parse().unwrap(), "192.0.2.2:6000".parse().unwrap());
    let stranger = "192.0.2.66:6000".parse().unwrap();
    let mut misplaced = 0;
    for _ in 0..400 {
        world.now += Duration::from_millis(100);
        let now = world.now;
        world.agent(A).handle_timeout(now);
        for check in transmits(world.agent(A)) {
            let _ = world.inject(B, b, a, &check.payload);
            for answer in transmits(world.agent(B)) {
                let result = world.inject(A, a, stranger, &answer.payload);
                assert!(matches!(result, Err(Rejected::AsymmetricResponse)), "{result:?}");
                misplaced += 1;
            }
        }
    }
    assert!(misplaced >= 5, "{misplaced}");
    assert_eq!(world.agent(A).state(), State::Failed);
}
