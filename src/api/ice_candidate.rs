//! `RtcIceCandidate` (W3C webrtc-pc §4.8.1): a candidate with its parts.

use serde::{Deserialize, Serialize};

use super::{RtcIceCandidateInit, RtcIceComponent};
use crate::{
    messages::error::RtcError,
    proto::ice::{Candidate, CandidateAddress, CandidateKind, TcpType, TransportProtocol},
};

/// How a candidate is reached (W3C webrtc-pc §4.8.1.3 `RTCIceProtocol`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(clippy::exhaustive_enums, reason = "W3C has two values")]
pub enum RtcIceProtocol {
    /// UDP.
    Udp,
    /// TCP (RFC 6544).
    Tcp,
}

/// Who opens the connection of a TCP candidate (W3C webrtc-pc §4.8.1.4 `RTCIceTcpCandidateType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(clippy::exhaustive_enums, reason = "RFC 6544 has three types")]
pub enum RtcIceTcpCandidateType {
    /// The one whose candidate it is.
    Active,
    /// The other one.
    Passive,
    /// Both at once.
    So,
}

/// Where a candidate comes from (W3C webrtc-pc §4.8.1.5 `RTCIceCandidateType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(clippy::exhaustive_enums, reason = "RFC 8445 has four types")]
pub enum RtcIceCandidateType {
    /// An address of the host.
    Host,
    /// The host's address as a STUN server sees it.
    Srflx,
    /// An address learned from a connectivity check.
    Prflx,
    /// An address of a TURN server.
    Relay,
}

/// A candidate with its parts (W3C `RTCIceCandidate`). In JSON it is an [`RtcIceCandidateInit`], as
/// W3C's `toJSON` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "RtcIceCandidateInit", try_from = "RtcIceCandidateInit")]
#[non_exhaustive]
pub struct RtcIceCandidate {
    /// The candidate line, `candidate:…`; empty: the peer has no more.
    pub candidate: String,
    /// The section it belongs to, by `a=mid` …
    pub sdp_mid: Option<String>,
    /// … or by index.
    pub sdp_m_line_index: Option<u16>,
    /// Equal for candidates of one type, base and server.
    pub foundation: Option<String>,
    /// RTP, always.
    pub component: Option<RtcIceComponent>,
    /// The higher, the earlier it is tried.
    pub priority: Option<u32>,
    /// IP address or name.
    pub address: Option<String>,
    /// UDP or TCP.
    pub protocol: Option<RtcIceProtocol>,
    /// UDP or TCP port.
    pub port: Option<u16>,
    /// Where it comes from.
    pub kind: Option<RtcIceCandidateType>,
    /// For TCP.
    pub tcp_type: Option<RtcIceTcpCandidateType>,
    /// The address it was derived from.
    pub related_address: Option<String>,
    /// The port it was derived from.
    pub related_port: Option<u16>,
    /// The generation of ICE credentials it belongs to.
    pub username_fragment: Option<String>,
    /// For relayed candidates of ours: how the TURN server is reached, `udp`, `tcp` or `tls`.
    pub relay_protocol: Option<String>,
    /// For candidates of ours: the server it was got from.
    pub url: Option<String>,
}

impl RtcIceCandidate {
    /// Takes a signalled candidate apart. A line that can't be read leaves its parts empty: W3C leaves
    /// the judgement to `addIceCandidate`.
    ///
    /// # Errors
    /// [`RtcError::TypeError`] when it names its section neither by `sdp_mid` nor by `sdp_m_line_index`.
    pub fn new(init: RtcIceCandidateInit) -> Result<Self, RtcError> {
        if init.sdp_mid.is_none() && init.sdp_m_line_index.is_none() {
            let sentence = "a candidate must name its section by sdpMid or by sdpMLineIndex";
            return Err(RtcError::TypeError(sentence.to_owned()));
        }
        let mut candidate = match init.candidate.parse::<Candidate>() {
            Ok(parsed) => Self::from(&parsed),
            Err(_) => Self::without_parts(),
        };
        candidate.candidate = init.candidate;
        candidate.sdp_mid = init.sdp_mid;
        candidate.sdp_m_line_index = init.sdp_m_line_index;
        candidate.username_fragment = init.username_fragment.or(candidate.username_fragment);
        Ok(candidate)
    }

    fn without_parts() -> Self {
        Self {
            candidate: String::new(),
            sdp_mid: None,
            sdp_m_line_index: None,
            foundation: None,
            component: None,
            priority: None,
            address: None,
            protocol: None,
            port: None,
            kind: None,
            tcp_type: None,
            related_address: None,
            related_port: None,
            username_fragment: None,
            relay_protocol: None,
            url: None,
        }
    }
}

