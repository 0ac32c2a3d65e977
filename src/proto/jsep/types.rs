//! The vocabulary of offer/answer: description types, signalling states, directions, parameters.

use crate::proto::rtp::CodecParameters;
use crate::proto::sdp;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// What a description is (W3C `RTCSdpType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "the four types are fixed by RFC 8829 3.2")]
pub enum SdpType {
    /// Proposes a session or a change of it.
    Offer,
    /// An answer that may be followed by another answer.
    Pranswer,
    /// Completes the exchange.
    Answer,
    /// Returns to the last stable state.
    Rollback,
}

impl fmt::Display for SdpType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Offer => "offer",
            Self::Pranswer => "pranswer",
            Self::Answer => "answer",
            Self::Rollback => "rollback",
        })
    }
}

/// A session description with its role in the exchange (W3C `RTCSessionDescription`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Offer, answer, ...
    pub kind: SdpType,
    /// The text; empty in a rollback. An empty local description means "the one created last, or a new one".
    pub sdp: String,
}

impl Description {
    /// An offer with this text.
    pub fn offer(sdp: impl Into<String>) -> Self {
        Self { kind: SdpType::Offer, sdp: sdp.into() }
    }

    /// An answer with this text.
    pub fn answer(sdp: impl Into<String>) -> Self {
        Self { kind: SdpType::Answer, sdp: sdp.into() }
    }

    /// A provisional answer with this text.
    pub fn pranswer(sdp: impl Into<String>) -> Self {
        Self { kind: SdpType::Pranswer, sdp: sdp.into() }
    }

    /// A return to the last stable state.
    pub fn rollback() -> Self {
        Self { kind: SdpType::Rollback, sdp: String::new() }
    }
}

/// Where the offer/answer exchange stands (RFC 8829 3.2, W3C `RTCSignalingState`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(clippy::exhaustive_enums, reason = "the states are fixed by RFC 8829 3.2")]
pub enum SignalingState {
    /// No exchange is in progress.
    Stable,
    /// A local offer waits for its answer.
    HaveLocalOffer,
    /// A remote offer waits for its answer.
    HaveRemoteOffer,
    /// A remote offer got a provisional local answer.
    HaveLocalPranswer,
    /// A local offer got a provisional remote answer.
    HaveRemotePranswer,
    /// The session is over.
    Closed,
}

impl fmt::Display for SignalingState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stable => "stable",
            Self::HaveLocalOffer => "have-local-offer",
            Self::HaveRemoteOffer => "have-remote-offer",
            Self::HaveLocalPranswer => "have-local-pranswer",
            Self::HaveRemotePranswer => "have-remote-pranswer",
            Self::Closed => "closed",
        })
    }
}

pub use crate::proto::rtp::MediaKind;

/// Which way media flows, seen from this side (W3C `RTCRtpTransceiverDirection`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(clippy::exhaustive_enums, reason = "the directions are fixed by W3C WebRTC 5.4")]
pub enum Direction {
    /// Both ways.
    Sendrecv,
    /// Only from here to the peer.
    Sendonly,
    /// Only from the peer to here.
    Recvonly,
    /// Neither way, but the section stays.
    Inactive,
    /// The transceiver is stopped for good.
    Stopped,
}

impl Direction {
    /// Whether media goes from here to the peer.
    pub fn sends(self) -> bool {
        matches!(self, Self::Sendrecv | Self::Sendonly)
    }

    /// Whether media comes from the peer.
    pub fn receives(self) -> bool {
        matches!(self, Self::Sendrecv | Self::Recvonly)
    }

    /// The direction that sends and receives as told.
    pub fn of(sends: bool, receives: bool) -> Self {
        match (sends, receives) {
            (true, true) => Self::Sendrecv,
            (true, false) => Self::Sendonly,
            (false, true) => Self::Recvonly,
            (false, false) => Self::Inactive,
        }
    }

    /// The same flow seen from the other side.
    pub fn reversed(self) -> Self {
        match self {
            Self::Sendonly => Self::Recvonly,
            Self::Recvonly => Self::Sendonly,
            Self::Sendrecv | Self::Inactive | Self::Stopped => self,
        }
    }

    /// What both directions allow.
    pub fn intersection(self, other: Self) -> Self {
        Self::of(self.sends() && other.sends(), self.receives() && other.receives())
    }

    pub(super) fn to_sdp(self) -> sdp::Direction {
        match self {
            Self::Sendrecv => sdp::Direction::Sendrecv,
            Self::Sendonly => sdp::Direction::Sendonly,
            Self::Recvonly => sdp::Direction::Recvonly,
            Self::Inactive | Self::Stopped => sdp::Direction::Inactive,
        }
    }
}

