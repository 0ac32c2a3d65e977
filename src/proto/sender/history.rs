//! What was sent, to be sent again (RFC 4585 §6.2.1, RFC 4588).
//!
//! Not the packets are kept but what they were made from: the lots, which all subscribers share, and how their
//! numbers were changed on the way. From these and the parameters a packet is composed again, to the byte. So a
//! subscriber holds a dozen bytes for a packet, and sending one touches no more.
//!
//! Invariant: everything kept was composed with the parameters in force; when they change, [`History::clear`].

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::continuity::Shifts;
use crate::proto::prefetch::prefetch;
use crate::proto::rtp::{MediaKind, MediaLot, RtpPacket};

/// Slots at the start; enough for one second of slow video.
const SLOTS_MIN: usize = 32;

/// One second at 10 Mbit/s is about 1,000 packets.
const VIDEO_SLOTS_MAX: usize = 1024;
const AUDIO_SLOTS_MAX: usize = 128;

/// A packet this old, in milliseconds, is of no use to a receiver any more, so its slot may be taken.
const USEFUL_AGE: u32 = 1_000;

/// Lots that a slow stream keeps, however old they are.
const LOTS_MIN: usize = 8;

/// Packets of a frame of video.
const LIKELY_LOT: usize = 10;

/// How a source's numbers were changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shift {
    /// Added to the sequence number, modulo 2^64.
    pub(super) sequence: u64,
    /// Added to the timestamp, modulo 2^32.
    pub(super) timestamp: u32,
    /// Added to the counters of pictures.
    pub(super) counters: Shifts,
}

/// What a packet is composed from.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    pub(super) lot: Arc<MediaLot>,
    /// Its place in the lot.
    pub(super) index: usize,
    pub(super) shift: Shift,
    /// The value of `abs-send-time` that it was sent with, if that was negotiated.
    pub(super) send_time: u32,
}

/// Packets that were sent together.
#[derive(Debug)]
struct SentLot {
    lot: Arc<MediaLot>,
    send_time: u32,
    /// In milliseconds since the history began, modulo 2^32, as all times here.
    sent: u32,
}

/// A sent packet.
#[derive(Debug, Clone, Copy)]
struct Slot {
    /// The number of its lot.
    lot: u32,
    /// When it was sent again, if it was.
    resent: u32,
    /// Its place in the lot, or [`EMPTY`].
    index: u16,
    was_resent: bool,
}

const EMPTY: u16 = u16::MAX;

const EMPTY_SLOT: Slot = Slot { lot: 0, resent: 0, index: EMPTY, was_resent: false };

/// A ring of packets by sequence number, and their lots. Each grows while it would lose what is younger than a second,
/// so a slow stream stays small and a steady one allocates nothing.
#[derive(Debug)]
pub(super) struct History {
    slots: Vec<Slot>,
    lots: VecDeque<SentLot>,
    /// The number of the oldest lot, modulo 2^32; the others follow.
    first_lot: u32,
    /// The shifts of the lots, each with the number of the first that has it. They rarely change.
    shifts: VecDeque<(u32, Shift)>,
    slots_max: usize,
    began: Instant,
    /// When the latest lot was sent, and the same in milliseconds.
    latest: (Instant, u32),
}

impl History {
    pub(super) fn new(kind: MediaKind, now: Instant) -> Self {
        let slots_max = match kind {
            MediaKind::Audio => AUDIO_SLOTS_MAX,
            MediaKind::Video => VIDEO_SLOTS_MAX,
        };
        Self {
            slots: Vec::new(),
            lots: VecDeque::new(),
            first_lot: 0,
            shifts: VecDeque::new(),
            slots_max,
            began: now,
            latest: (now, 0),
        }
    }

    /// Forgets everything, with its memory.
    pub(super) fn clear(&mut self) {
        (self.slots, self.lots, self.shifts) = (Vec::new(), VecDeque::new(), VecDeque::new());
        self.first_lot = 0;
    }

    /// The packet at `index` of `lot` is sent now, under this number.
    pub(super) fn insert(
        &mut self,
        sequence: u64,
        now: Instant,
        send_time: u32,
        lot: &Arc<MediaLot>,
        index: usize,
        shift: Shift,
    ) {
        // No lane lets lots pass that are nearly as long.
        let Some(index) = u16::try_from(index).ok().filter(|index| *index != EMPTY) else { return };
        let goes_on = self.latest.0 == now
            && self.lots.back().is_some_and(|latest| Arc::ptr_eq(&latest.lot, lot))
            && self.shifts.back().is_some_and(|(_, latest)| *latest == shift);
        if !goes_on {
            self.begin_lot(now, send_time, lot, shift);
        }
        let number = self.first_lot.wrapping_add(self.lots.len() as u32 - 1);
        let mut at = self.position(sequence);
        if self.slots.len() < self.slots_max && self.slots.get(at).is_none_or(|slot| self.is_useful(*slot)) {
            self.grow();
            at = self.position(sequence);
        }
        self.slots[at] = Slot { lot: number, resent: 0, index, was_resent: false };
    }

