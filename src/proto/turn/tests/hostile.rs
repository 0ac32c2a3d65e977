//! A56: what a malicious server, or somebody who poses as one, can't do.

use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use rand::SeedableRng;

use super::server::{REALM, Rules, Setup, config};
use crate::proto::stun::{
    AttributeType, Class, ErrorCode, IntegrityKey, Message, MessageBuilder, Method, TransactionId,
};
use crate::proto::turn::{Client, Event, Failure, Received, Rejected};

fn answer_to(request: &[u8], class: Class) -> MessageBuilder {
    let request = Message::parse(request).unwrap();
    MessageBuilder::new(class, request.method(), request.transaction_id())
}

fn challenge(request: &[u8], code: ErrorCode<'static>, realm: &[u8], nonce: &[u8]) -> Bytes {
    answer_to(request, Class::ErrorResponse)
        .error_code(code)
        .attribute(AttributeType::REALM, realm)
        .attribute(AttributeType::NONCE, nonce)
        .finish()
}

fn client() -> (Client, std::time::Instant) {
    let now = std::time::Instant::now();
    (Client::new(now, config(), rand::rngs::StdRng::seed_from_u64(5)), now)
}

#[test]
fn a56_a_nonce_that_changes_for_ever_ends_the_client() {
    let (mut client, now) = client();
    let mut requests = 0;
    while let Some(request) = client.poll_transmit() {
        requests += 1;
        assert!(requests < 20, "for ever");
        let code = if requests == 1 { ErrorCode::UNAUTHENTICATED } else { ErrorCode::STALE_NONCE };
        let _ =
            client.handle_packet(now, &challenge(&request, code, b"realm", format!("{requests}").as_bytes()));
    }
    assert_eq!(requests, 5);
    assert!(matches!(client.poll_event(), Some(Event::Failed(Failure::Refused { code: 438, .. }))));
}

#[test]
fn a56_huge_realms_and_nonces_are_not_taken() {
    for (realm, nonce) in [(764, 10), (10, 764), (30_000, 30_000)] {
        let (mut client, now) = client();
        let request = client.poll_transmit().unwrap();
        let answer = challenge(&request, ErrorCode::UNAUTHENTICATED, &vec![b'r'; realm], &vec![b'n'; nonce]);
        client.handle_packet(now, &answer).unwrap();
        assert!(client.is_ended(), "{realm} {nonce}");
        assert_eq!(client.poll_transmit(), None);
    }
}

#[test]
fn a56_a_64_kib_message_does_no_harm() {
    let (mut client, now) = client();
    let request = client.poll_transmit().unwrap();
    let software = vec![b's'; 60_000];
    let answer = answer_to(&request, Class::ErrorResponse)
        .error_code(ErrorCode { code: 508, reason: "x" })
        .attribute(AttributeType::SOFTWARE, &software)
        .finish();
    client.handle_packet(now, &answer).unwrap();
    assert!(matches!(client.poll_event(), Some(Event::Failed(Failure::Refused { code: 508, .. }))));
}

#[test]
fn a56_reasons_are_cut_and_have_no_control_characters() {
    let (mut client, now) = client();
    let request = client.poll_transmit().unwrap();
    let reason = "ä\r\nlog line ".repeat(40);
    let error = ErrorCode { code: 500, reason: &reason };
    client.handle_packet(now, &answer_to(&request, Class::ErrorResponse).error_code(error).finish()).unwrap();
    let Some(Event::Failed(Failure::Refused { reason, .. })) = client.poll_event() else { panic!() };
    assert!(reason.len() <= Failure::MAX_REASON_LENGTH && !reason.chars().any(char::is_control));
}

#[test]
fn a56_data_of_strangers_is_refused() {
    let mut setup = Setup::allocated(Rules::default());
    setup.send("192.0.2.1:1000", &[22]);
    setup.run(Duration::from_secs(1));
    let data = |peer: &str| {
        MessageBuilder::new(Class::Indication, Method::DATA, TransactionId([9; 12]))
            .xor_address(AttributeType::XOR_PEER_ADDRESS, peer.parse().unwrap())
            .attribute(AttributeType::DATA, b"hello")
            .finish()
    };
    let now = setup.now;
    let known = data("192.0.2.1:77");
    assert!(matches!(setup.client.handle_packet(now, &known), Ok(Received::Data { payload: b"hello", .. })));
    for peer in ["192.0.2.2:1000", "127.0.0.1:1000", "[2001:db8::1]:1000"] {
        assert_eq!(setup.client.handle_packet(now, &data(peer)), Err(Rejected::UnknownPeer), "{peer}");
    }
    let channel = |number: u16| [&number.to_be_bytes()[..], &[0, 1, 7]].concat();
    let number = *setup.server.channels.keys().next().unwrap();
    assert!(setup.client.handle_packet(now, &channel(number)).is_ok());
    assert_eq!(setup.client.handle_packet(now, &channel(number + 1)), Err(Rejected::UnknownChannel));
    assert_eq!(setup.client.handle_packet(now, &[0x40, 0, 0xFF, 0xFF, 1]), Err(Rejected::Malformed));
}

