//! Telephone events (RFC 4733) as W3C webrtc-pc §7 plays them: tones of the keys of a telephone, within an audio stream.
//!
//! ```text
//!            insert                 tone: a packet each 20 ms           third end packet
//!   Idle ─────────────▶ next key ────────────────────────────▶ Tone ─────────────────▶ Silence
//!    ▲                   │    ▲      comma: two seconds                                   │
//!    └── buffer empty ───┘    └───────────────────────────────────────────────────────────┘ gap is over
//! ```
//!
//! Invariants: all packets of a tone have the timestamp of its beginning (RFC 4733 §2.2.1), those of a long one that of
//! their segment (§2.5.1.3); the end is sent three times (§2.5.1.4); no audio goes out in between.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::codecs::Codec;
use super::continuity::Shifts;
use super::state::Latest;
use super::{FIXED_HEADER_LENGTH, OutgoingPacket, Sender, fixed_header};
use crate::proto::rtp::{Extensions, HeaderBytes, MediaKind};

/// W3C webrtc-pc §7.2: bounds of the length of a tone.
const DURATION_MIN: Duration = Duration::from_millis(40);
const DURATION_MAX: Duration = Duration::from_millis(6000);

/// W3C webrtc-pc §7.2: bounds of the silence between two tones; the upper one is libwebrtc's.
const GAP_MIN: Duration = Duration::from_millis(30);
const GAP_MAX: Duration = Duration::from_millis(6000);

/// W3C webrtc-pc §7.2: what a comma stands for.
const COMMA: Duration = Duration::from_secs(2);

/// Keys that wait: the longest dialling string with passwords is far shorter, and each takes at least 70 ms.
const TONES_MAX: usize = 1024;

/// Changes that nobody took; the oldest are dropped.
const CHANGES_MAX: usize = 64;

/// Time between the packets of a tone: that of the audio packets it replaces.
const UPDATE_INTERVAL: Duration = Duration::from_millis(20);

/// RFC 4733 §2.5.1.4: the last packet of an event or segment is sent three times in all.
const END_PACKETS: u32 = 3;

/// RFC 4733 §2.3.3: −10 dBm0, the level that libwebrtc plays.
const VOLUME: u8 = 10;

/// RFC 4733 §2.3.5: the longest duration a packet can tell, in units of the clock.
const SEGMENT_MAX: u32 = 0xffff;

/// Why tones are not played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DtmfError {
    /// W3C `InvalidCharacterError`.
    #[error("{0:?} is no key of a telephone: 0–9, A–D, #, * and the comma are")]
    InvalidCharacter(char),
    /// More keys than are kept waiting.
    #[error("more than 1024 tones at once")]
    TooManyTones,
    /// W3C `InvalidStateError`: no audio is negotiated to be sent, or the peer takes no telephone events.
    #[error("the sender can't send tones: no telephone-event codec is negotiated for it now")]
    CannotInsert,
}

/// Keys to be played, checked and within the bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToneRequest {
    tones: VecDeque<char>,
    duration: Duration,
    gap: Duration,
}

impl ToneRequest {
    /// W3C `insertDTMF(tones, duration, interToneGap)`: letters may be small; durations are brought within 40–6000 ms
    /// and 30–6000 ms. No tones: those that wait are taken back.
    ///
    /// # Errors
    /// [`DtmfError::InvalidCharacter`], [`DtmfError::TooManyTones`].
    pub fn new(tones: &str, duration: Duration, gap: Duration) -> Result<Self, DtmfError> {
        let key = |key: char| match key.to_ascii_uppercase() {
            key @ ('0'..='9' | 'A'..='D' | '#' | '*' | ',') => Ok(key),
            _ => Err(DtmfError::InvalidCharacter(key)),
        };
        let tones = tones.chars().map(key).collect::<Result<VecDeque<_>, _>>()?;
        if tones.len() > TONES_MAX {
            return Err(DtmfError::TooManyTones);
        }
        let duration = duration.clamp(DURATION_MIN, DURATION_MAX);
        Ok(Self { tones, duration, gap: gap.clamp(GAP_MIN, GAP_MAX) })
    }
}

