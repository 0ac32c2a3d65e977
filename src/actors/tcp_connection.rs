//! `TcpConnection`: one TCP connection with a peer (RFC 6544), opened by us or by the peer. It takes the stream apart
//! into datagrams (RFC 4571) and hands each to the actors of its peer; and writes what waits in its [`TcpLink`].
//!
//! A connection that a peer has opened must begin with a connectivity check for a ufrag of ours: so it is known whose
//! it is, for good. It is closed unless ICE authenticates what comes over it within [`PATIENCE`].
//!
//! Never restarted after a panic: it is not known how far into a frame it was. Its end is told to the agent.

use std::{
    cell::RefCell,
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    task::{Context as TaskContext, Poll},
    time::{Duration, Instant},
};

use actix::prelude::*;
use bytes::BytesMut;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpSocket, TcpStream},
};

use crate::{
    actors::{
        kit::{self, ActorKind, Driven, DropReason, Metered, MeteredContext, Policy},
        network::{Inbound, Router, TcpLink},
    },
    proto::{
        Protocol,
        demux::{self, PacketKind},
        framing::{Deframer, MAX_FRAME_LENGTH},
        stun,
    },
};

/// A stream that was interrupted in the middle of a frame can't be read on.
pub const TCP_CONNECTION_POLICY: Policy = Policy::never();

/// From the connection to the first authenticated message; for one that we open, to its being open as well.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// A connection over which nothing comes for so long carries no selected pair: that is asked for consent every 4 to
/// 6 s, and without any for 30 s it is over (RFC 7675 section 5.1).
const MAX_SILENCE: Duration = Duration::from_secs(60);
/// Between the wish to end and the end, when the peer takes nothing.
const FAREWELL: Duration = Duration::from_secs(1);
/// What others still want to send at the end is in the shard's queue, and comes with its next turn.
const LAST_WORDS: Duration = Duration::from_millis(20);
/// The first frame is a check: 500 bytes at most, with the longest names and an unknown attribute.
const MAX_FIRST_FRAME: usize = 1_500;
/// Read calls per wake-up before other actors get their turn.
const MAX_READS_PER_WAKE: usize = 4;
/// Bytes per read.
const BUFFER_BYTES: usize = 64 * 1024;

thread_local! {
    /// Where all connections of a thread read to, one after the other.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; BUFFER_BYTES]);
}

enum Stream {
    Opening(Pin<Box<dyn Future<Output = io::Result<TcpStream>>>>),
    Open(TcpStream),
    Closed,
}

/// One connection.
pub struct TcpConnection {
    link: Rc<TcpLink>,
    stream: Stream,
    deframer: Deframer,
    /// Finds whose it is; for one that the peer has opened.
    router: Option<Rc<RefCell<Router>>>,
    /// When it must be trusted.
    trusted_by: Instant,
    silent_since: Instant,
    /// Not before, and not after: set when it is to be finished.
    ends: Option<(Instant, Instant)>,
    /// Keeps itself alive until it is over.
    own: Option<Addr<Self>>,
}

