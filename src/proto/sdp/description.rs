//! The model of a description: what a WebRTC endpoint needs to know of it, typed.
//!
//! Attributes that this stack has no use for are not kept. Who needs the text as it came keeps the text.

use super::attributes::*;
use crate::proto::rtp::CodecParameters;
use std::sync::Arc;

/// A session description.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SessionDescription {
    /// `o=`
    pub origin: Origin,
    /// `s=`, usually `-`.
    pub session_name: String,
    /// `c=` for all sections, verbatim.
    pub connection: Option<String>,
    /// `a=group` lines.
    pub groups: Vec<Group>,
    /// `a=extmap-allow-mixed` for all sections (RFC 8285 6).
    pub extmap_allow_mixed: bool,
    /// Value of `a=msid-semantic`, which browsers still write.
    pub msid_semantic: Option<String>,
    /// `a=ice-lite`
    pub ice_lite: bool,
    /// Inherited by sections that do not say otherwise.
    pub transport: TransportAttributes,
    /// `a=extmap` for all sections.
    pub extensions: Vec<ExtensionMapping>,
    /// `b=` lines for the session: type and value.
    pub bandwidths: Vec<(String, u64)>,
    /// Direction of sections that do not say otherwise.
    pub direction: Option<Direction>,
    /// The sections.
    pub media: Vec<MediaDescription>,
}

/// RFC 8866 5.8, RFC 3890 6.2.
fn bitrate_max(bandwidths: &[(String, u64)]) -> Option<u64> {
    let limit = |(kind, value): &(String, u64)| match kind.as_str() {
        "TIAS" => Some(*value),
        "AS" => Some(value.saturating_mul(1_000)),
        _ => None,
    };
    bandwidths.iter().filter_map(limit).min()
}

/// `o=` (RFC 8866 5.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// User name, usually `-`.
    pub username: String,
    /// Session id, numeric.
    pub session_id: String,
    /// Version, numeric.
    pub session_version: String,
    /// Network type, address type and address.
    pub address: String,
}

impl Default for Origin {
    fn default() -> Self {
        Self {
            username: "-".to_owned(),
            session_id: "0".to_owned(),
            session_version: "0".to_owned(),
            // RFC 8829 5.2.1: a meaningless address that gives nothing away.
            address: "IN IP4 127.0.0.1".to_owned(),
        }
    }
}

/// Attributes of a transport, allowed for the session and for a section.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TransportAttributes {
    /// `a=ice-ufrag`
    pub ice_ufrag: Option<String>,
    /// `a=ice-pwd`
    pub ice_pwd: Option<String>,
    /// Words of `a=ice-options`.
    pub ice_options: Vec<String>,
    /// `a=fingerprint` values: hash name and hex pairs.
    pub fingerprints: Vec<String>,
    /// `a=setup`
    pub setup: Option<Setup>,
    /// `a=tls-id`
    pub tls_id: Option<String>,
    /// `a=end-of-candidates`
    pub end_of_candidates: bool,
}

/// One section: an `m=` line and what follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaDescription {
    /// Media type.
    pub media_type: MediaType,
    /// Port; 0 rejects the section unless it is bundle-only.
    pub port: u16,
    /// Transport protocol, e.g. `UDP/TLS/RTP/SAVPF`.
    pub protocol: String,
    /// Formats, verbatim: for RTP the payload types.
    pub formats: Vec<String>,
    /// `c=`, verbatim.
    pub connection: Option<String>,
    /// `b=` lines: type and value.
    pub bandwidths: Vec<(String, u64)>,
    /// `a=mid`
    pub mid: Option<String>,
    /// Direction; `None` when neither the section nor the session says.
    pub direction: Option<Direction>,
    /// Attributes of its transport, without those inherited.
    pub transport: TransportAttributes,
    /// `candidate:..` lines, verbatim.
    pub candidates: Vec<Arc<str>>,
    /// `a=rtcp-mux`
    pub rtcp_mux: bool,
    /// `a=rtcp-mux-only` (RFC 8858)
    pub rtcp_mux_only: bool,
    /// `a=rtcp-rsize` (RFC 5506)
    pub rtcp_reduced_size: bool,
    /// `a=bundle-only` (RFC 9143 6)
    pub bundle_only: bool,
    /// `a=extmap-allow-mixed`
    pub extmap_allow_mixed: bool,
    /// Codecs in the order of the formats; formats whose meaning is unknown are left out.
    pub codecs: Vec<CodecParameters>,
    /// `a=extmap` lines.
    pub extensions: Vec<ExtensionMapping>,
    /// `a=msid` lines.
    pub msids: Vec<Msid>,
    /// `a=ssrc` lines.
    pub sources: Vec<SourceAttribute>,
    /// `a=ssrc-group` lines.
    pub source_groups: Vec<SourceGroup>,
    /// `a=rid` lines.
    pub rids: Vec<Rid>,
    /// `a=simulcast`
    pub simulcast: Option<Simulcast>,
    /// `a=sctp-port` (RFC 8841 5)
    pub sctp_port: Option<u16>,
    /// `a=max-message-size` (RFC 8841 6)
    pub max_message_size: Option<u64>,
    /// `a=sctpmap`, which `a=sctp-port` has replaced.
    pub sctp_map: Option<SctpMap>,
    /// `a=rtcp` (RFC 3605)
    pub rtcp: Option<RtcpAddress>,
    /// `a=ptime`: milliseconds of media in a packet that the author wants (RFC 8866 6.4).
    pub packet_time: Option<u32>,
    /// `a=maxptime`: the most milliseconds of media in a packet (RFC 8866 6.5).
    pub packet_time_max: Option<u32>,
}

