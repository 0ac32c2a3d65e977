//! Encoded frames to RTP packets, by the payload formats of the `rtp` crate: Opus (RFC 7587), VP8
//! (RFC 7741), VP9 (RFC 9628), H.264 (RFC 6184), G.711 and G.722 (RFC 3551).
//!
//! Its input is the application's, never the network's. AV1 is left out: that payloader panics on a
//! frame with wrong OBU sizes.

use std::time::Instant;

use bytes::Bytes;
use rtp::{
    codecs::{
        g7xx::G7xxPayloader, h264::H264Payloader, opus::OpusPayloader, vp8::Vp8Payloader, vp9::Vp9Payloader,
    },
    packetizer::Payloader,
};

use super::{CodecFamily, CodecKey, CodecParameters, Extensions, MediaKind, RtpPacket, starts_key_frame};

/// Why a frame did not become packets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PacketizeError {
    /// There is no payload format for this codec here.
    #[error("frames of {0} can't be packetized: write RTP packets instead")]
    UnsupportedCodec(String),
    /// The frame is not one of its codec.
    #[error("the frame can't be packetized: {0}")]
    MalformedFrame(String),
}

/// Splits the frames of one track into packets.
pub struct FramePacketizer {
    payloader: Box<dyn Payloader + Send + Sync>,
    family: CodecFamily,
    key: CodecKey,
    payload_type: u8,
    kind: MediaKind,
    payload_bytes_max: usize,
    next_sequence_number: u64,
}

impl std::fmt::Debug for FramePacketizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FramePacketizer").field("family", &self.family).finish_non_exhaustive()
    }
}

impl FramePacketizer {
    /// For frames of `codec`, in payloads of at most `payload_bytes_max` bytes (1,100 leave room for
    /// header extensions, SRTP and tunnels within a datagram of 1,200).
    ///
    /// # Errors
    /// [`PacketizeError::UnsupportedCodec`].
    pub fn new(codec: &CodecParameters, payload_bytes_max: usize) -> Result<Self, PacketizeError> {
        let family = codec.key().family();
        let payloader: Box<dyn Payloader + Send + Sync> = match family {
            CodecFamily::Vp8 => {
                let mut payloader = Vp8Payloader::default();
                payloader.enable_picture_id = true;
                Box::new(payloader)
            }
            CodecFamily::Vp9 => Box::<Vp9Payloader>::default(),
            CodecFamily::H264 => Box::<H264Payloader>::default(),
            _ => match codec.name.to_ascii_lowercase().as_str() {
                "opus" => Box::new(OpusPayloader),
                "pcmu" | "pcma" | "g722" => Box::<G7xxPayloader>::default(),
                _ => return Err(PacketizeError::UnsupportedCodec(codec.name.clone())),
            },
        };
        let kind = if codec.channels.is_some() || !family.shows_key_frames() {
            MediaKind::Audio
        } else {
            MediaKind::Video
        };
        Ok(Self {
            payloader,
            family,
            key: codec.key(),
            payload_type: codec.payload_type,
            kind,
            payload_bytes_max: payload_bytes_max.max(16),
            next_sequence_number: 0,
        })
    }

    /// The packets of one frame. `timestamp` is its capture time in units of the codec's clock.
    ///
    /// # Errors
    /// [`PacketizeError::MalformedFrame`]; the next frame may be tried.
    pub fn packetize(
        &mut self,
        now: Instant,
        frame: &Bytes,
        timestamp: u32,
    ) -> Result<Vec<RtpPacket>, PacketizeError> {
        let payloads = self
            .payloader
            .payload(self.payload_bytes_max, frame)
            .map_err(|error| PacketizeError::MalformedFrame(error.to_string()))?;
        let last = payloads.len().saturating_sub(1);
        let packets = payloads.into_iter().enumerate();
        Ok(packets
            .map(|(index, payload)| self.packet(now, payload, timestamp, index == 0, index == last))
            .collect())
    }

    fn packet(&mut self, now: Instant, payload: Bytes, timestamp: u32, first: bool, last: bool) -> RtpPacket {
        let sequence_number = self.next_sequence_number;
        self.next_sequence_number += 1;
        let video = self.kind == MediaKind::Video;
        RtpPacket {
            arrival: now,
            ssrc: 1,
            rid: None,
            codec: self.key,
            payload_type: self.payload_type,
            // RFC 7587 §4.2, RFC 3551 §4.1: audio sets it after silence only, which is not known here.
            marker: video && last,
            sequence_number,
            timestamp,
            clock: None,
            extensions: Extensions::default(),
            key_frame: video && first && starts_key_frame(self.family, &payload),
            payload,
        }
    }
}

#[cfg(test)]
mod tests {
    use rtp::{codecs::vp8::Vp8Packet, packetizer::Depacketizer};

    use super::*;

    fn codec(name: &str, clock_rate: u32, channels: Option<u8>) -> CodecParameters {
        CodecParameters {
            payload_type: 96,
            name: name.to_owned(),
            clock_rate,
            channels,
            parameters: Vec::new(),
            feedback: Vec::new(),
        }
    }

