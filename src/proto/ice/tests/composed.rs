//! Several components in virtual time, and pairs that the owner chooses.

use std::time::Duration;

use super::super::*;
use super::simulation::{A, B, World, config};

const PATIENT: Duration = Duration::from_secs(60);

/// Two connections of several components: a network for each component, and what composes the agents of a
/// side.
struct Composed {
    worlds: Vec<World>,
    sides: [Components; 2],
    /// Events of each world and side that were handed on.
    read: Vec<[usize; 2]>,
    removed: [Vec<u8>; 2],
}

impl Composed {
    fn new(seed: u64, counts: [u8; 2], roles: [Role; 2]) -> Self {
        let count = counts[A].max(counts[B]);
        let world = |component: u8| {
            let [a, b] = [A, B].map(|side| {
                let mut config = config(roles[side], seed, side);
                (config.component, config.tie_breaker) = (component, Some(seed * 2 + side as u64));
                config
            });
            let mut world = World::with(seed + u64::from(component), a, b);
            for (side, address) in [(A, "192.0.2.1"), (B, "198.51.100.1")] {
                if component <= counts[side] {
                    world.host(side, &format!("{address}:500{component}"), 65_535);
                }
                world.signal_credentials(side);
            }
            world
        };
        Self {
            worlds: (1..=count).map(world).collect(),
            sides: [A, B].map(|side| Components::new(counts[side], roles[side])),
            read: vec![[0; 2]; usize::from(count)],
            removed: [Vec::new(), Vec::new()],
        }
    }

    fn signal(&mut self) {
        for (world, component) in self.worlds.iter_mut().zip(1..) {
            for side in [A, B] {
                if !world.agent(1 - side).local_candidates().is_empty()
                    && self.sides[side].handle_remote_candidate(component)
                {
                    world.signal_candidates(side);
                }
            }
        }
        for side in [A, B] {
            self.sides[side].end_of_remote_candidates();
        }
        self.apply();
    }

    /// Hands what the agents tell to the compositions, and what those decide to the agents.
    fn apply(&mut self) {
        for ((world, read), component) in self.worlds.iter_mut().zip(&mut self.read).zip(1..) {
            for side in [A, B] {
                for (_, event) in &world.sides[side].events[read[side]..] {
                    match event {
                        Event::StateChanged(state) => self.sides[side].handle_state(component, *state),
                        Event::RoleChanged(role) => self.sides[side].handle_role(component, *role),
                        Event::SelectedPairChanged(_) => {}
                    }
                }
                read[side] = world.sides[side].events.len();
            }
        }
        for side in [A, B] {
            while let Some(event) = self.sides[side].poll_event() {
                match event {
                    ComponentEvent::SetRole(component, role) => {
                        self.worlds[usize::from(component) - 1].agent(side).set_role(role);
                    }
                    ComponentEvent::Removed(component) => {
                        self.removed[side].push(component);
                        self.worlds[usize::from(component) - 1].agent(side).close();
                    }
                    _ => {}
                }
            }
        }
    }

    fn run_for(&mut self, duration: Duration) {
        let steps = duration.as_millis() / 10;
        for _ in 0..steps {
            for world in &mut self.worlds {
                world.run_for(Duration::from_millis(10));
            }
            self.apply();
        }
    }

    fn states(&self) -> [State; 2] {
        [self.sides[A].state(), self.sides[B].state()]
    }
}

#[test]
fn candidates_of_a_component_carry_its_number_and_priority() {
    let composed = Composed::new(1, [2, 2], [Role::Controlling, Role::Controlled]);
    for (world, component) in composed.worlds.iter().zip(1_u8..) {
        let candidate = &world.sides[A].agent.local_candidates()[0];
        assert_eq!(candidate.component, component);
        assert_eq!(candidate.priority, priority(CandidateKind::Host, 65_535, component));
    }
}

#[test]
fn a_candidate_of_one_component_is_never_paired_in_another() {
    let mut composed = Composed::new(2, [2, 2], [Role::Controlling, Role::Controlled]);
    let of_first = composed.worlds[0].agent(B).local_candidates()[0].clone();
    let result = composed.worlds[1].signal_candidate(A, &of_first);
    assert_eq!(result, Err(IceError::WrongComponent));
}

