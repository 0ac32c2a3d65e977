//! What publishers send: streams of RTP packets that look like VP8 or Opus to whoever forwards them.
//!
//! A video payload is a VP8 payload descriptor with picture id (RFC 7741 §4.2), in the first packet of a
//! frame a VP8 frame header (RFC 6386 §9.1), then a [`Stamp`], a hash, and content that looks random. The hash
//! covers stamp and content. An SFU may rewrite header and descriptor; it must hand on the rest as it is, and a
//! subscriber checks that.
//!
//! A frame is split as libwebrtc does it: into as few packets as fit, whose sizes differ by one byte at most,
//! the smaller ones first. All packets of a frame leave at once: libwebrtc's pacer lets 40 ms of media go in
//! one burst.

use std::{sync::LazyLock, time::Duration};

use clap::ValueEnum;

/// VP8's RTP clock.
const VIDEO_CLOCK_RATE: u32 = 90_000;
/// Opus' RTP clock (RFC 7587).
const AUDIO_CLOCK_RATE: u32 = 48_000;
/// Frames per second of video.
const FRAMES_PER_SECOND: u32 = 30;
/// An Opus packet of 20 ms.
const AUDIO_PACKETS_PER_SECOND: u32 = 50;
/// RTP payload of an Opus packet at about 40 kbit/s.
const AUDIO_PACKET_BYTES: usize = 100;
/// Packets per second of each track of profile `trickle`.
const TRICKLE_PER_SECOND: u32 = 1;
/// libwebrtc keeps RTP packets, without IP and UDP, to so many bytes.
const PACKET_BYTES_MAX: usize = 1_200;
/// How much larger than others a key frame is.
const KEY_FRAME_FACTOR: usize = 4;
/// Frame sizes vary by as much, in percent to either side.
const FRAME_VARIATION_PERCENT: u64 = 20;
/// Between two key frames, however many are asked for: libwebrtc's limit.
const KEY_FRAME_PAUSE: Duration = Duration::from_millis(300);
/// Descriptor with extension byte, 15-bit picture id, TL0PICIDX and TID.
const DESCRIPTOR_BYTES: usize = 6;
/// CRC-32, as Ethernet has it.
const HASH_BYTES: usize = 4;
/// Of the table from which packets are cut: much larger than a packet.
const CONTENT_BYTES: usize = 1 << 14;
/// Frame tag, start code, width and height.
const FRAME_HEADER_BYTES: usize = 10;
/// Header extension ids of everything this program offers.
pub(crate) const MID_EXTENSION: u8 = 1;
pub(crate) const RID_EXTENSION: u8 = 2;
/// Payload types of everything this program offers.
pub(crate) const VP8: u8 = 96;
pub(crate) const OPUS: u8 = 111;

/// What a publisher sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Profile {
    /// Opus in shape: 50 packets of 100 bytes a second
    Audio,
    /// VP8 in shape: 2.5 Mbit/s at 30 frames a second, key frames four times as large
    Video,
    /// One track of each
    Call,
    /// VP8 in three layers of 150, 500 and 2,500 kbit/s
    Simulcast,
    /// Video frames of equal packets: --packet-bytes and --packets-per-second
    Synthetic,
    /// Nothing but a data channel that stays idle
    Data,
    /// An audio packet and, half a second later, a video frame of one packet, every second: enough to see that media
    /// flows
    Trickle,
}

/// How large and how many packets of profile `synthetic` are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Synthetic {
    pub(crate) packet_bytes: usize,
    pub(crate) packets_per_second: u32,
}

/// The kind of a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Audio,
    Video,
}

/// One track of a publisher: a section of its description.
#[derive(Clone, Debug)]
pub(crate) struct Track {
    pub(crate) kind: Kind,
    pub(crate) layers: Vec<Layer>,
}

/// One stream of a track.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    /// Empty without simulcast.
    pub(crate) rid: &'static str,
    size: FrameSize,
    frames_per_second: u32,
}

#[derive(Clone, Copy, Debug)]
enum FrameSize {
    /// Mean bytes of a frame that is no key frame.
    Mean(usize),
    /// So many packets of so many bytes.
    Fixed { packets: usize, bytes: usize },
}

