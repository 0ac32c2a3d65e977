//! What the application asks of a connection.

use actix::prelude::*;
use rand::{SeedableRng, rngs::StdRng};

use super::IceConnectionActor;
use crate::{
    messages::{
        error::RtcError,
        ice::{
            AddRemoteCandidate, CloseIce, EndOfRemoteCandidates, Gather, RestartIce, SelectPair, SetRemoteIce,
        },
        ice_connection::{
            AddIceCandidate, CloseComponents, CollectComponents, ComponentStatistics, ConnectComponents,
            GatherComponents, RestartComponents, SelectComponentPair, SetConnectionRole, SetIceCredentials,
            SetIceLite,
        },
        peer_connection::RtcIceGatheringState,
        statistics::CollectIce,
    },
    proto::{
        ice::{Candidate, CandidateKind, Credentials, Role, State},
        sdp::CANDIDATES_MAX,
    },
};

type Reply<T> = Result<T, RtcError>;

fn invalid_state(sentence: &str) -> RtcError {
    RtcError::InvalidStateError(sentence.to_owned())
}

impl IceConnectionActor {
    fn check_open(&self) -> Reply<()> {
        match self.components.state() {
            State::Closed => Err(invalid_state("the connection is closed")),
            _ => Ok(()),
        }
    }

    /// Tells the agents what is known of the peer, once the application has asked to connect.
    fn tell_remote(&mut self) {
        let credentials = self.shown.borrow().remote_credentials.clone();
        let Some(credentials) = credentials.filter(|_| self.is_started) else { return };
        for agent in &self.agents {
            agent.address.do_send(SetRemoteIce {
                credentials: credentials.clone(),
                lite: self.remote_lite,
                role: self.components.role(),
            });
        }
    }

    fn add_candidate(&mut self, candidate: Candidate) -> Reply<()> {
        if candidate.kind == CandidateKind::PeerReflexive {
            tracing::debug!("a peer-reflexive candidate can't be signalled: skipped");
            return Ok(());
        }
        if self.shown.borrow().remote_candidates.len() >= CANDIDATES_MAX {
            return Err(RtcError::OperationError(format!("more than {CANDIDATES_MAX} candidates")));
        }
        if !self.components.handle_remote_candidate(candidate.component) {
            tracing::debug!(component = candidate.component, "candidate of another component skipped");
            return Ok(());
        }
        if !self.shown.borrow().remote_candidates.contains(&candidate) {
            self.show(|shown| shown.remote_candidates.push(candidate.clone()));
            self.tell(candidate.component, |agent| agent.do_send(AddRemoteCandidate(candidate.clone())));
        }
        Ok(())
    }
}

impl Handler<GatherComponents> for IceConnectionActor {
    type Result = Reply<()>;

    fn handle(&mut self, _: GatherComponents, _: &mut Self::Context) -> Self::Result {
        self.check_open()?;
        if !std::mem::replace(&mut self.has_gathered, true) {
            self.show(|shown| shown.gathering_state = RtcIceGatheringState::Gathering);
            for agent in &self.agents {
                agent.address.do_send(Gather);
            }
            self.settle();
        }
        Ok(())
    }
}

impl Handler<AddIceCandidate> for IceConnectionActor {
    type Result = Reply<()>;

    fn handle(&mut self, message: AddIceCandidate, _: &mut Self::Context) -> Self::Result {
        if self.components.state() == State::Closed {
            // A candidate may have been on its way while the connection was closed.
            return Ok(());
        }
        if self.components.has_all_remote_candidates() {
            return Err(invalid_state("the end of candidates was told already"));
        }
        match message.0 {
            Some(candidate) => self.add_candidate(candidate)?,
            None => {
                self.components.end_of_remote_candidates();
                for agent in &self.agents {
                    agent.address.do_send(EndOfRemoteCandidates);
                }
            }
        }
        self.settle();
        Ok(())
    }
}

impl Handler<SetIceCredentials> for IceConnectionActor {
    type Result = Reply<()>;

    fn handle(&mut self, message: SetIceCredentials, _: &mut Self::Context) -> Self::Result {
        self.check_open()?;
        let mut has_restarted = false;
        self.show(|shown| {
            has_restarted = shown.remote_credentials.as_ref().is_some_and(|known| *known != message.0);
            if has_restarted {
                shown.remote_candidates.clear();
            }
            shown.remote_credentials = Some(message.0);
        });
        if has_restarted {
            self.components.forget_remote();
        }
        self.tell_remote();
        self.settle();
        Ok(())
    }
}

