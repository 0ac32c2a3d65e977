//! Two agents that are told everything by messages.

use actix_rtc::{
    RtcError,
    ice::{
        AddRemoteCandidate, CloseIce, CollectIce, EndOfRemoteCandidates, Gather, IceAgentParts,
        IceCredentials, IceEvent, IceRole, IceState, RestartIce, SelectPair, SendDatagram, SetIceRole,
        SetRemoteIce, start_agent,
    },
};
use futures_util::StreamExt;

use crate::{
    pair::{controlled, controlling, engine},
    runner::run,
};

/// Gathers, and hands every candidate to the other.
async fn gather(from: &mut IceAgentParts, to: &IceAgentParts) {
    from.address.send(Gather).await.unwrap();
    loop {
        match from.events.next().await.unwrap() {
            IceEvent::LocalCandidate(candidate) => {
                to.address.send(AddRemoteCandidate(candidate.as_ref().clone())).await.unwrap();
            }
            IceEvent::GatheringComplete { ufrag } => {
                assert_eq!(ufrag, from.local_credentials.ufrag);
                break;
            }
            event => panic!("{event:?}"),
        }
    }
    to.address.send(EndOfRemoteCandidates).await.unwrap();
}

async fn check(agent: &IceAgentParts, credentials: IceCredentials, role: IceRole) {
    agent.address.send(SetRemoteIce { credentials, lite: false, role }).await.unwrap();
}

async fn until_completed(agent: &mut IceAgentParts) {
    loop {
        if let IceEvent::StateChanged(IceState::Completed) = agent.events.next().await.unwrap() {
            return;
        }
    }
}

#[test]
fn agents_connect_by_messages_alone() {
    run(async {
        let engine = engine().await;
        let mut a = start_agent(&engine, controlling()).await.unwrap();
        let mut b = start_agent(&engine, controlled()).await.unwrap();
        let refused = a.address.send(SendDatagram("too early".into())).await.unwrap();
        assert!(matches!(refused, Err(RtcError::InvalidStateError(_))), "{refused:?}");
        gather(&mut a, &b).await;
        gather(&mut b, &a).await;
        check(&a, b.local_credentials.clone(), IceRole::Controlling).await;
        check(&b, a.local_credentials.clone(), IceRole::Controlled).await;
        until_completed(&mut a).await;
        until_completed(&mut b).await;

        a.address.send(SendDatagram("by message".into())).await.unwrap().unwrap();
        assert_eq!(b.datagrams.recv().await.unwrap(), "by message");
        b.datagrams.send("by queue").await.unwrap();
        assert_eq!(a.datagrams.recv().await.unwrap(), "by queue");
        assert_eq!(b.datagrams.traffic().datagrams_received, 1);

        let known = a.address.send(CollectIce).await.unwrap();
        assert!(known.selected.is_some() && known.role == IceRole::Controlling);

        // A restart of both, and data meanwhile.
        let new = ["restarted+a", "restarted+b"].map(|u| IceCredentials::new(u, "p".repeat(22)).unwrap());
        for (agent, credentials) in [(&mut a, &new[0]), (&mut b, &new[1])] {
            agent.address.send(RestartIce(credentials.clone())).await.unwrap();
            agent.local_credentials = credentials.clone();
        }
        a.address.send(SendDatagram("meanwhile".into())).await.unwrap().unwrap();
        assert_eq!(b.datagrams.recv().await.unwrap(), "meanwhile");

        for agent in [a, b] {
            agent.address.send(CloseIce).await.unwrap();
            let IceAgentParts { mut events, mut datagrams, .. } = agent;
            while events.next().await.is_some() {}
            assert!(datagrams.recv().await.is_none());
        }
    });
}

#[test]
fn a_pair_is_chosen_by_message() {
    run(async {
        let engine = engine().await;
        let mut a = start_agent(&engine, controlling()).await.unwrap();
        let mut b = start_agent(&engine, controlled()).await.unwrap();
        gather(&mut a, &b).await;
        gather(&mut b, &a).await;
        a.address.send(SetIceRole(IceRole::Controlled)).await.unwrap();
        assert_eq!(a.address.send(CollectIce).await.unwrap().role, IceRole::Controlled);
        let foundation = a.address.send(CollectIce).await.unwrap().local[0].foundation.clone();
        let choice =
            || SelectPair { local_foundation: foundation.clone(), remote_foundation: foundation.clone() };
        a.address.send(choice()).await.unwrap().unwrap();
        b.address.send(choice()).await.unwrap().unwrap();
        // The choice takes effect in the agent's next turn.
        while a.address.send(SendDatagram("howdee".into())).await.unwrap().is_err() {}
        assert_eq!(b.datagrams.recv().await.unwrap(), "howdee");
        let error =
            a.address.send(SelectPair { local_foundation: "x".into(), remote_foundation: "y".into() });
        assert!(error.await.unwrap().is_err());
    });
}

#[test]
fn an_agent_that_nobody_holds_ends() {
    run(async {
        let engine = engine().await;
        let IceAgentParts { address, mut events, .. } = start_agent(&engine, controlling()).await.unwrap();
        drop(address);
        while events.next().await.is_some() {}
    });
}
