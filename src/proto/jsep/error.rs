//! Why a signalling call was refused, named as W3C WebRTC names its exceptions.

use super::types::{SdpType, SignalingState, TransceiverId, TransportId};
use crate::proto::sdp::{SdpError, SdpErrorReason};

/// Error of a call on a [`Session`](super::Session). The session is unchanged after every error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsepError {
    /// The text is not a session description (W3C: `RTCError` with detail `sdp-syntax-error`).
    #[error("the session description is malformed in line {line}: {reason}")]
    Syntax {
        /// Line of the text, counted from 1; 0 when the text as a whole is at fault.
        line: usize,
        /// What is wrong in that line.
        reason: SdpErrorReason,
    },
    /// The call does not fit the signalling state (W3C: `InvalidStateError`).
    #[error("{action} is not possible while the signalling state is {state}")]
    InvalidState {
        /// What was attempted.
        action: Action,
        /// The state it was attempted in.
        state: SignalingState,
    },
    /// The description is well formed but its content can't be accepted (W3C: `InvalidAccessError`).
    #[error("the description can't be applied: {0}")]
    InvalidAccess(Refusal),
    /// A local description differs from the one that was created (W3C: `InvalidModificationError`).
    #[error("a local description must be the one that was created last, unchanged")]
    InvalidModification,
    /// Codec preferences name a codec that is not among the capabilities (W3C: `InvalidModificationError`).
    #[error("codec preferences must name only codecs of the capabilities, and one that is not rtx")]
    InvalidCodecPreferences,
    /// A candidate names neither a media section nor an index (W3C: `TypeError`).
    #[error("a candidate must name its section by mid or by index")]
    CandidateWithoutSection,
    /// A candidate names a section that the remote description does not have (W3C: `OperationError`).
    #[error("the candidate names a section that the remote description does not have")]
    UnknownSection,
    /// A candidate belongs to ICE credentials that are not those of the remote description.
    #[error("the candidate belongs to ICE credentials that are not in use")]
    UnknownIceGeneration,
    /// A candidate is longer than allowed, or contains a line break.
    #[error("the candidate is not one line of text of at most 1,024 bytes")]
    MalformedCandidate,
    /// More candidates than are kept (RFC 8445 19.5.1: victims of candidate floods).
    #[error("there are already as many candidates as are kept")]
    TooManyCandidates,
    /// The transceiver is not part of this session (any more).
    #[error("there is no transceiver {0}")]
    UnknownTransceiver(TransceiverId),
    /// The transceiver was stopped.
    #[error("transceiver {0} is stopped")]
    Stopped(TransceiverId),
    /// A session has at most as many sections as a description may have.
    #[error("there are already as many transceivers as a description may have sections")]
    TooManyTransceivers,
    /// `Direction::Stopped` can't be set: `stop` does that (W3C: `TypeError`).
    #[error("a direction can't be set to stopped; stop the transceiver instead")]
    DirectionStopped,
    /// The track has a sender already (W3C `addTrack`: `InvalidAccessError`).
    #[error("the track is already sent by transceiver {0}")]
    TrackInUse(TransceiverId),
    /// A configuration changes what may not change after construction (W3C: `InvalidModificationError`).
    #[error("certificates, ICE role, canonical name and bundle policy can't change")]
    InvalidConfiguration,
    /// The transport is not part of this session (any more).
    #[error("there is no transport {0}")]
    UnknownTransport(TransportId),
    /// A rid is 1 to 16 letters and digits (RFC 8852 3.3; W3C: `TypeError`).
    #[error("a rid must be 1 to 16 letters or digits")]
    MalformedRid,
    /// Two encodings have the same rid (W3C: `TypeError`).
    #[error("every encoding needs a rid of its own")]
    RidsRepeated,
    /// One of several encodings has no rid (W3C: `TypeError`).
    #[error("either every encoding has a rid, or there is only one")]
    RidsMissing,
    /// Ids of streams and tracks are SDP tokens of at most 64 characters (RFC 8830 2).
    #[error("a stream or track id must be a token of 1 to 64 characters")]
    MalformedMediaId,
}

/// The exception that W3C WebRTC throws for an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "callers must map each")]
pub enum ErrorKind {
    /// `InvalidStateError`
    InvalidState,
    /// `InvalidAccessError`
    InvalidAccess,
    /// `InvalidModificationError`
    InvalidModification,
    /// `OperationError`
    Operation,
    /// `RTCError` with `sdp-syntax-error` and `sdpLineNumber`.
    Syntax {
        /// Line of the text, counted from 1; 0 when the text as a whole is at fault.
        line: usize,
    },
    /// `TypeError`
    Type,
    /// `RangeError`
    Range,
}

impl JsepError {
    /// The exception that a browser would throw.
    pub fn kind(&self) -> ErrorKind {
        match self {
            // Well formed as a line, but nothing that ICE could use: browsers refuse it like missing credentials.
            Self::Syntax { reason: SdpErrorReason::BadAttribute("ice-ufrag" | "ice-pwd"), .. } => {
                ErrorKind::InvalidAccess
            }
            Self::Syntax { line, .. } => ErrorKind::Syntax { line: *line },
            Self::InvalidState { .. } | Self::Stopped(_) => ErrorKind::InvalidState,
            Self::InvalidAccess(_) | Self::UnknownTransceiver(_) | Self::TrackInUse(_) => {
                ErrorKind::InvalidAccess
            }
            Self::InvalidModification | Self::InvalidCodecPreferences | Self::InvalidConfiguration => {
                ErrorKind::InvalidModification
            }
            Self::CandidateWithoutSection
            | Self::DirectionStopped
            | Self::MalformedMediaId
            | Self::MalformedRid
            | Self::RidsRepeated
            | Self::RidsMissing => ErrorKind::Type,
            Self::UnknownSection
            | Self::UnknownIceGeneration
            | Self::UnknownTransport(_)
            | Self::MalformedCandidate
            | Self::TooManyCandidates
            | Self::TooManyTransceivers => ErrorKind::Operation,
        }
    }

