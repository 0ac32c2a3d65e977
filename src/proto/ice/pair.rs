//! Candidate pairs (RFC 8445 sections 6.1.2.3 to 6.1.2.6).
//!
//! A pair is a base and a remote address: a server-reflexive candidate is sent from its base, so the
//! pair it would form is the one of its base (section 6.1.2.4), and a local peer-reflexive candidate
//! found by a check has the base the check was sent from.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::address;
use super::candidate::{Candidate, CandidateKind};
use super::config::Role;
use super::path::Path;
use crate::proto::Protocol;
use crate::proto::stun::TransactionId;

/// Names a pair within its agent, over all generations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PairId(pub(super) u32);

impl std::fmt::Display for PairId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The state of a pair:
///
/// ```text
/// Frozen ──▶ Waiting ──▶ InProgress ──▶ Succeeded
///               ▲             │
///               └── Failed ◀──┘    (a check from the peer wakes a failed pair)
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PairState {
    /// Waits for another pair of its foundation.
    Frozen,
    /// May be checked next.
    Waiting,
    /// A check is under way.
    InProgress,
    /// A check was answered: the pair is valid.
    Succeeded,
    /// No answer, or one that rules the pair out.
    Failed,
}

/// The pair that carries the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SelectedPair {
    /// How datagrams go.
    pub protocol: Protocol,
    /// The local socket to send from.
    pub local: SocketAddr,
    /// Where to send.
    pub remote: SocketAddr,
    /// Kind of the local candidate.
    pub local_kind: CandidateKind,
    /// Kind of the remote candidate.
    pub remote_kind: CandidateKind,
    /// Names the pair in [`super::Agent::pairs`].
    pub id: PairId,
}

/// What is known about a pair, for statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PairStatistics {
    /// The pair.
    pub id: PairId,
    /// How datagrams go.
    pub protocol: Protocol,
    /// The local socket.
    pub local: SocketAddr,
    /// The remote address.
    pub remote: SocketAddr,
    /// Kind of the local candidate.
    pub local_kind: CandidateKind,
    /// Kind of the remote candidate.
    pub remote_kind: CandidateKind,
    /// Its state.
    pub state: PairState,
    /// Its priority.
    pub priority: u64,
    /// Whether it was nominated.
    pub nominated: bool,
    /// What was counted.
    pub counters: PairCounters,
}

/// Counters of a pair, as W3C webrtc-stats names them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PairCounters {
    /// Checks sent, retransmissions included.
    pub requests_sent: u32,
    /// Checks received, retransmissions included.
    pub requests_received: u32,
    /// Answers sent.
    pub responses_sent: u32,
    /// Valid answers received.
    pub responses_received: u32,
    /// Consent checks sent; also counted in `requests_sent`.
    pub consent_requests_sent: u32,
    /// The latest round trip that could be measured.
    pub current_round_trip: Option<Duration>,
    /// The sum of all measured round trips.
    pub total_round_trip: Duration,
    /// How many were measured.
    pub round_trip_measurements: u32,
}

/// A pair of the check list.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) id: PairId,
    pub(super) protocol: Protocol,
    pub(super) base: SocketAddr,
    pub(super) remote: SocketAddr,
    pub(super) local_kind: CandidateKind,
    pub(super) remote_kind: CandidateKind,
    pub(super) local_priority: u32,
    pub(super) remote_priority: u32,
    /// PRIORITY of the checks sent on it.
    pub(super) check_priority: u32,
    pub(super) priority: u64,
    /// The foundation of the pair: a hash over both foundations. A collision only unfreezes early.
    pub(super) foundation: u64,
    pub(super) state: PairState,
    pub(super) nominated: bool,
    /// The peer's check with USE-CANDIDATE that came before this pair succeeded
    /// (RFC 8445 section 7.3.1.5).
    pub(super) nominated_by: Option<TransactionId>,
    pub(super) last_response: Option<Instant>,
    pub(super) counters: PairCounters,
}

impl Pair {
    /// Pairs two candidates, if datagrams between them make sense.
    pub(super) fn form(id: PairId, role: Role, local: &Candidate, remote: &Candidate) -> Option<Self> {
        let (base, to) = (local.base()?, remote.address.ip()?);
        if !address::can_pair(base, to) || local.protocol != remote.protocol {
            return None;
        }
        let mut pair = Self {
            id,
            protocol: local.protocol,
            base,
            remote: address::with_scope_of(to, base),
            local_kind: local.kind,
            remote_kind: remote.kind,
            local_priority: local.priority,
            remote_priority: remote.priority,
            check_priority: local.check_priority(),
            priority: 0,
            foundation: foundation(local, remote),
            state: PairState::Frozen,
            nominated: false,
            nominated_by: None,
            last_response: None,
            counters: PairCounters::default(),
        };
        pair.prioritise(role);
        Some(pair)
    }

