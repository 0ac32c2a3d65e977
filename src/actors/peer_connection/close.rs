//! The end of a connection: BYE, close_notify, then silence.

use actix::prelude::*;

use super::PeerConnection;
use crate::messages::{
    peer_connection::{Close, PeerConnectionEvent, RtcPeerConnectionState},
    rtp::{StopReceiver, StopSender},
};

impl Handler<Close> for PeerConnection {
    type Result = ResponseFuture<()>;

    /// W3C webrtc-pc §4.4.1.3: every state is closed at once, and no event tells so.
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
        self.publish_closed();
        let (sctp, transports) = (self.sctp.take(), self.transports.take());
        ctx.stop();
        Box::pin(async move {
            // In this order: BYEs and the end of the association are queued, then encrypted and followed by close_notify. An actor that is
            // gone already has nothing left to say.
            for sender in senders {
                let _ = sender.send(StopSender).await;
            }
            if let Some(sctp) = sctp {
                sctp.close().await;
            }
            for transport in transports {
                transport.close().await;
            }
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
        if let Some(sctp) = self.sctp.take() {
            sctp.lose_transport();
        }
        drop(self.transports.take());
        self.snapshot.lock().connection_state = RtcPeerConnectionState::Failed;
        self.emit(PeerConnectionEvent::Failure("the connection has ended by itself".to_owned()));
        self.emit(PeerConnectionEvent::ConnectionStateChange(RtcPeerConnectionState::Failed));
    }
}
