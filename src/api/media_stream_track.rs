//! Tracks at their ends: one that the application feeds, and one that it reads.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::{Stream, future, stream};
use tokio::sync::{Notify, watch};

use super::RtcEngine;
use crate::{
    actors::{
        kit::{self, LaneKind, LaneReceiver, LaneSender, Policy},
        lanes::{SharedLot, media_lane},
        track::LocalTrack,
    },
    messages::{
        error::RtcError,
        track::{
            EncodingDemand, MediaLot, MediaStreamTrack, MediaStreamTrackEvent, SubscriptionId, TrackRequest,
            TrackSource,
        },
    },
    proto::rtp::{MediaKind, RtpPacket},
};

/// Feeds a track with RTP packets. The track ends with its last writer, and when no handle is left that
/// could take from it ([`Self::is_closed`]).
#[derive(Debug, Clone)]
pub struct LocalTrackWriter {
    lane: LaneSender<RtpPacket>,
    key_frame_wanted: Arc<Notify>,
    demand: watch::Receiver<Vec<EncodingDemand>>,
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

    /// What those who take the track ask of its encodings, all together: bit rate, frame rate, resolution.
    /// An encoding that is not in it may be as its producer likes. Packets are sent as they are written,
    /// whether or not the producer complies.
    pub fn demand(&self) -> Vec<EncodingDemand> {
        self.demand.borrow().clone()
    }

    /// Completes when [`Self::demand`] has changed since it was awaited last; never after the track has
    /// ended. Cancel-safe.
    pub async fn demand_changed(&mut self) {
        if self.demand.changed().await.is_err() {
            future::pending().await
        }
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
    let (demand_sender, demand) = watch::channel(Vec::new());
    let source = TrackSource::new(kind, false);
    let handle = source.handle();
    let address = engine
        .shards()
        .run_on(shard, move || async move {
            source.settle();
            let actor = LocalTrack::new(receiver, wanted, demand_sender, source);
            kit::start(Policy::never(), |_| {}, |_| actor)
        })
        .await
        .map_err(|error| RtcError::Gone(error.to_string()))?;
    let id: String = id.into();
    let track = MediaStreamTrack::of_source(id, "", &handle, address.recipient());
    Ok((track, LocalTrackWriter { lane, key_frame_wanted, demand }))
}

impl MediaStreamTrack {
    /// The packets of this track from now on, lot by lot. Bounded to 512 packets and 100 ms: a slow
    /// reader loses the oldest. While the track is disabled there are none. Ends with the track.
    pub fn packets(&self) -> TrackPackets {
        let (sender, lane) = media_lane(LaneKind::SenderMedia);
        let subscription = SubscriptionId::next();
        self.request(TrackRequest::Subscribe { id: subscription, sink: Arc::new(sender) });
        TrackPackets { track: self.clone(), subscription, lane, next: Vec::new(), withheld: false }
    }

    /// Asks the source for a key frame.
    pub fn request_key_frame(&self) {
        self.request(TrackRequest::KeyFrame);
    }

    /// What happens to this track from now on (W3C Media Capture §4.3.3.3): mute, unmute, ended; the
    /// stream is over with the track. A reader that is slow sees the present state, not every change
    /// that led to it.
    pub fn events(&self) -> TrackEvents {
        let (source, stopped) = self.watch();
        let seen = *source.borrow();
        let events =
            stream::unfold((source, stopped, seen), |(mut source, mut stopped, mut seen)| async move {
                loop {
                    if *stopped.borrow_and_update() || seen.ended {
                        return None;
                    }
                    let state = *source.borrow_and_update();
                    if state != seen {
                        let event = match (state.ended, state.muted) {
                            (true, _) => MediaStreamTrackEvent::Ended,
                            (_, true) => MediaStreamTrackEvent::Mute,
                            (_, false) => MediaStreamTrackEvent::Unmute,
                        };
                        seen = state;
                        return Some((event, (source, stopped, seen)));
                    }
                    let changed =
                        future::select(Box::pin(source.changed()), Box::pin(stopped.changed())).await;
                    // Every track of the source is gone, and nobody can say anything about it any more.
                    if matches!(
                        changed,
                        future::Either::Left((Err(_), _)) | future::Either::Right((Err(_), _))
                    ) {
                        return None;
                    }
                }
            });
        TrackEvents { events: Box::pin(events) }
    }
}

/// What happens to a track, as a stream.
pub struct TrackEvents {
    events: Pin<Box<dyn Stream<Item = MediaStreamTrackEvent> + Send + Sync>>,
}

impl std::fmt::Debug for TrackEvents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TrackEvents").finish_non_exhaustive()
    }
}

impl Stream for TrackEvents {
    type Item = MediaStreamTrackEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.events.as_mut().poll_next(cx)
    }
}

/// What a track carries, as a stream of lots; ends when the track has ended.
#[derive(Debug)]
pub struct TrackPackets {
    track: MediaStreamTrack,
    subscription: SubscriptionId,
    lane: LaneReceiver<SharedLot>,
    next: Vec<SharedLot>,
    /// The track was disabled: what comes next follows a gap.
    withheld: bool,
}

impl Stream for TrackPackets {
    type Item = Arc<MediaLot>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { track, lane, next, withheld, .. } = &mut *self;
        loop {
            lane.poll_take(cx, kit::now(), 1, next);
            match next.pop() {
                Some(_) if !track.enabled() => *withheld = true,
                Some(SharedLot(lot)) if std::mem::take(withheld) && !lot.gap => {
                    return Poll::Ready(Some(Arc::new(MediaLot { gap: true, ..(*lot).clone() })));
                }
                Some(SharedLot(lot)) => return Poll::Ready(Some(lot)),
                None if lane.is_abandoned() => return Poll::Ready(None),
                None => return Poll::Pending,
            }
        }
    }
}

impl Drop for TrackPackets {
    fn drop(&mut self) {
        self.track.request(TrackRequest::Unsubscribe(self.subscription));
    }
}
