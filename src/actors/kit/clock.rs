//! The clocks of the actor layer.

use std::time::{Instant, SystemTime};

/// The current time, by tokio's clock, so that a test that pauses tokio's time drives the actors as well.
///
/// The protocol layer never calls this: it is handed the time.
pub fn now() -> Instant {
    #[cfg(feature = "fault-injection")]
    reads::count();
    tokio::time::Instant::now().into_std()
}

/// The wall clock: for anchoring sender reports once, never for measuring time.
pub fn wall_clock() -> SystemTime {
    SystemTime::now()
}

/// Counts how often a thread asks for the time, for tests: it costs more than most of what is done with a packet.
#[cfg(feature = "fault-injection")]
mod reads {
    use std::cell::Cell;

    thread_local! {
        static READS: Cell<u64> = const { Cell::new(0) };
    }

    pub(super) fn count() {
        let _ = READS.try_with(|reads| reads.set(reads.get() + 1));
    }

    /// How often the current thread has asked for the time.
    pub fn clock_reads() -> u64 {
        READS.get()
    }
}

#[cfg(feature = "fault-injection")]
pub use reads::clock_reads;
