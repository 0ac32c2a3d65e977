//! Agree: the typed messages between actors, one file per conversation.
//!
//! Each type says from whom to whom it goes and its class (control, media, feedback, data), which
//! decides its carrier: control travels through mailboxes and its sender awaits a reply with a
//! deadline; media and feedback travel through bounded lanes behind the sink traits of [`track`] and
//! [`rtp`].

pub mod data_channel;
pub mod dtls;
pub mod error;
pub mod ice;
pub mod ice_connection;
pub mod ortc;
pub mod peer_connection;
pub mod rtp;
pub mod sctp;
pub mod statistics;
pub mod track;
pub mod turn;
