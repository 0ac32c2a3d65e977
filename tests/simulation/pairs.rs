//! The pairs that must connect, one per seed.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use super::network::{Conditions, Network};
use super::peer::Peer;
use actix_rtc::proto::{
    dtls::{Certificate, KeyType},
    jsep::Direction,
};
use rand::{Rng, SeedableRng, rngs::StdRng};

/// Packets each side must get.
const PACKETS_WANTED: usize = 100;
/// Virtual time after which a pair counts as stuck: the handshake gives up after 30 s.
const PATIENCE: Duration = Duration::from_secs(60);

struct Outcome {
    elapsed: Duration,
    lost: u64,
    repaired: u64,
}

fn conditions(random: &mut StdRng) -> Conditions {
    let delay_ms_min = random.random_range(1..=30);
    Conditions {
        loss: random.random_range(0.0..0.15),
        duplication: random.random_range(0.0..0.1),
        delay_ms_min,
        delay_ms_max: delay_ms_min + random.random_range(0..=40),
    }
}

fn negotiate(now: Instant, offerer: &mut Peer, answerer: &mut Peer) {
    let offer = offerer.session.create_offer(Default::default()).unwrap();
    offerer.session.set_local_description(offer.clone()).unwrap();
    offerer.gather(now);
    let offer = offerer.session.local_description().unwrap_or(offer);
    answerer.session.set_remote_description(offer).unwrap();
    let id = answerer.session.transceivers()[0].id();
    answerer.session.set_direction(id, Direction::Sendrecv).unwrap();
    let answer = answerer.session.create_answer().unwrap();
    answerer.session.set_local_description(answer).unwrap();
    answerer.gather(now);
    let answer = answerer.session.local_description().unwrap();
    offerer.session.set_remote_description(answer).unwrap();
}

fn run(seed: u64, certificates: &[Certificate; 2]) -> Result<Outcome, String> {
    let mut random = StdRng::seed_from_u64(seed);
    let begin = Instant::now();
    let mut now = begin;
    let addresses: [SocketAddr; 2] = ["10.0.0.1:5000".parse().unwrap(), "10.0.0.2:5000".parse().unwrap()];
    let conditions = conditions(&mut random);
    let mut network = Network::new(conditions, StdRng::from_rng(&mut random));
    let [mut a, mut b] =
        [0, 1].map(|i| Peer::new(now, addresses[i], i == 0, &certificates[i], random.random()));
    negotiate(now, &mut a, &mut b);
    let mut peers = [a, b];
    peers[1].start(now);
    // The answer takes a moment to reach the offerer.
    let answer_arrives = now + Duration::from_millis(random.random_range(0..300));
    let mut answered = false;
    loop {
        if !answered && now >= answer_arrives {
            answered = true;
            peers[0].start(now);
        }
        while let Some(delivery) = network.arrived(now) {
            let index = usize::from(delivery.to == addresses[1]);
            peers[index].handle(now, delivery.to, delivery.from, &delivery.payload);
        }
        for peer in &mut peers {
            if peer.next_timeout().is_some_and(|timeout| timeout <= now) {
                peer.handle_timeout(now);
            }
            for transmit in peer.take_outgoing() {
                network.send(now, &transmit);
            }
            if let Some(failure) = &peer.failure {
                return Err(format!("{failure} after {:?} under {conditions:?}", now - begin));
            }
        }
        if peers.iter().all(|peer| peer.received.len() >= PACKETS_WANTED) {
            break;
        }
        let pending = (!answered).then_some(answer_arrives);
        let timeouts = peers.iter().filter_map(Peer::next_timeout);
        let next =
            timeouts.chain(network.next_arrival()).chain(pending).min().ok_or("nothing is left to happen")?;
        now = next.max(now + Duration::from_micros(100));
        if now - begin > PATIENCE {
            let counts = peers.each_ref().map(|peer| peer.received.len());
            return Err(format!("only {counts:?} packets after {PATIENCE:?} under {conditions:?}"));
        }
    }
    check_content(&peers)?;
    let repaired = peers.iter().map(|peer| peer.retransmissions_received).sum();
    Ok(Outcome { elapsed: now - begin, lost: network.lost, repaired })
}

/// What arrived is what was sent, none of it twice.
fn check_content(peers: &[Peer; 2]) -> Result<(), String> {
    for peer in peers {
        let mut numbers: Vec<u64> =
            peer.received.iter().map(|p| u64::from_be_bytes(p[11..19].try_into().unwrap())).collect();
        let count = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        if numbers.len() != count {
            return Err("a packet was delivered twice".to_owned());
        }
    }
    Ok(())
}

#[test]
fn two_peers_connect_and_exchange_media_over_bad_networks() {
    let variable = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let seeds = match variable("ACTIX_RTC_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..variable("ACTIX_RTC_SEEDS").unwrap_or(1_000),
    };
    let certificates =
        [KeyType::EcdsaP256, KeyType::EcdsaP256].map(|key| Certificate::generate(key).unwrap());
    let mut outcomes = Vec::new();
    let mut failures = Vec::new();
    for seed in seeds {
        match run(seed, &certificates) {
            Ok(outcome) => outcomes.push(outcome),
            Err(reason) => failures.push(format!("seed {seed}: {reason}")),
        }
    }
    assert!(failures.is_empty(), "{} seeds failed:\n{}", failures.len(), failures.join("\n"));
    let mut times: Vec<_> = outcomes.iter().map(|outcome| outcome.elapsed).collect();
    times.sort_unstable();
    println!(
        "{} pairs: virtual time median {:?}, max {:?}; {} datagrams lost, {} packets repaired",
        outcomes.len(),
        times[times.len() / 2],
        times[times.len() - 1],
        outcomes.iter().map(|outcome| outcome.lost).sum::<u64>(),
        outcomes.iter().map(|outcome| outcome.repaired).sum::<u64>(),
    );
    if outcomes.len() >= 100 {
        assert!(outcomes.iter().any(|outcome| outcome.repaired > 0), "no lost packet was ever repaired");
    }
}
