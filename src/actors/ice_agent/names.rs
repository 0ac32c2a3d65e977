//! Remote candidates whose addresses are hidden behind `.local` names (RFC 6762): looked up on the links of this
//! host, beside the actor, each name once.
//!
//! A7: nothing is asked of the unicast DNS, at most [`MAX_NAMES`] names of one generation are asked for, and the end
//! of the peer's candidates waits for the answers, three seconds at most.

use std::{collections::HashSet, net::SocketAddr};

use super::IceAgent;
use crate::{
    actors::{kit, kit::MeteredContext, network::resolve},
    messages::ice::IceTransportPolicy,
    proto::{
        ice::{Candidate, CandidateAddress, Credentials},
        mdns,
    },
};

/// Names of one generation: one per interface of the peer.
const MAX_NAMES: usize = 16;

/// The names of the peer's current generation.
#[derive(Debug, Default)]
pub(super) struct Names {
    asked: HashSet<(String, u16)>,
    pending: usize,
    /// The peer has no more candidates, but for those being looked up.
    is_ended: bool,
    generation: u32,
}

impl IceAgent {
    /// A new generation of the peer forgets the names of the last.
    pub(super) fn begin_names(&mut self, credentials: &Credentials) {
        if self.agent.remote_credentials().is_some_and(|known| known != credentials) {
            self.forget_names();
        }
    }

    pub(super) fn forget_names(&mut self) {
        let generation = self.names.generation.wrapping_add(1);
        self.names = Names { generation, ..Names::default() };
    }

    /// Adds a candidate of the peer, when its address is known.
    pub(super) fn add_remote(&mut self, candidate: Candidate, ctx: &mut MeteredContext<Self>) {
        if let CandidateAddress::Name { host, port } = &candidate.address {
            let (host, port) = (host.to_ascii_lowercase(), *port);
            return self.look_up_name(candidate, host, port, ctx);
        }
        if let Err(error) = self.agent.add_remote_candidate(kit::now(), candidate) {
            // RFC 8839 §5.1: candidates that can't be used are skipped.
            tracing::debug!(%error, "remote candidate skipped");
        }
    }

    fn look_up_name(
        &mut self,
        candidate: Candidate,
        host: String,
        port: u16,
        ctx: &mut MeteredContext<Self>,
    ) {
        // With relays only, a question to the link would tell it who is called.
        let is_allowed = self.environment.servers.policy == IceTransportPolicy::All && !self.agent.is_lite();
        let names = &mut self.names;
        let is_wanted = is_allowed
            && mdns::is_candidate_name(&host)
            && !names.is_ended
            && names.asked.len() < MAX_NAMES
            && names.asked.insert((host.clone(), port));
        if !is_wanted {
            return tracing::debug!("remote candidate with a name skipped");
        }
        names.pending += 1;
        let generation = names.generation;
        let lookup = async move { resolve(&host).await };
        kit::aside(ctx, lookup, move |actor: &mut Self, found, ctx| {
            if actor.names.generation != generation {
                return;
            }
            actor.names.pending -= 1;
            match found {
                Ok(ip) => {
                    let address = CandidateAddress::Ip(SocketAddr::new(ip, port));
                    actor.add_remote(Candidate { address, ..candidate }, ctx);
                }
                Err(error) => tracing::debug!(%error, "nobody knows the name of a remote candidate"),
            }
            if actor.names.is_ended && actor.names.pending == 0 {
                actor.agent.end_of_remote_candidates(kit::now());
            }
        });
    }

    /// The peer has no more candidates.
    pub(super) fn end_remote(&mut self) {
        self.names.is_ended = true;
        if self.names.pending == 0 {
            self.agent.end_of_remote_candidates(kit::now());
        }
    }
}
