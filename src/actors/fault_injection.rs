//! Panics on demand, to test what their containment promises (feature `fault-injection`; never part
//! of a release).

use actix::prelude::*;

use super::peer_connection::PeerConnection;

/// Anyone → any actor, control: panic now.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Boom;

/// Which of a peer's actors is to panic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultTarget {
    /// The `PeerConnection` itself.
    PeerConnection,
    /// Its `IceAgent`.
    IceAgent,
    /// Its `DtlsActor`.
    Dtls,
    /// Its first `RtpReceiver`.
    RtpReceiver,
    /// Its first `RtpSender` that sends something.
    RtpSender,
    /// Its `SctpAssoc`.
    SctpAssoc,
    /// The `DataChannel` of one of its channels.
    DataChannel,
    /// The `TrackRelay`s of its thread, which other peers may share.
    TrackRelay,
    /// The `UdpSocket`s it receives through, which other peers may share.
    UdpSocket,
}

/// Anyone → `PeerConnection`, control: make one of your actors panic. Answers whether there is one.
#[derive(Debug, Message)]
#[rtype(result = "bool")]
pub struct InjectFault(pub FaultTarget);

impl Handler<InjectFault> for PeerConnection {
    type Result = bool;

    fn handle(&mut self, message: InjectFault, ctx: &mut Self::Context) -> bool {
        match message.0 {
            FaultTarget::PeerConnection => ctx.address().do_send(Boom),
            target => return self.boom_child(target),
        }
        true
    }
}

macro_rules! impl_boom {
    ($actor:ty) => {
        impl ::actix::Handler<$crate::actors::fault_injection::Boom> for $actor {
            type Result = ();

            fn handle(&mut self, _: $crate::actors::fault_injection::Boom, _: &mut Self::Context) {
                panic!("injected fault");
            }
        }
    };
}

pub(crate) use impl_boom;
