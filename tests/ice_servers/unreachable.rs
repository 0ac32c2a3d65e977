//! Servers that are not there never delay anything.

use std::{
    net::{TcpListener, UdpSocket},
    time::Instant,
};

use actix_rtc::{
    MediaKind, RtcConfiguration, RtcIceServer, RtcPeerConnection, RtcPeerConnectionEvent,
    RtcRtpTransceiverInit, UdpMode,
};
use futures_util::StreamExt;

use crate::{call::Engines, runner::run};

#[test]
fn silent_servers_delay_neither_descriptions_nor_candidates() {
    run(async {
        // Both take what comes and never answer.
        let (udp, tcp) = (UdpSocket::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
        let (udp, tcp) =
            (udp.local_addr().map(|a| (udp, a)).unwrap(), tcp.local_addr().map(|a| (tcp, a)).unwrap());
        let urls = [
            format!("stun:{}", udp.1),
            format!("turn:{}", udp.1),
            format!("turn:{}?transport=tcp", tcp.1),
            format!("turns:{}", tcp.1),
        ];
        let engines = Engines::start(UdpMode::Shared { port: 0 }).await;
        let mut configuration = RtcConfiguration::on_shard(0);
        for url in &urls {
            let mut server = RtcIceServer::new(url.as_str());
            (server.username, server.credential) = (Some("user".into()), Some("secret".into()));
            configuration.ice_servers.push(server);
        }
        let peer = RtcPeerConnection::on(&engines.near, configuration).await.unwrap();
        let mut events = peer.events().unwrap();
        peer.add_transceiver(MediaKind::Audio, RtcRtpTransceiverInit::default()).await.unwrap();
        let start = Instant::now();
        peer.set_local_description(None).await.unwrap();
        let described = start.elapsed();
        let (mut errors, mut candidates) = (Vec::new(), 0);
        loop {
            match events.next().await.unwrap() {
                RtcPeerConnectionEvent::IceCandidateError { url, error_code, .. } => {
                    errors.push((url, error_code))
                }
                RtcPeerConnectionEvent::IceCandidate(Some(init)) if !init.candidate.is_empty() => {
                    assert!(errors.is_empty(), "host candidates come first: {errors:?}");
                    candidates += 1;
                }
                RtcPeerConnectionEvent::IceCandidate(None) => break,
                _ => {}
            }
        }
        // Not a measurement: a description that waited for the servers would take as long as they do.
        assert!(described < start.elapsed() / 2, "{described:?}");
        assert!(candidates > 0);
        for url in &urls {
            assert!(errors.contains(&(url.clone(), 701)), "{url}: {errors:?}");
        }
        peer.close().await;
        engines.shutdown().await;
    });
}
