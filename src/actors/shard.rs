//! `Shard`: one thread's share of the peers. It owns the sockets that its peers share and the queue
//! of datagrams that leave, and it makes the `PeerConnection` actors of its thread.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    io,
    net::SocketAddr,
    rc::Rc,
    task::Context as TaskContext,
    time::Instant,
};

use actix::prelude::*;

use crate::{
    actors::{
        ice_connection::{
            IceAgentHandle, IceConnectionActor, IceConnectionHandle, IceSettings, start_single,
        },
        kit::{
            self, ActorKind, DownReason, Driven, DropReason, LaneReceiver, Metered, MeteredContext, Policy,
        },
        network::{
            AddressWatch, Egress, Listener, NetworkConfig, PeerKey, PortChoice, Router, RouterSize, Socket,
            SocketSet,
        },
        ortc::{OrtcConfig, OrtcHandle, OrtcTransport},
        peer_connection::{PeerConfig, PeerConnection, PeerHandle},
        tcp_listener::{TCP_LISTENER_POLICY, TcpListener},
        udp_socket::{CloseSocket, ReceiveBuffers, UDP_SOCKET_POLICY, UdpSocket},
    },
    messages::{error::RtcError, ice::IceEvent},
};

/// How the sockets of a shard's peers are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UdpMode {
    /// One socket per address family for all peers of the shard, on this port (0: any).
    Shared {
        /// The port; the second shard takes the next one, and so on.
        port: u16,
    },
    /// Own sockets for every connection, on ports of the system's choice.
    PerConnection,
}

/// What a shard is made with.
#[derive(Debug, Clone)]
pub struct ShardConfig {
    /// Sockets.
    pub udp: UdpMode,
    /// Addresses that are offered.
    pub network: NetworkConfig,
}

/// Tells a transport that nothing is received at this local address any more.
type TellLost = Rc<dyn Fn(SocketAddr)>;

/// The sockets of one peer or of all peers of a shard, with their receiving actors.
pub struct Attachment {
    /// To send from.
    pub sockets: SocketSet,
    /// To be found in.
    pub router: Rc<RefCell<Router>>,
    buffers: Rc<RefCell<ReceiveBuffers>>,
    /// One per socket, in the order of `sockets`.
    receiving: RefCell<Vec<Addr<UdpSocket>>>,
    /// One per listener of `sockets`, in their order.
    accepting: RefCell<Vec<Addr<TcpListener>>>,
    /// Who receives through these sockets, to be told when one is lost.
    peers: Rc<RefCell<HashMap<PeerKey, TellLost>>>,
}

impl Attachment {
    fn bind(
        mode: UdpMode,
        network: &NetworkConfig,
        buffers: &Rc<RefCell<ReceiveBuffers>>,
    ) -> io::Result<Self> {
        let tcp_port = network.tcp.passive_port();
        let (udp, tcp) = match mode {
            UdpMode::Shared { port } => (port, tcp_port),
            // A port of its own choice would serve one connection only.
            UdpMode::PerConnection => (0, tcp_port.map(|_| 0)),
        };
        let tcp = tcp.map(|port| PortChoice::new(port, network));
        let attachment = Self {
            sockets: SocketSet::bind(&PortChoice::new(udp, network), tcp.as_ref(), network)?,
            router: Rc::default(),
            buffers: Rc::clone(buffers),
            receiving: RefCell::default(),
            accepting: RefCell::default(),
            peers: Rc::default(),
        };
        let receiving = attachment.sockets.iter().map(|socket| attachment.receive(socket)).collect();
        attachment.receiving.replace(receiving);
        let accepting = attachment.sockets.listeners().map(|listener| attachment.accept(listener)).collect();
        attachment.accepting.replace(accepting);
        Ok(attachment)
    }

    /// Starts to receive from a socket. When its actor is lost, so are the peers that rely on it.
    fn receive(&self, socket: &Rc<Socket>) -> Addr<UdpSocket> {
        let actor = UdpSocket::new(Rc::clone(socket), Rc::clone(&self.router), Rc::clone(&self.buffers));
        let (peers, local) = (Rc::clone(&self.peers), socket.local());
        let down = move |reason: DownReason| {
            if reason == DownReason::Stopped {
                return;
            }
            let lost: Vec<_> = peers.borrow().values().cloned().collect();
            tracing::error!(%local, ?reason, transports = lost.len(), "a socket's actor is lost");
            for tell in lost {
                tell(local);
            }
        };
        kit::start(UDP_SOCKET_POLICY, down, |_| actor)
    }

