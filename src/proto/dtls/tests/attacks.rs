//! Hostile input before, during and after the handshake.

use openssl::ssl::{Ssl, SslContext, SslMethod, SslStream, SslVersion};
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::super::datagram_io::DatagramIo;
use super::super::record::{ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, records};
use super::handshake::split_hello;
use super::network::{data, failure};
use super::*;

/// A record of epoch 0 with a high sequence number, as an attacker would forge it.
fn forged(content_type: u8, epoch: u16, sequence_number: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![content_type, 254, 253];
    bytes.extend(epoch.to_be_bytes());
    bytes.extend([0, 0, 0, 0, 0, sequence_number]);
    bytes.extend((body.len() as u16).to_be_bytes());
    bytes.extend(body);
    bytes
}

fn handshake_fragment(message_type: u8, length: usize, sequence: u16, offset: usize, body: &[u8]) -> Vec<u8> {
    let three = |value: usize| [(value >> 16) as u8, (value >> 8) as u8, value as u8];
    let mut bytes = vec![message_type];
    bytes.extend(three(length));
    bytes.extend(sequence.to_be_bytes());
    bytes.extend(three(offset));
    bytes.extend(three(body.len()));
    bytes.extend(body);
    bytes
}

/// The first flight of a plain OpenSSL client with this cipher list.
fn foreign_hello(ciphers: &str) -> Vec<u8> {
    let mut builder = SslContext::builder(SslMethod::dtls()).unwrap();
    builder.set_max_proto_version(Some(SslVersion::DTLS1_2)).unwrap();
    builder.set_cipher_list(ciphers).unwrap();
    let mut ssl = Ssl::new(&builder.build()).unwrap();
    ssl.set_connect_state();
    let mut stream = SslStream::new(ssl, DatagramIo::new(Role::Client, MTU)).unwrap();
    assert!(stream.do_handshake().is_err());
    stream.get_mut().poll_outbound().unwrap().to_vec()
}

#[test]
fn wrong_server_certificate_fails_the_client_before_anything_is_delivered() {
    let (mut client, server) = configs();
    client.remote_fingerprints = vec![sha256(&client.certificate)];
    let mut pair = Pair::new(client, server);
    pair.run(Duration::from_secs(5));
    assert!(matches!(failure(&pair.client_events), Some(DtlsError::FingerprintMismatch)));
    assert!(matches!(failure(&pair.server_events), Some(DtlsError::PeerAlert { .. })));
    assert!(pair.client_srtp().is_none() && pair.server_srtp().is_none());
    assert!(pair.client.remote_certificate_der().is_none());
}

#[test]
fn wrong_client_certificate_fails_the_server_before_anything_is_delivered() {
    let (client, mut server) = configs();
    server.remote_fingerprints = vec![sha256(&server.certificate)];
    let mut pair = Pair::new(client, server);
    pair.run(Duration::from_secs(5));
    assert!(matches!(failure(&pair.server_events), Some(DtlsError::FingerprintMismatch)));
    assert!(matches!(failure(&pair.client_events), Some(DtlsError::PeerAlert { .. })));
    assert!(pair.client_srtp().is_none() && pair.server_srtp().is_none());
}

#[test]
fn one_right_fingerprint_among_wrong_ones_is_enough() {
    let (mut client, server) = configs();
    let own = client.certificate.clone();
    let right = server.certificate.fingerprint(HashAlgorithm::Sha512).unwrap();
    client.remote_fingerprints = vec![sha256(&own), right];
    let mut pair = Pair::new(client, server);
    pair.run(Duration::from_secs(1));
    pair.assert_connected();
}

#[test]
fn client_without_a_certificate_is_refused() {
    let (_, server) = configs();
    let now = Instant::now();
    let mut server = Session::new(now, server).unwrap();
    let mut builder = SslContext::builder(SslMethod::dtls()).unwrap();
    builder.set_max_proto_version(Some(SslVersion::DTLS1_2)).unwrap();
    let mut ssl = Ssl::new(&builder.build()).unwrap();
    ssl.set_connect_state();
    let mut client = SslStream::new(ssl, DatagramIo::new(Role::Client, MTU)).unwrap();
    for _ in 0..4 {
        client.get_mut().resume();
        let _ = client.do_handshake();
        while let Some(datagram) = client.get_mut().poll_outbound() {
            server.handle_packet(now, &datagram);
        }
        while let Some(datagram) = server.poll_transmit() {
            client.get_mut().push(datagram);
        }
        client.get_mut().pass();
    }
    assert_eq!(server.state(), State::Failed);
    assert!(matches!(server.poll_event(), Some(Event::Failed(DtlsError::Handshake(_)))));
}

