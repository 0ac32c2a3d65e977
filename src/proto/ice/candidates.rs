//! Taking candidates in: local ones from gathering, remote ones from signalling, peer-reflexive ones
//! from checks (RFC 8445 sections 5.1, 6.1.2 and 7.3.1.3; RFC 8838).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::address;
use super::agent::Agent;
use super::candidate::{Candidate, CandidateAddress, CandidateKind, TcpType};
use super::error::{IceError, Rejected};
use super::pair::{Pair, PairId};
use super::path::Path;
use crate::proto::Protocol;

/// Most local candidates: a host with dozens of addresses gains nothing from more.
const MAX_LOCAL_CANDIDATES: usize = 64;

/// Most remote candidates of one generation: with one local candidate as many pairs as the check list
/// holds by default.
const MAX_REMOTE_CANDIDATES: usize = 100;

impl Agent {
    /// Adds a local candidate and returns it as stored: canonical address, with the local ufrag. Adding
    /// one twice is harmless. Which addresses are offered (loopback, private) is the caller's decision.
    pub fn add_local_candidate(
        &mut self,
        now: Instant,
        candidate: Candidate,
    ) -> Result<Arc<Candidate>, IceError> {
        let mut candidate = self.admit(candidate.for_component(self.component))?;
        let (Some(to), Some(base)) = (candidate.address.ip(), candidate.base()) else {
            return Err(IceError::UnresolvedName);
        };
        candidate.base = candidate.base.map(address::canonical);
        if !address::is_endpoint(to) || !address::is_endpoint(base) {
            return Err(IceError::ForbiddenAddress);
        }
        candidate.ufrag = Some(self.local_credentials().ufrag.clone());
        let candidate = Arc::new(candidate);
        let known = self.local_candidates.iter().position(|known| {
            known.is_at(candidate.protocol, to) && known.has_base(candidate.protocol, base)
        });
        match known {
            Some(index) if self.local_candidates[index].kind != CandidateKind::PeerReflexive => {
                return Ok(Arc::clone(&self.local_candidates[index]));
            }
            // Gathering was slower than a check: now the candidate is known better.
            Some(index) => self.local_candidates[index] = Arc::clone(&candidate),
            None if self.local_candidates.len() >= MAX_LOCAL_CANDIDATES => {
                return Err(IceError::TooManyCandidates);
            }
            None => self.local_candidates.push(Arc::clone(&candidate)),
        }
        self.pair_all(now);
        self.update_state();
        Ok(candidate)
    }

    /// A local socket, or a relay, is gone: its candidates and pairs go. A selected pair stays until its
    /// consent ends, for the peer may still nominate another; but the agent is disconnected at once.
    pub fn remove_local_base(&mut self, now: Instant, protocol: Protocol, base: SocketAddr) {
        let base = address::canonical(base);
        self.local_candidates.retain(|candidate| !candidate.has_base(protocol, base));
        let selected = self.selected.as_ref().map(|selected| selected.id);
        self.list.retain(|pair| {
            pair.protocol != protocol || !address::same(pair.base, base) || Some(pair.id) == selected
        });
        let is_selected = self
            .selected_list_pair()
            .is_some_and(|pair| pair.protocol == protocol && address::same(pair.base, base));
        if let Some(selected) = self.selected.as_mut().filter(|_| is_selected) {
            selected.consent.doubt();
        }
        self.drop_orphans();
        self.fail_if_hopeless(now);
        self.update_state();
    }

    /// Says that gathering is finished.
    pub fn end_of_local_candidates(&mut self) {
        self.end_of_local_candidates = true;
        self.update_state();
    }

