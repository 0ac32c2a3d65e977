//! What the transport reports, and the states it becomes.

use super::{DtlsState, PeerConnection};
use crate::{
    messages::{
        dtls::DtlsEvent,
        ice::IceEvent,
        peer_connection::{PeerConnectionEvent, RtcIceGatheringState},
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
                if self.session.add_local_candidate(&line).is_ok() {
                    self.local_candidates.push(candidate);
                    self.emit(PeerConnectionEvent::IceCandidate(Some(self.candidate_init(line))));
                }
            }
            IceEvent::GatheringComplete => {
                self.session.end_of_local_candidates();
                self.set_gathering(RtcIceGatheringState::Complete);
                self.emit(PeerConnectionEvent::IceCandidate(None));
            }
            IceEvent::CandidateError(error) => {
                self.emit(PeerConnectionEvent::IceCandidateError(error));
                return;
            }
            IceEvent::RoleChanged(role) => self.ice_role = Some(role),
            IceEvent::SelectedPair(pair) => self.selected_pair = pair,
            // Only this side closes the agent, and knows why.
            IceEvent::StateChanged(ice::State::Closed) => return,
            IceEvent::StateChanged(state) => {
                self.ice_state = state;
                self.emit(PeerConnectionEvent::IceConnectionStateChange(state));
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
                self.session.set_local_ice(IceParameters {
                    ufrag: credentials.ufrag.clone(),
                    password: credentials.password.clone(),
                    lite: self.session.config().ice.lite,
                });
                self.session.restart_ice();
                self.emit(PeerConnectionEvent::Failure(
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
            DtlsEvent::Connected { profile, remote_certificates } => {
                self.remote_certificates = remote_certificates;
                self.dtls_state = DtlsState::Connected;
                tracing::debug!(?profile, "DTLS connected");
            }
            DtlsEvent::Failed(reason) => {
                self.dtls_state = DtlsState::Failed;
                self.emit(PeerConnectionEvent::Failure(format!("DTLS failed: {reason}")));
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
            self.emit(PeerConnectionEvent::IceGatheringStateChange(state));
        }
    }
}
