//! RTP over a transport that is wired by hand (ORTC §5, §6): both sides agree on parameters by themselves.

use std::sync::Arc;

use rand::Rng;

use super::{RtcDtlsTransport, transports::Shared};
use crate::{
    api::{MediaStreamTrack, RtcRtpCodecParameters, RtcRtpHeaderExtensionParameters, RtcRtpParameters},
    messages::{
        error::RtcError,
        ortc::{ReceiveTrack, SendTrack},
    },
    proto::{
        receiver::ReceiverParameters,
        rtp::{CodecParameters, ExtensionMap, MediaKind, Mid},
        sender::SenderParameters,
    },
};

/// Sends a track over a transport that is wired by hand (ORTC §5).
#[derive(Clone)]
pub struct RtcRtpSender {
    shared: Arc<Shared>,
    track: MediaStreamTrack,
    ssrc: u32,
}

impl RtcRtpSender {
    /// A sender of `track`; sends nothing before [`Self::send`].
    pub fn new(track: &MediaStreamTrack, transport: &RtcDtlsTransport) -> Self {
        // Zero is avoided: too many peers take it for "none".
        let ssrc = rand::rng().random_range(1..=u32::MAX);
        Self { shared: Arc::clone(&transport.shared), track: track.clone(), ssrc }
    }

    /// What it sends.
    pub fn track(&self) -> &MediaStreamTrack {
        &self.track
    }

    /// The source that it sends as.
    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// Sends from when DTLS is connected on, in the codecs given, with their payload types.
    ///
    /// # Errors
    /// [`RtcError::TypeError`] for parameters that can't be used, [`RtcError::InvalidStateError`] once the
    /// transport is stopped.
    pub async fn send(&self, parameters: RtcRtpParameters) -> Result<(), RtcError> {
        let extensions = extensions(&parameters.header_extensions)?;
        let parameters = SenderParameters {
            kind: self.track.kind(),
            ssrc: self.ssrc,
            rtx_ssrc: None,
            rid: None,
            encodings: Vec::new(),
            bitrate_max: None,
            codecs: codecs(self.track.kind(), &parameters.codecs)?,
            extensions: ExtensionMap::new(extensions.iter().map(|(id, uri)| (*id, uri)), false),
            mid: Mid::new(&parameters.mux_id),
            cname: parameters.rtcp.cname.unwrap_or_else(random_name),
            reduced_size: parameters.rtcp.reduced_size,
            clock: self.shared.clock,
        };
        self.shared.request(SendTrack { track: self.track.clone(), parameters }).await
    }
}

/// Receives a track over a transport that is wired by hand (ORTC §6).
#[derive(Clone)]
pub struct RtcRtpReceiver {
    shared: Arc<Shared>,
    kind: MediaKind,
}

impl RtcRtpReceiver {
    /// A receiver of this kind of media; takes nothing before [`Self::receive`].
    pub fn new(kind: MediaKind, transport: &RtcDtlsTransport) -> Self {
        Self { shared: Arc::clone(&transport.shared), kind }
    }

    /// Receives what these parameters describe: packets with the value of `mux_id` in their MID header
    /// extension, or with one of the payload types. The track is muted until the first packet.
    ///
    /// # Errors
    /// See [`RtcRtpSender::send`].
    pub async fn receive(&self, parameters: RtcRtpParameters) -> Result<MediaStreamTrack, RtcError> {
        let extensions = extensions(&parameters.header_extensions)?;
        let receiver = ReceiverParameters {
            kind: self.kind,
            codecs: codecs(self.kind, &parameters.codecs)?,
            extensions: ExtensionMap::new(extensions.iter().map(|(id, uri)| (*id, uri)), false),
            ssrcs: parameters.rtcp.ssrc.map(|ssrc| (ssrc, None)).into_iter().collect(),
            local_ssrc: rand::rng().random_range(1..=u32::MAX),
            cname: random_name(),
            reduced_size: parameters.rtcp.reduced_size,
        };
        let message = ReceiveTrack {
            track_id: random_name(),
            parameters: receiver,
            mux_id: parameters.mux_id,
            extensions,
        };
        self.shared.request(message).await
    }
}

/// 128 random bits: says nothing about the host (RFC 7022 §4.2).
fn random_name() -> String {
    format!("{:032x}", rand::rng().random::<u128>())
}

fn codecs(kind: MediaKind, codecs: &[RtcRtpCodecParameters]) -> Result<Vec<CodecParameters>, RtcError> {
    let converted = codecs.iter().map(|codec| {
        let (family, name) = codec.mime_type.split_once('/').unwrap_or_default();
        let expected = kind.to_string();
        if !family.eq_ignore_ascii_case(&expected) || name.is_empty() || codec.payload_type > 127 {
            return Err(RtcError::TypeError(format!(
                "codec {:?} with payload type {} is not one of {expected}",
                codec.mime_type, codec.payload_type
            )));
        }
        let feedback = codec.rtcp_feedback.iter().map(|feedback| match &feedback.parameter {
            Some(parameter) => format!("{} {parameter}", feedback.kind),
            None => feedback.kind.clone(),
        });
        Ok(CodecParameters {
            payload_type: codec.payload_type,
            name: name.to_owned(),
            clock_rate: codec.clock_rate,
            channels: codec.channels.and_then(|channels| channels.try_into().ok()),
            parameters: codec.parameters(),
            feedback: feedback.collect(),
        })
    });
    let converted: Vec<_> = converted.collect::<Result<_, _>>()?;
    if converted.is_empty() {
        return Err(RtcError::TypeError("the parameters name no codec".to_owned()));
    }
    Ok(converted)
}

fn extensions(extensions: &[RtcRtpHeaderExtensionParameters]) -> Result<Vec<(u8, String)>, RtcError> {
    let converted = extensions.iter().map(|extension| match u8::try_from(extension.id) {
        // RFC 8285 §4.2: what the one-byte form can name.
        Ok(id @ 1..=14) => Ok((id, extension.uri.clone())),
        _ => Err(RtcError::TypeError(format!("header extension id {} is not in 1 to 14", extension.id))),
    });
    converted.collect()
}

impl std::fmt::Debug for RtcRtpSender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RtcRtpSender")
            .field("track", &self.track)
            .field("ssrc", &self.ssrc)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for RtcRtpReceiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RtcRtpReceiver").field("kind", &self.kind).finish_non_exhaustive()
    }
}
