//! The packets of a publisher: VP8 in shape, with a number and a time stamp inside so that a
//! subscriber can check order, content and delay.

use std::time::Instant;

use actix_rtc::proto::rtp::{CodecKey, CodecParameters, Extensions, RtpPacket};
use bytes::{BufMut, Bytes, BytesMut};

/// Frames per second of a video publisher.
pub(crate) const FRAMES_PER_SECOND: u32 = 30;
/// VP8's RTP clock.
const CLOCK_RATE: u32 = 90_000;
/// VP8 descriptor (1), frame tag and start code of a key frame (10), number (8), time (8).
pub(crate) const HEADER_BYTES: usize = 27;

/// Makes the frames of one publisher.
pub(crate) struct FrameSource {
    codec: CodecKey,
    started: Instant,
    packet_bytes: usize,
    packets_per_frame: usize,
    next_number: u64,
    timestamp: u32,
}

impl FrameSource {
    /// Frames of `packets_per_frame` packets with `packet_bytes` of payload each.
    pub(crate) fn new(started: Instant, packet_bytes: usize, packets_per_frame: usize) -> Self {
        let vp8 = CodecParameters {
            payload_type: 96,
            name: "VP8".to_owned(),
            clock_rate: CLOCK_RATE,
            channels: None,
            parameters: Vec::new(),
            feedback: Vec::new(),
        };
        Self {
            codec: CodecKey::of(&vp8),
            started,
            packet_bytes: packet_bytes.max(HEADER_BYTES),
            packets_per_frame,
            next_number: 0,
            timestamp: 0,
        }
    }

    /// The packets of the next frame.
    pub(crate) fn frame(&mut self, now: Instant, key_frame: bool) -> Vec<RtpPacket> {
        self.timestamp = self.timestamp.wrapping_add(CLOCK_RATE / FRAMES_PER_SECOND);
        (0..self.packets_per_frame).map(|index| self.packet(now, index, key_frame)).collect()
    }

    fn packet(&mut self, now: Instant, index: usize, key_frame: bool) -> RtpPacket {
        let number = self.next_number;
        self.next_number += 1;
        let first = index == 0;
        RtpPacket {
            arrival: now,
            ssrc: 1,
            rid: None,
            codec: self.codec,
            payload_type: 96,
            marker: index + 1 == self.packets_per_frame,
            sequence_number: number,
            timestamp: self.timestamp,
            extensions: Extensions::default(),
            payload: self.payload(now, number, first, key_frame),
            key_frame: first && key_frame,
        }
    }

    fn payload(&self, now: Instant, number: u64, first: bool, key_frame: bool) -> Bytes {
        let mut payload = BytesMut::with_capacity(self.packet_bytes);
        // RFC 7741 §4.2: no extensions; S marks the start of a partition.
        payload.put_u8(if first { 0x10 } else { 0x00 });
        // RFC 6386 §9.1: bit 0 of the frame tag is 0 for a key frame; then start code and size.
        payload.put_slice(&[u8::from(!(first && key_frame)), 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xf0, 0x00]);
        payload.put_u64(number);
        payload.put_u64(nanoseconds_since(self.started, now));
        payload.resize(self.packet_bytes, filler(number));
        payload.freeze()
    }
}

fn nanoseconds_since(started: Instant, now: Instant) -> u64 {
    u64::try_from(now.saturating_duration_since(started).as_nanos()).unwrap_or(u64::MAX)
}

/// The byte that fills packet `number`, so that a mixed-up payload is noticed.
fn filler(number: u64) -> u8 {
    (number % 251) as u8
}

/// What a packet says of itself, when its content is what was sent.
pub(crate) struct Stamp {
    /// Position in the publisher's stream.
    pub(crate) number: u64,
    /// When it was made, in nanoseconds since the start.
    pub(crate) nanoseconds: u64,
}

/// Reads the stamp of a received payload; `None` when it is not what a publisher sent.
pub(crate) fn stamp_of(payload: &[u8]) -> Option<Stamp> {
    let number = u64::from_be_bytes(payload.get(11..19)?.try_into().ok()?);
    let nanoseconds = u64::from_be_bytes(payload.get(19..27)?.try_into().ok()?);
    let intact = payload[HEADER_BYTES..].iter().all(|byte| *byte == filler(number));
    intact.then_some(Stamp { number, nanoseconds })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_survives_and_a_damaged_payload_is_noticed() {
        let started = Instant::now();
        let mut source = FrameSource::new(started, 100, 3);
        let packets = source.frame(started, true);
        assert_eq!(packets.len(), 3);
        assert!(packets[0].key_frame && !packets[1].key_frame && packets[2].marker);
        let payload = &packets[2].payload;
        assert_eq!(stamp_of(payload).map(|stamp| stamp.number), Some(2));
        let mut damaged = payload.to_vec();
        *damaged.last_mut().unwrap() ^= 1;
        assert!(stamp_of(&damaged).is_none());
        assert!(stamp_of(&payload[..20]).is_none());
    }
}