    /// The remote candidate is known better now: RFC 8838 section 11.4, a signalled candidate replaces
    /// the peer-reflexive one.
    pub(super) fn upgrade_remote(&mut self, role: Role, local: Option<&Candidate>, remote: &Candidate) {
        self.remote_kind = remote.kind;
        self.remote_priority = remote.priority;
        if let Some(local) = local {
            self.foundation = foundation(local, remote);
        }
        self.prioritise(role);
    }

    /// RFC 8445 section 6.1.2.3.
    pub(super) fn prioritise(&mut self, role: Role) {
        let (controlling, controlled) = match role {
            Role::Controlling => (self.local_priority, self.remote_priority),
            Role::Controlled => (self.remote_priority, self.local_priority),
        };
        let (controlling, controlled) = (u64::from(controlling), u64::from(controlled));
        self.priority = (controlling.min(controlled) << 32)
            + 2 * controlling.max(controlled)
            + u64::from(controlling > controlled);
    }

    pub(super) fn is_on(&self, path: Path) -> bool {
        self.path().is_same(path)
    }

    pub(super) fn path(&self) -> Path {
        Path { protocol: self.protocol, local: self.base, remote: self.remote }
    }

    /// Whether no TURN server stands between, as far as is known.
    pub(super) fn is_direct(&self) -> bool {
        self.local_kind != CandidateKind::Relayed && self.remote_kind != CandidateKind::Relayed
    }

    /// Whether the pair works or is about to be used.
    pub(super) fn is_valuable(&self) -> bool {
        self.state == PairState::Succeeded || self.nominated || self.nominated_by.is_some()
    }

    pub(super) fn measured(&mut self, round_trip: Duration) {
        self.counters.current_round_trip = Some(round_trip);
        self.counters.total_round_trip += round_trip;
        self.counters.round_trip_measurements += 1;
    }

    pub(super) fn selected(&self) -> SelectedPair {
        SelectedPair {
            protocol: self.protocol,
            local: self.base,
            remote: self.remote,
            local_kind: self.local_kind,
            remote_kind: self.remote_kind,
            id: self.id,
        }
    }

    pub(super) fn statistics(&self) -> PairStatistics {
        PairStatistics {
            id: self.id,
            protocol: self.protocol,
            local: self.base,
            remote: self.remote,
            local_kind: self.local_kind,
            remote_kind: self.remote_kind,
            state: self.state,
            priority: self.priority,
            nominated: self.nominated,
            counters: self.counters,
        }
    }
}

fn foundation(local: &Candidate, remote: &Candidate) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&local.foundation, &remote.foundation).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(role: Role) -> Pair {
        let local = Candidate::host("192.0.2.1:5000".parse().unwrap(), 10);
        let remote = Candidate::host("192.0.2.2:5000".parse().unwrap(), 20);
        Pair::form(PairId(0), role, &local, &remote).unwrap()
    }

    #[test]
    fn both_sides_compute_the_same_priority() {
        let (g, d) = (pair(Role::Controlling).local_priority, pair(Role::Controlling).remote_priority);
        let expected = (u64::from(g.min(d)) << 32) + 2 * u64::from(g.max(d)) + u64::from(g > d);
        assert_eq!(pair(Role::Controlling).priority, expected);
        let mut mirrored = pair(Role::Controlled);
        std::mem::swap(&mut mirrored.local_priority, &mut mirrored.remote_priority);
        mirrored.prioritise(Role::Controlled);
        assert_eq!(mirrored.priority, expected);
    }

    #[test]
    fn families_do_not_mix() {
        let local = Candidate::host("192.0.2.1:5000".parse().unwrap(), 10);
        let remote = Candidate::host("[2001:db8::1]:5000".parse().unwrap(), 20);
        assert!(Pair::form(PairId(0), Role::Controlling, &local, &remote).is_none());
    }

    #[test]
    fn a_link_local_pair_takes_the_interface_of_its_base() {
        let local = Candidate::host("[fe80::1%4]:5000".parse().unwrap(), 10);
        let remote = Candidate::host("[fe80::2]:5000".parse().unwrap(), 20);
        let pair = Pair::form(PairId(0), Role::Controlling, &local, &remote).unwrap();
        assert_eq!(pair.remote, "[fe80::2%4]:5000".parse().unwrap());
        let seen = Path {
            protocol: Protocol::Udp,
            local: "[fe80::1%4]:5000".parse().unwrap(),
            remote: "[fe80::2%4]:5000".parse().unwrap(),
        };
        assert!(pair.is_on(seen));
        assert!(!pair.is_on(Path { protocol: Protocol::Tcp, ..seen }));
    }
}
