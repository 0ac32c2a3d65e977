//! Whether a remote description can be applied. Nothing here changes the session.

use super::answer::each_lead;
use super::codecs::common_codecs;
use super::error::Refusal;
use super::extensions::check_conflicts;
use super::placement::{Leads, Placement};
use super::session::{Session, Shared};
use super::stored::{Stored, effective_transport, usable_fingerprints};
use super::types::Direction;
use crate::proto::sdp::{MediaDescription, SessionDescription, Setup};
use std::collections::{HashMap, HashSet};

/// RFC 5761 4: with rtcp-mux these payload types look like RTCP.
const RTCP_PAYLOAD_TYPES: std::ops::RangeInclusive<u8> = 64..=95;

impl Session {
    /// RFC 8829 5.8: checks of an offer against the session as it is while stable.
    pub(super) fn check_offer(&self, offer: &SessionDescription) -> Result<(), Refusal> {
        let before = self.slots.current_remote.as_ref();
        let count = before.map_or(0, |before| before.sdp.media.len());
        if offer.media.len() < count {
            return Err(Refusal::SectionCount { expected: count, found: offer.media.len() });
        }
        for section in 0..count {
            self.check_continuity(section, &offer.media[section])?;
        }
        check_payload_types(offer)?;
        check_conflicts(offer)?;
        let leads = self.plan_answer(offer);
        for section in own_leads(&leads) {
            // RFC 8842 5.2: holdconn has no place in WebRTC.
            if check_transport(offer, section)? == Some(Setup::Holdconn) {
                return Err(Refusal::BadSetup { section });
            }
        }
        let stable = self.stable.as_ref().unwrap_or(&self.shared);
        self.check_fingerprints(stable, &stable.placement, offer, &leads)?;
        check_rtcp_mux(offer, &leads)
    }

    /// RFC 9429 5.10, RFC 8842 3: another certificate needs an ICE restart.
    fn check_fingerprints(
        &self,
        stable: &Shared,
        placement: &Placement,
        now: &SessionDescription,
        leads: &Leads,
    ) -> Result<(), Refusal> {
        let Some(current) = &self.slots.current_remote else { return Ok(()) };
        for (section, id) in each_lead(leads, placement) {
            let Some(before) = stable.transport(id).and_then(|transport| transport.remote) else { continue };
            let before = effective_transport(&current.sdp, before.section);
            let now = effective_transport(now, section);
            let known: HashSet<String> =
                before.fingerprints.iter().map(|fingerprint| fingerprint.to_ascii_lowercase()).collect();
            let mut fingerprints = now.fingerprints.iter();
            let same = fingerprints.any(|fingerprint| known.contains(&fingerprint.to_ascii_lowercase()));
            if !same && (before.ice_ufrag, before.ice_pwd) == (now.ice_ufrag, now.ice_pwd) {
                return Err(Refusal::FingerprintChanged { section });
            }
        }
        Ok(())
    }

    /// A section in use keeps its media type and its mid (RFC 8829 5.8); a rejected one may become another.
    fn check_continuity(&self, section: usize, now: &MediaDescription) -> Result<(), Refusal> {
        let of =
            |stored: &Option<Box<Stored>>| stored.as_ref().and_then(|s| s.sdp.media.get(section)).cloned();
        let (Some(local), Some(remote)) = (of(&self.slots.current_local), of(&self.slots.current_remote))
        else {
            return Ok(());
        };
        if local.rejected() || remote.rejected() {
            return Ok(());
        }
        if now.media_type != remote.media_type {
            return Err(Refusal::MediaTypeChanged { section });
        }
        // The peer may have left out the mid all along.
        if now.mid.is_some() && now.mid != remote.mid {
            return Err(Refusal::MidChanged { section });
        }
        Ok(())
    }

