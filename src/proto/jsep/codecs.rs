//! Which codecs are the same, and what two descriptions have in common.
//!
//! Payload types are names chosen by a description: codecs are matched by meaning, and rtx by the codec that its
//! `apt` points to.

use super::capabilities::KindCapabilities;
use crate::proto::rtp::CodecParameters;

/// RFC 6184 8.1: the profile when `profile-level-id` is absent (Baseline, level 1).
const H264_DEFAULT_PROFILE: &str = "42000a";

/// Whether the codec is a retransmission format (RFC 4588 8).
pub(super) fn is_rtx(codec: &CodecParameters) -> bool {
    codec.name.eq_ignore_ascii_case("rtx")
}

/// The payload type that a retransmission format repairs.
pub(super) fn apt(codec: &CodecParameters) -> Option<u8> {
    parameter(codec, "apt")?.parse().ok()
}

fn parameter<'a>(codec: &'a CodecParameters, name: &str) -> Option<&'a str> {
    let found = codec.parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
    found.and_then(|(_, value)| value.as_deref())
}

fn is_h264(codec: &CodecParameters) -> bool {
    codec.name.eq_ignore_ascii_case("H264")
}

/// Whether both mean the same format, whatever their payload types and declarative parameters. Not for rtx.
pub(super) fn same_codec(a: &CodecParameters, b: &CodecParameters) -> bool {
    let same_format = a.name.eq_ignore_ascii_case(&b.name)
        && a.clock_rate == b.clock_rate
        && a.channels.unwrap_or(1) == b.channels.unwrap_or(1);
    let equal = |name, default| {
        let value = |codec| parameter(codec, name).unwrap_or(default);
        value(a).eq_ignore_ascii_case(value(b))
    };
    same_format
        && match a.name.to_ascii_lowercase().as_str() {
            // RFC 6184 8.2.2: mode and profile are symmetric; the level is not compared.
            "h264" => equal("packetization-mode", "0") && h264_profile(a) == h264_profile(b),
            "vp9" => equal("profile-id", "0"),
            "av1" => equal("profile", "0"),
            _ => true,
        }
}

/// Whether a codec named by the application is this capability (W3C 5.4.1, "codec dictionary match").
pub(super) fn same_capability(known: &CodecParameters, named: &CodecParameters) -> bool {
    let same_format = known.name.eq_ignore_ascii_case(&named.name)
        && known.clock_rate == named.clock_rate
        && known.channels.unwrap_or(1) == named.channels.unwrap_or(1);
    let contains = |list: &CodecParameters, (name, value): &(String, Option<String>)| {
        let same = |a: &Option<String>, b: &Option<String>| {
            a.as_deref().unwrap_or_default().eq_ignore_ascii_case(b.as_deref().unwrap_or_default())
        };
        list.parameters.iter().any(|(n, v)| n.eq_ignore_ascii_case(name) && same(v, value))
    };
    let same_parameters = || {
        known.parameters.len() == named.parameters.len()
            && known.parameters.iter().all(|parameter| contains(named, parameter))
    };
    same_format && (is_rtx(known) || same_parameters())
}

/// `profile_idc` and the constraint flags: the first four hex digits of `profile-level-id`.
fn h264_profile(codec: &CodecParameters) -> Option<String> {
    let value = parameter(codec, "profile-level-id").unwrap_or(H264_DEFAULT_PROFILE);
    let well_formed = value.len() == 6 && value.bytes().all(|b| b.is_ascii_hexdigit());
    well_formed.then(|| value[..4].to_ascii_lowercase())
}

/// The capability that accepts an offered codec.
fn accepting<'a>(
    capabilities: &'a KindCapabilities,
    wanted: &'a [CodecParameters],
    offered: &CodecParameters,
) -> Option<&'a CodecParameters> {
    // Preferences name profiles one by one (W3C 5.4.1); without them, any of a forwarder's will do.
    let preferred = !std::ptr::eq(wanted, capabilities.codecs.as_slice());
    let any_h264 =
        capabilities.any_h264_profile && !preferred && is_h264(offered) && h264_profile(offered).is_some();
    wanted
        .iter()
        .filter(|codec| !is_rtx(codec))
        .find(|codec| same_codec(codec, offered))
        .or_else(|| wanted.iter().find(|codec| any_h264 && is_h264(codec)))
}

