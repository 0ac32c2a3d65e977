//! `OrtcTransport`: a transport that an application wires by hand, without descriptions (ORTC), with what
//! runs over it. The parent of the same actors that a `PeerConnection` has; it knows no offer, no answer.
//!
//! Never restarted: what the application has told it can't be asked for again.

use std::{rc::Rc, sync::Arc};

use actix::prelude::*;
use rand::{SeedableRng, rngs::StdRng};
use tokio::sync::watch;

use super::{
    kit::{
        self, ActorKind, LaneKind, LaneReceiver, LaneSender, Metered, MeteredContext, Policy, Weight, lane,
    },
    lanes::{control_lane, media_lane},
    rtp_receiver::RtpReceiver,
    rtp_sender::{RTP_SENDER_POLICY, RtpSender},
    shard::TransportPlace,
    transport::{SctpActors, TransportActors, TransportConfig, TransportEvent},
};
use crate::{
    messages::{
        data_channel::DataChannel,
        dtls::{AttachReceiver, AttachSender, DtlsEvent, DtlsTransportState},
        error::RtcError,
        ice::{IceEvent, IceServers},
        ortc::{
            AddCandidate, BeginDtls, BeginGathering, BeginSctp, MakeSctp, OrtcEvent, OrtcSnapshot,
            ReceiveTrack, SendTrack, StartIce, StopTransport,
        },
        rtp::{SetRoundTripTime, SetSendParameters, StopReceiver, StopSender, SwapTrack},
        sctp::{ConfigureSctp, OpenDataChannel, SctpEvent},
        track::MediaStreamTrack,
    },
    proto::{
        dtls::Certificate,
        ice::{Credentials, Role},
        jsep::{DtlsRole, IceParameters, RemoteTransport},
        sdp::CANDIDATES_MAX,
        sender::SenderParameters,
    },
};

/// Events that may wait for the application: as many channels as a peer opens in one go.
const MAX_EVENTS: usize = 256;
/// Senders and receivers on one transport: as many as a description has sections.
const MAX_STREAMS: usize = crate::proto::sdp::SECTIONS_MAX;

impl Weight for OrtcEvent {
    fn weight(&self) -> usize {
        1
    }
}

/// What a transport wired by hand is made with.
#[derive(Debug, Clone)]
pub struct OrtcConfig {
    /// What the peer is shown.
    pub certificate: Certificate,
    /// Who is asked for candidates.
    pub servers: IceServers,
}

/// How the API reaches it.
pub struct OrtcHandle {
    /// The actor.
    pub address: Addr<OrtcTransport>,
    /// What getters read.
    pub snapshot: watch::Receiver<OrtcSnapshot>,
    /// What happens to it.
    pub events: LaneReceiver<OrtcEvent>,
}

/// A transport wired by hand.
pub struct OrtcTransport {
    transport: Option<TransportActors>,
    sctp: Option<SctpActors>,
    local_sctp_port: u16,
    /// What was told of the peer, before and after ICE was started.
    remote: Option<RemoteTransport>,
    role: Option<Role>,
    candidates: Vec<Arc<str>>,
    has_all_candidates: bool,
    senders: Vec<Sending>,
    receivers: Vec<Addr<RtpReceiver>>,
    snapshot: watch::Sender<OrtcSnapshot>,
    events: LaneSender<OrtcEvent>,
}

struct Sending {
    actor: Addr<RtpSender>,
    /// Told once there are keys: what is sent before is lost, and with it the first key frame.
    waiting: Option<SenderParameters>,
}

/// `TransportActors` → its `OrtcTransport`, control.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Reported(TransportEvent);

/// `SctpAssoc` → its `OrtcTransport`, control.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct SctpReported(SctpEvent);

