//! Picture id and TL0PICIDX of VP8 and VP9: where they are, and how to shift them.
//!
//! A receiver expects both to count on without a break (RFC 7741 §4.2, RFC 9628 §4.2), so a sender that switches
//! its source shifts those of the new source. References between frames are relative and need no change.

use super::{CodecFamily, HeaderBytes};

/// Where the counters are in a payload, and their values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PictureIndex {
    /// The picture id: 7 or 15 bits.
    pub picture_id: Option<PictureId>,
    /// TL0PICIDX: counts base layer frames.
    pub tl0: Option<Tl0PictureIndex>,
}

/// A picture id in a payload descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PictureId {
    /// The value, without the width bit.
    pub value: u16,
    /// 15 bits instead of 7.
    pub is_wide: bool,
    at: usize,
}

/// A TL0PICIDX in a payload descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tl0PictureIndex {
    /// The value.
    pub value: u8,
    at: usize,
}

impl PictureId {
    /// This id shifted, within its width.
    pub fn shifted(self, by: u16) -> u16 {
        self.value.wrapping_add(by) & if self.is_wide { 0x7fff } else { 0x7f }
    }
}

impl PictureIndex {
    /// Finds the counters of a VP8 or VP9 payload; `None` for other codecs and truncated descriptors.
    pub fn find(family: CodecFamily, payload: &[u8]) -> Option<Self> {
        match family {
            CodecFamily::Vp8 => vp8(payload),
            CodecFamily::Vp9 => vp9(payload),
            CodecFamily::H264 | CodecFamily::Av1 | CodecFamily::Opus | CodecFamily::Other => None,
        }
    }

    /// Appends the start of the payload with both counters shifted, and returns how many bytes of the payload
    /// that replaces.
    pub fn write_shifted(
        &self,
        payload: &[u8],
        picture_id_shift: u16,
        tl0_shift: u8,
        buffer: &mut HeaderBytes,
    ) -> usize {
        let picture_id_end = self.picture_id.map_or(0, |id| id.at + 1 + usize::from(id.is_wide));
        let length = self.tl0.map_or(picture_id_end, |tl0| tl0.at + 1).max(picture_id_end);
        let start = buffer.len();
        buffer.extend_from_slice(&payload[..length]);
        let prefix = &mut buffer[start..];
        if let Some(id) = self.picture_id {
            let value = id.shifted(picture_id_shift);
            if id.is_wide {
                prefix[id.at..id.at + 2].copy_from_slice(&(value | 0x8000).to_be_bytes());
            } else {
                prefix[id.at] = value as u8;
            }
        }
        if let Some(tl0) = self.tl0 {
            prefix[tl0.at] = tl0.value.wrapping_add(tl0_shift);
        }
        length
    }
}

/// RFC 7741 §4.2: the length of the whole descriptor.
pub(super) fn vp8_descriptor_length(payload: &[u8]) -> Option<usize> {
    let mut length = 1;
    if payload.first()? & 0x80 != 0 {
        let extension = *payload.get(1)?;
        length += 1;
        if extension & 0x80 != 0 {
            length += if payload.get(length)? & 0x80 != 0 { 2 } else { 1 };
        }
        length += usize::from(extension & 0x40 != 0);
        length += usize::from(extension & 0x30 != 0);
    }
    Some(length)
}

fn vp8(payload: &[u8]) -> Option<PictureIndex> {
    let mut index = PictureIndex { picture_id: None, tl0: None };
    if payload.first()? & 0x80 == 0 {
        return Some(index);
    }
    let extension = *payload.get(1)?;
    let mut at = 2;
    if extension & 0x80 != 0 {
        index.picture_id = Some(picture_id(payload, &mut at)?);
    }
    if extension & 0x40 != 0 {
        index.tl0 = Some(Tl0PictureIndex { value: *payload.get(at)?, at });
    }
    Some(index)
}

