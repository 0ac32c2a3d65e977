//! Permissions, channels and the data that goes over them (protocols.md items 40 and 41).

use std::time::Duration;

use proptest::prelude::*;

use super::server::{ROUND_TRIP, Rules, Setup};
use crate::proto::stun::{ErrorCode, Method};
use crate::proto::turn::{Event, Sent};

const PEER: &str = "192.0.2.1:1000";
/// Begins like DTLS.
const DATA: &[u8] = &[22, 254, 253, 1];
/// Begins like STUN.
const CHECK: &[u8] = &[0, 1, 0, 0];

#[test]
fn item_40_nothing_is_sent_before_the_permission_is_there() {
    let mut setup = Setup::allocated(Rules::default());
    assert_eq!(setup.send(PEER, CHECK), Sent::Held);
    assert_eq!(setup.send("192.0.2.1:1001", CHECK), Sent::Held);
    setup.run(ROUND_TRIP * 2);
    let peers: Vec<_> = setup.server.relayed.iter().map(|(peer, ..)| peer.to_string()).collect();
    assert_eq!(peers, [PEER, "192.0.2.1:1001"], "what was held goes when the permission comes");
    assert_eq!(setup.server.requests(Method::CREATE_PERMISSION), 1, "one permission per address");
    assert_eq!(setup.send(PEER, CHECK), Sent::Framed);
    assert_eq!(setup.server.complaints, [""; 0]);
}

#[test]
fn the_first_data_does_not_wait_for_a_channel() {
    let mut setup = Setup::allocated(Rules::default());
    setup.send(PEER, CHECK);
    setup.run(ROUND_TRIP * 2);
    assert_eq!(setup.server.requests(Method::CHANNEL_BIND), 0, "checks need no channel");
    assert_eq!(setup.send(PEER, DATA), Sent::Framed);
    assert!(!setup.server.relayed.last().unwrap().2, "by Send indication");
    setup.run(ROUND_TRIP * 2);
    setup.send(PEER, DATA);
    assert!(setup.server.relayed.last().unwrap().2, "by the channel");
    assert_eq!(setup.server.complaints, [""; 0]);
}

#[test]
fn item_40_permissions_and_channels_in_use_never_lapse() {
    let mut setup = Setup::allocated(Rules::default());
    for _ in 0..7_200 {
        setup.send(PEER, DATA);
        setup.run(Duration::from_secs(1));
    }
    assert_eq!(setup.server.complaints, [""; 0]);
    assert!(setup.server.relayed.len() >= 7_199);
    assert!(setup.server.relayed.iter().skip(3).all(|(_, _, by_channel)| *by_channel));
    // A permission every 240 s, or later where a channel renewed it, and a channel every 540 s.
    let permissions = setup.server.requests(Method::CREATE_PERMISSION);
    assert!((20..=40).contains(&permissions), "{permissions}");
    assert!((13..=16).contains(&setup.server.requests(Method::CHANNEL_BIND)));
}

#[test]
fn what_is_not_used_is_not_renewed() {
    let mut setup = Setup::allocated(Rules::default());
    setup.send(PEER, CHECK);
    setup.run(Duration::from_secs(2_000));
    assert_eq!(setup.server.requests(Method::CREATE_PERMISSION), 2, "once more, for it was used");
    assert_eq!(setup.client.peers.sizes(), (0, 0, 0));
}

#[test]
fn a_refused_permission_is_asked_for_again_only_after_a_while() {
    let forbidden = ErrorCode { code: 403, reason: "Forbidden" };
    let rules = Rules { refuses: vec![(Method::CREATE_PERMISSION, forbidden)], ..Rules::default() };
    let mut setup = Setup::allocated(rules);
    for _ in 0..60 {
        setup.send(PEER, CHECK);
        setup.run(Duration::from_secs(1));
    }
    assert!(setup.events.iter().all(|event| *event == Event::Refreshed), "the allocation lives on");
    assert!(setup.server.relayed.is_empty());
    assert!((2..=3).contains(&setup.server.requests(Method::CREATE_PERMISSION)));
}

#[test]
fn without_channels_data_goes_by_send_indications() {
    let refused = ErrorCode { code: 508, reason: "Insufficient Capacity" };
    let mut setup =
        Setup::allocated(Rules { refuses: vec![(Method::CHANNEL_BIND, refused)], ..Rules::default() });
    for _ in 0..100 {
        setup.send(PEER, DATA);
        setup.run(Duration::from_millis(50));
    }
    assert_eq!(setup.server.relayed.len(), 100);
    assert_eq!(setup.server.requests(Method::CHANNEL_BIND), 1);
}

#[test]
fn a_channel_that_was_left_is_bound_again_with_its_number() {
    let mut setup = Setup::allocated(Rules::default());
    for pause in [1, 1, 700, 1, 1, 800, 1, 2_000, 1] {
        setup.send(PEER, DATA);
        setup.run(Duration::from_secs(pause));
    }
    assert_eq!(setup.server.complaints, [""; 0]);
}

#[test]
fn more_peers_than_channels_are_served() {
    let mut setup = Setup::allocated(Rules::default());
    for round in 0..3 {
        for peer in 1..=60 {
            setup.send(&format!("192.0.2.{peer}:1000"), &[22, round]);
        }
        setup.run(Duration::from_secs(1));
    }
    assert_eq!(setup.server.relayed.len(), 180);
    assert_eq!(setup.server.channels.len(), 16);
    assert_eq!(setup.server.complaints, [""; 0]);
}

#[test]
fn what_can_not_be_relayed_is_dropped() {
    let mut setup = Setup::allocated(Rules::default());
    assert_eq!(setup.send("[2001:db8::1]:1000", DATA), Sent::Dropped, "no address of that family");
    assert_eq!(setup.send(PEER, &[22; 65_001]), Sent::Dropped, "too long");
    setup.client.close(setup.now);
    assert_eq!(setup.send(PEER, DATA), Sent::Dropped, "closed");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever is sent whenever to whomever: the server never has a reason to complain.
    #[test]
    fn no_order_of_sending_breaks_a_rule_of_the_server(
        steps in prop::collection::vec((1..6u8, any::<bool>(), 0..400u64), 1..60),
        nonce_uses in 1..20u32,
    ) {
        let mut setup = Setup::allocated(Rules::default());
        setup.server.rules.nonce_uses = nonce_uses;
        for (peer, is_data, pause) in steps {
            setup.send(&format!("192.0.2.{}:{}", peer / 2, 1000 + u16::from(peer)), if is_data { DATA } else { CHECK });
            setup.run(Duration::from_secs(pause));
        }
        prop_assert!(setup.server.complaints.is_empty(), "{:?}", setup.server.complaints);
        prop_assert!(setup.events.iter().all(|event| *event == Event::Refreshed), "{:?}", setup.events);
    }
}
