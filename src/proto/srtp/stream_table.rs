//! Per-SSRC state of one direction, bounded.
//!
//! RFC 3711 §3.2.3: a context belongs to an SSRC. An entry is made only for a packet that is
//! authentic (inbound) or our own (outbound).

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::SrtpError;
use super::replay::ReplayWindow;
use crate::proto::prefetch::prefetch;

/// SSRCs per direction and session. Far above what one peer sends or receives (a 100-person room with
/// three simulcast layers and RTX is 800). When full, new SSRCs are refused: evicting an old one
/// would forget its indices, and with them the protection against replay and nonce reuse.
pub(super) const MAXIMUM_STREAMS: usize = 4096;

/// State of one SSRC.
#[derive(Debug, Clone)]
pub(super) struct Stream {
    /// Indices of RTP packets.
    pub(super) rtp: ReplayWindow,
    /// Indices of RTCP packets. Boxed: most SSRCs of a receiver never send one.
    pub(super) rtcp: Option<Box<ReplayWindow>>,
    /// The next SRTCP index to send.
    pub(super) next_rtcp_index: u32,
}

impl Stream {
    fn new() -> Self {
        Self { rtp: ReplayWindow::new(), rtcp: None, next_rtcp_index: 0 }
    }
}

#[derive(Debug, Default)]
pub(super) struct StreamTable {
    streams: Vec<(u32, Stream)>,
    positions: HashMap<u32, usize, BuildHasherDefault<SsrcHasher>>,
    /// Position of the stream that was asked for last: packets come in runs of one, and runs come in turn.
    recent: usize,
}

impl StreamTable {
    /// A packet comes soon, most likely of the stream that follows the one asked for last.
    pub(super) fn prefetch(&self) {
        let next = self.streams.get(self.recent + 1).or_else(|| self.streams.first());
        self.streams.get(self.recent).into_iter().chain(next).for_each(prefetch);
    }

    pub(super) fn find(&mut self, ssrc: u32) -> Option<&mut Stream> {
        let at = self.position(ssrc)?;
        self.streams.get_mut(at).map(|(_, stream)| stream)
    }

    fn position(&mut self, ssrc: u32) -> Option<usize> {
        let is_at = |at: usize| self.streams.get(at).is_some_and(|(known, _)| *known == ssrc);
        if !is_at(self.recent) {
            let next = if self.recent + 1 < self.streams.len() { self.recent + 1 } else { 0 };
            self.recent = if is_at(next) { next } else { *self.positions.get(&ssrc)? };
        }
        Some(self.recent)
    }

    /// The stream of `ssrc`, made if need be.
    pub(super) fn find_or_add(&mut self, ssrc: u32) -> Result<&mut Stream, SrtpError> {
        let at = match self.position(ssrc) {
            Some(at) => at,
            None if self.streams.len() >= MAXIMUM_STREAMS => return Err(SrtpError::TooManyStreams),
            None => {
                self.positions.insert(ssrc, self.streams.len());
                self.streams.push((ssrc, Stream::new()));
                self.streams.len() - 1
            }
        };
        Ok(&mut self.streams[at].1)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.streams.len()
    }
}

/// One multiplication instead of SipHash: keys are 32-bit, the table is small and bounded, and whoever
/// picks SSRCs to collide is authenticated and slows only itself.
#[derive(Default)]
pub(super) struct SsrcHasher(u64);

impl Hasher for SsrcHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u32(u32::from(byte));
        }
    }

    fn write_u32(&mut self, ssrc: u32) {
        // 2^64 divided by the golden ratio spreads the key over the high bits the table uses; the
        // rotation brings them to the low bits as well.
        self.0 = (self.0 ^ u64::from(ssrc)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    }
}
