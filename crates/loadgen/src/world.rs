//! All peers of the generator on one thread: a few sockets, one timer, a table of peers.
//!
//! Peers share sockets that are bound to every address: each peer has an IPv4 address of its own, out of a range
//! that is local to this machine (127.0.0.0/8 always is), and packets are told apart by the address they were
//! sent to. A server sees as many remote addresses as there are peers; the kernel has few sockets to wake.

use std::{
    cell::RefCell,
    cmp::Reverse,
    collections::BinaryHeap,
    io::{self, IoSliceMut},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    rc::Rc,
    time::{Duration, Instant, SystemTime},
};

use actix_rtc::proto::dtls::{Certificate, KeyType};
use anyhow::Context as _;
use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use tokio::{io::Interest, net::UdpSocket};

use crate::{
    limits::enlarge_buffers,
    peer::{Context, Media, Peer, Scratch, Totals, Wire},
    usage::overflows,
};

/// Asked for: key frames of 2.5 Mbit/s for all peers of a socket, and a second of such video that nobody reads.
/// Without root the kernel gives as much as `net.core.rmem_max` allows.
const SOCKET_BUFFER: usize = 16 << 20;
/// What one receive call can be handed with generic receive offload.
const RECEIVE_BYTES: usize = 1 << 16;
/// Receive calls in a row on one socket before the others and the timer get their turn.
const RECEIVES_IN_A_ROW: usize = 4;
/// The timer looks at the peers at least as often, for those that have changed meanwhile.
const TICK_MAX: Duration = Duration::from_millis(2);

/// A socket that many peers share.
struct Socket {
    io: UdpSocket,
    state: UdpSocketState,
}

/// Everything, behind one cell: nothing here is held across an await.
pub(crate) struct World {
    sockets: Vec<Rc<Socket>>,
    first_address: Ipv4Addr,
    certificate: Certificate,
    peers: Vec<Option<Box<Slot>>>,
    timers: BinaryHeap<Reverse<(Instant, usize)>>,
    scratch: Scratch,
    pub(crate) totals: Totals,
    /// The wall clock when the program started: stamps count from there, because the kernel's do too.
    started: SystemTime,
    /// Datagrams that the kernel did not take.
    pub(crate) unsent: u64,
    /// Publishers send nothing for now.
    pub(crate) paused: bool,
    /// Lost packets are asked for, and sent, again.
    repair: bool,
    /// The smallest receive buffer that a socket got.
    pub(crate) receive_buffer_bytes: usize,
}

/// What receive calls fill. One for all sockets: they are emptied one after the other, and memory that was used just
/// now is in the cache.
struct Buffers {
    datagrams: Vec<Box<[u8]>>,
    metas: Vec<RecvMeta>,
}

struct Slot {
    peer: Peer,
    scheduled: Option<Instant>,
}

/// The world as tasks share it.
pub(crate) type Shared = Rc<RefCell<World>>;

struct SocketWire<'a> {
    socket: &'a Socket,
    source: IpAddr,
    unsent: &'a mut u64,
}

impl Wire for SocketWire<'_> {
    fn send(&mut self, remote: SocketAddr, datagram: &[u8]) {
        let transmit = Transmit {
            destination: remote,
            ecn: None,
            contents: datagram,
            segment_size: None,
            src_ip: Some(self.source),
        };
        let Socket { io, state } = self.socket;
        let sent = io.try_io(Interest::WRITABLE, || state.try_send(UdpSockRef::from(io), &transmit));
        *self.unsent += u64::from(sent.is_err());
    }
}

/// How many peers there may be and where.
pub(crate) struct Layout {
    /// Address of the first peer; the others follow.
    pub(crate) first_address: Ipv4Addr,
    /// Sockets that share the peers.
    pub(crate) sockets: usize,
    /// Whether lost packets are asked for, and sent, again.
    pub(crate) repair: bool,
}

