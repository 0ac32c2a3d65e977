//! Whether the peers must talk again: "check if negotiation is needed" (W3C 4.7.3).

use super::compose::msids;
use super::session::Session;
use super::stored::Stored;
use super::transceiver::Transceiver;
use super::types::*;
use crate::proto::sdp::{MediaDescription, MediaType};

impl Session {
    /// Whether an exchange is needed to make the wanted state the negotiated one. Only ever true in state stable.
    pub fn negotiation_needed(&self) -> bool {
        if self.state != SignalingState::Stable {
            return false;
        }
        if !self.ice_to_replace.is_empty() || self.data_wanted && !self.data_section_known() {
            return true;
        }
        self.local_ice_changed() || self.transceivers.iter().any(|transceiver| self.differs(transceiver))
    }

    /// A section for data channels that the peer refused was negotiated as well: asking again and again would not
    /// help. Later offers ask for one all the same.
    fn data_section_known(&self) -> bool {
        let local = self.slots.current_local.as_ref();
        local.is_some_and(|local| local.sdp.media.iter().any(|s| s.media_type == MediaType::Application))
    }

    /// Whether the peer has refused data channels in the last exchange.
    pub fn data_refused(&self) -> bool {
        self.state == SignalingState::Stable && self.data_section_known() && self.data_parameters().is_none()
    }

    fn local_ice_changed(&self) -> bool {
        let Some(local) = &self.slots.current_local else { return false };
        local.carriers.iter().any(|carrier| {
            self.shared.transport(carrier.transport).is_some_and(|t| t.ice.ufrag != carrier.ufrag)
        })
    }

    fn differs(&self, transceiver: &Transceiver) -> bool {
        let Some(section) = transceiver.link.section else {
            return !transceiver.stopped();
        };
        if transceiver.stopped() {
            return true;
        }
        let (Some((kind, ours, local)), Some((_, _, remote))) =
            (described(&self.slots.current_local, section), described(&self.slots.current_remote, section))
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

/// A section of a description, with the kind of that and its own direction.
fn described(
    stored: &Option<Box<Stored>>,
    section: usize,
) -> Option<(SdpType, &MediaDescription, Direction)> {
    let stored = stored.as_ref()?;
    let media = stored.sdp.media.get(section)?;
    Some((stored.kind, media, stored.sdp.direction_of(media).into()))
}
