//! `POST /whip/{room}`: a publisher by one HTTP request (RFC 9725, without trickle).

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
    participant::{Assignment, Participant, Role},
    problem::{Code, Problem},
    queue,
    room::{EVENTS_MAX, Join, ParticipantInfo, PublishedTrack},
    rooms::{self, Rooms, Seat},
};

/// What the address may say about the publisher.
#[derive(Debug, Deserialize)]
pub(crate) struct Options {
    /// Shown to the others.
    #[serde(default)]
    name: String,
}

/// Answers the offer of a publisher, who appears in the room as a participant.
pub(crate) async fn publish(
    app: Data<App>,
    request: HttpRequest,
    room: Path<String>,
    options: Query<Options>,
    payload: Payload,
) -> Result<HttpResponse, HttpProblem> {
    let result = try_publish(&app, &request, &room, options.into_inner().name, payload).await;
    result.inspect_err(|problem| app.metrics.problem(problem.code)).map_err(HttpProblem)
}

async fn try_publish(
    app: &Data<App>,
    request: &HttpRequest,
    room: &str,
    name: String,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let guard = app.lifecycle.begin()?;
    check_names(room, &name)?;
    let pending = app.http_sessions.reserve(request.peer_addr().map(|address| address.ip()))?;
    let offer = read_offer(app, request, payload).await?;
    let membership = Rooms::enter(&app.rooms, room).await?;
    let seat = Seat::new(membership, ParticipantId::random());
    let opening = Opening { app: app.clone(), guard, pending, seat, offer };
    let (id, answer) = open_on_shard(opening, |opening| open(opening, name)).await?;
    Ok(created(Protocol::Whip, room, &id, answer))
}

/// On the shard of the room: the answer, and the session that it began.
async fn open(opening: Opening, name: String) -> Result<(SessionId, String), Problem> {
    let Opening { app, guard, pending, seat, offer } = opening;
    let (mut participant, peer_events) =
        Participant::connect(&app, seat.participant(), seat.shard(), Role::Publisher).await?;
    let answered = answer(&mut participant, offer).await;
    app.metrics.offer(answered.is_ok());
    let (answer, tracks) = match answered {
        Ok(answered) => answered,
        Err(problem) => {
            participant.close().await;
            return Err(problem);
        }
    };
    let (events, room_events) = queue::channel(EVENTS_MAX);
    if let Err(error) = seat.join(join(&seat, name, tracks, events)).await {
        participant.close().await;
        return Err(error.into());
    }
    let parts = SessionParts {
        app: app.clone(),
        guard,
        pending: Some(pending),
        seat,
        participant,
        peer_events,
        room_events,
    };
    Ok((app.http_sessions.start(Protocol::Whip, parts), answer))
}

/// Names as the WebSocket takes them.
pub(crate) fn check_names(room: &str, name: &str) -> Result<(), Problem> {
    let invalid = |field, error: rooms::NameError| {
        Problem::new(Code::InvalidMessage, format!("the {field}: {error}")).in_field(field)
    };
    rooms::check_room_name(room).map_err(|error| invalid("room", error))?;
    rooms::check_person_name(name).map_err(|error| invalid("name", error))
}

async fn answer(
    participant: &mut Participant,
    offer: String,
) -> Result<(String, Vec<PublishedTrack>), Problem> {
    participant.take_offer(offer).await?;
    participant.answer(&Assignment::new()).await?;
    participant.update_published();
    let tracks = participant.published();
    if tracks.is_empty() {
        let sentence = "the offer publishes nothing that the server takes: it needs an audio or video section \
                        with a=sendonly or a=sendrecv and a codec that the server knows";
        return Err(Problem::new(Code::NothingPublished, sentence));
    }
    Ok((participant.complete_description().await?, tracks))
}

fn join(
    seat: &Seat,
    name: String,
    tracks: Vec<PublishedTrack>,
    events: queue::Sender<crate::room::RoomEvent>,
) -> Join {
    let publishes = |kind| tracks.iter().any(|track| track.media.kind() == kind);
    let info = ParticipantInfo {
        id: seat.participant().clone(),
        name,
        audio: publishes(actix_rtc::MediaKind::Audio),
        video: publishes(actix_rtc::MediaKind::Video),
        tracks: Vec::new(),
    };
    Join { info, tracks, events, viewer: false }
}
