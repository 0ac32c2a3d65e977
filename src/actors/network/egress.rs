//! The datagrams that leave a shard: encrypted straight into one slab, grouped into runs of equal
//! size for one destination, and handed to the kernel once per run: all that wait when some fill a part of the
//! processor's cache, and the rest when everybody has written.
//!
//! Invariants: a run never mixes destinations or sockets; within a run every datagram but the last
//! has the same size (what UDP segmentation needs); the slab never grows past `MAX_QUEUED_BYTES`, and that far
//! only while the kernel takes nothing.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    rc::Rc,
    task::{Context, Poll, Waker},
};

use super::Socket;

/// What may wait for a kernel that takes no more: about 100 ms of 300 Mbit/s. Beyond it new
/// datagrams are dropped and counted, because media that waits longer is late anyway.
const MAX_QUEUED_BYTES: usize = 4 << 20;
/// Handed to the kernel as soon as this much waits: what was just encrypted is copied by the kernel while it is still
/// in the cache (often 1 MiB or more per core, and others want some of it), and a packet for five hundred
/// subscribers does not fill the queue.
const FLUSH_BYTES: usize = 96 << 10;
/// What the slab keeps when it is empty: room for what is written before a flush, so that nothing is allocated in
/// steady state, and not for what has waited for the kernel once.
const KEPT_BYTES: usize = 256 << 10;
/// The kernel's limit for one segmented send (the UDP length field, less headers).
const MAX_RUN_BYTES: usize = 65_000;
/// More segments than this are refused by kernels (`UDP_MAX_SEGMENTS` was 64 for long).
const MAX_RUN_SEGMENTS: usize = 64;

/// Where a datagram goes and which socket it leaves from.
#[derive(Debug, Clone)]
pub struct Route {
    /// The socket.
    pub socket: Rc<Socket>,
    /// The local address the peer knows, for a socket that listens on every address.
    pub source: Option<IpAddr>,
    /// The peer.
    pub destination: SocketAddr,
}

impl Route {
    fn same(&self, other: &Self) -> bool {
        self.destination == other.destination
            && self.source == other.source
            && Rc::ptr_eq(&self.socket, &other.socket)
    }
}

/// What a flush did, for the counters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[must_use]
pub struct FlushOutcome {
    /// Datagrams the kernel took.
    pub datagrams: u64,
    /// Send calls.
    pub calls: u64,
    /// Datagrams the kernel refused (counted, not retried: a refused destination stays refused).
    pub errors: u64,
}

#[derive(Debug)]
struct Run {
    route: Route,
    start: usize,
    end: usize,
    segment: usize,
    count: usize,
    /// The last datagram was shorter: nothing may follow it in this run.
    closed: bool,
}

/// The queue of one shard.
#[derive(Debug, Default)]
pub struct Egress {
    slab: Vec<u8>,
    used: usize,
    runs: Vec<Run>,
    refusals: Vec<Refusal>,
    waker: Option<Waker>,
    /// The kernel takes no more for now: `poll_flush` says when it does.
    is_blocked: bool,
    /// What was done since the last `poll_flush`.
    outcome: FlushOutcome,
}

/// Refusals that are remembered between two looks at them: each tells of an interface, and there are few of those.
const MAX_REFUSALS: usize = 16;

/// The kernel would not send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// From this address, if one was asked for.
    pub source: Option<IpAddr>,
    /// To this one.
    pub destination: SocketAddr,
    /// No way leads there from here; otherwise the source may be no address of this host.
    pub is_unreachable: bool,
}

