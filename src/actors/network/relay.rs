//! The way through a TURN server, as a socket: what is sent from a relayed address is framed and goes to the
//! server, over UDP at once and in one call where it can, over TCP and TLS through a bounded backlog.
//!
//! A [`Relay`] belongs to the `TurnClient` actor, which receives and keeps time for it, and to the relayed
//! [`Socket`](super::Socket)s that send through it. It survives a panic of the actor; when the last of them is
//! gone without the allocation having been deleted, it asks the server to delete it, once.
//!
//! Invariants: DTLS and media pass inwards only from addresses that ICE has authenticated over this relay
//! (RFC 7675 §5.1); nothing here waits.

use std::{
    cell::{Cell, RefCell},
    io,
    net::SocketAddr,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Instant,
};

use bytes::{Buf, Bytes, BytesMut};

use super::Socket;
use crate::{
    actors::kit::{self, DropReason},
    proto::turn::{Client, Event, Received, Rejected, Sent},
};

/// What may wait for a TCP or TLS connection: half a second of 8 Mbit/s. Beyond it datagrams are dropped, as a
/// full link would.
const MAX_BACKLOG_BYTES: usize = 512 * 1024;
/// The kernel's limit for one segmented send (the UDP length field, less headers).
const MAX_RUN_BYTES: usize = 65_000;
/// Authenticated addresses behind one relay: as many as the router allows a peer.
const MAX_TRUSTED: usize = 64;
/// Equal datagrams that a relay over a byte stream takes in one call: there it saves nothing.
const STREAM_SEGMENTS: usize = 16;

/// How the server is reached.
#[derive(Debug)]
pub enum Wire {
    /// By datagrams of a socket of its own: an allocation is made for one 5-tuple.
    Udp {
        /// That socket.
        socket: Rc<Socket>,
        /// Where the server listens.
        server: SocketAddr,
    },
    /// By a connection, which the `TurnClient` writes.
    Stream,
}

/// One allocation's client and its way to the server.
pub struct Relay {
    client: RefCell<Client>,
    wire: Wire,
    /// Frames for a stream that are not written yet.
    backlog: RefCell<BytesMut>,
    /// Where frames for UDP are put together.
    scratch: RefCell<Vec<u8>>,
    trusted: RefCell<Vec<SocketAddr>>,
    waker: RefCell<Option<Waker>>,
    /// The server is no longer reachable: a stream has ended.
    is_cut: Cell<bool>,
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Relay").field(&self.wire).finish()
    }
}

impl Relay {
    /// A relay whose client was just made.
    pub fn new(client: Client, wire: Wire) -> Self {
        Self {
            client: RefCell::new(client),
            wire,
            backlog: RefCell::default(),
            scratch: RefCell::default(),
            trusted: RefCell::default(),
            waker: RefCell::default(),
            is_cut: Cell::new(false),
        }
    }

    /// ICE has authenticated `remote` over this relay: its DTLS and media may pass.
    pub fn trust(&self, remote: SocketAddr) {
        let mut trusted = self.trusted.borrow_mut();
        if !trusted.contains(&remote) {
            if trusted.len() == MAX_TRUSTED {
                trusted.remove(0);
            }
            trusted.push(remote);
        }
    }

    /// Whether DTLS and media of `remote` may pass.
    pub fn trusts(&self, remote: SocketAddr) -> bool {
        self.trusted.borrow().contains(&remote)
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

    /// Takes a message of the server and hands a peer's datagram to `deliver`: peer, our relayed address,
    /// datagram.
    ///
    /// # Errors
    /// Why it had no effect.
    pub fn receive(
        &self,
        now: Instant,
        message: &[u8],
        deliver: impl FnOnce(SocketAddr, SocketAddr, &[u8]),
    ) -> Result<(), Rejected> {
        match self.client.borrow_mut().handle_packet(now, message)? {
            Received::Control => {}
            Received::Data { peer, relayed, payload } => deliver(peer, relayed, payload),
        }
        Ok(())
    }

    /// The next time something is to be done.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.client.borrow().poll_timeout(kit::now())
    }

    /// Does whatever is due.
    pub fn handle_timeout(&self, now: Instant) {
        self.client.borrow_mut().handle_timeout(now);
    }

    /// The next event of the client.
    pub fn poll_event(&self) -> Option<Event> {
        self.client.borrow_mut().poll_event()
    }

    /// Asks the server whether the allocation is still there; see [`Client::verify`].
    pub fn verify(&self, now: Instant) {
        self.client.borrow_mut().verify(now);
        self.flush();
        self.wake();
    }

