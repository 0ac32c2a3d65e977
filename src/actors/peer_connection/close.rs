//! The end of a connection: BYE, close_notify, then silence.

use actix::prelude::*;

use super::PeerConnection;
use crate::messages::{
    dtls::CloseDtls,
    ice::CloseIce,
    peer_connection::{Close, PeerConnectionEvent, RtcPeerConnectionState},
    rtp::{StopReceiver, StopSender},
};

impl Handler<Close> for PeerConnection {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Close, ctx: &mut Self::Context) -> Self::Result {
        self.closing = true;
        self.session.close();
        let senders: Vec<_> = self
            .transceivers
            .iter_mut()
            .filter_map(|actors| actors.sender.take())
            .map(|sending| sending.actor)
            .collect();
        for receiving in self.transceivers.iter_mut().filter_map(|actors| actors.receiver.take()) {
            receiving.actor.do_send(StopReceiver);
        }
        self.publish();
        let (dtls, ice) = (self.children.dtls.clone(), self.children.ice.clone());
        ctx.stop();
        Box::pin(async move {
            // In this order: BYEs are queued, then encrypted and followed by close_notify, and only
            // then is the route taken away. A child that is gone already has nothing left to say.
            for sender in senders {
                let _ = sender.send(StopSender).await;
            }
            let _ = dtls.send(CloseDtls).await;
            let _ = ice.send(CloseIce).await;
        })
    }
}

impl PeerConnection {
    /// The end without [`Close`]: after a panic, or when nobody holds a handle any more. Tracks may be
    /// held by others, so that every child has to be told; in the order of a close, as far as their
    /// turns allow. Runs while the actor stops: nothing here can fail.
    pub(super) fn abandon(&mut self) {
        for actors in &self.transceivers {
            if let Some(receiving) = &actors.receiver {
                receiving.actor.do_send(StopReceiver);
            }
            if let Some(sending) = &actors.sender {
                sending.actor.do_send(StopSender);
            }
        }
        self.children.dtls.do_send(CloseDtls);
        self.children.ice.do_send(CloseIce);
        self.snapshot.lock().connection_state = RtcPeerConnectionState::Failed;
        self.emit(PeerConnectionEvent::Failure("the connection has ended by itself".to_owned()));
        self.emit(PeerConnectionEvent::ConnectionStateChange(RtcPeerConnectionState::Failed));
    }
}
