//! ICE credentials, candidates, and the peer's end of the one transport.

use super::error::{Action, JsepError};
use super::session::Session;
use super::stored::{Stored, effective_transport, usable_fingerprints};
use super::types::*;
use crate::proto::sdp::CANDIDATES_MAX;

/// Longest candidate line: the fields of RFC 8839 5.1 with a 256-character fragment and room for extensions.
const CANDIDATE_BYTES_MAX: usize = 1_024;

impl Session {
    /// ICE credentials in force on this side: those of the last local description applied, or the first ones.
    /// When they change, the ICE agent must restart with them.
    pub(super) fn local_ice(&self) -> &IceParameters {
        &self.shared.ice
    }

    /// Replaces the local ICE credentials (an ICE agent that had to begin anew): an ICE restart in the next offer.
    pub fn replace_local_ice(&mut self, transport: TransportId, ice: IceParameters) -> Result<(), JsepError> {
        self.check_transport(transport)?;
        if self.shared.ice != ice {
            self.shared.ice = ice;
            self.shared.candidates.clear();
            self.shared.end_of_candidates = false;
            self.created = None;
        }
        self.refresh_transports();
        Ok(())
    }

    fn check_transport(&self, id: TransportId) -> Result<(), JsepError> {
        match self.transports.iter().any(|transport| transport.id == id) {
            true => Ok(()),
            false => Err(JsepError::UnknownTransport(id)),
        }
    }

    /// The section that stands for a transport in the local description: where its candidates belong, as
    /// identification tag and index of the m-line.
    pub fn candidate_section(&self, transport: TransportId) -> Option<(String, usize)> {
        self.check_transport(transport).ok()?;
        let local = self.slots.local()?;
        let section = local.tagged()?;
        Some((local.sdp.media.get(section)?.mid.clone().unwrap_or_default(), section))
    }

    /// Brings what `transports` shows up to date.
    pub(super) fn refresh_transports(&mut self) {
        self.transports.clear();
        if self.slots.local().is_none() && self.slots.remote().is_none() {
            return;
        }
        let mids = self.slots.local().or(self.slots.remote()).map_or(Vec::new(), |stored| {
            stored.sdp.media.iter().filter(|s| !s.rejected()).filter_map(|s| s.mid.clone()).collect()
        });
        let transport =
            Transport { id: TransportId(0), mids, local: self.shared.ice.clone(), remote: self.transport() };
        self.transports.push(transport);
    }

    /// Asks for new ICE credentials in the next offer (W3C `restartIce`).
    pub fn restart_ice(&mut self) {
        if self.slots.local().is_some() {
            self.ice_to_replace = Some(self.shared.ice.ufrag.clone());
        }
    }

    /// Records a candidate of the local credentials in force, `candidate:..`; later descriptions carry it.
    pub fn add_local_candidate(&mut self, transport: TransportId, candidate: &str) -> Result<(), JsepError> {
        self.check_transport(transport)?;
        let candidate = candidate_line(candidate)?;
        if self.shared.candidates.iter().any(|known| known == candidate) {
            return Ok(());
        }
        if self.shared.candidates.len() >= CANDIDATES_MAX {
            return Err(JsepError::TooManyCandidates);
        }
        self.shared.candidates.push(candidate.to_owned());
        self.for_local_section(|stored, section| {
            stored.add_candidate(section, candidate);
        });
        Ok(())
    }

    /// Says that there are no more local candidates for the credentials in force.
    pub fn end_of_local_candidates(&mut self, transport: TransportId) -> Result<(), JsepError> {
        self.check_transport(transport)?;
        self.shared.end_of_candidates = true;
        self.for_local_section(Stored::end_candidates);
        Ok(())
    }

    /// The section that carries the candidates, in each local description of these credentials.
    fn for_local_section(&mut self, mut change: impl FnMut(&mut Stored, usize)) {
        let ufrag = &self.shared.ice.ufrag;
        let slots = [&mut self.slots.current_local, &mut self.slots.pending_local];
        for stored in slots.into_iter().flatten() {
            if let Some(section) = stored.tagged().filter(|&s| stored.ufrag_of(s).as_ref() == Some(ufrag)) {
                change(stored, section);
            }
        }
    }

