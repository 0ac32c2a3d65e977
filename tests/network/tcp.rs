//! Connections over TCP only (RFC 6544): data, statistics, restart, many on one port, lost connections.

use std::time::Duration;

use actix_rtc::{RtcPeerConnectionEvent, RtcPeerConnectionState, TcpMode, UdpMode};
use futures_util::StreamExt;

use crate::pair::{Pair, candidates, engine, loopback, negotiate, over_tcp, run};

const END: Duration = Duration::from_secs(5);

#[test]
fn item_37_data_flows_over_tcp_whoever_offers() {
    run(async {
        let (mut active, mut passive) = (loopback(), loopback());
        active.tcp = TcpMode::Active;
        passive.tcp = TcpMode::Passive { port: 0 };
        let client = engine(UdpMode::PerConnection, active).await;
        let server = engine(UdpMode::Shared { port: 0 }, passive).await;
        for (near, far) in [(&client, &server), (&server, &client)] {
            let pair = Pair::connect(near, far, over_tcp).await;
            pair.exchange().await;
            assert_eq!(Pair::protocols(&pair.offerer).await, ["tcp", "tcp"]);
            assert_eq!(Pair::protocols(&pair.answerer).await, ["tcp", "tcp"]);
            pair.close().await;
        }
        client.shutdown(END).await.unwrap();
        server.shutdown(END).await.unwrap();
    });
}

#[test]
fn candidates_over_tcp_are_as_rfc_6544_wants_them() {
    run(async {
        let mut network = loopback();
        network.ipv6 = false;
        network.tcp = TcpMode::ActiveAndPassive { port: 0 };
        let server = engine(UdpMode::Shared { port: 0 }, network).await;
        let port = server.local_tcp_ports().await.unwrap()[0];
        let mut lines = candidates(&server).await;
        lines.retain(|line| over_tcp(line));
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].contains("127.0.0.1 9 typ host tcptype active"), "item 38: {}", lines[0]);
        assert!(lines[1].contains(&format!("127.0.0.1 {port} typ host tcptype passive")), "{}", lines[1]);
        server.shutdown(END).await.unwrap();
    });
}

#[test]
fn many_peers_share_one_tcp_port() {
    run(async {
        let (mut active, mut passive) = (loopback(), loopback());
        active.tcp = TcpMode::Active;
        passive.tcp = TcpMode::Passive { port: 0 };
        let client = engine(UdpMode::PerConnection, active).await;
        let server = engine(UdpMode::Shared { port: 0 }, passive).await;
        let mut pairs = Vec::new();
        for _ in 0..20 {
            pairs.push(Pair::connect(&client, &server, over_tcp).await);
        }
        for pair in &pairs {
            pair.exchange().await;
        }
        for pair in pairs {
            pair.close().await;
        }
        client.shutdown(END).await.unwrap();
        server.shutdown(END).await.unwrap();
    });
}

#[test]
fn an_ice_restart_goes_on_over_tcp() {
    run(async {
        let (mut active, mut passive) = (loopback(), loopback());
        active.tcp = TcpMode::Active;
        passive.tcp = TcpMode::Passive { port: 0 };
        let client = engine(UdpMode::PerConnection, active).await;
        let server = engine(UdpMode::PerConnection, passive).await;
        let mut pair = Pair::connect(&client, &server, over_tcp).await;
        pair.exchange().await;
        pair.offerer.restart_ice().await.unwrap();
        negotiate(&pair.offerer, &pair.answerer, over_tcp).await;
        pair.exchange().await;
        assert_eq!(Pair::protocols(&pair.offerer).await, ["tcp", "tcp"]);
        // The connection of a peer that is gone is noticed without waiting for consent.
        pair.offerer.close().await;
        drop(pair.offerer_events);
        while let Some(event) = pair.answerer_events.next().await {
            if let RtcPeerConnectionEvent::ConnectionStateChange(state) = event
                && state != RtcPeerConnectionState::Connected
            {
                break;
            }
        }
        pair.answerer.close().await;
        client.shutdown(END).await.unwrap();
        server.shutdown(END).await.unwrap();
    });
}

#[test]
fn udp_is_used_where_it_works() {
    run(async {
        let mut network = loopback();
        network.tcp = TcpMode::ActiveAndPassive { port: 0 };
        let one = engine(UdpMode::PerConnection, network.clone()).await;
        let pair = Pair::connect(&one, &one, |_| true).await;
        pair.exchange().await;
        assert_eq!(Pair::protocols(&pair.offerer).await, ["udp", "udp"]);
        pair.close().await;
        one.shutdown(END).await.unwrap();
    });
}
