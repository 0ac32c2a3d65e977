//! `UdpSocket`: receives in batches and hands every datagram to the peer it belongs to.
//!
//! It parses nothing beyond the first bytes. Sending is not here: the shard's egress queue sends for
//! all peers at once. The socket itself survives a restart of this actor, and with it the port.

use std::{
    cell::RefCell,
    io::IoSliceMut,
    rc::Rc,
    task::{Context as TaskContext, Poll},
    time::{Duration, Instant},
};

use actix::prelude::*;
use bytes::BytesMut;
use quinn_udp::RecvMeta;

use crate::{
    actors::{
        kit::{self, ActorKind, Driven, DropReason, Metered, MeteredContext, Policy},
        network::{Inbound, Router, Socket, local_address},
    },
    proto::{Protocol, demux},
};

/// How often a socket's actor may be rebuilt after a panic; the port stays bound.
pub const UDP_SOCKET_POLICY: Policy = Policy::restarts(3, Duration::from_secs(10));

/// Receive calls per wake-up before other actors get their turn.
const MAX_CALLS_PER_WAKE: usize = 4;
/// Buffers per receive call.
const BUFFERS: usize = 16;
/// A buffer holds what generic receive offload may put into it.
const BUFFER_BYTES: usize = 64 * 1024;
/// Datagrams are copied out of the receive buffers into slabs of this size, so that one allocation
/// serves about fifty of them.
const SLAB_BYTES: usize = 64 * 1024;

/// The receive buffers of a shard: shared by its sockets, which use them one after the other.
pub struct ReceiveBuffers {
    buffers: Vec<Vec<u8>>,
    slab: BytesMut,
}

impl Default for ReceiveBuffers {
    fn default() -> Self {
        Self { buffers: vec![vec![0; BUFFER_BYTES]; BUFFERS], slab: BytesMut::with_capacity(SLAB_BYTES) }
    }
}

impl ReceiveBuffers {
    fn datagram(slab: &mut BytesMut, bytes: &[u8]) -> BytesMut {
        if slab.capacity() < bytes.len() {
            // Reuses the old slab when all datagrams cut from it are gone.
            slab.reserve(SLAB_BYTES.max(bytes.len()));
        }
        slab.extend_from_slice(bytes);
        slab.split()
    }
}

/// The receiving half of one socket, as an actor.
pub struct UdpSocket {
    socket: Rc<Socket>,
    router: Rc<RefCell<Router>>,
    buffers: Rc<RefCell<ReceiveBuffers>>,
}

impl UdpSocket {
    /// An actor that receives from `socket` for the peers of `router`.
    pub fn new(
        socket: Rc<Socket>,
        router: Rc<RefCell<Router>>,
        buffers: Rc<RefCell<ReceiveBuffers>>,
    ) -> Self {
        Self { socket, router, buffers }
    }

    fn distribute(&self, now: Instant, slab: &mut BytesMut, meta: &RecvMeta, buffer: &[u8]) {
        let statistics = kit::statistics();
        let router = self.router.borrow();
        let local = local_address(self.socket.local(), meta.dst_ip);
        for datagram in buffer[..meta.len].chunks(meta.stride.max(1)) {
            let kind = demux::classify(datagram);
            statistics.packets_in(kind, 1, datagram.len() as u64);
            match router.route(kind, meta.addr, datagram) {
                Ok(peers) => {
                    for lanes in peers {
                        let payload = ReceiveBuffers::datagram(slab, datagram);
                        let inbound = Inbound { protocol: Protocol::Udp, local, remote: meta.addr, payload };
                        if let Some(lane) = lanes.lane(kind, datagram) {
                            lane.push(now, inbound);
                        }
                    }
                }
                Err(reason) => statistics.drop(reason, 1),
            }
        }
    }
}

/// How many datagrams one receive call brought: the kernel may have put several into a buffer.
fn datagrams(meta: &[RecvMeta]) -> u64 {
    meta.iter().map(|meta| meta.len.div_ceil(meta.stride.max(1)) as u64).sum()
}

impl Metered for UdpSocket {
    const KIND: ActorKind = ActorKind::UdpSocket;
}

impl Actor for UdpSocket {
    type Context = MeteredContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        kit::drive::<Self>(ctx);
    }
}

impl Supervised for UdpSocket {}

impl Driven for UdpSocket {
    fn take_input(&mut self, cx: &mut TaskContext<'_>, now: Instant, _: &mut Self::Context) -> bool {
        let buffers = Rc::clone(&self.buffers);
        let ReceiveBuffers { buffers, slab } = &mut *buffers.borrow_mut();
        let mut meta = [RecvMeta::default(); BUFFERS];
        for _ in 0..MAX_CALLS_PER_WAKE {
            let received = {
                let mut slices = buffers.iter_mut().map(|b| IoSliceMut::new(b));
                let mut slices: [IoSliceMut<'_>; BUFFERS] =
                    std::array::from_fn(|_| slices.next().unwrap_or_else(|| IoSliceMut::new(&mut [])));
                self.socket.poll_receive(cx, &mut slices, &mut meta)
            };
            match received {
                Poll::Pending => return false,
                Poll::Ready(Ok(count)) => {
                    kit::statistics().receive_call(datagrams(&meta[..count]));
                    for (meta, buffer) in meta.iter().zip(buffers.iter()).take(count) {
                        self.distribute(now, slab, meta, buffer);
                    }
                }
                // ICMP errors of earlier sends (ECONNREFUSED …) surface here: never fatal.
                Poll::Ready(Err(_)) => kit::statistics().drop(DropReason::SocketError, 1),
            }
        }
        true
    }

    fn flush(&mut self, _: Instant, _: &mut Self::Context) {}

    fn deadline(&self) -> Option<Instant> {
        None
    }

    fn handle_deadline(&mut self, _: Instant, _: &mut Self::Context) {}
}

/// The socket is no longer needed.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct CloseSocket;

impl Handler<CloseSocket> for UdpSocket {
    type Result = ();

    fn handle(&mut self, _: CloseSocket, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

#[cfg(feature = "fault-injection")]
crate::actors::fault_injection::impl_boom!(UdpSocket);
