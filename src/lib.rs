//! WebRTC as actors: many peers in one process, hot-swappable tracks, contained failures, metrics.

pub mod actors;
pub mod api;
pub mod messages;
#[cfg(feature = "metrics")]
pub mod metrics;
pub mod proto;
