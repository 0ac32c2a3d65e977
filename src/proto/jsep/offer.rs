//! Creating offers (RFC 8829 5.2).

use super::codecs::{PayloadTypes, is_rtx};
use super::compose::*;
use super::error::{Action, JsepError};
use super::extensions::ExtensionIds;
use super::session::Session;
use super::transceiver::Transceiver;
use super::types::*;
use crate::proto::sdp::{
    ExtensionMapping, MediaDescription, Rid, RidDirection, SessionDescription, Setup, Simulcast,
};
use std::collections::{HashSet, VecDeque};

/// RFC 8829 5.1.2: the protocol of new RTP sections.
const RTP_PROTOCOL: &str = "UDP/TLS/RTP/SAVPF";
/// RFC 8841 4: the protocol of new data sections.
const DATA_PROTOCOL: &str = "UDP/DTLS/SCTP";

/// What an offer keeps unique while its sections are written.
struct Numbers {
    payload_types: PayloadTypes,
    extension_ids: ExtensionIds,
    mids: HashSet<String>,
    next_mid: usize,
}

impl Numbers {
    /// The smallest number that no section has ever had in the descriptions known.
    fn new_mid(&mut self) -> String {
        loop {
            let mid = self.next_mid.to_string();
            self.next_mid += 1;
            if self.mids.insert(mid.clone()) {
                return mid;
            }
        }
    }
}

impl Session {
    /// Creates an offer (RFC 8829 5.2).
    pub fn create_offer(&mut self, options: OfferOptions) -> Result<Description, JsepError> {
        if !matches!(self.state, SignalingState::Stable | SignalingState::HaveLocalOffer) {
            return Err(JsepError::InvalidState { action: Action::CreateOffer, state: self.state });
        }
        let restart = options.ice_restart || self.ice_to_replace.as_ref() == Some(&self.shared.ice.ufrag);
        let ice = if restart && self.slots.current_local.is_some() {
            self.new_ice()
        } else {
            self.shared.ice.clone()
        };
        // RFC 8842 5.2: offers leave the choice, also when the association exists already.
        let mut sdp = self.empty_description(&ice, Setup::Actpass);
        let mut numbers = self.numbers();
        let mut waiting: VecDeque<&Transceiver> =
            self.transceivers.iter().filter(|t| t.link.section.is_none() && !t.stopped()).collect();
        let mut data_waiting = self.data_wanted && self.shared.data.is_none();
        let mut sections = Vec::new();
        let base = self.slots.local().map_or(&[][..], |local| local.sdp.media.as_slice());
        for (index, before) in base.iter().enumerate() {
            let is_data = self.shared.data.as_ref().is_some_and(|data| data.section == index);
            let transceiver = self.transceiver_of(index);
            let section = match transceiver {
                Some(transceiver) if transceiver.stopped() => rejected_section(before),
                Some(transceiver) => self.offer_section(transceiver, Some(before), &mut numbers),
                None if is_data => data_section(&before.protocol, before.mid.clone()),
                // RFC 8829 5.2.2: a rejected section may be used for something else, with a new mid.
                None => match waiting.pop_front() {
                    Some(transceiver) => {
                        sections.push(Some(transceiver.id));
                        sdp.media.push(self.offer_section(transceiver, None, &mut numbers));
                        continue;
                    }
                    None if data_waiting => {
                        data_waiting = false;
                        data_section(DATA_PROTOCOL, Some(numbers.new_mid()))
                    }
                    None => rejected_section(before),
                },
            };
            sections.push(transceiver.map(|transceiver| transceiver.id));
            sdp.media.push(section);
        }
        for transceiver in waiting {
            sections.push(Some(transceiver.id));
            sdp.media.push(self.offer_section(transceiver, None, &mut numbers));
        }
        if data_waiting {
            sections.push(None);
            sdp.media.push(data_section(DATA_PROTOCOL, Some(numbers.new_mid())));
        }
        let bundle = self.bundle_offer(&mut sdp);
        Ok(self.finish_description(SdpType::Offer, sdp, bundle, sections, ice))
    }

