//! Data channels between the participants of a room.
//!
//! ```text
//!  RtcDataChannel ──events──▶ DataPort (one per participant) ──Forward──▶ Room ──try_send──▶ RtcDataChannels
//!                             limits, envelope; one message at a time            of the others
//! ```
//!
//! No queue is added to those of the channels themselves (1 MiB each way): a port takes its next message when the
//! room has handed on the one before, and the room never waits. What a recipient has no room for is dropped on a
//! lossy channel; on a reliable one the channel ends there, because a reliable channel must not have gaps.
//! What is not delivered is told to its sender, and counted. The protocol is described in `SIGNALLING.md`.

mod envelope;
mod label;
mod port;

pub(crate) use label::ChannelName;
pub(crate) use port::{Accept, DataPort, End, refuse};
