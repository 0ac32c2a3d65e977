//! Two connections with a data channel, whose descriptions can be changed on their way.

use std::time::Duration;

use actix_rtc::{
    NetworkConfig, RtcConfiguration, RtcDataChannel, RtcDataChannelInit, RtcDataChannelState, RtcEngine,
    RtcEngineConfig, RtcEvents, RtcPeerConnection, RtcPeerConnectionEvent, RtcSessionDescription, UdpMode,
    stats::RtcStats,
};
use futures_util::StreamExt;

/// A test on a plain runtime, as an application would run it, with a limit that only a bug reaches.
pub(crate) fn run<F: Future<Output = ()>>(test: F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(60), test).await.expect("the test hangs");
    });
}

/// Loopback, and nothing else unless the test says so.
pub(crate) fn loopback() -> NetworkConfig {
    let mut network = NetworkConfig::default();
    network.include_loopback = true;
    network.interfaces.names = vec!["lo".to_owned()];
    network
}

/// An engine of one shard.
pub(crate) async fn engine(udp: UdpMode, network: NetworkConfig) -> RtcEngine {
    let mut config = RtcEngineConfig::default();
    config.shards.count = 1;
    config.shards.pin = false;
    config.udp = udp;
    config.network = network;
    RtcEngine::start(config).await.unwrap()
}

/// What may pass of a candidate line.
pub(crate) type Filter = fn(&str) -> bool;

pub(crate) fn over_tcp(line: &str) -> bool {
    line.to_ascii_lowercase().contains(" tcp ")
}

/// A description without the candidates that may not pass.
pub(crate) fn filtered(description: &RtcSessionDescription, passes: Filter) -> RtcSessionDescription {
    let lines = description.sdp.lines().filter(|line| !line.starts_with("a=candidate:") || passes(line));
    let sdp = lines.map(|line| format!("{line}\r\n")).collect();
    RtcSessionDescription { sdp, ..description.clone() }
}

/// Connected by a data channel.
pub(crate) struct Pair {
    pub(crate) offerer: RtcPeerConnection,
    pub(crate) answerer: RtcPeerConnection,
    pub(crate) ours: RtcDataChannel,
    pub(crate) theirs: RtcDataChannel,
    pub(crate) offerer_events: RtcEvents,
    pub(crate) answerer_events: RtcEvents,
}

impl Pair {
    /// Connects a connection of one engine with one of another.
    pub(crate) async fn connect(near: &RtcEngine, far: &RtcEngine, passes: Filter) -> Self {
        let offerer = RtcPeerConnection::on(near, RtcConfiguration::default()).await.unwrap();
        let answerer = RtcPeerConnection::on(far, RtcConfiguration::default()).await.unwrap();
        let offerer_events = offerer.events().unwrap();
        let mut answerer_events = answerer.events().unwrap();
        let ours = offerer.create_data_channel("data", RtcDataChannelInit::default()).await.unwrap();
        negotiate(&offerer, &answerer, passes).await;
        let theirs = loop {
            if let RtcPeerConnectionEvent::DataChannel(channel) = answerer_events.next().await.unwrap() {
                break channel;
            }
        };
        let mut events = ours.events();
        while ours.ready_state() == RtcDataChannelState::Connecting {
            events.next().await.unwrap();
        }
        Self { offerer, answerer, ours, theirs, offerer_events, answerer_events }
    }

    /// Messages of every size, there and back.
    pub(crate) async fn exchange(&self) {
        let (mut near, mut far) = (self.ours.events(), self.theirs.events());
        for size in [1, 1_200, 65_536, 200_000] {
            let message = vec![size as u8; size];
            self.ours.send(message.clone()).await.unwrap();
            assert_eq!(far.message().await, Some(message.clone().into()));
            self.theirs.send(message.clone()).await.unwrap();
            assert_eq!(near.message().await, Some(message.into()));
        }
    }

    /// Protocols of both ends' selected pair, as statistics name them.
    pub(crate) async fn protocols(connection: &RtcPeerConnection) -> [String; 2] {
        let report = connection.get_stats(None).await.unwrap();
        let selected = report
            .iter()
            .find_map(|stats| match stats {
                RtcStats::Transport(transport) => transport.selected_candidate_pair_id.clone(),
                _ => None,
            })
            .expect("a pair is selected");
        let Some(RtcStats::CandidatePair(pair)) = report.get(&selected) else { panic!("{report:?}") };
        assert!(pair.bytes_sent > Some(0) && pair.bytes_received > Some(0), "{pair:?}");
        [&pair.local_candidate_id, &pair.remote_candidate_id].map(|id| match report.get(id) {
            Some(RtcStats::LocalCandidate(candidate) | RtcStats::RemoteCandidate(candidate)) => {
                format!("{:?}", candidate.protocol.unwrap()).to_ascii_lowercase()
            }
            other => panic!("{other:?}"),
        })
    }

    pub(crate) async fn close(self) {
        self.offerer.close().await;
        self.answerer.close().await;
    }
}

/// One offer and its answer, with the candidates that may pass.
pub(crate) async fn negotiate(offerer: &RtcPeerConnection, answerer: &RtcPeerConnection, passes: Filter) {
    offerer.set_local_description(None).await.unwrap();
    offerer.gathering_complete().await.unwrap();
    let offer = filtered(&offerer.local_description().unwrap(), passes);
    answerer.set_remote_description(offer).await.unwrap();
    answerer.set_local_description(None).await.unwrap();
    answerer.gathering_complete().await.unwrap();
    let answer = filtered(&answerer.local_description().unwrap(), passes);
    offerer.set_remote_description(answer).await.unwrap();
}

/// The candidate lines of a connection that offers a data channel.
pub(crate) async fn candidates(engine: &RtcEngine) -> Vec<String> {
    let connection = RtcPeerConnection::on(engine, RtcConfiguration::default()).await.unwrap();
    connection.create_data_channel("data", RtcDataChannelInit::default()).await.unwrap();
    connection.set_local_description(None).await.unwrap();
    connection.gathering_complete().await.unwrap();
    let sdp = connection.local_description().unwrap().sdp;
    connection.close().await;
    sdp.lines().filter(|line| line.starts_with("a=candidate:")).map(str::to_owned).collect()
}
