//! Making, refreshing and deleting the allocation; credentials (protocols.md items 39, 40 and 42).

use std::time::Duration;

use super::server::{Rules, Setup, config};
use crate::proto::stun::{AttributeType, Class, ErrorCode, Message, Method};
use crate::proto::turn::{Client, Event, Failure, Families};

fn allocate_requests(setup: &Setup) -> usize {
    setup.server.requests(Method::ALLOCATE)
}

#[test]
fn item_39_a_401_and_then_a_438_are_answered_with_the_new_nonce() {
    // The nonce that the 401 gave is stale when it is first used.
    let mut setup = Setup::new(Rules { nonce_uses: 0, ..Rules::default() }, config());
    setup.run(Duration::from_millis(50));
    setup.server.rules.nonce_uses = u32::MAX;
    setup.run(Duration::from_secs(1));
    let [Event::Allocated { relayed, mapped }] = &setup.events[..] else { panic!("{:?}", setup.events) };
    assert_eq!(relayed[..], ["198.51.100.7:50000".parse().unwrap()]);
    assert_eq!(*mapped, "203.0.113.5:4000".parse().unwrap());
    assert!(allocate_requests(&setup) >= 3);
    assert_eq!(setup.client.relayed(), &relayed[..]);
}

#[test]
fn the_first_request_shows_no_credentials() {
    let now = std::time::Instant::now();
    let mut client = Client::new(now, config(), rand::SeedableRng::seed_from_u64(1));
    let bytes = client.poll_transmit().unwrap();
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(message.attribute(AttributeType::REQUESTED_TRANSPORT), Some(&[17, 0, 0, 0][..]));
    assert!(message.username().is_none() && !message.has_integrity());
}

#[test]
fn a_server_without_credentials_is_used_without() {
    let mut setup = Setup::new(Rules { asks_for_credentials: false, ..Rules::default() }, config());
    setup.run(Duration::from_secs(1));
    assert!(matches!(setup.events[..], [Event::Allocated { .. }]));
    assert_eq!(allocate_requests(&setup), 1);
}

#[test]
fn wrong_credentials_fail_after_one_try() {
    let mut wrong = config();
    wrong.password = "wrong".into();
    let mut setup = Setup::new(Rules::default(), wrong);
    setup.run(Duration::from_secs(60));
    let failed = Event::Failed(Failure::Refused { code: 401, reason: "Unauthenticated".into() });
    assert_eq!(setup.events, [failed]);
    assert_eq!(allocate_requests(&setup), 2);
    assert!(setup.client.is_ended() && setup.client.poll_timeout(setup.now).is_none());
}

#[test]
fn missing_credentials_are_named() {
    let mut none = config();
    none.username.clear();
    let mut setup = Setup::new(Rules::default(), none);
    setup.run(Duration::from_secs(60));
    assert_eq!(setup.events, [Event::Failed(Failure::CredentialsMissing)]);
}

#[test]
fn a_silent_server_is_given_up_after_39_5_seconds_and_seven_requests() {
    let rules = Rules { deaf_to: vec![Method::ALLOCATE], ..Rules::default() };
    let mut setup = Setup::new(rules.clone(), config());
    setup.run(Duration::from_secs(39));
    assert!(setup.events.is_empty());
    setup.run(Duration::from_secs(1));
    assert_eq!(setup.events, [Event::Failed(Failure::Timeout)]);
    assert_eq!(allocate_requests(&setup), 7);

    let mut stream = config();
    stream.is_stream = true;
    let mut setup = Setup::new(rules, stream);
    setup.run(Duration::from_secs(40));
    assert_eq!(setup.events, [Event::Failed(Failure::Timeout)]);
    assert_eq!(allocate_requests(&setup), 1, "nothing is repeated over TCP");
}

