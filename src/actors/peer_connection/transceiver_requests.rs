//! The requests of the API about one transceiver: what it sends, what it receives, which way.

use std::time::Duration;

use actix::prelude::*;

use super::{PeerConnection, transceivers::TransceiverActors};
use crate::{
    messages::{
        error::RtcError,
        peer_connection::{
            AddTrack, AddTransceiver, EncodingParameters, InsertDtmf, RemoveTrack, ReplaceTrack, Reply,
            SetCodecPreferences, SetDirection, SetJitterBufferTarget, SetSendEncodings, SetStreams,
            StopTransceiver,
        },
        rtp::SwapTrack,
        track::MediaStreamTrack,
    },
    proto::{
        jsep::{Direction, TransceiverId},
        rtp::MediaKind,
    },
};

/// Simulcast encodings of one sender: more than any browser sends.
const MAX_ENCODINGS: usize = 8;
/// RFC 8852 §3.1: a rid is what RFC 8851 allows, and a header extension element holds at most 16 of it here.
const MAX_RID: usize = 16;
/// W3C webrtc-extensions: the longest that media may be asked to wait.
const MAX_JITTER_BUFFER_TARGET: Duration = Duration::from_secs(4);

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
            Some(rid) if !is_rid(rid) => return type_error("a rid has 1 to 16 letters and digits"),
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

fn is_rid(rid: &str) -> bool {
    (1..=MAX_RID).contains(&rid.len()) && rid.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

impl Handler<AddTransceiver> for PeerConnection {
    type Result = Reply<TransceiverId>;

    fn handle(&mut self, message: AddTransceiver, ctx: &mut Self::Context) -> Self::Result {
        check_encodings(message.kind, &message.send_encodings)?;
        let id = self.session.add_transceiver(message.kind, message.init)?;
        if !message.send_encodings.is_empty() {
            self.actors(id).send_encodings = message.send_encodings;
        }
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

impl Handler<RemoveTrack> for PeerConnection {
    type Result = Reply<()>;

    /// W3C webrtc-pc §5.1, `removeTrack`: a sender without a track is left as it is.
    fn handle(&mut self, message: RemoveTrack, ctx: &mut Self::Context) -> Self::Result {
        let RemoveTrack(id) = message;
        let direction = match self.usable(id) {
            // A sender that was stopped, or is gone, sends nothing any more.
            Err(RtcError::InvalidStateError(_)) => return Ok(()),
            usable => usable?.direction(),
        };
        if self.actors(id).sender_track.is_none() {
            return Ok(());
        }
        self.set_sender_track(id, None);
        self.session.set_direction(id, Direction::of(false, direction.receives()))?;
        self.reconcile(ctx);
        Ok(())
    }
}

impl Handler<SetStreams> for PeerConnection {
    type Result = Reply<()>;

    fn handle(&mut self, message: SetStreams, _: &mut Self::Context) -> Self::Result {
        self.session.set_sending_track(message.id, message.stream_ids, None)?;
        self.publish();
        Ok(())
    }
}

impl Handler<SetCodecPreferences> for PeerConnection {
    type Result = Reply<()>;

    fn handle(&mut self, message: SetCodecPreferences, _: &mut Self::Context) -> Self::Result {
        self.session.set_codec_preferences(message.id, message.codecs)?;
        self.publish();
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
        self.actors(id).send_encodings = encodings;
        self.reconcile(ctx);
        Ok(())
    }
}

impl Handler<SetJitterBufferTarget> for PeerConnection {
    type Result = Reply<()>;

    fn handle(&mut self, message: SetJitterBufferTarget, _: &mut Self::Context) -> Self::Result {
        let SetJitterBufferTarget { id, target } = message;
        if target.is_some_and(|target| target > MAX_JITTER_BUFFER_TARGET) {
            let sentence = "media can't be asked to wait longer than 4 s";
            return Err(RtcError::RangeError(sentence.to_owned()));
        }
        self.usable(id)?;
        self.actors(id).jitter_buffer_target = target;
        self.publish();
        Ok(())
    }
}

impl Handler<InsertDtmf> for PeerConnection {
    type Result = Reply<()>;

    fn handle(&mut self, message: InsertDtmf, _: &mut Self::Context) -> Self::Result {
        let transceiver = self.usable(message.id)?;
        if transceiver.kind() != MediaKind::Audio || transceiver.send_parameters().is_none() {
            return Err(RtcError::InvalidStateError("tones need a sender of audio that sends".to_owned()));
        }
        Err(RtcError::NotSupportedError("telephone-event was not negotiated".to_owned()))
    }
}
