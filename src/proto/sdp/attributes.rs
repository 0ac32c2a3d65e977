//! The values of single attributes that have a structure of their own.

use std::fmt;

/// Which way media flows, from the side of the description's author.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[allow(clippy::exhaustive_enums, reason = "RFC 8866 6.7 has these four")]
pub enum Direction {
    /// `a=sendrecv`, the default.
    #[default]
    Sendrecv,
    /// `a=sendonly`
    Sendonly,
    /// `a=recvonly`
    Recvonly,
    /// `a=inactive`
    Inactive,
}

impl Direction {
    /// Attribute name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sendrecv => "sendrecv",
            Self::Sendonly => "sendonly",
            Self::Recvonly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "sendrecv" => Self::Sendrecv,
            "sendonly" => Self::Sendonly,
            "recvonly" => Self::Recvonly,
            "inactive" => Self::Inactive,
            _ => return None,
        })
    }
}

/// Media type of a section (RFC 8866 5.14).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MediaType {
    /// `m=audio`
    Audio,
    /// `m=video`
    Video,
    /// `m=application`: data channels.
    Application,
    /// A type that this stack has no use for.
    Other(String),
}

impl MediaType {
    pub(super) fn from_name(name: &str) -> Self {
        match name {
            "audio" => Self::Audio,
            "video" => Self::Video,
            "application" => Self::Application,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Audio => "audio",
            Self::Video => "video",
            Self::Application => "application",
            Self::Other(name) => name,
        })
    }
}

/// `a=setup`: who begins the DTLS handshake (RFC 4145 4, RFC 8842 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "RFC 4145 4 has these four")]
pub enum Setup {
    /// The author begins.
    Active,
    /// The other side begins.
    Passive,
    /// The answer chooses.
    Actpass,
    /// Nobody, for now; never used by WebRTC.
    Holdconn,
}

impl Setup {
    /// Attribute value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Passive => "passive",
            Self::Actpass => "actpass",
            Self::Holdconn => "holdconn",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "active" => Self::Active,
            "passive" => Self::Passive,
            "actpass" => Self::Actpass,
            "holdconn" => Self::Holdconn,
            _ => return None,
        })
    }
}

/// `a=group` (RFC 5888 5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// `BUNDLE`, `LS`, ...
    pub semantics: String,
    /// Identification tags, in order.
    pub mids: Vec<String>,
}

/// `a=msid` (RFC 8830 2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Msid {
    /// The stream; `None` for `-`, a track without a stream.
    pub stream: Option<String>,
    /// The track; newer descriptions may leave it out.
    pub track: Option<String>,
}

/// `a=extmap` (RFC 8285 8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtensionMapping {
    /// 1–255, or 4096–4351 in an offer that lets the answer choose.
    pub id: u16,
    /// Restriction of direction.
    pub direction: Option<Direction>,
    /// What the extension is.
    pub uri: String,
    /// Extension attributes, verbatim.
    pub attributes: Option<String>,
}

/// `a=ssrc` (RFC 5576 4.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceAttribute {
    /// The source.
    pub ssrc: u32,
    /// Attribute name, e.g. `cname`.
    pub name: String,
    /// Attribute value.
    pub value: Option<String>,
}

/// `a=ssrc-group` (RFC 5576 4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceGroup {
    /// `FID`, `SIM`, ...
    pub semantics: String,
    /// The sources, in order.
    pub ssrcs: Vec<u32>,
}

/// Direction of a restriction identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "RFC 8851 10 has these two")]
pub enum RidDirection {
    /// The author sends it.
    Send,
    /// The author receives it.
    Recv,
}

impl RidDirection {
    /// As written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Recv => "recv",
        }
    }
}

/// `a=rid` (RFC 8851 4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rid {
    /// The identifier, as in the header extension.
    pub id: String,
    /// Who sends it.
    pub direction: RidDirection,
    /// `pt=`; empty when every payload type is allowed.
    pub payload_types: Vec<u8>,
    /// Other restrictions in order, e.g. `max-width=1280`.
    pub restrictions: Vec<(String, Option<String>)>,
}

/// `a=sctpmap` of the drafts before RFC 8841.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SctpMap {
    /// SCTP port, which is also the format of the m-line.
    pub port: u16,
    /// `webrtc-datachannel`
    pub application: String,
    /// Streams that the author can take.
    pub streams: Option<u16>,
}

/// `a=rtcp` (RFC 3605 2.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RtcpAddress {
    /// Port for RTCP; of no use with `a=rtcp-mux`.
    pub port: u16,
    /// Network type, address type and address.
    pub address: Option<String>,
}

/// `a=simulcast` (RFC 8853 5.1): for each direction the streams, each with its alternatives.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Simulcast {
    /// Streams that the author sends.
    pub send: Vec<Vec<SimulcastId>>,
    /// Streams that the author wants to receive.
    pub recv: Vec<Vec<SimulcastId>>,
}

/// One alternative of a simulcast stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimulcastId {
    /// A rid.
    pub rid: String,
    /// `~`: begins paused.
    pub paused: bool,
}
