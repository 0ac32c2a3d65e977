//! `Room`: an actor that knows who is in a room and who publishes what, and tells each about the others.
//!
//! It carries no media and holds no connection: its members' tasks do. Messages of data channels it hands on (`data`). They ask by messages and are told by
//! [`RoomEvent`]s over a bounded queue each; a member that does not take its events is put out, so that one
//! slow client can neither hold up a room nor grow it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use actix::prelude::*;
use actix_rtc::{
    MediaKind, MediaStreamTrack, RtcDataChannel,
    actors::kit::{self, ActorKind, DownReason, Gauge, Metered, MeteredContext, Policy, TrackedGauge},
};
use serde::Serialize;

use crate::{
    data::ChannelName,
    ids::{ParticipantId, TrackId},
    metrics::DataMetrics,
    problem::Problem,
    queue,
};

mod data;
mod messages;

pub(crate) use data::{EndOutlet, EndOutlets, Forward, ForwardError, OpenOutlet, OpenOutletError};
pub(crate) use messages::{Close, FindTracks, Join, Leave, Publish, SetState, Sources};

/// A panic leaves the table of members as it was, at worst one change behind.
const POLICY: Policy = Policy::restarts(3, Duration::from_secs(10));
/// Events that may wait for one member: a room of 50 changing as a whole, several times over.
pub(crate) const EVENTS_MAX: usize = 256;

/// Somebody in a room, as the others see them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct ParticipantInfo {
    pub(crate) id: ParticipantId,
    pub(crate) name: String,
    /// Is the microphone heard?
    pub(crate) audio: bool,
    /// Is the camera seen?
    pub(crate) video: bool,
    pub(crate) tracks: Vec<TrackInfo>,
}

/// A published track, as the others see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct TrackInfo {
    pub(crate) id: TrackId,
    #[serde(serialize_with = "kind_name")]
    pub(crate) kind: MediaKind,
}

fn kind_name<S: serde::Serializer>(kind: &MediaKind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(kind)
}

/// A published track with the way to its media; its handle is named by its [`TrackId`].
#[derive(Debug, Clone)]
pub(crate) struct PublishedTrack {
    pub(crate) id: TrackId,
    pub(crate) media: MediaStreamTrack,
}

/// A published track and who publishes it.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) publisher: ParticipantId,
    pub(crate) track: PublishedTrack,
}

/// What a room tells its members.
#[derive(Debug, Clone)]
pub(crate) enum RoomEvent {
    ParticipantJoined(Arc<ParticipantInfo>),
    ParticipantUpdated(Arc<ParticipantInfo>),
    ParticipantLeft(ParticipantId),
    /// These will never carry media again. Comes before the update or the leaving that is the cause.
    TracksEnded(Arc<[TrackId]>),
    /// A data channel of this member was closed, for this reason.
    DataChannelEnded(Box<Problem>),
}

/// Where a member's events go. Dropped when the member is put out.
pub(crate) type EventSender = queue::Sender<RoomEvent>;

/// Why somebody can't come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JoinError {
    #[error("the room is full: it takes {0} participants")]
    Full(usize),
    #[error("the room is full: it takes {0} viewers")]
    FullOfViewers(usize),
}

/// The bounds of one room.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RoomLimits {
    pub(crate) participants: usize,
    pub(crate) viewers: usize,
}

struct Member {
    info: Arc<ParticipantInfo>,
    tracks: Vec<PublishedTrack>,
    events: EventSender,
    /// Where messages of others go: its data channels that are open.
    outlets: BTreeMap<ChannelName, RtcDataChannel>,
}

/// People that see each other.
pub(crate) struct Room {
    limits: RoomLimits,
    /// In the order of coming.
    participants: Vec<Member>,
    /// WHEP viewers: they are not seen, and told only of the end of tracks.
    viewers: Vec<(ParticipantId, EventSender)>,
    metrics: DataMetrics,
    _counted: TrackedGauge,
}

impl Room {
    /// Starts a room on the current shard; `down` is called when it ended by itself, which it should not.
    pub(crate) fn start(
        limits: RoomLimits,
        metrics: DataMetrics,
        down: impl FnOnce() + 'static,
    ) -> Addr<Self> {
        let counted = kit::statistics().track(Gauge::Rooms);
        let report = move |reason| {
            if reason != DownReason::Stopped {
                tracing::error!(?reason, "a room was lost");
                down();
            }
        };
        kit::start(POLICY, report, move |_| Self {
            limits,
            participants: Vec::new(),
            viewers: Vec::new(),
            metrics,
            _counted: counted,
        })
    }

