//! A client's place in a room, and its connection once it has offered one.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use actix::Addr;
use actix_rtc::{
    RtcDataChannel, RtcError, RtcEvents, RtcIceCandidateInit, RtcPeerConnectionEvent, RtcPeerConnectionState,
    actors::kit,
};
use actix_web::web::Data;
use futures_util::StreamExt;

use super::{
    end::Reason,
    messages::{CandidateLine, Offer, ServerMessage},
};
use crate::{
    app::App,
    data::{self, Accept, DataPort},
    ids::ParticipantId,
    participant::{Assignment, Participant, Role},
    problem::{Code, Problem},
    queue,
    room::{EVENTS_MAX, FindTracks, Join, ParticipantInfo, Publish, RoomEvent, SetState},
    rooms::{Rooms, RoomsError, Seat},
};

/// Something happened in the room or to the connection; `None`: there is no more to come.
pub(super) enum CallEvent {
    Room(Option<RoomEvent>),
    Peer(Option<RtcPeerConnectionEvent>),
}

/// What the client is told of its connection, and whether it has to go.
pub(super) struct Failed {
    pub(super) problem: Problem,
    pub(super) end: Option<Reason>,
}

/// Being in a room.
pub(super) struct Call {
    seat: Seat,
    room_events: queue::Receiver<RoomEvent>,
    media: Option<Media>,
    /// Made by the first data channel.
    data: Option<Addr<DataPort>>,
    /// A failed connection must have been restarted by then.
    failed_deadline: Option<Instant>,
}

struct Media {
    participant: Participant,
    events: RtcEvents,
}

impl Call {
    /// Comes into a room; answers who is there.
    pub(super) async fn join(
        app: &Data<App>,
        room: &str,
        name: String,
    ) -> Result<(Self, Vec<Arc<ParticipantInfo>>), Problem> {
        let seat = Seat::new(Rooms::enter(&app.rooms, room).await?, ParticipantId::random());
        let (events, room_events) = queue::channel(EVENTS_MAX);
        let id = seat.participant().clone();
        let info = ParticipantInfo { id, name, audio: false, video: false, tracks: Vec::new() };
        let others = seat.join(Join { info, tracks: Vec::new(), events, viewer: false }).await?;
        Ok((Self { seat, room_events, media: None, data: None, failed_deadline: None }, others))
    }

    pub(super) fn participant(&self) -> &ParticipantId {
        self.seat.participant()
    }

