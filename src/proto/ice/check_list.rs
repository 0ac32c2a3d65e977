//! The check list: pairs, the order of checks, freezing, and the limit (RFC 8445 section 6.1.2,
//! RFC 8838 section 12 for pairs that come later).

use std::collections::VecDeque;

use super::config::Role;
use super::pair::{Pair, PairId, PairState};
use super::path::Path;

/// The pairs of one generation and the triggered-check queue.
#[derive(Debug)]
pub(super) struct CheckList {
    pairs: Vec<Pair>,
    /// Each pair at most once, so never longer than `pairs`.
    triggered: VecDeque<PairId>,
    next_id: u32,
    max_pairs: usize,
}

impl CheckList {
    pub(super) fn new(max_pairs: usize) -> Self {
        Self { pairs: Vec::new(), triggered: VecDeque::new(), next_id: 0, max_pairs: max_pairs.max(1) }
    }

    pub(super) fn pairs(&self) -> &[Pair] {
        &self.pairs
    }

    pub(super) fn get(&self, id: PairId) -> Option<&Pair> {
        self.pairs.iter().find(|pair| pair.id == id)
    }

    pub(super) fn get_mut(&mut self, id: PairId) -> Option<&mut Pair> {
        self.pairs.iter_mut().find(|pair| pair.id == id)
    }