impl OrtcTransport {
    /// Starts a transport at `place`, on the current thread.
    pub fn start(config: OrtcConfig, place: TransportPlace) -> OrtcHandle {
        let credentials = Credentials::generate(&mut StdRng::from_os_rng());
        let local = IceParameters {
            ufrag: credentials.ufrag.clone(),
            password: credentials.password.clone(),
            lite: false,
        };
        let (snapshot, shown) = watch::channel(OrtcSnapshot::default());
        let (events, event_receiver) = lane(LaneKind::Events, MAX_EVENTS, None);
        let down = |reason| tracing::debug!(?reason, "a transport wired by hand has ended");
        let address = kit::start(Policy::never(), down, move |ctx: &mut MeteredContext<Self>| {
            let parent = ctx.address().downgrade();
            // Weak: a child does not keep its parent alive.
            let report = Rc::new(move |event| {
                if let Some(parent) = parent.upgrade() {
                    parent.do_send(Reported(event));
                }
            });
            let config = TransportConfig {
                certificate: config.certificate,
                local,
                servers: config.servers,
                // Until ICE is started: what the application says then counts.
                role: Role::Controlled,
            };
            let transport = Self {
                transport: Some(TransportActors::start(config, place, report)),
                sctp: None,
                local_sctp_port: 0,
                remote: None,
                role: None,
                candidates: Vec::new(),
                has_all_candidates: false,
                senders: Vec::new(),
                receivers: Vec::new(),
                snapshot,
                events,
            };
            transport.publish();
            transport
        });
        OrtcHandle { address, snapshot: shown, events: event_receiver }
    }

    fn transport(&mut self) -> Result<&mut TransportActors, RtcError> {
        self.transport
            .as_mut()
            .ok_or_else(|| RtcError::InvalidStateError("the transport is stopped".to_owned()))
    }

    fn publish(&self) {
        let Some(transport) = &self.transport else { return };
        self.snapshot.send_modify(|snapshot| {
            snapshot.transport = transport.state().clone();
            snapshot.sctp = self.sctp.as_ref().map(|sctp| sctp.snapshot().clone());
        });
    }

    /// Tells the agent what is known of the peer; only what is new reaches it.
    fn tell_remote(&mut self) {
        let (Some(remote), Some(role), Some(transport)) = (&mut self.remote, self.role, &mut self.transport)
        else {
            return;
        };
        remote.candidates.clone_from(&self.candidates);
        remote.end_of_candidates = self.has_all_candidates;
        transport.set_remote(remote, role);
    }

    /// What waited for keys begins.
    fn connected(&mut self) {
        for sending in &mut self.senders {
            if let Some(parameters) = sending.waiting.take() {
                sending.actor.do_send(SetSendParameters(Some(Arc::new(parameters))));
            }
        }
    }

    fn end(&mut self) {
        for receiver in self.receivers.drain(..) {
            receiver.do_send(StopReceiver);
        }
        for sending in self.senders.drain(..) {
            sending.actor.do_send(StopSender);
        }
        self.sctp = None;
        self.transport = None;
        self.snapshot.send_modify(|snapshot| snapshot.ended = true);
    }
}

impl Metered for OrtcTransport {
    const KIND: ActorKind = ActorKind::OrtcTransport;
}

impl Actor for OrtcTransport {
    type Context = MeteredContext<Self>;

    fn stopped(&mut self, _: &mut Self::Context) {
        self.end();
    }
}

impl Supervised for OrtcTransport {}

impl Handler<Reported> for OrtcTransport {
    type Result = ();

    fn handle(&mut self, message: Reported, _: &mut Self::Context) {
        let event = message.0;
        let Some(transport) = &mut self.transport else { return };
        transport.observe(&event);
        if let Some(sctp) = &mut self.sctp {
            sctp.connect(transport);
        }
        match event {
            TransportEvent::Dtls(DtlsEvent::Connected { .. }) => self.connected(),
            TransportEvent::Dtls(DtlsEvent::Failed(reason)) => {
                self.events.push(kit::now(), OrtcEvent::Failure(format!("DTLS failed: {reason}")));
            }
            TransportEvent::Ice(IceEvent::RoundTripTime(measured)) => {
                for receiver in &self.receivers {
                    receiver.do_send(SetRoundTripTime(measured));
                }
            }
            TransportEvent::Down(part, reason) => {
                let sentence = format!("{part:?} is lost: {reason:?}");
                self.events.push(kit::now(), OrtcEvent::Failure(sentence));
            }
            TransportEvent::SocketLost(address) => {
                let sentence = format!("the socket at {address} is lost");
                self.events.push(kit::now(), OrtcEvent::Failure(sentence));
            }
            TransportEvent::Dtls(DtlsEvent::Closed) | TransportEvent::Ice(_) => {}
        }
        self.publish();
    }
}

impl Handler<SctpReported> for OrtcTransport {
    type Result = ();

