//! The streams' actors of a peer, and what it means when one of them is lost.

use actix::{WeakAddr, prelude::*};

use super::PeerConnection;
use crate::{
    actors::kit::DownReason, messages::peer_connection::PeerConnectionEvent, proto::jsep::TransceiverId,
};

/// Which child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Child {
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

impl Handler<ChildDown> for PeerConnection {
    type Result = ();

    /// The m-line stays; only this stream falls silent.
    fn handle(&mut self, message: ChildDown, ctx: &mut Self::Context) {
        if matches!(message.reason, DownReason::Stopped) {
            return;
        }
        let sentence = format!("{:?} is lost: {:?}", message.child, message.reason);
        self.emit(PeerConnectionEvent::Failure(sentence));
        self.reconcile(ctx);
    }
}

#[cfg(feature = "fault-injection")]
impl PeerConnection {
    /// Makes a child panic; false when there is none of that kind.
    pub(crate) fn boom_child(&self, target: crate::actors::fault_injection::FaultTarget) -> bool {
        use crate::actors::{
            fault_injection::{Boom, FaultTarget},
            sctp_assoc::BoomChannel,
        };
        match target {
            FaultTarget::IceAgent | FaultTarget::Dtls | FaultTarget::UdpSocket => {
                let Some((_, transport)) = self.transports.iter().next() else { return false };
                match target {
                    FaultTarget::IceAgent => transport.ice().do_send(Boom),
                    FaultTarget::Dtls => transport.dtls().do_send(Boom),
                    _ => transport.boom_sockets(),
                }
            }
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
            FaultTarget::SctpAssoc | FaultTarget::DataChannel => {
                let Some(association) = &self.sctp else { return false };
                match target {
                    FaultTarget::SctpAssoc => association.address().do_send(Boom),
                    _ => association.address().do_send(BoomChannel),
                }
            }
            FaultTarget::TrackRelay => return crate::actors::track_relay::boom(),
            FaultTarget::PeerConnection => return false,
        }
        true
    }
}