impl Profile {
    /// What a publisher of this profile has.
    pub(crate) fn tracks(self, synthetic: Synthetic) -> Vec<Track> {
        let layer = |rid, kilobits: usize| {
            let mean = kilobits * 1_000 / 8 / FRAMES_PER_SECOND as usize;
            Layer { rid, size: FrameSize::Mean(mean), frames_per_second: FRAMES_PER_SECOND }
        };
        let fixed = |kind, packets, bytes, frames_per_second| {
            let size = FrameSize::Fixed { packets, bytes };
            Track { kind, layers: vec![Layer { rid: "", size, frames_per_second }] }
        };
        let audio = || fixed(Kind::Audio, 1, AUDIO_PACKET_BYTES, AUDIO_PACKETS_PER_SECOND);
        let video = |layers| Track { kind: Kind::Video, layers };
        match self {
            Self::Audio => vec![audio()],
            Self::Video => vec![video(vec![layer("", 2_500)])],
            Self::Call => vec![audio(), video(vec![layer("", 2_500)])],
            Self::Simulcast => {
                vec![video(vec![layer("q", 150), layer("h", 500), layer("f", 2_500)])]
            }
            Self::Synthetic => {
                let packets = (synthetic.packets_per_second / FRAMES_PER_SECOND).max(1) as usize;
                vec![fixed(Kind::Video, packets, synthetic.packet_bytes, FRAMES_PER_SECOND)]
            }
            Self::Data => Vec::new(),
            Self::Trickle => vec![
                fixed(Kind::Audio, 1, AUDIO_PACKET_BYTES, TRICKLE_PER_SECOND),
                fixed(Kind::Video, 1, AUDIO_PACKET_BYTES, TRICKLE_PER_SECOND),
            ],
        }
    }
}

/// What a packet says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Who made it: publisher, track and layer.
    pub(crate) stream: StreamId,
    /// Position among the packets of that stream.
    pub(crate) number: u64,
    /// When it was made, in nanoseconds since the program's start.
    pub(crate) nanoseconds: u64,
}

/// Publisher, track and layer, and whether there are other layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct StreamId {
    pub(crate) publisher: u32,
    pub(crate) track: u8,
    pub(crate) layer: u8,
    pub(crate) layers: u8,
}

impl Stamp {
    /// Marker, stream (7 bytes), number, time.
    const BYTES: usize = 24;
    /// With the hash behind it.
    const HASHED_BYTES: usize = Self::BYTES + HASH_BYTES;
    const MARKER: u8 = 0xa7;

    fn write(&self, to: &mut Vec<u8>) {
        to.push(Self::MARKER);
        to.extend_from_slice(&self.stream.publisher.to_be_bytes());
        to.extend_from_slice(&[self.stream.track, self.stream.layer, self.stream.layers]);
        to.extend_from_slice(&self.number.to_be_bytes());
        to.extend_from_slice(&self.nanoseconds.to_be_bytes());
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        if *bytes.first()? != Self::MARKER || bytes.len() < Self::BYTES {
            return None;
        }
        let stream = StreamId {
            publisher: u32::from_be_bytes(bytes[1..5].try_into().ok()?),
            track: bytes[5],
            layer: bytes[6],
            layers: bytes[7],
        };
        let number = u64::from_be_bytes(bytes[8..16].try_into().ok()?);
        let nanoseconds = u64::from_be_bytes(bytes[16..24].try_into().ok()?);
        Some(Self { stream, number, nanoseconds })
    }

    /// Where in the table the content begins: neighbours in a stream, and streams, differ.
    fn content_offset(&self) -> usize {
        let mixed = self.number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
            ^ u64::from(self.stream.publisher).wrapping_mul(0xc2b2_ae3d_27d4_eb4f)
            ^ u64::from(self.stream.track) << 8
            ^ u64::from(self.stream.layer);
        (mixed >> 32) as usize % (CONTENT_BYTES - PACKET_BYTES_MAX)
    }
}

/// Bytes that look random, from which all packets are cut: compression or a shifted buffer would be noticed.
static CONTENT: LazyLock<Box<[u8]>> = LazyLock::new(|| {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let byte = |_| {
        state = xorshift(state);
        (state >> 32) as u8
    };
    (0..CONTENT_BYTES).map(byte).collect()
});

/// Never comes to zero from anything else.
fn xorshift(mut state: u64) -> u64 {
    state ^= state << 13;
    state ^= state >> 7;
    state ^ (state << 17)
}

/// Of stamp and content.
fn hash(stamp: &[u8], content: &[u8]) -> [u8; HASH_BYTES] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(stamp);
    hasher.update(content);
    hasher.finalize().to_be_bytes()
}

