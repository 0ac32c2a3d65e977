//! RTP headers as far as a receiver needs them.

use std::ops::Range;

/// What a receiver needs of an RTP header (RFC 3550 §5.1).
pub(super) struct Header {
    pub(super) ssrc: u32,
    pub(super) sequence: u16,
    pub(super) payload_type: u8,
    pub(super) payload: Range<usize>,
}

impl Header {
    pub(super) fn read(packet: &[u8]) -> Option<Self> {
        let fixed = packet.get(..12)?;
        let mut start = 12 + 4 * usize::from(fixed[0] & 0x0f);
        if fixed[0] & 0x10 != 0 {
            let words = packet.get(start + 2..start + 4)?;
            start += 4 + 4 * usize::from(u16::from_be_bytes([words[0], words[1]]));
        }
        let padding = if fixed[0] & 0x20 != 0 { usize::from(*packet.last()?) } else { 0 };
        let end = packet.len().checked_sub(padding)?;
        (start <= end).then(|| Self {
            ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
            sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
            payload_type: fixed[1] & 0x7f,
            payload: start..end,
        })
    }
}
