//! Counters of one inbound source, named as in the W3C's `RTCInboundRtpStreamStats`.

use std::time::Duration;

use crate::proto::rtp::{CodecKey, Rid};

/// Counters of one inbound source.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct InboundStatistics {
    /// The source.
    pub ssrc: u32,
    /// Its encoding.
    pub rid: Option<Rid>,
    /// The codec of the last packet.
    pub codec: Option<CodecKey>,
    /// Its payload type.
    pub payload_type: u8,
    /// Packets, retransmissions included, duplicates not.
    pub packets_received: u64,
    /// Payload bytes.
    pub bytes_received: u64,
    /// Header and padding bytes.
    pub header_bytes_received: u64,
    /// Expected minus received (RFC 3550 §6.4.1); may be negative.
    pub packets_lost: i64,
    /// Interarrival jitter.
    pub jitter: Duration,
    /// Received by retransmission (RFC 4588).
    pub retransmitted_packets_received: u64,
    /// Duplicates and packets that came too late.
    pub packets_discarded: u64,
    /// Packets that carried only padding.
    pub padding_packets_received: u64,
    /// Key frames that began.
    pub key_frames_received: u64,
    /// NACK messages sent.
    pub nack_count: u64,
    /// PLI messages sent.
    pub pli_count: u64,
    /// FIR messages sent.
    pub fir_count: u64,
}
