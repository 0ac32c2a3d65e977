//! The wire between the two sockets: what waits on it, and what becomes of it.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    net::UdpSocket,
    sync::{Arc, PoisonError, atomic::Ordering::Relaxed},
    time::Instant,
};

use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::sync::oneshot;

use crate::{Impairment, Shared};

/// The largest datagram.
const DATAGRAM_BYTES: usize = 65_535;
/// Datagrams that are under way in both directions: half a second at 200 Mbit/s. Beyond, they are refused, as by
/// a router whose queue is full.
const UNDER_WAY_MAX: usize = 10_000;
/// Datagrams taken in one turn, so that those that are due are not late by more.
const TURN: usize = 64;

/// Forwards until `stopped`, which is also when its sender is gone.
pub(crate) async fn forward(
    shared: Arc<Shared>,
    seed: u64,
    sockets: [UdpSocket; 2],
    mut stopped: oneshot::Receiver<()>,
) {
    let [Ok(a), Ok(b)] = sockets.map(tokio::net::UdpSocket::from_std) else { return };
    let mut wire = Wire {
        shared,
        sockets: [a, b],
        under_way: BinaryHeap::new(),
        number: 0,
        rng: [seed, !seed].map(StdRng::seed_from_u64),
        buffer: vec![0; DATAGRAM_BYTES],
    };
    loop {
        let due = wire.under_way.peek().map(|Reverse(first)| first.due);
        let sleep = async {
            match due {
                Some(due) => tokio::time::sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = &mut stopped => return,
            _ = wire.sockets[0].readable() => {}
            _ = wire.sockets[1].readable() => {}
            () = sleep => {}
        }
        wire.take(0);
        wire.take(1);
        wire.deliver();
    }
}

struct Wire {
    shared: Arc<Shared>,
    /// The first is where A is for B, the second where B is for A.
    sockets: [tokio::net::UdpSocket; 2],
    under_way: BinaryHeap<Reverse<Datagram>>,
    number: u64,
    /// One for what each side sends.
    rng: [StdRng; 2],
    buffer: Vec<u8>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Datagram {
    due: Instant,
    /// In the order of arrival, where they are due at once.
    number: u64,
    from: usize,
    contents: Vec<u8>,
}

impl Wire {
    /// Takes what has come for one side.
    fn take(&mut self, to: usize) {
        let from = 1 - to;
        for _ in 0..TURN {
            // An error speaks of what was sent before: somebody has closed a socket.
            let Ok((length, source)) = self.sockets[to].try_recv_from(&mut self.buffer) else { return };
            let counters = &self.shared.counters[from];
            let is_full = self.under_way.len() >= UNDER_WAY_MAX;
            if self.shared.peer(from) != Some(source) || self.shared.peer(to).is_none() || is_full {
                counters.refused.fetch_add(1, Relaxed);
                continue;
            }
            let impairment = *self.shared.impairment.lock().unwrap_or_else(PoisonError::into_inner);
            if self.rng[from].random_bool(impairment.loss.clamp(0.0, 1.0)) {
                counters.lost.fetch_add(1, Relaxed);
                continue;
            }
            self.put(from, length, impairment);
        }
    }

    fn put(&mut self, from: usize, length: usize, impairment: Impairment) {
        let copies = 1 + usize::from(self.rng[from].random_bool(impairment.duplicate.clamp(0.0, 1.0)));
        for _ in 0..copies {
            let jitter = impairment.jitter.mul_f64(self.rng[from].random());
            self.number += 1;
            self.under_way.push(Reverse(Datagram {
                due: Instant::now() + impairment.delay + jitter,
                number: self.number,
                from,
                contents: self.buffer[..length].to_vec(),
            }));
        }
    }

    /// Sends what is due, from the address that its receiver knows.
    fn deliver(&mut self) {
        let now = Instant::now();
        while self.under_way.peek().is_some_and(|Reverse(first)| first.due <= now) {
            let Some(Reverse(datagram)) = self.under_way.pop() else { return };
            let from = datagram.from;
            let Some(peer) = self.shared.peer(1 - from) else { continue };
            let sent = self.sockets[from].try_send_to(&datagram.contents, peer);
            let counters = &self.shared.counters[from];
            let counter = if sent.is_ok() { &counters.forwarded } else { &counters.refused };
            counter.fetch_add(1, Relaxed);
        }
    }
}
