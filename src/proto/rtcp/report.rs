//! Reports, source descriptions and goodbyes (RFC 3550 §6.4–6.6).

use super::compound::split_word;
use super::feedback::words;
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
        let (ssrc, rest) = split_word(self.rest)?;
        let (loss, rest) = split_word(rest)?;
        let (extended_highest_sequence_number, rest) = split_word(rest)?;
        let (jitter, rest) = split_word(rest)?;
        let (last_sender_report, rest) = split_word(rest)?;
        let (delay_since_last_sender_report, rest) = split_word(rest)?;
        self.rest = rest;
        Some(ReportBlock {
            ssrc,
            fraction_lost: (loss >> 24) as u8,
            // 24 bits, signed.
            cumulative_lost: ((loss << 8) as i32) >> 8,
            extended_highest_sequence_number,
            jitter,
            last_sender_report,
            delay_since_last_sender_report,
        })
    }
}

/// SDES (RFC 3550 §6.5).
#[derive(Debug, Clone, Copy)]
pub struct SourceDescription<'a> {
    pub(super) chunks: &'a [u8],
    pub(super) count: u8,
}

/// RFC 3550 §6.5.1.
const CNAME: u8 = 1;

impl<'a> SourceDescription<'a> {
    /// The CNAME of each source that states one; ends at the first chunk that overruns.
    pub fn cnames(&self) -> impl Iterator<Item = (u32, &'a [u8])> + use<'a> {
        let mut rest = self.chunks;
        (0..self.count)
            .map_while(move |_| {
                let (ssrc, items) = split_word(rest)?;
                let (cname, length) = chunk_items(items)?;
                // §6.5: the items end with a zero byte, padded to the next word.
                rest = items.get((length + 1).next_multiple_of(4)..).unwrap_or_default();
                Some(cname.map(|cname| (ssrc, cname)))
            })
            .flatten()
    }
}

/// The CNAME among the items of a chunk, and the length of the items.
fn chunk_items(items: &[u8]) -> Option<(Option<&[u8]>, usize)> {
    let mut cname = None;
    let mut at = 0;
    loop {
        let kind = *items.get(at)?;
        if kind == 0 {
            return Some((cname, at));
        }
        let length = usize::from(*items.get(at + 1)?);
        let text = items.get(at + 2..at + 2 + length)?;
        if kind == CNAME {
            cname = Some(text);
        }
        at += 2 + length;
    }
}

/// BYE (RFC 3550 §6.6).
#[derive(Debug, Clone, Copy)]
pub struct Goodbye<'a> {
    pub(super) ssrcs: &'a [u8],
}

impl<'a> Goodbye<'a> {
    /// The sources that left.
    pub fn ssrcs(&self) -> impl Iterator<Item = u32> + use<'a> {
        words(self.ssrcs)
    }
}
