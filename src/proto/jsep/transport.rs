//! ICE credentials, candidates, and the peers' ends of the transports.

use super::error::{Action, JsepError};
use super::session::{LocalTransport, Session};
use super::stored::{Stored, effective_transport, usable_fingerprints};
use super::types::*;
use crate::proto::sdp::CANDIDATES_MAX;
use std::sync::Arc;

/// Longest candidate line: the fields of RFC 8839 5.1 with a 256-character fragment and room for extensions.
const CANDIDATE_BYTES_MAX: usize = 1_024;

impl Session {
    /// Replaces the local ICE credentials of a transport (an ICE agent that had to begin anew): an ICE restart in
    /// the next offer.
    pub fn replace_local_ice(&mut self, transport: TransportId, ice: IceParameters) -> Result<(), JsepError> {
        let ice = IceParameters { lite: self.config.ice_lite, ..ice };
        let known = self.shared.transport_mut(transport).ok_or(JsepError::UnknownTransport(transport))?;
        known.set_ice(&ice);
        // A rollback must not bring back an agent that is gone.
        if let Some(stable) = self.stable.as_mut().and_then(|stable| stable.transport_mut(transport)) {
            stable.set_ice(&ice);
        }
        self.forget_created();
        self.refresh_transports();
        Ok(())
    }

    /// Asks for new ICE credentials in the next offer (W3C `restartIce`).
    pub fn restart_ice(&mut self) {
        let slots = [&self.slots.current_local, &self.slots.pending_local];
        let carriers = slots.into_iter().flatten().flat_map(|stored| &stored.carriers);
        self.ice_to_replace = carriers.map(|carrier| carrier.ufrag.clone()).collect();
    }

    /// Records a candidate of the local credentials in force, `candidate:..`; later descriptions carry it.
    pub fn add_local_candidate(&mut self, transport: TransportId, candidate: &str) -> Result<(), JsepError> {
        let candidate = candidate_line(candidate)?;
        let known = self.shared.transport_mut(transport).ok_or(JsepError::UnknownTransport(transport))?;
        if known.candidates.iter().any(|known| **known == *candidate) {
            return Ok(());
        }
        if known.candidates.len() >= CANDIDATES_MAX {
            return Err(JsepError::TooManyCandidates);
        }
        let candidate = Arc::from(candidate);
        known.candidates.push(Arc::clone(&candidate));
        self.in_local_descriptions(transport, |stored, section| {
            stored.add_candidate(section, &candidate);
        });
        Ok(())
    }

    /// Says that there are no more local candidates for the credentials in force.
    pub fn end_of_local_candidates(&mut self, transport: TransportId) -> Result<(), JsepError> {
        let known = self.shared.transport_mut(transport).ok_or(JsepError::UnknownTransport(transport))?;
        known.end_of_candidates = true;
        known.candidates.shrink_to_fit();
        self.in_local_descriptions(transport, Stored::end_candidates);
        Ok(())
    }

    /// The section that stands for a transport in the local description: where its candidates belong, as
    /// identification tag and index of the m-line. `None` before a local description has it.
    pub fn candidate_section(&self, transport: TransportId) -> Option<(String, usize)> {
        let local = self.slots.local()?;
        let section = local.carrier(transport)?.section;
        let mid = local.sdp.media.get(section)?.mid.clone();
        let mid = mid.or_else(|| self.transceiver_of(section)?.mid().map(str::to_owned));
        Some((mid.unwrap_or_default(), section))
    }

    /// The ICE user name fragment under which the local description offers a transport. Not that of
    /// [`Self::transports`] while a replacement waits for the next offer.
    pub fn described_ufrag(&self, transport: TransportId) -> Option<&str> {
        Some(self.slots.local()?.carrier(transport)?.ufrag.as_str())
    }

    /// Changes the section that carries the candidates of a transport, in each local description with its
    /// credentials.
    fn in_local_descriptions(&mut self, id: TransportId, mut change: impl FnMut(&mut Stored, usize)) {
        let Some(transport) = self.shared.transport(id) else { return };
        for stored in [&mut self.slots.current_local, &mut self.slots.pending_local].into_iter().flatten() {
            let carrier = stored.carrier(id).filter(|carrier| carrier.ufrag == transport.ice.ufrag);
            if let Some(section) = carrier.map(|carrier| carrier.section) {
                change(stored, section);
            }
        }
    }

