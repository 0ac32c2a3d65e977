//! The parts that offers and answers are built from.

use super::config::SessionConfig;
use super::session::{Created, Session};
use super::transceiver::Transceiver;
use super::types::*;
use crate::proto::rtp::CodecParameters;
use crate::proto::sdp::{
    self, Group, MediaDescription, MediaType, Msid, Origin, SessionDescription, Setup, SourceAttribute,
    SourceGroup, TransportAttributes,
};
use rand::Rng;

/// RFC 8829 5.2.1: the discard port stands for "see the candidates".
const DISCARD_PORT: u16 = 9;
/// RFC 8829 5.2.1: the address that goes with it.
const NO_ADDRESS: &str = "IN IP4 0.0.0.0";

impl Session {
    /// A description without sections. The transport is described once, for all sections: RFC 9143 7.1.3 keeps its
    /// attributes out of bundled sections, and peers that look for them in every section inherit them.
    pub(super) fn empty_description(&self, ice: &IceParameters, setup: Setup) -> SessionDescription {
        SessionDescription {
            origin: Origin { session_id: self.session_id.to_string(), ..Origin::default() },
            session_name: "-".to_owned(),
            extmap_allow_mixed: true,
            msid_semantic: Some("WMS *".to_owned()),
            ice_lite: ice.lite,
            transport: TransportAttributes {
                ice_ufrag: Some(ice.ufrag.clone()),
                ice_pwd: Some(ice.password.clone()),
                // RFC 8840, RFC 8445 10.
                ice_options: vec!["trickle".to_owned(), "ice2".to_owned()],
                fingerprints: self.config.fingerprints.clone(),
                setup: Some(setup),
                ..TransportAttributes::default()
            },
            ..SessionDescription::default()
        }
    }

    /// Puts the bundle group, the candidates and the version in, and keeps the result for `set_local_description`.
    pub(super) fn finish_description(
        &mut self,
        kind: SdpType,
        mut sdp: SessionDescription,
        bundle: Vec<String>,
        sections: Vec<Option<TransceiverId>>,
        ice: IceParameters,
    ) -> Description {
        if !bundle.is_empty() {
            sdp.groups.push(Group { semantics: "BUNDLE".to_owned(), mids: bundle });
        }
        let tagged = super::stored::tagged(&sdp);
        if let Some(section) = tagged.and_then(|index| sdp.media.get_mut(index))
            && ice == self.shared.ice
        {
            section.candidates.clone_from(&self.shared.candidates);
            section.transport.end_of_candidates = self.shared.end_of_candidates;
        }
        sdp.origin.session_version = self.version_of(&sdp).to_string();
        let text = sdp.to_string();
        self.created = Some(Created { kind, text: text.clone(), sdp, sections, ice });
        Description { kind, sdp: text }
    }

    /// RFC 8829 5.2.2: the version grows by one with each description that differs from the one applied before.
    fn version_of(&self, sdp: &SessionDescription) -> u64 {
        let Some(version) = self.version else { return FIRST_VERSION };
        let mut comparable = sdp.clone();
        comparable.origin.session_version = version.to_string();
        if self.last_local.as_ref() == Some(&comparable) { version } else { version + 1 }
    }

    /// New ICE credentials: 8 and 24 characters, 48 and 144 random bits (RFC 8445 5.3 wants 24 and 128).
    pub(super) fn new_ice(&mut self) -> IceParameters {
        const ICE_CHARS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = |length: usize| -> String {
            (0..length).map(|_| char::from(ICE_CHARS[self.random.random_range(0..64)])).collect()
        };
        IceParameters { ufrag: text(8), password: text(24), lite: self.config.ice_lite }
    }
}

/// RFC 8829 5.2.1 lets the first version be any number; browsers begin with 2 and nobody minds 1.
const FIRST_VERSION: u64 = 1;

pub(super) fn media_type(kind: MediaKind) -> MediaType {
    match kind {
        MediaKind::Audio => MediaType::Audio,
        MediaKind::Video => MediaType::Video,
    }
}

/// A section that takes part, without its attributes.
pub(super) fn open_section(media_type: MediaType, protocol: &str, mid: Option<String>) -> MediaDescription {
    let mut section = MediaDescription::new(media_type, DISCARD_PORT, protocol);
    section.connection = Some(NO_ADDRESS.to_owned());
    section.mid = mid;
    section
}

/// A section that is refused: port 0 and nothing that negotiates (RFC 3264 6, RFC 8829 5.3.1).
pub(super) fn rejected_section(of: &MediaDescription) -> MediaDescription {
    let mut section = MediaDescription::new(of.media_type.clone(), 0, of.protocol.clone());
    section.formats.clone_from(&of.formats);
    if section.formats.is_empty() {
        // RFC 8866 9: an m-line needs at least one format.
        section.formats.push("0".to_owned());
    }
    section.connection = Some(NO_ADDRESS.to_owned());
    section.mid.clone_from(&of.mid);
    section.direction = Some(sdp::Direction::Inactive);
    section
}

/// A section for data channels (RFC 8841 5).
pub(super) fn data_section(config: &SessionConfig, protocol: &str, mid: Option<String>) -> MediaDescription {
    let mut section = open_section(MediaType::Application, protocol, mid);
    section.formats = vec!["webrtc-datachannel".to_owned()];
    section.sctp_port = Some(config.sctp_port);
    section.max_message_size = Some(config.max_message_size);
    section
}

/// Sets the codecs and with them the formats of the m-line.
pub(super) fn set_codecs(section: &mut MediaDescription, codecs: Vec<CodecParameters>) {
    section.formats = codecs.iter().map(|codec| codec.payload_type.to_string()).collect();
    section.codecs = codecs;
}

/// Announces the track sent: `a=msid` lines, and `a=ssrc` lines for peers that route by them.
pub(super) fn announce_track(
    section: &mut MediaDescription,
    transceiver: &Transceiver,
    config: &SessionConfig,
) {
    section.msids = msids(transceiver);
    let first = section.msids.first();
    let stream = first.and_then(|msid| msid.stream.as_deref()).unwrap_or("-");
    let msid = format!("{stream} {}", transceiver.track_id);
    let mut ssrcs = vec![transceiver.ssrc];
    if section.codecs.iter().any(super::codecs::is_rtx) {
        ssrcs.push(transceiver.rtx_ssrc);
        section.source_groups = vec![SourceGroup { semantics: "FID".to_owned(), ssrcs: ssrcs.clone() }];
    }
    for ssrc in ssrcs {
        for (name, value) in [("cname", &config.cname), ("msid", &msid)] {
            let (name, value) = (name.to_owned(), Some(value.clone()));
            section.sources.push(SourceAttribute { ssrc, name, value });
        }
    }
}

/// `a=msid` of what a transceiver sends: one line for each stream, or `-` (RFC 8829 5.2.1).
pub(super) fn msids(transceiver: &Transceiver) -> Vec<Msid> {
    let msid = |stream: Option<String>| Msid { stream, track: Some(transceiver.track_id.clone()) };
    if transceiver.stream_ids.is_empty() {
        return vec![msid(None)];
    }
    transceiver.stream_ids.iter().cloned().map(|stream| msid(Some(stream))).collect()
}
