//! Every body, over every input there is and over what becomes of it.

use crate::{
    bodies::{BODIES, MDNS_NAME, TURN_PEER},
    seeds::{collected, fixed, has_collections},
};
use rand::{Rng, SeedableRng, rngs::StdRng};

/// Mutations of each well-formed input; a description costs some 100 µs, the others next to nothing.
const MUTATIONS: u64 = 2_000;
/// Mutations of each collected one.
const MUTATIONS_OF_COLLECTED: u64 = 20;
/// Inputs that are no datagram and no description are not what the targets are for.
const BYTES_MAX: usize = 65_536;

/// How many mutations of each well-formed input: more where `ACTIX_RTC_FUZZ_MUTATIONS` says so.
fn mutations_of_fixed() -> u64 {
    let given = std::env::var("ACTIX_RTC_FUZZ_MUTATIONS").ok();
    given.and_then(|count| count.parse().ok()).unwrap_or(MUTATIONS)
}

/// Which targets: all, or the one that `ACTIX_RTC_FUZZ_TARGET` names.
fn is_wanted(target: &str) -> bool {
    std::env::var("ACTIX_RTC_FUZZ_TARGET").map_or(true, |wanted| wanted == target)
}

/// Runs a body, and names the input when it panics.
fn run(target: &str, body: fn(&[u8]), name: &str, bytes: &[u8]) {
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| body(bytes)));
    assert!(outcome.is_ok(), "{target}: {name}: {:?}", String::from_utf8_lossy(bytes));
}

/// Changes, repeats, removes or moves some of the bytes.
fn mutated(bytes: &[u8], random: &mut StdRng) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..random.random_range(1..=6) {
        if bytes.is_empty() {
            break;
        }
        let at = random.random_range(0..bytes.len());
        let end = (at + random.random_range(1..=32)).min(bytes.len());
        match random.random_range(0..7) {
            0 => bytes[at] = random.random(),
            1 => bytes[at] ^= 1 << random.random_range(0..8),
            2 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff, b'0', b':', b' ', b'\n'][random.random_range(0..9)],
            3 => drop(bytes.drain(at..end)),
            4 => {
                let part = bytes[at..end].to_vec();
                let to = random.random_range(0..=bytes.len());
                bytes.splice(to..to, part);
            }
            5 => bytes.truncate(at),
            _ => another_line(&mut bytes, random),
        }
    }
    bytes
}

/// Repeats, removes or moves one line of a text.
fn another_line(bytes: &mut Vec<u8>, random: &mut StdRng) {
    let mut lines: Vec<Vec<u8>> = bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let taken = lines.remove(random.random_range(0..lines.len()));
    for _ in 0..random.random_range(0..=2) {
        let to = random.random_range(0..=lines.len());
        lines.insert(to, taken.clone());
    }
    *bytes = lines.concat();
}

fn mutations(target: &str, body: fn(&[u8]), name: &str, bytes: &[u8], count: u64) {
    for seed in 0..count {
        let mut random = StdRng::seed_from_u64(seed);
        run(target, body, &format!("{name}, seed {seed}"), &mutated(bytes, &mut random));
    }
}

#[test]
fn every_target_survives_its_collection() {
    for (target, body) in BODIES {
        let inputs = collected(target);
        let wants_some = has_collections() && !["dcep", "candidate_line"].contains(&target);
        assert!(!wants_some || inputs.len() > 10, "{target}: the collections were not there");
        for (name, bytes) in inputs.iter().filter(|(_, bytes)| bytes.len() <= BYTES_MAX) {
            // As they are, and with each choice that the first byte can make.
            run(target, body, name, bytes);
            if target == "jsep_apply" {
                for choice in b'0'..=b'3' {
                    run(target, body, name, &[&[choice], bytes.as_slice()].concat());
                }
            }
            mutations(target, body, name, bytes, MUTATIONS_OF_COLLECTED);
        }
    }
}

#[test]
fn every_target_survives_mutations_of_what_is_well_formed() {
    for (target, body) in BODIES.into_iter().filter(|(target, _)| is_wanted(target)) {
        for (number, bytes) in fixed(target).iter().enumerate() {
            run(target, body, "as it is", bytes);
            mutations(target, body, &format!("seed input {number}"), bytes, mutations_of_fixed());
        }
    }
}

#[test]
fn every_target_survives_noise() {
    let mut random = StdRng::seed_from_u64(1);
    for (target, body) in BODIES {
        for number in 0..2_000 {
            let bytes: Vec<u8> = (0..random.random_range(0..200)).map(|_| random.random()).collect();
            run(target, body, &format!("noise {number}"), &bytes);
        }
    }
}

/// The seeds are what they should be: understood. Otherwise mutations would end at the first check.
#[test]
fn what_is_called_well_formed_is_understood() {
    use actix_rtc::proto::{dcep, ice, mdns, rtcp, rtp, sdp, stun};
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    for bytes in fixed("sdp_parse") {
        text(&bytes).parse::<sdp::SessionDescription>().unwrap();
    }
    for bytes in fixed("stun") {
        assert_eq!(stun::Message::parse(&bytes).unwrap().username(), Some("ETEn:BGKk"));
    }
    for bytes in fixed("rtp_header") {
        assert_eq!(rtp::RtpHeader::parse(&bytes).unwrap().extensions().count(), 4);
    }
    for bytes in fixed("rtcp_compound") {
        assert_eq!(rtcp::Compound::parse(&bytes).count(), 5);
    }
    for bytes in fixed("dcep") {
        dcep::Message::parse(&bytes).unwrap();
    }
    for bytes in fixed("candidate_line") {
        text(&bytes).parse::<ice::Candidate>().unwrap();
    }
    let indication = fixed("turn_channel")[1].clone();
    let peer = stun::Message::parse(&indication).unwrap().xor_address(stun::AttributeType::XOR_PEER_ADDRESS);
    assert_eq!(peer, Some(TURN_PEER.parse().unwrap()));
    let answer = mdns::address_in(&fixed("mdns")[0], MDNS_NAME);
    assert_eq!(answer, Some([192, 0, 2, 1].into()));
    assert!(mdns::is_candidate_name(&text(&fixed("mdns")[1])));
}
