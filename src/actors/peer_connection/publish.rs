//! What the application sees: the snapshot that getters read, and the events of what has changed in it.

use std::sync::Arc;

use actix::prelude::*;
use smallvec::SmallVec;

use super::{
    PeerConnection,
    states::{connection_state, gathering_state, ice_connection_state},
    transports::update,
};
use crate::{
    actors::kit::{ConnectionLabel, Gauge, MeteredContext},
    messages::{
        dtls::DtlsTransportState,
        peer_connection::{
            PeerConnectionEvent, PeerSnapshot, RtcIceGatheringState, RtcPeerConnectionState,
            TransceiverSnapshot,
        },
        rtp::SharedTones,
    },
    proto::{
        ice,
        jsep::{AppliedDescription, SignalingState, Transceiver, TransportId},
    },
};

/// Transports of a connection whose peer takes part in BUNDLE, and of one that does not for audio and video.
const USUAL: usize = 2;

/// To itself: everything that was asked for meanwhile is done; look whether the peers must talk again.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct CheckNegotiation;

impl Handler<CheckNegotiation> for PeerConnection {
    type Result = ();

    /// W3C webrtc-pc §4.7.3, from step 5 on: what was needed may have been negotiated meanwhile.
    fn handle(&mut self, _: CheckNegotiation, _: &mut Self::Context) {
        let needed = self.session.negotiation_needed();
        if needed && !self.negotiation_needed {
            self.emit(PeerConnectionEvent::NegotiationNeeded);
        }
        self.negotiation_needed = needed;
    }
}

/// Descriptions that the snapshot does not show as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct StaleDescriptions {
    pub(super) local: bool,
    pub(super) remote: bool,
}

impl StaleDescriptions {
    /// After a description was applied: the end of an exchange moves those of both sides.
    pub(super) const BOTH: Self = Self { local: true, remote: true };
}

impl PeerConnection {
    /// Writes what getters read, and tells what has changed, in the order of W3C webrtc-pc §4.4.1.5 and §5.6.
    pub(super) fn publish(&mut self, ctx: &mut MeteredContext<Self>) {
        let signaling = self.write_snapshot();
        if let Some(signaling) = signaling {
            self.emit(PeerConnectionEvent::SignalingStateChange(signaling));
        }
        self.tell_states();
        self.update_negotiation_needed(ctx);
    }

    /// The same after a report of a transport, of which a connection gets a dozen: only what that can have changed
    /// is written. Whether the peers must talk again is not in it.
    pub(super) fn publish_transport(&mut self, id: TransportId) {
        self.write_transport(id);
        self.tell_states();
    }

    fn tell_states(&mut self) {
        let (ice_state, gathering, state) = self.states();
        if ice_state != self.ice_state {
            self.ice_state = ice_state;
            self.emit(PeerConnectionEvent::IceConnectionStateChange(ice_state));
        }
        if state != self.state {
            self.state = state;
            self.gauge.set(Gauge::ConnectionState(connection_label(state)));
            self.emit(PeerConnectionEvent::ConnectionStateChange(state));
        }
        if gathering != self.gathering {
            self.gathering = gathering;
            self.emit(PeerConnectionEvent::IceGatheringStateChange(gathering));
            if gathering == RtcIceGatheringState::Complete {
                self.emit(PeerConnectionEvent::IceCandidate(None));
            }
        }
    }

    /// W3C webrtc-pc §4.7.3: told when nothing else is waiting to be done, once until the next exchange ends.
    pub(super) fn update_negotiation_needed(&mut self, ctx: &mut MeteredContext<Self>) {
        let needed = self.session.negotiation_needed();
        if !needed {
            // Never while an exchange is in progress: its end asks again.
            self.negotiation_needed = false;
        } else if !self.negotiation_needed {
            ctx.notify(CheckNegotiation);
        }
    }

    /// The end: states change without an event.
    pub(super) fn publish_closed(&mut self) {
        self.write_snapshot();
        let (ice_state, _, state) = self.states();
        (self.ice_state, self.state) = (ice_state, state);
        self.gauge.set(Gauge::ConnectionState(connection_label(state)));
        let mut snapshot = self.snapshot.lock();
        snapshot.closed = true;
        for transport in snapshot.transports.values_mut().map(Arc::make_mut) {
            transport.ice_state = Some(ice::State::Closed);
            transport.dtls_state = DtlsTransportState::Closed;
        }
    }

    fn states(&self) -> (ice::State, RtcIceGatheringState, RtcPeerConnectionState) {
        let transports = || self.transports.iter().map(|(_, transport)| transport);
        let ice: SmallVec<[_; USUAL]> = transports().map(|transport| transport.ice_state()).collect();
        let gathering: SmallVec<[_; USUAL]> =
            transports().map(|transport| transport.state().gathering_state).collect();
        let both: SmallVec<[_; USUAL]> =
            transports().map(|transport| (transport.ice_state(), transport.dtls_state())).collect();
        let is_closed = self.session.signaling_state() == SignalingState::Closed;
        (
            ice_connection_state(is_closed, &ice),
            gathering_state(&gathering),
            connection_state(is_closed, &both),
        )
    }

    /// Answers the signalling state if it is another one.
    pub(super) fn write_snapshot(&mut self) -> Option<SignalingState> {
        let signaling = self.session.signaling_state();
        let (ice_state, gathering, state) = self.states();
        let sctp = self.sctp_snapshot();
        let previous = {
            let mut snapshot = self.snapshot.lock();
            snapshot.connection_state = state;
            snapshot.ice_connection_state = Some(ice_state);
            snapshot.ice_gathering_state = gathering;
            self.transports.show(&mut snapshot.transports);
            self.show_transceivers(&mut snapshot.transceivers);
            snapshot.sctp = sctp;
            let stale = std::mem::take(&mut self.stale);
            self.write_descriptions(stale, &mut snapshot);
            snapshot.signaling_state.replace(signaling)
        };
        self.snapshot.notify();
        previous.is_some_and(|previous| previous != signaling).then_some(signaling)
    }

