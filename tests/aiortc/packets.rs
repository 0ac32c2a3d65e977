//! What is no SCTP packet at all.

use std::time::Instant;

use actix_rtc::proto::{
    dtls::Role,
    sctp::{Association, AssociationConfig},
};
use bytes::Bytes;
use rand::{Rng, RngCore, SeedableRng, rngs::StdRng};

/// Neither an answer nor an event follows; the packets are counted.
fn has_no_effect(packets: impl IntoIterator<Item = Vec<u8>>) {
    let now = Instant::now();
    let mut association = Association::new(AssociationConfig::default());
    association.start(now, Role::Server);
    let mut count = 0;
    for packet in packets {
        association.handle_packet(now, Bytes::from(packet));
        count += 1;
        assert!(association.poll_transmit(now).is_none());
        assert!(association.poll_event().is_none());
    }
    let counters = association.counters();
    assert_eq!((counters.packets_received, counters.packets_discarded), (count, count));
    assert!(!association.is_connected() && !association.has_ended());
}

#[test]
fn garbage_is_no_packet() {
    let mut random = StdRng::seed_from_u64(3);
    has_no_effect((0..1_000).map(|_| {
        let mut bytes = vec![0; random.random_range(0..1_300)];
        random.fill_bytes(&mut bytes);
        bytes
    }));
}

#[test]
fn a_packet_shorter_than_its_header_is_none() {
    let init = [0x13, 0x88, 0x13, 0x88, 0, 0, 0, 0, 1, 2, 3, 4, 1, 0, 0, 20];
    has_no_effect((0..12).map(|length| init[..length].to_vec()));
}
