//! The clocks of the actor layer.

use std::time::{Instant, SystemTime};

/// The current time, by tokio's clock, so that a test that pauses tokio's time drives the actors as well.
///
/// The protocol layer never calls this: it is handed the time.
pub fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The wall clock: for anchoring sender reports once, never for measuring time.
pub fn wall_clock() -> SystemTime {
    SystemTime::now()
}
