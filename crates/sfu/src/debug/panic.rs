//! The part of fault injection that is compiled only for tests.

use std::sync::{Arc, Mutex, PoisonError};

use actix_rtc::{
    RtcPeerConnection, RtcPeerConnectionState,
    actors::{
        fault_injection::{FaultTarget, InjectFault},
        kit,
    },
};
use actix_web::{
    HttpResponse,
    web::{Data, Query},
};
use serde::Deserialize;
use serde_json::json;

use crate::{
    app::App,
    http::HttpProblem,
    ids::ParticipantId,
    problem::{Code, Problem},
};

type Connections = Arc<Mutex<Vec<(ParticipantId, RtcPeerConnection)>>>;

/// Connections by participant.
#[derive(Default)]
pub(super) struct Table(Connections);

/// Keeps one connection in the table.
pub(super) struct Entry {
    connections: Connections,
    id: ParticipantId,
}

impl Table {
    pub(super) fn register(&self, id: &ParticipantId, peer: &RtcPeerConnection) -> Entry {
        let mut connections = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        connections.push((id.clone(), peer.clone()));
        Entry { connections: Arc::clone(&self.0), id: id.clone() }
    }

    /// Those that media flows on, in the order of coming.
    fn connected(&self, participant: Option<&str>) -> Vec<(ParticipantId, RtcPeerConnection)> {
        let connections = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = |id: &ParticipantId| participant.is_none_or(|wanted| id.as_ref() == wanted);
        connections
            .iter()
            .filter(|(id, _)| wanted(id))
            .filter(|(_, peer)| peer.connection_state() == RtcPeerConnectionState::Connected)
            .cloned()
            .collect()
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        connections.retain(|(id, _)| *id != self.id);
    }
}

/// Names of actors as in the metrics.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Actor {
    RtpSender,
    RtpReceiver,
    IceAgent,
    Dtls,
    PeerConnection,
}

impl From<Actor> for FaultTarget {
    fn from(actor: Actor) -> Self {
        match actor {
            Actor::RtpSender => Self::RtpSender,
            Actor::RtpReceiver => Self::RtpReceiver,
            Actor::IceAgent => Self::IceAgent,
            Actor::Dtls => Self::Dtls,
            Actor::PeerConnection => Self::PeerConnection,
        }
    }
}

/// Which actor is to panic.
#[derive(Debug, Deserialize)]
pub(super) struct Fault {
    actor: Actor,
    /// Of this participant; by default of the first that has one.
    participant: Option<String>,
}

/// `POST /debug/panic?actor=rtp_sender[&participant=…]`.
pub(super) async fn inject(app: Data<App>, fault: Query<Fault>) -> Result<HttpResponse, HttpProblem> {
    for (id, peer) in app.peers.table.connected(fault.participant.as_deref()) {
        let message = InjectFault(fault.actor.into());
        if kit::ask(peer.address(), message, kit::DEFAULT_DEADLINE).await == Ok(true) {
            tracing::warn!(participant = %id, actor = ?fault.actor, "a panic was injected");
            return Ok(HttpResponse::Ok().json(json!({"participant": id})));
        }
    }
    let sentence = format!("no connected participant has an actor {:?} to panic", fault.actor);
    Err(HttpProblem(Problem::new(Code::NoSuchActor, sentence)))
}
