//! `TcpListener`: accepts the connections of peers (RFC 6544 section 5.2) and starts a `TcpConnection` for each.
//!
//! Whoever can reach the port can connect, so connections are bounded three times: in all, per source, and those that
//! have not shown yet whose they are; of these the oldest makes room. The listener itself survives a restart of this
//! actor, and with it the port and the connections.

use std::{
    cell::RefCell,
    collections::{HashMap, VecDeque},
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    rc::Rc,
    task::{Context as TaskContext, Poll},
    time::{Duration, Instant},
};

use actix::prelude::*;
use tokio::net::TcpStream;

use crate::actors::{
    kit::{self, ActorKind, Driven, DropReason, Metered, MeteredContext, Policy},
    network::{Listener, Router, TcpLink},
    tcp_connection::{TCP_CONNECTION_POLICY, TcpConnection},
    udp_socket::CloseSocket,
};

/// How often a listener's actor may be rebuilt after a panic; the port stays bound.
pub const TCP_LISTENER_POLICY: Policy = Policy::restarts(3, Duration::from_secs(10));

/// Connections of one listener: each costs a file descriptor, and a shard has no more peers than this.
const MAX_CONNECTIONS: usize = 16_384;
/// Connections of one source, an IPv4 address or an IPv6 network of 64 bits: an office behind one NAT.
const MAX_PER_SOURCE: usize = 256;
/// Connections that have not shown whose they are: a round trip after they were accepted they have, unless they are
/// hostile. The oldest is closed for a new one.
const MAX_STRANGERS: usize = 512;
/// Connections accepted per wake-up before other actors get their turn.
const MAX_ACCEPTS_PER_WAKE: usize = 16;
/// The system is out of something (file descriptors, mostly): asking again at once would only burn time.
const PAUSE: Duration = Duration::from_millis(100);

/// Who is connected.
#[derive(Debug, Default)]
struct Guests {
    total: usize,
    by_source: HashMap<IpAddr, usize>,
    strangers: VecDeque<Rc<TcpLink>>,
}

impl Guests {
    /// Lets one in. False if there are too many.
    fn admit(&mut self, link: &Rc<TcpLink>) -> bool {
        let from = self.by_source.entry(source(link.remote())).or_default();
        if self.total >= MAX_CONNECTIONS || *from >= MAX_PER_SOURCE {
            return false;
        }
        *from += 1;
        self.total += 1;
        self.strangers.retain(|link| !link.is_trusted() && !link.is_closed());
        if self.strangers.len() >= MAX_STRANGERS
            && let Some(oldest) = self.strangers.pop_front()
        {
            kit::statistics().drop(DropReason::TcpRefused, 1);
            oldest.close();
        }
        self.strangers.push_back(Rc::clone(link));
        true
    }

    fn release(&mut self, link: &Rc<TcpLink>) {
        let source = source(link.remote());
        self.total = self.total.saturating_sub(1);
        if let Some(count) = self.by_source.get_mut(&source) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.by_source.remove(&source);
            }
        }
        self.strangers.retain(|stranger| !Rc::ptr_eq(stranger, link));
    }
}

