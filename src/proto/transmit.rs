//! A datagram that a state machine wants sent, and what carries it.

use std::net::SocketAddr;

use bytes::Bytes;

/// What carries datagrams between two addresses. A UDP socket and a TCP listener may have equal addresses, so
/// a 5-tuple is not named without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[allow(clippy::exhaustive_enums, reason = "each way of sending must be handled")]
pub enum Protocol {
    /// UDP.
    #[default]
    Udp,
    /// TCP, with the framing of RFC 4571 around each datagram (RFC 6544).
    Tcp,
}

/// One datagram to send, with the local socket address it must leave from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// How it goes.
    pub protocol: Protocol,
    /// The base: address and port of the local socket; for an active TCP candidate port 9 (RFC 6544 section 4.5),
    /// whatever port its connection has.
    pub local: SocketAddr,
    /// Where it goes.
    pub remote: SocketAddr,
    /// The datagram.
    pub payload: Bytes,
}
