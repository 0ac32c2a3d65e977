//! Payload type → codec, as a table.

use crate::proto::rtp::{CodecFamily, CodecKey, CodecParameters};

/// What the receiver needs to know about a negotiated codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Codec {
    pub(super) key: CodecKey,
    pub(super) family: CodecFamily,
    pub(super) payload_type: u8,
    pub(super) clock_rate: u32,
    /// RFC 4588: the payload type this one repairs.
    pub(super) repairs: Option<u8>,
    pub(super) is_rtx: bool,
    pub(super) nack: bool,
    pub(super) pli: bool,
    pub(super) fir: bool,
}

/// The negotiated codecs by payload type.
#[derive(Debug)]
pub(super) struct Codecs {
    by_payload_type: [Option<Codec>; 128],
}

impl Codecs {
    pub(super) fn new(parameters: &[CodecParameters]) -> Self {
        let mut by_payload_type = [None; 128];
        for codec in parameters {
            if let Some(entry) = by_payload_type.get_mut(usize::from(codec.payload_type)) {
                *entry = Some(Codec {
                    key: codec.key(),
                    family: CodecFamily::of(&codec.name),
                    payload_type: codec.payload_type,
                    clock_rate: codec.clock_rate,
                    repairs: codec.apt(),
                    is_rtx: codec.is_rtx(),
                    nack: codec.has_feedback("nack"),
                    pli: codec.has_feedback("nack pli"),
                    fir: codec.has_feedback("ccm fir"),
                });
            }
        }
        Self { by_payload_type }
    }

    pub(super) fn get(&self, payload_type: u8) -> Option<&Codec> {
        self.by_payload_type.get(usize::from(payload_type))?.as_ref()
    }
}
