//! Which header extension has which id on one leg, and the reading and writing by that map (RFC 8285).

use std::sync::{Arc, LazyLock};

use smallvec::SmallVec;

use super::{AbsoluteCaptureTime, AudioLevel, Extensions, HeaderBytes, LegExtensions, Mid, Rid, RtpHeader};

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
    /// RFC 6465.
    MixerAudioLevel,
    /// Departure time for bandwidth estimation.
    AbsoluteSendTime,
    /// Transport-wide congestion control.
    TransportSequenceNumber,
    /// RFC 5450. Read only: it belongs to the publisher's leg.
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

impl ExtensionKind {
    /// Every kind with its URI.
    pub const ALL: [(Self, &'static str); 15] = [
        (Self::Mid, "urn:ietf:params:rtp-hdrext:sdes:mid"),
        (Self::Rid, "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"),
        (Self::RepairedRid, "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"),
        (Self::AudioLevel, "urn:ietf:params:rtp-hdrext:ssrc-audio-level"),
        (Self::AbsoluteSendTime, "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"),
        (
            Self::TransportSequenceNumber,
            "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
        ),
        (Self::TransmissionOffset, "urn:ietf:params:rtp-hdrext:toffset"),
        (Self::VideoOrientation, "urn:3gpp:video-orientation"),
        (Self::PlayoutDelay, "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"),
        (Self::AbsoluteCaptureTime, "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time"),
        (Self::VideoContentType, "http://www.webrtc.org/experiments/rtp-hdrext/video-content-type"),
        (Self::VideoTiming, "http://www.webrtc.org/experiments/rtp-hdrext/video-timing"),
        (Self::ColorSpace, "http://www.webrtc.org/experiments/rtp-hdrext/color-space"),
        (
            Self::DependencyDescriptor,
            "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension",
        ),
        (Self::MixerAudioLevel, "urn:ietf:params:rtp-hdrext:csrc-audio-level"),
    ];

    /// By URI as in `a=extmap`.
    pub fn from_uri(uri: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == uri).map(|(kind, _)| *kind)
    }

    /// The URI for `a=extmap`.
    pub fn uri(self) -> &'static str {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or("", |(_, uri)| *uri)
    }
}

type ByIdentifier = [Option<ExtensionKind>; 256];

/// The ids of one leg. At most one id per kind and one kind per id: the first mention wins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtensionMap {
    /// Shared by the clones: most maps are copies of a few.
    by_id: Arc<ByIdentifier>,
    /// The order of negotiation, which is the order of writing.
    ids: SmallVec<[(ExtensionKind, u8); 15]>,
    mixed: bool,
}

/// What [`ExtensionMap::write`] wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WrittenExtensions {
    /// Offset of the three bytes of `abs-send-time`, to be updated when the packet is sent again.
    pub absolute_send_time: Option<usize>,
    /// Offset of the element of `sdes:rtp-stream-id`, its id included: a retransmission names the stream that it
    /// repairs instead ([`ExtensionMap::name_repaired`]).
    pub rid: Option<usize>,
}

impl WrittenExtensions {
    /// The same within a buffer that has `by` more bytes before.
    pub fn shifted(self, by: usize) -> Self {
        let shift = |at: Option<usize>| at.map(|at| at + by);
        Self { absolute_send_time: shift(self.absolute_send_time), rid: shift(self.rid) }
    }
}

/// Room for the longest value that is composed instead of copied: `abs-capture-time`.
type Scratch = [u8; 16];

/// RFC 8285 §4.2: the id and length nibbles hold ids 1–14 and lengths 1–16.
const ONE_BYTE_ID_MAX: u8 = 14;
const ONE_BYTE_LENGTH_MAX: usize = 16;

/// The first value did not fit the one-byte form.
struct NeedsTwoByteForm;

