//! Sockets: UDP with batched receive and segmented send (quinn-udp over tokio), and relayed addresses, which
//! are sent from in the same way.

use std::{
    cell::RefCell,
    io::{self, IoSliceMut},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    rc::Rc,
    task::{Context, Poll},
};

use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use tokio::io::Interest;

use super::Relay;
use crate::proto::Protocol;

/// Kernel buffer asked for per socket: about 100 ms of 300 Mbit/s. The kernel caps it silently.
const KERNEL_BUFFER_BYTES: usize = 4 << 20;

/// Something datagrams are sent from: a bound UDP socket, or a relayed address of a TURN server. Belongs to
/// the thread whose reactor it was made on.
pub struct Socket {
    link: Link,
    local: SocketAddr,
}

enum Link {
    Udp { io: tokio::net::UdpSocket, state: UdpSocketState },
    Relayed(Rc<Relay>),
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
        Ok(Self { link: Link::Udp { io, state }, local })
    }

    /// The relayed address `local` of an allocation.
    pub fn relayed(local: SocketAddr, relay: Rc<Relay>) -> Self {
        Self { link: Link::Relayed(relay), local }
    }

    /// The relay, if this is a relayed address.
    pub fn relay(&self) -> Option<&Rc<Relay>> {
        match &self.link {
            Link::Udp { .. } => None,
            Link::Relayed(relay) => Some(relay),
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
        }
    }

    /// How many datagrams the kernel may put into one receive buffer.
    pub fn segments_per_buffer(&self) -> usize {
        match &self.link {
            Link::Udp { state, .. } => state.gro_segments(),
            Link::Relayed(_) => 1,
        }
    }

    /// Receives into `buffers` whatever has arrived; `Pending` registers the waker. At a relayed address
    /// nothing ever arrives: the `TurnClient` receives for it.
    pub fn poll_receive(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let Link::Udp { io, state } = &self.link else { return Poll::Pending };
        loop {
            match io.poll_recv_ready(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) => {}
            }
            let received = io.try_io(Interest::READABLE, || state.recv(UdpSockRef::from(io), buffers, meta));
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
        let (io, state) = match &self.link {
            Link::Udp { io, state } => (io, state),
            Link::Relayed(relay) => return relay.try_send(destination, contents, segment),
        };
        let transmit = Transmit {
            destination,
            ecn: None,
            contents,
            segment_size: Some(segment),
            src_ip: source.filter(|_| self.local.ip().is_unspecified()),
        };
        io.try_io(Interest::WRITABLE, || state.try_send(UdpSockRef::from(io), &transmit))
    }

    /// Ready when the kernel takes datagrams again; `Pending` registers the waker.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.link {
            Link::Udp { io, .. } => io.poll_send_ready(cx),
            Link::Relayed(relay) => relay.poll_writable(cx),
        }
    }
}

/// The sockets a peer may send from: at most one per address family, and the relayed addresses it has.
#[derive(Debug, Clone)]
pub struct SocketSet {
    sockets: Rc<[Rc<Socket>]>,
    relayed: Rc<RefCell<Vec<Rc<Socket>>>>,
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
            _ => Ok(Self { sockets: sockets.into(), relayed: Rc::default() }),
        }
    }

    /// The same sockets for one transport, which adds its own relayed addresses: clones of what is
    /// returned share those, other transports don't see them.
    pub fn for_transport(&self) -> Self {
        Self { sockets: Rc::clone(&self.sockets), relayed: Rc::default() }
    }

    /// Every UDP socket of the set.
    pub fn iter(&self) -> impl Iterator<Item = &Rc<Socket>> {
        self.sockets.iter()
    }

    /// The socket that owns the local address `local`.
    pub fn find(&self, protocol: Protocol, local: SocketAddr) -> Option<Rc<Socket>> {
        self.find_relayed(protocol, local).or_else(|| {
            let is_own =
                |s: &&Rc<Socket>| s.local().port() == local.port() && s.local().is_ipv4() == local.is_ipv4();
            self.sockets.iter().find(is_own).cloned()
        })
    }

    /// The same, if it is a relayed address.
    pub fn find_relayed(&self, protocol: Protocol, local: SocketAddr) -> Option<Rc<Socket>> {
        if protocol != Protocol::Udp {
            return None;
        }
        self.relayed.borrow().iter().find(|socket| socket.local() == local).cloned()
    }

    /// Adds a relayed address. False if the set has it already: then somebody lies.
    pub fn add_relayed(&self, socket: Rc<Socket>) -> bool {
        let is_new = self.find_relayed(Protocol::Udp, socket.local()).is_none();
        if is_new {
            self.relayed.borrow_mut().push(socket);
        }
        is_new
    }

    /// Forgets a relayed address.
    pub fn remove_relayed(&self, local: SocketAddr) {
        self.relayed.borrow_mut().retain(|socket| socket.local() != local);
    }

    /// The local address under which `ip` is reached: `ip` with the port of its family's socket.
    pub fn address_of(&self, ip: IpAddr) -> Option<SocketAddr> {
        let socket = self.sockets.iter().find(|s| s.local().is_ipv4() == ip.is_ipv4())?;
        Some(SocketAddr::new(ip, socket.local().port()))
    }
}