    /// Starts to accept connections. When the actor is lost those there are stay, and peers to come start it anew.
    fn accept(&self, listener: &Rc<Listener>) -> Addr<TcpListener> {
        let actor = TcpListener::new(Rc::clone(listener), Rc::clone(&self.router));
        let local = listener.socket.local();
        let down = move |reason: DownReason| {
            if reason != DownReason::Stopped {
                tracing::error!(%local, ?reason, "the actor of a TCP listener is lost");
            }
        };
        kit::start(TCP_LISTENER_POLICY, down, |_| actor)
    }

    /// Starts the actors of sockets whose actor was lost anew: the sockets themselves, and their ports,
    /// have survived. For peers to come; those that were told stay failed.
    fn revive(&self) {
        for (socket, actor) in self.sockets.iter().zip(self.receiving.borrow_mut().iter_mut()) {
            if !actor.connected() {
                *actor = self.receive(socket);
            }
        }
        for (listener, actor) in self.sockets.listeners().zip(self.accepting.borrow_mut().iter_mut()) {
            if !actor.connected() {
                *actor = self.accept(listener);
            }
        }
    }

    /// Calls `tell` when a socket is lost, until [`Self::leave`]. It must hold its owner weakly.
    pub(super) fn join(&self, key: PeerKey, tell: TellLost) {
        self.peers.borrow_mut().insert(key, tell);
    }

    /// The transport no longer needs the sockets.
    pub(super) fn leave(&self, key: PeerKey) {
        self.peers.borrow_mut().remove(&key);
    }

    #[cfg(feature = "fault-injection")]
    pub(super) fn boom(&self) {
        for socket in self.receiving.borrow().iter() {
            socket.do_send(crate::actors::fault_injection::Boom);
        }
        for listener in self.accepting.borrow().iter() {
            listener.do_send(crate::actors::fault_injection::Boom);
        }
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        for socket in self.receiving.borrow().iter() {
            socket.do_send(CloseSocket);
        }
        for listener in self.accepting.borrow().iter() {
            listener.do_send(CloseSocket);
        }
    }
}

/// Where the transports of one thread get their sockets and their names.
pub struct TransportPlaces {
    config: ShardConfig,
    egress: Rc<RefCell<Egress>>,
    buffers: Rc<RefCell<ReceiveBuffers>>,
    shared: Option<Rc<Attachment>>,
    watch: Rc<AddressWatch>,
    next_key: Cell<u64>,
}

impl TransportPlaces {
    fn bind(config: ShardConfig) -> io::Result<Self> {
        let buffers = Rc::default();
        let shared = match config.udp {
            mode @ UdpMode::Shared { .. } => {
                Some(Rc::new(Attachment::bind(mode, &config.network, &buffers)?))
            }
            UdpMode::PerConnection => None,
        };
        Ok(Self {
            config,
            egress: Rc::default(),
            buffers,
            shared,
            watch: Rc::default(),
            next_key: Cell::new(1),
        })
    }

    /// The place of one more transport.
    ///
    /// # Errors
    /// When it needs sockets of its own and none can be bound.
    pub fn place(self: &Rc<Self>) -> io::Result<TransportPlace> {
        let attachment = match &self.shared {
            Some(shared) => {
                shared.revive();
                Rc::clone(shared)
            }
            None => Rc::new(Attachment::bind(UdpMode::PerConnection, &self.config.network, &self.buffers)?),
        };
        Ok(self.place_at(attachment, self.config.network.clone()))
    }

    /// A place with sockets of its own, whatever the others share; `network`: instead of the shard's.
    ///
    /// # Errors
    /// When none can be bound.
    pub fn own_place(self: &Rc<Self>, network: Option<&NetworkConfig>) -> io::Result<TransportPlace> {
        let network = network.unwrap_or(&self.config.network);
        let attachment = Rc::new(Attachment::bind(UdpMode::PerConnection, network, &self.buffers)?);
        Ok(self.place_at(attachment, network.clone()))
    }

    fn place_at(self: &Rc<Self>, attachment: Rc<Attachment>, network: NetworkConfig) -> TransportPlace {
        TransportPlace {
            key: self.key(),
            sockets: attachment.sockets.for_transport(),
            attachment,
            egress: Rc::clone(&self.egress),
            watch: Rc::clone(&self.watch),
            network,
            places: Rc::clone(self),
        }
    }

    fn key(&self) -> PeerKey {
        let key = self.next_key.get();
        self.next_key.set(key + 1);
        PeerKey(key)
    }
}

