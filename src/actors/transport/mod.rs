//! One transport of a peer: its `IceAgent`, its `DtlsActor`, and the lanes between them.
//!
//! [`TransportActors`] is not an actor: it is the part of its owner (a `PeerConnection`, or the transport of
//! the ORTC API) that starts these two, tells them what was negotiated, and keeps what they report. What
//! they report comes through one closure, so that any owner will do.
//!
//! - starting and ending: here; telling: `negotiated`; hearing: `reports`
//!
//! Invariants: each transport has its own [`PeerKey`](crate::actors::network::PeerKey) and ICE credentials,
//! so that those of one peer never get each other's datagrams; an agent that is lost is replaced at the next
//! ICE restart, keys are not.

mod negotiated;
mod reports;
mod sctp;

use std::{cell::OnceCell, net::SocketAddr, rc::Rc, sync::Arc, time::Duration};

use actix::prelude::*;

pub use sctp::SctpActors;

use crate::{
    actors::{
        dtls::{DTLS_POLICY, DtlsActor, DtlsEnvironment},
        ice_agent::{ICE_AGENT_POLICY, IceAgent, IceEnvironment},
        kit::{self, DownReason, LaneKind, LaneSender},
        lanes::{RtcpCompound, control_lane, data_lane, patient_media_lane},
        network::{Inbound, PeerLanes},
        shard::TransportPlace,
    },
    messages::{
        dtls::{CloseDtls, DtlsEvent, DtlsTransportState},
        ice::{CloseIce, IceEvent, IceServers, RouteChanged},
        peer_connection::{RtcIceGatheringState, TransportSnapshot},
        rtp::{AttachTransport, OutboundRtpSink, OutgoingLot},
        sctp::SctpSink,
    },
    proto::{
        dtls::{Certificate, Role},
        ice::{self, AgentConfig, Credentials},
        jsep::IceParameters,
    },
};

/// What happens to a transport.
#[derive(Debug)]
pub enum TransportEvent {
    /// Candidates, states, measurements.
    Ice(IceEvent),
    /// The handshake and its end.
    Dtls(DtlsEvent),
    /// One of its actors has ended for good.
    Down(TransportPart, DownReason),
    /// Nothing is received at this address any more.
    SocketLost(SocketAddr),
}

/// The actors of a transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "owners must handle each")]
pub enum TransportPart {
    /// The ICE agent.
    IceAgent,
    /// The security context.
    Dtls,
}

/// Where a transport's owner hears of it. Must hold the owner weakly: a child does not keep its parent alive.
pub type TransportReport = Rc<dyn Fn(TransportEvent)>;

/// What a transport is made with.
#[derive(Debug, Clone)]
pub struct TransportConfig {
    /// What the peer is shown.
    pub certificate: Certificate,
    /// Our ICE credentials, and whether our agent is lite.
    pub local: IceParameters,
    /// Who is asked for candidates.
    pub servers: IceServers,
    /// Our role until the peer is known: its checks may come before its answer, and must find no conflict.
    pub role: ice::Role,
}

/// What leaves through a transport: where senders and receivers put it.
#[derive(Clone)]
pub struct TransportLanes {
    /// RTP to be encrypted and sent.
    pub rtp: Arc<dyn OutboundRtpSink>,
    /// RTCP to be encrypted and sent.
    pub rtcp: LaneSender<RtcpCompound>,
}

impl TransportLanes {
    /// Lanes that lead nowhere: for who has no transport yet. What is put there is dropped and counted.
    pub fn nowhere() -> Self {
        // The receiving ends are gone at once.
        let make = || Self {
            rtp: Arc::new(patient_media_lane::<OutgoingLot>(LaneKind::Outbound).0),
            rtcp: control_lane(LaneKind::OutboundRtcp).0,
        };
        thread_local! {
            static NOWHERE: OnceCell<TransportLanes> = const { OnceCell::new() };
        }
        // Every sender and receiver begins with them, and one pair serves all of a thread.
        NOWHERE.try_with(|nowhere| nowhere.get_or_init(make).clone()).unwrap_or_else(|_| make())
    }

