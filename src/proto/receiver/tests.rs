//! Tests of the receiver: sequence, loss, retransmission, reports, key frame requests.

mod sources;

use std::collections::BTreeSet;

use proptest::prelude::*;
use rand::SeedableRng;

use super::*;
use crate::proto::rtcp::{Compound, CompoundBuilder, NtpTime, RtcpPacket};
use crate::proto::rtp::{CodecParameters, ExtensionMap, MediaKind};

const SSRC: u32 = 0x1111;
const RTX_SSRC: u32 = 0x2222;
const KEY: [u8; 2] = [0x10, 0x00];
const DELTA: [u8; 2] = [0x10, 0x01];

fn codec(payload_type: u8, name: &str, apt: Option<u8>, feedback: &[&str]) -> CodecParameters {
    CodecParameters {
        payload_type,
        name: name.to_owned(),
        clock_rate: 90_000,
        channels: None,
        parameters: apt.map(|apt| ("apt".to_owned(), Some(apt.to_string()))).into_iter().collect(),
        feedback: feedback.iter().map(|feedback| (*feedback).to_owned()).collect(),
    }
}

fn parameters() -> ReceiverParameters {
    ReceiverParameters {
        kind: MediaKind::Video,
        codecs: vec![
            codec(96, "VP8", None, &["nack", "nack pli", "ccm fir"]),
            codec(97, "rtx", Some(96), &[]),
            codec(98, "VP9", None, &["ccm fir"]),
            codec(99, "rtx", Some(97), &[]),
        ],
        extensions: ExtensionMap::default(),
        ssrcs: Vec::new(),
        local_ssrc: 0x9999,
        cname: "receiver".to_owned(),
        reduced_size: true,
    }
}

struct Scene {
    now: Instant,
    receiver: Receiver,
}

impl Scene {
    fn new(parameters: ReceiverParameters) -> Self {
        let now = Instant::now();
        Self { now, receiver: Receiver::new(now, parameters, StdRng::seed_from_u64(7)) }
    }

    fn send_as(
        &mut self,
        rid: Option<Rid>,
        repaired: bool,
        packet: Vec<u8>,
    ) -> Result<Option<RtpPacket>, ReceiveError> {
        let mut out = Vec::new();
        self.receiver.handle_rtp(self.now, packet.into(), rid, repaired, &mut out)?;
        assert!(out.len() <= 1);
        Ok(out.pop())
    }

    fn send(&mut self, packet: Vec<u8>) -> Result<Option<RtpPacket>, ReceiveError> {
        self.send_as(None, false, packet)
    }

    fn number(&mut self, packet: Vec<u8>) -> Option<u64> {
        self.send(packet).expect("taken").map(|packet| packet.sequence_number)
    }

    fn pass(&mut self, milliseconds: u64) {
        self.now += Duration::from_millis(milliseconds);
    }

    fn compounds(&mut self) -> Vec<Bytes> {
        std::iter::from_fn(|| self.receiver.poll_transmit(self.now)).collect()
    }

    fn events(&mut self) -> Vec<ReceiverEvent> {
        std::iter::from_fn(|| self.receiver.poll_event()).collect()
    }

    fn rtcp(&mut self, compound: &[u8]) {
        for packet in Compound::parse(compound) {
            self.receiver.handle_rtcp(self.now, &packet);
        }
    }
}

fn rtp(ssrc: u32, payload_type: u8, number: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, payload_type];
    packet.extend_from_slice(&number.to_be_bytes());
    packet.extend_from_slice(&(u32::from(number) * 3000).to_be_bytes());
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet.extend_from_slice(payload);
    packet
}

fn video(number: u16) -> Vec<u8> {
    rtp(SSRC, 96, number, &DELTA)
}

fn padding(number: u16) -> Vec<u8> {
    let mut packet = rtp(SSRC, 96, number, &[0, 0, 0, 4]);
    packet[0] |= 0x20;
    packet
}

