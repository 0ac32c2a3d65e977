//! Which packets of which source are sent, and under which number.

use std::time::{Duration, Instant};

use rand::Rng;

use super::codecs::Codec;
use super::continuity::Shifts;
use super::state::Source;
use super::{HELD_MAX, Sender};
use crate::proto::rtp::RtpPacket;
use crate::proto::rtp::picture_index::PictureIndex;

/// Packets missing in a row that may still come; more is a break in the source.
const GAP_MAX: u64 = 1000;

/// A packet this far behind is not late but counted anew; receivers pass on nothing older.
const LATE_MAX: u64 = 1024;

/// Another SSRC of the same generation takes over when the one before was silent for this long.
const SOURCE_SILENCE: Duration = Duration::from_millis(200);

/// A source that still shows no key frame is asked again.
const KEY_FRAME_REMINDER: Duration = Duration::from_secs(1);

/// Where a packet goes in the outgoing stream.
pub(super) struct Placement {
    pub(super) sequence: u64,
    pub(super) timestamp_shift: u32,
    pub(super) shifts: Shifts,
    /// The packet begins a source.
    pub(super) starts: bool,
}

impl Sender {
    /// The sequence number for a packet, and how to shift its other numbers.
    #[inline(always)]
    pub(super) fn place(
        &mut self,
        now: Instant,
        packet: &RtpPacket,
        generation: u32,
        codec: Codec,
        index: Option<PictureIndex>,
    ) -> Option<Placement> {
        let asked = *self.state.asked.get_or_insert(generation);
        let next = self.state.next_sequence;
        if let Some(source) = &mut self.state.source
            && source.generation == generation
            && source.ssrc == packet.ssrc
        {
            // A number far below is no late packet: the receiver before us was restarted and counts anew.
            let counts_anew = packet.sequence_number.saturating_add(LATE_MAX) < source.highest;
            source.interrupted |= counts_anew;
            source.heard = now;
            source.clock = packet.clock;
            if !source.interrupted {
                if packet.sequence_number < source.floor {
                    return None;
                }
                let sequence = packet.sequence_number.wrapping_add(source.sequence_shift);
                if sequence <= next + GAP_MAX {
                    source.highest = source.highest.max(packet.sequence_number);
                    let Source { timestamp_shift, shifts, .. } = *source;
                    return self.sent.is_free(sequence).then_some(Placement {
                        sequence,
                        timestamp_shift,
                        shifts,
                        starts: false,
                    });
                }
                // A break in the source: what is missing will not come.
                source.interrupted = true;
            }
            // Late packets from before the break cannot be placed any more.
            if packet.sequence_number <= source.highest && !counts_anew {
                return None;
            }
            let timestamp_shift = Some(source.timestamp_shift);
            return self.start(now, packet, generation, codec, index, timestamp_shift);
        }
        let takes_over = match &self.state.source {
            // The publisher changed its SSRC.
            Some(source) if source.generation == generation => now >= source.heard + SOURCE_SILENCE,
            _ => generation == asked,
        };
        if takes_over { self.start(now, packet, generation, codec, index, None) } else { None }
    }

    /// Continues the stream with this packet, if decoding can start with it.
    #[inline(never)]
    fn start(
        &mut self,
        now: Instant,
        packet: &RtpPacket,
        generation: u32,
        codec: Codec,
        index: Option<PictureIndex>,
        timestamp_shift: Option<u32>,
    ) -> Option<Placement> {
        let can_start = packet.key_frame || codec.starts_anywhere && !packet.payload.is_empty();
        if !can_start {
            if now >= self.reminded + KEY_FRAME_REMINDER {
                self.want_key_frame(now);
            }
            if codec.nack {
                self.hold(generation, packet);
            }
            return None;
        }
        // The same source goes on with its clock, unless that was set anew too.
        let timestamp_shift = timestamp_shift.filter(|shift| {
            let timestamp = packet.timestamp.wrapping_add(*shift);
            self.state.latest.is_none_or(|latest| latest.is_followed_by(timestamp, now))
        });
        let timestamp_shift = timestamp_shift.unwrap_or_else(|| {
            let timestamp = match self.state.latest {
                Some(latest) => latest.timestamp_after(now, codec.clock_rate),
                // RFC 3550 §5.1: the first timestamp is random.
                None => self.random.random(),
            };
            timestamp.wrapping_sub(packet.timestamp)
        });
        let sequence = self.state.next_sequence;
        let source = Source {
            generation,
            ssrc: packet.ssrc,
            floor: packet.sequence_number,
            highest: packet.sequence_number,
            heard: now,
            sequence_shift: sequence.wrapping_sub(packet.sequence_number),
            timestamp_shift,
            shifts: self.state.counters.shifts(index, packet.extensions.frame_number()),
            clock: packet.clock,
            interrupted: false,
        };
        let before = self.state.source.replace(source);
        if before.is_some_and(|before| before.generation != generation || before.ssrc != packet.ssrc) {
            self.statistics.switches += 1;
        }
        Some(Placement { sequence, timestamp_shift, shifts: source.shifts, starts: true })
    }

    fn hold(&mut self, generation: u32, packet: &RtpPacket) {
        if self.held.len() == HELD_MAX {
            self.held.pop_front();
        }
        self.held.push_back((generation, packet.clone()));
    }
}
