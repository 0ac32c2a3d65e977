//! Tests of the sender: continuity, history, retransmission, reports.

mod chain;
mod corpora;
mod dtmf;
mod encodings;
mod evened;
mod properties;
mod retransmission;

use std::time::Duration;

use rand::SeedableRng;

use super::*;
use crate::proto::rtcp::{
    ClockAnchor, Compound, CompoundBuilder, NACK_ENTRIES_MAX, NtpTime, ReportBlock, RtcpPacket,
};
use crate::proto::rtp::{AudioLevel, ClockReference, CodecParameters, ExtensionMap, Mid, RtpHeader};

const SSRC: u32 = 0xaaaa;
const RTX_SSRC: u32 = 0xbbbb;
const SOURCE: u32 = 0x1111;
const MID_URI: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
const LEVEL_URI: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";
const SEND_TIME_URI: &str = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time";

fn codec(payload_type: u8, name: &str, clock_rate: u32, apt: Option<u8>) -> CodecParameters {
    CodecParameters {
        payload_type,
        name: name.to_owned(),
        clock_rate,
        channels: None,
        parameters: apt.map(|apt| ("apt".to_owned(), Some(apt.to_string()))).into_iter().collect(),
        feedback: vec!["nack".to_owned(), "nack pli".to_owned()],
    }
}

fn parameters(now: Instant, kind: MediaKind) -> SenderParameters {
    SenderParameters {
        kind,
        ssrc: SSRC,
        rtx_ssrc: Some(RTX_SSRC),
        rid: None,
        encodings: Vec::new(),
        bitrate_max: None,
        codecs: vec![
            codec(120, "VP8", 90_000, None),
            codec(121, "rtx", 90_000, Some(120)),
            codec(111, "opus", 48_000, None),
        ],
        extensions: ExtensionMap::new([(1, LEVEL_URI), (3, SEND_TIME_URI), (4, MID_URI)], false),
        mid: Mid::new("v"),
        cname: "sender".to_owned(),
        reduced_size: true,
        clock: ClockAnchor { instant: now, ntp: NtpTime(1000 << 32) },
    }
}

/// What a subscriber sees of a packet.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    number: u16,
    timestamp: u32,
    ssrc: u32,
    payload_type: u8,
    marker: bool,
    extensions: Extensions,
    payload: Vec<u8>,
    bytes: Vec<u8>,
}

struct Scene {
    now: Instant,
    sender: Sender,
}

impl Scene {
    fn new(kind: MediaKind) -> Self {
        let now = Instant::now();
        Self { now, sender: Sender::new(now, parameters(now, kind), None, StdRng::seed_from_u64(3)) }
    }

    fn pass(&mut self, milliseconds: u64) {
        self.now += Duration::from_millis(milliseconds);
    }

    fn see(&self, packet: &OutgoingPacket) -> Seen {
        let mut bytes = vec![0; packet.len() + 10];
        assert_eq!(packet.write_to(&mut bytes), packet.len());
        bytes.truncate(packet.len());
        let header = RtpHeader::parse(&bytes).expect("a packet");
        Seen {
            number: header.sequence_number(),
            timestamp: header.timestamp(),
            ssrc: header.ssrc(),
            payload_type: header.payload_type(),
            marker: header.marker(),
            extensions: self.sender.parameters().extensions.decode(&header),
            payload: header.payload().to_vec(),
            bytes: bytes.clone(),
        }
    }

    fn forward(&mut self, packet: &RtpPacket, generation: u32) -> Option<Seen> {
        let lot = Arc::new(MediaLot::new(vec![packet.clone()], false));
        let outgoing = self.sender.forward(self.now, &lot, 0, generation)?;
        Some(self.see(&outgoing))
    }

    fn rtcp(&mut self, compound: &[u8]) -> Vec<OutgoingPacket> {
        let mut out = Vec::new();
        for packet in Compound::parse(compound) {
            self.sender.handle_rtcp(self.now, &packet, &mut out);
        }
        out
    }

