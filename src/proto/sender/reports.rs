//! The sender's RTCP: what it takes and what it sends (RFC 3550 §6.4.1, RFC 4585, RFC 5104).

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::Rng;

use super::random::SmallRandom;
use super::state::Latest;
use super::{OutgoingPacket, Sender};
use crate::proto::rtcp::{CompoundBuilder, FullIntraRequest, MaximumBitrateEntry, ReportBlock, RtcpPacket};

/// Mean time between sender reports; spread by ±50 % (RFC 3550 §6.2).
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// No report comes this soon after the one before, which may have been an early one.
const REPORT_DISTANCE_MIN: Duration = Duration::from_millis(250);

/// The first report follows the first packet this soon: receivers need it to play audio and video in step.
const FIRST_REPORT_DELAY: Duration = Duration::from_millis(100);

/// A report that is due this soon leaves with media instead of by itself: a wake-up, and a turn of everything on its way,
/// less. It is a fraction of what the interval varies by.
const WITH_MEDIA: Duration = Duration::from_millis(50);

/// RFC 3550 §6.3: who sent nothing for two intervals is no sender.
const IDLE_INTERVALS: u32 = 2;

/// Seconds between the publisher's clock and the arrival of its packets; more is a broken or hostile report.
const PUBLISHER_CLOCK_ERROR_MAX: u32 = 5;

impl Sender {
    /// Takes one packet of a decrypted compound; what concerns other streams is ignored. Retransmissions are
    /// pushed to `out`.
    pub fn handle_rtcp(&mut self, now: Instant, packet: &RtcpPacket<'_>, out: &mut Vec<OutgoingPacket>) {
        let ssrc = self.parameters.ssrc;
        match packet {
            RtcpPacket::ReceiverReport(report) => self.take_blocks(now, report.blocks()),
            RtcpPacket::SenderReport(report) => self.take_blocks(now, report.blocks()),
            RtcpPacket::Nack(nack) if nack.media_ssrc == ssrc => {
                self.statistics.nack_count += 1;
                self.answer_nack(now, nack, out);
            }
            RtcpPacket::PictureLossIndication(indication) if indication.media_ssrc == ssrc => {
                self.statistics.pli_count += 1;
                self.key_frame_wanted = true;
            }
            RtcpPacket::FullIntraRequest(request) => self.take_full_intra_request(request),
            RtcpPacket::ReceiverEstimatedMaximumBitrate(estimate)
                if estimate.ssrcs().any(|about| about == ssrc || Some(about) == self.parameters.rtx_ssrc) =>
            {
                self.estimated_bitrate = Some(estimate.bitrate);
                self.limit_bitrate();
            }
            RtcpPacket::TemporaryMaximumBitrateRequest(request) => {
                let of_this = request.entries().filter(|entry| entry.ssrc == ssrc);
                if let Some(entry) = of_this.last() {
                    // RFC 5104 §4.2.1.2: the same peer replaces what it asked for before. It is the only one.
                    self.requested_bitrate = Some(MaximumBitrateEntry { ssrc: request.sender_ssrc, ..entry });
                    self.notification_at = Some(now);
                    self.limit_bitrate();
                }
            }
            _ => {}
        }
    }

