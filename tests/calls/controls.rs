//! What an application does to what it sends, as the other end sees it: tracks that are disabled and
//! stopped, and tones.

use std::time::{Duration, Instant};

use actix_rtc::{
    LocalTrackWriter, MediaKind, UdpMode, local_track,
    proto::rtp::{CodecKey, CodecParameters, Extensions, RtpPacket},
};

use crate::{
    call::{Call, Camera, Engines},
    run_undisturbed,
};

/// A microphone: a packet each 20 ms.
async fn record(writer: LocalTrackWriter) {
    let opus = CodecParameters {
        payload_type: 111,
        name: "opus".to_owned(),
        clock_rate: 48_000,
        channels: Some(2),
        parameters: Vec::new(),
        feedback: Vec::new(),
    };
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    for number in 0u32.. {
        ticks.tick().await;
        writer.write(RtpPacket {
            arrival: Instant::now(),
            ssrc: 1,
            rid: None,
            codec: CodecKey::of(&opus),
            payload_type: 111,
            marker: false,
            sequence_number: u64::from(number),
            timestamp: number * 960,
            clock: None,
            extensions: Extensions::default(),
            payload: b"sound".to_vec().into(),
            key_frame: false,
        });
    }
}

#[test]
fn a_disabled_track_is_silent_at_the_other_end_and_goes_on_with_a_key_frame() {
    run_undisturbed(|| async {
        let engines = Engines::start(UdpMode::Shared { port: 0 }).await;
        let camera = Camera::start(&engines, 1).await;
        let mut call = Call::start(&engines, &camera.track).await;
        let before = call.next_packets(20).await;
        camera.track.set_enabled(false);
        // What was under way arrives; then there is nothing for longer than 60 frames take.
        let mut last = before;
        while let Ok(packets) = tokio::time::timeout(Duration::from_millis(300), call.next_packets(1)).await {
            last = packets;
        }
        camera.track.set_enabled(true);
        let after = call.next_packets(20).await;
        assert!(after[0].key_frame, "decoding can start again");
        let (last, first) = (last.last().unwrap(), &after[0]);
        assert_eq!(first.sequence_number, last.sequence_number + 1, "nothing looks lost");
        assert!(after.windows(2).all(|pair| pair[1].sequence_number == pair[0].sequence_number + 1));
    });
}

#[test]
fn tones_arrive_as_telephone_events_within_the_audio() {
    run_undisturbed(|| async {
        let engines = Engines::start(UdpMode::Shared { port: 0 }).await;
        let (track, writer) = local_track(&engines.near, 0, "microphone", MediaKind::Audio).await.unwrap();
        let recording = tokio::spawn(record(writer));
        let mut call = Call::start(&engines, &track).await;
        let before = call.next_packets(5).await;
        let dtmf = call.transceiver.sender().dtmf().expect("an audio sender");
        assert!(dtmf.can_insert_dtmf());
        dtmf.insert_dtmf("5#", Some(100), Some(70)).await.unwrap();
        let is_event = |packet: &RtpPacket| packet.payload.len() == 4 && packet.codec != before[0].codec;
        let mut events = Vec::new();
        let mut last = before.last().unwrap().sequence_number;
        while events.len() < 14 {
            for packet in call.next_packets(1).await {
                assert_eq!(packet.sequence_number, last + 1, "tones and audio share one numbering");
                last = packet.sequence_number;
                events.extend(is_event(&packet).then_some(packet));
            }
        }
        let keys: Vec<u8> = events.iter().map(|packet| packet.payload[0]).collect();
        assert_eq!(keys, [[5; 7], [11; 7]].concat());
        let ends = events.iter().filter(|packet| packet.payload[1] & 0x80 != 0).count();
        assert_eq!(ends, 6, "each end three times");
        let timestamps: Vec<u32> = events.iter().map(|packet| packet.timestamp).collect();
        assert!(timestamps[..7].iter().all(|timestamp| *timestamp == timestamps[0]));
        assert!(timestamps[7].wrapping_sub(timestamps[0]) >= 100 * 48, "the second begins after the first");
        recording.abort();
    });
}
