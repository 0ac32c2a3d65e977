//! Evening out the sizes of packets that leave together, by RTP padding (RFC 3550 §5.1).
//!
//! The kernel takes a run of datagrams in one call if all but the last have the same size (UDP GSO). Encoders split a
//! frame into packets whose sizes differ by a byte, the smaller ones first: two calls where one would do, and a call
//! costs as much as encrypting several packets.

use smallvec::SmallVec;

/// The share of a packet that may be spent: the network carries these bytes.
const SHARE: usize = 64;

/// Bytes of padding for each packet of a lot.
pub(super) type Padding = SmallVec<[u8; 16]>;

/// What to append to each of these payloads, so that those which are little shorter than one behind them are not.
pub(super) fn even_out(lengths: impl DoubleEndedIterator<Item = usize>) -> Padding {
    let mut longest_behind = 0_usize;
    let mut padding: Padding = lengths
        .rev()
        .map(|length| {
            let missing = longest_behind.saturating_sub(length);
            longest_behind = longest_behind.max(length);
            // An empty payload is nothing that should arrive as anything else.
            if length > 0 && missing <= length / SHARE { u8::try_from(missing).unwrap_or(0) } else { 0 }
        })
        .collect();
    padding.reverse();
    padding
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn evened(lengths: &[usize]) -> Vec<usize> {
        lengths
            .iter()
            .zip(even_out(lengths.iter().copied()))
            .map(|(length, more)| length + usize::from(more))
            .collect()
    }

    #[test]
    fn a_frame_in_two_sizes_becomes_one_run_and_its_shorter_end_stays() {
        assert_eq!(evened(&[1161, 1161, 1162, 1162]), [1162; 4]);
        assert_eq!(evened(&[1162, 1162, 1161]), [1162, 1162, 1161], "the last of a run may be shorter");
        assert_eq!(evened(&[1162, 1162, 300]), [1162, 1162, 300]);
    }

    #[test]
    fn what_would_cost_much_is_left_alone() {
        assert_eq!(evened(&[1000, 1100]), [1000, 1100]);
        assert_eq!(evened(&[50, 51]), [50, 51]);
        assert_eq!(evened(&[0, 1]), [0, 1]);
        assert_eq!(evened(&[]), [0; 0]);
    }

    proptest! {
        #[test]
        fn never_more_than_a_share_and_never_beyond_the_longest(
            lengths in proptest::collection::vec(0usize..70_000, 0..80),
        ) {
            let longest = lengths.iter().copied().max().unwrap_or(0);
            for (before, after) in lengths.iter().zip(evened(&lengths)) {
                prop_assert!(after - before <= before / SHARE && after <= longest);
            }
        }
    }
}
