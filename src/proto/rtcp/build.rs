//! Writing compounds, on the types of the `rtcp` crate (SDES and BYE excepted).
//!
//! That crate writes what it is given; the bounds of the formats (31 blocks, 24 bits, 255 bytes of CNAME) are kept
//! here, so that its error path is never taken.

use bytes::Bytes;
use rtcp::payload_feedbacks::full_intra_request::{FirEntry, FullIntraRequest};
use rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtcp::payload_feedbacks::receiver_estimated_maximum_bitrate::ReceiverEstimatedMaximumBitrate;
use rtcp::receiver_report::ReceiverReport;
use rtcp::reception_report::ReceptionReport;
use rtcp::sender_report::SenderReport;
use rtcp::transport_feedbacks::transport_layer_nack::{NackPair, TransportLayerNack};
use webrtc_util::marshal::Marshal;

use super::{MaximumBitrateEntry, NtpTime};

/// RFC 3550 §6.4.1: the count has five bits.
pub const REPORT_BLOCKS_MAX: usize = 31;

/// RFC 3550 §6.5: the length of an item has eight bits.
const CNAME_LENGTH_MAX: usize = 255;

/// NACK entries per message: together with a report the compound stays below a datagram. (The `rtcp` crate writes
/// at most 253.)
pub const NACK_ENTRIES_MAX: usize = 240;

/// One reception report block (RFC 3550 §6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReportBlock {
    /// The source this is about.
    pub ssrc: u32,
    /// Loss since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Lost in total, 24 bits signed; saturates.
    pub cumulative_lost: i32,
    /// Cycles and highest sequence number received.
    pub extended_highest_sequence_number: u32,
    /// Interarrival jitter in timestamp units.
    pub jitter: u32,
    /// Middle 32 bits of the NTP time of the last SR, or 0.
    pub last_sender_report: u32,
    /// Delay since then in 1/65536 s.
    pub delay_since_last_sender_report: u32,
}

impl From<ReportBlock> for ReceptionReport {
    fn from(block: ReportBlock) -> Self {
        Self {
            ssrc: block.ssrc,
            fraction_lost: block.fraction_lost,
            // RFC 3550 A.3: clamped to 24 bits, two's complement.
            total_lost: block.cumulative_lost.clamp(-0x80_0000, 0x7f_ffff) as u32 & 0xff_ffff,
            last_sequence_number: block.extended_highest_sequence_number,
            jitter: block.jitter,
            last_sender_report: block.last_sender_report,
            delay: block.delay_since_last_sender_report,
        }
    }
}

/// Collects the packets of one compound. RFC 3550 §6.1: a report first, then SDES, then the rest; the caller keeps
/// that order.
#[derive(Debug, Default)]
pub struct CompoundBuilder {
    bytes: Vec<u8>,
}

impl CompoundBuilder {
    /// Empty.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// True if nothing was added.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Adds an SR without report blocks: reports on reception come from the receivers.
    pub fn sender_report(
        &mut self,
        ssrc: u32,
        ntp: NtpTime,
        rtp_timestamp: u32,
        packet_count: u32,
        octet_count: u32,
    ) -> &mut Self {
        self.add(&SenderReport {
            ssrc,
            ntp_time: ntp.0,
            rtp_time: rtp_timestamp,
            packet_count,
            octet_count,
            ..SenderReport::default()
        })
    }

    /// Adds an RR; blocks beyond the 31st are left out.
    pub fn receiver_report(&mut self, ssrc: u32, blocks: impl IntoIterator<Item = ReportBlock>) -> &mut Self {
        let reports = blocks.into_iter().take(REPORT_BLOCKS_MAX).map(ReceptionReport::from).collect();
        self.add(&ReceiverReport { ssrc, reports, ..ReceiverReport::default() })
    }

    /// Adds an SDES with a CNAME, cut to 255 bytes.
    pub fn cname(&mut self, ssrc: u32, cname: &str) -> &mut Self {
        // Not by the `rtcp` crate: it ends a chunk with a padding count where RFC 3550 §6.5 wants null
        // octets, and strict peers (aiortc) then drop the whole compound.
        const VERSION_AND_ONE_CHUNK: u8 = 0x81;
        const SDES: u8 = 202;
        const CNAME: u8 = 1;
        let text = &cname.as_bytes()[..cname.len().min(CNAME_LENGTH_MAX)];
        // SSRC, type and length, text, and at least one null octet.
        let chunk_words = (4 + 2 + text.len() + 1).div_ceil(4);
        let end = self.bytes.len() + 4 + 4 * chunk_words;
        self.bytes.extend_from_slice(&[VERSION_AND_ONE_CHUNK, SDES, 0, chunk_words as u8]);
        self.bytes.extend_from_slice(&ssrc.to_be_bytes());
        self.bytes.extend_from_slice(&[CNAME, text.len() as u8]);
        self.bytes.extend_from_slice(text);
        self.bytes.resize(end, 0);
        self
    }

