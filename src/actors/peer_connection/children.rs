//! The transport actors of a peer, and what it means when one of them is lost.

use std::rc::Rc;

use actix::{WeakAddr, prelude::*};

use super::{DtlsState, PeerConfig, PeerConnection, PeerEnvironment};
use crate::{
    actors::{
        dtls::{DTLS_POLICY, DtlsActor, DtlsEnvironment},
        ice_agent::{ICE_AGENT_POLICY, IceAgent, IceEnvironment},
        kit::{self, DownReason, LaneKind, LaneSender, MeteredContext},
        lanes::{RtcpCompound, control_lane, data_lane, patient_media_lane},
        network::PeerLanes,
        shard::SocketLost,
    },
    messages::{
        ice::CloseIce,
        peer_connection::{PeerConnectionEvent, RtcIceGatheringState},
    },
    proto::{
        dtls::Certificate,
        ice::{self, AgentConfig, Credentials, Role},
        jsep::TransceiverId,
        sender::OutgoingPacket,
    },
};

/// Which child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Child {
    /// The ICE agent.
    IceAgent,
    /// The security context.
    Dtls,
    /// The receiver of a transceiver.
    Receiver(TransceiverId),
    /// The sender of a transceiver.
    Sender(TransceiverId),
}

/// Guard → `PeerConnection`, control: a child has ended for good.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ChildDown {
    /// Which one.
    pub child: Child,
    /// Why.
    pub reason: DownReason,
}

/// Tells `parent` when `child` is down.
pub(super) fn report_to(
    parent: &WeakAddr<PeerConnection>,
    child: Child,
) -> impl FnOnce(DownReason) + 'static {
    let parent = parent.clone();
    move |reason| {
        if let Some(parent) = parent.upgrade() {
            parent.do_send(ChildDown { child, reason });
        }
    }
}

/// A way to tell `parent` as long as it lives: one that is gone has told its children to end.
fn tell<M>(parent: &WeakAddr<PeerConnection>) -> Rc<dyn Fn(M)>
where
    M: Message<Result = ()> + Send + 'static,
    PeerConnection: Handler<M>,
{
    let parent = parent.clone();
    Rc::new(move |event| {
        if let Some(parent) = parent.upgrade() {
            parent.do_send(event);
        }
    })
}

/// The transport of one peer.
pub(super) struct Children {
    pub(super) ice: Addr<IceAgent>,
    pub(super) dtls: Addr<DtlsActor>,
    pub(super) outbound_rtp: LaneSender<OutgoingPacket>,
    pub(super) outbound_rtcp: LaneSender<RtcpCompound>,
    /// What the ICE agent was told last, to tell it only what changes.
    pub(super) local_ufrag: String,
    pub(super) remote_ufrag: String,
    pub(super) remote_candidates: Vec<String>,
    pub(super) remote_ended: bool,
}

