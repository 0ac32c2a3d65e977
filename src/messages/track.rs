//! The conversation between a track actor, which supplies media, and whoever takes it: an
//! `RtpSender`, a recorder, an application. And the handle to it, [`MediaStreamTrack`] (W3C Media
//! Capture and Streams §4.3).
//!
//! One *source* (the actor) may stand behind several tracks: [`MediaStreamTrack::clone_track`] makes
//! another one. Muted belongs to the source; enabled and stopped belong to each track. A Rust clone is
//! another handle to the same track.
//!
//! Invariant: the state of a source has the size of one value, however often it changes: who does not
//! look sees the present one.

use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread::{self, ThreadId},
    time::{Duration, Instant},
};

use actix::{Message, Recipient};
use tokio::sync::watch;

pub use crate::proto::rtp::MediaLot;
use crate::proto::{
    prefetch::Reach,
    rtp::{MediaKind, Rid},
    sender::EncodingParameters,
};

/// Subscriptions through one track: as many as the source behind it takes. One more ends at once.
/// Three times the viewers that a shard can serve, at some 50 bytes each.
pub const SUBSCRIPTIONS_MAX: usize = 32_768;

/// What stands for "no target" in [`Source::jitter_buffer_target`].
const NO_TARGET: u64 = u64::MAX;

/// Where a track's media goes. Class: media. Implementations are bounded and drop their oldest.
pub trait MediaSink: Send + Sync {
    /// Takes a lot; never blocks. False: it [is closed](Self::is_closed).
    fn push(&self, now: Instant, lot: Arc<MediaLot>) -> bool;

    /// Nobody takes from it any more: the track forgets it.
    fn is_closed(&self) -> bool;

    /// A lot comes soon: of the memory it needs, what is [`Reach::Referred`] or [`Reach::Beyond`] may be
    /// [fetched](crate::proto::prefetch).
    fn prefetch(&self, _: Reach) {}
}

/// Names one subscription to a track, unique in the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubscriptionId(u64);

impl SubscriptionId {
    /// A new one.
    pub fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Names a track in a table, as long as somebody holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TrackKey(usize);

/// What one consumer asks of one encoding of a track. Media is not transcoded on its way: whoever
/// encodes is told, and may comply.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct EncodingDemand {
    /// Which encoding; `None`: the only one.
    pub rid: Option<Rid>,
    /// It is not sent now (W3C `active` = false), so it need not be produced.
    pub idle: bool,
    /// Bits per second at most: the lowest of W3C `maxBitrate` and what the peer reports it can take
    /// (REMB, TMMBR).
    pub bitrate_max: Option<u64>,
    /// Frames per second at most (W3C `maxFramerate`).
    pub framerate_max: Option<f64>,
    /// Divides width and height (W3C `scaleResolutionDownBy`), at least 1.
    pub scale_resolution_down_by: Option<f64>,
}

impl EncodingDemand {
    /// What the parameters of an encoding ask for, with the peer's own limit in bits per second.
    pub fn new(parameters: &EncodingParameters, peer_limit: Option<u64>) -> Self {
        Self {
            rid: parameters.rid,
            idle: !parameters.active,
            bitrate_max: parameters.max_bitrate.into_iter().chain(peer_limit).min(),
            framerate_max: parameters.max_framerate,
            scale_resolution_down_by: parameters.scale_resolution_down_by,
        }
    }

    /// What satisfies both: an idle consumer has no say.
    pub(crate) fn combine(&mut self, other: &Self) {
        match (self.idle, other.idle) {
            (_, true) => {}
            (true, false) => *self = *other,
            (false, false) => {
                let least = |one: Option<f64>, two: Option<f64>| match (one, two) {
                    (Some(one), Some(two)) => Some(one.min(two)),
                    (one, two) => one.or(two),
                };
                self.bitrate_max = self.bitrate_max.into_iter().chain(other.bitrate_max).min();
                self.framerate_max = least(self.framerate_max, other.framerate_max);
                let scales = (self.scale_resolution_down_by, other.scale_resolution_down_by);
                self.scale_resolution_down_by =
                    least(scales.0.map(|scale| -scale), scales.1.map(|scale| -scale)).map(|scale| -scale);
            }
        }
    }
}