/// W3C `tonechange`: a tone began, or all are over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToneChange {
    /// The key that is played from now on (a comma is a pause); `None`: the last one is over.
    pub tone: Option<char>,
    /// W3C `toneBuffer`: the keys that wait.
    pub tone_buffer: String,
}

/// What is being played.
#[derive(Debug, Default)]
pub(super) struct Dtmf {
    buffer: VecDeque<char>,
    duration: Duration,
    gap: Duration,
    phase: Phase,
    changes: VecDeque<ToneChange>,
}

#[derive(Debug, Default)]
enum Phase {
    #[default]
    Idle,
    Silence {
        until: Instant,
    },
    Tone(Tone),
}

/// A tone that is played.
#[derive(Debug, Clone, Copy)]
struct Tone {
    event: u8,
    codec: Codec,
    started: Instant,
    ends: Instant,
    /// When the next packet is due.
    next: Instant,
    /// The timestamp of the segment, and how far into the tone it begins.
    timestamp: u32,
    offset: u32,
    is_first: bool,
    end_packets: u32,
}

impl Dtmf {
    /// No audio may be sent now.
    pub(super) fn is_playing(&self) -> bool {
        matches!(self.phase, Phase::Tone(_))
    }

    pub(super) fn due(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Idle => None,
            Phase::Silence { until } => Some(*until),
            Phase::Tone(tone) => Some(tone.next),
        }
    }

    fn changed(&mut self, tone: Option<char>) {
        if self.changes.len() == CHANGES_MAX {
            self.changes.pop_front();
        }
        self.changes.push_back(ToneChange { tone, tone_buffer: self.buffer.iter().collect() });
    }
}

impl Sender {
    /// W3C `canInsertDTMF`: whether the peer takes telephone events on this stream.
    pub fn can_insert_dtmf(&self) -> bool {
        self.parameters.kind == MediaKind::Audio && self.telephone_event().is_some()
    }

    /// W3C `insertDTMF`: replaces the tones that wait; the one that is played goes on.
    ///
    /// # Errors
    /// [`DtmfError::CannotInsert`].
    pub fn insert_dtmf(&mut self, now: Instant, request: ToneRequest) -> Result<(), DtmfError> {
        if !self.can_insert_dtmf() {
            return Err(DtmfError::CannotInsert);
        }
        let dtmf = self.tones();
        (dtmf.buffer, dtmf.duration, dtmf.gap) = (request.tones, request.duration, request.gap);
        if matches!(dtmf.phase, Phase::Idle) && !dtmf.buffer.is_empty() {
            dtmf.phase = Phase::Silence { until: now };
        }
        Ok(())
    }

    /// W3C `toneBuffer`: the keys that wait.
    pub fn tone_buffer(&self) -> String {
        self.dtmf.iter().flat_map(|dtmf| &dtmf.buffer).collect()
    }

    /// What changed in the playing of tones.
    pub fn poll_tone_change(&mut self) -> Option<ToneChange> {
        self.dtmf.as_mut()?.changes.pop_front()
    }

    /// Pushes the packets of tones that are due to `out`; to be called when time has passed or tones were inserted.
    pub fn poll_dtmf(&mut self, now: Instant, out: &mut Vec<OutgoingPacket>) {
        while let Some(dtmf) = &self.dtmf
            && dtmf.due().is_some_and(|due| due <= now)
        {
            match dtmf.phase {
                Phase::Idle => return,
                Phase::Silence { .. } => self.next_tone(now),
                Phase::Tone(tone) => self.tones().phase = self.play(now, tone, out),
            }
        }
    }

    fn tones(&mut self) -> &mut Dtmf {
        self.dtmf.get_or_insert_default()
    }

    /// The step of W3C webrtc-pc §7.2 "queue a task to run the DTMF playout".
    fn next_tone(&mut self, now: Instant) {
        // A renegotiation may have taken the codec away.
        let codec = self.telephone_event();
        if codec.is_none() {
            self.tones().buffer.clear();
        }
        let key = self.tones().buffer.pop_front();
        self.tones().phase = match (key, codec) {
            (Some(','), _) => Phase::Silence { until: now + COMMA },
            (Some(key), Some(codec)) => Phase::Tone(self.start_tone(now, key, codec)),
            _ => Phase::Idle,
        };
        self.tones().changed(key);
    }

