//! Tests of header extensions by negotiated ids.

use proptest::prelude::*;

use super::*;

fn all(mixed: bool) -> ExtensionMap {
    ExtensionMap::new((1..).zip(ExtensionKind::ALL.map(|(_, uri)| uri)), mixed)
}

/// A packet with the block that `map` writes.
fn packet(map: &ExtensionMap, forwarded: &Extensions, leg: &LegExtensions) -> Vec<u8> {
    let mut header = HeaderBytes::from_slice(&[0x80, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3]);
    map.write(forwarded, leg, &mut header);
    if header.len() > 12 {
        header[0] |= 0x10;
    }
    header.extend_from_slice(b"payload");
    header.to_vec()
}

fn full() -> Extensions {
    Extensions {
        audio_level: Some(AudioLevel { voice: true, level: 127 }),
        video_orientation: Some(3),
        playout_delay: Some([1, 2, 3]),
        absolute_capture_time: Some(AbsoluteCaptureTime { timestamp: 1 << 40, clock_offset: Some(-5) }),
        video_content_type: Some(1),
        video_timing: Some([7; 13]),
        color_space: Some(SmallVec::from_slice(&[1, 2, 3, 4])),
        dependency_descriptor: Some(SmallVec::from_slice(&[0xc0, 0, 9])),
        ..Extensions::default()
    }
}

fn leg() -> LegExtensions {
    LegExtensions {
        mid: Mid::new("video"),
        rid: Rid::new("q"),
        repaired_rid: None,
        absolute_send_time: Some(0x0012_3456),
        frame_number_shift: 0,
        transport_sequence_number: Some(0xabcd),
    }
}

fn expected() -> Extensions {
    Extensions {
        mid: leg().mid,
        rid: leg().rid,
        absolute_send_time: leg().absolute_send_time,
        transport_sequence_number: leg().transport_sequence_number,
        ..full()
    }
}

#[test]
fn what_is_written_is_read_back() {
    let bytes = packet(&all(false), &full(), &leg());
    let header = RtpHeader::parse(&bytes).expect("a packet");
    assert_eq!(header.payload(), b"payload");
    assert_eq!(bytes[12..14], [0xbe, 0xde]);
    assert_eq!(all(false).decode(&header), expected());
}

#[test]
fn nothing_to_say_writes_no_block() {
    assert_eq!(packet(&all(true), &Extensions::default(), &LegExtensions::default()).len(), 19);
    assert_eq!(packet(&ExtensionMap::default(), &full(), &leg()).len(), 19);
}

#[test]
fn long_values_take_the_two_byte_form_only_when_allowed() {
    let long = Extensions { dependency_descriptor: Some(SmallVec::from_elem(9, 80)), ..full() };
    let bytes = packet(&all(true), &long, &leg());
    assert_eq!(bytes[12..14], [0x10, 0x00]);
    let header = RtpHeader::parse(&bytes).expect("a packet");
    let expectation = Extensions { dependency_descriptor: long.dependency_descriptor.clone(), ..expected() };
    assert_eq!(all(true).decode(&header), expectation);

    let bytes = packet(&all(false), &long, &leg());
    assert_eq!(bytes[12..14], [0xbe, 0xde]);
    let header = RtpHeader::parse(&bytes).expect("a packet");
    assert_eq!(all(false).decode(&header), Extensions { dependency_descriptor: None, ..expected() });
}

#[test]
fn ids_above_fourteen_need_the_two_byte_form() {
    let mid = "urn:ietf:params:rtp-hdrext:sdes:mid";
    let bytes = packet(&ExtensionMap::new([(200, mid)], true), &full(), &leg());
    assert_eq!(bytes[12..23], [0x10, 0x00, 0, 2, 200, 5, b'v', b'i', b'd', b'e', b'o']);
    assert_eq!(packet(&ExtensionMap::new([(200, mid)], false), &full(), &leg()).len(), 19);
}

#[test]
fn the_first_mention_of_an_id_or_kind_wins() {
    let (mid, rid) = ("urn:ietf:params:rtp-hdrext:sdes:mid", "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id");
    let map = ExtensionMap::new([(0, mid), (15, mid), (3, mid), (3, rid), (4, mid), (5, "x:unknown")], false);
    assert_eq!(map.id(ExtensionKind::Mid), Some(3));
    assert_eq!(map.id(ExtensionKind::Rid), None);
}

#[test]
fn the_frame_number_is_shifted_in_place() {
    let wrapping =
        Extensions { dependency_descriptor: Some(SmallVec::from_slice(&[0xc0, 0xff, 0xff, 7])), ..full() };
    let bytes = packet(&all(false), &wrapping, &LegExtensions { frame_number_shift: 3, ..leg() });
    let decoded = all(false).decode(&RtpHeader::parse(&bytes).expect("a packet"));
    assert_eq!(decoded.frame_number(), Some(2));
    assert_eq!(decoded.dependency_descriptor.as_deref(), Some(&[0xc0, 0, 2, 7][..]));
}

