//! What happens after an actor panicked.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// How often an actor may be restarted after a panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Restarts allowed within the window; one more panic ends the actor.
    pub max_restarts: u32,
    /// How long a restart counts.
    pub window: Duration,
}

impl Policy {
    /// The first panic ends the actor: for state that can't be rebuilt safely, such as keys.
    pub const fn never() -> Self {
        Self { max_restarts: 0, window: Duration::ZERO }
    }

    /// At most `max_restarts` restarts within `window`.
    pub const fn restarts(max_restarts: u32, window: Duration) -> Self {
        Self { max_restarts, window }
    }
}

/// Why an actor is no more.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DownReason {
    /// It stopped by itself, or its last address was dropped.
    Stopped,
    /// It panicked and may not be restarted, or nobody held its address any more.
    Panicked {
        /// What the panic said.
        message: String,
    },
    /// It panicked more often than its policy allows.
    RestartsExhausted {
        /// What the last panic said.
        message: String,
    },
}

/// The restarts of one actor that still count.
#[derive(Debug)]
pub(super) struct Restarts {
    policy: Policy,
    recent: VecDeque<Instant>,
}

impl Restarts {
    pub(super) const fn new(policy: Policy) -> Self {
        Self { policy, recent: VecDeque::new() }
    }

    /// Whether the policy allows a restart now; if so, it counts.
    pub(super) fn allow(&mut self, now: Instant) -> bool {
        let window = self.policy.window;
        self.recent.retain(|at| now.saturating_duration_since(*at) < window);
        if self.recent.len() >= self.policy.max_restarts as usize {
            return false;
        }
        self.recent.push_back(now);
        true
    }

    /// The reason to give when [`Restarts::allow`] said no.
    pub(super) fn refused(&self, message: String) -> DownReason {
        if self.policy.max_restarts == 0 {
            DownReason::Panicked { message }
        } else {
            DownReason::RestartsExhausted { message }
        }
    }
}
