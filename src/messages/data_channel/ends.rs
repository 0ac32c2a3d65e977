//! One data channel as both sides see it: the application through its handle, and the actors.
//!
//! A [`DataChannel`] is a handle, a [`ChannelEnd`] what the `DataChannel` actor holds of the same
//! channel. Between them lie two queues:
//!
//! - towards the network, bounded by [`SEND_HIGH_WATER`] bytes: who wants to send waits for room.
//!   A byte keeps its room until it was given to the network for the first time;
//! - towards the application, bounded by [`UNREAD_HIGH_WATER`]: beyond it the actor takes no more
//!   messages of this channel, and the peer is slowed down by SCTP's receive window.
//!
//! Nothing that was accepted is dropped by either. States (W3C webrtc-pc §6.2):
//!
//! ```text
//!   connecting ──▶ open ──close(), or the peer──▶ closing ──both directions reset──▶ closed
//!        └───────────┴────────── association lost: error, close ───────────────────────▶┘
//! ```

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc,
        atomic::{
            AtomicU64, AtomicUsize,
            Ordering::{AcqRel, Acquire, Relaxed},
        },
    },
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;
use tokio::sync::{Semaphore, TryAcquireError};

use super::{
    DataChannelStatistics, RtcDataChannelEvent, RtcDataChannelMessage, RtcDataChannelState, TrySendError,
};
use crate::{
    messages::error::RtcError,
    proto::sctp::{ChannelParameters, Message},
};

/// Bytes that one channel accepts before they were sent: enough to fill 100 ms of 80 Mbit/s.
pub const SEND_HIGH_WATER: usize = 1 << 20;
/// Bytes that wait for an application that does not read, per channel.
pub const UNREAD_HIGH_WATER: usize = 1 << 20;
/// When so much has been read of a full queue, the actor takes messages again.
const UNREAD_LOW_WATER: usize = UNREAD_HIGH_WATER / 2;
/// What a waiting message costs besides its bytes, so that empty ones are bounded as well.
const MESSAGE_OVERHEAD: usize = 64;

/// What both ends share.
struct Shared {
    parameters: ChannelParameters,
    place: Mutex<Place>,
    /// Room in the send queue, in bytes. Closed when nothing more is accepted.
    room: Semaphore,
    /// Room that is taken.
    taken: AtomicUsize,
    buffered_amount: AtomicUsize,
    low_threshold: AtomicUsize,
    /// The association's limit, shared by its channels.
    max_message_size: Arc<AtomicU64>,
    outbound: Mutex<Outbound>,
    inbound: Mutex<Inbound>,
    counters: ChannelCounters,
    /// How many handles there are.
    handles: AtomicUsize,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    state: RtcDataChannelState,
    id: Option<u16>,
}

#[derive(Default)]
struct ChannelCounters {
    messages_sent: AtomicU64,
    bytes_sent: AtomicU64,
    messages_received: AtomicU64,
    bytes_received: AtomicU64,
}

/// On its way from the application to the actor.
#[derive(Default)]
struct Outbound {
    messages: VecDeque<Message>,
    /// The application closes the channel, behind its messages.
    close: bool,
    waker: Option<Waker>,
}

/// On its way from the actor to the application.
#[derive(Default)]
struct Inbound {
    events: VecDeque<RtcDataChannelEvent>,
    /// Bytes of the messages among them, with overhead.
    unread: usize,
    /// More than the high-water mark was unread since the actor was last told of room.
    full: bool,
    /// There is one among the events: a second says nothing new.
    low_pending: bool,
    /// No event follows.
    ended: bool,
    /// The application, waiting for an event.
    waker: Option<Waker>,
    /// The actor, waiting for room.
    actor: Option<Waker>,
}

/// The application's handle to a channel. Clones are handles to the same channel. A channel lives
/// until it is closed or its connection ends, even without handles; messages that nobody can read any
/// more are discarded.
pub struct DataChannel {
    shared: Arc<Shared>,
}

/// The actors' end of a channel. When it is dropped, the channel is closed.
pub struct ChannelEnd {
    shared: Arc<Shared>,
}

/// What the application wants next of its channel.
#[derive(Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// To send this.
    Message(Message),
    /// To close the channel; nothing follows.
    Close,
}

