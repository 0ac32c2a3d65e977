//! Answering NACKs from the history (RFC 4585 §6.2.1, RFC 4588).
//!
//! Each packet is sent again at most once per round trip, and all retransmissions together have a budget: a hostile
//! or broken receiver cannot multiply its own traffic.

use std::time::{Duration, Instant};

use super::history::SentPacket;
use super::{OutgoingPacket, PADDING_BIT, Sender, SenderParameters};
use crate::proto::rtcp::Nack;
use crate::proto::rtp::HeaderBytes;

/// Share of the sent bytes that retransmissions earn: one half, as heavy loss needs more than a key frame would.
const BUDGET_SHARE: usize = 2;

/// The budget that can be saved up: a large key frame that was lost as a whole.
const BUDGET_MAX: usize = 256 * 1024;

/// Round trip time assumed before the first report, and the bounds within which a report is believed.
const ROUND_TRIP_DEFAULT: Duration = Duration::from_millis(100);
const ROUND_TRIP_MIN: Duration = Duration::from_millis(10);
const ROUND_TRIP_MAX: Duration = Duration::from_millis(500);

/// Bytes that may be sent again.
#[derive(Debug)]
pub(super) struct Budget(usize);

impl Budget {
    pub(super) fn new() -> Self {
        Self(BUDGET_MAX / 2)
    }

    pub(super) fn earn(&mut self, bytes: usize) {
        self.0 = (self.0 + bytes / BUDGET_SHARE).min(BUDGET_MAX);
    }

    fn spend(&mut self, bytes: usize) -> bool {
        match self.0.checked_sub(bytes) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }
}

impl Sender {
    pub(super) fn answer_nack(&mut self, now: Instant, nack: &Nack<'_>, out: &mut Vec<OutgoingPacket>) {
        let round_trip = self.statistics.round_trip_time.unwrap_or(ROUND_TRIP_DEFAULT);
        let round_trip = round_trip.clamp(ROUND_TRIP_MIN, ROUND_TRIP_MAX);
        for number in nack.sequence_numbers() {
            let latest = self.state.next_sequence - 1;
            let sequence = latest.wrapping_sub(u64::from((latest as u16).wrapping_sub(number)));
            let Some(sent) = self.history.get_mut(sequence) else { continue };
            if sent.resent_at.is_some_and(|at| now < at + round_trip) {
                continue;
            }
            let payload_length = sent.header.len() - sent.rtp_header_length + sent.payload.len();
            if !self.budget.spend(sent.rtp_header_length + payload_length) {
                return;
            }
            sent.resent_at = Some(now);
            let payload_type = sent.header[1] & 0x7f;
            let rtx_payload_type =
                self.codecs.by_payload_type(payload_type).and_then(|codec| codec.rtx_payload_type);
            let again = match self.parameters.rtx_ssrc.zip(rtx_payload_type) {
                Some((ssrc, payload_type)) => {
                    let number = self.state.next_rtx_sequence;
                    self.state.next_rtx_sequence += 1;
                    wrap(now, sent, ssrc, payload_type, number as u16, &self.parameters)
                }
                // Without RTX the very same packet is sent again, to the byte.
                None => OutgoingPacket {
                    header: HeaderBytes::from_slice(&sent.header),
                    payload: sent.payload.clone(),
                    padding: sent.padding,
                    retransmission: true,
                },
            };
            self.statistics.packets_sent += 1;
            self.statistics.bytes_sent += payload_length as u64;
            self.statistics.header_bytes_sent += (again.len() - payload_length) as u64;
            self.statistics.retransmitted_packets_sent += 1;
            self.statistics.retransmitted_bytes_sent += payload_length as u64;
            out.push(again);
        }
    }
}

/// RFC 4588 §4: own SSRC, payload type and sequence number; timestamp and marker of the original; the original
/// sequence number before the payload.
fn wrap(
    now: Instant,
    sent: &SentPacket,
    ssrc: u32,
    payload_type: u8,
    number: u16,
    parameters: &SenderParameters,
) -> OutgoingPacket {
    let (rtp_header, payload_start) = sent.header.split_at(sent.rtp_header_length);
    let mut header = HeaderBytes::from_slice(rtp_header);
    // Without the padding: it is for packets that leave together.
    header[0] &= !PADDING_BIT;
    header[1] = rtp_header[1] & 0x80 | payload_type;
    header[2..4].copy_from_slice(&number.to_be_bytes());
    header[8..12].copy_from_slice(&ssrc.to_be_bytes());
    if let Some(at) = sent.written.rid {
        parameters.extensions.name_repaired(&mut header, at);
    }
    if let Some(at) = sent.written.absolute_send_time {
        header[at..at + 3].copy_from_slice(&parameters.clock.absolute_send_time_at(now).to_be_bytes()[1..]);
    }
    header.extend_from_slice(&(sent.sequence as u16).to_be_bytes());
    header.extend_from_slice(payload_start);
    OutgoingPacket { header, payload: sent.payload.clone(), padding: 0, retransmission: false }
}
