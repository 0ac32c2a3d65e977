//! Capabilities and codec preferences (W3C webrtc-pc §5.2 `getCapabilities`, §5.4 `setCodecPreferences`):
//! the codecs of `proto::jsep` in the terms of the W3C, and back.

use super::{
    RtcRtcpFeedback, RtcRtpCapabilities, RtcRtpCodecCapability, RtcRtpCodecParameters,
    RtcRtpHeaderExtensionCapability, RtcRtpHeaderExtensionParameters,
};
use crate::{
    messages::error::RtcError,
    proto::{
        jsep::MediaCapabilities,
        rtp::{CodecParameters, MediaKind},
    },
};

/// What can be sent and received; both are the same, because nothing is encoded here.
pub(super) fn of(kind: MediaKind) -> RtcRtpCapabilities {
    let capabilities = MediaCapabilities::default();
    let capabilities = capabilities.of(kind);
    let mut codecs: Vec<RtcRtpCodecCapability> = Vec::new();
    for codec in &capabilities.codecs {
        let mut codec = capability(kind, codec);
        if is_rtx(&codec) {
            // W3C: one entry for all of them, without its `apt`.
            codec.sdp_fmtp_line = None;
        }
        if !codecs.contains(&codec) {
            codecs.push(codec);
        }
    }
    let header_extensions = capabilities
        .extensions
        .iter()
        .map(|(_, uri)| RtcRtpHeaderExtensionCapability { uri: uri.clone() })
        .collect();
    RtcRtpCapabilities { codecs, header_extensions }
}

/// The preferences of the W3C as codecs of the session, `rtx` behind each codec that it repairs.
pub(super) fn preferences(
    kind: MediaKind,
    wanted: &[RtcRtpCodecCapability],
) -> Result<Vec<CodecParameters>, RtcError> {
    let capabilities = MediaCapabilities::default();
    let known = &capabilities.of(kind).codecs;
    let with_rtx = wanted.iter().any(is_rtx);
    let mut codecs: Vec<CodecParameters> = Vec::new();
    for codec in wanted.iter().filter(|codec| !is_rtx(codec)) {
        let Some(found) = known.iter().find(|known| matches(&capability(kind, known), codec)) else {
            return Err(RtcError::InvalidModificationError(format!(
                "{} is not among the capabilities for {kind}",
                describe(codec)
            )));
        };
        if codecs.contains(found) {
            continue;
        }
        codecs.push(found.clone());
        if with_rtx {
            codecs.extend(known.iter().find(|known| known.apt() == Some(found.payload_type)).cloned());
        }
    }
    if with_rtx && !known.iter().any(CodecParameters::is_rtx) {
        return Err(RtcError::InvalidModificationError(format!("{kind} is not retransmitted as rtx")));
    }
    if !wanted.is_empty() && !codecs.iter().any(carries_media) {
        let sentence = "codec preferences need a codec that carries media";
        return Err(RtcError::InvalidModificationError(sentence.to_owned()));
    }
    Ok(codecs)
}

/// W3C names RTX, RED, FEC and comfort noise; tones are a codec to it.
fn carries_media(codec: &CodecParameters) -> bool {
    !codec.is_auxiliary() || codec.name.eq_ignore_ascii_case("telephone-event")
}

fn is_rtx(codec: &RtcRtpCodecCapability) -> bool {
    codec.name().eq_ignore_ascii_case("rtx")
}

/// W3C webrtc-pc §5.2: the codec dictionary match algorithm.
fn matches(known: &RtcRtpCodecCapability, codec: &RtcRtpCodecCapability) -> bool {
    let same_parameters = || {
        let sorted = |codec: &RtcRtpCodecCapability| {
            let mut parameters = codec.parameters();
            parameters.sort();
            parameters
        };
        sorted(known) == sorted(codec)
    };
    known.mime_type.eq_ignore_ascii_case(&codec.mime_type)
        && known.clock_rate == codec.clock_rate
        && known.channels == codec.channels
        && same_parameters()
}

fn describe(codec: &RtcRtpCodecCapability) -> String {
    let parameters = codec.sdp_fmtp_line.as_deref().unwrap_or("no parameters");
    format!("{}/{} with {parameters}", codec.mime_type, codec.clock_rate)
}

fn capability(kind: MediaKind, codec: &CodecParameters) -> RtcRtpCodecCapability {
    RtcRtpCodecCapability {
        mime_type: format!("{kind}/{}", codec.name),
        clock_rate: codec.clock_rate,
        channels: codec.channels.map(u16::from),
        sdp_fmtp_line: fmtp_line(codec),
    }
}

