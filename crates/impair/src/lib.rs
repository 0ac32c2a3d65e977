//! A bad network in user space, for tests and benches: there is not everywhere a kernel that loses and delays.
//!
//! A [`Relay`] stands between two peers, A and B. Each knows of the other only one of the relay's two addresses:
//!
//! ```text
//!   A ──▶ address of B ─┐ loss, delay, jitter, duplicates ┌─▶ B     (B sees the address of A)
//!   A ◀─────────────────┘                                 └── B
//! ```
//!
//! [`route_through`] makes a description say so. What becomes of the n-th datagram of a direction is decided by the
//! seed alone; when it comes is up to the peers, so a run is repeated in its losses, not byte by byte.

mod description;
mod wire;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::Duration,
};

pub use description::route_through;
use tokio::sync::oneshot;

/// What happens to each datagram.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Impairment {
    /// How many of all are lost: 0 to 1.
    pub loss: f64,
    /// How many come twice: 0 to 1.
    pub duplicate: f64,
    /// How long each takes, one way.
    pub delay: Duration,
    /// Added to the delay, at most; datagrams overtake each other by it.
    pub jitter: Duration,
}

impl Default for Impairment {
    /// A wire.
    fn default() -> Self {
        Self { loss: 0.0, duplicate: 0.0, delay: Duration::ZERO, jitter: Duration::ZERO }
    }
}

/// One of the two peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// One of them.
    A = 0,
    /// The other.
    B = 1,
}

/// What has become of the datagrams of one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Sent on, copies included.
    pub forwarded: u64,
    /// Lost on purpose.
    pub lost: u64,
    /// Came from somebody else than the peer, or before the other was known, or too many waited.
    pub refused: u64,
}

#[derive(Default)]
struct Counters {
    forwarded: AtomicU64,
    lost: AtomicU64,
    refused: AtomicU64,
}

struct Shared {
    impairment: Mutex<Impairment>,
    /// Where the peers really are.
    peers: Mutex<[Option<SocketAddr>; 2]>,
    counters: [Counters; 2],
}

impl Shared {
    fn peer(&self, side: usize) -> Option<SocketAddr> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)[side]
    }
}

/// A bad network between two peers; gone when it is dropped.
pub struct Relay {
    shared: Arc<Shared>,
    addresses: [SocketAddr; 2],
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// Opens both sockets on 127.0.0.1 and starts to forward, on a thread of its own.
    ///
    /// # Errors
    /// When no socket or no thread can be had.
    pub fn start(seed: u64, impairment: Impairment) -> io::Result<Self> {
        let sockets = [open()?, open()?];
        let addresses = [sockets[0].local_addr()?, sockets[1].local_addr()?];
        let shared = Arc::new(Shared {
            impairment: Mutex::new(impairment),
            peers: Mutex::default(),
            counters: Default::default(),
        });
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let forwards = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("impair".to_owned())
            .spawn(move || runtime.block_on(wire::forward(forwards, seed, sockets, stopped)))?;
        Ok(Self { shared, addresses, stop: Some(stop), thread: Some(thread) })
    }

    /// Where this side is, for the other.
    pub fn address_of(&self, side: Side) -> SocketAddr {
        self.addresses[side as usize]
    }

    /// Says where a side really is. Datagrams of anybody else are refused.
    pub fn set_peer(&self, side: Side, address: SocketAddr) {
        self.shared.peers.lock().unwrap_or_else(PoisonError::into_inner)[side as usize] = Some(address);
    }

    /// Changes what happens to datagrams from now on, in both directions.
    pub fn set_impairment(&self, impairment: Impairment) {
        *self.shared.impairment.lock().unwrap_or_else(PoisonError::into_inner) = impairment;
    }

    /// What has become of the datagrams that this side has sent.
    pub fn counts_from(&self, side: Side) -> Counts {
        let counters = &self.shared.counters[side as usize];
        Counts {
            forwarded: counters.forwarded.load(Relaxed),
            lost: counters.lost.load(Relaxed),
            refused: counters.refused.load(Relaxed),
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It holds nothing that could be lost.
            let _ = thread.join();
        }
    }
}

fn open() -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}
