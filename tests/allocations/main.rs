//! What the forwarding path allocates: per lot and slab a little, per forwarded packet nothing. Nor is there a clock
//! read for each. And what a connected subscriber holds.
//!
//! With the feature `fault-injection`, which also counts how often the time is asked for.

#[cfg(feature = "fault-injection")]
#[cfg(test)]
mod counting;
#[cfg(feature = "fault-injection")]
#[cfg(test)]
mod forwarding;
#[cfg(feature = "fault-injection")]
#[cfg(test)]
mod holding;
#[cfg(feature = "fault-injection")]
#[cfg(test)]
mod stage;
