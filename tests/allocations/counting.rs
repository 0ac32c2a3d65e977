//! An allocator that counts what some threads allocate, and remembers where; and how often they read the clock.

use std::{
    backtrace::Backtrace,
    cell::{Cell, RefCell},
    sync::Once,
};

use actix_rtc::actors::kit::clock_reads;
use tracking_allocator::{AllocationGroupId, AllocationRegistry, AllocationTracker, Allocator};

#[global_allocator]
static ALLOCATOR: Allocator<std::alloc::System> = Allocator::system();

/// Places remembered: enough to see what a failed test is about, and few, because each costs far more than
/// the allocation.
const PLACES_MAX: usize = 200;

thread_local! {
    static IS_COUNTED: Cell<bool> = const { Cell::new(false) };
    static COUNT: Cell<u64> = const { Cell::new(0) };
    static HELD: Cell<i64> = const { Cell::new(0) };
    static CLOCK_READS_BEFORE: Cell<u64> = const { Cell::new(0) };
    static PLACES: RefCell<Vec<Backtrace>> = const { RefCell::new(Vec::new()) };
}

struct Tracker;

impl AllocationTracker for Tracker {
    /// Growing in place is an allocation as well. What is allocated in here is not seen.
    fn allocated(&self, _: usize, size: usize, _: usize, _: AllocationGroupId) {
        hold(size as i64);
        if !IS_COUNTED.try_with(Cell::get).unwrap_or_default() {
            return;
        }
        COUNT.set(COUNT.get() + 1);
        PLACES.with_borrow_mut(|places| {
            if places.len() < PLACES_MAX {
                places.push(Backtrace::force_capture());
            }
        });
    }

    fn deallocated(&self, _: usize, size: usize, _: usize, _: AllocationGroupId, _: AllocationGroupId) {
        hold(-(size as i64));
    }
}

fn hold(size: i64) {
    // While a thread ends, nobody asks any more.
    let _ = HELD.try_with(|held| held.set(held.get() + size));
}

/// Bytes that the current thread has allocated less those it has freed, since counting was enabled.
pub(crate) fn held() -> i64 {
    HELD.get()
}

/// What a thread did.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) allocations: u64,
    pub(crate) clock_reads: u64,
}

/// Lets [`held`] count from now on, on all threads.
pub(crate) fn enable() {
    static TRACKER: Once = Once::new();
    TRACKER.call_once(|| {
        AllocationRegistry::set_global_tracker(Tracker).expect("there is one tracker");
        AllocationRegistry::enable_tracking();
    });
}

/// Counts what the current thread does from now on.
pub(crate) fn begin() {
    enable();
    COUNT.set(0);
    PLACES.take();
    CLOCK_READS_BEFORE.set(clock_reads());
    IS_COUNTED.set(true);
}

/// What the current thread has done since [`begin`], and where it allocated at first.
pub(crate) fn end() -> (Counts, Vec<Backtrace>) {
    IS_COUNTED.set(false);
    let clock_reads = clock_reads() - CLOCK_READS_BEFORE.get();
    (Counts { allocations: COUNT.get(), clock_reads }, PLACES.take())
}
