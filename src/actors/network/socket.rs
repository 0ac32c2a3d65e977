//! Sockets: UDP with batched receive and segmented send (quinn-udp over tokio), relayed addresses, and the bases of
//! TCP connections, which are sent from in the same way.

use std::{
    io::{self, IoSliceMut},
    net::{IpAddr, SocketAddr},
    rc::Rc,
    task::{Context, Poll},
};

use quinn_udp::{RecvMeta, Transmit, UdpSocketState};

use super::{Relay, TcpLinks, datagram_io::DatagramIo};
use crate::actors::kit::{KernelFeature, note_feature};

/// Kernel buffer asked for per socket: about 100 ms of 300 Mbit/s. Kernels grant less without a word.
const KERNEL_BUFFER_BYTES: usize = 4 << 20;

/// Equal datagrams that a byte stream takes in one call: there it saves nothing but look-ups.
const STREAM_SEGMENTS: usize = 16;

/// Something datagrams are sent from: a bound UDP socket, a relayed address of a TURN server, or the base of TCP
/// connections. Belongs to the thread whose reactor it was made on.
pub struct Socket {
    link: Link,
    local: SocketAddr,
}

enum Link {
    Udp { io: DatagramIo, state: UdpSocketState },
    Relayed(Rc<Relay>),
    Tcp(Rc<TcpLinks>),
}

impl std::fmt::Debug for Socket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Socket").field(&self.local).finish()
    }
}

impl Socket {
    /// Binds to `address` on the current thread's reactor; port 0 takes any.
    ///
    /// # Errors
    /// When the address can't be bound.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let domain = if address.is_ipv4() { socket2::Domain::IPV4 } else { socket2::Domain::IPV6 };
        let socket = socket2::Socket::new(domain, socket2::Type::DGRAM, Some(socket2::Protocol::UDP))?;
        if address.is_ipv6() {
            // Each family has its own socket, so that addresses never appear in mapped form.
            socket.set_only_v6(true)?;
        }
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        let socket = std::net::UdpSocket::from(socket);
        let local = socket.local_addr()?;
        let io = DatagramIo::new(socket)?;
        let state = UdpSocketState::new(io.socket())?;
        // A refused buffer size costs packets under load, not correctness.
        let _ = state.set_recv_buffer_size(io.socket(), KERNEL_BUFFER_BYTES);
        let _ = state.set_send_buffer_size(io.socket(), KERNEL_BUFFER_BYTES);
        note_features(&io, &state);
        Ok(Self { link: Link::Udp { io, state }, local })
    }

    /// The relayed address `local` of an allocation.
    pub fn relayed(local: SocketAddr, relay: Rc<Relay>) -> Self {
        Self { link: Link::Relayed(relay), local }
    }

    /// The base of connections: the address of a listener, or any address and port 9 for those that are opened.
    pub fn tcp(local: SocketAddr, links: Rc<TcpLinks>) -> Self {
        Self { link: Link::Tcp(links), local }
    }

    /// The relay, if this is a relayed address.
    pub fn relay(&self) -> Option<&Rc<Relay>> {
        match &self.link {
            Link::Udp { .. } | Link::Tcp(_) => None,
            Link::Relayed(relay) => Some(relay),
        }
    }

    /// The connections, if this is a base of such.
    pub fn tcp_links(&self) -> Option<&Rc<TcpLinks>> {
        match &self.link {
            Link::Udp { .. } | Link::Relayed(_) => None,
            Link::Tcp(links) => Some(links),
        }
    }

    /// The bound address; its IP is unspecified when the socket listens on every address.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// How many equal datagrams one send call may carry; 1 once the kernel has refused segmentation.
    pub fn max_segments(&self) -> usize {
        match &self.link {
            Link::Udp { state, .. } => state.max_gso_segments(),
            Link::Relayed(relay) => relay.max_segments(),
            Link::Tcp(_) => STREAM_SEGMENTS,
        }
    }

    /// How many datagrams the kernel may put into one receive buffer.
    pub fn segments_per_buffer(&self) -> usize {
        match &self.link {
            Link::Udp { state, .. } => state.gro_segments(),
            Link::Relayed(_) | Link::Tcp(_) => 1,
        }
    }

    /// Receives into `buffers` whatever has arrived; `Pending` registers the waker. At a relayed address
    /// nothing ever arrives, nor for connections: the `TurnClient` and the `TcpConnection`s receive for them.
    pub fn poll_receive(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let Link::Udp { io, state } = &self.link else { return Poll::Pending };
        io.poll_receive(cx, buffers.len(), |socket| state.recv(socket, buffers, meta))
    }

    /// Sends `contents` as datagrams of `segment` bytes (the last may be shorter) to one destination.
    ///
    /// # Errors
    /// `WouldBlock` when the kernel's buffer is full, or what the kernel says.
    pub fn try_send(
        &self,
        destination: SocketAddr,
        source: Option<IpAddr>,
        contents: &[u8],
        segment: usize,
    ) -> io::Result<()> {
        let (io, state) = match &self.link {
            Link::Udp { io, state } => (io, state),
            Link::Relayed(relay) => return relay.try_send(destination, contents, segment),
            Link::Tcp(links) => return links.try_send(destination, source, contents, segment),
        };
        let transmit = Transmit {
            destination,
            ecn: None,
            contents,
            segment_size: Some(segment),
            src_ip: source.filter(|_| self.local.ip().is_unspecified()),
        };
        let sent = state.try_send(io.socket(), &transmit);
        if sent.is_err() && contents.len() > segment && state.max_gso_segments() == 1 {
            note_feature(KernelFeature::UdpGso, false);
        }
        sent
    }

    /// Ready when the kernel takes datagrams again; `Pending` registers the waker.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.link {
            Link::Udp { io, .. } => io.poll_writable(cx),
            Link::Relayed(relay) => relay.poll_writable(cx),
            Link::Tcp(_) => Poll::Ready(Ok(())),
        }
    }
}

/// Notes what the kernel gives of what was asked for; says so once where that is less.
fn note_features(io: &DatagramIo, state: &UdpSocketState) {
    note_feature(KernelFeature::UdpGso, state.max_gso_segments() > 1);
    note_feature(KernelFeature::UdpGro, state.gro_segments() > 1);
    let receive = state.recv_buffer_size(io.socket());
    let buffers = [
        (KernelFeature::ReceiveBuffer, receive, "net.core.rmem_max"),
        (KernelFeature::SendBuffer, state.send_buffer_size(io.socket()), "net.core.wmem_max"),
    ];
    for (feature, size, setting) in buffers {
        // Linux counts its own needs as well, and says twice what it was asked for.
        let granted = size.unwrap_or_default() / if cfg!(target_os = "linux") { 2 } else { 1 };
        if note_feature(feature, granted >= KERNEL_BUFFER_BYTES) {
            tracing::warn!(
                granted,
                wanted = KERNEL_BUFFER_BYTES,
                "the kernel limits the {} of UDP sockets: bursts can lose packets; on Linux, \
                 `sysctl -w {setting}={KERNEL_BUFFER_BYTES}` lifts it",
                feature.as_str()
            );
        }
    }
}
