//! A TURN client (RFC 8656): one allocation on one server, over UDP, TCP or TLS.
//!
//! [`Client`] is a state machine without sockets or clock: what the server sends and the time go in, what
//! the server is to get and [`Event`]s come out. [`Deframer`] cuts a byte stream into what `Client` takes.
//!
//! | file | what |
//! |---|---|
//! | `client` | the allocation: made, refreshed, deleted; what is sent and received over it |
//! | `responses` | answers of the server |
//! | `credentials` | long-term credentials, challenges (RFC 8489 section 9.2) |
//! | `peers` | permissions and channels |
//! | `transaction` | outstanding requests |
//! | `frame` | ChannelData, and messages in a byte stream |
//!
//! Invariants: nothing is sent to a peer before its permission is there; a channel number is never bound to
//! two peers; what comes from a peer without permission is refused; every table has a bound; a server can
//! make the client neither try for ever nor talk faster than the timers here say.
//!
//! Deliberately not here: TCP allocations (RFC 6062), EVEN-PORT, DONT-FRAGMENT, mobility, OAuth,
//! MESSAGE-INTEGRITY-SHA256. A server that knows more falls back to what is here (RFC 8489 section 9.2.4).

mod client;
mod credentials;
mod error;
mod frame;
mod peers;
mod responses;
#[cfg(test)]
mod tests;
mod transaction;

pub use client::{Client, ClientConfig, Event, Families, Received, Sent};
pub use error::{Failure, Rejected};
pub use frame::{CHANNEL_HEADER_LENGTH, Deframer, FrameError};
