//! Room for the packets that a sender hands to the transport: filled, handed on, emptied and used again.
//!
//! A lane that carries packets one by one copies each in and out, and every actor keeps memory for its largest burst.
//! A lot is moved as a whole. Its memory belongs to the thread: the actors of hundreds of subscribers share what the
//! processor has in its cache, and nothing is allocated in steady state.

use std::cell::RefCell;

use crate::{actors::kit, proto::sender::OutgoingPacket};

/// Lots that are kept for later: one for each subscriber of a large room, who all have one under way at the same time.
const KEPT_LOTS: usize = 4_096;

/// Packets that a kept lot has room for: more come in bursts of retransmissions, which must not keep their memory.
const KEPT_PACKETS: usize = kit::INPUT_BUDGET;

thread_local! {
    static LOTS: RefCell<Vec<Vec<OutgoingPacket>>> = const { RefCell::new(Vec::new()) };
}

/// An empty lot.
pub(super) fn take() -> Vec<OutgoingPacket> {
    LOTS.with_borrow_mut(Vec::pop).unwrap_or_default()
}

/// A lot that is done with.
pub(super) fn give_back(mut lot: Vec<OutgoingPacket>) {
    lot.clear();
    if lot.capacity() > 0 && lot.capacity() <= KEPT_PACKETS {
        LOTS.with_borrow_mut(|lots| {
            if lots.len() < KEPT_LOTS {
                lots.push(lot);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_unless_a_burst_needed_it() {
        assert_eq!(take().capacity(), 0);
        give_back(Vec::with_capacity(10));
        give_back(Vec::with_capacity(KEPT_PACKETS + 1));
        assert_eq!(take().capacity(), 10);
        assert_eq!(take().capacity(), 0);
        for _ in 0..2 * KEPT_LOTS {
            give_back(Vec::with_capacity(1));
        }
        assert_eq!(LOTS.with_borrow(Vec::len), KEPT_LOTS);
    }
}
