//! Codec → payload type of this leg.

use crate::proto::prefetch::prefetch;
use crate::proto::rtp::{CodecFamily, CodecKey, CodecParameters, MediaKind};

/// What the sender needs to know about a negotiated codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Codec {
    pub(super) key: CodecKey,
    pub(super) family: CodecFamily,
    pub(super) payload_type: u8,
    pub(super) clock_rate: u32,
    /// RFC 4588: the payload type of its retransmissions.
    pub(super) rtx_payload_type: Option<u8>,
    pub(super) nack: bool,
    /// A receiver can begin with any packet: audio, and video in which key frames cannot be seen.
    pub(super) starts_anywhere: bool,
    pub(super) is_telephone_event: bool,
}

/// The negotiated codecs; few, so a scan from the last hit is the fastest lookup.
#[derive(Debug)]
pub(super) struct Codecs {
    codecs: Vec<Codec>,
    latest: usize,
}

impl Codecs {
    pub(super) fn new(parameters: &[CodecParameters], kind: MediaKind) -> Self {
        let codecs = parameters
            .iter()
            .filter(|codec| !codec.is_rtx())
            .map(|codec| {
                let family = CodecFamily::of(&codec.name);
                Codec {
                    key: codec.key(),
                    family,
                    payload_type: codec.payload_type & 0x7f,
                    clock_rate: codec.clock_rate,
                    rtx_payload_type: parameters
                        .iter()
                        .find(|rtx| rtx.apt() == Some(codec.payload_type))
                        .map(|rtx| rtx.payload_type & 0x7f),
                    nack: codec.has_feedback("nack"),
                    starts_anywhere: kind == MediaKind::Audio
                        || !family.shows_key_frames() && !codec.is_auxiliary(),
                    is_telephone_event: codec.name.eq_ignore_ascii_case("telephone-event"),
                }
            })
            .collect();
        Self { codecs, latest: 0 }
    }

    /// A packet of the same codec as the last comes soon.
    pub(super) fn prefetch(&self) {
        self.codecs.get(self.latest).into_iter().for_each(prefetch);
    }

    pub(super) fn find(&mut self, key: CodecKey) -> Option<Codec> {
        match self.codecs.get(self.latest) {
            Some(codec) if codec.key == key => Some(*codec),
            _ => {
                self.latest = self.codecs.iter().position(|codec| codec.key == key)?;
                Some(self.codecs[self.latest])
            }
        }
    }

    /// The codec of telephone events (RFC 4733) with this clock rate, by default that of the first audio codec;
    /// another clock rate if the peer takes no other.
    pub(super) fn telephone_event(&self, clock_rate: Option<u32>) -> Option<Codec> {
        let clock_rate = clock_rate.or_else(|| {
            self.codecs.iter().find(|codec| !codec.is_telephone_event).map(|codec| codec.clock_rate)
        });
        let mut events = self.codecs.iter().filter(|codec| codec.is_telephone_event);
        let first = events.clone().next();
        events.find(|codec| Some(codec.clock_rate) == clock_rate).or(first).copied()
    }
}
