//! Ports, interfaces and translated addresses as configured.

use std::time::Duration;

use actix_rtc::{
    AddressMapping, MappedCandidate, NetworkConfig, RtcConfiguration, RtcPeerConnection, TcpMode, UdpMode,
};

use crate::pair::{Pair, candidates, engine, loopback, run};

const END: Duration = Duration::from_secs(5);

async fn candidates_of(network: NetworkConfig) -> Vec<String> {
    let engine = engine(UdpMode::PerConnection, network).await;
    let lines = candidates(&engine).await;
    engine.shutdown(END).await.unwrap();
    lines
}

/// Some port such that it and its neighbour are free at the moment.
fn free_pair() -> u16 {
    loop {
        let first = std::net::UdpSocket::bind("[::]:0").unwrap();
        let port = first.local_addr().unwrap().port();
        if port < u16::MAX && std::net::UdpSocket::bind(("::", port + 1)).is_ok() {
            return port;
        }
    }
}

#[test]
fn connections_take_ports_of_the_range_and_say_when_there_is_none_left() {
    run(async {
        let first = free_pair();
        let mut network = loopback();
        network.port_range = Some(first..=first + 1);
        let engine = engine(UdpMode::PerConnection, network).await;
        let pair = Pair::connect(&engine, &engine, |_| true).await;
        let sdp = pair.offerer.local_description().unwrap().sdp;
        for line in sdp.lines().filter(|line| line.starts_with("a=candidate:")) {
            let port: u16 = line.split(' ').nth(5).unwrap().parse().unwrap();
            assert!((first..=first + 1).contains(&port), "{line}");
        }
        let third = RtcPeerConnection::on(&engine, RtcConfiguration::default()).await;
        let refused = third.unwrap_err().to_string();
        let expected = format!("no UDP port from {first} to {} is free", first + 1);
        assert!(refused.contains(&expected), "{refused}");
        pair.exchange().await;
        pair.close().await;
        engine.shutdown(END).await.unwrap();
    });
}

#[test]
fn only_chosen_interfaces_are_offered() {
    run(async {
        let lines = candidates_of(loopback()).await;
        assert!(!lines.is_empty());
        assert!(lines.iter().all(|line| line.contains(" 127.0.0.1 ") || line.contains(" ::1 ")), "{lines:?}");
        let mut network = loopback();
        network.interfaces.addresses = vec!["::1".parse().unwrap(), "10.255.255.1".parse().unwrap()];
        let lines = candidates_of(network).await;
        assert!(lines.iter().all(|line| line.contains(" ::1 ")), "{lines:?}");
        let mut network = loopback();
        network.interfaces.names = Vec::new();
        network.interfaces.excluded_names = vec!["lo".to_owned()];
        let lines = candidates_of(network).await;
        assert!(lines.iter().all(|line| !line.contains(" 127.0.0.1 ")), "{lines:?}");
    });
}

/// The translation leads nowhere here; what counts is what the peer is told, and that it connects all the same by
/// what it learns from checks.
#[test]
fn translated_addresses_are_told_as_host_or_as_reflexive_candidates() {
    run(async {
        let internal = "127.0.0.1".parse().unwrap();
        let external = "203.0.113.7".parse().unwrap();
        let mut network = loopback();
        network.ipv6 = false;
        network.tcp = TcpMode::ActiveAndPassive { port: 0 };
        network.address_mapping = vec![AddressMapping::new(internal, external, MappedCandidate::Host)];
        let lines = candidates_of(network.clone()).await;
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(
            lines.iter().all(|line| line.contains(" 203.0.113.7 ") && line.contains("typ host")),
            "{lines:?}"
        );
        assert!(lines.iter().all(|line| !line.contains("127.0.0.1")), "{lines:?}");

        network.address_mapping[0].kind = MappedCandidate::ServerReflexive;
        let lines = candidates_of(network.clone()).await;
        let reflexive: Vec<_> = lines.iter().filter(|line| line.contains("typ srflx")).collect();
        assert_eq!((lines.len(), reflexive.len()), (5, 2), "{lines:?}");
        assert!(
            reflexive.iter().all(|line| line.contains(" 203.0.113.7 ") && line.contains("raddr 127.0.0.1"))
        );

        network.address_mapping[0].kind = MappedCandidate::Host;
        let (behind, open) =
            (engine(UdpMode::PerConnection, network).await, engine(UdpMode::PerConnection, loopback()).await);
        let pair = Pair::connect(&behind, &open, |_| true).await;
        pair.exchange().await;
        pair.close().await;
        behind.shutdown(END).await.unwrap();
        open.shutdown(END).await.unwrap();
    });
}
