//! Random numbers of a running stream: a first timestamp, and by how much reports come sooner or later.
//!
//! Not for secrets, and eight bytes instead of the 320 of a generator that is.

use rand::rngs::StdRng;
use rand::{Rng, RngCore};

/// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
#[derive(Debug)]
pub(super) struct SmallRandom(u64);

impl SmallRandom {
    /// One that begins where the other says.
    pub(super) fn new(seed: &mut StdRng) -> Self {
        Self(seed.random())
    }

    /// One that gives the same numbers for the same seed.
    pub(super) fn from_seed(seed: u64) -> Self {
        Self(seed)
    }
}

impl RngCore for SmallRandom {
    fn next_u32(&mut self) -> u32 {
        (self.next_u64() >> 32) as u32
    }

    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next_u64().to_le_bytes()[..chunk.len()]);
        }
    }
}
