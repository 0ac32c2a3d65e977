//! Several components of one connection.

use actix_rtc::{
    RtcError,
    ice::{IceConnectionConfig, IceConnectionEvent, IceRole, IceState},
};
use futures_util::StreamExt;

use crate::{
    pair::{close, connect, controlled, controlling, engine, exchange, pair, signal, signal_candidates},
    runner::run,
};

fn with_components(mut config: IceConnectionConfig, count: u8) -> IceConnectionConfig {
    config.components = count;
    config
}

#[test]
fn two_components_connect_and_carry_their_own_datagrams() {
    run(async {
        let engine = engine().await;
        let (a, b) = pair(&engine, with_components(controlling(), 2), with_components(controlled(), 2)).await;
        connect(&a, &b).await;
        assert_eq!((a.components(), b.components()), (vec![1, 2], vec![1, 2]));
        for component in [1, 2] {
            let default = a.default_candidate(component).unwrap();
            assert_eq!(default.component, component);
            assert_eq!(default.priority & 0xFF, 256 - u32::from(component));
            exchange(&a, &b, component).await;
        }
        let ports: Vec<_> =
            a.local_candidates().iter().filter_map(|c| Some(c.address.ip()?.port())).collect();
        assert_ne!(ports[0], ports[1]);
        assert_ne!(a.selected_pair(1), a.selected_pair(2));
        let error = a.send_to("nobody", 3).await.unwrap_err();
        assert!(matches!(error, RtcError::InvalidAccessError(_)), "{error}");
        close(&a, &b).await;
    });
}

#[test]
fn components_that_the_peer_lacks_are_removed() {
    run(async {
        let engine = engine().await;
        let (a, b) = pair(&engine, with_components(controlling(), 2), controlled()).await;
        connect(&a, &b).await;
        assert_eq!((a.components(), b.components()), (vec![1], vec![1]));
        assert!(a.local_candidates().iter().all(|candidate| candidate.component == 1));
        exchange(&a, &b, 1).await;
        let error = a.send_to("nobody", 2).await.unwrap_err();
        assert!(matches!(error, RtcError::InvalidStateError(_)), "{error}");
        close(&a, &b).await;
    });
}

#[test]
fn a_component_without_candidates_holds_the_rest_until_the_end_of_candidates() {
    run(async {
        let engine = engine().await;
        let (a, b) = pair(&engine, with_components(controlling(), 2), controlled()).await;
        a.gather().await.unwrap();
        b.gather().await.unwrap();
        signal(&a, &b).await;
        a.set_remote_credentials(b.local_credentials()).await.unwrap();
        for candidate in b.local_candidates() {
            a.add_remote_candidate(Some(candidate)).await.unwrap();
        }
        let mut events = a.events().unwrap();
        let waiting = tokio::spawn({
            let a = a.clone();
            async move { a.connect().await }
        });
        b.connect().await.unwrap();
        loop {
            let event = events.next().await.unwrap();
            if matches!(event, IceConnectionEvent::SelectedPairChanged { component: 1, pair: Some(_) }) {
                break;
            }
        }
        assert_eq!(a.state(), IceState::Checking);
        assert!(!waiting.is_finished());
        a.add_remote_candidate(None).await.unwrap();
        waiting.await.unwrap().unwrap();
        assert_eq!(a.components(), [1]);
        exchange(&a, &b, 1).await;
        close(&a, &b).await;
    });
}

#[test]
fn a_role_conflict_is_resolved_for_all_components_alike() {
    run(async {
        let engine = engine().await;
        let both = with_components(controlling(), 3);
        for _ in 0..5 {
            let (a, b) = pair(&engine, both.clone(), both.clone()).await;
            connect(&a, &b).await;
            for component in [1, 2, 3] {
                exchange(&a, &b, component).await;
            }
            assert_ne!(a.role(), b.role());
            for (connection, role) in [(&a, a.role()), (&b, b.role())] {
                let statistics = connection.get_stats().await.unwrap();
                assert!(statistics.iter().all(|(_, ice, _)| ice.role == role), "{statistics:?}");
            }
            close(&a, &b).await;
        }
    });
}

#[test]
fn a_lite_connection_has_components_too() {
    run(async {
        let engine = engine().await;
        let mut lite = with_components(controlled(), 2);
        lite.lite = true;
        let (a, b) = pair(&engine, with_components(controlling(), 2), lite).await;
        a.set_remote_lite(true).await.unwrap();
        a.gather().await.unwrap();
        b.gather().await.unwrap();
        signal(&a, &b).await;
        signal(&b, &a).await;
        tokio::try_join!(a.connect(), b.connect()).unwrap();
        assert_eq!(b.role(), IceRole::Controlled);
        exchange(&a, &b, 1).await;
        exchange(&a, &b, 2).await;
        close(&a, &b).await;
    });
}

#[test]
fn a_pair_that_is_chosen_connects_its_component_only() {
    run(async {
        let engine = engine().await;
        let (a, b) = pair(&engine, with_components(controlling(), 2), with_components(controlled(), 2)).await;
        a.gather().await.unwrap();
        b.gather().await.unwrap();
        signal_candidates(&a, &b).await;
        signal_candidates(&b, &a).await;
        let foundation = |c: &actix_rtc::ice::IceConnection| c.default_candidate(2).unwrap().foundation;
        a.set_selected_pair(2, &foundation(&a), &foundation(&b)).await.unwrap();
        b.set_selected_pair(2, &foundation(&b), &foundation(&a)).await.unwrap();
        exchange(&a, &b, 2).await;
        assert!(a.send_to("not yet", 1).await.is_err());
        close(&a, &b).await;
    });
}
