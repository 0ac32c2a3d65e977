//! Creating answers (RFC 8829 5.3): which sections are accepted, and what is said in them.

use super::capabilities::RID_URI;
use super::codecs::{answer_codecs, can_answer};
use super::compose::*;
use super::error::{Action, JsepError};
use super::extensions::{ExtensionIds, answer_extensions};
use super::placement::{Leads, Placement, carriers, groups};
use super::session::Session;
use super::stored::{Stored, effective_transport};
use super::transceiver::Transceiver;
use super::types::*;
use crate::proto::sdp::{
    Group, MediaDescription, MediaType, Rid, RidDirection, SessionDescription, Setup, Simulcast, SimulcastId,
};
use std::collections::{HashMap, HashSet};

impl Session {
    /// Creates an answer to the remote offer (RFC 8829 5.3).
    pub fn create_answer(&mut self) -> Result<Description, JsepError> {
        let wrong_state = JsepError::InvalidState { action: Action::CreateAnswer, state: self.state };
        if !matches!(self.state, SignalingState::HaveRemoteOffer | SignalingState::HaveLocalPranswer) {
            return Err(wrong_state);
        }
        let offer = self.slots.pending_remote.clone().ok_or(wrong_state)?;
        let leads = self.plan_answer(&offer.sdp);
        let placement = self.place(&leads, &offer.sdp);
        let credentials = self.answer_credentials(&offer, &leads, &placement);
        let mut sdp = self.empty_description();
        sdp.extmap_allow_mixed = offer.sdp.extmap_allow_mixed;
        let mut ids = ExtensionIds::default();
        ids.note(&offer.sdp.extensions);
        for section in &offer.sdp.media {
            ids.note(&section.extensions);
        }
        let mut sections = Vec::new();
        let by_section = self.transceiver_sections();
        for (index, offered) in offer.sdp.media.iter().enumerate() {
            let transceiver = by_section.get(&index).copied();
            sections.push(transceiver.map(|transceiver| transceiver.id));
            sdp.media.push(match transceiver {
                _ if leads[index].is_none() => rejected_section(offered),
                Some(transceiver) => self.answer_section(transceiver, &offer.sdp, offered, &mut ids),
                None => self.data_section(Some(offered), offered.mid.clone()),
            });
        }
        for &index in &offer.unnamed {
            // RFC 8829 5.10: a mid made up here is not told to a peer that does not use them.
            sdp.media[index].mid = None;
        }
        sdp.groups = answer_groups(&offer.sdp, &leads);
        let setups = self.answer_setups(&offer.sdp, &leads, &placement);
        let carriers = carriers(&placement, Some(&leads), &credentials);
        Ok(self.finish_description(DescriptionDraft {
            kind: SdpType::Answer,
            sdp,
            sections,
            placement,
            leads: Some(leads),
            credentials,
            setups,
            carriers,
        }))
    }

    pub(super) fn acceptable(&self, transceiver: Option<&Transceiver>, section: &MediaDescription) -> bool {
        if section.rejected() {
            return false;
        }
        let kind = match section.media_type {
            MediaType::Audio => MediaKind::Audio,
            MediaType::Video => MediaKind::Video,
            MediaType::Application => return self.config.data_channels && is_data(section),
            MediaType::Other(_) => return false,
        };
        let preferences = transceiver.and_then(|transceiver| transceiver.preferences.as_deref());
        // W3C stop: what the application stopped is answered all the same, as inactive, and rejected by the next
        // offer. An answer may not reject the section that the transport hangs on (RFC 9143 7.3.3).
        is_rtp_profile(&section.protocol)
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
        // RFC 8858 4.3: not in answers, except where RFC 9725 wants it.
        section.rtcp_mux_only = offered.rtcp_mux_only && self.config.rtcp_mux_only_in_answers;
        section.rtcp_reduced_size = offered.rtcp_reduced_size;
        if direction.receives() {
            accept_simulcast(&mut section, offered);
        }
        announce_layers(&mut section, layers_wanted(transceiver, offered));
        // See the offer: what has been sent stays announced.
        if direction.sends() || transceiver.has_sent {
            announce_track(&mut section, transceiver, &self.config);
        }
        section
    }

    /// RFC 8839 4.4.1.1: new credentials answer new credentials; otherwise ours stay.
    fn answer_credentials(
        &mut self,
        offer: &Stored,
        leads: &Leads,
        placement: &Placement,
    ) -> Vec<(TransportId, IceParameters)> {
        let mut credentials = self.credentials(placement);
        for (lead, id) in each_lead(leads, placement) {
            if !self.restarted_by(offer, lead, id) {
                continue;
            }
            let Some((_, ice)) = credentials.iter_mut().find(|(known, _)| *known == id) else { continue };
            let before = self.stable.as_ref().and_then(|stable| stable.transport(id)).map(|t| &t.ice);
            // Asking twice for an answer to the same offer gives the same credentials, and so does the answer
            // after a provisional one.
            if before != Some(ice) {
                continue;
            }
            let created = self.last_created(SdpType::Answer);
            let created =
                created.and_then(|created| created.credentials.iter().find(|(known, _)| *known == id));
            *ice = match created {
                Some((_, created)) if created != ice => created.clone(),
                _ => self.new_ice(),
            };
        }
        credentials
    }

