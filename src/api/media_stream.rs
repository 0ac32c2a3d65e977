//! `MediaStream`: tracks that belong together (W3C Media Capture §4.2), such as those that a peer
//! announces under one `a=msid`.
//!
//! A stream is only a group: it has no actor, and tracks live on without it.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::{Stream, stream};
use tokio::sync::broadcast::{self, error::RecvError};

use crate::{
    messages::track::{MediaStreamTrack, random_id},
    proto::rtp::MediaKind,
};

/// Changes that wait for a reader, who misses the oldest when there are more: a negotiation rarely
/// changes more than a few tracks.
const EVENTS_MAX: usize = 64;

/// What the peer did to a stream (W3C Media Capture §4.2.1). What the application itself adds or
/// removes makes no event.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MediaStreamEvent {
    /// A track was added.
    AddTrack(MediaStreamTrack),
    /// A track was removed.
    RemoveTrack(MediaStreamTrack),
}

/// A group of tracks. Cloning it in Rust gives another handle to the same group;
/// [`Self::clone_stream`] gives another group of other tracks.
#[derive(Clone)]
pub struct MediaStream {
    inner: Arc<Inner>,
}

struct Inner {
    id: String,
    tracks: Mutex<Vec<MediaStreamTrack>>,
    events: broadcast::Sender<MediaStreamEvent>,
}

impl Default for MediaStream {
    fn default() -> Self {
        Self::new()
    }
}

impl MediaStream {
    /// A stream without tracks, under a random identifier.
    pub fn new() -> Self {
        Self::with_id(random_id())
    }

    /// A stream without tracks under this identifier, as in `a=msid`.
    pub fn with_id(id: impl Into<String>) -> Self {
        let events = broadcast::Sender::new(EVENTS_MAX);
        Self { inner: Arc::new(Inner { id: id.into(), tracks: Mutex::default(), events }) }
    }

    /// A stream of these tracks.
    pub fn of(tracks: impl IntoIterator<Item = MediaStreamTrack>) -> Self {
        let stream = Self::new();
        tracks.into_iter().for_each(|track| stream.add_track(&track));
        stream
    }

    /// The identifier, as in the `a=msid` lines of its tracks' sections.
    pub fn id(&self) -> &str {
        &self.inner.id
    }

    /// Whether any of its tracks is live.
    pub fn active(&self) -> bool {
        self.tracks().iter().any(MediaStreamTrack::is_live)
    }

    /// All tracks, in the order in which they were added.
    pub fn get_tracks(&self) -> Vec<MediaStreamTrack> {
        self.tracks().clone()
    }

    /// The audio tracks.
    pub fn get_audio_tracks(&self) -> Vec<MediaStreamTrack> {
        self.of_kind(MediaKind::Audio)
    }

    /// The video tracks.
    pub fn get_video_tracks(&self) -> Vec<MediaStreamTrack> {
        self.of_kind(MediaKind::Video)
    }

    /// The track with this identifier.
    pub fn get_track_by_id(&self, id: &str) -> Option<MediaStreamTrack> {
        self.tracks().iter().find(|track| track.id() == id).cloned()
    }

    /// Adds a track; one that is in it already is not added twice.
    pub fn add_track(&self, track: &MediaStreamTrack) {
        self.insert(track);
    }

    /// Removes a track, which lives on; one that is not in it is ignored.
    pub fn remove_track(&self, track: &MediaStreamTrack) {
        self.take_out(track);
    }

    /// W3C `clone`: a stream with another identifier, of a clone of each track.
    pub fn clone_stream(&self) -> Self {
        Self::of(self.tracks().iter().map(MediaStreamTrack::clone_track))
    }

    /// What the peer adds and removes from now on; ends with the last handle to the stream.
    pub fn events(&self) -> MediaStreamEvents {
        let events = stream::unfold(self.inner.events.subscribe(), |mut events| async move {
            loop {
                match events.recv().await {
                    Ok(event) => return Some((event, events)),
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                }
            }
        });
        MediaStreamEvents { events: Box::pin(events) }
    }

    /// W3C webrtc-pc §5.1.1.1 "add a track to a set of streams": the peer added it. Tells the readers of
    /// [`Self::events`].
    #[allow(dead_code, reason = "called by whoever turns track events into streams")]
    pub(crate) fn add_remote_track(&self, track: &MediaStreamTrack) {
        if self.insert(track) {
            // Nobody may be listening.
            let _ = self.inner.events.send(MediaStreamEvent::AddTrack(track.clone()));
        }
    }

    /// The peer removed it. Tells the readers of [`Self::events`].
    #[allow(dead_code, reason = "called by whoever turns track events into streams")]
    pub(crate) fn remove_remote_track(&self, track: &MediaStreamTrack) {
        if self.take_out(track) {
            let _ = self.inner.events.send(MediaStreamEvent::RemoveTrack(track.clone()));
        }
    }

    fn of_kind(&self, kind: MediaKind) -> Vec<MediaStreamTrack> {
        self.tracks().iter().filter(|track| track.kind() == kind).cloned().collect()
    }

    fn insert(&self, track: &MediaStreamTrack) -> bool {
        let mut tracks = self.tracks();
        let is_new = !tracks.contains(track);
        if is_new {
            tracks.push(track.clone());
        }
        is_new
    }

    fn take_out(&self, track: &MediaStreamTrack) -> bool {
        let mut tracks = self.tracks();
        let at = tracks.iter().position(|known| known == track);
        at.map(|at| tracks.remove(at)).is_some()
    }

    fn tracks(&self) -> MutexGuard<'_, Vec<MediaStreamTrack>> {
        // A change is one push or one removal: nothing is left half done.
        self.inner.tracks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PartialEq for MediaStream {
    /// Whether both are handles to the same stream.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }
}

impl Eq for MediaStream {}

impl std::fmt::Debug for MediaStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MediaStream").field("id", &self.id()).field("tracks", &*self.tracks()).finish()
    }
}

/// What the peer does to a stream.
pub struct MediaStreamEvents {
    events: Pin<Box<dyn Stream<Item = MediaStreamEvent> + Send>>,
}

impl std::fmt::Debug for MediaStreamEvents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MediaStreamEvents").finish_non_exhaustive()
    }
}

impl Stream for MediaStreamEvents {
    type Item = MediaStreamEvent;

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.events.as_mut().poll_next(cx)
    }
}

#[cfg(test)]
mod tests;
