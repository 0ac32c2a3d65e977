//! Descriptions and candidates in the JSON form that W3C gives them.

use serde::{Deserialize, Serialize};

use crate::proto::jsep::{CandidateInit, Description, SdpType};

/// What a description does in the offer/answer exchange (W3C `RTCSdpType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RtcSdpType {
    /// A proposal.
    Offer,
    /// An answer that may still change.
    Pranswer,
    /// The final answer.
    Answer,
    /// Takes a proposal back.
    Rollback,
}

/// A session description (W3C `RTCSessionDescription`): JSON `{"type": "offer", "sdp": "v=0…"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RtcSessionDescription {
    /// Offer, answer, …
    #[serde(rename = "type")]
    pub kind: RtcSdpType,
    /// The text, RFC 8866; empty for a rollback.
    #[serde(default)]
    pub sdp: String,
}

impl RtcSessionDescription {
    /// An offer with this text.
    pub fn offer(sdp: impl Into<String>) -> Self {
        Self { kind: RtcSdpType::Offer, sdp: sdp.into() }
    }

    /// An answer with this text.
    pub fn answer(sdp: impl Into<String>) -> Self {
        Self { kind: RtcSdpType::Answer, sdp: sdp.into() }
    }
}

impl From<Description> for RtcSessionDescription {
    fn from(description: Description) -> Self {
        let kind = match description.kind {
            SdpType::Offer => RtcSdpType::Offer,
            SdpType::Pranswer => RtcSdpType::Pranswer,
            SdpType::Answer => RtcSdpType::Answer,
            SdpType::Rollback => RtcSdpType::Rollback,
        };
        Self { kind, sdp: description.sdp }
    }
}

impl From<RtcSessionDescription> for Description {
    fn from(description: RtcSessionDescription) -> Self {
        let kind = match description.kind {
            RtcSdpType::Offer => SdpType::Offer,
            RtcSdpType::Pranswer => SdpType::Pranswer,
            RtcSdpType::Answer => SdpType::Answer,
            RtcSdpType::Rollback => SdpType::Rollback,
        };
        Self { kind, sdp: description.sdp }
    }
}

/// A candidate as it is signalled (W3C `RTCIceCandidateInit`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RtcIceCandidateInit {
    /// The candidate line, `candidate:…`; empty: the peer has no more.
    pub candidate: String,
    /// The section it belongs to, by `a=mid` …
    pub sdp_mid: Option<String>,
    /// … or by index.
    #[serde(rename = "sdpMLineIndex")]
    pub sdp_m_line_index: Option<u16>,
    /// The generation of ICE credentials it belongs to.
    pub username_fragment: Option<String>,
}

impl From<CandidateInit> for RtcIceCandidateInit {
    fn from(candidate: CandidateInit) -> Self {
        Self {
            candidate: candidate.candidate,
            sdp_mid: candidate.mid,
            sdp_m_line_index: candidate.media_line_index.and_then(|index| index.try_into().ok()),
            username_fragment: candidate.username_fragment,
        }
    }
}

impl From<RtcIceCandidateInit> for CandidateInit {
    fn from(candidate: RtcIceCandidateInit) -> Self {
        Self {
            candidate: candidate.candidate,
            mid: candidate.sdp_mid,
            media_line_index: candidate.sdp_m_line_index.map(usize::from),
            username_fragment: candidate.username_fragment,
        }
    }
}
