//! The sockets of a transport, or of all transports of a shard: UDP, TCP listeners, the base of connections that are
//! opened, relayed addresses. And how they get their ports.

use std::{
    cell::RefCell,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    ops::RangeInclusive,
    rc::Rc,
};

use rand::{Rng, SeedableRng, rngs::StdRng};

use super::{NetworkConfig, Socket, TcpLink, TcpLinks};
use crate::proto::{Protocol, ice::ACTIVE_PORT};

/// Connections that the kernel has accepted and nobody has taken yet.
const LISTEN_BACKLOG: i32 = 256;

/// Which port is bound.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "there are no other ways to choose a port")]
pub enum PortChoice {
    /// Any that the system gives.
    Any,
    /// This one.
    Fixed(u16),
    /// Any of these, in random order.
    Range(RangeInclusive<u16>),
}

impl PortChoice {
    /// A port of the configuration: 0 is any, of the range if there is one.
    pub fn new(port: u16, network: &NetworkConfig) -> Self {
        match (port, &network.port_range) {
            (0, Some(range)) => Self::Range(range.clone()),
            (0, None) => Self::Any,
            (port, _) => Self::Fixed(port),
        }
    }
}

/// A TCP listener and the base of its connections.
#[derive(Debug)]
pub struct Listener {
    /// Accepts.
    pub io: tokio::net::TcpListener,
    /// To send from.
    pub socket: Rc<Socket>,
}

/// The sockets a peer may send from: at most one per address family and protocol, and the relayed addresses and
/// connections it has.
#[derive(Debug, Clone)]
pub struct SocketSet {
    sockets: Rc<[Rc<Socket>]>,
    listeners: Rc<[Rc<Listener>]>,
    active: Rc<Socket>,
    relayed: Rc<RefCell<Vec<Rc<Socket>>>>,
}

impl SocketSet {
    /// Binds one UDP socket per wanted family to every address of the host, on equal ports where those are free; and,
    /// if connections are to be accepted on `tcp`, one listener per family.
    ///
    /// # Errors
    /// When no family could be bound; a missing IPv6 alone is not an error. When no port of a range is free, the
    /// error names the range.
    pub fn bind(udp: &PortChoice, tcp: Option<&PortChoice>, network: &NetworkConfig) -> io::Result<Self> {
        let sockets = bind_families("UDP", udp, network, Socket::bind, Socket::local)?;
        let listeners = match tcp {
            Some(ports) => bind_families("TCP", ports, network, listen, |listener| listener.socket.local())?,
            None => Vec::new(),
        };
        Ok(Self {
            sockets: sockets.into_iter().map(Rc::new).collect(),
            listeners: listeners.into_iter().map(Rc::new).collect(),
            active: active(),
            relayed: Rc::default(),
        })
    }

    /// The same sockets for one transport, which adds its own relayed addresses and connections: clones of what is
    /// returned share those, other transports don't see them.
    pub fn for_transport(&self) -> Self {
        Self {
            sockets: Rc::clone(&self.sockets),
            listeners: Rc::clone(&self.listeners),
            active: active(),
            relayed: Rc::default(),
        }
    }

    /// Every UDP socket of the set.
    pub fn iter(&self) -> impl Iterator<Item = &Rc<Socket>> {
        self.sockets.iter()
    }

    /// Every TCP listener of the set.
    pub fn listeners(&self) -> impl Iterator<Item = &Rc<Listener>> {
        self.listeners.iter()
    }

    /// The socket that owns the local address `local`.
    pub fn find(&self, protocol: Protocol, local: SocketAddr) -> Option<Rc<Socket>> {
        let is_own = |s: &Socket| s.local().port() == local.port() && s.local().is_ipv4() == local.is_ipv4();
        match protocol {
            Protocol::Udp => self
                .find_relayed(protocol, local)
                .or_else(|| self.sockets.iter().find(|socket| is_own(socket)).cloned()),
            Protocol::Tcp if local.port() == ACTIVE_PORT => Some(Rc::clone(&self.active)),
            Protocol::Tcp => {
                let listener = self.listeners.iter().find(|listener| is_own(&listener.socket));
                listener.map(|listener| Rc::clone(&listener.socket))
            }
        }
    }