    /// When the client's patience with a failed connection ends.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.failed_deadline
    }

    /// Waits for the next event; for ever while there is no call.
    pub(super) async fn next_event(call: &mut Option<Self>) -> CallEvent {
        let Some(call) = call else { return std::future::pending().await };
        let peer = async {
            match &mut call.media {
                Some(media) => media.events.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            event = call.room_events.recv() => CallEvent::Room(event),
            event = peer => CallEvent::Peer(event),
        }
    }

    /// Answers an offer. The connection is made by the first one: who has no media needs none.
    pub(super) async fn negotiate(&mut self, app: &App, offer: Offer) -> Result<String, Problem> {
        if self.media.is_none() {
            let (participant, events) =
                Participant::connect(app, self.seat.participant(), self.seat.shard(), Role::Both).await?;
            self.media = Some(Media { participant, events });
        }
        let Some(Media { participant, .. }) = &mut self.media else {
            return Err(Problem::new(Code::Internal, "there is no connection"));
        };
        participant.take_offer(offer.sdp).await?;
        let wanted = offer.subscriptions.values().cloned().collect();
        let found = match self.seat.ask(FindTracks(wanted)).await {
            Ok(found) => found,
            Err(error) => {
                participant.refuse().await;
                return Err(error.into());
            }
        };
        // A section that names no track, or one that is gone meanwhile, is answered inactive.
        let assignment: Assignment = participant
            .receiving_sections()
            .into_iter()
            .filter_map(|section| {
                let source = found.get(offer.subscriptions.get(&section.mid)?)?;
                Some((section.transceiver, source.clone()))
            })
            .collect();
        Ok(participant.answer(&assignment).await?)
    }

    /// Tells the room what is published, if that has changed.
    pub(super) fn publish(&mut self) {
        let Some(media) = &mut self.media else { return };
        if let Some(tracks) = media.participant.update_published() {
            self.seat.tell(Publish { participant: self.seat.participant().clone(), tracks });
        }
    }

    /// Takes a data channel that the client has opened.
    pub(super) async fn accept_channel(&mut self, app: &App, channel: RtcDataChannel) {
        if let Err(error) = self.try_accept(channel.clone()).await {
            tracing::warn!(participant = %self.participant(), %error, "a data channel could not be taken");
            data::refuse(app.metrics.data(), &channel, error.into());
            // It does not come back after a panic: the next channel gets a new one.
            self.data = None;
        }
    }

    async fn try_accept(&mut self, channel: RtcDataChannel) -> Result<(), RoomsError> {
        let port = match &self.data {
            Some(port) => port,
            None => self.data.insert(self.seat.open_data_port().await?),
        };
        // One channel at a time: a client that opens many is waited for, and does not fill the port's mailbox.
        Ok(kit::ask(port, Accept(channel), kit::DEFAULT_DEADLINE).await?)
    }

    pub(super) fn set_state(&self, audio: bool, video: bool) {
        self.seat.tell(SetState { participant: self.seat.participant().clone(), audio, video });
    }

    pub(super) async fn add_candidate(&self, candidate: Option<RtcIceCandidateInit>) -> Result<(), Problem> {
        let invalid = |sentence: String| Problem::new(Code::InvalidCandidate, sentence).in_field("candidate");
        let Some(media) = &self.media else {
            return Err(invalid("a candidate belongs to an offer, and there was none".to_owned()));
        };
        media.participant.add_candidate(candidate).await.map_err(|error| match error {
            RtcError::Gone(_) => Problem::new(Code::Internal, error.to_string()),
            error => invalid(error.to_string()),
        })
    }

    /// Takes note of an event of the room; returns what the client is told.
    pub(super) async fn room_event(&mut self, event: RoomEvent) -> Option<String> {
        let message = match &event {
            RoomEvent::ParticipantJoined(participant) => ServerMessage::ParticipantJoined { participant },
            RoomEvent::ParticipantUpdated(participant) => ServerMessage::ParticipantUpdated { participant },
            RoomEvent::ParticipantLeft(participant) => ServerMessage::ParticipantLeft { participant },
            RoomEvent::TracksEnded(tracks) => {
                if let Some(media) = &mut self.media {
                    media.participant.drop_tracks(tracks).await;
                }
                return None;
            }
            RoomEvent::DataChannelEnded(problem) => ServerMessage::Error(problem),
        };
        Some(message.to_json())
    }

    /// Takes note of an event of the connection; returns what the client is told.
    pub(super) fn peer_event(
        &mut self,
        event: RtcPeerConnectionEvent,
        patience: Duration,
    ) -> Result<Option<String>, Failed> {
        match event {
            RtcPeerConnectionEvent::IceCandidate(candidate) => {
                let line = candidate.as_ref().map(|candidate| CandidateLine {
                    candidate: Some(&candidate.candidate),
                    sdp_mid: candidate.sdp_mid.as_deref(),
                    sdp_m_line_index: candidate.sdp_m_line_index.map(usize::from),
                });
                Ok(Some(ServerMessage::Candidate(line.unwrap_or_default()).to_json()))
            }
            RtcPeerConnectionEvent::ConnectionStateChange(state) => {
                self.state_changed(state, patience).map(|()| None)
            }
            RtcPeerConnectionEvent::Failure(reason) => {
                tracing::warn!(participant = %self.participant(), reason, "part of a connection failed");
                self.publish();
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    fn state_changed(&mut self, state: RtcPeerConnectionState, patience: Duration) -> Result<(), Failed> {
        match state {
            RtcPeerConnectionState::Connected => {
                self.failed_deadline = None;
                Ok(())
            }
            RtcPeerConnectionState::Failed => {
                self.failed_deadline = Some(kit::now() + patience);
                let sentence = "the media connection failed; an offer with an ICE restart may repair it";
                let problem = Problem::new(Code::ConnectionFailed, sentence);
                Err(Failed { problem, end: None })
            }
            RtcPeerConnectionState::Closed => {
                let problem = Problem::new(Code::ConnectionFailed, "the media connection was closed");
                Err(Failed { problem, end: Some(Reason::ConnectionFailed) })
            }
            _ => Ok(()),
        }
    }

    /// The others are told at once, the peer as soon as possible.
    pub(super) async fn end(self) {
        let Self { seat, media, data, .. } = self;
        drop(seat);
        if let Some(port) = data {
            kit::tell(&port, data::End);
        }
        if let Some(media) = media {
            media.participant.close().await;
        }
    }
}