fn rtx(original: u16) -> Vec<u8> {
    rtp(RTX_SSRC, 97, 40_000u16.wrapping_add(original), &[&original.to_be_bytes()[..], &DELTA].concat())
}

fn nacked(compounds: &[Bytes]) -> Vec<u16> {
    let mut numbers = Vec::new();
    for compound in compounds {
        for packet in Compound::parse(compound) {
            if let RtcpPacket::Nack(nack) = packet {
                numbers.extend(nack.sequence_numbers());
            }
        }
    }
    numbers
}

fn plis(compounds: &[Bytes]) -> usize {
    let packets = compounds.iter().flat_map(|compound| Compound::parse(compound));
    packets.filter(|packet| matches!(packet, RtcpPacket::PictureLossIndication(_))).count()
}

#[test]
fn packets_are_decoded_and_numbered_over_the_wrap() {
    let mut scene = Scene::new(parameters());
    let first = scene.send(rtp(SSRC, 96 | 0x80, 65535, &KEY)).expect("taken").expect("passed on");
    assert_eq!((first.ssrc, first.payload_type, first.marker, first.key_frame), (SSRC, 96, true, true));
    assert_eq!(first.codec, parameters().codecs[0].key());
    assert_eq!(first.payload.as_ref(), KEY);
    let second = scene.send(video(0)).expect("taken").expect("passed on");
    assert_eq!(second.sequence_number, first.sequence_number + 1);
    assert!(!second.key_frame);
    assert_eq!(scene.send(video(0)), Err(ReceiveError::Duplicate));
    assert_eq!(scene.events(), [ReceiverEvent::StreamStarted { ssrc: SSRC, rid: None }]);
}

#[test]
fn what_was_not_negotiated_is_refused() {
    let mut scene = Scene::new(parameters());
    assert_eq!(scene.send(rtp(SSRC, 100, 1, &DELTA)), Err(ReceiveError::UnknownPayloadType));
    assert!(matches!(scene.send(vec![0x80; 5]), Err(ReceiveError::Malformed(_))));
    assert!(scene.events().is_empty());
}

#[test]
fn padding_is_counted_and_takes_no_number() {
    let mut scene = Scene::new(parameters());
    let first = scene.number(video(10)).expect("passed on");
    assert_eq!(scene.number(padding(11)), None);
    assert_eq!(scene.number(padding(13)), None);
    assert_eq!(scene.number(video(12)), Some(first + 1), "before padding, arrives after it");
    assert_eq!(scene.number(video(14)), Some(first + 2));
    // 15 is padding that comes after 16 was passed on.
    assert_eq!(scene.number(video(16)), Some(first + 4));
    let late = scene.send(padding(15)).expect("taken").expect("passed on");
    assert_eq!((late.sequence_number, late.payload.len()), (first + 3, 0));
    assert_eq!(scene.receiver.statistics()[0].padding_packets_received, 3);
}

#[test]
fn retransmissions_are_unwrapped() {
    let signalled = ReceiverParameters { ssrcs: vec![(SSRC, Some(RTX_SSRC))], ..parameters() };
    let mut scene = Scene::new(signalled);
    let first = scene.number(video(65534)).expect("passed on");
    assert_eq!(scene.number(video(1)), Some(first + 3));
    let repaired = scene.send_as(None, true, rtx(0)).expect("taken").expect("passed on");
    assert_eq!(repaired.sequence_number, first + 2);
    assert_eq!((repaired.ssrc, repaired.payload_type, repaired.payload.as_ref()), (SSRC, 96, &DELTA[..]));
    assert_eq!(scene.send_as(None, true, rtx(0)), Err(ReceiveError::Duplicate));
    assert_eq!(scene.send(video(0)), Err(ReceiveError::Duplicate));
    let statistics = scene.receiver.statistics()[0];
    assert_eq!((statistics.packets_received, statistics.retransmitted_packets_received), (3, 1));
    assert_eq!(statistics.packets_lost, 2, "the report tells the loss of the network");
}

