//! What the transport reports, and the states it becomes.

use super::{DtlsState, PeerConnection};
use crate::{
    messages::{
        dtls::DtlsEvent,
        ice::IceEvent,
        peer_connection::{RtcIceGatheringState, RtcPeerConnectionEvent},
        rtp::SetRoundTripTime,
    },
    proto::{ice, jsep::IceParameters},
};
use actix::prelude::*;

impl Handler<IceEvent> for PeerConnection {
    type Result = ();

    fn handle(&mut self, message: IceEvent, _: &mut Self::Context) {
        match message {
            IceEvent::LocalCandidate(candidate) => {
                let line = candidate.to_string();
                // A candidate that the session refuses (one too many) is not signalled either.
                let transport = self.session.transports().first().map(|transport| transport.id);
                if transport.is_some_and(|id| self.session.add_local_candidate(id, &line).is_ok()) {
                    self.emit(RtcPeerConnectionEvent::IceCandidate(Some(self.candidate_init(line))));
                }
            }
            IceEvent::GatheringComplete => {
                if let Some(id) = self.session.transports().first().map(|transport| transport.id) {
                    let _ = self.session.end_of_local_candidates(id);
                }
                self.set_gathering(RtcIceGatheringState::Complete);
                self.emit(RtcPeerConnectionEvent::IceCandidate(None));
            }
            // Only this side closes the agent, and knows why.
            IceEvent::StateChanged(ice::State::Closed) => return,
            IceEvent::StateChanged(state) => {
                self.ice_state = state;
                self.emit(RtcPeerConnectionEvent::IceConnectionStateChange(state));
            }
            IceEvent::RoundTripTime(measured) => {
                self.round_trip_time = Some(measured);
                for receiving in self.transceivers.iter().filter_map(|actors| actors.receiver.as_ref()) {
                    receiving.actor.do_send(SetRoundTripTime(measured));
                }
                return;
            }
            IceEvent::RestartNeeded(credentials) => {
                self.children.local_ufrag = credentials.ufrag.clone();
                let ice = IceParameters {
                    ufrag: credentials.ufrag.clone(),
                    password: credentials.password.clone(),
                    lite: self.session.config().ice_lite,
                };
                if let Some(id) = self.session.transports().first().map(|transport| transport.id) {
                    let _ = self.session.replace_local_ice(id, ice);
                }
                self.session.restart_ice();
                self.emit(RtcPeerConnectionEvent::Failure(
                    "the ICE agent was restarted: an ICE restart is needed".to_owned(),
                ));
            }
        }
        self.publish();
    }
}

impl Handler<DtlsEvent> for PeerConnection {
    type Result = ();

    fn handle(&mut self, message: DtlsEvent, ctx: &mut Self::Context) {
        match message {
            DtlsEvent::Connected { profile } => {
                self.dtls_state = DtlsState::Connected;
                tracing::debug!(?profile, "DTLS connected");
            }
            DtlsEvent::Failed(reason) => {
                self.dtls_state = DtlsState::Failed;
                self.emit(RtcPeerConnectionEvent::Failure(format!("DTLS failed: {reason}")));
            }
            DtlsEvent::Closed => self.dtls_state = DtlsState::Closed,
        }
        // Without keys the senders must not take media any more.
        self.reconcile(ctx);
    }
}

impl PeerConnection {
    pub(super) fn set_gathering(&mut self, state: RtcIceGatheringState) {
        if self.gathering != state {
            self.gathering = state;
            self.emit(RtcPeerConnectionEvent::IceGatheringStateChange(state));
        }
    }
}
