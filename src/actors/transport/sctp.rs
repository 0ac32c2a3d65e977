//! The association on a transport: it may be made before there is one, and starts when DTLS is connected.

use std::{rc::Rc, sync::Arc};

use actix::prelude::*;

use super::TransportActors;
use crate::{
    actors::{
        kit::{self, DownReason, LaneKind},
        lanes::data_lane,
        sctp_assoc::{SCTP_ASSOC_POLICY, SctpAssoc, SctpEnvironment},
    },
    messages::{
        dtls::DtlsTransportState,
        sctp::{
            AttachSctp, CloseSctp, ConfigureSctp, RtcSctpTransportState, SctpEvent, SctpSink,
            SharedSctpSnapshot, StartSctp,
        },
    },
};

/// The actor of an association, and what it was told. Dropping it ends the association.
pub struct SctpActors {
    address: Addr<SctpAssoc>,
    snapshot: SharedSctpSnapshot,
    inbound: Arc<dyn SctpSink>,
    configured: Option<ConfigureSctp>,
    is_started: bool,
}

impl SctpActors {
    /// Starts an association that accepts messages of at most `max_message_size` bytes (0: of any size)
    /// and waits for [`Self::connect`]. `report` must hold the owner weakly.
    pub fn start(max_message_size: u64, report: Rc<dyn Fn(SctpEvent)>) -> Self {
        let (sender, packets) = data_lane(LaneKind::Sctp);
        let snapshot = SharedSctpSnapshot::default();
        let lost = Rc::clone(&report);
        let published = Arc::clone(&snapshot);
        let limit = u32::try_from(max_message_size).ok().filter(|limit| *limit > 0);
        let actor = SctpAssoc::new(SctpEnvironment {
            max_message_size: limit.unwrap_or(u32::MAX),
            snapshot: Arc::clone(&snapshot),
            report,
            packets,
        });
        let down = move |reason: DownReason| {
            if !matches!(reason, DownReason::Stopped) {
                published.lock().state = RtcSctpTransportState::Closed;
                lost(SctpEvent::Failed(format!("the association is lost: {reason:?}")));
            }
        };
        let address = kit::start(SCTP_ASSOC_POLICY, down, |_| actor);
        Self { address, snapshot, inbound: Arc::new(sender), configured: None, is_started: false }
    }

    /// The association.
    pub fn address(&self) -> &Addr<SctpAssoc> {
        &self.address
    }

    /// What getters show of it.
    pub fn snapshot(&self) -> &SharedSctpSnapshot {
        &self.snapshot
    }

    /// What was negotiated; told only when it has changed.
    pub fn configure(&mut self, negotiated: ConfigureSctp) {
        if self.configured != Some(negotiated) {
            self.configured = Some(negotiated);
            self.address.do_send(negotiated);
        }
    }

    /// Brings it into line with its transport: begins when DTLS is connected, ends when that has ended.
    pub fn connect(&mut self, transport: &TransportActors) {
        match (transport.dtls_state(), transport.dtls_role()) {
            (DtlsTransportState::Connected, Some(role)) if !self.is_started => {
                self.is_started = true;
                transport.dtls().do_send(AttachSctp { inbound: Arc::clone(&self.inbound) });
                self.address.do_send(StartSctp { role, outbound: Arc::clone(transport.sctp_sink()) });
            }
            (DtlsTransportState::Closed | DtlsTransportState::Failed, _) => self.lose_transport(),
            _ => {}
        }
    }

    /// The transport is gone: channels close with an error.
    pub fn lose_transport(&self) {
        self.address.do_send(CloseSctp::TransportLost);
    }

    /// W3C `close`: channels close without an error, and the peer is told. Done when what tells it is in the
    /// lane of the transport.
    pub async fn close(self) {
        // One that is gone already has nothing left to say.
        let _ = self.address.send(CloseSctp::Abort).await;
    }
}

impl Drop for SctpActors {
    /// After [`Self::close`] there is nobody left to hear this.
    fn drop(&mut self) {
        self.address.do_send(CloseSctp::Abort);
    }
}