#[test]
fn a_retransmission_source_is_found_by_rid_or_by_what_is_missing() {
    let rid = Rid::new("h");
    let mut scene = Scene::new(parameters());
    scene.send_as(rid, false, video(10)).expect("taken");
    scene.send_as(rid, false, video(12)).expect("taken");
    assert!(scene.send_as(rid, true, rtx(11)).expect("taken").is_some());

    let mut scene = Scene::new(parameters());
    scene.send(video(10)).expect("taken");
    scene.send(rtp(SSRC + 1, 96, 10, &DELTA)).expect("taken");
    assert_eq!(scene.send(rtx(11)), Err(ReceiveError::UnknownRepairedSource));
    scene.send(video(13)).expect("taken");
    assert_eq!(scene.send(rtx(11)).expect("taken").map(|packet| packet.ssrc), Some(SSRC));
    scene.send(rtp(SSRC + 1, 96, 13, &DELTA)).expect("taken");
    assert_eq!(scene.send(rtx(12)).expect("taken").map(|packet| packet.ssrc), Some(SSRC), "learned");
}

#[test]
fn malformed_retransmissions_are_refused() {
    let mut scene = Scene::new(parameters());
    scene.send(video(10)).expect("taken");
    assert_eq!(scene.send(rtp(RTX_SSRC, 97, 1, &[])), Ok(None), "a probe");
    assert_eq!(scene.send(rtp(RTX_SSRC, 97, 1, &[0])), Err(ReceiveError::MalformedRetransmission));
    let nested = scene.send(rtp(RTX_SSRC, 99, 1, &[0, 11, 0, 12]));
    assert_eq!(nested, Err(ReceiveError::MalformedRetransmission), "RTX of RTX");
    assert_eq!(scene.send_as(None, true, video(11)), Err(ReceiveError::MalformedRetransmission));
}

#[test]
fn missing_packets_are_asked_for_once_per_round_trip() {
    let mut scene = Scene::new(parameters());
    scene.receiver.set_round_trip_time(Duration::from_millis(50));
    scene.send(video(65533)).expect("taken");
    scene.send(video(2)).expect("taken");
    assert!(nacked(&scene.compounds()).is_empty(), "may be reordered");
    scene.send(video(65535)).expect("taken");
    scene.pass(5);
    assert_eq!(nacked(&scene.compounds()), [65534, 0, 1]);
    scene.pass(49);
    assert!(nacked(&scene.compounds()).is_empty());
    scene.send(video(0)).expect("taken");
    scene.pass(1);
    assert_eq!(nacked(&scene.compounds()), [65534, 1]);
    assert_eq!(scene.receiver.statistics()[0].nack_count, 2);
}

#[test]
fn a_codec_without_nack_is_not_asked() {
    let mut scene = Scene::new(parameters());
    scene.send(rtp(SSRC, 98, 1, &DELTA)).expect("taken");
    scene.send(rtp(SSRC, 98, 5, &DELTA)).expect("taken");
    scene.pass(100);
    assert_eq!(scene.compounds(), Vec::<Bytes>::new());
}

#[test]
fn key_frame_requests_are_coalesced_and_repeated_until_one_comes() {
    let mut scene = Scene::new(parameters());
    scene.send(video(1)).expect("taken");
    for _ in 0..500 {
        scene.receiver.request_key_frame(scene.now, Some(SSRC));
    }
    assert_eq!(plis(&scene.compounds()), 1);
    let mut sent = 0;
    for number in 2..22 {
        scene.pass(100);
        scene.send(video(number)).expect("taken");
        scene.receiver.request_key_frame(scene.now, None);
        sent += plis(&scene.compounds());
    }
    assert_eq!(sent, 4, "every 500 ms in 2 s");
    scene.events();
    scene.send(rtp(SSRC, 96, 22, &KEY)).expect("taken");
    assert_eq!(scene.events(), [ReceiverEvent::KeyFrameReceived { ssrc: SSRC }]);
    scene.pass(2000);
    assert_eq!(plis(&scene.compounds()), 0);
    assert_eq!(scene.receiver.statistics()[0].key_frames_received, 1);
}