    fn nack(&mut self, numbers: &[u16]) -> Vec<Seen> {
        let mut compound = CompoundBuilder::new();
        compound.nack(1, SSRC, numbers.iter().copied());
        let out = self.rtcp(&compound.build().expect("bytes"));
        out.iter().map(|packet| self.see(packet)).collect()
    }
}

fn packet(now: Instant, source: u32, number: u64, payload: &[u8], key_frame: bool) -> RtpPacket {
    RtpPacket {
        arrival: now,
        ssrc: source,
        rid: None,
        codec: codec(96, "vp8", 90_000, None).key(),
        payload_type: 96,
        marker: true,
        sequence_number: number,
        timestamp: (number as u32).wrapping_mul(3000),
        clock: None,
        extensions: Extensions::default(),
        payload: Bytes::copy_from_slice(payload),
        key_frame,
    }
}

/// Any packet with this number.
pub(super) fn packet_numbered(now: Instant, number: u64) -> RtpPacket {
    delta(now, number)
}

fn key(now: Instant, number: u64) -> RtpPacket {
    packet(now, SOURCE, number, &[0x10, 0x00, 7], true)
}

fn delta(now: Instant, number: u64) -> RtpPacket {
    packet(now, SOURCE, number, &[0x10, 0x01, 7], false)
}

/// VP8 with a 15-bit picture id and TL0PICIDX.
fn picture(now: Instant, number: u64, id: u16, tl0: u8, key_frame: bool) -> RtpPacket {
    let [high, low] = (id | 0x8000).to_be_bytes();
    let payload = [0x90, 0xe0, high, low, tl0, 0x20, u8::from(!key_frame), 9];
    packet(now, SOURCE, number, &payload, key_frame)
}

fn audio(now: Instant, source: u32, number: u64) -> RtpPacket {
    RtpPacket {
        codec: codec(63, "opus", 48_000, None).key(),
        timestamp: (number as u32).wrapping_mul(960),
        ..packet(now, source, number, b"sound", false)
    }
}

#[test]
fn header_and_extensions_are_those_of_this_leg() {
    let mut scene = Scene::new(MediaKind::Audio);
    let mut source = audio(scene.now, SOURCE, 5);
    source.extensions.mid = Mid::new("publisher");
    source.extensions.transport_sequence_number = Some(9);
    source.extensions.absolute_send_time = Some(1);
    source.extensions.audio_level = Some(AudioLevel { voice: true, level: 20 });
    scene.pass(250);
    let seen = scene.forward(&source, 1).expect("sent");
    assert_eq!((seen.ssrc, seen.payload_type, seen.marker), (SSRC, 111, true));
    assert_eq!(seen.payload, b"sound");
    let expected = Extensions {
        mid: Mid::new("v"),
        audio_level: Some(AudioLevel { voice: true, level: 20 }),
        absolute_send_time: Some((1000 % 64) << 18 | 1 << 16),
        ..Extensions::default()
    };
    assert_eq!(seen.extensions, expected);
}

#[test]
fn a_codec_that_this_leg_does_not_have_is_dropped() {
    let mut scene = Scene::new(MediaKind::Video);
    let other = RtpPacket { codec: codec(98, "VP9", 90_000, None).key(), ..key(scene.now, 1) };
    assert_eq!(scene.forward(&other, 1), None);
    let statistics = scene.sender.statistics();
    assert_eq!((statistics.packets_dropped, statistics.packets_without_codec), (1, 1));
}

#[test]
fn drops_are_told_apart() {
    let mut scene = Scene::new(MediaKind::Video);
    assert_eq!(scene.forward(&delta(scene.now, 1), 1), None, "waits for a key frame");
    scene.forward(&key(scene.now, 2), 1).expect("sent");
    scene.sender.switch_source(scene.now, 2);
    scene.forward(&key(scene.now, 100), 2).expect("sent");
    assert_eq!(scene.forward(&delta(scene.now, 3), 1), None, "replaced");
    let statistics = scene.sender.statistics();
    assert_eq!((statistics.packets_dropped, statistics.packets_of_replaced_source), (2, 1));
}

