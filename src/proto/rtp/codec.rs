//! What a payload type means: the codec as negotiated in SDP, and a key to compare codecs between peers.

use serde::{Deserialize, Serialize};

/// Audio or video.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MediaKind {
    /// `m=audio`.
    Audio,
    /// `m=video`.
    Video,
}

impl std::fmt::Display for MediaKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Audio => "audio",
            Self::Video => "video",
        })
    }
}

/// One codec as negotiated: an `a=rtpmap` with its `a=fmtp` and `a=rtcp-fb` lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodecParameters {
    /// RTP payload type, 0–127 without 64–95.
    pub payload_type: u8,
    /// Encoding name as in SDP, e.g. `VP8`; compared without case.
    pub name: String,
    /// RTP clock rate in Hz.
    pub clock_rate: u32,
    /// Audio channels; `None` for video.
    pub channels: Option<u8>,
    /// `a=fmtp` parameters in order: `name=value` or a bare word.
    pub parameters: Vec<(String, Option<String>)>,
    /// `a=rtcp-fb` values, e.g. `nack pli`.
    pub feedback: Vec<String>,
}

impl CodecParameters {
    /// The value of an `a=fmtp` parameter, by name without case.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let (_, value) = self.parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        value.as_deref()
    }

    /// True if this `a=rtcp-fb` value was negotiated, e.g. `nack` or `ccm fir`.
    pub fn has_feedback(&self, value: &str) -> bool {
        self.feedback.iter().any(|feedback| feedback.trim().eq_ignore_ascii_case(value))
    }

    /// True for the retransmission format (RFC 4588).
    pub fn is_rtx(&self) -> bool {
        self.name.eq_ignore_ascii_case("rtx")
    }

    /// The payload type a retransmission format repairs (RFC 4588 §8.1).
    pub fn apt(&self) -> Option<u8> {
        if !self.is_rtx() {
            return None;
        }
        self.parameter("apt")?.trim().parse().ok().filter(|payload_type| *payload_type < 128)
    }

    /// True for formats that carry no media of their own: retransmission, redundancy, error correction,
    /// comfort noise, tones.
    pub fn is_auxiliary(&self) -> bool {
        ["rtx", "red", "ulpfec", "flexfec-03", "flexfec", "CN", "telephone-event"]
            .iter()
            .any(|name| self.name.eq_ignore_ascii_case(name))
    }

    /// The key that is equal for the same codec at another peer.
    pub fn key(&self) -> CodecKey {
        CodecKey::of(self)
    }
}

/// The codecs whose payload is looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CodecFamily {
    /// RFC 7587.
    Opus,
    /// RFC 7741.
    Vp8,
    /// RFC 9628.
    Vp9,
    /// RFC 6184.
    H264,
    /// The AV1 RTP payload format.
    Av1,
    /// Forwarded without looking.
    Other,
}

impl CodecFamily {
    /// By encoding name, without case.
    pub fn of(name: &str) -> Self {
        let known = [
            ("opus", Self::Opus),
            ("VP8", Self::Vp8),
            ("VP9", Self::Vp9),
            ("H264", Self::H264),
            ("AV1", Self::Av1),
        ];
        known
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map_or(Self::Other, |(_, family)| *family)
    }

    /// True if the start of a key frame can be seen in the payload.
    pub fn shows_key_frames(self) -> bool {
        matches!(self, Self::Vp8 | Self::Vp9 | Self::H264 | Self::Av1)
    }
}

/// Equal for the same codec at two peers, whatever payload type each of them gave it.
///
/// It covers name, clock rate, channels and the `a=fmtp` parameters that make streams incompatible: H.264
/// packetization-mode and profile (not level), VP9 profile-id, AV1 profile. The family is in the top byte;
/// the rest is a hash, so two unknown codecs may collide with a chance of 2^-24.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CodecKey(u32);

impl CodecKey {
    /// The key of a negotiated codec.
    pub fn of(codec: &CodecParameters) -> Self {
        let family = CodecFamily::of(&codec.name);
        let mut hash = Fnv::new();
        hash.write_folded(&codec.name);
        hash.write(&codec.clock_rate.to_be_bytes());
        // RFC 4566 §6: the number of channels defaults to one.
        hash.write(&[codec.channels.unwrap_or(1)]);
        match family {
            CodecFamily::H264 => hash.write(&h264_identity(codec)),
            // RFC 9628 §6.1 and the AV1 payload format §7.1: profile 0 when absent.
            CodecFamily::Vp9 => hash.write_folded(codec.parameter("profile-id").unwrap_or("0").trim()),
            CodecFamily::Av1 => hash.write_folded(codec.parameter("profile").unwrap_or("0").trim()),
            CodecFamily::Other if codec.is_rtx() => hash.write(&[codec.apt().unwrap_or(0xff)]),
            CodecFamily::Opus | CodecFamily::Vp8 | CodecFamily::Other => {}
        }
        Self((family as u32) << 24 | hash.finish() & 0x00ff_ffff)
    }