    /// Adds a BYE for at most 31 sources.
    pub fn goodbye(&mut self, ssrcs: impl IntoIterator<Item = u32>) -> &mut Self {
        // Not by the `rtcp` crate either: it adds an empty reason and marks three octets after it as padding, a
        // length that RFC 3550 §6.4.1 does not allow.
        const VERSION: u8 = 0x80;
        const BYE: u8 = 203;
        let sources: Vec<u32> = ssrcs.into_iter().take(REPORT_BLOCKS_MAX).collect();
        let count = sources.len() as u8;
        self.bytes.extend_from_slice(&[VERSION | count, BYE, 0, count]);
        self.bytes.extend(sources.iter().flat_map(|ssrc| ssrc.to_be_bytes()));
        self
    }

    /// Adds a NACK for sequence numbers in ascending order (modulo 2^16); what does not fit is left for the next
    /// message. Adds nothing for no numbers.
    pub fn nack(
        &mut self,
        sender_ssrc: u32,
        media_ssrc: u32,
        sequence_numbers: impl IntoIterator<Item = u16>,
    ) -> &mut Self {
        let mut nacks: Vec<NackPair> = Vec::new();
        for number in sequence_numbers {
            // RFC 4585 §6.2.1: bit i of the mask is the packet i + 1 after the first; arithmetic modulo 2^16.
            let is_full = nacks.len() == NACK_ENTRIES_MAX;
            match nacks.last_mut() {
                Some(last) if (1..=16).contains(&number.wrapping_sub(last.packet_id)) => {
                    last.lost_packets |= 1 << (number.wrapping_sub(last.packet_id) - 1);
                }
                Some(last) if last.packet_id == number => {}
                _ if is_full => break,
                _ => nacks.push(NackPair { packet_id: number, lost_packets: 0 }),
            }
        }
        if nacks.is_empty() {
            return self;
        }
        self.add(&TransportLayerNack { sender_ssrc, media_ssrc, nacks })
    }

    /// Adds a PLI.
    pub fn picture_loss_indication(&mut self, sender_ssrc: u32, media_ssrc: u32) -> &mut Self {
        self.add(&PictureLossIndication { sender_ssrc, media_ssrc })
    }

    /// Adds a FIR. RFC 5104 §4.3.1.2: the media source in the header is 0.
    pub fn full_intra_request(
        &mut self,
        sender_ssrc: u32,
        media_ssrc: u32,
        sequence_number: u8,
    ) -> &mut Self {
        let fir = vec![FirEntry { ssrc: media_ssrc, sequence_number }];
        self.add(&FullIntraRequest { sender_ssrc, media_ssrc: 0, fir })
    }

    /// Adds a REMB for at most 31 sources.
    pub fn receiver_estimated_maximum_bitrate(
        &mut self,
        sender_ssrc: u32,
        bitrate: u64,
        ssrcs: impl IntoIterator<Item = u32>,
    ) -> &mut Self {
        let ssrcs = ssrcs.into_iter().take(REPORT_BLOCKS_MAX).collect();
        self.add(&ReceiverEstimatedMaximumBitrate { sender_ssrc, bitrate: bitrate as f32, ssrcs })
    }

    /// Adds a TMMBN with one entry (RFC 5104 §4.2.2): the limit that is followed, and who asked for it.
    pub fn temporary_maximum_bitrate_notification(
        &mut self,
        sender_ssrc: u32,
        entry: MaximumBitrateEntry,
    ) -> &mut Self {
        // The `rtcp` crate has no such packet.
        const VERSION_AND_FORMAT: u8 = 0x84;
        const TRANSPORT_FEEDBACK: u8 = 205;
        self.bytes.extend_from_slice(&[VERSION_AND_FORMAT, TRANSPORT_FEEDBACK, 0, 4]);
        self.bytes.extend_from_slice(&sender_ssrc.to_be_bytes());
        // RFC 5104 §4.2.2.1: no media source.
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&entry.to_bytes());
        self
    }

    /// The compound, or `None` if nothing was added.
    pub fn build(&mut self) -> Option<Bytes> {
        let bytes = std::mem::take(&mut self.bytes);
        (!bytes.is_empty()).then(|| bytes.into())
    }

    fn add(&mut self, packet: &impl Marshal) -> &mut Self {
        // The bounds above rule errors out; should the crate find another one, this packet is left out.
        if let Ok(bytes) = packet.marshal() {
            self.bytes.extend_from_slice(&bytes);
        }
        self
    }
}