    #[test]
    fn a_large_picture_becomes_several_packets_and_is_whole_again_at_the_other_end() {
        let mut frame = vec![0x00, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xf0, 0x00];
        frame.extend((0..3_000u32).map(|i| i as u8));
        let frame = Bytes::from(frame);
        let mut packetizer = FramePacketizer::new(&codec("VP8", 90_000, None), 1_100).unwrap();
        let packets = packetizer.packetize(Instant::now(), &frame, 9_000).unwrap();
        assert_eq!(packets.len(), 3);
        assert!(packets.iter().all(|packet| packet.payload.len() <= 1_100 && packet.timestamp == 9_000));
        assert_eq!(packets.iter().map(|p| p.marker).collect::<Vec<_>>(), [false, false, true]);
        assert_eq!(packets.iter().map(|p| p.key_frame).collect::<Vec<_>>(), [true, false, false]);
        assert_eq!(packets.iter().map(|p| p.sequence_number).collect::<Vec<_>>(), [0, 1, 2]);
        let whole: Vec<u8> = packets
            .iter()
            .flat_map(|packet| Vp8Packet::default().depacketize(&packet.payload).unwrap().to_vec())
            .collect();
        assert_eq!(whole, frame);
        let delta = Bytes::from_static(&[0x01, 0, 0, 1, 2, 3, 4, 5]);
        assert!(!packetizer.packetize(Instant::now(), &delta, 12_000).unwrap()[0].key_frame);
    }

    /// The NAL units of H.264 packets put together again, as the crate's own depacketizer sees them.
    fn h264(frame: &[u8]) -> (Vec<RtpPacket>, Vec<u8>) {
        let mut packetizer = FramePacketizer::new(&codec("H264", 90_000, None), 1_100).unwrap();
        let packets = packetizer.packetize(Instant::now(), &Bytes::copy_from_slice(frame), 0).unwrap();
        let mut depacketizer = rtp::codecs::h264::H264Packet::default();
        let whole = packets.iter().flat_map(|p| depacketizer.depacketize(&p.payload).unwrap().to_vec());
        let whole = whole.collect();
        (packets, whole)
    }

    fn unit(kind: u8, length: usize) -> Vec<u8> {
        let mut unit = vec![0, 0, 0, 1, 0x60 | kind];
        unit.extend((1..length).map(|i| (i % 251) as u8 | 1));
        unit
    }

    #[test]
    fn a_small_h264_unit_is_one_packet() {
        let (packets, whole) = h264(&unit(1, 40));
        assert_eq!(packets.len(), 1);
        assert!(packets[0].marker && !packets[0].key_frame);
        assert_eq!(whole, unit(1, 40));
    }

    #[test]
    fn a_large_h264_unit_is_fragmented() {
        let (packets, whole) = h264(&unit(5, 3_000));
        assert_eq!(packets.len(), 3);
        assert!(packets.iter().all(|packet| packet.payload.len() <= 1_100 && packet.payload[0] & 0x1f == 28));
        assert_eq!(packets.iter().map(|p| p.marker).collect::<Vec<_>>(), [false, false, true]);
        assert!(packets[0].key_frame, "an IDR picture");
        assert_eq!(whole, unit(5, 3_000));
    }

    #[test]
    fn h264_parameter_sets_travel_with_the_picture_that_needs_them() {
        let frame = [unit(7, 20), unit(8, 10), unit(5, 200)].concat();
        let (packets, whole) = h264(&frame);
        assert_eq!(packets[0].payload[0] & 0x1f, 24, "parameter sets are aggregated");
        assert!(packets[0].key_frame);
        assert_eq!(whole, frame);
    }

    #[test]
    fn several_h264_units_of_a_picture_keep_their_order_and_one_marker() {
        let frame = [unit(1, 300), unit(1, 400), unit(1, 1_500)].concat();
        let (packets, whole) = h264(&frame);
        assert_eq!(packets.iter().filter(|packet| packet.marker).count(), 1);
        assert!(packets.last().unwrap().marker);
        assert_eq!(whole, frame);
    }

    #[test]
    fn sound_is_one_packet_without_marker() {
        let mut packetizer = FramePacketizer::new(&codec("opus", 48_000, Some(2)), 1_100).unwrap();
        let frame = Bytes::from_static(&[0xfc, 0xff, 0xfe]);
        let packets = packetizer.packetize(Instant::now(), &frame, 960).unwrap();
        assert_eq!(packets.len(), 1);
        assert_eq!(packets[0].payload, frame);
        assert!(!packets[0].marker && !packets[0].key_frame);
    }

    #[test]
    fn a_codec_without_payload_format_is_refused_by_name() {
        let error = FramePacketizer::new(&codec("AV1", 90_000, None), 1_100).unwrap_err();
        assert_eq!(error, PacketizeError::UnsupportedCodec("AV1".to_owned()));
    }
}
