//! A call: two connections, one video track in each direction on request.

use std::time::{Duration, Instant};

use actix_rtc::{
    LocalTrackWriter, MediaKind, MediaStream, MediaStreamTrack, NetworkConfig, RtcConfiguration, RtcEngine,
    RtcEngineConfig, RtcEvents, RtcPeerConnection, RtcPeerConnectionEvent, RtcPeerConnectionState,
    RtcRtpTransceiver, RtcRtpTransceiverDirection, RtcRtpTransceiverInit, TrackPackets, UdpMode, local_track,
    proto::rtp::{CodecKey, CodecParameters, Extensions, RtpPacket},
};
use futures_util::StreamExt;
use tokio::sync::watch;

/// Two engines: a socket tells its peers apart by their addresses, so the two ends of a call can't
/// share one, and of two calls between the same sockets one would get the other's packets. The far
/// side is like browsers are: own sockets for every connection.
pub(crate) struct Engines {
    pub(crate) near: RtcEngine,
    pub(crate) far: RtcEngine,
}

impl Engines {
    pub(crate) async fn start(udp: UdpMode) -> Self {
        Self::start_with(udp, 1).await
    }

    /// With so many threads on the near side.
    pub(crate) async fn start_with(udp: UdpMode, shards: usize) -> Self {
        Self { near: engine(udp, shards).await, far: engine(UdpMode::PerConnection, 1).await }
    }

    pub(crate) async fn shutdown(self) {
        for engine in [self.near, self.far] {
            engine.shutdown(Duration::from_secs(5)).await.unwrap();
        }
    }
}

async fn engine(udp: UdpMode, shards: usize) -> RtcEngine {
    let mut config = RtcEngineConfig::default();
    config.shards.count = shards;
    config.shards.pin = false;
    config.udp = udp;
    let mut network = NetworkConfig::default();
    network.include_loopback = true;
    config.network = network;
    RtcEngine::start(config).await.unwrap()
}

/// A connected pair: `sender` sends a video track, `packets` is what `receiver` gets.
pub(crate) struct Call {
    pub(crate) sender: RtcPeerConnection,
    pub(crate) receiver: RtcPeerConnection,
    pub(crate) sender_events: RtcEvents,
    pub(crate) receiver_events: RtcEvents,
    pub(crate) transceiver: RtcRtpTransceiver,
    pub(crate) packets: TrackPackets,
}

impl Call {
    pub(crate) async fn start(engines: &Engines, track: &MediaStreamTrack) -> Self {
        Self::start_on(engines, 0, track).await
    }

    /// With the sender on this thread of the near side.
    pub(crate) async fn start_on(engines: &Engines, shard: usize, track: &MediaStreamTrack) -> Self {
        let sender = RtcPeerConnection::on(&engines.near, RtcConfiguration::on_shard(shard)).await.unwrap();
        let receiver = RtcPeerConnection::on(&engines.far, RtcConfiguration::on_shard(0)).await.unwrap();
        let init = RtcRtpTransceiverInit {
            direction: RtcRtpTransceiverDirection::Sendonly,
            streams: vec!["stream".to_owned()],
            ..RtcRtpTransceiverInit::default()
        };
        let transceiver = sender.add_transceiver(track, init).await.unwrap();
        let mut sender_events = sender.events().unwrap();
        let mut receiver_events = receiver.events().unwrap();
        negotiate(&sender, &receiver).await;
        let remote_track = loop {
            if let RtcPeerConnectionEvent::Track { track, streams, .. } =
                receiver_events.next().await.unwrap()
            {
                assert_eq!(streams.iter().map(MediaStream::id).collect::<Vec<_>>(), ["stream"]);
                break track;
            }
        };
        let packets = remote_track.packets();
        assert!(sender_events.until(RtcPeerConnectionState::Connected).await);
        assert!(receiver_events.until(RtcPeerConnectionState::Connected).await);
        Self { sender, receiver, sender_events, receiver_events, transceiver, packets }
    }

    /// The next packet that the receiver's application gets.
    pub(crate) async fn next_packets(&mut self, count: usize) -> Vec<RtpPacket> {
        let mut taken = Vec::new();
        while taken.len() < count {
            taken.extend(self.packets.next().await.expect("the track has ended").packets.iter().cloned());
        }
        taken
    }
}