#[test]
fn a_late_joiner_starts_with_a_key_frame() {
    let mut scene = Scene::new(MediaKind::Video);
    assert!(scene.sender.wants_key_frame());
    assert!(!scene.sender.wants_key_frame(), "taken");
    for number in 10..20 {
        assert_eq!(scene.forward(&delta(scene.now, number), 1), None);
    }
    let first = scene.forward(&key(scene.now, 20), 1).expect("sent");
    assert_eq!(scene.forward(&delta(scene.now, 19), 1), None, "before the key frame");
    let second = scene.forward(&delta(scene.now, 21), 1).expect("sent");
    assert_eq!(second.number, first.number.wrapping_add(1));
    assert_eq!(second.timestamp, first.timestamp.wrapping_add(3000));
}

#[test]
fn a_source_without_key_frame_is_asked_again() {
    let mut scene = Scene::new(MediaKind::Video);
    scene.sender.wants_key_frame();
    let mut asked = 0;
    for number in 0..300 {
        scene.forward(&delta(scene.now, number), 1);
        asked += u32::from(scene.sender.wants_key_frame());
        scene.pass(10);
    }
    assert_eq!(asked, 2, "every second in three");
}

#[test]
fn holes_stay_holes_and_late_packets_fill_them() {
    let mut scene = Scene::new(MediaKind::Video);
    let first = scene.forward(&key(scene.now, 70_000), 1).expect("sent").number;
    assert_eq!(
        scene.forward(&delta(scene.now, 70_003), 1).map(|seen| seen.number),
        Some(first.wrapping_add(3))
    );
    assert_eq!(
        scene.forward(&delta(scene.now, 70_001), 1).map(|seen| seen.number),
        Some(first.wrapping_add(1))
    );
    assert_eq!(scene.forward(&delta(scene.now, 70_001), 1), None, "never twice");
}

#[test]
fn a_switch_leaves_no_gap_and_time_goes_on() {
    let mut scene = Scene::new(MediaKind::Video);
    scene.forward(&key(scene.now, 1000), 1).expect("sent");
    let last = scene.forward(&delta(scene.now, 1001), 1).expect("sent");
    scene.sender.wants_key_frame();
    scene.sender.switch_source(scene.now, 2);
    assert!(scene.sender.wants_key_frame());
    scene.pass(10);
    let still = scene.forward(&delta(scene.now, 1002), 1).expect("the old one keeps flowing");
    assert_eq!(still.number, last.number.wrapping_add(1));
    assert_eq!(scene.forward(&delta(scene.now, 500), 2), None, "no key frame yet");
    scene.pass(20);
    let new = scene.forward(&key(scene.now, 501), 2).expect("takes over");
    assert_eq!(new.number, still.number.wrapping_add(1));
    assert_eq!(new.timestamp, still.timestamp.wrapping_add(1800), "20 ms");
    assert_eq!(scene.forward(&key(scene.now, 1003), 1), None, "older generation");
    assert_eq!(scene.forward(&key(scene.now, 1), 3), None, "nobody asked for it");
    assert_eq!(scene.sender.generation(), Some(2));
    assert_eq!(scene.sender.statistics().switches, 1);
    scene.sender.switch_source(scene.now, 1);
    assert!(!scene.sender.wants_key_frame(), "not newer");
}

#[test]
fn two_packets_in_the_same_moment_still_move_the_timestamp() {
    let mut scene = Scene::new(MediaKind::Audio);
    let old = scene.forward(&audio(scene.now, SOURCE, 7), 1).expect("sent");
    scene.sender.switch_source(scene.now, 2);
    assert!(!scene.sender.wants_key_frame(), "audio has none");
    let new = scene.forward(&audio(scene.now, SOURCE + 1, 9), 2).expect("any packet will do");
    assert_eq!(new.number, old.number.wrapping_add(1));
    assert_eq!(new.timestamp, old.timestamp.wrapping_add(1));
}