/// Anyone → the actor behind a track, control.
#[derive(Clone, Message)]
#[rtype(result = "()")]
pub enum TrackRequest {
    /// Send everything to `sink` from now on. A sink is kept until it is closed or unsubscribed.
    Subscribe {
        /// Names this subscription.
        id: SubscriptionId,
        /// Where the media goes.
        sink: Arc<dyn MediaSink>,
    },
    /// Stop sending to this subscription.
    Unsubscribe(SubscriptionId),
    /// Somebody can't decode until the next key frame. Coalesced by the track.
    KeyFrame,
    /// This subscription asks for other properties of its encodings. Replaces what it asked for before.
    Demand(SubscriptionId, Vec<EncodingDemand>),
    /// The last track of this source was stopped: nobody will take media from it any more.
    Stop,
}

impl std::fmt::Debug for TrackRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Subscribe { id, .. } => f.debug_tuple("Subscribe").field(id).finish(),
            Self::Unsubscribe(id) => f.debug_tuple("Unsubscribe").field(id).finish(),
            Self::KeyFrame => f.write_str("KeyFrame"),
            Self::Demand(id, demand) => f.debug_tuple("Demand").field(id).field(demand).finish(),
            Self::Stop => f.write_str("Stop"),
        }
    }
}

/// Whether a track can still supply media (W3C Media Capture §4.3.3, `MediaStreamTrackState`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "the specification has two states")]
pub enum MediaStreamTrackState {
    /// Its source supplies media, or may do so again.
    Live,
    /// Over: it was stopped, or its source has ended.
    Ended,
}

/// What happened to a track (W3C Media Capture §4.3.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MediaStreamTrackEvent {
    /// Its source supplies nothing for the time being.
    Mute,
    /// Its source supplies media again, or for the first time.
    Unmute,
    /// Its source has ended. Not sent after [`MediaStreamTrack::stop`], as the specification says.
    Ended,
}

/// How a source is. Copied to whoever watches it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SourceState {
    pub(crate) muted: bool,
    pub(crate) ended: bool,
}

/// What all tracks of one source share.
struct Source {
    kind: MediaKind,
    state: watch::Sender<SourceState>,
    /// Where its actor lives, if that is known.
    home: OnceLock<ThreadId>,
    /// Tracks that were neither stopped nor dropped.
    live_tracks: AtomicUsize,
    /// Milliseconds, or [`NO_TARGET`].
    jitter_buffer_target: AtomicU64,
}

impl Source {
    fn new(kind: MediaKind, muted: bool) -> Arc<Self> {
        Arc::new(Self {
            kind,
            state: watch::Sender::new(SourceState { muted, ended: false }),
            home: OnceLock::new(),
            live_tracks: AtomicUsize::new(0),
            jitter_buffer_target: AtomicU64::new(NO_TARGET),
        })
    }
}

/// The half of a source that its actor keeps: with it the actor tells the tracks how the source is.
/// When it is dropped, they end.
pub struct TrackSource {
    source: Arc<Source>,
}

impl TrackSource {
    /// A source of `kind`. One that begins `muted` (W3C webrtc-pc §5.3: every remote one) is unmuted by
    /// its first media.
    pub fn new(kind: MediaKind, muted: bool) -> Self {
        Self { source: Source::new(kind, muted) }
    }

    /// What tracks are made of: does not keep them from ending.
    pub fn handle(&self) -> SourceHandle {
        SourceHandle(Arc::clone(&self.source))
    }

    /// Says that the actor behind it lives on the current thread, before there is a track of it. Consumers on other
    /// threads then share one way to it; without it each has its own.
    pub fn settle(&self) {
        // It can't move: actors stay where they were started.
        let _ = self.source.home.set(thread::current().id());
    }

    /// Whether the source supplies nothing for the time being.
    pub fn is_muted(&self) -> bool {
        self.source.state.borrow().muted
    }

    /// Says whether the source supplies nothing for the time being; every live track is told.
    pub fn set_muted(&self, muted: bool) {
        self.source.state.send_if_modified(|state| {
            let changes = state.muted != muted && !state.ended;
            if changes {
                state.muted = muted;
            }
            changes
        });
    }

    /// The source is over; every live track is told.
    pub fn end(&self) {
        self.source.state.send_if_modified(|state| !std::mem::replace(&mut state.ended, true));
    }

    /// How much delay the consumers of the media should build up (W3C webrtc-pc
    /// `jitterBufferTarget`); `None`: as they think best.
    pub fn set_jitter_buffer_target(&self, target: Option<Duration>) {
        let milliseconds = target.map_or(NO_TARGET, |target| target.as_millis() as u64);
        self.source.jitter_buffer_target.store(milliseconds, Ordering::Relaxed);
    }
}

