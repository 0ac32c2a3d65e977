//! Feedback messages: NACK, PLI, FIR, REMB (RFC 4585 §6, RFC 5104 §4.3.1).
//!
//! The entries are raw bytes; a trailing part that is not a whole entry is ignored.

use super::compound::split_word;

/// Generic NACK (RFC 4585 §6.2.1).
#[derive(Debug, Clone, Copy)]
pub struct Nack<'a> {
    /// Who asks.
    pub sender_ssrc: u32,
    /// Whose packets are missing.
    pub media_ssrc: u32,
    pub(super) entries: &'a [u8],
}

impl<'a> Nack<'a> {
    /// The missing sequence numbers in the order of the message; wraps at 65535.
    pub fn sequence_numbers(&self) -> impl Iterator<Item = u16> + use<'a> {
        self.entries.chunks_exact(4).flat_map(|entry| {
            let first = u16::from_be_bytes([entry[0], entry[1]]);
            let following = u32::from(u16::from_be_bytes([entry[2], entry[3]]));
            // Bit 0 is the first packet itself, bit i the one i later.
            let missing = following << 1 | 1;
            (0..17).filter(move |bit| missing >> bit & 1 == 1).map(move |bit| first.wrapping_add(bit))
        })
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

impl<'a> FullIntraRequest<'a> {
    /// The entries.
    pub fn entries(&self) -> impl Iterator<Item = FullIntraRequestEntry> + use<'a> {
        self.entries.chunks_exact(8).map(|entry| FullIntraRequestEntry {
            ssrc: u32::from_be_bytes([entry[0], entry[1], entry[2], entry[3]]),
            sequence_number: entry[4],
        })
    }
}

/// Temporary maximum media stream bit rate request (RFC 5104 §4.2.1).
#[derive(Debug, Clone, Copy)]
pub struct TemporaryMaximumBitrateRequest<'a> {
    /// Who asks.
    pub sender_ssrc: u32,
    pub(super) entries: &'a [u8],
}

/// One limit of a TMMBR or TMMBN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaximumBitrateEntry {
    /// In a request, whose media is to be limited; in a notification, who asked.
    pub ssrc: u32,
    /// Bits per second, headers included; saturates.
    pub bitrate: u64,
    /// Measured overhead in bytes per packet.
    pub overhead: u16,
}

impl<'a> TemporaryMaximumBitrateRequest<'a> {
    /// The entries.
    pub fn entries(&self) -> impl Iterator<Item = MaximumBitrateEntry> + use<'a> {
        self.entries.chunks_exact(8).map(|entry| {
            let word = u32::from_be_bytes([entry[4], entry[5], entry[6], entry[7]]);
            // Six bits of exponent, 17 of mantissa, nine of overhead.
            let (exponent, mantissa) = (word >> 26, u64::from(word >> 9 & 0x1_ffff));
            MaximumBitrateEntry {
                ssrc: u32::from_be_bytes([entry[0], entry[1], entry[2], entry[3]]),
                bitrate: shifted(mantissa, exponent),
                overhead: (word & 0x1ff) as u16,
            }
        })
    }
}

impl MaximumBitrateEntry {
    /// The eight bytes of an entry; the bit rate is rounded down to 17 significant bits.
    pub(super) fn to_bytes(self) -> [u8; 8] {
        let exponent = (u64::BITS - self.bitrate.leading_zeros()).saturating_sub(17);
        let mantissa = (self.bitrate >> exponent) as u32;
        let word = exponent << 26 | mantissa << 9 | u32::from(self.overhead & 0x1ff);
        let [s0, s1, s2, s3] = self.ssrc.to_be_bytes();
        let [w0, w1, w2, w3] = word.to_be_bytes();
        [s0, s1, s2, s3, w0, w1, w2, w3]
    }
}

/// `mantissa · 2^exponent`, or the largest number there is.
fn shifted(mantissa: u64, exponent: u32) -> u64 {
    if mantissa == 0 {
        0
    } else if mantissa.leading_zeros() < exponent {
        u64::MAX
    } else {
        mantissa << exponent
    }
}

/// REMB (draft-alvestrand-rmcat-remb §2.2).
#[derive(Debug, Clone, Copy)]
pub struct ReceiverEstimatedMaximumBitrate<'a> {
    /// Who estimates.
    pub sender_ssrc: u32,
    /// Bits per second; saturates.
    pub bitrate: u64,
    ssrcs: &'a [u8],
}

impl<'a> ReceiverEstimatedMaximumBitrate<'a> {
    pub(super) fn parse(sender_ssrc: u32, information: &'a [u8]) -> Option<Self> {
        let (word, rest) = split_word(information.strip_prefix(b"REMB")?)?;
        let (count, exponent, mantissa) = (word >> 24, word >> 18 & 0x3f, u64::from(word & 0x3_ffff));
        let bitrate = shifted(mantissa, exponent);
        let ssrcs = rest.get(..4 * count as usize)?;
        Some(Self { sender_ssrc, bitrate, ssrcs })
    }

    /// The sources the estimate is about.
    pub fn ssrcs(&self) -> impl Iterator<Item = u32> + use<'a> {
        words(self.ssrcs)
    }
}

pub(super) fn words(bytes: &[u8]) -> impl Iterator<Item = u32> + '_ {
    bytes.chunks_exact(4).map(|word| u32::from_be_bytes([word[0], word[1], word[2], word[3]]))
}
