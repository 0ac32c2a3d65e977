//! The events of a connection as a stream.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::Stream;

use crate::{
    actors::kit::{self, LaneReceiver},
    messages::peer_connection::PeerConnectionEvent as RtcPeerConnectionEvent,
};

/// The events of one connection, in order; ends when its actor has ended. Bounded to 256: an
/// application that does not read them loses the oldest (the getters always show the present state).
#[derive(Debug)]
pub struct RtcEvents {
    lane: LaneReceiver<RtcPeerConnectionEvent>,
    next: Vec<RtcPeerConnectionEvent>,
}

impl RtcEvents {
    pub(crate) fn new(lane: LaneReceiver<RtcPeerConnectionEvent>) -> Self {
        Self { lane, next: Vec::new() }
    }
}

impl Stream for RtcEvents {
    type Item = RtcPeerConnectionEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { lane, next } = &mut *self;
        lane.poll_take(cx, kit::now(), 1, next);
        match next.pop() {
            Some(event) => Poll::Ready(Some(event)),
            None if lane.is_abandoned() => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}
