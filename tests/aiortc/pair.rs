//! Two connections on loopback, and the microphones, cameras and candidates that go between them.

use std::time::{Duration, Instant};

use actix_rtc::{
    MediaKind, MediaStreamTrack, NetworkConfig, RtcConfiguration, RtcDataChannel, RtcEngine, RtcEngineConfig,
    RtcEvents, RtcIceCandidateInit, RtcPeerConnection, RtcPeerConnectionEvent, RtcPeerConnectionState,
    local_track,
    proto::rtp::{CodecKey, CodecParameters, Extensions, RtpPacket},
};
use futures_util::StreamExt;

/// A test on a plain runtime, as an application would run it, with a limit that only a bug reaches.
pub(crate) fn run<F: Future<Output = ()>>(test: F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(60), test).await.expect("the test hangs");
    });
}

/// A connection with its events and what it has heard so far.
pub(crate) struct Peer {
    pub(crate) connection: RtcPeerConnection,
    events: RtcEvents,
    /// Connection states in the order of their events.
    pub(crate) states: Vec<RtcPeerConnectionState>,
    pub(crate) tracks: Vec<MediaStreamTrack>,
    channels: Vec<RtcDataChannel>,
    candidates: Vec<RtcIceCandidateInit>,
}

impl Peer {
    pub(crate) async fn new(engine: &RtcEngine, configuration: RtcConfiguration) -> Self {
        let connection = RtcPeerConnection::on(engine, configuration).await.unwrap();
        let events = connection.events().unwrap();
        let states = vec![connection.connection_state()];
        Self { connection, events, states, tracks: Vec::new(), channels: Vec::new(), candidates: Vec::new() }
    }

    async fn hear(&mut self) {
        match self.events.next().await.expect("the connection has ended") {
            RtcPeerConnectionEvent::ConnectionStateChange(state) => self.states.push(state),
            RtcPeerConnectionEvent::Track { track, .. } => self.tracks.push(track),
            RtcPeerConnectionEvent::DataChannel(channel) => self.channels.push(channel),
            RtcPeerConnectionEvent::IceCandidate(Some(candidate)) => self.candidates.push(candidate),
            _ => {}
        }
    }

    pub(crate) async fn until(&mut self, state: RtcPeerConnectionState) {
        while !self.states.contains(&state) {
            self.hear().await;
        }
    }

    /// The nth track of the peer; waits for it.
    pub(crate) async fn track(&mut self, index: usize) -> MediaStreamTrack {
        while self.tracks.len() <= index {
            self.hear().await;
        }
        self.tracks[index].clone()
    }

    /// The next channel that the peer opens.
    pub(crate) async fn channel(&mut self) -> RtcDataChannel {
        while self.channels.is_empty() {
            self.hear().await;
        }
        self.channels.remove(0)
    }

    /// All candidates; an application signals each as it comes.
    pub(crate) async fn candidates(&mut self) -> Vec<RtcIceCandidateInit> {
        while self.candidates.iter().all(|candidate| candidate.candidate.is_empty()) {
            self.hear().await;
        }
        std::mem::take(&mut self.candidates)
    }
}

pub(crate) struct Pair {
    pub(crate) engine: RtcEngine,
    pub(crate) one: Peer,
    pub(crate) two: Peer,
}

impl Pair {
    pub(crate) async fn new() -> Self {
        Self::with(RtcConfiguration::default()).await
    }

    /// Both sides with this configuration.
    pub(crate) async fn with(configuration: RtcConfiguration) -> Self {
        let mut config = RtcEngineConfig::default();
        config.shards.count = 1;
        config.shards.pin = false;
        // Two sockets of one engine would see each other under one address; see tests/calls.
        config.udp = actix_rtc::UdpMode::PerConnection;
        let mut network = NetworkConfig::default();
        network.include_loopback = true;
        config.network = network;
        let engine = RtcEngine::start(config).await.unwrap();
        let one = Peer::new(&engine, configuration.clone()).await;
        let two = Peer::new(&engine, configuration).await;
        Self { engine, one, two }
    }

