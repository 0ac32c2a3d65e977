//! `TurnClient`: one allocation on one TURN server. It receives from the server, keeps the client's time and
//! writes to streams; datagrams to peers go past it, through the [`Relay`].
//!
//! Restarts three times in 10 s after a panic and goes on with the same allocation, which the [`Relay`] holds.
//! Used up, or dropped, the allocation is deleted when the last relayed socket goes.

mod connect;

use std::{
    cell::RefCell,
    io::{self, IoSliceMut},
    pin::Pin,
    rc::Rc,
    task::{Context as TaskContext, Poll},
    time::{Duration, Instant},
};

use actix::prelude::*;
use bytes::BytesMut;
use quinn_udp::RecvMeta;
use tokio::io::ReadBuf;

use self::connect::ByteStream;
pub use self::connect::{Connection, connect};
use crate::{
    actors::{
        kit::{self, ActorKind, Driven, DropReason, Metered, MeteredContext, Policy},
        network::{Inbound, PeerLanes, Relay, Socket},
    },
    messages::turn::{CloseRelay, RelayEvent, RelayReport},
    proto::{
        Protocol,
        demux::{self, PacketKind},
        stun,
        turn::{Deframer, Event, Failure, Rejected},
    },
};

/// How often a client may be rebuilt after a panic; its allocation lives on meanwhile.
pub const TURN_CLIENT_POLICY: Policy = Policy::restarts(3, Duration::from_secs(10));

/// Between the wish to close and the deletion: what peers are still to get is in the shard's queue, and leaves
/// with the next turn.
const FAREWELL: Duration = Duration::from_millis(20);
/// Receive calls per wake-up before other actors get their turn.
const MAX_CALLS_PER_WAKE: usize = 8;
/// A buffer holds what generic receive offload may put into it.
const BUFFER_BYTES: usize = 64 * 1024;

thread_local! {
    /// Where the TURN clients of a thread receive, one after the other.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; BUFFER_BYTES]);
}

/// What a client needs from its surroundings.
pub struct TurnEnvironment {
    /// The allocation and the way out.
    pub relay: Rc<Relay>,
    /// Where peers' datagrams go.
    pub lanes: PeerLanes,
    /// The number of this relay in its reports.
    pub id: u32,
    /// Hears what happens. Holds the agent weakly: a child does not keep its parent alive.
    pub report: Rc<dyn Fn(RelayReport)>,
}

/// The way in.
enum Source {
    Udp {
        socket: Rc<Socket>,
        server: std::net::SocketAddr,
    },
    Stream {
        stream: Pin<Box<dyn ByteStream>>,
        deframer: Deframer,
    },
    /// Over.
    None,
}

/// One allocation.
pub struct TurnClient {
    environment: TurnEnvironment,
    source: Source,
    /// The report of the end was made.
    is_over: bool,
    closes_at: Option<Instant>,
    /// Keeps itself alive until the allocation is deleted.
    farewell: Option<Addr<Self>>,
}

impl TurnClient {
    /// A client that receives from `connection`.
    pub fn new(environment: TurnEnvironment, connection: Connection) -> Self {
        let source = match connection {
            Connection::Udp { socket, server } => Source::Udp { socket, server },
            Connection::Stream(stream) => Source::Stream { stream, deframer: Deframer::default() },
        };
        Self { environment, source, is_over: false, closes_at: None, farewell: None }
    }

    fn report(&self, event: RelayEvent) {
        (self.environment.report)(RelayReport { id: self.environment.id, event });
    }

    /// One message of the server.
    fn receive(&self, now: Instant, message: &[u8]) {
        let TurnEnvironment { relay, lanes, .. } = &self.environment;
        let statistics = kit::statistics();
        let received = relay.receive(now, message, |peer, relayed, datagram| {
            let kind = demux::classify(datagram);
            statistics.packets_in(kind, 1, datagram.len() as u64);
            let is_stun = kind == PacketKind::Stun && (!lanes.is_raw || stun::is_stun(datagram));
            if !is_stun && !relay.trusts(peer) {
                // RFC 7675 §5.1, as at a socket of this host: see the router.
                return statistics.drop(DropReason::UnknownPeer, 1);
            }
            let Some(lane) = lanes.lane(kind, datagram) else {
                return statistics.drop(DropReason::UnknownProtocol, 1);
            };
            let payload = BytesMut::from(datagram);
            lane.push(now, Inbound { protocol: Protocol::Udp, local: relayed, remote: peer, payload });
        });
        if let Err(rejected) = received {
            tracing::trace!(?rejected, "message of a TURN server refused");
            statistics.drop(drop_reason(rejected), 1);
        }
    }

