//! Tracks at their ends: one that the application feeds, and one that it reads.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::Stream;
use tokio::sync::Notify;

use super::RtcEngine;
use crate::{
    actors::{
        kit::{self, LaneKind, LaneReceiver, LaneSender, Policy},
        lanes::{SharedLot, media_lane},
        track::LocalTrack,
    },
    messages::{
        error::RtcError,
        track::{MediaLot, MediaStreamTrack, SubscriptionId, TrackRequest},
    },
    proto::rtp::{MediaKind, RtpPacket},
};

/// Feeds a track with RTP packets. The track ends with its last writer, and when no handle is left that
/// could take from it ([`Self::is_closed`]).
#[derive(Debug, Clone)]
pub struct LocalTrackWriter {
    lane: LaneSender<RtpPacket>,
    key_frame_wanted: Arc<Notify>,
}

impl LocalTrackWriter {
    /// Hands one packet to everyone who takes the track. SSRC and sequence number are replaced by each
    /// sender; sequence numbers must rise with the packets, timestamps with their media. Never waits:
    /// when nobody takes packets fast enough, the oldest are dropped.
    pub fn write(&self, packet: RtpPacket) {
        self.lane.push(kit::now(), packet);
    }

    /// Hands several packets over at once.
    pub fn write_all(&self, packets: impl Iterator<Item = RtpPacket>) {
        self.lane.push_all(kit::now(), packets);
    }

    /// Whether the track has ended: what is written now goes nowhere.
    pub fn is_closed(&self) -> bool {
        self.lane.is_closed()
    }

    /// Completes when a consumer needs a key frame. Cancel-safe.
    pub async fn key_frame_wanted(&self) {
        self.key_frame_wanted.notified().await;
    }
}

/// A track that the application feeds, on the given shard of `engine`.
///
/// # Errors
/// [`RtcError::Gone`] when the engine has been shut down.
pub async fn local_track(
    engine: &RtcEngine,
    shard: usize,
    id: impl Into<String>,
    kind: MediaKind,
) -> Result<(MediaStreamTrack, LocalTrackWriter), RtcError> {
    let (lane, receiver) = media_lane(LaneKind::SenderMedia);
    let key_frame_wanted = Arc::new(Notify::new());
    let wanted = Arc::clone(&key_frame_wanted);
    let address = engine
        .shards()
        .run_on(shard, move || async move {
            let actor = LocalTrack::new(receiver, wanted);
            kit::start(Policy::never(), |_| {}, |_| actor)
        })
        .await
        .map_err(|error| RtcError::Gone(error.to_string()))?;
    let id: String = id.into();
    let track = MediaStreamTrack::new(id, kind, address.recipient());
    Ok((track, LocalTrackWriter { lane, key_frame_wanted }))
}

impl MediaStreamTrack {
    /// The packets of this track from now on, lot by lot. Bounded to 512 packets and 100 ms: a slow
    /// reader loses the oldest.
    pub fn packets(&self) -> TrackPackets {
        let (sender, lane) = media_lane(LaneKind::SenderMedia);
        let subscription = SubscriptionId::next();
        self.request(TrackRequest::Subscribe { id: subscription, sink: Arc::new(sender) });
        TrackPackets { track: self.clone(), subscription, lane, next: Vec::new() }
    }

    /// Asks the source for a key frame.
    pub fn request_key_frame(&self) {
        self.request(TrackRequest::KeyFrame);
    }
}

/// What a track carries, as a stream of lots; ends when the track has ended.
#[derive(Debug)]
pub struct TrackPackets {
    track: MediaStreamTrack,
    subscription: SubscriptionId,
    lane: LaneReceiver<SharedLot>,
    next: Vec<SharedLot>,
}

impl Stream for TrackPackets {
    type Item = Arc<MediaLot>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { lane, next, .. } = &mut *self;
        lane.poll_take(cx, kit::now(), 1, next);
        match next.pop() {
            Some(SharedLot(lot)) => Poll::Ready(Some(lot)),
            None if lane.is_abandoned() => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

impl Drop for TrackPackets {
    fn drop(&mut self) {
        self.track.request(TrackRequest::Unsubscribe(self.subscription));
    }
}
