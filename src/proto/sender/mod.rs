//! What leaves on one media section: continuity, history, RTX, reports.
//!
//! A [`Sender`] owns the SSRC, the sequence numbers and the timestamps of one outgoing stream; sources come and go
//! without the receiver noticing more than a key frame:
//!
//! ```text
//!             switch_source(g)                 first packet of g that decoding can start with
//!  flows(f) ───────────────────▶ flows(f), g asked ─────────────────────────▶ flows(g), f is dropped
//!     │  mark_gap, a loss beyond repair                                           sequence = last + 1
//!     └─────────▶ interrupted(f) ── key frame of f ──▶ flows(f)                   timestamp = last + elapsed
//! ```
//!
//! Invariants: no sequence number is sent twice with different content, also over a restart with [`SenderState`];
//! a hole in the source's numbers stays a hole, so that the receiver can ask and a late packet can fill it; a
//! forwarded packet costs no allocation in steady state.

mod codecs;
mod continuity;
mod dtmf;
mod encoding;
mod history;
mod outgoing;
mod parameters;
mod placement;
mod random;
mod reports;
mod retransmission;
mod sent_window;
mod state;
mod statistics;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use rand::Rng;
use rand::rngs::StdRng;

pub use dtmf::{DtmfError, ToneChange, ToneRequest};
pub use encoding::{EncodingParameters, EncodingStream, Priority};
pub use outgoing::OutgoingPacket;
pub use parameters::SenderParameters;
pub use state::SenderState;
pub use statistics::OutboundStatistics;

use self::codecs::{Codec, Codecs};
use self::continuity::{Counters, Shifts};
use self::dtmf::Dtmf;
use self::history::{History, Shift};
use self::placement::Placement;
use self::random::SmallRandom;
use self::retransmission::Budget;
use self::sent_window::SentWindow;
use self::state::Latest;
use crate::proto::prefetch::prefetch;
use crate::proto::rtcp::MaximumBitrateEntry;
use crate::proto::rtp::picture_index::PictureIndex;
use crate::proto::rtp::{
    ExtensionKind, Extensions, HeaderBytes, LegExtensions, MediaKind, MediaLot, RtpPacket, WrittenExtensions,
};

/// Packets held while waiting for a key frame: more than one frame of a fast stream.
const HELD_MAX: usize = 64;

/// Length of an RTP header without extension.
const FIXED_HEADER_LENGTH: usize = 12;

/// RFC 3550 §5.1: set in the first byte if there is padding behind the payload.
const PADDING_BIT: u8 = 0x20;

/// Counts of [`OutboundStatistics`], without the rest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Refused {
    /// All packets that were not sent.
    pub packets_dropped: u64,
    /// The peer has not negotiated their codec.
    pub packets_without_codec: u64,
    /// Their source has been replaced.
    pub packets_of_replaced_source: u64,
}

/// The outbound half of one media section.
#[derive(Debug)]
pub struct Sender {
    /// Shared with those who have set them.
    parameters: Arc<SenderParameters>,
    codecs: Codecs,
    leg: LegExtensions,
    sends_absolute_time: bool,
    /// The extension block of a packet whose source has nothing to forward, and what is where in it.
    own_extensions: HeaderBytes,
    own_written: WrittenExtensions,
    state: SenderState,
    sent: SentWindow,
    history: History,
    budget: Budget,
    /// Packets that came before the key frame they belong to, with their generation.
    held: VecDeque<(u32, RtpPacket)>,
    /// Made by the first tones: most senders never play any.
    dtmf: Option<Box<Dtmf>>,
    key_frame_wanted: bool,
    reminded: Instant,
    report_at: Option<Instant>,
    /// The peer's last REMB and TMMBR.
    estimated_bitrate: Option<u64>,
    requested_bitrate: Option<MaximumBitrateEntry>,
    /// A TMMBR waits for its answer.
    notification_at: Option<Instant>,
    statistics: OutboundStatistics,
    random: SmallRandom,
}

impl Sender {
    /// A new sender, or with the saved `state` the continuation of one that panicked.
    pub fn new(
        now: Instant,
        parameters: impl Into<Arc<SenderParameters>>,
        state: Option<SenderState>,
        mut random: StdRng,
    ) -> Self {
        let parameters = parameters.into();
        let is_restart = state.is_some();
        let state = state.unwrap_or_else(|| SenderState::new(&mut random));
        let mut sender = Self {
            codecs: Codecs::new(&parameters.codecs, parameters.kind),
            leg: LegExtensions::default(),
            sends_absolute_time: false,
            own_extensions: HeaderBytes::new(),
            own_written: WrittenExtensions::default(),
            sent: SentWindow::new(state.next_sequence),
            history: History::new(parameters.kind, now),
            budget: Budget::new(),
            held: VecDeque::new(),
            dtmf: None,
            key_frame_wanted: parameters.kind == MediaKind::Video,
            reminded: now,
            report_at: None,
            estimated_bitrate: None,
            requested_bitrate: None,
            notification_at: None,
            statistics: OutboundStatistics { ssrc: parameters.ssrc, ..OutboundStatistics::default() },
            random: SmallRandom::new(&mut random),
            state,
            parameters,
        };
        sender.apply_parameters();
        if is_restart {
            // What was under way when the sender panicked is lost.
            sender.mark_gap();
        }
        sender
    }

