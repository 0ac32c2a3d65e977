//! The media half of a client: its connection, what it publishes, and which tracks it is sent.
//!
//! The client always offers. An offer is taken in two steps, [`Participant::take_offer`] and
//! [`Participant::answer`], because what its sections shall carry is decided in between, by the client
//! (WebSocket) or by what is there (WHEP). An offer that fails in either step is rolled back: the negotiated
//! state before it stays.

use std::collections::BTreeMap;

use actix_rtc::{
    MediaKind, RtcConfiguration, RtcError, RtcEvents, RtcIceCandidateInit, RtcPeerConnection,
    RtcRtpTransceiver, RtcRtpTransceiverDirection as Direction, RtcSdpType, RtcSessionDescription,
    TransceiverId,
};

use crate::{
    app::App,
    debug::Registration,
    ids::{ParticipantId, TrackId},
    problem::{Code, Problem},
    room::{PublishedTrack, Source},
};

/// Why an offer was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NegotiationError {
    #[error("the offer has {found} media sections, the server takes {most}")]
    TooManySections { found: usize, most: usize },
    #[error("the offer publishes {found} tracks, the server takes {most} from one participant")]
    TooManyTracks { found: usize, most: usize },
    #[error("section {mid:?} is for {section}, and the track it shall carry is {track}")]
    WrongKind { mid: String, section: MediaKind, track: MediaKind },
    #[error("the connection made no answer")]
    NoAnswer,
    #[error(transparent)]
    Connection(#[from] RtcError),
}

impl From<NegotiationError> for Problem {
    fn from(error: NegotiationError) -> Self {
        let sentence = error.to_string();
        match error {
            NegotiationError::WrongKind { .. } => {
                Self::new(Code::InvalidMessage, sentence).in_field("subscriptions")
            }
            NegotiationError::NoAnswer | NegotiationError::Connection(RtcError::Gone(_)) => {
                Self::new(Code::Internal, sentence)
            }
            NegotiationError::Connection(RtcError::InvalidStateError(_)) => {
                Self::new(Code::ConnectionFailed, sentence)
            }
            NegotiationError::Connection(RtcError::SyntaxError { line, reason }) => {
                Self::new(Code::InvalidSdp, reason).in_line(line)
            }
            NegotiationError::TooManySections { .. }
            | NegotiationError::TooManyTracks { .. }
            | NegotiationError::Connection(_) => Self::new(Code::InvalidSdp, sentence).in_field("sdp"),
        }
    }
}

/// What a client may do with its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Publishes and receives: a WebSocket client.
    Both,
    /// WHIP.
    Publisher,
    /// WHEP.
    Viewer,
}

/// A section on which the client wants to receive.
#[derive(Debug, Clone)]
pub(crate) struct ReceivingSection {
    pub(crate) transceiver: TransceiverId,
    pub(crate) mid: String,
    pub(crate) kind: MediaKind,
}

/// Which source each section carries.
pub(crate) type Assignment = BTreeMap<TransceiverId, Source>;

struct Publication {
    transceiver: TransceiverId,
    track: PublishedTrack,
}

/// One client's connection.
pub(crate) struct Participant {
    peer: RtcPeerConnection,
    role: Role,
    sections_max: usize,
    tracks_max: usize,
    published: Vec<Publication>,
    /// What each sender carries, to touch only those that change.
    carried: BTreeMap<TransceiverId, TrackId>,
    _registration: Registration,
}

impl Participant {
    /// A connection on a shard, not yet negotiated, with its events.
    ///
    /// # Errors
    /// When the engine is shut down or out of sockets.
    pub(crate) async fn connect(
        app: &App,
        id: &ParticipantId,
        shard: usize,
        role: Role,
    ) -> Result<(Self, RtcEvents), NegotiationError> {
        let mut configuration = RtcConfiguration::on_shard(shard);
        configuration.ice_lite = app.config.ice_lite;
        let peer = RtcPeerConnection::on(app.rooms.engine(), configuration).await?;
        let events = peer.events().ok_or(NegotiationError::NoAnswer)?;
        let participant = Self {
            role,
            sections_max: app.config.limits.sections,
            tracks_max: app.config.limits.tracks,
            published: Vec::new(),
            carried: BTreeMap::new(),
            _registration: app.peers.register(id, &peer),
            peer,
        };
        Ok((participant, events))
    }

