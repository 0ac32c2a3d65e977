//! Splitting a compound into its packets (RFC 3550 §6.1, RFC 5506).
//!
//! Invariants: every length is checked before use; work is linear in the datagram; a sub-packet that is unknown or
//! malformed is reported as such and does not hide its neighbours.

use super::{
    FullIntraRequest, Goodbye, Nack, NtpTime, PictureLossIndication, ReceiverEstimatedMaximumBitrate,
    ReceiverReport, SenderReport, SourceDescription, TemporaryMaximumBitrateRequest,
};

/// RFC 3550 §12.1 and RFC 4585 §6.1: packet types.
pub(super) const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const GOODBYE: u8 = 203;
const TRANSPORT_FEEDBACK: u8 = 205;
const PAYLOAD_FEEDBACK: u8 = 206;

/// RFC 4585 §6.2 and §6.3, RFC 5104 §4.2 and §4.3: feedback message types.
const GENERIC_NACK: u8 = 1;
const MAXIMUM_BITRATE_REQUEST: u8 = 3;
const TRANSPORT_WIDE_CONGESTION_CONTROL: u8 = 15;
const PICTURE_LOSS_INDICATION: u8 = 1;
const FULL_INTRA_REQUEST: u8 = 4;
const APPLICATION_LAYER: u8 = 15;

/// Length of one report block.
const BLOCK_LENGTH: usize = 24;