#[test]
fn a_key_frame_asked_for_before_the_first_packet_is_not_forgotten() {
    let mut scene = Scene::new(parameters());
    scene.receiver.request_key_frame(scene.now, None);
    assert_eq!(scene.compounds(), Vec::<Bytes>::new());
    scene.send(video(1)).expect("taken");
    assert_eq!(plis(&scene.compounds()), 1);

    let mut scene = Scene::new(parameters());
    scene.receiver.request_key_frame(scene.now, Some(SSRC));
    scene.send(rtp(SSRC, 96, 1, &KEY)).expect("taken");
    assert_eq!(plis(&scene.compounds()), 0, "it began with one");
}

#[test]
fn fir_is_used_where_pli_is_not_negotiated_and_keeps_its_number() {
    let mut scene = Scene::new(parameters());
    scene.send(rtp(SSRC, 98, 1, &DELTA)).expect("taken");
    let mut numbers = Vec::new();
    for _ in 0..2 {
        scene.receiver.request_key_frame(scene.now, None);
        for compound in scene.compounds() {
            for packet in Compound::parse(&compound) {
                if let RtcpPacket::FullIntraRequest(request) = packet {
                    numbers.extend(request.entries().map(|entry| (entry.ssrc, entry.sequence_number)));
                }
            }
        }
        scene.pass(500);
    }
    assert_eq!(numbers, [(SSRC, 1), (SSRC, 1)]);
}

#[test]
fn reports_come_about_once_a_second_and_only_about_who_was_heard() {
    let mut scene = Scene::new(parameters());
    assert_eq!(scene.receiver.poll_timeout(), None);
    let mut reports = 0;
    for number in 0..1000 {
        scene.send(video(number)).expect("taken");
        scene.pass(10);
        for compound in scene.compounds() {
            let packets: Vec<_> = Compound::parse(&compound).collect();
            let [RtcpPacket::ReceiverReport(report), RtcpPacket::SourceDescription(description)] =
                packets[..]
            else {
                panic!("{packets:?}");
            };
            assert_eq!(report.ssrc, 0x9999);
            let block = report.blocks().next().expect("a block");
            assert_eq!((block.ssrc, block.extended_highest_sequence_number), (SSRC, u32::from(number)));
            assert_eq!(description.cnames().collect::<Vec<_>>(), [(0x9999, &b"receiver"[..])]);
            reports += 1;
        }
    }
    assert!((8..=13).contains(&reports), "{reports}");
    scene.pass(5000);
    scene.compounds();
    assert_eq!(scene.receiver.poll_timeout(), None, "nothing was heard since");
}

#[test]
fn sender_reports_are_echoed() {
    let mut scene = Scene::new(parameters());
    scene.send(video(1)).expect("taken");
    let report = CompoundBuilder::new().sender_report(SSRC, NtpTime(0x0000_1234_5678_0000), 0, 0, 0).build();
    scene.rtcp(&report.expect("bytes"));
    scene.pass(1500);
    let compound = scene.compounds().pop().expect("a report");
    let Some(RtcpPacket::ReceiverReport(report)) = Compound::parse(&compound).next() else { panic!() };
    let block = report.blocks().next().expect("a block");
    assert_eq!((block.last_sender_report, block.delay_since_last_sender_report), (0x1234_5678, 98_304));
}

#[test]
fn feedback_is_preceded_by_a_report_unless_reduced_size_is_negotiated() {
    for reduced_size in [true, false] {
        let mut scene = Scene::new(ReceiverParameters { reduced_size, ..parameters() });
        scene.send(video(1)).expect("taken");
        scene.receiver.request_key_frame(scene.now, None);
        let compound = scene.compounds().pop().expect("feedback");
        let first = Compound::parse(&compound).next().expect("a packet");
        assert_eq!(matches!(first, RtcpPacket::ReceiverReport(_)), !reduced_size, "{first:?}");
        assert_eq!(Compound::parse(&compound).count(), if reduced_size { 1 } else { 3 });
    }
}

