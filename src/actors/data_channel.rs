//! `DataChannel`: one channel between the application and its association.
//!
//! ```text
//!   handle ──▶ [≤ 1 MiB] ──▶ DataChannel ──▶ link [≤ 256 KiB] ──▶ SctpAssoc
//!   handle ◀── [≤ 1 MiB] ◀── DataChannel ◀── link [≤ 256 KiB] ◀──┘
//! ```
//!
//! It takes from either side only what the other has room for. Never restarts: after a panic its
//! stream is reset and its application is told, siblings don't notice.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
    task::{Context as TaskContext, Poll, Waker},
    time::Instant,
};

use actix::prelude::*;

use crate::{
    actors::kit::{self, ActorKind, Driven, DropReason, Metered, MeteredContext, Policy},
    messages::{
        data_channel::{ChannelEnd, Outgoing, RtcDataChannelState},
        error::RtcError,
    },
    proto::sctp::{ChannelKey, Message, SctpError},
};

/// What it had taken of its messages is lost with it: they can't be sent again without repeating some.
pub const DATA_CHANNEL_POLICY: Policy = Policy::never();

/// Bytes of one channel between its actor and the network, not sent yet. Small: what is here waits
/// behind nothing but its own channel and the association's window, and the application's own queue
/// lies before it.
const LINK_HIGH_WATER: usize = 256 << 10;
/// When so little is left of a full link, the actor takes more: it never runs dry before.
const LINK_LOW_WATER: usize = LINK_HIGH_WATER / 2;
/// What a message costs besides its bytes.
const MESSAGE_OVERHEAD: usize = 64;

/// What the association tells a channel, in order.
#[derive(Debug)]
pub(super) enum Incoming {
    /// It has its stream identifier.
    Identified(u16),
    /// Messages can be sent.
    Open,
    /// One has come.
    Message(Message),
    /// The peer closes the channel.
    Closing,
    /// Over.
    Closed(Option<SctpError>),
    /// Over, and the application knows: it has closed the connection.
    ClosedSilently,
}

/// Channels that want something of their association, and how to wake it.
#[derive(Default)]
pub(super) struct Ready {
    channels: RefCell<Vec<ChannelKey>>,
    waker: RefCell<Option<Waker>>,
}

impl Ready {
    /// To be called by the association at each of its turns.
    pub(super) fn take(&self, cx: &TaskContext<'_>) -> Vec<ChannelKey> {
        remember(&self.waker, cx);
        self.channels.take()
    }

    fn add(&self, channel: ChannelKey) {
        self.channels.borrow_mut().push(channel);
        wake(&self.waker);
    }
}

/// The queues between a channel and its association, which are on one thread.
pub(super) struct Link {
    key: ChannelKey,
    end: ChannelEnd,
    ready: Rc<Ready>,
    /// Waits for being sent.
    outgoing: RefCell<VecDeque<Outgoing>>,
    /// Bytes of messages taken from the application and not sent yet, wherever they are.
    unsent: Cell<usize>,
    /// Waits for being delivered.
    incoming: RefCell<VecDeque<Incoming>>,
    /// Bytes of messages in it.
    undelivered: Cell<usize>,
    /// The association has stopped reading this channel until it is told.
    stopped_reading: Cell<bool>,
    /// It has been added to the association's list since it was last looked at.
    listed: Cell<bool>,
    /// The actor's task.
    actor: RefCell<Option<Waker>>,
}

impl Link {
    pub(super) fn new(key: ChannelKey, end: ChannelEnd, ready: Rc<Ready>) -> Self {
        Self {
            key,
            end,
            ready,
            outgoing: RefCell::default(),
            unsent: Cell::new(0),
            incoming: RefCell::default(),
            undelivered: Cell::new(0),
            stopped_reading: Cell::new(false),
            listed: Cell::new(false),
            actor: RefCell::default(),
        }
    }

    /// The counters of the channel, and what the application sees.
    pub(super) fn end(&self) -> &ChannelEnd {
        &self.end
    }

    /// Association: what the channel wants sent next.
    pub(super) fn take_outgoing(&self) -> Option<Outgoing> {
        self.listed.set(false);
        self.outgoing.borrow_mut().pop_front()
    }

    /// Association: tells the channel something. False: it should not read more of this channel until
    /// [`Self::reads_again`].
    pub(super) fn tell(&self, incoming: Incoming) -> bool {
        if let Incoming::Message(message) = &incoming {
            self.undelivered.set(self.undelivered.get() + message.data.len() + MESSAGE_OVERHEAD);
        }
        self.incoming.borrow_mut().push_back(incoming);
        wake(&self.actor);
        let has_room = self.undelivered.get() < LINK_HIGH_WATER;
        self.stopped_reading.set(!has_room);
        has_room
    }

    /// Association: whether a channel that was not to be read may be read again.
    pub(super) fn reads_again(&self) -> bool {
        self.stopped_reading.get() && self.undelivered.get() <= LINK_LOW_WATER && {
            self.stopped_reading.set(false);
            true
        }
    }

    /// Association: these bytes were sent for the first time, or given up.
    pub(super) fn sent(&self, bytes: usize, room: usize) {
        self.end.sent(bytes, room);
        let before = self.unsent.get();
        let after = before.saturating_sub(room);
        self.unsent.set(after);
        if before > LINK_LOW_WATER && after <= LINK_LOW_WATER {
            wake(&self.actor);
        }
    }

