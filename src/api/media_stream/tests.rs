//! Tests of streams as groups of tracks.

use actix::prelude::*;
use futures_util::{FutureExt, StreamExt};

use super::*;
use crate::messages::track::{TrackRequest, TrackSource};

/// A source that never supplies anything.
struct Silence;

impl Actor for Silence {
    type Context = Context<Self>;
}

impl Handler<TrackRequest> for Silence {
    type Result = ();

    fn handle(&mut self, _: TrackRequest, _: &mut Self::Context) {}
}

fn track(kind: MediaKind) -> (MediaStreamTrack, TrackSource) {
    let source = TrackSource::new(kind, false);
    let track = MediaStreamTrack::of_source(random_id(), "", &source.handle(), Silence.start().recipient());
    (track, source)
}

fn uuid_of_version_4(id: &str) -> bool {
    let parts: Vec<usize> = id.split('-').map(str::len).collect();
    parts == [8, 4, 4, 4, 12]
        && id.as_bytes()[14] == b'4'
        && matches!(id.as_bytes()[19], b'8' | b'9' | b'a' | b'b')
}

#[actix::test]
async fn tracks_are_listed_by_kind_and_found_by_identifier() {
    let ((audio, _a), (video, _v)) = (track(MediaKind::Audio), track(MediaKind::Video));
    let stream = MediaStream::of([audio.clone(), video.clone()]);
    assert_eq!(stream.get_tracks(), [audio.clone(), video.clone()]);
    assert_eq!(stream.get_audio_tracks(), std::slice::from_ref(&audio));
    assert_eq!(stream.get_video_tracks(), std::slice::from_ref(&video));
    assert_eq!(stream.get_track_by_id(video.id()), Some(video));
    assert_eq!(stream.get_track_by_id("another"), None);
}

#[actix::test]
async fn a_track_is_in_a_stream_once_and_lives_on_without_it() {
    let (audio, _source) = track(MediaKind::Audio);
    let stream = MediaStream::new();
    stream.add_track(&audio);
    stream.clone().add_track(&audio.clone());
    assert_eq!(stream.get_tracks().len(), 1);
    stream.remove_track(&audio.clone_track());
    assert_eq!(stream.get_tracks().len(), 1, "a clone is another track");
    stream.remove_track(&audio);
    stream.remove_track(&audio);
    assert_eq!(stream.get_tracks(), []);
    assert!(audio.is_live());
}

#[actix::test]
async fn a_stream_is_active_while_one_of_its_tracks_lives() {
    let ((audio, source), (video, _v)) = (track(MediaKind::Audio), track(MediaKind::Video));
    let stream = MediaStream::of([audio, video.clone()]);
    assert!(stream.active());
    video.stop();
    assert!(stream.active());
    drop(source);
    assert!(!stream.active());
    assert!(!MediaStream::new().active());
}

#[actix::test]
async fn a_clone_of_a_stream_has_clones_of_its_tracks() {
    let (audio, _source) = track(MediaKind::Audio);
    let stream = MediaStream::of([audio.clone()]);
    let clone = stream.clone_stream();
    assert_ne!(clone.id(), stream.id());
    assert_ne!(clone.get_tracks(), stream.get_tracks());
    audio.stop();
    assert!(clone.active() && !stream.active());
}

#[actix::test]
async fn only_what_the_peer_does_makes_events() {
    let ((audio, _a), (video, _v)) = (track(MediaKind::Audio), track(MediaKind::Video));
    let stream = MediaStream::with_id("of the peer");
    let mut events = stream.events();
    stream.add_track(&audio);
    assert_eq!(events.next().now_or_never(), None);
    stream.add_remote_track(&audio);
    assert_eq!(events.next().now_or_never(), None, "it is there already");
    stream.add_remote_track(&video);
    stream.remove_remote_track(&audio);
    stream.remove_remote_track(&audio);
    assert_eq!(events.next().await, Some(MediaStreamEvent::AddTrack(video)));
    assert_eq!(events.next().await, Some(MediaStreamEvent::RemoveTrack(audio)));
    drop(stream);
    assert_eq!(events.next().await, None);
}

#[actix::test]
async fn identifiers_are_random_uuids() {
    let (audio, _source) = track(MediaKind::Audio);
    let (stream, clone) = (MediaStream::new(), audio.clone_track());
    for id in [stream.id(), clone.id(), audio.id()] {
        assert!(uuid_of_version_4(id), "{id}");
    }
    assert_ne!(clone.id(), audio.id());
}

#[actix::test]
async fn a_track_tells_mute_unmute_and_its_end_and_a_slow_reader_the_present() {
    use crate::messages::track::MediaStreamTrackEvent::{Ended, Mute, Unmute};
    let (audio, source) = track(MediaKind::Audio);
    let (mut quick, mut slow) = (audio.events(), audio.events());
    source.set_muted(true);
    source.set_muted(true);
    assert_eq!(quick.next().await, Some(Mute));
    source.set_muted(false);
    assert_eq!(quick.next().await, Some(Unmute));
    assert_eq!(slow.next().now_or_never(), None, "as it was: nothing to tell");
    source.set_muted(true);
    drop(source);
    assert_eq!((quick.next().await, quick.next().await), (Some(Ended), None));
    assert_eq!((slow.next().await, slow.next().await), (Some(Ended), None));
    assert!(audio.muted() && !audio.is_live());
    assert_eq!(audio.events().next().await, None, "of a track that has ended");
}
