//! The decoded values of the header extensions of one packet.

use smallvec::SmallVec;

use super::{Mid, Rid};

/// RFC 6464: the level of the audio in this packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioLevel {
    /// The sender believes that this is speech; meaningful only when `vad=on`.
    pub voice: bool,
    /// In −dBov: 0 is the loudest, 127 is silence.
    pub level: u8,
}

/// When the media was captured, by the capturer's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbsoluteCaptureTime {
    /// NTP timestamp, 32.32 bits.
    pub timestamp: u64,
    /// Estimated offset of the capturer's clock to the sender's, 32.32 bits.
    pub clock_offset: Option<i64>,
}

/// Header extensions with their meaning. Transport-level ones (`abs-send-time`, transport sequence number) and
/// names (`mid`, `rid`) belong to one leg and are written anew by each sender; the others are forwarded.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Extensions {
    /// `sdes:mid`.
    pub mid: Option<Mid>,
    /// `sdes:rtp-stream-id`.
    pub rid: Option<Rid>,
    /// `sdes:repaired-rtp-stream-id`.
    pub repaired_rid: Option<Rid>,
    /// A `mid` or `rid` was present but no legal value: the packet must not be guessed into a section.
    pub unknown_name: bool,
    /// `abs-send-time`, 6.18 bits of seconds.
    pub absolute_send_time: Option<u32>,
    /// The transport-wide sequence number.
    pub transport_sequence_number: Option<u16>,
    /// RFC 6464.
    pub audio_level: Option<AudioLevel>,
    /// `toffset` (RFC 5450).
    pub transmission_offset: Option<i32>,
    /// Coordination of video orientation (3GPP TS 26.114).
    pub video_orientation: Option<u8>,
    /// `playout-delay`: minimum and maximum, 12 bits each.
    pub playout_delay: Option<[u8; 3]>,
    /// `abs-capture-time`.
    pub absolute_capture_time: Option<AbsoluteCaptureTime>,
    /// `video-content-type`.
    pub video_content_type: Option<u8>,
    /// `video-timing`.
    pub video_timing: Option<[u8; 13]>,
    /// `color-space`, 4 or 28 bytes.
    pub color_space: Option<SmallVec<[u8; 16]>>,
    /// The AV1 dependency descriptor.
    pub dependency_descriptor: Option<SmallVec<[u8; 16]>>,
}

impl Extensions {
    /// True if nothing here is forwarded: only names and transport values, which belong to one leg.
    pub fn forwards_nothing(&self) -> bool {
        self.audio_level.is_none()
            && self.video_orientation.is_none()
            && self.playout_delay.is_none()
            && self.absolute_capture_time.is_none()
            && self.video_content_type.is_none()
            && self.video_timing.is_none()
            && self.color_space.is_none()
            && self.dependency_descriptor.is_none()
    }

    /// The frame number of the dependency descriptor: bits 8–23 of its mandatory part.
    pub fn frame_number(&self) -> Option<u16> {
        let descriptor = self.dependency_descriptor.as_ref()?;
        Some(u16::from_be_bytes([*descriptor.get(1)?, *descriptor.get(2)?]))
    }

    /// Notes that a name was there but not legal.
    pub(super) fn checked<T>(&mut self, name: Option<T>) -> Option<T> {
        self.unknown_name |= name.is_none();
        name
    }
}

/// The header extension values that belong to the leg on which a packet is sent, not to the media.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LegExtensions {
    /// `sdes:mid`.
    pub mid: Option<Mid>,
    /// `sdes:rtp-stream-id`.
    pub rid: Option<Rid>,
    /// `sdes:repaired-rtp-stream-id`.
    pub repaired_rid: Option<Rid>,
    /// `abs-send-time`, 24 bits.
    pub absolute_send_time: Option<u32>,
    /// Added to the frame number of the dependency descriptor.
    pub frame_number_shift: u16,
    /// The transport-wide sequence number.
    pub transport_sequence_number: Option<u16>,
}