#[test]
fn all_components_connect_and_agree_on_roles_whatever_they_begin_with() {
    use Role::{Controlled, Controlling};
    for roles in [[Controlling, Controlled], [Controlling; 2], [Controlled; 2]] {
        for seed in 0..10 {
            println!("seed {seed} {roles:?}");
            let mut composed = Composed::new(seed, [3, 3], roles);
            composed.signal();
            composed.run_for(Duration::from_secs(3));
            for world in &composed.worlds {
                world.assert_agreed();
                assert_eq!(world.sides[A].agent.role(), composed.sides[A].role());
                assert_eq!(world.sides[B].agent.role(), composed.sides[B].role());
            }
            assert_ne!(composed.sides[A].role(), composed.sides[B].role());
            assert!(composed.states().iter().all(|s| matches!(s, State::Connected | State::Completed)));
        }
    }
}

#[test]
fn two_components_meet_one_and_the_second_is_removed() {
    let mut composed = Composed::new(3, [2, 1], [Role::Controlling, Role::Controlled]);
    composed.signal();
    assert_eq!(composed.removed, [vec![2], vec![]]);
    composed.run_for(Duration::from_secs(3));
    assert!(composed.states().iter().all(|s| matches!(s, State::Connected | State::Completed)));
    assert_eq!(composed.sides[A].numbers().collect::<Vec<_>>(), [1]);
}

#[test]
fn a_component_that_loses_its_path_decides_for_the_whole() {
    let mut composed = Composed::new(4, [2, 2], [Role::Controlling, Role::Controlled]);
    composed.signal();
    composed.run_for(Duration::from_secs(3));
    composed.worlds[1].dark = true;
    composed.run_for(Duration::from_secs(15));
    assert_eq!(composed.states(), [State::Disconnected; 2]);
    composed.run_for(Duration::from_secs(30));
    assert_eq!(composed.states(), [State::Failed; 2]);
    assert!(composed.worlds[0].agent(A).selected_pair().is_some(), "the other goes on");
}

fn foundations(world: &mut World, side: usize) -> (String, String) {
    let agent = world.agent(side);
    (agent.local_candidates()[0].foundation.clone(), agent.remote_candidates()[0].foundation.clone())
}

#[test]
fn a_chosen_pair_carries_data_at_once_and_its_consent_is_checked() {
    let mut world = World::new(5);
    world.host(A, "192.0.2.1:5000", 65_535);
    world.host(B, "198.51.100.1:6000", 65_535);
    for side in [A, B] {
        world.signal_candidates(side);
    }
    for side in [A, B] {
        let (now, (local, remote)) = (world.now, foundations(&mut world, side));
        assert_eq!(world.agent(side).select_pair(now, &local, "nobody"), Err(IceError::UnknownPair));
        world.agent(side).select_pair(now, &local, &remote).unwrap();
        assert_eq!(world.agent(side).state(), State::Connected);
    }
    world.assert_agreed();
    for side in [A, B] {
        world.signal_credentials(side);
    }
    world.run_for(PATIENT * 5);
    assert!(world.agent(A).selected_pair().is_some(), "answers keep it");
    world.dark = true;
    world.run_for(Duration::from_secs(31));
    assert_eq!(world.states(), [State::Failed; 2]);
}

#[test]
fn a_chosen_pair_without_credentials_ends_with_the_life_of_a_consent() {
    let mut world = World::new(6);
    world.host(A, "192.0.2.1:5000", 65_535);
    world.host(B, "198.51.100.1:6000", 65_535);
    world.signal_candidates(A);
    let (now, (local, remote)) = (world.now, foundations(&mut world, A));
    world.agent(A).select_pair(now, &local, &remote).unwrap();
    world.run_for(Duration::from_secs(29));
    assert!(world.agent(A).selected_pair().is_some());
    world.run_for(Duration::from_secs(2));
    assert_eq!(world.agent(A).state(), State::Failed);
    let now = world.now;
    assert_eq!(world.agent(A).select_pair(now, &local, &remote), Err(IceError::Closed));
}

#[test]
fn a_full_check_list_still_takes_the_chosen_pair() {
    let mut world = World::two_hosts(7);
    world.connect(PATIENT);
    world.run_for(Duration::from_secs(1));
    let (now, (local, remote)) = (world.now, foundations(&mut world, A));
    let before = world.agent(A).selected_pair();
    world.agent(A).select_pair(now, &local, &remote).unwrap();
    assert_eq!(world.agent(A).selected_pair(), before, "it is the same pair");
    world.run_for(PATIENT);
    world.assert_agreed();
}
