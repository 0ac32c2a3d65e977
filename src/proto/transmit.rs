//! A datagram that a state machine wants sent.

use std::net::SocketAddr;

use bytes::Bytes;

/// One datagram to send, with the local socket address it must leave from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// The base: address and port of the local socket.
    pub local: SocketAddr,
    /// Where it goes.
    pub remote: SocketAddr,
    /// The datagram.
    pub payload: Bytes,
}
