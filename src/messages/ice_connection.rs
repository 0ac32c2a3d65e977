//! The conversation between the handle of a stand-alone ICE connection and the actor behind it, the parent of
//! one `IceAgent` for each component.

use std::sync::{Arc, atomic::AtomicU64};

use actix::Message;

use super::{
    error::RtcError,
    ice::{CandidateError, CandidatePair},
    peer_connection::RtcIceGatheringState,
    statistics::IceStatistics,
};
use crate::proto::ice::{Candidate, Credentials, Role, State};

/// What every request answers.
type Reply<T> = Result<T, RtcError>;

/// What getters read: written by the actor after every change.
#[derive(Debug, Clone)]
pub struct IceConnectionSnapshot {
    /// Of all components together.
    pub state: State,
    /// Who nominates.
    pub role: Role,
    /// Whether candidates may still come.
    pub gathering_state: RtcIceGatheringState,
    /// The components that are left.
    pub components: Vec<u8>,
    /// Ours of the credentials in force.
    pub local_candidates: Vec<Candidate>,
    /// The peer's, as signalled.
    pub remote_candidates: Vec<Candidate>,
    /// Our credentials.
    pub local_credentials: Credentials,
    /// The peer's credentials.
    pub remote_credentials: Option<Credentials>,
    /// The pair in use of each component that has one.
    pub selected_pairs: Vec<(u8, Box<CandidatePair>)>,
    /// A pair was selected at some time: before, there is nothing to be received.
    pub was_connected: bool,
}

impl IceConnectionSnapshot {
    /// The pair that a component uses.
    pub fn selected_pair(&self, component: u8) -> Option<&CandidatePair> {
        self.selected_pairs.iter().find(|(of, _)| *of == component).map(|(_, pair)| &**pair)
    }
}

/// What went through one component; written by the agent and by the handle.
#[derive(Debug, Default)]
pub struct DatagramCounters {
    /// Datagrams handed to the shard's send queue.
    pub sent: AtomicU64,
    /// Bytes in them.
    pub bytes_sent: AtomicU64,
    /// Datagrams that were accepted and then could not be sent: the pair was lost meanwhile, or the shard's
    /// send queue was full.
    pub send_dropped: AtomicU64,
    /// Datagrams taken by the application.
    pub received: AtomicU64,
    /// Bytes in them.
    pub bytes_received: AtomicU64,
    /// Datagrams that fell out of the queue because the application did not take them.
    pub receive_dropped: AtomicU64,
}

/// What one component knows.
#[derive(Debug, Clone)]
pub struct ComponentStatistics {
    /// Which one.
    pub component: u8,
    /// Candidates and pairs.
    pub ice: IceStatistics,
    /// What went through it.
    pub datagrams: Arc<DatagramCounters>,
}

/// Handle → `IceConnectionActor`, control: gather, once.
#[derive(Debug, Message)]
#[rtype(result = "Reply<()>")]
pub struct GatherComponents;

/// Handle → `IceConnectionActor`, control: a candidate of the peer; `None`: there are no more.
#[derive(Debug, Message)]
#[rtype(result = "Reply<()>")]
pub struct AddIceCandidate(pub Option<Candidate>);

/// Handle → `IceConnectionActor`, control: the peer's credentials. After [`ConnectComponents`] others than before
/// are the peer's half of an ICE restart.
#[derive(Debug, Message)]
#[rtype(result = "Reply<()>")]
pub struct SetIceCredentials(pub Credentials);

/// Handle → `IceConnectionActor`, control: the peer is a lite agent, and so we nominate.
#[derive(Debug, Message)]
#[rtype(result = "Reply<()>")]
pub struct SetIceLite(pub bool);

/// Handle → `IceConnectionActor`, control: who nominates.
#[derive(Debug, Message)]
#[rtype(result = "Reply<()>")]
pub struct SetConnectionRole(pub Role);

/// Handle → `IceConnectionActor`, control: begin to check.
#[derive(Debug, Message)]
#[rtype(result = "Reply<()>")]
pub struct ConnectComponents;

/// Handle → `IceConnectionActor`, control: an ICE restart; answers the new credentials.
#[derive(Debug, Message)]
#[rtype(result = "Reply<Credentials>")]
pub struct RestartComponents;

/// Handle → `IceConnectionActor`, control: use this pair, whatever the checks say.
#[derive(Debug, Message)]
#[rtype(result = "Reply<()>")]
pub struct SelectComponentPair {
    /// Of which component.
    pub component: u8,
    /// The foundation of a local candidate.
    pub local_foundation: String,
    /// The foundation of a candidate of the peer.
    pub remote_foundation: String,
}

/// Handle → `IceConnectionActor`, control.
#[derive(Debug, Message)]
#[rtype(result = "Reply<Vec<ComponentStatistics>>")]
pub struct CollectComponents;

/// Handle → `IceConnectionActor`, control: end everything; answered when relays are given back.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct CloseComponents;

/// `IceConnectionActor` → handle: bounded, oldest dropped.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum IceConnectionEvent {
    /// A candidate to signal, as it is found.
    LocalCandidate(Candidate),
    /// There are no more local candidates, of any component.
    GatheringComplete,
    /// A server gave no candidate; gathering goes on.
    CandidateError(CandidateError),
    /// The state of all components together.
    StateChanged(State),
    /// A component has another pair, or none any more: then nothing may be sent (RFC 7675).
    SelectedPairChanged {
        /// Which component.
        component: u8,
        /// Its pair.
        pair: Option<Box<CandidatePair>>,
    },
    /// Who nominates was decided anew: a role conflict, or a peer that is lite.
    RoleChanged(Role),
    /// The peer does not have this component.
    ComponentRemoved(u8),
    /// A panic cost the connection its checks: signal these credentials, as after a restart.
    RestartNeeded(Credentials),
    /// Part of it is lost; a sentence for people.
    Failure(String),
}
