//! The application's datagrams: what is sent waits for room, what arrives waits to be taken.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::{
    actors::{
        ice_connection::IceAgentHandle,
        kit::{self, LaneReceiver},
        network::Inbound,
    },
    messages::{error::RtcError, ice_connection::DatagramCounters},
};

/// The longest datagram that UDP carries over IPv4: 65,535 bytes less the headers. What is longer than the path
/// allows (1,200 bytes are safe) is fragmented, or lost.
pub const DATAGRAM_LENGTH_MAX: usize = 65_507;

/// Datagrams moved out of the queue at once.
const TAKEN_AT_ONCE: usize = 64;

/// What went through a component. Neither headers nor connectivity checks count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct IceTraffic {
    /// Datagrams handed to the kernel, or to a relay.
    pub datagrams_sent: u64,
    /// Bytes in them.
    pub bytes_sent: u64,
    /// Datagrams that were accepted and could not be sent: the pair was lost before, or the shard's send queue
    /// was full.
    pub datagrams_discarded_on_send: u64,
    /// Datagrams that the application took.
    pub datagrams_received: u64,
    /// Bytes in them.
    pub bytes_received: u64,
    /// Datagrams that fell out of the queue, the oldest first, because the application took none.
    pub datagrams_discarded_on_receive: u64,
}

impl From<&DatagramCounters> for IceTraffic {
    fn from(counters: &DatagramCounters) -> Self {
        Self {
            datagrams_sent: counters.sent.load(Relaxed),
            bytes_sent: counters.bytes_sent.load(Relaxed),
            datagrams_discarded_on_send: counters.send_dropped.load(Relaxed),
            datagrams_received: counters.received.load(Relaxed),
            bytes_received: counters.bytes_received.load(Relaxed),
            datagrams_discarded_on_receive: counters.receive_dropped.load(Relaxed),
        }
    }
}

/// The sending half of a component.
#[derive(Clone)]
pub(super) struct Outbound {
    pub(super) component: u8,
    queue: mpsc::Sender<Bytes>,
}

impl Outbound {
    /// Waits for room.
    pub(super) async fn send(&self, datagram: Bytes) -> Result<(), RtcError> {
        check_length(&datagram)?;
        self.queue.send(datagram).await.map_err(|_| ended())
    }

    /// False if there is no room.
    pub(super) fn try_send(&self, datagram: Bytes) -> Result<bool, RtcError> {
        check_length(&datagram)?;
        match self.queue.try_send(datagram) {
            Ok(()) => Ok(true),
            Err(mpsc::error::TrySendError::Full(_)) => Ok(false),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(ended()),
        }
    }
}

fn check_length(datagram: &Bytes) -> Result<(), RtcError> {
    match datagram.len() {
        0 => Err(RtcError::DataError("an empty datagram is not sent".to_owned())),
        1..=DATAGRAM_LENGTH_MAX => Ok(()),
        length => Err(RtcError::DataError(format!("{length} bytes are more than a datagram holds"))),
    }
}

fn ended() -> RtcError {
    RtcError::InvalidStateError("the component has ended".to_owned())
}

/// The datagrams of one component: those of an agent that is spoken to by messages.
pub struct IceDatagrams {
    inbound: Inbox,
    outbound: Outbound,
}

impl IceDatagrams {
    pub(super) fn new(handle: IceAgentHandle) -> Self {
        let (inbound, outbound) = split(handle);
        Self { inbound, outbound }
    }

    /// Queues a datagram for the selected pair; waits for room. Without a pair it is dropped and counted.
    /// Cancel-safe: a dropped future has queued nothing.
    ///
    /// # Errors
    /// [`RtcError::DataError`] for an empty datagram or one longer than [`DATAGRAM_LENGTH_MAX`];
    /// [`RtcError::InvalidStateError`] when the agent has ended.
    pub async fn send(&self, datagram: impl Into<Bytes>) -> Result<(), RtcError> {
        self.outbound.send(datagram.into()).await
    }

    /// The next datagram of the peer; `None` when the agent has ended. Cancel-safe.
    pub async fn recv(&mut self) -> Option<Bytes> {
        std::future::poll_fn(|cx| match self.inbound.poll_next(cx) {
            Poll::Ready(datagram) => Poll::Ready(Some(datagram)),
            Poll::Pending if self.inbound.lane.is_abandoned() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// What went through.
    pub fn traffic(&self) -> IceTraffic {
        IceTraffic::from(&*self.inbound.counters)
    }
}

impl std::fmt::Debug for IceDatagrams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IceDatagrams").field("traffic", &self.traffic()).finish_non_exhaustive()
    }
}

/// The receiving half of a component.
pub(super) struct Inbox {
    component: u8,
    lane: LaneReceiver<Inbound>,
    taken: VecDeque<Inbound>,
    scratch: Vec<Inbound>,
    counters: Arc<DatagramCounters>,
}

impl Inbox {
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        if self.taken.is_empty() {
            self.lane.poll_take(cx, kit::now(), TAKEN_AT_ONCE, &mut self.scratch);
            self.taken.extend(self.scratch.drain(..));
            let dropped = self.lane.take_dropped();
            if dropped > 0 {
                self.counters.receive_dropped.fetch_add(dropped, Relaxed);
            }
        }
        match self.taken.pop_front() {
            Some(inbound) => {
                self.counters.received.fetch_add(1, Relaxed);
                self.counters.bytes_received.fetch_add(inbound.payload.len() as u64, Relaxed);
                Poll::Ready(inbound.payload.freeze())
            }
            None => Poll::Pending,
        }
    }
}

pub(super) fn split(handle: IceAgentHandle) -> (Inbox, Outbound) {
    let IceAgentHandle { component, outbound, inbound, counters, .. } = handle;
    let inbox = Inbox { component, lane: inbound, taken: VecDeque::new(), scratch: Vec::new(), counters };
    (inbox, Outbound { component, queue: outbound })
}

/// The receiving halves of all components, in turn.
pub(super) struct Inboxes {
    list: Vec<Inbox>,
    next: usize,
}

impl Inboxes {
    pub(super) fn new(list: Vec<Inbox>) -> Self {
        Self { list, next: 0 }
    }

    /// A datagram and its component; no component is served twice while another has something.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<(Bytes, u8)> {
        for offset in 0..self.list.len() {
            let index = (self.next + offset) % self.list.len();
            let inbox = &mut self.list[index];
            if let Poll::Ready(datagram) = inbox.poll_next(cx) {
                self.next = index + 1;
                return Poll::Ready((datagram, inbox.component));
            }
        }
        Poll::Pending
    }
}
