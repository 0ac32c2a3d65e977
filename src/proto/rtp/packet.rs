//! A received RTP packet on its way from one receiver to many senders.

use std::time::Instant;

use bytes::Bytes;

use super::{CodecKey, Extensions, Rid};

/// A moment of the local clock, and the RTP timestamp of what was captured then: from the publisher's sender reports,
/// so that subscribers can play its audio and video in step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockReference {
    /// The moment.
    pub instant: Instant,
    /// The publisher's RTP timestamp.
    pub timestamp: u32,
}

/// One media packet, decoded once by the receiver and shared by all senders.
///
/// Invariants: `payload` has no padding; a retransmission is already unwrapped (RFC 4588) and looks like the
/// original; within one `ssrc` no `sequence_number` occurs twice.
#[derive(Debug, Clone, PartialEq)]
pub struct RtpPacket {
    /// When the datagram was read.
    pub arrival: Instant,
    /// The publisher's synchronisation source.
    pub ssrc: u32,
    /// The simulcast encoding, if the publisher named it.
    pub rid: Option<Rid>,
    /// What the payload is, comparable between peers.
    pub codec: CodecKey,
    /// The publisher's payload type; a sender maps `codec` to its own.
    pub payload_type: u8,
    /// RFC 3550 §5.1; last packet of a frame for video.
    pub marker: bool,
    /// Without wraparound. Packets that carry only padding take no number, so a hole is a loss.
    pub sequence_number: u64,
    /// The publisher's RTP timestamp.
    pub timestamp: u32,
    /// The relation of the timestamps to time, once the publisher has reported it.
    pub clock: Option<ClockReference>,
    /// The decoded header extensions.
    pub extensions: Extensions,
    /// The payload. Empty only for a late padding packet, whose number was already given out.
    pub payload: Bytes,
    /// The first packet of a video key frame. Always false for audio.
    pub key_frame: bool,
}
