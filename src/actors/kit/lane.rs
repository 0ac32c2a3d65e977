//! A bounded path for bulk traffic into one actor, beside its mailbox.
//!
//! Pushing never waits and never fails: when a lane is full, its oldest items go, because for media and for
//! everything that is retransmitted the newest is worth most. The receiver learns how much it missed, and takes a
//! bounded amount per poll, so that control messages and timers stay prompt under any load.
//!
//! Capacity and drops are counted in packets ([`Weight`]), waits per item.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Waker},
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use smallvec::{Array, SmallVec};

use super::{
    doorbell::Doorbell,
    kind::{DropReason, LaneKind},
    stats::{Statistics, all_statistics, statistics},
};
use crate::proto::prefetch::{Reach, prefetch};

/// How many packets an item is.
pub trait Weight {
    /// Number of packets; an item counts as at least one.
    fn weight(&self) -> usize;
}

impl<T> Weight for [T] {
    fn weight(&self) -> usize {
        self.len()
    }
}

impl<T> Weight for Vec<T> {
    fn weight(&self) -> usize {
        self.len()
    }
}

impl<A: Array> Weight for SmallVec<A> {
    fn weight(&self) -> usize {
        self.len()
    }
}

impl<T: Weight + ?Sized> Weight for Arc<T> {
    fn weight(&self) -> usize {
        (**self).weight()
    }
}

impl<T: Weight + ?Sized> Weight for Box<T> {
    fn weight(&self) -> usize {
        (**self).weight()
    }
}

impl Weight for Bytes {
    fn weight(&self) -> usize {
        1
    }
}

impl Weight for BytesMut {
    fn weight(&self) -> usize {
        1
    }
}

/// Makes a lane that holds at most `capacity` packets, none longer than `max_age`.
pub fn lane<T: Weight>(
    kind: LaneKind,
    capacity: usize,
    max_age: Option<Duration>,
) -> (LaneSender<T>, LaneReceiver<T>) {
    let queue = Mutex::new(Queue {
        items: VecDeque::new(),
        weight: 0,
        closed: false,
        abandoned: false,
        waker: None,
        pushed: 0,
        dropped_full: 0,
        missed: 0,
    });
    let (senders, receivers) = (AtomicUsize::new(1), AtomicUsize::new(1));
    let shared = Shared { kind, capacity, max_age, senders, receivers, bell: OnceLock::new(), queue };
    let shared = Arc::new(shared);
    (LaneSender { shared: Arc::clone(&shared) }, LaneReceiver { shared })
}

/// Both ends hold this very value and nothing between: a lane is cold when it is used, and every further hop is one
/// more wait for memory.
struct Shared<T> {
    kind: LaneKind,
    capacity: usize,
    max_age: Option<Duration>,
    /// Ends of each sort; the last one says that it goes.
    senders: AtomicUsize,
    receivers: AtomicUsize,
    /// Rung with this bit for what is pushed, in place of waking by `Queue::waker`.
    bell: OnceLock<(Doorbell, u32)>,
    queue: Mutex<Queue<T>>,
}

struct Queue<T> {
    items: VecDeque<Entry<T>>,
    /// Sum of the items' weights.
    weight: usize,
    closed: bool,
    /// The last sender is gone.
    abandoned: bool,
    /// Present while the receiver sleeps on an empty lane.
    waker: Option<Waker>,
    /// Counted here, under the lock, and moved to the receiver's shard when it takes: single-writer there.
    pushed: u64,
    dropped_full: u64,
    /// Packets dropped since the receiver last asked.
    missed: u64,
}

struct Entry<T> {
    item: T,
    weight: usize,
    pushed: Instant,
}

impl<T> Queue<T> {
    fn pop(&mut self) -> Option<Entry<T>> {
        let entry = self.items.pop_front()?;
        self.weight -= entry.weight;
        Some(entry)
    }
}

/// The way in: cheap to clone, usable from any thread. The last one wakes the receiver when it is dropped, so that a
/// reader can end.
pub struct LaneSender<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Drop for LaneSender<T> {
    fn drop(&mut self) {
        // As `Arc` counts: who is last sees all that the others did.
        if self.shared.senders.fetch_sub(1, Ordering::AcqRel) > 1 {
            return;
        }
        let waker = {
            let mut queue = self.shared.queue.lock();
            queue.abandoned = true;
            queue.waker.take()
        };
        self.shared.wake(waker);
    }
}

impl<T: Weight> LaneSender<T> {
    /// Appends one item; `now` is when it was ready. False: the lane is closed.
    pub fn push(&self, now: Instant, item: T) -> bool {
        self.push_all(now, std::iter::once(item))
    }