#[test]
fn a_goodbye_ends_only_its_source_and_may_be_taken_back() {
    let mut scene = Scene::new(parameters());
    let first = scene.number(video(1)).expect("passed on");
    scene.send(rtp(SSRC + 1, 96, 1, &DELTA)).expect("taken");
    scene.send(video(4)).expect("taken");
    scene.events();
    scene.rtcp(&CompoundBuilder::new().goodbye([SSRC, 77]).build().expect("bytes"));
    assert_eq!(scene.events(), [ReceiverEvent::StreamEnded { ssrc: SSRC, rid: None }]);
    scene.pass(100);
    assert!(nacked(&scene.compounds()).is_empty());
    assert_eq!(scene.number(video(5)), Some(first + 4));
    assert_eq!(scene.events(), [ReceiverEvent::StreamStarted { ssrc: SSRC, rid: None }]);
}

#[test]
fn a_flood_of_sources_keeps_the_table_small() {
    let mut scene = Scene::new(parameters());
    for ssrc in 0..10_000 {
        scene.pass(1);
        scene.send(rtp(ssrc, 96, 1, &DELTA)).expect("taken");
    }
    assert_eq!(scene.receiver.streams.len(), STREAMS_MAX);
    assert_eq!(scene.events().len(), EVENTS_MAX);
}

#[test]
fn a_restarted_source_needs_a_key_frame_and_is_not_nacked() {
    let mut scene = Scene::new(parameters());
    let first = scene.number(video(1)).expect("passed on");
    assert_eq!(scene.send(video(20_000)), Err(ReceiveError::SequenceJump));
    assert!(scene.number(video(20_001)).expect("passed on") > first);
    scene.pass(10);
    let compounds = scene.compounds();
    assert_eq!((nacked(&compounds), plis(&compounds)), (vec![], 1));
    assert_eq!(scene.receiver.statistics()[0].packets_lost, 0);
}

#[test]
fn a_huge_loss_asks_for_a_key_frame_instead() {
    let mut scene = Scene::new(parameters());
    scene.send(video(1)).expect("taken");
    scene.send(video(2000)).expect("taken");
    scene.pass(10);
    let compounds = scene.compounds();
    assert_eq!((nacked(&compounds), plis(&compounds)), (vec![], 1));
}

proptest! {
    /// Any loss, order and padding; asked-for packets come by RTX: every media packet is passed on once, and the
    /// numbers have no gap.
    #[test]
    fn with_retransmission_nothing_is_missing_in_the_end(start: u16, kinds in proptest::collection::vec(0u8..10, 2..400)) {
        let mut scene = Scene::new(ReceiverParameters { ssrcs: vec![(SSRC, Some(RTX_SSRC))], ..parameters() });
        let mut numbers = BTreeSet::new();
        let mut pending = None;
        let count = kinds.len();
        for (index, kind) in kinds.into_iter().enumerate() {
            let number = start.wrapping_add(index as u16);
            let is_edge = index == 0 || index + 1 == count;
            let packet = if kind == 0 && !is_edge { padding(number) } else { video(number) };
            match kind {
                // Lost; or held back behind the next one.
                1 | 2 if !is_edge => {}
                3 if !is_edge => pending = Some(packet),
                _ => {
                    for packet in [Some(packet), pending.take()].into_iter().flatten() {
                        if let Some(number) = scene.number(packet) {
                            prop_assert!(numbers.insert(number));
                        }
                    }
                }
            }
            scene.pass(1);
            for number in nacked(&scene.compounds()) {
                if let Ok(Some(packet)) = scene.send_as(None, true, rtx(number)) {
                    prop_assert!(numbers.insert(packet.sequence_number));
                }
            }
        }
        scene.pass(5);
        for number in nacked(&scene.compounds()) {
            if let Ok(Some(packet)) = scene.send_as(None, true, rtx(number)) {
                prop_assert!(numbers.insert(packet.sequence_number));
            }
        }
        let (first, last) = (*numbers.first().expect("some"), *numbers.last().expect("some"));
        prop_assert_eq!(last - first + 1, numbers.len() as u64);
    }

    #[test]
    fn any_bytes_are_answered(packets in proptest::collection::vec((any::<bool>(), proptest::collection::vec(any::<u8>(), 0..60)), 0..40)) {
        let mut scene = Scene::new(parameters());
        for (repaired, mut packet) in packets {
            if packet.len() > 1 {
                packet[0] = packet[0] & 0x3f | 0x80;
                packet[1] = 96 + packet[1] % 4;
            }
            let _ = scene.send_as(None, repaired, packet.clone());
            scene.rtcp(&packet);
            scene.pass(20);
            scene.compounds();
        }
    }
}