/// Makes the two ends of a channel. `max_message_size` is the association's limit, which may change
/// until the channel is open.
pub fn channel(parameters: ChannelParameters, max_message_size: Arc<AtomicU64>) -> (DataChannel, ChannelEnd) {
    let id = parameters.negotiated;
    let shared = Arc::new(Shared {
        parameters,
        place: Mutex::new(Place { state: RtcDataChannelState::Connecting, id }),
        room: Semaphore::new(SEND_HIGH_WATER),
        taken: AtomicUsize::new(0),
        buffered_amount: AtomicUsize::new(0),
        low_threshold: AtomicUsize::new(0),
        max_message_size,
        outbound: Mutex::default(),
        inbound: Mutex::default(),
        counters: ChannelCounters::default(),
        handles: AtomicUsize::new(1),
    });
    (DataChannel { shared: Arc::clone(&shared) }, ChannelEnd { shared })
}

impl DataChannel {
    /// What it was opened with.
    pub fn parameters(&self) -> &ChannelParameters {
        &self.shared.parameters
    }

    /// Where it stands.
    pub fn state(&self) -> RtcDataChannelState {
        self.shared.place.lock().state
    }

    /// The stream identifier, once there is one.
    pub fn id(&self) -> Option<u16> {
        self.shared.place.lock().id
    }

    /// Bytes accepted and not yet given to the network.
    pub fn buffered_amount(&self) -> usize {
        self.shared.buffered_amount.load(Relaxed)
    }

    /// See [`Self::set_buffered_amount_low_threshold`].
    pub fn buffered_amount_low_threshold(&self) -> usize {
        self.shared.low_threshold.load(Relaxed)
    }

    /// When the buffered amount falls to this, there is an event.
    pub fn set_buffered_amount_low_threshold(&self, bytes: usize) {
        self.shared.low_threshold.store(bytes, Relaxed);
    }

    /// Accepts a message, as soon as there is room for it. Cancel-safe: a future that is dropped has
    /// sent nothing.
    ///
    /// # Errors
    /// [`RtcError::InvalidStateError`] unless open; [`RtcError::TypeError`] when the peer does not
    /// take messages of this size.
    pub async fn send(&self, message: RtcDataChannelMessage) -> Result<(), RtcError> {
        self.check(&message)?;
        let room = room_for(message.len());
        match self.shared.room.acquire_many(room).await {
            Ok(permit) => permit.forget(),
            Err(_) => return Err(not_open()),
        }
        self.push(message, room as usize)
    }

    /// Accepts a message if there is room for it now.
    ///
    /// # Errors
    /// [`TrySendError::WouldBlock`] gives the message back; for the others see [`Self::send`].
    pub fn try_send(&self, message: RtcDataChannelMessage) -> Result<(), TrySendError> {
        self.check(&message)?;
        let room = room_for(message.len());
        match self.shared.room.try_acquire_many(room) {
            Ok(permit) => permit.forget(),
            Err(TryAcquireError::NoPermits) => return Err(TrySendError::WouldBlock(message)),
            Err(TryAcquireError::Closed) => return Err(not_open().into()),
        }
        Ok(self.push(message, room as usize)?)
    }

    fn check(&self, message: &RtcDataChannelMessage) -> Result<(), RtcError> {
        if self.state() != RtcDataChannelState::Open {
            return Err(not_open());
        }
        let limit = self.shared.max_message_size.load(Relaxed);
        if message.len() as u64 > limit {
            return Err(RtcError::TypeError(format!(
                "a message of {} bytes is larger than the {limit} bytes that the peer takes",
                message.len()
            )));
        }
        Ok(())
    }

    fn push(&self, message: RtcDataChannelMessage, room: usize) -> Result<(), RtcError> {
        let shared = &self.shared;
        let length = message.len();
        let waker = {
            let mut outbound = shared.outbound.lock();
            // Closed while this waited for room.
            if outbound.close || self.state() != RtcDataChannelState::Open {
                return Err(not_open());
            }
            shared.taken.fetch_add(room, Relaxed);
            shared.buffered_amount.fetch_add(length, Relaxed);
            outbound.messages.push_back(message.into());
            outbound.waker.take()
        };
        shared.counters.messages_sent.fetch_add(1, Relaxed);
        shared.counters.bytes_sent.fetch_add(length as u64, Relaxed);
        wake(waker);
        Ok(())
    }

