//! Errors of the API, named as in the W3C specifications (WebIDL `DOMException` names and
//! webrtc-pc §11), each with the sentence a person needs.

/// What an operation of the API can fail with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RtcError {
    /// The object's state does not allow the operation.
    #[error("invalid state: {0}")]
    InvalidState(String),
    /// The operation is not possible with these arguments in this situation.
    #[error("invalid access: {0}")]
    InvalidAccess(String),
    /// The modification is not allowed.
    #[error("invalid modification: {0}")]
    InvalidModification(String),
    /// An argument is of the wrong kind or out of range.
    #[error("type error: {0}")]
    Type(String),
    /// A session description or candidate can't be parsed.
    #[error("syntax error in line {line}: {reason}")]
    Syntax {
        /// 1-based line of the description; 0 for text of one line.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The operation failed for a reason outside of the caller's power.
    #[error("operation failed: {0}")]
    Operation(String),
    /// The actor that should have done it is gone or did not answer in time.
    #[error("no answer: {0}")]
    Gone(String),
}
