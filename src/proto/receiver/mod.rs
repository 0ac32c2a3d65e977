//! What arrives on one media section: loss, NACK, jitter, reports, key frame requests.
//!
//! One [`Receiver`] serves one m-section and holds the state of every source (SSRC) that sends in it. Its output
//! are [`RtpPacket`]s in order of arrival: no jitter buffer, a forwarder must not add delay.
//!
//! Invariants: the tables have bounds; within a source no number is passed on twice; a packet costs no allocation
//! (its buffer becomes the payload).

mod codecs;
mod error;
mod event;
mod key_frame_request;
mod missing;
mod parameters;
mod publisher_clock;
mod reception;
mod renumbering;
mod repairs;
mod reports;
mod sequence;
mod sources;
mod statistics;
mod stream;

use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use rand::rngs::StdRng;
use smallvec::SmallVec;

pub use error::ReceiveError;
pub use event::ReceiverEvent;
pub use parameters::ReceiverParameters;
pub use sources::RtpSource;
pub use statistics::{InboundStatistics, RemoteSender};

use self::codecs::{Codec, Codecs};
use self::repairs::Repairs;
use self::sources::ContributingSources;
use self::stream::{Arrival, Stream};
use crate::proto::rtp::{AudioLevel, Rid, RtpHeader, RtpPacket};

/// Sources per section: three layers need three, SSRCs may change, and all fit one report (31 blocks). When full,
/// the source that was silent for the longest time is forgotten.
const STREAMS_MAX: usize = 24;

/// Events that nobody took; the oldest are dropped.
const EVENTS_MAX: usize = 64;

/// Assumed until ICE has measured it.
const ROUND_TRIP_DEFAULT: Duration = Duration::from_millis(100);

/// The inbound half of one media section.
#[derive(Debug)]
pub struct Receiver {
    parameters: ReceiverParameters,
    codecs: Codecs,
    repairs: Repairs,
    streams: Vec<Stream>,
    /// Position of the stream that received last.
    latest: usize,
    round_trip_time: Duration,
    report_at: Instant,
    /// A key frame was asked for when no source was known: the next one to begin is asked.
    key_frame_owed: bool,
    contributing: ContributingSources,
    events: VecDeque<ReceiverEvent>,
    random: StdRng,
}

impl Receiver {
    /// A receiver that has seen nothing yet.
    pub fn new(now: Instant, parameters: ReceiverParameters, random: StdRng) -> Self {
        let mut receiver = Self {
            codecs: Codecs::new(&parameters.codecs),
            repairs: Repairs::new(&parameters.ssrcs),
            parameters,
            streams: Vec::new(),
            latest: 0,
            round_trip_time: ROUND_TRIP_DEFAULT,
            report_at: now,
            key_frame_owed: false,
            contributing: ContributingSources::default(),
            events: VecDeque::new(),
            random,
        };
        receiver.schedule_report(now);
        receiver
    }

    /// What was negotiated last.
    pub fn parameters(&self) -> &ReceiverParameters {
        &self.parameters
    }

    /// After a renegotiation; running streams go on.
    pub fn set_parameters(&mut self, parameters: ReceiverParameters) {
        self.codecs = Codecs::new(&parameters.codecs);
        self.repairs.signal(&parameters.ssrcs);
        self.parameters = parameters;
    }

    /// The round trip time to the publisher (from ICE), for the pace of NACKs.
    pub fn set_round_trip_time(&mut self, round_trip_time: Duration) {
        self.round_trip_time = round_trip_time;
    }

