//! What the actors of a transport report, and the state it becomes.

use std::sync::Arc;

use super::{TransportActors, TransportEvent, TransportPart};
use crate::{
    actors::kit::DownReason,
    messages::{
        dtls::{DtlsEvent, DtlsTransportState},
        ice::{CloseIce, IceEvent},
        peer_connection::RtcIceGatheringState,
    },
    proto::{ice, jsep::IceParameters},
};

impl TransportActors {
    /// Takes note of an event. Whoever owns the transport hands it every event that was reported.
    pub fn observe(&mut self, event: &TransportEvent) {
        match event {
            TransportEvent::Ice(event) => self.observe_ice(event),
            TransportEvent::Dtls(DtlsEvent::Connected { remote_certificates, .. }) => {
                self.state_mut().remote_certificates.clone_from(remote_certificates);
                self.state_mut().dtls_state = DtlsTransportState::Connected;
            }
            TransportEvent::Dtls(DtlsEvent::Failed(_)) => {
                self.state_mut().dtls_state = DtlsTransportState::Failed
            }
            TransportEvent::Dtls(DtlsEvent::Closed) => {
                self.state_mut().dtls_state = DtlsTransportState::Closed
            }
            TransportEvent::Down(_, DownReason::Stopped) => {}
            TransportEvent::Down(TransportPart::IceAgent, _) => self.lose_agent(),
            TransportEvent::Down(TransportPart::Dtls, _) => {
                self.state_mut().dtls_state = DtlsTransportState::Failed
            }
            TransportEvent::SocketLost(_) => {
                // Whatever the peer sends is read by nobody: as with a lost agent, nothing more may be sent.
                self.ice.do_send(CloseIce);
                self.lose_agent();
            }
        }
    }

    fn lose_agent(&mut self) {
        self.is_agent_lost = true;
        self.state_mut().ice_state = Some(ice::State::Failed);
        self.state_mut().selected_pair = None;
        // Nobody waits for candidates that will not come.
        self.state_mut().gathering_state = RtcIceGatheringState::Complete;
    }

    fn observe_ice(&mut self, event: &IceEvent) {
        match event {
            IceEvent::LocalCandidate(candidate) => {
                if candidate.ufrag.as_ref().is_none_or(|ufrag| *ufrag == self.told.local_ufrag) {
                    Arc::make_mut(&mut self.state_mut().local_candidates).push(candidate.clone());
                }
            }
            IceEvent::GatheringComplete { ufrag } => {
                if *ufrag == self.told.local_ufrag {
                    self.state_mut().gathering_state = RtcIceGatheringState::Complete;
                }
            }
            // Only this side closes the agent, and knows why.
            IceEvent::StateChanged(ice::State::Closed) | IceEvent::CandidateError(_) => {}
            IceEvent::StateChanged(state) => {
                if !self.is_agent_lost {
                    self.state_mut().ice_state = Some(*state);
                }
            }
            IceEvent::RoundTripTime(measured) => self.round_trip_time = Some(*measured),
            IceEvent::RoleChanged(role) => self.state_mut().ice_role = Some(*role),
            IceEvent::SelectedPair(pair) => self.state_mut().selected_pair = pair.as_deref().cloned(),
            IceEvent::RestartNeeded(credentials) => {
                self.told.local_ufrag.clone_from(&credentials.ufrag);
                self.config.local = IceParameters {
                    ufrag: credentials.ufrag.clone(),
                    password: credentials.password.clone(),
                    lite: self.config.local.lite,
                };
                self.state_mut().local_parameters = Some(self.config.local.clone());
                self.state_mut().local_candidates = Arc::default();
            }
        }
    }
}
