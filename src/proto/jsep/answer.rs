//! Creating answers (RFC 8829 5.3): which sections are accepted, and what is said in them.

use super::capabilities::RID_URI;
use super::codecs::{answer_codecs, can_answer};
use super::compose::*;
use super::error::{Action, JsepError};
use super::extensions::{ExtensionIds, answer_extensions};
use super::session::Session;
use super::stored::{Stored, effective_transport};
use super::transceiver::Transceiver;
use super::types::*;
use crate::proto::sdp::{
    MediaDescription, MediaType, Rid, RidDirection, SessionDescription, Setup, Simulcast, SimulcastId,
};
use std::collections::HashSet;

/// Which sections of an offer are accepted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) accepted: Vec<bool>,
    /// The accepted section whose transport is used.
    pub(super) tagged: Option<usize>,
}

impl Session {
    /// Creates an answer to the remote offer (RFC 8829 5.3).
    pub fn create_answer(&mut self) -> Result<Description, JsepError> {
        let wrong_state = JsepError::InvalidState { action: Action::CreateAnswer, state: self.state };
        if !matches!(self.state, SignalingState::HaveRemoteOffer | SignalingState::HaveLocalPranswer) {
            return Err(wrong_state);
        }
        let offer = self.slots.pending_remote.clone().ok_or(wrong_state)?;
        let plan = self.plan_answer(&offer.sdp);
        let ice = self.answer_ice(&offer, plan.tagged);
        let mut sdp = self.empty_description(&ice, self.answer_setup(&offer.sdp, plan.tagged));
        sdp.extmap_allow_mixed = offer.sdp.extmap_allow_mixed;
        let mut ids = ExtensionIds::default();
        ids.note(&offer.sdp.extensions);
        for section in &offer.sdp.media {
            ids.note(&section.extensions);
        }
        let mut sections = Vec::new();
        for (index, offered) in offer.sdp.media.iter().enumerate() {
            let transceiver = self.transceiver_of(index);
            sections.push(transceiver.map(|transceiver| transceiver.id));
            sdp.media.push(match transceiver {
                _ if !plan.accepted[index] => rejected_section(offered),
                Some(transceiver) => self.answer_section(transceiver, &offer.sdp, offered, &mut ids),
                None => data_section(&offered.protocol, offered.mid.clone()),
            });
        }
        for &index in &offer.unnamed {
            // RFC 8829 5.10: a mid made up here is not told to a peer that does not use them.
            sdp.media[index].mid = None;
        }
        let bundle = answer_bundle(&offer.sdp, &sdp, &plan);
        Ok(self.finish_description(SdpType::Answer, sdp, bundle, sections, ice))
    }

    /// Which sections are accepted: known, not stopped, and sharing the one transport.
    pub(super) fn plan_answer(&self, offer: &SessionDescription) -> Plan {
        let acceptable: Vec<bool> =
            offer.media.iter().enumerate().map(|(index, section)| self.acceptable(index, section)).collect();
        let bundle: HashSet<&str> = offer.bundle().iter().map(String::as_str).collect();
        let bundled: Vec<bool> =
            offer.media.iter().map(|s| s.mid.as_deref().is_some_and(|mid| bundle.contains(mid))).collect();
        let first_bundled =
            offer.bundle().iter().find_map(|mid| offer.index_of(mid).filter(|&index| acceptable[index]));
        // Without a bundle only one section fits on one transport. A bundle-only section has no
        // transport of its own.
        let alone = || (0..acceptable.len()).find(|&i| acceptable[i] && !offer.media[i].bundle_only);
        let tagged = first_bundled.or_else(alone);
        let accepted = (0..acceptable.len())
            .map(|i| acceptable[i] && (Some(i) == tagged || (first_bundled.is_some() && bundled[i])))
            .collect();
        Plan { accepted, tagged }
    }

    fn acceptable(&self, index: usize, section: &MediaDescription) -> bool {
        if section.rejected() {
            return false;
        }
        let kind = match section.media_type {
            MediaType::Audio => MediaKind::Audio,
            MediaType::Video => MediaKind::Video,
            MediaType::Application => {
                let modern = section.formats.iter().any(|format| format == "webrtc-datachannel");
                return self.config.data_channels && modern && is_dtls_sctp(&section.protocol);
            }
            MediaType::Other(_) => return false,
        };
        let transceiver = self.transceiver_of(index);
        let preferences = transceiver.and_then(|transceiver| transceiver.preferences.as_deref());
        !transceiver.is_some_and(Transceiver::stopped)
            && is_rtp_profile(&section.protocol)
            && can_answer(self.config.media.of(kind), preferences, &section.codecs)
    }

    fn answer_section(
        &self,
        transceiver: &Transceiver,
        offer: &SessionDescription,
        offered: &MediaDescription,
        ids: &mut ExtensionIds,
    ) -> MediaDescription {
        // RFC 8829 5.3.1: the protocol is echoed exactly.
        let mut section = open_section(offered.media_type.clone(), &offered.protocol, offered.mid.clone());
        let capabilities = self.config.media.of(transceiver.kind);
        set_codecs(
            &mut section,
            answer_codecs(capabilities, transceiver.preferences.as_deref(), &offered.codecs),
        );
        let mixed = offer.extmap_allow_mixed || offered.extmap_allow_mixed;
        section.extensions = answer_extensions(offer, offered, &capabilities.extensions, mixed, ids);
        section.extmap_allow_mixed = offered.extmap_allow_mixed && !offer.extmap_allow_mixed;
        let remote = Direction::from(offer.direction_of(offered));
        let direction = transceiver.direction.intersection(remote.reversed());
        section.direction = Some(direction.to_sdp());
        section.rtcp_mux = true;
        section.rtcp_mux_only = false;
        section.rtcp_reduced_size = offered.rtcp_reduced_size;
        // See the offer: what has been sent stays announced.
        if direction.sends() || transceiver.has_sent {
            announce_track(&mut section, transceiver, &self.config);
        }
        if direction.receives() {
            accept_simulcast(&mut section, offered);
        }
        section
    }

