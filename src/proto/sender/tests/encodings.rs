//! Tests of one encoding among several: its name in its packets and in its retransmissions (RFC 8852).

use super::*;
use crate::proto::rtp::Rid;

const RID_URI: &str = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id";
const REPAIRED_URI: &str = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id";

fn scene(extensions: ExtensionMap) -> Scene {
    let mut scene = Scene::new(MediaKind::Video);
    let rid = Rid::new("high");
    let parameters = SenderParameters { rid, extensions, ..scene.sender.parameters().clone() };
    scene.sender.set_parameters(parameters);
    scene
}

#[test]
fn packets_carry_the_rid_and_retransmissions_the_repaired_one() {
    let one_byte = [(3, SEND_TIME_URI), (4, MID_URI), (10, RID_URI), (11, REPAIRED_URI)];
    let two_byte = [(3, SEND_TIME_URI), (4, MID_URI), (20, RID_URI), (21, REPAIRED_URI)];
    for extensions in [ExtensionMap::new(one_byte, false), ExtensionMap::new(two_byte, true)] {
        let mut scene = scene(extensions);
        let sent = scene.forward(&key(scene.now, 10), 1).expect("sent");
        assert_eq!(sent.extensions.rid, Rid::new("high"));
        assert_eq!(sent.extensions.repaired_rid, None);
        scene.pass(30);
        let [again] = &scene.nack(&[sent.number])[..] else { panic!() };
        assert_eq!(again.ssrc, RTX_SSRC);
        assert_eq!(again.extensions.repaired_rid, Rid::new("high"));
        assert_eq!(again.extensions.rid, None, "a repair stream has no name of its own");
        assert_eq!(again.extensions.mid, Mid::new("v"));
        assert_ne!(again.extensions.absolute_send_time, sent.extensions.absolute_send_time);
        assert_eq!(again.payload[2..], sent.payload[..]);
    }
}

#[test]
fn a_repaired_name_that_was_not_negotiated_is_left_out_of_retransmissions() {
    for extensions in [
        ExtensionMap::new([(10, RID_URI), (4, MID_URI)], false),
        ExtensionMap::new([(20, RID_URI), (4, MID_URI)], true),
    ] {
        let mut scene = scene(extensions);
        let sent = scene.forward(&key(scene.now, 10), 1).expect("sent");
        let [again] = &scene.nack(&[sent.number])[..] else { panic!() };
        assert_eq!((again.extensions.rid, again.extensions.repaired_rid), (None, None));
        assert_eq!(again.extensions.mid, Mid::new("v"), "what follows it is still there");
    }
}

#[test]
fn without_rtx_a_repeated_packet_keeps_its_name() {
    let mut scene = scene(ExtensionMap::new([(10, RID_URI), (11, REPAIRED_URI)], false));
    let parameters = SenderParameters { rtx_ssrc: None, ..scene.sender.parameters().clone() };
    scene.sender.set_parameters(parameters);
    let sent = scene.forward(&key(scene.now, 10), 1).expect("sent");
    let [again] = &scene.nack(&[sent.number])[..] else { panic!() };
    assert_eq!(again.bytes, sent.bytes);
}

#[test]
fn what_is_withheld_leaves_no_hole_for_audio_either() {
    let mut scene = Scene::new(MediaKind::Audio);
    let before = scene.forward(&audio(scene.now, SOURCE, 10), 1).expect("sent");
    for _ in 0..50 {
        scene.sender.withhold(1);
        scene.pass(20);
    }
    let after = scene.forward(&audio(scene.now, SOURCE, 61), 1).expect("sent");
    assert_eq!(after.number, before.number.wrapping_add(1), "no loss to be reported or asked for");
    assert_eq!(after.timestamp, before.timestamp.wrapping_add(51 * 960), "but time went on");
    assert_eq!(scene.sender.statistics().packets_withheld, 50);
}

#[test]
fn withheld_video_goes_on_with_a_key_frame() {
    let mut scene = Scene::new(MediaKind::Video);
    let before = scene.forward(&key(scene.now, 10), 1).expect("sent");
    scene.sender.withhold(3);
    assert_eq!(scene.forward(&delta(scene.now, 14), 1), None);
    let after = scene.forward(&key(scene.now, 15), 1).expect("sent");
    assert_eq!(after.number, before.number.wrapping_add(1));
}