/// A payload that arrived whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) stamp: Stamp,
    /// The first packet of a key frame, or audio.
    pub(crate) decodable: bool,
}

/// Reads and checks a received payload; `None` when it is not what a publisher sent.
pub(crate) fn check(kind: Kind, payload: &[u8]) -> Option<Received> {
    let (body, decodable) = match kind {
        // The TOC byte (RFC 6716 §3.1).
        Kind::Audio => (payload.get(1..)?, true),
        Kind::Video => vp8_body(payload)?,
    };
    let stamp = Stamp::read(body)?;
    let (stamped, rest) = body.split_at(Stamp::BYTES);
    let (hashed, content) = rest.split_at_checked(HASH_BYTES)?;
    (hash(stamped, content) == hashed).then_some(Received { stamp, decodable })
}

/// What follows the descriptor and, at the start of a frame, the frame header.
fn vp8_body(payload: &[u8]) -> Option<(&[u8], bool)> {
    let first = *payload.first()?;
    let mut at = 1;
    if first & 0x80 != 0 {
        let extensions = *payload.get(at)?;
        at += 1;
        if extensions & 0x80 != 0 {
            at += if payload.get(at)? & 0x80 != 0 { 2 } else { 1 };
        }
        at += usize::from(extensions & 0x40 != 0) + usize::from(extensions & 0x30 != 0);
    }
    let is_start = first & 0x17 == 0x10;
    let body = payload.get(at..)?;
    if !is_start {
        return Some((body, false));
    }
    let is_key_frame = body.first()? & 1 == 0;
    Some((body.get(FRAME_HEADER_BYTES..)?, is_key_frame))
}

/// Makes the packets of one stream.
pub(crate) struct Encoder {
    stream: StreamId,
    kind: Kind,
    size: FrameSize,
    frames_per_second: u32,
    pub(crate) ssrc: u32,
    payload_type: u8,
    mid: String,
    rid: &'static str,
    sequence: u16,
    timestamp: u32,
    number: u64,
    picture: u16,
    random: u64,
    key_frame_wanted: bool,
    last_key_frame: Option<u64>,
    pub(crate) packets: u32,
    pub(crate) octets: u32,
}

impl Encoder {
    /// Encoders for all layers of a track. `mid` names its section.
    pub(crate) fn of_track(publisher: u32, index: usize, track: &Track, mid: &str) -> Vec<Self> {
        let layers = track.layers.len() as u8;
        let encoder = |(number, layer): (usize, &Layer)| {
            let stream = StreamId { publisher, track: index as u8, layer: number as u8, layers };
            // Distinct over all publishers of a run, and never zero.
            let ssrc = 0x1000_0000 + publisher * 64 + (index * 8 + number) as u32;
            Self {
                stream,
                kind: track.kind,
                size: layer.size,
                frames_per_second: layer.frames_per_second,
                ssrc,
                payload_type: if track.kind == Kind::Audio { OPUS } else { VP8 },
                mid: mid.to_owned(),
                rid: layer.rid,
                sequence: 1_000,
                timestamp: ssrc,
                number: 0,
                picture: 0,
                random: u64::from(ssrc) | 1,
                key_frame_wanted: true,
                last_key_frame: None,
                packets: 0,
                octets: 0,
            }
        };
        track.layers.iter().enumerate().map(encoder).collect()
    }

    /// Time between two frames.
    pub(crate) fn interval(&self) -> Duration {
        Duration::from_secs(1) / self.frames_per_second
    }

    /// Which of the publisher's tracks this belongs to.
    pub(crate) fn track(&self) -> u8 {
        self.stream.track
    }

    /// Which stream this is, and the number of its next packet.
    pub(crate) fn next(&self) -> (StreamId, u64) {
        (self.stream, self.number)
    }

    /// The number of the packet that comes next.
    pub(crate) fn sequence(&self) -> u16 {
        self.sequence
    }

    pub(crate) fn want_key_frame(&mut self) {
        self.key_frame_wanted = true;
    }

    /// The RTP time of the next packet, for sender reports.
    pub(crate) fn timestamp(&self) -> u32 {
        self.timestamp
    }