/// The codecs of an answer: those of the offer that are accepted, with the offer's payload types and in its order
/// (RFC 3264 6.1), or in the order of `preferences` when there are any (W3C 5.4.1).
pub(super) fn answer_codecs(
    capabilities: &KindCapabilities,
    preferences: Option<&[CodecParameters]>,
    offered: &[CodecParameters],
) -> Vec<CodecParameters> {
    let wanted = preferences.unwrap_or(&capabilities.codecs);
    let mut accepted: Vec<(usize, CodecParameters)> = Vec::new();
    for codec in offered.iter().filter(|codec| !is_rtx(codec)) {
        let Some(capability) = accepting(capabilities, wanted, codec) else { continue };
        let rank = match preferences {
            Some(list) => list.iter().position(|known| std::ptr::eq(known, capability)).unwrap_or(list.len()),
            None => 0,
        };
        accepted.push((rank, accept(capability, codec)));
    }
    accepted.sort_by_key(|(rank, _)| *rank);
    let rtx_wanted = wanted.iter().any(is_rtx);
    let mut answer: Vec<CodecParameters> = Vec::new();
    for (_, codec) in accepted {
        let payload_type = codec.payload_type;
        answer.push(codec);
        let rtx = offered.iter().find(|rtx| is_rtx(rtx) && apt(rtx) == Some(payload_type));
        answer.extend(
            rtx.filter(|_| rtx_wanted).map(|rtx| CodecParameters { feedback: Vec::new(), ..rtx.clone() }),
        );
    }
    answer
}

/// Whether an answer would have any codec.
pub(super) fn can_answer(
    capabilities: &KindCapabilities,
    preferences: Option<&[CodecParameters]>,
    offered: &[CodecParameters],
) -> bool {
    let wanted = preferences.unwrap_or(&capabilities.codecs);
    offered.iter().any(|codec| !is_rtx(codec) && accepting(capabilities, wanted, codec).is_some())
}

/// One codec of an answer.
fn accept(capability: &CodecParameters, offered: &CodecParameters) -> CodecParameters {
    // Video parameters describe the stream and are symmetric; those of audio declare what the author likes to
    // receive, so they are ours.
    let parameters = match offered.channels {
        Some(_) => capability.parameters.clone(),
        None => offered.parameters.clone(),
    };
    CodecParameters { parameters, feedback: common_feedback(offered, capability), ..offered.clone() }
}

fn common_feedback(a: &CodecParameters, b: &CodecParameters) -> Vec<String> {
    a.feedback.iter().filter(|feedback| b.feedback.contains(feedback)).cloned().collect()
}

/// Codecs of `ours` that `theirs` has too, as `ours` writes them, in the order of `theirs` and with the feedback
/// of both. An rtx entry stays if its codec does and both have one for it.
pub(super) fn common_codecs(ours: &[CodecParameters], theirs: &[CodecParameters]) -> Vec<CodecParameters> {
    let rtx_of = |list: &[CodecParameters], payload_type| {
        list.iter().find(|rtx| is_rtx(rtx) && apt(rtx) == Some(payload_type)).cloned()
    };
    let mut common: Vec<CodecParameters> = Vec::new();
    for their in theirs.iter().filter(|codec| !is_rtx(codec)) {
        let candidates = || ours.iter().filter(|our| !is_rtx(our) && same_codec(our, their));
        // Formats offered twice with different parameters keep their payload types apart.
        let same_number = candidates().find(|our| our.payload_type == their.payload_type);
        let Some(our) = same_number.or_else(|| candidates().next()) else { continue };
        if common.iter().any(|known| known.payload_type == our.payload_type) {
            continue;
        }
        common.push(CodecParameters { feedback: common_feedback(our, their), ..our.clone() });
        if rtx_of(theirs, their.payload_type).is_some() {
            common.extend(rtx_of(ours, our.payload_type));
        }
    }
    common
}

