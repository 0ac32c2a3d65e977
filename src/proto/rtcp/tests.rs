//! Tests of RTCP: what is written is read back, hostile bytes are answered in bounded work.

use bytes::Bytes;
use proptest::prelude::*;
use rtcp::extended_report::ExtendedReport;
use webrtc_util::marshal::Marshal;

use super::*;

mod formats;

fn packets(datagram: &[u8]) -> Vec<RtcpPacket<'_>> {
    Compound::parse(datagram).collect()
}

fn only(datagram: &[u8]) -> RtcpPacket<'_> {
    let mut packets = packets(datagram);
    assert_eq!(packets.len(), 1, "{packets:?}");
    packets.remove(0)
}

#[test]
fn reports_are_read_as_written() {
    let block = ReportBlock {
        ssrc: 7,
        fraction_lost: 64,
        cumulative_lost: -3,
        extended_highest_sequence_number: 0x0001_0002,
        jitter: 9,
        last_sender_report: 10,
        delay_since_last_sender_report: 11,
    };
    let saturated = ReportBlock { cumulative_lost: i32::MAX, ..block };
    let bytes = CompoundBuilder::new()
        .sender_report(1, NtpTime(0x0102_0304_0506_0708), 3, 4, 5)
        .receiver_report(2, [block, saturated])
        .cname(2, "a name")
        .goodbye([2, 3])
        .build()
        .expect("bytes");
    assert_eq!(bytes.len() % 4, 0);
    let [
        RtcpPacket::SenderReport(report),
        RtcpPacket::ReceiverReport(received),
        RtcpPacket::SourceDescription(description),
        RtcpPacket::Goodbye(goodbye),
    ] = packets(&bytes)[..]
    else {
        panic!("{:?}", packets(&bytes));
    };
    assert_eq!((report.ssrc, report.ntp, report.rtp_timestamp), (1, NtpTime(0x0102_0304_0506_0708), 3));
    assert_eq!((report.packet_count, report.octet_count, report.blocks().count()), (4, 5, 0));
    let saturated = ReportBlock { cumulative_lost: 0x7f_ffff, ..block };
    assert_eq!(received.blocks().collect::<Vec<_>>(), [block, saturated]);
    assert_eq!(description.cnames().collect::<Vec<_>>(), [(2, &b"a name"[..])]);
    assert_eq!(goodbye.ssrcs().collect::<Vec<_>>(), [2, 3]);
}

#[test]
fn bounds_of_the_formats_are_kept() {
    let block = |ssrc| ReportBlock { ssrc, ..ReportBlock::default() };
    let bytes = CompoundBuilder::new()
        .receiver_report(1, (0..40).map(block))
        .cname(1, &"n".repeat(300))
        .goodbye(0..40)
        .build()
        .expect("bytes");
    let [
        RtcpPacket::ReceiverReport(report),
        RtcpPacket::SourceDescription(description),
        RtcpPacket::Goodbye(goodbye),
    ] = packets(&bytes)[..]
    else {
        panic!("{:?}", packets(&bytes));
    };
    assert_eq!(report.blocks().count(), 31);
    assert_eq!(description.cnames().map(|(_, cname)| cname.len()).collect::<Vec<_>>(), [255]);
    assert_eq!(goodbye.ssrcs().count(), 31);
}

#[test]
fn a_description_ends_in_null_octets_whatever_the_length_of_the_name() {
    for length in 0..=255 {
        let name = "n".repeat(length);
        let sdes = CompoundBuilder::new().cname(7, &name).build().unwrap();
        assert_eq!(sdes.len() % 4, 0);
        assert_eq!(usize::from(u16::from_be_bytes([sdes[2], sdes[3]])), sdes.len() / 4 - 1);
        let padding = &sdes[10 + length..];
        assert!((1..=4).contains(&padding.len()) && padding.iter().all(|byte| *byte == 0), "{length}");
    }
}

#[test]
fn farewells_have_neither_reason_nor_padding() {
    let goodbye = CompoundBuilder::new().goodbye([1, 2]).build().unwrap();
    assert_eq!(goodbye[..], [0x82, 203, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2]);
}

#[test]
fn nack_arithmetic_wraps() {
    let missing = [65530, 65531, 65535, 0, 10, 11, 27, 28];
    let bytes = CompoundBuilder::new().nack(1, 2, missing).build().expect("bytes");
    let RtcpPacket::Nack(nack) = only(&bytes) else { panic!() };
    assert_eq!((nack.sender_ssrc, nack.media_ssrc), (1, 2));
    assert_eq!(nack.sequence_numbers().collect::<Vec<_>>(), missing);
    let full = [0x81, 205, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0xff, 0xf8, 0xff, 0xff];
    let RtcpPacket::Nack(nack) = only(&full) else { panic!() };
    let expected: Vec<u16> = (0..17).map(|offset| 65528u16.wrapping_add(offset)).collect();
    assert_eq!(nack.sequence_numbers().collect::<Vec<_>>(), expected);
}

