//! The dictionaries of W3C webrtc-stats §8, with the members that a stack without codecs can fill.
//!
//! Members have the units of the specification: times of day in milliseconds since 1970, durations and
//! round trips in seconds, sizes in bytes, bit rates in bits per second. `None`: not known, or not
//! (yet) applicable.

use serde::{Deserialize, Serialize};

use super::super::{
    MediaKind, RtcDataChannelState, RtcDtlsRole, RtcDtlsTransportState, RtcIceCandidateType, RtcIceProtocol,
    RtcIceRole, RtcIceTcpCandidateType, RtcIceTransportState,
};

/// A dictionary: `id` and `timestamp` first, then members that are always there, then those that may not.
macro_rules! dictionary {
    (
        $(#[$meta:meta])* $name:ident {
            $( $(#[$required_meta:meta])* $required:ident: $required_type:ty, )*
            ; optional:
            $( $(#[$optional_meta:meta])* $optional:ident: $optional_type:ty, )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase")]
        #[non_exhaustive]
        pub struct $name {
            /// Names the object in its report; the same in every report of the connection.
            pub id: String,
            /// When the values were taken; for what a peer said, when it came.
            pub timestamp: f64,
            $( $(#[$required_meta])* pub $required: $required_type, )*
            $(
                $(#[$optional_meta])*
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pub $optional: Option<$optional_type>,
            )*
        }
    };
}

dictionary! {
    /// A codec in use on a transport, in one direction (W3C `RTCCodecStats`).
    RtcCodecStats {
        /// Its number in packets.
        payload_type: u8,
        /// Of which transport.
        transport_id: String,
        /// `audio/opus`, `video/VP8`, …
        mime_type: String,
        ; optional:
        /// In Hz.
        clock_rate: u32,
        /// For audio.
        channels: u16,
        /// The value of its `a=fmtp` line.
        sdp_fmtp_line: String,
    }
}

dictionary! {
    /// A stream that is received (W3C `RTCInboundRtpStreamStats`).
    RtcInboundRtpStreamStats {
        /// The source.
        ssrc: u32,
        /// Audio or video.
        kind: MediaKind,
        /// The id of the receiver's track.
        track_identifier: String,
        ; optional:
        /// What it comes over.
        transport_id: String,
        /// The codec of the last packet.
        codec_id: String,
        /// The section.
        mid: String,
        /// What the peer says of it.
        remote_id: String,
        /// Packets, retransmissions included, duplicates not.
        packets_received: u64,
        /// Expected minus received (RFC 3550 §6.4.1); may be negative.
        packets_lost: i64,
        /// Interarrival jitter, in seconds.
        jitter: f64,
        /// Packets that came too late or twice.
        packets_discarded: u64,
        /// Payload bytes, retransmissions included.
        bytes_received: u64,
        /// Bytes of headers and padding.
        header_bytes_received: u64,
        /// Packets received by retransmission.
        retransmitted_packets_received: u64,
        /// Their payload bytes.
        retransmitted_bytes_received: u64,
        /// The source of retransmissions.
        rtx_ssrc: u32,
        /// When the last packet came.
        last_packet_received_timestamp: f64,
        /// Frames of video whose last packet came.
        frames_received: u64,
        /// NACK messages sent.
        nack_count: u64,
        /// PLI messages sent, for video.
        pli_count: u64,
        /// FIR messages sent, for video.
        fir_count: u64,
        /// What the last packet of audio said of its loudness, 0 to 1 linearly.
        audio_level: f64,
    }
}

dictionary! {
    /// A stream that is sent (W3C `RTCOutboundRtpStreamStats`).
    RtcOutboundRtpStreamStats {
        /// The source.
        ssrc: u32,
        /// Audio or video.
        kind: MediaKind,
        ; optional:
        /// What it goes over.
        transport_id: String,
        /// The codec of the last packet.
        codec_id: String,
        /// The section.
        mid: String,
        /// The simulcast layer.
        rid: String,
        /// Its place among the encodings of the sender, from 0.
        encoding_index: u64,
        /// The track that is sent.
        media_source_id: String,
        /// What the peer says of it.
        remote_id: String,
        /// Whether the encoding is sent.
        active: bool,
        /// Packets, retransmissions included.
        packets_sent: u64,
        /// Payload bytes, retransmissions included.
        bytes_sent: u64,
        /// Bytes of headers.
        header_bytes_sent: u64,
        /// Packets sent again.
        retransmitted_packets_sent: u64,
        /// Their payload bytes.
        retransmitted_bytes_sent: u64,
        /// The source of retransmissions.
        rtx_ssrc: u32,
        /// Frames of video whose last packet was sent.
        frames_sent: u64,
        /// NACK messages received.
        nack_count: u64,
        /// PLI messages received, for video.
        pli_count: u64,
        /// FIR messages received, for video.
        fir_count: u64,
    }
}

dictionary! {
    /// What the peer says of a stream that is sent, by its receiver reports (W3C
    /// `RTCRemoteInboundRtpStreamStats`).
    RtcRemoteInboundRtpStreamStats {
        /// The source.
        ssrc: u32,
        /// Audio or video.
        kind: MediaKind,
        ; optional:
        /// What it goes over.
        transport_id: String,
        /// The codec of the last packet.
        codec_id: String,
        /// The stream.
        local_id: String,
        /// Packets: expected minus lost.
        packets_received: u64,
        /// Expected minus received; may be negative.
        packets_lost: i64,
        /// Interarrival jitter, in seconds.
        jitter: f64,
        /// The share lost since the report before, 0 to 1.
        fraction_lost: f64,
        /// The round trip that the last report shows, in seconds.
        round_trip_time: f64,
        /// The sum of all round trips, in seconds.
        total_round_trip_time: f64,
        /// How many there were.
        round_trip_time_measurements: u64,
    }
}

dictionary! {
    /// What the peer says of a stream that is received, by its sender reports (W3C
    /// `RTCRemoteOutboundRtpStreamStats`).
    RtcRemoteOutboundRtpStreamStats {
        /// The source.
        ssrc: u32,
        /// Audio or video.
        kind: MediaKind,
        ; optional:
        /// What it comes over.
        transport_id: String,
        /// The codec of the last packet.
        codec_id: String,
        /// The stream.
        local_id: String,
        /// Packets sent, modulo 2^32.
        packets_sent: u64,
        /// Payload bytes sent, modulo 2^32.
        bytes_sent: u64,
        /// The peer's clock when it sent the report.
        remote_timestamp: f64,
        /// Reports received.
        reports_sent: u64,
    }
}

dictionary! {
    /// A track that is sent (W3C `RTCMediaSourceStats`).
    RtcMediaSourceStats {
        /// The id of the track.
        track_identifier: String,
        /// Audio or video.
        kind: MediaKind,
        ; optional:
    }
}

dictionary! {
    /// The connection (W3C `RTCPeerConnectionStats`).
    RtcPeerConnectionStats {
        /// Data channels that were ever open.
        data_channels_opened: u64,
        /// Those among them that were closed.
        data_channels_closed: u64,
        ; optional:
    }
}

dictionary! {
    /// A data channel that is not closed (W3C `RTCDataChannelStats`).
    RtcDataChannelStats {
        /// Where it stands.
        state: RtcDataChannelState,
        ; optional:
        /// What the application calls it.
        label: String,
        /// The application's protocol on it.
        protocol: String,
        /// The SCTP stream, once there is one.
        data_channel_identifier: u16,
        /// Messages accepted for sending.
        messages_sent: u64,
        /// Their bytes.
        bytes_sent: u64,
        /// Messages received.
        messages_received: u64,
        /// Their bytes.
        bytes_received: u64,
    }
}

dictionary! {
    /// A transport (W3C `RTCTransportStats`).
    RtcTransportStats {
        /// Of the handshake.
        dtls_state: RtcDtlsTransportState,
        ; optional:
        /// Datagrams sent that carried DTLS, SRTP or SRTCP.
        packets_sent: u64,
        /// Datagrams received that carried DTLS, SRTP or SRTCP.
        packets_received: u64,
        /// The bytes in those sent.
        bytes_sent: u64,
        /// The bytes in those received.
        bytes_received: u64,
        /// Who decides which pair is used.
        ice_role: RtcIceRole,
        /// `a=ice-ufrag` of ours.
        ice_local_username_fragment: String,
        /// Of the agent.
        ice_state: RtcIceTransportState,
        /// The pair in use.
        selected_candidate_pair_id: String,
        /// Our certificate.
        local_certificate_id: String,
        /// The peer's, once it has shown it.
        remote_certificate_id: String,
        /// Four hexadecimal digits (RFC 6347: `FEFD`), once connected.
        tls_version: String,
        /// IANA name of the cipher suite, once connected.
        dtls_cipher: String,
        /// Who sent the ClientHello, once the handshake has begun.
        dtls_role: RtcDtlsRole,
        /// IANA name of the SRTP profile, once connected with media.
        srtp_cipher: String,
        /// How often another pair was selected.
        selected_candidate_pair_changes: u64,
    }
}

dictionary! {
    /// A candidate (W3C `RTCIceCandidateStats`).
    RtcIceCandidateStats {
        /// Of which transport.
        transport_id: String,
        /// Where it comes from.
        candidate_type: RtcIceCandidateType,
        ; optional:
        /// IP address or name.
        address: String,
        /// UDP or TCP port.
        port: u16,
        /// UDP or TCP.
        protocol: RtcIceProtocol,
        /// The higher, the earlier it is tried.
        priority: u32,
        /// For candidates of ours from a server: its URL.
        url: String,
        /// For relayed candidates of ours: how the server is reached, `udp`, `tcp` or `tls`.
        relay_protocol: String,
        /// Equal for candidates of one type, base and server.
        foundation: String,
        /// The address it was derived from.
        related_address: String,
        /// The port it was derived from.
        related_port: u16,
        /// The generation of credentials it belongs to.
        username_fragment: String,
        /// For TCP.
        tcp_type: RtcIceTcpCandidateType,
    }
}

/// What is known of a pair (W3C `RTCStatsIceCandidatePairState`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(clippy::exhaustive_enums, reason = "RFC 8445 has five states")]
pub enum RtcStatsIceCandidatePairState {
    /// Waits for another pair of its foundation.
    Frozen,
    /// May be checked next.
    Waiting,
    /// A check is under way.
    InProgress,
    /// No answer.
    Failed,
    /// It works.
    Succeeded,
}

dictionary! {
    /// A pair of candidates (W3C `RTCIceCandidatePairStats`).
    RtcIceCandidatePairStats {
        /// Of which transport.
        transport_id: String,
        /// Ours.
        local_candidate_id: String,
        /// The peer's.
        remote_candidate_id: String,
        /// What is known of it.
        state: RtcStatsIceCandidatePairState,
        ; optional:
        /// Whether it was nominated.
        nominated: bool,
        /// Datagrams sent, connectivity checks not included.
        packets_sent: u64,
        /// Datagrams received, connectivity checks not included.
        packets_received: u64,
        /// The bytes in those sent.
        bytes_sent: u64,
        /// The bytes in those received.
        bytes_received: u64,
        /// When the last one was sent.
        last_packet_sent_timestamp: f64,
        /// When the last one came.
        last_packet_received_timestamp: f64,
        /// The sum of all round trips of connectivity checks, in seconds.
        total_round_trip_time: f64,
        /// The last one, in seconds.
        current_round_trip_time: f64,
        /// What the peer says it can take, for the selected pair.
        available_outgoing_bitrate: f64,
        /// Checks received.
        requests_received: u64,
        /// Checks sent, those for consent not included.
        requests_sent: u64,
        /// Answers received.
        responses_received: u64,
        /// Answers sent.
        responses_sent: u64,
        /// Checks for consent sent (RFC 7675).
        consent_requests_sent: u64,
    }
}

dictionary! {
    /// A certificate (W3C `RTCCertificateStats`).
    RtcCertificateStats {
        /// Hexadecimal bytes with colons between.
        fingerprint: String,
        /// `sha-256`.
        fingerprint_algorithm: String,
        /// DER, in base64.
        base64_certificate: String,
        ; optional:
        /// Who signed it; self-signed ones have none.
        issuer_certificate_id: String,
    }
}
