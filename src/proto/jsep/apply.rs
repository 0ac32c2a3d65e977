//! Applying descriptions: the transitions between signalling states (RFC 8829 5.5-5.7, 5.9-5.11).

use super::answer::each_lead;
use super::error::{Action, JsepError, Refusal};
use super::manage::ENCODINGS_MAX;
use super::session::{Created, DataLink, RemoteSection, Session};
use super::stored::Stored;
use super::transceiver::{Link, Source};
use super::types::*;
use crate::proto::sdp::{MediaDescription, MediaType, RidDirection, SessionDescription};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

impl Session {
    /// Applies a description created here, or rolls back. Empty text means the one created last, or a new one.
    pub fn set_local_description(&mut self, description: Description) -> Result<(), JsepError> {
        use SignalingState::*;
        let kind = description.kind;
        // W3C setLocalDescription: that the text is another one counts before the state, but not if it is provisional.
        let strict = matches!(kind, SdpType::Offer | SdpType::Answer) && self.state != Closed;
        if strict && !description.sdp.is_empty() && !self.is_last_created(&description) {
            return Err(JsepError::InvalidModification);
        }
        let fits = match kind {
            SdpType::Offer => matches!(self.state, Stable | HaveLocalOffer),
            SdpType::Answer | SdpType::Pranswer => matches!(self.state, HaveRemoteOffer | HaveLocalPranswer),
            // W3C 4.4.1.5: an answer can't be taken back, not even a provisional one.
            SdpType::Rollback => matches!(self.state, HaveLocalOffer),
        };
        if !fits {
            return Err(JsepError::InvalidState { action: Action::SetLocal(kind), state: self.state });
        }
        if kind == SdpType::Rollback {
            self.rollback();
            return Ok(());
        }
        let created = self.matching_created(&description)?;
        match kind {
            SdpType::Offer => self.apply_local_offer(created),
            _ => self.apply_local_answer(kind, created),
        }
        self.refresh_transports();
        Ok(())
    }

    /// Applies the peer's description, or rolls back. A remote offer rolls a pending local one back (glare).
    pub fn set_remote_description(&mut self, description: Description) -> Result<(), JsepError> {
        use SignalingState::*;
        let kind = description.kind;
        let fits = match kind {
            // W3C 4.4.1.5: an offer in have-local-offer rolls that one back first.
            SdpType::Offer => matches!(self.state, Stable | HaveRemoteOffer | HaveLocalOffer),
            SdpType::Answer | SdpType::Pranswer => matches!(self.state, HaveLocalOffer | HaveRemotePranswer),
            SdpType::Rollback => matches!(self.state, HaveRemoteOffer),
        };
        if !fits {
            return Err(JsepError::InvalidState { action: Action::SetRemote(kind), state: self.state });
        }
        if kind == SdpType::Rollback {
            self.rollback();
            return Ok(());
        }
        let sdp: SessionDescription = description.sdp.parse()?;
        match kind {
            SdpType::Offer => {
                self.check_offer(&sdp).map_err(JsepError::InvalidAccess)?;
                self.apply_remote_offer(description.sdp, sdp);
            }
            _ => self.apply_remote_answer(kind, description.sdp, sdp)?,
        }
        self.refresh_transports();
        Ok(())
    }

    /// Saves what a rollback restores.
    fn begin_exchange(&mut self) {
        for transceiver in &mut self.transceivers {
            transceiver.stable = Some(Box::new(transceiver.link.clone()));
        }
        self.stable = Some(self.shared.clone());
    }

    /// Returns to the last stable state (RFC 8829 5.7). What the application changed meanwhile stays.
    fn rollback(&mut self) {
        self.slots.pending_local = None;
        self.slots.pending_remote = None;
        self.state = SignalingState::Stable;
        if let Some(stable) = self.stable.take() {
            self.shared = stable;
        }
        // RFC 8829 5.7: what the offer brought goes, unless the application has put a track on it.
        self.transceivers.retain(|transceiver| !transceiver.created_by_offer || transceiver.added_by_track);
        for transceiver in &mut self.transceivers {
            transceiver.created_by_offer = false;
            transceiver.link = transceiver.stable.take().map(|link| *link).unwrap_or_default();
            if transceiver.stopped() {
                transceiver.end();
            }
        }
        self.remove_ended();
        self.refresh_transports();
    }