#[test]
fn picture_ids_count_on_over_a_switch() {
    let mut scene = Scene::new(MediaKind::Video);
    let first = scene.forward(&picture(scene.now, 10, 0x7ffe, 254, true), 1).expect("sent");
    assert_eq!(first.payload[2..5], [0xff, 0xfe, 254], "the first source is not changed");
    scene.forward(&picture(scene.now, 11, 0x7fff, 255, false), 1).expect("sent");
    scene.sender.switch_source(scene.now, 2);
    let second = scene.forward(&picture(scene.now, 900, 77, 5, true), 2).expect("sent");
    assert_eq!(second.payload, [0x90, 0xe0, 0x80, 0x00, 0, 0x20, 0, 9]);
    let third = scene.forward(&picture(scene.now, 901, 78, 6, false), 2).expect("sent");
    assert_eq!(third.payload, [0x90, 0xe0, 0x80, 0x01, 1, 0x20, 1, 9]);
}

#[test]
fn frame_numbers_of_the_dependency_descriptor_count_on_over_a_switch() {
    let mut scene = Scene::new(MediaKind::Video);
    let uri = ExtensionKind::DependencyDescriptor.uri();
    let extensions = ExtensionMap::new([(5, uri)], false);
    let parameters = SenderParameters { extensions, ..scene.sender.parameters().clone() };
    scene.sender.set_parameters(parameters);
    let described = |packet: RtpPacket, number: u16| {
        let [high, low] = number.to_be_bytes();
        let dependency_descriptor = Some([0xc0, high, low, 1].as_slice().into());
        RtpPacket { extensions: Extensions { dependency_descriptor, ..Extensions::default() }, ..packet }
    };
    let seen = scene.forward(&described(key(scene.now, 1), 65535), 1).expect("sent");
    assert_eq!(seen.extensions.frame_number(), Some(65535));
    scene.sender.switch_source(scene.now, 2);
    let seen = scene.forward(&described(key(scene.now, 1), 500), 2).expect("sent");
    assert_eq!(seen.extensions.frame_number(), Some(0));
}

#[test]
fn after_a_gap_video_waits_for_a_key_frame_and_leaves_no_hole() {
    let mut scene = Scene::new(MediaKind::Video);
    let first = scene.forward(&key(scene.now, 10), 1).expect("sent");
    scene.sender.wants_key_frame();
    scene.sender.mark_gap();
    assert!(scene.sender.wants_key_frame());
    assert_eq!(scene.forward(&delta(scene.now, 40), 1), None);
    let second = scene.forward(&key(scene.now, 41), 1).expect("sent");
    assert_eq!(second.number, first.number.wrapping_add(1));
    assert_eq!(second.timestamp, first.timestamp.wrapping_add(31 * 3000), "the same clock goes on");
    assert_eq!(scene.forward(&delta(scene.now, 40), 1), None);
    // A break in the source's numbers is a gap too.
    assert_eq!(scene.forward(&delta(scene.now, 5000), 1), None);
    let third = scene.forward(&key(scene.now, 5001), 1).expect("sent");
    assert_eq!(third.number, second.number.wrapping_add(1));
}

#[test]
fn a_source_that_counts_anew_is_picked_up() {
    let mut scene = Scene::new(MediaKind::Video);
    scene.forward(&key(scene.now, 0x3_0000), 1).expect("sent");
    let last = scene.forward(&delta(scene.now, 0x3_0001), 1).expect("sent");
    scene.pass(33);
    // The receiver was restarted: same publisher, but without the cycles counted so far.
    let timestamp = (0x3_0002u32).wrapping_mul(3000);
    let anew = |packet: RtpPacket| RtpPacket { timestamp, ..packet };
    assert_eq!(scene.forward(&anew(delta(scene.now, 0x1_0002)), 1), None);
    let next = scene.forward(&anew(key(scene.now, 0x1_0003)), 1).expect("sent");
    assert_eq!(next.number, last.number.wrapping_add(1));
    assert_eq!(next.timestamp, last.timestamp.wrapping_add(3000));
    assert!(scene.forward(&delta(scene.now, 0x1_0004), 1).is_some());

    let mut scene = Scene::new(MediaKind::Audio);
    let last = scene.forward(&audio(scene.now, SOURCE, 0x3_0000), 1).expect("sent");
    scene.pass(20);
    // This time the publisher's timestamps are new as well.
    let next = scene.forward(&audio(scene.now, SOURCE, 0x1_0003), 1).expect("sent");
    assert_eq!(next.number, last.number.wrapping_add(1));
    assert_eq!(next.timestamp, last.timestamp.wrapping_add(960));
}