    /// Adds a candidate from signalling. One that can't be used is refused with the reason and harms
    /// nothing.
    pub fn add_remote_candidate(&mut self, now: Instant, candidate: Candidate) -> Result<(), IceError> {
        let candidate = self.admit(candidate)?;
        let Some(to) = candidate.address.ip() else { return Err(IceError::UnresolvedName) };
        // Nobody sends to an active candidate.
        let is_sent_to = candidate.tcp_type != Some(TcpType::Active);
        if !address::is_endpoint(to) || (is_sent_to && !address::is_signalled_port_allowed(to)) {
            return Err(IceError::ForbiddenAddress);
        }
        if let (Some(ufrag), Some(remote)) = (&candidate.ufrag, self.remote_credentials())
            && *ufrag != remote.ufrag
        {
            return Err(IceError::StaleCandidate);
        }
        if self.end_of_remote_candidates {
            return Err(IceError::AfterEndOfCandidates);
        }
        let candidate = Candidate { base: None, ..candidate };
        match self.remote_candidate_at(candidate.protocol, to) {
            Some(index) => self.upgrade(index, candidate),
            None => {
                self.store_remote(candidate).map_err(|_| IceError::TooManyCandidates)?;
                self.pair_all(now);
            }
        }
        self.update_state();
        Ok(())
    }

    /// Says that the peer has no more candidates for this generation (RFC 8838 section 13).
    pub fn end_of_remote_candidates(&mut self, now: Instant) {
        self.end_of_remote_candidates = true;
        self.fail_if_hopeless(now);
        self.update_state();
    }

    /// What local and remote candidates have to satisfy alike.
    fn admit(&self, mut candidate: Candidate) -> Result<Candidate, IceError> {
        if self.closed {
            return Err(IceError::Closed);
        }
        if candidate.component != self.component {
            return Err(IceError::WrongComponent);
        }
        if let CandidateAddress::Ip(address) = &mut candidate.address {
            *address = address::canonical(*address);
        }
        Ok(candidate)
    }

    pub(super) fn remote_candidate_at(&self, protocol: Protocol, address: SocketAddr) -> Option<usize> {
        self.remote_candidates.iter().position(|known| known.is_at(protocol, address))
    }

    /// The index of the local candidate datagrams from `base` belong to; of several the one of highest
    /// priority.
    pub(super) fn local_candidate_with_base(&self, protocol: Protocol, base: SocketAddr) -> Option<usize> {
        let is_of_base = |candidate: &Candidate| {
            candidate.kind != CandidateKind::PeerReflexive && candidate.has_base(protocol, base)
        };
        (0..self.local_candidates.len())
            .filter(|index| is_of_base(&self.local_candidates[*index]))
            .max_by_key(|index| self.local_candidates[*index].priority)
    }

    /// RFC 8838 section 11.4: a signalled candidate takes the place of the peer-reflexive one at the
    /// same address; any other repetition is ignored.
    fn upgrade(&mut self, index: usize, candidate: Candidate) {
        if self.remote_candidates[index].kind != CandidateKind::PeerReflexive {
            return;
        }
        let Some(remote) = candidate.address.ip() else { return };
        let (role, local_candidates) = (self.role, &self.local_candidates);
        let protocol = candidate.protocol;
        let is_of_it = |pair: &&mut Pair| pair.protocol == protocol && address::same(pair.remote, remote);
        for pair in self.list.iter_mut().filter(is_of_it) {
            let local =
                local_candidates.iter().find(|local| local.has_base(protocol, pair.base)).map(AsRef::as_ref);
            pair.upgrade_remote(role, local, &candidate);
        }
        self.remote_candidates[index] = candidate;
    }

    /// Stores a remote candidate; when the table is full, the oldest peer-reflexive one that is not in
    /// use makes room.
    fn store_remote(&mut self, candidate: Candidate) -> Result<(), Rejected> {
        if self.remote_candidates.len() >= MAX_REMOTE_CANDIDATES {
            let oldest = self
                .remote_candidates
                .iter()
                .position(|known| known.kind == CandidateKind::PeerReflexive && !self.is_in_use(known))
                .ok_or(Rejected::TableFull)?;
            let gone = self.remote_candidates.remove(oldest);
            self.list.retain(|pair| !gone.is_at(pair.protocol, pair.remote));
            self.drop_orphans();
        }
        // One at a time: most peers have a few, and tables grow to four at once.
        self.remote_candidates.reserve_exact(1);
        self.remote_candidates.push(candidate);
        Ok(())
    }

