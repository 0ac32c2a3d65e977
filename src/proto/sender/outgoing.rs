//! A packet that is ready to be protected and sent.

use bytes::Bytes;

use crate::proto::rtp::HeaderBytes;

/// An RTP packet in two parts: its own header (with the rewritten start of the payload, if any) and the payload it
/// shares with all other subscribers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingPacket {
    pub(super) header: HeaderBytes,
    pub(super) payload: Bytes,
    /// Bytes behind the payload, counting the one that tells how many there are.
    pub(super) padding: u8,
    pub(super) retransmission: bool,
}

impl OutgoingPacket {
    /// Length in bytes before protection.
    #[allow(clippy::len_without_is_empty, reason = "a packet has at least its header")]
    pub fn len(&self) -> usize {
        self.header.len() + self.payload.len() + usize::from(self.padding)
    }

    /// The same bytes with the same sequence number were sent before (a retransmission without RTX): SRTP must
    /// be told, as it refuses to use an index twice.
    pub fn is_retransmission(&self) -> bool {
        self.retransmission
    }

    /// Writes the packet to the start of `buffer` and returns its length.
    ///
    /// # Panics
    /// If `buffer` is shorter than [`OutgoingPacket::len`].
    pub fn write_to(&self, buffer: &mut [u8]) -> usize {
        let (header, rest) = buffer.split_at_mut(self.header.len());
        header.copy_from_slice(&self.header);
        let (payload, rest) = rest.split_at_mut(self.payload.len());
        payload.copy_from_slice(&self.payload);
        if let Some((count, zeros)) = rest[..usize::from(self.padding)].split_last_mut() {
            zeros.fill(0);
            *count = self.padding;
        }
        self.len()
    }
}
