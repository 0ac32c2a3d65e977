//! Which stream identifier a new channel gets (RFC 8832 §6).
//!
//! Fresh ones first, then the one that has been free for longest: a late packet of a stream that was
//! reset can't then meet a new channel on it.

use std::collections::VecDeque;

/// A DTLS client chooses even identifiers, a server odd ones.
#[derive(Debug)]
pub(super) struct StreamIds {
    /// The next that was never used.
    fresh: u32,
    recycled: VecDeque<u16>,
}

impl StreamIds {
    pub(super) fn new(first: u16) -> Self {
        Self { fresh: first.into(), recycled: VecDeque::new() }
    }

    /// An identifier below `limit` that is not in use.
    pub(super) fn allocate(&mut self, limit: u16, is_used: impl Fn(u16) -> bool) -> Option<u16> {
        while let Some(id) = u16::try_from(self.fresh).ok().filter(|id| *id < limit) {
            self.fresh += 2;
            if !is_used(id) {
                return Some(id);
            }
            // Negotiated: it comes back like any other when it is free.
        }
        // At most once around: a used one goes to the end.
        for _ in 0..self.recycled.len() {
            let id = self.recycled.pop_front()?;
            if is_used(id) {
                self.recycled.push_back(id);
            } else if id < limit {
                return Some(id);
            }
        }
        None
    }

    /// Both directions of the stream were reset. To be called once for each use of it.
    pub(super) fn release(&mut self, id: u16) {
        let is_ours = u32::from(id) % 2 == self.fresh % 2;
        // One that is still ahead comes by itself.
        if is_ours && u32::from(id) < self.fresh {
            self.recycled.push_back(id);
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
    fn the_longest_free_one_is_recycled_when_no_fresh_one_is_left() {
        let mut ids = StreamIds::new(0);
        assert_eq!((0..3).filter_map(|_| ids.allocate(6, |_| false)).count(), 3);
        assert_eq!(ids.allocate(6, |_| false), None);
        ids.release(4);
        ids.release(0);
        assert_eq!(ids.allocate(6, |_| false), Some(4));
        assert_eq!(ids.allocate(6, |_| false), Some(0));
        assert_eq!(ids.allocate(6, |_| false), None);
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
