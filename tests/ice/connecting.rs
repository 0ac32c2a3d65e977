//! Ways to a connection, and what is asked before there is one.

use actix_rtc::{
    RtcError, RtcIceGatheringState,
    ice::{
        CandidateKind, IceConnection, IceConnectionEvent, IceCredentials, IceRole, IceState, MAX_COMPONENTS,
    },
};
use futures_util::StreamExt;

use crate::{
    pair::{
        PATIENCE, close, connect, controlled, controlling, engine, exchange, impatient, invite_accept,
        network, pair, signal, signal_candidates,
    },
    runner::run,
};

#[test]
fn two_connections_exchange_datagrams() {
    run(async {
        let engine = engine().await;
        let (a, b) = pair(&engine, controlling(), controlled()).await;
        assert_eq!((a.state(), a.gathering_state()), (IceState::New, RtcIceGatheringState::New));
        invite_accept(&a, &b).await;
        assert!(a.local_candidates().iter().all(|candidate| candidate.kind == CandidateKind::Host));
        assert_eq!(a.default_candidate(1), a.local_candidates().last().cloned());
        assert_eq!(a.default_candidate(2), None);
        assert_eq!(a.remote_candidates().len(), b.local_candidates().len());
        assert_eq!(b.remote_credentials(), Some(a.local_credentials()));
        tokio::try_join!(a.connect(), b.connect()).unwrap();
        assert_eq!((a.role(), b.role()), (IceRole::Controlling, IceRole::Controlled));
        exchange(&a, &b, 1).await;

        let statistics = a.get_stats().await.unwrap();
        let [component] = &statistics[..] else { panic!("{statistics:?}") };
        let (ice, traffic) = (&component.ice, component.traffic);
        assert_eq!(component.component, 1);
        let selected = ice.pairs.iter().find(|pair| Some(pair.id) == ice.selected).unwrap();
        assert!(selected.nominated && selected.counters.responses_received > 0);
        assert_eq!((traffic.datagrams_sent, traffic.bytes_received), (1, 6));
        let shown = a.selected_pair(1).unwrap();
        assert_eq!(shown.remote.address, b.local_candidates()[0].address);
        close(&a, &b).await;
    });
}

#[test]
fn gathering_again_changes_nothing() {
    run(async {
        let engine = engine().await;
        let connection = IceConnection::new(&engine, controlling()).await.unwrap();
        connection.gather().await.unwrap();
        let found = connection.local_candidates();
        assert_eq!(found.len(), 1);
        connection.gather().await.unwrap();
        assert_eq!(connection.local_candidates(), found);
    });
}

#[test]
fn candidates_are_told_as_they_are_found_and_trickle_both_ways() {
    run(async {
        let engine = engine().await;
        let (a, b) = pair(&engine, controlling(), controlled()).await;
        a.set_remote_credentials(b.local_credentials()).await.unwrap();
        b.set_remote_credentials(a.local_credentials()).await.unwrap();
        let trickle = async |from: &IceConnection, to: &IceConnection| {
            let mut events = from.events().unwrap();
            assert!(from.events().is_none(), "events are taken once");
            let mut told = 0;
            loop {
                match events.next().await.unwrap() {
                    IceConnectionEvent::LocalCandidate(candidate) => {
                        told += 1;
                        to.add_remote_candidate(Some(candidate)).await.unwrap();
                    }
                    IceConnectionEvent::GatheringComplete => break,
                    _ => {}
                }
            }
            assert_eq!(told, from.local_candidates().len());
            to.add_remote_candidate(None).await.unwrap();
            events
        };
        let connect = async |connection: &IceConnection| {
            connection.gather().await.unwrap();
            connection.connect().await.unwrap();
        };
        let (mut events, ..) = tokio::join!(trickle(&a, &b), trickle(&b, &a), connect(&a), connect(&b));
        let mut states = Vec::new();
        let mut pairs = 0;
        while states.last() != Some(&IceState::Completed) {
            match events.next().await.unwrap() {
                IceConnectionEvent::StateChanged(state) => states.push(state),
                IceConnectionEvent::SelectedPairChanged { component: 1, pair: Some(_) } => pairs += 1,
                event => panic!("{event:?}"),
            }
        }
        assert!(
            states.ends_with(&[IceState::Completed]) && states.contains(&IceState::Checking),
            "{states:?}"
        );
        assert!(pairs >= 1);
        exchange(&a, &b, 1).await;
        close(&a, &b).await;
    });
}