#[test]
fn audio_goes_on_over_a_gap() {
    let mut scene = Scene::new(MediaKind::Audio);
    let first = scene.forward(&audio(scene.now, SOURCE, 10), 1).expect("sent");
    scene.sender.mark_gap();
    assert!(!scene.sender.wants_key_frame());
    let second = scene.forward(&audio(scene.now, SOURCE, 13), 1).expect("sent");
    assert_eq!(second.number, first.number.wrapping_add(3));
    let third = scene.forward(&audio(scene.now, SOURCE, 9000), 1).expect("sent");
    assert_eq!(third.number, second.number.wrapping_add(1));
}

#[test]
fn another_ssrc_of_the_same_generation_takes_over_only_after_silence() {
    let mut scene = Scene::new(MediaKind::Audio);
    let first = scene.forward(&audio(scene.now, SOURCE, 10), 1).expect("sent");
    assert_eq!(scene.forward(&audio(scene.now, SOURCE + 1, 900), 1), None);
    scene.pass(200);
    let second = scene.forward(&audio(scene.now, SOURCE + 1, 901), 1).expect("sent");
    assert_eq!(second.number, first.number.wrapping_add(1));
    assert_eq!(scene.forward(&audio(scene.now, SOURCE, 11), 1), None);
}

#[test]
fn a_restarted_sender_never_reuses_a_number() {
    let mut scene = Scene::new(MediaKind::Video);
    let mut used = vec![scene.forward(&key(scene.now, 10), 1).expect("sent").number];
    used.extend(scene.forward(&delta(scene.now, 12), 1).map(|seen| seen.number));
    let rtx = scene.nack(&used.clone());
    let state = scene.sender.state();
    let parameters = scene.sender.parameters().clone();
    scene.sender = Sender::new(scene.now, parameters, Some(state), StdRng::seed_from_u64(99));
    assert!(scene.sender.wants_key_frame());
    assert_eq!(scene.forward(&delta(scene.now, 11), 1), None, "before the restart");
    assert_eq!(scene.forward(&delta(scene.now, 13), 1), None, "no key frame");
    let next = scene.forward(&key(scene.now, 14), 1).expect("sent");
    assert_eq!(next.number, used[1].wrapping_add(1));
    let again = scene.nack(&[used[0], used[1], next.number]);
    assert_eq!(again.len(), 1, "the history is gone");
    assert!(rtx.iter().all(|before| before.number != again[0].number));
}

#[test]
fn feedback_asks_for_key_frames_and_a_fir_only_once_per_number() {
    let mut scene = Scene::new(MediaKind::Video);
    scene.sender.wants_key_frame();
    scene.rtcp(&CompoundBuilder::new().picture_loss_indication(1, SSRC).build().expect("bytes"));
    assert!(scene.sender.wants_key_frame());
    scene.rtcp(&CompoundBuilder::new().picture_loss_indication(1, SSRC + 1).build().expect("bytes"));
    assert!(!scene.sender.wants_key_frame(), "for another stream");
    let mut fir = |asker, number| {
        scene.rtcp(&CompoundBuilder::new().full_intra_request(asker, SSRC, number).build().expect("bytes"));
        scene.sender.wants_key_frame()
    };
    assert!(fir(1, 7));
    assert!(!fir(1, 7), "a repetition");
    assert!(fir(2, 7), "another receiver");
    assert!(!fir(1, 7));
    assert!(fir(1, 8));
    assert!(!fir(2, 7));
    for asker in 10..100 {
        assert!(fir(asker, 1));
    }
    let statistics = scene.sender.statistics();
    assert_eq!((statistics.pli_count, statistics.fir_count), (1, 96));
}

