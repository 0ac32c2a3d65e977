//! Candidates of this host (RFC 8445 section 5.1.1.1, RFC 6544 section 5.1): its addresses as they are now, with what
//! the configuration says of translations and of TCP.

use std::{
    collections::HashSet,
    net::{IpAddr, SocketAddr},
    time::Instant,
};

use super::IceAgent;
use crate::{
    actors::network::{HostAddress, MappedCandidate, local_preference},
    proto::{
        Protocol,
        ice::{Candidate, CandidateKind, TcpType},
    },
};

impl IceAgent {
    /// Offers the addresses that are there, and withdraws those that are there no more.
    pub(super) fn gather_hosts(&mut self, now: Instant) {
        let addresses = match self.environment.watch.host_addresses(now, &self.environment.network) {
            Ok(addresses) => addresses,
            Err(error) => return tracing::warn!(%error, "the host's addresses can't be listed"),
        };
        let present: HashSet<IpAddr> = addresses.iter().map(|address| address.internal).collect();
        self.forget_direct_candidates(now, |base| !present.contains(&base.ip()));
        for (index, address) in addresses.into_iter().enumerate() {
            self.offer_udp(now, address, local_preference(index));
            self.offer_tcp(now, address, local_preference(index));
        }
    }

    fn offer_udp(&mut self, now: Instant, address: HostAddress, preference: u16) {
        let Some(base) = self.environment.sockets.address_of(address.internal) else { return };
        if !self.gatherer.bases.contains(&base) {
            self.gatherer.bases.push(base);
        }
        let external = address.mapping.map(|(ip, kind)| (SocketAddr::new(ip, base.port()), kind));
        match external {
            Some((external, MappedCandidate::Host)) => {
                self.offer(now, Candidate::mapped_host(external, base, preference));
            }
            Some((external, MappedCandidate::ServerReflexive)) => {
                self.offer(now, Candidate::host(base, preference));
                self.offer(now, Candidate::server_reflexive(external, base, preference));
            }
            None => self.offer(now, Candidate::host(base, preference)),
        }
    }

    fn offer_tcp(&mut self, now: Instant, address: HostAddress, preference: u16) {
        let base = SocketAddr::new(address.internal, 0);
        if self.environment.network.tcp.is_active() && !self.agent.is_lite() {
            self.offer(
                now,
                match address.mapping {
                    // The peer does not learn the internal address.
                    Some((ip, MappedCandidate::Host)) => {
                        let external = SocketAddr::new(ip, 0);
                        Candidate::tcp_mapped(
                            CandidateKind::Host,
                            TcpType::Active,
                            external,
                            base,
                            preference,
                        )
                    }
                    // Nobody connects to it: another address besides would be of no use.
                    _ => Candidate::tcp_host(TcpType::Active, base, preference),
                },
            );
        }
        let Some(base) = self.environment.sockets.listening_address_of(address.internal) else { return };
        let external = address.mapping.map(|(ip, kind)| (SocketAddr::new(ip, base.port()), kind));
        let passive = TcpType::Passive;
        let mapped = |external, kind| Candidate::tcp_mapped(kind, passive, external, base, preference);
        match external {
            Some((external, MappedCandidate::Host)) => self.offer(now, mapped(external, CandidateKind::Host)),
            Some((external, MappedCandidate::ServerReflexive)) => {
                self.offer(now, Candidate::tcp_host(passive, base, preference));
                self.offer(now, mapped(external, CandidateKind::ServerReflexive));
            }
            None => self.offer(now, Candidate::tcp_host(passive, base, preference)),
        }
    }

    /// Withdraws the candidates of own sockets that are not wanted any more: the policy may be stricter than it was
    /// before the restart, or an interface is gone.
    pub(super) fn forget_direct_candidates(
        &mut self,
        now: Instant,
        is_unwanted: impl Fn(SocketAddr) -> bool,
    ) {
        let local = self.agent.local_candidates().iter();
        let direct: HashSet<(Protocol, SocketAddr)> =
            local.filter_map(|candidate| Some((candidate.protocol, candidate.base()?))).collect();
        for (protocol, base) in direct {
            if is_unwanted(base) && self.environment.sockets.find_relayed(protocol, base).is_none() {
                self.agent.remove_local_base(now, protocol, base);
            }
        }
    }
}
