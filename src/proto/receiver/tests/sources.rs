//! Tests of synchronization and contributing sources.

use super::*;

const LEVEL_URI: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";
const MIXER_URI: &str = "urn:ietf:params:rtp-hdrext:csrc-audio-level";

fn conference(extensions: &[(u8, &str)]) -> Scene {
    Scene::new(ReceiverParameters {
        kind: MediaKind::Audio,
        codecs: vec![codec(111, "opus", None, &[])],
        extensions: ExtensionMap::new(extensions.iter().copied(), false),
        ..parameters()
    })
}

/// An audio packet with contributing sources and elements of the one-byte form.
fn mixed(ssrc: u32, number: u16, csrcs: &[u32], elements: &[u8]) -> Vec<u8> {
    let plain = rtp(ssrc, 111, number, b"sound");
    let (header, payload) = plain.split_at(12);
    let mut packet = header.to_vec();
    packet[0] |= csrcs.len() as u8;
    packet.extend(csrcs.iter().flat_map(|csrc| csrc.to_be_bytes()));
    if !elements.is_empty() {
        packet[0] |= 0x10;
        let words = elements.len().div_ceil(4);
        packet.extend_from_slice(&[0xbe, 0xde, 0, words as u8]);
        packet.extend_from_slice(elements);
        packet.resize(packet.len() + 4 * words - elements.len(), 0);
    }
    packet.extend_from_slice(payload);
    packet
}

#[test]
fn who_is_heard_is_listed_with_level_and_timestamp() {
    let mut scene = conference(&[(1, LEVEL_URI)]);
    assert_eq!(scene.receiver.synchronization_sources(scene.now), []);
    scene.send(mixed(7, 10, &[], &[0x10, 0x80 | 20])).expect("taken");
    let [source] = scene.receiver.synchronization_sources(scene.now)[..] else { panic!() };
    assert_eq!((source.source, source.rtp_timestamp, source.at), (7, 30_000, scene.now));
    assert_eq!(source.audio_level, Some(AudioLevel { voice: true, level: 20 }));
    assert!((source.linear_audio_level().expect("a level") - 0.1).abs() < 1e-9, "−20 dB");
    assert_eq!(scene.receiver.statistics()[0].audio_level, source.linear_audio_level());
}

#[test]
fn levels_are_linear_between_silence_and_one() {
    let at = Instant::now();
    let linear = |level| {
        let audio_level = Some(AudioLevel { voice: false, level });
        RtpSource { source: 1, rtp_timestamp: 0, at, audio_level }.linear_audio_level()
    };
    assert_eq!((linear(0), linear(127)), (Some(1.0), Some(0.0)));
    assert!(linear(126).is_some_and(|level| level > 0.0));
    assert_eq!(RtpSource { source: 1, rtp_timestamp: 0, at, audio_level: None }.linear_audio_level(), None);
}

#[test]
fn sources_are_forgotten_after_ten_seconds_and_the_latest_come_first() {
    let mut scene = conference(&[]);
    scene.send(mixed(1, 10, &[100], &[])).expect("taken");
    scene.pass(6_000);
    scene.send(mixed(2, 10, &[200], &[])).expect("taken");
    let ssrcs = |sources: Vec<RtpSource>| sources.iter().map(|source| source.source).collect::<Vec<_>>();
    assert_eq!(ssrcs(scene.receiver.synchronization_sources(scene.now)), [2, 1]);
    assert_eq!(ssrcs(scene.receiver.contributing_sources(scene.now)), [200, 100]);
    scene.pass(4_001);
    assert_eq!(ssrcs(scene.receiver.synchronization_sources(scene.now)), [2]);
    assert_eq!(ssrcs(scene.receiver.contributing_sources(scene.now)), [200]);
    scene.pass(6_000);
    assert_eq!(scene.receiver.synchronization_sources(scene.now), []);
    assert_eq!(scene.receiver.contributing_sources(scene.now), []);
}

#[test]
fn contributing_sources_have_their_levels_where_that_is_negotiated() {
    let levels = [0x21, 30, 127];
    let mut scene = conference(&[(2, MIXER_URI)]);
    scene.send(mixed(7, 10, &[100, 200, 300], &levels)).expect("taken");
    let mut sources = scene.receiver.contributing_sources(scene.now);
    sources.sort_by_key(|source| source.source);
    let heard: Vec<_> =
        sources.iter().map(|source| (source.source, source.audio_level.map(|level| level.level))).collect();
    assert_eq!(heard, [(100, Some(30)), (200, Some(127)), (300, None)], "two levels for three sources");
    assert!(sources.iter().all(|source| source.rtp_timestamp == 30_000));

    let mut scene = conference(&[]);
    scene.send(mixed(7, 10, &[100], &levels)).expect("taken");
    assert_eq!(scene.receiver.contributing_sources(scene.now)[0].audio_level, None);
}

#[test]
fn a_flood_of_contributing_sources_keeps_the_table_small() {
    let mut scene = conference(&[]);
    for number in 0..200u16 {
        let csrcs: Vec<u32> = (0..15).map(|index| u32::from(number) * 15 + index).collect();
        scene.pass(1);
        scene.send(mixed(7, number, &csrcs, &[])).expect("taken");
    }
    let sources = scene.receiver.contributing_sources(scene.now);
    assert_eq!(sources.len(), 64);
    assert!(sources.iter().all(|source| source.source >= 3000 - 75), "the latest are known");
}

#[test]
fn nothing_is_heard_after_a_goodbye_until_the_source_goes_on() {
    let mut scene = conference(&[]);
    assert!(!scene.receiver.is_heard());
    scene.send(mixed(7, 10, &[], &[])).expect("taken");
    assert!(scene.receiver.is_heard());
    scene.rtcp(&CompoundBuilder::new().goodbye([7]).build().expect("bytes"));
    assert!(!scene.receiver.is_heard());
    scene.send(mixed(7, 11, &[], &[])).expect("taken");
    assert!(scene.receiver.is_heard());
}
