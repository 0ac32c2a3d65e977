//! The parts that offers and answers are built from.

use super::config::SessionConfig;
use super::placement::{Carrier, Leads, Placement};
use super::session::{Created, Session};
use super::transceiver::Transceiver;
use super::types::*;
use crate::proto::rtp::CodecParameters;
use crate::proto::sdp::{
    self, MediaDescription, MediaType, Msid, Origin, Rid, RidDirection, SctpMap, SessionDescription, Setup,
    SimulcastId, SourceAttribute, SourceGroup, TransportAttributes,
};
use rand::Rng;
use std::collections::HashMap;

/// RFC 8829 5.2.1: the discard port stands for "see the candidates".
const DISCARD_PORT: u16 = 9;
/// RFC 8829 5.2.1: the address that goes with it.
const NO_ADDRESS: &str = "IN IP4 0.0.0.0";

/// RFC 8841 4: the protocol of new data sections.
const DATA_PROTOCOL: &str = "UDP/DTLS/SCTP";
/// The protocol of the drafts before RFC 8841, which some peers still write.
pub(super) const LEGACY_DATA_PROTOCOL: &str = "DTLS/SCTP";
/// RFC 8831 6.1: the one thing that SCTP is used for here.
pub(super) const DATA_FORMAT: &str = "webrtc-datachannel";
/// What browsers wrote into `a=sctpmap`; RFC 8831 6.2 lets SCTP have as many streams as it can.
const LEGACY_STREAMS: u16 = 1024;

impl Session {
    /// A description without sections.
    pub(super) fn empty_description(&self) -> SessionDescription {
        SessionDescription {
            origin: Origin { session_id: self.session_id.to_string(), ..Origin::default() },
            session_name: "-".to_owned(),
            extmap_allow_mixed: true,
            msid_semantic: Some("WMS *".to_owned()),
            ice_lite: self.config.ice_lite,
            ..SessionDescription::default()
        }
    }

    /// Says how each transport is reached, and gives each its candidates.
    ///
    /// The first one is described at the session level: RFC 9143 7.1.3 keeps its attributes out of bundled sections,
    /// and peers that look for them in every section inherit them. Sections on another transport say so themselves.
    fn describe_transports(&self, draft: &mut DescriptionDraft) {
        let DescriptionDraft { sdp, placement, credentials, setups, carriers, .. } = draft;
        let attributes = |(id, ice): &(TransportId, IceParameters)| {
            let setup = setups.iter().find(|(transport, _)| transport == id).map(|(_, setup)| *setup);
            let attributes = TransportAttributes {
                ice_ufrag: Some(ice.ufrag.clone()),
                ice_pwd: Some(ice.password.clone()),
                // RFC 8840, RFC 8445 10.
                ice_options: ICE_OPTIONS.map(str::to_owned).to_vec(),
                fingerprints: self.config.fingerprints.clone(),
                // RFC 8842 5.2: offers leave the choice, also when the association exists already.
                setup: Some(setup.unwrap_or(Setup::Actpass)),
                ..TransportAttributes::default()
            };
            (*id, attributes)
        };
        let all: HashMap<TransportId, TransportAttributes> = credentials.iter().map(attributes).collect();
        let main = credentials.first().map(|(id, _)| *id);
        for (section, placed) in sdp.media.iter_mut().zip(placement.iter()) {
            if let Some(own) = placed.filter(|id| Some(*id) != main).and_then(|id| all.get(&id)) {
                section.transport = own.clone();
                // RFC 8840 4.1.1: of the session, once for all.
                section.transport.ice_options.clear();
            }
        }
        sdp.transport = match main.and_then(|id| all.get(&id)) {
            Some(attributes) => attributes.clone(),
            None => TransportAttributes {
                ice_options: ICE_OPTIONS.map(str::to_owned).to_vec(),
                fingerprints: self.config.fingerprints.clone(),
                ..TransportAttributes::default()
            },
        };
        for carrier in carriers.iter() {
            let Some(transport) = self.shared.transport(carrier.transport) else { continue };
            let Some(section) = sdp.media.get_mut(carrier.section) else { continue };
            if transport.ice.ufrag == carrier.ufrag {
                section.candidates.clone_from(&transport.candidates);
                section.transport.end_of_candidates = transport.end_of_candidates;
            }
        }
    }

    /// Puts the transports, the candidates and the version in, and keeps the result for `set_local_description`.
    pub(super) fn finish_description(&mut self, mut draft: DescriptionDraft) -> Description {
        self.describe_transports(&mut draft);
        let DescriptionDraft { kind, mut sdp, sections, placement, leads, credentials, carriers, .. } = draft;
        sdp.origin.session_version = self.version_of(&sdp).to_string();
        let text = sdp.to_string();
        let answered = self.slots.pending_remote.as_ref().filter(|_| kind != SdpType::Offer);
        let answers = answered.map(|offer| offer.text().to_owned());
        let created = Created {
            kind,
            text: text.clone(),
            answers,
            sdp,
            sections,
            placement,
            leads,
            credentials,
            carriers,
        };
        *self.created_slot(kind) = Some(Box::new(created));
        Description { kind, sdp: text }
    }