/// Names a source, to make tracks of it when its actor runs already.
#[derive(Clone)]
pub struct SourceHandle(Arc<Source>);

impl std::fmt::Debug for SourceHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SourceHandle").field(&*self.0.state.borrow()).finish()
    }
}

impl Drop for TrackSource {
    fn drop(&mut self) {
        self.end();
    }
}

impl std::fmt::Debug for TrackSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TrackSource").field("state", &*self.source.state.borrow()).finish_non_exhaustive()
    }
}

/// A handle to one track of a source (W3C Media Capture §4.3). Cloning it in Rust gives another handle
/// to the same track; [`Self::clone_track`] gives another track.
#[derive(Clone)]
pub struct MediaStreamTrack {
    track: Arc<Track>,
}

struct Track {
    id: Arc<str>,
    label: Arc<str>,
    enabled: AtomicBool,
    stopped: watch::Sender<bool>,
    source: Arc<Source>,
    requests: Recipient<TrackRequest>,
    /// What was subscribed through this track, to be ended with it.
    subscriptions: Mutex<Vec<SubscriptionId>>,
}

impl MediaStreamTrack {
    /// A track named `id` of an actor that says nothing about itself: it is never muted, and live as
    /// long as the actor behind `requests` is.
    pub fn new(id: impl Into<Arc<str>>, kind: MediaKind, requests: Recipient<TrackRequest>) -> Self {
        Self::over(id.into(), Arc::from(""), true, Source::new(kind, false), requests)
    }

    /// A track named `id` of the actor that keeps the other half of `source` and answers `requests`. `label` is a name
    /// for people.
    pub fn of_source(
        id: impl Into<Arc<str>>,
        label: impl Into<Arc<str>>,
        source: &SourceHandle,
        requests: Recipient<TrackRequest>,
    ) -> Self {
        Self::over(id.into(), label.into(), true, Arc::clone(&source.0), requests)
    }

    fn over(
        id: Arc<str>,
        label: Arc<str>,
        enabled: bool,
        source: Arc<Source>,
        requests: Recipient<TrackRequest>,
    ) -> Self {
        source.live_tracks.fetch_add(1, Ordering::Relaxed);
        let track = Track {
            id,
            label,
            enabled: AtomicBool::new(enabled),
            stopped: watch::Sender::new(false),
            source,
            requests,
            subscriptions: Mutex::new(Vec::new()),
        };
        Self { track: Arc::new(track) }
    }

    /// W3C `clone`: another track of the same source, with an id of its own, enabled and stopped on
    /// its own. The clone of a track that was stopped is stopped.
    pub fn clone_track(&self) -> Self {
        self.with_id(random_id())
    }

    /// Like [`Self::clone_track`], under an identifier that the caller chooses: for a forwarder that
    /// names tracks itself.
    pub fn with_id(&self, id: impl Into<Arc<str>>) -> Self {
        let Track { label, source, requests, .. } = &*self.track;
        let clone =
            Self::over(id.into(), Arc::clone(label), self.enabled(), Arc::clone(source), requests.clone());
        if *self.track.stopped.borrow() {
            clone.track.stop();
        }
        clone
    }

    /// The identifier, as in the `a=msid` line of its section.
    pub fn id(&self) -> &str {
        &self.track.id
    }

    /// Audio or video.
    pub fn kind(&self) -> MediaKind {
        self.track.source.kind
    }

    /// A name for people, such as that of a device; may be empty.
    pub fn label(&self) -> &str {
        &self.track.label
    }

    /// Whether its media is handed to those who take the track. True at the start.
    pub fn enabled(&self) -> bool {
        self.track.enabled.load(Ordering::Relaxed)
    }

    /// W3C `enabled`. What a disabled track carries is encoded, and can't be replaced by silence or
    /// black: nothing is handed out. After it is enabled again, video goes on with the next key frame,
    /// which is asked for at once. Takes effect with the next packet.
    pub fn set_enabled(&self, enabled: bool) {
        if self.track.enabled.swap(enabled, Ordering::Relaxed) != enabled
            && enabled
            && self.kind() == MediaKind::Video
        {
            self.request(TrackRequest::KeyFrame);
        }
    }