/// One RTCP packet within a compound: a view into it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum RtcpPacket<'a> {
    /// SR, RFC 3550 §6.4.1.
    SenderReport(SenderReport<'a>),
    /// RR, RFC 3550 §6.4.2.
    ReceiverReport(ReceiverReport<'a>),
    /// SDES, RFC 3550 §6.5.
    SourceDescription(SourceDescription<'a>),
    /// BYE, RFC 3550 §6.6.
    Goodbye(Goodbye<'a>),
    /// Generic NACK, RFC 4585 §6.2.1.
    Nack(Nack<'a>),
    /// PLI, RFC 4585 §6.3.1.
    PictureLossIndication(PictureLossIndication),
    /// FIR, RFC 5104 §4.3.1.
    FullIntraRequest(FullIntraRequest<'a>),
    /// TMMBR, RFC 5104 §4.2.1.
    TemporaryMaximumBitrateRequest(TemporaryMaximumBitrateRequest<'a>),
    /// REMB.
    ReceiverEstimatedMaximumBitrate(ReceiverEstimatedMaximumBitrate<'a>),
    /// Transport-wide congestion control feedback, not decoded: what follows the packet's first word.
    TransportFeedback(&'a [u8]),
    /// Anything else (RFC 8834 §8: ignored), with its packet type, also what was malformed.
    Unknown(u8),
}

/// Iterates over the packets of a compound. Ends at the first length that does not fit.
#[derive(Debug, Clone)]
pub struct Compound<'a> {
    rest: &'a [u8],
}

impl<'a> Compound<'a> {
    /// Views a decrypted RTCP datagram, compound or reduced-size.
    pub fn parse(datagram: &'a [u8]) -> Self {
        Self { rest: datagram }
    }
}

impl<'a> Iterator for Compound<'a> {
    type Item = RtcpPacket<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let (header, rest) = std::mem::take(&mut self.rest).split_first_chunk::<4>()?;
        // RFC 3550 §6.4.1: version 2. Without it the length cannot be trusted either.
        if header[0] >> 6 != 2 {
            return None;
        }
        let length = 4 * usize::from(u16::from_be_bytes([header[2], header[3]]));
        let (body, rest) = rest.split_at_checked(length)?;
        self.rest = rest;
        let (count, packet_type) = (header[0] & 0x1f, header[1]);
        let body = if header[0] & 0x20 == 0 { Some(body) } else { without_padding(body) };
        let packet = body.and_then(|body| parse_body(packet_type, count, body));
        Some(packet.unwrap_or(RtcpPacket::Unknown(packet_type)))
    }
}

/// RFC 3550 §6.4.1: the last byte counts the padding, itself included.
fn without_padding(body: &[u8]) -> Option<&[u8]> {
    let padding = usize::from(*body.last()?);
    if padding == 0 {
        return None;
    }
    body.get(..body.len().checked_sub(padding)?)
}

fn parse_body(packet_type: u8, count: u8, body: &[u8]) -> Option<RtcpPacket<'_>> {
    match packet_type {
        SENDER_REPORT => sender_report(count, body).map(RtcpPacket::SenderReport),
        RECEIVER_REPORT => {
            let (ssrc, rest) = split_word(body)?;
            let blocks = rest.get(..usize::from(count) * BLOCK_LENGTH)?;
            Some(RtcpPacket::ReceiverReport(ReceiverReport { ssrc, blocks }))
        }
        SOURCE_DESCRIPTION => Some(RtcpPacket::SourceDescription(SourceDescription { chunks: body, count })),
        GOODBYE => Some(RtcpPacket::Goodbye(Goodbye { ssrcs: body.get(..4 * usize::from(count))? })),
        TRANSPORT_FEEDBACK if count == TRANSPORT_WIDE_CONGESTION_CONTROL => {
            Some(RtcpPacket::TransportFeedback(body))
        }
        TRANSPORT_FEEDBACK | PAYLOAD_FEEDBACK => feedback(packet_type, count, body),
        _ => None,
    }
}

fn sender_report(count: u8, body: &[u8]) -> Option<SenderReport<'_>> {
    let (ssrc, rest) = split_word(body)?;
    let (ntp_seconds, rest) = split_word(rest)?;
    let (ntp_fraction, rest) = split_word(rest)?;
    let (rtp_timestamp, rest) = split_word(rest)?;
    let (packet_count, rest) = split_word(rest)?;
    let (octet_count, rest) = split_word(rest)?;
    let ntp = NtpTime(u64::from(ntp_seconds) << 32 | u64::from(ntp_fraction));
    let blocks = rest.get(..usize::from(count) * BLOCK_LENGTH)?;
    Some(SenderReport { ssrc, ntp, rtp_timestamp, packet_count, octet_count, blocks })
}

/// RFC 4585 §6.1: SSRC of the sender, SSRC of the media source, feedback control information.
fn feedback(packet_type: u8, format: u8, body: &[u8]) -> Option<RtcpPacket<'_>> {
    let (sender_ssrc, rest) = split_word(body)?;
    let (media_ssrc, information) = split_word(rest)?;
    match (packet_type, format) {
        (TRANSPORT_FEEDBACK, GENERIC_NACK) => {
            Some(RtcpPacket::Nack(Nack { sender_ssrc, media_ssrc, entries: information }))
        }
        (TRANSPORT_FEEDBACK, MAXIMUM_BITRATE_REQUEST) => {
            let request = TemporaryMaximumBitrateRequest { sender_ssrc, entries: information };
            Some(RtcpPacket::TemporaryMaximumBitrateRequest(request))
        }
        (PAYLOAD_FEEDBACK, PICTURE_LOSS_INDICATION) => {
            Some(RtcpPacket::PictureLossIndication(PictureLossIndication { sender_ssrc, media_ssrc }))
        }
        (PAYLOAD_FEEDBACK, FULL_INTRA_REQUEST) => {
            Some(RtcpPacket::FullIntraRequest(FullIntraRequest { sender_ssrc, entries: information }))
        }
        (PAYLOAD_FEEDBACK, APPLICATION_LAYER) => {
            let remb = ReceiverEstimatedMaximumBitrate::parse(sender_ssrc, information)?;
            Some(RtcpPacket::ReceiverEstimatedMaximumBitrate(remb))
        }
        _ => None,
    }
}

pub(super) fn split_word(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (word, rest) = bytes.split_first_chunk()?;
    Some((u32::from_be_bytes(*word), rest))
}
