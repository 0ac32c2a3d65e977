//! Brings transports and streams into line with what is negotiated. Idempotent: it compares what the
//! session says with what they were told, so it may run after anything.

use std::sync::Arc;

use actix::prelude::*;

use super::{
    PeerConnection,
    transceivers::{TransceiverActors, detach_receiver, detach_sender, extension_map},
    transports::Transports,
};
use crate::{
    actors::kit::MeteredContext,
    messages::{
        dtls::DtlsTransportState,
        peer_connection::{PeerConnectionEvent, TrackEvent},
        rtp::{PauseReceiver, SetReceiveParameters, SetSendParameters, StopReceiver, StopSender},
    },
    proto::{
        jsep::{RtpReceiveParameters, RtpSendParameters, SignalingState, Transceiver},
        receiver::ReceiverParameters,
        rtcp::ClockAnchor,
        rtp::{ExtensionMap, Mid, Rid},
        sender::{EncodingStream, SenderParameters},
    },
};

impl PeerConnection {
    pub(super) fn reconcile(&mut self, ctx: &mut MeteredContext<Self>) {
        self.announce_signaling_state();
        self.reconcile_transports(ctx);
        // By position, as nothing here changes the session's list: copying it costs more than most of the rest.
        for position in 0..self.session.transceivers().len() {
            let index = self.index_of(self.session.transceivers()[position].id());
            self.reconcile_receiver(index, position, ctx);
            self.reconcile_sender(index, position, ctx);
            self.show_parameters(index, position);
        }
        self.transceivers.shrink_to_fit();
        let transceivers = self.session.transceivers();
        // Stopped ones leave the session with the final answer.
        let is_gone = |actors: &TransceiverActors| transceivers.iter().all(|t| t.id() != actors.id);
        for mut actors in self.transceivers.extract_if(.., |actors| is_gone(actors)) {
            stop_receiving(&mut actors, &self.transports);
            stop_sending(&mut actors, &self.transports);
        }
        self.reconcile_data(ctx);
        self.announce_transports();
        self.publish(ctx);
    }

    fn reconcile_receiver(&mut self, index: usize, position: usize, ctx: &mut MeteredContext<Self>) {
        let transceiver = &self.session.transceivers()[position];
        let actors = &mut self.transceivers[index];
        if transceiver.stopped() {
            return stop_receiving(actors, &self.transports);
        }
        let remote_sends = transceiver.remote_direction().is_some_and(|direction| direction.sends());
        if remote_sends != actors.is_track_announced {
            actors.is_track_announced = remote_sends;
            match remote_sends {
                true => self.announce_track(index, position, ctx),
                // W3C webrtc-pc §5.3: the track is muted, not ended.
                false => {
                    if let Some(receiving) = &actors.receiver {
                        receiving.actor.do_send(PauseReceiver);
                    }
                }
            }
        }
        let transceiver = &self.session.transceivers()[position];
        let actors = &mut self.transceivers[index];
        let Some(receiving) = &mut actors.receiver else { return };
        let before = receiving.attached();
        let parameters = transceiver.receive_parameters().filter(|_| remote_sends);
        if !receiving.negotiate(parameters) {
            return;
        }
        if let Some((id, mid)) = before.filter(|before| receiving.attached().as_ref() != Some(before)) {
            detach_receiver(self.transports.get(id), mid);
        }
        if let Some(parameters) = parameters {
            let cname = &self.session.config().cname;
            let converted = receiver_parameters(transceiver, parameters, cname);
            receiving.actor.do_send(SetReceiveParameters(converted));
            if let Some(transport) = self.transports.get(parameters.transport) {
                receiving.attach(transport);
            }
        }
    }

    /// W3C webrtc-pc §5.7.1: the peer sends from now on.
    fn announce_track(&mut self, index: usize, position: usize, ctx: &mut MeteredContext<Self>) {
        let cname = self.session.config().cname.clone();
        let made_up = self.media_id();
        let transceiver = &self.session.transceivers()[position];
        let actors = &mut self.transceivers[index];
        let track_id = transceiver.remote_track_id().filter(|id| !id.is_empty()).unwrap_or(&made_up);
        let receiving = actors.receiving(&ctx.address().downgrade(), transceiver.kind(), track_id, &cname);
        let event = TrackEvent {
            track: receiving.track.clone(),
            transceiver: transceiver.id(),
            mid: transceiver.mid().map(str::to_owned),
            stream_ids: transceiver.remote_stream_ids().to_vec(),
        };
        self.emit(PeerConnectionEvent::Track(event));
    }

