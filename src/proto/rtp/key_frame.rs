//! Is this packet the first one of a key frame?
//!
//! Looked up in the first payload bytes; total, and a wrong guess by a hostile publisher costs only its own viewers.

use super::{CodecFamily, picture_index};

/// H.264 NAL unit types (RFC 6184 §5.2, table 1).
const SPS: u8 = 7;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;

/// True if decoding can start with this payload.
pub fn starts_key_frame(family: CodecFamily, payload: &[u8]) -> bool {
    match family {
        CodecFamily::Vp8 => vp8(payload).unwrap_or_default(),
        CodecFamily::Vp9 => vp9(payload).unwrap_or_default(),
        CodecFamily::H264 => h264(payload).unwrap_or_default(),
        CodecFamily::Av1 => av1(payload),
        CodecFamily::Opus | CodecFamily::Other => false,
    }
}

/// RFC 7741 §4.2 and §4.3: start of partition 0, and the inverse key frame flag is 0.
fn vp8(payload: &[u8]) -> Option<bool> {
    let length = picture_index::vp8_descriptor_length(payload)?;
    let starts_frame = payload.first()? & 0x17 == 0x10;
    Some(starts_frame && payload.get(length)? & 0x01 == 0)
}

/// RFC 9628 §4.2: not predicted from another picture, start of a frame, lowest spatial layer.
fn vp9(payload: &[u8]) -> Option<bool> {
    let flags = *payload.first()?;
    let (has_picture_id, is_predicted, has_layers, starts_frame) =
        (flags & 0x80 != 0, flags & 0x40 != 0, flags & 0x20 != 0, flags & 0x08 != 0);
    if is_predicted || !starts_frame {
        return Some(false);
    }
    let mut at = 1;
    if has_picture_id {
        at += if payload.get(1)? & 0x80 != 0 { 2 } else { 1 };
    }
    let spatial_layer = if has_layers { payload.get(at)? >> 1 & 0x07 } else { 0 };
    Some(spatial_layer == 0)
}

/// RFC 6184: a sequence parameter set, alone, first in an aggregate or at the start of fragments.
///
/// An IDR slice without one is not enough: after a switch the decoder needs the new source's parameter sets, and
/// they come right before the slice, so starting at the slice would lose them.
fn h264(payload: &[u8]) -> Option<bool> {
    match payload.first()? & 0x1f {
        SPS => Some(true),
        STAP_A => {
            let mut rest = &payload[1..];
            // RFC 6184 §5.7.1: 16-bit size, then the unit. Ends when a size overruns.
            while let Some((size, after)) = rest.split_first_chunk() {
                let (unit, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*size)))?;
                if unit.first().is_some_and(|header| header & 0x1f == SPS) {
                    return Some(true);
                }
                rest = after;
            }
            Some(false)
        }
        FU_A => payload.get(1).map(|header| header & 0x80 != 0 && header & 0x1f == SPS),
        _ => Some(false),
    }
}

/// AV1 RTP payload format §4.4: N is the first packet of a coded video sequence; Z must not be set then.
fn av1(payload: &[u8]) -> bool {
    payload.first().is_some_and(|header| header & 0x88 == 0x08)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn vp8_key_frame_is_partition_zero_with_the_flag_clear() {
        let starts = |payload: &[u8]| starts_key_frame(CodecFamily::Vp8, payload);
        assert!(starts(&[0x10, 0x30, 0, 0, 0x9d, 0x01, 0x2a]));
        assert!(starts(&[0x90, 0x80, 0x12, 0x30]), "7-bit picture id");
        assert!(starts(&[0x90, 0x80, 0x92, 0x34, 0x30]), "15-bit picture id");
        assert!(!starts(&[0x10, 0x31]), "inter frame");
        assert!(!starts(&[0x00, 0x30]), "continuation of a partition");
        assert!(!starts(&[0x11, 0x30]), "another partition");
        assert!(!starts(&[0x10]), "no frame");
    }

    #[test]
    fn vp9_key_frame_is_the_start_of_an_unpredicted_base_layer() {
        let starts = |payload: &[u8]| starts_key_frame(CodecFamily::Vp9, payload);
        assert!(starts(&[0x8c, 0x80, 0x01]));
        assert!(starts(&[0xa8, 0x01, 0x00, 0x00]), "spatial layer 0");
        assert!(!starts(&[0xa8, 0x01, 0x02, 0x00]), "spatial layer 1");
        assert!(!starts(&[0xcc, 0x01]), "predicted");
        assert!(!starts(&[0x84, 0x01]), "not the start");
        assert!(!starts(&[0xa8, 0x81, 0x00]), "layer byte is missing");
    }

    #[test]
    fn h264_key_frame_has_a_sequence_parameter_set() {
        let starts = |payload: &[u8]| starts_key_frame(CodecFamily::H264, payload);
        assert!(starts(&[0x67, 0x42]));
        assert!(starts(&[0x78, 0, 2, 0x09, 0xf0, 0, 2, 0x67, 0x42]));
        assert!(starts(&[0x7c, 0x87]));
        assert!(!starts(&[0x65, 0x88]), "IDR slice alone");
        assert!(!starts(&[0x7c, 0x07]), "not the first fragment");
        assert!(!starts(&[0x78, 0x00, 0x00, 0xf3]), "size overruns");
        assert!(!starts(&[0x41]));
    }

    #[test]
    fn av1_key_frame_starts_a_sequence() {
        let starts = |payload: &[u8]| starts_key_frame(CodecFamily::Av1, payload);
        assert!(starts(&[0x18, 0x0a]));
        assert!(!starts(&[0x10, 0x0a]));
        assert!(!starts(&[0x98, 0x0a]), "continuation");
    }

    proptest! {
        #[test]
        fn any_payload_is_answered(payload in proptest::collection::vec(any::<u8>(), 0..64)) {
            for family in [CodecFamily::Vp8, CodecFamily::Vp9, CodecFamily::H264, CodecFamily::Av1, CodecFamily::Opus] {
                let _ = starts_key_frame(family, &payload);
            }
        }
    }
}
