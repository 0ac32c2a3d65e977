//! A peer of the server, made of this project's library: what a browser would be.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use actix_rtc::{
    LocalTrackWriter, MediaKind, MediaStreamTrack, NetworkConfig, RtcConfiguration, RtcEngine,
    RtcEngineConfig, RtcEvents, RtcPeerConnection, RtcPeerConnectionEvent, RtcPeerConnectionState,
    RtcRtpTransceiverDirection as Direction, RtcRtpTransceiverInit, RtcSessionDescription, TrackOrKind,
    local_track,
    proto::rtp::{CodecKey, CodecParameters, Extensions, RtpPacket},
};
use futures_util::StreamExt;
use serde_json::{Value, json};

use crate::{
    socket::Socket,
    web::{self, Response},
};

/// Runs a test's asynchronous part, with a limit that only a bug reaches.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(60), test).await.expect("the test hangs")
    })
}

/// Own sockets for every connection, as browsers have.
pub(crate) async fn engine() -> RtcEngine {
    let mut config = RtcEngineConfig::default();
    config.shards.count = 1;
    config.shards.pin = false;
    let mut network = NetworkConfig::default();
    network.include_loopback = true;
    config.network = network;
    RtcEngine::start(config).await.unwrap()
}

pub(crate) struct Peer {
    pub(crate) connection: RtcPeerConnection,
    events: RtcEvents,
}

impl Peer {
    pub(crate) async fn new(engine: &RtcEngine) -> Self {
        let connection = RtcPeerConnection::on(engine, RtcConfiguration::on_shard(0)).await.unwrap();
        let events = connection.events().unwrap();
        Self { connection, events }
    }

    /// One more section; returns nothing because its mid is known only after the next offer.
    pub(crate) async fn add(&self, kind: MediaKind, track: Option<&MediaStreamTrack>) {
        let direction = if track.is_some() { Direction::Sendonly } else { Direction::Recvonly };
        let init = RtcRtpTransceiverInit { direction, ..RtcRtpTransceiverInit::default() };
        let track_or_kind = track.map_or(TrackOrKind::Kind(kind), TrackOrKind::from);
        self.connection.add_transceiver(track_or_kind, init).await.unwrap();
    }

    /// An offer with all candidates.
    pub(crate) async fn offer(&self) -> String {
        self.connection.set_local_description(None).await.unwrap();
        self.connection.gathering_complete().await.unwrap();
        self.connection.local_description().unwrap().sdp
    }

    pub(crate) async fn accept(&self, answer: &str) {
        self.connection.set_remote_description(RtcSessionDescription::answer(answer)).await.unwrap();
    }

    pub(crate) async fn connected(&mut self) {
        if self.connection.connection_state() != RtcPeerConnectionState::Connected {
            assert!(self.events.until(RtcPeerConnectionState::Connected).await, "the connection comes about");
        }
    }

    pub(crate) async fn closed(&mut self) {
        while self.connection.connection_state() != RtcPeerConnectionState::Closed {
            if self.events.next().await.is_none() {
                return;
            }
        }
    }

    /// The next track that the server announces.
    pub(crate) async fn track(&mut self) -> (MediaStreamTrack, Vec<String>) {
        loop {
            if let RtcPeerConnectionEvent::Track { track, streams, .. } = self.events.next().await.unwrap() {
                return (track, streams.iter().map(|stream| stream.id().to_owned()).collect());
            }
        }
    }

    /// WHIP or WHEP; answers the response too.
    pub(crate) async fn call(&self, server: SocketAddr, path: &str) -> Response {
        let response = web::post_sdp(server, path, &self.offer().await);
        if response.status == 201 {
            self.accept(&response.body).await;
        }
        response
    }

    /// Offers over a WebSocket, with all candidates in the offer.
    pub(crate) async fn negotiate(&self, socket: &mut Socket, id: u64, subscriptions: Value) -> String {
        let sdp = self.offer().await;
        socket.send(&json!({"type": "offer", "id": id, "sdp": sdp, "subscriptions": subscriptions}));
        let answer = socket.expect_where("answer", |answer| answer["id"] == id);
        let sdp = answer["sdp"].as_str().unwrap().to_owned();
        self.accept(&sdp).await;
        // The server trickles its own.
        loop {
            let candidate = socket.expect("candidate");
            let Some(line) = candidate["candidate"].as_str() else { break };
            let init = actix_rtc::RtcIceCandidateInit {
                candidate: line.to_owned(),
                sdp_mid: candidate["sdpMid"].as_str().map(str::to_owned),
                sdp_m_line_index: candidate["sdpMLineIndex"].as_u64().map(|index| index as u16),
                username_fragment: None,
            };
            self.connection.add_ice_candidate(Some(init)).await.unwrap();
        }
        sdp
    }
}

/// What the server received last of a track: the mark of the camera in each packet.
pub(crate) async fn marks(track: &MediaStreamTrack, count: usize) -> Vec<u8> {
    let mut packets = track.packets();
    let mut marks = Vec::new();
    while marks.len() < count {
        let lot = packets.next().await.expect("the track goes on");
        marks.extend(lot.packets.iter().map(|packet| packet.payload.last().copied().unwrap_or_default()));
    }
    marks
}

/// A thread that writes a packet every 5 ms, each with the source's mark as its last byte.
pub(crate) struct Source {
    pub(crate) track: MediaStreamTrack,
    over: Arc<AtomicBool>,
}

impl Drop for Source {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

impl Source {
    pub(crate) async fn start(engine: &RtcEngine, kind: MediaKind, mark: u8) -> Self {
        let (track, writer) = local_track(engine, 0, format!("source-{mark}"), kind).await.unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&over);
        std::thread::spawn(move || produce(&writer, kind, mark, &ended));
        Self { track, over }
    }
}

fn produce(writer: &LocalTrackWriter, kind: MediaKind, mark: u8, over: &AtomicBool) {
    for number in 0.. {
        if over.load(Ordering::Relaxed) {
            return;
        }
        writer.write(packet(kind, mark, number));
        // The pace of the media, not a wait for something to happen.
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn packet(kind: MediaKind, mark: u8, number: u64) -> RtpPacket {
    let is_video = kind == MediaKind::Video;
    // Every tenth is a key frame, so that nobody waits for one.
    let key_frame = is_video && number.is_multiple_of(10);
    let (name, clock_rate, channels) =
        if is_video { ("VP8", 90_000, None) } else { ("opus", 48_000, Some(2)) };
    let codec = CodecParameters {
        payload_type: 96,
        name: name.to_owned(),
        clock_rate,
        channels,
        parameters: Vec::new(),
        feedback: Vec::new(),
    };
    let mut payload = vec![0x10, u8::from(!key_frame), 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xf0, 0x00];
    payload.push(mark);
    RtpPacket {
        arrival: Instant::now(),
        ssrc: 1,
        rid: None,
        codec: CodecKey::of(&codec),
        payload_type: 96,
        marker: true,
        sequence_number: number,
        timestamp: u32::try_from(number).unwrap().wrapping_mul(clock_rate / 200),
        clock: None,
        extensions: Extensions::default(),
        payload: payload.into(),
        key_frame,
    }
}