    /// Closes the channel: what was accepted is still sent. Does nothing when that has begun.
    pub fn close(&self) {
        {
            let mut place = self.shared.place.lock();
            if matches!(place.state, RtcDataChannelState::Closing | RtcDataChannelState::Closed) {
                return;
            }
            place.state = RtcDataChannelState::Closing;
        }
        self.shared.room.close();
        let waker = {
            let mut outbound = self.shared.outbound.lock();
            outbound.close = true;
            outbound.waker.take()
        };
        wake(waker);
    }

    /// The next event; `None` when none will come. Several readers take them from each other.
    pub fn poll_event(&self, cx: &mut Context<'_>) -> Poll<Option<RtcDataChannelEvent>> {
        let (event, actor) = {
            let mut inbound = self.shared.inbound.lock();
            let Some(event) = inbound.events.pop_front() else {
                if inbound.ended {
                    return Poll::Ready(None);
                }
                inbound.waker = Some(cx.waker().clone());
                return Poll::Pending;
            };
            match &event {
                RtcDataChannelEvent::Message(message) => {
                    inbound.unread -= message.len() + MESSAGE_OVERHEAD;
                }
                RtcDataChannelEvent::BufferedAmountLow => inbound.low_pending = false,
                _ => {}
            }
            let has_room = inbound.full && inbound.unread <= UNREAD_LOW_WATER;
            if has_room {
                inbound.full = false;
            }
            (event, if has_room { inbound.actor.take() } else { None })
        };
        wake(actor);
        Poll::Ready(Some(event))
    }

    /// The counters.
    pub fn statistics(&self) -> DataChannelStatistics {
        self.shared.statistics()
    }
}

impl fmt::Debug for DataChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataChannel")
            .field("label", &self.shared.parameters.label)
            .field("place", &*self.shared.place.lock())
            .finish_non_exhaustive()
    }
}

