//! What an agent is told at its creation, and every timer with its source.

use std::sync::Arc;
use std::time::Duration;

use super::credentials::Credentials;
use super::pacer::Pacer;

/// Which side nominates (RFC 8445 section 6.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Nominates the pair that is used.
    Controlling,
    /// Uses what the peer nominates.
    Controlled,
}

impl Role {
    /// The other role.
    pub fn opposite(self) -> Self {
        match self {
            Self::Controlling => Self::Controlled,
            Self::Controlled => Self::Controlling,
        }
    }
}

/// How an agent behaves. [`AgentConfig::new`] gives the defaults.
#[derive(Debug, Clone)]
pub struct AgentConfig {
    /// The role at the start: the offerer is controlling unless the other side is lite.
    pub role: Role,
    /// ICE-lite: only answers checks. For servers with public addresses.
    pub lite: bool,
    /// The local credentials of the first generation.
    pub credentials: Credentials,
    /// Most pairs in the check list (RFC 8445 section 6.1.2.5: 100 by default, configurable).
    pub max_pairs: usize,
    /// Ta, the time between two checks of this agent (RFC 8445 section 14.2: 50 ms by default and
    /// never below 5 ms).
    pub check_interval: Duration,
    /// The slower timers.
    pub timings: Timings,
    /// The pace that this agent shares with others (RFC 8445 section 14.2); `None` for an agent alone.
    pub pacer: Option<Arc<Pacer>>,
    /// The component that its candidates are of: 1 unless it is one of several
    /// ([`super::Components`]).
    pub component: u8,
    /// The tie-breaker of role conflicts (RFC 8445 section 6.1.1), which the agents of several
    /// components share at the start; `None`: a random one.
    pub tie_breaker: Option<u64>,
}

impl AgentConfig {
    /// A full agent with the default limits and timers.
    pub fn new(role: Role, credentials: Credentials) -> Self {
        Self {
            role,
            lite: false,
            credentials,
            max_pairs: 100,
            check_interval: Duration::from_millis(50),
            timings: Timings::default(),
            pacer: None,
            component: 1,
            tie_breaker: None,
        }
    }

    /// An ICE-lite agent: always controlled.
    pub fn lite(credentials: Credentials) -> Self {
        Self { lite: true, ..Self::new(Role::Controlled, credentials) }
    }
}

/// Timers that need changing in special networks and in tests only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timings {
    /// First retransmission of a check (RFC 8445 section 14.3: at least 500 ms); doubles each time.
    pub retransmission: Duration,
    /// How long a controlling agent waits for a better pair after its first success.
    pub nomination_patience: Duration,
    /// Mean time between consent checks (RFC 7675 section 5.1: 5 s, randomised by 0.8 to 1.2).
    pub consent_interval: Duration,
    /// How long consent lasts after the last valid response (RFC 7675 section 5.1: 30 s).
    pub consent_lifetime: Duration,
    /// How long an answer to the second consent check in a row may take before the agent calls itself
    /// disconnected.
    pub consent_response_wait: Duration,
    /// How long the agent gives the peer's own checks to arrive before it fails (RFC 8863 section 4:
    /// as long as a transaction, 39.5 s). Twice as long without end-of-candidates.
    pub failure_patience: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            retransmission: Duration::from_millis(500),
            nomination_patience: Duration::from_millis(200),
            consent_interval: Duration::from_secs(5),
            consent_lifetime: Duration::from_secs(30),
            consent_response_wait: Duration::from_secs(1),
            failure_patience: Duration::from_millis(39_500),
        }
    }
}