#[test]
fn garbage_at_every_moment_does_not_disturb_a_handshake() {
    for seed in 0..30 {
        let (client, server) = configs();
        let mut pair = Pair::new(client, server);
        let mut random = StdRng::seed_from_u64(seed);
        for _ in 0..60 {
            for _ in 0..5 {
                let mut garbage = vec![0u8; random.random_range(0..200)];
                random.fill(&mut garbage[..]);
                if random.random_bool(0.7) && garbage.len() > 13 {
                    // Looks like a record of some kind.
                    garbage[0] = random.random_range(20..26);
                    (garbage[1], garbage[2], garbage[3], garbage[4]) = (254, 253, 0, 0);
                    let length = (garbage.len() - 13) as u16;
                    garbage[11..13].copy_from_slice(&length.to_be_bytes());
                    if garbage[0] == CHANGE_CIPHER_SPEC {
                        // Would be as good as the real one.
                        continue;
                    }
                }
                pair.client.handle_packet(pair.now, &garbage);
                pair.server.handle_packet(pair.now, &garbage);
            }
            pair.run(Duration::from_millis(1));
        }
        println!("seed {seed}");
        pair.assert_connected();
        pair.client.send_application_data(b"x").unwrap();
        pair.run(Duration::from_millis(20));
        assert_eq!(data(&pair.server_events), ["x"]);
    }
}

#[test]
fn refused_hellos_do_not_keep_the_real_client_out() {
    let null = foreign_hello("NULL-SHA256:@SECLEVEL=0");
    let finite_field = foreign_hello("DHE-RSA-AES128-GCM-SHA256");
    let mut mutilated = finite_field.clone();
    mutilated.truncate(60);
    let (client, server) = configs();
    let mut pair = Pair::new(client, server);
    for hello in [&null, &finite_field, &mutilated, &null] {
        pair.server.handle_packet(pair.now, hello);
        assert_eq!(pair.server.state(), State::New);
        assert_eq!(pair.server.poll_transmit(), None, "no alert to be reflected");
    }
    pair.run(Duration::from_secs(1));
    pair.assert_connected();
}

#[test]
fn endless_refused_hellos_end_the_session_with_their_reason() {
    let hello = foreign_hello("NULL-SHA256:@SECLEVEL=0");
    let (_, server) = configs();
    let now = Instant::now();
    let mut server = Session::new(now, server).unwrap();
    for _ in 0..100 {
        server.handle_packet(now, &hello);
    }
    assert!(matches!(server.poll_event(), Some(Event::Failed(DtlsError::Handshake(_)))));
}

#[test]
fn incompatible_client_is_reported_with_its_reason_when_time_is_up() {
    let hello = foreign_hello("NULL-SHA256:@SECLEVEL=0");
    let (_, server) = configs();
    let now = Instant::now();
    let mut server = Session::new(now, server).unwrap();
    server.handle_packet(now, &hello);
    server.handle_timeout(now + Duration::from_secs(30));
    assert!(matches!(server.poll_event(), Some(Event::Failed(DtlsError::Handshake(_)))));
}

#[test]
fn forged_alerts_do_not_end_a_handshake_that_goes_on() {
    let (client, server) = configs();
    let mut pair = Pair::new(client, server);
    for _ in 0..50 {
        for body in [[2u8, 40], [1, 0], [2, 80], [9, 9]] {
            pair.client.handle_packet(pair.now, &forged(ALERT, 0, 99, &body));
            pair.server.handle_packet(pair.now, &forged(ALERT, 0, 99, &body));
        }
        pair.run(Duration::from_millis(1));
    }
    pair.assert_connected();
}

#[test]
fn alert_without_anything_else_ends_the_handshake_after_its_grace() {
    let (client, _) = configs();
    let now = Instant::now();
    let mut client = Session::new(now, client).unwrap();
    client.handle_packet(now, &forged(ALERT, 0, 1, &[2, 40]));
    client.handle_timeout(now + Duration::from_millis(1_999));
    assert_eq!(client.state(), State::Connecting);
    client.handle_timeout(now + Duration::from_secs(2));
    let error = client.poll_event();
    assert!(matches!(error, Some(Event::Failed(DtlsError::PeerAlert { description: 40 }))));
}