#[test]
fn item_40_an_allocation_is_refreshed_before_its_end() {
    for (lifetime, interval) in [(600, 540), (3_600, 3_540), (30, 15), (120, 60)] {
        let mut setup = Setup::allocated(Rules { lifetime, ..Rules::default() });
        setup.run(Duration::from_secs(7_200));
        assert!(
            setup.events.iter().all(|event| *event == Event::Refreshed),
            "{lifetime}: {:?}",
            setup.events
        );
        assert!(setup.server.allocated_until.unwrap() > setup.now, "{lifetime}");
        let refreshes = setup.server.requests(Method::REFRESH);
        assert!(refreshes.abs_diff(7_200 / interval) <= 2, "{lifetime}: {refreshes}");
    }
}

#[test]
fn a_refresh_survives_a_new_nonce() {
    let mut setup = Setup::allocated(Rules::default());
    setup.server.rules.nonce_uses = 1;
    setup.run(Duration::from_secs(3_600));
    assert!(setup.events.iter().all(|event| *event == Event::Refreshed));
    assert!(setup.server.allocated_until.unwrap() > setup.now);
}

#[test]
fn a_refresh_that_nobody_answers_ends_the_allocation() {
    let mut setup = Setup::allocated(Rules::default());
    setup.server.rules.deaf_to.push(Method::REFRESH);
    setup.run(Duration::from_secs(700));
    assert_eq!(setup.events, [Event::Failed(Failure::Timeout)]);
    assert!(setup.client.relayed().is_empty());
}

#[test]
fn an_allocation_the_server_has_forgotten_ends() {
    let mut setup = Setup::allocated(Rules::default());
    setup.server.allocated_until = None;
    setup.send("192.0.2.1:1000", &[0; 20]);
    setup.run(Duration::from_secs(1));
    assert!(matches!(&setup.events[..], [Event::Failed(Failure::Refused { code: 437, .. })]));
}

#[test]
fn closing_deletes_the_allocation() {
    let mut setup = Setup::allocated(Rules { nonce_uses: 1, ..Rules::default() });
    setup.client.close(setup.now);
    setup.run(Duration::from_secs(3));
    assert_eq!(setup.events, [Event::Closed]);
    assert!(setup.server.allocated_until.unwrap() <= setup.now);
    assert!(setup.client.is_ended());
}

#[test]
fn closing_takes_two_seconds_at_most() {
    let mut setup = Setup::allocated(Rules::default());
    setup.server.rules.deaf_to.push(Method::REFRESH);
    setup.client.close(setup.now);
    setup.run(Duration::from_secs(2));
    assert_eq!(setup.events, [Event::Closed]);
    assert!(setup.server.requests(Method::REFRESH) >= 2, "one may be lost");
}

#[test]
fn an_allocation_that_is_granted_after_closing_is_deleted() {
    let mut setup = Setup::new(Rules::default(), config());
    setup.run(Duration::from_millis(30));
    setup.client.close(setup.now);
    setup.run(Duration::from_secs(3));
    assert_eq!(setup.events, [Event::Closed]);
    assert!(setup.server.allocated_until.unwrap() <= setup.now);
}

#[test]
fn item_42_a_300_names_the_other_server() {
    let rules = Rules { refuses: vec![(Method::ALLOCATE, ErrorCode::TRY_ALTERNATE)], ..Rules::default() };
    let mut setup = Setup::new(rules, config());
    setup.run(Duration::from_secs(1));
    let alternate = Failure::Alternate {
        server: "192.0.2.99:3478".parse().unwrap(),
        domain: Some("other.example.org".into()),
    };
    assert_eq!(setup.events, [Event::Failed(alternate)]);
}

#[test]
fn item_42_one_allocation_may_have_an_address_of_each_family() {
    let addresses = vec!["198.51.100.7:50000".parse().unwrap(), "[2001:db8::7]:50000".parse().unwrap()];
    let mut setup = Setup::allocated(Rules { relayed: addresses.clone(), ..Rules::default() });
    assert_eq!(setup.client.relayed(), addresses);
    setup.send("[2001:db8::99]:1000", &[0; 20]);
    setup.run(Duration::from_secs(1));
    assert_eq!(setup.server.relayed.len(), 1);
}

