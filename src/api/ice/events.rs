//! What happens to a connection of ICE alone, as a stream.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::Stream;

use crate::{
    actors::kit::{self, LaneReceiver, Weight},
    messages::ice_connection::IceConnectionEvent,
};

/// The events of a connection in order; ends with it. Bounded to 1,024: who does not read loses the oldest, and
/// getters show the present state.
#[derive(Debug)]
pub struct IceConnectionEvents(pub(super) Events<IceConnectionEvent>);

/// A lane read as a stream.
#[derive(Debug)]
pub(super) struct Events<T> {
    lane: LaneReceiver<T>,
    next: Vec<T>,
}

impl<T: Weight> Events<T> {
    pub(super) fn new(lane: LaneReceiver<T>) -> Self {
        Self { lane, next: Vec::new() }
    }

    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.lane.poll_take(cx, kit::now(), 1, &mut self.next);
        match self.next.pop() {
            Some(event) => Poll::Ready(Some(event)),
            None if self.lane.is_abandoned() => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

impl Stream for IceConnectionEvents {
    type Item = IceConnectionEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next(cx)
    }
}
