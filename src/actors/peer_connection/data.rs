//! The data channels of a connection: one association, made with the first channel of either side.

use std::rc::Rc;

use actix::{WeakAddr, prelude::*};

use super::PeerConnection;
use crate::{
    actors::{kit::MeteredContext, transport::SctpActors},
    messages::{
        data_channel::DataChannel,
        error::RtcError,
        peer_connection::{CreateDataChannel, PeerConnectionEvent, Reply, SctpTransportSnapshot},
        sctp::{ConfigureSctp, OpenDataChannel, SctpEvent},
    },
    proto::jsep::SignalingState,
};

/// `SctpAssoc` → its `PeerConnection`, control.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct SctpReported(SctpEvent);

impl PeerConnection {
    /// The association, made when there is none yet.
    fn association(&mut self, parent: WeakAddr<Self>) -> &mut SctpActors {
        let max_message_size = self.session.config().max_message_size;
        self.sctp.get_or_insert_with(|| {
            let report = move |event| {
                if let Some(parent) = parent.upgrade() {
                    parent.do_send(SctpReported(event));
                }
            };
            SctpActors::start(max_message_size, Rc::new(report))
        })
    }

    /// The association starts when data is negotiated and its transport connected, and ends with that.
    pub(super) fn reconcile_data(&mut self, ctx: &mut MeteredContext<Self>) {
        let Some(negotiated) = self.session.data_parameters().cloned() else {
            return self.end_refused_data();
        };
        let configuration = ConfigureSctp {
            local_port: negotiated.local_port,
            remote_port: negotiated.remote_port,
            // The session has the default where the peer was silent; none means any size.
            remote_max_message_size: Some(negotiated.message_size_max.unwrap_or(0)),
        };
        let association = self.association(ctx.address().downgrade());
        association.configure(configuration);
        self.data_transport = Some(negotiated.transport);
        let (Some(association), Some(transport)) =
            (&mut self.sctp, self.transports.get(negotiated.transport))
        else {
            return;
        };
        association.connect(transport);
    }

    /// What was negotiated before and is not any more is over.
    fn end_refused_data(&mut self) {
        let is_settled = self.session.signaling_state() == SignalingState::Stable;
        if is_settled && self.data_transport.is_some() {
            self.end_data();
        }
    }

    /// An exchange has ended: channels that the peer has refused will never open (RFC 9429 §5.3.1: their
    /// section was rejected). A channel that is made later asks again.
    pub(super) fn exchange_ended(&mut self) {
        if self.session.data_refused() {
            self.end_data();
        }
    }

    fn end_data(&mut self) {
        self.data_transport = None;
        if let Some(association) = self.sctp.take() {
            association.lose_transport();
        }
    }

    /// What getters show of it: nothing before it was negotiated.
    pub(super) fn sctp_snapshot(&self) -> Option<SctpTransportSnapshot> {
        let association = self.sctp.as_ref()?;
        Some(SctpTransportSnapshot {
            transport: self.data_transport?,
            association: association.snapshot().clone(),
        })
    }
}

impl Handler<CreateDataChannel> for PeerConnection {
    type Result = ResponseFuture<Reply<DataChannel>>;

    /// W3C webrtc-pc §6.1, `createDataChannel`.
    fn handle(&mut self, message: CreateDataChannel, ctx: &mut Self::Context) -> Self::Result {
        let CreateDataChannel { label, init } = message;
        let asked = init.to_parameters(&label).and_then(|_| Ok(self.session.add_data_section()?));
        if let Err(error) = asked {
            return Box::pin(std::future::ready(Err(error)));
        }
        let opening =
            self.association(ctx.address().downgrade()).address().send(OpenDataChannel { label, init });
        self.publish(ctx);
        Box::pin(async move {
            match opening.await {
                Ok(opened) => opened,
                Err(_) => Err(RtcError::InvalidStateError("the association has ended".to_owned())),
            }
        })
    }
}

impl Handler<SctpReported> for PeerConnection {
    type Result = ();

    fn handle(&mut self, message: SctpReported, ctx: &mut Self::Context) {
        match message.0 {
            SctpEvent::StateChanged(state) => tracing::debug!(?state, "association"),
            SctpEvent::DataChannel(channel) => self.emit(PeerConnectionEvent::DataChannel(channel)),
            SctpEvent::Failed(reason) => {
                self.emit(PeerConnectionEvent::Failure(format!("data channels: {reason}")));
            }
        }
        self.publish(ctx);
    }
}
