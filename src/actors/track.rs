//! `LocalTrack`: a track actor that the application feeds with RTP packets.

use std::{sync::Arc, task::Context as TaskContext, time::Instant};

use actix::prelude::*;
use tokio::sync::{Notify, watch};

use crate::{
    actors::{
        fan_out::FanOut,
        kit::{self, ActorKind, Driven, LaneReceiver, Metered, MeteredContext, Weight},
    },
    messages::track::{EncodingDemand, MediaLot, TrackRequest, TrackSource},
    proto::rtp::RtpPacket,
};

impl Weight for RtpPacket {
    fn weight(&self) -> usize {
        1
    }
}

/// Hands what the application writes to everyone who takes the track.
pub struct LocalTrack {
    packets: LaneReceiver<RtpPacket>,
    key_frame_wanted: Arc<Notify>,
    demand: watch::Sender<Vec<EncodingDemand>>,
    /// Ends the tracks when this actor ends, however it does.
    source: TrackSource,
    fan_out: FanOut,
    inbox: Vec<RtpPacket>,
}

impl LocalTrack {
    /// The source of tracks that reads from `packets`, notifies `key_frame_wanted` when a consumer needs
    /// one, and shows in `demand` what the consumers ask of its encodings.
    pub fn new(
        packets: LaneReceiver<RtpPacket>,
        key_frame_wanted: Arc<Notify>,
        demand: watch::Sender<Vec<EncodingDemand>>,
        source: TrackSource,
    ) -> Self {
        Self { packets, key_frame_wanted, demand, source, fan_out: FanOut::default(), inbox: Vec::new() }
    }

    fn publish_demand(&self) {
        let demand = self.fan_out.demand();
        self.demand.send_if_modified(|known| {
            let changes = *known != demand;
            *known = demand;
            changes
        });
    }
}

impl Metered for LocalTrack {
    const KIND: ActorKind = ActorKind::Track;
}

impl Actor for LocalTrack {
    type Context = MeteredContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        kit::drive::<Self>(ctx);
    }
}

impl Supervised for LocalTrack {}

impl Driven for LocalTrack {
    fn take_input(&mut self, cx: &mut TaskContext<'_>, now: Instant, ctx: &mut Self::Context) -> bool {
        let more = self.packets.poll_take(cx, now, kit::INPUT_BUDGET, &mut self.inbox);
        let gap = self.packets.take_dropped() > 0;
        if !self.inbox.is_empty() {
            self.fan_out.push(now, MediaLot::new(std::mem::take(&mut self.inbox), gap));
        }
        if !more && self.packets.is_abandoned() {
            // Nothing can come any more: those who take the track are told by its end.
            ctx.stop();
        }
        more
    }

    fn flush(&mut self, _: Instant, _: &mut Self::Context) {}

    fn deadline(&self) -> Option<Instant> {
        None
    }

    fn handle_deadline(&mut self, _: Instant, _: &mut Self::Context) {}
}

impl Handler<TrackRequest> for LocalTrack {
    type Result = ();

    fn handle(&mut self, message: TrackRequest, ctx: &mut Self::Context) {
        match message {
            TrackRequest::Subscribe { id, sink } => self.fan_out.subscribe(id, sink),
            TrackRequest::Unsubscribe(id) => self.fan_out.unsubscribe(id),
            TrackRequest::KeyFrame => return self.key_frame_wanted.notify_one(),
            TrackRequest::Demand(id, demand) => self.fan_out.set_demand(id, demand),
            TrackRequest::Stop => {
                self.source.end();
                return ctx.stop();
            }
        }
        self.publish_demand();
    }
}

#[cfg(feature = "fault-injection")]
crate::actors::fault_injection::impl_boom!(LocalTrack);