    /// What the payload can be examined as.
    pub fn family(self) -> CodecFamily {
        const FAMILIES: [CodecFamily; 5] =
            [CodecFamily::Opus, CodecFamily::Vp8, CodecFamily::Vp9, CodecFamily::H264, CodecFamily::Av1];
        FAMILIES.get((self.0 >> 24) as usize).copied().unwrap_or(CodecFamily::Other)
    }
}

/// RFC 6184 §8.1: packetization-mode, profile_idc and profile-iop; the level does not matter for forwarding.
fn h264_identity(codec: &CodecParameters) -> [u8; 3] {
    let mode = codec.parameter("packetization-mode").and_then(|mode| mode.trim().parse().ok()).unwrap_or(0);
    // RFC 6184 §8.1: Baseline without constraints when absent.
    let level_id = codec.parameter("profile-level-id").unwrap_or("420010").trim();
    let byte = |at: usize| {
        level_id.get(at..at + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok()).unwrap_or_default()
    };
    // constraint_set1 with profile 66 is Constrained Baseline, however the other flags are set.
    match (byte(0), byte(2)) {
        (66, iop) if iop & 0x40 != 0 => [mode, 66, 0x40],
        // Main and Extended profile streams that obey constraint_set0 are Constrained Baseline too.
        (77, iop) if iop & 0x80 != 0 => [mode, 66, 0x40],
        (88, iop) if iop & 0xc0 == 0xc0 => [mode, 66, 0x40],
        (profile, iop) => [mode, profile, iop & 0xf0],
    }
}

/// FNV-1a, 32 bit: stable between builds, needs no seed.
struct Fnv(u32);

impl Fnv {
    fn new() -> Self {
        Self(0x811c_9dc5)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
        }
    }

    fn write_folded(&mut self, text: &str) {
        for byte in text.bytes() {
            self.write(&[byte.to_ascii_lowercase()]);
        }
        self.write(&[0]);
    }

    fn finish(&self) -> u32 {
        // Fold the bits that the mask cuts off back in.
        self.0 ^ (self.0 >> 24)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codec(name: &str, clock_rate: u32, fmtp: &[(&str, &str)]) -> CodecParameters {
        CodecParameters {
            payload_type: 96,
            name: name.to_owned(),
            clock_rate,
            channels: None,
            parameters: fmtp
                .iter()
                .map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned())))
                .collect(),
            feedback: vec!["nack".to_owned(), "nack pli".to_owned()],
        }
    }

    fn h264(level_id: &str, mode: &str) -> CodecKey {
        codec("H264", 90_000, &[("packetization-mode", mode), ("profile-level-id", level_id)]).key()
    }

    #[test]
    fn keys_ignore_payload_type_case_and_feedback() {
        let other = CodecParameters { payload_type: 120, feedback: Vec::new(), ..codec("vp8", 90_000, &[]) };
        assert_eq!(other.key(), codec("VP8", 90_000, &[]).key());
        assert_ne!(other.key(), codec("VP9", 90_000, &[]).key());
        assert_ne!(codec("PCMU", 8_000, &[]).key(), codec("PCMU", 16_000, &[]).key());
        let stereo = CodecParameters { channels: Some(2), ..codec("L16", 48_000, &[]) };
        assert_ne!(stereo.key(), codec("L16", 48_000, &[]).key());
    }

    #[test]
    fn h264_keys_cover_mode_and_profile_but_not_the_level() {
        assert_eq!(h264("42e01f", "1"), h264("42e034", "1"));
        assert_eq!(h264("42e01f", "1"), h264("42c01f", "1"), "both are Constrained Baseline");
        assert_ne!(h264("42e01f", "1"), h264("42001f", "1"), "Baseline is more");
        assert_ne!(h264("42e01f", "1"), h264("42e01f", "0"));
        assert_ne!(h264("42e01f", "1"), h264("64001f", "1"));
        assert_eq!(h264("\u{e4}\u{e4}", "x"), h264("", ""), "nonsense is total");
    }

    #[test]
    fn profiles_default_to_zero() {
        assert_eq!(codec("VP9", 90_000, &[]).key(), codec("VP9", 90_000, &[("profile-id", "0")]).key());
        assert_ne!(codec("VP9", 90_000, &[]).key(), codec("VP9", 90_000, &[("profile-id", "2")]).key());
        assert_eq!(codec("AV1", 90_000, &[]).key(), codec("AV1", 90_000, &[("profile", "0")]).key());
    }

    #[test]
    fn the_family_is_in_the_key() {
        for (name, family) in
            [("opus", CodecFamily::Opus), ("AV1", CodecFamily::Av1), ("H265", CodecFamily::Other)]
        {
            assert_eq!(codec(name, 90_000, &[]).key().family(), family);
        }
    }

    #[test]
    fn retransmission_formats_name_what_they_repair() {
        assert_eq!(codec("rtx", 90_000, &[("apt", "96")]).apt(), Some(96));
        assert_eq!(codec("rtx", 90_000, &[("apt", "300")]).apt(), None);
        assert_eq!(codec("rtx", 90_000, &[]).apt(), None);
        assert_eq!(codec("VP8", 90_000, &[("apt", "96")]).apt(), None);
        assert!(codec("VP8", 90_000, &[]).has_feedback("NACK PLI"));
    }
}
