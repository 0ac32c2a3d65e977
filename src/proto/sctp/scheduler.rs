//! Whose turn it is to send: deficit round robin over the channels that have something, with quanta by
//! priority (RFC 8831 §6.4: twice the priority, twice the bytes).
//!
//! A message is sent as a whole, because DATA chunks can't be interleaved (RFC 8260 is not supported).
//! A channel that has sent more than its share is passed over until the others have caught up.

use std::collections::{HashMap, VecDeque};

use super::channel::{ChannelKey, Priority};

/// What a channel of low priority may send per round: two full packets, so that small messages of many
/// channels mix well.
const QUANTUM: i64 = 2_048;

/// The channels that have something to send.
#[derive(Debug, Default)]
pub(super) struct Scheduler {
    round: VecDeque<ChannelKey>,
    deficits: HashMap<ChannelKey, i64>,
}

impl Scheduler {
    /// The channel has something to send. Does nothing if that is known.
    pub(super) fn add(&mut self, channel: ChannelKey, priority: Priority) {
        if let std::collections::hash_map::Entry::Vacant(entry) = self.deficits.entry(channel) {
            entry.insert(quantum(priority));
            self.round.push_back(channel);
        }
    }

    /// The channel has nothing to send any more.
    pub(super) fn remove(&mut self, channel: ChannelKey) {
        if self.deficits.remove(&channel).is_none() {
            return;
        }
        // Most often it is the one whose turn it was.
        if self.round.front() == Some(&channel) {
            self.round.pop_front();
        } else {
            self.round.retain(|known| *known != channel);
        }
    }

    /// Whose turn it is. `priority_of` says how much those get that are passed over.
    pub(super) fn next(&mut self, priority_of: impl Fn(ChannelKey) -> Priority) -> Option<ChannelKey> {
        // Every round gives everyone something: the largest message is reached in the end.
        loop {
            let channel = *self.round.front()?;
            match self.deficits.get_mut(&channel) {
                Some(deficit) if *deficit > 0 => return Some(channel),
                Some(deficit) => *deficit += quantum(priority_of(channel)),
                None => {}
            }
            self.round.rotate_left(1);
        }
    }

    /// The channel whose turn it was has sent so many bytes, and has more or not.
    pub(super) fn sent(&mut self, channel: ChannelKey, bytes: usize, has_more: bool) {
        if !has_more {
            self.remove(channel);
        } else if let Some(deficit) = self.deficits.get_mut(&channel) {
            // An empty message is no free ride.
            *deficit -= bytes.max(64) as i64;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.round.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.round.clear();
        self.deficits.clear();
    }
}

fn quantum(priority: Priority) -> i64 {
    QUANTUM * i64::from(priority.weight()) / i64::from(Priority::Low.weight())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that each channel gets out of `total`, all with messages of its size.
    fn shares(channels: &[(Priority, usize)], total: usize) -> Vec<usize> {
        let mut scheduler = Scheduler::default();
        let mut shares = vec![0; channels.len()];
        for (index, (priority, _)) in channels.iter().enumerate() {
            scheduler.add(ChannelKey(index as u64), *priority);
        }
        let mut sent = 0;
        while sent < total {
            let channel = scheduler.next(|key| channels[key.0 as usize].0).expect("all have more");
            let size = channels[channel.0 as usize].1;
            shares[channel.0 as usize] += size;
            sent += size;
            scheduler.sent(channel, size, true);
        }
        shares
    }

    #[test]
    fn large_messages_get_no_more_than_small_ones() {
        let shares = shares(&[(Priority::Low, 262_144), (Priority::Low, 100)], 16 << 20);
        let ratio = shares[0] as f64 / shares[1] as f64;
        assert!((0.9..1.1).contains(&ratio), "{shares:?}");
    }

    #[test]
    fn shares_follow_the_weights_of_rfc_8831_6_4() {
        let channels =
            [Priority::VeryLow, Priority::Low, Priority::Medium, Priority::High].map(|p| (p, 1_000));
        let shares = shares(&channels, 15_000_000);
        for (share, expected) in shares.iter().zip([1.0, 2.0, 4.0, 8.0]) {
            let ratio = *share as f64 / 1e6 / expected;
            assert!((0.95..1.05).contains(&ratio), "{shares:?}");
        }
    }

    #[test]
    fn who_has_nothing_left_is_not_asked() {
        let mut scheduler = Scheduler::default();
        scheduler.add(ChannelKey(0), Priority::Low);
        scheduler.add(ChannelKey(1), Priority::Low);
        scheduler.add(ChannelKey(1), Priority::Low);
        scheduler.sent(ChannelKey(0), 10, false);
        assert_eq!(scheduler.next(|_| Priority::Low), Some(ChannelKey(1)));
        scheduler.remove(ChannelKey(1));
        assert_eq!(scheduler.next(|_| Priority::Low), None);
    }
}