    /// A section for data channels (RFC 8841 5), in the form of the one that it answers or continues.
    pub(super) fn data_section(
        &self,
        of: Option<&MediaDescription>,
        mid: Option<String>,
    ) -> MediaDescription {
        let protocol = of.map_or(DATA_PROTOCOL, |of| of.protocol.as_str());
        let mut section = open_section(MediaType::Application, protocol, mid);
        let port = self.config.sctp_port;
        if protocol == LEGACY_DATA_PROTOCOL {
            section.formats = vec![port.to_string()];
            let (application, streams) = (DATA_FORMAT.to_owned(), Some(LEGACY_STREAMS));
            section.sctp_map = Some(SctpMap { port, application, streams });
        } else {
            section.formats = vec![DATA_FORMAT.to_owned()];
            section.sctp_port = Some(port);
        }
        section.max_message_size = Some(self.config.max_message_size);
        section
    }

    /// RFC 8829 5.2.2: the version grows by one with each description that differs from the one applied before.
    fn version_of(&self, sdp: &SessionDescription) -> u64 {
        let Some(version) = self.version else { return FIRST_VERSION };
        let mut comparable = sdp.clone();
        comparable.origin.session_version = version.to_string();
        if self.last_local.as_deref() == Some(comparable.to_string().as_str()) {
            version
        } else {
            version + 1
        }
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

/// A description whose sections are written, and what the rest of it needs.
pub(super) struct DescriptionDraft {
    pub(super) kind: SdpType,
    pub(super) sdp: SessionDescription,
    /// Transceiver of each section.
    pub(super) sections: Vec<Option<TransceiverId>>,
    pub(super) placement: Placement,
    /// In an answer.
    pub(super) leads: Option<Leads>,
    pub(super) credentials: Vec<(TransportId, IceParameters)>,
    /// What an answer chooses for each transport.
    pub(super) setups: Vec<(TransportId, Setup)>,
    pub(super) carriers: Vec<Carrier>,
}

/// RFC 8840 4.1.1, RFC 8445 10.
const ICE_OPTIONS: [&str; 2] = ["trickle", "ice2"];

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

/// Sets the codecs and with them the formats of the m-line.
pub(super) fn set_codecs(section: &mut MediaDescription, codecs: Vec<CodecParameters>) {
    section.formats = codecs.iter().map(|codec| codec.payload_type.to_string()).collect();
    section.codecs = codecs;
}

/// Announces the track sent: `a=msid` lines, and `a=ssrc` lines for peers that route by them. The layers of a
/// simulcast have rids instead (RFC 8853 5.3.1).
pub(super) fn announce_track(
    section: &mut MediaDescription,
    transceiver: &Transceiver,
    config: &SessionConfig,
) {
    section.msids = msids(transceiver);
    if section.simulcast.as_ref().is_some_and(|simulcast| !simulcast.send.is_empty()) {
        return;
    }
    let Some(source) = transceiver.announced().first() else { return };
    let first = section.msids.first();
    let stream = first.and_then(|msid| msid.stream.as_deref()).unwrap_or("-");
    let msid = format!("{stream} {}", transceiver.track_id);
    let mut ssrcs = vec![source.ssrc];
    if section.codecs.iter().any(super::codecs::is_rtx) {
        ssrcs.push(source.rtx_ssrc);
        section.source_groups = vec![SourceGroup { semantics: "FID".to_owned(), ssrcs: ssrcs.clone() }];
    }
    for ssrc in ssrcs {
        for (name, value) in [("cname", &config.cname), ("msid", &msid)] {
            let (name, value) = (name.to_owned(), Some(value.clone()));
            section.sources.push(SourceAttribute { ssrc, name, value });
        }
    }
}

/// Announces the layers sent, each by its `a=rid` and all in `a=simulcast` (RFC 8853 5.3.1).
pub(super) fn announce_layers(section: &mut MediaDescription, rids: Vec<String>) {
    if rids.is_empty() {
        return;
    }
    let simulcast = section.simulcast.get_or_insert_default();
    for id in rids {
        // RFC 8851 4: an identifier means one thing in a section.
        if section.rids.iter().any(|known| known.id == id) {
            continue;
        }
        simulcast.send.push(vec![SimulcastId { rid: id.clone(), paused: false }]);
        let (payload_types, restrictions) = (Vec::new(), Vec::new());
        section.rids.push(Rid { id, direction: RidDirection::Send, payload_types, restrictions });
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
