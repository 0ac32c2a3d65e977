//! Brings the children into line with what is negotiated. Idempotent: it compares what the session
//! says with what the children were told, so it may run after anything.

use actix::prelude::*;

use super::{
    DtlsState, PeerConnection,
    children::Children,
    transceivers::{Receiving, Sending, TransceiverActors, extension_map},
};
use crate::{
    actors::{ice_agent::role_for, kit::MeteredContext},
    messages::{
        dtls::{DetachReceiver, DetachSender, StartDtls},
        ice::{AddRemoteCandidate, EndOfRemoteCandidates, RestartIce, SetRemoteIce},
        peer_connection::{PeerConnectionEvent, RtcIceGatheringState, TrackEvent},
        rtp::{
            SetReceiveParameters, SetRoundTripTime, SetSendParameters, StopReceiver, StopSender, SwapTrack,
        },
    },
    proto::{
        dtls, ice,
        jsep::{DtlsRole, RtpReceiveParameters, RtpSendParameters, Transceiver},
        receiver::ReceiverParameters,
        rtp::{ExtensionMap, Mid},
        sender::SenderParameters,
    },
};

impl PeerConnection {
    pub(super) fn reconcile(&mut self, ctx: &mut MeteredContext<Self>) {
        self.reconcile_transport();
        let transceivers = self.session.transceivers().to_vec();
        for transceiver in &transceivers {
            self.reconcile_transceiver(transceiver, ctx);
        }
        // Stopped ones leave the session with the final answer.
        let is_gone = |actors: &TransceiverActors| transceivers.iter().all(|t| t.id() != actors.id);
        for mut actors in self.transceivers.extract_if(.., |actors| is_gone(actors)) {
            stop_receiving(&mut actors, &self.children);
            if let Some(sending) = actors.sender.take() {
                sending.actor.do_send(StopSender);
                self.children.dtls.do_send(DetachSender { ssrcs: actors.sending_ssrcs });
            }
        }
        self.publish();
    }

    /// Our ICE restarts when the session has taken new credentials.
    pub(super) fn reconcile_local_ice(&mut self) {
        let ice = self.session.local_ice();
        if self.children.local_ufrag == ice.ufrag {
            return;
        }
        self.children.local_ufrag = ice.ufrag.clone();
        let credentials = ice::Credentials { ufrag: ice.ufrag.clone(), password: ice.password.clone() };
        // W3C webrtc-pc §4.3.2: candidates of the new credentials are gathered from now on.
        self.set_gathering(RtcIceGatheringState::Gathering);
        self.children.ice.do_send(RestartIce(credentials));
    }

    pub(super) fn reconcile_transport(&mut self) {
        let Some(remote) = self.session.transport() else { return };
        let Some(offerer) = self.offerer else { return };
        let lite = self.session.config().ice.lite;
        if self.children.remote_ufrag != remote.ufrag {
            self.children.remote_ufrag = remote.ufrag.clone();
            self.children.remote_candidates.clear();
            self.children.remote_ended = false;
            self.children.ice.do_send(SetRemoteIce {
                credentials: ice::Credentials { ufrag: remote.ufrag, password: remote.password },
                lite: remote.lite,
                role: role_for(offerer, lite, remote.lite),
            });
        }
        for line in &remote.candidates {
            if self.children.remote_candidates.contains(line) {
                continue;
            }
            // RFC 8839 §5.1: a candidate that can't be understood is skipped, not fatal.
            if let Ok(candidate) = line.parse() {
                self.children.ice.do_send(AddRemoteCandidate(candidate));
            }
        }
        // Replaced, not added to: what a peer drops from its descriptions must not pile up here.
        self.children.remote_candidates = remote.candidates;
        if remote.end_of_candidates && !std::mem::replace(&mut self.children.remote_ended, true) {
            self.children.ice.do_send(EndOfRemoteCandidates);
        }
        if let (DtlsState::New, Some(role)) = (self.dtls_state, remote.dtls_role) {
            self.dtls_state = DtlsState::Connecting;
            self.children.dtls.do_send(StartDtls {
                role: match role {
                    DtlsRole::Client => dtls::Role::Client,
                    DtlsRole::Server => dtls::Role::Server,
                },
                // Fingerprints of unknown algorithms can't be checked; the others must match.
                fingerprints: remote.fingerprints.iter().filter_map(|f| f.parse().ok()).collect(),
            });
        }
    }

    fn reconcile_transceiver(&mut self, transceiver: &Transceiver, ctx: &mut MeteredContext<Self>) {
        let id = transceiver.id();
        let index = match self.transceivers.iter().position(|actors| actors.id == id) {
            Some(index) => index,
            None => {
                self.transceivers.push(TransceiverActors::new(id));
                self.transceivers.len() - 1
            }
        };
        self.reconcile_receiver(index, transceiver, ctx);
        self.reconcile_sender(index, transceiver, ctx);
    }

