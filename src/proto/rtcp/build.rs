//! Writing compounds.

use bytes::Bytes;

/// One reception report block (RFC 3550 §6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReportBlock {
    /// The source this is about.
    pub ssrc: u32,
    /// Loss since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Lost in total, 24 bits signed.
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

/// Collects the packets of one compound.
#[derive(Debug, Default)]
pub struct CompoundBuilder {
    bytes: Vec<u8>,
}

impl CompoundBuilder {
    /// Empty.
    pub fn new() -> Self {
        Self::default()
    }

    /// The compound, or `None` if nothing was added.
    pub fn build(self) -> Option<Bytes> {
        (!self.bytes.is_empty()).then(|| self.bytes.into())
    }
}