    /// Writes the packets of the next frame, one after the other, with `overhead` free bytes behind each;
    /// `lengths` are without those.
    pub(crate) fn frame(&mut self, now: u64, overhead: usize, slab: &mut Vec<u8>, lengths: &mut Vec<usize>) {
        let (clock_rate, key_frame) = match self.kind {
            Kind::Audio => (AUDIO_CLOCK_RATE, false),
            Kind::Video => (VIDEO_CLOCK_RATE, self.takes_key_frame(now)),
        };
        self.timestamp = self.timestamp.wrapping_add(clock_rate / self.frames_per_second);
        self.picture = self.picture.wrapping_add(1) & 0x7fff;
        let sizes = self.payload_sizes(key_frame);
        let last = sizes.len() - 1;
        for (index, size) in sizes.into_iter().enumerate() {
            let start = slab.len();
            self.write_header(slab, index == last && self.kind == Kind::Video);
            let payload_start = slab.len();
            self.write_payload(slab, now, index == 0, key_frame, size);
            self.octets = self.octets.wrapping_add((slab.len() - payload_start) as u32);
            lengths.push(slab.len() - start);
            slab.resize(slab.len() + overhead, 0);
            self.packets = self.packets.wrapping_add(1);
        }
    }

    fn takes_key_frame(&mut self, now: u64) -> bool {
        let pause = KEY_FRAME_PAUSE.as_nanos() as u64;
        let may = self.last_key_frame.is_none_or(|last| now.saturating_sub(last) >= pause);
        if !(self.key_frame_wanted && may) {
            return false;
        }
        self.key_frame_wanted = false;
        self.last_key_frame = Some(now);
        true
    }

    fn payload_sizes(&mut self, key_frame: bool) -> Vec<usize> {
        match self.size {
            FrameSize::Fixed { packets, bytes } => vec![bytes; packets],
            FrameSize::Mean(mean) => {
                let variation = self.next_random() % (2 * FRAME_VARIATION_PERCENT + 1);
                let percent = 100 - FRAME_VARIATION_PERCENT + variation;
                let bytes = mean * percent as usize / 100;
                let bytes = if key_frame { bytes * KEY_FRAME_FACTOR } else { bytes };
                split(bytes, PACKET_BYTES_MAX - self.header_bytes())
            }
        }
    }

    /// Xorshift: sizes must vary, and be the same in every run.
    fn next_random(&mut self) -> u64 {
        self.random = xorshift(self.random);
        self.random
    }

    fn extension_bytes(&self) -> usize {
        let rid = if self.rid.is_empty() { 0 } else { 1 + self.rid.len() };
        (1 + self.mid.len() + rid).next_multiple_of(4)
    }

    fn header_bytes(&self) -> usize {
        16 + self.extension_bytes()
    }

    /// RFC 3550 §5.1 with the one-byte extensions of RFC 8285 §4.2.
    fn write_header(&mut self, to: &mut Vec<u8>, marker: bool) {
        to.extend_from_slice(&[0x90, self.payload_type | u8::from(marker) << 7]);
        to.extend_from_slice(&self.sequence.to_be_bytes());
        to.extend_from_slice(&self.timestamp.to_be_bytes());
        to.extend_from_slice(&self.ssrc.to_be_bytes());
        let words = (self.extension_bytes() / 4) as u16;
        to.extend_from_slice(&[0xbe, 0xde]);
        to.extend_from_slice(&words.to_be_bytes());
        let start = to.len();
        for (id, value) in [(MID_EXTENSION, self.mid.as_str()), (RID_EXTENSION, self.rid)] {
            if !value.is_empty() {
                to.push(id << 4 | (value.len() - 1) as u8);
                to.extend_from_slice(value.as_bytes());
            }
        }
        to.resize(start + self.extension_bytes(), 0);
        self.sequence = self.sequence.wrapping_add(1);
    }

    fn write_payload(&mut self, to: &mut Vec<u8>, now: u64, first: bool, key_frame: bool, size: usize) {
        let start = to.len();
        match self.kind {
            // CELT, full band, 20 ms, mono, one frame.
            Kind::Audio => to.push(0xf8),
            Kind::Video => {
                // X, and S at the start of the only partition; I, L and T; M of the picture id.
                to.extend_from_slice(&[if first { 0x90 } else { 0x80 }, 0xe0]);
                to.extend_from_slice(&(self.picture | 0x8000).to_be_bytes());
                to.extend_from_slice(&[self.picture as u8, 0]);
                if first {
                    // Shown, version 0, a first partition of no particular size; 640 by 480.
                    let tag = 0x10 | u8::from(!key_frame);
                    to.extend_from_slice(&[tag, 0x02, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0xe0, 0x01]);
                }
            }
        }
        let stamp = Stamp { stream: self.stream, number: self.number, nanoseconds: now };
        let stamp_start = to.len();
        stamp.write(to);
        let offset = stamp.content_offset();
        let length = (start + size).saturating_sub(to.len() + HASH_BYTES);
        let content = &CONTENT[offset..offset + length];
        to.extend_from_slice(&hash(&to[stamp_start..], content));
        to.extend_from_slice(content);
        self.number += 1;
    }
}