    /// Appends items under one lock and with at most one wake-up. The iterator must not use this lane. False: the
    /// lane is closed, and drops them.
    pub fn push_all(&self, now: Instant, items: impl Iterator<Item = T>) -> bool {
        let mut lost = 0;
        // Items that fall out are dropped after the lock is released: a drop may run any code.
        let mut fallen: SmallVec<[Entry<T>; 4]> = SmallVec::new();
        let is_closed = {
            let mut queue = self.shared.queue.lock();
            let before = queue.weight;
            for item in items {
                let weight = item.weight().max(1);
                if queue.closed {
                    lost += weight as u64;
                    continue;
                }
                self.shared.append(&mut queue, Entry { item, weight, pushed: now }, &mut fallen);
            }
            self.shared.count_depth(before, queue.weight);
            let is_closed = queue.closed;
            if !queue.items.is_empty() {
                let waker = queue.waker.take();
                drop(queue);
                self.shared.wake(waker);
            }
            is_closed
        };
        if lost > 0 {
            statistics().drop(DropReason::LaneClosed, lost);
        }
        !is_closed
    }
}

/// Packets that wait now in all lanes of this kind. The two ends of a lane can be on different threads, and each counts
/// with its own: a lane whose receiver is stuck is seen to fill, and threads do not fight for a line of cache.
pub fn lane_depth(kind: LaneKind) -> i64 {
    all_statistics().iter().map(|statistics| statistics.lanes[kind].depth.get()).sum()
}

impl<T> Shared<T> {
    /// Tells the receiver that something has come, or that nothing will any more.
    fn wake(&self, waker: Option<Waker>) {
        if let Some((bell, bit)) = self.bell.get() {
            bell.ring(*bit);
        }
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Notes that the lane's weight has changed.
    fn count_depth(&self, before: usize, after: usize) {
        if before != after {
            statistics().lanes[self.kind].depth.add(after as i64 - before as i64);
        }
    }

    fn append(&self, queue: &mut Queue<T>, entry: Entry<T>, fallen: &mut SmallVec<[Entry<T>; 4]>) {
        queue.pushed += entry.weight as u64;
        queue.weight += entry.weight;
        if queue.items.capacity() == 0 {
            // Most lanes of a peer never hold more than one item; the collection's own first step is four.
            queue.items.reserve_exact(1);
        }
        queue.items.push_back(entry);
        // An item heavier than the whole lane falls out itself: the bound holds always.
        while queue.weight > self.capacity
            && let Some(oldest) = queue.pop()
        {
            queue.dropped_full += oldest.weight as u64;
            queue.missed += oldest.weight as u64;
            fallen.push(oldest);
        }
    }

    /// Moves what was counted under the lock to the current thread's statistics.
    fn settle(&self, statistics: &Statistics, counts: &Counts) {
        let lane = &statistics.lanes[self.kind];
        lane.pushed.add(counts.pushed);
        lane.taken.add(counts.taken);
        if counts.dropped_full > 0 {
            lane.dropped_full.add(counts.dropped_full);
            statistics.drop(DropReason::LaneFull, counts.dropped_full);
        }
        if counts.dropped_age > 0 {
            lane.dropped_age.add(counts.dropped_age);
            statistics.drop(DropReason::LaneAge, counts.dropped_age);
        }
    }
}

/// What happened on a lane since the receiver last looked.
#[derive(Default)]
struct Counts {
    pushed: u64,
    taken: u64,
    dropped_full: u64,
    dropped_age: u64,
}

impl<T> LaneSender<T> {
    /// Packets that wait.
    #[cfg(test)]
    pub(super) fn depth(&self) -> usize {
        self.shared.queue.lock().weight
    }

    /// Something is to be pushed soon: see [`prefetch`](crate::proto::prefetch).
    pub fn prefetch(&self, reach: Reach) {
        match reach {
            Reach::Itself => {}
            Reach::Referred => prefetch(&*self.shared),
            Reach::Beyond => self.shared.bell.get().into_iter().for_each(|(bell, _)| bell.prefetch()),
        }
    }

    /// Whether the receiver is gone or has closed the lane; what is pushed then is dropped.
    pub fn is_closed(&self) -> bool {
        self.shared.queue.lock().closed
    }
}

impl<T> Clone for LaneSender<T> {
    fn clone(&self) -> Self {
        self.shared.senders.fetch_add(1, Ordering::Relaxed);
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T> fmt::Debug for LaneSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LaneSender").field("kind", &self.shared.kind).finish_non_exhaustive()
    }
}

/// What [`LaneReceiver::take`] says besides what it moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// More wait.
    pub more: bool,
    /// Packets dropped since the last call: there is a gap before what was taken now.
    pub dropped: u64,
    /// Nothing waits and nothing can come any more: the last sender is gone.
    pub is_abandoned: bool,
}

/// The way out: kept in the receiving actor, where it survives a restart. When the last clone is dropped, the lane
/// closes.
pub struct LaneReceiver<T> {
    shared: Arc<Shared<T>>,
}

impl<T> LaneReceiver<T> {
    /// From now on the lane rings `bell` with the bits `bit` whenever something comes, and now if something waits.
    /// Then [`LaneReceiver::poll_take`] wakes nobody. Once in the life of a lane; a second bell is ignored.
    pub fn rings(&self, bell: &Doorbell, bit: u32) {
        if self.shared.bell.set((bell.clone(), bit)).is_err() {
            return;
        }
        // After the bell is there: what is pushed meanwhile rings by itself, and twice does no harm.
        let queue = self.shared.queue.lock();
        if !queue.items.is_empty() || queue.abandoned {
            drop(queue);
            bell.ring(bit);
        }
    }

