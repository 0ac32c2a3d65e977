//! `POST /debug/panic`: makes an actor of a connected peer panic, to test what contains it.
//!
//! Exists only with the feature `fault-injection` and `--enable-fault-injection`; otherwise nothing is kept
//! here and the path answers 404 like any other.

use actix_rtc::RtcPeerConnection;
use actix_web::web::ServiceConfig;

use crate::{config::Config, ids::ParticipantId};

#[cfg(feature = "fault-injection")]
mod panic;

/// The connections that exist, as far as somebody may ask for them.
#[derive(Default)]
pub(crate) struct Peers {
    #[cfg(feature = "fault-injection")]
    table: panic::Table,
}

/// Keeps a connection in the table.
pub(crate) struct Registration {
    #[cfg(feature = "fault-injection")]
    _entry: panic::Entry,
}

impl Peers {
    #[cfg_attr(not(feature = "fault-injection"), allow(unused_variables))]
    pub(crate) fn register(&self, id: &ParticipantId, peer: &RtcPeerConnection) -> Registration {
        Registration {
            #[cfg(feature = "fault-injection")]
            _entry: self.table.register(id, peer),
        }
    }
}

/// Adds the route, where it is wanted.
#[cfg_attr(not(feature = "fault-injection"), allow(unused_variables))]
pub(crate) fn configure(service: &mut ServiceConfig, config: &Config) {
    #[cfg(feature = "fault-injection")]
    if config.enable_fault_injection {
        service.route("/debug/panic", actix_web::web::post().to(panic::inject));
    }
}
