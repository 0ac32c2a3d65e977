//! The requests of the API: each is one call of the signalling session, after which the children are
//! brought into line.

use actix::prelude::*;

use super::{PeerConnection, transceivers::TransceiverActors};
use crate::{
    messages::{
        error::RtcError,
        ice::Gather,
        peer_connection::{
            AddIceCandidate, AddTrack, AddTransceiver, CreateAnswer, CreateOffer, ReplaceTrack, Reply,
            RequestIceRestart, RtcIceGatheringState, SetDirection, SetLocalDescription, SetRemoteDescription,
            StopTransceiver,
        },
        rtp::SwapTrack,
        track::MediaStreamTrack,
    },
    proto::jsep::{CandidateInit, Description, OfferOptions, SdpType, SignalingState, TransceiverId},
};

impl PeerConnection {
    fn actors(&mut self, id: TransceiverId) -> &mut TransceiverActors {
        let index = self.transceivers.iter().position(|actors| actors.id == id).unwrap_or_else(|| {
            self.transceivers.push(TransceiverActors::new(id));
            self.transceivers.len() - 1
        });
        &mut self.transceivers[index]
    }

    fn set_sender_track(&mut self, id: TransceiverId, track: Option<MediaStreamTrack>) {
        let actors = self.actors(id);
        actors.sender_track.clone_from(&track);
        if let Some(sending) = &actors.sender {
            sending.actor.do_send(SwapTrack(track));
        }
    }

    /// W3C webrtc-pc §4.4.2, `setLocalDescription` without an argument.
    fn implicit_description(&mut self) -> Reply<Description> {
        Ok(match self.session.signaling_state() {
            SignalingState::HaveRemoteOffer | SignalingState::HaveLocalPranswer => {
                self.session.create_answer()?
            }
            _ => self.session.create_offer(OfferOptions::default())?,
        })
    }

    fn begin_gathering(&mut self) {
        if self.gathering == RtcIceGatheringState::New {
            self.set_gathering(RtcIceGatheringState::Gathering);
            self.children.ice.do_send(Gather);
        }
    }
}

impl Handler<CreateOffer> for PeerConnection {
    type Result = Reply<Description>;

    fn handle(&mut self, message: CreateOffer, _: &mut Self::Context) -> Self::Result {
        Ok(self.session.create_offer(message.0)?)
    }
}

impl Handler<CreateAnswer> for PeerConnection {
    type Result = Reply<Description>;

    fn handle(&mut self, _: CreateAnswer, _: &mut Self::Context) -> Self::Result {
        Ok(self.session.create_answer()?)
    }
}

impl Handler<SetLocalDescription> for PeerConnection {
    type Result = Reply<()>;

    fn handle(&mut self, message: SetLocalDescription, ctx: &mut Self::Context) -> Self::Result {
        let description = match message.0 {
            Some(description) => description,
            None => self.implicit_description()?,
        };
        let kind = description.kind;
        self.session.set_local_description(description)?;
        match kind {
            // RFC 8445 §6.1.1: who offers controls. It matters when ICE starts and when it restarts; in
            // between the agent keeps its role, whoever offers.
            SdpType::Offer => self.offerer = Some(true),
            SdpType::Answer | SdpType::Pranswer | SdpType::Rollback => {}
        }
        if kind != SdpType::Rollback {
            self.reconcile_local_ice();
            self.begin_gathering();
        }
        self.reconcile(ctx);
        Ok(())
    }
}

impl Handler<SetRemoteDescription> for PeerConnection {
    type Result = Reply<()>;

    fn handle(&mut self, message: SetRemoteDescription, ctx: &mut Self::Context) -> Self::Result {
        let kind = message.0.kind;
        self.session.set_remote_description(message.0)?;
        if kind == SdpType::Offer {
            self.offerer = Some(false);
        }
        self.reconcile(ctx);
        Ok(())
    }
}

impl Handler<AddIceCandidate> for PeerConnection {
    type Result = Reply<()>;

    fn handle(&mut self, message: AddIceCandidate, _: &mut Self::Context) -> Self::Result {
        let candidate = message.0.unwrap_or_else(|| CandidateInit {
            candidate: String::new(),
            mid: None,
            media_line_index: None,
            username_fragment: None,
        });
        self.session.add_remote_candidate(&candidate)?;
        self.reconcile_transport();
        self.publish();
        Ok(())
    }
}

impl Handler<AddTransceiver> for PeerConnection {
    type Result = Reply<TransceiverId>;

    fn handle(&mut self, message: AddTransceiver, ctx: &mut Self::Context) -> Self::Result {
        let id = self.session.add_transceiver(message.kind, message.init)?;
        self.set_sender_track(id, message.track);
        self.reconcile(ctx);
        Ok(id)
    }
}

impl Handler<AddTrack> for PeerConnection {
    type Result = Reply<TransceiverId>;

    fn handle(&mut self, message: AddTrack, ctx: &mut Self::Context) -> Self::Result {
        let track = message.track;
        let id = self.session.add_track(track.kind(), message.stream_ids, Some(track.id().to_owned()))?;
        self.set_sender_track(id, Some(track));
        self.reconcile(ctx);
        Ok(id)
    }
}

impl Handler<SetDirection> for PeerConnection {
    type Result = Reply<()>;

    fn handle(&mut self, message: SetDirection, _: &mut Self::Context) -> Self::Result {
        self.session.set_direction(message.id, message.direction)?;
        self.publish();
        Ok(())
    }
}

impl Handler<ReplaceTrack> for PeerConnection {
    type Result = Reply<()>;

    fn handle(&mut self, message: ReplaceTrack, _: &mut Self::Context) -> Self::Result {
        let transceiver = self
            .session
            .transceiver(message.id)
            .ok_or_else(|| RtcError::InvalidAccessError(format!("there is no transceiver {}", message.id)))?;
        if transceiver.stopped() {
            return Err(RtcError::InvalidStateError("the transceiver is stopped".to_owned()));
        }
        if let Some(track) = &message.track
            && track.kind() != transceiver.kind()
        {
            return Err(RtcError::TypeError(format!(
                "a sender of {} can't send a track of {}",
                transceiver.kind(),
                track.kind()
            )));
        }
        if let Some(streams) = message.stream_ids {
            let track_id = message.track.as_ref().map(|track| track.id().to_owned());
            self.session.set_sending_track(message.id, streams, track_id)?;
        }
        self.set_sender_track(message.id, message.track);
        self.publish();
        Ok(())
    }
}

impl Handler<StopTransceiver> for PeerConnection {
    type Result = Reply<()>;

    fn handle(&mut self, message: StopTransceiver, ctx: &mut Self::Context) -> Self::Result {
        self.session.stop(message.0)?;
        self.reconcile(ctx);
        Ok(())
    }
}

impl Handler<RequestIceRestart> for PeerConnection {
    type Result = ();

    fn handle(&mut self, _: RequestIceRestart, _: &mut Self::Context) {
        self.session.restart_ice();
        self.publish();
    }
}
