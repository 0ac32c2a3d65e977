//! A description that was applied: its text as it came, its model, and the candidates that came later.

use super::placement::{Carrier, Leads};
use super::types::{Description, SdpType};
use crate::proto::sdp::{CANDIDATES_MAX, SessionDescription, TransportAttributes};
use std::collections::HashSet;
use std::sync::Arc;

/// A description as it was at some moment. It shares its text with the session, and is put together when somebody asks:
/// a session gets a new one with each candidate, and few are read.
#[derive(Debug, Clone)]
pub struct DescriptionView {
    kind: SdpType,
    text: Arc<str>,
    /// Attribute lines that came later, each with the index of its section.
    later: Arc<Vec<(usize, String)>>,
}

impl DescriptionView {
    /// Lines as they came: without what came later.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.text.lines()
    }

    /// The text with the candidates that came later at the end of their sections.
    pub fn description(&self) -> Description {
        if self.later.is_empty() {
            return Description { kind: self.kind, sdp: self.text.as_ref().to_owned() };
        }
        let mut sdp = String::with_capacity(self.text.len() + 128 * self.later.len());
        let mut next_section = 0;
        for line in self.text.lines() {
            if line.starts_with("m=") {
                self.write_later(&mut sdp, next_section);
                next_section += 1;
            }
            if !line.is_empty() {
                sdp.push_str(line);
                sdp.push_str("\r\n");
            }
        }
        self.write_later(&mut sdp, next_section);
        sdp.shrink_to_fit();
        Description { kind: self.kind, sdp }
    }

    /// Lines of the section that ends before section `next`.
    fn write_later(&self, sdp: &mut String, next: usize) {
        for (_, line) in self.later.iter().filter(|(section, _)| section + 1 == next) {
            sdp.push_str("a=");
            sdp.push_str(line);
            sdp.push_str("\r\n");
        }
    }
}

/// A description in one of the four slots (current or pending, local or remote).
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) kind: SdpType,
    /// As created or received.
    text: Arc<str>,
    /// As parsed, with the candidates that came later.
    pub(super) sdp: SessionDescription,
    /// Sections that came without a mid and got one for use inside.
    pub(super) unnamed: Vec<usize>,
    /// In a local description: which sections carry the candidates of the transports.
    pub(super) carriers: Vec<Carrier>,
    /// In a remote description once it is answered or an answer: the leads. Before, every section stands for itself.
    pub(super) leads: Option<Leads>,
    /// Attribute lines that came later, each with the index of its section. Shared with views.
    later: Arc<Vec<(usize, String)>>,
}

impl Stored {
    pub(super) fn new(kind: SdpType, text: Arc<str>, sdp: SessionDescription) -> Self {
        Self {
            kind,
            text,
            sdp,
            unnamed: Vec::new(),
            carriers: Vec::new(),
            leads: None,
            later: Arc::default(),
        }
    }

    /// The text as it came.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The text with the candidates that came later.
    pub(super) fn description(&self) -> Description {
        self.view().description()
    }

    /// The same, to be put together when it is needed.
    pub(super) fn view(&self) -> DescriptionView {
        DescriptionView { kind: self.kind, text: Arc::clone(&self.text), later: Arc::clone(&self.later) }
    }

    /// Adds a candidate to a section. `false` when the section has as many as are kept.
    pub(super) fn add_candidate(&mut self, section: usize, candidate: &str) -> bool {
        let Some(media) = self.sdp.media.get_mut(section) else { return false };
        if media.candidates.iter().any(|known| known == candidate) {
            return true;
        }
        if media.candidates.len() >= CANDIDATES_MAX {
            return false;
        }
        media.candidates.push(candidate.to_owned());
        Arc::make_mut(&mut self.later).push((section, candidate.to_owned()));
        true
    }

    /// Notes that a section gets no more candidates.
    pub(super) fn end_candidates(&mut self, section: usize) {
        let Some(media) = self.sdp.media.get_mut(section) else { return };
        if !media.transport.end_of_candidates {
            media.transport.end_of_candidates = true;
            Arc::make_mut(&mut self.later).push((section, "end-of-candidates".to_owned()));
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
