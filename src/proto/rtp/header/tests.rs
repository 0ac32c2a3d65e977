//! Tests of the RTP header view, with the `rtp` crate as judge.

use bytes::Bytes;
use proptest::prelude::*;
use webrtc_util::marshal::Unmarshal;

use super::*;

const PLAIN: [u8; 16] = [0x80, 0x80 | 111, 0xff, 0xfe, 0, 0, 0, 7, 0x12, 0x34, 0x56, 0x78, 1, 2, 3, 4];

fn with_extension(profile: u16, block: &[u8]) -> Vec<u8> {
    let mut packet = PLAIN[..12].to_vec();
    packet[0] |= 0x10;
    packet.extend_from_slice(&profile.to_be_bytes());
    packet.extend_from_slice(&((block.len() / 4) as u16).to_be_bytes());
    packet.extend_from_slice(block);
    packet
}

fn elements(profile: u16, block: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let packet = with_extension(profile, block);
    let header = RtpHeader::parse(&packet).expect("a packet");
    header.extensions().map(|(id, value)| (id, value.to_vec())).collect()
}

#[test]
fn fixed_fields_are_read() {
    let header = RtpHeader::parse(&PLAIN).expect("a packet");
    assert!(header.marker());
    assert_eq!(header.payload_type(), 111);
    assert_eq!(header.sequence_number(), 0xfffe);
    assert_eq!(header.timestamp(), 7);
    assert_eq!(header.ssrc(), 0x1234_5678);
    assert_eq!(header.csrcs().count(), 0);
    assert_eq!(header.payload(), [1, 2, 3, 4]);
}

#[test]
fn contributing_sources_precede_the_extension() {
    let mut packet = with_extension(0xbede, &[0x10, 9, 0, 0]);
    packet[0] |= 2;
    packet.splice(12..12, [0, 0, 0, 1, 0, 0, 0, 2]);
    let header = RtpHeader::parse(&packet).expect("a packet");
    assert_eq!(header.csrcs().collect::<Vec<_>>(), [1, 2]);
    assert_eq!(header.extensions().collect::<Vec<_>>(), [(1, &[9u8][..])]);
}

#[test]
fn truncated_packets_and_other_versions_are_refused() {
    for length in 0..12 {
        assert_eq!(RtpHeader::parse(&PLAIN[..length]).err(), Some(RtpError::Truncated));
    }
    let mut packet = PLAIN;
    packet[0] = 0x40;
    assert_eq!(RtpHeader::parse(&packet).err(), Some(RtpError::Version));
    packet[0] = 0x82;
    assert_eq!(RtpHeader::parse(&packet).err(), Some(RtpError::Truncated), "two CSRCs announced, one there");
    packet[0] = 0x90;
    assert_eq!(RtpHeader::parse(&packet).err(), Some(RtpError::Truncated), "extension overruns");
}

#[test]
fn padding_is_taken_off_and_checked() {
    let mut packet = PLAIN;
    packet[0] |= 0x20;
    for (count, payload) in
        [(1u8, Ok(3)), (4, Ok(0)), (0, Err(RtpError::Padding)), (5, Err(RtpError::Padding))]
    {
        packet[15] = count;
        assert_eq!(RtpHeader::parse(&packet).map(|header| header.payload().len()), payload, "{count}");
        assert_eq!(RtpHeader::parse_protected(&packet).map(|header| header.payload().len()), Ok(4));
    }
    assert_eq!(RtpHeader::parse(&packet[..12]).err(), Some(RtpError::Padding), "no payload at all");
}

#[test]
fn one_byte_elements_follow_rfc_8285() {
    assert_eq!(elements(0xbede, &[0x10, 7, 0, 0, 0x21, 8, 9, 0]), [(1, vec![7]), (2, vec![8, 9])]);
    assert_eq!(elements(0xbede, &[0x10, 7, 0xf0, 1, 0x20, 8, 0, 0]), [(1, vec![7])], "id 15 stops");
    assert_eq!(
        elements(0xbede, &[0x10, 7, 0x01, 1, 0x20, 8, 0, 0]),
        [(1, vec![7])],
        "id 0 with a length stops"
    );
    assert_eq!(elements(0xbede, &[0x10, 7, 0x2f, 1]), [(1, vec![7])], "an overrun stops");
}