#[test]
fn the_place_of_the_send_time_is_known() {
    let mut header = HeaderBytes::from_slice(&[0; 12]);
    let written = all(false).write(&full(), &leg(), &mut header);
    let at = written.absolute_send_time.expect("written");
    assert_eq!(header[at..at + 3], [0x12, 0x34, 0x56]);
}

#[test]
fn malformed_values_are_left_out() {
    // mid with a space, abs-send-time of two bytes, transmission offset −1.
    let bytes = [
        0x90, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0xbe, 0xde, 0, 3, 0x10, b' ', 0x51, 1, 2, 0x72, 0xff, 0xff,
        0xff, 0, 0, 0,
    ];
    let decoded = all(false).decode(&RtpHeader::parse(&bytes).expect("a packet"));
    let expectation =
        Extensions { unknown_name: true, transmission_offset: Some(-1), ..Extensions::default() };
    assert_eq!(decoded, expectation);
}

proptest! {
    #[test]
    fn any_block_is_decoded_and_can_be_written(profile in prop_oneof![Just(0xbedeu16), 0x1000u16..0x1010, any::<u16>()],
                                               words in proptest::collection::vec(any::<u32>(), 0..20)) {
        let mut bytes = vec![0x90, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
        bytes.extend_from_slice(&profile.to_be_bytes());
        bytes.extend_from_slice(&(words.len() as u16).to_be_bytes());
        bytes.extend(words.iter().flat_map(|word| word.to_be_bytes()));
        let decoded = all(true).decode(&RtpHeader::parse(&bytes).expect("a packet"));
        let leg = LegExtensions {
            mid: decoded.mid,
            rid: decoded.rid,
            repaired_rid: decoded.repaired_rid,
            absolute_send_time: decoded.absolute_send_time,
            frame_number_shift: 0,
            transport_sequence_number: decoded.transport_sequence_number,
        };
        let again = packet(&all(true), &decoded, &leg);
        let decoded_again = all(true).decode(&RtpHeader::parse(&again).expect("a packet"));
        prop_assert_eq!(decoded_again, Extensions { transmission_offset: None, unknown_name: false, ..decoded });
    }
}

#[test]
fn every_extension_that_libwebrtc_sends_is_mapped_by_its_id() {
    let map = ExtensionMap::new(
        [
            (2, "urn:ietf:params:rtp-hdrext:toffset"),
            (4, "urn:ietf:params:rtp-hdrext:ssrc-audio-level"),
            (6, "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"),
            (8, "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"),
            (10, "urn:3gpp:video-orientation"),
            (12, "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"),
            (13, "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"),
        ],
        false,
    );
    let elements = [
        &[0x40, 0x80 | 90][..],
        &[0x22, 0xff, 0xff, 0xfe],
        &[0x62, 0x12, 0x34, 0x56],
        &[0x81, 0xce, 0xab],
        &[0xa0, 3],
        &[0xc2, b'l', b'o', b'w'],
        &[0xd3, b'h', b'i', b'g', b'h'],
        &[0xe0, 9],
    ]
    .concat();
    let words = elements.len().div_ceil(4);
    let mut packet = vec![0x90, 100, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0xbe, 0xde, 0, words as u8];
    packet.extend_from_slice(&elements);
    packet.resize(16 + 4 * words, 0);
    let decoded = map.decode(&RtpHeader::parse(&packet).expect("legal"));
    let expected = Extensions {
        audio_level: Some(AudioLevel { voice: true, level: 90 }),
        transmission_offset: Some(-2),
        absolute_send_time: Some(0x12_3456),
        transport_sequence_number: Some(0xceab),
        video_orientation: Some(3),
        rid: Rid::new("low"),
        repaired_rid: Rid::new("high"),
        ..Extensions::default()
    };
    assert_eq!(decoded, expected, "an id that was not negotiated is left out");
}

#[test]
fn the_name_of_an_encoding_becomes_the_name_of_what_is_repaired() {
    for mixed in [false, true] {
        let map = all(mixed);
        // 28 bytes need the two-byte form.
        let color_space = mixed.then(|| SmallVec::from_slice(&[1; 28]));
        let forwarded = Extensions { color_space, ..Extensions::default() };
        let leg = LegExtensions { repaired_rid: None, ..leg() };
        let mut buffer = HeaderBytes::from_slice(&[0x90, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let written = map.write(&forwarded, &leg, &mut buffer);
        map.name_repaired(&mut buffer, written.rid.expect("a rid"));
        let decoded = map.decode(&RtpHeader::parse(&buffer).expect("legal"));
        assert_eq!((decoded.rid, decoded.repaired_rid), (None, leg.rid));
        assert_eq!(decoded.mid, leg.mid);
    }
}

#[test]
fn levels_of_a_mixer_are_read_in_the_order_of_the_sources() {
    let map = ExtensionMap::new([(3, "urn:ietf:params:rtp-hdrext:csrc-audio-level")], false);
    let packet = [0x90, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xbe, 0xde, 0, 1, 0x32, 10, 20, 127];
    let header = RtpHeader::parse(&packet).expect("legal");
    assert_eq!(map.mixer_audio_levels(&header), [10, 20, 127]);
    assert!(ExtensionMap::default().mixer_audio_levels(&header).is_empty());
}
