//! Who takes the media of one track.

use std::{sync::Arc, time::Instant};

use crate::messages::track::{MediaLot, MediaSink, SubscriptionId};

/// More consumers of one track than this live on other shards or servers: a bound on the time one
/// lot may take to hand out.
const MAX_SUBSCRIPTIONS: usize = 4096;

/// The subscriptions of one track. Survives a restart of its actor.
#[derive(Default)]
pub(crate) struct FanOut {
    sinks: Vec<(SubscriptionId, Arc<dyn MediaSink>)>,
}

impl FanOut {
    /// Adds a subscription. One too many is refused: its stream ends at once, as its sink is dropped.
    pub(crate) fn subscribe(&mut self, id: SubscriptionId, sink: Arc<dyn MediaSink>) {
        self.sinks.retain(|(known, sink)| *known != id && !sink.is_closed());
        if self.sinks.len() == MAX_SUBSCRIPTIONS {
            return tracing::warn!(
                limit = MAX_SUBSCRIPTIONS,
                "a track has too many subscribers: one is refused"
            );
        }
        self.sinks.push((id, sink));
    }

    pub(crate) fn unsubscribe(&mut self, id: SubscriptionId) {
        self.sinks.retain(|(known, _)| *known != id);
    }

    /// Hands a lot to every subscriber; forgets those that are closed.
    pub(crate) fn push(&mut self, now: Instant, lot: MediaLot) {
        if self.sinks.is_empty() {
            return;
        }
        let lot = Arc::new(lot);
        let mut closed = false;
        for (_, sink) in &self.sinks {
            closed |= sink.is_closed();
            sink.push(now, Arc::clone(&lot));
        }
        if closed {
            self.sinks.retain(|(_, sink)| !sink.is_closed());
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
        for _ in 0..=MAX_SUBSCRIPTIONS {
            let (sender, reader) = media_lane::<SharedLot>(LaneKind::SenderMedia);
            fan_out.subscribe(SubscriptionId::next(), Arc::new(sender));
            readers.push(reader);
        }
        assert_eq!(fan_out.sinks.len(), MAX_SUBSCRIPTIONS);
        assert!(readers.last().is_some_and(|reader| reader.is_abandoned()), "the refused one is told");
        readers.truncate(2);
        fan_out.push(Instant::now(), MediaLot { packets: Vec::new(), gap: false });
        assert_eq!(fan_out.sinks.len(), 2);
    }
}
