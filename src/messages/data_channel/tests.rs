//! The two ends of a channel, without actors.