#[test]
fn item_42_a_server_with_ipv6_alone_is_asked_for_that() {
    let refusal = ErrorCode { code: 440, reason: "Address Family not Supported" };
    let rules = Rules {
        refuses: vec![(Method::ALLOCATE, refusal)],
        relayed: vec!["[2001:db8::7]:50000".parse().unwrap()],
        ..Rules::default()
    };
    let mut setup = Setup::new(rules, config());
    // Up to the refusal of the authenticated request: then the client asks for IPv6.
    setup.run(Duration::from_millis(30));
    setup.run(Duration::from_millis(9));
    setup.server.rules.refuses.clear();
    setup.run(Duration::from_secs(1));
    assert!(matches!(&setup.events[..], [Event::Allocated { relayed, .. }] if relayed[0].is_ipv6()));
    let only_ipv4 = crate::proto::turn::ClientConfig { families: Families::Ipv4, ..config() };
    let mut setup =
        Setup::new(Rules { refuses: vec![(Method::ALLOCATE, refusal)], ..Rules::default() }, only_ipv4);
    setup.run(Duration::from_secs(1));
    assert!(matches!(&setup.events[..], [Event::Failed(Failure::Refused { code: 440, .. })]));
}

#[test]
fn a_quota_is_told_with_its_code() {
    let quota = ErrorCode { code: 486, reason: "Allocation Quota Reached" };
    let mut setup =
        Setup::new(Rules { refuses: vec![(Method::ALLOCATE, quota)], ..Rules::default() }, config());
    setup.run(Duration::from_secs(1));
    let [Event::Failed(failure)] = &setup.events[..] else { panic!("{:?}", setup.events) };
    assert_eq!(failure.code(), 486);
}

#[test]
fn a_silent_client_keeps_the_way_to_the_server_open() {
    let mut setup = Setup::allocated(Rules::default());
    setup.run(Duration::from_secs(150));
    let indications = setup
        .server
        .log
        .iter()
        .filter(|(_, class, method)| *class == Class::Indication && *method == Method::BINDING);
    assert_eq!(indications.count(), 10);
    assert!(setup.elapsed() < Duration::from_secs(200));
}

#[test]
fn an_allocation_in_doubt_is_asked_for_and_a_lost_one_ends() {
    let mut setup = Setup::allocated(Rules::default());
    setup.run(Duration::from_secs(30));
    setup.client.verify(setup.now);
    setup.client.verify(setup.now);
    setup.run(Duration::from_secs(1));
    assert_eq!(setup.events, [Event::Refreshed], "it is there");
    assert_eq!(setup.server.requests(Method::REFRESH), 1, "one question at a time");
    setup.events.clear();
    setup.server.allocated_until = None;
    setup.client.verify(setup.now);
    setup.run(Duration::from_secs(1));
    assert!(matches!(&setup.events[..], [Event::Failed(Failure::Refused { code: 437, .. })]));
}

#[test]
fn a_400_where_437_is_due_reveals_that_the_allocation_is_lost() {
    for is_lost in [true, false] {
        let refuses = vec![(Method::CREATE_PERMISSION, ErrorCode { code: 400, reason: "Bad Request" })];
        let mut setup = Setup::allocated(Rules { refuses, ..Rules::default() });
        setup.run(Duration::from_secs(60));
        if is_lost {
            setup.server.allocated_until = None;
        }
        setup.send("192.0.2.1:1000", &[0; 20]);
        setup.run(Duration::from_secs(1));
        let lost = matches!(&setup.events[..], [Event::Failed(Failure::Refused { code: 437, .. })]);
        assert_eq!(lost, is_lost, "{:?}", setup.events);
        // Servers that say so all the time get no more out of it than one Refresh in five seconds.
        for peer in 0..100 {
            setup.send(&format!("192.0.2.{}:1000", 2 + peer), &[0; 20]);
            setup.run(Duration::from_millis(100));
        }
        let refreshes = setup.server.requests(Method::REFRESH);
        assert!(refreshes <= 4, "{refreshes}");
    }
}
