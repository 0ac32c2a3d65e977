//! `TrackRelay`: a track of another thread, on this one. However many consumers a track has here, its media crosses
//! from thread to thread once: one push and one wake-up for each lot.
//!
//! Consumers that live on a shard take their media through `tap`, which finds or starts the relay. To them a
//! relay is what the track's own actor would be: it answers the same [`TrackRequest`]s. What they ask for goes to
//! the track's actor in one voice. Whether a track is enabled, muted or over is read from its handle, by anyone.
//!
//! Invariants: a thread has at most one relay of a track. A relay lives as long as there is a `Tap` of it, its
//! track, and its policy. Restarts after a panic with its subscribers, and asks for a key frame.

use std::{
    cell::RefCell,
    collections::HashMap,
    sync::Arc,
    task::Context as TaskContext,
    time::{Duration, Instant},
};

use actix::{WeakAddr, prelude::*};

use crate::{
    actors::{
        fan_out::FanOut,
        kit::{self, ActorKind, DownReason, Driven, LaneKind, LaneReceiver, Metered, MeteredContext, Policy},
        lanes::{SharedLot, media_lane},
    },
    messages::track::{EncodingDemand, MediaLot, MediaStreamTrack, SubscriptionId, TrackKey, TrackRequest},
    proto::rtp::MediaKind,
};

/// How often a relay may be rebuilt after a panic.
pub const TRACK_RELAY_POLICY: Policy = Policy::restarts(5, Duration::from_secs(10));

/// Relays on one thread: several times what a core can forward. The consumer of one more takes its media from the
/// track itself, which costs more and works the same.
const RELAYS_MAX: usize = 16_384;

thread_local! {
    /// The relays of this thread, by the track of each.
    static RELAYS: RefCell<HashMap<TrackKey, Entry>> = RefCell::default();
}

/// A relay, which is not kept from ending by being listed.
struct Entry {
    subscription: SubscriptionId,
    relay: WeakAddr<TrackRelay>,
}

/// The way to a track's media from the current thread.
pub(crate) struct Tap {
    track: MediaStreamTrack,
    relay: Option<Addr<TrackRelay>>,
}

impl Tap {
    /// The track: to read how it is. What is asked of it goes through [`Self::request`].
    pub(crate) fn track(&self) -> &MediaStreamTrack {
        &self.track
    }

    /// Like [`MediaStreamTrack::request`], by way of this thread's relay if there is one.
    pub(crate) fn request(&self, request: TrackRequest) {
        match &self.relay {
            // One that has ended has dropped all subscriptions already.
            Some(relay) if !relay.connected() => {}
            Some(relay) => _ = kit::tell(relay, request),
            None => self.track.request(request),
        }
    }
}

/// Taps a track from the current thread: directly if its actor lives here (or does not say where it lives),
/// otherwise through a relay. Must be called on an arbiter, and what it returns dropped there.
pub(crate) fn tap(track: &MediaStreamTrack) -> Tap {
    let relay = track.is_elsewhere().then(|| relay_of(track)).flatten();
    Tap { track: track.clone(), relay }
}

fn relay_of(track: &MediaStreamTrack) -> Option<Addr<TrackRelay>> {
    let known = RELAYS.with_borrow(|relays| relays.get(&track.key())?.relay.upgrade());
    if let Some(relay) = known.filter(Addr::connected) {
        return Some(relay);
    }
    if RELAYS.with_borrow(|relays| relays.len() >= RELAYS_MAX && !relays.contains_key(&track.key())) {
        kit::statistics().relay_refused();
        return None;
    }
    Some(TrackRelay::start(track.clone()))
}

/// One track of another thread, for the consumers of this one.
pub struct TrackRelay {
    track: MediaStreamTrack,
    subscription: SubscriptionId,
    lane: LaneReceiver<SharedLot>,
    fan_out: FanOut,
    inbox: Vec<SharedLot>,
    /// Something before the next lot is missing.
    gap: bool,
    /// What the track was told last.
    told: Vec<EncodingDemand>,
    /// Some consumer has asked since the last flush.
    wants_key_frame: bool,
}

