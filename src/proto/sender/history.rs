//! Sent packets, kept for retransmission (RFC 4585 §6.2.1, RFC 4588).

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::proto::rtp::{HeaderBytes, MediaKind, WrittenExtensions};

/// Slots at the start; enough for one second of audio or of slow video.
const CAPACITY_MIN: usize = 64;

/// One second at 10 Mbit/s is about 1,000 packets.
const VIDEO_CAPACITY_MAX: usize = 1024;
const AUDIO_CAPACITY_MAX: usize = 128;

/// A packet this old is of no use to a receiver any more, so its slot may be taken.
const USEFUL_AGE: Duration = Duration::from_secs(1);

/// The number of a slot without packet; no stream gets that far.
const EMPTY: u64 = u64::MAX;

/// A sent packet.
#[derive(Debug)]
pub(super) struct SentPacket {
    /// Without wraparound.
    pub(super) sequence: u64,
    pub(super) sent_at: Instant,
    pub(super) resent_at: Option<Instant>,
    /// The RTP header and the rewritten start of the payload.
    pub(super) header: HeaderBytes,
    /// How much of `header` is the RTP header.
    pub(super) rtp_header_length: usize,
    /// What is where among the header extensions.
    pub(super) written: WrittenExtensions,
    pub(super) payload: Bytes,
    /// Bytes of padding: a packet that is sent again as it was has them again.
    pub(super) padding: u8,
}

/// A ring by sequence number. It grows while packets younger than a second would be overwritten, so a slow stream
/// stays small and a steady one allocates nothing.
#[derive(Debug)]
pub(super) struct History {
    slots: Vec<SentPacket>,
    capacity_max: usize,
}

impl History {
    pub(super) fn new(kind: MediaKind) -> Self {
        let capacity_max = match kind {
            MediaKind::Audio => AUDIO_CAPACITY_MAX,
            MediaKind::Video => VIDEO_CAPACITY_MAX,
        };
        Self { slots: Vec::new(), capacity_max }
    }

    /// The slot for a packet that is sent now; the caller fills in the rest. Written in place: this is done for every
    /// packet.
    pub(super) fn insert(&mut self, sequence: u64, now: Instant) -> &mut SentPacket {
        if self.slots.is_empty() {
            self.slots = empty_slots(CAPACITY_MIN, now);
        }
        let mut at = self.position(sequence);
        if self.slots.len() < self.capacity_max
            && self.slots[at].sequence != EMPTY
            && now < self.slots[at].sent_at + USEFUL_AGE
        {
            self.grow(now);
            at = self.position(sequence);
        }
        let slot = &mut self.slots[at];
        (slot.sequence, slot.sent_at, slot.resent_at) = (sequence, now, None);
        slot
    }

    /// The kept packet with this number.
    pub(super) fn get_mut(&mut self, sequence: u64) -> Option<&mut SentPacket> {
        if self.slots.is_empty() {
            return None;
        }
        let at = self.position(sequence);
        Some(&mut self.slots[at]).filter(|packet| packet.sequence == sequence)
    }

    fn grow(&mut self, now: Instant) {
        let capacity = (self.slots.len() * 2).min(self.capacity_max);
        for packet in std::mem::replace(&mut self.slots, empty_slots(capacity, now)) {
            if packet.sequence != EMPTY {
                let at = self.position(packet.sequence);
                self.slots[at] = packet;
            }
        }
    }

    fn position(&self, sequence: u64) -> usize {
        // The capacity is a power of two of at most 1024.
        (sequence & (self.slots.len() as u64 - 1)) as usize
    }
}

fn empty_slots(capacity: usize, now: Instant) -> Vec<SentPacket> {
    let empty = || SentPacket {
        sequence: EMPTY,
        sent_at: now,
        resent_at: None,
        header: HeaderBytes::new(),
        rtp_header_length: 0,
        written: WrittenExtensions::default(),
        payload: Bytes::new(),
        padding: 0,
    };
    std::iter::repeat_with(empty).take(capacity).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_stream_stays_small_and_a_fast_one_keeps_a_second() {
        let now = Instant::now();
        for (milliseconds, capacity) in [(20, 64), (5, 256), (1, 1024), (0, 1024)] {
            let mut history = History::new(MediaKind::Video);
            let mut at = now;
            for sequence in 100_000..104_000 {
                at += Duration::from_millis(milliseconds);
                history.insert(sequence, at);
            }
            assert_eq!(history.slots.len(), capacity, "{milliseconds} ms");
            let kept = (100_000..104_000).filter(|sequence| history.get_mut(*sequence).is_some()).count();
            assert_eq!(kept, capacity);
        }
    }

    #[test]
    fn an_overwritten_packet_is_not_mistaken_for_another() {
        let mut history = History::new(MediaKind::Audio);
        assert!(history.get_mut(5).is_none());
        for sequence in 0..1000 {
            history.insert(sequence, Instant::now());
        }
        assert!(history.get_mut(999).is_some());
        assert!(history.get_mut(999 - 128).is_none());
        assert!(history.get_mut(999 + 128).is_none());
    }
}