/// One offer and its answer, candidates included.
pub(crate) async fn negotiate(offerer: &RtcPeerConnection, answerer: &RtcPeerConnection) {
    offerer.set_local_description(None).await.unwrap();
    offerer.gathering_complete().await.unwrap();
    answerer.set_remote_description(offerer.local_description().unwrap()).await.unwrap();
    answerer.set_local_description(None).await.unwrap();
    answerer.gathering_complete().await.unwrap();
    offerer.set_remote_description(answerer.local_description().unwrap()).await.unwrap();
}

/// A camera: a task that writes a small VP8 frame every 5 ms, each with its number inside and with
/// `mark` to tell cameras apart.
pub(crate) struct Camera {
    pub(crate) track: MediaStreamTrack,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Camera {
    pub(crate) async fn start(engines: &Engines, mark: u8) -> Self {
        Self::start_on(engines, 0, mark).await
    }

    /// On this thread of the near side.
    pub(crate) async fn start_on(engines: &Engines, shard: usize, mark: u8) -> Self {
        let (track, writer) =
            local_track(&engines.near, shard, format!("camera-{mark}"), MediaKind::Video).await.unwrap();
        Self { track, task: tokio::spawn(film(writer, mark)) }
    }
}

async fn film(writer: LocalTrackWriter, mark: u8) {
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    let mut key_frame = true;
    let mut number = 0;
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                writer.write(frame(number, mark, std::mem::take(&mut key_frame)));
                number += 1;
            }
            () = writer.key_frame_wanted() => key_frame = true,
        }
    }
}

/// One small VP8 frame, with its number inside.
pub(crate) fn frame(number: u64, mark: u8, key_frame: bool) -> RtpPacket {
    let vp8 = CodecParameters {
        payload_type: 96,
        name: "VP8".to_owned(),
        clock_rate: 90_000,
        channels: None,
        parameters: Vec::new(),
        feedback: Vec::new(),
    };
    let mut payload = vec![0x10, u8::from(!key_frame), 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xf0, 0x00, mark];
    payload.extend_from_slice(&number.to_be_bytes());
    RtpPacket {
        arrival: Instant::now(),
        ssrc: 1,
        rid: None,
        codec: CodecKey::of(&vp8),
        payload_type: 96,
        marker: true,
        sequence_number: number,
        timestamp: u32::try_from(number * 450).unwrap(),
        clock: None,
        extensions: Extensions::default(),
        payload: payload.into(),
        key_frame,
    }
}

/// Which camera filmed a received packet.
pub(crate) fn mark_of(packet: &RtpPacket) -> u8 {
    packet.payload[11]
}

/// Reads a track all the time, as an application does: packets that nobody reads for 100 ms are dropped.
pub(crate) struct Viewer {
    seen: watch::Receiver<Seen>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    packets: u64,
    missing: u64,
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Viewer {
    pub(crate) fn start(mut packets: TrackPackets) -> Self {
        let (tell, seen) = watch::channel(Seen::default());
        let task = tokio::spawn(async move {
            let mut last = None;
            while let Some(lot) = packets.next().await {
                tell.send_modify(|seen| {
                    for packet in &lot.packets {
                        let expected = last.map_or(packet.sequence_number, |last: u64| last + 1);
                        seen.missing += packet.sequence_number.abs_diff(expected);
                        seen.packets += 1;
                        last = Some(packet.sequence_number);
                    }
                });
            }
        });
        Self { seen, task }
    }

    /// Waits for `count` more packets, and asserts that none was ever missing.
    pub(crate) async fn sees(&mut self, count: u64) {
        let seen = self.wait(count).await;
        assert_eq!(seen.missing, 0, "media never stops: {seen:?}");
    }

    /// Waits for `count` more packets, and tells how many were missing so far.
    #[allow(dead_code, reason = "for tests/ice_servers")]
    pub(crate) async fn missing_after(&mut self, count: u64) -> u64 {
        self.wait(count).await.missing
    }

    async fn wait(&mut self, count: u64) -> Seen {
        let enough = self.seen.borrow().packets + count;
        *self.seen.wait_for(|seen| seen.packets >= enough).await.expect("the track has ended")
    }
}