    /// True if more may wait.
    fn take_datagrams(&mut self, cx: &mut TaskContext<'_>, now: Instant) -> bool {
        let Source::Udp { socket, server } = &self.source else { return false };
        BUFFER.with_borrow_mut(|buffer| {
            for _ in 0..MAX_CALLS_PER_WAKE {
                let mut meta = [RecvMeta::default()];
                match socket.poll_receive(cx, &mut [IoSliceMut::new(buffer)], &mut meta) {
                    Poll::Pending => return false,
                    Poll::Ready(Ok(_)) => {
                        let RecvMeta { addr, len, stride, .. } = meta[0];
                        for datagram in buffer[..len].chunks(stride.max(1)) {
                            if addr == *server {
                                self.receive(now, datagram);
                            } else {
                                kit::statistics().drop(DropReason::UnknownPeer, 1);
                            }
                        }
                    }
                    // ICMP errors of earlier sends surface here: never fatal.
                    Poll::Ready(Err(_)) => kit::statistics().drop(DropReason::SocketError, 1),
                }
            }
            true
        })
    }

    /// True if more may wait.
    fn take_stream(&mut self, cx: &mut TaskContext<'_>, now: Instant) -> io::Result<bool> {
        let Source::Stream { stream, deframer } = &mut self.source else { return Ok(false) };
        let mut messages = Vec::new();
        let more = BUFFER.with_borrow_mut(|buffer| {
            for _ in 0..MAX_CALLS_PER_WAKE {
                let mut read = ReadBuf::new(&mut buffer[..16 * 1024]);
                match stream.as_mut().poll_read(cx, &mut read) {
                    Poll::Pending => return Ok(false),
                    Poll::Ready(Ok(())) if read.filled().is_empty() => {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    Poll::Ready(Ok(())) => deframer.extend(read.filled()),
                    Poll::Ready(Err(error)) => return Err(error),
                }
                while let Some(message) =
                    deframer.next_message().map_err(|error| io::Error::other(error.to_string()))?
                {
                    messages.push(message);
                }
            }
            Ok(true)
        });
        for message in messages {
            self.receive(now, &message);
        }
        more
    }

    fn write_stream(&mut self, cx: &mut TaskContext<'_>) -> io::Result<()> {
        let Source::Stream { stream, .. } = &mut self.source else { return Ok(()) };
        match self.environment.relay.poll_backlog(|bytes| stream.as_mut().poll_write(cx, bytes)) {
            Poll::Ready(Err(error)) => return Err(error),
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
        match stream.as_mut().poll_flush(cx) {
            Poll::Ready(Err(error)) => Err(error),
            Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
        }
    }

    /// The connection is gone.
    fn disconnected(&mut self, error: &io::Error, ctx: &mut MeteredContext<Self>) {
        self.source = Source::None;
        self.environment.relay.cut();
        self.over(RelayEvent::Failed(Failure::Unreachable(error.to_string())), ctx);
    }

    fn over(&mut self, event: RelayEvent, ctx: &mut MeteredContext<Self>) {
        if !std::mem::replace(&mut self.is_over, true) {
            self.report(event);
        }
        self.stop(ctx);
    }

    fn stop(&mut self, ctx: &mut MeteredContext<Self>) {
        self.farewell = None;
        ctx.stop();
    }

    fn take_events(&mut self, ctx: &mut MeteredContext<Self>) {
        while let Some(event) = self.environment.relay.poll_event() {
            match event {
                Event::Allocated { relayed, mapped } => {
                    self.report(RelayEvent::Allocated { relayed: relayed.into_vec(), mapped });
                }
                Event::Refreshed => self.report(RelayEvent::Confirmed),
                Event::Failed(failure) => self.over(RelayEvent::Failed(failure), ctx),
                Event::Closed => self.stop(ctx),
            }
        }
    }
}

fn drop_reason(rejected: Rejected) -> DropReason {
    match rejected {
        Rejected::Malformed | Rejected::Unexpected => DropReason::MalformedStun,
        Rejected::UnknownTransaction | Rejected::BadIntegrity => DropReason::StunUnauthenticated,
        _ => DropReason::UnknownPeer,
    }
}

impl Metered for TurnClient {
    const KIND: ActorKind = ActorKind::TurnClient;
}

impl Actor for TurnClient {
    type Context = MeteredContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        kit::drive::<Self>(ctx);
    }
}

impl Supervised for TurnClient {}

impl Driven for TurnClient {
    fn take_input(&mut self, cx: &mut TaskContext<'_>, now: Instant, ctx: &mut Self::Context) -> bool {
        self.environment.relay.register(cx.waker());
        let more = self.take_datagrams(cx, now);
        let more = more
            | match self.take_stream(cx, now) {
                Ok(more) => more,
                Err(error) => {
                    self.disconnected(&error, ctx);
                    return false;
                }
            };
        self.environment.relay.flush();
        if let Err(error) = self.write_stream(cx) {
            self.disconnected(&error, ctx);
            return false;
        }
        more
    }