/// Where one transport lives: what names it, and what it shares with the others of its thread.
pub struct TransportPlace {
    /// Names it in the router.
    pub key: PeerKey,
    /// What receives for it.
    pub attachment: Rc<Attachment>,
    /// Its sockets, and the relayed addresses it will have.
    pub sockets: SocketSet,
    /// The thread's send queue.
    pub egress: Rc<RefCell<Egress>>,
    /// Tells when an address of this host is lost.
    pub watch: Rc<AddressWatch>,
    /// Addresses that are offered.
    pub network: NetworkConfig,
    places: Rc<TransportPlaces>,
}

impl TransportPlace {
    /// The same sockets under another name: for an agent that takes over from one that is lost. A socket
    /// whose actor is lost is received from again.
    pub(super) fn renew(&mut self) {
        self.attachment.leave(self.key);
        self.key = self.places.key();
        self.attachment.revive();
    }
}

impl Drop for TransportPlace {
    fn drop(&mut self) {
        self.attachment.leave(self.key);
    }
}

/// One thread's share of the peers.
pub struct Shard {
    places: Rc<TransportPlaces>,
}

impl Shard {
    /// A shard on the current thread, its sockets bound.
    ///
    /// # Errors
    /// When the shared sockets can't be bound.
    pub fn start(config: ShardConfig) -> io::Result<Addr<Self>> {
        let shard = Self { places: Rc::new(TransportPlaces::bind(config)?) };
        // A shard that panics has lost its egress queue at most: everything it owns survives.
        let down = |reason: DownReason| {
            if reason != DownReason::Stopped {
                tracing::error!(?reason, "a shard is lost: the process is unhealthy");
            }
        };
        Ok(kit::start(Policy::restarts(3, std::time::Duration::from_secs(10)), down, |_| shard))
    }

    fn flush_egress(&self, cx: &mut TaskContext<'_>) {
        let outcome = self.places.egress.borrow_mut().poll_flush(cx);
        if outcome.calls > 0 {
            let statistics = kit::statistics();
            statistics.send_calls(outcome.calls, outcome.datagrams);
            statistics.drop(DropReason::SendError, outcome.errors);
        }
        if outcome.errors > 0 {
            for refusal in self.places.egress.borrow_mut().take_refusals() {
                self.places.watch.refused(refusal.source, refusal.destination, refusal.is_unreachable);
            }
        }
    }
}

impl Metered for Shard {
    const KIND: ActorKind = ActorKind::Shard;
}

impl Actor for Shard {
    type Context = MeteredContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        kit::drive::<Self>(ctx);
    }
}

impl Supervised for Shard {}

impl Driven for Shard {
    fn take_input(&mut self, cx: &mut TaskContext<'_>, _: Instant, _: &mut Self::Context) -> bool {
        self.flush_egress(cx);
        false
    }

    fn flush(&mut self, now: Instant, _: &mut Self::Context) {
        // Starts to keep the time with the first peer that is connected: then there is something to send.
        self.places.watch.handle_timeout(now);
    }

    fn deadline(&self) -> Option<Instant> {
        self.places.watch.poll_timeout()
    }

    fn handle_deadline(&mut self, now: Instant, _: &mut Self::Context) {
        self.places.watch.handle_timeout(now);
    }
}

/// Engine → `Shard`, control: make a peer connection on this thread.
#[derive(Message)]
#[rtype(result = "Result<PeerHandle, RtcError>")]
pub struct CreatePeer(pub PeerConfig);

impl Handler<CreatePeer> for Shard {
    type Result = Result<PeerHandle, RtcError>;

    fn handle(&mut self, message: CreatePeer, _: &mut Self::Context) -> Self::Result {
        PeerConnection::start(message.0, &self.places)
    }
}

/// Handle → `Shard`, control: make a transport that is wired by hand on this thread.
#[derive(Message)]
#[rtype(result = "Result<OrtcHandle, RtcError>")]
pub struct CreateOrtcTransport(pub OrtcConfig);

impl Handler<CreateOrtcTransport> for Shard {
    type Result = Result<OrtcHandle, RtcError>;

    fn handle(&mut self, message: CreateOrtcTransport, _: &mut Self::Context) -> Self::Result {
        let place = self.places.place().map_err(no_socket)?;
        Ok(OrtcTransport::start(message.0, place))
    }
}

