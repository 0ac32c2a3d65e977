//! What publishers keep so that a lost packet can be sent again (RFC 4585 §6.2.1), when that is asked for.
//!
//! Packets are sent again as they were: same SSRC, same ciphertext. Nothing is repaired without `--repair`, because
//! loss is a result.

use std::collections::VecDeque;

/// Of each stream: two seconds of video of 2.5 Mbit/s. Whoever asks later has given up.
const PACKETS_MAX: usize = 600;

/// The last packets of one stream, protected.
#[derive(Default)]
pub(crate) struct History {
    packets: VecDeque<(u16, Box<[u8]>)>,
}

impl History {
    /// Keeps a packet, and forgets the oldest.
    pub(crate) fn keep(&mut self, sequence: u16, packet: &[u8]) {
        if self.packets.len() == PACKETS_MAX {
            self.packets.pop_front();
        }
        self.packets.push_back((sequence, packet.into()));
    }

    /// A packet that was sent not long ago.
    pub(crate) fn packet(&self, sequence: u16) -> Option<&[u8]> {
        // Numbers follow each other: the distance from the oldest is the place.
        let oldest = self.packets.front()?.0;
        let (number, packet) = self.packets.get(usize::from(sequence.wrapping_sub(oldest)))?;
        (*number == sequence).then_some(packet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recent_packets_are_found_across_the_wrap_and_old_ones_are_gone() {
        let mut history = History::default();
        assert_eq!(history.packet(0), None);
        for number in 65_000..65_000 + 2 * PACKETS_MAX {
            history.keep(number as u16, &[number as u8]);
        }
        let last = 65_000 + 2 * PACKETS_MAX - 1;
        assert_eq!(history.packet(last as u16), Some(&[last as u8][..]));
        let oldest = last + 1 - PACKETS_MAX;
        assert_eq!(history.packet(oldest as u16), Some(&[oldest as u8][..]));
        assert_eq!(history.packet((oldest - 1) as u16), None);
        assert_eq!(history.packet((last + 1) as u16), None);
    }
}
