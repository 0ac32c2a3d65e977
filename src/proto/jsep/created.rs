//! Descriptions created but not applied yet (W3C `[[LastCreatedOffer]]`, `[[LastCreatedAnswer]]`, setLocalDescription).
//!
//! One of each kind is kept, across provisional answers and rollbacks, until an answer completes an exchange. What was
//! created in an exchange that was rolled back still fits then: the rollback restored the state that it came from. Only
//! its transports may be gone.

use super::error::JsepError;
use super::session::{Created, Session};
use super::types::*;
use crate::proto::sdp::{SessionDescription, TransportAttributes};

impl Session {
    /// Where the description of this kind is kept.
    pub(super) fn created_slot(&mut self, kind: SdpType) -> &mut Option<Box<Created>> {
        match kind {
            SdpType::Offer => &mut self.created_offer,
            _ => &mut self.created_answer,
        }
    }

    /// The offer created last, or the answer created last if it answers the pending offer.
    pub(super) fn last_created(&self, kind: SdpType) -> Option<&Created> {
        let pending = self.slots.pending_remote.as_ref().map(|offer| offer.text());
        match kind {
            SdpType::Offer => self.created_offer.as_deref(),
            _ => self.created_answer.as_deref().filter(|answer| answer.answers.as_deref() == pending),
        }
    }

    /// Whether this is the text created last, whatever it answers.
    pub(super) fn is_last_created(&self, description: &Description) -> bool {
        let created = match description.kind {
            SdpType::Offer => &self.created_offer,
            _ => &self.created_answer,
        };
        created.as_ref().is_some_and(|created| created.is_text(&description.sdp))
    }

    /// Nothing created so far can be applied any more.
    pub(super) fn forget_created(&mut self) {
        self.created_offer = None;
        self.created_answer = None;
    }

    /// The description created last, if it is the one given.
    pub(super) fn matching_created(&mut self, description: &Description) -> Result<Created, JsepError> {
        let mut created = match description.sdp.as_str() {
            "" => self.implicit(description.kind)?,
            text => {
                let last = self.last_created(description.kind).filter(|created| created.is_text(text));
                last.cloned().ok_or(JsepError::InvalidModification)?
            }
        };
        self.revive(&mut created);
        Ok(created)
    }

    /// What an empty text stands for: the description created last as long as it says what a new one would say.
    fn implicit(&mut self, kind: SdpType) -> Result<Created, JsepError> {
        let last = self.last_created(kind).cloned();
        match kind {
            SdpType::Offer => self.create_offer(OfferOptions::default())?,
            _ => self.create_answer()?,
        };
        let to_replace =
            |last: &Created| last.credentials.iter().any(|(_, ice)| self.ice_to_replace.contains(&ice.ufrag));
        let last = last.filter(|last| !to_replace(last));
        let slot = self.created_slot(kind);
        let as_good = |last: &Created| {
            let same = |fresh: &Created| {
                last.placement == fresh.placement && last.comparable() == fresh.comparable()
            };
            slot.as_deref().is_some_and(same)
        };
        if let Some(last) = last.filter(as_good) {
            *slot = Some(Box::new(last));
        }
        slot.as_deref().cloned().ok_or(JsepError::InvalidModification)
    }

    /// Gives transports that vanished with a rollback a new name, as names are not used twice: that of the transport
    /// planned for their sections by now, or one never used.
    fn revive(&mut self, created: &mut Created) {
        let stable = |id| self.stable.as_ref().is_some_and(|stable| stable.transport(id).is_some());
        let known = |id| {
            self.shared.transport(id).is_some()
                || stable(id)
                || self.spare.iter().any(|(spare, _)| *spare == id)
        };
        let ids = created.credentials.iter().map(|(id, _)| *id);
        let gone: Vec<TransportId> = ids.filter(|id| !known(*id)).collect();
        for id in gone {
            let section = created.placement.iter().position(|placed| *placed == Some(id));
            let placed = section.and_then(|section| *self.shared.placement.get(section)?);
            let taken = |id| created.credentials.iter().any(|(known, _)| *known == id);
            let stable = |id| self.stable.as_ref().is_some_and(|stable| stable.transport(id).is_some());
            let planned = placed.filter(|id| created.kind != SdpType::Offer && !taken(*id) && !stable(*id));
            let name = planned.unwrap_or_else(|| self.new_transport_id());
            created.rename(id, name);
        }
    }
}

impl Created {
    /// Line ends may have changed on the way through the application.
    fn is_text(&self, text: &str) -> bool {
        self.text.lines().eq(text.lines())
    }

    fn rename(&mut self, from: TransportId, to: TransportId) {
        let placed = self.placement.iter_mut().flatten();
        let credentials = self.credentials.iter_mut().map(|(id, _)| id);
        let carriers = self.carriers.iter_mut().map(|carrier| &mut carrier.transport);
        for id in placed.chain(credentials).chain(carriers).filter(|id| **id == from) {
            *id = to;
        }
    }

    /// What it says, but for credentials, candidates and the version: those may be others and as good.
    fn comparable(&self) -> SessionDescription {
        let mut sdp = self.sdp.clone();
        sdp.origin.session_version.clear();
        forget_ice(&mut sdp.transport);
        for section in &mut sdp.media {
            forget_ice(&mut section.transport);
            section.candidates.clear();
        }
        sdp
    }
}

fn forget_ice(transport: &mut TransportAttributes) {
    transport.ice_ufrag = None;
    transport.ice_pwd = None;
    transport.end_of_candidates = false;
}
