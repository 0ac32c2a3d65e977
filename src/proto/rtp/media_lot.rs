//! Packets of one track on their way from the one who receives them to those who send them on.

use super::RtpPacket;
use super::padding::{Padding, even_out};

/// Packets of one track that arrived together, shared by all who take them.
#[derive(Debug, Clone)]
pub struct MediaLot {
    /// The packets, in the order of arrival.
    pub packets: Vec<RtpPacket>,
    /// Something before these packets was lost inside this process (a lane was full), or withheld
    /// while the track was disabled: a video consumer should wait for a key frame.
    pub gap: bool,
    /// For who forwards them all, in order, to one peer.
    pub(crate) padding: Padding,
}

impl MediaLot {
    /// A lot of these packets.
    pub fn new(packets: Vec<RtpPacket>, gap: bool) -> Self {
        let padding = even_out(packets.iter().map(|packet| packet.payload.len()));
        Self { packets, gap, padding }
    }

    /// The bytes of padding that the packet at `index` is forwarded with.
    pub(crate) fn padding_of(&self, index: usize) -> u8 {
        self.padding.get(index).copied().unwrap_or(0)
    }
}