/// Payload types in use in the bundle: one number means one codec (RFC 9143 9.1.1).
#[derive(Debug, Default)]
pub(super) struct PayloadTypes {
    taken: Vec<CodecParameters>,
}

impl PayloadTypes {
    /// Notes the codecs of a description that was applied.
    pub(super) fn note(&mut self, codecs: &[CodecParameters]) {
        for codec in codecs {
            if !self.taken.iter().any(|known| known.payload_type == codec.payload_type) {
                self.taken.push(codec.clone());
            }
        }
    }

    /// The number for a codec: the one it has already, the one it asks for, or a free one. `None` when all are
    /// used up.
    fn assign(&mut self, codec: &CodecParameters) -> Option<u8> {
        let same = |known: &&CodecParameters| match is_rtx(codec) {
            true => is_rtx(known) && apt(known) == apt(codec),
            false => !is_rtx(known) && same_codec(known, codec),
        };
        if let Some(known) = self.taken.iter().find(same) {
            return Some(known.payload_type);
        }
        let free = |number: &u8| self.taken.iter().all(|known| known.payload_type != *number);
        // RFC 3551 3: 96-127 are dynamic, and after those the unassigned 35-63 may be used.
        let payload_type =
            std::iter::once(codec.payload_type).chain(96..=127).chain(35..=63).find(|number| free(number))?;
        self.taken.push(CodecParameters { payload_type, ..codec.clone() });
        Some(payload_type)
    }

    /// The codecs of an offered section: those negotiated before with their numbers, then the other capabilities
    /// (RFC 8829 5.2.2); in the order wanted when the application has said what it prefers.
    pub(super) fn offer_codecs(
        &mut self,
        wanted: &[CodecParameters],
        rtx_wanted: bool,
        negotiated: &[CodecParameters],
        by_preference: bool,
    ) -> Vec<CodecParameters> {
        let any_h264 = |a: &CodecParameters, b: &CodecParameters| !by_preference && is_h264(a) && is_h264(b);
        let mut offer: Vec<CodecParameters> = negotiated
            .iter()
            .filter(|codec| !is_rtx(codec))
            .filter(|codec| wanted.iter().any(|w| same_codec(w, codec) || any_h264(w, codec)))
            .cloned()
            .collect();
        for codec in wanted.iter().filter(|codec| !is_rtx(codec)) {
            if offer.iter().any(|known| same_codec(known, codec)) {
                continue;
            }
            if let Some(payload_type) = self.assign(codec) {
                offer.push(CodecParameters { payload_type, ..codec.clone() });
            }
        }
        if by_preference {
            // W3C 5.4.1: the order of the preferences, also for codecs in use.
            offer.sort_by_key(|codec| wanted.iter().position(|known| same_codec(known, codec)));
        }
        if !rtx_wanted {
            return offer;
        }
        let mut with_rtx = Vec::with_capacity(2 * offer.len());
        for codec in offer {
            let rtx = self.rtx_for(&codec, wanted, negotiated);
            with_rtx.push(codec);
            with_rtx.extend(rtx);
        }
        with_rtx
    }

    fn rtx_for(
        &mut self,
        codec: &CodecParameters,
        wanted: &[CodecParameters],
        negotiated: &[CodecParameters],
    ) -> Option<CodecParameters> {
        // Only codecs with NACK feedback have anything to retransmit.
        if !codec.feedback.iter().any(|feedback| feedback == "nack") {
            return None;
        }
        let known = negotiated.iter().find(|rtx| is_rtx(rtx) && apt(rtx) == Some(codec.payload_type));
        if let Some(rtx) = known {
            return Some(rtx.clone());
        }
        let capability = wanted.iter().find(|known| same_codec(known, codec))?;
        let asked = wanted.iter().find(|rtx| is_rtx(rtx) && apt(rtx) == Some(capability.payload_type));
        let mut rtx = asked.or_else(|| wanted.iter().find(|codec| is_rtx(codec)))?.clone();
        rtx.parameters = vec![("apt".to_owned(), Some(codec.payload_type.to_string()))];
        rtx.payload_type = self.assign(&rtx)?;
        Some(rtx)
    }
}