    fn reconcile_receiver(
        &mut self,
        index: usize,
        transceiver: &Transceiver,
        ctx: &mut MeteredContext<Self>,
    ) {
        let remote_sends = transceiver.remote_direction().is_some_and(|direction| direction.sends());
        let actors = &mut self.transceivers[index];
        if transceiver.stopped() || !remote_sends {
            return stop_receiving(actors, &self.children);
        }
        if actors.receiver.is_none() {
            let parent = ctx.address().downgrade();
            let cname = &self.session.config().cname;
            let track_id = transceiver.remote_track_id().unwrap_or_default();
            let receiving =
                Receiving::start(&parent, actors.id, transceiver.kind(), track_id, &self.children, cname);
            if let Some(round_trip_time) = self.round_trip_time {
                receiving.actor.do_send(SetRoundTripTime(round_trip_time));
            }
            let event = TrackEvent {
                track: receiving.track.clone(),
                transceiver: actors.id,
                mid: transceiver.mid().map(str::to_owned),
                stream_ids: transceiver.remote_stream_ids().to_vec(),
            };
            actors.receiver = Some(receiving);
            self.emit(PeerConnectionEvent::Track(event));
        }
        let actors = &mut self.transceivers[index];
        let Some(receiving) = &actors.receiver else { return };
        if let Some(parameters) = transceiver.receive_parameters() {
            let converted = receiver_parameters(transceiver, parameters, &self.session.config().cname);
            if actors.receive_parameters.as_ref() != Some(parameters) {
                actors.receive_parameters = Some(parameters.clone());
                if let Some(mid) = actors.receiving_mid.take().filter(|mid| *mid != parameters.mid) {
                    self.children.dtls.do_send(DetachReceiver { mid });
                }
                receiving.actor.do_send(SetReceiveParameters(converted));
                self.children.dtls.do_send(receiving.attach_message(parameters));
                actors.receiving_mid = Some(parameters.mid.clone());
            }
        } else if let Some(mid) = actors.receiving_mid.take() {
            actors.receive_parameters = None;
            self.children.dtls.do_send(DetachReceiver { mid });
        }
    }

    fn reconcile_sender(&mut self, index: usize, transceiver: &Transceiver, ctx: &mut MeteredContext<Self>) {
        // Packets sent before the keys exist would be lost, and with them the first key frame.
        let parameters = transceiver.send_parameters().filter(|_| self.dtls_state == DtlsState::Connected);
        let actors = &mut self.transceivers[index];
        if parameters.is_none() && actors.sending_ssrcs.is_empty() {
            return;
        }
        let sending = actors.sender.get_or_insert_with(|| {
            let sending = Sending::start(&ctx.address().downgrade(), actors.id, &self.children);
            sending.actor.do_send(SwapTrack(actors.sender_track.clone()));
            sending
        });
        let ssrcs: Vec<u32> =
            parameters.iter().flat_map(|p| std::iter::once(p.ssrc).chain(p.rtx_ssrc)).collect();
        if ssrcs != actors.sending_ssrcs {
            let old = std::mem::replace(&mut actors.sending_ssrcs, ssrcs.clone());
            if !old.is_empty() {
                self.children.dtls.do_send(DetachSender { ssrcs: old });
            }
            if !ssrcs.is_empty() {
                self.children.dtls.do_send(sending.attach_message(ssrcs));
            }
        }
        let converted = parameters.map(|p| sender_parameters(transceiver, p, self.clock));
        if converted != actors.send_parameters {
            actors.send_parameters.clone_from(&converted);
            sending.actor.do_send(SetSendParameters(converted));
        }
    }
}

fn stop_receiving(actors: &mut TransceiverActors, children: &Children) {
    actors.receive_parameters = None;
    if let Some(receiving) = actors.receiver.take() {
        receiving.actor.do_send(StopReceiver);
    }
    if let Some(mid) = actors.receiving_mid.take() {
        children.dtls.do_send(DetachReceiver { mid });
    }
}

fn receiver_parameters(
    transceiver: &Transceiver,
    parameters: &RtpReceiveParameters,
    cname: &str,
) -> ReceiverParameters {
    ReceiverParameters {
        kind: transceiver.kind(),
        codecs: parameters.codecs.clone(),
        extensions: extension_map(&parameters.extensions),
        ssrcs: parameters.ssrcs.clone(),
        local_ssrc: parameters.local_ssrc,
        cname: cname.to_owned(),
        reduced_size: parameters.reduced_size,
    }
}

fn sender_parameters(
    transceiver: &Transceiver,
    parameters: &RtpSendParameters,
    clock: crate::proto::rtcp::ClockAnchor,
) -> SenderParameters {
    SenderParameters {
        kind: transceiver.kind(),
        ssrc: parameters.ssrc,
        rtx_ssrc: parameters.rtx_ssrc,
        rid: None,
        encodings: Vec::new(),
        codecs: parameters.codecs.clone(),
        extensions: ExtensionMap::new(
            parameters.extensions.iter().map(|(id, uri)| (*id, uri)),
            parameters.extensions_mixed,
        ),
        mid: Mid::new(&parameters.mid),
        cname: parameters.cname.clone(),
        reduced_size: parameters.reduced_size,
        clock,
    }
}