    /// The next time at which [`Sender::poll_transmit`] or [`Sender::poll_dtmf`] has something to send.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.report_due()
            .into_iter()
            .chain(self.dtmf.as_ref().and_then(|dtmf| dtmf.due()))
            .chain(self.notification_at)
            .min()
    }

    fn limit_bitrate(&mut self) {
        let requested = self.requested_bitrate.map(|entry| entry.bitrate);
        self.statistics.available_bitrate = self.estimated_bitrate.into_iter().chain(requested).min();
    }

    fn report_due(&self) -> Option<Instant> {
        let report_at = self.report_at?;
        let latest = self.state.latest?;
        (report_at <= latest.at + REPORT_INTERVAL * IDLE_INTERVALS).then_some(report_at)
    }

    /// Time has passed; follow with [`Sender::poll_dtmf`] and [`Sender::poll_transmit`], which do all the
    /// work.
    pub fn handle_timeout(&mut self, now: Instant) {
        let _ = now;
    }

    /// The next compound to send (plaintext): SR and SDES, or the answer to a TMMBR.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Bytes> {
        if self.notification_at.take().is_some()
            && let Some(entry) = self.requested_bitrate
        {
            let mut compound =
                if self.parameters.reduced_size { CompoundBuilder::new() } else { self.report(now) };
            return compound.temporary_maximum_bitrate_notification(self.parameters.ssrc, entry).build();
        }
        let lead = if self.state.latest.is_some_and(|latest| latest.at == now) {
            WITH_MEDIA
        } else {
            Duration::ZERO
        };
        self.report_due().filter(|due| *due <= now + lead)?;
        self.report_at = Some(self.next_common_report(now));
        self.report(now).build()
    }

    /// A last compound: SR, SDES and BYE.
    pub fn bye(&mut self, now: Instant) -> Bytes {
        self.report_at = None;
        let ssrcs = std::iter::once(self.parameters.ssrc).chain(self.parameters.rtx_ssrc);
        self.report(now).goodbye(ssrcs).build().unwrap_or_default()
    }

    /// A packet was sent: a stream that begins or goes on after a pause reports soon.
    pub(super) fn report_soon(&mut self, now: Instant) {
        if self.report_due().is_none() {
            self.report_at = Some(now + FIRST_REPORT_DELAY.mul_f64(self.random.random_range(0.5..1.5)));
        }
    }

    /// All streams of an endpoint report at the same moments, as RFC 8108 §5.3 advises: so their reports wake the peer's
    /// actors once, and leave in one call. The moments are drawn from the canonical name, which an endpoint's streams
    /// share and which is random for each; from one to the next it is half an interval to one and a half.
    fn next_common_report(&self, now: Instant) -> Instant {
        let earliest = now + REPORT_DISTANCE_MIN;
        let begin = self.parameters.clock.instant;
        let mut hasher = DefaultHasher::new();
        self.parameters.cname.hash(&mut hasher);
        let seed = hasher.finish();
        let mut number = earliest.saturating_duration_since(begin).as_secs() / REPORT_INTERVAL.as_secs();
        // The moment of a number comes up to one and a half intervals after it.
        number = number.saturating_sub(1);
        loop {
            let moment = begin + report_moment(seed, number);
            if moment >= earliest {
                return moment;
            }
            number += 1;
        }
    }

    fn report(&self, now: Instant) -> CompoundBuilder {
        let ssrc = self.parameters.ssrc;
        let mut compound = CompoundBuilder::new();
        match self.state.latest {
            Some(latest) => compound.sender_report(
                ssrc,
                self.parameters.clock.ntp_at(now),
                self.timestamp_at(now, latest),
                self.state.packet_count,
                self.state.octet_count,
            ),
            // RFC 3550 §6.4.2: who has not sent reports as a receiver.
            None => compound.receiver_report(ssrc, []),
        };
        compound.cname(ssrc, &self.parameters.cname);
        compound
    }

    /// RFC 3550 §6.4.1: the RTP timestamp of this moment. By the clock of the publisher, which is the same for its audio
    /// and video; by the time of sending when that is not known or not plausible.
    fn timestamp_at(&self, now: Instant, latest: Latest) -> u32 {
        let by_sending = latest.timestamp_at(now);
        let by_publisher = self.state.source.and_then(|source| source.timestamp_at(now, latest.clock_rate));
        let is_plausible = |timestamp: &u32| {
            let difference = (timestamp.wrapping_sub(by_sending) as i32).unsigned_abs();
            difference <= latest.clock_rate.saturating_mul(PUBLISHER_CLOCK_ERROR_MAX)
        };
        by_publisher.filter(is_plausible).unwrap_or(by_sending)
    }

    fn take_full_intra_request(&mut self, request: &FullIntraRequest<'_>) {
        let asked = request.entries().filter(|entry| entry.ssrc == self.parameters.ssrc).last();
        let Some(entry) = asked else { return };
        self.statistics.fir_count += 1;
        // RFC 5104 §4.3.1.2: a number that was answered is a repetition.
        let answered = (request.sender_ssrc, entry.sequence_number);
        if self.state.answered_fir.contains(&Some(answered)) {
            return;
        }
        let same_sender = |known: &Option<(u32, u8)>| known.is_some_and(|(ssrc, _)| ssrc == answered.0);
        let at =
            self.state.answered_fir.iter().position(same_sender).unwrap_or(self.state.answered_fir.len() - 1);
        self.state.answered_fir[..=at].rotate_right(1);
        self.state.answered_fir[0] = Some(answered);
        self.key_frame_wanted = true;
    }

    fn take_blocks(&mut self, now: Instant, mut blocks: impl Iterator<Item = ReportBlock>) {
        let Some(block) = blocks.find(|block| block.ssrc == self.parameters.ssrc) else { return };
        self.statistics.remote_report = Some(now);
        // The peer counts cycles from the first packet it saw; here the first cycle is 1.
        let highest = u64::from(block.extended_highest_sequence_number) + 0x1_0000;
        let expected = (highest + 1).saturating_sub(self.state.first_sequence);
        self.statistics.remote_packets_received =
            expected.saturating_add_signed(-i64::from(block.cumulative_lost));
        self.statistics.remote_packets_lost = i64::from(block.cumulative_lost);
        self.statistics.remote_fraction_lost = f32::from(block.fraction_lost) / 256.0;
        if let Some(latest) = self.state.latest {
            let jitter = f64::from(block.jitter) / f64::from(latest.clock_rate.max(1));
            self.statistics.remote_jitter = Duration::from_secs_f64(jitter);
        }
        // RFC 3550 §6.4.1: round trip = arrival − LSR − DLSR, in 1/65536 s modulo 2^32.
        if block.last_sender_report != 0 {
            let arrival = self.parameters.clock.ntp_at(now).compact();
            let round_trip = arrival
                .wrapping_sub(block.last_sender_report)
                .wrapping_sub(block.delay_since_last_sender_report);
            // Rounding makes it slightly negative on a fast path; more than 2^31 is such a negative value.
            let round_trip = if round_trip > i32::MAX as u32 { 0 } else { round_trip };
            let round_trip = Duration::from_secs_f64(f64::from(round_trip) / 65_536.0);
            self.statistics.round_trip_time = Some(round_trip);
            self.statistics.total_round_trip_time += round_trip;
            self.statistics.round_trip_time_measurements += 1;
        }
    }
}

/// How long after the clock's beginning the report with this number is due.
fn report_moment(seed: u64, number: u64) -> Duration {
    let phase = SmallRandom::from_seed(seed).random_range(0.0..1.0);
    let jitter = SmallRandom::from_seed(seed ^ number).random_range(0.0..0.5);
    let number = u32::try_from(number).unwrap_or(u32::MAX);
    REPORT_INTERVAL * number + REPORT_INTERVAL.mul_f64(phase + jitter)
}