    /// Deletes the allocation.
    pub fn close(&self, now: Instant) {
        self.client.borrow_mut().close(now);
    }

    /// The connection to the server is gone: nothing can be sent any more, not even a farewell.
    pub fn cut(&self) {
        self.is_cut.set(true);
        self.backlog.borrow_mut().clear();
    }

    /// Sends what the client itself wants to send.
    pub fn flush(&self) {
        loop {
            let message = self.client.borrow_mut().poll_transmit();
            let Some(message) = message else { return };
            self.send_message(&message);
        }
    }

    /// A request that can't be sent now is repeated by its timer; over a stream it waits.
    fn send_message(&self, message: &Bytes) {
        match &self.wire {
            Wire::Udp { socket, server } => {
                if socket.try_send(*server, None, message, message.len()).is_err() {
                    kit::statistics().drop(DropReason::SendError, 1);
                }
            }
            Wire::Stream => self.append(message),
        }
    }

    fn append(&self, frames: &[u8]) {
        if self.is_cut.get() {
            return kit::statistics().drop(DropReason::Closed, 1);
        }
        let mut backlog = self.backlog.borrow_mut();
        if backlog.len() + frames.len() > MAX_BACKLOG_BYTES {
            return kit::statistics().drop(DropReason::SendQueueFull, 1);
        }
        backlog.extend_from_slice(frames);
        drop(backlog);
        self.wake();
    }

    /// Writes what waits for the stream with `write`, as long as that takes something.
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

    /// Sends `contents` as datagrams of `segment` bytes (the last may be shorter) to one peer.
    pub(super) fn try_send(&self, peer: SocketAddr, contents: &[u8], segment: usize) -> io::Result<()> {
        let now = kit::now();
        let mut frames = self.scratch.borrow_mut();
        frames.clear();
        let (mut frame_length, mut dropped) = (0, 0);
        for datagram in contents.chunks(segment.max(1)) {
            let sent = self.client.borrow_mut().send(now, peer, datagram, &mut frames);
            match sent {
                Sent::Framed if frame_length == 0 => frame_length = frames.len(),
                Sent::Framed | Sent::Held => {}
                Sent::Dropped => dropped += 1,
            }
        }
        if dropped > 0 {
            kit::statistics().drop(DropReason::NoRoute, dropped);
        }
        // A permission or a channel may have been asked for.
        self.flush();
        if frames.is_empty() {
            return Ok(());
        }
        // The timers have moved.
        self.wake();
        match &self.wire {
            Wire::Udp { socket, server } => send_frames(socket, *server, &frames, frame_length),
            Wire::Stream => {
                self.append(&frames);
                Ok(())
            }
        }
    }

    pub(super) fn max_segments(&self) -> usize {
        match &self.wire {
            Wire::Udp { socket, .. } => socket.max_segments(),
            Wire::Stream => STREAM_SEGMENTS,
        }
    }

    pub(super) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.wire {
            Wire::Udp { socket, .. } => socket.poll_writable(cx),
            Wire::Stream => Poll::Ready(Ok(())),
        }
    }
}

/// Sends frames of one length (the last may be shorter). Only if not even the first went out is it an error:
/// what was sent must not be sent again.
fn send_frames(socket: &Socket, server: SocketAddr, frames: &[u8], length: usize) -> io::Result<()> {
    let mut rest = frames;
    while !rest.is_empty() {
        let count = (MAX_RUN_BYTES / length).min(socket.max_segments()).max(1);
        let run = &rest[..rest.len().min(count * length)];
        match socket.try_send(server, None, run, length) {
            Ok(()) => rest = &rest[run.len()..],
            // The kernel or a device refused segmentation: quinn-udp has noted it.
            Err(_) if count > 1 && socket.max_segments() == 1 => {}
            Err(error) if rest.len() == frames.len() => return Err(error),
            Err(_) => {
                kit::statistics().drop(DropReason::SendError, rest.len().div_ceil(length) as u64);
                return Ok(());
            }
        }
    }
    Ok(())
}

impl Drop for Relay {
    /// Whatever has ended its actor: the allocation is not left to its lifetime.
    fn drop(&mut self) {
        let client = self.client.get_mut();
        if client.relayed().is_empty() {
            return;
        }
        client.close(kit::now());
        if let Wire::Udp { socket, server } = &self.wire {
            while let Some(message) = client.poll_transmit() {
                // The best that can be done here: the server's own timer is the other way.
                let _ = socket.try_send(*server, None, &message, message.len());
            }
        }
    }
}
