//! The conversation between a track actor, which supplies media, and whoever takes it: an
//! `RtpSender`, a recorder, an application.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use actix::{Message, Recipient};

use crate::proto::{jsep::MediaKind, rtp::RtpPacket};

/// Packets of one track that arrived together, shared by all who take them.
#[derive(Debug, Clone)]
pub struct MediaLot {
    /// The packets, in the order of arrival.
    pub packets: Vec<RtpPacket>,
    /// Something before these packets was lost inside this process (a lane was full): a video
    /// consumer should wait for a key frame.
    pub gap: bool,
}

/// Where a track's media goes. Class: media. Implementations are bounded and drop their oldest.
pub trait MediaSink: Send + Sync {
    /// Takes a lot; never blocks.
    fn push(&self, now: Instant, lot: Arc<MediaLot>);

    /// Nobody takes from it any more: the track forgets it.
    fn is_closed(&self) -> bool;
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
}

impl std::fmt::Debug for TrackRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Subscribe { id, .. } => f.debug_tuple("Subscribe").field(id).finish(),
            Self::Unsubscribe(id) => f.debug_tuple("Unsubscribe").field(id).finish(),
            Self::KeyFrame => f.write_str("KeyFrame"),
        }
    }
}

/// A handle to the actor that supplies one track's media (W3C Media Capture §4.3). Cloning gives
/// another handle to the same actor.
#[derive(Clone)]
pub struct MediaStreamTrack {
    id: Arc<str>,
    kind: MediaKind,
    requests: Recipient<TrackRequest>,
}

impl MediaStreamTrack {
    /// A handle named `id` to the actor that answers `requests`.
    pub fn new(id: impl Into<Arc<str>>, kind: MediaKind, requests: Recipient<TrackRequest>) -> Self {
        Self { id: id.into(), kind, requests }
    }

    /// The same media under another identifier: for a forwarder that names tracks itself.
    pub fn with_id(&self, id: impl Into<Arc<str>>) -> Self {
        Self { id: id.into(), kind: self.kind, requests: self.requests.clone() }
    }

    /// The identifier, as in the `a=msid` line of its section.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Audio or video.
    pub fn kind(&self) -> MediaKind {
        self.kind
    }

    /// Whether its actor is alive; a track that has ended never supplies media again.
    pub fn is_live(&self) -> bool {
        self.requests.connected()
    }

    /// Sends `request` to the track's actor; a track that has ended ignores it.
    pub fn request(&self, request: TrackRequest) {
        if self.is_live() {
            self.requests.do_send(request);
        }
    }
}

impl std::fmt::Debug for MediaStreamTrack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MediaStreamTrack").field("id", &self.id).field("kind", &self.kind).finish()
    }
}
