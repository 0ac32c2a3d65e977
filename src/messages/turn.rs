//! The conversation around `TurnClient`.

use std::net::SocketAddr;

use actix::Message;

use crate::proto::turn::Failure;

/// `TurnClient` → `IceAgent`, control.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct RelayReport {
    /// Which relay, by the number its agent gave it.
    pub id: u32,
    /// What happened.
    pub event: RelayEvent,
}

/// What happens to a relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RelayEvent {
    /// It can be used.
    Allocated {
        /// Its addresses: at most one per family.
        relayed: Vec<SocketAddr>,
        /// Our address as the server sees it.
        mapped: SocketAddr,
    },
    /// It can still be used, as the server has just said.
    Confirmed,
    /// It can't be used, or no longer. The last event.
    Failed(Failure),
}

/// `IceAgent` → `TurnClient`, control: delete the allocation and end. What is queued for peers leaves first.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct CloseRelay;
