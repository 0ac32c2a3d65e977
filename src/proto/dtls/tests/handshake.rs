//! Handshakes that succeed, and what follows them.

use super::super::record::{fragments, records};
use super::network::{data, failure};
use super::*;

#[test]
fn every_combination_of_certificates_connects() {
    for client_key in [KeyType::EcdsaP256, KeyType::Rsa2048] {
        for server_key in [KeyType::EcdsaP256, KeyType::Rsa2048] {
            let (client, server) = (certificate(client_key), certificate(server_key));
            let mut pair =
                Pair::new(config(Role::Client, &client, &server), config(Role::Server, &server, &client));
            pair.run(Duration::from_secs(1));
            pair.assert_connected();
            assert_eq!(pair.client.remote_certificate_der(), Some(server.der()));
            assert_eq!(pair.server.remote_certificate_der(), Some(client.der()));
            let suite = pair.client.cipher_suite().unwrap();
            let authentication = if server_key == KeyType::Rsa2048 { "RSA" } else { "ECDSA" };
            assert_eq!(suite, format!("TLS_ECDHE_{authentication}_WITH_AES_128_GCM_SHA256"));
        }
    }
}

#[test]
fn both_sides_have_the_same_srtp_keys_for_every_profile() {
    for profile in Profile::PREFERENCE {
        let (mut client, server) = configs();
        client.srtp_profiles = vec![profile];
        let mut pair = Pair::new(client, server);
        pair.run(Duration::from_secs(1));
        let (client_profile, client_keys) = pair.client_srtp().unwrap();
        let (server_profile, server_keys) = pair.server_srtp().unwrap();
        assert_eq!((client_profile, server_profile), (profile, profile));
        assert_eq!(client_keys.local_key(), server_keys.remote_key());
        assert_eq!(client_keys.remote_key(), server_keys.local_key());
        assert_eq!(client_keys.local_salt(), server_keys.remote_salt());
        assert_eq!(client_keys.remote_salt(), server_keys.local_salt());
        assert_ne!(client_keys.local_key(), client_keys.remote_key());
        client_keys.into_contexts(profile).unwrap();
    }
}

#[test]
fn server_picks_the_profile_it_likes_best() {
    let (mut client, server) = configs();
    client.srtp_profiles = vec![Profile::Aes128CmHmacSha1_80, Profile::AeadAes256Gcm, Profile::AeadAes128Gcm];
    let mut pair = Pair::new(client, server);
    pair.run(Duration::from_secs(1));
    assert_eq!(pair.client_srtp().unwrap().0, Profile::AeadAes128Gcm);
}

#[test]
fn without_a_common_profile_there_are_no_srtp_keys() {
    let (mut client, mut server) = configs();
    client.srtp_profiles = vec![Profile::AeadAes128Gcm];
    server.srtp_profiles = vec![Profile::AeadAes256Gcm];
    let mut pair = Pair::new(client, server);
    pair.run(Duration::from_secs(1));
    pair.assert_connected();
    assert!(pair.client_srtp().is_none() && pair.server_srtp().is_none());
}

#[test]
fn undisturbed_handshake_takes_two_round_trips_and_sends_nothing_twice() {
    let (client, server) = configs();
    let mut pair = Pair::new(client, server);
    pair.run(Duration::from_millis(40));
    pair.assert_connected();
    let datagrams = pair.sent.len();
    assert!(datagrams <= 5, "{datagrams} datagrams");
    assert!(pair.sent.iter().all(|(_, datagram)| datagram.len() <= MTU));
    assert_eq!(pair.client.poll_timeout(), None);
    assert_eq!(pair.server.poll_timeout(), None);
}

#[test]
fn small_mtu_is_kept_to() {
    let (mut client, mut server) = configs();
    (client.mtu, server.mtu) = (300, 300);
    let mut pair = Pair::new(client, server);
    // Lost for a while: retransmissions keep to it as well.
    let mut seen = 0;
    pair.filter = Some(Box::new(move |_, datagram| {
        seen += 1;
        (seen > 4).then(|| datagram.to_vec())
    }));
    pair.run(Duration::from_secs(20));
    pair.assert_connected();
    assert!(pair.sent.iter().all(|(_, datagram)| datagram.len() <= 300));
}

