//! The conversation around `IceAgent`.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use actix::Message;
use bytes::Bytes;

use super::error::RtcError;
use crate::proto::{
    Protocol,
    ice::{Candidate, Credentials, Role, State},
};

/// A STUN or TURN server that may be asked for candidates (W3C webrtc-pc §4.2.3 `RTCIceServer`), one
/// for every URL.
#[derive(Clone, PartialEq, Eq)]
pub struct IceServer {
    /// `stun:`, `stuns:`, `turn:` or `turns:` with host and port (RFC 7064, RFC 7065).
    pub url: String,
    /// The name to give a TURN server.
    pub username: Option<String>,
    /// The password that goes with it.
    pub credential: Option<String>,
}

/// Without the password.
impl std::fmt::Debug for IceServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IceServer").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Which candidates may be used (W3C webrtc-pc §4.2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[allow(clippy::exhaustive_enums, reason = "W3C has two policies")]
pub enum IceTransportPolicy {
    /// Every kind.
    #[default]
    All,
    /// Only those of TURN servers: the peer does not learn our address.
    Relay,
}

/// What an agent gathers from. No server is contacted that is not named here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IceServers {
    /// Who is asked.
    pub servers: Vec<IceServer>,
    /// What is used of the answers.
    pub policy: IceTransportPolicy,
}

/// `TransportActors` → `IceAgent`, control: from the next [`Gather`] or [`RestartIce`] on, these servers
/// are asked (W3C webrtc-pc §4.4.1.6, `setConfiguration`).
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct SetIceServers(pub IceServers);

/// `TransportActors` → `IceAgent`, control: gather candidates now.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Gather;

/// `TransportActors` → `IceAgent`, control: what the remote description said. Credentials that differ
/// from the ones in use are the peer's half of an ICE restart.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct SetRemoteIce {
    /// The peer's ufrag and password.
    pub credentials: Credentials,
    /// The peer is a lite agent (RFC 8445 §2.5).
    pub lite: bool,
    /// Our role by RFC 8445 §6.1.1.
    pub role: Role,
}

/// `TransportActors` → `IceAgent`, control.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct AddRemoteCandidate(pub Candidate);

/// `TransportActors` → `IceAgent`, control: the peer has no more candidates (RFC 8838 §14).
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct EndOfRemoteCandidates;

/// `TransportActors` → `IceAgent`, control: use these credentials for a new session; the selected pair
/// carries media until a new one is nominated (RFC 8445 §9).
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct RestartIce(pub Credentials);

/// `IceConnectionActor`, or whoever has an agent of its own → `IceAgent`, control: who nominates. A lite agent
/// stays controlled.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct SetIceRole(pub Role);

/// Whoever has an agent of its own → `IceAgent`, control: use the pair of the candidates with these
/// foundations, whatever the checks say. Consent is checked from then on.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), RtcError>")]
pub struct SelectPair {
    /// Of a local candidate.
    pub local_foundation: String,
    /// Of a candidate of the peer.
    pub remote_foundation: String,
}

/// Whoever has an agent of its own → `IceAgent`, data: send this datagram over the selected pair. For the odd
/// message; who sends much uses the queue that came with the agent, which makes its sender wait.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), RtcError>")]
pub struct SendDatagram(pub Bytes);

/// `Shard` → `IceAgent`, control: nothing can be sent from this address of the host any more.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct LocalAddressLost(pub IpAddr);

/// `TransportActors` → `IceAgent`, control: stop for good.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct CloseIce;

/// `IceAgent` → the owner of its transport, control.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub enum IceEvent {
    /// A candidate to signal.
    LocalCandidate(Arc<Candidate>),
    /// There are no more local candidates.
    GatheringComplete {
        /// Of which credentials: those of before may still be on their way when ICE is restarted.
        ufrag: String,
    },
    /// A server gave no candidate (W3C webrtc-pc §4.8.1 `icecandidateerror`); gathering goes on.
    CandidateError(CandidateError),
    /// Our role changed, by [`SetRemoteIce`] or because of a conflict (RFC 8445 §7.3.1.1).
    RoleChanged(Role),
    /// The pair that is used, or none any more.
    SelectedPair(Option<Box<CandidatePair>>),
    /// The agent's state changed.
    StateChanged(State),
    /// The round trip over the selected pair, measured by its checks; told when it has changed.
    RoundTripTime(Duration),
    /// A panic cost the agent its state: it runs with these new credentials and needs an ICE restart.
    RestartNeeded(Credentials),
}

/// A selected pair as it is shown (W3C webrtc-pc §5.6.2 `RTCIceCandidatePair`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CandidatePair {
    /// Ours.
    pub local: Candidate,
    /// The peer's.
    pub remote: Candidate,
}

/// Why a server gave no candidate (W3C webrtc-pc §4.8.1.2 `RTCPeerConnectionIceErrorEvent`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CandidateError {
    /// The local address the server was asked from, once one was bound.
    pub address: Option<SocketAddr>,
    /// The server.
    pub url: String,
    /// The STUN error code, or 701 when the server can't be reached.
    pub code: u16,
    /// What the server said, or what is known.
    pub text: String,
}

/// The pair of addresses that carries everything but connectivity checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SelectedRoute {
    /// What carries it.
    pub protocol: Protocol,
    /// Our side: the base of the local candidate.
    pub local: SocketAddr,
    /// The peer.
    pub remote: SocketAddr,
}

/// `IceAgent` → `DtlsActor`, control: the nominated pair, or `None` when consent has ended and
/// nothing may be sent any more (RFC 7675 §5.1).
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct RouteChanged(pub Option<SelectedRoute>);