    /// Records a trickled candidate (W3C `addIceCandidate`).
    pub fn add_remote_candidate(&mut self, candidate: &CandidateInit) -> Result<CandidateUse, JsepError> {
        // W3C addIceCandidate: the argument is checked before the state and the text of the candidate.
        let nowhere = candidate.mid.is_none() && candidate.media_line_index.is_none();
        if nowhere && !candidate.candidate.trim().is_empty() {
            return Err(JsepError::CandidateWithoutSection);
        }
        let state_error = JsepError::InvalidState { action: Action::AddCandidate, state: self.state };
        if self.state == SignalingState::Closed {
            return Err(state_error);
        }
        let remote = self.slots.remote().ok_or(state_error)?;
        let line = match candidate.candidate.trim() {
            "" => None,
            text => Some(candidate_line(text)?),
        };
        let section = match (&candidate.mid, candidate.media_line_index) {
            (Some(mid), _) => remote.sdp.index_of(mid).ok_or(JsepError::UnknownSection)?,
            (None, Some(index)) if index < remote.sdp.media.len() => index,
            (None, Some(_)) => return Err(JsepError::UnknownSection),
            (None, None) => return self.end_all(candidate.username_fragment.as_deref()),
        };
        let ufrag = candidate.username_fragment.as_deref().or_else(|| line.and_then(ufrag_of_candidate));
        let outcome = self.record_candidate(section, ufrag, line);
        self.refresh_transports();
        outcome
    }

    /// W3C addIceCandidate: without a section, the end of candidates is that of every section.
    fn end_all(&mut self, ufrag: Option<&str>) -> Result<CandidateUse, JsepError> {
        let Some(remote) = self.slots.remote() else { return Ok(CandidateUse::Recorded) };
        let open = remote.sdp.media.iter().enumerate().filter(|(_, section)| !section.rejected());
        let sections: Vec<usize> = open.map(|(index, _)| index).collect();
        let mut outcome = None;
        for section in sections {
            match self.record_candidate(section, ufrag, None) {
                Ok(CandidateUse::Recorded) => outcome = outcome.or(Some(CandidateUse::Recorded)),
                Ok(used) => outcome = outcome.filter(|known| *known != CandidateUse::Recorded).or(Some(used)),
                Err(_) => {}
            }
        }
        self.refresh_transports();
        match ufrag {
            None => Ok(outcome.unwrap_or(CandidateUse::Recorded)),
            Some(_) => outcome.ok_or(JsepError::UnknownIceGeneration),
        }
    }

    fn record_candidate(
        &mut self,
        section: usize,
        ufrag: Option<&str>,
        line: Option<&str>,
    ) -> Result<CandidateUse, JsepError> {
        let latest = self.slots.remote().and_then(|remote| remote.ufrag_of(remote.lead_of(section)));
        let Some(ufrag) = ufrag.map(str::to_owned).or(latest) else {
            // A rejected section has no candidates, but telling them is no mistake.
            return Ok(CandidateUse::Recorded);
        };
        let line: Option<Arc<str>> = line.map(Arc::from);
        let mut outcome = None;
        for pending in [false, true] {
            let slot = if pending { &mut self.slots.pending_remote } else { &mut self.slots.current_remote };
            let Some(stored) = slot else { continue };
            let lead = stored.lead_of(section);
            if stored.ufrag_of(lead).as_ref() != Some(&ufrag) {
                continue;
            }
            let ended = stored.sdp.media[lead].transport.end_of_candidates;
            match &line {
                // RFC 8838 14: what comes after the end is ignored.
                Some(_) if ended => {}
                Some(line) if !stored.add_candidate(lead, line) => return Err(JsepError::TooManyCandidates),
                Some(_) => {}
                None => {
                    stored.end_candidates(lead);
                    stored.end_candidates(section);
                }
            }
            let described = |t: &&LocalTransport| {
                t.remote.is_some_and(|remote| remote.pending == pending && remote.section == lead)
            };
            let transport = self.shared.transports.iter().find(described);
            outcome = match transport {
                Some(transport) => Some(CandidateUse::Transport(transport.id)),
                None => outcome.or(Some(CandidateUse::Recorded)),
            };
        }
        outcome.ok_or(JsepError::UnknownIceGeneration)
    }

