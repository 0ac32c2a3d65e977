//! Which transport each section is put on: BUNDLE groups and the bundle policy (RFC 9143 7, RFC 9429 4.1.1, 5.2, 5.3).
//!
//! A transport is described by one section, its *lead*: the tagged section of a group, or a section that is not
//! bundled. Every accepted section has a lead, maybe itself; sections with the same lead share its transport.

use super::session::{LocalTransport, Session};
use super::stored::{Stored, effective_transport};
use super::transceiver::Transceiver;
use super::types::*;
use crate::proto::sdp::{MediaDescription, MediaType, SessionDescription};
use std::collections::{HashMap, HashSet};

/// Most transports of a session: each is an ICE agent and a DTLS association, and a peer that does not bundle decides
/// how many it wants. Sections beyond it are rejected in answers, and bundle-only in offers.
pub(super) const TRANSPORTS_MAX: usize = 64;

/// Index of the lead of each section; `None` for a section that is rejected.
pub(super) type Leads = Vec<Option<usize>>;
/// Transport of each section; `None` for a section that is rejected.
pub(super) type Placement = Vec<Option<TransportId>>;

/// BUNDLE group of each section, as its number. A section in two groups counts for the first.
pub(super) fn groups(sdp: &SessionDescription) -> Vec<Option<usize>> {
    let mut group_of: HashMap<&str, usize> = HashMap::new();
    for (number, mids) in sdp.bundles().enumerate() {
        for mid in mids {
            group_of.entry(mid).or_insert(number);
        }
    }
    sdp.media.iter().map(|s| s.mid.as_deref().and_then(|mid| group_of.get(mid).copied())).collect()
}

/// The leads of the accepted sections: the first one in the order of the group that is accepted and has a port
/// (RFC 9143 7.3.1). Without one there is no group, and bundle-only sections are rejected (RFC 9143 6).
pub(super) fn leads(sdp: &SessionDescription, accepted: &[bool]) -> Leads {
    let group_of = groups(sdp);
    let index: HashMap<&str, usize> =
        sdp.media.iter().enumerate().filter_map(|(i, s)| Some((s.mid.as_deref()?, i))).collect();
    let accepts = |i: usize| accepted.get(i).copied().unwrap_or(false);
    let lead_of_group = |(number, mids): (usize, &[String])| {
        let sections = mids.iter().filter_map(|mid| index.get(mid.as_str()).copied());
        let mut sections =
            sections.filter(|&i| group_of[i] == Some(number) && accepts(i) && sdp.media[i].port != 0);
        sections.next()
    };
    let tagged: Vec<Option<usize>> = sdp.bundles().enumerate().map(lead_of_group).collect();
    let lead = |i: usize| {
        let own = (!sdp.media[i].bundle_only).then_some(i);
        group_of[i].and_then(|group| tagged[group]).or(own)
    };
    (0..sdp.media.len()).map(|i| if accepts(i) { lead(i) } else { None }).collect()
}

/// A section of an offer before it has a transport.
#[derive(Debug, Clone, Copy)]
pub(super) struct Draft<'a> {
    pub(super) section: &'a MediaDescription,
    /// Its transport, when it goes on from an earlier description.
    pub(super) existing: Option<TransportId>,
}

impl Session {
    /// Which sections of an offer are accepted, and how they share transports (RFC 9429 5.3.1).
    pub(super) fn plan_answer(&self, offer: &SessionDescription) -> Leads {
        let transceivers = self.transceivers_by_section();
        let accepted: Vec<bool> = offer
            .media
            .iter()
            .enumerate()
            .map(|(index, section)| self.acceptable(transceivers.get(&index).copied(), section))
            .collect();
        let mut leads = leads(offer, &accepted);
        let mut first_lead: HashMap<Option<&MediaType>, usize> = HashMap::new();
        let mut transports: HashSet<usize> = HashSet::new();
        for (section, lead) in offer.media.iter().zip(&mut leads) {
            let Some(leading) = *lead else { continue };
            if !transports.contains(&leading) && transports.len() >= TRANSPORTS_MAX {
                *lead = None;
                continue;
            }
            transports.insert(leading);
            let kind = match self.config.bundle_policy {
                BundlePolicy::MaxCompat => continue,
                BundlePolicy::Balanced => Some(&section.media_type),
                BundlePolicy::MaxBundle => None,
            };
            // What does not share the transport of the first one is rejected.
            if *first_lead.entry(kind).or_insert(leading) != leading {
                *lead = None;
            }
        }
        leads
    }