    fn reconcile_sender(&mut self, index: usize, position: usize, ctx: &mut MeteredContext<Self>) {
        let transceiver = &self.session.transceivers()[position];
        let actors = &mut self.transceivers[index];
        // Packets sent before the keys exist would be lost, and with them the first key frame.
        let ready = transceiver.send_parameters().and_then(|parameters| {
            let transport = self.transports.get(parameters.transport)?;
            (transport.dtls_state() == DtlsTransportState::Connected).then_some((parameters, transport))
        });
        if ready.is_none() && actors.sender.as_ref().is_none_or(|sending| sending.parameters.is_none()) {
            return;
        }
        let sending = actors.sending(&ctx.address().downgrade());
        match ready {
            Some((parameters, transport)) => {
                let sources = |parameters: &RtpSendParameters| -> Vec<u32> {
                    let encodings = parameters.encodings.iter();
                    encodings.flat_map(|e| std::iter::once(e.ssrc).chain(e.rtx_ssrc)).collect()
                };
                let ssrcs = sources(parameters);
                if !sending.is_attached(parameters.transport, &ssrcs) {
                    if let Some((id, ssrcs)) = sending.take_attached() {
                        detach_sender(self.transports.get(id), ssrcs);
                    }
                    sending.attach(parameters.transport, transport, ssrcs);
                }
            }
            None => {
                if let Some((id, ssrcs)) = sending.take_attached() {
                    detach_sender(self.transports.get(id), ssrcs);
                }
            }
        }
        let converted = ready.map(|(p, _)| Arc::new(sender_parameters(transceiver, p, self.clock)));
        if converted != sending.parameters {
            sending.parameters.clone_from(&converted);
            sending.actor.do_send(SetSendParameters(converted));
        }
    }

    pub(super) fn index_of(&mut self, id: crate::proto::jsep::TransceiverId) -> usize {
        match self.transceivers.iter().position(|actors| actors.id == id) {
            Some(index) => index,
            None => {
                self.transceivers.push(TransceiverActors::new(id));
                self.transceivers.len() - 1
            }
        }
    }

    /// W3C webrtc-pc §4.4.1.5: the new signalling state is told before the tracks it brings.
    fn announce_signaling_state(&mut self) {
        let signaling = self.session.signaling_state();
        let previous = self.snapshot.lock().signaling_state.replace(signaling);
        if previous.unwrap_or(SignalingState::Stable) != signaling {
            // Who hears of the state finds the descriptions that go with it.
            self.write_snapshot();
            self.emit(PeerConnectionEvent::SignalingStateChange(signaling));
        }
    }
}

fn stop_receiving(actors: &mut TransceiverActors, transports: &Transports) {
    actors.is_track_announced = false;
    if let Some(receiving) = actors.receiver.take() {
        receiving.actor.do_send(StopReceiver);
        if let Some((id, mid)) = receiving.attached() {
            detach_receiver(transports.get(id), mid);
        }
    }
}

fn stop_sending(actors: &mut TransceiverActors, transports: &Transports) {
    if let Some(mut sending) = actors.sender.take() {
        sending.actor.do_send(StopSender);
        if let Some((id, ssrcs)) = sending.take_attached() {
            detach_sender(transports.get(id), ssrcs);
        }
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
    clock: ClockAnchor,
) -> SenderParameters {
    let first = parameters.encodings.first();
    let layers = parameters.encodings.iter().filter_map(|encoding| {
        let rid = Rid::new(encoding.rid.as_ref()?)?;
        Some(EncodingStream { rid, ssrc: encoding.ssrc, rtx_ssrc: encoding.rtx_ssrc })
    });
    SenderParameters {
        kind: transceiver.kind(),
        ssrc: first.map(|encoding| encoding.ssrc).unwrap_or_default(),
        rtx_ssrc: first.and_then(|encoding| encoding.rtx_ssrc),
        rid: None,
        encodings: layers.collect(),
        bitrate_max: parameters.bitrate_max,
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