impl Egress {
    /// Writes one datagram of at most `max_length` bytes for `route`: `write` fills the slice and
    /// says how long the datagram became, or `None` to take it back.
    ///
    /// Returns the length written, or `None` when it was taken back or the queue is full (`Err`).
    ///
    /// # Errors
    /// `Full` when as many bytes wait already as the queue may hold.
    pub fn write(
        &mut self,
        route: &Route,
        max_length: usize,
        write: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> Result<Option<usize>, Full> {
        if self.used >= FLUSH_BYTES && !self.is_blocked {
            self.send_queued();
        }
        let start = self.used;
        let end = start + max_length;
        if end > MAX_QUEUED_BYTES {
            return Err(Full);
        }
        if self.slab.len() < end {
            // Doubling, and kept: in steady state nothing is allocated here.
            self.slab.resize(end.next_power_of_two(), 0);
        }
        let Some(length) = write(&mut self.slab[start..end]).filter(|length| *length > 0) else {
            return Ok(None);
        };
        self.used = start + length;
        self.append(route, start, length);
        Ok(Some(length))
    }

    fn append(&mut self, route: &Route, start: usize, length: usize) {
        if let Some(run) = self.runs.last_mut() {
            let fits = !run.closed
                && length <= run.segment
                && run.count < MAX_RUN_SEGMENTS.min(run.route.socket.max_segments())
                && run.end - run.start + length <= MAX_RUN_BYTES
                && run.route.same(route);
            if fits {
                run.end = start + length;
                run.count += 1;
                run.closed = length < run.segment;
                return;
            }
        }
        self.runs.push(Run {
            route: route.clone(),
            start,
            end: start + length,
            segment: length,
            count: 1,
            closed: false,
        });
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Whether something waits.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Hands every run to the kernel, in order. What a full kernel buffer leaves waits for the
    /// socket to be writable; the task of `cx` is woken then, and when something new is queued.
    ///
    /// Returns what was done since the last call, also by [`Egress::write`].
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> FlushOutcome {
        loop {
            self.send_queued();
            let Some(run) = self.runs.first().filter(|_| self.is_blocked) else { break };
            match run.route.socket.poll_writable(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => {
                    self.outcome.errors += run.count as u64;
                    self.forget(1);
                }
                Poll::Pending => break,
            }
        }
        self.waker = Some(cx.waker().clone());
        std::mem::take(&mut self.outcome)
    }

    /// Sends what waits, until the kernel takes no more.
    fn send_queued(&mut self) {
        let mut done = 0;
        self.is_blocked = false;
        while let Some(run) = self.runs.get(done) {
            match send_run(run, &self.slab[run.start..run.end], &mut self.outcome) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.is_blocked = true;
                    break;
                }
                Err(error) => {
                    self.outcome.errors += run.count as u64;
                    refusal(&run.route, &error).into_iter().for_each(|refusal| {
                        if self.refusals.len() < MAX_REFUSALS && !self.refusals.contains(&refusal) {
                            self.refusals.push(refusal);
                        }
                    });
                }
            }
            done += 1;
        }
        self.forget(done);
    }

    /// What the kernel refused to send since the last call, for reasons that an interface may be behind.
    pub fn take_refusals(&mut self) -> Vec<Refusal> {
        std::mem::take(&mut self.refusals)
    }

    /// Drops the first `done` runs and, when none is left, starts the slab anew.
    fn forget(&mut self, done: usize) {
        self.runs.drain(..done);
        if self.runs.is_empty() {
            self.used = 0;
            if self.slab.len() > KEPT_BYTES {
                self.slab.truncate(KEPT_BYTES);
                self.slab.shrink_to_fit();
            }
            return;
        }
        let offset = self.runs.first().map_or(0, |run| run.start);
        if offset > MAX_QUEUED_BYTES / 2 {
            self.slab.copy_within(offset..self.used, 0);
            self.used -= offset;
            for run in &mut self.runs {
                run.start -= offset;
                run.end -= offset;
            }
        }
    }
}

/// Whether an error tells that an interface may be gone.
fn refusal(route: &Route, error: &io::Error) -> Option<Refusal> {
    let is_unreachable = match error.kind() {
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkDown => {
            true
        }
        // Linux says the latter of a source that is no address of this host.
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::InvalidInput => false,
        _ => return None,
    };
    Some(Refusal { source: route.source, destination: route.destination, is_unreachable })
}

/// The queue of a shard is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the shard's send queue is full")]
pub struct Full;

