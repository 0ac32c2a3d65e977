//! The conversation between the task of a client and its room.

use std::{collections::BTreeMap, sync::Arc};

use actix::prelude::*;

use super::{EventSender, JoinError, ParticipantInfo, PublishedTrack, Room, Source};
use crate::ids::{ParticipantId, TrackId};

/// Client task → `Room`, control: come in. Answers who is there.
#[derive(Debug, Message)]
#[rtype(result = "Result<Vec<Arc<ParticipantInfo>>, JoinError>")]
pub(crate) struct Join {
    /// Who; its list of tracks is made from `tracks`.
    pub(crate) info: ParticipantInfo,
    /// Published from the start.
    pub(crate) tracks: Vec<PublishedTrack>,
    /// Where events go.
    pub(crate) events: EventSender,
    /// Sees the others without being seen.
    pub(crate) viewer: bool,
}

impl Handler<Join> for Room {
    type Result = Result<Vec<Arc<ParticipantInfo>>, JoinError>;

    fn handle(&mut self, message: Join, _: &mut Self::Context) -> Self::Result {
        if message.viewer {
            return self.admit_viewer(message.info.id, message.events).map(|()| Vec::new());
        }
        self.admit(message)
    }
}

/// Client task → `Room`, control: go out.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Leave(pub(crate) ParticipantId);

impl Handler<Leave> for Room {
    type Result = ();

    fn handle(&mut self, message: Leave, _: &mut Self::Context) {
        self.remove(&message.0);
    }
}

/// Client task → `Room`, control: this is all that I publish.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Publish {
    pub(crate) participant: ParticipantId,
    pub(crate) tracks: Vec<PublishedTrack>,
}

impl Handler<Publish> for Room {
    type Result = ();

    fn handle(&mut self, message: Publish, _: &mut Self::Context) {
        self.publish(&message.participant, message.tracks);
    }
}

/// Client task → `Room`, control: microphone and camera are on or off.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct SetState {
    pub(crate) participant: ParticipantId,
    pub(crate) audio: bool,
    pub(crate) video: bool,
}

impl Handler<SetState> for Room {
    type Result = ();

    fn handle(&mut self, message: SetState, _: &mut Self::Context) {
        self.update(&message.participant, |info| (info.audio, info.video) = (message.audio, message.video));
    }
}

/// Client task → `Room`, control: the ways to these tracks. Those that don't exist are left out.
#[derive(Debug, Message)]
#[rtype(result = "BTreeMap<TrackId, Source>")]
pub(crate) struct FindTracks(pub(crate) Vec<TrackId>);

impl Handler<FindTracks> for Room {
    type Result = MessageResult<FindTracks>;

    fn handle(&mut self, message: FindTracks, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.find(&message.0))
    }
}

/// Client task → `Room`, control: all tracks, or those of one publisher, in the order of coming.
#[derive(Debug, Message)]
#[rtype(result = "Vec<Source>")]
pub(crate) struct Sources {
    pub(crate) publisher: Option<ParticipantId>,
}

impl Handler<Sources> for Room {
    type Result = Vec<Source>;

    fn handle(&mut self, message: Sources, _: &mut Self::Context) -> Self::Result {
        let wanted = |source: &Source| message.publisher.as_ref().is_none_or(|id| *id == source.publisher);
        self.sources().filter(wanted).collect()
    }
}

/// `Rooms` → `Room`, control: nobody is left.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Close;

impl Handler<Close> for Room {
    type Result = ();

    fn handle(&mut self, _: Close, ctx: &mut Self::Context) {
        ctx.stop();
    }
}
