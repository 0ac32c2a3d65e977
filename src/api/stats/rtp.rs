//! Streams with their codecs and tracks in the terms of webrtc-stats.

use super::{
    RtcStats, RtcStatsReport,
    compose::{milliseconds, ntp_milliseconds, seconds},
    transport::transport_id,
    types::{
        RtcCodecStats, RtcInboundRtpStreamStats, RtcMediaSourceStats, RtcOutboundRtpStreamStats,
        RtcRemoteInboundRtpStreamStats, RtcRemoteOutboundRtpStreamStats,
    },
};
use crate::{
    api::capabilities,
    messages::{peer_connection::TransceiverSnapshot, statistics::Statistics},
    proto::{
        receiver::InboundStatistics,
        rtp::{CodecParameters, MediaKind},
        sender::OutboundStatistics,
    },
};

pub(super) fn add(report: &mut RtcStatsReport, statistics: &Statistics, timestamp: f64) {
    let find = |id| statistics.transceivers.iter().find(|transceiver| transceiver.id == id);
    for (id, streams) in &statistics.senders {
        let Some(transceiver) = find(*id) else { continue };
        let source = add_media_source(report, transceiver, timestamp);
        for (index, stream) in streams.iter().enumerate() {
            let section = Section { statistics, transceiver, timestamp };
            section.add_outbound(report, stream, index, source.clone());
        }
    }
    for (id, streams) in &statistics.receivers {
        let Some(transceiver) = find(*id) else { continue };
        for stream in streams {
            Section { statistics, transceiver, timestamp }.add_inbound(report, stream);
        }
    }
}

/// W3C: one object for each track that is sent, however many senders send it.
fn add_media_source(
    report: &mut RtcStatsReport,
    transceiver: &TransceiverSnapshot,
    timestamp: f64,
) -> Option<String> {
    let track = transceiver.sender_track.as_ref()?;
    let id = format!("S{}{}", letter(transceiver.kind), track.id());
    report.insert(RtcStats::MediaSource(RtcMediaSourceStats {
        id: id.clone(),
        timestamp,
        track_identifier: track.id().to_owned(),
        kind: transceiver.kind,
    }));
    Some(id)
}

fn letter(kind: MediaKind) -> char {
    match kind {
        MediaKind::Audio => 'A',
        MediaKind::Video => 'V',
    }
}

/// What the objects of one section have in common.
struct Section<'a> {
    statistics: &'a Statistics,
    transceiver: &'a TransceiverSnapshot,
    timestamp: f64,
}