#[test]
fn nothing_unencrypted_disturbs_a_connected_session() {
    let mut pair = connected_pair();
    let hello = foreign_hello("ALL");
    let first_hello = pair.sent[0].1.to_vec();
    let attacks = [
        forged(ALERT, 0, 200, &[2, 40]),
        forged(ALERT, 0, 201, &[1, 0]),
        forged(ALERT, 0, 202, &[2, 0]),
        forged(CHANGE_CIPHER_SPEC, 0, 203, &[1]),
        forged(APPLICATION_DATA, 0, 204, b"plain text"),
        forged(HANDSHAKE, 0, 205, &handshake_fragment(0, 0, 0, 0, &[])),
        forged(24, 0, 206, &[1, 0xff, 0xff]),
        hello,
        first_hello,
    ];
    for _ in 0..20 {
        for attack in &attacks {
            pair.client.handle_packet(pair.now, attack);
            pair.server.handle_packet(pair.now, attack);
        }
    }
    assert_eq!(pair.client.poll_transmit(), None);
    assert_eq!(pair.server.poll_transmit(), None);
    pair.client.send_application_data(b"still here").unwrap();
    pair.run(Duration::from_secs(1));
    pair.assert_connected();
    assert_eq!(data(&pair.server_events), ["still here"]);
    assert!(data(&pair.client_events).is_empty());
}

#[test]
fn forged_encrypted_records_are_dropped_by_a_connected_session() {
    let mut pair = connected_pair();
    let mut random = StdRng::seed_from_u64(1);
    for round in 0..300 {
        for content_type in [CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION_DATA, 24] {
            let mut body = vec![0u8; random.random_range(0..100)];
            random.fill(&mut body[..]);
            for epoch in [1, 2, 65_535] {
                pair.server.handle_packet(pair.now, &forged(content_type, epoch, round as u8, &body));
            }
        }
    }
    for _ in 0..5 {
        pair.client.send_application_data(b"x").unwrap();
    }
    pair.run(Duration::from_secs(1));
    pair.assert_connected();
    assert_eq!(data(&pair.server_events), ["x"; 5]);
}

#[test]
fn replayed_records_are_delivered_once() {
    let mut pair = connected_pair();
    pair.client.send_application_data(b"once").unwrap();
    let datagram = pair.client.poll_transmit().unwrap();
    for _ in 0..10 {
        pair.server.handle_packet(pair.now, &datagram);
    }
    pair.drain();
    assert_eq!(data(&pair.server_events), ["once"]);
}

#[test]
fn replayed_finished_is_not_answered() {
    let mut pair = connected_pair();
    let finished: Vec<_> = pair.sent.iter().filter(|(from, _)| *from == Role::Client).cloned().collect();
    for _ in 0..20 {
        for (_, datagram) in &finished {
            pair.server.handle_packet(pair.now, datagram);
        }
    }
    assert_eq!(pair.server.poll_transmit(), None, "whoever recorded the handshake makes us send");
    assert!(pair.server.take_dropped() >= 20);
}

/// Forged records that came with the real Finished must not move the window for the peer's records.
#[test]
fn record_numbers_of_forged_records_do_not_count() {
    let (client, server) = configs();
    let mut pair = Pair::new(client, server);
    for number in [50, 100, 255] {
        let body = [7; 40];
        pair.server.handle_packet(pair.now, &forged(APPLICATION_DATA, 1, number, &body));
    }
    pair.run(Duration::from_secs(2));
    for _ in 0..300 {
        pair.client.send_application_data(b"x").unwrap();
    }
    pair.run(Duration::from_secs(1));
    pair.assert_connected();
    assert_eq!(data(&pair.server_events).len(), 300);
}