    /// The next packet comes soon: see [`prefetch`](crate::proto::prefetch).
    pub(crate) fn prefetch(&self) {
        prefetch(&*self.parameters);
        self.codecs.prefetch();
        self.history.prefetch(self.state.next_sequence);
    }

    /// What was negotiated last.
    pub fn parameters(&self) -> &SenderParameters {
        &self.parameters
    }

    /// After a renegotiation. The SSRCs must be the same; a new SSRC needs a new sender.
    pub fn set_parameters(&mut self, parameters: impl Into<Arc<SenderParameters>>) {
        let parameters = parameters.into();
        if !self.parameters.compose_as(&parameters) {
            self.history.clear();
        }
        self.codecs = Codecs::new(&parameters.codecs, parameters.kind);
        self.parameters = parameters;
        self.apply_parameters();
    }

    /// All that a restarted sender needs; to be saved before a lot leaves.
    pub fn state(&self) -> SenderState {
        self.state
    }

    /// The next packet of `generation` that decoding can start with takes over; until then the source before it
    /// keeps flowing. A generation that is not newer than the one asked for last is ignored.
    pub fn switch_source(&mut self, now: Instant, generation: u32) {
        // Newer, modulo 2^32.
        if self.state.asked.is_some_and(|asked| generation.wrapping_sub(asked) as i32 <= 0) {
            return;
        }
        self.state.asked = Some(generation);
        self.want_key_frame(now);
    }

    /// Packets of the source were lost on the way here: video waits for the next key frame.
    pub fn mark_gap(&mut self) {
        if self.parameters.kind == MediaKind::Audio {
            return;
        }
        if let Some(source) = &mut self.state.source {
            source.interrupted = true;
        }
        self.key_frame_wanted = true;
    }

    /// The source is silenced for a while on our side (a disabled track, an inactive encoding, a tone): what it goes on
    /// with later follows without a hole in the numbers, video with a key frame.
    pub fn pause(&mut self) {
        if let Some(source) = &mut self.state.source {
            source.interrupted = true;
        }
    }

    /// [`Sender::pause`], and these packets of the source are not sent.
    pub fn withhold(&mut self, packets: usize) {
        self.pause();
        self.statistics.packets_withheld += packets as u64;
    }

    /// True once after each reason to ask the source for a key frame: start, switch, gap, PLI or FIR.
    pub fn wants_key_frame(&mut self) -> bool {
        std::mem::take(&mut self.key_frame_wanted)
    }

    /// The generation that flows now.
    pub fn generation(&self) -> Option<u32> {
        self.state.source.map(|source| source.generation)
    }

    /// Turns a source's packet, the one at `index` of `lot`, into this stream's, or drops it (`None`).
    ///
    /// # Panics
    /// If the lot is shorter.
    pub fn forward(
        &mut self,
        now: Instant,
        lot: &Arc<MediaLot>,
        index: usize,
        generation: u32,
    ) -> Option<OutgoingPacket> {
        let packet = &lot.packets[index];
        if self.dtmf.as_ref().is_some_and(|dtmf| dtmf.is_playing()) {
            // RFC 4733 §2.6: the tone is heard instead.
            self.withhold(1);
            return None;
        }
        let Some((codec, picture, placement)) = self.decide(now, packet, generation) else {
            self.count_dropped(packet, generation);
            return None;
        };
        if placement.starts {
            let first = self.emit(now, lot, index, codec, picture, &placement);
            self.adopt_held(now, packet, generation);
            return Some(first);
        }
        Some(self.emit(now, lot, index, codec, picture, &placement))
    }

    /// Packets that were not sent, of all and by two of the reasons.
    pub fn refused(&self) -> Refused {
        let OutboundStatistics { packets_dropped, packets_without_codec, packets_of_replaced_source, .. } =
            self.statistics;
        Refused { packets_dropped, packets_without_codec, packets_of_replaced_source }
    }

    #[cold]
    fn count_dropped(&mut self, packet: &RtpPacket, generation: u32) {
        self.statistics.packets_dropped += 1;
        if self.codecs.find(packet.codec).is_none() {
            self.statistics.packets_without_codec += 1;
        } else if self.state.asked.is_some_and(|asked| asked != generation)
            && self.state.source.is_none_or(|source| source.generation != generation)
        {
            self.statistics.packets_of_replaced_source += 1;
        }
    }