    /// Numbers and tags in use by the descriptions applied.
    fn numbers(&self) -> Numbers {
        let mut numbers = Numbers {
            payload_types: PayloadTypes::default(),
            extension_ids: ExtensionIds::default(),
            mids: HashSet::new(),
            next_mid: 0,
        };
        let slots =
            [self.slots.local(), self.slots.current_local.as_ref(), self.slots.current_remote.as_ref()];
        for stored in slots.into_iter().flatten() {
            numbers.extension_ids.note(&stored.sdp.extensions);
            for section in &stored.sdp.media {
                numbers.mids.extend(section.mid.clone());
                if !section.rejected() {
                    numbers.payload_types.note(&section.codecs);
                    numbers.extension_ids.note(&section.extensions);
                }
            }
        }
        numbers
    }

    fn offer_section(
        &self,
        transceiver: &Transceiver,
        before: Option<&MediaDescription>,
        numbers: &mut Numbers,
    ) -> MediaDescription {
        let mid = match before {
            Some(before) => before.mid.clone(),
            None => Some(numbers.new_mid()),
        };
        let protocol = before.map_or(RTP_PROTOCOL, |before| before.protocol.as_str());
        let mut section = open_section(media_type(transceiver.kind), protocol, mid);
        let capabilities = self.config.media.of(transceiver.kind);
        let wanted = transceiver.preferences.as_deref().unwrap_or(&capabilities.codecs);
        let negotiated = before.map_or(&[][..], |before| before.codecs.as_slice());
        let rtx_wanted = wanted.iter().any(is_rtx);
        set_codecs(&mut section, numbers.payload_types.offer_codecs(wanted, rtx_wanted, negotiated));
        for (id, uri) in &capabilities.extensions {
            let Some(id) = numbers.extension_ids.assign(u16::from(*id), uri) else { continue };
            section.extensions.push(ExtensionMapping {
                id,
                direction: None,
                uri: uri.clone(),
                attributes: None,
            });
        }
        section.direction = Some(transceiver.direction.to_sdp());
        section.rtcp_mux = true;
        section.rtcp_reduced_size = true;
        // Also while it is silent: Chromium shows nothing of a source that had gone and comes back.
        if transceiver.direction.sends() || transceiver.has_sent {
            announce_track(&mut section, transceiver, &self.config);
        }
        if let Some(before) = before.filter(|_| transceiver.direction.receives()) {
            keep_simulcast(&mut section, before);
        }
        section
    }

    /// The BUNDLE group: all sections that are not rejected, in the order of the m-lines. The first one stands for
    /// the transport even when it is new (RFC 9143 7.5 lets the tagged section change); others that are new are
    /// bundle-only (7.2.1: there is one transport, and the policy is max-bundle).
    ///
    /// Browsers write the groups of their answers in the order of the m-lines. An offer in another order makes
    /// them change the tagged section between offer and answer, and they stumble over that.
    fn bundle_offer(&self, sdp: &mut SessionDescription) -> Vec<String> {
        let current = [self.slots.current_local.as_ref(), self.slots.current_remote.as_ref()];
        let answer = current.into_iter().flatten().find(|stored| stored.kind == SdpType::Answer);
        let known: HashSet<&str> =
            answer.map_or(&[][..], |answer| answer.sdp.bundle()).iter().map(String::as_str).collect();
        let mut bundle: Vec<String> = Vec::new();
        for section in sdp.media.iter_mut().filter(|section| !section.rejected()) {
            let Some(mid) = &section.mid else { continue };
            if !bundle.is_empty() && !known.contains(mid.as_str()) {
                section.port = 0;
                section.bundle_only = true;
            }
            bundle.push(mid.clone());
        }
        bundle
    }
}

/// Layers that the peer sends stay accepted in later offers (RFC 8853 5.3.4).
fn keep_simulcast(section: &mut MediaDescription, before: &MediaDescription) {
    let Some(simulcast) = before.simulcast.as_ref().filter(|simulcast| !simulcast.recv.is_empty()) else {
        return;
    };
    let receiving = |rid: &&Rid| rid.direction == RidDirection::Recv;
    section.rids = before.rids.iter().filter(receiving).cloned().collect();
    section.simulcast = Some(Simulcast { send: Vec::new(), recv: simulcast.recv.clone() });
}
