//! The transports of a connection: one for each that the session names.

use std::{collections::BTreeMap, rc::Rc, sync::Arc};

use actix::{WeakAddr, prelude::*};

use super::PeerConnection;
use crate::{
    actors::{
        ice_agent::role_for,
        kit::MeteredContext,
        shard::{TransportPlace, TransportPlaces},
        transport::{TransportActors, TransportConfig, TransportEvent, TransportReport},
    },
    messages::peer_connection::{PeerConnectionEvent, RtcIceGatheringState, TransportSnapshot},
    proto::jsep::{IceParameters, Transport, TransportId},
};

/// W3C allows 255 transports in the pool; more than a few gain nothing.
pub(super) const MAX_POOL: usize = 4;

/// `TransportActors` → its `PeerConnection`, control.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct TransportReported {
    /// Which one, also before the session has a name for it.
    pub(super) slot: u32,
    pub(super) event: TransportEvent,
}

/// One transport.
struct Slot {
    number: u32,
    /// `None` while it is in the pool.
    id: Option<TransportId>,
    /// Whether its candidates were told: those found in the pool wait for the local description.
    is_announced: bool,
    /// Whether the snapshot shows it as it is.
    is_shown: bool,
    actors: TransportActors,
}

/// All transports of a connection.
pub(super) struct Transports {
    places: Rc<TransportPlaces>,
    /// Of the first transport: made early, so that a lack of sockets shows at once.
    spare: Option<TransportPlace>,
    slots: Vec<Slot>,
    next_slot: u32,
}

impl Transports {
    pub(super) fn new(places: Rc<TransportPlaces>, spare: TransportPlace) -> Self {
        Self { places, spare: Some(spare), slots: Vec::new(), next_slot: 0 }
    }

    pub(super) fn get(&self, id: TransportId) -> Option<&TransportActors> {
        self.iter().find(|(known, _)| *known == id).map(|(_, actors)| actors)
    }

    /// Those that the session has a name for.
    pub(super) fn iter(&self) -> impl Iterator<Item = (TransportId, &TransportActors)> {
        self.slots.iter().filter_map(|slot| Some((slot.id?, &slot.actors)))
    }

    /// Brings what getters show of all up to date.
    pub(super) fn show(&mut self, shown: &mut BTreeMap<TransportId, Arc<TransportSnapshot>>) {
        shown.retain(|id, _| self.slots.iter().any(|slot| slot.id == Some(*id)));
        for slot in &mut self.slots {
            let Some(id) = slot.id.filter(|_| !slot.is_shown) else { continue };
            slot.is_shown = true;
            shown.insert(id, slot.actors.shared_state());
        }
    }

    /// Whether getters show one as it is.
    pub(super) fn is_shown(&self, id: TransportId) -> bool {
        self.slots.iter().all(|slot| slot.id != Some(id) || slot.is_shown)
    }

    /// All, those of the pool too.
    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = &mut TransportActors> {
        self.slots.iter_mut().map(|slot| &mut slot.actors)
    }

    /// Takes note of a report; answers whose it is. Nobody's: of one that has vanished.
    pub(super) fn observe(&mut self, report: &TransportReported) -> Option<Option<TransportId>> {
        let slot = self.slots.iter_mut().find(|slot| slot.number == report.slot)?;
        slot.actors.observe(&report.event);
        slot.is_shown = false;
        Some(slot.id)
    }

    /// Takes all of them out, to be closed.
    pub(super) fn take(&mut self) -> Vec<TransportActors> {
        self.slots.drain(..).map(|slot| slot.actors).collect()
    }

    /// Starts one that gathers before the session names it (W3C `iceCandidatePoolSize`).
    pub(super) fn pool(&mut self, parent: &WeakAddr<PeerConnection>, config: TransportConfig) {
        let started = self.start(parent, config, None);
        if let (Ok(()), Some(slot)) = (started, self.slots.last_mut()) {
            slot.actors.gather();
        }
    }

    fn start(
        &mut self,
        parent: &WeakAddr<PeerConnection>,
        config: TransportConfig,
        id: Option<TransportId>,
    ) -> std::io::Result<()> {
        let place = match self.spare.take() {
            Some(place) => place,
            None => self.places.place()?,
        };
        let number = self.next_slot;
        self.next_slot += 1;
        let actors = TransportActors::start(config, place, tell(parent, number));
        // A bundle has one, and they are large.
        self.slots.reserve_exact(1);
        self.slots.push(Slot { number, id, is_announced: false, is_shown: false, actors });
        Ok(())
    }