    fn apply_local_offer(&mut self, created: Created) {
        let before = self.shared.transports.clone();
        if self.state == SignalingState::HaveLocalOffer {
            self.rollback();
        }
        self.begin_exchange();
        self.adopt(created.placement.clone(), &created.credentials);
        // Candidates of a replaced offer belong to this one as long as the credentials are the same.
        for transport in &mut self.shared.transports {
            if let Some(before) =
                before.iter().find(|before| before.id == transport.id && before.ice == transport.ice)
            {
                transport.candidates.clone_from(&before.candidates);
                transport.end_of_candidates = before.end_of_candidates;
            }
        }
        for (section, id) in created.sections.iter().enumerate() {
            let mid = created.sdp.media[section].mid.clone();
            if let Some(transceiver) = id.and_then(|id| self.transceiver_mut(id)) {
                transceiver.link.section = Some(section);
                transceiver.link.mid = mid;
            }
        }
        self.link_data(&created.sdp);
        self.state = SignalingState::HaveLocalOffer;
        self.slots.pending_local = Some(Box::new(self.take_local(SdpType::Offer, created)));
    }

    fn apply_local_answer(&mut self, kind: SdpType, created: Created) {
        let Some(remote) = self.slots.pending_remote.clone() else { return };
        self.adopt(created.placement.clone(), &created.credentials);
        let leads = created.leads.clone().unwrap_or_default();
        let local = self.take_local(kind, created);
        let unnamed = remote.unnamed.clone();
        let mut named = local.sdp.clone();
        for index in unnamed {
            named.media[index].mid.clone_from(&remote.sdp.media[index].mid);
        }
        self.negotiate(&named, &remote.sdp, Answerer::Local, &leads);
        if let Some(remote) = &mut self.slots.pending_remote {
            remote.leads = Some(leads);
        }
        self.slots.pending_local = Some(Box::new(local));
        self.state = SignalingState::HaveLocalPranswer;
        if kind == SdpType::Answer {
            self.complete();
        }
    }

    fn apply_remote_offer(&mut self, text: String, mut sdp: SessionDescription) {
        let planned = match self.state {
            SignalingState::HaveRemoteOffer => self.planned_transports(),
            _ => Vec::new(),
        };
        if self.state != SignalingState::Stable {
            self.rollback();
        }
        // An offer that replaces another one keeps the transports that were planned.
        self.spare.splice(0..0, planned);
        self.begin_exchange();
        let unnamed = self.name_sections(&mut sdp);
        self.associate(&sdp);
        self.link_data(&sdp);
        let mut stored = Stored::new(SdpType::Offer, text.into(), sdp);
        stored.unnamed = unnamed;
        self.slots.pending_remote = Some(Box::new(stored));
        self.avoid_remote_sources();
        self.state = SignalingState::HaveRemoteOffer;
        self.plan_transports();
    }

    /// Transports that the pending remote offer brought.
    fn planned_transports(&self) -> Vec<(TransportId, IceParameters)> {
        let in_use = |id| self.stable.as_ref().is_some_and(|stable| stable.transport(id).is_some());
        let planned = self.shared.transports.iter().filter(|transport| !in_use(transport.id));
        planned.map(|transport| (transport.id, transport.ice.clone())).collect()
    }

    /// Gives the sections of the pending remote offer the transports that an answer would give them.
    fn plan_transports(&mut self) {
        let Some(remote) = self.slots.pending_remote.take() else { return };
        let leads = self.plan_answer(&remote.sdp);
        let placement = self.place(&leads, &remote.sdp);
        self.slots.pending_remote = Some(remote);
        let credentials = self.credentials(&placement);
        self.adopt(placement, &credentials);
        let described: Vec<_> = each_lead(&leads, &self.shared.placement).collect();
        for (section, id) in described {
            if let Some(transport) = self.shared.transport_mut(id) {
                transport.remote = transport.remote.or(Some(RemoteSection { pending: true, section }));
            }
        }
    }

