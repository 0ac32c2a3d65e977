//! Tests of what is sent again: RTX and without, how often, how much.

use super::*;

#[test]
fn nacks_are_answered_by_rtx_at_most_once_per_round_trip() {
    let mut scene = Scene::new(MediaKind::Video);
    let originals: Vec<Seen> = (0..3)
        .map(|index| {
            let source = RtpPacket { marker: index == 2, ..picture(scene.now, 10 + index, 5, 5, index == 0) };
            scene.forward(&source, 1).expect("sent")
        })
        .collect();
    scene.pass(50);
    let numbers: Vec<u16> = originals.iter().map(|seen| seen.number).collect();
    let again = scene.nack(&numbers);
    assert_eq!(again.len(), 3);
    for (index, (rtx, original)) in again.iter().zip(&originals).enumerate() {
        assert_eq!((rtx.ssrc, rtx.payload_type, rtx.marker), (RTX_SSRC, 121, index == 2));
        assert_eq!(rtx.number, again[0].number.wrapping_add(index as u16));
        assert_eq!(rtx.timestamp, original.timestamp);
        assert_eq!(rtx.payload, [&original.number.to_be_bytes()[..], &original.payload].concat());
        assert_eq!(rtx.extensions.mid, original.extensions.mid);
        assert!(rtx.extensions.absolute_send_time > original.extensions.absolute_send_time);
    }
    assert!(scene.nack(&numbers).is_empty());
    scene.pass(99);
    assert!(scene.nack(&numbers).is_empty());
    scene.pass(1);
    assert_eq!(scene.nack(&numbers).len(), 3);
    let statistics = scene.sender.statistics();
    assert_eq!((statistics.nack_count, statistics.retransmitted_packets_sent), (4, 6));
    assert_eq!(statistics.packets_sent, 9);
}

#[test]
fn the_rewritten_start_of_a_payload_is_retransmitted() {
    let mut scene = Scene::new(MediaKind::Video);
    scene.forward(&picture(scene.now, 10, 100, 1, true), 1).expect("sent");
    scene.sender.switch_source(scene.now, 2);
    let original = scene.forward(&picture(scene.now, 10, 300, 9, true), 2).expect("sent");
    let again = scene.nack(&[original.number]).pop().expect("an answer");
    assert_eq!(again.payload[2..], original.payload);
    assert_eq!(original.payload[2..5], [0x80, 101, 2]);
}

#[test]
fn without_rtx_the_same_bytes_are_sent_again() {
    let mut scene = Scene::new(MediaKind::Video);
    let parameters = SenderParameters { rtx_ssrc: None, ..scene.sender.parameters().clone() };
    scene.sender.set_parameters(parameters);
    let original = scene.forward(&key(scene.now, 10), 1).expect("sent");
    scene.pass(50);
    let again = scene.nack(&[original.number]).pop().expect("an answer");
    assert_eq!(again.bytes, original.bytes);
    let mut out = Vec::new();
    let compound = CompoundBuilder::new().nack(1, SSRC, [original.number]).build().expect("bytes");
    scene.pass(100);
    for packet in Compound::parse(&compound) {
        scene.sender.handle_rtcp(scene.now, &packet, &mut out);
    }
    assert!(out[0].is_retransmission());
}

#[test]
fn what_was_sent_under_other_parameters_is_not_sent_again() {
    let mut scene = Scene::new(MediaKind::Video);
    let before = scene.forward(&key(scene.now, 10), 1).expect("sent");
    let same = SenderParameters { bitrate_max: Some(1), ..scene.sender.parameters().clone() };
    scene.sender.set_parameters(same);
    assert_eq!(scene.nack(&[before.number]).len(), 1);
    scene.pass(500);
    let other = SenderParameters { mid: Mid::new("w"), ..scene.sender.parameters().clone() };
    scene.sender.set_parameters(other);
    assert!(scene.nack(&[before.number]).is_empty(), "it would not be the same packet");
    let after = scene.forward(&delta(scene.now, 11), 1).expect("sent");
    assert_eq!(scene.nack(&[after.number]).len(), 1);
}

#[test]
fn a_nack_flood_has_a_budget() {
    let mut scene = Scene::new(MediaKind::Video);
    let mut sent = 0;
    let mut again = 0;
    let mut numbers = Vec::new();
    for number in 10..4010 {
        scene.pass(1);
        let payload = vec![0x10; 1000];
        let source = packet(scene.now, SOURCE, number, &payload, number == 10);
        let seen = scene.forward(&source, 1).expect("sent");
        sent += seen.bytes.len();
        numbers.push(seen.number);
        // At 1 kHz, the last 240 packets.
        let latest = &numbers[numbers.len().saturating_sub(NACK_ENTRIES_MAX)..];
        again += scene.nack(latest).iter().map(|seen| seen.bytes.len()).sum::<usize>();
    }
    assert!(again <= sent / 2 + 256 * 1024, "{again} of {sent}");
    assert!(again > sent / 3, "an honest share is answered");
}

#[test]
fn nacks_for_what_is_not_kept_are_ignored() {
    let mut scene = Scene::new(MediaKind::Video);
    assert!(scene.nack(&[0, 1, 65535]).is_empty(), "nothing sent yet");
    let first = scene.forward(&key(scene.now, 10), 1).expect("sent").number;
    scene.forward(&delta(scene.now, 12), 1).expect("sent");
    let others = [first.wrapping_sub(1), first.wrapping_add(1), first.wrapping_add(3)];
    assert!(scene.nack(&others).is_empty());
}
