//! One inbound source: everything that is kept per SSRC.

use std::time::Instant;

use super::codecs::Codec;
use super::key_frame_request::KeyFrameRequest;
use super::missing::MissingPackets;
use super::publisher_clock::PublisherClock;
use super::reception::Reception;
use super::renumbering::Renumbering;
use super::sequence::{Admitted, SequenceWindow};
use super::{InboundStatistics, ReceiveError, RtpSource};
use crate::proto::rtp::{MediaKind, Rid, RtpPacket, starts_key_frame};

/// The state of one source.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) ssrc: u32,
    pub(super) rid: Option<Rid>,
    pub(super) codec: Codec,
    pub(super) last_packet: Instant,
    /// It said goodbye. The numbers are kept, should it go on.
    pub(super) ended: bool,
    pub(super) missing: MissingPackets,
    pub(super) key_frame: KeyFrameRequest,
    pub(super) reception: Reception,
    pub(super) clock: PublisherClock,
    pub(super) statistics: InboundStatistics,
    /// When media was received last, and how loud.
    pub(super) source: Option<RtpSource>,
    window: SequenceWindow,
    /// The first packet has not been taken yet: its number is already in the window.
    is_new: bool,
    renumbering: Renumbering,
    key_frame_timestamp: Option<u32>,
}

/// The fields of a packet that a stream looks at; `payload` is without padding and original sequence number.
pub(super) struct Arrival {
    pub(super) now: Instant,
    pub(super) number: u16,
    /// Repaired by a retransmission.
    pub(super) repaired: bool,
    /// Bytes of the packet that are not payload.
    pub(super) overhead: usize,
    pub(super) kind: MediaKind,
}

impl Stream {
    pub(super) fn new(now: Instant, ssrc: u32, rid: Option<Rid>, codec: Codec, first: u16) -> Self {
        let window = SequenceWindow::new(first);
        Self {
            ssrc,
            rid,
            codec,
            last_packet: now,
            ended: false,
            missing: MissingPackets::default(),
            key_frame: KeyFrameRequest::default(),
            reception: Reception::new(now, window.highest(), codec.clock_rate),
            clock: PublisherClock::default(),
            statistics: InboundStatistics::default(),
            source: None,
            window,
            is_new: true,
            renumbering: Renumbering::default(),
            key_frame_timestamp: None,
        }
    }

    /// Completes `packet` (number, key frame) and says whether to pass it on.
    pub(super) fn receive(
        &mut self,
        arrival: &Arrival,
        packet: &mut RtpPacket,
    ) -> Result<bool, ReceiveError> {
        let admitted = self.admit(arrival).inspect_err(|_| self.statistics.packets_discarded += 1)?;
        self.last_packet = arrival.now;
        self.follow_gaps(arrival, admitted, packet.timestamp);
        self.statistics.packets_received += 1;
        if arrival.repaired {
            self.statistics.retransmitted_packets_received += 1;
            self.statistics.retransmitted_bytes_received += packet.payload.len() as u64;
        }
        self.statistics.bytes_received += packet.payload.len() as u64;
        self.statistics.header_bytes_received += arrival.overhead as u64;
        self.statistics.last_packet_received = Some(arrival.now);
        if packet.payload.is_empty() {
            self.statistics.padding_packets_received += 1;
            if self.renumbering.leave_out(admitted.sequence) {
                return Ok(false);
            }
        }
        let number = self.renumbering.pass_on(admitted.sequence).ok_or(ReceiveError::TooOld)?;
        packet.sequence_number = number;
        self.source = Some(RtpSource {
            source: self.ssrc,
            rtp_timestamp: packet.timestamp,
            at: arrival.now,
            audio_level: packet.extensions.audio_level,
        });
        if packet.marker && arrival.kind == MediaKind::Video {
            self.statistics.frames_received += 1;
        }
        packet.key_frame =
            arrival.kind == MediaKind::Video && starts_key_frame(self.codec.family, &packet.payload);
        Ok(true)
    }

    /// A key frame began with `timestamp`. True when it was asked for.
    pub(super) fn key_frame_began(&mut self, timestamp: u32) -> bool {
        // H.264 may show one key frame by several packets.
        if self.key_frame_timestamp != Some(timestamp) {
            self.key_frame_timestamp = Some(timestamp);
            self.statistics.key_frames_received += 1;
        }
        self.key_frame.arrived()
    }

    /// The counters, with what is kept elsewhere filled in.
    pub(super) fn statistics(&self) -> InboundStatistics {
        InboundStatistics {
            ssrc: self.ssrc,
            rid: self.rid,
            codec: Some(self.codec.key),
            payload_type: self.codec.payload_type,
            packets_lost: self.reception.lost(),
            jitter: self.reception.jitter(),
            audio_level: self.source.and_then(|source| source.linear_audio_level()),
            ..self.statistics
        }
    }

    fn admit(&mut self, arrival: &Arrival) -> Result<Admitted, ReceiveError> {
        if std::mem::take(&mut self.is_new) {
            return Ok(Admitted { sequence: self.window.highest(), advance: 0, restarted: false });
        }
        if arrival.repaired {
            self.window.admit_repaired(arrival.number)
        } else {
            self.window.admit(arrival.number)
        }
    }

    fn follow_gaps(&mut self, arrival: &Arrival, admitted: Admitted, timestamp: u32) {
        let Admitted { sequence, advance, restarted } = admitted;
        if !arrival.repaired {
            self.reception.packet(sequence, if restarted { advance - 1 } else { 0 });
            // RFC 3550 A.8 measures the network: packets out of order or sent again would count their own delay.
            if advance > 0 || sequence == self.window.highest() {
                self.reception.arrival(arrival.now, timestamp, self.codec.clock_rate);
            }
        }
        if restarted {
            self.missing.clear();
            self.key_frame.request(arrival.now);
        } else if advance == 0 {
            self.missing.remove(sequence);
        } else if advance > 1 && self.codec.nack {
            let first = sequence - advance + 1;
            if !self.missing.add(arrival.now, first..sequence) {
                self.key_frame.request(arrival.now);
            }
        }
    }
}
