//! The requests of the API about one transceiver: what it sends, what it receives, which way.

use actix::prelude::*;
use rand::{Rng, SeedableRng, rngs::StdRng};

use super::{PeerConnection, transceivers::TransceiverActors};
use crate::{
    actors::kit::MeteredContext,
    messages::{
        error::RtcError,
        peer_connection::{
            AddTrack, AddTransceiver, EncodingParameters, GetSources, InsertDtmf, RemoveTrack, ReplaceTrack,
            Reply, SetCodecPreferences, SetDirection, SetJitterBufferTarget, SetSendEncodings, SetStreams,
            StopTransceiver,
        },
        rtp::{self, CollectSources, JITTER_BUFFER_TARGET_MAX, SetEncodings, SourcesSnapshot, SwapTrack},
        track::MediaStreamTrack,
    },
    proto::{
        jsep::{SendEncoding, SignalingState, TransceiverId},
        rtp::MediaKind,
        sender::{DtmfError, ToneRequest},
    },
};

/// Simulcast encodings of one sender: more than any browser sends.
const MAX_ENCODINGS: usize = 8;

impl PeerConnection {
    fn actors(&mut self, id: TransceiverId) -> &mut TransceiverActors {
        let index = self.index_of(id);
        &mut self.transceivers[index]
    }

    /// W3C webrtc-pc §5.3: a receiver has its track from the beginning. One that was made for a section of
    /// the peer has it as soon as the peer sends.
    fn begin_receiver(&mut self, id: TransceiverId, ctx: &mut MeteredContext<Self>) {
        let (cname, track_id) = (self.session.config().cname.clone(), self.media_id());
        let Some(transceiver) = self.session.transceiver(id) else { return };
        let (kind, receives) = (transceiver.kind(), transceiver.direction().receives());
        if receives {
            self.actors(id).receiving(&ctx.address().downgrade(), kind, &track_id, &cname);
        }
    }

    /// An identifier for a track that has none.
    pub(super) fn media_id(&self) -> String {
        // Rarely: no generator is kept for it.
        format!("{:032x}", StdRng::from_os_rng().random::<u128>())
    }

    fn set_sender_track(&mut self, id: TransceiverId, track: Option<MediaStreamTrack>) {
        let actors = self.actors(id);
        actors.sender_track.clone_from(&track);
        if let Some(sending) = &actors.sender {
            sending.actor.do_send(SwapTrack(track));
        }
    }

    /// The transceiver, if it is there and can still be used.
    fn usable(&self, id: TransceiverId) -> Reply<&crate::proto::jsep::Transceiver> {
        let transceiver = self
            .session
            .transceiver(id)
            .ok_or_else(|| RtcError::InvalidAccessError(format!("there is no transceiver {id}")))?;
        if transceiver.stopped() {
            return Err(RtcError::InvalidStateError("the transceiver is stopped".to_owned()));
        }
        Ok(transceiver)
    }
}

/// W3C webrtc-pc §5.1, `addTransceiver`: what encodings must be like.
fn check_encodings(kind: MediaKind, encodings: &[EncodingParameters]) -> Reply<()> {
    let type_error = |sentence: &str| Err(RtcError::TypeError(sentence.to_owned()));
    if encodings.len() > MAX_ENCODINGS || kind == MediaKind::Audio && encodings.len() > 1 {
        return Err(RtcError::OperationError(format!("a sender of {kind} can't have that many encodings")));
    }
    for (index, encoding) in encodings.iter().enumerate() {
        match &encoding.rid {
            None if encodings.len() > 1 => return type_error("of several encodings each needs a rid"),
            Some(rid) if encodings[..index].iter().any(|e| e.rid.as_ref() == Some(rid)) => {
                return type_error("two encodings have the same rid");
            }
            _ => {}
        }
        let is_range_error = encoding.scale_resolution_down_by.is_some_and(|scale| !(1.0..).contains(&scale))
            || encoding.max_framerate.is_some_and(|rate| !(0.0..).contains(&rate));
        if is_range_error {
            let sentence = "scaleResolutionDownBy is at least 1, maxFramerate at least 0";
            return Err(RtcError::RangeError(sentence.to_owned()));
        }
    }
    Ok(())
}

impl Handler<AddTransceiver> for PeerConnection {
    type Result = Reply<TransceiverId>;

    fn handle(&mut self, message: AddTransceiver, ctx: &mut Self::Context) -> Self::Result {
        check_encodings(message.kind, &message.send_encodings)?;
        let mut init = message.init;
        init.send_encodings.clear();
        for encoding in &message.send_encodings {
            let rid = encoding.rid.map(|rid| rid.as_str().to_owned());
            init.send_encodings.push(SendEncoding { rid });
        }
        let id = self.session.add_transceiver(message.kind, init)?;
        if !message.send_encodings.is_empty() {
            self.actors(id).send_encodings = message.send_encodings;
        }
        self.session.set_has_track(id, message.track.is_some())?;
        self.set_sender_track(id, message.track);
        self.begin_receiver(id, ctx);
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
        self.begin_receiver(id, ctx);
        self.reconcile(ctx);
        Ok(id)
    }
}

impl Handler<SetDirection> for PeerConnection {
    type Result = Reply<()>;

    fn handle(&mut self, message: SetDirection, ctx: &mut Self::Context) -> Self::Result {
        self.session.set_direction(message.id, message.direction)?;
        self.publish(ctx);
        Ok(())
    }
}

