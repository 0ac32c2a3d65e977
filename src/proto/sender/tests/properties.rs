//! Properties of a sender: no number twice, no gap of its own making.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;

/// One step of a random life: which source sends, how far its numbers move, and how.
#[derive(Debug, Clone)]
enum Step {
    Packet { source: u32, step: u64, back: u64, key_frame: bool },
    Switch,
    Gap,
    Restart,
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let packet = (0u32..3, 0u64..4, 0u64..12, any::<bool>()).prop_map(|(source, step, back, key_frame)| {
        Step::Packet { source, step, back: if back < 8 { 0 } else { back - 7 }, key_frame }
    });
    prop_oneof![
        20 => packet,
        1 => Just(Step::Switch),
        1 => Just(Step::Gap),
        1 => Just(Step::Restart),
        4 => (0u64..400).prop_map(Step::Pass),
    ]
}

proptest! {
    /// Whatever happens to the sources: no number is sent twice, and the timestamp of a higher number that begins a
    /// new source is not lower than all before.
    #[test]
    fn no_number_is_sent_twice_and_time_never_goes_back_at_a_switch(steps in proptest::collection::vec(step(), 1..300), start: u16) {
        let mut scene = Scene::new(MediaKind::Video);
        let mut state = scene.sender.state();
        state.next_sequence = 0x1_0000 + u64::from(start);
        let parameters = scene.sender.parameters().clone();
        scene.sender = Sender::new(scene.now, parameters.clone(), Some(state), StdRng::seed_from_u64(1));
        let mut highest: HashMap<u32, u64> = HashMap::new();
        let mut used: HashMap<u64, u32> = HashMap::new();
        let mut received = HashSet::new();
        let mut generation = 0;
        for step in steps {
            match step {
                Step::Pass(milliseconds) => scene.pass(milliseconds),
                Step::Gap => scene.sender.mark_gap(),
                Step::Switch => {
                    generation += 1;
                    scene.sender.switch_source(scene.now, generation);
                }
                Step::Restart => {
                    let state = scene.sender.state();
                    scene.sender = Sender::new(scene.now, parameters.clone(), Some(state), StdRng::seed_from_u64(1));
                }
                Step::Packet { source, step, back, key_frame } => {
                    let highest = highest.entry(source).or_insert_with(|| 0x1_0000 + u64::from(source) * 30_000);
                    *highest += step;
                    let number = *highest - back;
                    if !received.insert((source, number)) {
                        continue;
                    }
                    let sent_before = scene.sender.state();
                    let source_before = scene.sender.state.source;
                    let packet = packet(scene.now, source, number, &[0x10, u8::from(!key_frame)], key_frame);
                    let Some(seen) = scene.forward(&packet, generation.saturating_sub(source % 2)) else { continue };
                    let latest = scene.sender.state.next_sequence - 1;
                    let sequence = latest - u64::from((latest as u16).wrapping_sub(seen.number));
                    prop_assert!(used.insert(sequence, seen.timestamp).is_none(), "{} twice", sequence);
                    let source_after = scene.sender.state.source;
                    if source_before.map(|source| source.timestamp_shift) != source_after.map(|source| source.timestamp_shift) {
                        prop_assert_eq!(sequence, sent_before.next_sequence, "no gap at a switch");
                        if let Some(latest) = sent_before.latest {
                            prop_assert!((seen.timestamp.wrapping_sub(latest.timestamp) as i32) > 0);
                        }
                    }
                }
            }
        }
    }

    /// Without RTX what is asked for again is composed again: not a byte may differ, or SRTP would use a nonce for two
    /// plaintexts. Lots have packets of several sources, layers and kinds; only some of them are sent.
    #[test]
    fn what_is_sent_again_is_the_same_to_the_byte(
        lots in proptest::collection::vec((proptest::collection::vec((0u32..3, 1u64..3, any::<bool>(), any::<u8>()), 1..6), 0u64..40, 0u8..12), 1..200),
    ) {
        let mut scene = Scene::new(MediaKind::Video);
        let without_rtx = SenderParameters { rtx_ssrc: None, ..scene.sender.parameters().clone() };
        scene.sender.set_parameters(without_rtx);
        let mut numbers = [10u64, 40_000, 90_000];
        let mut sent: Vec<Seen> = Vec::new();
        let mut generation = 0;
        for (packets, pause, what) in lots {
            scene.pass(pause);
            if what == 0 {
                generation += 1;
                scene.sender.switch_source(scene.now, generation);
            }
            let make = |(source, step, is_key, level): (u32, u64, bool, u8)| {
                let number = &mut numbers[source as usize];
                *number += step;
                let mut packet = picture(scene.now, *number, (*number % 0x8000) as u16, level, is_key);
                packet.ssrc = SOURCE + source;
                packet.marker = level % 2 == 0;
                if level % 3 == 0 {
                    packet.extensions.audio_level = Some(AudioLevel { voice: is_key, level: level / 2 });
                }
                packet
            };
            let lot = Arc::new(MediaLot::new(packets.into_iter().map(make).collect(), false));
            for index in 0..lot.packets.len() {
                let outgoing = scene.sender.forward(scene.now, &lot, index, generation);
                sent.extend(outgoing.map(|packet| scene.see(&packet)));
            }
            if what == 1 && !sent.is_empty() {
                scene.pass(501);
                let asked: Vec<_> = sent.iter().rev().take(20).map(|seen| seen.number).collect();
                for again in scene.nack(&asked) {
                    let original = sent.iter().rev().find(|seen| seen.number == again.number).expect("sent before");
                    prop_assert_eq!(&again.bytes, &original.bytes);
                }
            }
        }
        scene.pass(501);
        if let Some(last) = sent.last() {
            let again = scene.nack(&[last.number]);
            prop_assert_eq!(&again.first().expect("the latest is kept").bytes, &last.bytes);
        }
    }

    #[test]
    fn any_feedback_is_answered(datagrams in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 8..60), 0..20)) {
        let mut scene = Scene::new(MediaKind::Video);
        scene.forward(&key(scene.now, 1), 1).expect("sent");
        for (index, mut datagram) in datagrams.into_iter().enumerate() {
            datagram[0] = datagram[0] & 0x1f | 0x80;
            datagram[1] = 200 + datagram[1] % 8;
            datagram[2] = 0;
            datagram[3] = (datagram.len() / 4 - 1) as u8;
            if datagram.len() >= 12 {
                datagram[8..12].copy_from_slice(&SSRC.to_be_bytes());
            }
            scene.pass(300);
            scene.forward(&delta(scene.now, 2 + index as u64), 1);
            let out = scene.rtcp(&datagram);
            prop_assert!(out.len() <= 21);
            let _ = scene.sender.poll_transmit(scene.now);
        }
    }
}
