//! The conversation about statistics (W3C webrtc-pc §8): handle → `PeerConnection` → every actor of the
//! connection.

use std::{marker::PhantomData, time::SystemTime};

use actix::Message;

use super::peer_connection::Reply;
use crate::proto::jsep::TransceiverId;

/// What is asked for (W3C webrtc-pc §8.5, the stats selection algorithm).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[allow(clippy::exhaustive_enums, reason = "W3C has three selections")]
pub enum StatisticsSelector {
    /// Everything.
    #[default]
    All,
    /// What this transceiver sends, and what that refers to.
    Sender(TransceiverId),
    /// What this transceiver receives, and what that refers to.
    Receiver(TransceiverId),
}

/// Handle → `PeerConnection`, control: `getStats`.
#[derive(Debug, Message)]
#[rtype(result = "Reply<Statistics>")]
pub struct GetStatistics(pub StatisticsSelector);

/// `PeerConnection` → one of its actors, control: the counters of that actor.
#[derive(Debug)]
pub struct CollectStatistics<S>(PhantomData<S>);

impl<S: Send + 'static> Message for CollectStatistics<S> {
    type Result = S;
}

impl<S> Default for CollectStatistics<S> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

/// What all actors of a connection say of themselves.
#[derive(Debug, Clone)]
pub struct Statistics {
    /// When they were asked.
    pub timestamp: SystemTime,
}
