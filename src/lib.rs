//! WebRTC as actors: many peers in one process, hot-swappable tracks, contained failures, metrics.
//!
//! The entry points are [`RtcPeerConnection`], with the names and the behaviour of the W3C API, and
//! [`RtcEngine`], the threads on which connections live. Underneath, every transport is an actor with
//! a typed mailbox, supervised by the [`PeerConnection`](actors::peer_connection::PeerConnection)
//! actor of its peer; `ARCHITECTURE.md` shows the way of a packet through them.
//!
//! ```no_run
//! use actix_rtc::{RtcConfiguration, RtcError, RtcPeerConnection, RtcSessionDescription};
//!
//! /// Answers a browser's offer; candidates are in the answer, so nothing else needs signalling.
//! async fn answer(offer: String) -> Result<(RtcPeerConnection, String), RtcError> {
//!     let connection = RtcPeerConnection::new(RtcConfiguration::default()).await?;
//!     connection.set_remote_description(RtcSessionDescription::offer(offer)).await?;
//!     connection.set_local_description(None).await?;
//!     connection.gathering_complete().await?;
//!     let answer = connection.local_description().map(|description| description.sdp);
//!     Ok((connection, answer.unwrap_or_default()))
//! }
//! ```

pub mod actors;
pub mod api;
pub mod messages;
#[cfg(feature = "metrics")]
pub mod metrics;
pub mod proto;

pub use api::*;
