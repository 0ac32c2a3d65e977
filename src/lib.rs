//! WebRTC as actors: many peers in one process, hot-swappable tracks, contained failures, metrics.
//!
//! The entry points are [`RtcPeerConnection`], with the names and the behaviour of the W3C API, and
//! [`RtcEngine`], the threads on which connections live. Underneath, every transport is an actor with
//! a typed mailbox, supervised by the [`PeerConnection`](actors::peer_connection::PeerConnection)
//! actor of its peer; `ARCHITECTURE.md` shows the way of a packet through them.
//!
//! Two peers in one program, connected by a data channel:
//!
//! ```
//! use actix_rtc::{
//!     RtcConfiguration, RtcDataChannelEvent, RtcDataChannelInit, RtcEngine, RtcEngineConfig, RtcPeerConnection,
//!     RtcPeerConnectionEvent,
//! };
//! use futures_util::StreamExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut config = RtcEngineConfig::default();
//! config.network.include_loopback = true; // both peers are on this host
//! let engine = RtcEngine::start(config).await?;
//! let alice = RtcPeerConnection::on(&engine, RtcConfiguration::default()).await?;
//! let bob = RtcPeerConnection::on(&engine, RtcConfiguration::default()).await?;
//! let chat = alice.create_data_channel("chat", RtcDataChannelInit::default()).await?;
//!
//! // An offer and an answer with all candidates: usually they travel over a connection of your own.
//! alice.set_local_description(None).await?;
//! alice.gathering_complete().await?;
//! bob.set_remote_description(alice.local_description().ok_or("no offer")?).await?;
//! bob.set_local_description(None).await?;
//! bob.gathering_complete().await?;
//! alice.set_remote_description(bob.local_description().ok_or("no answer")?).await?;
//!
//! // Bob greets whoever opens a channel.
//! let mut events = bob.events().ok_or("the events were taken")?;
//! tokio::spawn(async move {
//!     while let Some(event) = events.next().await {
//!         if let RtcPeerConnectionEvent::DataChannel(channel) = event {
//!             let _ = channel.send(format!("welcome to {}", channel.label())).await;
//!         }
//!     }
//! });
//! while let Some(event) = chat.events().next().await {
//!     if let RtcDataChannelEvent::Message(message) = event {
//!         assert_eq!(message, "welcome to chat".into());
//!         break;
//!     }
//! }
//! alice.close().await;
//! # bob.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! And this is how a server answers a browser that has sent an offer:
//!
//! ```no_run
//! use actix_rtc::{RtcConfiguration, RtcError, RtcPeerConnection, RtcSessionDescription};
//!
//! /// Candidates are in the answer, so nothing else needs signalling.
//! async fn answer(offer: String) -> Result<(RtcPeerConnection, String), RtcError> {
//!     let connection = RtcPeerConnection::new(RtcConfiguration::default()).await?;
//!     connection.set_remote_description(RtcSessionDescription::offer(offer)).await?;
//!     connection.set_local_description(None).await?;
//!     connection.gathering_complete().await?;
//!     let answer = connection.local_description().map(|description| description.sdp);
//!     Ok((connection, answer.unwrap_or_default()))
//! }
//! ```
//!
//! What the W3C calls `getUserMedia` is yours: [`local_track`] makes a track that you feed with RTP packets
//! of encoded media, [`MediaStreamTrack::packets`] reads what a peer sends. Methods have the names of the
//! W3C in `snake_case` (those that begin with `get` there keep it), errors are [`RtcError`]s by the names
//! of the W3C, and [`RtcPeerConnection::get_stats`] reports by the names of [webrtc-stats](stats).

pub mod actors;
pub mod api;
pub mod messages;
#[cfg(feature = "metrics")]
pub mod metrics;
pub mod proto;

pub use api::*;
