//! The conversation around `IceAgent`.

use std::{net::SocketAddr, time::Duration};

use actix::Message;

use crate::proto::ice::{Candidate, Credentials, IceServer, Role, State, TransportPolicy};

/// What an agent gathers from. No server is contacted that is not named here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IceServers {
    /// Who is asked.
    pub servers: Vec<IceServer>,
    /// What is used of the answers.
    pub policy: TransportPolicy,
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

/// `TransportActors` → `IceAgent`, control: stop for good.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct CloseIce;

/// `IceAgent` → the owner of its transport, control.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub enum IceEvent {
    /// A candidate to signal.
    LocalCandidate(Candidate),
    /// There are no more local candidates.
    GatheringComplete,
    /// A server gave no candidate (W3C webrtc-pc §4.8.1 `icecandidateerror`); gathering goes on.
    CandidateError(CandidateError),
    /// Our role changed, by [`SetRemoteIce`] or because of a conflict (RFC 8445 §7.3.1.1).
    RoleChanged(Role),
    /// The pair that is used, or none any more.
    SelectedPair(Option<CandidatePair>),
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

/// What W3C's `RTCPeerConnectionIceErrorEvent` tells (webrtc-pc section 4.8.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CandidateError {
    /// The local address used for the server; `None` where it would tell an address that is not offered.
    pub address: Option<SocketAddr>,
    /// The server's URL.
    pub url: String,
    /// The code of the server's answer (300 to 699), or 701: the server can't be reached.
    pub error_code: u16,
    /// A sentence for people.
    pub error_text: String,
}

/// The pair of addresses that carries everything but connectivity checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SelectedRoute {
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