    /// One exchange with all candidates inside; `one` offers.
    pub(crate) async fn negotiate(&self) {
        negotiate(&self.one.connection, &self.two.connection).await;
    }

    /// Both connected, and both went there by the states of W3C and no others.
    pub(crate) async fn connected(&mut self) {
        use RtcPeerConnectionState::{Connected, Connecting, New};
        for peer in [&mut self.one, &mut self.two] {
            peer.until(Connected).await;
            assert_eq!(peer.states, [New, Connecting, Connected]);
        }
    }

    /// Both closed, and nothing left.
    pub(crate) async fn end(self) {
        for peer in [self.one, self.two] {
            peer.connection.close().await;
            assert_eq!(peer.connection.connection_state(), RtcPeerConnectionState::Closed);
        }
        self.engine.shutdown(Duration::from_secs(5)).await.unwrap();
    }
}

pub(crate) async fn negotiate(offerer: &RtcPeerConnection, answerer: &RtcPeerConnection) {
    offerer.set_local_description(None).await.unwrap();
    offerer.gathering_complete().await.unwrap();
    answerer.set_remote_description(offerer.local_description().unwrap()).await.unwrap();
    answerer.set_local_description(None).await.unwrap();
    answerer.gathering_complete().await.unwrap();
    offerer.set_remote_description(answerer.local_description().unwrap()).await.unwrap();
}

/// Something that sends a packet every 10 ms for as long as it is held.
pub(crate) struct Source {
    pub(crate) track: MediaStreamTrack,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Source {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Source {
    pub(crate) async fn new(engine: &RtcEngine, kind: MediaKind, codec: &str) -> Self {
        use std::sync::atomic::{AtomicU64, Ordering};
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let id = format!("source-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let (track, writer) = local_track(engine, 0, id, kind).await.unwrap();
        let codec = codec_named(codec);
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(10));
            for number in 0_u64.. {
                ticks.tick().await;
                writer.write(packet(number, &codec));
            }
        });
        Self { track, task }
    }

    pub(crate) async fn microphone(engine: &RtcEngine) -> Self {
        Self::new(engine, MediaKind::Audio, "opus").await
    }

    pub(crate) async fn camera(engine: &RtcEngine) -> Self {
        Self::new(engine, MediaKind::Video, "VP8").await
    }
}

fn codec_named(name: &str) -> CodecParameters {
    let (clock_rate, channels, parameters) = match name {
        "opus" => (48_000, Some(2), vec![]),
        "H264" => {
            let list = [("packetization-mode", "1"), ("profile-level-id", "42e01f")];
            (90_000, None, list.map(|(key, value)| (key.to_owned(), Some(value.to_owned()))).to_vec())
        }
        _ => (90_000, None, vec![]),
    };
    CodecParameters {
        payload_type: 96,
        name: name.to_owned(),
        clock_rate,
        channels,
        parameters,
        feedback: Vec::new(),
    }
}

fn packet(number: u64, codec: &CodecParameters) -> RtpPacket {
    let payload: Vec<u8> = match codec.name.as_str() {
        "VP8" => vec![0x10, 0, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xf0, 0x00, 1],
        // A sequence parameter set, which makes the frame one to begin with.
        "H264" => vec![0x67, 0x42, 0xe0, 0x1f, 0x8d, 0x68],
        _ => vec![0xfc, 1, 2, 3],
    };
    RtpPacket {
        arrival: Instant::now(),
        ssrc: 1,
        rid: None,
        codec: CodecKey::of(codec),
        payload_type: 96,
        marker: codec.clock_rate == 90_000,
        sequence_number: number,
        timestamp: u32::try_from(number * u64::from(codec.clock_rate) / 100).unwrap(),
        clock: None,
        extensions: Extensions::default(),
        payload: payload.into(),
        key_frame: true,
    }
}

/// Packets of the track arrive.
pub(crate) async fn flows(track: &MediaStreamTrack) {
    let mut packets = track.packets();
    let lot = packets.next().await.expect("the track has ended");
    assert!(!lot.packets.is_empty());
}