    fn handle(&mut self, message: SctpReported, _: &mut Self::Context) {
        match message.0 {
            SctpEvent::StateChanged(_) => {}
            SctpEvent::DataChannel(channel) => {
                self.events.push(kit::now(), OrtcEvent::DataChannel(channel));
            }
            SctpEvent::Failed(reason) => {
                self.events.push(kit::now(), OrtcEvent::Failure(reason));
            }
        }
        self.publish();
    }
}

impl Handler<BeginGathering> for OrtcTransport {
    type Result = ();

    fn handle(&mut self, _: BeginGathering, _: &mut Self::Context) {
        if let Some(transport) = &mut self.transport {
            transport.gather();
        }
        self.publish();
    }
}

impl Handler<StartIce> for OrtcTransport {
    type Result = Result<(), RtcError>;

    fn handle(&mut self, message: StartIce, _: &mut Self::Context) -> Self::Result {
        self.transport()?;
        let IceParameters { ufrag, password, lite } = message.remote;
        if self.remote.as_ref().is_some_and(|remote| (&remote.ufrag, &remote.password) != (&ufrag, &password))
        {
            let sentence = "ICE was started with other parameters".to_owned();
            return Err(RtcError::InvalidStateError(sentence));
        }
        self.role = Some(message.role);
        self.remote = Some(RemoteTransport {
            ufrag,
            password,
            lite,
            candidates: Vec::new(),
            end_of_candidates: false,
            fingerprints: Vec::new(),
            dtls_role: None,
        });
        self.tell_remote();
        self.publish();
        Ok(())
    }
}

impl Handler<AddCandidate> for OrtcTransport {
    type Result = Result<(), RtcError>;

    fn handle(&mut self, message: AddCandidate, _: &mut Self::Context) -> Self::Result {
        self.transport()?;
        match message.0 {
            Some(_) if self.has_all_candidates => {
                let sentence = "the end of candidates was told already".to_owned();
                return Err(RtcError::InvalidStateError(sentence));
            }
            Some(_) if self.candidates.len() >= CANDIDATES_MAX => {
                return Err(RtcError::OperationError(format!("more than {CANDIDATES_MAX} candidates")));
            }
            Some(candidate) if !self.candidates.iter().any(|known| **known == *candidate) => {
                self.candidates.push(candidate.into());
            }
            Some(_) => {}
            None => self.has_all_candidates = true,
        }
        self.tell_remote();
        self.publish();
        Ok(())
    }
}

impl Handler<BeginDtls> for OrtcTransport {
    type Result = Result<(), RtcError>;

    fn handle(&mut self, message: BeginDtls, _: &mut Self::Context) -> Self::Result {
        let role = match (message.role, self.role) {
            (Some(role), _) => role,
            // ORTC §4.6: the controlled side says hello.
            (None, Some(Role::Controlled)) => DtlsRole::Client,
            (None, Some(Role::Controlling)) => DtlsRole::Server,
            (None, None) => {
                let sentence = "start ICE first, or say which side begins the handshake".to_owned();
                return Err(RtcError::InvalidStateError(sentence));
            }
        };
        let transport = self.transport()?;
        if transport.dtls_state() != DtlsTransportState::New {
            return Err(RtcError::InvalidStateError("DTLS was started already".to_owned()));
        }
        transport.start_dtls(role, message.fingerprints);
        self.publish();
        Ok(())
    }
}

impl Handler<MakeSctp> for OrtcTransport {
    type Result = Result<(), RtcError>;

    fn handle(&mut self, message: MakeSctp, ctx: &mut Self::Context) -> Self::Result {
        self.transport()?;
        if self.sctp.is_some() {
            let sentence = "a transport has one association".to_owned();
            return Err(RtcError::InvalidStateError(sentence));
        }
        let parent = ctx.address().downgrade();
        let report = move |event| {
            if let Some(parent) = parent.upgrade() {
                parent.do_send(SctpReported(event));
            }
        };
        self.local_sctp_port = message.local_port;
        self.sctp = Some(SctpActors::start(message.max_message_size, Rc::new(report)));
        self.publish();
        Ok(())
    }
}

impl Handler<BeginSctp> for OrtcTransport {
    type Result = Result<(), RtcError>;

    fn handle(&mut self, message: BeginSctp, _: &mut Self::Context) -> Self::Result {
        self.transport()?;
        let (Some(sctp), Some(transport)) = (&mut self.sctp, &self.transport) else {
            return Err(RtcError::InvalidStateError("there is no association".to_owned()));
        };
        sctp.configure(ConfigureSctp {
            local_port: self.local_sctp_port,
            remote_port: message.remote_port,
            remote_max_message_size: Some(message.remote_max_message_size),
        });
        sctp.connect(transport);
        self.publish();
        Ok(())
    }
}