    /// Whether the peer takes candidates after its description (W3C `canTrickleIceCandidates`); `None` before any
    /// remote description.
    pub fn can_trickle_ice_candidates(&self) -> Option<bool> {
        let remote = self.slots.remote()?;
        let trickles = |options: &[String]| options.iter().any(|word| word == "trickle");
        let open: Vec<_> = remote.sdp.media.iter().filter(|section| !section.rejected()).collect();
        let in_sections = !open.is_empty() && open.iter().all(|s| trickles(&s.transport.ice_options));
        Some(trickles(&remote.sdp.transport.ice_options) || in_sections)
    }

    /// Brings what `transports` shows up to date.
    ///
    /// A pending offer shows only in transports that are new with it: a rollback leaves the others untouched.
    pub(super) fn refresh_transports(&mut self) {
        let mids = |id: TransportId| {
            let placed = self.shared.placement.iter().enumerate();
            let sections = placed.filter(|(_, transport)| **transport == Some(id)).map(|(index, _)| index);
            sections.filter_map(|index| self.mid_of(index)).collect::<Vec<_>>()
        };
        let shown: Vec<Transport> = self
            .shared
            .transports
            .iter()
            .map(|transport| Transport {
                id: transport.id,
                mids: mids(transport.id),
                local: transport.ice.clone(),
                remote: self.remote_end(transport),
            })
            .collect();
        self.transports = shown;
    }

    fn mid_of(&self, section: usize) -> Option<String> {
        let in_slot = |stored: Option<&Stored>| stored?.sdp.media.get(section)?.mid.clone();
        // The remote one has the mids that were made up for a peer that does not use them.
        in_slot(self.slots.remote()).or_else(|| in_slot(self.slots.local()))
    }

    fn remote_end(&self, transport: &LocalTransport) -> Option<RemoteTransport> {
        let RemoteEnd { stored, section } = self.remote_description_of(transport)?;
        let attributes = effective_transport(&stored.sdp, section);
        Some(RemoteTransport {
            fingerprints: usable_fingerprints(&attributes),
            ufrag: attributes.ice_ufrag?,
            password: attributes.ice_pwd?,
            lite: stored.sdp.ice_lite,
            candidates: stored.sdp.media.get(section)?.candidates.clone(),
            end_of_candidates: attributes.end_of_candidates,
            dtls_role: transport.dtls_role,
        })
    }

    /// The description and the section that describe the peer's end.
    pub(super) fn remote_description_of(&self, transport: &LocalTransport) -> Option<RemoteEnd<'_>> {
        let remote = transport.remote?;
        let slot = if remote.pending { &self.slots.pending_remote } else { &self.slots.current_remote };
        Some(RemoteEnd { stored: slot.as_ref()?, section: remote.section })
    }
}

/// See [`Session::remote_description_of`].
pub(super) struct RemoteEnd<'a> {
    pub(super) stored: &'a Stored,
    pub(super) section: usize,
}

/// One line of text that begins with `candidate:`, without `a=`.
fn candidate_line(text: &str) -> Result<&str, JsepError> {
    let text = text.trim();
    let text = text.strip_prefix("a=").unwrap_or(text);
    let valid = text.len() <= CANDIDATE_BYTES_MAX
        && text.starts_with("candidate:")
        && !text.bytes().any(|b| b.is_ascii_control());
    if valid { Ok(text) } else { Err(JsepError::MalformedCandidate) }
}

/// The `ufrag` extension that browsers put on trickled candidates.
fn ufrag_of_candidate(line: &str) -> Option<&str> {
    let mut words = line.split_ascii_whitespace();
    words.find(|word| *word == "ufrag")?;
    words.next()
}
