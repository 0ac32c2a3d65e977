//! Whether the peers must talk again: "check if negotiation is needed" (W3C 4.7.3).

use super::compose::msids;
use super::session::Session;
use super::stored::{Stored, effective_transport};
use super::transceiver::Transceiver;
use super::types::*;
use crate::proto::sdp::MediaDescription;

impl Session {
    /// Whether an exchange is needed to make the wanted state the negotiated one. Only ever true in state stable.
    pub fn negotiation_needed(&self) -> bool {
        if self.state != SignalingState::Stable {
            return false;
        }
        if self.ice_to_replace.is_some() || self.data_wanted && self.shared.data.is_none() {
            return true;
        }
        self.local_ice_changed() || self.transceivers.iter().any(|transceiver| self.differs(transceiver))
    }

    fn local_ice_changed(&self) -> bool {
        let Some(local) = &self.slots.current_local else { return false };
        let Some(tagged) = local.tagged() else { return false };
        effective_transport(&local.sdp, tagged).ice_ufrag.as_ref() != Some(&self.shared.ice.ufrag)
    }

    fn differs(&self, transceiver: &Transceiver) -> bool {
        let Some(section) = transceiver.link.section else {
            return !transceiver.stopped();
        };
        if transceiver.stopped() {
            return true;
        }
        let of = |stored: &Option<Stored>| -> Option<(SdpType, MediaDescription, Direction)> {
            let stored = stored.as_ref()?;
            let media = stored.sdp.media.get(section)?;
            Some((stored.kind, media.clone(), stored.sdp.direction_of(media).into()))
        };
        let (Some((kind, ours, local)), Some((_, _, remote))) =
            (of(&self.slots.current_local), of(&self.slots.current_remote))
        else {
            return true;
        };
        let wanted = transceiver.direction;
        if wanted.sends() && local.sends() && ours.msids != msids(transceiver) {
            return true;
        }
        match kind {
            SdpType::Offer => wanted != local && wanted != remote.reversed(),
            _ => local != wanted.intersection(remote.reversed()),
        }
    }
}
