//! Packets of one track on their way from the one who receives them to those who send them on.

use super::RtpPacket;

/// Packets of one track that arrived together, shared by all who take them.
#[derive(Debug, Clone)]
pub struct MediaLot {
    /// The packets, in the order of arrival.
    pub packets: Vec<RtpPacket>,
    /// Something before these packets was lost inside this process (a lane was full), or withheld
    /// while the track was disabled: a video consumer should wait for a key frame.
    pub gap: bool,
}
