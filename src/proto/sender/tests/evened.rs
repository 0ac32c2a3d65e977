//! Packets of a frame that leave with one size.

use super::*;

fn frame(scene: &Scene, lengths: &[usize]) -> Arc<MediaLot> {
    let payload = |length: usize| [&[0x10, 0x01], &vec![7; length - 2][..]].concat();
    let packets = lengths.iter().enumerate();
    let packets =
        packets.map(|(at, length)| packet(scene.now, SOURCE, 10 + at as u64, &payload(*length), at == 0));
    Arc::new(MediaLot::new(packets.collect(), false))
}

fn forwarded(scene: &mut Scene, lot: &Arc<MediaLot>) -> Vec<Seen> {
    let sent = (0..lot.packets.len()).filter_map(|index| scene.sender.forward(scene.now, lot, index, 1));
    let sent: Vec<_> = sent.collect();
    sent.iter().map(|packet| scene.see(packet)).collect()
}

#[test]
fn a_frame_in_two_sizes_leaves_in_one_and_arrives_as_it_was() {
    let mut scene = Scene::new(MediaKind::Video);
    let lot = frame(&scene, &[1000, 1000, 1001, 1001]);
    let sent = forwarded(&mut scene, &lot);
    assert_eq!(sent.len(), 4);
    assert!(sent.iter().all(|seen| seen.bytes.len() == sent[3].bytes.len()));
    for (seen, packet) in sent.iter().zip(&lot.packets) {
        assert_eq!(seen.payload, packet.payload, "the padding is not part of the payload");
    }
    let statistics = scene.sender.statistics();
    assert_eq!(statistics.bytes_sent, 4002, "W3C bytesSent counts no padding");
}

#[test]
fn without_rtx_the_padding_is_sent_again_and_with_rtx_it_is_not() {
    let mut scene = Scene::new(MediaKind::Video);
    let lot = frame(&scene, &[1000, 1001]);
    let sent = forwarded(&mut scene, &lot);
    scene.pass(50);
    let again = scene.nack(&[sent[0].number]).pop().expect("an answer");
    assert_eq!(again.payload[2..], sent[0].payload);
    assert_eq!(again.bytes.len(), sent[0].bytes.len() - 1 + 2);

    let mut scene = Scene::new(MediaKind::Video);
    let parameters = SenderParameters { rtx_ssrc: None, ..scene.sender.parameters().clone() };
    scene.sender.set_parameters(parameters);
    let lot = frame(&scene, &[1000, 1001]);
    let sent = forwarded(&mut scene, &lot);
    scene.pass(50);
    let again = scene.nack(&[sent[0].number]).pop().expect("an answer");
    assert_eq!(again.bytes, sent[0].bytes, "the same index, so the same bytes");
    assert_eq!(again.bytes[0] & PADDING_BIT, PADDING_BIT);
}