#[test]
fn sender_reports_extrapolate_the_timestamp_and_stop_when_idle() {
    let mut scene = Scene::new(MediaKind::Audio);
    assert_eq!(scene.sender.poll_timeout(), None);
    let mut reports = Vec::new();
    let mut last = None;
    for number in 0..500 {
        let seen = scene.forward(&audio(scene.now, SOURCE, 10 + number), 1).expect("sent");
        last = Some((seen.timestamp, scene.now));
        scene.pass(20);
        if let Some(compound) = scene.sender.poll_transmit(scene.now) {
            reports.push((compound, seen.timestamp));
        }
    }
    assert!((8..=14).contains(&reports.len()), "{}", reports.len());
    let (compound, timestamp) = &reports[3];
    let packets: Vec<_> = Compound::parse(compound).collect();
    let [RtcpPacket::SenderReport(report), RtcpPacket::SourceDescription(description)] = packets[..] else {
        panic!("{packets:?}");
    };
    assert_eq!(report.ssrc, SSRC);
    assert_eq!(report.rtp_timestamp, timestamp.wrapping_add(960), "20 ms after the last packet");
    assert_eq!(report.octet_count, report.packet_count * 5);
    assert_eq!(description.cnames().collect::<Vec<_>>(), [(SSRC, &b"sender"[..])]);
    let (_, at) = last.expect("sent");
    let mut idle = 0;
    while let Some(due) = scene.sender.poll_timeout() {
        scene.now = due;
        idle += scene.sender.poll_transmit(scene.now).iter().count();
    }
    assert!(idle <= 4 && scene.now <= at + Duration::from_secs(3));
}

/// When a sender with this canonical name reports, whose first packet comes after so many milliseconds.
fn report_times(epoch: Instant, cname: &str, first_packet_ms: u64) -> Vec<Duration> {
    let parameters = SenderParameters { cname: cname.to_owned(), ..parameters(epoch, MediaKind::Audio) };
    let sender = Sender::new(epoch, parameters, None, StdRng::seed_from_u64(first_packet_ms));
    let mut scene = Scene { now: epoch + Duration::from_millis(first_packet_ms), sender };
    let mut times = Vec::new();
    for number in 0..1_000 {
        scene.forward(&audio(scene.now, SOURCE, 10 + number), 1).expect("sent");
        scene.pass(20);
        while let Some(due) = scene.sender.poll_timeout().filter(|due| *due <= scene.now) {
            assert!(scene.sender.poll_transmit(due).is_some());
            times.push(due - epoch);
        }
    }
    times
}

#[test]
fn streams_of_an_endpoint_report_at_the_same_moments_and_endpoints_do_not() {
    let epoch = Instant::now();
    let audio = report_times(epoch, "alice", 40);
    let video = report_times(epoch, "alice", 330);
    assert_eq!(
        audio.iter().rev().take(15).collect::<Vec<_>>(),
        video.iter().rev().take(15).collect::<Vec<_>>()
    );
    let gaps = || audio[1..].windows(2).map(|pair| (pair[1] - pair[0]).as_millis());
    assert!(gaps().all(|gap| (500..=1_500).contains(&gap)), "{audio:?}");
    assert!(gaps().max() > gaps().min().map(|gap| gap + 200), "as if by chance: {audio:?}");
    let bob = report_times(epoch, "bob", 40);
    assert!(bob[1..].iter().all(|time| !audio.contains(time)));
}

#[test]
fn a_report_that_is_due_soon_leaves_with_media_and_only_with_media() {
    let mut scene = Scene::new(MediaKind::Audio);
    let mut with_media = 0;
    for number in 0..2_000 {
        scene.pass(20);
        scene.forward(&delta(scene.now, 100 + number), 1).expect("sent");
        with_media += usize::from(scene.sender.poll_transmit(scene.now).is_some());
        // Between two packets, when they come every 20 ms, nothing has become due that was not sent with the first.
        scene.now += Duration::from_millis(19);
        assert_eq!(scene.sender.poll_transmit(scene.now), None);
        scene.now -= Duration::from_millis(19);
    }
    assert!((35..=50).contains(&with_media), "{with_media} reports in 40 s");
    let due = scene.sender.poll_timeout().expect("a report is due");
    scene.now = due - Duration::from_millis(1);
    assert_eq!(scene.sender.poll_transmit(scene.now), None, "no media, no lead");
    assert!(scene.sender.poll_transmit(due).is_some());
}

