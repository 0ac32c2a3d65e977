//! What survives a restart of a sender.

/// All that a restarted sender needs to go on without using an SRTP index twice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SenderState {
    pub(super) next_sequence: u64,
}
