//! Where a state machine takes its randomness from: who makes it says.
//!
//! A generator of its own is 320 bytes for each, and a peer has several state machines. Boxed, it may be one that all
//! of a thread share. It must be fit for secrets (transaction identifiers and credentials are drawn from it) and seeded
//! by the operating system; tests give one with a known seed.

use rand::RngCore;
use std::fmt;

/// A generator that somebody else chose.
pub(in crate::proto) struct Random(Box<dyn RngCore>);

impl Random {
    pub(in crate::proto) fn new(generator: impl RngCore + 'static) -> Self {
        Self(Box::new(generator))
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Random")
    }
}

impl RngCore for Random {
    fn next_u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }
}
