//! The sending half of TCP connections (RFC 6544): what is sent to a peer is framed (RFC 4571) and waits in a bounded
//! backlog, which the `TcpConnection` actor writes, several datagrams in one call.
//!
//! A [`TcpLink`] is shared by that actor, by the [`Socket`](super::Socket) through whose [`TcpLinks`] senders find it,
//! and by the `IceAgent` whose connection it is.
//!
//! Invariants: DTLS and media pass inwards only over a connection on which ICE has authenticated a message (RFC 7675
//! §5.1); nothing here waits.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    rc::Rc,
    task::{Poll, Waker},
    time::Instant,
};

use bytes::{Buf, BytesMut};

use super::{Inbound, PeerLanes};
use crate::{
    actors::kit::{self, DropReason},
    proto::{Protocol, framing},
};

/// What may wait for a connection: half a second of 8 Mbit/s. Beyond it datagrams are dropped and counted, as a full
/// link would.
const MAX_BACKLOG_BYTES: usize = 512 * 1024;

/// How far a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Open,
    /// What waits is still written.
    Finishing,
    Closed,
}

/// One connection to a peer, as those see it who send.
pub struct TcpLink {
    local: SocketAddr,
    remote: SocketAddr,
    backlog: RefCell<BytesMut>,
    lanes: RefCell<Option<PeerLanes>>,
    is_trusted: Cell<bool>,
    life: Cell<Life>,
    waker: RefCell<Option<Waker>>,
}

impl std::fmt::Debug for TcpLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TcpLink").field("local", &self.local).field("remote", &self.remote).finish()
    }
}

impl TcpLink {
    /// A link between a base and the other end of the connection. `lanes` lead to its peer, once that is known.
    pub fn new(local: SocketAddr, remote: SocketAddr, lanes: Option<PeerLanes>) -> Rc<Self> {
        Rc::new(Self {
            local,
            remote,
            backlog: RefCell::default(),
            lanes: RefCell::new(lanes),
            is_trusted: Cell::new(false),
            life: Cell::new(Life::Open),
            waker: RefCell::default(),
        })
    }

    /// The base of our candidate.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// The other end.
    pub fn remote(&self) -> SocketAddr {
        self.remote
    }

    /// ICE has authenticated a message that came over it. True if this is news.
    pub fn trust(&self) -> bool {
        let is_news = !self.is_trusted.replace(true);
        if is_news {
            // The actor waits for this no longer than for its deadline.
            self.wake();
        }
        is_news
    }

    /// Whether DTLS and media may pass inwards.
    pub fn is_trusted(&self) -> bool {
        self.is_trusted.get()
    }

    /// Whether it is known whose connection it is.
    pub fn is_identified(&self) -> bool {
        self.lanes.borrow().is_some()
    }

    /// It is a connection of the peer that these lanes lead to.
    pub fn identify(&self, lanes: PeerLanes) {
        *self.lanes.borrow_mut() = Some(lanes);
    }

    /// Hands a datagram to its peer, by `deliver`.
    pub(in crate::actors) fn with_lanes<R>(&self, deliver: impl FnOnce(&PeerLanes) -> R) -> Option<R> {
        self.lanes.borrow().as_ref().map(deliver)
    }

    /// Tells the agent that nothing comes any more, behind all that has come.
    pub(in crate::actors) fn tell_end(&self, now: Instant) {
        self.life.set(Life::Closed);
        if let Some(lanes) = self.lanes.borrow().as_ref() {
            lanes.stun.push(now, Inbound::end(Protocol::Tcp, self.local, self.remote));
        }
    }

    /// Writes what waits, then closes.
    pub fn finish(&self) {
        if self.life.get() == Life::Open {
            self.life.set(Life::Finishing);
            self.wake();
        }
    }

    /// Closes at once.
    pub fn close(&self) {
        self.life.set(Life::Closed);
        self.backlog.borrow_mut().clear();
        self.wake();
    }

    /// Whether it is to be closed when all is written.
    pub fn is_finishing(&self) -> bool {
        self.life.get() == Life::Finishing
    }

    /// Whether it is over.
    pub fn is_closed(&self) -> bool {
        self.life.get() == Life::Closed
    }

    /// Whom to wake when something is to be done.
    pub fn register(&self, waker: &Waker) {
        let mut known = self.waker.borrow_mut();
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Frames `contents`, datagrams of `segment` bytes (the last may be shorter), for the connection.
    fn send(&self, contents: &[u8], segment: usize) {
        if self.is_closed() {
            return kit::statistics().drop(DropReason::Closed, 1);
        }
        let mut backlog = self.backlog.borrow_mut();
        let mut dropped = 0;
        for datagram in contents.chunks(segment.max(1)) {
            let is_full = backlog.len() + framing::HEADER_LENGTH + datagram.len() > MAX_BACKLOG_BYTES;
            dropped += u64::from(is_full || !framing::write_frame(datagram, &mut backlog));
        }
        drop(backlog);
        if dropped > 0 {
            kit::statistics().drop(DropReason::SendQueueFull, dropped);
        }
        self.wake();
    }

    /// Whether nothing waits to be written.
    pub fn is_drained(&self) -> bool {
        self.backlog.borrow().is_empty()
    }

    /// Writes what waits with `write`, as long as that takes something.
    ///
    /// # Errors
    /// What `write` says.
    pub fn poll_backlog(
        &self,
        mut write: impl FnMut(&[u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<()>> {
        let mut backlog = self.backlog.borrow_mut();
        while !backlog.is_empty() {
            match write(&backlog) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => backlog.advance(count),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// The connections behind one local TCP socket.
#[derive(Debug, Default)]
pub struct TcpLinks {
    table: RefCell<HashMap<(IpAddr, SocketAddr), Rc<TcpLink>>>,
}

impl TcpLinks {
    /// Adds a connection; one between the same ends before it is closed.
    pub fn insert(&self, link: Rc<TcpLink>) {
        let replaced = self.table.borrow_mut().insert((link.local.ip(), link.remote), link);
        if let Some(replaced) = replaced {
            replaced.close();
        }
    }

    /// The connection between these ends.
    pub fn find(&self, local: IpAddr, remote: SocketAddr) -> Option<Rc<TcpLink>> {
        self.table.borrow().get(&(local, remote)).cloned()
    }

    /// Forgets a connection that has ended.
    pub fn remove(&self, link: &Rc<TcpLink>) {
        let mut table = self.table.borrow_mut();
        let key = (link.local.ip(), link.remote);
        if table.get(&key).is_some_and(|known| Rc::ptr_eq(known, link)) {
            table.remove(&key);
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.table.borrow().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.table.borrow().is_empty()
    }

    /// Frames datagrams for a connection. Taken, or dropped and counted, at once.
    pub(super) fn try_send(
        &self,
        destination: SocketAddr,
        source: Option<IpAddr>,
        contents: &[u8],
        segment: usize,
    ) -> io::Result<()> {
        let link = source.and_then(|source| self.find(source, destination));
        link.ok_or(io::ErrorKind::NotConnected)?.send(contents, segment);
        Ok(())
    }
}
