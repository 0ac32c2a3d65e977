//! Handshakes over bad networks, in virtual time.

use super::super::record::{self, records};
use super::network::{Quality, data, failure};
use super::*;

#[test]
fn handshake_survives_a_quarter_of_all_datagrams_lost() {
    let quality = Quality { loss: 0.25, repetition: 0.05, delay_ms: (5, 60) };
    let mut longest = Duration::ZERO;
    for seed in 0..200 {
        let (client, server) = configs();
        let mut pair = Pair::over(client, server, quality, seed);
        pair.run(Duration::from_secs(40));
        assert_eq!(
            (pair.client.state(), pair.server.state()),
            (State::Connected, State::Connected),
            "seed {seed}: client {:?}, server {:?}",
            pair.client_events,
            pair.server_events
        );
        let keys = (pair.client_srtp().unwrap().1, pair.server_srtp().unwrap().1);
        assert_eq!(keys.0.local_key(), keys.1.remote_key(), "seed {seed}");
        longest = longest.max(pair.connected_after());
    }
    assert!(longest < Duration::from_secs(15), "{longest:?}");
}

#[test]
fn handshake_survives_half_of_all_datagrams_lost() {
    let quality = Quality { loss: 0.5, repetition: 0.0, delay_ms: (5, 60) };
    let connected = (0..40).filter(|&seed| {
        let (client, server) = configs();
        let mut pair = Pair::over(client, server, quality, seed);
        pair.run(Duration::from_secs(40));
        pair.client.state() == State::Connected && pair.server.state() == State::Connected
    });
    assert!(connected.count() >= 36);
}

#[test]
fn handshake_survives_delay_longer_than_the_first_retransmissions() {
    let quality = Quality { loss: 0.0, repetition: 0.0, delay_ms: (400, 700) };
    for seed in 0..20 {
        let (client, server) = configs();
        let mut pair = Pair::over(client, server, quality, seed);
        pair.run(Duration::from_secs(20));
        pair.assert_connected();
    }
}

#[test]
fn every_single_datagram_may_be_lost() {
    for lost in 0..5 {
        let (client, server) = configs();
        let mut pair = Pair::new(client, server);
        let mut count = 0;
        pair.filter = Some(Box::new(move |_, datagram| {
            count += 1;
            (count != lost + 1).then(|| datagram.to_vec())
        }));
        pair.run(Duration::from_millis(400));
        pair.assert_connected();
    }
}

#[test]
fn first_hello_is_retransmitted_on_schedule() {
    let (client, server) = configs();
    let mut pair = Pair::new(client, server);
    pair.filter = Some(Box::new(|_, _| None));
    let mut previous = 0;
    for (at_ms, datagrams) in [(0, 1), (100, 2), (250, 3), (475, 4), (644, 5), (813, 6)] {
        pair.run(Duration::from_millis(at_ms - previous));
        previous = at_ms;
        assert_eq!(pair.sent.len(), datagrams, "after {at_ms} ms");
    }
    pair.run(Duration::from_secs(40));
    // RFC 6347 §4.2.4: the message is the same, the record's sequence number is new. Copies are copies.
    let mut sequence_numbers: Vec<_> =
        pair.sent.iter().map(|(_, datagram)| records(datagram).next().unwrap().sequence_number).collect();
    assert!(sequence_numbers.is_sorted());
    sequence_numbers.dedup();
    assert_eq!(sequence_numbers, (0..12).collect::<Vec<_>>());
}

#[test]
fn retransmitted_flights_take_no_more_datagrams_than_the_first_time() {
    let (client, server) = configs();
    let mut pair = Pair::new(client, server);
    pair.filter = Some(Box::new(|from, datagram| (from == Role::Client).then(|| datagram.to_vec())));
    pair.run(Duration::from_millis(90));
    let first = pair.sent.iter().filter(|(from, _)| *from == Role::Server).count();
    pair.run(Duration::from_millis(90));
    let both = pair.sent.iter().filter(|(from, _)| *from == Role::Server).count();
    assert_eq!(both, 2 * first);
    assert!(pair.sent.iter().all(|(_, datagram)| datagram.len() <= MTU));
}

