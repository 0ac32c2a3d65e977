//! `DtlsActor`: the keys of one peer. Decrypts what comes in, encrypts what goes out.
//!
//! Never restarts: keys and packet indices can't be rebuilt safely after a panic. Then the peer is
//! `failed` and nothing more is sent.

use std::sync::Arc;

use actix::prelude::*;

pub use self::{
    outbound::MediaExit,
    transport::{DtlsEnvironment, SecureTransport},
};
use crate::{
    actors::kit::{
        self, ActorKind, Doorbell, LaneSender, Metered, MeteredContext, Policy, Station, Stationed,
    },
    messages::{
        dtls::{AttachReceiver, AttachSender, CloseDtls, DetachReceiver, DetachSender, StartDtls},
        ice::RouteChanged,
        rtp::OutgoingLot,
        sctp::{AttachSctp, SctpSink},
        statistics::{CollectDtls, DtlsStatistics},
    },
};

mod outbound;
mod transport;

/// Keys die with the actor that holds them.
pub const DTLS_POLICY: Policy = Policy::never();

/// One peer's security context.
pub struct DtlsActor {
    station: Station<SecureTransport>,
}

impl DtlsActor {
    /// An actor without a session: [`StartDtls`] and a route begin the handshake.
    pub fn new(environment: DtlsEnvironment) -> Self {
        let bell = Doorbell::default();
        let transport = SecureTransport::new(&bell, environment);
        Self { station: Station::new(&bell, transport) }
    }

    /// The way out for senders of media; `lane` leads to [`DtlsEnvironment::outbound_rtp`].
    pub fn media_exit(&self, lane: LaneSender<OutgoingLot>) -> MediaExit {
        MediaExit { door: self.station.door(), lane }
    }

    /// The way out for an association: its packets become records of this session.
    pub fn sctp_sink(&self) -> Arc<dyn SctpSink> {
        self.station.work().sctp_sink()
    }
}

impl Metered for DtlsActor {
    const KIND: ActorKind = ActorKind::Dtls;
}

impl Actor for DtlsActor {
    type Context = MeteredContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.station.open::<Self>(ctx);
    }
}

impl Stationed for DtlsActor {
    type Work = SecureTransport;

    fn station(&self) -> &Station<SecureTransport> {
        &self.station
    }
}

impl Supervised for DtlsActor {}

impl Handler<StartDtls> for DtlsActor {
    type Result = ();

    fn handle(&mut self, message: StartDtls, _: &mut Self::Context) {
        self.station.work().start(kit::now(), message);
    }
}

impl Handler<RouteChanged> for DtlsActor {
    type Result = ();

    fn handle(&mut self, message: RouteChanged, _: &mut Self::Context) {
        self.station.work().change_route(kit::now(), message.0);
    }
}

impl Handler<AttachReceiver> for DtlsActor {
    type Result = ();

    fn handle(&mut self, message: AttachReceiver, _: &mut Self::Context) {
        self.station.work().sections().attach_receiver(message);
    }
}

impl Handler<DetachReceiver> for DtlsActor {
    type Result = ();

    fn handle(&mut self, message: DetachReceiver, _: &mut Self::Context) {
        self.station.work().sections().detach_receiver(&message.mid);
    }
}

impl Handler<AttachSender> for DtlsActor {
    type Result = ();

    fn handle(&mut self, message: AttachSender, _: &mut Self::Context) {
        self.station.work().sections().attach_sender(&message);
    }
}

impl Handler<DetachSender> for DtlsActor {
    type Result = ();

    fn handle(&mut self, message: DetachSender, _: &mut Self::Context) {
        self.station.work().sections().detach_sender(&message.ssrcs);
    }
}

impl Handler<AttachSctp> for DtlsActor {
    type Result = ();

    fn handle(&mut self, message: AttachSctp, _: &mut Self::Context) {
        self.station.work().attach_sctp(kit::now(), message.inbound);
    }
}

impl Handler<CollectDtls> for DtlsActor {
    type Result = DtlsStatistics;

    fn handle(&mut self, _: CollectDtls, _: &mut Self::Context) -> Self::Result {
        self.station.work().statistics()
    }
}

impl Handler<CloseDtls> for DtlsActor {
    type Result = ();

    fn handle(&mut self, _: CloseDtls, ctx: &mut Self::Context) {
        self.station.work().close(kit::now());
        ctx.stop();
    }
}

#[cfg(feature = "fault-injection")]
crate::actors::fault_injection::impl_boom!(DtlsActor);
