//! Header extension numbers: one id means one URI in the whole bundle (RFC 9143 12).

use super::error::Refusal;
use crate::proto::sdp::{Direction, ExtensionMapping, MediaDescription, SessionDescription};
use std::collections::HashMap;

/// Highest id of the one-byte form (RFC 8285 4.2).
const ONE_BYTE_ID_MAX: u16 = 14;
/// Ids from here on leave the choice to the answer (RFC 8285 7).
const PLACEHOLDER_ID_MIN: u16 = 4096;

/// Ids in use in the bundle.
#[derive(Debug, Default)]
pub(super) struct ExtensionIds {
    taken: HashMap<u16, String>,
}

impl ExtensionIds {
    /// Notes the extensions of a description; ids of 4096 and up are only placeholders (RFC 8285 7).
    pub(super) fn note(&mut self, extensions: &[ExtensionMapping]) {
        for extension in extensions.iter().filter(|extension| extension.id < PLACEHOLDER_ID_MIN) {
            self.taken.entry(extension.id).or_insert_with(|| extension.uri.clone());
        }
    }

    /// The id for an extension: the one it has already, the one it asks for, or a free one of the one-byte form.
    pub(super) fn assign(&mut self, wanted: u16, uri: &str) -> Option<u16> {
        let range = 1..=ONE_BYTE_ID_MAX;
        // In numeric order: a map's own order would make descriptions differ from run to run.
        if let Some(id) = range.clone().find(|id| self.taken.get(id).is_some_and(|known| known == uri)) {
            return Some(id);
        }
        let id = std::iter::once(wanted).chain(range).find(|id| !self.taken.contains_key(id))?;
        self.taken.insert(id, uri.to_owned());
        Some(id)
    }
}

/// The extensions of an answered section: the offered ones that are known, with the offer's ids. `ids` knows all
/// ids of the offer.
pub(super) fn answer_extensions(
    offer: &SessionDescription,
    section: &MediaDescription,
    known: &[(u8, String)],
    mixed: bool,
    ids: &mut ExtensionIds,
) -> Vec<ExtensionMapping> {
    let mut answer: Vec<ExtensionMapping> = Vec::new();
    for offered in offer.extensions_of(section) {
        let is_known = known.iter().any(|(_, uri)| *uri == offered.uri);
        if !is_known || answer.iter().any(|other| other.uri == offered.uri) {
            continue;
        }
        let chosen = offered.id >= PLACEHOLDER_ID_MIN;
        let id = if chosen { ids.assign(1, &offered.uri) } else { Some(offered.id) };
        // Two-byte ids only where both forms may be mixed.
        let Some(id) = id.filter(|&id| id <= ONE_BYTE_ID_MAX || mixed) else { continue };
        let direction = offered.direction.map(|direction| match direction {
            Direction::Sendonly => Direction::Recvonly,
            Direction::Recvonly => Direction::Sendonly,
            other => other,
        });
        answer.push(ExtensionMapping { id, direction, uri: offered.uri.clone(), attributes: None });
    }
    answer
}

/// RFC 9143 12: an id that means two URIs in one bundle is refused.
pub(super) fn check_conflicts(description: &SessionDescription) -> Result<(), Refusal> {
    let bundle: std::collections::HashSet<&str> = description.bundle().iter().map(String::as_str).collect();
    let mut meanings: HashMap<u16, &str> = HashMap::new();
    for extension in &description.extensions {
        if meanings.insert(extension.id, &extension.uri).is_some_and(|uri| uri != extension.uri) {
            return Err(Refusal::ExtensionConflict { section: 0 });
        }
    }
    for (section, media) in description.media.iter().enumerate() {
        if media.rejected() {
            continue;
        }
        let bundled = media.mid.as_deref().is_some_and(|mid| bundle.contains(mid));
        let mut own = HashMap::new();
        let meanings = if bundled { &mut meanings } else { &mut own };
        for extension in &media.extensions {
            if meanings.insert(extension.id, extension.uri.as_str()).is_some_and(|uri| uri != extension.uri) {
                return Err(Refusal::ExtensionConflict { section });
            }
        }
    }
    Ok(())
}

/// What both sides of an exchange named, with the local ids, as the RTP code wants it.
pub(super) fn common_extensions(
    local: &MediaDescription,
    remote: &SessionDescription,
    remote_section: &MediaDescription,
) -> Vec<(u8, String)> {
    let shared = |mapping: &&ExtensionMapping| {
        remote.extensions_of(remote_section).any(|other| other.uri == mapping.uri)
    };
    let pair = |mapping: &ExtensionMapping| Some((u8::try_from(mapping.id).ok()?, mapping.uri.clone()));
    local.extensions.iter().filter(shared).filter_map(pair).collect()
}