#[test]
fn client_hello_in_two_datagrams_is_put_together_in_any_order() {
    for reversed in [false, true] {
        let (client, server) = configs();
        let mut pair = Pair::new(client, server);
        pair.drain();
        let (_, hello) = pair.sent.last().cloned().unwrap();
        let mut pieces = split_hello(&hello, 100);
        if reversed {
            pieces.reverse();
        }
        // The pieces took more sequence numbers than the whole, so what follows them is renumbered.
        let mut next = pieces.len() as u8;
        pair.filter = Some(Box::new(move |from, datagram| {
            let mut datagram = datagram.to_vec();
            if from == Role::Client {
                next = renumber(&mut datagram, next);
            }
            Some(datagram)
        }));
        // The whole one that is on its way comes too late to matter.
        for piece in &pieces {
            assert_eq!(pair.server.state(), State::New);
            pair.server.handle_packet(pair.now, piece);
        }
        assert!(pieces.len() > 1);
        assert_eq!(pair.server.state(), State::Connecting, "reversed: {reversed}");
        pair.run(Duration::from_secs(1));
        pair.assert_connected();
    }
}

/// The same ClientHello in records of at most `size` bytes of it.
pub(super) fn split_hello(hello: &[u8], size: usize) -> Vec<Vec<u8>> {
    let record = records(hello).next().unwrap();
    let fragment = fragments(record.body).next().unwrap();
    let length = |value: usize| [(value >> 16) as u8, (value >> 8) as u8, value as u8];
    let pieces = fragment.body.chunks(size).enumerate().map(|(index, piece)| {
        let mut bytes = hello[..5].to_vec();
        bytes.extend([0, 0, 0, 0, 0, index as u8]);
        bytes.extend(((piece.len() + 12) as u16).to_be_bytes());
        bytes.push(fragment.message_type);
        bytes.extend(length(fragment.message_length));
        bytes.extend(fragment.message_sequence.to_be_bytes());
        bytes.extend(length(index * size));
        bytes.extend(length(piece.len()));
        bytes.extend(piece);
        bytes
    });
    pieces.collect()
}

/// Gives the unencrypted records of a datagram new sequence numbers; returns the next one.
fn renumber(datagram: &mut [u8], mut next: u8) -> u8 {
    let lengths: Vec<_> = records(datagram).map(|record| (record.epoch, record.bytes.len())).collect();
    let mut start = 0;
    for (epoch, length) in lengths {
        if epoch == 0 {
            datagram[start + 10] = next;
            next += 1;
        }
        start += length;
    }
    next
}

#[test]
fn data_flows_both_ways_record_by_record() {
    let mut pair = connected_pair();
    let sizes = [1, 100, 1_150, 16_384];
    for size in sizes {
        pair.client.send_application_data(&vec![1; size]).unwrap();
        pair.server.send_application_data(&vec![2; size]).unwrap();
    }
    pair.run(Duration::from_secs(1));
    let lengths = |events: &[Event]| data(events).iter().map(|data| data.len()).collect::<Vec<_>>();
    assert_eq!(lengths(&pair.client_events), sizes);
    assert_eq!(lengths(&pair.server_events), sizes);
    assert!(data(&pair.client_events).iter().all(|data| data.iter().all(|&byte| byte == 2)));
}

#[test]
fn several_records_in_one_datagram_are_all_read() {
    let mut pair = connected_pair();
    let mut datagram = Vec::new();
    for length in [3, 700, 20] {
        pair.client.send_application_data(&vec![9; length]).unwrap();
        datagram.extend(pair.client.poll_transmit().unwrap());
    }
    pair.server.handle_packet(pair.now, &datagram);
    pair.drain();
    let lengths: Vec<_> = data(&pair.server_events).iter().map(|data| data.len()).collect();
    assert_eq!(lengths, [3, 700, 20]);
}