    /// Writes transports, what follows from their states, and descriptions that are stale: nothing else. Does nothing
    /// when `id` and the descriptions are shown already.
    pub(super) fn write_transport(&mut self, id: TransportId) {
        if self.transports.is_shown(id) && self.stale == StaleDescriptions::default() {
            return;
        }
        let (ice_state, gathering, state) = self.states();
        {
            let mut snapshot = self.snapshot.lock();
            snapshot.connection_state = state;
            snapshot.ice_connection_state = Some(ice_state);
            snapshot.ice_gathering_state = gathering;
            self.transports.show(&mut snapshot.transports);
            let stale = std::mem::take(&mut self.stale);
            self.write_descriptions(stale, &mut snapshot);
        }
        self.snapshot.notify();
    }

    fn write_descriptions(&self, stale: StaleDescriptions, snapshot: &mut PeerSnapshot) {
        if stale.local {
            let [current, pending] = self.session.applied_local();
            snapshot.current_local_description = current;
            snapshot.pending_local_description = pending;
        }
        if !stale.remote {
            return;
        }
        let [current, pending] = self.session.applied_remote();
        snapshot.current_remote_description = current;
        snapshot.pending_remote_description = pending;
        let can_trickle = |remote: &AppliedDescription| {
            let mut options = remote.text().lines().filter_map(|line| line.strip_prefix("a=ice-options:"));
            options.any(|options| options.split_ascii_whitespace().any(|option| option == "trickle"))
        };
        snapshot.can_trickle_ice_candidates = snapshot.remote_description().map(can_trickle);
    }

    /// In place: most of it is as it was, and this runs at every change of anything.
    fn show_transceivers(&self, shown: &mut Vec<TransceiverSnapshot>) {
        let transceivers = self.session.transceivers();
        let ids = transceivers.iter().map(Transceiver::id);
        if !shown.iter().map(|shown| shown.id).eq(ids) {
            *shown = transceivers.iter().map(blank).collect();
        }
        for (shown, transceiver) in shown.iter_mut().zip(transceivers) {
            self.show_transceiver(shown, transceiver);
        }
    }

    /// Texts and lists are copied if they have changed.
    fn show_transceiver(&self, shown: &mut TransceiverSnapshot, transceiver: &Transceiver) {
        if shown.mid.as_deref() != transceiver.mid() {
            shown.mid = transceiver.mid().map(str::to_owned);
        }
        shown.direction = transceiver.direction();
        shown.current_direction = transceiver.current_direction();
        shown.remote_direction = transceiver.remote_direction();
        shown.stopped = transceiver.stopped();
        shown.transport = transceiver.mid().and_then(|mid| self.transport_of(mid));
        update(&mut shown.stream_ids, transceiver.stream_ids());
        update(&mut shown.remote_stream_ids, transceiver.remote_stream_ids());
        let Some(actors) = self.transceivers.iter().find(|actors| actors.id == transceiver.id()) else {
            return;
        };
        shown.receiver_track = actors.receiver_track();
        shown.sender_track.clone_from(&actors.sender_track);
        update(&mut shown.send_encodings, &actors.send_encodings);
        shown.send_parameters.clone_from(&actors.shown_send);
        shown.receive_parameters.clone_from(&actors.shown_receive);
        shown.jitter_buffer_target = actors.jitter_buffer_target;
        shown.tones = actors.tones.clone();
    }

    /// Keeps what getters show of the negotiated parameters, copied only when it has changed.
    pub(super) fn show_parameters(&mut self, index: usize, position: usize) {
        let transceiver = &self.session.transceivers()[position];
        let actors = &mut self.transceivers[index];
        if actors.shown_send.as_deref() != transceiver.send_parameters() {
            actors.shown_send = transceiver.send_parameters().cloned().map(Arc::new);
        }
        if actors.shown_receive.as_deref() != transceiver.receive_parameters() {
            actors.shown_receive = transceiver.receive_parameters().cloned().map(Arc::new);
        }
    }
}

/// A transceiver of which nothing is shown yet.
fn blank(transceiver: &Transceiver) -> TransceiverSnapshot {
    TransceiverSnapshot {
        id: transceiver.id(),
        mid: None,
        kind: transceiver.kind(),
        direction: transceiver.direction(),
        current_direction: None,
        remote_direction: None,
        stopped: false,
        receiver_track: None,
        sender_track: None,
        stream_ids: Vec::new(),
        transport: None,
        send_encodings: Vec::new(),
        send_parameters: None,
        receive_parameters: None,
        jitter_buffer_target: None,
        remote_stream_ids: Vec::new(),
        tones: SharedTones::default(),
    }
}

fn connection_label(state: RtcPeerConnectionState) -> ConnectionLabel {
    match state {
        RtcPeerConnectionState::New => ConnectionLabel::New,
        RtcPeerConnectionState::Connecting => ConnectionLabel::Connecting,
        RtcPeerConnectionState::Connected => ConnectionLabel::Connected,
        RtcPeerConnectionState::Disconnected => ConnectionLabel::Disconnected,
        RtcPeerConnectionState::Failed => ConnectionLabel::Failed,
        RtcPeerConnectionState::Closed => ConnectionLabel::Closed,
    }
}
