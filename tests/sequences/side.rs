//! One end of a pair: its connection, what it has to send, and what it has signalled.

use std::sync::{Arc, Mutex};

use actix_rtc::{
    LocalTrackWriter, MediaKind, MediaStreamTrack, NetworkConfig, RtcConfiguration, RtcDataChannel,
    RtcEngine, RtcEngineConfig, RtcEvents, RtcIceCandidateInit, RtcPeerConnection, RtcPeerConnectionEvent,
    RtcSessionDescription, UdpMode, local_track,
};
use futures_util::StreamExt;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

/// An engine with tracks to send. All seeds share two of them.
pub(crate) struct Host {
    pub(crate) engine: RtcEngine,
    /// Audio and video in turn.
    pub(crate) tracks: Vec<MediaStreamTrack>,
    /// A track ends with its writer.
    _writers: Vec<LocalTrackWriter>,
}

/// Tracks of each host.
pub(crate) const TRACKS: usize = 6;

impl Host {
    pub(crate) async fn start(udp: UdpMode) -> Self {
        let mut config = RtcEngineConfig::default();
        config.shards.count = 1;
        config.shards.pin = false;
        config.udp = udp;
        let mut network = NetworkConfig::default();
        network.include_loopback = true;
        config.network = network;
        let engine = RtcEngine::start(config).await.expect("an engine");
        let (mut tracks, mut writers) = (Vec::new(), Vec::new());
        for number in 0..TRACKS {
            let kind = if number % 2 == 0 { MediaKind::Audio } else { MediaKind::Video };
            let (track, writer) =
                local_track(&engine, 0, format!("track{number}"), kind).await.expect("a track");
            tracks.push(track);
            writers.push(writer);
        }
        Self { engine, tracks, _writers: writers }
    }
}

/// What goes to the other side.
#[derive(Default)]
pub(crate) struct Signalled {
    pub(crate) descriptions: Vec<RtcSessionDescription>,
    pub(crate) candidates: Vec<RtcIceCandidateInit>,
    /// What it says of its own failures, for people.
    pub(crate) failures: Vec<String>,
}

pub(crate) struct Side {
    pub(crate) name: &'static str,
    pub(crate) connection: RtcPeerConnection,
    pub(crate) tracks: Vec<MediaStreamTrack>,
    /// What `create_offer` or `create_answer` made last.
    pub(crate) created: Mutex<Option<RtcSessionDescription>>,
    pub(crate) signalled: Arc<Mutex<Signalled>>,
    /// Ticks with every event.
    pub(crate) news: watch::Receiver<()>,
    /// Channels that the peer has opened.
    pub(crate) channels: tokio::sync::Mutex<mpsc::UnboundedReceiver<RtcDataChannel>>,
    events: JoinHandle<()>,
}

impl Drop for Side {
    fn drop(&mut self) {
        self.events.abort();
    }
}

impl Side {
    pub(crate) async fn start(name: &'static str, host: &Host) -> Self {
        let connection =
            RtcPeerConnection::on(&host.engine, RtcConfiguration::on_shard(0)).await.expect("a connection");
        let signalled = Arc::<Mutex<Signalled>>::default();
        let (tell_channel, channels) = mpsc::unbounded_channel();
        let (tell, news) = watch::channel(());
        let events = connection.events().expect("events, once");
        let events = tokio::spawn(listen(events, Arc::clone(&signalled), tell_channel, tell));
        Self {
            name,
            connection,
            tracks: host.tracks.clone(),
            created: Mutex::default(),
            signalled,
            news,
            channels: tokio::sync::Mutex::new(channels),
            events,
        }
    }

    /// What `setLocalDescription` has just applied goes to the peer.
    pub(crate) fn signal(&self) {
        if let Some(description) = self.connection.local_description() {
            self.signalled.lock().expect("no panic").descriptions.push(description);
        }
    }
}

async fn listen(
    mut events: RtcEvents,
    signalled: Arc<Mutex<Signalled>>,
    channels: mpsc::UnboundedSender<RtcDataChannel>,
    news: watch::Sender<()>,
) {
    while let Some(event) = events.next().await {
        match event {
            RtcPeerConnectionEvent::IceCandidate(Some(candidate)) => {
                signalled.lock().expect("no panic").candidates.push(candidate);
            }
            RtcPeerConnectionEvent::DataChannel(channel) => drop(channels.send(channel)),
            RtcPeerConnectionEvent::Failure(reason) => {
                signalled.lock().expect("no panic").failures.push(reason)
            }
            _ => {}
        }
        news.send_replace(());
    }
}