    /// Records a trickled candidate (W3C `addIceCandidate`).
    pub fn add_remote_candidate(&mut self, candidate: &CandidateInit) -> Result<CandidateUse, JsepError> {
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
            (Some(mid), _) => remote.sdp.index_of(mid),
            (None, Some(index)) => Some(index).filter(|&index| index < remote.sdp.media.len()),
            // W3C 4.4.2: the end of candidates may be told for all sections at once.
            (None, None) if line.is_none() => self.transport_section().map(|(_, section)| section),
            (None, None) => return Err(JsepError::CandidateWithoutSection),
        };
        let section = section.ok_or(JsepError::UnknownSection)?;
        let ufrag = candidate.username_fragment.as_deref().or_else(|| line.and_then(ufrag_of_candidate));
        let outcome = self.record_candidate(section, ufrag, line);
        self.refresh_transports();
        outcome
    }

    fn record_candidate(
        &mut self,
        section: usize,
        ufrag: Option<&str>,
        line: Option<&str>,
    ) -> Result<CandidateUse, JsepError> {
        let used = self.transport_section().map(|(_, section)| section);
        let section = if self.shares_transport(section) { used.unwrap_or(section) } else { section };
        let latest = self.slots.remote().and_then(|remote| remote.ufrag_of(section));
        let ufrag = ufrag.map(str::to_owned).or(latest);
        let mut found = false;
        for stored in [&mut self.slots.current_remote, &mut self.slots.pending_remote].into_iter().flatten() {
            if ufrag.is_none() || stored.ufrag_of(section) != ufrag {
                continue;
            }
            found = true;
            let ended = stored.sdp.media[section].transport.end_of_candidates;
            match line {
                // RFC 8838 14: what comes after the end is ignored.
                Some(_) if ended => {}
                Some(line) if !stored.add_candidate(section, line) => {
                    return Err(JsepError::TooManyCandidates);
                }
                Some(_) => {}
                None => stored.end_candidates(section),
            }
        }
        match (found, used == Some(section)) {
            (false, _) => Err(JsepError::UnknownIceGeneration),
            (true, true) => Ok(CandidateUse::Transport(TransportId(0))),
            (true, false) => Ok(CandidateUse::Recorded),
        }
    }

    /// Whether a section is bundled by the last answer: then its candidates are those of the one transport.
    fn shares_transport(&self, section: usize) -> bool {
        let current = [&self.slots.current_local, &self.slots.current_remote];
        let answer = current.into_iter().flatten().find(|stored| stored.kind == SdpType::Answer);
        let mid = |stored: &Stored| stored.sdp.media.get(section).and_then(|section| section.mid.clone());
        answer.is_some_and(|stored| mid(stored).is_some_and(|mid| stored.sdp.bundle().contains(&mid)))
    }

    /// The remote description that the transport follows, and the section that describes it.
    pub(super) fn transport_section(&self) -> Option<(&Stored, usize)> {
        let slots = &self.slots;
        if let (Some(local), Some(remote)) = (&slots.current_local, &slots.current_remote)
            && let Some(tagged) = if local.kind == SdpType::Answer { local } else { remote }.tagged()
        {
            return Some((remote, tagged));
        }
        let remote = slots.pending_remote.as_ref()?;
        let tagged = match (&slots.pending_local, remote.kind) {
            (Some(answer), SdpType::Offer) => answer.tagged(),
            (None, SdpType::Offer) => self.plan_answer(&remote.sdp).tagged,
            (_, _) => remote.tagged(),
        };
        Some((remote, tagged?))
    }

    /// The peer's end of the one transport: that of the last answered exchange, or of the first offer while it
    /// waits for its answer. `None` before any remote description, or when every section was rejected.
    ///
    /// An offer that is pending does not show here before its answer: a rollback leaves the transport untouched.
    pub(super) fn transport(&self) -> Option<RemoteTransport> {
        let (remote, section) = self.transport_section()?;
        let attributes = effective_transport(&remote.sdp, section);
        Some(RemoteTransport {
            fingerprints: usable_fingerprints(&attributes),
            ufrag: attributes.ice_ufrag?,
            password: attributes.ice_pwd?,
            lite: remote.sdp.ice_lite,
            candidates: remote.sdp.media[section].candidates.clone(),
            end_of_candidates: attributes.end_of_candidates,
            dtls_role: self.shared.dtls_role,
        })
    }
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
