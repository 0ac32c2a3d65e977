//! `POST /whep/{room}`: a viewer by one HTTP request, who receives what the room's publishers send at that
//! moment. All of it or nothing: an offer with too few sections is refused, never answered in part.

use std::collections::BTreeMap;

use actix_rtc::MediaKind;
use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path, Payload, Query},
};
use serde::Deserialize;

use crate::{
    app::App,
    http::{HttpProblem, created, read_offer},
    http_session::{Opening, Protocol, SessionParts, open_on_shard},
    ids::{ParticipantId, SessionId},
    participant::{Assignment, Participant, ReceivingSection, Role},
    problem::{Code, Problem},
    queue,
    room::{EVENTS_MAX, Join, ParticipantInfo, Source, Sources},
    rooms::{Rooms, Seat},
    whip::check_names,
};

/// What the address may say about what to receive.
#[derive(Debug, Deserialize)]
pub(crate) struct Options {
    /// A participant's id: only what they publish.
    publisher: Option<String>,
}

/// Answers the offer of a viewer.
pub(crate) async fn view(
    app: Data<App>,
    request: HttpRequest,
    room: Path<String>,
    options: Query<Options>,
    payload: Payload,
) -> Result<HttpResponse, HttpProblem> {
    let publisher = options.into_inner().publisher.map(|id| ParticipantId::from(id.as_str()));
    let result = try_view(&app, &request, &room, publisher, payload).await;
    result.inspect_err(|problem| app.metrics.problem(problem.code)).map_err(HttpProblem)
}

async fn try_view(
    app: &Data<App>,
    request: &HttpRequest,
    room: &str,
    publisher: Option<ParticipantId>,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let guard = app.lifecycle.begin()?;
    check_names(room, "")?;
    let pending = app.http_sessions.reserve(request.peer_addr().map(|address| address.ip()))?;
    let offer = read_offer(app, request, payload).await?;
    let membership = Rooms::enter_existing(&app.rooms, room).await?.ok_or_else(no_publisher)?;
    let seat = Seat::new(membership, ParticipantId::random());
    let opening = Opening { app: app.clone(), guard, pending, seat, offer };
    let (id, answer) = open_on_shard(opening, |opening| open(opening, publisher)).await?;
    Ok(created(Protocol::Whep, room, &id, answer))
}

/// On the shard of the room: the answer, and the session that it began.
async fn open(opening: Opening, publisher: Option<ParticipantId>) -> Result<(SessionId, String), Problem> {
    let Opening { app, guard, pending, seat, offer } = opening;
    // Before the tracks are asked for, so that the end of none of them is missed.
    let (events, room_events) = queue::channel(EVENTS_MAX);
    seat.join(join(&seat, events)).await?;
    let sources = seat.ask(Sources { publisher }).await?;
    if sources.is_empty() {
        return Err(no_publisher());
    }
    let (mut participant, peer_events) =
        Participant::connect(&app, seat.participant(), seat.shard(), Role::Viewer).await?;
    let answered = answer(&mut participant, offer, sources).await;
    app.metrics.offer(answered.is_ok());
    let answer = match answered {
        Ok(answer) => answer,
        Err(problem) => {
            participant.close().await;
            return Err(problem);
        }
    };
    let parts = SessionParts {
        app: app.clone(),
        guard,
        pending: Some(pending),
        seat,
        participant,
        peer_events,
        room_events,
    };
    Ok((app.http_sessions.start(Protocol::Whep, parts), answer))
}

fn no_publisher() -> Problem {
    Problem::new(Code::NoPublisher, "nobody publishes in this room at the moment, or not who was asked for")
}

fn join(seat: &Seat, events: queue::Sender<crate::room::RoomEvent>) -> Join {
    let info = ParticipantInfo {
        id: seat.participant().clone(),
        name: String::new(),
        audio: false,
        video: false,
        tracks: Vec::new(),
    };
    Join { info, tracks: Vec::new(), events, viewer: true }
}

async fn answer(
    participant: &mut Participant,
    offer: String,
    sources: Vec<Source>,
) -> Result<String, Problem> {
    participant.take_offer(offer).await?;
    let assignment = match assign(participant.receiving_sections(), sources) {
        Ok(assignment) => assignment,
        Err(lacking) => {
            participant.refuse().await;
            return Err(lacking.into());
        }
    };
    participant.answer(&assignment).await?;
    if !participant.carries_all(&assignment) {
        let sentence = "a section of the offer has no codec in common with the track that it would carry";
        return Err(Problem::new(Code::TooFewSections, sentence));
    }
    Ok(participant.complete_description().await?)
}

/// Sections of one kind are not enough.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the room's publishers send {tracks} tracks of {kind}, and the offer has {sections} sections to receive {kind} on"
)]
struct TooFewSections {
    kind: MediaKind,
    tracks: usize,
    sections: usize,
}

impl From<TooFewSections> for Problem {
    fn from(error: TooFewSections) -> Self {
        Self::new(Code::TooFewSections, error.to_string())
    }
}

/// Gives each track a section of its kind, both in their order; sections may be left over.
fn assign(sections: Vec<ReceivingSection>, sources: Vec<Source>) -> Result<Assignment, TooFewSections> {
    let mut assignment = BTreeMap::new();
    for kind in [MediaKind::Audio, MediaKind::Video] {
        let of_kind: Vec<_> = sections.iter().filter(|section| section.kind == kind).collect();
        let tracks: Vec<_> = sources.iter().filter(|source| source.track.media.kind() == kind).collect();
        if of_kind.len() < tracks.len() {
            return Err(TooFewSections { kind, tracks: tracks.len(), sections: of_kind.len() });
        }
        let pairs = of_kind.into_iter().zip(tracks);
        assignment.extend(pairs.map(|(section, source)| (section.transceiver, source.clone())));
    }
    Ok(assignment)
}
