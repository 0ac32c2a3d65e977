//! Which stream identifier a new channel gets (RFC 8832 §6): the lowest that is free.
//!
//! One that was used is free again when both directions of its stream have been reset, never before:
//! whoever frees it knows. Low identifiers matter, because a peer may allow few streams.

use std::collections::BTreeSet;

/// A DTLS client chooses even identifiers, a server odd ones.
#[derive(Debug)]
pub(super) struct StreamIds {
    /// The lowest that was never used; all above it are free.
    fresh: u32,
    /// Below it: those that were used and are free again.
    recycled: BTreeSet<u16>,
}

impl StreamIds {
    pub(super) fn new(first: u16) -> Self {
        Self { fresh: first.into(), recycled: BTreeSet::new() }
    }

    /// The lowest identifier below `limit` that is not in use.
    pub(super) fn allocate(&mut self, limit: u16, is_used: impl Fn(u16) -> bool) -> Option<u16> {
        // Negotiated ones are in use without having been asked for here: they stay where they are.
        let recycled = self.recycled.iter().copied().find(|id| !is_used(*id));
        if let Some(id) = recycled.filter(|id| *id < limit) {
            self.recycled.remove(&id);
            return Some(id);
        }
        while let Some(id) = u16::try_from(self.fresh).ok().filter(|id| *id < limit) {
            self.fresh += 2;
            if !is_used(id) {
                return Some(id);
            }
            // Negotiated: it comes back like any other when it is free.
        }
        None
    }

    /// Both directions of the stream were reset, or it never was one.
    pub(super) fn release(&mut self, id: u16) {
        let is_ours = u32::from(id) % 2 == self.fresh % 2;
        // One that is still ahead comes by itself.
        if is_ours && u32::from(id) < self.fresh {
            self.recycled.insert(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_have_the_parity_of_the_role_105() {
        let mut client = StreamIds::new(0);
        let mut server = StreamIds::new(1);
        let take = |ids: &mut StreamIds| -> Vec<_> {
            (0..3).filter_map(|_| ids.allocate(u16::MAX, |_| false)).collect()
        };
        assert_eq!(take(&mut client), [0, 2, 4]);
        assert_eq!(take(&mut server), [1, 3, 5]);
    }

    #[test]
    fn the_lowest_free_one_comes_first_105() {
        let mut ids = StreamIds::new(0);
        assert_eq!((0..4).filter_map(|_| ids.allocate(u16::MAX, |_| false)).last(), Some(6));
        ids.release(4);
        ids.release(0);
        ids.release(0);
        let next: Vec<_> = (0..4).filter_map(|_| ids.allocate(u16::MAX, |_| false)).collect();
        assert_eq!(next, [0, 4, 8, 10], "none twice");
    }

    #[test]
    fn one_that_was_negotiated_meanwhile_is_passed_over_until_it_is_free() {
        let mut ids = StreamIds::new(0);
        assert_eq!((0..2).filter_map(|_| ids.allocate(4, |_| false)).count(), 2);
        ids.release(0);
        ids.release(2);
        assert_eq!(ids.allocate(4, |id| id == 0), Some(2));
        assert_eq!(ids.allocate(4, |id| id == 0 || id == 2), None);
        ids.release(0);
        assert_eq!(ids.allocate(4, |id| id == 2), Some(0));
    }

    #[test]
    fn identifiers_in_use_are_skipped() {
        let mut ids = StreamIds::new(1);
        assert_eq!(ids.allocate(u16::MAX, |id| id == 1 || id == 3), Some(5));
    }

    #[test]
    fn every_identifier_below_65_535_can_be_had() {
        let mut ids = StreamIds::new(0);
        assert_eq!(std::iter::from_fn(|| ids.allocate(u16::MAX, |_| false)).last(), Some(65_534));
    }
}
