//! SCTP for data channels (RFC 9260, 8831, 8832, 8841, 6525, 3758): one association per DTLS session.
//!
//! The transport protocol itself is the crate `sctp-proto`; [`Association`] wraps it and adds what it
//! lacks for WebRTC:
//!
//! | file | gives |
//! |---|---|
//! | `association` | the state machine: time and packets in; packets, events and a deadline out |
//! | `handshake` | exactly one association, whoever sends INIT, and however many of them |
//! | `inbound` | checks before the crate sees a packet: what it would choke on, obey or swallow |
//! | `outbound` | what left in a packet, and SACKs that fit into one |
//! | `channels`, `closing` | opening, reading, DCEP; resets, and when an identifier is free again |
//! | `sending` | from a channel's queue to the network, and what is known of it there |
//! | `flight` | how much may be in flight, by what the path holds |
//! | `window` | what slow readers have left is not free for the peer |
//! | `scheduler` | fair shares of the association, by priority; bounded lead of large messages |
//! | `packet` | chunks as bytes, CRC32c |
//!
//! Invariants: no more than `LEAD` bytes and one message wait in the crate unsent; a stream
//! identifier is reused only after both directions were reset; an empty message travels as one byte; what waits
//! for slow readers is never more than the receive window.
//!
//! Not here: I-DATA and its schedulers (RFC 8260), path MTU discovery, multihoming. The crate draws
//! tags and initial TSNs from the system's generator: a seed does not repeat them.

mod association;
mod channel;
mod channels;
mod closing;
mod config;
mod event;
mod flight;
mod handshake;
mod inbound;
mod outbound;
mod packet;
mod scheduler;
mod sending;
mod stream_ids;
mod window;

pub use self::{
    association::{Association, Counters, OpenError, SendError},
    channel::{ChannelKey, ChannelParameters, Message, MessageKind, Priority, Reliability},
    config::{AssociationConfig, DEFAULT_MAX_MESSAGE_SIZE, DEFAULT_PORT, DEFAULT_REMOTE_MAX_MESSAGE_SIZE},
    event::{Event, SctpError},
};

#[cfg(test)]
mod tests;