    /// Tells a sender or a receiver to use these.
    pub fn attach_message(&self) -> AttachTransport {
        AttachTransport { outbound_rtp: Arc::clone(&self.rtp), outbound_rtcp: Arc::new(self.rtcp.clone()) }
    }
}

/// The actors of one transport, and what is known of them. Dropping it ends them.
pub struct TransportActors {
    config: TransportConfig,
    place: TransportPlace,
    report: TransportReport,
    ice: Addr<IceAgent>,
    dtls: Addr<DtlsActor>,
    lanes: TransportLanes,
    sctp_sink: Arc<dyn SctpSink>,
    dtls_role: Option<Role>,
    /// What the router hands on; kept for an agent that has to be replaced.
    inbound_dtls: LaneSender<Inbound>,
    inbound_media: LaneSender<Inbound>,
    told: Told,
    /// Shared with who has looked at it: changed only through [`Self::state_mut`].
    state: Arc<TransportSnapshot>,
    round_trip_time: Option<Duration>,
    /// There is no agent any more: a new one has to be started for the next credentials.
    is_agent_lost: bool,
}

/// What the agent was told last, to tell it only what changes.
#[derive(Debug, Default)]
struct Told {
    local_ufrag: String,
    local_ufrag_before: Option<String>,
    described_ufrag: String,
    remote_ufrag: String,
    remote_candidates: Vec<Arc<str>>,
    remote_ended: bool,
}

impl Told {
    fn forget_remote(&mut self) {
        self.remote_ufrag.clear();
        self.remote_candidates.clear();
        self.remote_ended = false;
    }
}

impl TransportActors {
    /// Starts the actors of a transport on the current thread. They do nothing until they are told to.
    pub fn start(config: TransportConfig, place: TransportPlace, report: TransportReport) -> Self {
        let (inbound_dtls, dtls_receiver) = data_lane(LaneKind::Dtls);
        let (inbound_media, media_receiver) = patient_media_lane(LaneKind::Media);
        let (rtp, rtp_receiver) = patient_media_lane(LaneKind::Outbound);
        let (rtcp, rtcp_receiver) = control_lane(LaneKind::OutboundRtcp);
        let events = Rc::clone(&report);
        let actor = DtlsActor::new(DtlsEnvironment {
            certificate: config.certificate.clone(),
            egress: Rc::clone(&place.egress),
            sockets: place.sockets.clone(),
            report: Rc::new(move |event| events(TransportEvent::Dtls(event))),
            dtls: dtls_receiver,
            media: media_receiver,
            outbound_rtp: rtp_receiver,
            outbound_rtcp: rtcp_receiver,
        });
        let (sctp_sink, rtp) = (actor.sctp_sink(), Arc::new(actor.media_exit(rtp)));
        let dtls = kit::start(DTLS_POLICY, down(&report, TransportPart::Dtls), |_| actor);
        let inbound = (&inbound_dtls, &inbound_media);
        let ice = start_agent(&config, &place, &report, inbound, dtls.clone().recipient());
        let told = Told { local_ufrag: config.local.ufrag.clone(), ..Told::default() };
        let state = Arc::new(TransportSnapshot {
            ice_state: Some(ice::State::New),
            local_parameters: Some(config.local.clone()),
            ..TransportSnapshot::default()
        });
        Self {
            config,
            place,
            report,
            ice,
            dtls,
            lanes: TransportLanes { rtp, rtcp },
            sctp_sink,
            dtls_role: None,
            inbound_dtls,
            inbound_media,
            told,
            state,
            round_trip_time: None,
            is_agent_lost: false,
        }
    }

    /// Replaces an agent that is lost. The keys are kept: the new one only finds a path for them.
    fn replace_agent(&mut self) {
        // The address of the old agent may still be on its way out of the router.
        self.place.renew();
        let inbound = (&self.inbound_dtls, &self.inbound_media);
        let route = self.dtls.clone().recipient();
        self.ice = start_agent(&self.config, &self.place, &self.report, inbound, route);
        self.is_agent_lost = false;
        self.told.forget_remote();
        self.state_mut().ice_state = Some(ice::State::New);
        self.state_mut().gathering_state = RtcIceGatheringState::New;
    }

