//! Answering NACKs from the history (RFC 4585 §6.2.1, RFC 4588).
//!
//! Each packet is sent again at most once per round trip, and all retransmissions together have a budget: a hostile
//! or broken receiver cannot multiply its own traffic.

use std::time::{Duration, Instant};

use super::codecs::Codec;
use super::history::Origin;
use super::{Composed, OutgoingPacket, PADDING_BIT, Sender};
use crate::proto::rtcp::Nack;
use crate::proto::rtp::HeaderBytes;
use crate::proto::rtp::picture_index::PictureIndex;

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
            let Some(origin) = self.history.find(sequence, now, round_trip) else { continue };
            let Some(codec) = self.codecs.find(origin.lot.packets[origin.index].codec) else { continue };
            let again = self.compose_again(now, &origin, codec);
            let payload_length = again.header.len() - again.rtp_header_length + again.payload.len();
            if !self.budget.spend(again.rtp_header_length + payload_length) {
                return;
            }
            self.history.mark_resent(sequence, now);
            let again = match self.rtx_of(codec) {
                Some((ssrc, payload_type)) => self.wrap(again, ssrc, payload_type),
                // Without RTX the very same packet is sent again, to the byte.
                None => {
                    let Composed { header, payload, padding, .. } = again;
                    OutgoingPacket { header, payload, padding, retransmission: true }
                }
            };
            self.statistics.packets_sent += 1;
            self.statistics.bytes_sent += payload_length as u64;
            self.statistics.header_bytes_sent += (again.len() - payload_length) as u64;
            self.statistics.retransmitted_packets_sent += 1;
            self.statistics.retransmitted_bytes_sent += payload_length as u64;
            out.push(again);
        }
    }
    /// The SSRC and the payload type of retransmissions of this codec (RFC 4588).
    fn rtx_of(&self, codec: Codec) -> Option<(u32, u8)> {
        self.parameters.rtx_ssrc.zip(codec.rtx_payload_type)
    }

    /// What was sent, to the byte; where it gets a number of its own, with the time of now.
    fn compose_again(&mut self, now: Instant, origin: &Origin, codec: Codec) -> Composed {
        let packet = &origin.lot.packets[origin.index];
        let picture = PictureIndex::find(codec.family, &packet.payload);
        let send_time = if self.rtx_of(codec).is_some() { self.send_time_at(now) } else { origin.send_time };
        self.compose(&origin.lot, origin.index, codec, picture, origin.shift, send_time)
    }

    /// RFC 4588 §4: own SSRC, payload type and sequence number; timestamp and marker of the original; the original
    /// sequence number before the payload.
    fn wrap(&mut self, original: Composed, ssrc: u32, payload_type: u8) -> OutgoingPacket {
        let number = self.state.next_rtx_sequence as u16;
        self.state.next_rtx_sequence += 1;
        let (rtp_header, payload_start) = original.header.split_at(original.rtp_header_length);
        let mut header = HeaderBytes::from_slice(rtp_header);
        // Without the padding: it is for packets that leave together.
        header[0] &= !PADDING_BIT;
        header[1] = rtp_header[1] & 0x80 | payload_type;
        header[2..4].copy_from_slice(&number.to_be_bytes());
        header[8..12].copy_from_slice(&ssrc.to_be_bytes());
        if let Some(at) = original.written.rid {
            self.parameters.extensions.name_repaired(&mut header, at);
        }
        header.extend_from_slice(&rtp_header[2..4]);
        header.extend_from_slice(payload_start);
        OutgoingPacket { header, payload: original.payload, padding: 0, retransmission: false }
    }
}
