//! Packets that broke other implementations, and mutations of them, through the whole path.
//!
//! The corpora are not part of the project; they are read when present: from `ACTIX_RTC_VECTORS`, or next to it.

use std::path::{Path, PathBuf};

use rand::Rng;

use super::*;
use crate::proto::receiver::{Receiver, ReceiverParameters};
use crate::proto::rtp::{Demultiplexer, Section};

const FOLDERS: [&str; 9] = [
    "aiortc",
    "mediasoup-crashes",
    "mediasoup-packets",
    "pion-gofuzz",
    "werift-rtp",
    "libwebrtc-fuzz-corpora/rtp",
    "libwebrtc-fuzz-corpora/rtcp",
    "libwebrtc-fuzz-corpora/crashes-rtp",
    "libwebrtc-fuzz-corpora/crashes-rtcp",
];

const MUTATIONS: usize = 200;

fn corpora() -> Vec<Vec<u8>> {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors");
    let root = std::env::var_os("ACTIX_RTC_VECTORS").map_or_else(default, PathBuf::from);
    let files = FOLDERS.iter().filter_map(|folder| std::fs::read_dir(root.join(folder)).ok()).flatten();
    files.flatten().filter_map(|entry| std::fs::read(entry.path()).ok()).collect()
}

struct WholePath {
    scene: Scene,
    receiver: Receiver,
    demultiplexer: Demultiplexer,
}

impl WholePath {
    fn new() -> Self {
        let scene = Scene::new(MediaKind::Video);
        let mut codecs = Vec::new();
        for payload_type in 0..128 {
            let (name, apt) = match payload_type % 8 {
                0 => ("VP8", None),
                1 => ("VP9", None),
                2 => ("H264", None),
                3 => ("AV1", None),
                4 => ("rtx", Some(payload_type - 4)),
                _ => ("opus", None),
            };
            codecs.push(codec(payload_type, name, 90_000, apt));
        }
        let uris = ExtensionKind::ALL.map(|(_, uri)| uri);
        let extensions = ExtensionMap::new((1..).zip(uris), true);
        let section = Section { index: 0, payload_types: (0..128).collect(), ..Section::default() };
        let mut demultiplexer = Demultiplexer::new();
        demultiplexer.set_sections(vec![section], extensions.clone());
        let sender = SenderParameters {
            codecs: codecs.clone(),
            extensions: extensions.clone(),
            ..scene.sender.parameters().clone()
        };
        let receiver = ReceiverParameters {
            kind: MediaKind::Video,
            codecs,
            extensions,
            ssrcs: Vec::new(),
            local_ssrc: 1,
            cname: "c".to_owned(),
            reduced_size: false,
        };
        let receiver = Receiver::new(scene.now, receiver, StdRng::seed_from_u64(1));
        let mut path = Self { scene, receiver, demultiplexer };
        path.scene.sender.set_parameters(sender);
        path
    }

    fn take(&mut self, datagram: &[u8]) {
        self.scene.pass(7);
        let now = self.scene.now;
        let mut received = Vec::new();
        if let Ok(route) = self.demultiplexer.route_packet(datagram) {
            let packet = Bytes::copy_from_slice(datagram);
            let _ = self.receiver.handle_rtp(now, packet, route.rid, route.repaired, &mut received);
        }
        for packet in &received {
            let _ = self.scene.forward(packet, 1);
        }
        let _ = self.scene.rtcp(datagram);
        for packet in Compound::parse(datagram) {
            self.receiver.handle_rtcp(now, &packet);
        }
        while self.receiver.poll_transmit(now).is_some() {}
        let _ = self.scene.sender.poll_transmit(now);
    }
}

#[test]
fn what_broke_others_is_answered() {
    let corpora = corpora();
    println!("{} packets found", corpora.len());
    let mut random = StdRng::seed_from_u64(5);
    let mut path = WholePath::new();
    for original in &corpora {
        path.take(original);
        for _ in 0..if original.is_empty() { 0 } else { MUTATIONS } {
            let mut mutated = original.clone();
            mutated.truncate(random.random_range(1..=1500.min(original.len())));
            for _ in 0..random.random_range(0..4) {
                let at = random.random_range(0..mutated.len().min(48));
                mutated[at] = random.random();
            }
            path.take(&mutated);
        }
    }
}

/// The shortest packets that broke the `rtp` and `rtcp` crates or other implementations.
#[test]
fn known_killers_are_answered() {
    let mut path = WholePath::new();
    let killers: [&[u8]; 8] = [
        // A NACK of 8 bytes.
        &[0x81, 0xcd, 0x00, 0x01, 0, 0, 0, 1],
        // A payload feedback with FMT 15 that is not REMB.
        &[0x8f, 0xce, 0x00, 0x03, 0, 0, 0, 1, 0, 0, 0, 2, b'J', b'U', b'N', b'K'],
        // Extension elements that overrun their block.
        &[0x90, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0xbe, 0xde, 0, 1, 0x1f, 1, 2, 3],
        &[0x90, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0x10, 0x00, 0, 1, 0x01, 0xff, 2, 3],
        &[0x90, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0x10, 0x00, 0, 1, 0, 0, 0, 1],
        // A STAP-A whose unit overruns.
        &[0x80, 98, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0x78, 0x00, 0x00, 0xf3],
        // Padding only, and padding of 255.
        &[0xa0, 96, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 3],
        &[0xa0, 96, 0, 3, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 255],
    ];
    for killer in killers {
        for length in 0..=killer.len() {
            path.take(&killer[..length]);
        }
    }
}