impl World {
    /// Binds the sockets and starts the tasks that empty them. Call in a `LocalSet`.
    pub(crate) fn start(layout: &Layout) -> anyhow::Result<Shared> {
        let (mut sockets, mut receive_buffer_bytes) = (Vec::new(), usize::MAX);
        for _ in 0..layout.sockets.max(1) {
            let (socket, bytes) = bind()?;
            sockets.push(Rc::new(socket));
            receive_buffer_bytes = receive_buffer_bytes.min(bytes);
        }
        let world = Rc::new(RefCell::new(Self {
            sockets: sockets.clone(),
            first_address: layout.first_address,
            certificate: Certificate::generate(KeyType::EcdsaP256)?,
            peers: Vec::new(),
            timers: BinaryHeap::new(),
            scratch: Scratch::default(),
            totals: Totals::default(),
            started: SystemTime::now(),
            unsent: 0,
            paused: false,
            repair: layout.repair,
            receive_buffer_bytes,
        }));
        let buffers = Rc::new(RefCell::new(Buffers::new()));
        for socket in sockets {
            tokio::task::spawn_local(receive(Rc::clone(&world), socket, Rc::clone(&buffers)));
        }
        tokio::task::spawn_local(tick(Rc::clone(&world)));
        Ok(world)
    }

    /// Adds a peer; returns its index.
    pub(crate) fn add(&mut self, offers: bool, media: Media) -> anyhow::Result<usize> {
        let index = self.peers.len();
        let address = SocketAddr::new(self.address_of(index), self.socket_of(index).io.local_addr()?.port());
        let certificate = self.certificate.clone();
        let peer = Peer::new(Instant::now(), address, index as u32, offers, certificate, media)?;
        self.peers.push(Some(Box::new(Slot { peer, scheduled: None })));
        Ok(index)
    }

    fn address_of(&self, index: usize) -> IpAddr {
        Ipv4Addr::from(u32::from(self.first_address) + index as u32).into()
    }

    fn socket_of(&self, index: usize) -> &Rc<Socket> {
        &self.sockets[index % self.sockets.len()]
    }

    /// Lets a peer act; returns `None` when it has gone.
    pub(crate) fn with<T>(
        &mut self,
        index: usize,
        act: impl FnOnce(&mut Peer, &mut Context<'_>) -> T,
    ) -> Option<T> {
        let now = Instant::now();
        let result = self.call(index, now, 0, act)?;
        self.schedule(index);
        Some(result)
    }

    fn call<T>(
        &mut self,
        index: usize,
        now: Instant,
        arrival: u64,
        act: impl FnOnce(&mut Peer, &mut Context<'_>) -> T,
    ) -> Option<T> {
        let source = self.address_of(index);
        let slot = self.peers.get_mut(index)?.as_mut()?;
        let socket = &self.sockets[index % self.sockets.len()];
        let mut wire = SocketWire { socket, source, unsent: &mut self.unsent };
        let mut context = Context {
            wire: &mut wire,
            now,
            started: self.started,
            arrival,
            paused: self.paused,
            repair: self.repair,
            totals: &mut self.totals,
            scratch: &mut self.scratch,
        };
        Some(act(&mut slot.peer, &mut context))
    }

    /// Removes a peer without a word to the server.
    pub(crate) fn remove(&mut self, index: usize) {
        if let Some(slot) = self.peers.get_mut(index) {
            *slot = None;
        }
    }

    /// Datagrams lost since the start because a socket's receive buffer here was full.
    pub(crate) fn overflows(&self) -> u64 {
        let port = |socket: &Rc<Socket>| Some(socket.io.local_addr().ok()?.port());
        overflows(&self.sockets.iter().filter_map(port).collect::<Vec<_>>())
    }

    /// All peers that are there.
    pub(crate) fn peers(&mut self) -> impl Iterator<Item = &mut Peer> {
        self.peers.iter_mut().flatten().map(|slot| &mut slot.peer)
    }

    /// One of them.
    pub(crate) fn peer(&mut self, index: usize) -> Option<&mut Peer> {
        Some(&mut self.peers.get_mut(index)?.as_mut()?.peer)
    }

    fn schedule(&mut self, index: usize) {
        let Some(slot) = self.peers[index].as_mut() else { return };
        let Some(next) = slot.peer.poll_timeout() else { return };
        if slot.scheduled.is_none_or(|scheduled| next < scheduled) {
            slot.scheduled = Some(next);
            self.timers.push(Reverse((next, index)));
        }
    }

    fn handle_timeouts(&mut self) {
        let now = Instant::now();
        while let Some(&Reverse((due, index))) = self.timers.peek()
            && due <= now
        {
            self.timers.pop();
            let Some(slot) = self.peers[index].as_mut() else { continue };
            // An earlier time took this one's place.
            if slot.scheduled != Some(due) {
                continue;
            }
            slot.scheduled = None;
            self.call(index, Instant::now(), 0, Peer::handle_timeout);
            self.schedule(index);
        }
    }

    fn next_timeout(&self) -> Instant {
        let latest = Instant::now() + TICK_MAX;
        self.timers.peek().map_or(latest, |Reverse((due, _))| (*due).min(latest))
    }

    /// When the kernel got a datagram: how long it then waited here is not the server's delay.
    fn arrival_of(&self, meta: &RecvMeta, now: SystemTime) -> u64 {
        let at = meta.timestamp.map_or(now, |since_epoch| SystemTime::UNIX_EPOCH + since_epoch);
        nanoseconds_between(self.started, at)
    }

    fn handle_batch(&mut self, metas: &[RecvMeta], buffers: &[Box<[u8]>]) {
        let (now, wall) = (Instant::now(), SystemTime::now());
        for (meta, buffer) in metas.iter().zip(buffers) {
            let Some(IpAddr::V4(own)) = meta.dst_ip else { continue };
            let Some(index) = u32::from(own).checked_sub(u32::from(self.first_address)) else { continue };
            let index = index as usize;
            let arrival = self.arrival_of(meta, wall);
            let mut changed = false;
            for datagram in buffer[..meta.len].chunks(meta.stride.max(1)) {
                let act = |peer: &mut Peer, context: &mut Context<'_>| {
                    peer.handle_datagram(context, meta.addr, datagram)
                };
                changed |= self.call(index, now, arrival, act).unwrap_or(false);
            }
            if changed {
                self.schedule(index);
            }
        }
    }
}

/// Zero for a clock that was set back meanwhile.
pub(crate) fn nanoseconds_between(from: SystemTime, to: SystemTime) -> u64 {
    u64::try_from(to.duration_since(from).unwrap_or_default().as_nanos()).unwrap_or(u64::MAX)
}

/// A socket, and the bytes that its receive buffer has.
fn bind() -> anyhow::Result<(Socket, usize)> {
    let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).context("binding a UDP socket")?;
    // It asks for the address that a datagram was sent to, receive offload, and the time of arrival.
    let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
    socket.set_nonblocking(true)?;
    let bytes = enlarge_buffers(&socket, SOCKET_BUFFER);
    Ok((Socket { io: UdpSocket::from_std(socket)?, state }, bytes))
}

