//! Each packet type once as it should be, once too short, once cut off: what a peer may send, byte by byte.
//!
//! Unlike strict parsers, a compound is read as far as it can be: what is malformed is `Unknown`, and its neighbours
//! are still heard.

use super::*;

/// Version 2 with a count or format, a packet type, the length in words, and the body.
fn rtcp(count: u8, packet_type: u8, words: &[u32]) -> Vec<u8> {
    let mut bytes = vec![0x80 | count, packet_type];
    bytes.extend_from_slice(&(words.len() as u16).to_be_bytes());
    bytes.extend(words.iter().flat_map(|word| word.to_be_bytes()));
    bytes
}

fn is_unknown(bytes: &[u8], packet_type: u8) -> bool {
    matches!(only(bytes), RtcpPacket::Unknown(known) if known == packet_type)
}

fn goodbyes(bytes: &[u8]) -> Vec<u32> {
    let RtcpPacket::Goodbye(goodbye) = only(bytes) else { panic!("{:?}", packets(bytes)) };
    goodbye.ssrcs().collect()
}

#[test]
fn bye_names_its_source() {
    let bytes = rtcp(1, 203, &[0xcafe_f00d]);
    assert_eq!(goodbyes(&bytes), [0xcafe_f00d]);
    assert_eq!(CompoundBuilder::new().goodbye([0xcafe_f00d]).build().unwrap()[..], bytes);
}

#[test]
fn bye_with_fewer_sources_than_it_announces_is_unknown() {
    assert!(is_unknown(&rtcp(17, 203, &[0xcafe_f00d]), 203));
}

#[test]
fn bye_without_sources_is_read_and_written() {
    let bytes = rtcp(0, 203, &[]);
    assert!(goodbyes(&bytes).is_empty());
    assert_eq!(CompoundBuilder::new().goodbye([]).build().unwrap()[..], bytes);
}

#[test]
fn bye_of_nothing_but_padding_names_nobody() {
    let mut bytes = rtcp(0, 203, &[0x0000_0004]);
    bytes[0] |= 0x20;
    assert!(goodbyes(&bytes).is_empty());
}

#[test]
fn bye_whose_padding_counts_nothing_is_unknown() {
    let mut bytes = rtcp(0, 203, &[0]);
    bytes[0] |= 0x20;
    assert!(is_unknown(&bytes, 203));
}

#[test]
fn payload_feedback_without_media_source_is_unknown() {
    assert!(is_unknown(&rtcp(1, 206, &[0xcafe_f00d]), 206));
}

#[test]
fn pli_is_read_and_written() {
    let bytes = rtcp(1, 206, &[0x1234_5678, 0x8765_4321]);
    let RtcpPacket::PictureLossIndication(pli) = only(&bytes) else { panic!() };
    assert_eq!(pli, PictureLossIndication { sender_ssrc: 0x1234_5678, media_ssrc: 0x8765_4321 });
    let written = CompoundBuilder::new().picture_loss_indication(0x1234_5678, 0x8765_4321).build().unwrap();
    assert_eq!(written[..], bytes);
}

const BLOCK: [u32; 6] = [0x4794_37af, 0x0300_0007, 0x0001_0276, 1906, 0x1122_3344, 0x0001_0000];

fn block() -> ReportBlock {
    ReportBlock {
        ssrc: 0x4794_37af,
        fraction_lost: 3,
        cumulative_lost: 7,
        extended_highest_sequence_number: 0x0001_0276,
        jitter: 1906,
        last_sender_report: 0x1122_3344,
        delay_since_last_sender_report: 0x0001_0000,
    }
}

#[test]
fn receiver_report_is_read_and_written() {
    let bytes = rtcp(1, 201, &[&[9][..], &BLOCK].concat());
    let RtcpPacket::ReceiverReport(report) = only(&bytes) else { panic!() };
    assert_eq!((report.ssrc, report.blocks().collect::<Vec<_>>()), (9, vec![block()]));
    assert_eq!(CompoundBuilder::new().receiver_report(9, [block()]).build().unwrap()[..], bytes);
}

#[test]
fn receiver_report_without_its_block_is_unknown() {
    assert!(is_unknown(&rtcp(1, 201, &[9]), 201));
}

