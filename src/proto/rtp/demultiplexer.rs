//! Which media section a packet belongs to (RFC 9143 §9.2).
//!
//! Invariants: the table of sources has a bound, so a flood of SSRCs costs constant memory and time; a packet that
//! names an unknown section or encoding leaves no trace.

use super::{ExtensionKind, ExtensionMap, Extensions, Mid, Rid, RtpError, RtpHeader};

/// What is negotiated for one media section.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Section {
    /// The caller's number for the section, returned in [`Route`].
    pub index: usize,
    /// `a=mid`.
    pub mid: Option<Mid>,
    /// The payload types that may arrive.
    pub payload_types: Vec<u8>,
    /// Signalled sources with their retransmission source (`a=ssrc`, `a=ssrc-group:FID`).
    pub ssrcs: Vec<(u32, Option<u32>)>,
    /// The encodings that may arrive (`a=rid`). Empty: a RID is ignored.
    pub rids: Vec<Rid>,
}

/// Where a packet goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// [`Section::index`].
    pub section: usize,
    /// The encoding, as learned from this or an earlier packet of the same source.
    pub rid: Option<Rid>,
    /// The source is a repair stream of `rid` (it named itself with `repaired-rtp-stream-id`), or it was
    /// signalled as the retransmission source of another one.
    pub repaired: bool,
}

/// Why a packet has no section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// Not an RTP packet.
    #[error(transparent)]
    Malformed(#[from] RtpError),
    /// RFC 9143 §9.2: a MID that no section has, or an illegal name.
    #[error("no media section has this MID")]
    UnknownMid,
    /// The section does not have this RID.
    #[error("the media section has no such RID")]
    UnknownRid,
    /// No section has this source or payload type, or several have the payload type.
    #[error("the source is unknown and the payload type names no section")]
    Unknown,
}

/// Sources remembered per peer connection. 32 sections with three layers and their repair streams need 192; a peer
/// that sends more pushes out the source that was silent for the longest time.
const SOURCES_MAX: usize = 256;

/// Payload types index a table of this size.
const PAYLOAD_TYPES: usize = 128;

#[derive(Debug, Clone, Copy)]
struct Source {
    ssrc: u32,
    /// Position in `sections`.
    section: usize,
    rid: Option<Rid>,
    repaired: bool,
    last_used: u64,
}

/// Learns SSRC → section from MID, RID and payload type.
#[derive(Debug, Clone)]
pub struct Demultiplexer {
    sections: Vec<Section>,
    /// The only section with this payload type, by position. Empty without sections: most peers of a server only
    /// receive.
    by_payload_type: Box<[Option<u16>]>,
    extensions: ExtensionMap,
    /// Sorted by SSRC.
    sources: Vec<Source>,
    /// Counts routed packets: the clock of `last_used`.
    clock: u64,
}

impl Default for Demultiplexer {
    fn default() -> Self {
        Self::new()
    }
}

impl Demultiplexer {
    /// Without sections: nothing is routed.
    pub fn new() -> Self {
        Self {
            sections: Vec::new(),
            by_payload_type: Box::default(),
            extensions: ExtensionMap::default(),
            sources: Vec::new(),
            clock: 0,
        }
    }

    /// After each negotiation: all sections that may receive, and the ids of the bundle (RFC 9143 §9.1: one id
    /// has one meaning in all sections). What was learned stays for sections that stay.
    pub fn set_sections(&mut self, sections: Vec<Section>, extensions: ExtensionMap) {
        self.extensions = extensions;
        let before = std::mem::replace(&mut self.sections, sections);
        let new_position = |position: usize| {
            let old = before.get(position)?;
            self.sections.iter().position(|new| new.index == old.index && new.mid == old.mid)
        };
        self.sources.retain_mut(|source| match new_position(source.section) {
            Some(position) => {
                source.section = position;
                true
            }
            None => false,
        });
        self.by_payload_type = unique_payload_types(&self.sections);
        let signalled: Vec<_> = self.sections.iter().enumerate().flat_map(signalled_sources).collect();
        for source in signalled {
            match self.sources.binary_search_by_key(&source.ssrc, |known| known.ssrc) {
                Ok(at) => {
                    self.sources[at].section = source.section;
                    self.sources[at].repaired |= source.repaired;
                }
                Err(at) => self.insert(at, source),
            }
        }
    }

    /// Routes a packet by its (authenticated) header bytes.
    pub fn route_packet(&mut self, packet: &[u8]) -> Result<Route, RouteError> {
        let header = RtpHeader::parse_protected(packet)?;
        if let Ok(at) = self.sources.binary_search_by_key(&header.ssrc(), |source| source.ssrc)
            && self.says_nothing_new(&header, &self.sources[at])
        {
            self.clock += 1;
            let source = &mut self.sources[at];
            source.last_used = self.clock;
            let section = self.sections[source.section].index;
            return Ok(Route { section, rid: source.rid, repaired: source.repaired });
        }
        let extensions = self.extensions.decode(&header);
        self.route(header.ssrc(), header.payload_type(), &extensions)
    }

