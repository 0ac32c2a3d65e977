//! A description that was applied: its text as it came, its model, and the candidates that came later.

use super::applied::AppliedDescription;
use super::placement::{Carrier, Leads};
use super::types::{Description, SdpType};
use crate::proto::sdp::{CANDIDATES_MAX, SessionDescription, TransportAttributes};
use std::collections::HashSet;
use std::sync::Arc;

/// A description in one of the four slots (current or pending, local or remote).
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) kind: SdpType,
    applied: AppliedDescription,
    /// As parsed, with the candidates that came later.
    pub(super) sdp: SessionDescription,
    /// Sections that came without a mid and got one for use inside.
    pub(super) unnamed: Vec<usize>,
    /// In a local description: which sections carry the candidates of the transports.
    pub(super) carriers: Vec<Carrier>,
    /// In a remote description once it is answered or an answer: the leads. Before, every section stands for itself.
    pub(super) leads: Option<Leads>,
}

impl Stored {
    pub(super) fn new(kind: SdpType, text: Arc<str>, sdp: SessionDescription) -> Self {
        let applied = AppliedDescription::new(kind, text);
        Self { kind, applied, sdp, unnamed: Vec::new(), carriers: Vec::new(), leads: None }
    }

    /// The text as it came.
    pub(super) fn text(&self) -> &str {
        self.applied.text()
    }

    /// What getters show.
    pub(super) fn applied(&self) -> &AppliedDescription {
        &self.applied
    }

    /// The text with the candidates that came later at the end of their sections.
    pub(super) fn description(&self) -> Description {
        self.applied.description()
    }

    /// Adds a candidate to a section. `false` when the section has as many as are kept.
    pub(super) fn add_candidate(&mut self, section: usize, candidate: &Arc<str>) -> bool {
        let Some(media) = self.sdp.media.get_mut(section) else { return false };
        if media.candidates.iter().any(|known| known == candidate) {
            return true;
        }
        if media.candidates.len() >= CANDIDATES_MAX {
            return false;
        }
        media.candidates.push(Arc::clone(candidate));
        self.applied.append(section, Arc::clone(candidate));
        true
    }

    /// Notes that a section gets no more candidates.
    pub(super) fn end_candidates(&mut self, section: usize) {
        let Some(media) = self.sdp.media.get_mut(section) else { return };
        if !media.transport.end_of_candidates {
            media.transport.end_of_candidates = true;
            media.candidates.shrink_to_fit();
            self.applied.append(section, "end-of-candidates".into());
            self.applied.finish();
        }
    }

    /// The section that describes the transport of a section.
    pub(super) fn lead_of(&self, section: usize) -> usize {
        self.leads.as_ref().and_then(|leads| *leads.get(section)?).unwrap_or(section)
    }

    /// ICE user name fragment of a section.
    pub(super) fn ufrag_of(&self, section: usize) -> Option<String> {
        effective_transport(&self.sdp, section).ice_ufrag
    }
}

/// Transport attributes that hold for a section: its own, or those of another section of its bundle. Peers may
/// write them in the tagged section only (RFC 9143 7.1.3).
pub(super) fn effective_transport(sdp: &SessionDescription, section: usize) -> TransportAttributes {
    let Some(media) = sdp.media.get(section) else { return TransportAttributes::default() };
    let mut merged = sdp.transport_of(media);
    let complete = |t: &TransportAttributes| {
        t.ice_ufrag.is_some() && t.ice_pwd.is_some() && !t.fingerprints.is_empty() && t.setup.is_some()
    };
    if complete(&merged) {
        return merged;
    }
    let mut bundles = sdp.bundles().filter(|group| media.mid.as_ref().is_some_and(|mid| group.contains(mid)));
    let Some(group) = bundles.next() else { return merged };
    let group: HashSet<&str> = group.iter().map(String::as_str).collect();
    let members = sdp.media.iter().filter(|m| m.mid.as_deref().is_some_and(|mid| group.contains(mid)));
    for other in members {
        let other = &other.transport;
        if merged.ice_ufrag.is_none() && merged.ice_pwd.is_none() {
            merged.ice_ufrag.clone_from(&other.ice_ufrag);
            merged.ice_pwd.clone_from(&other.ice_pwd);
        }
        if merged.fingerprints.is_empty() {
            merged.fingerprints.clone_from(&other.fingerprints);
        }
        merged.setup = merged.setup.or(other.setup);
        if complete(&merged) {
            break;
        }
    }
    merged
}

/// Fingerprints of hashes that are accepted (RFC 8122 5 forbids MD2 and MD5).
pub(super) fn usable_fingerprints(transport: &TransportAttributes) -> Vec<String> {
    const USABLE: [&str; 4] = ["sha-1", "sha-256", "sha-384", "sha-512"];
    let usable = |fingerprint: &&String| {
        let hash = fingerprint.split(' ').next().unwrap_or_default();
        USABLE.iter().any(|known| known.eq_ignore_ascii_case(hash))
    };
    transport.fingerprints.iter().filter(usable).cloned().collect()
}
