//! Connections (RFC 6544): those that checks from active candidates open, and those that peers have opened to us. A
//! connection that ends is told to the agent; whether there is another try is for that to decide.

use std::{net::SocketAddr, rc::Rc, time::Instant};

use super::IceAgent;
use crate::{
    actors::{
        kit::{self, DropReason},
        network::TcpLink,
        tcp_connection::{TCP_CONNECTION_POLICY, TcpConnection},
    },
    proto::{Protocol, ice::ACTIVE_PORT},
};

/// Connections of one agent at a time, opened and accepted: a peer has a handful of passive candidates, and whoever
/// names hundreds wants others to be connected to (A5).
const MAX_CONNECTIONS: usize = 16;

/// The connections of an agent.
#[derive(Default)]
pub(super) struct Connections {
    links: Vec<Rc<TcpLink>>,
    /// Checks that could not be sent for want of a connection.
    failed: Vec<(SocketAddr, SocketAddr)>,
}

impl IceAgent {
    /// Sees to it that there is a connection for a check, unless it is the peer who opens them.
    pub(super) fn connect(&mut self, local: SocketAddr, remote: SocketAddr) {
        if local.port() != ACTIVE_PORT || self.environment.sockets.find_link(local, remote).is_some() {
            return;
        }
        let Some(links) = self.environment.sockets.active_links().cloned() else { return };
        if self.connections.links.len() >= MAX_CONNECTIONS {
            kit::statistics().drop(DropReason::TcpRefused, 1);
            return self.connections.failed.push((local, remote));
        }
        let link = TcpLink::new(local, remote, Some(self.environment.lanes.clone()));
        links.insert(Rc::clone(&link));
        self.connections.links.push(Rc::clone(&link));
        let connection = TcpConnection::opened(Rc::clone(&link));
        let down = move |_| {
            links.remove(&link);
            link.tell_end(kit::now());
        };
        kit::start(TCP_CONNECTION_POLICY, down, |_| connection);
    }

    /// A message that came over a connection was authenticated.
    pub(super) fn trust_connection(&mut self, local: SocketAddr, remote: SocketAddr) {
        let Some(link) = self.environment.sockets.find_link(local, remote) else { return };
        if !link.trust() || self.connections.links.iter().any(|known| Rc::ptr_eq(known, &link)) {
            return;
        }
        if self.connections.links.len() >= MAX_CONNECTIONS {
            // The newest is the one the peer wants to use: the oldest that is not in use makes room.
            let selected = self.selected.map(|selected| (selected.local, selected.remote));
            let oldest = self
                .connections
                .links
                .iter()
                .position(|link| Some((link.local(), link.remote())) != selected);
            if let Some(oldest) = oldest {
                kit::statistics().drop(DropReason::TcpRefused, 1);
                self.connections.links.remove(oldest).close();
            }
        }
        self.connections.links.push(link);
    }

    /// A connection is closed, or was never open.
    pub(super) fn connection_ended(&mut self, now: Instant, local: SocketAddr, remote: SocketAddr) {
        self.connections.links.retain(|link| !link.is_closed());
        if self.environment.sockets.find_link(local, remote).is_none() {
            self.agent.path_lost(now, Protocol::Tcp, local, remote);
        }
    }

    /// Tells the agent which of its checks had no way.
    pub(super) fn tell_failed_connections(&mut self, now: Instant) {
        for (local, remote) in std::mem::take(&mut self.connections.failed) {
            self.agent.path_lost(now, Protocol::Tcp, local, remote);
        }
    }

    /// The agent ends: what waits is still written.
    pub(super) fn close_connections(&mut self) {
        for link in self.connections.links.drain(..) {
            link.finish();
        }
    }
}