impl MediaDescription {
    /// A section of this type without any attribute.
    pub fn new(media_type: MediaType, port: u16, protocol: impl Into<String>) -> Self {
        Self {
            media_type,
            port,
            protocol: protocol.into(),
            formats: Vec::new(),
            connection: None,
            bandwidths: Vec::new(),
            mid: None,
            direction: None,
            transport: TransportAttributes::default(),
            candidates: Vec::new(),
            rtcp_mux: false,
            rtcp_mux_only: false,
            rtcp_reduced_size: false,
            bundle_only: false,
            extmap_allow_mixed: false,
            codecs: Vec::new(),
            extensions: Vec::new(),
            msids: Vec::new(),
            sources: Vec::new(),
            source_groups: Vec::new(),
            rids: Vec::new(),
            simulcast: None,
            sctp_port: None,
            max_message_size: None,
            sctp_map: None,
            rtcp: None,
            packet_time: None,
            packet_time_max: None,
        }
    }

    /// Whether the section is rejected (RFC 3264 6, RFC 9143 6: a bundle-only section has port 0 too).
    pub fn rejected(&self) -> bool {
        self.port == 0 && !self.bundle_only
    }

    /// Whether it carries RTP.
    pub fn is_rtp(&self) -> bool {
        self.protocol.split('/').any(|part| part == "RTP")
    }

    /// The lowest limit of `b=TIAS` and `b=AS`, in bits per second.
    pub fn bitrate_max(&self) -> Option<u64> {
        bitrate_max(&self.bandwidths)
    }
}

impl SessionDescription {
    /// Identification tags of the first BUNDLE group.
    pub fn bundle(&self) -> &[String] {
        self.groups
            .iter()
            .find(|group| group.semantics == "BUNDLE")
            .map_or(&[][..], |group| group.mids.as_slice())
    }

    /// Identification tags of every BUNDLE group.
    pub fn bundles(&self) -> impl Iterator<Item = &[String]> {
        self.groups.iter().filter(|group| group.semantics == "BUNDLE").map(|group| group.mids.as_slice())
    }

    /// Index of the section with this identification tag.
    pub fn index_of(&self, mid: &str) -> Option<usize> {
        self.media.iter().position(|section| section.mid.as_deref() == Some(mid))
    }

    /// The lowest limit of `b=TIAS` and `b=AS` for a section, its own or that of the session, in bits per second.
    pub fn bitrate_max_of(&self, section: &MediaDescription) -> Option<u64> {
        section.bitrate_max().into_iter().chain(bitrate_max(&self.bandwidths)).min()
    }

    /// Transport attributes of a section with those of the session filled in (RFC 8839 5.4, RFC 8122 5).
    pub fn transport_of(&self, section: &MediaDescription) -> TransportAttributes {
        let (own, session) = (&section.transport, &self.transport);
        // Credentials come as a pair: a section with its own fragment never mixes with the session's password.
        let has_credentials = own.ice_ufrag.is_some() || own.ice_pwd.is_some();
        let credentials = if has_credentials { own } else { session };
        let list = |own: &Vec<String>, session: &Vec<String>| {
            if own.is_empty() { session.clone() } else { own.clone() }
        };
        TransportAttributes {
            ice_ufrag: credentials.ice_ufrag.clone(),
            ice_pwd: credentials.ice_pwd.clone(),
            ice_options: list(&own.ice_options, &session.ice_options),
            fingerprints: list(&own.fingerprints, &session.fingerprints),
            setup: own.setup.or(session.setup),
            tls_id: own.tls_id.clone().or_else(|| session.tls_id.clone()),
            end_of_candidates: own.end_of_candidates || session.end_of_candidates,
        }
    }

    /// Direction of a section, inherited or by default `sendrecv` (RFC 8866 6.7).
    pub fn direction_of(&self, section: &MediaDescription) -> Direction {
        section.direction.or(self.direction).unwrap_or_default()
    }

    /// Header extensions of a section, those of the session first.
    pub fn extensions_of<'a>(
        &'a self,
        section: &'a MediaDescription,
    ) -> impl Iterator<Item = &'a ExtensionMapping> {
        self.extensions.iter().chain(&section.extensions)
    }
}