fn send_run(run: &Run, contents: &[u8], outcome: &mut FlushOutcome) -> io::Result<()> {
    let Route { socket, source, destination } = &run.route;
    if run.count <= socket.max_segments() {
        outcome.calls += 1;
        match socket.try_send(*destination, *source, contents, run.segment) {
            Ok(()) => {
                outcome.datagrams += run.count as u64;
                return Ok(());
            }
            // The kernel or a device refused segmentation (EIO, EINVAL): quinn-udp has noted it, and
            // this run goes out one by one.
            Err(_) if run.count > 1 && socket.max_segments() == 1 => {}
            Err(error) => return Err(error),
        }
    }
    for datagram in contents.chunks(run.segment) {
        outcome.calls += 1;
        match socket.try_send(*destination, *source, datagram, datagram.len()) {
            Ok(()) => outcome.datagrams += 1,
            // Part of the run is gone: what is left is dropped rather than sent twice.
            Err(_) => outcome.errors += 1,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_a_reactor(test: impl AsyncFnOnce()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        runtime.block_on(test());
    }

    /// Flushes until nothing waits.
    async fn flush(egress: &mut Egress) -> FlushOutcome {
        let mut total = FlushOutcome::default();
        std::future::poll_fn(|cx| {
            let outcome = egress.poll_flush(cx);
            total.datagrams += outcome.datagrams;
            total.calls += outcome.calls;
            total.errors += outcome.errors;
            if egress.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        total
    }

    fn route(socket: &Rc<Socket>, destination: SocketAddr) -> Route {
        Route { socket: Rc::clone(socket), source: None, destination }
    }

    fn put(egress: &mut Egress, route: &Route, length: usize) {
        let written = egress.write(route, length + 16, |buffer| {
            buffer[..length].fill(7);
            Some(length)
        });
        assert_eq!(written, Ok(Some(length)));
    }

    #[test]
    fn equal_sizes_for_one_destination_make_one_run_and_a_shorter_one_closes_it() {
        on_a_reactor(async || {
            let socket = Rc::new(Socket::bind("127.0.0.1:0".parse().unwrap()).unwrap());
            let (a, b) = (
                route(&socket, "127.0.0.1:9".parse().unwrap()),
                route(&socket, "127.0.0.1:10".parse().unwrap()),
            );
            let mut egress = Egress::default();
            for length in [100, 100, 60, 100] {
                put(&mut egress, &a, length);
            }
            put(&mut egress, &b, 100);
            let counts: Vec<_> = egress.runs.iter().map(|run| (run.segment, run.count)).collect();
            let segmented = socket.max_segments() > 1;
            if segmented {
                assert_eq!(counts, [(100, 3), (100, 1), (100, 1)]);
            } else {
                assert_eq!(counts.len(), 5);
            }
        });
    }

    #[test]
    fn what_is_flushed_arrives_datagram_by_datagram_in_order() {
        on_a_reactor(async || {
            let receiver = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            let socket = Rc::new(Socket::bind("127.0.0.1:0".parse().unwrap()).unwrap());
            let to = route(&socket, receiver.local_addr().unwrap());
            let mut egress = Egress::default();
            for value in 0..5u8 {
                egress
                    .write(&to, 32, |buffer| {
                        buffer[..20].fill(value);
                        Some(20)
                    })
                    .unwrap();
            }
            let sent = flush(&mut egress).await;
            assert_eq!((sent.datagrams, sent.errors), (5, 0));
            let mut buffer = [0; 64];
            for value in 0..5u8 {
                let (length, _) = receiver.recv_from(&mut buffer).unwrap();
                assert_eq!((length, buffer[0]), (20, value));
            }
        });
    }

    #[test]
    fn much_is_sent_while_it_is_written_and_counted_at_the_next_flush() {
        on_a_reactor(async || {
            let socket = Rc::new(Socket::bind("127.0.0.1:0".parse().unwrap()).unwrap());
            // Nobody has to listen: what matters is that the kernel takes it.
            let to = route(&socket, "127.0.0.1:9".parse().unwrap());
            let mut egress = Egress::default();
            // A new socket is not known to be writable before its reactor was asked.
            put(&mut egress, &to, 1_000);
            let first = flush(&mut egress).await;
            assert_eq!(first.datagrams + first.errors, 1);
            let count = 2 * MAX_QUEUED_BYTES / 1_000;
            for _ in 0..count {
                put(&mut egress, &to, 1_000);
                assert!(egress.used <= FLUSH_BYTES + 1_000 || egress.is_blocked);
            }
            let sent = flush(&mut egress).await;
            assert_eq!(sent.datagrams + sent.errors, count as u64);
            assert!(egress.slab.len() <= KEPT_BYTES);
        });
    }

    #[test]
    fn a_full_queue_refuses_and_a_taken_back_datagram_leaves_no_trace() {
        on_a_reactor(async || {
            let socket = Rc::new(Socket::bind("127.0.0.1:0".parse().unwrap()).unwrap());
            let to = route(&socket, "127.0.0.1:9".parse().unwrap());
            let mut egress = Egress::default();
            assert_eq!(egress.write(&to, 100, |_| None), Ok(None));
            assert!(egress.is_empty());
            assert_eq!(egress.write(&to, MAX_QUEUED_BYTES + 1, |_| Some(1)), Err(Full));
        });
    }
}