    /// Whether its source supplies nothing for the time being. A track of a peer is muted until its
    /// first packet, after the peer said goodbye, and while the negotiated direction does not receive.
    pub fn muted(&self) -> bool {
        self.track.source.state.borrow().muted
    }

    /// W3C `readyState`.
    pub fn ready_state(&self) -> MediaStreamTrackState {
        let over = *self.track.stopped.borrow()
            || self.track.source.state.borrow().ended
            || !self.track.requests.connected();
        if over { MediaStreamTrackState::Ended } else { MediaStreamTrackState::Live }
    }

    /// Whether it can still supply media: [`Self::ready_state`] in a word.
    pub fn is_live(&self) -> bool {
        self.ready_state() == MediaStreamTrackState::Live
    }

    /// W3C `stop`: this track ends, and all that was subscribed through it; those who send it fall
    /// silent. With the last live track of its source, the source is told. No event follows.
    pub fn stop(&self) {
        self.track.stop();
    }

    /// The delay that a consumer of the media should build up, as the application asked on the
    /// receiver (W3C webrtc-pc `jitterBufferTarget`). Nothing here delays packets: this is for those
    /// who play or decode.
    pub fn jitter_buffer_target(&self) -> Option<Duration> {
        match self.track.source.jitter_buffer_target.load(Ordering::Relaxed) {
            NO_TARGET => None,
            milliseconds => Some(Duration::from_millis(milliseconds)),
        }
    }

    /// Sends `request` to the track's actor; a track that has ended ignores it, and drops the sink of a
    /// subscription.
    pub fn request(&self, request: TrackRequest) {
        if !self.is_live() {
            return;
        }
        match &request {
            TrackRequest::Subscribe { id, .. } if !self.track.note_subscription(*id) => return,
            TrackRequest::Unsubscribe(id) => self.track.subscriptions().retain(|known| known != id),
            _ => {}
        }
        self.track.requests.do_send(request);
    }

    /// Whether its actor is known to live on another thread than the current one.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.track.source.home.get().is_some_and(|home| *home != thread::current().id())
    }

    /// Names this track as long as there is a handle to it.
    pub(crate) fn key(&self) -> TrackKey {
        TrackKey(Arc::as_ptr(&self.track).addr())
    }

    /// The state of the source, and whether this track was stopped: for a stream of events.
    pub(crate) fn watch(&self) -> (watch::Receiver<SourceState>, watch::Receiver<bool>) {
        (self.track.source.state.subscribe(), self.track.stopped.subscribe())
    }
}

impl Track {
    fn subscriptions(&self) -> std::sync::MutexGuard<'_, Vec<SubscriptionId>> {
        // Nothing that runs under this lock can panic half-way.
        self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_subscription(&self, id: SubscriptionId) -> bool {
        let mut subscriptions = self.subscriptions();
        let has_room = subscriptions.len() < SUBSCRIPTIONS_MAX;
        if has_room && !subscriptions.contains(&id) {
            subscriptions.push(id);
        }
        has_room
    }

    fn stop(&self) {
        if self.stopped.send_replace(true) {
            return;
        }
        for id in std::mem::take(&mut *self.subscriptions()) {
            self.tell_source(TrackRequest::Unsubscribe(id));
        }
        self.leave_source();
    }

    /// W3C Media Capture §4.3.3: a source whose last track is over is stopped.
    fn leave_source(&self) {
        if self.source.live_tracks.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.tell_source(TrackRequest::Stop);
        }
    }

    fn tell_source(&self, request: TrackRequest) {
        if self.requests.connected() {
            self.requests.do_send(request);
        }
    }
}

impl Drop for Track {
    fn drop(&mut self) {
        if !*self.stopped.borrow() {
            self.leave_source();
        }
    }
}

impl PartialEq for MediaStreamTrack {
    /// Whether both are handles to the same track.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.track, &other.track)
    }
}

impl Eq for MediaStreamTrack {}

impl std::fmt::Debug for MediaStreamTrack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MediaStreamTrack")
            .field("id", &self.id())
            .field("kind", &self.kind())
            .field("ready_state", &self.ready_state())
            .finish_non_exhaustive()
    }
}

/// W3C Media Capture §4.3.3: an identifier is a random UUID (RFC 9562 §5.4).
pub(crate) fn random_id() -> String {
    let mut bytes: [u8; 16] = rand::random();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut id = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            id.push('-');
        }
        id.push_str(&format!("{byte:02x}"));
    }
    id
}
