//! What the transports report, and what the application is told of it.

use actix::prelude::*;

use super::{PeerConnection, transports::TransportReported};
use crate::{
    actors::{
        kit::{DownReason, MeteredContext},
        transport::TransportEvent,
    },
    messages::{dtls::DtlsEvent, ice::IceEvent, peer_connection::PeerConnectionEvent, rtp::SetRoundTripTime},
    proto::{
        ice::{self, Candidate},
        jsep::{CandidateInit, IceParameters, TransportId},
    },
};

impl Handler<TransportReported> for PeerConnection {
    type Result = ();

    fn handle(&mut self, message: TransportReported, ctx: &mut Self::Context) {
        let Some(id) = self.transports.observe(&message) else { return };
        let Some(id) = id else {
            // One of the pool: what it found is told when it is taken.
            return;
        };
        match message.event {
            TransportEvent::Ice(event) => self.ice_reported(id, event, ctx),
            TransportEvent::Dtls(event) => self.dtls_reported(event, ctx),
            TransportEvent::Down(_, DownReason::Stopped) => {}
            TransportEvent::Down(part, reason) => {
                self.emit(PeerConnectionEvent::Failure(format!("{part:?} is lost: {reason:?}")));
                self.reconcile(ctx);
            }
            TransportEvent::SocketLost(address) => {
                self.emit(PeerConnectionEvent::Failure(format!("the socket at {address} is lost")));
                self.reconcile(ctx);
            }
        }
    }
}

impl PeerConnection {
    fn ice_reported(&mut self, id: TransportId, event: IceEvent, ctx: &mut MeteredContext<Self>) {
        match event {
            IceEvent::LocalCandidate(candidate) => self.signal_candidate(id, &candidate),
            IceEvent::GatheringComplete { ufrag } => {
                let is_current = |init: CandidateInit| init.username_fragment == Some(ufrag);
                if self.candidate_init(id, String::new()).is_some_and(is_current) {
                    self.signal_end_of_candidates(id);
                }
            }
            IceEvent::CandidateError(error) => {
                return self.emit(PeerConnectionEvent::IceCandidateError(error));
            }
            IceEvent::RoundTripTime(measured) => return self.tell_round_trip_time(id, measured),
            IceEvent::RestartNeeded(credentials) => {
                let local = IceParameters {
                    ufrag: credentials.ufrag.clone(),
                    password: credentials.password.clone(),
                    lite: self.session.config().ice_lite,
                };
                // A transport that the session has given up meanwhile needs no restart.
                if self.session.replace_local_ice(id, local).is_ok() {
                    self.session.restart_ice();
                    self.update_negotiation_needed(ctx);
                    let sentence = "the ICE agent was restarted: an ICE restart is needed";
                    self.emit(PeerConnectionEvent::Failure(sentence.to_owned()));
                }
            }
            IceEvent::StateChanged(ice::State::Closed) => return,
            IceEvent::StateChanged(_) | IceEvent::RoleChanged(_) | IceEvent::SelectedPair(_) => {}
        }
        self.publish_transport(id);
    }

    fn dtls_reported(&mut self, event: DtlsEvent, ctx: &mut MeteredContext<Self>) {
        match event {
            DtlsEvent::Connected { profile, .. } => tracing::debug!(?profile, "DTLS connected"),
            DtlsEvent::Failed(reason) => {
                self.emit(PeerConnectionEvent::Failure(format!("DTLS failed: {reason}")));
            }
            DtlsEvent::Closed => {}
        }
        // Without keys the senders must not take media any more.
        self.reconcile(ctx);
    }

    fn tell_round_trip_time(&mut self, id: TransportId, measured: std::time::Duration) {
        for actors in &self.transceivers {
            if let Some(receiving) = actors.receiver.as_ref().filter(|r| r.transport() == Some(id)) {
                receiving.actor.do_send(SetRoundTripTime(measured));
            }
        }
    }

    /// W3C webrtc-pc §4.8.1: a candidate is in the description when the application hears of it.
    pub(super) fn signal_candidate(&mut self, id: TransportId, candidate: &Candidate) {
        let line = candidate.to_string();
        let Some(init) = self.candidate_init(id, line) else { return };
        // A candidate that belongs to credentials of before is no news, nor is one that the session refuses
        // (one too many).
        let is_current = candidate.ufrag.is_none() || candidate.ufrag == init.username_fragment;
        if is_current && self.session.add_local_candidate(id, &init.candidate).is_ok() {
            self.stale.local = true;
            self.write_transport(id);
            self.emit(PeerConnectionEvent::IceCandidate(Some(init)));
        }
    }

    /// W3C webrtc-pc §4.8.1.1: the end of a generation is signalled as a candidate without text; that of all
    /// transports follows with the gathering state.
    pub(super) fn signal_end_of_candidates(&mut self, id: TransportId) {
        if self.session.end_of_local_candidates(id).is_err() {
            return;
        }
        self.stale.local = true;
        self.write_transport(id);
        if let Some(init) = self.candidate_init(id, String::new()) {
            self.emit(PeerConnectionEvent::IceCandidate(Some(init)));
        }
    }

    /// A candidate of ours as it is signalled: in the section that stands for its transport.
    fn candidate_init(&self, id: TransportId, candidate: String) -> Option<CandidateInit> {
        let (mid, index) = self.session.candidate_section(id)?;
        let transport = self.session.transports().iter().find(|transport| transport.id == id)?;
        Some(CandidateInit {
            candidate,
            mid: Some(mid),
            media_line_index: Some(index),
            username_fragment: Some(transport.local.ufrag.clone()),
        })
    }
}