/// RFC 9628 §4.2: picture id first, then the layer byte, then TL0PICIDX in non-flexible mode only.
fn vp9(payload: &[u8]) -> Option<PictureIndex> {
    let mut index = PictureIndex { picture_id: None, tl0: None };
    let flags = *payload.first()?;
    let mut at = 1;
    if flags & 0x80 != 0 {
        index.picture_id = Some(picture_id(payload, &mut at)?);
    }
    let (has_layers, is_flexible) = (flags & 0x20 != 0, flags & 0x10 != 0);
    if has_layers && !is_flexible {
        index.tl0 = Some(Tl0PictureIndex { value: *payload.get(at + 1)?, at: at + 1 });
    }
    Some(index)
}

fn picture_id(payload: &[u8], at: &mut usize) -> Option<PictureId> {
    let start = *at;
    let first = *payload.get(start)?;
    if first & 0x80 == 0 {
        *at += 1;
        return Some(PictureId { value: u16::from(first), is_wide: false, at: start });
    }
    *at += 2;
    let value = u16::from_be_bytes([first & 0x7f, *payload.get(start + 1)?]);
    Some(PictureId { value, is_wide: true, at: start })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shift(family: CodecFamily, payload: &[u8], id: u16, tl0: u8) -> Vec<u8> {
        let mut buffer = HeaderBytes::new();
        let index = PictureIndex::find(family, payload).expect("descriptor");
        let replaced = index.write_shifted(payload, id, tl0, &mut buffer);
        [buffer.as_slice(), &payload[replaced..]].concat()
    }

    #[test]
    fn vp8_ids_keep_their_width_and_wrap() {
        assert_eq!(shift(CodecFamily::Vp8, &[0x90, 0x80, 0x7f, 0x30], 1, 0), [0x90, 0x80, 0x00, 0x30]);
        assert_eq!(
            shift(CodecFamily::Vp8, &[0x90, 0xe0, 0xff, 0xff, 0xff, 0x20, 0x30], 1, 2),
            [0x90, 0xe0, 0x80, 0x00, 0x01, 0x20, 0x30]
        );
        assert_eq!(shift(CodecFamily::Vp8, &[0x10, 0x30], 9, 9), [0x10, 0x30], "nothing to shift");
        assert_eq!(shift(CodecFamily::Vp8, &[0x90, 0x40, 0x05, 0x30], 9, 9), [0x90, 0x40, 0x0e, 0x30]);
    }

    #[test]
    fn vp9_counters_follow_the_layer_byte() {
        assert_eq!(
            shift(CodecFamily::Vp9, &[0xa8, 0x80, 0x05, 0x01, 0x07, 0xaa], 3, 1),
            [0xa8, 0x80, 0x08, 0x01, 0x08, 0xaa]
        );
        let flexible = PictureIndex::find(CodecFamily::Vp9, &[0xb8, 0x05, 0x01, 0x07]).expect("descriptor");
        assert_eq!(flexible.tl0, None);
    }

    proptest! {
        #[test]
        fn shifting_changes_nothing_but_the_counters(payload in proptest::collection::vec(any::<u8>(), 0..24), id: u16, tl0: u8) {
            for family in [CodecFamily::Vp8, CodecFamily::Vp9] {
                let Some(before) = PictureIndex::find(family, &payload) else { continue };
                let shifted = shift(family, &payload, id, tl0);
                prop_assert_eq!(shifted.len(), payload.len());
                let after = PictureIndex::find(family, &shifted).expect("still a descriptor");
                prop_assert_eq!(before.picture_id.map(|before| before.shifted(id)), after.picture_id.map(|after| after.value));
                prop_assert_eq!(before.tl0.map(|before| before.value.wrapping_add(tl0)), after.tl0.map(|after| after.value));
                prop_assert_eq!(shift(family, &shifted, 0u16.wrapping_sub(id), 0u8.wrapping_sub(tl0)), payload.clone());
            }
        }
    }
}