#[test]
fn without_loss_nothing_is_asked_for() {
    let mut scene = Scene::new(parameters());
    for number in 0..20 {
        scene.send(video(number)).expect("taken");
        scene.pass(20);
        assert!(nacked(&scene.compounds()).is_empty());
    }
    let [statistics] = scene.receiver.statistics()[..] else { panic!() };
    assert_eq!((statistics.packets_lost, statistics.nack_count), (0, 0));
}

#[test]
fn a_late_packet_is_not_asked_for_again() {
    let mut scene = Scene::new(parameters());
    scene.send(video(0)).expect("taken");
    scene.send(video(2)).expect("taken");
    scene.pass(20);
    assert_eq!(nacked(&scene.compounds()), [1]);
    scene.send(video(1)).expect("taken");
    scene.pass(1000);
    assert!(nacked(&scene.compounds()).is_empty());
}

#[test]
fn a_frame_that_cannot_be_understood_is_passed_on_as_it_is() {
    let mut scene = Scene::new(parameters());
    let received = scene.send(rtp(SSRC, 96, 1, &[0x80])).expect("taken").expect("passed on");
    assert_eq!((&received.payload[..], received.key_frame), (&[0x80][..], false));
    assert_eq!(scene.send(rtp(SSRC, 96, 2, &[])).expect("taken"), None, "nothing in it");
}

#[test]
fn statistics_have_what_w3c_names() {
    let parameters = ReceiverParameters { ssrcs: vec![(SSRC, Some(RTX_SSRC))], ..parameters() };
    let mut scene = Scene::new(parameters);
    let mut with_marker = video(1);
    with_marker[1] |= 0x80;
    scene.send(rtp(SSRC, 96, 0, &KEY)).expect("taken");
    scene.send(with_marker).expect("taken");
    scene.send(video(2)).expect("taken");
    scene.send(video(2)).expect_err("again");
    scene.send(video(4)).expect("taken");
    scene.pass(20);
    scene.compounds();
    scene.send(rtx(3)).expect("taken");
    let report =
        CompoundBuilder::new().sender_report(SSRC, NtpTime(77 << 32), 5, 1000, 60_000).build().unwrap();
    scene.rtcp(&report);
    scene.rtcp(&report);
    let [statistics] = scene.receiver.statistics()[..] else { panic!() };
    assert_eq!((statistics.ssrc, statistics.rtx_ssrc), (SSRC, Some(RTX_SSRC)));
    assert_eq!((statistics.kind, statistics.payload_type), (Some(MediaKind::Video), 96));
    assert_eq!((statistics.packets_received, statistics.packets_discarded), (5, 1));
    assert_eq!((statistics.bytes_received, statistics.header_bytes_received), (10, 4 * 12 + 14));
    assert_eq!((statistics.retransmitted_packets_received, statistics.retransmitted_bytes_received), (1, 2));
    assert_eq!((statistics.frames_received, statistics.key_frames_received), (1, 1));
    assert_eq!((statistics.nack_count, statistics.packets_lost), (1, 1), "repaired, but lost on the way");
    assert_eq!(statistics.last_packet_received, Some(scene.now));
    let remote = RemoteSender {
        packets_sent: 1000,
        bytes_sent: 60_000,
        remote_timestamp: NtpTime(77 << 32),
        arrived: scene.now,
        reports_sent: 2,
    };
    assert_eq!(statistics.remote, Some(remote));
}