    /// The transceivers by the section they had in the last stable state, or have by now.
    fn transceivers_by_section(&self) -> HashMap<usize, &Transceiver> {
        let section = |t: &Transceiver| match self.state {
            // An offer is checked before it is applied: its sections are those of the last stable state.
            SignalingState::HaveLocalOffer => t.stable.as_ref()?.section,
            _ => t.link.section,
        };
        self.transceivers.iter().filter_map(|t| Some((section(t)?, t))).collect()
    }

    /// Gives every lead a transport: the one that it has, else one of a section that it leads, else a new one.
    pub(super) fn place(&mut self, leads: &Leads, offer: &SessionDescription) -> Placement {
        let mut of_lead: HashMap<usize, TransportId> = HashMap::new();
        let mut taken: HashSet<TransportId> = HashSet::new();
        for own in [true, false] {
            for (index, lead) in leads.iter().enumerate() {
                let Some(lead) = lead.filter(|lead| !own || *lead == index) else { continue };
                let Some(Some(transport)) = self.shared.placement.get(index) else { continue };
                if !of_lead.contains_key(&lead) && taken.insert(*transport) {
                    of_lead.insert(lead, *transport);
                }
            }
        }
        // A peer may go on with a transport all of whose sections are new: its credentials say so.
        for lead in leads.iter().flatten() {
            let new = Some(*lead).filter(|lead| !of_lead.contains_key(lead));
            let continued = new.and_then(|lead| self.continued(offer, lead));
            if let Some(transport) = continued.filter(|transport| taken.insert(*transport)) {
                of_lead.insert(*lead, transport);
            }
        }
        let mut spares = 0;
        let mut place = |lead: usize| {
            *of_lead.entry(lead).or_insert_with(|| {
                spares += 1;
                self.spare(spares - 1)
            })
        };
        leads.iter().map(|lead| lead.map(&mut place)).collect()
    }

    /// The transport whose other end had the ICE credentials before that the offer gives this section.
    fn continued(&self, offer: &SessionDescription, lead: usize) -> Option<TransportId> {
        let offered = effective_transport(offer, lead);
        offered.ice_ufrag.as_ref()?;
        let continues = |transport: &&LocalTransport| {
            let end = self.remote_description_of(transport);
            let before = end.map(|end| effective_transport(&end.stored.sdp, end.section));
            before.is_some_and(|b| {
                (b.ice_ufrag, b.ice_pwd) == (offered.ice_ufrag.clone(), offered.ice_pwd.clone())
            })
        };
        self.shared.transports.iter().find(continues).map(|transport| transport.id)
    }