    /// The counters.
    pub fn statistics(&self) -> OutboundStatistics {
        OutboundStatistics {
            kind: Some(self.parameters.kind),
            rtx_ssrc: self.parameters.rtx_ssrc,
            rid: self.parameters.rid,
            ..self.statistics
        }
    }

    fn apply_parameters(&mut self) {
        let extensions = &self.parameters.extensions;
        self.sends_absolute_time = extensions.id(ExtensionKind::AbsoluteSendTime).is_some();
        self.leg =
            LegExtensions { mid: self.parameters.mid, rid: self.parameters.rid, ..LegExtensions::default() };
        self.own_extensions.clear();
        let leg = LegExtensions { absolute_send_time: Some(0), ..self.leg };
        let written = extensions.write(&Extensions::default(), &leg, &mut self.own_extensions);
        self.own_written = written;
    }

    fn want_key_frame(&mut self, now: Instant) {
        if self.parameters.kind == MediaKind::Video {
            self.key_frame_wanted = true;
            self.reminded = now;
        }
    }

    /// Whether a packet is sent, as what and under which number.
    // Inlined, as returning it through memory costs a tenth of the whole call.
    #[inline(always)]
    fn decide(
        &mut self,
        now: Instant,
        packet: &RtpPacket,
        generation: u32,
    ) -> Option<(Codec, Option<PictureIndex>, Placement)> {
        let codec = self.codecs.find(packet.codec)?;
        let index = PictureIndex::find(codec.family, &packet.payload);
        let placement = self.place(now, packet, generation, codec, index)?;
        Some((codec, index, placement))
    }

    /// Composes the packet and keeps what it was made from for retransmission.
    fn emit(
        &mut self,
        now: Instant,
        lot: &Arc<MediaLot>,
        index: usize,
        codec: Codec,
        picture: Option<PictureIndex>,
        placement: &Placement,
    ) -> OutgoingPacket {
        let packet = &lot.packets[index];
        let Placement { sequence, timestamp_shift, shifts, .. } = *placement;
        let shift = Shift {
            sequence: sequence.wrapping_sub(packet.sequence_number),
            timestamp: timestamp_shift,
            counters: shifts,
        };
        let send_time = self.send_time_at(now);
        let Composed { header, rtp_header_length, payload, padding, .. } =
            self.compose(lot, index, codec, picture, shift, send_time);
        let timestamp = packet.timestamp.wrapping_add(timestamp_shift);
        self.note_sent(now, sequence, timestamp, codec, packet, rtp_header_length);
        self.state.counters.sent(shifts, picture, packet.extensions.frame_number());
        if codec.nack {
            self.history.insert(sequence, now, send_time, lot, index, shift);
        }
        OutgoingPacket { header, payload, padding, retransmission: false }
    }

    /// Makes a packet of this stream from one of a source. Depends on its arguments and the parameters alone: called
    /// again, it gives the same bytes.
    #[inline(always)]
    fn compose(
        &mut self,
        lot: &MediaLot,
        index: usize,
        codec: Codec,
        picture: Option<PictureIndex>,
        shift: Shift,
        send_time: u32,
    ) -> Composed {
        let packet = &lot.packets[index];
        let mut header = HeaderBytes::new();
        header.extend_from_slice(&fixed_header(
            packet.marker,
            codec.payload_type,
            packet.sequence_number.wrapping_add(shift.sequence) as u16,
            packet.timestamp.wrapping_add(shift.timestamp),
            self.parameters.ssrc,
        ));
        let written = self.write_extensions(send_time, &packet.extensions, shift.counters, &mut header);
        let rtp_header_length = header.len();
        if rtp_header_length > FIXED_HEADER_LENGTH {
            header[0] |= 0x10;
        }
        let padding = lot.padding_of(index);
        if padding > 0 {
            header[0] |= PADDING_BIT;
        }
        let payload = start_of_payload(&packet.payload, picture, shift.counters, &mut header);
        Composed { header, rtp_header_length, written, payload, padding }
    }

    /// The value of `abs-send-time`; any if that was not negotiated.
    fn send_time_at(&self, now: Instant) -> u32 {
        if self.sends_absolute_time { self.parameters.clock.absolute_send_time_at(now) } else { 0 }
    }

    /// Appends the extension block and returns what is where in it.
    fn write_extensions(
        &mut self,
        send_time: u32,
        forwarded: &Extensions,
        shifts: Shifts,
        header: &mut HeaderBytes,
    ) -> WrittenExtensions {
        let send_time = self.sends_absolute_time.then_some(send_time);
        if !forwarded.forwards_nothing() {
            self.leg.absolute_send_time = send_time;
            self.leg.frame_number_shift = shifts.frame_number;
            return self.parameters.extensions.write(forwarded, &self.leg, header);
        }
        // Most video packets have nothing to forward: the block is the same but for the time.
        let written = self.own_written.shifted(header.len());
        header.extend_from_slice(&self.own_extensions);
        if let Some((at, time)) = written.absolute_send_time.zip(send_time) {
            header[at..at + 3].copy_from_slice(&time.to_be_bytes()[1..]);
        }
        written
    }