    /// Whether a pair with this remote candidate is selected or, before the decision, works.
    fn is_in_use(&self, remote: &Candidate) -> bool {
        let concluded = self.selected.as_ref().filter(|_| self.is_concluded()).map(|selected| selected.id);
        self.list.pairs().iter().any(|pair| {
            let is_needed = match concluded {
                Some(selected) => pair.id == selected,
                None => pair.is_valuable(),
            };
            is_needed && remote.is_at(pair.protocol, pair.remote)
        })
    }

    /// Forms the pairs that are missing, once the generation can be checked and as long as no pair of
    /// it is selected (RFC 8445 section 8.1.2: what comes after the decision is not paired).
    pub(super) fn pair_all(&mut self, now: Instant) {
        if self.lite || self.generation.remote.is_none() || self.is_concluded() || self.failed {
            return;
        }
        for local in 0..self.local_candidates.len() {
            if self.local_candidates[local].kind == CandidateKind::PeerReflexive {
                continue;
            }
            for remote in 0..self.remote_candidates.len() {
                if self.local_candidates[local].may_open(&self.remote_candidates[remote]) {
                    self.pair(local, remote);
                }
            }
        }
        self.drop_orphans();
        self.wake(now);
    }

    /// Forms one pair, unless it exists, makes no sense, or the list is full of better ones.
    fn pair(&mut self, local: usize, remote: usize) -> Option<PairId> {
        let (local, remote) = (self.local_candidates.get(local)?, self.remote_candidates.get(remote)?);
        let path = Path { protocol: local.protocol, local: local.base()?, remote: remote.address.ip()? };
        if let Some(pair) = self.list.on(path).filter(|_| local.protocol == remote.protocol) {
            return Some(pair.id);
        }
        let id = self.list.fresh_id();
        let pair = Pair::form(id, self.role, local, remote)?;
        let in_use = self.selected.as_ref().filter(|_| self.is_concluded()).map(|selected| selected.id);
        self.list.insert(pair, in_use).then_some(id)
    }

    /// Forgets the transactions of pairs that are gone.
    pub(super) fn drop_orphans(&mut self) {
        let (list, previous) = (&self.list, &self.previous);
        self.transactions.retain(|transaction| {
            list.get(transaction.pair).is_some()
                || previous.as_ref().is_some_and(|previous| previous.pair.id == transaction.pair)
        });
    }

    /// The pair a check from `remote` to `base` belongs to; learns the remote candidate if it is new
    /// (RFC 8445 sections 7.3.1.3 and 7.3.1.4).
    pub(super) fn pair_of_check(&mut self, path: Path, priority: u32) -> Result<PairId, Rejected> {
        if let Some(pair) = self.list.on(path) {
            return Ok(pair.id);
        }
        let Path { protocol, local, remote } = path;
        let index = match self.remote_candidate_at(protocol, remote) {
            Some(index) => index,
            None => {
                self.discovered = self.discovered.wrapping_add(1);
                let number = (self.component, self.discovered);
                let candidate = Candidate::peer_reflexive(protocol, remote, None, priority, number);
                self.store_remote(candidate)?;
                self.remote_candidates.len() - 1
            }
        };
        let local = self.local_candidate_with_base(protocol, local).ok_or(Rejected::UnknownLocalAddress)?;
        let id = self.pair(local, index).ok_or(Rejected::TableFull);
        self.drop_orphans();
        id
    }

    /// A response told an address of ours that no candidate has (RFC 8445 section 7.2.5.3.1).
    pub(super) fn discover_local(&mut self, mapped: SocketAddr, path: Path, priority: u32) {
        let mapped = address::canonical(mapped);
        let is_known = self.local_candidates.iter().any(|known| known.is_at(path.protocol, mapped));
        if is_known || !address::is_endpoint(mapped) || self.local_candidates.len() >= MAX_LOCAL_CANDIDATES {
            return;
        }
        self.discovered = self.discovered.wrapping_add(1);
        let number = (self.component, self.discovered);
        let mut candidate =
            Candidate::peer_reflexive(path.protocol, mapped, Some(path.local), priority, number);
        candidate.ufrag = Some(self.local_credentials().ufrag.clone());
        self.local_candidates.push(Arc::new(candidate));
    }
}