    /// RFC 3264 6, RFC 8829 5.8: checks of an answer against the offer made.
    pub(super) fn check_answer(
        &self,
        offer: &SessionDescription,
        answer: &SessionDescription,
    ) -> Result<(), Refusal> {
        if answer.media.len() != offer.media.len() {
            return Err(Refusal::SectionCount { expected: offer.media.len(), found: answer.media.len() });
        }
        check_groups(offer, answer)?;
        check_payload_types(answer)?;
        check_conflicts(answer)?;
        for (section, (offered, answered)) in offer.media.iter().zip(&answer.media).enumerate() {
            if offered.media_type != answered.media_type {
                return Err(Refusal::MediaTypeChanged { section });
            }
            // Peers may leave out the mid, but not change it.
            if answered.mid.is_some() && answered.mid != offered.mid {
                return Err(Refusal::MidChanged { section });
            }
            if answered.rejected() {
                continue;
            }
            if offered.rejected() {
                return Err(Refusal::AcceptedRejected { section });
            }
            let is_rtp = !offered.codecs.is_empty();
            if is_rtp && common_codecs(&offered.codecs, &answered.codecs).is_empty() {
                return Err(Refusal::NoCommonFormat { section });
            }
            let allowed = Direction::from(offer.direction_of(offered)).reversed();
            let direction = Direction::from(answer.direction_of(answered));
            if is_rtp && direction.intersection(allowed) != direction {
                return Err(Refusal::DirectionNotOffered { section });
            }
        }
        let leads = Self::answered_leads(offer, answer);
        // RFC 9143 6: without a group, a section without a port is no accepted one.
        let lost = |(section, answered): &(usize, &MediaDescription)| {
            leads[*section].is_none() && !answered.rejected()
        };
        if let Some((section, _)) = answer.media.iter().enumerate().find(lost) {
            return Err(Refusal::NotBundled { section });
        }
        let mut taken = HashSet::new();
        for section in own_leads(&leads) {
            // A section that has no transport of its own must share that of the others.
            if !self.shared.placement.get(section).is_some_and(|placed| taken.insert(*placed)) {
                return Err(Refusal::NotBundled { section });
            }
            // RFC 8842 5.3: the answer decides; without the attribute it is passive (RFC 4145 4.1).
            if let Some(Setup::Actpass | Setup::Holdconn) = check_transport(answer, section)? {
                return Err(Refusal::BadSetup { section });
            }
        }
        let stable = self.stable.as_ref().unwrap_or(&self.shared);
        self.check_fingerprints(stable, &self.shared.placement, answer, &leads)?;
        check_rtcp_mux(answer, &leads)
    }
}

/// The sections that describe a transport.
fn own_leads(leads: &Leads) -> impl Iterator<Item = usize> {
    leads.iter().enumerate().filter(|(index, lead)| **lead == Some(*index)).map(|(index, _)| index)
}

/// RFC 9143 7.3.1: an answer takes sections out of a group, it adds none.
fn check_groups(offer: &SessionDescription, answer: &SessionDescription) -> Result<(), Refusal> {
    let mut group_of: HashMap<&str, usize> = HashMap::new();
    for (number, mids) in offer.bundles().enumerate() {
        for mid in mids {
            group_of.entry(mid).or_insert(number);
        }
    }
    for mids in answer.bundles() {
        let of_first = mids.first().and_then(|mid| group_of.get(mid.as_str()));
        if !mids.iter().all(|mid| of_first.is_some() && group_of.get(mid.as_str()) == of_first) {
            return Err(Refusal::BundleGrown);
        }
    }
    Ok(())
}

/// ICE credentials and a usable fingerprint for the transport of a section. Gives its `a=setup`.
fn check_transport(sdp: &SessionDescription, section: usize) -> Result<Option<Setup>, Refusal> {
    let transport = effective_transport(sdp, section);
    if transport.ice_ufrag.is_none() || transport.ice_pwd.is_none() {
        return Err(Refusal::MissingIceCredentials { section });
    }
    if usable_fingerprints(&transport).is_empty() {
        return Err(Refusal::MissingFingerprint { section });
    }
    Ok(transport.setup)
}

/// RTCP has no socket of its own here. In a bundle the attribute may be in the tagged section only.
fn check_rtcp_mux(sdp: &SessionDescription, leads: &Leads) -> Result<(), Refusal> {
    let lacking = |(section, media): (usize, &MediaDescription)| {
        let lead = leads[section]?;
        (media.is_rtp() && !media.rtcp_mux && !sdp.media[lead].rtcp_mux).then_some(section)
    };
    match sdp.media.iter().enumerate().find_map(lacking) {
        Some(section) => Err(Refusal::MissingRtcpMux { section }),
        None => Ok(()),
    }
}

fn check_payload_types(sdp: &SessionDescription) -> Result<(), Refusal> {
    let colliding = |section: &MediaDescription| {
        let reserved =
            |codec: &crate::proto::rtp::CodecParameters| RTCP_PAYLOAD_TYPES.contains(&codec.payload_type);
        !section.rejected() && section.codecs.iter().any(reserved)
    };
    match sdp.media.iter().position(colliding) {
        Some(section) => Err(Refusal::ReservedPayloadType { section }),
        None => Ok(()),
    }
}
