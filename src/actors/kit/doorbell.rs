//! One bell for all lanes of an actor: it wakes the actor, or calls its [station](super::station) where it has one, and
//! tells which of its lanes have something.
//!
//! An actor has up to five lanes, of which a wake-up fills one. Asking each costs a lock and memory that nobody has
//! touched since the last time: with hundreds of subscribers that is where the time goes.
//!
//! Invariant: whoever answers and then takes from every lane that rang misses nothing. A lane rings after it has
//! appended; the bell is answered before the lanes are looked at.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    task::{Context, Waker},
};

use parking_lot::Mutex;

use super::belt::{self, Place};
use crate::proto::prefetch::prefetch;

/// Of an actor that takes from lanes; clones are the same bell.
#[derive(Debug, Clone, Default)]
pub struct Doorbell(Arc<Bell>);

#[derive(Debug, Default)]
struct Bell {
    /// A bit for each lane that has rung since the last answer.
    rung: AtomicU32,
    /// Kept when it wakes: an actor has the same one all its life.
    waker: Mutex<Option<Waker>>,
    /// The [`Place`] of the actor's station, as bits, if it has one.
    place: AtomicU64,
}

impl Doorbell {
    /// The lanes that have rung since the last call, by the bits they were given. The task of `cx` is woken by the
    /// next ring.
    pub fn answer(&self, cx: &Context<'_>) -> u32 {
        // In this order: a ring in between is both seen now and wakes.
        let mut waker = self.0.waker.lock();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        drop(waker);
        self.take()
    }

    /// To be rung or answered soon.
    pub(super) fn prefetch(&self) {
        prefetch(&*self.0);
    }

    /// Lane `bit` has something, or has ended.
    pub(super) fn ring(&self, bit: u32) {
        // Whoever rang first has called somebody, who has not answered since.
        if self.0.rung.fetch_or(bit, Ordering::AcqRel) == 0 {
            let place = Place::from_bits(self.0.place.load(Ordering::Acquire));
            if !place.is_some_and(belt::call) {
                self.wake();
            }
        }
    }

    /// Wakes the actor itself, whatever has rung.
    pub(super) fn wake(&self) {
        // Cloned, as waking may run any code.
        let waker = self.0.waker.lock().clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// What has rung since the last call, for whom the belt has called.
    pub(super) fn take(&self) -> u32 {
        self.0.rung.swap(0, Ordering::AcqRel)
    }

    /// Rings on the thread of this place call the station there, and no longer wake the actor.
    pub(super) fn stands_at(&self, place: Place) {
        self.0.place.store(place.to_bits(), Ordering::Release);
    }

    /// The station is gone.
    pub(super) fn stands_nowhere(&self) {
        self.0.place.store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::atomic::AtomicUsize, task::Wake, time::Instant};

    use super::*;
    use crate::actors::kit::{LaneKind, LaneReceiver, LaneSender, lane};

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Woken {
        fn take(&self) -> usize {
            self.0.swap(0, Ordering::Relaxed)
        }
    }

    type Ends = (LaneSender<Box<[u8]>>, LaneReceiver<Box<[u8]>>);

    fn packet() -> Box<[u8]> {
        Box::new([1])
    }

    fn two_lanes(bell: &Doorbell) -> [Ends; 2] {
        [1, 2].map(|bit| {
            let (sender, receiver) = lane(LaneKind::Stun, 8, None);
            receiver.rings(bell, bit);
            (sender, receiver)
        })
    }

    #[test]
    fn one_wake_up_for_all_lanes_and_each_is_named() {
        let (bell, woken) = (Doorbell::default(), Arc::new(Woken::default()));
        let waker = Waker::from(Arc::clone(&woken));
        let cx = &mut Context::from_waker(&waker);
        let [(first, first_end), (second, _second_end)] = two_lanes(&bell);
        assert_eq!(bell.answer(cx), 0);
        second.push(Instant::now(), packet());
        second.push(Instant::now(), packet());
        assert_eq!(woken.take(), 1);
        assert_eq!(bell.answer(cx), 2);
        first.push(Instant::now(), packet());
        assert_eq!((woken.take(), bell.answer(cx)), (1, 1));
        let mut out = Vec::new();
        assert!(!first_end.poll_take(cx, Instant::now(), 8, &mut out));
        assert_eq!(out.len(), 1);
        first.push(Instant::now(), packet());
        assert_eq!(woken.take(), 1, "taking from a lane does not silence it");
    }

    #[test]
    fn what_came_before_the_bell_and_the_end_of_a_lane_ring_as_well() {
        let bell = Doorbell::default();
        let cx = &mut Context::from_waker(Waker::noop());
        let (sender, receiver) = lane(LaneKind::Stun, 8, None);
        sender.push(Instant::now(), packet());
        receiver.rings(&bell, 4);
        assert_eq!(bell.answer(cx), 4);
        drop(sender);
        assert_eq!(bell.answer(cx), 4);
    }

    #[test]
    fn nothing_is_missed_from_another_thread() {
        let bell = Doorbell::default();
        let [(first, first_end), (second, second_end)] = two_lanes(&bell);
        const COUNT: usize = 50_000;
        let writers = [first, second].map(|sender| {
            std::thread::spawn(move || {
                for _ in 0..COUNT {
                    while sender.depth() >= 8 {
                        std::thread::yield_now();
                    }
                    sender.push(Instant::now(), packet());
                }
            })
        });
        let taken = Arc::new(AtomicUsize::new(0));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(std::future::poll_fn(|cx| {
            let rung = bell.answer(cx);
            let mut out = Vec::new();
            for (bit, end) in [(1, &first_end), (2, &second_end)] {
                while rung & bit != 0 && end.poll_take(cx, Instant::now(), 64, &mut out) {}
            }
            let before = taken.fetch_add(out.len(), Ordering::Relaxed);
            if before + out.len() == 2 * COUNT {
                std::task::Poll::Ready(())
            } else {
                std::task::Poll::Pending
            }
        }));
        writers.into_iter().for_each(|writer| writer.join().unwrap());
    }
}