    /// RFC 8839 4.4.1.1: new credentials answer new credentials; otherwise ours stay.
    fn answer_ice(&mut self, offer: &Stored, tagged: Option<usize>) -> IceParameters {
        let restarted = match (&self.slots.current_remote, tagged, self.transport()) {
            (Some(_), Some(tagged), Some(before)) => {
                let now = effective_transport(&offer.sdp, tagged);
                now.ice_ufrag.as_ref() != Some(&before.ufrag)
                    || now.ice_pwd.as_ref() != Some(&before.password)
            }
            _ => false,
        };
        if !restarted {
            return self.shared.ice.clone();
        }
        // Asking twice for an answer to the same offer gives the same credentials.
        let created = self.created.as_ref().map(|created| created.ice.clone());
        created
            .or_else(|| {
                self.stable.as_ref().filter(|s| s.ice != self.shared.ice).map(|_| self.shared.ice.clone())
            })
            .unwrap_or_else(|| self.new_ice())
    }

    /// RFC 8842 5.3: the answer chooses when it may, and keeps the roles of an association that exists.
    fn answer_setup(&self, offer: &SessionDescription, tagged: Option<usize>) -> Setup {
        let offered = tagged.and_then(|index| effective_transport(offer, index).setup);
        match (offered, self.shared.dtls_role.unwrap_or(self.config.dtls_role)) {
            // RFC 4145 4.1: active is the default of an offer.
            (Some(Setup::Active) | None, _) => Setup::Passive,
            (Some(Setup::Passive), _) | (_, DtlsRole::Client) => Setup::Active,
            (_, DtlsRole::Server) => Setup::Passive,
        }
    }
}

/// RFC 8829 5.1.2: whatever mix of letters the peer uses, DTLS-SRTP with feedback is meant.
fn is_rtp_profile(protocol: &str) -> bool {
    let profile = protocol.rsplit('/').next().unwrap_or_default();
    let carrier = protocol.strip_suffix(profile).unwrap_or_default();
    matches!(profile, "AVP" | "AVPF" | "SAVP" | "SAVPF")
        && matches!(carrier, "RTP/" | "UDP/TLS/RTP/" | "TCP/TLS/RTP/" | "TCP/DTLS/RTP/")
}

fn is_dtls_sctp(protocol: &str) -> bool {
    matches!(protocol, "UDP/DTLS/SCTP" | "TCP/DTLS/SCTP")
}

/// Tags of the accepted sections, in the order of the offer's group (RFC 9143 7.3.1).
fn answer_bundle(offer: &SessionDescription, answer: &SessionDescription, plan: &Plan) -> Vec<String> {
    let accepted: HashSet<&str> = answer
        .media
        .iter()
        .zip(&plan.accepted)
        .filter(|(_, accepted)| **accepted)
        .filter_map(|(section, _)| section.mid.as_deref())
        .collect();
    offer.bundle().iter().filter(|mid| accepted.contains(mid.as_str())).cloned().collect()
}

/// Accepts all layers that the peer can send (RFC 8853 5.3.2), when their ids can be told apart.
fn accept_simulcast(section: &mut MediaDescription, offered: &MediaDescription) {
    let Some(simulcast) = &offered.simulcast else { return };
    if !section.extensions.iter().any(|extension| extension.uri == RID_URI) {
        return;
    }
    let payload_types: HashSet<u8> = section.codecs.iter().map(|codec| codec.payload_type).collect();
    let accept = |rid: &Rid| {
        let mut rid = Rid { direction: RidDirection::Recv, ..rid.clone() };
        let restricted = !rid.payload_types.is_empty();
        rid.payload_types.retain(|payload_type| payload_types.contains(payload_type));
        (!restricted || !rid.payload_types.is_empty()).then_some(rid)
    };
    let sent = offered.rids.iter().filter(|rid| rid.direction == RidDirection::Send);
    let rids: Vec<Rid> = sent.filter_map(accept).collect();
    // RFC 8853 5.2: ids without an a=rid line are ignored. Pausing is the sender's wish.
    let mut recv: Vec<Vec<SimulcastId>> = Vec::new();
    for alternatives in &simulcast.send {
        let known: Vec<SimulcastId> = alternatives
            .iter()
            .filter(|id| rids.iter().any(|rid| rid.id == id.rid))
            .map(|id| SimulcastId { rid: id.rid.clone(), paused: false })
            .collect();
        if !known.is_empty() {
            recv.push(known);
        }
    }
    if recv.is_empty() {
        return;
    }
    let named: HashSet<&str> = recv.iter().flatten().map(|id| id.rid.as_str()).collect();
    section.rids = rids.into_iter().filter(|rid| named.contains(rid.id.as_str())).collect();
    section.simulcast = Some(Simulcast { send: Vec::new(), recv });
}