#[test]
fn sender_reports_follow_the_clock_of_the_publisher_while_it_is_plausible() {
    let sent = audio(Instant::now(), SOURCE, 10);
    for (error, expected) in [(-40, 960 + 1920), (15, 960 - 720), (-6000, 960), (6000, 960)] {
        let mut scene = Scene::new(MediaKind::Audio);
        // Captured so much before it arrived.
        let milliseconds = Duration::from_millis(i64::unsigned_abs(error));
        let instant = if error < 0 { scene.now - milliseconds } else { scene.now + milliseconds };
        let clock = Some(ClockReference { instant, timestamp: sent.timestamp });
        let seen = scene.forward(&RtpPacket { clock, ..sent.clone() }, 1).expect("sent");
        scene.pass(20);
        let compound = scene.sender.bye(scene.now);
        let Some(RtcpPacket::SenderReport(report)) = Compound::parse(&compound).next() else { panic!() };
        assert_eq!(report.rtp_timestamp, seen.timestamp.wrapping_add(expected), "{error} ms");
    }
}

#[test]
fn goodbye_names_both_streams() {
    let mut scene = Scene::new(MediaKind::Video);
    for has_sent in [false, true] {
        let compound = scene.sender.bye(scene.now);
        let packets: Vec<_> = Compound::parse(&compound).collect();
        assert_eq!(matches!(packets[0], RtcpPacket::SenderReport(_)), has_sent);
        let Some(RtcpPacket::Goodbye(goodbye)) = packets.last() else { panic!("{packets:?}") };
        assert_eq!(goodbye.ssrcs().collect::<Vec<_>>(), [SSRC, RTX_SSRC]);
        assert_eq!(scene.sender.poll_timeout(), None);
        scene.forward(&key(scene.now, 1), 1);
    }
}

#[test]
fn receiver_reports_give_loss_and_round_trip_time() {
    let mut scene = Scene::new(MediaKind::Video);
    scene.forward(&key(scene.now, 1), 1).expect("sent");
    let sent_at = scene.sender.parameters().clock.ntp_at(scene.now).compact();
    scene.pass(1080);
    let block = ReportBlock {
        ssrc: SSRC,
        fraction_lost: 64,
        cumulative_lost: 12,
        jitter: 900,
        last_sender_report: sent_at,
        delay_since_last_sender_report: 65_536,
        ..ReportBlock::default()
    };
    scene.rtcp(&CompoundBuilder::new().receiver_report(1, [block]).build().expect("bytes"));
    let statistics = scene.sender.statistics();
    let round_trip = statistics.round_trip_time.expect("known");
    assert!((79..=81).contains(&round_trip.as_millis()), "{round_trip:?}");
    assert_eq!((statistics.remote_packets_lost, statistics.remote_fraction_lost), (12, 0.25));
    assert_eq!(statistics.remote_jitter, Duration::from_millis(10));
    // A report that claims more delay than time has passed.
    let block = ReportBlock { delay_since_last_sender_report: u32::MAX / 4, ..block };
    scene.rtcp(&CompoundBuilder::new().receiver_report(1, [block]).build().expect("bytes"));
    assert_eq!(scene.sender.statistics().round_trip_time, Some(Duration::ZERO));
}

#[test]
fn an_estimate_for_this_stream_is_kept() {
    let mut scene = Scene::new(MediaKind::Video);
    let remb = |ssrc| CompoundBuilder::new().receiver_estimated_maximum_bitrate(1, 1 << 20, [ssrc]).build();
    scene.rtcp(&remb(SSRC + 1).expect("bytes"));
    assert_eq!(scene.sender.statistics().available_bitrate, None);
    scene.rtcp(&remb(SSRC).expect("bytes"));
    assert_eq!(scene.sender.statistics().available_bitrate, Some(1 << 20));
}

