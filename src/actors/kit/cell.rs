//! Cells of the statistics: counters with one writing thread and any number of readers.
//!
//! A write is a relaxed load and a relaxed store, several times cheaper than a read-modify-write.
//! Invariant: only the thread that owns the statistics writes ([`Statistics`](super::Statistics) can't
//! leave its thread). A second writer would lose counts, nothing worse.

use std::{
    fmt,
    marker::PhantomData,
    ops::Index,
    sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use super::kind::Label;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`. Only the owning thread may call this.
    #[inline]
    pub(super) fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// The number so far.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct GaugeCell(AtomicI64);

impl GaugeCell {
    #[inline]
    pub(super) fn add(&self, n: i64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// The number now.
    pub fn get(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

/// Upper bounds of a [`Histogram`]'s buckets: a decade each, because what matters is the order of magnitude
/// from one handler (a microsecond) to a wedged shard (seconds).
pub const DURATION_BOUNDS: [Duration; 8] = [
    Duration::from_micros(1),
    Duration::from_micros(10),
    Duration::from_micros(100),
    Duration::from_millis(1),
    Duration::from_millis(10),
    Duration::from_millis(100),
    Duration::from_secs(1),
    Duration::from_secs(10),
];

/// The same in nanoseconds: comparing one word is what recording costs.
const BOUNDS_NANOSECONDS: [u64; DURATION_BOUNDS.len()] = {
    let mut bounds = [0; DURATION_BOUNDS.len()];
    let mut position = 0;
    while position < bounds.len() {
        bounds[position] = nanoseconds(DURATION_BOUNDS[position]);
        position += 1;
    }
    bounds
};

/// Durations by order of magnitude, with their sum.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [Counter; DURATION_BOUNDS.len() + 1],
    sum_nanoseconds: Counter,
}

impl Histogram {
    #[inline]
    pub(super) fn record(&self, duration: Duration) {
        let duration = nanoseconds(duration);
        let bucket =
            BOUNDS_NANOSECONDS.iter().position(|bound| duration <= *bound).unwrap_or(DURATION_BOUNDS.len());
        self.buckets[bucket].add(1);
        self.sum_nanoseconds.add(duration);
    }

    /// How many durations were at most the bound of the same position in [`DURATION_BOUNDS`], and in last
    /// position how many there were at all.
    pub fn cumulative(&self) -> [u64; DURATION_BOUNDS.len() + 1] {
        let mut total = 0;
        std::array::from_fn(|position| {
            total += self.buckets[position].get();
            total
        })
    }

    /// Number of durations.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(Counter::get).sum()
    }

    /// Sum of the durations.
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum_nanoseconds.get())
    }
}

/// Whole nanoseconds of a duration of less than 584 years.
#[inline]
pub(super) const fn nanoseconds(duration: Duration) -> u64 {
    duration.as_secs().wrapping_mul(1_000_000_000).wrapping_add(duration.subsec_nanos() as u64)
}

/// One cell for each value of a label.
pub struct PerLabel<K, V> {
    cells: Box<[V]>,
    label: PhantomData<fn(K)>,
}

impl<K: Label, V: Default> Default for PerLabel<K, V> {
    fn default() -> Self {
        Self { cells: K::ALL.iter().map(|_| V::default()).collect(), label: PhantomData }
    }
}

impl<K: Label, V> Index<K> for PerLabel<K, V> {
    type Output = V;

    fn index(&self, label: K) -> &V {
        &self.cells[label.index()]
    }
}

impl<K: Label, V> PerLabel<K, V> {
    /// Every label value with its cell.
    pub fn iter(&self) -> impl Iterator<Item = (K, &V)> {
        K::ALL.iter().copied().zip(self.cells.iter())
    }
}

impl<K: Label + fmt::Debug, V: fmt::Debug> fmt::Debug for PerLabel<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// Adding up what a thread that ended had counted.
pub(super) trait Absorb {
    /// Adds the other's numbers to this one's.
    fn absorb(&self, other: &Self);
}

impl Absorb for Counter {
    fn absorb(&self, other: &Self) {
        self.add(other.get());
    }
}

impl Absorb for Histogram {
    fn absorb(&self, other: &Self) {
        for (mine, theirs) in self.buckets.iter().zip(&other.buckets) {
            mine.absorb(theirs);
        }
        self.sum_nanoseconds.absorb(&other.sum_nanoseconds);
    }
}

impl<K, V: Absorb> Absorb for PerLabel<K, V> {
    fn absorb(&self, other: &Self) {
        for (mine, theirs) in self.cells.iter().zip(&other.cells) {
            mine.absorb(theirs);
        }
    }
}