    /// The transports of an offer's sections, and which of them are bundle-only (RFC 9429 5.2.1, 5.2.2).
    ///
    /// A new section joins the bundle that the peer has agreed to, except by the policy max-compat: that peer is
    /// known to understand (RFC 9143 7.5.1).
    pub(super) fn place_offer(&mut self, drafts: &[Draft<'_>]) -> (Placement, Vec<bool>) {
        let policy = self.config.bundle_policy;
        // One that loses all its sections with this offer ends: an answerer knows a transport by its sections, and would
        // begin a new DTLS association for the new ones.
        let goes_on = |id| drafts.iter().any(|d| !d.section.rejected() && d.existing == Some(id));
        let agreed = self.agreed_bundle().filter(|id| policy != BundlePolicy::MaxCompat && goes_on(*id));
        let mut tagged = None;
        let mut kinds: HashSet<&MediaType> = HashSet::new();
        let mut seen: HashSet<TransportId> = HashSet::new();
        let mut spares = 0;
        let (mut placement, mut bundle_only) = (Vec::new(), Vec::new());
        for draft in drafts {
            if draft.section.rejected() {
                placement.push(None);
                bundle_only.push(false);
                continue;
            }
            let first_of_kind = kinds.insert(&draft.section.media_type);
            let own = match policy {
                BundlePolicy::MaxCompat => true,
                BundlePolicy::Balanced => first_of_kind,
                BundlePolicy::MaxBundle => tagged.is_none(),
            };
            let own = own && (tagged.is_none() || seen.len() < TRANSPORTS_MAX);
            let shared = agreed.or_else(|| tagged.filter(|_| !own));
            let transport = draft.existing.or(shared).unwrap_or_else(|| {
                spares += 1;
                self.spare(spares - 1)
            });
            tagged = tagged.or(Some(transport));
            let first = seen.insert(transport);
            bundle_only.push(!first && draft.existing.is_none());
            placement.push(Some(transport));
        }
        (placement, bundle_only)
    }

    /// The transport of the bundle that the last answer agreed to.
    fn agreed_bundle(&self) -> Option<TransportId> {
        let answer = self.slots.current_answer()?;
        let tagged = answer.sdp.bundles().next()?.iter().find_map(|mid| {
            let index = answer.sdp.index_of(mid)?;
            (!answer.sdp.media[index].rejected()).then_some(index)
        })?;
        let stable = self.stable.as_ref().unwrap_or(&self.shared);
        stable.placement.get(tagged).copied().flatten()
    }

    /// The `number`th of the transports that no applied description uses yet.
    fn spare(&mut self, number: usize) -> TransportId {
        while self.spare.len() <= number {
            let ice = self.new_ice();
            let id = self.new_transport_id();
            self.spare.push((id, ice));
        }
        self.spare[number].0
    }

    pub(super) fn new_transport_id(&mut self) -> TransportId {
        let id = TransportId(self.next_transport);
        self.next_transport = self.next_transport.wrapping_add(1);
        id
    }

    /// Credentials of a transport, whether it is in use or a spare one.
    pub(super) fn ice_of(&self, id: TransportId) -> Option<&IceParameters> {
        let used = self.shared.transport(id).map(|transport| &transport.ice);
        used.or_else(|| self.spare.iter().find(|(spare, _)| *spare == id).map(|(_, ice)| ice))
    }

    /// The transports of a placement with their credentials, each once, in the order of the sections.
    pub(super) fn credentials(&self, placement: &Placement) -> Vec<(TransportId, IceParameters)> {
        let mut seen = HashSet::new();
        let used = placement.iter().flatten().filter(|id| seen.insert(**id));
        used.filter_map(|id| Some((*id, self.ice_of(*id)?.clone()))).collect()
    }

    /// Makes a placement the one in force, with the credentials that go with it. Transports that it leaves out stay
    /// until the exchange is complete.
    pub(super) fn adopt(&mut self, placement: Placement, credentials: &[(TransportId, IceParameters)]) {
        for (id, ice) in credentials {
            match self.shared.transports.iter_mut().find(|transport| transport.id == *id) {
                Some(transport) => transport.set_ice(ice),
                None => self.shared.transports.push(LocalTransport::new(*id, ice.clone())),
            }
        }
        self.spare.retain(|(spare, _)| credentials.iter().all(|(id, _)| id != spare));
        self.shared.placement = placement;
    }

    /// The leads of an answer: what neither side rejects.
    pub(super) fn answered_leads(offer: &SessionDescription, answer: &SessionDescription) -> Leads {
        let accepted: Vec<bool> =
            offer.media.iter().zip(&answer.media).map(|(o, a)| !o.rejected() && !a.rejected()).collect();
        leads(answer, &accepted)
    }
}

/// The section that carries the candidates of each transport: its first, or the lead.
pub(super) fn carriers(
    placement: &Placement,
    leads: Option<&Leads>,
    credentials: &[(TransportId, IceParameters)],
) -> Vec<Carrier> {
    let section = |id: TransportId| {
        let first = placement.iter().position(|placed| *placed == Some(id))?;
        Some(leads.and_then(|leads| *leads.get(first)?).unwrap_or(first))
    };
    let carrier = |(id, ice): &(TransportId, IceParameters)| {
        Some(Carrier { transport: *id, ufrag: ice.ufrag.clone(), section: section(*id)? })
    };
    credentials.iter().filter_map(carrier).collect()
}

/// Which section of a local description carries the candidates of a transport.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Carrier {
    pub(super) transport: TransportId,
    pub(super) ufrag: String,
    pub(super) section: usize,
}

impl Stored {
    /// The section that carries the candidates of a transport.
    pub(super) fn carrier(&self, transport: TransportId) -> Option<&Carrier> {
        self.carriers.iter().find(|carrier| carrier.transport == transport)
    }
}
