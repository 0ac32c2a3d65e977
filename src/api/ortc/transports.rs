//! Gatherer, ICE, DTLS and SCTP of a transport that is wired by hand (ORTC §2, §3, §4, §11).

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use actix::Addr;
use bytes::Bytes;
use futures_util::Stream;
use tokio::sync::watch;

use crate::{
    actors::{
        kit::{self, LaneReceiver},
        ortc::{OrtcConfig, OrtcTransport},
        shard::CreateOrtcTransport,
    },
    api::{
        RtcCertificate, RtcDataChannel, RtcDtlsParameters, RtcDtlsRole, RtcEngine, RtcIceCandidate,
        RtcIceCandidatePair, RtcIceParameters, RtcIceRole, RtcIceServer, RtcIceTransportPolicy,
        RtcSctpCapabilities, engine::ask, ice_server,
    },
    messages::{
        data_channel::RtcDataChannelInit,
        dtls::DtlsTransportState,
        error::RtcError,
        ortc::{
            AddCandidate, BeginDtls, BeginGathering, BeginSctp, MakeSctp, OrtcEvent, OrtcSnapshot, StartIce,
            StopTransport,
        },
        peer_connection::RtcIceGatheringState,
        sctp::{OpenDataChannel, RtcSctpTransportState},
    },
    proto::{
        dtls::Fingerprint,
        ice::{Candidate, Role, State},
        jsep::{DtlsRole, IceParameters},
        rtcp::ClockAnchor,
    },
};

/// The port of associations unless agreed otherwise: what browsers write into `a=sctp-port`.
pub const DEFAULT_SCTP_PORT: u16 = 5_000;

/// How a gatherer works (ORTC §2.5 `RTCIceGatherOptions`).
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct RtcIceGatherOptions {
    /// Who is asked for candidates. No other server is contacted. Default: nobody.
    pub ice_servers: Vec<RtcIceServer>,
    /// Which candidates are used.
    pub gather_policy: RtcIceTransportPolicy,
    /// What the DTLS transport above will show; the engine's own by default. ORTC gives it to the DTLS
    /// transport; here the actors below are made with it.
    pub certificate: Option<RtcCertificate>,
    /// The shard that hosts the transport; by default the one with the fewest peers.
    pub shard: Option<usize>,
}

/// What all handles of one transport share; the transport stops with the last of them.
pub(super) struct Shared {
    pub(super) address: Addr<OrtcTransport>,
    pub(super) certificate: RtcCertificate,
    pub(super) clock: ClockAnchor,
    snapshot: watch::Receiver<OrtcSnapshot>,
    events: Mutex<Option<LaneReceiver<OrtcEvent>>>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        if self.address.connected() {
            self.address.do_send(StopTransport);
        }
    }
}

impl Shared {
    pub(super) async fn request<M, T>(&self, message: M) -> Result<T, RtcError>
    where
        Addr<OrtcTransport>: kit::Destination<M>,
        M: actix::Message<Result = Result<T, RtcError>>,
    {
        if self.snapshot.borrow().ended {
            return Err(RtcError::InvalidStateError("the transport is stopped".to_owned()));
        }
        ask(&self.address, message).await?
    }

    fn read<T>(&self, read: impl FnOnce(&OrtcSnapshot) -> T) -> T {
        read(&self.snapshot.borrow())
    }

    async fn until(&self, wanted: impl Fn(&OrtcSnapshot) -> bool) {
        let mut snapshot = self.snapshot.clone();
        // An error says that the actor is gone: nothing changes any more.
        let _ = snapshot.wait_for(|snapshot| snapshot.ended || wanted(snapshot)).await;
    }
}

/// Finds the addresses at which this side can be reached (ORTC §2).
#[derive(Clone)]
pub struct RtcIceGatherer {
    shared: Arc<Shared>,
}

