//! What can go wrong: with a call ([`IceError`]) and with a received datagram ([`Rejected`]).

/// Why a call into the agent, or the reading of a candidate line, was refused.
///
/// None of these harms the agent: a candidate that can't be used is skipped (RFC 8839 section 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IceError {
    /// The agent is closed.
    #[error("the agent is closed")]
    Closed,
    /// A username fragment is not 4 to 256 ice-chars (RFC 8839 section 5.4).
    #[error("the username fragment is not 4 to 256 letters, digits, '+' or '/'")]
    InvalidUfrag,
    /// A password is not 22 to 256 ice-chars (RFC 8839 section 5.4).
    #[error("the password is not 22 to 256 letters, digits, '+' or '/'")]
    InvalidPassword,
    /// A candidate line lacks a field or a field can't be read.
    #[error("the candidate line is malformed")]
    MalformedCandidate,
    /// The candidate type is none of host, srflx, prflx and relay.
    #[error("the candidate type is unknown")]
    UnknownCandidateType,
    /// The transport is neither UDP nor TCP, or it is TCP and the agent speaks UDP only.
    #[error("the candidate's transport is not supported")]
    UnsupportedTransport,
    /// The component is none of this agent's: 1, unless it was made with several.
    #[error("the candidate is for another component")]
    WrongComponent,
    /// The address is a host name that nobody resolved.
    #[error("the candidate's address is a name, not an IP address")]
    UnresolvedName,
    /// Nothing may be sent to this address or port, whoever asks for it.
    #[error("the candidate's address may not be used")]
    ForbiddenAddress,
    /// The candidate belongs to another generation of credentials (RFC 8838 section 14).
    #[error("the candidate's username fragment is not the one in use")]
    StaleCandidate,
    /// End-of-candidates was already indicated for this generation (RFC 8838 section 14).
    #[error("the candidate comes after the end of candidates")]
    AfterEndOfCandidates,
    /// The table of candidates is full.
    #[error("there are too many candidates already")]
    TooManyCandidates,
    /// No two candidates with these foundations can be paired.
    #[error("no pair has these foundations")]
    UnknownPair,
}

/// Why a datagram was dropped (or answered with an error). Usable as the label of a drop counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Rejected {
    /// The agent is closed or has failed: it answers nobody.
    #[error("the agent is not running")]
    NotRunning,
    /// Not a well-formed STUN message.
    #[error("not a well-formed STUN message")]
    Malformed,
    /// A request that is not Binding.
    #[error("the method is not Binding")]
    WrongMethod,
    /// A request without USERNAME or MESSAGE-INTEGRITY.
    #[error("a request without credentials")]
    MissingCredentials,
    /// A request for another agent.
    #[error("the username fragment is not ours")]
    UnknownUfrag,
    /// MESSAGE-INTEGRITY was not made with the right password.
    #[error("the message integrity is wrong")]
    BadIntegrity,
    /// A required attribute this agent does not know.
    #[error("an unknown required attribute")]
    UnknownAttribute,
    /// PRIORITY, XOR-MAPPED-ADDRESS or ERROR-CODE is missing where it is required.
    #[error("a mandatory attribute is missing")]
    MissingAttribute,
    /// The peer was told to change its role.
    #[error("the peer claims the role of this agent")]
    RoleConflict,
    /// No transaction waits for this response.
    #[error("no transaction waits for this response")]
    UnknownTransaction,
    /// The response came from or to another address than the request went.
    #[error("the response took another path than the request")]
    AsymmetricResponse,
    /// The datagram arrived at an address that is the base of no local candidate.
    #[error("the local address belongs to no candidate")]
    UnknownLocalAddress,
    /// The sender's address can't be one of a peer.
    #[error("the sender's address may not be used")]
    ForbiddenAddress,
    /// A table is full.
    #[error("a table is full")]
    TableFull,
}

impl Rejected {
    /// A short name for counters.
    pub fn label(self) -> &'static str {
        match self {
            Self::NotRunning => "not_running",
            Self::Malformed => "malformed",
            Self::WrongMethod => "wrong_method",
            Self::MissingCredentials => "missing_credentials",
            Self::UnknownUfrag => "unknown_ufrag",
            Self::BadIntegrity => "bad_integrity",
            Self::UnknownAttribute => "unknown_attribute",
            Self::MissingAttribute => "missing_attribute",
            Self::RoleConflict => "role_conflict",
            Self::UnknownTransaction => "unknown_transaction",
            Self::AsymmetricResponse => "asymmetric_response",
            Self::UnknownLocalAddress => "unknown_local_address",
            Self::ForbiddenAddress => "forbidden_address",
            Self::TableFull => "table_full",
        }
    }
}