    /// The key frame began, but some of its packets were here first: on a reordering network, or when its first packet
    /// was lost and repaired. They count as sent and lost, so that the receiver asks for them and gets them from the
    /// history.
    #[cold]
    fn adopt_held(&mut self, now: Instant, first: &RtpPacket, generation: u32) {
        let held = std::mem::take(&mut self.held).into_iter().filter(|(of, packet)| {
            let distance = packet.sequence_number.wrapping_sub(first.sequence_number);
            *of == generation && packet.ssrc == first.ssrc && distance <= HELD_MAX as u64
        });
        let lot = Arc::new(MediaLot::new(held.map(|(_, packet)| packet).collect(), false));
        for (index, packet) in lot.packets.iter().enumerate() {
            if let Some((codec, picture, placement)) = self.decide(now, packet, generation) {
                self.emit(now, &lot, index, codec, picture, &placement);
            }
        }
    }

    fn note_sent(
        &mut self,
        now: Instant,
        sequence: u64,
        timestamp: u32,
        codec: Codec,
        packet: &RtpPacket,
        header_length: usize,
    ) {
        self.sent.mark(sequence);
        self.state.next_sequence = self.state.next_sequence.max(sequence + 1);
        let is_later = |latest: Latest| timestamp.wrapping_sub(latest.timestamp) as i32 > 0;
        if self.state.latest.is_none_or(is_later) {
            self.state.latest = Some(Latest { timestamp, clock_rate: codec.clock_rate, at: now });
        }
        self.count_sent(header_length, packet.payload.len());
        self.statistics.key_frames_sent += u64::from(packet.key_frame);
        self.statistics.frames_sent += u64::from(packet.marker && self.parameters.kind == MediaKind::Video);
        (self.statistics.codec, self.statistics.payload_type) = (Some(codec.key), codec.payload_type);
        self.report_soon(now);
    }

    fn count_sent(&mut self, header_length: usize, payload_length: usize) {
        self.state.packet_count = self.state.packet_count.wrapping_add(1);
        self.state.octet_count = self.state.octet_count.wrapping_add(payload_length as u32);
        self.budget.earn(header_length + payload_length);
        self.statistics.packets_sent += 1;
        self.statistics.bytes_sent += payload_length as u64;
        self.statistics.header_bytes_sent += header_length as u64;
    }
}

/// A packet of this stream.
struct Composed {
    /// The RTP header and the rewritten start of the payload.
    header: HeaderBytes,
    /// How much of `header` is the RTP header.
    rtp_header_length: usize,
    /// What is where among the header extensions.
    written: WrittenExtensions,
    /// The rest of the payload.
    payload: Bytes,
    /// Bytes of padding behind it.
    padding: u8,
}

impl SenderState {
    fn new(random: &mut StdRng) -> Self {
        // RFC 3550 §5.1: random; below 2^15 so that the first wraparound is far from the start (RFC 3711 §3.3.1).
        // One cycle up, so that subtraction has room.
        let mut start = || 0x1_0000 + u64::from(random.random::<u16>() >> 1);
        let first_sequence = start();
        Self {
            first_sequence,
            next_sequence: first_sequence,
            next_rtx_sequence: start(),
            latest: None,
            counters: Counters::default(),
            source: None,
            asked: None,
            packet_count: 0,
            octet_count: 0,
            answered_fir: [None; 4],
        }
    }
}

fn fixed_header(
    marker: bool,
    payload_type: u8,
    number: u16,
    timestamp: u32,
    ssrc: u32,
) -> [u8; FIXED_HEADER_LENGTH] {
    let [n0, n1] = number.to_be_bytes();
    let [t0, t1, t2, t3] = timestamp.to_be_bytes();
    let [s0, s1, s2, s3] = ssrc.to_be_bytes();
    [0x80, u8::from(marker) << 7 | payload_type, n0, n1, t0, t1, t2, t3, s0, s1, s2, s3]
}

/// Writes the rewritten start of the payload behind the header; the rest stays shared.
fn start_of_payload(
    payload: &Bytes,
    index: Option<PictureIndex>,
    shifts: Shifts,
    header: &mut HeaderBytes,
) -> Bytes {
    match index {
        Some(index) if shifts.change_payload() => {
            let replaced = index.write_shifted(payload, shifts.picture_id, shifts.tl0, header);
            payload.slice(replaced..)
        }
        _ => payload.clone(),
    }
}

#[cfg(test)]
mod tests;