#[test]
fn receiver_report_that_is_cut_off_is_not_read() {
    let bytes = rtcp(1, 201, &[&[9][..], &BLOCK].concat());
    for length in 0..bytes.len() {
        assert_eq!(packets(&bytes[..length]).len(), 0, "{length} bytes");
    }
}

fn names(bytes: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let RtcpPacket::SourceDescription(description) = only(bytes) else { panic!("{:?}", packets(bytes)) };
    description.cnames().map(|(ssrc, cname)| (ssrc, cname.to_vec())).collect()
}

#[test]
fn source_description_is_read_and_written() {
    let bytes = CompoundBuilder::new().cname(0x6d24_53ea, "{b3dc2a1c}").build().unwrap();
    assert_eq!(bytes[..4], [0x81, 202, 0, 5]);
    assert_eq!(names(&bytes), [(0x6d24_53ea, b"{b3dc2a1c}".to_vec())]);
}

#[test]
fn source_description_item_that_is_cut_off_names_nobody() {
    // CNAME of 121 bytes in a packet of 28.
    let bytes = rtcp(1, 202, &[7, 0x0179_4142, 0, 0, 0, 0, 0]);
    assert_eq!(names(&bytes), []);
}

#[test]
fn source_description_source_that_is_cut_off_names_nobody() {
    assert_eq!(names(&rtcp(1, 202, &[])), []);
}

#[test]
fn sender_report_is_read() {
    let words = [&[5, 0xde46_475b, 0x151a_005c, 1_722_342_718, 269, 13_557][..], &BLOCK].concat();
    let bytes = rtcp(1, 200, &words);
    let RtcpPacket::SenderReport(report) = only(&bytes) else { panic!() };
    assert_eq!((report.ssrc, report.ntp), (5, NtpTime(0xde46_475b_151a_005c)));
    assert_eq!((report.rtp_timestamp, report.packet_count, report.octet_count), (1_722_342_718, 269, 13_557));
    assert_eq!(report.blocks().collect::<Vec<_>>(), [block()]);
}

#[test]
fn sender_report_without_sender_information_is_unknown() {
    assert!(is_unknown(&rtcp(1, 200, &[5]), 200));
}

#[test]
fn nack_is_read_and_written() {
    let lost = [12, 32, 39, 54, 76, 110, 123, 142, 183, 187, 223, 236, 271, 292];
    let bytes = CompoundBuilder::new().nack(1, 2, lost).build().unwrap();
    let RtcpPacket::Nack(nack) = only(&bytes) else { panic!() };
    assert_eq!((nack.sender_ssrc, nack.media_ssrc), (1, 2));
    assert_eq!(nack.sequence_numbers().collect::<Vec<_>>(), lost);
}

#[test]
fn transport_feedback_without_media_source_is_unknown() {
    assert!(is_unknown(&rtcp(1, 205, &[0xcafe_f00d]), 205));
}

#[test]
fn compound_gives_each_of_its_packets() {
    let report = rtcp(0, 200, &[5, 0, 0, 0, 0, 0]);
    let description = CompoundBuilder::new().cname(5, "name").build().unwrap();
    let compound = [&report[..], &description].concat();
    let packets = packets(&compound);
    assert!(matches!(packets[..], [RtcpPacket::SenderReport(_), RtcpPacket::SourceDescription(_)]));
}

#[test]
fn another_version_is_not_read() {
    let mut bytes = rtcp(1, 201, &[&[9][..], &BLOCK].concat());
    for version in [0, 1, 3] {
        bytes[0] = version << 6 | 1;
        assert_eq!(packets(&bytes).len(), 0);
    }
}

/// Cumulative loss on the wire: 24 bits, two's complement.
fn lost_bytes(lost: i32) -> [u8; 3] {
    let block = ReportBlock { cumulative_lost: lost, ..ReportBlock::default() };
    let bytes = CompoundBuilder::new().receiver_report(1, [block]).build().unwrap();
    [bytes[13], bytes[14], bytes[15]]
}

#[test]
fn cumulative_loss_is_clamped_to_24_bits() {
    for (lost, expected) in [
        (-8_388_609, -8_388_608),
        (-8_388_608, -8_388_608),
        (0, 0),
        (8_388_607, 8_388_607),
        (8_388_608, 8_388_607),
    ] {
        assert_eq!(lost_bytes(lost), lost_bytes(expected), "{lost}");
    }
}