impl Buffers {
    fn new() -> Self {
        Self {
            datagrams: (0..BATCH_SIZE).map(|_| vec![0; RECEIVE_BYTES].into_boxed_slice()).collect(),
            metas: vec![RecvMeta::default(); BATCH_SIZE],
        }
    }

    /// One receive call and what follows from it; false when nothing is left.
    fn receive(&mut self, socket: &Socket, world: &Shared) -> bool {
        let mut slices: Vec<IoSliceMut<'_>> =
            self.datagrams.iter_mut().map(|buffer| IoSliceMut::new(buffer)).collect();
        let Socket { io, state } = socket;
        let received =
            io.try_io(Interest::READABLE, || state.recv(UdpSockRef::from(io), &mut slices, &mut self.metas));
        match received {
            Ok(count) => {
                let world = &mut *world.borrow_mut();
                world.handle_batch(&self.metas[..count], &self.datagrams[..count]);
                // A full batch takes a good part of a millisecond: frames must not bunch because of that.
                world.handle_timeouts();
            }
            // ICMP errors of peers that have gone come as errors of the socket.
            Err(error) => return error.kind() != io::ErrorKind::WouldBlock,
        }
        true
    }
}

async fn receive(world: Shared, socket: Rc<Socket>, buffers: Rc<RefCell<Buffers>>) {
    while socket.io.readable().await.is_ok() {
        for _ in 0..RECEIVES_IN_A_ROW {
            if !buffers.borrow_mut().receive(&socket, &world) {
                break;
            }
        }
        tokio::task::yield_now().await;
    }
}

async fn tick(world: Shared) {
    loop {
        let next = world.borrow().next_timeout();
        tokio::time::sleep_until(next.into()).await;
        world.borrow_mut().handle_timeouts();
    }
}