impl From<sdp::Direction> for Direction {
    fn from(direction: sdp::Direction) -> Self {
        match direction {
            sdp::Direction::Sendrecv => Self::Sendrecv,
            sdp::Direction::Sendonly => Self::Sendonly,
            sdp::Direction::Recvonly => Self::Recvonly,
            sdp::Direction::Inactive => Self::Inactive,
        }
    }
}

/// Names a transceiver for the life of its session; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransceiverId(pub(super) u32);

impl fmt::Display for TransceiverId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Which side of the DTLS handshake this session takes (RFC 8842 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "DTLS has two roles")]
pub enum DtlsRole {
    /// `a=setup:active`: sends the ClientHello.
    Client,
    /// `a=setup:passive`: waits for it.
    Server,
}

/// Names a transport for the life of its session; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransportId(pub(super) u32);

impl fmt::Display for TransportId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One ICE and DTLS transport and the sections on it (W3C `RTCDtlsTransport` with its `RTCIceTransport`).
///
/// It appears when a local offer is applied, or with a remote offer that needs it, and vanishes with a rollback, or
/// with the answer that puts its sections on another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transport {
    /// Its name in calls on the session.
    pub id: TransportId,
    /// Identification tags of its sections, in the order of the m-lines. May be empty while an exchange is in
    /// progress: a provisional answer left it without sections, and the final one may not.
    pub mids: Vec<String>,
    /// Our ICE credentials. When they change, its ICE agent must restart with them.
    pub local: IceParameters,
    /// The peer's end; `None` until a remote description gives it.
    pub remote: Option<RemoteTransport>,
}

/// How eagerly sections are put on one transport (RFC 9429 4.1.1, W3C `RTCBundlePolicy`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[allow(clippy::exhaustive_enums, reason = "the three policies are fixed by RFC 9429 4.1.1")]
pub enum BundlePolicy {
    /// Until the peer has agreed to bundle, one transport for each of audio, video and data.
    #[default]
    Balanced,
    /// Until the peer has agreed to bundle, one transport for each section.
    MaxCompat,
    /// One transport, whatever the peer does: what can't share it is rejected.
    MaxBundle,
}

/// The ICE half of a description (RFC 8839 5.3, 5.4).
#[derive(Clone, PartialEq, Eq)]
pub struct IceParameters {
    /// User name fragment.
    pub ufrag: String,
    /// Password.
    pub password: String,
    /// Whether this is a lite implementation.
    pub lite: bool,
}

impl fmt::Debug for IceParameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IceParameters")
            .field("ufrag", &self.ufrag)
            .field("password", &"..")
            .field("lite", &self.lite)
            .finish()
    }
}

/// What is known of the peer's end of a transport.
#[derive(Clone, PartialEq, Eq)]
pub struct RemoteTransport {
    /// The peer's ICE user name fragment.
    pub ufrag: String,
    /// The peer's ICE password.
    pub password: String,
    /// Whether the peer is ICE lite, so that this side must be controlling (RFC 8445 6.1.1).
    pub lite: bool,
    /// Candidate lines without `a=`, from descriptions and trickled.
    pub candidates: Vec<Arc<str>>,
    /// Whether the peer said that there will be no more candidates.
    pub end_of_candidates: bool,
    /// `hash-name AA:BB:..`; the certificate must match one of them.
    pub fingerprints: Vec<String>,
    /// Our side of the handshake; `None` until an answer settled it.
    pub dtls_role: Option<DtlsRole>,
}

impl fmt::Debug for RemoteTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteTransport")
            .field("ufrag", &self.ufrag)
            .field("lite", &self.lite)
            .field("candidates", &self.candidates.len())
            .field("end_of_candidates", &self.end_of_candidates)
            .field("fingerprints", &self.fingerprints)
            .field("dtls_role", &self.dtls_role)
            .finish_non_exhaustive()
    }
}

/// How a new transceiver begins (W3C `RTCRtpTransceiverInit`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransceiverInit {
    /// The direction wanted.
    pub direction: Direction,
    /// Streams that the track sent belongs to.
    pub stream_ids: Vec<String>,
    /// Id of the track sent; a random one is made up when there is none.
    pub track_id: Option<String>,
    /// Simulcast layers (W3C `sendEncodings`): their rids. Empty, or one entry without a rid, for a single stream.
    pub send_encodings: Vec<SendEncoding>,
}