#[test]
fn data_that_overtakes_finished_is_delivered_after_it() {
    let (client, server) = configs();
    let mut pair = Pair::new(client, server);
    pair.filter = Some(Box::new(|_, _| None));
    pair.run(Duration::ZERO);
    let mut relayed = 0;
    // By hand: everything up to the server's last flight.
    while pair.server.state() != State::Connected {
        let (from, datagram) = pair.sent[relayed].clone();
        relayed += 1;
        match from {
            Role::Client => pair.server.handle_packet(pair.now, &datagram),
            Role::Server => pair.client.handle_packet(pair.now, &datagram),
        }
        pair.drain();
    }
    pair.server.send_application_data(b"early").unwrap();
    pair.drain();
    let last: Vec<_> = pair.sent[relayed..].to_vec();
    for (_, datagram) in last.iter().rev() {
        assert_eq!(pair.client.state(), State::Connecting);
        pair.client.handle_packet(pair.now, datagram);
    }
    pair.drain();
    pair.assert_connected();
    assert!(matches!(pair.client_events[0], Event::Connected { .. }));
    assert_eq!(data(&pair.client_events), ["early"]);
}

#[test]
fn close_notify_closes_both_sides() {
    let mut pair = connected_pair();
    pair.client.close();
    assert_eq!(pair.client.state(), State::Closed);
    pair.run(Duration::from_secs(1));
    assert_eq!(pair.server.state(), State::Closed);
    assert!(matches!(pair.server_events.last(), Some(Event::Closed)));
    assert!(failure(&pair.client_events).is_none());
    assert!(matches!(pair.server.send_application_data(b"x"), Err(DtlsError::NotConnected)));
}

#[test]
fn data_is_refused_before_the_handshake_and_beyond_a_record() {
    let (client, server) = configs();
    let mut pair = Pair::new(client, server);
    assert!(matches!(pair.client.send_application_data(b"x"), Err(DtlsError::NotConnected)));
    pair.run(Duration::from_secs(1));
    assert!(matches!(pair.client.send_application_data(&[0; 16_385]), Err(DtlsError::TooLarge(16_385))));
    pair.client.send_application_data(&[]).unwrap();
}

#[test]
fn sending_is_refused_when_nobody_polls() {
    let mut pair = connected_pair();
    let result = (0..2_000).map(|_| pair.client.send_application_data(b"x")).find(Result::is_err);
    assert!(matches!(result, Some(Err(DtlsError::QueueFull))));
    while pair.client.poll_transmit().is_some() {}
    pair.client.send_application_data(b"x").unwrap();
}

#[test]
fn certificates_survive_being_written_and_read() {
    for key_type in [KeyType::EcdsaP256, KeyType::Rsa2048] {
        let original = certificate(key_type);
        let pem = original.to_pem().unwrap();
        let read = Certificate::from_pem(pem.certificate.as_bytes(), pem.private_key.as_bytes()).unwrap();
        assert_eq!(read.der(), original.der());
        let remaining = read.expires().unwrap().duration_since(std::time::SystemTime::now()).unwrap();
        assert!((Duration::from_secs(364 * 86_400)..Duration::from_secs(366 * 86_400)).contains(&remaining));
    }
    let (one, two) = (certificate(KeyType::EcdsaP256), certificate(KeyType::Rsa2048));
    let (one, two) = (one.to_pem().unwrap(), two.to_pem().unwrap());
    let mixed = Certificate::from_pem(one.certificate.as_bytes(), two.private_key.as_bytes());
    assert!(matches!(mixed, Err(DtlsError::InvalidCertificate(_))));
    assert!(Certificate::from_pem(b"nonsense", one.private_key.as_bytes()).is_err());
}

#[test]
fn sessions_and_certificates_may_change_threads() {
    fn assert_send<T: Send>() {}
    fn assert_sync<T: Sync>() {}
    assert_send::<Session>();
    assert_send::<Certificate>();
    assert_sync::<Certificate>();
}

#[test]
fn unusable_configurations_are_refused() {
    let now = Instant::now();
    let (mut client, _) = configs();
    client.mtu = 100;
    assert!(matches!(Session::new(now, client.clone()), Err(DtlsError::InvalidMtu(100))));
    client.mtu = MTU;
    client.remote_fingerprints.clear();
    assert!(matches!(Session::new(now, client), Err(DtlsError::NoFingerprint)));
}
