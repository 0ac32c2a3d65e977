//! The ICE agent (RFC 8445), with trickle (RFC 8838), patient failing (RFC 8863) and consent freshness
//! (RFC 7675).
//!
//! [`Agent`] is a state machine without sockets or clock: datagrams, candidates and the time go in,
//! [`crate::proto::Transmit`]s and [`Event`]s come out. It has one component, since everything is
//! multiplexed over one 5-tuple, and is either full (both roles) or lite. Who needs several makes an agent
//! for each and composes them with [`Components`].
//!
//! | file | what |
//! |---|---|
//! | `agent` | the agent's data, getters, restart, polls |
//! | `candidates` | candidates in, pairs formed |
//! | `check_list`, `pair` | order, freezing and limits of pairs |
//! | `checks`, `transaction` | sending, retransmission, timers |
//! | `requests`, `responses` | datagrams in |
//! | `nomination`, `consent` | which pair is used, and how long |
//! | `forced` | a pair that the owner chooses |
//! | `components` | several agents as one connection |
//! | `gathering`, `server_url` | server-reflexive addresses, and whom to ask for them |
//! | `pacer` | the pace of all agents of a process |
//!
//! Invariants: what is not authenticated changes no state; every table has a bound; nothing is sent to
//! the selected pair's address once [`Event::SelectedPairChanged`]`(None)` is out, except answers to
//! checks.
//!
//! Over TCP (RFC 6544) a pair is named by the listener and the other end of the connection, or by the base of the
//! active candidate and the listener; connections, and the framing around datagrams, are the owner's.
//!
//! Deliberately not here: TURN and mDNS (other modules feed candidates in), simultaneous opens,
//! ALTERNATE-SERVER, pairs between two lite agents.

mod address;
mod agent;
mod candidate;
mod candidate_line;
mod candidates;
mod check_list;
mod checks;
mod components;
mod config;
mod consent;
mod credentials;
mod error;
mod forced;
mod gathering;
mod generation;
mod nomination;
mod pacer;
mod pair;
mod path;
mod requests;
mod responses;
mod server_url;
#[cfg(test)]
mod tests;
mod transaction;

pub use agent::{Agent, Event, State};
pub use candidate::{
    ACTIVE_PORT, Candidate, CandidateAddress, CandidateKind, TcpType, TransportProtocol, priority,
};
pub use components::{ComponentEvent, Components, MAX_COMPONENTS};
pub use config::{AgentConfig, Role, Timings};
pub use credentials::Credentials;
pub use error::{IceError, Rejected};
pub use gathering::{GATHERING_LIMIT, Gathering, GatheringEvent, UNREACHABLE};
pub use pacer::{Pacer, Slot};
pub use pair::{PairCounters, PairId, PairState, PairStatistics, SelectedPair};
pub use server_url::{ServerHost, ServerKind, ServerTransport, ServerUrl, ServerUrlError};
