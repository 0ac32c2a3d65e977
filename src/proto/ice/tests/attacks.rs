//! Floods of what is not authentic (protocols.md A1 and A3).

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use super::super::*;
use super::hostile::{base, checking_scene, remote};
use super::peer::Peer;
use super::simulation::{A, B, World, payloads};
use crate::proto::stun::{AttributeType, Class, IntegrityKey, MessageBuilder, Method, TransactionId};

/// What a stranger can make of its knowledge of both ufrags: checks signed with a guess, cut, changed, of other classes
/// and methods, with values too short.
fn attack_set(victim: &Agent, random: &mut StdRng) -> Vec<Bytes> {
    let mut peer = Peer::of(victim);
    let wrong = IntegrityKey::new(b"a guess that is wrong");
    let username = peer.username();
    let check = peer.start(Class::Request, Method::BINDING).username(&username).priority(u32::MAX);
    let check = check.ice_controlling(u64::MAX).use_candidate().integrity(&wrong).finish();
    let mut set: Vec<Bytes> = (0..check.len()).step_by(4).map(|length| check.slice(..length)).collect();
    for _ in 0..40 {
        let mut bytes = check.to_vec();
        let at = random.random_range(0..bytes.len());
        bytes[at] ^= 1 << random.random_range(0..8);
        set.push(bytes.into());
    }
    let classes = [Class::Request, Class::Indication, Class::SuccessResponse, Class::ErrorResponse];
    let methods = [Method::BINDING, Method::ALLOCATE, Method::DATA];
    for (class, method) in classes.into_iter().flat_map(|class| methods.map(|method| (class, method))) {
        let start = || {
            let id = TransactionId([class as u8; 12]);
            MessageBuilder::new(class, method, id).username(&username).priority(u32::MAX).use_candidate()
        };
        set.push(start().finish());
        set.push(start().integrity(&wrong).finish());
        set.push(start().attribute(AttributeType::PRIORITY, &[1]).integrity(&wrong).finish());
    }
    set
}

/// Sends the set from a thousand ports to both agents.
fn attack(world: &mut World, random: &mut StdRng) {
    for port in 20_000..21_000 {
        for (side, local) in [(A, "192.0.2.1:5000"), (B, "192.0.2.2:6000")] {
            let mut set = attack_set(world.agent(side), random);
            set.shuffle(random);
            // All of the set at each port would only take longer.
            for datagram in set.iter().take(3) {
                let from = SocketAddr::new("203.0.113.66".parse().unwrap(), port);
                let _ = world.inject(side, local.parse().unwrap(), from, datagram);
            }
        }
        world.drain();
    }
}

#[test]
fn a1_the_attack_set_before_during_and_after_setup_changes_nothing() {
    let mut random = StdRng::seed_from_u64(1);
    let mut world = World::new(41);
    world.host(A, "192.0.2.1:5000", 65_535);
    world.host(B, "192.0.2.2:6000", 65_535);
    attack(&mut world, &mut random);
    world.signal_all();
    world.run_for(Duration::from_millis(10));
    attack(&mut world, &mut random);
    world.connect(Duration::from_secs(10));
    let before = [A, B].map(|side| world.agent(side).selected_pair().map(|pair| pair.id));
    attack(&mut world, &mut random);
    world.run_for(Duration::from_secs(60));
    world.assert_agreed();
    for side in [A, B] {
        let stranger = "203.0.113.66";
        let agent = world.agent(side);
        let known = agent.remote_candidates();
        assert!(known.iter().all(|c| c.address.ip().unwrap().ip().to_string() != stranger), "{known:?}");
        assert_eq!(known.len(), 1);
        assert_eq!(agent.selected_pair().map(|pair| pair.id), before[side]);
    }
}

#[test]
fn a3_a_flood_with_a_known_ufrag_and_wrong_signatures_costs_few_answers_and_no_state() {
    let (mut agent, mut peer, now, _) = checking_scene();
    let (pairs, candidates) = (agent.pairs().count(), agent.remote_candidates().len());
    let wrong = IntegrityKey::new(b"wrong");
    let (mut bytes_in, mut bytes_out) = (0, 0);
    // One second at 20,000 packets per second.
    for index in 0..20_000_u64 {
        let time = now + Duration::from_micros(50 * index);
        let username = peer.username();
        let request = peer
            .start(Class::Request, Method::BINDING)
            .username(&username)
            .priority(1)
            .use_candidate()
            .integrity(&wrong)
            .finish();
        let from = SocketAddr::new(remote().ip(), 1_024 + (index % 60_000) as u16);
        assert_eq!(agent.handle_packet(time, base(), from, &request), Err(Rejected::BadIntegrity));
        bytes_in += request.len();
        bytes_out += payloads(&mut agent).iter().map(Bytes::len).sum::<usize>();
    }
    assert_eq!((agent.pairs().count(), agent.remote_candidates().len()), (pairs, candidates));
    assert!(bytes_out < bytes_in / 100, "{bytes_out} bytes for {bytes_in}");
}
