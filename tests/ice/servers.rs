//! STUN and TURN servers. The TURN server is coturn: where no `turnserver` is installed, its tests say so and
//! pass.

use std::net::{SocketAddr, UdpSocket};

use actix_rtc::{
    RtcIceServer, RtcIceTransportPolicy,
    ice::{CandidateKind, IceConnection, IceConnectionConfig, IceConnectionEvent},
    proto::stun::{Class, Message, MessageBuilder, Method},
};
use futures_util::StreamExt;

use crate::{
    coturn::Coturn,
    pair::{close, connect, controlled, controlling, engine, exchange, invite_accept, pair},
    runner::run,
};

const MAPPED: &str = "203.0.113.7:4321";

/// A STUN server that sees its clients behind a NAT. It ends with the process.
fn stun_server() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 1_500];
        loop {
            let (length, client) = socket.recv_from(&mut buffer).unwrap();
            let Ok(request) = Message::parse(&buffer[..length]) else { continue };
            if request.class() == Class::Request {
                let answer =
                    MessageBuilder::new(Class::SuccessResponse, Method::BINDING, request.transaction_id());
                let answer = answer.xor_mapped_address(MAPPED.parse().unwrap()).finish();
                socket.send_to(&answer, client).unwrap();
            }
        }
    });
    address
}

fn asking(mut config: IceConnectionConfig, servers: Vec<RtcIceServer>) -> IceConnectionConfig {
    config.ice_servers = servers;
    config
}

fn kinds(connection: &IceConnection) -> Vec<CandidateKind> {
    connection.local_candidates().iter().map(|candidate| candidate.kind).collect()
}

#[test]
fn several_stun_servers_are_asked_and_the_default_candidate_is_reflexive() {
    run(async {
        let engine = engine().await;
        let servers = (0..2).map(|_| RtcIceServer::new(format!("stun:{}", stun_server()))).collect();
        let (a, b) = pair(&engine, asking(controlling(), servers), controlled()).await;
        invite_accept(&a, &b).await;
        assert_eq!(kinds(&a), [CandidateKind::Host, CandidateKind::ServerReflexive]);
        assert_eq!(kinds(&b), [CandidateKind::Host]);
        let default = a.default_candidate(1).unwrap();
        assert_eq!(default.kind, CandidateKind::ServerReflexive);
        assert_eq!(default.related, a.local_candidates()[0].address.ip());
        tokio::try_join!(a.connect(), b.connect()).unwrap();
        exchange(&a, &b, 1).await;
        close(&a, &b).await;
    });
}

#[test]
fn servers_that_are_unknown_or_silent_cost_five_seconds_and_no_connection() {
    run(async {
        let engine = engine().await;
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        let silent = silent.local_addr().unwrap();
        let servers = vec![
            RtcIceServer::new("stun:name.invalid"),
            RtcIceServer::new(format!("stun:{silent}")),
            RtcIceServer::with_password(format!("turn:{silent}"), "user", "secret"),
        ];
        let (a, b) = pair(&engine, asking(controlling(), servers), controlled()).await;
        let mut events = a.events().unwrap();
        let begun = std::time::Instant::now();
        a.gather().await.unwrap();
        // RFC 8489 §6.2.1: a transaction alone would take 39.5 s.
        assert!(begun.elapsed().as_secs_f32() < 20.0, "{:?}", begun.elapsed());
        connect(&a, &b).await;
        assert_eq!(kinds(&a), [CandidateKind::Host]);
        assert_eq!(a.default_candidate(1).unwrap().related, None);
        exchange(&a, &b, 1).await;
        close(&a, &b).await;
        let mut errors = 0;
        while let Some(event) = events.next().await {
            errors += usize::from(matches!(event, IceConnectionEvent::CandidateError(_)));
        }
        assert_eq!(errors, 3, "each server is told");
    });
}