/// Why a connection is closed.
#[derive(Debug)]
enum End {
    /// By the peer, or the system says so.
    Io(io::Error),
    /// By us.
    Refused(DropReason),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl TcpConnection {
    /// A connection that a peer has opened.
    pub fn accepted(link: Rc<TcpLink>, stream: TcpStream, router: Rc<RefCell<Router>>) -> Self {
        Self::new(link, Stream::Open(stream), Some(router))
    }

    /// A connection to be opened, from the IP address of the link's base to its other end.
    pub fn opened(link: Rc<TcpLink>) -> Self {
        let (mut local, remote) = (link.local(), link.remote());
        local.set_port(0);
        Self::new(link, Stream::Opening(Box::pin(open(local, remote))), None)
    }

    fn new(link: Rc<TcpLink>, stream: Stream, router: Option<Rc<RefCell<Router>>>) -> Self {
        let now = kit::now();
        Self {
            link,
            stream,
            deframer: Deframer::default(),
            router,
            trusted_by: now + PATIENCE,
            silent_since: now,
            ends: None,
            own: None,
        }
    }

    /// True if more may wait.
    fn read(&mut self, cx: &mut TaskContext<'_>, now: Instant) -> Result<bool, End> {
        for _ in 0..MAX_READS_PER_WAKE {
            let Stream::Open(stream) = &mut self.stream else { return Ok(false) };
            let deframer = &mut self.deframer;
            let read = BUFFER.with_borrow_mut(|buffer| {
                let mut read = ReadBuf::new(buffer);
                let polled = Pin::new(stream).poll_read(cx, &mut read);
                deframer.extend(read.filled());
                polled.map_ok(|()| read.filled().len())
            });
            match read {
                Poll::Pending => return Ok(false),
                Poll::Ready(Ok(0)) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Poll::Ready(Ok(_)) => self.silent_since = now,
                Poll::Ready(Err(error)) => return Err(error.into()),
            }
            self.distribute(now)?;
        }
        Ok(true)
    }

    /// Hands on every datagram that is complete.
    fn distribute(&mut self, now: Instant) -> Result<(), End> {
        loop {
            let limit = if self.link.is_identified() { MAX_FRAME_LENGTH } else { MAX_FIRST_FRAME };
            let datagram = self.deframer.next_datagram(limit);
            match datagram.map_err(|_| End::Refused(DropReason::TcpMalformed))? {
                Some(datagram) => self.receive(now, datagram)?,
                None => return Ok(()),
            }
        }
    }

    fn receive(&self, now: Instant, payload: BytesMut) -> Result<(), End> {
        let statistics = kit::statistics();
        let kind = demux::classify(&payload);
        statistics.packets_in(kind, 1, payload.len() as u64);
        if !self.link.is_identified() {
            self.identify(kind, &payload)?;
        }
        let link = &self.link;
        let inbound =
            Inbound { protocol: Protocol::Tcp, local: link.local(), remote: link.remote(), payload };
        link.with_lanes(|lanes| {
            // RFC 7675 §5.1, as at a UDP socket: see the router.
            if !link.is_trusted() && !stun::is_stun(&inbound.payload) {
                return statistics.drop(DropReason::UnknownPeer, 1);
            }
            let Some(lane) = lanes.lane(kind, &inbound.payload) else {
                return statistics.drop(DropReason::UnknownProtocol, 1);
            };
            lane.push(now, inbound);
        });
        Ok(())
    }

    /// RFC 6544 section 8: the first frame is a check, and its USERNAME says whom it is for.
    fn identify(&self, kind: PacketKind, payload: &[u8]) -> Result<(), End> {
        let unidentified = End::Refused(DropReason::TcpUnidentified);
        let ufrag = stun::ufrag_of(payload).filter(|_| kind == PacketKind::Stun);
        let (Some(ufrag), Some(router)) = (ufrag, &self.router) else { return Err(unidentified) };
        let Some(lanes) = router.borrow().lanes_of(ufrag).cloned() else { return Err(unidentified) };
        self.link.identify(lanes);
        Ok(())
    }

    fn write(&mut self, cx: &mut TaskContext<'_>) -> Result<(), End> {
        let Stream::Open(stream) = &mut self.stream else { return Ok(()) };
        match self.link.poll_backlog(|bytes| Pin::new(&mut *stream).poll_write(cx, bytes)) {
            Poll::Ready(Err(error)) => Err(error.into()),
            Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
        }
    }

    /// Goes on opening.
    fn open(&mut self, cx: &mut TaskContext<'_>, now: Instant) -> Result<(), End> {
        if let Stream::Opening(opening) = &mut self.stream
            && let Poll::Ready(stream) = opening.as_mut().poll(cx)
        {
            self.stream = Stream::Open(stream?);
            self.silent_since = now;
        }
        Ok(())
    }

    fn advance(&mut self, cx: &mut TaskContext<'_>, now: Instant) -> Result<bool, End> {
        if self.link.is_closed() {
            return Err(End::Refused(DropReason::Closed));
        }
        self.open(cx, now)?;
        let more = self.read(cx, now)?;
        if self.link.with_lanes(|lanes| lanes.stun.is_closed()) == Some(true) {
            // Its agent is gone.
            return Err(End::Refused(DropReason::Closed));
        }
        self.write(cx)?;
        if self.link.is_finishing() && self.ends.is_none() {
            self.ends = Some((now + LAST_WORDS, now + FAREWELL));
        }
        Ok(more)
    }

    fn end(&mut self, end: &End, ctx: &mut MeteredContext<Self>) {
        match end {
            End::Io(error) => tracing::debug!(%error, "a TCP connection has ended"),
            End::Refused(DropReason::Closed) => {}
            End::Refused(reason) => {
                tracing::debug!(reason = reason.as_str(), "a TCP connection is refused");
                kit::statistics().drop(*reason, 1);
            }
        }
        self.stream = Stream::Closed;
        self.link.close();
        self.own = None;
        ctx.stop();
    }
}

/// Connects from any port of the local address.
async fn open(local: SocketAddr, remote: SocketAddr) -> io::Result<TcpStream> {
    let socket = if local.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.bind(local)?;
    let stream = socket.connect(remote).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl Metered for TcpConnection {
    const KIND: ActorKind = ActorKind::TcpConnection;
}

impl Actor for TcpConnection {
    type Context = MeteredContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.own = Some(ctx.address());
        kit::drive::<Self>(ctx);
    }
}

impl Supervised for TcpConnection {}

impl Driven for TcpConnection {
    fn take_input(&mut self, cx: &mut TaskContext<'_>, now: Instant, ctx: &mut Self::Context) -> bool {
        self.link.register(cx.waker());
        match self.advance(cx, now) {
            Ok(more) => more,
            Err(end) => {
                self.end(&end, ctx);
                false
            }
        }
    }

