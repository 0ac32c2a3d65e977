//! Names instead of addresses (RFC 6762, draft-ietf-mmusic-mdns-ice-candidates): remote candidates whose addresses are
//! hidden behind `.local` names are looked up on the links of this host, beside the actor, each name once; and own
//! candidates are told by names, if the configuration wants that.
//!
//! A7: nothing is asked of the unicast DNS, at most [`MAX_NAMES`] names of one generation are asked for, and the end
//! of the peer's candidates waits for the answers, three seconds at most.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use super::IceAgent;
use crate::{
    actors::{
        kit,
        kit::MeteredContext,
        network::{HiddenName, resolve},
    },
    messages::ice::IceTransportPolicy,
    proto::{
        ice::{Candidate, CandidateAddress, CandidateKind, Credentials, TcpType},
        mdns,
    },
};

/// Names of one generation: one per interface of the peer.
const MAX_NAMES: usize = 16;
/// Candidates of one name: one per protocol, and some for peers with several components.
const MAX_CANDIDATES: usize = 8;

/// What is known of a name of the peer.
#[derive(Debug)]
enum Lookup {
    /// These wait for the answer.
    Pending(Vec<Candidate>),
    Found(IpAddr),
    Unknown,
}

/// The names of the peer's current generation, and those of our addresses.
#[derive(Debug, Default)]
pub(super) struct Names {
    lookups: HashMap<String, Lookup>,
    /// The peer has no more candidates, but for those being looked up.
    is_ended: bool,
    generation: u32,
    /// Of our own: one per address as long as the agent lives, whatever is restarted.
    own: HashMap<IpAddr, HiddenName>,
}

impl Names {
    fn is_pending(&self) -> bool {
        self.lookups.values().any(|lookup| matches!(lookup, Lookup::Pending(_)))
    }
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
        let own = std::mem::take(&mut self.names.own);
        self.names = Names { generation, own, ..Names::default() };
    }

    /// Adds a candidate of the peer, when its address is known.
    pub(super) fn add_remote(&mut self, candidate: Candidate, ctx: &mut MeteredContext<Self>) {
        if let CandidateAddress::Name { host, .. } = &candidate.address {
            let host = host.to_ascii_lowercase();
            return self.look_up_name(candidate, host, ctx);
        }
        if let Err(error) = self.agent.add_remote_candidate(kit::now(), candidate) {
            // RFC 8839 §5.1: candidates that can't be used are skipped.
            tracing::debug!(%error, "remote candidate skipped");
        }
    }

    fn look_up_name(&mut self, candidate: Candidate, host: String, ctx: &mut MeteredContext<Self>) {
        // With relays only, a question to the link would tell it who is called. Nobody sends to active candidates.
        let is_allowed = self.environment.servers.policy == IceTransportPolicy::All
            && !self.agent.is_lite()
            && candidate.tcp_type != Some(TcpType::Active);
        let names = &mut self.names;
        let is_room = names.lookups.len() < MAX_NAMES;
        match names.lookups.get_mut(&host) {
            _ if !is_allowed || names.is_ended || !mdns::is_candidate_name(&host) => {}
            Some(Lookup::Pending(waiting)) if waiting.len() < MAX_CANDIDATES => {
                return waiting.push(candidate);
            }
            Some(Lookup::Found(ip)) => {
                let ip = *ip;
                return self.add_remote(with_address(candidate, ip), ctx);
            }
            Some(Lookup::Pending(_) | Lookup::Unknown) => {}
            None if is_room => {
                names.lookups.insert(host.clone(), Lookup::Pending(vec![candidate]));
                return self.ask_for_name(host, ctx);
            }
            None => {}
        }
        tracing::debug!("remote candidate with a name skipped");
    }

    fn ask_for_name(&self, host: String, ctx: &mut MeteredContext<Self>) {
        let generation = self.names.generation;
        let name = host.clone();
        let lookup = async move { resolve(&name).await };
        kit::aside(ctx, lookup, move |actor: &mut Self, found, ctx| {
            if actor.names.generation != generation {
                return;
            }
            let known = match &found {
                Ok(ip) => Lookup::Found(*ip),
                Err(_) => Lookup::Unknown,
            };
            let waiting = match (actor.names.lookups.insert(host, known), found) {
                (Some(Lookup::Pending(waiting)), Ok(ip)) => {
                    waiting.into_iter().map(|candidate| with_address(candidate, ip)).collect()
                }
                (_, Err(error)) => {
                    tracing::debug!(%error, "nobody knows the name of a remote candidate");
                    Vec::new()
                }
                _ => Vec::new(),
            };
            for candidate in waiting {
                actor.add_remote(candidate, ctx);
            }
            if actor.names.is_ended && !actor.names.is_pending() {
                actor.agent.end_of_remote_candidates(kit::now());
            }
        });
    }

    /// The peer has no more candidates.
    pub(super) fn end_remote(&mut self) {
        self.names.is_ended = true;
        if !self.names.is_pending() {
            self.agent.end_of_remote_candidates(kit::now());
        }
    }

    /// A candidate of ours as the peer is told of it: with a name instead of an address of this host, where that is
    /// wanted. `None` if it would need a name and can't have one.
    pub(super) fn as_told(&mut self, candidate: Arc<Candidate>) -> Option<Arc<Candidate>> {
        if !self.environment.network.hide_host_addresses {
            return Some(candidate);
        }
        if candidate.kind != CandidateKind::Host {
            // What a server or a translation shows may be told; what is behind it not.
            return Some(Arc::new(Arc::unwrap_or_clone(candidate).without_related_address()));
        }
        let (address, base) = (candidate.address.ip()?, candidate.base()?);
        if address.ip() != base.ip() {
            return Some(candidate);
        }
        let host = match self.names.own.entry(address.ip()) {
            Entry::Occupied(known) => known.get().name().to_owned(),
            Entry::Vacant(vacant) => match HiddenName::new(address.ip()) {
                Ok(name) => vacant.insert(name).name().to_owned(),
                Err(error) => {
                    tracing::warn!(%error, "an address is not offered: it can't be hidden");
                    return None;
                }
            },
        };
        let mut candidate = Arc::unwrap_or_clone(candidate);
        candidate.base = Some(base);
        candidate.address = CandidateAddress::Name { host, port: address.port() };
        Some(Arc::new(candidate))
    }
}

/// A candidate whose name is known now.
fn with_address(candidate: Candidate, ip: IpAddr) -> Candidate {
    let port = match &candidate.address {
        CandidateAddress::Ip(address) => address.port(),
        CandidateAddress::Name { port, .. } => *port,
    };
    Candidate { address: CandidateAddress::Ip(SocketAddr::new(ip, port)), ..candidate }
}