#[test]
fn connecting_needs_candidates_and_the_peers_credentials() {
    run(async {
        let engine = engine().await;
        let connection = IceConnection::new(&engine, controlling()).await.unwrap();
        connection
            .set_remote_credentials(IceCredentials::new("abcd", "p".repeat(22)).unwrap())
            .await
            .unwrap();
        let error = connection.connect().await.unwrap_err();
        assert!(matches!(&error, RtcError::InvalidStateError(text) if text.contains("gathered")), "{error}");

        let connection = IceConnection::new(&engine, controlling()).await.unwrap();
        connection.gather().await.unwrap();
        let error = connection.connect().await.unwrap_err();
        assert!(matches!(&error, RtcError::InvalidStateError(text) if text.contains("password")), "{error}");
    });
}

#[test]
fn own_credentials_are_used_and_checked() {
    run(async {
        let engine = engine().await;
        let mut config = controlling();
        let own = IceCredentials::new("test+User1", "some+password/that+is/Long+en0ugh").unwrap();
        config.local_credentials = Some(own.clone());
        let (a, b) = pair(&engine, config.clone(), controlled()).await;
        assert_eq!(a.local_credentials(), own);
        connect(&a, &b).await;
        close(&a, &b).await;

        let bad = IceCredentials { ufrag: "a".to_owned(), password: "p".repeat(22) };
        config.local_credentials = Some(bad.clone());
        let error = IceConnection::new(&engine, config).await.unwrap_err();
        assert!(matches!(error, RtcError::TypeError(_)), "{error}");
        let error = b.set_remote_credentials(bad).await.unwrap_err();
        assert!(matches!(error, RtcError::TypeError(_)), "{error}");
    });
}

#[test]
fn what_can_not_be_had_is_refused() {
    run(async {
        let engine = engine().await;
        for components in [0, MAX_COMPONENTS + 1] {
            let mut config = controlling();
            config.components = components;
            let error = IceConnection::new(&engine, config).await.unwrap_err();
            assert!(matches!(error, RtcError::RangeError(_)), "{error}");
        }
        let mut config = controlling();
        config.shard = Some(9);
        let error = IceConnection::new(&engine, config).await.unwrap_err();
        assert!(matches!(error, RtcError::InvalidAccessError(_)), "{error}");
    });
}

#[test]
fn without_an_address_there_are_no_candidates_and_no_error() {
    run(async {
        let engine = engine().await;
        let mut config = controlling();
        let mut none = network([127, 0, 0, 1]);
        (none.ipv4, none.ipv6) = (false, false);
        config.network = Some(none);
        let connection = IceConnection::new(&engine, config).await.unwrap();
        connection.gather().await.unwrap();
        assert!(connection.local_candidates().is_empty());
        assert_eq!(connection.default_candidate(1), None);
    });
}

#[test]
fn checks_that_come_before_connect_are_used_later() {
    run(async {
        let engine = engine().await;
        let (a, b) = pair(&engine, controlling(), controlled()).await;
        invite_accept(&a, &b).await;
        // A full agent can't finish without the other's checks being answered: that happens before `connect`.
        let waiting = tokio::spawn({
            let a = a.clone();
            async move { a.connect().await }
        });
        while a.get_stats().await.unwrap()[0].ice.pairs.iter().all(|p| p.counters.responses_received == 0) {
            tokio::task::yield_now().await;
        }
        assert_eq!(b.state(), IceState::New);
        b.connect().await.unwrap();
        waiting.await.unwrap().unwrap();
        exchange(&a, &b, 1).await;
        close(&a, &b).await;
    });
}