    /// Moves at most `budget` packets to `out` (one item in any case) and says whether more wait.
    ///
    /// If none wait, the task of `cx` is woken by the next push (unless the lane [rings](LaneReceiver::rings)); if some
    /// do, the caller must come back by itself.
    /// Items that waited longer than the lane's `max_age` are dropped on the way.
    pub fn poll_take(&self, cx: &mut Context<'_>, now: Instant, budget: usize, out: &mut Vec<T>) -> bool {
        self.take_and(now, budget, out, |queue| {
            let more = !queue.items.is_empty();
            if !more
                && self.shared.bell.get().is_none()
                && !queue.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()))
            {
                queue.waker = Some(cx.waker().clone());
            }
            more
        })
    }

    /// The same of a lane that [rings](LaneReceiver::rings), and all there is to know of it then.
    pub fn take(&self, now: Instant, budget: usize, out: &mut Vec<T>) -> Taken {
        self.take_and(now, budget, out, |queue| Taken {
            more: !queue.items.is_empty(),
            dropped: std::mem::take(&mut queue.missed),
            is_abandoned: queue.abandoned && queue.items.is_empty(),
        })
    }

    /// Moves items to `out`, then asks `then` while the lane is still locked.
    fn take_and<R>(
        &self,
        now: Instant,
        budget: usize,
        out: &mut Vec<T>,
        then: impl FnOnce(&mut Queue<T>) -> R,
    ) -> R {
        let shared = &*self.shared;
        let mut counts = Counts::default();
        let mut stale: SmallVec<[Entry<T>; 4]> = SmallVec::new();
        let begin = out.len();
        let statistics = statistics();
        let wait = &statistics.lanes[shared.kind].wait;
        let mut queue = shared.queue.lock();
        let before = queue.weight;
        if out.capacity() == 0 {
            out.reserve_exact(queue.items.len().min(budget));
        }
        while let Some(front) = queue.items.front() {
            let waited = now.saturating_duration_since(front.pushed);
            let too_old = shared.max_age.is_some_and(|max_age| waited > max_age);
            let fits = out.len() == begin || counts.taken as usize + front.weight <= budget;
            if !too_old && !fits {
                break;
            }
            let Some(entry) = queue.pop() else { break };
            if too_old {
                counts.dropped_age += entry.weight as u64;
                queue.missed += entry.weight as u64;
                stale.push(entry);
            } else {
                counts.taken += entry.weight as u64;
                wait.record(waited);
                out.push(entry.item);
            }
        }
        if queue.items.is_empty() && shared.kind == LaneKind::Events {
            // They come in bursts, at the beginning of a connection.
            queue.items.shrink_to(1);
        }
        let answer = then(&mut queue);
        counts.pushed = std::mem::take(&mut queue.pushed);
        counts.dropped_full = std::mem::take(&mut queue.dropped_full);
        let after = queue.weight;
        drop(queue);
        if before != after {
            statistics.lanes[shared.kind].depth.add(after as i64 - before as i64);
        }
        if counts.pushed + counts.taken + counts.dropped_age > 0 {
            shared.settle(&statistics, &counts);
        }
        answer
    }

    /// Packets dropped since the last call: there is a gap before what is taken next.
    pub fn take_dropped(&self) -> u64 {
        std::mem::take(&mut self.shared.queue.lock().missed)
    }

    /// Ends the lane: what waits is dropped, and so is what is still pushed.
    pub fn close(&self) {
        self.shared.close();
    }

    /// Whether nothing waits and nothing can come any more: the last sender is gone.
    pub fn is_abandoned(&self) -> bool {
        let queue = self.shared.queue.lock();
        queue.abandoned && queue.items.is_empty()
    }

    /// Packets that wait.
    pub fn depth(&self) -> usize {
        self.shared.queue.lock().weight
    }
}

impl<T> Shared<T> {
    fn close(&self) {
        let mut queue = self.queue.lock();
        if std::mem::replace(&mut queue.closed, true) {
            return;
        }
        let left = std::mem::take(&mut queue.items);
        let waiting = std::mem::take(&mut queue.weight);
        self.count_depth(waiting, 0);
        let lost = waiting as u64;
        queue.waker = None;
        let counts = Counts {
            pushed: std::mem::take(&mut queue.pushed),
            dropped_full: std::mem::take(&mut queue.dropped_full),
            ..Counts::default()
        };
        drop(queue);
        drop(left);
        let statistics = statistics();
        self.settle(&statistics, &counts);
        statistics.drop(DropReason::LaneClosed, lost);
    }
}

impl<T> Drop for LaneReceiver<T> {
    fn drop(&mut self) {
        if self.shared.receivers.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shared.close();
        }
    }
}

impl<T> Clone for LaneReceiver<T> {
    fn clone(&self) -> Self {
        self.shared.receivers.fetch_add(1, Ordering::Relaxed);
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T> fmt::Debug for LaneReceiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LaneReceiver").field("kind", &self.shared.kind).finish_non_exhaustive()
    }
}
