//! A UDP socket with batched receive and segmented send (quinn-udp over tokio).

use std::{
    io::{self, IoSliceMut},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    rc::Rc,
    task::{Context, Poll},
};

use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use tokio::io::Interest;

/// Kernel buffer asked for per socket: about 100 ms of 300 Mbit/s. The kernel caps it silently.
const KERNEL_BUFFER_BYTES: usize = 4 << 20;

/// One bound UDP socket. Belongs to the thread whose reactor it was made on.
pub struct Socket {
    io: tokio::net::UdpSocket,
    state: UdpSocketState,
    local: SocketAddr,
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
        let io = tokio::net::UdpSocket::from_std(socket.into())?;
        let state = UdpSocketState::new(UdpSockRef::from(&io))?;
        // A refused buffer size costs packets under load, not correctness.
        let _ = state.set_recv_buffer_size(UdpSockRef::from(&io), KERNEL_BUFFER_BYTES);
        let _ = state.set_send_buffer_size(UdpSockRef::from(&io), KERNEL_BUFFER_BYTES);
        let local = io.local_addr()?;
        Ok(Self { io, state, local })
    }

    /// The bound address; its IP is unspecified when the socket listens on every address.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// How many equal datagrams one send call may carry; 1 once the kernel has refused segmentation.
    pub fn max_segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    /// How many datagrams the kernel may put into one receive buffer.
    pub fn segments_per_buffer(&self) -> usize {
        self.state.gro_segments()
    }

    /// Receives into `buffers` whatever has arrived; `Pending` registers the waker.
    pub fn poll_receive(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        loop {
            match self.io.poll_recv_ready(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) => {}
            }
            let received = self
                .io
                .try_io(Interest::READABLE, || self.state.recv(UdpSockRef::from(&self.io), buffers, meta));
            match received {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
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
        let transmit = Transmit {
            destination,
            ecn: None,
            contents,
            segment_size: Some(segment),
            src_ip: source.filter(|_| self.local.ip().is_unspecified()),
        };
        self.io.try_io(Interest::WRITABLE, || self.state.try_send(UdpSockRef::from(&self.io), &transmit))
    }

    /// Ready when the kernel takes datagrams again; `Pending` registers the waker.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_send_ready(cx)
    }
}

/// The sockets a peer may send from: at most one per address family.
#[derive(Debug, Clone)]
pub struct SocketSet {
    sockets: Rc<[Rc<Socket>]>,
}

impl SocketSet {
    /// Binds one socket per wanted family to every address of the host, on the same `port` where
    /// that is free (0: any).
    ///
    /// # Errors
    /// When no family could be bound; a missing IPv6 alone is not an error.
    pub fn bind(port: u16, ipv4: bool, ipv6: bool) -> io::Result<Self> {
        let mut sockets = Vec::new();
        let mut failure = None;
        let mut port_wanted = port;
        let families: [(bool, IpAddr); 2] =
            [(ipv4, Ipv4Addr::UNSPECIFIED.into()), (ipv6, Ipv6Addr::UNSPECIFIED.into())];
        for (_, ip) in families.into_iter().filter(|(wanted, _)| *wanted) {
            let bound = Socket::bind(SocketAddr::new(ip, port_wanted)).or_else(|error| {
                // An ephemeral port need not be the same in both families.
                if port == 0 && port_wanted != 0 { Socket::bind(SocketAddr::new(ip, 0)) } else { Err(error) }
            });
            match bound {
                Ok(socket) => {
                    port_wanted = socket.local().port();
                    sockets.push(Rc::new(socket));
                }
                Err(error) => failure = Some(error),
            }
        }
        match failure {
            Some(error) if sockets.is_empty() => Err(error),
            _ => Ok(Self { sockets: sockets.into() }),
        }
    }

    /// The same sockets for one transport, which adds its own relayed addresses: clones of what is
    /// returned share those, other transports don't see them.
    pub fn for_transport(&self) -> Self {
        self.clone()
    }

    /// Every socket of the set.
    pub fn iter(&self) -> impl Iterator<Item = &Rc<Socket>> {
        self.sockets.iter()
    }

    /// The socket that owns the local address `local`.
    pub fn find(&self, local: SocketAddr) -> Option<&Rc<Socket>> {
        self.sockets
            .iter()
            .find(|s| s.local().port() == local.port() && s.local().is_ipv4() == local.is_ipv4())
    }

    /// The local address under which `ip` is reached: `ip` with the port of its family's socket.
    pub fn address_of(&self, ip: IpAddr) -> Option<SocketAddr> {
        let socket = self.sockets.iter().find(|s| s.local().is_ipv4() == ip.is_ipv4())?;
        Some(SocketAddr::new(ip, socket.local().port()))
    }
}
