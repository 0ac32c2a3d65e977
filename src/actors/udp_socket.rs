//! `UdpSocket`: receives in batches and hands every datagram to the peer it belongs to.
//!
//! It parses nothing beyond the first bytes. Sending is not here: the shard's egress queue sends for
//! all peers at once. The socket itself survives a restart of this actor, and with it the port.

use std::{
    cell::RefCell,
    collections::VecDeque,
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
    proto::{
        Protocol,
        demux::{self, PacketKind},
    },
};

/// How often a socket's actor may be rebuilt after a panic; the port stays bound.
pub const UDP_SOCKET_POLICY: Policy = Policy::restarts(3, Duration::from_secs(10));

/// Receive calls per wake-up before other actors get their turn.
const MAX_CALLS_PER_WAKE: usize = 4;
/// Buffers per receive call.
const BUFFERS: usize = 16;
/// A buffer holds what generic receive offload may put into it.
const BUFFER_BYTES: usize = 64 * 1024;
/// Datagrams are copied out of the receive buffers into slabs of this size: one serves about fifty packets of video.
const SLAB_BYTES: usize = 64 * 1024;
/// Full slabs that are kept until all their datagrams are gone, to be filled again. Senders remember packets for
/// some seconds, so this is what a few publishers of video need; with more of them slabs are allocated and freed.
const SLABS_KEPT: usize = 32;
/// Full slabs that are looked at when one is needed: the first may be held by a publisher that has fallen silent.
const SLABS_TRIED: usize = 4;

/// The receive buffers of a shard: shared by its sockets, which use them one after the other.
pub struct ReceiveBuffers {
    buffers: Vec<Vec<u8>>,
    slabs: Slabs,
}

impl Default for ReceiveBuffers {
    fn default() -> Self {
        Self { buffers: vec![vec![0; BUFFER_BYTES]; BUFFERS], slabs: Slabs::default() }
    }
}

/// What received datagrams are cut from.
struct Slabs {
    /// The rest of the one that is being filled.
    current: BytesMut,
    /// The ends of full ones, in the order in which they were filled.
    full: VecDeque<BytesMut>,
}

impl Default for Slabs {
    fn default() -> Self {
        Self { current: BytesMut::with_capacity(SLAB_BYTES), full: VecDeque::new() }
    }
}

impl Slabs {
    /// A copy of a datagram, which is its only owner.
    fn datagram(&mut self, bytes: &[u8]) -> BytesMut {
        if self.current.capacity() < bytes.len() {
            self.renew(bytes.len());
        }
        self.current.extend_from_slice(bytes);
        self.current.split()
    }

    #[cold]
    fn renew(&mut self, length: usize) {
        let full = std::mem::take(&mut self.current);
        if self.full.len() == SLABS_KEPT {
            // It is freed with its last datagram.
            self.full.pop_front();
        }
        self.full.push_back(full);
        let wanted = SLAB_BYTES.max(length);
        let free = self.full.iter_mut().take(SLABS_TRIED).position(|slab| slab.try_reclaim(wanted));
        let free = free.and_then(|at| self.full.remove(at));
        self.current = free.unwrap_or_else(|| BytesMut::with_capacity(wanted));
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

    /// Hands datagrams to the peers they belong to. Media of one peer that came in a row, as it does with receive
    /// offload and in bursts, is one look-up and one push.
    fn distribute<'a>(
        &self,
        now: Instant,
        slabs: &mut Slabs,
        received: impl Iterator<Item = (&'a RecvMeta, &'a [u8])>,
    ) {
        let statistics = kit::statistics();
        let router = self.router.borrow();
        let mut inbound = |meta: &RecvMeta, datagram: &[u8]| {
            let local = local_address(self.socket.local(), meta.dst_ip);
            let payload = slabs.datagram(datagram);
            Inbound { protocol: Protocol::Udp, local, remote: meta.addr, payload }
        };
        let classify = |(meta, datagram)| {
            let kind = demux::classify(datagram);
            statistics.packets_in(kind, 1, datagram.len() as u64);
            (meta, kind, datagram)
        };
        let mut received = received.map(classify).peekable();
        while let Some((meta, kind, datagram)) = received.next() {
            if let Some(lane) = router.media_lane(meta.addr).filter(|_| is_media(kind)) {
                let first = inbound(meta, datagram);
                let follows =
                    |next: &(&RecvMeta, PacketKind, &[u8])| next.0.addr == meta.addr && is_media(next.1);
                let others = std::iter::from_fn(|| received.next_if(follows));
                let others = others.map(|(meta, _, datagram)| inbound(meta, datagram));
                lane.push_all(now, std::iter::once(first).chain(others));
                continue;
            }
            match router.route(kind, meta.addr, datagram) {
                Ok(peers) => {
                    for lanes in peers {
                        if let Some(lane) = lanes.lane(kind, datagram) {
                            lane.push(now, inbound(meta, datagram));
                        }
                    }
                }
                Err(reason) => statistics.drop(reason, 1),
            }
        }
    }
}

fn is_media(kind: PacketKind) -> bool {
    matches!(kind, PacketKind::Rtp | PacketKind::Rtcp)
}

/// The datagrams in a buffer: the kernel may have put several of one sender into it.
fn datagrams_in<'a>(meta: &RecvMeta, buffer: &'a [u8]) -> std::slice::Chunks<'a, u8> {
    buffer[..meta.len].chunks(meta.stride.max(1))
}

/// How many datagrams one receive call brought.
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
        let ReceiveBuffers { buffers, slabs } = &mut *buffers.borrow_mut();
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
                    let received = meta.iter().zip(buffers.iter()).take(count);
                    let received = received.flat_map(|(meta, buffer)| {
                        datagrams_in(meta, buffer).map(move |datagram| (meta, datagram))
                    });
                    self.distribute(now, slabs, received);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Cuts datagrams until the next one comes from another slab.
    fn fill(slabs: &mut Slabs) -> Vec<BytesMut> {
        let mut datagrams = vec![slabs.datagram(&[7; 1_000])];
        while slabs.current.capacity() >= 1_000 {
            datagrams.push(slabs.datagram(&[7; 1_000]));
        }
        datagrams
    }

    #[test]
    fn a_slab_is_filled_again_when_its_last_datagram_is_gone_and_not_before() {
        let mut slabs = Slabs::default();
        let first = fill(&mut slabs);
        let place = first[0].as_ptr();
        let (rest, last) = (fill(&mut slabs), first.into_iter().next_back());
        assert_ne!(rest[0].as_ptr(), place);
        drop(last);
        assert_eq!(fill(&mut slabs)[0].as_ptr(), place);
    }

    #[test]
    fn slabs_that_are_held_for_ever_are_forgotten_and_those_behind_them_are_filled_again() {
        let mut slabs = Slabs::default();
        let held: Vec<_> = (0..2 * SLABS_KEPT).map(|_| fill(&mut slabs)).collect();
        assert!(slabs.full.len() <= SLABS_KEPT);
        let mut places: Vec<_> = (0..4 * SLABS_KEPT).map(|_| fill(&mut slabs)[0].as_ptr()).collect();
        places.sort_unstable();
        places.dedup();
        assert!(places.len() <= SLABS_KEPT + SLABS_TRIED, "{} slabs for what one can hold", places.len());
        assert!(held.iter().flatten().all(|datagram| datagram[..] == [7; 1_000]));
    }
}
