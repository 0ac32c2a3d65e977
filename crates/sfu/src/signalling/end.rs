//! How a WebSocket ends.

use actix_http::ws::{CloseCode, CloseReason};

use super::outbox::OutboxError;

/// Why a client's task stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The client is gone already.
    Gone,
    /// The client is told why.
    Told(Reason),
}

/// Why the server closes a WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    Left,
    /// Only for the log: nobody hears it.
    Gone,
    Shutdown,
    Slow,
    Idle,
    JoinTimeout,
    RateLimited,
    TooLarge,
    Protocol,
    Refused,
    ConnectionFailed,
    Internal,
}

impl Reason {
    /// As in `closing` and in the close frame.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Gone => "gone",
            Self::Shutdown => "shutdown",
            Self::Slow => "slow",
            Self::Idle => "idle",
            Self::JoinTimeout => "join-timeout",
            Self::RateLimited => "rate-limited",
            Self::TooLarge => "too-large",
            Self::Protocol => "protocol",
            Self::Refused => "refused",
            Self::ConnectionFailed => "connection-failed",
            Self::Internal => "internal",
        }
    }

    /// Whether a `closing` message comes before. The others follow an `error` that says more, or a `leave`.
    pub(super) const fn is_announced(self) -> bool {
        matches!(self, Self::Shutdown | Self::Slow | Self::Idle | Self::ConnectionFailed | Self::Internal)
    }

    /// RFC 6455 §7.4.1.
    pub(super) fn close_reason(self) -> CloseReason {
        let code = match self {
            Self::Left | Self::Gone => CloseCode::Normal,
            Self::Shutdown => CloseCode::Away,
            Self::TooLarge => CloseCode::Size,
            Self::Protocol => CloseCode::Protocol,
            Self::Internal => CloseCode::Error,
            Self::Slow
            | Self::Idle
            | Self::JoinTimeout
            | Self::RateLimited
            | Self::Refused
            | Self::ConnectionFailed => CloseCode::Policy,
        };
        CloseReason { code, description: Some(self.as_str().to_owned()) }
    }
}

impl From<Reason> for End {
    fn from(reason: Reason) -> Self {
        Self::Told(reason)
    }
}

impl From<OutboxError> for End {
    fn from(error: OutboxError) -> Self {
        match error {
            OutboxError::Full => Self::Told(Reason::Slow),
            OutboxError::Closed => Self::Gone,
        }
    }
}
