//! Which pair is used (RFC 8445 section 8).
//!
//! Controlling: regular nomination, once per generation. The best valid pair is nominated as soon as no
//! better pair can still succeed, or when the patience after the first success is over.
//!
//! Controlled: the peer decides. Peers exist that nominate every pair they check (the aggressive
//! nomination of RFC 5245); then the valid pair of highest priority is used. Others change their mind
//! later and nominate a pair that ranks lower because the first no longer works for them: this is
//! followed when the current pair is in doubt, or when the new one is nominated twice in a row.

use std::time::Instant;

use super::agent::{Agent, Event, Selected};
use super::config::Role;
use super::consent::Consent;
use super::pair::{PairId, PairState};
use crate::proto::stun::TransactionId;

impl Agent {
    /// Whether this agent still has to nominate.
    fn must_nominate(&self) -> bool {
        self.role == Role::Controlling && !self.lite && self.nominating.is_none() && !self.is_concluded()
    }

    /// Nominates the best valid pair when it is time (RFC 8445 section 8.1.1).
    pub(super) fn nominate_if_ready(&mut self, now: Instant) {
        if !self.must_nominate() {
            return;
        }
        let pairs = self.list.pairs();
        let valid = pairs.iter().filter(|pair| pair.state == PairState::Succeeded);
        let Some(best) = valid.max_by_key(|pair| pair.priority) else { return };
        // A direct pair is worth taking at once; for a relayed one a direct pair may still be found.
        let is_best = best.is_direct()
            && !pairs.iter().any(|pair| {
                pair.priority > best.priority
                    && matches!(pair.state, PairState::Frozen | PairState::Waiting | PairState::InProgress)
            });
        if !is_best && self.nomination_timeout().is_some_and(|at| now < at) {
            return;
        }
        let id = best.id;
        self.nominating = Some(id);
        self.list.trigger_first(id);
        self.wake(now);
    }

    /// When the patience for a better pair ends.
    pub(super) fn nomination_timeout(&self) -> Option<Instant> {
        if !self.must_nominate() {
            return None;
        }
        let valid = self.list.pairs().iter().filter(|pair| pair.state == PairState::Succeeded);
        let first = valid.filter_map(|pair| pair.last_response).min()?;
        Some(first + self.timings.nomination_patience)
    }

    /// The peer has nominated a pair that is valid.
    pub(super) fn nominated_by_peer(&mut self, now: Instant, id: PairId, transaction: TransactionId) {
        let Some(pair) = self.list.get_mut(id) else { return };
        pair.nominated = true;
        pair.nominated_by = None;
        let priority = pair.priority;
        let Some(selected) = self.selected.as_ref().filter(|_| self.previous.is_none()) else {
            self.select(now, id);
            return;
        };
        if selected.id == id {
            self.renomination = None;
            return;
        }
        let current = self.list.get(selected.id).map_or(0, |pair| pair.priority);
        let is_repeated =
            self.renomination.is_some_and(|(pair, earlier)| pair == id && earlier != transaction);
        if priority > current || selected.consent.is_in_doubt() || is_repeated {
            self.select(now, id);
        } else {
            self.renomination = Some((id, transaction));
        }
    }

    /// Data goes over this pair from now on.
    pub(super) fn select(&mut self, now: Instant, id: PairId) {
        let Some(pair) = self.list.get_mut(id) else { return };
        pair.nominated = true;
        let selected = pair.selected();
        let granted = pair.last_response.unwrap_or(now);
        let consent = if self.lite {
            Consent::observed(now, &self.timings)
        } else {
            Consent::granted(granted, now, &self.timings, &mut self.random)
        };
        self.selected = Some(Selected { id, consent });
        self.previous = None;
        self.nominating = None;
        self.renomination = None;
        self.early_checks = Vec::new();
        self.conclude(id);
        self.emit(Event::SelectedPairChanged(Some(selected)));
    }

    /// RFC 8445 section 8.1.2: what waits is dropped. Checks under way go on only where the peer may
    /// still nominate a better pair.
    fn conclude(&mut self, selected: PairId) {
        let priority = self.list.get(selected).map_or(0, |pair| pair.priority);
        let is_controlled = self.role == Role::Controlled;
        self.list.retain(|pair| {
            pair.id == selected
                || pair.state == PairState::Succeeded
                || pair.nominated_by.is_some()
                || (is_controlled && pair.state == PairState::InProgress && pair.priority > priority)
        });
        self.drop_orphans();
    }

    /// Takes the other role (RFC 8445 sections 7.2.5.1 and 7.3.1.1).
    pub(super) fn switch_role(&mut self) {
        self.given_up = Some(self.role);
        self.role = self.role.opposite();
        self.list.prioritise(self.role);
        self.nominating = None;
        self.emit(Event::RoleChanged(self.role));
    }
}