    /// Most packets: every name in the header is what is known of the source.
    fn says_nothing_new(&self, header: &RtpHeader<'_>, source: &Source) -> bool {
        let mid = self.sections[source.section].mid.as_ref().map(Mid::as_bytes);
        let rid = source.rid.as_ref().map(Rid::as_bytes);
        self.extensions.elements(header).all(|(kind, value)| match kind {
            ExtensionKind::Mid => mid == Some(value),
            ExtensionKind::Rid => rid == Some(value) && !source.repaired,
            ExtensionKind::RepairedRid => rid == Some(value) && source.repaired,
            _ => true,
        })
    }

    /// Routes by values that are already decoded.
    pub fn route(
        &mut self,
        ssrc: u32,
        payload_type: u8,
        extensions: &Extensions,
    ) -> Result<Route, RouteError> {
        if extensions.unknown_name {
            return Err(RouteError::UnknownMid);
        }
        let found = self.sources.binary_search_by_key(&ssrc, |source| source.ssrc);
        let known = found.ok().map(|at| self.sources[at]);
        // RFC 9143 §9.2: a MID decides, also against what was learned before; then the SSRC; then a payload
        // type that only one section has.
        let section = match (extensions.mid, known) {
            (Some(mid), Some(known)) if self.sections[known.section].mid == Some(mid) => known.section,
            (Some(mid), _) => self
                .sections
                .iter()
                .position(|section| section.mid == Some(mid))
                .ok_or(RouteError::UnknownMid)?,
            (None, Some(known)) => known.section,
            (None, None) => self
                .by_payload_type
                .get(usize::from(payload_type))
                .copied()
                .flatten()
                .map(usize::from)
                .ok_or(RouteError::Unknown)?,
        };
        let moved = known.is_some_and(|known| known.section != section);
        let known = known.filter(|_| !moved);
        let (rid, repaired) = self.encoding(section, extensions, known)?;
        self.clock += 1;
        let source = Source { ssrc, section, rid, repaired, last_used: self.clock };
        match found {
            Ok(at) => self.sources[at] = source,
            Err(at) => self.insert(at, source),
        }
        Ok(Route { section: self.sections[section].index, rid, repaired })
    }

    /// The encoding this packet names, or its source named earlier.
    fn encoding(
        &self,
        section: usize,
        extensions: &Extensions,
        known: Option<Source>,
    ) -> Result<(Option<Rid>, bool), RouteError> {
        let rids = &self.sections[section].rids;
        let before = known.map_or((None, false), |known| (known.rid, known.repaired));
        let named = match (extensions.repaired_rid, extensions.rid) {
            (Some(repaired), _) => (repaired, true),
            (None, Some(rid)) => (rid, before.1 && before.0.is_none()),
            (None, None) => return Ok(before),
        };
        if rids.is_empty() {
            return Ok((None, before.1 || named.1));
        }
        if !rids.contains(&named.0) {
            return Err(RouteError::UnknownRid);
        }
        Ok((Some(named.0), named.1))
    }

    fn insert(&mut self, at: usize, source: Source) {
        if self.sources.len() < SOURCES_MAX {
            self.sources.insert(at, source);
            return;
        }
        let Some(oldest) = (0..self.sources.len()).min_by_key(|index| self.sources[*index].last_used) else {
            return;
        };
        self.sources.remove(oldest);
        self.sources.insert(if oldest < at { at - 1 } else { at }, source);
    }
}

fn unique_payload_types(sections: &[Section]) -> Box<[Option<u16>]> {
    if sections.is_empty() {
        return Box::default();
    }
    let mut table = [None; PAYLOAD_TYPES];
    let mut ambiguous = [false; PAYLOAD_TYPES];
    for (position, section) in sections.iter().enumerate() {
        for payload_type in &section.payload_types {
            let at = usize::from(payload_type & 0x7f);
            let Ok(position) = u16::try_from(position) else { continue };
            ambiguous[at] |= table[at].is_some_and(|other| other != position);
            table[at] = if ambiguous[at] { None } else { Some(position) };
        }
    }
    Box::new(table)
}

fn signalled_sources((section, parameters): (usize, &Section)) -> impl Iterator<Item = Source> + '_ {
    parameters.ssrcs.iter().flat_map(move |(ssrc, repair)| {
        let source = |ssrc, repaired| Source { ssrc, section, rid: None, repaired, last_used: 0 };
        std::iter::once(source(*ssrc, false)).chain(repair.map(|ssrc| source(ssrc, true)))
    })
}

#[cfg(test)]
mod tests;