    fn flush(&mut self, _: Instant, _: &mut Self::Context) {}

    fn deadline(&self) -> Option<Instant> {
        if matches!(self.stream, Stream::Closed) {
            return None;
        }
        let patience = (!self.link.is_trusted()).then_some(self.trusted_by);
        let silence = Some(self.silent_since + MAX_SILENCE);
        let end = self.ends.map(|(earliest, latest)| if self.link.is_drained() { earliest } else { latest });
        [patience, silence, end].into_iter().flatten().min()
    }

    fn handle_deadline(&mut self, now: Instant, ctx: &mut Self::Context) {
        let is_late = !self.link.is_trusted() && self.trusted_by <= now;
        let reason = if is_late { DropReason::TcpUnidentified } else { DropReason::Closed };
        self.end(&End::Refused(reason), ctx);
    }
}

#[cfg(feature = "fault-injection")]
crate::actors::fault_injection::impl_boom!(TcpConnection);

#[cfg(all(test, feature = "fault-injection"))]
mod tests {
    use super::*;
    use crate::actors::{
        fault_injection::Boom,
        kit::{DownReason, LaneKind},
        lanes::control_lane,
        network::{NetworkConfig, PeerLanes, PortChoice, SocketSet},
        tcp_listener::{TCP_LISTENER_POLICY, TcpListener},
    };

    /// A panic costs the connection, which is told to its agent; nobody else.
    #[test]
    fn a_panic_ends_a_connection_and_its_agent_hears_of_it() {
        System::new().block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let remote = listener.local_addr().unwrap();
            let (stun, ends) = control_lane(LaneKind::Stun);
            let (dtls, media) = (control_lane(LaneKind::Dtls).0, control_lane(LaneKind::Media).0);
            let lanes = PeerLanes { stun, dtls, media, is_raw: false };
            let link = TcpLink::new("127.0.0.1:9".parse().unwrap(), remote, Some(lanes));
            let told = Rc::clone(&link);
            let down = move |reason: DownReason| {
                assert_ne!(reason, DownReason::Stopped);
                told.tell_end(kit::now());
            };
            let connection = TcpConnection::opened(Rc::clone(&link));
            let connection = kit::start(TCP_CONNECTION_POLICY, down, |_| connection);
            let (_stream, _) = listener.accept().await.unwrap();
            assert!(connection.send(Boom).await.is_err());
            let mut heard = Vec::new();
            std::future::poll_fn(|cx| {
                ends.poll_take(cx, kit::now(), 1, &mut heard);
                if heard.is_empty() { Poll::Pending } else { Poll::Ready(()) }
            })
            .await;
            assert!(heard[0].is_end() && heard[0].remote == remote);
            assert!(link.is_closed());
        });
    }

    #[test]
    fn a_listener_survives_three_panics_with_its_port() {
        System::new().block_on(async {
            let network = NetworkConfig { ipv6: false, ..NetworkConfig::default() };
            let set = SocketSet::bind(&PortChoice::Any, Some(&PortChoice::Any), &network).unwrap();
            let listener = Rc::clone(set.listeners().next().unwrap());
            let port = listener.socket.local().port();
            let actor = TcpListener::new(Rc::clone(&listener), Rc::default());
            let actor = kit::start(TCP_LISTENER_POLICY, |_| (), |_| actor);
            let mut connections = Vec::new();
            for count in 0..4 {
                connections.push(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
                let links = listener.socket.tcp_links().unwrap();
                while links.len() <= count {
                    tokio::task::yield_now().await;
                }
                if count < 3 {
                    assert!(actor.send(Boom).await.is_err());
                }
            }
            assert_eq!(listener.socket.tcp_links().unwrap().len(), 4, "connections of before go on");
        });
    }
}