impl TrackRelay {
    fn start(track: MediaStreamTrack) -> Addr<Self> {
        let (lane_sender, lane) = media_lane(LaneKind::Relay);
        let subscription = SubscriptionId::next();
        let key = track.key();
        track.request(TrackRequest::Subscribe { id: subscription, sink: Arc::new(lane_sender) });
        let relay = Self {
            track,
            subscription,
            lane,
            fan_out: FanOut::default(),
            inbox: Vec::new(),
            gap: false,
            told: Vec::new(),
            wants_key_frame: false,
        };
        let down = |reason: DownReason| {
            if reason != DownReason::Stopped {
                tracing::error!(?reason, "the relay of a track is lost: those who send it here fall silent");
            }
        };
        let address = kit::start(TRACK_RELAY_POLICY, down, |_| relay);
        let entry = Entry { subscription, relay: address.downgrade() };
        RELAYS.with_borrow_mut(|relays| relays.insert(key, entry));
        address
    }

    fn tell_demand(&mut self) {
        let demand = self.fan_out.demand();
        if self.told != demand {
            self.told.clone_from(&demand);
            self.track.request(TrackRequest::Demand(self.subscription, demand));
        }
    }
}

impl Drop for TrackRelay {
    fn drop(&mut self) {
        self.lane.close();
        self.track.request(TrackRequest::Unsubscribe(self.subscription));
        // At the end of the thread there may be no table any more.
        let _ = RELAYS.try_with(|relays| {
            let mut relays = relays.borrow_mut();
            // Another one may have taken over.
            if relays.get(&self.track.key()).is_some_and(|entry| entry.subscription == self.subscription) {
                relays.remove(&self.track.key());
            }
        });
    }
}

impl Metered for TrackRelay {
    const KIND: ActorKind = ActorKind::TrackRelay;
}

impl Actor for TrackRelay {
    type Context = MeteredContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        kit::drive::<Self>(ctx);
    }
}

impl Supervised for TrackRelay {
    fn restarting(&mut self, _: &mut Self::Context) {
        self.inbox.clear();
        self.gap = true;
        self.wants_key_frame = self.track.kind() == MediaKind::Video;
    }
}

impl Driven for TrackRelay {
    fn take_input(&mut self, cx: &mut TaskContext<'_>, now: Instant, ctx: &mut Self::Context) -> bool {
        let more = self.lane.poll_take(cx, now, kit::INPUT_BUDGET, &mut self.inbox);
        self.gap |= self.lane.take_dropped() > 0;
        for SharedLot(lot) in self.inbox.drain(..) {
            let lot = if std::mem::take(&mut self.gap) && !lot.gap {
                Arc::new(MediaLot { gap: true, ..MediaLot::clone(&lot) })
            } else {
                lot
            };
            self.fan_out.push_shared(now, &lot);
        }
        if !more && self.lane.is_abandoned() {
            // The track is over, or has refused us: those who take it are told by the end of their lanes.
            ctx.stop();
        }
        more
    }

    fn flush(&mut self, _: Instant, _: &mut Self::Context) {
        if std::mem::take(&mut self.wants_key_frame) {
            self.track.request(TrackRequest::KeyFrame);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        None
    }

    fn handle_deadline(&mut self, _: Instant, _: &mut Self::Context) {}
}

impl Handler<TrackRequest> for TrackRelay {
    type Result = ();

    fn handle(&mut self, message: TrackRequest, _: &mut Self::Context) {
        match message {
            TrackRequest::Subscribe { id, sink } => self.fan_out.subscribe(id, sink),
            TrackRequest::Unsubscribe(id) => self.fan_out.unsubscribe(id),
            TrackRequest::Demand(id, demand) => self.fan_out.set_demand(id, demand),
            TrackRequest::KeyFrame => return self.wants_key_frame = true,
            // Meant for the source; a track tells that itself.
            TrackRequest::Stop => return,
        }
        self.tell_demand();
    }
}

#[cfg(feature = "fault-injection")]
crate::actors::fault_injection::impl_boom!(TrackRelay);

/// Makes all relays of the current thread panic, and says whether there are any.
#[cfg(feature = "fault-injection")]
pub(crate) fn boom() -> bool {
    let relays: Vec<_> =
        RELAYS.with_borrow(|relays| relays.values().filter_map(|entry| entry.relay.upgrade()).collect());
    for relay in &relays {
        relay.do_send(crate::actors::fault_injection::Boom);
    }
    !relays.is_empty()
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, task::Poll};

    use bytes::Bytes;
    use tokio::sync::mpsc;

    use super::*;
    use crate::{
        messages::track::MediaSink,
        proto::rtp::{CodecKey, CodecParameters, Extensions, RtpPacket},
    };

    /// Stands for the track's actor on another thread: shows what it is asked.
    struct Home(mpsc::UnboundedSender<TrackRequest>);