#[test]
fn the_controlled_side_may_begin() {
    run(async {
        let engine = engine().await;
        let (a, b) = pair(&engine, controlling(), controlled()).await;
        invite_accept(&a, &b).await;
        let waiting = tokio::spawn({
            let b = b.clone();
            async move { b.connect().await }
        });
        while b.get_stats().await.unwrap()[0].ice.pairs.iter().all(|p| p.counters.responses_received == 0) {
            tokio::task::yield_now().await;
        }
        a.connect().await.unwrap();
        waiting.await.unwrap().unwrap();
        exchange(&a, &b, 1).await;
        close(&a, &b).await;
    });
}

#[test]
fn a_connection_without_candidates_of_the_peer_is_found_by_it() {
    run(async {
        let engine = engine().await;
        let (a, b) = pair(&engine, controlling(), controlled()).await;
        a.gather().await.unwrap();
        b.gather().await.unwrap();
        signal(&a, &b).await;
        a.set_remote_credentials(b.local_credentials()).await.unwrap();
        // Not even the end of candidates is told: b's checks make them known.
        tokio::try_join!(a.connect(), b.connect()).unwrap();
        assert_eq!(a.selected_pair(1).unwrap().remote.kind, CandidateKind::PeerReflexive);
        assert!(a.remote_candidates().is_empty(), "these were never signalled");
        signal_candidates(&b, &a).await;
        exchange(&a, &b, 1).await;
        close(&a, &b).await;
    });
}

#[test]
fn hosts_connect_over_ipv6() {
    run(async {
        let engine = engine().await;
        let on_ipv6 = |mut config: actix_rtc::ice::IceConnectionConfig| {
            config.network = Some(network(std::net::Ipv6Addr::LOCALHOST));
            config
        };
        let (a, b) = pair(&engine, on_ipv6(controlling()), on_ipv6(controlled())).await;
        connect(&a, &b).await;
        assert!(a.local_candidates().iter().all(|c| c.address.ip().unwrap().is_ipv6()));
        exchange(&a, &b, 1).await;
        close(&a, &b).await;
    });
}

#[test]
fn equal_roles_become_different_ones() {
    run(async {
        let engine = engine().await;
        for config in [controlling(), controlled()] {
            let (a, b) = pair(&engine, config.clone(), config).await;
            connect(&a, &b).await;
            exchange(&a, &b, 1).await;
            assert_ne!(a.role(), b.role());
            close(&a, &b).await;
        }
    });
}

#[test]
fn a_lite_connection_is_nominated_to() {
    run(async {
        let engine = engine().await;
        let mut lite = controlling();
        lite.lite = true;
        // The full agent begins as controlled, and learns that it has to control.
        let (full, lite) = pair(&engine, controlled(), lite).await;
        assert_eq!(lite.role(), IceRole::Controlled);
        full.set_remote_lite(true).await.unwrap();
        assert_eq!(full.role(), IceRole::Controlling);
        connect(&full, &lite).await;
        exchange(&full, &lite, 1).await;
        assert!(lite.set_role(IceRole::Controlling).await.is_err());
        let sent: u32 =
            lite.get_stats().await.unwrap()[0].ice.pairs.iter().map(|p| p.counters.requests_sent).sum();
        assert_eq!(sent, 0, "a lite agent sends no checks");
        close(&full, &lite).await;
    });
}

#[test]
fn a_wrong_password_or_user_name_connects_nobody() {
    run(async {
        let engine = engine().await;
        let wrong = |right: IceCredentials| {
            [
                IceCredentials {
                    ufrag: right.ufrag.clone(),
                    password: "wrong+password+long+enough".to_owned(),
                },
                IceCredentials { ufrag: "wrong+name".to_owned(), password: right.password.clone() },
            ]
        };
        for index in [0, 1] {
            let (a, b) = pair(&engine, impatient(controlling()), impatient(controlled())).await;
            invite_accept(&a, &b).await;
            a.set_remote_credentials(wrong(b.local_credentials())[index].clone()).await.unwrap();
            signal_candidates(&b, &a).await;
            let (one, other) = tokio::join!(a.connect(), b.connect());
            assert!(matches!(one, Err(RtcError::NetworkError(_))), "{one:?}");
            assert!(matches!(other, Err(RtcError::NetworkError(_))), "{other:?}");
            assert_eq!(a.state(), IceState::Failed);
            close(&a, &b).await;
        }
    });
}

