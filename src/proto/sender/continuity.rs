//! Picture counters over a switch of the source: VP8 and VP9 picture id and TL0PICIDX, the frame number of the
//! dependency descriptor.

use crate::proto::rtp::picture_index::PictureIndex;

/// The counters that were sent last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counters {
    picture_id: Option<u16>,
    tl0: Option<u8>,
    frame_number: Option<u16>,
}

/// What is added to the counters of the source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Shifts {
    pub(super) picture_id: u16,
    pub(super) tl0: u8,
    pub(super) frame_number: u16,
}

impl Shifts {
    /// True if the payload itself must change.
    pub(super) fn change_payload(self) -> bool {
        self.picture_id != 0 || self.tl0 != 0
    }
}

impl Counters {
    /// The shifts that let a source, whose first packet has these counters, go on after the last ones.
    pub(super) fn shifts(self, index: Option<PictureIndex>, frame_number: Option<u16>) -> Shifts {
        let mut shifts = Shifts::default();
        if let (Some(last), Some(first)) = (self.picture_id, index.and_then(|index| index.picture_id)) {
            shifts.picture_id = last.wrapping_add(1).wrapping_sub(first.value);
        }
        if let (Some(last), Some(first)) = (self.tl0, index.and_then(|index| index.tl0)) {
            shifts.tl0 = last.wrapping_add(1).wrapping_sub(first.value);
        }
        if let (Some(last), Some(first)) = (self.frame_number, frame_number) {
            shifts.frame_number = last.wrapping_add(1).wrapping_sub(first);
        }
        shifts
    }

    /// Notes what was sent, by the source's counters.
    pub(super) fn sent(&mut self, shifts: Shifts, index: Option<PictureIndex>, frame_number: Option<u16>) {
        if let Some(id) = index.and_then(|index| index.picture_id) {
            let sent = id.shifted(shifts.picture_id);
            // Compared within the width of the field.
            let (mask, half) = if id.is_wide { (0x7fff, 0x4000) } else { (0x7f, 0x40) };
            if self.picture_id.is_none_or(|last| sent.wrapping_sub(last) & mask < half) {
                self.picture_id = Some(sent);
            }
        }
        if let Some(tl0) = index.and_then(|index| index.tl0) {
            let sent = tl0.value.wrapping_add(shifts.tl0);
            if self.tl0.is_none_or(|last| sent.wrapping_sub(last) < 0x80) {
                self.tl0 = Some(sent);
            }
        }
        if let Some(number) = frame_number {
            let sent = number.wrapping_add(shifts.frame_number);
            if self.frame_number.is_none_or(|last| sent.wrapping_sub(last) < 0x8000) {
                self.frame_number = Some(sent);
            }
        }
    }
}