#[test]
fn nack_messages_have_a_bound() {
    assert_eq!(CompoundBuilder::new().nack(1, 2, []).build(), None);
    let bytes = CompoundBuilder::new().nack(1, 2, (0..2000).map(|i| i * 20)).build().expect("bytes");
    assert_eq!(bytes.len(), 12 + 240 * 4);
}

#[test]
fn feedback_is_read_as_written() {
    let bytes = CompoundBuilder::new()
        .picture_loss_indication(1, 2)
        .full_intra_request(1, 3, 200)
        .receiver_estimated_maximum_bitrate(1, 2_000_000, [5, 6])
        .build()
        .expect("bytes");
    let [
        RtcpPacket::PictureLossIndication(pli),
        RtcpPacket::FullIntraRequest(fir),
        RtcpPacket::ReceiverEstimatedMaximumBitrate(remb),
    ] = packets(&bytes)[..]
    else {
        panic!("{:?}", packets(&bytes));
    };
    assert_eq!(pli, PictureLossIndication { sender_ssrc: 1, media_ssrc: 2 });
    assert_eq!(fir.entries().collect::<Vec<_>>(), [FullIntraRequestEntry { ssrc: 3, sequence_number: 200 }]);
    assert!((1_990_000..=2_000_000).contains(&remb.bitrate), "{}", remb.bitrate);
    assert_eq!(remb.ssrcs().collect::<Vec<_>>(), [5, 6]);
}

#[test]
fn an_enormous_remb_saturates() {
    let mut bytes = vec![0x8f, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0];
    bytes.extend_from_slice(b"REMB\x00\xff\xff\xff");
    let RtcpPacket::ReceiverEstimatedMaximumBitrate(remb) = only(&bytes) else { panic!() };
    assert_eq!(remb.bitrate, u64::MAX);
    bytes[16] = 200;
    assert!(matches!(only(&bytes), RtcpPacket::Unknown(206)), "200 sources announced, none there");
}

#[test]
fn unknown_and_malformed_packets_do_not_hide_their_neighbours() {
    let report = ExtendedReport { sender_ssrc: 1, reports: Vec::new() }.marshal().expect("bytes");
    let pli = CompoundBuilder::new().picture_loss_indication(1, 2).build().expect("bytes");
    let other: [&[u8]; 8] = [
        &report,
        // APP, a NACK without its second SSRC, an SR cut short, an RR announcing a block, a payload feedback of
        // another application, one of no known format, and an empty packet of an unused type.
        &[0x80, 204, 0, 2, 0, 0, 0, 1, b'n', b'a', b'm', b'e'],
        &[0x81, 205, 0, 1, 0, 0, 0, 1],
        &[0x80, 200, 0, 1, 0, 0, 0, 1],
        &[0x81, 201, 0, 1, 0, 0, 0, 1],
        &[0x8f, 206, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, b'X', b'Y', b'Z', 0],
        &[0x99, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2],
        &[0x80, 199, 0, 0],
    ];
    let datagram: Vec<u8> = other.iter().flat_map(|bytes| [bytes, &pli[..]].concat()).collect();
    let packets = packets(&datagram);
    assert_eq!(packets.len(), 16);
    for pair in packets.chunks(2) {
        assert!(matches!(pair, [RtcpPacket::Unknown(_), RtcpPacket::PictureLossIndication(_)]), "{pair:?}");
    }
}

