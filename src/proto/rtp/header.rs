//! The RTP header: a checked, zero-copy view (RFC 3550 §5.1, RFC 8285 §4).
//!
//! It is parsed before SRTP has authenticated the packet, so [`RtpHeader::parse`] is total: no input panics, no
//! loop runs longer than the input. Padding is part of the encrypted payload, so a header of a packet that is
//! still protected is parsed with [`RtpHeader::parse_protected`], which leaves the padding alone.

use std::ops::Range;

use smallvec::SmallVec;

/// The bytes of an outgoing header; no allocation up to 64 bytes.
pub type HeaderBytes = SmallVec<[u8; 64]>;

/// Length of the fixed part of the header.
const FIXED_LENGTH: usize = 12;

/// RFC 8285 §4.2: the profile value of one-byte extension elements.
const ONE_BYTE_PROFILE: u16 = 0xbede;

/// RFC 8285 §4.3: `0x100` and four application bits.
const TWO_BYTE_PROFILE: u16 = 0x1000;

/// Why bytes are not an RTP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RtpError {
    /// Shorter than the fixed header, the CSRC list or the extension it announces.
    #[error("the RTP packet ends within its header")]
    Truncated,
    /// The version is not 2.
    #[error("the RTP version is not 2")]
    Version,
    /// RFC 3550 §5.1: the padding count is 0 or larger than the payload.
    #[error("the RTP padding is empty or larger than the payload")]
    Padding,
}

/// A view of one RTP packet.
#[derive(Debug, Clone)]
pub struct RtpHeader<'a> {
    packet: &'a [u8],
    extension_profile: u16,
    extension: Range<usize>,
    payload: Range<usize>,
}

impl<'a> RtpHeader<'a> {
    /// Views a decrypted packet; the payload range excludes the padding.
    pub fn parse(packet: &'a [u8]) -> Result<Self, RtpError> {
        let mut header = Self::parse_protected(packet)?;
        if header.has_padding() {
            let padding = usize::from(packet[packet.len() - 1]);
            // RFC 3550 §5.1: the count includes itself, so it is at least 1.
            if padding == 0 || padding > header.payload.len() {
                return Err(RtpError::Padding);
            }
            header.payload.end -= padding;
        }
        Ok(header)
    }

    /// Views a packet whose payload is still encrypted; the payload range is all that follows the header.
    pub fn parse_protected(packet: &'a [u8]) -> Result<Self, RtpError> {
        if packet.len() < FIXED_LENGTH {
            return Err(RtpError::Truncated);
        }
        if packet[0] >> 6 != 2 {
            return Err(RtpError::Version);
        }
        let mut at = FIXED_LENGTH + 4 * usize::from(packet[0] & 0x0f);
        let mut extension_profile = 0;
        let mut extension = at..at;
        if packet[0] & 0x10 != 0 {
            let Some(word) = packet.get(at..at + 4) else { return Err(RtpError::Truncated) };
            extension_profile = u16::from_be_bytes([word[0], word[1]]);
            let start = at + 4;
            at = start + 4 * usize::from(u16::from_be_bytes([word[2], word[3]]));
            extension = start..at;
        }
        if at > packet.len() {
            return Err(RtpError::Truncated);
        }
        Ok(Self { packet, extension_profile, extension, payload: at..packet.len() })
    }

    /// The P bit.
    pub fn has_padding(&self) -> bool {
        self.packet[0] & 0x20 != 0
    }

    /// The M bit.
    pub fn marker(&self) -> bool {
        self.packet[1] & 0x80 != 0
    }

    /// The payload type, 0–127.
    pub fn payload_type(&self) -> u8 {
        self.packet[1] & 0x7f
    }

    /// The 16-bit sequence number.
    pub fn sequence_number(&self) -> u16 {
        u16::from_be_bytes([self.packet[2], self.packet[3]])
    }

    /// The RTP timestamp.
    pub fn timestamp(&self) -> u32 {
        self.word(4)
    }

    /// The synchronisation source.
    pub fn ssrc(&self) -> u32 {
        self.word(8)
    }

    /// The contributing sources, at most 15.
    pub fn csrcs(&self) -> impl Iterator<Item = u32> + '_ {
        (0..usize::from(self.packet[0] & 0x0f)).map(|index| self.word(FIXED_LENGTH + 4 * index))
    }

    /// The extension elements (RFC 8285); empty without extension or with an unknown profile.
    pub fn extensions(&self) -> ExtensionElements<'a> {
        let form = match self.extension_profile {
            ONE_BYTE_PROFILE => Form::OneByte,
            profile if profile & 0xfff0 == TWO_BYTE_PROFILE => Form::TwoByte,
            _ => return ExtensionElements { form: Form::OneByte, rest: &[] },
        };
        ExtensionElements { form, rest: &self.packet[self.extension.clone()] }
    }

    /// Where the payload is within the packet; everything before it is the header.
    pub fn payload_range(&self) -> Range<usize> {
        self.payload.clone()
    }

    /// The payload without padding (with it after [`RtpHeader::parse_protected`]).
    pub fn payload(&self) -> &'a [u8] {
        &self.packet[self.payload.clone()]
    }

    fn word(&self, at: usize) -> u32 {
        u32::from_be_bytes([self.packet[at], self.packet[at + 1], self.packet[at + 2], self.packet[at + 3]])
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    OneByte,
    TwoByte,
}

/// Iterates over `(id, value)` of the extension elements; stops for good at the first malformed one.
#[derive(Debug, Clone)]
pub struct ExtensionElements<'a> {
    form: Form,
    rest: &'a [u8],
}

impl<'a> ExtensionElements<'a> {
    fn stop(&mut self) -> Option<(u8, &'a [u8])> {
        self.rest = &[];
        None
    }
}

impl<'a> Iterator for ExtensionElements<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (first, rest) = self.rest.split_first()?;
            // RFC 8285 §4.1: a zero byte is padding.
            if *first == 0 {
                self.rest = rest;
                continue;
            }
            let (id, length, rest) = match self.form {
                // RFC 8285 §4.2: id 15 ends the processing; so does id 0 with a length other than 0.
                Form::OneByte if first >> 4 == 15 || first >> 4 == 0 => return self.stop(),
                Form::OneByte => (first >> 4, usize::from(first & 0x0f) + 1, rest),
                Form::TwoByte => {
                    let Some((length, rest)) = rest.split_first() else { return self.stop() };
                    (*first, usize::from(*length), rest)
                }
            };
            let Some((value, rest)) = rest.split_at_checked(length) else { return self.stop() };
            self.rest = rest;
            return Some((id, value));
        }
    }
}

#[cfg(test)]
mod tests;
