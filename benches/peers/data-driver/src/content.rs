//! What is in a message: its number and length, then bytes of a fixed pattern that begin elsewhere for every number.
//!
//! So the receiver can tell that a message is whole, is its own and comes in its turn, by one comparison of memory,
//! which costs every stack the same.

use serde::Serialize;

/// Number and length, 4 bytes each, most significant first.
pub const HEADER_BYTES: usize = 8;
/// The number of a message that is to be sent back.
pub const PING: u32 = u32::MAX;
/// Where in the pattern a message begins: its number modulo this.
const SHIFTS: usize = 256;

/// The bytes that messages are made of.
#[derive(Debug)]
pub struct Pattern {
    bytes: Vec<u8>,
}

impl Pattern {
    /// For messages of up to that size.
    pub fn new(largest: usize) -> Self {
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345);
            (state >> 16) as u8
        };
        Self { bytes: (0..largest + SHIFTS).map(|_| next()).collect() }
    }

    /// Both parts of message `number`: they are to be joined.
    ///
    /// # Panics
    /// For a size that the pattern was not made for, or smaller than the header.
    pub fn message(&self, number: u32, size: usize) -> ([u8; HEADER_BYTES], &[u8]) {
        let mut header = [0; HEADER_BYTES];
        header[..4].copy_from_slice(&number.to_be_bytes());
        header[4..].copy_from_slice(&(size as u32).to_be_bytes());
        (header, self.body(number, size - HEADER_BYTES))
    }

    /// Message `number`, as one vector.
    pub fn whole(&self, number: u32, size: usize) -> Vec<u8> {
        let (header, body) = self.message(number, size);
        [&header, body].concat()
    }

    fn body(&self, number: u32, length: usize) -> &[u8] {
        let from = number as usize % SHIFTS;
        &self.bytes[from..from + length]
    }

    /// Whether this message is one to send back.
    pub fn is_ping(message: &[u8]) -> bool {
        message.get(..4) == Some(&PING.to_be_bytes())
    }

    fn holds(&self, message: &[u8], number: u32) -> bool {
        let Some((header, body)) = message.split_at_checked(HEADER_BYTES) else { return false };
        message.len() + SHIFTS <= self.bytes.len() + HEADER_BYTES
            && header[..4] == number.to_be_bytes()
            && header[4..] == (message.len() as u32).to_be_bytes()
            && body == self.body(number, body.len())
    }
}

/// What has arrived.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Tally {
    /// Messages.
    pub messages: u64,
    /// Bytes of all messages.
    pub bytes: u64,
    /// Messages that were not what should have come next on their channel.
    pub damaged: u64,
}

impl Tally {
    /// Checks the next message of a channel, on which `next` is expected, and counts it.
    pub fn count(&mut self, pattern: &Pattern, next: &mut u32, message: &[u8]) {
        self.messages += 1;
        self.bytes += message.len() as u64;
        if !pattern.holds(message, *next) {
            self.damaged += 1;
        }
        *next = next.wrapping_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_message_in_its_turn_is_whole() {
        let pattern = Pattern::new(1_000);
        let (mut tally, mut next) = (Tally::default(), 0);
        tally.count(&pattern, &mut next, &pattern.whole(0, 1_000));
        tally.count(&pattern, &mut next, &pattern.whole(1, 8));
        assert_eq!((tally.messages, tally.bytes, tally.damaged), (2, 1_008, 0));
        tally.count(&pattern, &mut next, &pattern.whole(3, 100));
        let mut flipped = pattern.whole(3, 100);
        flipped[99] ^= 1;
        tally.count(&pattern, &mut next, &flipped);
        tally.count(&pattern, &mut next, &pattern.whole(4, 100)[..99]);
        tally.count(&pattern, &mut next, &[0; 2_000]);
        assert_eq!(tally.damaged, 4);
    }
}