/// A negotiated codec in the terms of the W3C.
pub(super) fn negotiated(kind: MediaKind, codec: &CodecParameters) -> RtcRtpCodecParameters {
    let RtcRtpCodecCapability { mime_type, clock_rate, channels, sdp_fmtp_line } = capability(kind, codec);
    let feedback = codec.feedback.iter().map(|feedback| {
        let mut words = feedback.splitn(2, ' ').map(str::trim);
        RtcRtcpFeedback {
            kind: words.next().unwrap_or_default().to_owned(),
            parameter: words.next().filter(|parameter| !parameter.is_empty()).map(str::to_owned),
        }
    });
    RtcRtpCodecParameters {
        payload_type: codec.payload_type,
        mime_type,
        clock_rate,
        channels,
        sdp_fmtp_line,
        rtcp_feedback: feedback.collect(),
    }
}

/// Negotiated header extensions in the terms of the W3C.
pub(super) fn extensions(negotiated: &[(u8, String)]) -> Vec<RtcRtpHeaderExtensionParameters> {
    negotiated
        .iter()
        .map(|(id, uri)| RtcRtpHeaderExtensionParameters {
            uri: uri.clone(),
            id: u16::from(*id),
            encrypted: false,
        })
        .collect()
}

fn fmtp_line(codec: &CodecParameters) -> Option<String> {
    if codec.parameters.is_empty() {
        return None;
    }
    let parameters = codec.parameters.iter().map(|(name, value)| match value {
        Some(value) => format!("{name}={value}"),
        None => name.clone(),
    });
    Some(parameters.collect::<Vec<_>>().join(";"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(kind: MediaKind, name: &str) -> RtcRtpCodecCapability {
        of(kind).codecs.into_iter().find(|codec| codec.name() == name).unwrap()
    }

    #[test]
    fn capabilities_name_each_codec_and_rtx_once() {
        let video = of(MediaKind::Video);
        assert_eq!(video.codecs[0].mime_type, "video/VP8");
        assert_eq!(video.codecs.iter().filter(|codec| is_rtx(codec)).count(), 1);
        assert!(video.codecs.iter().all(|codec| codec.clock_rate == 90_000 && codec.channels.is_none()));
        let opus = find(MediaKind::Audio, "opus");
        assert_eq!((opus.clock_rate, opus.channels), (48_000, Some(2)));
        assert_eq!(opus.sdp_fmtp_line.as_deref(), Some("minptime=10;useinbandfec=1"));
        assert!(
            of(MediaKind::Audio)
                .header_extensions
                .iter()
                .any(|extension| extension.uri.ends_with("sdes:mid"))
        );
    }

    #[test]
    fn preferences_keep_their_order_and_bring_their_rtx() {
        let (vp9, vp8, rtx) =
            (find(MediaKind::Video, "VP9"), find(MediaKind::Video, "VP8"), find(MediaKind::Video, "rtx"));
        let names = |wanted: &[RtcRtpCodecCapability]| -> Vec<String> {
            preferences(MediaKind::Video, wanted).unwrap().into_iter().map(|codec| codec.name).collect()
        };
        assert_eq!(names(&[vp9.clone(), vp8.clone(), vp9.clone()]), ["VP9", "VP8"]);
        assert_eq!(names(&[vp9, rtx, vp8]), ["VP9", "rtx", "VP8", "rtx"]);
        assert!(names(&[]).is_empty());
    }

    #[test]
    fn preferences_outside_of_the_capabilities_are_refused() {
        let refused = |codec: RtcRtpCodecCapability| {
            preferences(MediaKind::Video, &[codec]).unwrap_err().name() == "InvalidModificationError"
        };
        let vp8 = find(MediaKind::Video, "VP8");
        assert!(refused(RtcRtpCodecCapability { clock_rate: 8_000, ..vp8.clone() }));
        assert!(refused(RtcRtpCodecCapability { mime_type: "video/none".to_owned(), ..vp8.clone() }));
        assert!(refused(RtcRtpCodecCapability { sdp_fmtp_line: Some("a=1".to_owned()), ..vp8 }));
        assert!(refused(find(MediaKind::Audio, "opus")));
        assert!(refused(find(MediaKind::Video, "rtx")), "it repairs, and carries nothing itself");
    }

    #[test]
    fn mime_types_and_the_order_of_parameters_do_not_matter() {
        let opus = find(MediaKind::Audio, "opus");
        let same = RtcRtpCodecCapability {
            mime_type: "AUDIO/OPUS".to_owned(),
            sdp_fmtp_line: Some("useinbandfec=1; minptime=10".to_owned()),
            ..opus
        };
        assert_eq!(preferences(MediaKind::Audio, &[same]).unwrap().len(), 1);
    }
}