    pub(super) fn on(&self, path: Path) -> Option<&Pair> {
        self.pairs.iter().find(|pair| pair.is_on(path))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Pair> {
        self.pairs.iter_mut()
    }

    /// An id no pair of this agent has had.
    pub(super) fn fresh_id(&mut self) -> PairId {
        let id = PairId(self.next_id);
        self.next_id = self.next_id.wrapping_add(1);
        id
    }

    /// Adds a pair unless the list is full of better ones. `in_use` is the selected pair: before there
    /// is one, pairs that work are never dropped; afterwards only that one is safe.
    pub(super) fn insert(&mut self, mut pair: Pair, in_use: Option<PairId>) -> bool {
        if self.pairs.len() >= self.max_pairs {
            match self.victim(in_use) {
                Some(index) if is_replaceable(&self.pairs[index], &pair, in_use) => {
                    let id = self.pairs.swap_remove(index).id;
                    self.untrigger(id);
                }
                _ => return false,
            }
        }
        pair.state = self.initial_state(pair.foundation);
        self.pairs.push(pair);
        true
    }

    /// RFC 8445 section 6.1.2.6 and RFC 8838 section 12: waits if a pair of the same foundation has
    /// succeeded or if none is being checked.
    fn initial_state(&self, foundation: u64) -> PairState {
        let mut same = self.pairs.iter().filter(|pair| pair.foundation == foundation).map(|pair| pair.state);
        let mut is_busy = false;
        if same.any(|state| {
            is_busy |= matches!(state, PairState::Waiting | PairState::InProgress);
            state == PairState::Succeeded
        }) {
            return PairState::Waiting;
        }
        if is_busy { PairState::Frozen } else { PairState::Waiting }
    }

    /// Whom to drop when full: a failed pair, else one that has not been checked, else one that works
    /// but is not used; of equals the lowest priority, then the oldest.
    fn victim(&self, in_use: Option<PairId>) -> Option<usize> {
        let is_droppable = |pair: &Pair| match in_use {
            Some(id) => pair.id != id,
            None => !pair.is_valuable(),
        };
        (0..self.pairs.len()).filter(|index| is_droppable(&self.pairs[*index])).min_by_key(|index| {
            let pair = &self.pairs[*index];
            (pair.state != PairState::Failed, pair.is_valuable(), pair.priority, pair.id)
        })
    }

    /// Puts a pair into the triggered-check queue (RFC 8445 section 6.1.4.1).
    pub(super) fn trigger(&mut self, id: PairId) {
        if !self.triggered.contains(&id) {
            self.triggered.push_back(id);
        }
    }

    /// The same, ahead of all others: for nominations.
    pub(super) fn trigger_first(&mut self, id: PairId) {
        self.triggered.retain(|queued| *queued != id);
        self.triggered.push_front(id);
    }

    pub(super) fn untrigger(&mut self, id: PairId) {
        self.triggered.retain(|queued| *queued != id);
    }

    /// Whether a check could be sent now, were it not for the pacing.
    pub(super) fn has_check(&self) -> bool {
        // A frozen pair without a waiting one: either its foundation is idle, so it can be unfrozen, or
        // a check of that foundation is under way and its end wakes the agent anyway.
        !self.triggered.is_empty()
            || self.pairs.iter().any(|pair| {
                pair.state == PairState::Waiting
                    || (pair.state == PairState::Frozen && !self.is_busy(pair.foundation))
            })
    }

    /// The pair to check next (RFC 8445 section 6.1.4.2): a triggered one, else the waiting pair of
    /// highest priority, else the best frozen pair of an idle foundation.
    pub(super) fn next_check(&mut self) -> Option<PairId> {
        if let Some(id) = self.triggered.pop_front() {
            return Some(id);
        }
        let best = |state: PairState| {
            let candidates = self.pairs.iter().filter(|pair| pair.state == state);
            let idle =
                candidates.filter(|pair| state == PairState::Waiting || !self.is_busy(pair.foundation));
            idle.max_by_key(|pair| pair.priority).map(|pair| pair.id)
        };
        best(PairState::Waiting).or_else(|| best(PairState::Frozen))
    }

    fn is_busy(&self, foundation: u64) -> bool {
        self.pairs.iter().any(|pair| {
            pair.foundation == foundation && matches!(pair.state, PairState::Waiting | PairState::InProgress)
        })
    }

    /// A pair succeeded: its foundation works (RFC 8445 section 7.2.5.3.3).
    pub(super) fn unfreeze(&mut self, foundation: u64) {
        for pair in &mut self.pairs {
            if pair.foundation == foundation && pair.state == PairState::Frozen {
                pair.state = PairState::Waiting;
            }
        }
    }

    /// How many checks wait or are under way: the N of the retransmission formula (section 14.3).
    pub(super) fn load(&self) -> usize {
        self.pairs
            .iter()
            .filter(|pair| matches!(pair.state, PairState::Waiting | PairState::InProgress))
            .count()
    }

    /// Whether any pair may still succeed.
    pub(super) fn is_open(&self) -> bool {
        !self.triggered.is_empty()
            || self.pairs.iter().any(|pair| {
                matches!(pair.state, PairState::Frozen | PairState::Waiting | PairState::InProgress)
            })
    }

    pub(super) fn prioritise(&mut self, role: Role) {
        for pair in &mut self.pairs {
            pair.prioritise(role);
        }
    }

    /// Drops the pairs a decision has made useless (RFC 8445 section 8.1.2).
    pub(super) fn retain(&mut self, keep: impl Fn(&Pair) -> bool) {
        self.pairs.retain(keep);
        let pairs = &self.pairs;
        self.triggered.retain(|id| pairs.iter().any(|pair| pair.id == *id));
        self.pairs.shrink_to_fit();
        self.triggered.shrink_to_fit();
    }

    /// Takes a pair out; the rest stays.
    pub(super) fn remove(&mut self, id: PairId) -> Option<Pair> {
        self.untrigger(id);
        let index = self.pairs.iter().position(|pair| pair.id == id)?;
        Some(self.pairs.remove(index))
    }

    pub(super) fn clear(&mut self) {
        self.pairs = Vec::new();
        self.triggered = VecDeque::new();
    }
}

/// A pair yields to one of at least its priority; a failed one, or any after the decision, to whatever
/// the peer asks for.
fn is_replaceable(victim: &Pair, by: &Pair, in_use: Option<PairId>) -> bool {
    in_use.is_some() || victim.state == PairState::Failed || victim.priority <= by.priority
}

#[cfg(test)]
mod tests {
    use super::super::candidate::Candidate;
    use super::*;