impl Section<'_> {
    fn stream_id(&self, prefix: &str, ssrc: u32) -> String {
        let Self { transceiver, .. } = self;
        format!("{prefix}{}{}_{ssrc}", letter(transceiver.kind), transceiver.id)
    }

    fn transport_id(&self) -> Option<String> {
        self.transceiver.transport.map(transport_id)
    }

    fn video<T>(&self, value: T) -> Option<T> {
        (self.transceiver.kind == MediaKind::Video).then_some(value)
    }

    /// Adds the codec, unless no packet has shown yet which it is.
    fn add_codec(
        &self,
        report: &mut RtcStatsReport,
        direction: char,
        codecs: &[CodecParameters],
        payload_type: u8,
    ) -> Option<String> {
        let transport = self.transceiver.transport?;
        let codec = codecs.iter().find(|codec| codec.payload_type == payload_type)?;
        // One payload type has one meaning on a transport and direction (RFC 9143 §9.1).
        let id = format!("C{direction}{}_{payload_type}", transport_id(transport));
        let shown = capabilities::negotiated(self.transceiver.kind, codec);
        report.insert(RtcStats::Codec(RtcCodecStats {
            id: id.clone(),
            timestamp: self.timestamp,
            payload_type,
            transport_id: transport_id(transport),
            mime_type: shown.mime_type,
            clock_rate: Some(shown.clock_rate),
            channels: shown.channels,
            sdp_fmtp_line: shown.sdp_fmtp_line,
        }));
        Some(id)
    }

    fn add_outbound(
        &self,
        report: &mut RtcStatsReport,
        stream: &OutboundStatistics,
        index: usize,
        source: Option<String>,
    ) {
        let send = self.transceiver.send_parameters.as_deref();
        let codec_id =
            stream.codec.and_then(|_| self.add_codec(report, 'O', &send?.codecs, stream.payload_type));
        let id = self.stream_id("O", stream.ssrc);
        let remote_id = self.add_remote_inbound(report, stream, &id, codec_id.clone());
        let encoding = self.transceiver.send_encodings.iter().find(|encoding| encoding.rid == stream.rid);
        report.insert(RtcStats::OutboundRtp(RtcOutboundRtpStreamStats {
            id,
            timestamp: self.timestamp,
            ssrc: stream.ssrc,
            kind: self.transceiver.kind,
            transport_id: self.transport_id(),
            codec_id,
            mid: self.transceiver.mid.clone(),
            rid: stream.rid.map(|rid| rid.as_str().to_owned()),
            encoding_index: self.video(index as u64),
            media_source_id: source,
            remote_id,
            active: Some(encoding.is_none_or(|encoding| encoding.active)),
            packets_sent: Some(stream.packets_sent),
            bytes_sent: Some(stream.bytes_sent),
            header_bytes_sent: Some(stream.header_bytes_sent),
            retransmitted_packets_sent: Some(stream.retransmitted_packets_sent),
            retransmitted_bytes_sent: Some(stream.retransmitted_bytes_sent),
            rtx_ssrc: stream.rtx_ssrc,
            frames_sent: self.video(stream.frames_sent),
            nack_count: Some(stream.nack_count),
            pli_count: self.video(stream.pli_count),
            fir_count: self.video(stream.fir_count),
        }));
    }

    /// Only once the peer has reported.
    fn add_remote_inbound(
        &self,
        report: &mut RtcStatsReport,
        stream: &OutboundStatistics,
        local_id: &str,
        codec_id: Option<String>,
    ) -> Option<String> {
        let reported = stream.remote_report?;
        let id = self.stream_id("RI", stream.ssrc);
        report.insert(RtcStats::RemoteInboundRtp(RtcRemoteInboundRtpStreamStats {
            id: id.clone(),
            timestamp: milliseconds(&self.statistics.clock, reported),
            ssrc: stream.ssrc,
            kind: self.transceiver.kind,
            transport_id: self.transport_id(),
            codec_id,
            local_id: Some(local_id.to_owned()),
            packets_received: Some(stream.remote_packets_received),
            packets_lost: Some(stream.remote_packets_lost),
            jitter: Some(seconds(stream.remote_jitter)),
            fraction_lost: Some(stream.remote_fraction_lost.into()),
            round_trip_time: stream.round_trip_time.map(seconds),
            total_round_trip_time: Some(seconds(stream.total_round_trip_time)),
            round_trip_time_measurements: Some(stream.round_trip_time_measurements),
        }));
        Some(id)
    }

    fn add_inbound(&self, report: &mut RtcStatsReport, stream: &InboundStatistics) {
        let receive = self.transceiver.receive_parameters.as_deref();
        let codec_id =
            stream.codec.and_then(|_| self.add_codec(report, 'I', &receive?.codecs, stream.payload_type));
        let id = self.stream_id("I", stream.ssrc);
        let remote_id = self.add_remote_outbound(report, stream, &id, codec_id.clone());
        let track = self.transceiver.receiver_track.as_ref().map(|track| track.id().to_owned());
        let clock = &self.statistics.clock;
        report.insert(RtcStats::InboundRtp(RtcInboundRtpStreamStats {
            id,
            timestamp: self.timestamp,
            ssrc: stream.ssrc,
            kind: self.transceiver.kind,
            track_identifier: track.unwrap_or_default(),
            transport_id: self.transport_id(),
            codec_id,
            mid: self.transceiver.mid.clone(),
            remote_id,
            packets_received: Some(stream.packets_received),
            packets_lost: Some(stream.packets_lost),
            jitter: Some(seconds(stream.jitter)),
            packets_discarded: Some(stream.packets_discarded),
            bytes_received: Some(stream.bytes_received),
            header_bytes_received: Some(stream.header_bytes_received),
            retransmitted_packets_received: Some(stream.retransmitted_packets_received),
            retransmitted_bytes_received: Some(stream.retransmitted_bytes_received),
            rtx_ssrc: stream.rtx_ssrc,
            last_packet_received_timestamp: stream.last_packet_received.map(|at| milliseconds(clock, at)),
            frames_received: self.video(stream.frames_received),
            nack_count: Some(stream.nack_count),
            pli_count: self.video(stream.pli_count),
            fir_count: self.video(stream.fir_count),
            audio_level: stream.audio_level,
        }));
    }

    /// Only once the peer has reported.
    fn add_remote_outbound(
        &self,
        report: &mut RtcStatsReport,
        stream: &InboundStatistics,
        local_id: &str,
        codec_id: Option<String>,
    ) -> Option<String> {
        let remote = stream.remote.as_ref()?;
        let id = self.stream_id("RO", stream.ssrc);
        report.insert(RtcStats::RemoteOutboundRtp(RtcRemoteOutboundRtpStreamStats {
            id: id.clone(),
            timestamp: milliseconds(&self.statistics.clock, remote.arrived),
            ssrc: stream.ssrc,
            kind: self.transceiver.kind,
            transport_id: self.transport_id(),
            codec_id,
            local_id: Some(local_id.to_owned()),
            packets_sent: Some(remote.packets_sent.into()),
            bytes_sent: Some(remote.bytes_sent.into()),
            remote_timestamp: Some(ntp_milliseconds(remote.remote_timestamp)),
            reports_sent: Some(remote.reports_sent),
        }));
        Some(id)
    }
}