    /// Name of the exception that a browser would throw.
    pub fn name(&self) -> &'static str {
        match self.kind() {
            ErrorKind::Syntax { .. } => "RTCError",
            ErrorKind::InvalidState => "InvalidStateError",
            ErrorKind::InvalidAccess => "InvalidAccessError",
            ErrorKind::InvalidModification => "InvalidModificationError",
            ErrorKind::Type => "TypeError",
            ErrorKind::Operation => "OperationError",
            ErrorKind::Range => "RangeError",
        }
    }
}

impl From<SdpError> for JsepError {
    fn from(error: SdpError) -> Self {
        Self::Syntax { line: error.line, reason: error.reason }
    }
}

/// The call that met the wrong signalling state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// `create_offer`
    CreateOffer,
    /// `create_answer`
    CreateAnswer,
    /// `set_local_description` with this type.
    SetLocal(SdpType),
    /// `set_remote_description` with this type.
    SetRemote(SdpType),
    /// `add_remote_candidate`
    AddCandidate,
    /// A change of the set of transceivers.
    ChangeTransceivers,
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::CreateOffer => f.write_str("creating an offer"),
            Self::CreateAnswer => f.write_str("creating an answer"),
            Self::SetLocal(kind) => write!(f, "setting a local description of type {kind}"),
            Self::SetRemote(kind) => write!(f, "setting a remote description of type {kind}"),
            Self::AddCandidate => f.write_str("adding a candidate"),
            Self::ChangeTransceivers => f.write_str("changing the transceivers"),
        }
    }
}

/// Why the content of a description was refused. `section` is the index of the m-line, from 0.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// RFC 8829 5.2.2: sections are never removed, and an answer has exactly those of its offer.
    #[error("it has {found} media sections where {expected} are needed")]
    SectionCount {
        /// Sections needed.
        expected: usize,
        /// Sections found.
        found: usize,
    },
    /// RFC 8829 5.8: a section keeps its media type while it is in use.
    #[error("section {section} has another media type than before")]
    MediaTypeChanged {
        /// Index of the m-line.
        section: usize,
    },
    /// RFC 8829 5.8: a section keeps its mid while it is in use; an answer repeats that of the offer.
    #[error("section {section} has another mid than before")]
    MidChanged {
        /// Index of the m-line.
        section: usize,
    },
    /// RFC 9143 7.3.1: an answer can't add sections to a BUNDLE group.
    #[error("the answer bundles sections that the offer did not bundle")]
    BundleGrown,
    /// RFC 9143 7.3.2: a section that was offered without a transport of its own must be bundled.
    #[error("section {section} is not part of the bundle, and was offered no transport of its own")]
    NotBundled {
        /// Index of the m-line.
        section: usize,
    },
    /// RFC 8839 5.4: an accepted section needs ICE credentials.
    #[error("section {section} has no ICE user name fragment or password")]
    MissingIceCredentials {
        /// Index of the m-line.
        section: usize,
    },
    /// RFC 8827 6.5: an accepted section needs a certificate fingerprint.
    #[error("section {section} has no certificate fingerprint of a usable hash")]
    MissingFingerprint {
        /// Index of the m-line.
        section: usize,
    },
    /// RFC 8842 5: `holdconn` is not used, and an answer chooses between active and passive.
    #[error("section {section} has an a=setup value that is not possible here")]
    BadSetup {
        /// Index of the m-line.
        section: usize,
    },
    /// RFC 8829 4.1.1: the RTCP multiplexing policy is `require`.
    #[error("section {section} lacks a=rtcp-mux")]
    MissingRtcpMux {
        /// Index of the m-line.
        section: usize,
    },
    /// RFC 3264 6.1: an answer accepts formats of the offer.
    #[error("section {section} of the answer has no format in common with the offer")]
    NoCommonFormat {
        /// Index of the m-line.
        section: usize,
    },
    /// RFC 3264 6.1: an answer narrows the direction offered.
    #[error("section {section} of the answer sends or receives what the offer does not allow")]
    DirectionNotOffered {
        /// Index of the m-line.
        section: usize,
    },
    /// RFC 5761 4: these payload types look like RTCP.
    #[error("section {section} uses a payload type between 64 and 95")]
    ReservedPayloadType {
        /// Index of the m-line.
        section: usize,
    },
    /// RFC 9143 12: one header extension id means one URI in the whole bundle.
    #[error("section {section} gives a header extension id another meaning than an earlier section")]
    ExtensionConflict {
        /// Index of the m-line.
        section: usize,
    },
    /// RFC 8842 3: another certificate needs an ICE restart.
    #[error("section {section} has other certificate fingerprints than before, but the same ICE credentials")]
    FingerprintChanged {
        /// Index of the m-line.
        section: usize,
    },
    /// RFC 3264 6: a section that was rejected in the offer stays rejected in the answer.
    #[error("section {section} was rejected by the offer but not by the answer")]
    AcceptedRejected {
        /// Index of the m-line.
        section: usize,
    },
}