#[test]
fn packets_that_came_before_their_key_frame_can_be_asked_for() {
    let mut scene = Scene::new(MediaKind::Video);
    for number in [8, 11, 12, 500] {
        assert_eq!(scene.forward(&delta(scene.now, number), 1), None);
    }
    let first = scene.forward(&key(scene.now, 10), 1).expect("sent").number;
    let next = scene.forward(&delta(scene.now, 13), 1).expect("sent").number;
    assert_eq!(next, first.wrapping_add(3));
    let again = scene.nack(&[first.wrapping_add(1), first.wrapping_add(2), first.wrapping_sub(2)]);
    assert_eq!(again.len(), 2, "what was before the key frame is not of interest");
    assert_eq!(scene.forward(&delta(scene.now, 11), 1), None, "its number was given out");
}

#[test]
fn a_request_for_a_maximum_bitrate_is_kept_and_answered() {
    let mut scene = Scene::new(MediaKind::Video);
    // 1.5 Mbit/s = 93750 · 2^4, asked by 9; the second entry is about another stream.
    let request = |ssrc: u32| [ssrc.to_be_bytes(), (4u32 << 26 | 93_750 << 9 | 40).to_be_bytes()].concat();
    let head = [0x83, 205, 0, 6, 0, 0, 0, 9, 0, 0, 0, 0];
    scene.rtcp(&[&head[..], &request(SSRC), &request(5)].concat());
    assert_eq!(scene.sender.statistics().available_bitrate, Some(1_500_000));
    assert_eq!(scene.sender.poll_timeout(), Some(scene.now));
    let answer = scene.sender.poll_transmit(scene.now).expect("TMMBN");
    let expected = [&[0x84, 205, 0, 4][..], &SSRC.to_be_bytes(), &[0; 4], &request(9)].concat();
    assert_eq!(answer[..], expected);
    assert_eq!(scene.sender.poll_transmit(scene.now), None, "once");
    let estimate = |bitrate: u64| {
        let mut compound = CompoundBuilder::new();
        compound.receiver_estimated_maximum_bitrate(9, bitrate, [SSRC]).build().expect("bytes")
    };
    scene.rtcp(&estimate(3_000_000));
    assert_eq!(scene.sender.statistics().available_bitrate, Some(1_500_000), "the lower of the two");
    scene.rtcp(&estimate(700_000));
    assert!(scene.sender.statistics().available_bitrate.is_some_and(|limit| limit <= 700_000));
}

#[test]
fn a_report_of_the_peer_tells_what_it_received_and_how_long_the_way_is() {
    let mut scene = Scene::new(MediaKind::Video);
    let first = scene.forward(&key(scene.now, 100), 1).expect("sent");
    let mut last = first.number;
    for number in 101..200 {
        last = scene.forward(&delta(scene.now, number), 1).expect("sent").number;
    }
    let measure = |scene: &mut Scene, cumulative_lost: i32| {
        let report = scene.sender.parameters().clock.ntp_at(scene.now).compact();
        scene.pass(80);
        let block = ReportBlock {
            ssrc: SSRC,
            fraction_lost: 64,
            cumulative_lost,
            extended_highest_sequence_number: u32::from(last),
            jitter: 900,
            last_sender_report: report,
            delay_since_last_sender_report: 65_536 / 50,
        };
        scene.rtcp(&CompoundBuilder::new().receiver_report(9, [block]).build().expect("bytes"));
    };
    measure(&mut scene, 10);
    measure(&mut scene, 12);
    let statistics = scene.sender.statistics();
    assert_eq!(statistics.remote_packets_received, 88, "100 sent, 12 lost");
    assert_eq!((statistics.remote_packets_lost, statistics.remote_fraction_lost), (12, 0.25));
    assert_eq!(statistics.remote_jitter, Duration::from_millis(10));
    assert_eq!(statistics.remote_report, Some(scene.now));
    assert_eq!(statistics.round_trip_time_measurements, 2);
    let milliseconds = statistics.total_round_trip_time.as_millis();
    assert!((119..=121).contains(&milliseconds), "twice 60 ms: {milliseconds}");
    assert_eq!((statistics.frames_sent, statistics.kind), (100, Some(MediaKind::Video)));
    assert_eq!((statistics.payload_type, statistics.rtx_ssrc), (120, Some(RTX_SSRC)));
}