    fn start_tone(&mut self, now: Instant, key: char, codec: Codec) -> Tone {
        // RFC 4733 §2.2.1: the timestamp of the event's beginning, on the line of the audio's.
        let (timestamp, clock_rate) = match self.state.latest {
            Some(latest) => (latest.timestamp_after(now, latest.clock_rate), latest.clock_rate),
            None => (rand::Rng::random(&mut self.random), codec.clock_rate),
        };
        self.state.latest = Some(Latest { timestamp, clock_rate, at: now });
        self.pause();
        Tone {
            event: event_of(key),
            codec,
            started: now,
            ends: now + self.tones().duration,
            next: now + UPDATE_INTERVAL,
            timestamp,
            offset: 0,
            is_first: true,
            end_packets: 0,
        }
    }

    fn play(&mut self, now: Instant, mut tone: Tone, out: &mut Vec<OutgoingPacket>) -> Phase {
        let elapsed = now.min(tone.ends).saturating_duration_since(tone.started);
        // At most six seconds of at most some hundred kHz.
        let units = (elapsed.as_secs_f64() * f64::from(tone.codec.clock_rate)).round() as u32;
        while units.saturating_sub(tone.offset) > SEGMENT_MAX {
            for _ in 0..END_PACKETS {
                out.push(self.emit_event(now, &mut tone, SEGMENT_MAX, false));
            }
            tone.offset += SEGMENT_MAX;
            tone.timestamp = tone.timestamp.wrapping_add(SEGMENT_MAX);
        }
        let is_end = now >= tone.ends;
        let duration = units.saturating_sub(tone.offset);
        out.push(self.emit_event(now, &mut tone, duration, is_end));
        if !is_end {
            tone.next = (now + UPDATE_INTERVAL).min(tone.ends);
            return Phase::Tone(tone);
        }
        tone.end_packets += 1;
        if tone.end_packets == END_PACKETS {
            return Phase::Silence { until: tone.ends + self.tones().gap };
        }
        // All of them within the gap, also within the shortest.
        tone.next = now + UPDATE_INTERVAL.min(self.tones().gap / END_PACKETS);
        Phase::Tone(tone)
    }

    /// RFC 4733 §2.3: event, end bit and volume, duration.
    fn emit_event(&mut self, now: Instant, tone: &mut Tone, duration: u32, is_end: bool) -> OutgoingPacket {
        let sequence = self.state.next_sequence;
        // RFC 4733 §2.5.1.3: the marker begins the event, not its segments.
        let marker = std::mem::take(&mut tone.is_first);
        let fixed = fixed_header(
            marker,
            tone.codec.payload_type,
            sequence as u16,
            tone.timestamp,
            self.parameters.ssrc,
        );
        let mut header = HeaderBytes::from_slice(&fixed);
        let send_time = self.send_time_at(now);
        self.write_extensions(send_time, &Extensions::default(), Shifts::default(), &mut header);
        if header.len() > FIXED_HEADER_LENGTH {
            header[0] |= 0x10;
        }
        let [d0, d1] = (duration.min(SEGMENT_MAX) as u16).to_be_bytes();
        let payload = Bytes::copy_from_slice(&[tone.event, u8::from(is_end) << 7 | VOLUME, d0, d1]);
        self.sent.mark(sequence);
        self.state.next_sequence = sequence + 1;
        self.count_sent(header.len(), payload.len());
        self.report_soon(now);
        OutgoingPacket { header, payload, padding: 0, retransmission: false }
    }

    /// The codec of telephone events: with the clock of the audio where there is one, as RFC 4733 §2.1 wants.
    fn telephone_event(&self) -> Option<Codec> {
        let audio = self.state.latest.map(|latest| latest.clock_rate);
        self.codecs.telephone_event(audio)
    }
}

/// RFC 4733 §3.2, table 3.
fn event_of(key: char) -> u8 {
    match key {
        '0'..='9' => key as u8 - b'0',
        '*' => 10,
        '#' => 11,
        _ => (key as u8).wrapping_sub(b'A').wrapping_add(12),
    }
}