    /// Whether the offer changes the peer's credentials of a transport in use.
    fn restarted_by(&self, offer: &Stored, lead: usize, id: TransportId) -> bool {
        let stable = self.stable.as_ref().unwrap_or(&self.shared);
        let before = stable.transport(id).and_then(|transport| transport.remote);
        let (Some(before), Some(current)) = (before, &self.slots.current_remote) else { return false };
        let before = effective_transport(&current.sdp, before.section);
        let now = effective_transport(&offer.sdp, lead);
        (before.ice_ufrag, before.ice_pwd) != (now.ice_ufrag, now.ice_pwd)
    }

    /// RFC 8842 5.3: the answer chooses when it may, and keeps the roles of an association that exists.
    fn answer_setups(
        &self,
        offer: &SessionDescription,
        leads: &Leads,
        placement: &Placement,
    ) -> Vec<(TransportId, Setup)> {
        let setup = |(lead, id): (usize, TransportId)| {
            let role = self.shared.transport(id).and_then(|transport| transport.dtls_role);
            let setup = match (effective_transport(offer, lead).setup, role.unwrap_or(self.config.dtls_role))
            {
                // RFC 4145 4.1: active is the default of an offer.
                (Some(Setup::Active) | None, _) => Setup::Passive,
                (Some(Setup::Passive), _) | (_, DtlsRole::Client) => Setup::Active,
                (_, DtlsRole::Server) => Setup::Passive,
            };
            (id, setup)
        };
        each_lead(leads, placement).map(setup).collect()
    }
}

/// The sections that stand for themselves, with their transports.
pub(super) fn each_lead(leads: &Leads, placement: &Placement) -> impl Iterator<Item = (usize, TransportId)> {
    let own = leads.iter().enumerate().filter(|(index, lead)| **lead == Some(*index));
    own.filter_map(|(index, _)| Some((index, placement.get(index).copied().flatten()?)))
}

/// RFC 8829 5.1.2: whatever mix of letters the peer uses, DTLS-SRTP with feedback is meant.
fn is_rtp_profile(protocol: &str) -> bool {
    let profile = protocol.rsplit('/').next().unwrap_or_default();
    let carrier = protocol.strip_suffix(profile).unwrap_or_default();
    matches!(profile, "AVP" | "AVPF" | "SAVP" | "SAVPF")
        && matches!(carrier, "RTP/" | "UDP/TLS/RTP/" | "TCP/TLS/RTP/" | "TCP/DTLS/RTP/")
}

/// RFC 8841 4, and the form of the drafts before it.
fn is_data(section: &MediaDescription) -> bool {
    match section.protocol.as_str() {
        "UDP/DTLS/SCTP" | "TCP/DTLS/SCTP" => section.formats.iter().any(|format| format == DATA_FORMAT),
        LEGACY_DATA_PROTOCOL => section.sctp_map.as_ref().is_none_or(|map| map.application == DATA_FORMAT),
        _ => false,
    }
}

/// Tags of the accepted sections, in the order of the offer's groups (RFC 9143 7.3.1).
fn answer_groups(offer: &SessionDescription, leads: &Leads) -> Vec<Group> {
    let group_of = groups(offer);
    let accepted: HashMap<&str, Option<usize>> = (0..leads.len())
        .filter(|&index| leads[index].is_some())
        .filter_map(|index| Some((offer.media[index].mid.as_deref()?, group_of[index])))
        .collect();
    let answered = |(number, mids): (usize, &[String])| {
        let mids = mids.iter().filter(|mid| accepted.get(mid.as_str()) == Some(&Some(number)));
        Group { semantics: "BUNDLE".to_owned(), mids: mids.cloned().collect() }
    };
    offer.bundles().enumerate().map(answered).filter(|group| !group.mids.is_empty()).collect()
}

/// The layers that the offer wants to receive and that the transceiver has.
fn layers_wanted(transceiver: &Transceiver, offered: &MediaDescription) -> Vec<String> {
    let Some(simulcast) = &offered.simulcast else { return Vec::new() };
    let declared =
        |rid: &str| offered.rids.iter().any(|known| known.id == rid && known.direction == RidDirection::Recv);
    let wanted: HashSet<&str> = simulcast.recv.iter().flatten().map(|id| id.rid.as_str()).collect();
    let own = transceiver.rids().flatten();
    own.filter(|rid| wanted.contains(rid) && declared(rid)).map(str::to_owned).collect()
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
