//! What the forwarding path allocates: per lot and slab a little, per forwarded packet nothing. Nor is there a clock
//! read for each. And what a connected subscriber holds.
//!
//! With the feature `fault-injection`, which also counts how often the time is asked for.

#[cfg(all(test, feature = "fault-injection"))]
mod counting;
#[cfg(all(test, feature = "fault-injection"))]
mod forwarding;
#[cfg(all(test, feature = "fault-injection"))]
mod holding;
#[cfg(all(test, feature = "fault-injection"))]
mod stage;