    fn apply_remote_answer(
        &mut self,
        kind: SdpType,
        text: String,
        mut sdp: SessionDescription,
    ) -> Result<(), JsepError> {
        let wrong_state = JsepError::InvalidState { action: Action::SetRemote(kind), state: self.state };
        let local = self.slots.pending_local.clone().ok_or(wrong_state)?;
        self.check_answer(&local.sdp, &sdp).map_err(JsepError::InvalidAccess)?;
        for (answered, offered) in sdp.media.iter_mut().zip(&local.sdp.media) {
            answered.mid.clone_from(&offered.mid);
        }
        let leads = Self::answered_leads(&local.sdp, &sdp);
        self.shared.placement =
            leads.iter().map(|lead| lead.and_then(|lead| *self.shared.placement.get(lead)?)).collect();
        self.negotiate(&local.sdp, &sdp, Answerer::Remote, &leads);
        let mut stored = Stored::new(kind, text.into(), sdp);
        stored.leads = Some(leads);
        self.slots.pending_remote = Some(Box::new(stored));
        self.avoid_remote_sources();
        self.state = SignalingState::HaveRemotePranswer;
        if kind == SdpType::Answer {
            self.complete();
        }
        Ok(())
    }

    /// Makes a created description the one in force, with its version and the candidates found since.
    fn take_local(&mut self, kind: SdpType, created: Created) -> Stored {
        self.version = created.sdp.origin.session_version.parse().ok();
        let text: Arc<str> = created.text.into();
        self.last_local = Some(Arc::clone(&text));
        let mut stored = Stored::new(kind, text, created.sdp);
        stored.carriers = created.carriers;
        for transport in &self.shared.transports {
            let Some(section) = stored.carrier(transport.id).map(|carrier| carrier.section) else { continue };
            for candidate in &transport.candidates {
                stored.add_candidate(section, candidate);
            }
            if transport.end_of_candidates {
                stored.end_candidates(section);
            }
        }
        stored
    }

    /// Ends an exchange with its final answer.
    fn complete(&mut self) {
        self.forget_created();
        self.slots.current_local = self.slots.pending_local.take();
        self.slots.current_remote = self.slots.pending_remote.take();
        self.transceivers.shrink_to_fit();
        self.stable = None;
        self.state = SignalingState::Stable;
        let rejected = |section: usize| {
            let rejects = |stored: &Option<Box<Stored>>| {
                stored.as_ref().and_then(|s| s.sdp.media.get(section)).is_none_or(MediaDescription::rejected)
            };
            rejects(&self.slots.current_local) || rejects(&self.slots.current_remote)
        };
        // W3C 4.4.1.5: the transceiver of a rejected section is stopped, and gone from the set.
        self.transceivers.retain(|transceiver| !transceiver.link.section.is_some_and(rejected));
        self.shared.data = self.shared.data.take().filter(|data| !rejected(data.section));
        for transceiver in &mut self.transceivers {
            transceiver.stable = None;
            transceiver.created_by_offer = false;
        }
        let carriers = self.slots.current_local.iter().flat_map(|local| &local.carriers);
        if !carriers.into_iter().any(|carrier| self.ice_to_replace.contains(&carrier.ufrag)) {
            self.ice_to_replace.clear();
        }
        self.settle_transports();
        self.remove_ended();
    }

    /// Transports that the answer left without sections are gone.
    fn settle_transports(&mut self) {
        let used: HashSet<TransportId> = self.shared.placement.iter().copied().flatten().collect();
        self.shared.transports.retain(|transport| used.contains(&transport.id));
        for remote in self.shared.transports.iter_mut().filter_map(|transport| transport.remote.as_mut()) {
            remote.pending = false;
        }
    }

    /// Gives sections without a mid one for use inside (RFC 8829 5.10): that of before, or a new one.
    fn name_sections(&self, sdp: &mut SessionDescription) -> Vec<usize> {
        let mut taken: HashSet<String> = sdp.media.iter().filter_map(|section| section.mid.clone()).collect();
        let mut unnamed = Vec::new();
        for (index, section) in sdp.media.iter_mut().enumerate() {
            if section.mid.is_some() {
                continue;
            }
            unnamed.push(index);
            let before = self.transceiver_of(index).and_then(|t| t.link.mid.clone());
            let fresh = || (index..).map(|n| n.to_string()).find(|mid| !taken.contains(mid));
            section.mid = before.or_else(fresh);
            taken.extend(section.mid.clone());
        }
        unnamed
    }