/// Whom a limit counts as one.
fn source(remote: SocketAddr) -> IpAddr {
    match remote.ip().to_canonical() {
        IpAddr::V4(ip) => ip.into(),
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

/// The accepting half of one TCP socket, as an actor.
pub struct TcpListener {
    listener: Rc<Listener>,
    router: Rc<RefCell<Router>>,
    guests: Rc<RefCell<Guests>>,
    paused_until: Option<Instant>,
}

impl TcpListener {
    /// An actor that accepts on `listener` for the peers of `router`.
    pub fn new(listener: Rc<Listener>, router: Rc<RefCell<Router>>) -> Self {
        Self { listener, router, guests: Rc::default(), paused_until: None }
    }

    fn accept(&self, stream: TcpStream, remote: SocketAddr) -> io::Result<()> {
        let local = stream.local_addr()?;
        // What is sent was put together already: waiting for more would only delay it.
        stream.set_nodelay(true)?;
        let link = TcpLink::new(local, remote, None);
        if !self.guests.borrow_mut().admit(&link) {
            kit::statistics().drop(DropReason::TcpRefused, 1);
            return Ok(());
        }
        let Some(links) = self.listener.socket.tcp_links().cloned() else { return Ok(()) };
        links.insert(Rc::clone(&link));
        let connection = TcpConnection::accepted(Rc::clone(&link), stream, Rc::clone(&self.router));
        let guests = Rc::clone(&self.guests);
        let down = move |_| {
            links.remove(&link);
            guests.borrow_mut().release(&link);
            link.tell_end(kit::now());
        };
        kit::start(TCP_CONNECTION_POLICY, down, |_| connection);
        Ok(())
    }
}

impl Metered for TcpListener {
    const KIND: ActorKind = ActorKind::TcpListener;
}

impl Actor for TcpListener {
    type Context = MeteredContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        kit::drive::<Self>(ctx);
    }
}

impl Supervised for TcpListener {}

impl Driven for TcpListener {
    fn take_input(&mut self, cx: &mut TaskContext<'_>, now: Instant, _: &mut Self::Context) -> bool {
        if self.paused_until.is_some() {
            return false;
        }
        for _ in 0..MAX_ACCEPTS_PER_WAKE {
            match self.listener.io.poll_accept(cx) {
                Poll::Pending => return false,
                Poll::Ready(Ok((stream, remote))) => {
                    if self.accept(stream, remote).is_err() {
                        // It is gone already.
                        kit::statistics().drop(DropReason::SocketError, 1);
                    }
                }
                Poll::Ready(Err(error)) => {
                    tracing::warn!(%error, "no connection can be accepted at the moment");
                    kit::statistics().drop(DropReason::SocketError, 1);
                    self.paused_until = Some(now + PAUSE);
                    return false;
                }
            }
        }
        true
    }

    fn flush(&mut self, _: Instant, _: &mut Self::Context) {}

    fn deadline(&self) -> Option<Instant> {
        self.paused_until
    }

    /// The next round of the driver accepts again.
    fn handle_deadline(&mut self, _: Instant, ctx: &mut Self::Context) {
        self.paused_until = None;
        ctx.notify(Resume);
    }
}

/// `TcpListener` → itself, control: the pause is over. Handling it makes the driver take input.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Resume;

impl Handler<Resume> for TcpListener {
    type Result = ();

    fn handle(&mut self, _: Resume, _: &mut Self::Context) {}
}

impl Handler<CloseSocket> for TcpListener {
    type Result = ();

    fn handle(&mut self, _: CloseSocket, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

#[cfg(feature = "fault-injection")]
crate::actors::fault_injection::impl_boom!(TcpListener);

#[cfg(test)]
mod tests {
    use super::*;

    fn link(remote: SocketAddr) -> Rc<TcpLink> {
        TcpLink::new("192.0.2.1:5000".parse().unwrap(), remote, None)
    }

    #[test]
    fn a_source_has_so_many_connections_and_no_more() {
        let mut guests = Guests::default();
        let from = |port| link(SocketAddr::from(([198, 51, 100, 1], port)));
        let links: Vec<_> = (0..300).map(|n| from(1_000 + n)).collect();
        let admitted = links.iter().filter(|link| guests.admit(link)).count();
        assert_eq!(admitted, MAX_PER_SOURCE);
        assert!(guests.admit(&link("198.51.100.2:1000".parse().unwrap())), "others are let in");
        for link in &links[..MAX_PER_SOURCE] {
            guests.release(link);
        }
        assert_eq!((guests.total, guests.by_source.len(), guests.strangers.len()), (1, 1, 1));
        assert!(guests.admit(&from(1)));
    }

    #[test]
    fn an_ipv6_network_is_one_source() {
        let of = |text: &str| source(SocketAddr::new(text.parse().unwrap(), 1));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }

    #[test]
    fn of_the_strangers_the_oldest_makes_room_and_friends_stay() {
        let mut guests = Guests::default();
        let from = |n: u16| link(SocketAddr::from(([10, 0, (n >> 8) as u8, n as u8], 1_000)));
        let friend = from(0);
        assert!(guests.admit(&friend));
        friend.trust();
        let strangers: Vec<_> = (1..=MAX_STRANGERS as u16 + 10).map(from).collect();
        assert!(strangers.iter().all(|link| guests.admit(link)));
        assert!(!friend.is_closed());
        assert!(strangers[..10].iter().all(|link| link.is_closed()));
        assert!(strangers[10..].iter().all(|link| !link.is_closed()));
        assert!(guests.strangers.len() <= MAX_STRANGERS);
    }
}
