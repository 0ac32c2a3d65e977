//! The end of a connection: BYE, close_notify, then silence.

use actix::prelude::*;

use super::PeerConnection;
use crate::messages::{
    dtls::CloseDtls,
    ice::CloseIce,
    peer_connection::Close,
    rtp::{StopReceiver, StopSender},
};

impl Handler<Close> for PeerConnection {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Close, ctx: &mut Self::Context) -> Self::Result {
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