impl Default for ExtensionMap {
    fn default() -> Self {
        static EMPTY: LazyLock<Arc<ByIdentifier>> = LazyLock::new(|| Arc::new([None; 256]));
        Self { by_id: Arc::clone(&EMPTY), ids: SmallVec::new(), mixed: false }
    }
}

impl ExtensionMap {
    /// From negotiated `(id, URI)`; unknown URIs and illegal ids are skipped. `mixed`: `a=extmap-allow-mixed` was
    /// negotiated, so the two-byte form may be written.
    pub fn new<U: AsRef<str>>(negotiated: impl IntoIterator<Item = (u8, U)>, mixed: bool) -> Self {
        let mut map = Self { mixed, ..Self::default() };
        for (id, uri) in negotiated {
            let Some(kind) = ExtensionKind::from_uri(uri.as_ref()) else { continue };
            // RFC 8285 §5: ids 1–14 and 16–255; 15 is reserved in the one-byte form.
            if id == 0 || id == 15 || map.by_id[usize::from(id)].is_some() || map.id(kind).is_some() {
                continue;
            }
            Arc::make_mut(&mut map.by_id)[usize::from(id)] = Some(kind);
            map.ids.push((kind, id));
        }
        map
    }

    /// The id of an extension, if negotiated.
    pub fn id(&self, kind: ExtensionKind) -> Option<u8> {
        self.ids.iter().find(|(known, _)| *known == kind).map(|(_, id)| *id)
    }

    /// Decodes what is known; malformed values are left out.
    pub fn decode(&self, header: &RtpHeader<'_>) -> Extensions {
        let mut extensions = Extensions::default();
        for (kind, value) in self.elements(header) {
            decode_value(kind, value, &mut extensions);
        }
        extensions
    }