    /// Takes a decrypted packet that the demultiplexer routed here. `rid` and `repaired` are from its route.
    /// Pushes zero or one packet.
    pub fn handle_rtp(
        &mut self,
        now: Instant,
        mut packet: Bytes,
        rid: Option<Rid>,
        repaired: bool,
        out: &mut Vec<RtpPacket>,
    ) -> Result<(), ReceiveError> {
        let header = RtpHeader::parse(&packet)?;
        let Some(source) = self.source(now, &header, rid, repaired)? else { return Ok(()) };
        let stream = &mut self.streams[source.at];
        let arrival = Arrival {
            now,
            number: source.number,
            repaired: source.repaired,
            overhead: packet.len() - source.payload.len(),
            kind: self.parameters.kind,
        };
        let is_mixed = header.csrcs().next().is_some();
        let levels = if is_mixed { self.parameters.extensions.mixer_audio_levels(&header) } else { &[] };
        let contributors: SmallVec<[(u32, Option<u8>); 4]> = header
            .csrcs()
            .enumerate()
            .map(|(index, csrc)| (csrc, levels.get(index).map(|level| level & 0x7f)))
            .collect();
        let mut received = RtpPacket {
            arrival: now,
            ssrc: stream.ssrc,
            rid: stream.rid,
            codec: source.codec.key,
            payload_type: source.codec.payload_type,
            marker: header.marker(),
            sequence_number: 0,
            timestamp: header.timestamp(),
            clock: stream.clock.reference(),
            extensions: self.parameters.extensions.decode(&header),
            payload: Bytes::new(),
            key_frame: false,
        };
        packet.truncate(source.payload.end);
        packet.advance(source.payload.start);
        received.payload = packet;
        if !stream.receive(&arrival, &mut received)? {
            return Ok(());
        }
        for (source, level) in contributors {
            // RFC 6465 §3: as RFC 6464, but the bit of voice activity is unused.
            let audio_level = level.map(|level| AudioLevel { voice: false, level });
            self.contributing.heard(RtpSource {
                source,
                rtp_timestamp: received.timestamp,
                at: now,
                audio_level,
            });
        }
        if received.key_frame && stream.key_frame_began(received.timestamp) {
            self.push_event(ReceiverEvent::KeyFrameReceived { ssrc: received.ssrc });
        }
        out.push(received);
        Ok(())
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<ReceiverEvent> {
        self.events.pop_front()
    }

    /// Whether any source is known that has not said goodbye.
    pub fn is_heard(&self) -> bool {
        self.streams.iter().any(|stream| !stream.ended)
    }

    /// W3C `getSynchronizationSources`: who sent media in the last ten seconds, the latest first.
    pub fn synchronization_sources(&self, now: Instant) -> Vec<RtpSource> {
        let sources = self.streams.iter().filter_map(|stream| stream.source);
        sources::latest_first(sources.filter(|source| source.is_recent(now)))
    }

    /// W3C `getContributingSources`: whose contributions were mixed into media of the last ten seconds, the latest
    /// first.
    pub fn contributing_sources(&self, now: Instant) -> Vec<RtpSource> {
        self.contributing.recent(now)
    }

    /// The counters of every source.
    pub fn statistics(&self) -> Vec<InboundStatistics> {
        let of = |stream: &Stream| InboundStatistics {
            kind: Some(self.parameters.kind),
            rtx_ssrc: self.repairs.repairing(stream.ssrc),
            ..stream.statistics()
        };
        self.streams.iter().map(of).collect()
    }

    /// Which stream the packet belongs to, and as what. `None`: a retransmission packet with nothing in it.
    fn source(
        &mut self,
        now: Instant,
        header: &RtpHeader<'_>,
        rid: Option<Rid>,
        repaired: bool,
    ) -> Result<Option<Source>, ReceiveError> {
        let codec = *self.codecs.get(header.payload_type()).ok_or(ReceiveError::UnknownPayloadType)?;
        let payload = header.payload_range();
        if !codec.is_rtx {
            // A repair stream carries nothing that could be forwarded, unless it is RTX.
            if repaired {
                return Err(ReceiveError::MalformedRetransmission);
            }
            let number = header.sequence_number();
            let at = self.stream(now, header.ssrc(), rid, codec, number);
            return Ok(Some(Source { at, codec, number, payload, repaired: false }));
        }
        if payload.is_empty() {
            // A bandwidth probe.
            return Ok(None);
        }
        // RFC 4588 §4: the original sequence number precedes the original payload.
        let number = header.payload().first_chunk().ok_or(ReceiveError::MalformedRetransmission)?;
        let number = u16::from_be_bytes(*number);
        let codec = codec
            .repairs
            .and_then(|payload_type| self.codecs.get(payload_type))
            .filter(|codec| !codec.is_rtx)
            .ok_or(ReceiveError::MalformedRetransmission)?;
        let codec = *codec;
        let at = self
            .repaired_stream(header.ssrc(), number, rid.filter(|_| repaired))
            .ok_or(ReceiveError::UnknownRepairedSource)?;
        let payload = payload.start + 2..payload.end;
        Ok(Some(Source { at, codec, number, payload, repaired: true }))
    }

    /// The stream of a media packet; begins one for a new source.
    fn stream(&mut self, now: Instant, ssrc: u32, rid: Option<Rid>, codec: Codec, number: u16) -> usize {
        let at = match self.streams.get(self.latest) {
            Some(stream) if stream.ssrc == ssrc => self.latest,
            _ => match self.streams.iter().position(|stream| stream.ssrc == ssrc) {
                Some(at) => at,
                None => return self.start_stream(now, ssrc, rid, codec, number),
            },
        };
        self.latest = at;
        let stream = &mut self.streams[at];
        stream.codec = codec;
        stream.rid = rid.or(stream.rid);
        if std::mem::take(&mut stream.ended) {
            let rid = stream.rid;
            self.push_event(ReceiverEvent::StreamStarted { ssrc, rid });
        }
        at
    }

    fn start_stream(
        &mut self,
        now: Instant,
        ssrc: u32,
        rid: Option<Rid>,
        codec: Codec,
        number: u16,
    ) -> usize {
        if self.streams.is_empty() {
            self.schedule_report(now);
        }
        let oldest = (0..self.streams.len())
            .min_by_key(|at| (!self.streams[*at].ended, self.streams[*at].last_packet))
            .filter(|_| self.streams.len() >= STREAMS_MAX);
        if let Some(oldest) = oldest {
            let Stream { ssrc, rid, ended, .. } = self.streams.swap_remove(oldest);
            self.repairs.forget(ssrc);
            if !ended {
                self.push_event(ReceiverEvent::StreamEnded { ssrc, rid });
            }
        }
        self.latest = self.streams.len();
        let mut stream = Stream::new(now, ssrc, rid, codec, number);
        if std::mem::take(&mut self.key_frame_owed) {
            stream.key_frame.request(now);
        }
        self.streams.push(stream);
        self.push_event(ReceiverEvent::StreamStarted { ssrc, rid });
        self.latest
    }

    /// RFC 4588 §5.3: the stream a retransmission source repairs. By signalling or what was learned, by
    /// repaired-rtp-stream-id, or because only one stream misses the packet.
    fn repaired_stream(&mut self, rtx_ssrc: u32, number: u16, rid: Option<Rid>) -> Option<usize> {
        let by_rid = rid.and_then(|rid| {
            let of_rid = |at: &usize| self.streams[*at].rid == Some(rid) && !self.streams[*at].ended;
            (0..self.streams.len()).filter(of_rid).max_by_key(|at| self.streams[*at].last_packet)
        });
        if by_rid.is_some() {
            return by_rid;
        }
        if let Some(ssrc) = self.repairs.repaired_by(rtx_ssrc) {
            return self.streams.iter().position(|stream| stream.ssrc == ssrc);
        }
        let misses = |at: &usize| self.streams[*at].missing.contains(number);
        let mut candidates = (0..self.streams.len()).filter(misses);
        let at = candidates.next()?;
        if candidates.next().is_some() {
            return None;
        }
        self.repairs.learn(rtx_ssrc, self.streams[at].ssrc);
        Some(at)
    }

    fn push_event(&mut self, event: ReceiverEvent) {
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }
}

/// Where a packet belongs, and what in it is the original payload.
struct Source {
    at: usize,
    codec: Codec,
    number: u16,
    payload: Range<usize>,
    repaired: bool,
}

#[cfg(test)]
mod tests;