#[test]
fn a_peer_that_is_not_there_fails_and_not_before_the_end_of_patience() {
    run(async {
        let engine = engine().await;
        let a = IceConnection::new(&engine, impatient(controlling())).await.unwrap();
        a.gather().await.unwrap();
        a.set_remote_credentials(IceCredentials::new("foo+bar", "p".repeat(22)).unwrap()).await.unwrap();
        let unreachable = "6815297761 1 udp 659136 192.0.2.1 31102 typ host generation 0".parse().unwrap();
        a.add_remote_candidate(Some(unreachable)).await.unwrap();
        a.add_remote_candidate(None).await.unwrap();
        let begun = std::time::Instant::now();
        let error = a.connect().await.unwrap_err();
        assert!(error.to_string().contains("ICE negotiation failed"), "{error}");
        assert!(begun.elapsed() >= PATIENCE);
    });
}

#[test]
fn a_candidate_that_comes_after_all_pairs_have_failed_saves_the_connection() {
    run(async {
        let engine = engine().await;
        let mut patient = impatient(controlled());
        patient.timings.failure_patience = std::time::Duration::from_secs(20);
        // Seven times, until a check has failed: that takes four seconds.
        patient.timings.retransmission = std::time::Duration::from_millis(50);
        let (a, b) = pair(&engine, patient, controlling()).await;
        a.gather().await.unwrap();
        b.gather().await.unwrap();
        a.set_remote_credentials(b.local_credentials()).await.unwrap();
        // Port 1 of this host is refused by nobody and answered by nobody.
        let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = silent.local_addr().unwrap().port();
        let line = format!("1 1 udp 659136 127.0.0.1 {port} typ host");
        a.add_remote_candidate(Some(line.parse().unwrap())).await.unwrap();
        let waiting = tokio::spawn({
            let a = a.clone();
            async move { a.connect().await }
        });
        use actix_rtc::ice::PairState;
        while a.get_stats().await.unwrap()[0].ice.pairs.iter().any(|pair| pair.state != PairState::Failed)
            || a.get_stats().await.unwrap()[0].ice.pairs.is_empty()
        {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        assert_eq!(a.state(), IceState::Checking);
        signal_candidates(&b, &a).await;
        signal(&a, &b).await;
        b.connect().await.unwrap();
        waiting.await.unwrap().unwrap();
        close(&a, &b).await;
    });
}

#[test]
fn candidates_that_can_not_be_used_are_skipped_and_none_come_after_the_end() {
    run(async {
        let engine = engine().await;
        let a = IceConnection::new(&engine, controlling()).await.unwrap();
        let good: actix_rtc::ice::IceCandidate = "1 1 udp 659136 192.0.2.1 31102 typ host".parse().unwrap();
        a.add_remote_candidate(Some(good.clone())).await.unwrap();
        a.add_remote_candidate(Some(good.clone())).await.unwrap();
        for line in ["2 2 udp 659136 192.0.2.1 31103 typ host", "3 1 udp 659136 192.0.2.1 31104 typ prflx"] {
            a.add_remote_candidate(Some(line.parse().unwrap())).await.unwrap();
        }
        assert!("4 1 udp 659136 192.0.2.1 31105 typ bogus".parse::<actix_rtc::ice::IceCandidate>().is_err());
        assert_eq!(a.remote_candidates(), std::slice::from_ref(&good));
        a.add_remote_candidate(None).await.unwrap();
        for late in [Some(good.clone()), None] {
            let error = a.add_remote_candidate(late).await.unwrap_err();
            assert!(matches!(error, RtcError::InvalidStateError(_)), "{error}");
        }
        assert_eq!(a.remote_candidates(), [good]);
    });
}