#[test]
fn two_byte_elements_follow_rfc_8285() {
    for profile in [0x1000, 0x1007, 0x100f] {
        assert_eq!(elements(profile, &[200, 0, 0, 15, 2, 8, 9, 0]), [(200, vec![]), (15, vec![8, 9])]);
    }
    assert!(elements(0x1000, &[0, 0, 0, 7]).is_empty(), "no length");
    assert!(elements(0x1010, &[1, 0, 1, 0]).is_empty(), "another profile is skipped");
}

#[test]
fn the_payload_after_id_15_is_where_the_length_says() {
    let mut packet = with_extension(0xbede, &[0xf0, 1, 2, 3]);
    packet.extend_from_slice(b"media");
    assert_eq!(RtpHeader::parse(&packet).expect("a packet").payload(), b"media");
}

/// Packets that the `rtp` crate reads correctly: legal elements, no padding count of 0.
fn legal_packet() -> impl Strategy<Value = Vec<u8>> {
    let element = (1u8..15, proptest::collection::vec(any::<u8>(), 1..=16));
    (
        proptest::collection::vec(any::<u32>(), 0..=15),
        proptest::option::of(proptest::collection::vec(element, 0..6)),
        any::<[u8; 11]>(),
        proptest::collection::vec(any::<u8>(), 0..40),
        0u8..8,
    )
        .prop_map(|(csrcs, extension, fixed, payload, padding)| {
            let mut packet = vec![0x80 | csrcs.len() as u8];
            packet.extend_from_slice(&fixed);
            packet.extend(csrcs.iter().flat_map(|csrc| csrc.to_be_bytes()));
            if let Some(elements) = extension {
                packet[0] |= 0x10;
                let mut block = Vec::new();
                for (id, value) in elements {
                    block.push(id << 4 | (value.len() - 1) as u8);
                    block.extend(value);
                }
                block.resize(block.len().next_multiple_of(4), 0);
                packet.extend_from_slice(&[0xbe, 0xde, 0, (block.len() / 4) as u8]);
                packet.extend(block);
            }
            packet.extend(payload);
            if padding > 0 {
                packet[0] |= 0x20;
                packet.extend(std::iter::repeat_n(padding, usize::from(padding)));
            }
            packet
        })
}

proptest! {
    #[test]
    fn agrees_with_the_rtp_crate_on_legal_packets(packet in legal_packet()) {
        let header = RtpHeader::parse(&packet).expect("legal");
        let oracle = rtp::packet::Packet::unmarshal(&mut Bytes::from(packet.clone())).expect("legal");
        prop_assert_eq!(header.marker(), oracle.header.marker);
        prop_assert_eq!(header.payload_type(), oracle.header.payload_type);
        prop_assert_eq!(header.sequence_number(), oracle.header.sequence_number);
        prop_assert_eq!(header.timestamp(), oracle.header.timestamp);
        prop_assert_eq!(header.ssrc(), oracle.header.ssrc);
        prop_assert_eq!(header.csrcs().collect::<Vec<_>>(), oracle.header.csrc);
        let expected: Vec<_> = oracle.header.extensions.iter().map(|ext| (ext.id, ext.payload.to_vec())).collect();
        let elements: Vec<_> = header.extensions().map(|(id, value)| (id, value.to_vec())).collect();
        prop_assert_eq!(elements, expected);
        prop_assert_eq!(header.payload(), oracle.payload.as_ref());
    }

    #[test]
    fn any_bytes_are_answered(mut packet in proptest::collection::vec(any::<u8>(), 0..80), version in any::<bool>()) {
        if version && !packet.is_empty() {
            packet[0] = packet[0] & 0x3f | 0x80;
        }
        for header in [RtpHeader::parse(&packet), RtpHeader::parse_protected(&packet)].into_iter().flatten() {
            prop_assert!(header.extensions().count() <= packet.len());
            prop_assert!(header.payload_range().end <= packet.len());
            let _ = (header.csrcs().count(), header.payload(), header.timestamp());
        }
    }

    #[test]
    fn any_mutation_of_a_legal_packet_is_answered(packet in legal_packet(), at: prop::sample::Index, to: u8, cut: prop::sample::Index) {
        let mut packet = packet;
        let at = at.index(packet.len());
        packet[at] = to;
        packet.truncate(cut.index(packet.len() + 1));
        if let Ok(header) = RtpHeader::parse(&packet) {
            prop_assert!(header.extensions().count() <= packet.len());
        }
    }
}

