//! ICE restarts (RFC 8445 §9).

use std::time::Duration;

use actix_rtc::ice::{IceConnection, IceConnectionConfig, IceState};

use crate::{
    pair::{close, connect, controlled, controlling, engine, exchange, impatient, pair, signal},
    runner::run,
};

async fn restart(one: &IceConnection, other: &IceConnection) {
    let before = (one.local_credentials(), other.local_credentials());
    for connection in [one, other] {
        let credentials = connection.restart().await.unwrap();
        assert_eq!(credentials, connection.local_credentials());
        connection.gather().await.unwrap();
        assert!(!connection.local_candidates().is_empty() && connection.remote_candidates().is_empty());
    }
    assert!(
        before.0.ufrag != one.local_credentials().ufrag
            && before.0.password != one.local_credentials().password
    );
    assert_ne!(before.1, other.local_credentials());
}

#[test]
fn data_goes_on_while_both_sides_restart() {
    run(async {
        let engine = engine().await;
        let two = |mut config: IceConnectionConfig| {
            config.components = 2;
            config
        };
        let (a, b) = pair(&engine, two(controlling()), two(controlled())).await;
        connect(&a, &b).await;
        for _ in 0..3 {
            restart(&a, &b).await;
            for component in [1, 2] {
                exchange(&a, &b, component).await;
            }
            let before = a.get_stats().await.unwrap()[0].1.selected;
            signal(&a, &b).await;
            signal(&b, &a).await;
            while a.get_stats().await.unwrap()[0].1.selected == before {
                for component in [1, 2] {
                    exchange(&a, &b, component).await;
                }
            }
            tokio::try_join!(a.connect(), b.connect()).unwrap();
            exchange(&a, &b, 1).await;
        }
        close(&a, &b).await;
    });
}

#[test]
fn a_restart_revives_what_has_failed() {
    run(async {
        let engine = engine().await;
        let (a, b) = pair(&engine, impatient(controlling()), impatient(controlled())).await;
        connect(&a, &b).await;
        let c = IceConnection::new(&engine, impatient(controlled())).await.unwrap();
        b.close().await;
        while a.state() != IceState::Failed {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        a.restart().await.unwrap();
        a.gather().await.unwrap();
        c.gather().await.unwrap();
        signal(&a, &c).await;
        signal(&c, &a).await;
        tokio::try_join!(a.connect(), c.connect()).unwrap();
        exchange(&a, &c, 1).await;
        close(&a, &c).await;
    });
}
