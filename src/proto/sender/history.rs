//! Sent packets, kept for retransmission (RFC 4585 §6.2.1, RFC 4588).

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::proto::rtp::{HeaderBytes, MediaKind};

/// Slots at the start; enough for one second of audio or of slow video.
const CAPACITY_MIN: usize = 64;

/// One second at 10 Mbit/s is about 1,000 packets.
const VIDEO_CAPACITY_MAX: usize = 1024;
const AUDIO_CAPACITY_MAX: usize = 128;

/// A packet this old is of no use to a receiver any more, so its slot may be taken.
const USEFUL_AGE: Duration = Duration::from_secs(1);

/// A sent packet.
#[derive(Debug, Clone)]
pub(super) struct SentPacket {
    /// Without wraparound.
    pub(super) sequence: u64,
    pub(super) sent_at: Instant,
    pub(super) resent_at: Option<Instant>,
    /// The RTP header and the rewritten start of the payload.
    pub(super) header: HeaderBytes,
    /// How much of `header` is the RTP header.
    pub(super) rtp_header_length: usize,
    /// Offset of the three bytes of `abs-send-time`.
    pub(super) absolute_send_time: Option<usize>,
    pub(super) payload: Bytes,
}

/// A ring by sequence number. It grows while packets younger than a second would be overwritten, so a slow stream
/// stays small and a steady one allocates nothing.
#[derive(Debug)]
pub(super) struct History {
    slots: Vec<Option<SentPacket>>,
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

    /// Keeps a packet.
    pub(super) fn insert(&mut self, packet: SentPacket) {
        if self.slots.is_empty() {
            self.slots.resize_with(CAPACITY_MIN, || None);
        }
        let mut at = self.position(packet.sequence);
        let overwrites_useful =
            self.slots[at].as_ref().is_some_and(|old| packet.sent_at < old.sent_at + USEFUL_AGE);
        if overwrites_useful && self.slots.len() < self.capacity_max {
            self.grow();
            at = self.position(packet.sequence);
        }
        self.slots[at] = Some(packet);
    }

    /// The kept packet with this number.
    pub(super) fn get_mut(&mut self, sequence: u64) -> Option<&mut SentPacket> {
        if self.slots.is_empty() {
            return None;
        }
        let at = self.position(sequence);
        self.slots[at].as_mut().filter(|packet| packet.sequence == sequence)
    }

    fn grow(&mut self) {
        let capacity = (self.slots.len() * 2).min(self.capacity_max);
        let mut slots: Vec<Option<SentPacket>> = Vec::new();
        slots.resize_with(capacity, || None);
        for packet in std::mem::replace(&mut self.slots, slots).into_iter().flatten() {
            let at = self.position(packet.sequence);
            self.slots[at] = Some(packet);
        }
    }

    fn position(&self, sequence: u64) -> usize {
        // The capacity is a power of two of at most 1024.
        (sequence & (self.slots.len() as u64 - 1)) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(sequence: u64, sent_at: Instant) -> SentPacket {
        SentPacket {
            sequence,
            sent_at,
            resent_at: None,
            header: HeaderBytes::new(),
            rtp_header_length: 0,
            absolute_send_time: None,
            payload: Bytes::new(),
        }
    }

    #[test]
    fn a_slow_stream_stays_small_and_a_fast_one_keeps_a_second() {
        let now = Instant::now();
        for (milliseconds, capacity) in [(20, 64), (5, 256), (1, 1024), (0, 1024)] {
            let mut history = History::new(MediaKind::Video);
            let mut at = now;
            for sequence in 100_000..104_000 {
                at += Duration::from_millis(milliseconds);
                history.insert(packet(sequence, at));
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
            history.insert(packet(sequence, Instant::now()));
        }
        assert!(history.get_mut(999).is_some());
        assert!(history.get_mut(999 - 128).is_none());
        assert!(history.get_mut(999 + 128).is_none());
    }
}