impl Handler<OpenDataChannel> for OrtcTransport {
    type Result = ResponseFuture<Result<DataChannel, RtcError>>;

    fn handle(&mut self, message: OpenDataChannel, _: &mut Self::Context) -> Self::Result {
        let opening = self.sctp.as_ref().map(|sctp| sctp.address().send(message));
        Box::pin(async move {
            match opening {
                Some(opening) => match opening.await {
                    Ok(opened) => opened,
                    Err(_) => Err(RtcError::InvalidStateError("the association has ended".to_owned())),
                },
                None => Err(RtcError::InvalidStateError("there is no association".to_owned())),
            }
        })
    }
}

impl Handler<SendTrack> for OrtcTransport {
    type Result = Result<(), RtcError>;

    fn handle(&mut self, message: SendTrack, _: &mut Self::Context) -> Self::Result {
        let is_full = self.senders.len() >= MAX_STREAMS;
        let transport = self.transport()?;
        if is_full {
            return Err(RtcError::OperationError(format!("more than {MAX_STREAMS} senders")));
        }
        let (rtcp, rtcp_receiver) = control_lane(LaneKind::SenderRtcp);
        let lanes = transport.lanes().clone();
        let actor = RtpSender::new(rtcp_receiver, lanes.rtp, lanes.rtcp);
        let down = |reason| tracing::debug!(?reason, "a sender has ended");
        let actor = kit::start(RTP_SENDER_POLICY, down, |_| actor);
        actor.do_send(SwapTrack(Some(message.track)));
        let ssrcs = std::iter::once(message.parameters.ssrc).chain(message.parameters.rtx_ssrc).collect();
        transport.dtls().do_send(AttachSender { ssrcs, rtcp: Arc::new(rtcp) });
        let is_connected = transport.dtls_state() == DtlsTransportState::Connected;
        self.senders.push(Sending { actor, waiting: Some(message.parameters) });
        if is_connected {
            self.connected();
        }
        Ok(())
    }
}

impl Handler<ReceiveTrack> for OrtcTransport {
    type Result = Result<MediaStreamTrack, RtcError>;

    fn handle(&mut self, message: ReceiveTrack, _: &mut Self::Context) -> Self::Result {
        let count = self.receivers.len();
        let transport = self.transport()?;
        if count >= MAX_STREAMS {
            return Err(RtcError::OperationError(format!("more than {MAX_STREAMS} receivers")));
        }
        let (rtp, rtp_receiver) = media_lane(LaneKind::ReceiverRtp);
        let (rtcp, rtcp_receiver) = control_lane(LaneKind::ReceiverRtcp);
        let payload_types = message.parameters.codecs.iter().map(|codec| codec.payload_type).collect();
        let ssrcs = message.parameters.ssrcs.clone();
        let feedback = transport.lanes().rtcp.clone();
        let actor = RtpReceiver::new(message.parameters, rtp_receiver, rtcp_receiver, feedback);
        let down = |reason| tracing::debug!(?reason, "a receiver has ended");
        let (actor, track) = actor.start(&message.track_id, down);
        // The routing table names its entries by MID: one that is never sent stands for none.
        let mid = if message.mux_id.is_empty() { format!("unnamed-{count}") } else { message.mux_id };
        transport.dtls().do_send(AttachReceiver {
            mid,
            payload_types,
            ssrcs,
            rids: Vec::new(),
            extensions: message.extensions,
            rtp: Arc::new(rtp),
            rtcp: Arc::new(rtcp),
        });
        self.receivers.push(actor);
        Ok(track)
    }
}

impl Handler<StopTransport> for OrtcTransport {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: StopTransport, ctx: &mut Self::Context) -> Self::Result {
        let (transport, sctp) = (self.transport.take(), self.sctp.take());
        let senders: Vec<_> = self.senders.drain(..).map(|sending| sending.actor).collect();
        self.end();
        ctx.stop();
        Box::pin(async move {
            // As a connection ends: BYEs and the ABORT are queued, then encrypted and followed by close_notify.
            for sender in senders {
                let _ = sender.send(StopSender).await;
            }
            if let Some(sctp) = sctp {
                sctp.close().await;
            }
            if let Some(transport) = transport {
                transport.close().await;
            }
        })
    }
}
