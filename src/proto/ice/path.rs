//! The two ends of a way and what carries it: a UDP and a TCP socket may have equal addresses.

use std::net::SocketAddr;

use super::address;
use crate::proto::Protocol;

/// A 5-tuple, seen from this side. For an active TCP candidate `local` is its base with port 9, whatever port the
/// connection has: with the remote address that names the connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Path {
    pub(super) protocol: Protocol,
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
}

impl Path {
    /// The same with one spelling per address.
    pub(super) fn canonical(self) -> Self {
        Self { local: address::canonical(self.local), remote: address::canonical(self.remote), ..self }
    }

    pub(super) fn is_same(self, other: Self) -> bool {
        self.protocol == other.protocol
            && address::same(self.local, other.local)
            && address::same(self.remote, other.remote)
    }
}
