//! Tests of a room: who sees whom, and its limits.

use crate::queue::{self, Receiver};
use actix_rtc::{actors::kit::ask, messages::track::TrackRequest};

use super::*;

const DEADLINE: Duration = Duration::from_secs(5);

/// Takes the place of a track's actor.
struct Silence;

impl Actor for Silence {
    type Context = Context<Self>;
}

impl Handler<TrackRequest> for Silence {
    type Result = ();

    fn handle(&mut self, _: TrackRequest, _: &mut Self::Context) {}
}

fn track(kind: MediaKind) -> PublishedTrack {
    let id = TrackId::random();
    let media = MediaStreamTrack::new(id.as_ref(), kind, Silence.start().recipient());
    PublishedTrack { id, media }
}

fn room(participants: usize) -> Addr<Room> {
    Room::start(RoomLimits { participants, viewers: 1 }, DataMetrics::new().unwrap(), || {})
}

fn info(name: &str) -> ParticipantInfo {
    let id = ParticipantId::from(name);
    ParticipantInfo { id, name: name.to_owned(), audio: false, video: false, tracks: Vec::new() }
}

async fn join(room: &Addr<Room>, name: &str) -> (Vec<Arc<ParticipantInfo>>, Receiver<RoomEvent>) {
    let (events, received) = queue::channel(EVENTS_MAX);
    let join = Join { info: info(name), tracks: Vec::new(), events, viewer: false };
    (ask(room, join, DEADLINE).await.unwrap().unwrap(), received)
}

async fn publish(room: &Addr<Room>, name: &str, tracks: Vec<PublishedTrack>) {
    ask(room, Publish { participant: name.into(), tracks }, DEADLINE).await.unwrap();
}

#[actix::test]
async fn people_are_told_of_each_other() {
    let room = room(10);
    let (others, mut ann) = join(&room, "ann").await;
    assert!(others.is_empty());
    let (others, mut ben) = join(&room, "ben").await;
    assert_eq!(others[0].name, "ann");
    assert!(matches!(ann.recv().await, Some(RoomEvent::ParticipantJoined(info)) if info.name == "ben"));

    let audio = track(MediaKind::Audio);
    publish(&room, "ben", vec![audio.clone()]).await;
    let Some(RoomEvent::ParticipantUpdated(info)) = ann.recv().await else { panic!("no update") };
    assert_eq!(info.tracks, [TrackInfo { id: audio.id.clone(), kind: MediaKind::Audio }]);

    let state = SetState { participant: "ben".into(), audio: true, video: false };
    ask(&room, state, DEADLINE).await.unwrap();
    assert!(matches!(ann.recv().await, Some(RoomEvent::ParticipantUpdated(info)) if info.audio));

    ask(&room, Leave("ben".into()), DEADLINE).await.unwrap();
    assert!(matches!(ann.recv().await, Some(RoomEvent::TracksEnded(ended)) if *ended == [audio.id]));
    assert!(matches!(ann.recv().await, Some(RoomEvent::ParticipantLeft(id)) if id.as_ref() == "ben"));
    assert!(ben.recv().await.is_none(), "who has left is told nothing more");
}

#[actix::test]
async fn a_state_told_twice_is_passed_on_once() {
    let room = room(10);
    let (_, mut ann) = join(&room, "ann").await;
    let (_, _ben) = join(&room, "ben").await;
    for _ in 0..3 {
        let state = SetState { participant: "ben".into(), audio: true, video: true };
        ask(&room, state, DEADLINE).await.unwrap();
    }
    assert!(matches!(ann.recv().await, Some(RoomEvent::ParticipantJoined(_))));
    assert!(matches!(ann.recv().await, Some(RoomEvent::ParticipantUpdated(_))));
    assert!(ann.try_recv().is_none());
}

#[actix::test]
async fn a_track_that_is_no_longer_published_has_ended_for_all() {
    let room = room(10);
    let (events, mut viewer) = queue::channel(EVENTS_MAX);
    let join_viewer = Join { info: info("viewer"), tracks: Vec::new(), events, viewer: true };
    ask(&room, join_viewer, DEADLINE).await.unwrap().unwrap();
    let (_, mut ann) = join(&room, "ann").await;
    let (audio, video) = (track(MediaKind::Audio), track(MediaKind::Video));
    publish(&room, "ann", vec![audio.clone(), video.clone()]).await;
    publish(&room, "ann", vec![audio.clone()]).await;
    let ended = |event: Option<RoomEvent>| matches!(event, Some(RoomEvent::TracksEnded(ended)) if *ended == [video.id.clone()]);
    assert!(ended(viewer.recv().await));
    assert!(ended(ann.recv().await));
    let sources = ask(&room, Sources { publisher: None }, DEADLINE).await.unwrap();
    assert_eq!(sources.len(), 1);
    let found = ask(&room, FindTracks(vec![audio.id.clone(), video.id]), DEADLINE).await.unwrap();
    assert_eq!(found.keys().collect::<Vec<_>>(), [&audio.id]);
}

#[actix::test]
async fn a_full_room_refuses_and_a_viewer_is_not_seen() {
    let room = room(1);
    let (_, mut ann) = join(&room, "ann").await;
    let (events, _received) = queue::channel(EVENTS_MAX);
    let viewer =
        |name: &str| Join { info: info(name), tracks: Vec::new(), events: events.clone(), viewer: true };
    assert!(ask(&room, viewer("one"), DEADLINE).await.unwrap().is_ok());
    assert_eq!(ask(&room, viewer("two"), DEADLINE).await.unwrap(), Err(JoinError::FullOfViewers(1)));
    let second = Join { viewer: false, ..viewer("ben") };
    assert_eq!(ask(&room, second, DEADLINE).await.unwrap(), Err(JoinError::Full(1)));
    assert!(ann.try_recv().is_none());
}

#[actix::test]
async fn somebody_who_does_not_listen_is_put_out_and_the_others_are_told() {
    let room = room(10);
    let (events, mut deaf) = queue::channel(1);
    let join_deaf = Join { info: info("deaf"), tracks: Vec::new(), events, viewer: false };
    ask(&room, join_deaf, DEADLINE).await.unwrap().unwrap();
    let (_, mut ann) = join(&room, "ann").await;
    let (others, _ben) = join(&room, "ben").await;
    assert_eq!(others.len(), 1, "the second event found the queue full");
    assert!(matches!(ann.recv().await, Some(RoomEvent::ParticipantJoined(_))));
    assert!(matches!(ann.recv().await, Some(RoomEvent::ParticipantLeft(id)) if id.as_ref() == "deaf"));
    assert!(deaf.recv().await.is_some(), "what was queued is still read");
    assert!(deaf.recv().await.is_none(), "the end of the queue says that it was put out");
}
