//! The few fields of RTP and RTCP that SRTP needs before anything is authenticated.
//!
//! Total: reads only after checking the length. Padding and extension contents are nobody's business
//! until the tag was checked.

use super::SrtpError;

/// Fixed part of the RTP header.
const RTP_FIXED_LENGTH: usize = 12;
/// RTCP header and sender SSRC: sent in clear (RFC 3711 §3.4).
pub(super) const RTCP_CLEAR_LENGTH: usize = 8;
/// The E bit and the 31-bit SRTCP index.
pub(super) const RTCP_INDEX_LENGTH: usize = 4;

/// What SRTP reads from an RTP header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RtpFields {
    pub(super) ssrc: u32,
    pub(super) sequence_number: u16,
    /// Length of header, CSRC list and extension: the part that stays in clear.
    pub(super) clear_length: usize,
}

/// Reads the fields of an RTP packet whose header must lie within `packet`.
pub(super) fn rtp_fields(packet: &[u8]) -> Result<RtpFields, SrtpError> {
    let fixed = packet.first_chunk::<RTP_FIXED_LENGTH>().ok_or(SrtpError::TooShort)?;
    if fixed[0] >> 6 != 2 {
        return Err(SrtpError::WrongVersion);
    }
    let mut clear_length = RTP_FIXED_LENGTH + 4 * usize::from(fixed[0] & 0x0f);
    if fixed[0] & 0x10 != 0 {
        // RFC 3550 §5.3.1: two bytes of profile data, then the length in words without these four bytes.
        let extension = packet.get(clear_length..clear_length + 4).ok_or(SrtpError::TooShort)?;
        clear_length += 4 + 4 * usize::from(u16::from_be_bytes([extension[2], extension[3]]));
    }
    if packet.len() < clear_length {
        return Err(SrtpError::TooShort);
    }
    Ok(RtpFields {
        ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
        sequence_number: u16::from_be_bytes([fixed[2], fixed[3]]),
        clear_length,
    })
}

/// The sender's SSRC of an RTCP packet.
pub(super) fn rtcp_ssrc(packet: &[u8]) -> Result<u32, SrtpError> {
    let clear = packet.first_chunk::<RTCP_CLEAR_LENGTH>().ok_or(SrtpError::TooShort)?;
    if clear[0] >> 6 != 2 {
        return Err(SrtpError::WrongVersion);
    }
    Ok(u32::from_be_bytes([clear[4], clear[5], clear[6], clear[7]]))
}
