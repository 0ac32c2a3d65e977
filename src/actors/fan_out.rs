//! Who takes the media of one track.

use std::{sync::Arc, time::Instant};

use crate::{
    messages::track::{EncodingDemand, MediaLot, MediaSink, SUBSCRIPTIONS_MAX, SubscriptionId},
    proto::prefetch::{Reach, prefetch},
};

/// Encodings that one consumer may have wishes about: twice what a simulcast has.
const DEMANDS_MAX: usize = 8;

/// Subscriptions among which closed ones are not looked for but when media is handed out.
const SWEEP_MIN: usize = 16;

/// How many subscribers before its own turn the memory of one begins to be asked for, in three stages.
const LEAD: usize = 6;

/// The subscriptions of one track. Survives a restart of its actor.
#[derive(Default)]
pub(crate) struct FanOut {
    sinks: Vec<Subscription>,
    /// At so many the closed ones are looked for: asking each at every subscription would make the way in of a peer
    /// cost more the more there are.
    sweep_at: usize,
}

struct Subscription {
    id: SubscriptionId,
    sink: Arc<dyn MediaSink>,
    demand: Vec<EncodingDemand>,
}

impl FanOut {
    /// Adds a subscription. One too many is refused: its stream ends at once, as its sink is dropped.
    pub(crate) fn subscribe(&mut self, id: SubscriptionId, sink: Arc<dyn MediaSink>) {
        self.unsubscribe(id);
        if self.sinks.len() >= self.sweep_at.min(SUBSCRIPTIONS_MAX) {
            self.sinks.retain(|known| !known.sink.is_closed());
            self.sweep_at = (2 * self.sinks.len()).max(SWEEP_MIN);
        }
        if self.sinks.len() == SUBSCRIPTIONS_MAX {
            return tracing::warn!(
                limit = SUBSCRIPTIONS_MAX,
                "a track has too many subscribers: one is refused"
            );
        }
        self.sinks.push(Subscription { id, sink, demand: Vec::new() });
    }

    pub(crate) fn unsubscribe(&mut self, id: SubscriptionId) {
        if let Some(index) = self.sinks.iter().position(|known| known.id == id) {
            self.sinks.remove(index);
        }
    }

    /// What a subscription asks of the encodings from now on; of one that is not known, nothing.
    pub(crate) fn set_demand(&mut self, id: SubscriptionId, mut demand: Vec<EncodingDemand>) {
        demand.truncate(DEMANDS_MAX);
        if let Some(known) = self.sinks.iter_mut().find(|known| known.id == id) {
            known.demand = demand;
        }
    }

    /// What all consumers together ask for, by encoding: the media is the same for all, so the one that
    /// can take least decides. Idle is what nobody takes.
    pub(crate) fn demand(&self) -> Vec<EncodingDemand> {
        let mut combined: Vec<EncodingDemand> = Vec::new();
        for demand in self.sinks.iter().flat_map(|known| &known.demand) {
            match combined.iter().position(|known| known.rid == demand.rid) {
                Some(at) => combined[at].combine(demand),
                None if combined.len() < DEMANDS_MAX => combined.push(*demand),
                None => {}
            }
        }
        // Who asks for nothing in particular takes everything.
        if self.sinks.iter().any(|known| known.demand.is_empty()) {
            combined.iter_mut().for_each(|demand| demand.idle = false);
        }
        combined
    }

    /// Hands a lot to every subscriber; forgets those that are closed.
    pub(crate) fn push(&mut self, now: Instant, lot: MediaLot) {
        if !self.sinks.is_empty() {
            self.push_shared(now, &Arc::new(lot));
        }
    }

    /// The same with a lot that others may have as well.
    pub(crate) fn push_shared(&mut self, now: Instant, lot: &Arc<MediaLot>) {
        let mut are_open = true;
        for step in 0..self.sinks.len() + LEAD {
            let at = |stage: usize| Some(&self.sinks.get(step.checked_sub(stage)?)?.sink);
            at(0).into_iter().for_each(|sink| prefetch(&**sink));
            at(LEAD / 3).into_iter().for_each(|sink| sink.prefetch(Reach::Referred));
            at(LEAD * 2 / 3).into_iter().for_each(|sink| sink.prefetch(Reach::Beyond));
            if let Some(sink) = at(LEAD) {
                are_open &= sink.push(now, Arc::clone(lot));
            }
        }
        if !are_open {
            self.sinks.retain(|known| !known.sink.is_closed());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::{
        kit::LaneKind,
        lanes::{SharedLot, media_lane},
    };

    #[test]
    fn subscriptions_are_bounded_and_the_closed_ones_make_room() {
        let mut fan_out = FanOut::default();
        let mut readers = Vec::new();
        for _ in 0..=SUBSCRIPTIONS_MAX {
            let (sender, reader) = media_lane::<SharedLot>(LaneKind::SenderMedia);
            fan_out.subscribe(SubscriptionId::next(), Arc::new(sender));
            readers.push(reader);
        }
        assert_eq!(fan_out.sinks.len(), SUBSCRIPTIONS_MAX);
        assert!(readers.last().is_some_and(|reader| reader.is_abandoned()), "the refused one is told");
        readers.truncate(2);
        fan_out.push(Instant::now(), MediaLot::new(Vec::new(), false));
        assert_eq!(fan_out.sinks.len(), 2);
    }

    #[test]
    fn all_get_every_lot_once_however_many_they_are() {
        for count in 0..3 * LEAD {
            let (mut fan_out, mut lanes) = (FanOut::default(), Vec::new());
            for _ in 0..count {
                let (sender, lane) = media_lane::<SharedLot>(LaneKind::SenderMedia);
                fan_out.subscribe(SubscriptionId::next(), Arc::new(sender));
                lanes.push(lane);
            }
            let (now, mut out) = (Instant::now(), Vec::new());
            for _ in 0..2 {
                fan_out.push(now, MediaLot::new(Vec::new(), false));
            }
            for lane in lanes {
                assert!(!lane.take(now, 8, &mut out).more);
                assert_eq!(out.drain(..).count(), 2, "of {count}");
            }
        }
    }

    #[test]
    fn closed_subscriptions_do_not_pile_up_though_no_media_comes() {
        let mut fan_out = FanOut::default();
        for _ in 0..100 * SWEEP_MIN {
            let (sender, _) = media_lane::<SharedLot>(LaneKind::SenderMedia);
            fan_out.subscribe(SubscriptionId::next(), Arc::new(sender));
            assert!(fan_out.sinks.len() <= SWEEP_MIN, "{}", fan_out.sinks.len());
        }
    }
}