impl Children {
    pub(super) fn start(
        ctx: &mut MeteredContext<PeerConnection>,
        config: &PeerConfig,
        environment: &PeerEnvironment,
        certificate: Certificate,
        credentials: Credentials,
    ) -> Self {
        let parent = ctx.address().downgrade();
        let (stun, stun_receiver) = control_lane(LaneKind::Stun);
        let (dtls, dtls_receiver) = data_lane(LaneKind::Dtls);
        let (media, media_receiver) = patient_media_lane(LaneKind::Media);
        let (outbound_rtp, outbound_rtp_receiver) = patient_media_lane(LaneKind::Outbound);
        let (outbound_rtcp, outbound_rtcp_receiver) = control_lane(LaneKind::OutboundRtcp);
        let sockets = environment.attachment.sockets.clone();

        let actor = DtlsActor::new(DtlsEnvironment {
            certificate,
            egress: Rc::clone(&environment.egress),
            sockets: sockets.clone(),
            report: tell(&parent),
            dtls: dtls_receiver,
            media: media_receiver,
            outbound_rtp: outbound_rtp_receiver,
            outbound_rtcp: outbound_rtcp_receiver,
        });
        let dtls_actor = kit::start(DTLS_POLICY, report_to(&parent, Child::Dtls), |_| actor);

        let local_ufrag = credentials.ufrag.clone();
        let mut agent_config = AgentConfig::new(Role::Controlled, credentials);
        agent_config.lite = config.ice_lite;
        let agent = IceAgent::new(
            agent_config,
            stun_receiver,
            IceEnvironment {
                key: environment.key,
                sockets,
                router: Rc::clone(&environment.attachment.router),
                egress: Rc::clone(&environment.egress),
                lanes: PeerLanes { stun, dtls, media },
                network: environment.network.clone(),
                servers: config.configuration.ice.clone(),
                report: tell(&parent),
                route: dtls_actor.clone().recipient(),
            },
        );
        let ice = kit::start(ICE_AGENT_POLICY, report_to(&parent, Child::IceAgent), |_| agent);
        Self {
            ice,
            dtls: dtls_actor,
            outbound_rtp,
            outbound_rtcp,
            local_ufrag,
            remote_ufrag: String::new(),
            remote_candidates: Vec::new(),
            remote_ended: false,
        }
    }
}

impl Handler<ChildDown> for PeerConnection {
    type Result = ();

    fn handle(&mut self, message: ChildDown, ctx: &mut Self::Context) {
        if matches!(message.reason, DownReason::Stopped) {
            return;
        }
        match message.child {
            Child::IceAgent => {
                self.ice_state = ice::State::Failed;
                // Nobody waits for candidates that will not come.
                self.set_gathering(RtcIceGatheringState::Complete);
            }
            Child::Dtls => self.dtls_state = DtlsState::Failed,
            // The m-line stays; only this stream falls silent.
            Child::Receiver(id) | Child::Sender(id) => {
                tracing::warn!(transceiver = %id, "stream lost after repeated panics");
            }
        }
        let sentence = format!("{:?} is lost: {:?}", message.child, message.reason);
        self.emit(PeerConnectionEvent::Failure(sentence));
        self.reconcile(ctx);
    }
}

impl Handler<SocketLost> for PeerConnection {
    type Result = ();

    /// The peer is unreachable: whatever it sends is read by nobody. As with a lost agent, nothing more
    /// may be sent.
    fn handle(&mut self, message: SocketLost, _: &mut Self::Context) {
        self.children.ice.do_send(CloseIce);
        self.ice_state = ice::State::Failed;
        self.set_gathering(RtcIceGatheringState::Complete);
        let sentence = format!("the socket at {} is lost", message.0);
        self.emit(PeerConnectionEvent::Failure(sentence));
        self.publish();
    }
}

#[cfg(feature = "fault-injection")]
impl PeerConnection {
    /// Makes a child panic; false when there is none of that kind.
    pub(crate) fn boom_child(&self, target: crate::actors::fault_injection::FaultTarget) -> bool {
        use crate::actors::fault_injection::{Boom, FaultTarget};
        match target {
            FaultTarget::IceAgent => self.children.ice.do_send(Boom),
            FaultTarget::Dtls => self.children.dtls.do_send(Boom),
            FaultTarget::RtpReceiver => {
                let Some(receiving) = self.transceivers.iter().find_map(|t| t.receiver.as_ref()) else {
                    return false;
                };
                receiving.actor.do_send(Boom);
            }
            FaultTarget::RtpSender => {
                let sending = self
                    .transceivers
                    .iter()
                    .filter(|t| t.sender_track.is_some())
                    .find_map(|t| t.sender.as_ref());
                let Some(sending) = sending else { return false };
                sending.actor.do_send(Boom);
            }
            FaultTarget::UdpSocket => self.attachment.boom(),
            FaultTarget::PeerConnection => return false,
        }
        true
    }
}
