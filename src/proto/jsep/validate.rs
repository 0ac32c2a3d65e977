//! Whether a remote description can be applied. Nothing here changes the session.

use super::codecs::common_codecs;
use super::error::Refusal;
use super::extensions::check_conflicts;
use super::session::Session;
use super::stored::{Stored, effective_transport, tagged, usable_fingerprints};
use crate::proto::sdp::{MediaDescription, SessionDescription, Setup};
use std::collections::HashSet;

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
        let plan = self.plan_answer(offer);
        let Some(tagged) = plan.tagged else { return Ok(()) };
        let transport = check_transport(offer, tagged)?;
        // RFC 8842 5.2: holdconn has no place in WebRTC.
        if transport == Some(Setup::Holdconn) {
            return Err(Refusal::BadSetup { section: tagged });
        }
        check_rtcp_mux(offer, tagged, &plan.accepted)
    }

    /// A section in use keeps its media type and its mid (RFC 8829 5.8); a rejected one may become another.
    fn check_continuity(&self, section: usize, now: &MediaDescription) -> Result<(), Refusal> {
        let of = |stored: &Option<Stored>| stored.as_ref().and_then(|s| s.sdp.media.get(section)).cloned();
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
        let offered: HashSet<&str> = offer.bundle().iter().map(String::as_str).collect();
        // RFC 9143 7.3.1: an answer takes sections out of a group, it adds none.
        if !answer.bundle().iter().all(|mid| offered.contains(mid.as_str())) {
            return Err(Refusal::BundleGrown);
        }
        check_payload_types(answer)?;
        check_conflicts(answer)?;
        let tagged = tagged(answer);
        let bundle: HashSet<&str> = answer.bundle().iter().map(String::as_str).collect();
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
            let bundled = answered.mid.as_deref().is_some_and(|mid| bundle.contains(mid));
            if !bundled && tagged != Some(section) {
                return Err(Refusal::NotBundled { section });
            }
            let is_rtp = !offered.codecs.is_empty();
            if is_rtp && common_codecs(&offered.codecs, &answered.codecs).is_empty() {
                return Err(Refusal::NoCommonFormat { section });
            }
        }
        let Some(tagged) = tagged else { return Ok(()) };
        // RFC 8842 5.3: the answer decides; without the attribute it is passive (RFC 4145 4.1).
        if let Some(Setup::Actpass | Setup::Holdconn) = check_transport(answer, tagged)? {
            return Err(Refusal::BadSetup { section: tagged });
        }
        let accepted: Vec<bool> = answer.media.iter().map(|section| !section.rejected()).collect();
        check_rtcp_mux(answer, tagged, &accepted)
    }
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
fn check_rtcp_mux(sdp: &SessionDescription, tagged: usize, accepted: &[bool]) -> Result<(), Refusal> {
    let muxed = sdp.media[tagged].rtcp_mux;
    let lacking = |(section, media): (usize, &MediaDescription)| {
        let lacks = accepted[section] && media.is_rtp() && !media.rtcp_mux && !muxed;
        lacks.then_some(section)
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