    /// What getters show of it.
    pub fn state(&self) -> &TransportSnapshot {
        &self.state
    }

    /// The same, to be kept as it is now.
    pub fn shared_state(&self) -> Arc<TransportSnapshot> {
        Arc::clone(&self.state)
    }

    fn state_mut(&mut self) -> &mut TransportSnapshot {
        Arc::make_mut(&mut self.state)
    }

    /// The state of its agent.
    pub fn ice_state(&self) -> ice::State {
        self.state.ice_state.unwrap_or(ice::State::New)
    }

    /// The state of its security context.
    pub fn dtls_state(&self) -> DtlsTransportState {
        self.state.dtls_state
    }

    /// The last measured round trip over the selected pair.
    pub fn round_trip_time(&self) -> Option<Duration> {
        self.round_trip_time
    }

    /// Where what is sent goes.
    pub fn lanes(&self) -> &TransportLanes {
        &self.lanes
    }

    /// Where the packets of an association go.
    pub fn sctp_sink(&self) -> &Arc<dyn SctpSink> {
        &self.sctp_sink
    }

    /// Our side of the handshake, once it was begun.
    pub fn dtls_role(&self) -> Option<Role> {
        self.dtls_role
    }

    /// The agent.
    pub fn ice(&self) -> &Addr<IceAgent> {
        &self.ice
    }

    /// The security context.
    pub fn dtls(&self) -> &Addr<DtlsActor> {
        &self.dtls
    }

    /// Ends the actors in order: what is queued is encrypted and followed by close_notify, and only then is
    /// the route taken away. An actor that is gone already has nothing left to say.
    pub fn close(self) -> impl Future<Output = ()> + use<> {
        let (dtls, ice) = (self.dtls.clone(), self.ice.clone());
        let whole = self;
        async move {
            let _ = dtls.send(CloseDtls).await;
            let _ = ice.send(CloseIce).await;
            drop(whole);
        }
    }

    #[cfg(feature = "fault-injection")]
    pub(crate) fn boom_sockets(&self) {
        self.place.attachment.boom();
    }
}

impl Drop for TransportActors {
    /// After [`Self::close`] there is nobody left to hear this.
    fn drop(&mut self) {
        self.dtls.do_send(CloseDtls);
        self.ice.do_send(CloseIce);
    }
}

fn down(report: &TransportReport, part: TransportPart) -> impl FnOnce(DownReason) + 'static {
    let report = Rc::clone(report);
    move |reason| report(TransportEvent::Down(part, reason))
}

fn start_agent(
    config: &TransportConfig,
    place: &TransportPlace,
    report: &TransportReport,
    (dtls, media): (&LaneSender<Inbound>, &LaneSender<Inbound>),
    route: Recipient<RouteChanged>,
) -> Addr<IceAgent> {
    let (stun, stun_receiver) = control_lane(LaneKind::Stun);
    let lost = Rc::clone(report);
    place.attachment.join(place.key, Rc::new(move |address| lost(TransportEvent::SocketLost(address))));
    let local = &config.local;
    let credentials = Credentials { ufrag: local.ufrag.clone(), password: local.password.clone() };
    let mut agent_config = AgentConfig::new(config.role, credentials);
    agent_config.lite = local.lite;
    let events = Rc::clone(report);
    let agent = IceAgent::new(
        agent_config,
        stun_receiver,
        IceEnvironment {
            key: place.key,
            sockets: place.sockets.clone(),
            router: Rc::clone(&place.attachment.router),
            egress: Rc::clone(&place.egress),
            watch: Rc::clone(&place.watch),
            lanes: PeerLanes { stun, dtls: dtls.clone(), media: media.clone(), is_raw: false },
            network: place.network.clone(),
            servers: config.servers.clone(),
            report: Rc::new(move |event| events(TransportEvent::Ice(event))),
            route: Some(route),
            datagrams: None,
        },
    );
    kit::start(ICE_AGENT_POLICY, down(report, TransportPart::IceAgent), |_| agent)
}