    /// The same, if it is a relayed address.
    pub fn find_relayed(&self, protocol: Protocol, local: SocketAddr) -> Option<Rc<Socket>> {
        if protocol != Protocol::Udp {
            return None;
        }
        self.relayed.borrow().iter().find(|socket| socket.local() == local).cloned()
    }

    /// The connection between these ends.
    pub fn find_link(&self, local: SocketAddr, remote: SocketAddr) -> Option<Rc<TcpLink>> {
        self.find(Protocol::Tcp, local)?.tcp_links()?.find(local.ip(), remote)
    }

    /// The connections that this transport has opened.
    pub fn active_links(&self) -> Option<&Rc<TcpLinks>> {
        self.active.tcp_links()
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

    /// The local address under which `ip` is reached: `ip` with the port of its family's UDP socket.
    pub fn address_of(&self, ip: IpAddr) -> Option<SocketAddr> {
        let socket = self.sockets.iter().find(|s| s.local().is_ipv4() == ip.is_ipv4())?;
        Some(SocketAddr::new(ip, socket.local().port()))
    }

    /// The same of its family's TCP listener, if there is one.
    pub fn listening_address_of(&self, ip: IpAddr) -> Option<SocketAddr> {
        let listener = self.listeners.iter().find(|l| l.socket.local().is_ipv4() == ip.is_ipv4())?;
        Some(SocketAddr::new(ip, listener.socket.local().port()))
    }
}

/// The base of connections to come: of any address.
fn active() -> Rc<Socket> {
    Rc::new(Socket::tcp((Ipv4Addr::UNSPECIFIED, ACTIVE_PORT).into(), Rc::default()))
}

fn listen(address: SocketAddr) -> io::Result<Listener> {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, Some(socket2::Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A server that is started anew does not wait for the connections of the one before.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(LISTEN_BACKLOG)?;
    let io = tokio::net::TcpListener::from_std(socket.into())?;
    let local = io.local_addr()?;
    Ok(Listener { io, socket: Rc::new(Socket::tcp(local, Rc::default())) })
}

/// Binds each wanted family, on one port where that is possible.
fn bind_families<T>(
    protocol: &str,
    ports: &PortChoice,
    network: &NetworkConfig,
    bind: impl Fn(SocketAddr) -> io::Result<T>,
    local: impl Fn(&T) -> SocketAddr,
) -> io::Result<Vec<T>> {
    let families: [(bool, IpAddr); 2] =
        [(network.ipv4, Ipv4Addr::UNSPECIFIED.into()), (network.ipv6, Ipv6Addr::UNSPECIFIED.into())];
    let families: Vec<IpAddr> =
        families.into_iter().filter(|(is_wanted, _)| *is_wanted).map(|(_, ip)| ip).collect();
    let range = match ports {
        PortChoice::Any => return bind_port(0, true, &families, &bind, &local),
        PortChoice::Fixed(port) => return bind_port(*port, true, &families, &bind, &local),
        PortChoice::Range(range) => range.clone(),
    };
    let (first, last) = (*range.start(), *range.end());
    if first == 0 || first > last {
        let sentence = format!("the port range {first}-{last} is empty or contains port 0");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, sentence));
    }
    let start = StdRng::from_os_rng().random_range(range);
    for port in (start..=last).chain(first..start) {
        match bind_port(port, false, &families, &bind, &local) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            result => return result,
        }
    }
    let sentence = format!("no {protocol} port from {first} to {last} is free");
    Err(io::Error::new(io::ErrorKind::AddrInUse, sentence))
}