    fn admit(&mut self, join: Join) -> Result<Vec<Arc<ParticipantInfo>>, JoinError> {
        if self.participants.len() >= self.limits.participants {
            return Err(JoinError::Full(self.limits.participants));
        }
        let info = Arc::new(ParticipantInfo { tracks: infos(&join.tracks), ..join.info });
        // First: who does not take this event is put out, and must not be among the others.
        self.tell_participants(None, RoomEvent::ParticipantJoined(Arc::clone(&info)));
        let others = self.participants.iter().map(|member| Arc::clone(&member.info)).collect();
        let outlets = BTreeMap::new();
        self.participants.push(Member { info, tracks: join.tracks, events: join.events, outlets });
        Ok(others)
    }

    fn admit_viewer(&mut self, id: ParticipantId, events: EventSender) -> Result<(), JoinError> {
        if self.viewers.len() >= self.limits.viewers {
            return Err(JoinError::FullOfViewers(self.limits.viewers));
        }
        self.viewers.push((id, events));
        Ok(())
    }

    fn remove(&mut self, id: &ParticipantId) {
        self.viewers.retain(|(viewer, _)| viewer != id);
        let Some(index) = self.participants.iter().position(|member| member.info.id == *id) else { return };
        let member = self.participants.remove(index);
        self.tell_ended(member.tracks.into_iter().map(|track| track.id).collect());
        self.tell_participants(None, RoomEvent::ParticipantLeft(member.info.id.clone()));
    }

    /// Changes what a participant says of itself, and tells the others if that makes a difference.
    fn update(&mut self, id: &ParticipantId, change: impl FnOnce(&mut ParticipantInfo)) {
        let Some(member) = self.participants.iter_mut().find(|member| member.info.id == *id) else { return };
        let mut info = ParticipantInfo::clone(&member.info);
        change(&mut info);
        if info == *member.info {
            return;
        }
        member.info = Arc::new(info);
        let event = RoomEvent::ParticipantUpdated(Arc::clone(&member.info));
        self.tell_participants(Some(id), event);
    }

    fn publish(&mut self, id: &ParticipantId, tracks: Vec<PublishedTrack>) {
        let Some(member) = self.participants.iter_mut().find(|member| member.info.id == *id) else { return };
        let present = infos(&tracks);
        let before = std::mem::replace(&mut member.tracks, tracks);
        let ended: Arc<[TrackId]> = before
            .into_iter()
            .map(|track| track.id)
            .filter(|id| !present.iter().any(|info| info.id == *id))
            .collect();
        self.tell_ended(ended);
        self.update(id, |info| info.tracks = present);
    }

    fn sources(&self) -> impl Iterator<Item = Source> {
        self.participants.iter().flat_map(|member| {
            let publisher = &member.info.id;
            member.tracks.iter().map(|track| Source { publisher: publisher.clone(), track: track.clone() })
        })
    }

    fn find(&self, wanted: &[TrackId]) -> BTreeMap<TrackId, Source> {
        let sources = self.sources().filter(|source| wanted.contains(&source.track.id));
        sources.map(|source| (source.track.id.clone(), source)).collect()
    }

    fn tell_ended(&mut self, ended: Arc<[TrackId]>) {
        if ended.is_empty() {
            return;
        }
        let event = RoomEvent::TracksEnded(ended);
        // A viewer that does not listen is put out like a participant.
        self.viewers.retain(|(_, events)| events.try_send(event.clone()).is_ok());
        self.tell_participants(None, event);
    }

    fn tell_participants(&mut self, except: Option<&ParticipantId>, event: RoomEvent) {
        let deaf: Vec<ParticipantId> = self
            .participants
            .iter()
            .filter(|member| Some(&member.info.id) != except)
            .filter(|member| member.events.try_send(event.clone()).is_err())
            .map(|member| member.info.id.clone())
            .collect();
        // Their leaving is an event as well; each round of this has fewer members.
        for id in deaf {
            tracing::info!(participant = %id, "put out of the room: it does not take its events");
            self.remove(&id);
        }
    }
}

fn infos(tracks: &[PublishedTrack]) -> Vec<TrackInfo> {
    tracks.iter().map(|track| TrackInfo { id: track.id.clone(), kind: track.media.kind() }).collect()
}

impl Metered for Room {
    const KIND: ActorKind = ActorKind::Room;
}

impl Actor for Room {
    type Context = MeteredContext<Self>;
}

impl Supervised for Room {}

#[cfg(test)]
mod tests;
