//! The receiver's RTCP: what it takes and what it sends (RFC 3550 §6, RFC 4585 §3.5, RFC 5104 §4.3.1).

use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::Rng;

use super::stream::Stream;
use super::{Receiver, ReceiverEvent, RemoteSender};
use crate::proto::rtcp::{CompoundBuilder, NACK_ENTRIES_MAX, RtcpPacket};
use crate::proto::rtp::MediaKind;

/// Mean time between receiver reports; RFC 3550 §6.2 spreads it by ±50 %.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// Bytes of a compound; with SRTCP and headers it stays below 1,200.
const COMPOUND_MAX: usize = 1100;

/// A NACK's header and SSRCs, and as much again for a key frame request of the same source.
const FEEDBACK_OVERHEAD: usize = 12 + 20;

impl Receiver {
    /// Takes one packet of a decrypted compound; what concerns other sections is ignored.
    pub fn handle_rtcp(&mut self, now: Instant, packet: &RtcpPacket<'_>) {
        match packet {
            RtcpPacket::SenderReport(report) => {
                if let Some(stream) = self.streams.iter_mut().find(|stream| stream.ssrc == report.ssrc) {
                    stream.reception.sender_report(now, report.ntp);
                    stream.clock.sender_report(now, report.ntp, report.rtp_timestamp);
                    let before = stream.statistics.remote.map_or(0, |remote| remote.reports_sent);
                    stream.statistics.remote = Some(RemoteSender {
                        packets_sent: report.packet_count,
                        bytes_sent: report.octet_count,
                        remote_timestamp: report.ntp,
                        arrived: now,
                        reports_sent: before + 1,
                    });
                }
            }
            RtcpPacket::Goodbye(goodbye) => goodbye.ssrcs().for_each(|ssrc| self.end_stream(ssrc)),
            _ => {}
        }
    }

    /// Asks the publisher for a key frame: of one source, or of all (`None`). Coalesced; repeated until one comes.
    /// When no such source is known yet, the next one that begins is asked.
    pub fn request_key_frame(&mut self, now: Instant, ssrc: Option<u32>) {
        if self.parameters.kind == MediaKind::Audio {
            return;
        }
        let mut is_known = false;
        for stream in &mut self.streams {
            if ssrc.is_none_or(|ssrc| ssrc == stream.ssrc) && !stream.ended {
                stream.key_frame.request(now);
                is_known = true;
            }
        }
        self.key_frame_owed |= !is_known;
    }

    /// The next time at which [`Receiver::poll_transmit`] has something to send.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let report = self.reports_anything().then_some(self.report_at);
        self.streams.iter().filter_map(feedback_due).chain(report).min()
    }

    /// Time has passed; follow with [`Receiver::poll_transmit`], which does all the work.
    pub fn handle_timeout(&mut self, now: Instant) {
        let _ = now;
    }

    /// The next compound to send (plaintext), if any: RR and SDES, NACK, PLI or FIR. Without `a=rtcp-rsize` feedback
    /// is preceded by an empty RR (RFC 4585 §3.5.1).
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Bytes> {
        let report = self.report_at <= now && self.reports_anything();
        let feedback = self.streams.iter().filter_map(feedback_due).any(|due| due <= now);
        if !report && !feedback {
            return None;
        }
        let local_ssrc = self.parameters.local_ssrc;
        let mut compound = CompoundBuilder::new();
        if report {
            self.schedule_report(now);
            let reportable = self.streams.iter_mut().filter(|stream| stream.reception.is_reportable());
            compound.receiver_report(
                local_ssrc,
                reportable.map(|stream| stream.reception.report(now, stream.ssrc)),
            );
        } else if !self.parameters.reduced_size {
            compound.receiver_report(local_ssrc, []);
        }
        if !compound.is_empty() {
            compound.cname(local_ssrc, &self.parameters.cname);
        }
        for stream in &mut self.streams {
            let room = COMPOUND_MAX.saturating_sub(compound.len() + FEEDBACK_OVERHEAD) / 4;
            if room == 0 {
                break;
            }
            let room = room.min(NACK_ENTRIES_MAX);
            add_feedback(now, stream, local_ssrc, self.round_trip_time, room, &mut compound);
        }
        compound.build()
    }

    pub(super) fn schedule_report(&mut self, now: Instant) {
        self.report_at = now + REPORT_INTERVAL.mul_f64(self.random.random_range(0.5..1.5));
    }

    fn reports_anything(&self) -> bool {
        self.streams.iter().any(|stream| stream.reception.is_reportable())
    }

    /// RFC 3550 §6.3.4. The numbers are kept: a source that goes on must not repeat them.
    fn end_stream(&mut self, ssrc: u32) {
        let Some(stream) = self.streams.iter_mut().find(|stream| stream.ssrc == ssrc && !stream.ended) else {
            return;
        };
        stream.ended = true;
        stream.missing.clear();
        stream.key_frame.arrived();
        let rid = stream.rid;
        self.repairs.forget(ssrc);
        self.push_event(ReceiverEvent::StreamEnded { ssrc, rid });
    }
}

fn feedback_due(stream: &Stream) -> Option<Instant> {
    // Without negotiated messages nothing can be asked for.
    let can_ask = stream.codec.pli || stream.codec.fir;
    let key_frame = stream.key_frame.due(stream.last_packet).filter(|_| can_ask);
    stream.missing.next_due().into_iter().chain(key_frame).min()
}

fn add_feedback(
    now: Instant,
    stream: &mut Stream,
    local_ssrc: u32,
    round_trip_time: Duration,
    room: usize,
    compound: &mut CompoundBuilder,
) {
    let missing = stream.missing.take_due(now, round_trip_time, room);
    if !missing.is_empty() {
        compound.nack(local_ssrc, stream.ssrc, missing);
        stream.statistics.nack_count += 1;
    }
    if stream.key_frame.due(stream.last_packet).is_none_or(|due| due > now) {
        return;
    }
    // RFC 8834 §5.1.2 and §5.1.1: PLI is for this; FIR only where nothing else is understood.
    if stream.codec.pli {
        compound.picture_loss_indication(local_ssrc, stream.ssrc);
        stream.statistics.pli_count += 1;
    } else if stream.codec.fir {
        compound.full_intra_request(local_ssrc, stream.ssrc, stream.key_frame.fir_sequence_number());
        stream.statistics.fir_count += 1;
    }
    stream.key_frame.sent(now);
}