/// Binds every family on `port` (0: any, the same where it is free). A family that the host lacks is left out; one
/// whose port is taken as well, if `is_lenient`.
fn bind_port<T>(
    port: u16,
    is_lenient: bool,
    families: &[IpAddr],
    bind: impl Fn(SocketAddr) -> io::Result<T>,
    local: impl Fn(&T) -> SocketAddr,
) -> io::Result<Vec<T>> {
    let (mut bound, mut failure, mut wanted) = (Vec::new(), None, port);
    for ip in families {
        let result = bind(SocketAddr::new(*ip, wanted)).or_else(|error| {
            // A port of the system's choice need not be the same in both families.
            if port == 0 && wanted != 0 { bind(SocketAddr::new(*ip, 0)) } else { Err(error) }
        });
        match result {
            Ok(socket) => {
                wanted = local(&socket).port();
                bound.push(socket);
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && !is_lenient => return Err(error),
            Err(error) => failure = Some(error),
        }
    }
    match failure {
        Some(error) if bound.is_empty() => Err(error),
        _ => Ok(bound),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_a_reactor(test: impl FnOnce()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        runtime.block_on(async { test() });
    }

    fn ports(set: &SocketSet) -> Vec<u16> {
        set.iter().map(|socket| socket.local().port()).collect()
    }

    /// Two neighbouring ports that are free for UDP at the moment.
    fn free_pair() -> u16 {
        loop {
            let first = std::net::UdpSocket::bind("[::]:0").unwrap();
            let port = first.local_addr().unwrap().port();
            let next = port.checked_add(1).map(|next| std::net::UdpSocket::bind(("::", next)));
            if matches!(next, Some(Ok(_))) {
                return port;
            }
        }
    }

    #[test]
    fn ports_are_of_the_range_and_its_end_is_a_clear_error() {
        on_a_reactor(|| {
            let first = free_pair();
            let network = NetworkConfig { port_range: Some(first..=first + 1), ..NetworkConfig::default() };
            let choice = PortChoice::new(0, &network);
            let bind = || SocketSet::bind(&choice, None, &network);
            let (one, other) = (bind().unwrap(), bind().unwrap());
            let mut bound = [ports(&one)[0], ports(&other)[0]];
            bound.sort_unstable();
            assert_eq!(bound, [first, first + 1]);
            let error = bind().unwrap_err();
            assert_eq!(error.to_string(), format!("no UDP port from {first} to {} is free", first + 1));
            drop(one);
            bind().expect("a port that was given back is taken again");
        });
    }

    #[test]
    fn a_range_that_is_none_is_refused() {
        on_a_reactor(|| {
            #[expect(clippy::reversed_empty_ranges, reason = "that is the mistake")]
            for range in [0..=10, 10..=9] {
                let network = NetworkConfig { port_range: Some(range), ..NetworkConfig::default() };
                let error = SocketSet::bind(&PortChoice::new(0, &network), None, &network).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
            }
        });
    }

    #[test]
    fn listeners_are_found_by_family_and_port_and_opened_connections_by_port_9() {
        on_a_reactor(|| {
            let network = NetworkConfig::default();
            let set = SocketSet::bind(&PortChoice::Any, Some(&PortChoice::Any), &network).unwrap();
            let local = set.listening_address_of([192, 0, 2, 1].into()).unwrap();
            let found = set.find(Protocol::Tcp, local).unwrap();
            assert_eq!(found.local().port(), local.port());
            assert!(found.tcp_links().is_some());
            let udp = set.address_of([192, 0, 2, 1].into()).unwrap();
            assert!(set.find(Protocol::Udp, udp).unwrap().tcp_links().is_none());
            let active = set.find(Protocol::Tcp, "192.0.2.1:9".parse().unwrap()).unwrap();
            assert!(!Rc::ptr_eq(&active, &found));
            let other = set.for_transport();
            let others = other.find(Protocol::Tcp, "192.0.2.1:9".parse().unwrap()).unwrap();
            assert!(!Rc::ptr_eq(&active, &others), "a transport opens its own connections");
            assert!(Rc::ptr_eq(&found, &other.find(Protocol::Tcp, local).unwrap()), "and shares listeners");
        });
    }
}