impl RtcIceGatherer {
    /// A gatherer, and with it the sockets of a transport.
    ///
    /// # Errors
    /// [`RtcError::SyntaxError`] and [`RtcError::InvalidAccessError`] for a server that can't be used, or
    /// a shard that does not exist; [`RtcError::OperationError`] when no socket can be bound.
    pub async fn new(engine: &RtcEngine, options: RtcIceGatherOptions) -> Result<Self, RtcError> {
        let shard = options.shard.unwrap_or_else(|| engine.shards().least_loaded());
        let actor = engine
            .shard(shard)
            .ok_or_else(|| RtcError::InvalidAccessError(format!("the engine has no shard {shard}")))?;
        let certificate = options.certificate.unwrap_or_else(|| engine.certificate().clone());
        let config = OrtcConfig {
            certificate: certificate.as_certificate().clone(),
            servers: ice_server::checked(&options.ice_servers, options.gather_policy)?,
        };
        let handle = ask(actor, CreateOrtcTransport(config)).await??;
        let shared = Shared {
            address: handle.address,
            certificate,
            clock: engine.clock(),
            snapshot: handle.snapshot,
            events: Mutex::new(Some(handle.events)),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Gathers, and waits until all candidates are known. Cancel-safe: gathering goes on.
    ///
    /// # Errors
    /// [`RtcError::InvalidStateError`] when the transport was stopped meanwhile.
    pub async fn gather(&self) -> Result<(), RtcError> {
        ask(&self.shared.address, BeginGathering).await?;
        self.shared.until(|s| s.transport.gathering_state == RtcIceGatheringState::Complete).await;
        match self.state() {
            RtcIceGatheringState::Complete => Ok(()),
            _ => Err(RtcError::InvalidStateError("the transport is stopped".to_owned())),
        }
    }

    /// Whether candidates may still come.
    pub fn state(&self) -> RtcIceGatheringState {
        self.shared.read(|snapshot| snapshot.transport.gathering_state)
    }

    /// The candidates that were found so far.
    pub fn get_local_candidates(&self) -> Vec<RtcIceCandidate> {
        self.shared.read(|snapshot| shown(snapshot.transport.local_candidates.iter().map(AsRef::as_ref)))
    }

    /// The credentials that the peer has to know.
    pub fn get_local_parameters(&self) -> RtcIceParameters {
        self.shared.read(|s| s.transport.local_parameters.as_ref().map(Into::into)).unwrap_or_default()
    }
}

/// The way to the peer (ORTC §3).
#[derive(Clone)]
pub struct RtcIceTransport {
    shared: Arc<Shared>,
}

impl RtcIceTransport {
    /// The transport of this gatherer.
    pub fn new(gatherer: &RtcIceGatherer) -> Self {
        Self { shared: Arc::clone(&gatherer.shared) }
    }

    /// Begins to check candidates.
    ///
    /// # Errors
    /// [`RtcError::InvalidStateError`] once stopped, and when it was started with other parameters before;
    /// [`RtcError::TypeError`] for [`RtcIceRole::Unknown`].
    pub async fn start(&self, remote: RtcIceParameters, role: RtcIceRole) -> Result<(), RtcError> {
        let role = match role {
            RtcIceRole::Controlling => Role::Controlling,
            RtcIceRole::Controlled => Role::Controlled,
            RtcIceRole::Unknown => return Err(RtcError::TypeError("choose a role of ICE".to_owned())),
        };
        let remote = IceParameters {
            ufrag: remote.username_fragment,
            password: remote.password,
            lite: remote.ice_lite,
        };
        self.shared.request(StartIce { remote, role }).await
    }

    /// A candidate of the peer as text, `candidate:…`; `None`: there are no more.
    ///
    /// # Errors
    /// [`RtcError::OperationError`] for text that is no candidate and beyond the limit of candidates,
    /// [`RtcError::InvalidStateError`] after the end of candidates and once stopped.
    pub async fn add_remote_candidate(&self, candidate: Option<String>) -> Result<(), RtcError> {
        if let Some(text) = &candidate {
            let parsed = text.parse::<Candidate>();
            parsed.map_err(|error| RtcError::OperationError(format!("candidate refused: {error}")))?;
        }
        self.shared.request(AddCandidate(candidate)).await
    }

    /// Waits until a pair works.
    ///
    /// # Errors
    /// [`RtcError::NetworkError`] when none does.
    pub async fn connected(&self) -> Result<(), RtcError> {
        let settled = |state| matches!(state, State::Connected | State::Completed | State::Failed);
        self.shared.until(|s| s.transport.ice_state.is_some_and(settled)).await;
        match self.state() {
            State::Connected | State::Completed => Ok(()),
            state => Err(RtcError::NetworkError(format!("ICE is {state:?}: no pair of candidates works"))),
        }
    }

    /// Where it stands.
    pub fn state(&self) -> State {
        self.shared.read(|snapshot| match snapshot.ended {
            true => State::Closed,
            false => snapshot.transport.ice_state.unwrap_or(State::New),
        })
    }

    /// Who decides which pair is used.
    pub fn role(&self) -> RtcIceRole {
        match self.shared.read(|snapshot| snapshot.transport.ice_role) {
            None => RtcIceRole::Unknown,
            Some(Role::Controlling) => RtcIceRole::Controlling,
            Some(Role::Controlled) => RtcIceRole::Controlled,
        }
    }

    /// What the peer has signalled.
    pub fn get_remote_candidates(&self) -> Vec<RtcIceCandidate> {
        self.shared.read(|snapshot| shown(snapshot.transport.remote_candidates.iter()))
    }

    /// Where packets go now.
    pub fn get_selected_candidate_pair(&self) -> Option<RtcIceCandidatePair> {
        self.shared.read(|snapshot| {
            let pair = snapshot.transport.selected_pair.as_ref()?;
            Some(RtcIceCandidatePair { local: (&pair.local).into(), remote: (&pair.remote).into() })
        })
    }

    /// Ends the transport and everything above it: BYE, ABORT and close_notify are queued when it returns.
    pub async fn stop(&self) {
        // Stopped already, or lost: there is nothing left to stop.
        let _ = ask(&self.shared.address, StopTransport).await;
    }
}

/// What encrypts the packets (ORTC §4).
#[derive(Clone)]
pub struct RtcDtlsTransport {
    pub(super) shared: Arc<Shared>,
}

impl RtcDtlsTransport {
    /// The security context above this transport.
    pub fn new(ice: &RtcIceTransport) -> Self {
        Self { shared: Arc::clone(&ice.shared) }
    }

    /// Our fingerprints, which the peer has to know; either side of the handshake will do.
    pub fn get_local_parameters(&self) -> RtcDtlsParameters {
        RtcDtlsParameters {
            role: RtcDtlsRole::Auto,
            fingerprints: self.shared.certificate.get_fingerprints(),
        }
    }

    /// Begins the handshake as soon as ICE has a pair. The role is the *peer's* (ORTC §4.3): with `Auto`
    /// the controlled side of ICE begins.
    ///
    /// # Errors
    /// [`RtcError::TypeError`] without a fingerprint whose hash is known, [`RtcError::InvalidStateError`]
    /// when started before or stopped.
    pub async fn start(&self, remote: RtcDtlsParameters) -> Result<(), RtcError> {
        let role = match remote.role {
            RtcDtlsRole::Auto => None,
            RtcDtlsRole::Client => Some(DtlsRole::Server),
            RtcDtlsRole::Server => Some(DtlsRole::Client),
        };
        let known = remote.fingerprints.iter().filter_map(|f| Fingerprint::try_from(f).ok());
        let fingerprints: Vec<Fingerprint> = known.collect();
        if fingerprints.is_empty() {
            let sentence = "the peer's parameters have no fingerprint that can be checked".to_owned();
            return Err(RtcError::TypeError(sentence));
        }
        self.shared.request(BeginDtls { role, fingerprints }).await
    }

    /// Waits until keys are agreed and the peer's certificate is verified.
    ///
    /// # Errors
    /// [`RtcError::NetworkError`] when the handshake fails or the transport is stopped.
    pub async fn connected(&self) -> Result<(), RtcError> {
        let unsettled = |state| matches!(state, DtlsTransportState::New | DtlsTransportState::Connecting);
        self.shared.until(|snapshot| !unsettled(snapshot.transport.dtls_state)).await;
        match self.state() {
            DtlsTransportState::Connected => Ok(()),
            state => Err(RtcError::NetworkError(format!("DTLS is {state:?}"))),
        }
    }

    /// Where it stands.
    pub fn state(&self) -> DtlsTransportState {
        self.shared.read(OrtcSnapshot::dtls_state)
    }

    /// What the peer has shown, DER; empty before it is connected.
    pub fn get_remote_certificates(&self) -> Vec<Bytes> {
        self.shared.read(|snapshot| snapshot.transport.remote_certificates.clone())
    }

    /// What happens to the transport and what is above it, once: a second call returns `None`.
    pub fn events(&self) -> Option<RtcOrtcEvents> {
        let mut events = self.shared.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.take().map(|lane| RtcOrtcEvents { lane, next: Vec::new() })
    }
}

/// The association that carries data channels (ORTC §11).
#[derive(Clone)]
pub struct RtcSctpTransport {
    shared: Arc<Shared>,
}

impl RtcSctpTransport {
    /// The association above this transport, with our port.
    ///
    /// # Errors
    /// [`RtcError::InvalidStateError`] when there is one already, or the transport is stopped.
    pub async fn new(dtls: &RtcDtlsTransport, port: u16) -> Result<Self, RtcError> {
        let max_message_size = Self::get_capabilities().max_message_size;
        dtls.shared.request(MakeSctp { local_port: port, max_message_size }).await?;
        Ok(Self { shared: Arc::clone(&dtls.shared) })
    }

    /// What the peer has to know.
    pub fn get_capabilities() -> RtcSctpCapabilities {
        RtcSctpCapabilities { max_message_size: crate::api::DEFAULT_MAX_MESSAGE_SIZE }
    }

    /// Begins as soon as DTLS is connected. Either side, or both, may begin.
    ///
    /// # Errors
    /// [`RtcError::InvalidStateError`] when the transport is stopped.
    pub async fn start(&self, remote: RtcSctpCapabilities, remote_port: u16) -> Result<(), RtcError> {
        let remote_max_message_size = remote.max_message_size;
        self.shared.request(BeginSctp { remote_port, remote_max_message_size }).await
    }

    /// Opens a channel, at any time; it connects with the association.
    ///
    /// # Errors
    /// See [`RtcPeerConnection::create_data_channel`](crate::RtcPeerConnection::create_data_channel).
    pub async fn create_data_channel(
        &self,
        label: impl Into<String>,
        init: RtcDataChannelInit,
    ) -> Result<RtcDataChannel, RtcError> {
        let channel = self.shared.request(OpenDataChannel { label: label.into(), init }).await?;
        Ok(channel.into())
    }

    /// Where it stands.
    pub fn state(&self) -> RtcSctpTransportState {
        self.shared.read(|snapshot| match (snapshot.ended, &snapshot.sctp) {
            (false, Some(sctp)) => sctp.lock().state,
            _ => RtcSctpTransportState::Closed,
        })
    }
}

/// What happens to a transport that is wired by hand.
#[derive(Debug)]
#[non_exhaustive]
pub enum RtcOrtcEvent {
    /// The peer has opened a channel; it is open.
    DataChannel(RtcDataChannel),
    /// Part of the transport failed; a sentence for people.
    Failure(String),
}

/// The events of a transport in order; ends with it. Bounded to 256: who does not read loses the oldest.
#[derive(Debug)]
pub struct RtcOrtcEvents {
    lane: LaneReceiver<OrtcEvent>,
    next: Vec<OrtcEvent>,
}

impl Stream for RtcOrtcEvents {
    type Item = RtcOrtcEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { lane, next } = &mut *self;
        lane.poll_take(cx, kit::now(), 1, next);
        match next.pop() {
            Some(OrtcEvent::DataChannel(channel)) => {
                Poll::Ready(Some(RtcOrtcEvent::DataChannel(channel.into())))
            }
            Some(OrtcEvent::Failure(reason)) => Poll::Ready(Some(RtcOrtcEvent::Failure(reason))),
            None if lane.is_abandoned() => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

fn shown<'a>(candidates: impl IntoIterator<Item = &'a Candidate>) -> Vec<RtcIceCandidate> {
    candidates.into_iter().map(RtcIceCandidate::from).collect()
}

macro_rules! debug_by_state {
    ($($handle:ident)*) => {
        $(impl std::fmt::Debug for $handle {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($handle)).field("state", &self.state()).finish_non_exhaustive()
            }
        })*
    };
}

debug_by_state!(RtcIceGatherer RtcIceTransport RtcDtlsTransport RtcSctpTransport);
