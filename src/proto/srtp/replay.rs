//! Packet indices from sequence numbers: the guess of RFC 3711 §3.3.1.

pub(super) use crate::proto::replay_window::{Freshness, ReplayWindow};

/// An RTP index is 32 bits of roll-over counter and 16 bits of sequence number.
pub(super) const MAXIMUM_RTP_INDEX: u64 = (1 << 48) - 1;

impl ReplayWindow {
    /// RFC 3711 §3.3.1: the index whose low 16 bits are `sequence_number` and that is nearest to the
    /// highest one so far. `None`: it would lie before the first or behind the last index.
    pub(super) fn guess_rtp_index(&self, sequence_number: u16) -> Option<u64> {
        let Some(highest) = self.highest() else {
            return Some(u64::from(sequence_number));
        };
        // The signed 16-bit distance is what the RFC's case distinction comes to, except that exactly
        // half a circle away always counts as the past.
        let distance = sequence_number.wrapping_sub(highest as u16) as i16;
        let index = highest.checked_add_signed(i64::from(distance))?;
        (index <= MAXIMUM_RTP_INDEX).then_some(index)
    }

    /// Whether the next roll-over would go beyond the last index.
    pub(super) fn is_used_up(&self) -> bool {
        self.highest().is_some_and(|highest| highest >> 16 == MAXIMUM_RTP_INDEX >> 16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window_at(highest: u64) -> ReplayWindow {
        let mut window = ReplayWindow::new();
        window.mark(highest);
        window
    }

    #[test]
    fn first_packet_has_roll_over_counter_zero_wherever_it_starts() {
        assert_eq!(ReplayWindow::new().guess_rtp_index(65_530), Some(65_530));
        assert_eq!(ReplayWindow::new().guess_rtp_index(3), Some(3));
    }

    #[test]
    fn guess_crosses_the_roll_over_in_both_directions() {
        assert_eq!(window_at(65_535).guess_rtp_index(0), Some(65_536));
        assert_eq!(window_at(65_536).guess_rtp_index(65_535), Some(65_535));
        assert_eq!(window_at(3 << 16).guess_rtp_index(65_000), Some((2 << 16) + 65_000));
    }

    #[test]
    fn there_is_nothing_before_index_zero_and_nothing_after_the_last() {
        assert_eq!(window_at(5).guess_rtp_index(65_535), None);
        assert_eq!(window_at(MAXIMUM_RTP_INDEX).guess_rtp_index(0), None);
    }
}
