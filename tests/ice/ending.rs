//! How a connection ends: closed, dropped, without consent, without its agent.

use std::time::Duration;

use actix_rtc::{
    RtcError,
    ice::{IceConnection, IceConnectionEvent, IceCredentials, IceState},
};
use futures_util::StreamExt;

use crate::{
    pair::{
        PATIENCE, close, connect, controlled, controlling, engine, exchange, impatient, invite_accept, pair,
    },
    runner::run,
};

#[test]
fn closing_is_told_once_and_done_twice() {
    run(async {
        let engine = engine().await;
        let a = IceConnection::new(&engine, controlling()).await.unwrap();
        let mut events = a.events().unwrap();
        a.close().await;
        assert!(matches!(events.next().await, Some(IceConnectionEvent::StateChanged(IceState::Closed))));
        assert!(events.next().await.is_none());
        a.close().await;
        assert_eq!(a.state(), IceState::Closed);
        for error in [a.gather().await, a.connect().await, a.send("x").await, a.recv().await.map(drop)] {
            assert!(matches!(error, Err(RtcError::InvalidStateError(_))), "{error:?}");
        }
        assert!(a.restart().await.is_err() && a.get_stats().await.is_err());
        let credentials = IceCredentials::new("abcd", "p".repeat(22)).unwrap();
        assert!(a.set_remote_credentials(credentials).await.is_err());
    });
}

#[test]
fn candidates_after_closing_are_ignored() {
    run(async {
        let engine = engine().await;
        let a = IceConnection::new(&engine, controlling()).await.unwrap();
        a.close().await;
        let named =
            "1 1 udp 659136 5f3c1f2e-8a2b-4a0e-9d57-3a9c2b1d4e6f.local 31102 typ host".parse().unwrap();
        a.add_remote_candidate(Some(named)).await.unwrap();
        a.add_remote_candidate(None).await.unwrap();
        assert!(a.remote_candidates().is_empty());
    });
}

#[test]
fn closing_ends_connect_without_end_of_candidates() {
    run(async {
        let engine = engine().await;
        let a = IceConnection::new(&engine, controlling()).await.unwrap();
        let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        a.gather().await.unwrap();
        a.set_remote_credentials(IceCredentials::new("foo+bar", "p".repeat(22)).unwrap()).await.unwrap();
        let line = format!("1 1 udp 659136 {} {} typ host", "127.0.0.1", silent.local_addr().unwrap().port());
        a.add_remote_candidate(Some(line.parse().unwrap())).await.unwrap();
        let connecting = tokio::spawn({
            let a = a.clone();
            async move { a.connect().await }
        });
        // Its first check has come.
        silent.set_nonblocking(true).unwrap();
        let silent = tokio::net::UdpSocket::from_std(silent).unwrap();
        let mut buffer = [0; 1_500];
        silent.recv_from(&mut buffer).await.unwrap();
        a.close().await;
        // What was repeated before that.
        while silent.try_recv_from(&mut buffer).is_ok() {}
        let error = connecting.await.unwrap().unwrap_err();
        assert!(matches!(error, RtcError::InvalidStateError(_)), "{error}");
        // No check is repeated: the next would have come after 500 ms.
        assert!(
            tokio::time::timeout(Duration::from_millis(700), silent.recv_from(&mut buffer)).await.is_err()
        );
    });
}

#[test]
fn a_cancelled_connect_leaves_the_checks_running_and_closing_ends_them() {
    run(async {
        let engine = engine().await;
        let (a, b) = pair(&engine, controlling(), controlled()).await;
        invite_accept(&a, &b).await;
        let cancelled = tokio::time::timeout(Duration::ZERO, a.connect()).await;
        assert!(cancelled.is_err());
        b.connect().await.unwrap();
        a.connect().await.unwrap();
        exchange(&a, &b, 1).await;
        close(&a, &b).await;
        assert!(!a.agent(1).unwrap().connected() || a.state() == IceState::Closed);
    });
}

