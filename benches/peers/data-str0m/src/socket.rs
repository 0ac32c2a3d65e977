//! The socket beneath str0m, which leaves input and output to its user: either datagram by datagram, as str0m's
//! examples do it, or in batches with segmentation and receive offload.

use std::{
    io::{self, IoSliceMut},
    net::{SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use anyhow::Result;
use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// The largest segmented send: one UDP datagram's worth, less the headers.
const LARGEST_SEND: usize = 65_000;
/// What receive offload can put together.
const RECEIVE_BUFFER: usize = 65_536;
/// As quinn does it: more than a burst of the peer's congestion window.
const KERNEL_BUFFER: usize = 4 << 20;

/// A socket on loopback.
pub(crate) struct Socket {
    socket: UdpSocket,
    address: SocketAddr,
    state: UdpSocketState,
    batched: bool,
    /// Datagrams of `segment` bytes for `destination`; the last may be shorter.
    pending: Vec<u8>,
    segment: usize,
    destination: Option<SocketAddr>,
    spare: Received,
}

/// What one receive call took.
#[derive(Default)]
pub(crate) struct Received {
    buffers: Vec<Vec<u8>>,
    metas: Vec<RecvMeta>,
    count: usize,
}

impl Received {
    pub(crate) fn datagrams(&self) -> impl Iterator<Item = (SocketAddr, &[u8])> {
        let filled = self.metas.iter().zip(&self.buffers).take(self.count);
        filled.flat_map(|(meta, buffer)| {
            buffer[..meta.len].chunks(meta.stride.max(1)).map(|datagram| (meta.addr, datagram))
        })
    }
}

impl Socket {
    pub(crate) fn bind(batched: bool) -> Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        // Both sets of drivers get the same room in the kernel.
        let _ = state.set_send_buffer_size(UdpSockRef::from(&socket), KERNEL_BUFFER);
        let _ = state.set_recv_buffer_size(UdpSockRef::from(&socket), KERNEL_BUFFER);
        socket.set_nonblocking(true)?;
        let buffers = if batched { vec![vec![0; RECEIVE_BUFFER]; BATCH_SIZE] } else { vec![vec![0; 2_000]] };
        Ok(Self {
            address: socket.local_addr()?,
            socket,
            state,
            batched,
            pending: Vec::with_capacity(LARGEST_SEND),
            segment: 0,
            destination: None,
            spare: Received { metas: vec![RecvMeta::default(); buffers.len()], buffers, count: 0 },
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn send(&mut self, destination: SocketAddr, contents: &[u8]) -> Result<()> {
        if !self.batched {
            return retry(|| self.socket.send_to(contents, destination).map(drop), &self.socket);
        }
        let count = self.pending.len().div_ceil(self.segment.max(1));
        let fits = self.destination == Some(destination)
            && contents.len() <= self.segment
            && self.pending.len().is_multiple_of(self.segment)
            && self.pending.len() + contents.len() <= LARGEST_SEND
            && count < self.state.max_gso_segments();
        if !fits {
            self.flush()?;
            (self.segment, self.destination) = (contents.len(), Some(destination));
        }
        self.pending.extend_from_slice(contents);
        Ok(())
    }

    /// Sends what [`Self::send`] has put aside.
    pub(crate) fn flush(&mut self) -> Result<()> {
        let Some(destination) = self.destination.take() else { return Ok(()) };
        let transmit = Transmit {
            destination,
            ecn: None,
            contents: &self.pending,
            segment_size: Some(self.segment),
            src_ip: None,
        };
        retry(|| self.state.try_send(UdpSockRef::from(&self.socket), &transmit), &self.socket)?;
        self.pending.clear();
        Ok(())
    }

    /// The datagrams of one receive call; none when there is nothing to receive.
    pub(crate) fn receive(&mut self) -> Result<Option<Received>> {
        let mut received = std::mem::take(&mut self.spare);
        let result = if self.batched {
            let Received { buffers, metas, .. } = &mut received;
            let mut slices: Vec<IoSliceMut<'_>> =
                buffers.iter_mut().map(|buffer| IoSliceMut::new(buffer)).collect();
            self.state.recv(UdpSockRef::from(&self.socket), &mut slices, metas)
        } else {
            self.socket.recv_from(&mut received.buffers[0]).map(|(length, source)| {
                (received.metas[0].addr, received.metas[0].len) = (source, length);
                received.metas[0].stride = length;
                1
            })
        };
        match result {
            Ok(count) => {
                received.count = count;
                Ok(Some(received))
            }
            Err(error) => {
                self.spare = received;
                match error.kind() {
                    io::ErrorKind::WouldBlock => Ok(None),
                    _ => Err(error.into()),
                }
            }
        }
    }

    /// Returns the buffers for the next call.
    pub(crate) fn give_back(&mut self, received: Received) {
        self.spare = received;
    }

    /// Waits until something can be received, no longer than until `deadline`.
    pub(crate) fn wait(&self, deadline: Instant) -> Result<()> {
        let patience = deadline.saturating_duration_since(Instant::now());
        if !patience.is_zero() {
            wait(&self.socket, PollFlags::IN, patience)?;
        }
        Ok(())
    }
}

fn retry(mut send: impl FnMut() -> io::Result<()>, socket: &UdpSocket) -> Result<()> {
    loop {
        match send() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                wait(socket, PollFlags::OUT, Duration::from_millis(10))?;
            }
            other => return Ok(other?),
        }
    }
}

fn wait(socket: &UdpSocket, flags: PollFlags, patience: Duration) -> Result<()> {
    let timeout = Timespec { tv_sec: patience.as_secs() as i64, tv_nsec: patience.subsec_nanos().into() };
    match poll(&mut [PollFd::new(socket, flags)], Some(&timeout)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