#[test]
fn with_relays_only_and_no_turn_server_there_are_no_candidates() {
    run(async {
        let engine = engine().await;
        for servers in [Vec::new(), vec![RtcIceServer::new(format!("stun:{}", stun_server()))]] {
            let mut config = asking(controlling(), servers);
            config.transport_policy = RtcIceTransportPolicy::Relay;
            let connection = IceConnection::new(&engine, config).await.unwrap();
            connection.gather().await.unwrap();
            assert!(connection.local_candidates().is_empty());
            assert_eq!(connection.default_candidate(1), None);
        }
    });
}

/// Everything that an application may send, over a relay of each kind.
async fn over_a_relay(url: String, policy: RtcIceTransportPolicy, certificate: Option<Vec<u8>>) {
    let engine = engine().await;
    let mut config = asking(controlling(), vec![RtcIceServer::with_password(url, "user", "secret")]);
    config.transport_policy = policy;
    if let Some(certificate) = certificate {
        let mut network = crate::pair::network([127, 0, 0, 1]);
        network.tls.additional_roots.push(certificate);
        config.network = Some(network);
    }
    let (a, b) = pair(&engine, config, controlled()).await;
    connect(&a, &b).await;
    match policy {
        RtcIceTransportPolicy::Relay => {
            assert_eq!(kinds(&a), [CandidateKind::Relayed]);
            assert_eq!(a.local_candidates()[0].related, None, "the way to the server is hidden");
            let line = a.local_candidates()[0].to_string();
            assert!(line.contains("raddr 0.0.0.0 rport 9"), "{line}");
            assert_eq!(a.selected_pair(1).unwrap().local.kind, CandidateKind::Relayed);
        }
        _ => {
            assert!(kinds(&a).contains(&CandidateKind::Relayed) && kinds(&a).contains(&CandidateKind::Host));
            let default = a.default_candidate(1).unwrap();
            assert_eq!(default.kind, CandidateKind::Relayed);
            assert!(default.related.is_some_and(|related| !related.ip().is_unspecified()));
        }
    }
    exchange(&a, &b, 1).await;
    for first in [0, 1, 20, 64, 79, 100, 128, 255] {
        b.send(vec![first, 1, 2]).await.unwrap();
        assert_eq!(a.recv().await.unwrap()[..], [first, 1, 2]);
        a.send(vec![first, 3, 4]).await.unwrap();
        assert_eq!(b.recv().await.unwrap()[..], [first, 3, 4]);
    }
    close(&a, &b).await;
}

#[test]
fn any_bytes_go_through_a_relay_over_udp_tcp_and_tls() {
    let Some(server) = Coturn::start(&[]) else { return };
    run(async {
        let (port, tls_port) = (server.port, server.tls_port);
        let (all, relay) = (RtcIceTransportPolicy::All, RtcIceTransportPolicy::Relay);
        over_a_relay(format!("turn:127.0.0.1:{port}"), relay, None).await;
        over_a_relay(format!("turn:127.0.0.1:{port}"), all, None).await;
        over_a_relay(format!("turn:127.0.0.1:{port}?transport=tcp"), relay, None).await;
        over_a_relay(format!("turn:127.0.0.1:{port}?transport=tcp"), all, None).await;
        let certificate = Some(server.certificate.clone());
        over_a_relay(format!("turns:127.0.0.1:{tls_port}?transport=tcp"), relay, certificate).await;
    });
}

#[test]
fn a_wrong_password_for_a_turn_server_is_told_and_leaves_the_host_candidates() {
    let Some(server) = Coturn::start(&[]) else { return };
    run(async {
        let engine = engine().await;
        let url = format!("turn:127.0.0.1:{}", server.port);
        let servers = vec![RtcIceServer::with_password(url, "user", "wrong")];
        let (a, b) = pair(&engine, asking(controlling(), servers), controlled()).await;
        let mut events = a.events().unwrap();
        connect(&a, &b).await;
        assert_eq!(kinds(&a), [CandidateKind::Host]);
        let code = loop {
            if let IceConnectionEvent::CandidateError(error) = events.next().await.unwrap() {
                break error.code;
            }
        };
        assert_eq!(code, 401);
        close(&a, &b).await;
    });
}