    fn candidate(port: u16, preference: u16) -> Candidate {
        Candidate::host(([192, 0, 2, 1], port).into(), preference)
    }

    fn add(list: &mut CheckList, port: u16, preference: u16) -> Option<PairId> {
        let id = list.fresh_id();
        let pair = Pair::form(id, Role::Controlling, &candidate(5000, 65_535), &candidate(port, preference))
            .unwrap();
        list.insert(pair, None).then_some(id)
    }

    #[test]
    fn one_pair_of_a_foundation_waits_and_a_success_wakes_the_rest() {
        let mut list = CheckList::new(10);
        let first = add(&mut list, 6000, 1).unwrap();
        let second = add(&mut list, 6001, 2).unwrap();
        assert_eq!(list.get(first).unwrap().state, PairState::Waiting);
        assert_eq!(list.get(second).unwrap().state, PairState::Frozen);
        assert_eq!(list.next_check(), Some(first));
        list.get_mut(first).unwrap().state = PairState::InProgress;
        assert_eq!(list.next_check(), None);
        assert!(!list.has_check() && list.is_open());
        list.get_mut(first).unwrap().state = PairState::Succeeded;
        list.unfreeze(list.get(first).unwrap().foundation);
        assert_eq!(list.next_check(), Some(second));
        let later = add(&mut list, 6002, 3).unwrap();
        assert_eq!(list.get(later).unwrap().state, PairState::Waiting);
    }

    #[test]
    fn a_failure_lets_the_next_of_its_foundation_go() {
        let mut list = CheckList::new(10);
        let first = add(&mut list, 6000, 1).unwrap();
        let second = add(&mut list, 6001, 2).unwrap();
        list.get_mut(first).unwrap().state = PairState::Failed;
        assert!(list.has_check());
        assert_eq!(list.next_check(), Some(second));
    }

    #[test]
    fn triggered_checks_go_first_and_once() {
        let mut list = CheckList::new(10);
        let first = add(&mut list, 6000, 1).unwrap();
        let second = add(&mut list, 6001, 2).unwrap();
        list.trigger(second);
        list.trigger(second);
        assert_eq!(list.next_check(), Some(second));
        assert_eq!(list.next_check(), Some(first));
        list.trigger(first);
        list.trigger_first(second);
        assert_eq!(list.next_check(), Some(second));
    }

    #[test]
    fn a_full_list_keeps_the_best_and_never_drops_what_works() {
        let mut list = CheckList::new(2);
        let low = add(&mut list, 6000, 10).unwrap();
        let high = add(&mut list, 6001, 20).unwrap();
        assert_eq!(add(&mut list, 6002, 5), None);
        let better = add(&mut list, 6003, 30).unwrap();
        assert!(list.get(low).is_none());
        list.get_mut(high).unwrap().state = PairState::Succeeded;
        list.get_mut(better).unwrap().state = PairState::Succeeded;
        assert_eq!(add(&mut list, 6004, 60_000), None);
        assert_eq!(list.pairs().len(), 2);

        let id = list.fresh_id();
        let newcomer = Pair::form(id, Role::Controlling, &candidate(5000, 1), &candidate(6005, 1)).unwrap();
        assert!(list.insert(newcomer, Some(better)), "after the decision the peer may still move");
        assert!(list.get(better).is_some() && list.get(high).is_none());
    }

    #[test]
    fn of_equal_pairs_the_oldest_goes() {
        let mut list = CheckList::new(3);
        let ids: Vec<_> = (0..10).filter_map(|port| add(&mut list, 6000 + port, 10)).collect();
        let mut left: Vec<_> = list.pairs().iter().map(|pair| pair.id).collect();
        left.sort();
        assert_eq!(left, ids[7..]);
    }
}