#[test]
fn a56_unsigned_and_wrongly_signed_successes_were_never_received() {
    let (mut client, now) = client();
    let request = client.poll_transmit().unwrap();
    client
        .handle_packet(now, &challenge(&request, ErrorCode::UNAUTHENTICATED, REALM.as_bytes(), b"n"))
        .unwrap();
    let request = client.poll_transmit().unwrap();
    let success = || {
        answer_to(&request, Class::SuccessResponse)
            .xor_address(AttributeType::XOR_RELAYED_ADDRESS, "198.51.100.1:1".parse().unwrap())
            .xor_mapped_address("198.51.100.2:1".parse().unwrap())
            .lifetime(600)
    };
    assert_eq!(client.handle_packet(now, &success().finish()), Err(Rejected::BadIntegrity));
    let wrong = success().integrity(&IntegrityKey::new(b"wrong")).finish();
    assert_eq!(client.handle_packet(now, &wrong), Err(Rejected::BadIntegrity));
    let right = IntegrityKey::long_term("user", REALM, "secret").unwrap();
    client.handle_packet(now, &success().integrity(&right).finish()).unwrap();
    assert!(matches!(client.poll_event(), Some(Event::Allocated { .. })));
}

#[test]
fn a56_allocations_that_can_not_be_are_refused() {
    for (relayed, lifetime) in [
        (Some("0.0.0.0:5000"), Some(600)),
        (Some("224.0.0.1:5000"), Some(600)),
        (Some("198.51.100.1:0"), Some(600)),
        (Some("198.51.100.1:1"), Some(0)),
        (Some("198.51.100.1:1"), None),
        (None, Some(600)),
    ] {
        let (mut client, now) = client();
        let request = client.poll_transmit().unwrap();
        let mut answer =
            answer_to(&request, Class::SuccessResponse).xor_mapped_address("198.51.100.2:1".parse().unwrap());
        if let Some(relayed) = relayed {
            answer = answer.xor_address(AttributeType::XOR_RELAYED_ADDRESS, relayed.parse().unwrap());
        }
        if let Some(lifetime) = lifetime {
            answer = answer.lifetime(lifetime);
        }
        client.handle_packet(now, &answer.finish()).unwrap();
        assert_eq!(client.poll_event(), Some(Event::Failed(Failure::Unusable)), "{relayed:?} {lifetime:?}");
    }
}

#[test]
fn a56_a_lifetime_of_one_second_makes_no_storm() {
    let mut setup = Setup::new(Rules { lifetime: 1, ..Rules::default() }, config());
    setup.run(Duration::from_secs(60));
    assert!(setup.server.log.len() < 10, "{}", setup.server.log.len());
    assert!(setup.client.is_ended());
}

#[test]
fn a56_requests_and_foreign_indications_are_not_for_clients() {
    let mut setup = Setup::allocated(Rules::default());
    for (class, method) in [
        (Class::Request, Method::BINDING),
        (Class::Request, Method::ALLOCATE),
        (Class::Indication, Method::SEND),
        (Class::Indication, Method::BINDING),
    ] {
        let message = MessageBuilder::new(class, method, TransactionId([1; 12])).finish();
        assert_eq!(setup.client.handle_packet(setup.now, &message), Err(Rejected::Unexpected));
        assert_eq!(setup.client.poll_transmit(), None);
    }
    let stray =
        MessageBuilder::new(Class::SuccessResponse, Method::ALLOCATE, TransactionId([1; 12])).finish();
    assert_eq!(setup.client.handle_packet(setup.now, &stray), Err(Rejected::UnknownTransaction));
}

#[test]
fn a56_peers_and_what_waits_for_them_are_bounded() {
    let mut setup = Setup::allocated(Rules { deaf_to: vec![Method::CREATE_PERMISSION], ..Rules::default() });
    for peer in 0..5_000u32 {
        let peer = std::net::Ipv4Addr::from(0xC633_0000 + peer);
        setup.send(&format!("{peer}:1000"), &[0; 100]);
    }
    let (permissions, channels, held) = setup.client.peers.sizes();
    assert!(permissions <= 100 && channels == 0 && held <= 100, "{permissions} {held}");
    setup.run(Duration::from_secs(60));
    assert!(setup.server.log.len() < 1_000);
}

proptest! {
    #[test]
    fn a56_no_bytes_make_the_client_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        first in prop::sample::select(vec![0u8, 1, 0x40, 0x4F, 0x50, 0x80]),
    ) {
        let mut setup = Setup::allocated(Rules::default());
        let mut bytes = bytes;
        if let Some(byte) = bytes.first_mut() {
            *byte = first;
        }
        let _ = setup.client.handle_packet(setup.now, &bytes);
    }
}

#[test]
fn an_error_without_a_code_ends_the_client() {
    let (mut client, now) = client();
    let request = client.poll_transmit().unwrap();
    client.handle_packet(now, &answer_to(&request, Class::ErrorResponse).finish()).unwrap();
    assert_eq!(client.poll_event(), Some(Event::Failed(Failure::Unusable)));
}

#[test]
fn data_indications_without_peer_or_data_are_malformed() {
    let mut setup = Setup::allocated(Rules::default());
    let indication = || MessageBuilder::new(Class::Indication, Method::DATA, TransactionId([9; 12]));
    let no_peer = indication().attribute(AttributeType::DATA, b"x").finish();
    let no_data =
        indication().xor_address(AttributeType::XOR_PEER_ADDRESS, "192.0.2.1:1".parse().unwrap()).finish();
    for message in [no_peer, no_data] {
        assert_eq!(setup.client.handle_packet(setup.now, &message), Err(Rejected::Malformed));
    }
}