    /// Packets from this number on are inserted soon.
    pub(super) fn prefetch(&self, sequence: u64) {
        let at = self.position(sequence);
        let end = self.slots.len().min(at + LIKELY_LOT);
        self.slots.get(at..end).into_iter().for_each(prefetch);
        self.lots.front().into_iter().for_each(prefetch);
        self.lots.back().into_iter().for_each(prefetch);
        self.shifts.back().into_iter().for_each(prefetch);
    }

    /// What the packet with this number was composed from. `None` also if it was sent again less than `pause` ago.
    pub(super) fn find(&self, sequence: u64, now: Instant, pause: Duration) -> Option<Origin> {
        let slot = *self.slots.get(self.position(sequence))?;
        if self.sequence_of(slot)? != sequence {
            return None;
        }
        let since = self.milliseconds(now).wrapping_sub(slot.resent);
        if slot.was_resent && Duration::from_millis(since.into()) < pause {
            return None;
        }
        let sent = self.lot_of(slot)?;
        let shift = self.shift_of(slot)?;
        Some(Origin {
            lot: Arc::clone(&sent.lot),
            index: slot.index.into(),
            shift,
            send_time: sent.send_time,
        })
    }

    /// The packet with this number, which [`History::find`] has found, is sent again.
    pub(super) fn mark_resent(&mut self, sequence: u64, now: Instant) {
        let (at, resent) = (self.position(sequence), self.milliseconds(now));
        if let Some(slot) = self.slots.get_mut(at) {
            (slot.resent, slot.was_resent) = (resent, true);
        }
    }

    fn begin_lot(&mut self, now: Instant, send_time: u32, lot: &Arc<MediaLot>, shift: Shift) {
        let sent = self.milliseconds(now);
        self.latest = (now, sent);
        while self.lots.len() >= LOTS_MIN
            && self
                .lots
                .front()
                .is_some_and(|oldest| self.lots.len() == self.slots_max || !self.is_young(oldest))
        {
            self.lots.pop_front();
            self.first_lot = self.first_lot.wrapping_add(1);
        }
        let number = self.first_lot.wrapping_add(self.lots.len() as u32);
        // The first holds until the second begins.
        while self.shifts.get(1).is_some_and(|(from, _)| number.wrapping_sub(*from) >= self.lots.len() as u32)
        {
            self.shifts.pop_front();
        }
        if self.shifts.back().is_none_or(|(_, latest)| *latest != shift) {
            self.shifts.push_back((number, shift));
        }
        self.lots.push_back(SentLot { lot: Arc::clone(lot), send_time, sent });
    }

    fn lot_of(&self, slot: Slot) -> Option<&SentLot> {
        self.lots.get(slot.lot.wrapping_sub(self.first_lot) as usize)
    }

    fn shift_of(&self, slot: Slot) -> Option<Shift> {
        // Numbers of what is kept are compared by their distance from the next, which is small.
        let next = self.first_lot.wrapping_add(self.lots.len() as u32);
        let distance = next.wrapping_sub(slot.lot);
        let mut shifts = self.shifts.iter().rev();
        shifts.find(|(from, _)| next.wrapping_sub(*from) >= distance).map(|(_, shift)| *shift)
    }

    fn sequence_of(&self, slot: Slot) -> Option<u64> {
        let packet: &RtpPacket = self.lot_of(slot)?.lot.packets.get(usize::from(slot.index))?;
        Some(packet.sequence_number.wrapping_add(self.shift_of(slot)?.sequence))
    }

    fn is_useful(&self, slot: Slot) -> bool {
        slot.index != EMPTY && self.lot_of(slot).is_some_and(|sent| self.is_young(sent))
    }

    /// At the time of the latest lot.
    fn is_young(&self, sent: &SentLot) -> bool {
        self.latest.1.wrapping_sub(sent.sent) < USEFUL_AGE
    }

    #[cold]
    fn grow(&mut self) {
        let count = (self.slots.len() * 2).clamp(SLOTS_MIN, self.slots_max);
        for slot in std::mem::replace(&mut self.slots, vec![EMPTY_SLOT; count]) {
            if let Some(sequence) = self.sequence_of(slot) {
                let at = self.position(sequence);
                self.slots[at] = slot;
            }
        }
    }

    /// Where a number belongs; out of bounds as long as there are no slots.
    fn position(&self, sequence: u64) -> usize {
        // The number of slots is a power of two of at most 1024, or zero.
        (sequence & (self.slots.len() as u64).wrapping_sub(1)) as usize
    }

    fn milliseconds(&self, now: Instant) -> u32 {
        let since = now.saturating_duration_since(self.began);
        (since.as_secs() as u32).wrapping_mul(1_000).wrapping_add(since.subsec_millis())
    }
}

#[cfg(test)]
mod tests;
