//! Settings of the network reach a connection: ports, interfaces, translated addresses, TCP.

use actix_rtc::{
    AddressMapping, MappedCandidate, NetworkConfig, TcpMode,
    ice::{IceConnection, IceConnectionConfig, TransportProtocol},
};

use crate::{
    pair::{close, connect, controlled, controlling, engine, exchange, network, pair, signal_candidates},
    runner::run,
};

fn on(mut config: IceConnectionConfig, network: NetworkConfig) -> IceConnectionConfig {
    config.network = Some(network);
    config
}

#[test]
fn ports_are_taken_from_the_range() {
    run(async {
        let engine = engine().await;
        let mut ports = network([127, 0, 0, 1]);
        ports.port_range = Some(42_100..=42_999);
        let mut config = on(controlling(), ports);
        config.components = 2;
        let mut other = controlled();
        other.components = 2;
        let (a, b) = pair(&engine, config, other).await;
        connect(&a, &b).await;
        assert_eq!(a.local_candidates().len(), 2);
        for candidate in a.local_candidates() {
            let port = candidate.address.ip().unwrap().port();
            assert!((42_100..=42_999).contains(&port), "{port}");
        }
        exchange(&a, &b, 2).await;
        close(&a, &b).await;
    });
}

#[test]
fn only_interfaces_that_are_admitted_are_used() {
    run(async {
        let engine = engine().await;
        let mut admitted = NetworkConfig::default();
        admitted.include_loopback = true;
        admitted.interfaces.names = vec!["lo".to_owned()];
        let (a, b) = pair(&engine, on(controlling(), admitted.clone()), controlled()).await;
        connect(&a, &b).await;
        assert!(a.local_candidates().iter().all(|c| c.address.ip().unwrap().ip().is_loopback()));
        exchange(&a, &b, 1).await;
        close(&a, &b).await;
        admitted.interfaces.excluded_names = vec!["lo".to_owned()];
        let nobody = IceConnection::new(&engine, on(controlling(), admitted)).await.unwrap();
        nobody.gather().await.unwrap();
        assert!(nobody.local_candidates().is_empty());
    });
}

#[test]
fn a_translated_address_is_told_instead_of_the_own() {
    run(async {
        let engine = engine().await;
        let mut translated = network([127, 0, 0, 1]);
        let external = [203, 0, 113, 7].into();
        translated.address_mapping =
            vec![AddressMapping::new([127, 0, 0, 1].into(), external, MappedCandidate::Host)];
        let a = IceConnection::new(&engine, on(controlling(), translated)).await.unwrap();
        a.gather().await.unwrap();
        let told: Vec<_> = a.local_candidates().iter().map(|c| c.address.ip().unwrap().ip()).collect();
        assert_eq!(told, [external]);
    });
}

#[test]
fn any_bytes_go_over_tcp() {
    run(async {
        let engine = engine().await;
        let with = |tcp| {
            let mut network = network([127, 0, 0, 1]);
            network.tcp = tcp;
            network
        };
        let active = on(controlling(), with(TcpMode::Active));
        let passive = on(controlled(), with(TcpMode::Passive { port: 0 }));
        let (a, b) = pair(&engine, active, passive).await;
        a.gather().await.unwrap();
        b.gather().await.unwrap();
        a.set_remote_credentials(b.local_credentials()).await.unwrap();
        b.set_remote_credentials(a.local_credentials()).await.unwrap();
        // Of b's candidates a learns those over TCP only, and b none at all.
        for candidate in b.local_candidates() {
            if candidate.protocol == TransportProtocol::Tcp {
                a.add_remote_candidate(Some(candidate)).await.unwrap();
            }
        }
        a.add_remote_candidate(None).await.unwrap();
        tokio::try_join!(a.connect(), b.connect()).unwrap();
        assert_eq!(a.selected_pair(1).unwrap().local.protocol, TransportProtocol::Tcp);
        exchange(&a, &b, 1).await;
        for first in [0, 1, 20, 64, 128, 255] {
            a.send(vec![first, 1]).await.unwrap();
            assert_eq!(b.recv().await.unwrap()[..], [first, 1]);
        }
        signal_candidates(&a, &b).await;
        close(&a, &b).await;
    });
}
