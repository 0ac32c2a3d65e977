//! A pair that the owner chooses, whatever the checks say: for signalling that has agreed on one by other
//! means.
//!
//! Consent (RFC 7675) is not skipped: the choice counts as the first answer, the checks that keep it go on
//! from there, and without the peer's credentials it ends after 30 s.

use std::time::Instant;

use super::agent::Agent;
use super::error::IceError;
use super::pair::{Pair, PairState, SelectedPair};

impl Agent {
    /// Selects the pair of the local and the remote candidate with these foundations; of several the one of
    /// highest priority.
    ///
    /// # Errors
    /// [`IceError::UnknownPair`] when there is no such pair, [`IceError::Closed`] when the agent is closed
    /// or has failed, [`IceError::TooManyCandidates`] when the check list is full of better pairs.
    pub fn select_pair(
        &mut self,
        now: Instant,
        local_foundation: &str,
        remote_foundation: &str,
    ) -> Result<SelectedPair, IceError> {
        if self.closed || self.failed {
            return Err(IceError::Closed);
        }
        let chosen = self.best_between(local_foundation, remote_foundation).ok_or(IceError::UnknownPair)?;
        let known = self.list.on(chosen.path()).map(|pair| pair.id);
        let id = match known {
            Some(id) => id,
            None => {
                let (id, in_use) = (chosen.id, self.selected.as_ref().map(|selected| selected.id));
                if !self.list.insert(chosen, in_use) {
                    return Err(IceError::TooManyCandidates);
                }
                id
            }
        };
        if let Some(pair) = self.list.get_mut(id) {
            pair.state = PairState::Succeeded;
        }
        self.list.untrigger(id);
        self.select(now, id);
        self.update_state();
        self.selected_pair().ok_or(IceError::UnknownPair)
    }

    fn best_between(&mut self, local_foundation: &str, remote_foundation: &str) -> Option<Pair> {
        let (id, role, remotes) = (self.list.fresh_id(), self.role, &self.remote_candidates);
        let locals = self.local_candidates.iter().filter(|local| local.foundation == local_foundation);
        let pairs = locals.flat_map(|local| {
            remotes
                .iter()
                .filter(|remote| remote.foundation == remote_foundation)
                .filter_map(move |remote| Pair::form(id, role, local, remote))
        });
        pairs.max_by_key(|pair| pair.priority)
    }
}
