//! Two connections on one host, and what is exchanged between them.

use std::{net::IpAddr, time::Duration};

use actix_rtc::{
    NetworkConfig, RtcEngine, RtcEngineConfig,
    ice::{IceConnection, IceConnectionConfig, IceRole, IceTimings},
};

/// One thread, loopback only.
pub(crate) async fn engine() -> RtcEngine {
    let mut config = RtcEngineConfig::default();
    config.shards.count = 1;
    config.shards.pin = false;
    config.network = network([127, 0, 0, 1]);
    RtcEngine::start(config).await.unwrap()
}

/// Only this address is offered.
pub(crate) fn network(ip: impl Into<IpAddr>) -> NetworkConfig {
    let mut network = NetworkConfig::default();
    network.include_loopback = true;
    network.advertise = vec![ip.into()];
    network.ipv4 = network.advertise[0].is_ipv4();
    network.ipv6 = !network.ipv4;
    network
}

pub(crate) fn controlling() -> IceConnectionConfig {
    IceConnectionConfig::new(IceRole::Controlling)
}

pub(crate) fn controlled() -> IceConnectionConfig {
    IceConnectionConfig::new(IceRole::Controlled)
}

/// How long agents with [`impatient`] timers wait, before what they do not hear has failed: longer than a machine that
/// other guests hold up stands still.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);

/// Timers so short that failing takes little patience.
pub(crate) fn impatient(mut config: IceConnectionConfig) -> IceConnectionConfig {
    config.timings = IceTimings {
        retransmission: Duration::from_millis(100),
        failure_patience: PATIENCE,
        consent_interval: Duration::from_millis(100),
        consent_response_wait: Duration::from_millis(50),
        consent_lifetime: PATIENCE,
        ..IceTimings::default()
    };
    config
}

/// A controlling and a controlled connection with these configurations.
pub(crate) async fn pair(
    engine: &RtcEngine,
    one: IceConnectionConfig,
    other: IceConnectionConfig,
) -> (IceConnection, IceConnection) {
    let one = IceConnection::new(engine, one).await.unwrap();
    (one, IceConnection::new(engine, other).await.unwrap())
}

/// Tells `to` what `from` has gathered, as text, and the end of it.
pub(crate) async fn signal(from: &IceConnection, to: &IceConnection) {
    to.set_remote_credentials(from.local_credentials()).await.unwrap();
    signal_candidates(from, to).await;
}

/// The same without credentials.
pub(crate) async fn signal_candidates(from: &IceConnection, to: &IceConnection) {
    for candidate in from.local_candidates() {
        let line = candidate.to_string();
        to.add_remote_candidate(Some(line.parse().unwrap())).await.unwrap();
    }
    to.add_remote_candidate(None).await.unwrap();
}

/// Both gather, and everything is exchanged.
pub(crate) async fn invite_accept(one: &IceConnection, other: &IceConnection) {
    one.gather().await.unwrap();
    signal(one, other).await;
    other.gather().await.unwrap();
    signal(other, one).await;
}

pub(crate) async fn connect(one: &IceConnection, other: &IceConnection) {
    invite_accept(one, other).await;
    tokio::try_join!(one.connect(), other.connect()).unwrap();
}

/// A datagram each way over a component.
pub(crate) async fn exchange(one: &IceConnection, other: &IceConnection, component: u8) {
    one.send_to("howdee", component).await.unwrap();
    assert_eq!(other.recv_from().await.unwrap(), ("howdee".into(), component));
    other.send_to("gotcha", component).await.unwrap();
    assert_eq!(one.recv_from().await.unwrap(), ("gotcha".into(), component));
}

pub(crate) async fn close(one: &IceConnection, other: &IceConnection) {
    tokio::join!(one.close(), other.close());
}