    /// RFC 6465 §3: the levels of the contributing sources, in their order; empty if there are none.
    pub fn mixer_audio_levels<'a>(&self, header: &RtpHeader<'a>) -> &'a [u8] {
        if self.id(ExtensionKind::MixerAudioLevel).is_none() {
            return &[];
        }
        let mut elements = self.elements(header);
        elements.find(|(kind, _)| *kind == ExtensionKind::MixerAudioLevel).map_or(&[], |(_, levels)| levels)
    }

    /// The elements that are understood, not decoded.
    pub fn elements<'a>(&self, header: &RtpHeader<'a>) -> impl Iterator<Item = (ExtensionKind, &'a [u8])> {
        header.extensions().filter_map(|(id, value)| Some((self.by_id[usize::from(id)]?, value)))
    }

    /// Appends the extension block: what is forwarded from the source, and what belongs to this leg. Appends
    /// nothing when there is no value; the X bit must be set by the caller when the buffer grew.
    ///
    /// The two-byte form is used only when a value needs it and it is allowed; otherwise that value is left out.
    pub fn write(
        &self,
        forwarded: &Extensions,
        leg: &LegExtensions,
        buffer: &mut HeaderBytes,
    ) -> WrittenExtensions {
        let start = buffer.len();
        match self.write_elements::<false>(forwarded, leg, buffer) {
            Ok(written) => written,
            Err(NeedsTwoByteForm) => {
                buffer.truncate(start);
                self.write_elements::<true>(forwarded, leg, buffer).unwrap_or_default()
            }
        }
    }

    /// RFC 8852 §3: turns the `rtp-stream-id` of a written header, whose element begins at `at`, into the
    /// `repaired-rtp-stream-id` of a retransmission; takes it out if that extension was not negotiated.
    pub fn name_repaired(&self, header: &mut [u8], at: usize) {
        let is_one_byte = header.get(12..14) == Some(&[0xbe, 0xde]);
        let id = self.id(ExtensionKind::RepairedRid).filter(|id| !is_one_byte || *id <= ONE_BYTE_ID_MAX);
        let Some(element) = header.get_mut(at..) else { return };
        match (id, element) {
            (Some(id), [first, ..]) if is_one_byte => *first = id << 4 | *first & 0x0f,
            (Some(id), [first, ..]) => *first = id,
            // RFC 8285 §4.1: zero bytes are padding, between elements as well.
            (None, [first, rest @ ..]) if is_one_byte => {
                let length = usize::from(*first & 0x0f) + 1;
                *first = 0;
                rest.iter_mut().take(length).for_each(|byte| *byte = 0);
            }
            (None, [first, length, rest @ ..]) => {
                rest.iter_mut().take(usize::from(*length)).for_each(|byte| *byte = 0);
                (*first, *length) = (0, 0);
            }
            _ => {}
        }
    }

    fn write_elements<const TWO_BYTE: bool>(
        &self,
        forwarded: &Extensions,
        leg: &LegExtensions,
        buffer: &mut HeaderBytes,
    ) -> Result<WrittenExtensions, NeedsTwoByteForm> {
        let start = buffer.len();
        let mut written = WrittenExtensions::default();
        buffer.extend_from_slice(if TWO_BYTE { &[0x10, 0x00, 0, 0] } else { &[0xbe, 0xde, 0, 0] });
        for (kind, id) in &self.ids {
            let mut scratch = [0; 16];
            let Some(value) = encode_value(*kind, forwarded, leg, &mut scratch) else { continue };
            let element = buffer.len();
            if TWO_BYTE {
                buffer.extend_from_slice(&[*id, value.len() as u8]);
            } else if *id <= ONE_BYTE_ID_MAX && (1..=ONE_BYTE_LENGTH_MAX).contains(&value.len()) {
                buffer.push(id << 4 | (value.len() - 1) as u8);
            } else if self.mixed {
                return Err(NeedsTwoByteForm);
            } else {
                continue;
            }
            if *kind == ExtensionKind::AbsoluteSendTime {
                written.absolute_send_time = Some(buffer.len());
            }
            if *kind == ExtensionKind::Rid {
                written.rid = Some(element);
            }
            let at = buffer.len();
            buffer.extend_from_slice(value);
            if *kind == ExtensionKind::DependencyDescriptor
                && leg.frame_number_shift != 0
                && let Some(number) = buffer[at..].get_mut(1..3)
            {
                let shifted = u16::from_be_bytes([number[0], number[1]]).wrapping_add(leg.frame_number_shift);
                number.copy_from_slice(&shifted.to_be_bytes());
            }
        }
        let length = buffer.len() - start - 4;
        if length == 0 {
            buffer.truncate(start);
            return Ok(written);
        }
        let words = length.div_ceil(4);
        buffer.resize(start + 4 + 4 * words, 0);
        // At most 15 values of at most 255 bytes: far below 2^16 words.
        buffer[start + 2..start + 4].copy_from_slice(&(words as u16).to_be_bytes());
        Ok(written)
    }
}

fn decode_value(kind: ExtensionKind, value: &[u8], extensions: &mut Extensions) {
    match kind {
        ExtensionKind::Mid => extensions.mid = extensions.checked(Mid::new(value)),
        ExtensionKind::Rid => extensions.rid = extensions.checked(Rid::new(value)),
        ExtensionKind::RepairedRid => extensions.repaired_rid = extensions.checked(Rid::new(value)),
        ExtensionKind::AudioLevel => {
            extensions.audio_level =
                value.first().map(|byte| AudioLevel { voice: byte & 0x80 != 0, level: byte & 0x7f });
        }
        // Read by the receiver, beside the CSRCs that it is about.
        ExtensionKind::MixerAudioLevel => {}
        ExtensionKind::AbsoluteSendTime => {
            extensions.absolute_send_time = array(value).map(|[a, b, c]| u32::from_be_bytes([0, a, b, c]));
        }
        ExtensionKind::TransportSequenceNumber => {
            // Version 02 of the draft appends a feedback request of two bytes.
            extensions.transport_sequence_number =
                value.first_chunk().map(|number| u16::from_be_bytes(*number));
        }
        ExtensionKind::TransmissionOffset => {
            // 24 bits, signed.
            extensions.transmission_offset =
                array(value).map(|[a, b, c]| i32::from_be_bytes([a, b, c, 0]) >> 8);
        }
        ExtensionKind::VideoOrientation => extensions.video_orientation = value.first().copied(),
        ExtensionKind::PlayoutDelay => extensions.playout_delay = array(value),
        ExtensionKind::AbsoluteCaptureTime => extensions.absolute_capture_time = capture_time(value),
        ExtensionKind::VideoContentType => extensions.video_content_type = value.first().copied(),
        ExtensionKind::VideoTiming => extensions.video_timing = array(value),
        ExtensionKind::ColorSpace => {
            extensions.color_space = matches!(value.len(), 4 | 28).then(|| SmallVec::from_slice(value));
        }
        ExtensionKind::DependencyDescriptor => {
            // Three bytes are mandatory.
            extensions.dependency_descriptor = (value.len() >= 3).then(|| SmallVec::from_slice(value));
        }
    }
}