    /// Applies an offer. Answer it, or call [`Self::refuse`].
    pub(crate) async fn take_offer(&mut self, sdp: String) -> Result<(), NegotiationError> {
        // Counted before anything is built for them.
        let found = sdp.lines().filter(|line| line.starts_with("m=")).count();
        if found > self.sections_max {
            return Err(NegotiationError::TooManySections { found, most: self.sections_max });
        }
        self.peer.set_remote_description(RtcSessionDescription::offer(sdp)).await?;
        let publishing =
            self.peer.get_transceivers().iter().filter(|section| self.takes_from(section)).count();
        if publishing > self.tracks_max {
            self.refuse().await;
            return Err(NegotiationError::TooManyTracks { found: publishing, most: self.tracks_max });
        }
        Ok(())
    }

    /// Takes an offer back that was applied and will not be answered.
    pub(crate) async fn refuse(&self) {
        let rollback = RtcSessionDescription { kind: RtcSdpType::Rollback, sdp: String::new() };
        if let Err(error) = self.peer.set_remote_description(rollback).await {
            tracing::debug!(%error, "an offer could not be rolled back");
        }
    }

    /// The sections of the offer on which the client wants to receive, in their order.
    pub(crate) fn receiving_sections(&self) -> Vec<ReceivingSection> {
        let transceivers = self.peer.get_transceivers().into_iter();
        let wanting = transceivers
            .filter(|t| !t.stopped() && t.remote_direction().is_some_and(|direction| direction.receives()));
        wanting
            .filter_map(|t| Some(ReceivingSection { transceiver: t.id(), mid: t.mid()?, kind: t.kind() }))
            .collect()
    }

    /// Answers the offer, with each section carrying what it is assigned and nothing else.
    pub(crate) async fn answer(&mut self, assignment: &Assignment) -> Result<String, NegotiationError> {
        let answered = self.try_answer(assignment).await;
        if answered.is_err() {
            self.refuse().await;
        }
        answered
    }

    async fn try_answer(&mut self, assignment: &Assignment) -> Result<String, NegotiationError> {
        let transceivers = self.peer.get_transceivers();
        for transceiver in &transceivers {
            check_kind(transceiver, assignment)?;
        }
        for transceiver in transceivers.iter().filter(|transceiver| !transceiver.stopped()) {
            self.assign(transceiver, assignment.get(&transceiver.id())).await?;
        }
        self.carried.retain(|id, _| assignment.contains_key(id));
        self.peer.set_local_description(None).await?;
        let description = self.peer.local_description().ok_or(NegotiationError::NoAnswer)?;
        Ok(description.sdp)
    }

    /// Makes one section carry a source, or nothing.
    async fn assign(
        &mut self,
        transceiver: &RtcRtpTransceiver,
        source: Option<&Source>,
    ) -> Result<(), NegotiationError> {
        let direction = Direction::of(source.is_some(), self.takes_from(transceiver));
        if transceiver.direction() != direction {
            transceiver.set_direction(direction).await?;
        }
        let id = transceiver.id();
        match source {
            // Left alone: a track that is set again waits for a key frame again.
            Some(source) if self.carried.get(&id) == Some(&source.track.id) => {}
            Some(source) => {
                let streams = vec![source.publisher.to_string()];
                transceiver.sender().send_track(Some(source.track.media.clone()), streams).await?;
                self.carried.insert(id, source.track.id.clone());
            }
            None if self.carried.remove(&id).is_some() => transceiver.sender().replace_track(None).await?,
            None => {}
        }
        Ok(())
    }