impl From<&Candidate> for RtcIceCandidate {
    fn from(candidate: &Candidate) -> Self {
        let (address, port) = match &candidate.address {
            CandidateAddress::Ip(address) => (address.ip().to_string(), address.port()),
            CandidateAddress::Name { host, port } => (host.clone(), *port),
        };
        Self {
            candidate: candidate.to_string(),
            foundation: Some(candidate.foundation.clone()),
            component: Some(if candidate.component == 2 {
                RtcIceComponent::Rtcp
            } else {
                RtcIceComponent::Rtp
            }),
            priority: Some(candidate.priority),
            address: Some(address),
            protocol: Some(match candidate.protocol {
                TransportProtocol::Udp => RtcIceProtocol::Udp,
                TransportProtocol::Tcp => RtcIceProtocol::Tcp,
            }),
            port: Some(port),
            kind: Some(candidate.kind.into()),
            tcp_type: candidate.tcp_type.map(|tcp_type| match tcp_type {
                TcpType::Active => RtcIceTcpCandidateType::Active,
                TcpType::Passive => RtcIceTcpCandidateType::Passive,
                TcpType::SimultaneousOpen => RtcIceTcpCandidateType::So,
            }),
            related_address: candidate.related.map(|related| related.ip().to_string()),
            related_port: candidate.related.map(|related| related.port()),
            username_fragment: candidate.ufrag.clone(),
            // Only relayed candidates have one: the way to the server (W3C `RTCIceServerTransportProtocol`).
            relay_protocol: candidate
                .server
                .as_ref()
                .filter(|_| candidate.kind == CandidateKind::Relayed)
                .map(|server| server.transport.as_str().to_owned()),
            url: candidate.server.as_ref().map(|server| server.to_string()),
            ..Self::without_parts()
        }
    }
}

impl From<CandidateKind> for RtcIceCandidateType {
    fn from(kind: CandidateKind) -> Self {
        match kind {
            CandidateKind::Host => Self::Host,
            CandidateKind::ServerReflexive => Self::Srflx,
            CandidateKind::PeerReflexive => Self::Prflx,
            CandidateKind::Relayed => Self::Relay,
        }
    }
}

impl From<RtcIceCandidate> for RtcIceCandidateInit {
    fn from(candidate: RtcIceCandidate) -> Self {
        Self {
            candidate: candidate.candidate,
            sdp_mid: candidate.sdp_mid,
            sdp_m_line_index: candidate.sdp_m_line_index,
            username_fragment: candidate.username_fragment,
        }
    }
}

impl TryFrom<RtcIceCandidateInit> for RtcIceCandidate {
    type Error = RtcError;

    fn try_from(init: RtcIceCandidateInit) -> Result<Self, RtcError> {
        Self::new(init)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str =
        "candidate:842163049 1 udp 1677729535 192.0.2.7 3478 typ srflx raddr 10.0.0.7 rport 52033 ufrag abcd";

    fn init(candidate: &str) -> RtcIceCandidateInit {
        RtcIceCandidateInit {
            candidate: candidate.to_owned(),
            sdp_mid: Some("0".to_owned()),
            ..RtcIceCandidateInit::default()
        }
    }

    #[test]
    fn a_line_is_taken_apart() {
        let candidate = RtcIceCandidate::new(init(LINE)).unwrap();
        assert_eq!(candidate.foundation.as_deref(), Some("842163049"));
        assert_eq!(candidate.component, Some(RtcIceComponent::Rtp));
        assert_eq!(candidate.priority, Some(1_677_729_535));
        assert_eq!((candidate.address.as_deref(), candidate.port), (Some("192.0.2.7"), Some(3478)));
        assert_eq!(candidate.protocol, Some(RtcIceProtocol::Udp));
        assert_eq!(candidate.kind, Some(RtcIceCandidateType::Srflx));
        assert_eq!(
            (candidate.related_address.as_deref(), candidate.related_port),
            (Some("10.0.0.7"), Some(52_033))
        );
        assert_eq!(candidate.username_fragment.as_deref(), Some("abcd"));
    }

    #[test]
    fn an_unreadable_line_has_no_parts_but_stays() {
        let candidate = RtcIceCandidate::new(init("candidate:nonsense")).unwrap();
        assert_eq!(candidate.candidate, "candidate:nonsense");
        assert_eq!((candidate.foundation, candidate.port), (None, None));
    }

    #[test]
    fn a_candidate_without_section_is_a_type_error() {
        let init = RtcIceCandidateInit { candidate: LINE.to_owned(), ..RtcIceCandidateInit::default() };
        assert_eq!(RtcIceCandidate::new(init).unwrap_err().name(), "TypeError");
    }

    #[test]
    fn json_is_that_of_the_init() {
        let candidate = RtcIceCandidate::new(init(LINE)).unwrap();
        let json = serde_json::to_value(&candidate).unwrap();
        assert_eq!(json["candidate"], LINE);
        assert_eq!(json["sdpMid"], "0");
        assert_eq!(json["usernameFragment"], "abcd");
        assert_eq!(serde_json::from_value::<RtcIceCandidate>(json).unwrap(), candidate);
    }
}
