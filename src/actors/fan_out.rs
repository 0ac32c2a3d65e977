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
    /// Adds a subscription; `false` when there are too many.
    pub(crate) fn subscribe(&mut self, id: SubscriptionId, sink: Arc<dyn MediaSink>) -> bool {
        self.sinks.retain(|(known, sink)| *known != id && !sink.is_closed());
        if self.sinks.len() == MAX_SUBSCRIPTIONS {
            return false;
        }
        self.sinks.push((id, sink));
        true
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
