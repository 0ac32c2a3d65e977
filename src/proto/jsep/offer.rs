//! Creating offers (RFC 8829 5.2).

use super::codecs::{PayloadTypes, is_rtx};
use super::compose::*;
use super::error::{Action, JsepError};
use super::extensions::ExtensionIds;
use super::placement::{Draft, Placement, carriers};
use super::session::Session;
use super::transceiver::Transceiver;
use super::types::*;
use crate::proto::sdp::{
    ExtensionMapping, Group, MediaDescription, Rid, RidDirection, SessionDescription, Simulcast,
};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

/// RFC 8829 5.1.2: the protocol of new RTP sections.
const RTP_PROTOCOL: &str = "UDP/TLS/RTP/SAVPF";

/// A section and its transceiver.
type Offered = (Option<TransceiverId>, MediaDescription);

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
        let (mut sections, existing) = self.offer_sections();
        let drafts: Vec<Draft<'_>> = sections
            .iter()
            .zip(existing)
            .map(|((_, section), existing)| Draft { section, existing })
            .collect();
        let (placement, bundle_only) = self.place_offer(&drafts);
        for ((_, section), bundle_only) in sections.iter_mut().zip(bundle_only) {
            if bundle_only {
                section.port = 0;
                section.bundle_only = true;
            }
        }
        let mut sdp = self.empty_description();
        let ids = sections.iter().map(|(id, _)| *id).collect();
        sdp.media = sections.into_iter().map(|(_, section)| section).collect();
        sdp.groups = self.offer_groups(&sdp);
        let credentials = self.offer_credentials(&placement, options);
        let carriers = carriers(&placement, None, &credentials);
        Ok(self.finish_description(DescriptionDraft {
            kind: SdpType::Offer,
            sdp,
            sections: ids,
            placement,
            leads: None,
            credentials,
            setups: Vec::new(),
            carriers,
        }))
    }

    /// The sections of an offer with their transceivers, and the transports that they have already.
    fn offer_sections(&self) -> (Vec<Offered>, Vec<Option<TransportId>>) {
        let mut numbers = self.numbers();
        let mut waiting: VecDeque<&Transceiver> =
            self.transceivers.iter().filter(|t| t.link.section.is_none() && !t.stopped()).collect();
        let wanted = self.data_wanted || self.config.always_negotiate_data_channels;
        let mut data_waiting = wanted && self.shared.data.is_none();
        let base = self.slots.local().map_or(&[][..], |local| local.sdp.media.as_slice());
        let (mut sections, mut existing) = (Vec::new(), Vec::new());
        for (index, before) in base.iter().enumerate() {
            let is_data = self.shared.data.as_ref().is_some_and(|data| data.section == index);
            let transport = self.shared.placement.get(index).copied().flatten();
            let (id, section, transport) = match self.transceiver_of(index) {
                Some(stopped) if stopped.stopped() => (Some(stopped.id), rejected_section(before), None),
                Some(transceiver) => {
                    let section = self.offer_section(transceiver, Some(before), &mut numbers);
                    (Some(transceiver.id), section, transport)
                }
                None if is_data => (None, self.data_section(Some(before), before.mid.clone()), transport),
                // RFC 8829 5.2.2: a rejected section may be used for something else, with a new mid.
                None => match waiting.pop_front() {
                    Some(transceiver) => {
                        let section = self.offer_section(transceiver, None, &mut numbers);
                        (Some(transceiver.id), section, None)
                    }
                    None if std::mem::take(&mut data_waiting) => {
                        (None, self.data_section(None, Some(numbers.new_mid())), None)
                    }
                    None => (None, rejected_section(before), None),
                },
            };
            sections.push((id, section));
            existing.push(transport);
        }
        // In a first offer that has it from the start, the section for data channels stands for the bundle.
        if base.is_empty() && self.config.always_negotiate_data_channels && std::mem::take(&mut data_waiting)
        {
            sections.push((None, self.data_section(None, Some(numbers.new_mid()))));
        }
        for transceiver in waiting {
            sections.push((Some(transceiver.id), self.offer_section(transceiver, None, &mut numbers)));
        }
        if data_waiting {
            sections.push((None, self.data_section(None, Some(numbers.new_mid()))));
        }
        existing.resize(sections.len(), None);
        (sections, existing)
    }

    /// The credentials of an offer's transports: new ones for those in use when ICE is to restart.
    fn offer_credentials(
        &mut self,
        placement: &Placement,
        options: OfferOptions,
    ) -> Vec<(TransportId, IceParameters)> {
        let mut credentials = self.credentials(placement);
        let asked = |(_, ice): &(TransportId, IceParameters)| self.ice_to_replace.contains(&ice.ufrag);
        if options.ice_restart || credentials.iter().any(asked) {
            let stable = self.stable.as_ref().unwrap_or(&self.shared);
            let in_use: HashSet<TransportId> = stable.transports.iter().map(|t| t.id).collect();
            for (_, ice) in credentials.iter_mut().filter(|(id, _)| in_use.contains(id)) {
                *ice = self.new_ice();
            }
        }
        credentials
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
            [self.slots.local(), self.slots.current_local.as_deref(), self.slots.current_remote.as_deref()];
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
        set_codecs(
            &mut section,
            numbers.payload_types.offer_codecs(
                wanted,
                rtx_wanted,
                negotiated,
                transceiver.preferences.is_some(),
            ),
        );
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
        // RFC 9429 5.2.1: the RTCP multiplexing policy is "require".
        section.rtcp_mux_only = true;
        section.rtcp_reduced_size = true;
        if let Some(before) = before.filter(|_| transceiver.direction.receives()) {
            keep_simulcast(&mut section, before);
        }
        if transceiver.direction.sends() {
            announce_layers(&mut section, transceiver.rids().flatten().map(str::to_owned).collect());
        }
        // Also while it is silent: Chromium shows nothing of a source that had gone and comes back.
        if transceiver.direction.sends() || transceiver.has_sent {
            announce_track(&mut section, transceiver, &self.config);
        }
        section
    }

    /// The BUNDLE group: all sections that are not rejected, in the order of the m-lines. The first one stands for
    /// the transport even when it is new (RFC 9143 7.5 lets the tagged section change). A peer that made several
    /// groups keeps them.
    ///
    /// Browsers write the groups of their answers in the order of the m-lines. An offer in another order makes
    /// them change the tagged section between offer and answer, and they stumble over that.
    fn offer_groups(&self, sdp: &SessionDescription) -> Vec<Group> {
        let mut known: HashMap<&str, usize> = HashMap::new();
        for (number, mids) in self.slots.current_answer().iter().flat_map(|a| a.sdp.bundles()).enumerate() {
            known.extend(mids.iter().map(|mid| (mid.as_str(), number)));
        }
        let mut groups: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for section in sdp.media.iter().filter(|section| !section.rejected()) {
            let Some(mid) = &section.mid else { continue };
            let number = known.get(mid.as_str()).copied().unwrap_or(0);
            groups.entry(number).or_default().push(mid.clone());
        }
        let group = |mids| Group { semantics: "BUNDLE".to_owned(), mids };
        groups.into_values().map(group).collect()
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