#[test]
fn closing_ends_a_reader() {
    run(async {
        let engine = engine().await;
        let (a, b) = pair(&engine, controlling(), controlled()).await;
        connect(&a, &b).await;
        let reading = tokio::spawn({
            let a = a.clone();
            async move { a.recv().await }
        });
        tokio::task::yield_now().await;
        a.close().await;
        let error = reading.await.unwrap().unwrap_err();
        assert!(matches!(error, RtcError::InvalidStateError(_)), "{error}");
        b.close().await;
    });
}

#[test]
fn what_has_arrived_is_read_even_after_the_end() {
    run(async {
        let engine = engine().await;
        let (a, b) = pair(&engine, controlling(), controlled()).await;
        connect(&a, &b).await;
        a.send("first").await.unwrap();
        a.send("second").await.unwrap();
        assert_eq!(b.recv().await.unwrap(), "first");
        // Nothing tells that the second has come without taking it: it was sent right behind the first.
        tokio::time::sleep(Duration::from_millis(200)).await;
        close(&a, &b).await;
        assert_eq!(b.recv().await.unwrap(), "second");
        assert!(b.recv().await.is_err());
    });
}

#[test]
fn a_dropped_handle_closes_the_connection() {
    run(async {
        let engine = engine().await;
        let (a, b) = pair(&engine, impatient(controlling()), impatient(controlled())).await;
        connect(&a, &b).await;
        let agent = a.agent(1).unwrap().clone();
        let clone = a.clone();
        drop(a);
        exchange(&clone, &b, 1).await;
        drop(clone);
        while agent.connected() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // Nobody answers for it any more.
        assert!(b.recv().await.is_err());
        assert_eq!(b.state(), IceState::Failed);
    });
}

#[test]
fn without_consent_the_connection_is_disconnected_and_then_failed() {
    run(async {
        let engine = engine().await;
        let (a, b) = pair(&engine, impatient(controlling()), impatient(controlled())).await;
        connect(&a, &b).await;
        let mut events = a.events().unwrap();
        b.close().await;
        let error = a.recv().await.unwrap_err();
        assert!(matches!(error, RtcError::NetworkError(_)), "{error}");
        assert_eq!(a.selected_pair(1), None);
        assert!(matches!(a.send("x").await, Err(RtcError::InvalidStateError(_))));
        a.close().await;
        let mut told = Vec::new();
        while let Some(event) = events.next().await {
            match event {
                IceConnectionEvent::StateChanged(state) => told.push(state),
                IceConnectionEvent::SelectedPairChanged { pair: None, .. } => told.push(IceState::New),
                _ => {}
            }
        }
        let tail = &told[told.len() - 4..];
        assert_eq!(tail[0], IceState::Disconnected, "{told:?}");
        assert!(tail[1..3].contains(&IceState::Failed) && tail[1..3].contains(&IceState::New), "{told:?}");
        assert_eq!(tail[3], IceState::Closed);
    });
}

#[test]
fn an_idle_connection_keeps_its_consent() {
    run(async {
        let engine = engine().await;
        let (a, b) = pair(&engine, impatient(controlling()), impatient(controlled())).await;
        connect(&a, &b).await;
        // More than a life of a consent.
        let consents = async |of: &IceConnection| {
            let pairs = of.get_stats().await.unwrap().remove(0).ice.pairs;
            pairs.iter().map(|pair| pair.counters.consent_requests_sent).sum::<u32>()
        };
        let enough = 2 * u32::try_from(PATIENCE.as_millis() / 100).unwrap();
        while consents(&a).await < enough || consents(&b).await < enough {
            assert!(a.selected_pair(1).is_some() && b.selected_pair(1).is_some(), "a consent has ended");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        exchange(&a, &b, 1).await;
        close(&a, &b).await;
    });
}