impl Handler<ReplaceTrack> for PeerConnection {
    type Result = Reply<()>;

    fn handle(&mut self, message: ReplaceTrack, ctx: &mut Self::Context) -> Self::Result {
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
        self.session.set_has_track(message.id, message.track.is_some())?;
        self.set_sender_track(message.id, message.track);
        self.publish(ctx);
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

impl Handler<RemoveTrack> for PeerConnection {
    type Result = Reply<()>;

    /// W3C webrtc-pc §5.1, `removeTrack`: a sender without a track is left as it is.
    fn handle(&mut self, message: RemoveTrack, ctx: &mut Self::Context) -> Self::Result {
        let RemoveTrack(id) = message;
        if self.session.signaling_state() == SignalingState::Closed {
            return Err(RtcError::InvalidStateError("the connection is closed".to_owned()));
        }
        match self.usable(id) {
            // A sender that was stopped sends nothing any more.
            Err(RtcError::InvalidStateError(_)) => return Ok(()),
            usable => usable?,
        };
        if self.actors(id).sender_track.is_none() {
            return Ok(());
        }
        self.set_sender_track(id, None);
        self.session.remove_track(id)?;
        self.reconcile(ctx);
        Ok(())
    }
}

impl Handler<SetStreams> for PeerConnection {
    type Result = Reply<()>;

    fn handle(&mut self, message: SetStreams, ctx: &mut Self::Context) -> Self::Result {
        self.session.set_sending_track(message.id, message.stream_ids, None)?;
        self.publish(ctx);
        Ok(())
    }
}

impl Handler<SetCodecPreferences> for PeerConnection {
    type Result = Reply<()>;

    fn handle(&mut self, message: SetCodecPreferences, ctx: &mut Self::Context) -> Self::Result {
        self.session.set_codec_preferences(message.id, message.codecs)?;
        self.publish(ctx);
        Ok(())
    }
}

impl Handler<SetSendEncodings> for PeerConnection {
    type Result = Reply<()>;

    fn handle(&mut self, message: SetSendEncodings, ctx: &mut Self::Context) -> Self::Result {
        let SetSendEncodings { id, encodings } = message;
        let kind = self.usable(id)?.kind();
        let known = &self.actors(id).send_encodings;
        if known.len() != encodings.len() || known.iter().zip(&encodings).any(|(a, b)| a.rid != b.rid) {
            let sentence = "encodings can't be added, removed, reordered or renamed";
            return Err(RtcError::InvalidModificationError(sentence.to_owned()));
        }
        check_encodings(kind, &encodings)?;
        let actors = self.actors(id);
        actors.send_encodings.clone_from(&encodings);
        if let Some(sending) = &actors.sender {
            sending.actor.do_send(SetEncodings(encodings));
        }
        self.publish(ctx);
        Ok(())
    }
}

impl Handler<SetJitterBufferTarget> for PeerConnection {
    type Result = Reply<()>;

    fn handle(&mut self, message: SetJitterBufferTarget, ctx: &mut Self::Context) -> Self::Result {
        let SetJitterBufferTarget { id, target } = message;
        if target.is_some_and(|target| target > JITTER_BUFFER_TARGET_MAX) {
            let sentence = "media can't be asked to wait longer than 4 s";
            return Err(RtcError::RangeError(sentence.to_owned()));
        }
        self.usable(id)?;
        let actors = self.actors(id);
        actors.jitter_buffer_target = target;
        if let Some(receiving) = &actors.receiver {
            receiving.actor.do_send(rtp::SetJitterBufferTarget(target));
        }
        self.publish(ctx);
        Ok(())
    }
}

impl Handler<InsertDtmf> for PeerConnection {
    type Result = ResponseFuture<Reply<()>>;

    fn handle(&mut self, message: InsertDtmf, _: &mut Self::Context) -> Self::Result {
        let request = ToneRequest::new(&message.tones, message.duration, message.gap);
        let sender = match self.usable(message.id) {
            Ok(_) => self.actors(message.id).sender.as_ref().map(|sending| sending.actor.clone()),
            Err(error) => return Box::pin(std::future::ready(Err(error))),
        };
        Box::pin(async move {
            let request = request.map_err(dtmf_error)?;
            let sender = sender.ok_or_else(|| dtmf_error(DtmfError::CannotInsert))?;
            let inserted = sender.send(rtp::InsertDtmf(request)).await;
            inserted.map_err(|error| RtcError::Gone(error.to_string()))?.map_err(dtmf_error)
        })
    }
}

fn dtmf_error(error: DtmfError) -> RtcError {
    let sentence = error.to_string();
    match error {
        DtmfError::InvalidCharacter(_) => RtcError::InvalidCharacterError(sentence),
        DtmfError::CannotInsert => RtcError::InvalidStateError(sentence),
        _ => RtcError::OperationError(sentence),
    }
}

impl Handler<GetSources> for PeerConnection {
    type Result = ResponseFuture<Reply<SourcesSnapshot>>;

    fn handle(&mut self, message: GetSources, _: &mut Self::Context) -> Self::Result {
        let receiving = self.transceivers.iter().find(|actors| actors.id == message.0);
        let receiver = receiving.and_then(|actors| Some(actors.receiver.as_ref()?.actor.clone()));
        Box::pin(async move {
            match receiver {
                // One that has ended in between has heard nobody either.
                Some(receiver) => Ok(receiver.send(CollectSources).await.unwrap_or_default()),
                None => Ok(SourcesSnapshot::default()),
            }
        })
    }
}
