//! Errors of the API, named as in the W3C specifications (WebIDL `DOMException` names and
//! webrtc-pc §11), each with the sentence a person needs.

use crate::proto::jsep::JsepError;

/// What an operation of the API can fail with. [`RtcError::name`] is the W3C name, the text says what
/// to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RtcError {
    /// The object's state does not allow the operation.
    #[error("invalid state: {0}")]
    InvalidStateError(String),
    /// The operation is not possible with these arguments in this situation.
    #[error("invalid access: {0}")]
    InvalidAccessError(String),
    /// The modification is not allowed.
    #[error("invalid modification: {0}")]
    InvalidModificationError(String),
    /// An argument is of the wrong kind, or one is missing.
    #[error("type error: {0}")]
    TypeError(String),
    /// A number is outside of the range that the member allows.
    #[error("out of range: {0}")]
    RangeError(String),
    /// A session description, a candidate or a URL can't be parsed (for descriptions W3C: `RTCError`
    /// with the detail `sdp-syntax-error` and `sdpLineNumber`).
    #[error("syntax error in line {line}: {reason}")]
    SyntaxError {
        /// 1-based line of the description; 0 for text of one line.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A text has a character that is not allowed in it (W3C webrtc-pc §7: tones).
    #[error("invalid character: {0}")]
    InvalidCharacterError(String),
    /// This implementation, or this object, can't do that.
    #[error("not supported: {0}")]
    NotSupportedError(String),
    /// The network, or what runs over it, failed.
    #[error("network error: {0}")]
    NetworkError(String),
    /// Data does not meet the requirements: a message that is too large for the peer, a key that is
    /// not that of the certificate.
    #[error("data error: {0}")]
    DataError(String),
    /// The operation failed for a reason outside of the caller's power.
    #[error("operation failed: {0}")]
    OperationError(String),
    /// The actor that should have done it is gone or did not answer in time. No W3C name: a browser's
    /// objects do not end before their page.
    #[error("no answer: {0}")]
    Gone(String),
}

impl RtcError {
    /// The name of the exception that a browser would throw; `Gone` for [`RtcError::Gone`].
    pub fn name(&self) -> &'static str {
        match self {
            Self::InvalidStateError(_) => "InvalidStateError",
            Self::InvalidAccessError(_) => "InvalidAccessError",
            Self::InvalidModificationError(_) => "InvalidModificationError",
            Self::TypeError(_) => "TypeError",
            Self::RangeError(_) => "RangeError",
            Self::SyntaxError { .. } => "SyntaxError",
            Self::InvalidCharacterError(_) => "InvalidCharacterError",
            Self::NotSupportedError(_) => "NotSupportedError",
            Self::NetworkError(_) => "NetworkError",
            Self::DataError(_) => "DataError",
            Self::OperationError(_) => "OperationError",
            Self::Gone(_) => "Gone",
        }
    }
}

impl From<JsepError> for RtcError {
    fn from(error: JsepError) -> Self {
        let sentence = error.to_string();
        match error {
            JsepError::Syntax { line, .. } => Self::SyntaxError { line, reason: sentence },
            error => match error.name() {
                "InvalidStateError" => Self::InvalidStateError(sentence),
                "InvalidAccessError" => Self::InvalidAccessError(sentence),
                "InvalidModificationError" => Self::InvalidModificationError(sentence),
                "TypeError" => Self::TypeError(sentence),
                "RangeError" => Self::RangeError(sentence),
                "NotSupportedError" => Self::NotSupportedError(sentence),
                _ => Self::OperationError(sentence),
            },
        }
    }
}
