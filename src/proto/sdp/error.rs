//! Why a text is not a session description.

/// A malformed line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct SdpError {
    /// Line of the text, counted from 1; 0 when the text as a whole is at fault.
    pub line: usize,
    /// What is wrong.
    pub reason: SdpErrorReason,
}

/// What is wrong in a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SdpErrorReason {
    /// The text is longer than [`TEXT_BYTES_MAX`](super::TEXT_BYTES_MAX).
    #[error("the text is longer than 1 MiB")]
    TextTooLong,
    /// The text has more media sections than [`SECTIONS_MAX`](super::SECTIONS_MAX).
    #[error("there are more than 1,000 media sections")]
    TooManySections,
    /// An attribute occurs more often than is kept.
    #[error("there are too many a={0} lines or values")]
    TooMany(&'static str),
    /// RFC 8866 5: a line is one letter, `=`, and a value.
    #[error("a line must be a letter of RFC 8866, an equals sign and a value")]
    NotTypeValue,
    /// RFC 8866 5.1.
    #[error("a description begins with v=0")]
    BadVersion,
    /// RFC 8866 5: the lines `v=`, `o=`, `s=`, `t=` are required.
    #[error("the {0}= line is missing")]
    MissingLine(char),
    /// RFC 8866 5.2.
    #[error("o= needs user, session id, version, network type, address type and address")]
    BadOrigin,
    /// RFC 8866 5.7.
    #[error("c= needs network type, address type and address")]
    BadConnection,
    /// RFC 8866 5.8.
    #[error("b= needs a type and a number")]
    BadBandwidth,
    /// RFC 8866 5.14.
    #[error("m= needs media type, port, protocol and formats")]
    BadMediaLine,
    /// RFC 8866 9: `byte-string` excludes NUL; other control characters have no use either.
    #[error("the line contains a control character")]
    ControlCharacter,
    /// An attribute whose value does not follow its grammar.
    #[error("a={0} is malformed")]
    BadAttribute(&'static str),
    /// An attribute that may occur once in a section.
    #[error("a={0} occurs twice")]
    Repeated(&'static str),
}