#[test]
fn hello_that_arrives_last_still_connects() {
    let (client, server) = configs();
    let mut pair = Pair::new(client, server);
    let mut count = 0;
    pair.filter = Some(Box::new(move |_, datagram| {
        count += 1;
        (count >= 25).then(|| datagram.to_vec())
    }));
    pair.run(Duration::from_secs(30));
    pair.assert_connected();
}

#[test]
fn stalls_end_after_thirty_seconds_at_every_flight() {
    // Nothing passes after so many datagrams of the client and the server.
    for passed in 0..4 {
        let (client, server) = configs();
        let mut pair = Pair::new(client, server);
        let mut count = 0;
        pair.filter = Some(Box::new(move |_, datagram| {
            count += 1;
            (count <= passed).then(|| datagram.to_vec())
        }));
        pair.run(Duration::from_millis(29_990));
        assert_eq!(pair.client.state(), State::Connecting, "{passed} passed");
        assert_ne!(pair.server.state(), State::Failed, "{passed} passed");
        pair.run(Duration::from_millis(20));
        assert!(matches!(failure(&pair.client_events), Some(DtlsError::HandshakeTimeout)));
        let server_failed = matches!(failure(&pair.server_events), Some(DtlsError::HandshakeTimeout));
        assert!(server_failed || pair.server.state() == State::Connected, "{passed} passed");
        assert_eq!(pair.client.poll_timeout(), None);
    }
}

#[test]
fn lost_final_flight_is_sent_again_when_the_client_repeats_its_own() {
    for losses in [1, 3, 6] {
        let (client, server) = configs();
        let mut pair = Pair::new(client, server);
        let mut left = losses;
        pair.filter = Some(Box::new(move |from, datagram| {
            let is_final = from == Role::Server
                && records(datagram)
                    .any(|record| record.epoch == 1 && record.content_type == record::HANDSHAKE);
            if is_final && left > 0 {
                left -= 1;
                return None;
            }
            Some(datagram.to_vec())
        }));
        pair.run(Duration::from_secs(20));
        pair.assert_connected();
        pair.server.send_application_data(b"after").unwrap();
        pair.client.send_application_data(b"after").unwrap();
        pair.run(Duration::from_secs(1));
        assert_eq!(data(&pair.client_events), ["after"]);
        assert_eq!(data(&pair.server_events), ["after"]);
    }
}

/// RFC 5288 §3: with the same nonce, two different records would give the key away. Repetitions of the same
/// bytes are fine.
#[test]
fn nonces_of_handshake_and_data_never_repeat_under_loss() {
    let quality = Quality { loss: 0.3, repetition: 0.05, delay_ms: (5, 60) };
    let mut repeated_flights = 0;
    for seed in 0..60 {
        let (client, server) = configs();
        let mut pair = Pair::over(client, server, quality, seed);
        pair.run(Duration::from_secs(40));
        for _ in 0..50 {
            pair.client.send_application_data(b"x").unwrap();
            pair.server.send_application_data(b"x").unwrap();
        }
        pair.run(Duration::from_secs(5));
        for side in [Role::Client, Role::Server] {
            let mut seen = std::collections::HashMap::new();
            let mut numbers = std::collections::HashMap::new();
            for (_, datagram) in pair.sent.iter().filter(|(from, _)| *from == side) {
                for record in records(datagram).filter(|record| record.epoch == 1) {
                    let nonce = record.body[..8].to_vec();
                    repeated_flights += usize::from(record.content_type == record::HANDSHAKE);
                    let first = seen.entry(nonce).or_insert_with(|| record.bytes.to_vec());
                    assert_eq!(first, record.bytes, "seed {seed}: a nonce for two records");
                    let first =
                        numbers.entry(record.sequence_number).or_insert_with(|| record.bytes.to_vec());
                    assert_eq!(first, record.bytes, "seed {seed}: a number for two records");
                }
            }
        }
    }
    assert!(repeated_flights > 2 * 60 + 30, "hardly any Finished was repeated: {repeated_flights}");
}