    /// Gives a transport of the pool its name, if its credentials are the ones of `transport`.
    fn adopt(&mut self, transport: &Transport) -> bool {
        let is_meant = |slot: &&mut Slot| {
            let local = slot.actors.state().local_parameters.as_ref();
            slot.id.is_none() && local.is_some_and(|local| local.ufrag == transport.local.ufrag)
        };
        let found = self.slots.iter_mut().find(is_meant);
        found.map(|slot| slot.id = Some(transport.id)).is_some()
    }
}

/// Makes one list like the other, and copies only what comes after their common beginning.
pub(super) fn update<T: Clone + PartialEq>(shown: &mut Vec<T>, now: &[T]) {
    let common = shown.iter().zip(now).take_while(|(shown, now)| shown == now).count();
    shown.truncate(common);
    shown.extend_from_slice(&now[common..]);
}

/// A way to tell `parent` as long as it lives: one that is gone has ended its transports.
fn tell(parent: &WeakAddr<PeerConnection>, slot: u32) -> TransportReport {
    let parent = parent.clone();
    Rc::new(move |event| {
        if let Some(parent) = parent.upgrade() {
            parent.do_send(TransportReported { slot, event });
        }
    })
}

impl PeerConnection {
    /// One set of actors for each transport of the session, each told what was negotiated.
    pub(super) fn reconcile_transports(&mut self, ctx: &mut MeteredContext<Self>) {
        let wanted = self.session.transports();
        // What a bundle or a rollback has taken away ends here.
        self.transports.slots.retain(|slot| slot.id.is_none_or(|id| wanted.iter().any(|t| t.id == id)));
        let is_missing = |transport: &&Transport| self.transports.get(transport.id).is_none();
        let missing: Vec<Transport> = wanted.iter().filter(is_missing).cloned().collect();
        for transport in &missing {
            self.add_transport(transport, ctx);
        }
        let Self { session, transports, offerer, .. } = self;
        for transport in session.transports() {
            let slot = transports.slots.iter_mut().find(|slot| slot.id == Some(transport.id));
            let Some(Slot { actors, is_shown, .. }) = slot else { continue };
            *is_shown = false;
            actors.set_local(&transport.local);
            // W3C webrtc-pc §4.4.1.5: gathering begins with the local description.
            if let Some(ufrag) = session.described_ufrag(transport.id) {
                actors.set_described(ufrag);
            }
            if let (Some(remote), Some(offerer)) = (&transport.remote, *offerer) {
                actors.set_remote(remote, role_for(offerer, transport.local.lite, remote.lite));
            }
        }
        // After the first exchange nobody takes from the pool any more.
        if self.session.has_current_local_description() {
            self.transports.slots.retain(|slot| slot.id.is_some());
        }
    }

    /// What transports of the pool have found is told once there is a local description.
    pub(super) fn announce_transports(&mut self) {
        let mut found = Vec::new();
        for slot in self.transports.slots.iter_mut().filter(|slot| !slot.is_announced) {
            let Some(id) = slot.id.filter(|id| self.session.candidate_section(*id).is_some()) else {
                continue;
            };
            slot.is_announced = true;
            found.push((id, slot.actors.state().clone()));
        }
        for (id, state) in found {
            for candidate in state.local_candidates.iter() {
                self.signal_candidate(id, candidate);
            }
            if state.gathering_state == RtcIceGatheringState::Complete {
                self.signal_end_of_candidates(id);
            }
        }
    }

    fn add_transport(&mut self, transport: &Transport, ctx: &mut MeteredContext<Self>) {
        if self.transports.adopt(transport) {
            return;
        }
        let config = self.transport_config(transport.local.clone());
        let parent = ctx.address().downgrade();
        if let Err(error) = self.transports.start(&parent, config, Some(transport.id)) {
            let sentence = format!("a transport has no socket: {error}");
            self.emit(PeerConnectionEvent::Failure(sentence));
        }
    }

    pub(super) fn transport_config(&self, local: IceParameters) -> TransportConfig {
        let role = role_for(self.offerer.unwrap_or(true), local.lite, false);
        TransportConfig {
            certificate: self.certificate.clone(),
            local,
            servers: self.configuration.ice.clone(),
            role,
        }
    }

    /// The transport of a section.
    pub(super) fn transport_of(&self, mid: &str) -> Option<TransportId> {
        let has = |transport: &&Transport| transport.mids.iter().any(|known| known == mid);
        self.session.transports().iter().find(has).map(|transport| transport.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_follows_another_whatever_has_changed_in_it() {
        for (shown, now) in
            [("", "abc"), ("ab", "abc"), ("abc", "ab"), ("axc", "abc"), ("abc", ""), ("bc", "abc")]
        {
            let mut list: Vec<char> = shown.chars().collect();
            let now: Vec<char> = now.chars().collect();
            update(&mut list, &now);
            assert_eq!(list, now);
        }
    }
}