/// Handle → `Shard`, control: make a connection of ICE alone on this thread.
#[derive(Message)]
#[rtype(result = "Result<IceConnectionHandle, RtcError>")]
pub struct CreateIceConnection(pub IceSettings);

impl Handler<CreateIceConnection> for Shard {
    type Result = Result<IceConnectionHandle, RtcError>;

    fn handle(&mut self, message: CreateIceConnection, _: &mut Self::Context) -> Self::Result {
        let settings = message.0;
        let places = (0..settings.components).map(|_| self.places.own_place(settings.network.as_ref()));
        let places = places.collect::<io::Result<Vec<_>>>().map_err(no_socket)?;
        Ok(IceConnectionActor::start(settings, places))
    }
}

/// Handle → `Shard`, control: make an agent for who speaks to it by messages.
#[derive(Message)]
#[rtype(result = "Result<(IceAgentHandle, LaneReceiver<IceEvent>), RtcError>")]
pub struct CreateIceAgent(pub IceSettings);

impl Handler<CreateIceAgent> for Shard {
    type Result = Result<(IceAgentHandle, LaneReceiver<IceEvent>), RtcError>;

    fn handle(&mut self, message: CreateIceAgent, _: &mut Self::Context) -> Self::Result {
        let settings = message.0;
        let place = self.places.own_place(settings.network.as_ref()).map_err(no_socket)?;
        Ok(start_single(&settings, place))
    }
}

fn no_socket(error: io::Error) -> RtcError {
    RtcError::OperationError(format!("no UDP socket could be bound: {error}"))
}

/// Engine → `Shard`, control: the ports on which peers are received.
#[derive(Debug, Message)]
#[rtype(result = "Vec<u16>")]
pub struct LocalPorts;

impl Handler<LocalPorts> for Shard {
    type Result = Vec<u16>;

    fn handle(&mut self, _: LocalPorts, _: &mut Self::Context) -> Self::Result {
        let mut ports: Vec<u16> = self
            .places
            .shared
            .iter()
            .flat_map(|shared| shared.sockets.iter())
            .map(|s| s.local().port())
            .collect();
        ports.dedup();
        ports
    }
}

/// Engine → `Shard`, control: the ports on which connections are accepted.
#[derive(Debug, Message)]
#[rtype(result = "Vec<u16>")]
pub struct LocalTcpPorts;

impl Handler<LocalTcpPorts> for Shard {
    type Result = Vec<u16>;

    fn handle(&mut self, _: LocalTcpPorts, _: &mut Self::Context) -> Self::Result {
        let shared = self.places.shared.iter().flat_map(|shared| shared.sockets.listeners());
        let mut ports: Vec<u16> = shared.map(|listener| listener.socket.local().port()).collect();
        ports.dedup();
        ports
    }
}

/// Engine → `Shard`, control: how much the shared sockets know about peers.
#[derive(Debug, Message)]
#[rtype(result = "RouterSize")]
pub struct RouterSizeRequest;

impl Handler<RouterSizeRequest> for Shard {
    type Result = MessageResult<RouterSizeRequest>;

    fn handle(&mut self, _: RouterSizeRequest, _: &mut Self::Context) -> Self::Result {
        let size = self.places.shared.as_ref().map(|shared| shared.router.borrow().size());
        MessageResult(size.unwrap_or_default())
    }
}

/// Engine → `Shard`, control: hand to the kernel all that is queued.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Flush;

impl Handler<Flush> for Shard {
    type Result = ();

    fn handle(&mut self, _: Flush, _: &mut Self::Context) {
        self.flush_egress(&mut TaskContext::from_waker(std::task::Waker::noop()));
    }
}

#[cfg(feature = "fault-injection")]
crate::actors::fault_injection::impl_boom!(Shard);

#[cfg(all(test, feature = "fault-injection"))]
mod tests {
    use super::*;
    use crate::actors::fault_injection::Boom;

    #[test]
    fn a_shard_survives_three_panics_and_its_loss_shows() {
        System::new().block_on(async {
            let config = ShardConfig { udp: UdpMode::Shared { port: 0 }, network: NetworkConfig::default() };
            let shard = Shard::start(config).unwrap();
            let ports = shard.send(LocalPorts).await.unwrap();
            for _ in 0..3 {
                assert!(shard.send(Boom).await.is_err());
                assert_eq!(shard.send(LocalPorts).await.unwrap(), ports, "it comes back with its sockets");
            }
            assert!(shard.send(Boom).await.is_err());
            assert!(shard.send(LocalPorts).await.is_err());
            assert!(!shard.connected());
        });
    }
}