    impl Actor for Home {
        type Context = Context<Self>;
    }

    impl Handler<TrackRequest> for Home {
        type Result = ();

        fn handle(&mut self, message: TrackRequest, _: &mut Self::Context) {
            // The test may be over.
            let _ = self.0.send(message);
        }
    }

    fn home() -> (MediaStreamTrack, mpsc::UnboundedReceiver<TrackRequest>) {
        let (told, requests) = mpsc::unbounded_channel();
        (MediaStreamTrack::new("track", MediaKind::Video, Home(told).start().recipient()), requests)
    }

    async fn subscription(requests: &mut mpsc::UnboundedReceiver<TrackRequest>) -> Arc<dyn MediaSink> {
        match requests.recv().await {
            Some(TrackRequest::Subscribe { sink, .. }) => sink,
            other => panic!("{other:?} instead of a subscription"),
        }
    }

    fn lot(sequence_number: u64) -> Arc<MediaLot> {
        let codec = CodecParameters {
            payload_type: 96,
            name: "VP8".to_owned(),
            clock_rate: 90_000,
            channels: None,
            parameters: Vec::new(),
            feedback: Vec::new(),
        };
        let packet = RtpPacket {
            arrival: kit::now(),
            ssrc: 1,
            rid: None,
            codec: CodecKey::of(&codec),
            payload_type: 96,
            marker: true,
            sequence_number,
            timestamp: 0,
            clock: None,
            extensions: Extensions::default(),
            payload: Bytes::from_static(&[0x10, 1, 7]),
            key_frame: false,
        };
        Arc::new(MediaLot::new(vec![packet], false))
    }

    #[test]
    fn what_a_relay_misses_is_marked_before_what_it_hands_on() {
        const MISSED: u64 = 88;
        const KEPT: u64 = 512;
        System::new().block_on(async {
            let (track, mut requests) = home();
            let relay = TrackRelay::start(track);
            let source = subscription(&mut requests).await;
            let (sender, lane) = media_lane(LaneKind::SenderMedia);
            let id = SubscriptionId::next();
            relay.send(TrackRequest::Subscribe { id, sink: Arc::new(sender) }).await.unwrap();
            // Without a pause, so that the relay has no turn.
            for number in 0..MISSED + KEPT {
                source.push(kit::now(), lot(number));
            }
            let mut lots = Vec::new();
            poll_fn(|cx| {
                while lane.poll_take(cx, kit::now(), kit::INPUT_BUDGET, &mut lots) {}
                if lots.len() as u64 == KEPT { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            let seen: Vec<_> = lots.iter().map(|lot| (lot.0.packets[0].sequence_number, lot.0.gap)).collect();
            let expected: Vec<_> = (MISSED..MISSED + KEPT).map(|number| (number, number == MISSED)).collect();
            assert_eq!(seen, expected);
        });
    }

    #[test]
    fn a_relay_speaks_for_all_its_subscribers_and_goes_with_its_last_tap() {
        System::new().block_on(async {
            let (track, mut requests) = home();
            let relay = TrackRelay::start(track.clone());
            let _source = subscription(&mut requests).await;
            assert_eq!(relay_of(&track), Some(relay.clone()), "one for the whole thread");
            for _ in 0..3 {
                relay.do_send(TrackRequest::KeyFrame);
            }
            assert!(matches!(requests.recv().await, Some(TrackRequest::KeyFrame)));
            drop(relay);
            assert!(matches!(requests.recv().await, Some(TrackRequest::Unsubscribe(_))), "asked once");
            assert!(RELAYS.with_borrow(HashMap::is_empty));
        });
    }

    #[test]
    fn a_track_that_finds_no_room_for_its_relay_is_taken_directly() {
        System::new().block_on(async {
            let (track, _requests) = home();
            let relay = TrackRelay::start(track.clone());
            let others: Vec<_> = (0..RELAYS_MAX).map(|_| track.clone_track()).collect();
            RELAYS.with_borrow_mut(|relays| {
                for other in &others[1..] {
                    let entry = Entry { subscription: SubscriptionId::next(), relay: relay.downgrade() };
                    relays.insert(other.key(), entry);
                }
            });
            let before = kit::statistics().relays_refused.get();
            assert!(relay_of(&others[0]).is_none());
            assert_eq!(kit::statistics().relays_refused.get(), before + 1);
            assert_eq!(relay_of(&track), Some(relay), "those that are there stay");
            RELAYS.with_borrow_mut(HashMap::clear);
        });
    }
}
