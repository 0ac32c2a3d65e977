//! `a=rtpmap`, `a=fmtp` and `a=rtcp-fb` lines, gathered into codecs when their section ends.
//!
//! The lines may come in any order, so they are collected by payload type first.

use super::{CODEC_VALUES_MAX, SdpErrorReason};
use crate::proto::rtp::CodecParameters;

/// Most payload types: seven bits.
const PAYLOAD_TYPES: usize = 128;

/// What the lines of one section said.
#[derive(Debug, Default)]
pub(super) struct CodecLines {
    /// Payload type to its entry, as `index + 1`; 0 where the m-line does not list it.
    entries: Vec<u8>,
    codecs: Vec<(CodecParameters, bool)>,
    /// `a=rtcp-fb:*`
    wildcard: Vec<String>,
}

impl CodecLines {
    /// Begins with the payload types of the m-line; repeated ones count once.
    pub(super) fn new(payload_types: &[u8]) -> Self {
        let mut lines = Self { entries: vec![0; PAYLOAD_TYPES], ..Self::default() };
        for &payload_type in payload_types {
            let Some(entry) = lines.entries.get_mut(usize::from(payload_type)).filter(|entry| **entry == 0)
            else {
                continue;
            };
            let codec = static_codec(payload_type);
            let known = codec.is_some();
            lines.codecs.push((codec.unwrap_or_else(|| empty(payload_type)), known));
            *entry = lines.codecs.len() as u8;
        }
        lines
    }

    fn entry(&mut self, payload_type: u8) -> Option<&mut (CodecParameters, bool)> {
        let entry = *self.entries.get(usize::from(payload_type))?;
        self.codecs.get_mut(usize::from(entry).checked_sub(1)?)
    }

    /// `a=rtpmap` (RFC 8866 6.6). Payload types that the m-line does not list are ignored.
    pub(super) fn rtpmap(&mut self, value: &str) -> Result<(), SdpErrorReason> {
        let malformed = SdpErrorReason::BadAttribute("rtpmap");
        let (payload_type, rest) = split_payload_type(value).ok_or(malformed)?;
        let mut parts = rest.trim().split('/');
        let name = parts.next().filter(|name| !name.is_empty() && name.len() <= 64).ok_or(malformed)?;
        let clock_rate = parts.next().and_then(|rate| rate.parse().ok()).ok_or(malformed)?;
        let channels = parts.next().map(str::parse).transpose().map_err(|_| malformed)?;
        if let Some((codec, known)) = self.entry(payload_type) {
            codec.name = name.to_owned();
            codec.clock_rate = clock_rate;
            codec.channels = channels;
            *known = true;
        }
        Ok(())
    }

    /// `a=fmtp` (RFC 8866 6.15): parameters separated by semicolons.
    pub(super) fn fmtp(&mut self, value: &str) -> Result<(), SdpErrorReason> {
        let Some((payload_type, rest)) = split_payload_type(value) else {
            // The format may be a name, as in `a=fmtp:webrtc-datachannel`.
            return Ok(());
        };
        let Some((codec, _)) = self.entry(payload_type) else { return Ok(()) };
        for parameter in rest.split(';').map(str::trim).filter(|parameter| !parameter.is_empty()) {
            if codec.parameters.len() >= CODEC_VALUES_MAX {
                return Err(SdpErrorReason::TooMany("fmtp"));
            }
            codec.parameters.push(match parameter.split_once('=') {
                Some((name, value)) => (name.trim().to_owned(), Some(value.trim().to_owned())),
                None => (parameter.to_owned(), None),
            });
        }
        Ok(())
    }

    /// `a=rtcp-fb` (RFC 4585 4.2).
    pub(super) fn feedback(&mut self, value: &str) -> Result<(), SdpErrorReason> {
        let malformed = SdpErrorReason::BadAttribute("rtcp-fb");
        let (target, feedback) = value.split_once(' ').ok_or(malformed)?;
        let feedback = feedback.trim();
        if feedback.is_empty() {
            return Err(malformed);
        }
        let list = if target == "*" {
            &mut self.wildcard
        } else {
            let payload_type = parse_payload_type(target).ok_or(malformed)?;
            match self.entry(payload_type) {
                Some((codec, _)) => &mut codec.feedback,
                None => return Ok(()),
            }
        };
        if list.len() >= CODEC_VALUES_MAX {
            return Err(SdpErrorReason::TooMany("rtcp-fb"));
        }
        if !list.iter().any(|known| known == feedback) {
            list.push(feedback.to_owned());
        }
        Ok(())
    }

    /// The codecs whose meaning is known, in the order of the m-line.
    pub(super) fn finish(self, audio: bool) -> Vec<CodecParameters> {
        let known = self.codecs.into_iter().filter_map(|(codec, known)| known.then_some(codec));
        let finish = |mut codec: CodecParameters| {
            // RFC 8866 6.6: for audio, channels left out mean one. Other media have none.
            codec.channels = audio.then(|| codec.channels.unwrap_or(1));
            for feedback in &self.wildcard {
                if !codec.feedback.contains(feedback) {
                    codec.feedback.push(feedback.clone());
                }
            }
            codec
        };
        known.map(finish).collect()
    }
}

fn empty(payload_type: u8) -> CodecParameters {
    CodecParameters {
        payload_type,
        name: String::new(),
        clock_rate: 0,
        channels: None,
        parameters: Vec::new(),
        feedback: Vec::new(),
    }
}

/// Payload types whose meaning needs no `a=rtpmap` (RFC 3551 6), those that WebRTC peers still use.
fn static_codec(payload_type: u8) -> Option<CodecParameters> {
    let name = match payload_type {
        0 => "PCMU",
        8 => "PCMA",
        9 => "G722",
        13 => "CN",
        _ => return None,
    };
    Some(CodecParameters { name: name.to_owned(), clock_rate: 8_000, ..empty(payload_type) })
}

fn parse_payload_type(text: &str) -> Option<u8> {
    text.parse().ok().filter(|&payload_type: &u8| usize::from(payload_type) < PAYLOAD_TYPES)
}

fn split_payload_type(value: &str) -> Option<(u8, &str)> {
    let (payload_type, rest) = value.split_once(' ').unwrap_or((value, ""));
    Some((parse_payload_type(payload_type)?, rest))
}