    fn flush(&mut self, _: Instant, ctx: &mut Self::Context) {
        // Over a stream this wakes the actor again, to write it.
        self.environment.relay.flush();
        self.take_events(ctx);
    }

    fn deadline(&self) -> Option<Instant> {
        self.environment.relay.poll_timeout().into_iter().chain(self.closes_at).min()
    }

    fn handle_deadline(&mut self, now: Instant, _: &mut Self::Context) {
        if self.closes_at.is_some_and(|at| at <= now) {
            self.closes_at = None;
            self.environment.relay.close(now);
        }
        self.environment.relay.handle_timeout(now);
    }
}

impl Handler<CloseRelay> for TurnClient {
    type Result = ();

    fn handle(&mut self, _: CloseRelay, ctx: &mut Self::Context) {
        self.is_over = true;
        if self.farewell.is_none() {
            self.closes_at = Some(kit::now() + FAREWELL);
            self.farewell = Some(ctx.address());
        }
    }
}

#[cfg(feature = "fault-injection")]
crate::actors::fault_injection::impl_boom!(TurnClient);

#[cfg(feature = "fault-injection")]
#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, UdpSocket};

    use rand::SeedableRng;

    use super::*;
    use crate::{
        actors::{fault_injection::Boom, kit::LaneKind, lanes::control_lane},
        proto::{
            ice::ServerTransport,
            stun::{AttributeType, Class, Message, MessageBuilder, Method},
            turn::{Client, ClientConfig},
        },
    };

    const RELAYED: &str = "198.51.100.7:50000";

    /// Answers one Allocate, without asking for credentials.
    fn grant(server: &UdpSocket) {
        let mut buffer = [0; 1_500];
        let (length, client) = server.recv_from(&mut buffer).unwrap();
        let request = Message::parse(&buffer[..length]).unwrap();
        let answer = MessageBuilder::new(Class::SuccessResponse, Method::ALLOCATE, request.transaction_id())
            .xor_mapped_address(client)
            .xor_address(AttributeType::XOR_RELAYED_ADDRESS, RELAYED.parse().unwrap())
            .lifetime(600)
            .finish();
        server.send_to(&answer, client).unwrap();
    }

    async fn start(address: SocketAddr) -> (Addr<TurnClient>, Rc<Relay>, Rc<RefCell<Vec<RelayEvent>>>) {
        let connection =
            connect(ServerTransport::Udp, address, "", &crate::actors::network::TlsTrust::default())
                .await
                .unwrap();
        let client = Client::new(kit::now(), ClientConfig::new(), rand::rngs::StdRng::seed_from_u64(1));
        let relay = Rc::new(Relay::new(client, connection.wire()));
        let lane = || control_lane(LaneKind::Stun).0;
        let events = Rc::<RefCell<Vec<RelayEvent>>>::default();
        let told = Rc::clone(&events);
        let environment = TurnEnvironment {
            relay: Rc::clone(&relay),
            lanes: PeerLanes { stun: lane(), dtls: lane(), media: lane(), is_raw: false },
            id: 1,
            report: Rc::new(move |report| told.borrow_mut().push(report.event)),
        };
        let actor = kit::start(TURN_CLIENT_POLICY, |_| {}, |_| TurnClient::new(environment, connection));
        (actor, relay, events)
    }

    /// Waits for the actor to hear.
    async fn until(holds: impl Fn() -> bool) {
        while !holds() {
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn an_allocation_survives_three_panics_and_is_deleted_when_its_client_is_lost() {
        System::new().block_on(async {
            let server = UdpSocket::bind("127.0.0.1:0").unwrap();
            let (actor, relay, events) = start(server.local_addr().unwrap()).await;
            tokio::task::spawn_blocking({
                let server = server.try_clone().unwrap();
                move || grant(&server)
            })
            .await
            .unwrap();
            until(|| !events.borrow().is_empty()).await;
            assert!(matches!(events.borrow()[..], [RelayEvent::Allocated { .. }]));
            for _ in 0..3 {
                assert!(actor.send(Boom).await.is_err());
                assert!(actor.connected());
            }
            assert!(actor.send(Boom).await.is_err());
            until(|| !actor.connected()).await;
            let mut buffer = [0; 1_500];
            server.set_nonblocking(true).unwrap();
            assert!(server.recv_from(&mut buffer).is_err(), "sockets may still use it");
            drop(relay);
            server.set_nonblocking(false).unwrap();
            server.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            let (length, _) = server.recv_from(&mut buffer).unwrap();
            let farewell = Message::parse(&buffer[..length]).unwrap();
            assert_eq!((farewell.method(), farewell.lifetime()), (Method::REFRESH, Some(0)));
        });
    }
}
