//! Counters of one inbound source, named as in the W3C's `RTCInboundRtpStreamStats`.

use std::time::{Duration, Instant};

use crate::proto::rtcp::NtpTime;
use crate::proto::rtp::{CodecKey, MediaKind, Rid};

/// Counters of one inbound source.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct InboundStatistics {
    /// The source.
    pub ssrc: u32,
    /// Audio or video.
    pub kind: Option<MediaKind>,
    /// The source of its retransmissions, once known.
    pub rtx_ssrc: Option<u32>,
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
    /// Payload bytes received by retransmission.
    pub retransmitted_bytes_received: u64,
    /// When the last packet arrived.
    pub last_packet_received: Option<Instant>,
    /// Frames whose last packet arrived (RFC 3550 §5.1: the marker); for video.
    pub frames_received: u64,
    /// What the audio of the last packet was, if it said so: linear, 1 is the loudest (W3C `audioLevel`).
    pub audio_level: Option<f64>,
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
    /// What the source says it has sent (W3C `RTCRemoteOutboundRtpStreamStats`); none before its first report.
    pub remote: Option<RemoteSender>,
}

/// A source's own account, from its sender reports (RFC 3550 §6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoteSender {
    /// Packets it has sent; as on the wire, modulo 2^32.
    pub packets_sent: u32,
    /// Payload bytes it has sent; as on the wire, modulo 2^32.
    pub bytes_sent: u32,
    /// Its wall clock when it sent the report (W3C `remoteTimestamp`).
    pub remote_timestamp: NtpTime,
    /// When the report arrived.
    pub arrived: Instant,
    /// Reports received.
    pub reports_sent: u64,
}
