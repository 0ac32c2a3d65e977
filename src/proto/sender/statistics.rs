//! Counters of one outgoing stream, named as in the W3C's `RTCOutboundRtpStreamStats`.

use std::time::{Duration, Instant};

use crate::proto::rtp::{CodecKey, MediaKind, Rid};

/// Counters of one outgoing stream.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct OutboundStatistics {
    /// The stream.
    pub ssrc: u32,
    /// Audio or video.
    pub kind: Option<MediaKind>,
    /// The stream of its retransmissions.
    pub rtx_ssrc: Option<u32>,
    /// The encoding it carries, if it has a name.
    pub rid: Option<Rid>,
    /// The codec of the last packet.
    pub codec: Option<CodecKey>,
    /// Its payload type.
    pub payload_type: u8,
    /// Packets, retransmissions included.
    pub packets_sent: u64,
    /// Payload bytes, retransmissions included.
    pub bytes_sent: u64,
    /// Header bytes.
    pub header_bytes_sent: u64,
    /// Packets sent again.
    pub retransmitted_packets_sent: u64,
    /// Payload bytes sent again.
    pub retransmitted_bytes_sent: u64,
    /// Packets of a source that were not sent: no key frame yet, older generation, unknown codec.
    pub packets_dropped: u64,
    /// Those among them whose codec the peer has not negotiated.
    pub packets_without_codec: u64,
    /// Those among them of a source that another has replaced.
    pub packets_of_replaced_source: u64,
    /// Packets that were not sent on purpose: the track disabled, the encoding inactive, a tone played instead.
    pub packets_withheld: u64,
    /// NACK messages received.
    pub nack_count: u64,
    /// PLI messages received.
    pub pli_count: u64,
    /// FIR messages received.
    pub fir_count: u64,
    /// Frames of video whose last packet was sent (RFC 3550 §5.1: the marker).
    pub frames_sent: u64,
    /// Key frames that began.
    pub key_frames_sent: u64,
    /// Times the source was switched.
    pub switches: u64,
    /// When the peer's last report about this stream came; what follows is from it.
    pub remote_report: Option<Instant>,
    /// The peer's report: packets received, as many as were expected and not lost.
    pub remote_packets_received: u64,
    /// The peer's report: lost in total.
    pub remote_packets_lost: i64,
    /// The peer's report: share lost since the one before, 0–1.
    pub remote_fraction_lost: f32,
    /// The peer's report: jitter.
    pub remote_jitter: Duration,
    /// From the peer's report.
    pub round_trip_time: Option<Duration>,
    /// The sum of all round trip times measured.
    pub total_round_trip_time: Duration,
    /// How often it was measured.
    pub round_trip_time_measurements: u64,
    /// What the peer says it can take, by the lower of its last REMB and TMMBR; bits per second.
    pub available_bitrate: Option<u64>,
}
