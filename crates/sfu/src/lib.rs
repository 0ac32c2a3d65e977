//! The server of actix-rtc: people meet in rooms over a WebSocket, other peers publish and watch by WHIP and WHEP.
//!
//! ```text
//! WebSocket ─ signalling::session ─┐                     ┌─ Room (actor): who is there, who publishes what
//! POST /whip, /whep ─ http_session ┴─ Participant ───────┤
//!                                     (one connection)   └─ RtcPeerConnection: the library's actors
//! ```
//!
//! A client is one task that owns its `Participant`; the tasks of a room meet in its
//! `Room` actor, by typed messages one way and a bounded queue of events the other. A room and the
//! connections of its members live on one shard as long as that one can bear it (`placement`). Packets of media
//! don't pass through this crate: it only says which track a sender carries.
//!
//! Messages of data channels do: a `DataPort` actor reads those of one participant and holds them against the
//! limits, the `Room` hands each to those it is for.
//!
//! The protocols of the WebSocket and of the data channels are described in `SIGNALLING.md`.

mod app;
pub mod config;
mod data;
mod debug;
mod health;
mod http;
mod http_session;
mod ids;
mod metrics;
mod page;
mod participant;
pub mod placement;
mod problem;
mod queue;
mod rate_limit;
mod room;
mod rooms;
pub mod server;
pub mod shutdown;
mod signalling;
mod tls;
mod upgrade;
mod whep;
mod whip;