fn array<const N: usize>(value: &[u8]) -> Option<[u8; N]> {
    value.try_into().ok()
}

fn capture_time(value: &[u8]) -> Option<AbsoluteCaptureTime> {
    let (timestamp, rest) = value.split_first_chunk()?;
    let clock_offset = match rest.len() {
        0 => None,
        _ => Some(i64::from_be_bytes(array(rest)?)),
    };
    Some(AbsoluteCaptureTime { timestamp: u64::from_be_bytes(*timestamp), clock_offset })
}

fn encode_value<'a>(
    kind: ExtensionKind,
    forwarded: &'a Extensions,
    leg: &'a LegExtensions,
    scratch: &'a mut Scratch,
) -> Option<&'a [u8]> {
    match kind {
        ExtensionKind::Mid => leg.mid.as_ref().map(Mid::as_bytes),
        ExtensionKind::Rid => leg.rid.as_ref().map(Rid::as_bytes),
        ExtensionKind::RepairedRid => leg.repaired_rid.as_ref().map(Rid::as_bytes),
        ExtensionKind::AudioLevel => {
            let AudioLevel { voice, level } = forwarded.audio_level?;
            Some(put(scratch, [u8::from(voice) << 7 | level & 0x7f]))
        }
        ExtensionKind::AbsoluteSendTime => {
            let [_, a, b, c] = leg.absolute_send_time?.to_be_bytes();
            Some(put(scratch, [a, b, c]))
        }
        ExtensionKind::TransportSequenceNumber => {
            Some(put(scratch, leg.transport_sequence_number?.to_be_bytes()))
        }
        ExtensionKind::TransmissionOffset | ExtensionKind::MixerAudioLevel => None,
        ExtensionKind::VideoOrientation => Some(put(scratch, [forwarded.video_orientation?])),
        ExtensionKind::PlayoutDelay => forwarded.playout_delay.as_ref().map(<[u8; 3]>::as_slice),
        ExtensionKind::AbsoluteCaptureTime => {
            let time = forwarded.absolute_capture_time?;
            scratch[..8].copy_from_slice(&time.timestamp.to_be_bytes());
            let Some(offset) = time.clock_offset else { return Some(&scratch[..8]) };
            scratch[8..].copy_from_slice(&offset.to_be_bytes());
            Some(scratch)
        }
        ExtensionKind::VideoContentType => Some(put(scratch, [forwarded.video_content_type?])),
        ExtensionKind::VideoTiming => forwarded.video_timing.as_ref().map(<[u8; 13]>::as_slice),
        ExtensionKind::ColorSpace => forwarded.color_space.as_deref(),
        ExtensionKind::DependencyDescriptor => forwarded.dependency_descriptor.as_deref(),
    }
}

fn put<const N: usize>(scratch: &mut Scratch, value: [u8; N]) -> &[u8] {
    scratch[..N].copy_from_slice(&value);
    &scratch[..N]
}

#[cfg(test)]
mod tests;
