//! ICE alone (RFC 8445): a path between two hosts, for whatever datagrams a program has, without descriptions,
//! DTLS or media. What aioice is to aiortc.
//!
//! [`IceConnection`] is the handle. The same agents can be driven by messages: [`start_agent`] gives the
//! address of an [`IceAgent`](crate::actors::ice_agent::IceAgent), and
//! [`messages::ice`](crate::messages::ice) says what can be told to it.
//!
//! Datagrams are neither encrypted nor authenticated: ICE makes sure that the peer agreed to receive them
//! (RFC 7675), not that nobody else reads them.
//!
//! ```
//! use actix_rtc::{RtcEngine, RtcEngineConfig, ice::{IceConnection, IceConnectionConfig, IceRole}};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut config = RtcEngineConfig::default();
//! config.network.include_loopback = true; // both ends are on this host
//! let engine = RtcEngine::start(config).await?;
//! let alice = IceConnection::new(&engine, IceConnectionConfig::new(IceRole::Controlling)).await?;
//! let bob = IceConnection::new(&engine, IceConnectionConfig::new(IceRole::Controlled)).await?;
//! for (one, other) in [(&alice, &bob), (&bob, &alice)] {
//!     one.gather().await?;
//!     // Usually credentials and candidates, as text, travel over a connection of your own.
//!     other.set_remote_credentials(one.local_credentials()).await?;
//!     for candidate in one.local_candidates() {
//!         other.add_remote_candidate(Some(candidate.to_string().parse()?)).await?;
//!     }
//!     other.add_remote_candidate(None).await?;
//! }
//! tokio::try_join!(alice.connect(), bob.connect())?;
//! alice.send("hello").await?;
//! assert_eq!(bob.recv().await?, "hello");
//! alice.close().await;
//! # bob.close().await;
//! # Ok(())
//! # }
//! ```

mod agent;
mod config;
mod connection;
mod datagrams;
mod events;

pub use agent::{IceAgentEvents, IceAgentParts, start_agent};
pub use config::IceConnectionConfig;
pub use connection::IceConnection;
pub use datagrams::{DATAGRAM_LENGTH_MAX, IceDatagrams, IceTraffic};
pub use events::IceConnectionEvents;

pub use crate::{
    messages::{
        ice::{
            AddRemoteCandidate, CandidateError, CandidatePair, CloseIce, EndOfRemoteCandidates, Gather,
            IceEvent, RestartIce, SelectPair, SendDatagram, SetIceRole, SetRemoteIce,
        },
        ice_connection::IceConnectionEvent,
        statistics::{CollectIce, IceStatistics},
    },
    proto::ice::{
        Candidate as IceCandidate, CandidateAddress, CandidateKind, Credentials as IceCredentials, IceError,
        MAX_COMPONENTS, PairId, PairState, PairStatistics, Role as IceRole, State as IceState, TcpType,
        Timings as IceTimings, TransportProtocol,
    },
};