impl PartialEq for DataChannel {
    /// Whether both are handles to one channel.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl Clone for DataChannel {
    fn clone(&self) -> Self {
        self.shared.handles.fetch_add(1, Relaxed);
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl Drop for DataChannel {
    fn drop(&mut self) {
        if self.shared.handles.fetch_sub(1, AcqRel) == 1 {
            // Nobody can read any more: the actor need not wait for it.
            let actor = self.shared.inbound.lock().actor.take();
            wake(actor);
        }
    }
}

impl ChannelEnd {
    /// What the channel was opened with.
    pub fn parameters(&self) -> &ChannelParameters {
        &self.shared.parameters
    }

    /// Where it stands.
    pub fn state(&self) -> RtcDataChannelState {
        self.shared.place.lock().state
    }

    /// Takes what the application wants next. When that is nothing, `cx` is woken by the next wish.
    pub fn poll_outgoing(&self, cx: &mut Context<'_>) -> Poll<Outgoing> {
        let mut outbound = self.shared.outbound.lock();
        if let Some(message) = outbound.messages.pop_front() {
            return Poll::Ready(Outgoing::Message(message));
        }
        if outbound.close {
            return Poll::Ready(Outgoing::Close);
        }
        outbound.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// The channel has its stream identifier.
    pub fn identify(&self, id: u16) {
        self.shared.place.lock().id = Some(id);
    }

    /// The channel is open, unless the application has closed it by now.
    pub fn open(&self) {
        if self.advance(RtcDataChannelState::Open) {
            self.push(RtcDataChannelEvent::Open);
        }
    }

    /// The peer closes the channel: what was not sent is lost.
    pub fn closing(&self) {
        self.shared.room.close();
        if self.advance(RtcDataChannelState::Closing) {
            self.push(RtcDataChannelEvent::Closing);
        }
    }

    /// The channel is closed: an error is told before, if there is one.
    pub fn closed(&self, error: Option<RtcError>) {
        self.shared.room.close();
        if self.advance(RtcDataChannelState::Closed) {
            if let Some(error) = error {
                self.push(RtcDataChannelEvent::Error(error));
            }
            self.push(RtcDataChannelEvent::Close);
        }
        self.end();
    }

    /// W3C `RTCPeerConnection.close`: closed without an event.
    pub fn closed_silently(&self) {
        self.shared.room.close();
        self.advance(RtcDataChannelState::Closed);
        self.end();
    }

    /// A message has come. False: nobody can read it any more.
    pub fn deliver(&self, message: Message) -> bool {
        // W3C webrtc-pc §6.2: what comes when the channel is not open is discarded.
        if self.state() != RtcDataChannelState::Open || !self.has_reader() {
            return false;
        }
        let counters = &self.shared.counters;
        counters.messages_received.fetch_add(1, Relaxed);
        counters.bytes_received.fetch_add(message.data.len() as u64, Relaxed);
        self.push(RtcDataChannelEvent::Message(message.into()));
        true
    }

    /// Whether the application has taken enough for more to be delivered. If not, `cx` is woken when
    /// it has.
    pub fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut inbound = self.shared.inbound.lock();
        if inbound.unread < UNREAD_HIGH_WATER && !inbound.full || !self.has_reader() {
            return Poll::Ready(());
        }
        inbound.full = true;
        inbound.actor = Some(cx.waker().clone());
        Poll::Pending
    }

    /// `bytes` of messages, which took up `room`, were sent for the first time or given up.
    pub fn sent(&self, bytes: usize, room: usize) {
        // First the amount, then the room: who waits for room never sees more than fits.
        let shared = &self.shared;
        let before = shared.buffered_amount.load(Relaxed);
        let fallen = bytes.min(before);
        let before = shared.buffered_amount.fetch_sub(fallen, AcqRel);
        let taken = shared.taken.load(Relaxed);
        // A message larger than the queue has taken less room than it has bytes.
        let freed = room.min(taken);
        if freed > 0 {
            shared.taken.fetch_sub(freed, Relaxed);
            if !shared.room.is_closed() {
                shared.room.add_permits(freed);
            }
        }
        // A threshold that the queue can't exceed would never be crossed.
        let threshold = shared.low_threshold.load(Relaxed).min(SEND_HIGH_WATER / 2);
        if fallen > 0 && before > threshold && before - fallen <= threshold {
            let mut inbound = shared.inbound.lock();
            if std::mem::replace(&mut inbound.low_pending, true) {
                return;
            }
            drop(inbound);
            self.push(RtcDataChannelEvent::BufferedAmountLow);
        }
    }

    /// The counters.
    pub fn statistics(&self) -> DataChannelStatistics {
        self.shared.statistics()
    }

    fn has_reader(&self) -> bool {
        self.shared.handles.load(Acquire) > 0
    }

    /// Whether the state moved to `state`; it never moves back.
    fn advance(&self, state: RtcDataChannelState) -> bool {
        let mut place = self.shared.place.lock();
        let moves = (place.state as u8) < (state as u8);
        if moves {
            place.state = state;
        }
        moves
    }

    fn push(&self, event: RtcDataChannelEvent) {
        let waker = {
            let mut inbound = self.shared.inbound.lock();
            if inbound.ended {
                return;
            }
            if let RtcDataChannelEvent::Message(message) = &event {
                inbound.unread += message.len() + MESSAGE_OVERHEAD;
            }
            inbound.events.push_back(event);
            inbound.waker.take()
        };
        wake(waker);
    }

    fn end(&self) {
        let waker = {
            let mut inbound = self.shared.inbound.lock();
            inbound.ended = true;
            inbound.waker.take()
        };
        wake(waker);
    }
}

impl Drop for ChannelEnd {
    /// Its actors have ended without a word.
    fn drop(&mut self) {
        self.closed(Some(RtcError::OperationError("what carries the channel has ended".to_owned())));
    }
}

impl fmt::Debug for ChannelEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelEnd").field("label", &self.shared.parameters.label).finish_non_exhaustive()
    }
}

impl Shared {
    fn statistics(&self) -> DataChannelStatistics {
        let place = *self.place.lock();
        DataChannelStatistics {
            label: self.parameters.label.clone(),
            protocol: self.parameters.protocol.clone(),
            id: place.id,
            state: place.state,
            messages_sent: self.counters.messages_sent.load(Relaxed),
            bytes_sent: self.counters.bytes_sent.load(Relaxed),
            messages_received: self.counters.messages_received.load(Relaxed),
            bytes_received: self.counters.bytes_received.load(Relaxed),
        }
    }
}

/// A message larger than the whole queue takes all of it; an empty one takes a byte, as on the wire.
fn room_for(length: usize) -> u32 {
    length.clamp(1, SEND_HIGH_WATER) as u32
}

fn not_open() -> RtcError {
    RtcError::InvalidStateError("the data channel is not open".to_owned())
}

/// After the lock is released: waking may run any code.
fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