/// One stream of a sender as the application asks for it (W3C `RTCRtpEncodingParameters`, the part that is signalled).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SendEncoding {
    /// Restriction identifier (RFC 8851); needed as soon as there are several encodings.
    pub rid: Option<String>,
}

impl Default for TransceiverInit {
    fn default() -> Self {
        Self {
            direction: Direction::Sendrecv,
            stream_ids: Vec::new(),
            track_id: None,
            send_encodings: Vec::new(),
        }
    }
}

/// Options of an offer (W3C `RTCOfferOptions`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OfferOptions {
    /// Whether to choose new ICE credentials.
    pub ice_restart: bool,
}

/// A candidate as signalled (W3C `RTCIceCandidateInit`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CandidateInit {
    /// `candidate:...`, with or without `a=`; empty means that there will be no more.
    pub candidate: String,
    /// The section's identification tag.
    pub mid: Option<String>,
    /// The section's index, used when there is no `mid`.
    pub media_line_index: Option<usize>,
    /// The ICE generation it belongs to.
    pub username_fragment: Option<String>,
}

/// Whether a remote candidate matters to a transport in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "callers must handle each")]
pub enum CandidateUse {
    /// It belongs to this transport: give it to the ICE agent.
    Transport(TransportId),
    /// It was recorded, but its section's transport is not the one in use (RFC 9143 7.3.1).
    Recorded,
}

/// All that a sender needs to know, as negotiated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RtpSendParameters {
    /// Codecs the peer wants, in its order, with the payload types it wants; rtx ones are included.
    pub codecs: Vec<CodecParameters>,
    /// Negotiated header extensions: id and URI.
    pub extensions: Vec<(u8, String)>,
    /// Whether one-byte and two-byte extension headers may be mixed (RFC 8285 6).
    pub extensions_mixed: bool,
    /// The streams to send, at least one: several when the peer accepted simulcast layers, in the order announced.
    pub encodings: Vec<EncodingSources>,
    /// The transport that carries it.
    pub transport: TransportId,
    /// Identification tag to write into the MID extension.
    pub mid: String,
    /// RTCP canonical name.
    pub cname: String,
    /// Whether RTCP may be reduced-size (RFC 5506).
    pub reduced_size: bool,
    /// Ids of the streams announced for the track.
    pub stream_ids: Vec<String>,
    /// Id announced for the track.
    pub track_id: String,
    /// Upper bound that the peer set with `b=`, in bits per second.
    pub bitrate_max: Option<u64>,
    /// Milliseconds of media that the peer wants in a packet (`a=ptime`).
    pub packet_time: Option<u32>,
    /// The most milliseconds of media that the peer takes in a packet (`a=maxptime`).
    pub packet_time_max: Option<u32>,
}

/// One stream of a sender, as negotiated (RFC 8853).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodingSources {
    /// Identifier to write into the RID extension; `None` when there is no simulcast.
    pub rid: Option<String>,
    /// Source of the media.
    pub ssrc: u32,
    /// Source of retransmissions when rtx was negotiated.
    pub rtx_ssrc: Option<u32>,
    /// The peer asked for this layer to begin paused (`~`).
    pub paused: bool,
}

/// All that a receiver needs to know, as negotiated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RtpReceiveParameters {
    /// The transport that carries it.
    pub transport: TransportId,
    /// Codecs that may arrive, with the payload types we announced; rtx ones are included.
    pub codecs: Vec<CodecParameters>,
    /// Negotiated header extensions: id and URI.
    pub extensions: Vec<(u8, String)>,
    /// Signalled sources, each with its retransmission source.
    pub ssrcs: Vec<(u32, Option<u32>)>,
    /// Simulcast layers accepted, in the peer's order.
    pub rids: Vec<String>,
    /// Identification tag.
    pub mid: String,
    /// Whether RTCP may be reduced-size (RFC 5506).
    pub reduced_size: bool,
    /// Canonical name that receiver reports carry.
    pub cname: String,
    /// Source that feedback is sent from.
    pub local_ssrc: u32,
}

/// What was negotiated for data channels (RFC 8841).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataParameters {
    /// Identification tag.
    pub mid: String,
    /// The transport that carries it.
    pub transport: TransportId,
    /// Our SCTP port.
    pub local_port: u16,
    /// The peer's SCTP port.
    pub remote_port: u16,
    /// Largest message that the peer accepts; `None` for any size (RFC 8841 6).
    pub message_size_max: Option<u64>,
}
