//! Candidates behind `.local` names (RFC 6762). A responder of the test's own answers on the loopback link.

use std::{
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

use actix_rtc::{
    RtcIceTransportPolicy,
    ice::{CandidateAddress, CandidateKind, IceCandidate, IceConnection, IceState},
    proto::mdns::{GROUP_V4, PORT},
};
use socket2::{Domain, Socket, Type};

use crate::{
    pair::{close, controlled, controlling, engine, exchange, impatient, pair, signal, signal_candidates},
    runner::run,
};

/// Answers for a name with 127.0.0.1, and counts the questions. `None` where loopback has no multicast.
fn publish(label: &'static str) -> Option<Arc<AtomicU32>> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.set_reuse_port(true).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT)).into()).ok()?;
    socket.join_multicast_v4(&GROUP_V4, &Ipv4Addr::LOCALHOST).ok()?;
    socket.set_multicast_if_v4(&Ipv4Addr::LOCALHOST).ok()?;
    let socket = UdpSocket::from(socket);
    socket.send_to(b"is there multicast?", (GROUP_V4, PORT)).ok()?;
    let mut name = vec![label.len() as u8];
    name.extend_from_slice(label.as_bytes());
    name.extend_from_slice(b"\x05local\x00");
    let answer = [
        &[0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0][..],
        &name,
        &[0, 1, 0x80, 1, 0, 0, 0, 120, 0, 4, 127, 0, 0, 1],
    ]
    .concat();
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    std::thread::spawn(move || {
        let mut buffer = [0; 9_000];
        while let Ok((length, _)) = socket.recv_from(&mut buffer) {
            if buffer[2] & 0x80 == 0 && buffer[..length].windows(label.len()).any(|w| w == label.as_bytes()) {
                count.fetch_add(1, Relaxed);
                let _ = socket.send_to(&answer, (GROUP_V4, PORT));
            }
        }
    });
    Some(asked)
}

/// The candidates of `of`, behind a name.
fn hidden(of: &IceConnection, label: &str) -> Vec<IceCandidate> {
    let hide = |mut candidate: IceCandidate| {
        let port = candidate.address.ip().unwrap().port();
        candidate.address = CandidateAddress::Name { host: format!("{label}.local"), port };
        candidate
    };
    of.local_candidates().into_iter().map(hide).collect()
}

async fn add(to: &IceConnection, candidates: Vec<IceCandidate>) {
    for candidate in candidates {
        to.add_remote_candidate(Some(candidate)).await.unwrap();
    }
    to.add_remote_candidate(None).await.unwrap();
}

#[test]
fn a_peer_behind_a_name_is_found_and_keeps_its_name() {
    const LABEL: &str = "0b0a4c52-5bc0-4b0d-8e4b-0f6c1c5f0001";
    if publish(LABEL).is_none() {
        return eprintln!("SKIPPED: no multicast on loopback here");
    }
    run(async {
        let engine = engine().await;
        let (a, b) = pair(&engine, controlling(), controlled()).await;
        a.gather().await.unwrap();
        b.gather().await.unwrap();
        // b knows nothing that it could send checks to: only the name leads to a pair.
        b.set_remote_credentials(a.local_credentials()).await.unwrap();
        a.set_remote_credentials(b.local_credentials()).await.unwrap();
        // The end of candidates comes while the name is looked up.
        add(&a, hidden(&b, LABEL)).await;
        tokio::try_join!(a.connect(), b.connect()).unwrap();
        assert_eq!(a.remote_candidates(), hidden(&b, LABEL));
        assert_eq!(a.selected_pair(1).unwrap().remote.kind, CandidateKind::Host);
        exchange(&a, &b, 1).await;
        close(&a, &b).await;
    });
}

#[test]
fn a_name_that_comes_after_the_peers_checks_upgrades_what_they_told() {
    const LABEL: &str = "0b0a4c52-5bc0-4b0d-8e4b-0f6c1c5f0002";
    if publish(LABEL).is_none() {
        return eprintln!("SKIPPED: no multicast on loopback here");
    }
    run(async {
        let engine = engine().await;
        let (a, b) = pair(&engine, controlling(), controlled()).await;
        a.gather().await.unwrap();
        b.gather().await.unwrap();
        signal(&a, &b).await;
        a.set_remote_credentials(b.local_credentials()).await.unwrap();
        tokio::try_join!(a.connect(), b.connect()).unwrap();
        assert_eq!(a.selected_pair(1).unwrap().remote.kind, CandidateKind::PeerReflexive);
        add(&a, hidden(&b, LABEL)).await;
        let kinds = async || {
            let known = a.get_stats().await.unwrap().remove(0).1.remote;
            known.iter().map(|candidate| candidate.kind).collect::<Vec<_>>()
        };
        while kinds().await != [CandidateKind::Host] {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        assert_eq!(a.get_stats().await.unwrap()[0].1.pairs.len(), 1, "no second pair to the same address");
        close(&a, &b).await;
    });
}

#[test]
fn a_name_that_nobody_knows_delays_the_failure_until_it_is_given_up() {
    run(async {
        let engine = engine().await;
        let (a, b) = pair(&engine, impatient(controlling()), controlled()).await;
        a.gather().await.unwrap();
        b.gather().await.unwrap();
        a.set_remote_credentials(b.local_credentials()).await.unwrap();
        add(&a, hidden(&b, "0b0a4c52-5bc0-4b0d-8e4b-0f6c1c5f0003")).await;
        assert!(a.connect().await.is_err());
        assert_eq!(a.state(), IceState::Failed);
        assert!(a.get_stats().await.unwrap()[0].1.remote.is_empty());
    });
}

#[test]
fn with_relays_only_and_after_closing_no_name_is_asked_for() {
    const LABEL: &str = "0b0a4c52-5bc0-4b0d-8e4b-0f6c1c5f0004";
    const LAST: &str = "0b0a4c52-5bc0-4b0d-8e4b-0f6c1c5f0005";
    let (Some(asked), Some(last)) = (publish(LABEL), publish(LAST)) else {
        return eprintln!("SKIPPED: no multicast on loopback here");
    };
    run(async {
        let engine = engine().await;
        let b = IceConnection::new(&engine, controlled()).await.unwrap();
        b.gather().await.unwrap();
        let mut config = controlling();
        config.transport_policy = RtcIceTransportPolicy::Relay;
        let relayed = IceConnection::new(&engine, config).await.unwrap();
        add(&relayed, hidden(&b, LABEL)).await;
        let closed = IceConnection::new(&engine, controlling()).await.unwrap();
        closed.close().await;
        closed.add_remote_candidate(hidden(&b, LABEL).pop()).await.unwrap();
        // A name that is asked for shows that questions arrive.
        let open = IceConnection::new(&engine, controlling()).await.unwrap();
        add(&open, hidden(&b, LAST)).await;
        while last.load(Relaxed) == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        assert_eq!(asked.load(Relaxed), 0);
    });
}

#[test]
fn a_connection_may_close_while_a_name_is_looked_up() {
    run(async {
        let engine = engine().await;
        let (a, b) = pair(&engine, controlling(), controlled()).await;
        b.gather().await.unwrap();
        add(&a, hidden(&b, "0b0a4c52-5bc0-4b0d-8e4b-0f6c1c5f0006")).await;
        a.close().await;
        assert_eq!(a.state(), IceState::Closed);
        // The engine goes on.
        let c = IceConnection::new(&engine, controlling()).await.unwrap();
        c.gather().await.unwrap();
        signal(&c, &b).await;
        c.set_remote_credentials(b.local_credentials()).await.unwrap();
        signal_candidates(&b, &c).await;
        tokio::try_join!(b.connect(), c.connect()).unwrap();
        close(&b, &c).await;
    });
}
