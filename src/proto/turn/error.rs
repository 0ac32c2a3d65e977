//! What ends an allocation ([`Failure`]), and why something received had no effect ([`Rejected`]).

use std::net::SocketAddr;

/// Why there is no allocation, or no longer one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The server refused; with the code and the words of its answer.
    #[error("the server refused: {code} {reason}")]
    Refused {
        /// 300 to 699 (RFC 8489 section 14.8).
        code: u16,
        /// What the server said; at most [`Failure::MAX_REASON_LENGTH`] bytes.
        reason: String,
    },
    /// The server asks for credentials and there are none.
    #[error("the server asks for credentials")]
    CredentialsMissing,
    /// The server did not answer.
    #[error("the server does not answer")]
    Timeout,
    /// There is no connection to the server, or none any more. Said by the owner of the connection.
    #[error("the server can't be reached: {0}")]
    Unreachable(String),
    /// The server's answer lacks what it must have, or has what it must not.
    #[error("the server's answer is unusable")]
    Unusable,
    /// The server wants to be replaced by another (RFC 8489 section 10).
    #[error("the server names another one: {server}")]
    Alternate {
        /// The other server.
        server: SocketAddr,
        /// Its name, for its certificate, if the server told one.
        domain: Option<String>,
    },
}

impl Failure {
    /// RFC 8489 section 14.8 allows 763 bytes; so many are worth telling people.
    pub const MAX_REASON_LENGTH: usize = 128;

    /// The code of W3C's icecandidateerror event: the server's, or 701 if it could not be reached.
    pub fn code(&self) -> u16 {
        match self {
            Self::Refused { code, .. } => *code,
            Self::CredentialsMissing => 401,
            Self::Alternate { .. } => 300,
            Self::Timeout | Self::Unreachable(_) | Self::Unusable => 701,
        }
    }
}

/// Why something received had no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Rejected {
    /// Neither a well-formed STUN message nor ChannelData.
    #[error("neither a well-formed STUN message nor ChannelData")]
    Malformed,
    /// A request, or an indication other than Data: servers send none.
    #[error("not what a server sends")]
    Unexpected,
    /// No request waits for this response.
    #[error("no request waits for this response")]
    UnknownTransaction,
    /// MESSAGE-INTEGRITY is missing or wrong: treated as never received (RFC 8489 section 9.2.5).
    #[error("the message integrity is missing or wrong")]
    BadIntegrity,
    /// Data from a peer that has no permission.
    #[error("the peer has no permission")]
    UnknownPeer,
    /// ChannelData on a channel that is not bound.
    #[error("the channel is not bound")]
    UnknownChannel,
}