#[test]
fn cumulative_loss_is_written_in_twos_complement() {
    for (lost, expected) in [
        (-8_388_608, [0x80, 0, 0]),
        (-1, [0xff, 0xff, 0xff]),
        (0, [0, 0, 0]),
        (1, [0, 0, 1]),
        (8_388_607, [0x7f, 0xff, 0xff]),
    ] {
        assert_eq!(lost_bytes(lost), expected);
    }
}

#[test]
fn cumulative_loss_is_read_in_twos_complement() {
    for (word, expected) in [(0x80_0000, -8_388_608), (0xff_ffff, -1), (0, 0), (1, 1), (0x7f_ffff, 8_388_607)]
    {
        let bytes = rtcp(1, 201, &[1, 2, word, 0, 0, 0, 0]);
        let RtcpPacket::ReceiverReport(report) = only(&bytes) else { panic!() };
        assert_eq!(report.blocks().next().expect("a block").cumulative_lost, expected);
    }
}

const ESTIMATES: [(u64, u32); 4] =
    [(0, 0x0100_0000), (0x3_ffff, 0x0103_ffff), (0x4_0000, 0x0106_0000), (4_160_000, 0x0113_f7a0)];

#[test]
fn remb_is_written_with_mantissa_and_exponent() {
    for (bitrate, word) in ESTIMATES {
        let bytes =
            CompoundBuilder::new().receiver_estimated_maximum_bitrate(1, bitrate, [7]).build().unwrap();
        assert_eq!(bytes[12..16], *b"REMB");
        let RtcpPacket::ReceiverEstimatedMaximumBitrate(written) = only(&bytes) else { panic!() };
        let remb = rtcp(15, 206, &[1, 0, u32::from_be_bytes(*b"REMB"), word, 7]);
        let RtcpPacket::ReceiverEstimatedMaximumBitrate(expected) = only(&remb) else { panic!() };
        assert_eq!((written.bitrate, expected.bitrate), (bitrate, bitrate), "{bitrate}");
        assert_eq!(written.ssrcs().collect::<Vec<_>>(), [7]);
    }
}

#[test]
fn remb_is_read_and_saturates() {
    for (bitrate, word) in ESTIMATES.into_iter().chain([(u64::MAX, 0x01ff_ffff), (0, 0x01fc_0000)]) {
        let bytes = rtcp(15, 206, &[1, 0, u32::from_be_bytes(*b"REMB"), word, 7]);
        let RtcpPacket::ReceiverEstimatedMaximumBitrate(remb) = only(&bytes) else { panic!() };
        assert_eq!(remb.bitrate, bitrate, "{word:#x}");
        assert_eq!(remb.ssrcs().collect::<Vec<_>>(), [7]);
    }
    assert!(is_unknown(&rtcp(15, 206, &[1, 0, u32::from_be_bytes(*b"JUNK")]), 206));
}

#[test]
fn a_request_for_a_maximum_bitrate_is_read_and_its_answer_written() {
    // 1.5 Mbit/s = 93750 · 2^4, overhead 40.
    let bytes = rtcp(3, 205, &[1, 0, 0xaaaa, 4 << 26 | 93_750 << 9 | 40, 0xbbbb, 63 << 26 | 0x1_ffff << 9]);
    let RtcpPacket::TemporaryMaximumBitrateRequest(request) = only(&bytes) else { panic!() };
    assert_eq!(request.sender_ssrc, 1);
    let entry = MaximumBitrateEntry { ssrc: 0xaaaa, bitrate: 1_500_000, overhead: 40 };
    let enormous = MaximumBitrateEntry { ssrc: 0xbbbb, bitrate: u64::MAX, overhead: 0 };
    assert_eq!(request.entries().collect::<Vec<_>>(), [entry, enormous]);
    let answer = CompoundBuilder::new()
        .temporary_maximum_bitrate_notification(5, MaximumBitrateEntry { ssrc: 1, ..entry })
        .build()
        .unwrap();
    assert_eq!(answer[..], rtcp(4, 205, &[5, 0, 1, 4 << 26 | 93_750 << 9 | 40]));
}