    /// Gives every section of a remote offer its transceiver, and notes what the offer says (RFC 8829 5.10).
    fn associate(&mut self, sdp: &SessionDescription) {
        let by_section: HashMap<usize, TransceiverId> =
            self.transceivers.iter().filter_map(|t| Some((t.link.section?, t.id))).collect();
        for (index, section) in sdp.media.iter().enumerate() {
            let kind = match section.media_type {
                MediaType::Audio => MediaKind::Audio,
                MediaType::Video => MediaKind::Video,
                _ => continue,
            };
            let direction = Direction::from(sdp.direction_of(section));
            let id = match by_section.get(&index) {
                Some(id) => *id,
                None if section.rejected() => continue,
                None => self.transceiver_for(kind, direction),
            };
            let proposed = self.proposed_layers(id, section);
            let default_stream = self.default_stream.clone();
            if let Some(transceiver) = self.transceiver_mut(id) {
                transceiver.link.section = Some(index);
                transceiver.link.mid.clone_from(&section.mid);
                transceiver.link.proposed = proposed;
                transceiver.link.note_remote(section, direction, &default_stream);
            }
        }
    }

    /// The layers that an offer wants to receive, for a sender that has none of its own yet (W3C 4.4.1.5,
    /// `proposedSendEncodings`).
    fn proposed_layers(&mut self, id: TransceiverId, section: &MediaDescription) -> Vec<Source> {
        let Some(simulcast) = section.simulcast.as_ref().filter(|_| !section.rejected()) else {
            return Vec::new();
        };
        let single = |t: &super::Transceiver| !t.has_sent && !t.stopped() && matches!(t.sources[..], [_]);
        if !self.transceiver(id).is_some_and(|t| t.kind == MediaKind::Video && single(t)) {
            return Vec::new();
        }
        let declared = |rid: &str| {
            section.rids.iter().any(|known| known.id == rid && known.direction == RidDirection::Recv)
        };
        let layers = simulcast.recv.iter().filter_map(|alternatives| alternatives.first());
        let rids: Vec<_> = layers.filter(|id| declared(&id.rid)).map(|id| Some(id.rid.clone())).collect();
        self.fresh_sources(rids.into_iter().take(ENCODINGS_MAX).collect())
    }

    /// RFC 8829 5.10: a transceiver made by `add_track` meets a section that wants to receive; else a new one.
    fn transceiver_for(&mut self, kind: MediaKind, remote: Direction) -> TransceiverId {
        let waiting = |t: &&super::Transceiver| {
            t.kind == kind && t.added_by_track && t.link.section.is_none() && !t.stopped()
        };
        if let Some(transceiver) = self.transceivers.iter().find(waiting).filter(|_| remote.receives()) {
            return transceiver.id;
        }
        let id = self.new_transceiver(kind, Direction::Recvonly);
        if let Some(transceiver) = self.transceiver_mut(id) {
            transceiver.created_by_offer = true;
        }
        id
    }

    fn link_data(&mut self, sdp: &SessionDescription) {
        let data = |(index, section): (usize, &MediaDescription)| {
            let is_data = section.media_type == MediaType::Application && !section.rejected();
            is_data.then(|| (index, section.mid.clone().unwrap_or_default()))
        };
        let Some((section, mid)) = sdp.media.iter().enumerate().find_map(data) else { return };
        if self.shared.data.as_ref().is_none_or(|known| known.section != section) {
            self.shared.data = Some(DataLink { section, mid, negotiated: None });
        }
    }
}

/// Whose answer completes an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answerer {
    Local,
    Remote,
}

impl Link {
    /// Notes the peer's direction and the track it announces. One that is in no stream says so; one that says
    /// nothing is in the default stream (RFC 9429 5.10).
    pub(super) fn note_remote(
        &mut self,
        section: &MediaDescription,
        direction: Direction,
        default_stream: &str,
    ) {
        self.remote_direction = Some(direction);
        self.remote_stream_ids.clear();
        self.remote_track_id = None;
        if !direction.sends() || section.rejected() {
            return;
        }
        for msid in &section.msids {
            self.remote_stream_ids.extend(msid.stream.clone());
            self.remote_track_id = self.remote_track_id.take().or_else(|| msid.track.clone());
        }
        if section.msids.is_empty() {
            // Before a=msid, the ids were attributes of the source.
            let msid = section.sources.iter().find(|source| source.name == "msid");
            let mut words = msid.and_then(|s| s.value.as_deref()).unwrap_or_default().split(' ');
            match words.next().unwrap_or_default() {
                "-" => {}
                "" => self.remote_stream_ids.push(default_stream.to_owned()),
                id => self.remote_stream_ids.push(id.to_owned()),
            }
            self.remote_track_id = words.next().map(str::to_owned);
        }
    }
}

impl From<Refusal> for JsepError {
    fn from(refusal: Refusal) -> Self {
        Self::InvalidAccess(refusal)
    }
}