    /// Guard: the actor is gone after a panic. Its stream is reset, its application told.
    pub(super) fn abandon(&self) {
        self.incoming.borrow_mut().clear();
        self.undelivered.set(0);
        self.end.closed(Some(RtcError::OperationError("the channel's actor has failed".to_owned())));
        let mut outgoing = self.outgoing.borrow_mut();
        outgoing.clear();
        outgoing.push_back(Outgoing::Close);
        drop(outgoing);
        self.list();
    }

    fn list(&self) {
        if !self.listed.replace(true) {
            self.ready.add(self.key);
        }
    }
}

/// One channel.
pub struct DataChannel {
    link: Rc<Link>,
    /// The application has closed the channel: it will want nothing more.
    finished: bool,
}

impl DataChannel {
    pub(super) fn new(link: Rc<Link>) -> Self {
        Self { link, finished: false }
    }

    /// Hands on what the application wants, as far as the link has room.
    fn take_outgoing(&mut self, cx: &mut TaskContext<'_>) -> bool {
        let link = &self.link;
        for _ in 0..kit::INPUT_BUDGET {
            // After this, `Link::sent` wakes the actor.
            if self.finished || link.unsent.get() >= LINK_HIGH_WATER {
                return false;
            }
            let Poll::Ready(outgoing) = link.end.poll_outgoing(cx) else { return false };
            match &outgoing {
                Outgoing::Message(message) => {
                    link.unsent.set(link.unsent.get() + message.data.len().max(1));
                }
                Outgoing::Close => self.finished = true,
            }
            link.outgoing.borrow_mut().push_back(outgoing);
            link.list();
        }
        true
    }

    /// Hands on what has come, as far as the application has room.
    fn take_incoming(&mut self, cx: &mut TaskContext<'_>, ctx: &mut MeteredContext<Self>) -> bool {
        let link = &self.link;
        for _ in 0..kit::INPUT_BUDGET {
            let is_message = matches!(link.incoming.borrow().front(), Some(Incoming::Message(_)));
            let waits = is_message
                && link.end.state() == RtcDataChannelState::Open
                // An end must not wait for a reader: then there is as much unread as the link held.
                && !self.has_ended()
                && link.end.poll_ready(cx).is_pending();
            if waits {
                return false;
            }
            let Some(incoming) = link.incoming.borrow_mut().pop_front() else { return false };
            match incoming {
                Incoming::Identified(id) => link.end.identify(id),
                Incoming::Open => link.end.open(),
                Incoming::Message(message) => self.deliver(message),
                Incoming::Closing => link.end.closing(),
                Incoming::Closed(error) => {
                    link.end.closed(error.as_ref().map(to_error));
                    ctx.stop();
                }
                Incoming::ClosedSilently => {
                    link.end.closed_silently();
                    ctx.stop();
                }
            }
        }
        true
    }

    fn has_ended(&self) -> bool {
        let incoming = self.link.incoming.borrow();
        matches!(incoming.back(), Some(Incoming::Closing | Incoming::Closed(_) | Incoming::ClosedSilently))
    }

    fn deliver(&self, message: Message) {
        let link = &self.link;
        link.undelivered.set(link.undelivered.get().saturating_sub(message.data.len() + MESSAGE_OVERHEAD));
        if link.stopped_reading.get() && link.undelivered.get() <= LINK_LOW_WATER {
            link.list();
        }
        if !link.end.deliver(message) {
            kit::statistics().drop(DropReason::MessageUnread, 1);
        }
    }
}

/// W3C webrtc-pc §6.2: an `RTCError` with the detail `sctp-failure` or `data-channel-failure` is an
/// `OperationError`; the loss of the transport a `NetworkError`.
fn to_error(error: &SctpError) -> RtcError {
    match error {
        SctpError::TransportLost | SctpError::Stalled => RtcError::NetworkError(error.to_string()),
        _ => RtcError::OperationError(error.to_string()),
    }
}

/// Keeps the waker of the task that runs, if it is not known already.
fn remember(place: &RefCell<Option<Waker>>, cx: &TaskContext<'_>) {
    let mut waker = place.borrow_mut();
    if waker.as_ref().is_none_or(|known| !known.will_wake(cx.waker())) {
        *waker = Some(cx.waker().clone());
    }
}

fn wake(place: &RefCell<Option<Waker>>) {
    if let Some(waker) = &*place.borrow() {
        waker.wake_by_ref();
    }
}

impl Metered for DataChannel {
    const KIND: ActorKind = ActorKind::DataChannel;
}

impl Actor for DataChannel {
    type Context = MeteredContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        kit::drive::<Self>(ctx);
    }
}

impl Supervised for DataChannel {}

impl Driven for DataChannel {
    fn take_input(&mut self, cx: &mut TaskContext<'_>, _: Instant, ctx: &mut Self::Context) -> bool {
        remember(&self.link.actor, cx);
        self.take_incoming(cx, ctx) | self.take_outgoing(cx)
    }

    fn flush(&mut self, _: Instant, _: &mut Self::Context) {}

    fn deadline(&self) -> Option<Instant> {
        None
    }

    fn handle_deadline(&mut self, _: Instant, _: &mut Self::Context) {}
}

#[cfg(feature = "fault-injection")]
crate::actors::fault_injection::impl_boom!(DataChannel);