impl Handler<SetIceLite> for IceConnectionActor {
    type Result = Reply<()>;

    fn handle(&mut self, message: SetIceLite, _: &mut Self::Context) -> Self::Result {
        self.check_open()?;
        self.remote_lite = message.0;
        if message.0 && !self.lite {
            // RFC 8445 §6.1.1: the full agent facing a lite one is controlling.
            self.components.set_role(Role::Controlling);
        }
        self.tell_remote();
        self.settle();
        Ok(())
    }
}

impl Handler<SetConnectionRole> for IceConnectionActor {
    type Result = Reply<()>;

    fn handle(&mut self, message: SetConnectionRole, _: &mut Self::Context) -> Self::Result {
        self.check_open()?;
        if self.lite && message.0 == Role::Controlling {
            return Err(RtcError::InvalidAccessError("a lite agent is controlled".to_owned()));
        }
        self.components.set_role(message.0);
        self.settle();
        Ok(())
    }
}

impl Handler<ConnectComponents> for IceConnectionActor {
    type Result = Reply<()>;

    fn handle(&mut self, _: ConnectComponents, _: &mut Self::Context) -> Self::Result {
        self.check_open()?;
        if !self.has_gathered {
            return Err(invalid_state("local candidates were not gathered"));
        }
        if self.shown.borrow().remote_credentials.is_none() {
            return Err(invalid_state("the peer's user name or password is missing"));
        }
        if !std::mem::replace(&mut self.is_started, true) {
            self.tell_remote();
        }
        Ok(())
    }
}

impl Handler<RestartComponents> for IceConnectionActor {
    type Result = Reply<Credentials>;

    fn handle(&mut self, _: RestartComponents, _: &mut Self::Context) -> Self::Result {
        self.check_open()?;
        let credentials = Credentials::generate(&mut StdRng::from_os_rng());
        for agent in &self.agents {
            agent.address.do_send(RestartIce(credentials.clone()));
        }
        self.has_gathered = true;
        self.begin_generation(credentials.clone());
        self.settle();
        Ok(credentials)
    }
}

impl Handler<SelectComponentPair> for IceConnectionActor {
    type Result = ResponseFuture<Reply<()>>;

    fn handle(&mut self, message: SelectComponentPair, _: &mut Self::Context) -> Self::Result {
        let SelectComponentPair { component, local_foundation, remote_foundation } = message;
        let agent = self.agents.iter().find(|agent| agent.component == component);
        let selecting =
            agent.map(|agent| agent.address.send(SelectPair { local_foundation, remote_foundation }));
        let is_open = self.check_open();
        Box::pin(async move {
            is_open?;
            match selecting {
                Some(selecting) => match selecting.await {
                    Ok(selected) => selected,
                    Err(_) => Err(invalid_state("the component's agent has ended")),
                },
                None => Err(RtcError::InvalidAccessError(format!("there is no component {component}"))),
            }
        })
    }
}

impl Handler<CollectComponents> for IceConnectionActor {
    type Result = ResponseFuture<Reply<Vec<ComponentStatistics>>>;

    fn handle(&mut self, _: CollectComponents, _: &mut Self::Context) -> Self::Result {
        let asked: Vec<_> = self
            .agents
            .iter()
            .map(|agent| (agent.component, agent.counters.clone(), agent.address.send(CollectIce)))
            .collect();
        Box::pin(async move {
            let mut collected = Vec::new();
            for (component, datagrams, answer) in asked {
                // An agent that is lost has nothing to tell.
                if let Ok(ice) = answer.await {
                    collected.push(ComponentStatistics { component, ice, datagrams });
                }
            }
            Ok(collected)
        })
    }
}

impl Handler<CloseComponents> for IceConnectionActor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: CloseComponents, ctx: &mut Self::Context) -> Self::Result {
        self.components.close();
        self.show(|shown| shown.selected_pairs.clear());
        self.settle();
        let agents: Vec<_> = self.agents.drain(..).collect();
        ctx.stop();
        Box::pin(async move {
            for agent in agents {
                // Lost already: there is nothing to close.
                let _ = agent.address.send(CloseIce).await;
            }
        })
    }
}