/// As few packets as fit, whose sizes differ by one byte at most, the smaller ones first.
fn split(bytes: usize, bytes_max: usize) -> Vec<usize> {
    let smallest = DESCRIPTOR_BYTES + FRAME_HEADER_BYTES + Stamp::HASHED_BYTES;
    let room = bytes_max - DESCRIPTOR_BYTES;
    let bytes = bytes.max(smallest);
    let packets = bytes.div_ceil(room);
    let larger = bytes % packets;
    let size = |index| bytes / packets + usize::from(index >= packets - larger) + DESCRIPTOR_BYTES;
    (0..packets).map(size).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoders(profile: Profile) -> Vec<Encoder> {
        let synthetic = Synthetic { packet_bytes: 1_000, packets_per_second: 300 };
        let tracks = profile.tracks(synthetic);
        tracks
            .iter()
            .enumerate()
            .flat_map(|(index, track)| Encoder::of_track(7, index, track, &index.to_string()))
            .collect()
    }

    /// The RTP payloads of one frame.
    fn payloads(encoder: &mut Encoder, now: u64) -> Vec<Vec<u8>> {
        let (mut slab, mut lengths) = (Vec::new(), Vec::new());
        encoder.frame(now, 16, &mut slab, &mut lengths);
        let header = encoder.header_bytes();
        let mut at = 0;
        let packet = |length: &usize| {
            let packet = slab[at..at + length][header..].to_vec();
            at += length + 16;
            packet
        };
        lengths.iter().map(packet).collect()
    }

    #[test]
    fn what_was_made_is_recognised_and_any_changed_byte_is_noticed() {
        for profile in [Profile::Audio, Profile::Video, Profile::Simulcast, Profile::Synthetic] {
            for encoder in &mut encoders(profile) {
                let kind = encoder.kind;
                for (number, payload) in payloads(encoder, 42).into_iter().enumerate() {
                    let received = check(kind, &payload).unwrap();
                    assert_eq!(received.stamp.number, number as u64);
                    assert_eq!((received.stamp.stream, received.stamp.nanoseconds), (encoder.stream, 42));
                    assert_eq!(received.decodable, number == 0);
                    let mut damaged = payload;
                    *damaged.last_mut().unwrap() ^= 1;
                    assert_eq!(check(kind, &damaged), None);
                }
            }
        }
    }

    #[test]
    fn video_has_its_bitrate_and_sizes_within_a_byte() {
        let mut encoder = encoders(Profile::Video).remove(0);
        let (mut bytes, mut packets) = (0, 0);
        for frame in 0..300u64 {
            let sizes: Vec<usize> =
                payloads(&mut encoder, frame * 33_000_000).iter().map(|payload| payload.len()).collect();
            assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1, "{sizes:?}");
            assert!(sizes.is_sorted(), "{sizes:?}");
            assert!(sizes.iter().all(|size| size + encoder.header_bytes() <= PACKET_BYTES_MAX));
            bytes += sizes.iter().sum::<usize>();
            packets += sizes.len();
        }
        let megabits = bytes as f64 * 8.0 / 10.0 / 1e6;
        assert!((2.3..2.7).contains(&megabits), "{megabits}");
        assert!((2_600..3_000).contains(&packets), "{packets}");
    }

    #[test]
    fn key_frames_come_first_and_when_asked_for_but_not_too_often() {
        let mut encoder = encoders(Profile::Video).remove(0);
        let is_key = |encoder: &mut Encoder, milliseconds: u64| {
            let first = &payloads(encoder, milliseconds * 1_000_000)[0];
            check(Kind::Video, first).unwrap().decodable
        };
        assert!(is_key(&mut encoder, 0));
        assert!(!is_key(&mut encoder, 33));
        encoder.want_key_frame();
        assert!(!is_key(&mut encoder, 66), "too soon");
        assert!(is_key(&mut encoder, 333));
        assert!(!is_key(&mut encoder, 366));
    }
}