    /// Whether media that the client sends on this section is taken.
    fn takes_from(&self, transceiver: &RtcRtpTransceiver) -> bool {
        self.role != Role::Viewer
            && !transceiver.stopped()
            && transceiver.remote_direction().is_some_and(|direction| direction.sends())
    }

    /// Whether all that was assigned has been negotiated: codecs may not match, or a section be rejected.
    pub(crate) fn carries_all(&self, assignment: &Assignment) -> bool {
        assignment.keys().all(|id| {
            let current = self.peer.transceiver(*id).and_then(|section| section.current_direction());
            current.is_some_and(|direction| direction.sends())
        })
    }

    /// Compares what is published with what is negotiated. `Some` with all of it when it has changed.
    pub(crate) fn update_published(&mut self) -> Option<Vec<PublishedTrack>> {
        let present: Vec<_> = self.peer.get_transceivers().iter().filter_map(published_media).collect();
        let before = self.published.len();
        self.published.retain(|publication| {
            publication.track.media.is_live() && present.iter().any(|(id, _)| *id == publication.transceiver)
        });
        let mut changed = self.published.len() != before;
        for (transceiver, media) in present {
            if self.published.iter().any(|publication| publication.transceiver == transceiver) {
                continue;
            }
            let id = TrackId::random();
            // What the client calls its track is not unique, and may not even be a token.
            let media = media.with_id(id.as_ref());
            self.published.push(Publication { transceiver, track: PublishedTrack { id, media } });
            changed = true;
        }
        changed.then(|| self.published())
    }

    /// What is published.
    pub(crate) fn published(&self) -> Vec<PublishedTrack> {
        self.published.iter().map(|publication| publication.track.clone()).collect()
    }

    /// Stops sending tracks that have ended. Their sections stay as they are until the next offer.
    pub(crate) async fn drop_tracks(&mut self, ended: &[TrackId]) {
        let idle: Vec<TransceiverId> =
            self.carried.iter().filter(|(_, track)| ended.contains(track)).map(|(id, _)| *id).collect();
        for id in idle {
            self.carried.remove(&id);
            let Some(transceiver) = self.peer.transceiver(id) else { continue };
            if let Err(error) = transceiver.sender().replace_track(None).await {
                tracing::debug!(%error, "a track that has ended could not be taken from its sender");
            }
        }
    }

    /// Passes on a candidate of the client.
    pub(crate) async fn add_candidate(&self, candidate: Option<RtcIceCandidateInit>) -> Result<(), RtcError> {
        self.peer.add_ice_candidate(candidate).await
    }

    /// Waits until the local description has all candidates, and returns it.
    pub(crate) async fn complete_description(&self) -> Result<String, NegotiationError> {
        self.peer.gathering_complete().await?;
        let description = self.peer.local_description().ok_or(NegotiationError::NoAnswer)?;
        Ok(description.sdp)
    }

    /// Says goodbye to the peer: BYE, then close_notify.
    pub(crate) async fn close(self) {
        self.peer.close().await;
    }
}

fn check_kind(transceiver: &RtcRtpTransceiver, assignment: &Assignment) -> Result<(), NegotiationError> {
    let Some(source) = assignment.get(&transceiver.id()) else { return Ok(()) };
    let section = transceiver.kind();
    let track = source.track.media.kind();
    if track == section {
        return Ok(());
    }
    Err(NegotiationError::WrongKind { mid: transceiver.mid().unwrap_or_default(), section, track })
}

/// What arrives on a section, if it is negotiated and alive.
fn published_media(transceiver: &RtcRtpTransceiver) -> Option<(TransceiverId, actix_rtc::MediaStreamTrack)> {
    let receives = transceiver.current_direction().is_some_and(|direction| direction.receives());
    let track = transceiver.receiver().track().filter(|track| track.is_live())?;
    (receives && !transceiver.stopped()).then(|| (transceiver.id(), track))
}
