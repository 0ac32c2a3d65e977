//! Bytes: what is no SCTP packet at all, and frames of H.264 as packets (RFC 6184).

use std::time::Instant;

use actix_rtc::proto::{
    rtp::{CodecParameters, FramePacketizer},
    sctp::{Association, AssociationConfig, Role},
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

const SINGLE_TIME_AGGREGATION: u8 = 24;
const FRAGMENT: u8 = 28;

/// Payloads of a frame of these units, for at most 1,100 bytes each.
fn payloads(units: &[Vec<u8>]) -> Vec<Bytes> {
    let codec = CodecParameters {
        payload_type: 102,
        name: "H264".to_owned(),
        clock_rate: 90_000,
        channels: None,
        parameters: vec![("packetization-mode".to_owned(), Some("1".to_owned()))],
        feedback: Vec::new(),
    };
    let frame: Vec<u8> = units.iter().flat_map(|unit| [&[0, 0, 0, 1][..], unit].concat()).collect();
    let mut packetizer = FramePacketizer::new(&codec, 1_100).unwrap();
    let packets = packetizer.packetize(Instant::now(), &Bytes::from(frame), 3_000).unwrap();
    let markers: Vec<bool> = packets.iter().map(|packet| packet.marker).collect();
    assert!(markers.iter().rev().skip(1).all(|marker| !marker) && markers.last() == Some(&true), "the last one ends");
    packets.into_iter().map(|packet| packet.payload).collect()
}

/// A unit of this kind and length, in which no start code can be seen.
fn unit(kind: u8, length: usize) -> Vec<u8> {
    let mut unit = vec![0xff; length];
    unit[0] = 0x60 | kind;
    unit
}

#[test]
fn start_codes_of_both_lengths_end_a_unit() {
    let codec = CodecParameters {
        payload_type: 102,
        name: "H264".to_owned(),
        clock_rate: 90_000,
        channels: None,
        parameters: Vec::new(),
        feedback: Vec::new(),
    };
    let mut packetizer = FramePacketizer::new(&codec, 1_100).unwrap();
    let frame = Bytes::from_static(&[0, 0, 1, 0x65, 0xaa, 0xff, 0, 0, 0, 1, 0x41, 0xbb, 0xff]);
    let packets = packetizer.packetize(Instant::now(), &frame, 0).unwrap();
    let payloads: Vec<&[u8]> = packets.iter().map(|packet| &*packet.payload).collect();
    assert_eq!(payloads, [&[0x65, 0xaa, 0xff][..], &[0x41, 0xbb, 0xff]]);
}

#[test]
fn one_small_unit_is_one_packet() {
    assert_eq!(payloads(&[unit(1, 500)]), [unit(1, 500)]);
}

#[test]
fn one_big_unit_is_fragmented_and_whole_again() {
    let big = unit(5, 3_000);
    let fragments = payloads(std::slice::from_ref(&big));
    assert!(fragments.len() > 1);
    let mut whole = vec![fragments[0][0] & 0xe0 | fragments[0][1] & 0x1f];
    for (number, fragment) in fragments.iter().enumerate() {
        assert!(fragment.len() <= 1_100);
        assert_eq!(fragment[0] & 0x1f, FRAGMENT);
        let (start, end) = (fragment[1] & 0x80 != 0, fragment[1] & 0x40 != 0);
        assert_eq!((start, end), (number == 0, number == fragments.len() - 1));
        whole.extend_from_slice(&fragment[2..]);
    }
    assert_eq!(whole, big);
}

/// Units of the kinds that describe the stream travel together with what follows them.
#[test]
fn parameter_sets_are_aggregated_with_each_other() {
    let payloads = payloads(&[unit(7, 20), unit(8, 8), unit(5, 500)]);
    assert_eq!(payloads[0][0] & 0x1f, SINGLE_TIME_AGGREGATION);
    let sets = [&[0, 20][..], &unit(7, 20), &[0, 8], &unit(8, 8)].concat();
    assert_eq!(payloads[0][1..], sets);
    assert_eq!(payloads[1..], [unit(5, 500)]);
}

#[test]
fn several_small_units_arrive_in_their_order() {
    let units: Vec<Vec<u8>> = (10..20).map(|length| unit(1, length)).collect();
    assert_eq!(payloads(&units), units);
}