#[test]
fn a_telephone_event_is_read() {
    let packet = [0x80, 0xe5, 0x5e, 0x58, 0xef, 0xb0, 0xf6, 0xbc, 0xa6, 0xa1, 0x44, 0xf2, 1, 0x8a, 3, 0xc0];
    let header = RtpHeader::parse(&packet).expect("legal");
    assert!(header.marker());
    assert_eq!((header.payload_type(), header.sequence_number()), (101, 24_152));
    assert_eq!((header.timestamp(), header.csrcs().count()), (0xefb0_f6bc, 0));
    assert_eq!(header.payload(), [1, 0x8a, 3, 0xc0]);
}

/// 224 bytes of padding and nothing else, behind `head`.
fn only_padding(head: &[u8]) -> Vec<u8> {
    let mut packet = head.to_vec();
    packet[0] |= 0x20;
    packet.resize(head.len() + 224, 0);
    *packet.last_mut().expect("not empty") = 224;
    packet
}

#[test]
fn a_packet_of_nothing_but_padding_has_an_empty_payload() {
    let head = [0x80, 120, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
    let packet = only_padding(&head);
    assert!(RtpHeader::parse(&packet).expect("legal").payload().is_empty());
    let head = [&[0x90, 98][..], &head[2..], &[0xbe, 0xde, 0, 1, 0x22, 0xf1, 0xcc, 0x8c]].concat();
    let packet = only_padding(&head);
    let header = RtpHeader::parse(&packet).expect("legal");
    assert!(header.payload().is_empty());
    assert_eq!(header.extensions().collect::<Vec<_>>(), [(2, &[0xf1, 0xcc, 0x8c][..])]);
}

#[test]
fn padding_longer_than_the_payload_or_of_zero_bytes_is_refused() {
    for count in [0, 2, 255] {
        let packet = [0xa0, 120, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, count];
        assert_eq!(RtpHeader::parse(&packet).err(), Some(RtpError::Padding), "{count}");
    }
}

#[test]
fn a_list_of_contributing_sources_that_is_cut_off_is_refused() {
    let packet = [0x82, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0xab, 0xcd, 0xef, 1, 0xde, 0xad, 0xbe, 0xef, 0xff];
    for length in 12..20 {
        assert_eq!(RtpHeader::parse(&packet[..length]).err(), Some(RtpError::Truncated), "{length}");
    }
    let header = RtpHeader::parse(&packet).expect("legal");
    assert_eq!(header.csrcs().collect::<Vec<_>>(), [0xabcd_ef01, 0xdead_beef]);
    assert_eq!(header.payload(), [0xff]);
}

#[test]
fn an_extension_that_is_cut_off_is_refused() {
    let packet = [0x90, 111, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0xbe, 0xde, 0, 1, 0x90, b'0', 0, 0, 7];
    for length in 0..20 {
        assert_eq!(RtpHeader::parse(&packet[..length]).err(), Some(RtpError::Truncated), "{length}");
    }
    let header = RtpHeader::parse(&packet).expect("legal");
    assert_eq!(header.extensions().collect::<Vec<_>>(), [(9, &b"0"[..])]);
}

#[test]
fn elements_that_are_cut_off_end_the_list() {
    for (profile, block) in
        [(0xbede, [0, 0x92, b'0', 0]), (0x1000, [0, 0, 0, 0xff]), (0x1000, [0, 0xff, 2, b'0'])]
    {
        assert_eq!(elements(profile, &block), [], "{block:?}");
    }
}