#[test]
fn transport_wide_feedback_is_passed_on_raw() {
    let bytes = [0x8f, 205, 0, 4, 0, 0, 0, 1, 0, 0, 0, 2, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
    assert!(matches!(only(&bytes), RtcpPacket::TransportFeedback(body) if body == &bytes[4..]));
}

#[test]
fn padding_is_taken_off_and_checked() {
    let mut bytes = vec![0xa1, 205, 0, 4, 0, 0, 0, 1, 0, 0, 0, 2, 0, 9, 0, 0, 0, 0, 0, 4];
    let RtcpPacket::Nack(nack) = only(&bytes) else { panic!() };
    assert_eq!(nack.sequence_numbers().collect::<Vec<_>>(), [9]);
    for count in [0, 17, 255] {
        bytes[19] = count;
        assert!(matches!(only(&bytes), RtcpPacket::Unknown(205)), "{count}");
    }
}

#[test]
fn a_length_beyond_the_datagram_ends_the_compound() {
    let pli = CompoundBuilder::new().picture_loss_indication(1, 2).build().expect("bytes");
    let mut datagram = pli.to_vec();
    datagram.extend_from_slice(&[0x80, 200, 0xff, 0xff, 0, 0]);
    assert_eq!(packets(&datagram).len(), 1);
    assert_eq!(packets(&[0x80, 200, 0]).len(), 0);
    assert_eq!(packets(&[0x40, 200, 0, 0]).len(), 0, "another version");
}

#[test]
fn descriptions_that_overrun_end_early() {
    // Two chunks: a CNAME, and one without END.
    let bytes = [0x82, 202, 0, 5, 0, 0, 0, 1, 1, 1, b'a', 0, 0, 0, 0, 2, 1, 1, b'b', 2, 0, 9, b'c', b'd'];
    let RtcpPacket::SourceDescription(description) = only(&bytes) else { panic!() };
    assert_eq!(description.cnames().collect::<Vec<_>>(), [(1, &b"a"[..])]);
    let thirty_one = [0x9f, 202, 0, 1, 0, 0, 0, 1];
    let RtcpPacket::SourceDescription(description) = only(&thirty_one) else { panic!() };
    assert_eq!(description.cnames().count(), 0);
}

/// Touches every value of every packet.
fn walk(datagram: &[u8]) -> usize {
    let mut values = 0;
    for packet in Compound::parse(datagram) {
        values += 1;
        values += match packet {
            RtcpPacket::SenderReport(report) => report.blocks().count(),
            RtcpPacket::ReceiverReport(report) => report.blocks().count(),
            RtcpPacket::SourceDescription(description) => description.cnames().count(),
            RtcpPacket::Goodbye(goodbye) => goodbye.ssrcs().count(),
            RtcpPacket::Nack(nack) => nack.sequence_numbers().count() / 17,
            RtcpPacket::FullIntraRequest(request) => request.entries().count(),
            RtcpPacket::ReceiverEstimatedMaximumBitrate(remb) => remb.ssrcs().count(),
            RtcpPacket::TemporaryMaximumBitrateRequest(request) => request.entries().count(),
            RtcpPacket::PictureLossIndication(_)
            | RtcpPacket::TransportFeedback(_)
            | RtcpPacket::Unknown(_) => 0,
        };
    }
    values
}

fn sub_packet() -> impl Strategy<Value = Vec<u8>> {
    (any::<u8>(), 198u8..210, 0usize..12, proptest::collection::vec(any::<u8>(), 48)).prop_map(
        |(first, packet_type, words, mut body)| {
            body.truncate(4 * words);
            [&[first & 0x3f | 0x80, packet_type, 0, words as u8][..], &body].concat()
        },
    )
}

proptest! {
    #[test]
    fn any_bytes_are_answered_in_bounded_work(datagram in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(walk(&datagram) <= datagram.len());
    }

    #[test]
    fn any_plausible_compound_is_answered_in_bounded_work(parts in proptest::collection::vec(sub_packet(), 0..8), cut: prop::sample::Index) {
        let mut datagram = parts.concat();
        prop_assert!(walk(&datagram) <= datagram.len());
        datagram.truncate(cut.index(datagram.len() + 1));
        prop_assert!(walk(&datagram) <= datagram.len());
    }

    #[test]
    fn nacks_agree_with_the_rtcp_crate(start: u16, gaps in proptest::collection::vec(1u16..40, 1..60)) {
        let mut next = start;
        let missing: Vec<u16> = std::iter::once(start).chain(gaps.iter().map(|gap| { next = next.wrapping_add(*gap); next })).collect();
        let bytes = CompoundBuilder::new().nack(1, 2, missing.iter().copied()).build().expect("bytes");
        let RtcpPacket::Nack(nack) = only(&bytes) else { panic!() };
        prop_assert_eq!(nack.sequence_numbers().collect::<Vec<_>>(), missing.clone());
        let parsed = rtcp::packet::unmarshal(&mut Bytes::from(bytes.to_vec())).expect("legal");
        let oracle = parsed[0].as_any().downcast_ref::<rtcp::transport_feedbacks::transport_layer_nack::TransportLayerNack>().expect("a NACK");
        let oracle: Vec<u16> = oracle.nacks.iter().flat_map(|pair| pair.packet_list()).collect();
        prop_assert_eq!(oracle, missing);
    }
}
