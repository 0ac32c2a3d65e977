//! One publisher, and a forwarder with some subscribers, whose time can be stopped.

use std::{sync::mpsc, time::Duration};

use actix_rtc::{
    LocalTrackWriter, MediaKind, MediaStreamTrack, NetworkConfig, RtcConfiguration, RtcEngine,
    RtcEngineConfig, RtcPeerConnection, RtcPeerConnectionEvent, RtcPeerConnectionState,
    RtcRtpTransceiverDirection, RtcRtpTransceiverInit, TrackPackets, UdpMode, local_track,
    proto::rtp::{CodecKey, CodecParameters, Extensions, RtpPacket},
};
use bytes::Bytes;
use futures_util::StreamExt;

/// A forwarder with one publisher and some subscribers, over real sockets.
pub(crate) struct Stage {
    /// The thread that forwards.
    pub(crate) forwarder: RtcEngine,
    /// The thread of everybody else.
    others: RtcEngine,
    far: Option<FarEnds>,
    connections: Vec<RtcPeerConnection>,
}

/// What the publisher writes to, and what the subscribers read.
struct FarEnds {
    kind: MediaKind,
    writer: LocalTrackWriter,
    subscribers: Vec<TrackPackets>,
    next: u64,
}

impl Stage {
    pub(crate) async fn start(kind: MediaKind, subscribers: usize) -> Self {
        let forwarder = engine(UdpMode::Shared { port: 0 }).await;
        let others = engine(UdpMode::PerConnection).await;
        let (track, writer) = local_track(&others, 0, "published", kind).await.unwrap();
        let mut stage = Self { forwarder, others, far: None, connections: Vec::new() };
        let received = stage.connect(true, &track).await;
        let mut far = FarEnds { kind, writer, subscribers: Vec::new(), next: 1000 };
        for _ in 0..subscribers {
            far.subscribers.push(stage.connect(false, &received).await.packets());
        }
        stage.far = Some(far);
        stage
    }

    /// Sends a track to the forwarder, or from it; what arrives.
    async fn connect(&mut self, to_forwarder: bool, track: &MediaStreamTrack) -> MediaStreamTrack {
        let (from, to) =
            if to_forwarder { (&self.others, &self.forwarder) } else { (&self.forwarder, &self.others) };
        let sender = RtcPeerConnection::on(from, RtcConfiguration::on_shard(0)).await.unwrap();
        let receiver = RtcPeerConnection::on(to, RtcConfiguration::on_shard(0)).await.unwrap();
        let init = RtcRtpTransceiverInit {
            direction: RtcRtpTransceiverDirection::Sendonly,
            ..RtcRtpTransceiverInit::default()
        };
        sender.add_transceiver(track, init).await.unwrap();
        let mut events = receiver.events().unwrap();
        sender.set_local_description(None).await.unwrap();
        sender.gathering_complete().await.unwrap();
        receiver.set_remote_description(sender.local_description().unwrap()).await.unwrap();
        receiver.set_local_description(None).await.unwrap();
        receiver.gathering_complete().await.unwrap();
        sender.set_remote_description(receiver.local_description().unwrap()).await.unwrap();
        let arrived = loop {
            if let RtcPeerConnectionEvent::Track { track, .. } = events.next().await.unwrap() {
                break track;
            }
        };
        assert!(sender.events().unwrap().until(RtcPeerConnectionState::Connected).await);
        self.connections.extend([sender, receiver]);
        arrived
    }

    /// Publishes `lots` lots of `packets` packets each; every one arrives at every subscriber before the next
    /// is sent.
    pub(crate) async fn publish(&mut self, lots: usize, packets: usize, begins_with_key_frames: bool) {
        let mut far = self.far.take().unwrap();
        let publish = move || async move {
            for _ in 0..lots {
                far.publish(packets, begins_with_key_frames).await;
            }
            far
        };
        // On the thread where the far ends live: its time may stand still, and nowhere else's.
        self.far = Some(self.others.shards().run_on(0, publish).await.unwrap());
    }

    /// Stops the time of both threads: no report, no check, nothing but media is sent.
    pub(crate) async fn stop_time(&self) -> [StoppedTime; 2] {
        [StoppedTime::of(&self.forwarder).await, StoppedTime::of(&self.others).await]
    }

    pub(crate) async fn end(self) {
        for connection in &self.connections {
            connection.close().await;
        }
        for engine in [self.forwarder, self.others] {
            engine.shutdown(Duration::from_secs(10)).await.unwrap();
        }
    }
}

impl FarEnds {
    async fn publish(&mut self, packets: usize, begins_with_key_frame: bool) {
        let lot: Vec<_> = (0..packets)
            .map(|index| self.packet(begins_with_key_frame && index == 0, index + 1 == packets))
            .collect();
        self.writer.write_all(lot.into_iter());
        let last = marked(self.next - 1);
        for subscriber in &mut self.subscribers {
            while !subscriber
                .next()
                .await
                .unwrap()
                .packets
                .iter()
                .any(|packet| packet.payload.ends_with(&last))
            {}
        }
    }

    fn packet(&mut self, key_frame: bool, ends_frame: bool) -> RtpPacket {
        let number = self.next;
        self.next += 1;
        let (name, payload_type, clock_rate, channels, length) = match self.kind {
            MediaKind::Audio => ("opus", 111, 48_000, Some(2), 100),
            MediaKind::Video => ("VP8", 96, 90_000, None, 1000),
        };
        let codec = CodecParameters {
            payload_type,
            name: name.to_owned(),
            clock_rate,
            channels,
            parameters: Vec::new(),
            feedback: Vec::new(),
        };
        // RFC 7741 §4.2 and §4.3: of a key frame, the P bit is 0.
        let mut payload = vec![0x10, u8::from(!key_frame), 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xf0, 0x00];
        payload.resize(length, 7);
        payload.extend(marked(number));
        RtpPacket {
            arrival: std::time::Instant::now(),
            ssrc: 1,
            rid: None,
            codec: CodecKey::of(&codec),
            payload_type,
            marker: ends_frame,
            sequence_number: number,
            timestamp: number as u32 * 960,
            clock: None,
            extensions: Extensions::default(),
            payload: Bytes::from(payload),
            key_frame,
        }
    }
}

fn marked(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

async fn engine(udp: UdpMode) -> RtcEngine {
    let mut config = RtcEngineConfig::default();
    config.shards.count = 1;
    config.shards.pin = false;
    config.udp = udp;
    let mut network = NetworkConfig::default();
    network.include_loopback = true;
    config.network = network;
    RtcEngine::start(config).await.unwrap()
}

/// Time stands still on the shard of an engine, until this is dropped.
pub(crate) struct StoppedTime {
    _goes_on: mpsc::Sender<()>,
}

impl StoppedTime {
    async fn of(engine: &RtcEngine) -> Self {
        let (goes_on, stands_still) = mpsc::channel();
        engine
            .shards()
            .run_on(0, move || async move {
                tokio::time::pause();
                // tokio moves a stopped clock on when nothing is left to do, but not while a thread is at work.
                drop(tokio::task::spawn_blocking(move || stands_still.recv()));
            })
            .await
            .unwrap();
        Self { _goes_on: goes_on }
    }
}
