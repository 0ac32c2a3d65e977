//! What a panic costs a connection of ICE alone. Needs the feature `fault-injection`.
#![cfg(feature = "fault-injection")]

use actix_rtc::{
    actors::fault_injection::Boom,
    ice::{IceConnectionConfig, IceConnectionEvent, IceState},
};
use futures_util::StreamExt;

use crate::{
    pair::{close, connect, controlled, controlling, engine, exchange, impatient, pair, signal},
    runner::run,
};

fn two(mut config: IceConnectionConfig) -> IceConnectionConfig {
    config.components = 2;
    config
}

#[test]
fn an_agent_that_panics_gives_all_components_new_credentials_and_a_restart_helps() {
    run(async {
        let engine = engine().await;
        let (a, b) = pair(&engine, two(controlling()), two(controlled())).await;
        let (c, d) = pair(&engine, controlling(), controlled()).await;
        connect(&a, &b).await;
        connect(&c, &d).await;
        let mut events = a.events().unwrap();
        assert!(a.agent(2).unwrap().send(Boom).await.is_err());
        let credentials = loop {
            if let IceConnectionEvent::RestartNeeded(credentials) = events.next().await.unwrap() {
                break credentials;
            }
        };
        assert_eq!(a.local_credentials(), credentials);
        // The old pairs carry data meanwhile.
        exchange(&a, &b, 1).await;
        b.restart().await.unwrap();
        a.gather().await.unwrap();
        b.gather().await.unwrap();
        signal(&a, &b).await;
        signal(&b, &a).await;
        while !matches!(a.state(), IceState::Connected | IceState::Completed) {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        tokio::try_join!(a.connect(), b.connect()).unwrap();
        for component in [1, 2] {
            exchange(&a, &b, component).await;
        }
        exchange(&c, &d, 1).await;
        close(&a, &b).await;
        close(&c, &d).await;
    });
}

#[test]
fn a_connection_that_panics_is_closed_with_its_agents() {
    run(async {
        let engine = engine().await;
        let (a, b) = pair(&engine, impatient(controlling()), impatient(controlled())).await;
        connect(&a, &b).await;
        assert!(a.address().send(Boom).await.is_err());
        assert!(a.recv().await.is_err());
        assert_eq!(a.state(), IceState::Closed);
        while a.agent(1).unwrap().connected() {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        assert!(a.send("x").await.is_err());
        // The peer notices by the end of consent.
        assert!(b.recv().await.is_err());
        assert_eq!(b.state(), IceState::Failed);
    });
}
