//! Asks the processor for memory that is about to be used.
//!
//! What a subscriber's share of a frame touches was last touched a frame ago, and by now belongs to others' lines of
//! cache. Each line is a wait of its own, a hundred nanoseconds on a server, and most of the share's cost where many
//! subscribers take turns. Those who know who is next ask for its lines while they work on somebody else's.
//!
//! One of the two places with unsafe code. Why it is sound: the instruction is a hint. It reads nothing that a program
//! could see, changes nothing, and never faults, whatever the address (Intel SDM 2B, AMD APM 3,
//! "PREFETCHh"). All x86-64 processors have it (SSE). Others do without, until
//! `core::hint::prefetch_read` is stable.
#![allow(unsafe_code)]

/// What is to be fetched of something that is to be used: the nearer the use, the further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The value itself.
    Itself,
    /// What it refers to.
    Referred,
    /// What that refers to.
    Beyond,
}

/// More than this of one value is hardly used in one go.
const BYTES_MAX: usize = 2_048;

/// Fetches the lines of a value, or of a slice. Does not wait for them.
#[inline(always)]
pub fn prefetch<T: ?Sized>(value: &T) {
    let start: *const T = value;
    prefetch_at(start.cast(), size_of_val(value));
}

/// The same of a value that is only known by where it lies: looking at it would be to wait for it.
#[inline(always)]
pub fn prefetch_at(start: *const u8, length: usize) {
    lines(start, length.min(BYTES_MAX));
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn lines(start: *const u8, length: usize) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    const LINE: usize = 64;

    let offset = start.addr() % LINE;
    for line in (0..offset + length).step_by(LINE) {
        // SAFETY: a hint, sound with any address; see above.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(start.wrapping_sub(offset).wrapping_add(line).cast()) };
    }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn lines(_: *const u8, _: usize) {}