#[test]
fn record_nonces_never_repeat() {
    let mut pair = connected_pair();
    let mut seen = std::collections::HashSet::new();
    let handshake: Vec<_> = pair.sent.iter().filter(|(from, _)| *from == Role::Client).cloned().collect();
    let mut check = |datagram: &[u8]| {
        for record in records(datagram).filter(|record| record.epoch == 1) {
            // RFC 5288 §3: the explicit half of the nonce is in front; the other half is fixed.
            assert!(seen.insert(record.body[..8].to_vec()));
        }
    };
    handshake.iter().for_each(|(_, datagram)| check(datagram));
    for _ in 0..20_000 {
        pair.client.send_application_data(b"x").unwrap();
        check(&pair.client.poll_transmit().unwrap());
    }
}

#[test]
fn fragments_are_bounded_and_do_not_keep_the_real_client_out() {
    let (client, server) = configs();
    let mut pair = Pair::new(client, server);
    let (now, server) = (pair.now, &mut pair.server);
    // 16 MiB announced; far-away messages; ten thousand single bytes; overlapping pieces.
    server.handle_packet(now, &forged(HANDSHAKE, 0, 1, &handshake_fragment(1, 0xff_ffff, 0, 0, &[0; 100])));
    server.handle_packet(now, &forged(HANDSHAKE, 0, 1, &handshake_fragment(1, 100, 65_535, 0, &[0; 100])));
    for offset in 0..10_000 {
        let piece = handshake_fragment(1, 16_384, 0, offset + 1, &[0]);
        server.handle_packet(now, &forged(HANDSHAKE, 0, 1, &piece));
    }
    for offset in (0..5_000).rev() {
        let piece = handshake_fragment(1, 16_384, 1, offset, &[0; 500]);
        server.handle_packet(now, &forged(HANDSHAKE, 0, 1, &piece));
    }
    assert_eq!(pair.server.state(), State::New);
    pair.run(Duration::from_secs(1));
    pair.assert_connected();
}

#[test]
fn hello_in_single_bytes_is_accepted() {
    let (client, server) = configs();
    let mut pair = Pair::new(client, server);
    pair.drain();
    let hello = pair.sent[0].1.clone();
    for piece in split_hello(&hello, 1) {
        pair.server.handle_packet(pair.now, &piece);
    }
    assert_eq!(pair.server.state(), State::Connecting);
}

#[test]
fn forged_flight_that_looks_complete_does_not_end_the_handshake() {
    let (client, server) = configs();
    let mut pair = Pair::new(client, server);
    pair.filter = Some(Box::new(|_, _| None));
    pair.run(Duration::ZERO);
    let (_, hello) = pair.sent[0].clone();
    pair.server.handle_packet(pair.now, &hello);
    pair.drain();
    for (_, datagram) in pair.sent.clone().iter().skip(1) {
        pair.client.handle_packet(pair.now, datagram);
    }
    // The client awaits ChangeCipherSpec and Finished: a forged Finished makes that complete.
    pair.client.handle_packet(pair.now, &forged(HANDSHAKE, 1, 0, &[7; 40]));
    assert_eq!(pair.client.state(), State::Connecting);
    pair.filter = None;
    pair.run(Duration::from_secs(20));
    pair.assert_connected();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_datagrams_never_panic(
        datagrams in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 1..20),
        header in any::<bool>(),
    ) {
        let (client, server) = configs();
        let mut pair = Pair::new(client, server);
        for mut datagram in datagrams {
            if header && datagram.len() > 13 {
                datagram[0] = 20 + datagram[0] % 5;
                (datagram[1], datagram[2], datagram[3]) = (254, 253, 0);
                datagram[4] %= 2;
                let length = (datagram.len() - 13) as u16;
                datagram[11..13].copy_from_slice(&length.to_be_bytes());
            }
            pair.client.handle_packet(pair.now, &datagram);
            pair.server.handle_packet(pair.now, &datagram);
        }
    }

    #[test]
    fn datagrams_with_changed_bytes_never_panic(
        position in 0usize..2_000, value in any::<u8>(), which in 0usize..5,
    ) {
        let (client, server) = configs();
        let mut pair = Pair::new(client, server);
        let mut count = 0;
        pair.filter = Some(Box::new(move |_, datagram| {
            let mut datagram = datagram.to_vec();
            if count == which {
                let length = datagram.len();
                datagram[position % length] ^= value;
            }
            count += 1;
            Some(datagram)
        }));
        pair.run(Duration::from_secs(40));
        let ended = |state| matches!(state, State::Connected | State::Failed);
        prop_assert!(ended(pair.client.state()) && ended(pair.server.state()));
    }
}
