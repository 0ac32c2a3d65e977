//! What leaves on one media section: continuity, history, RTX, reports.
//!
//! A [`Sender`] owns the SSRC, the sequence numbers and the timestamps of one outgoing stream; sources come and go
//! (DESIGN.md section 4) without the receiver noticing more than a key frame.

mod outgoing;
mod parameters;
mod state;
mod statistics;

use std::time::Instant;

use bytes::Bytes;
use rand::rngs::StdRng;

pub use outgoing::OutgoingPacket;
pub use parameters::SenderParameters;
pub use state::SenderState;
pub use statistics::OutboundStatistics;

use crate::proto::rtcp::RtcpPacket;
use crate::proto::rtp::RtpPacket;

/// The outbound half of one media section.
#[derive(Debug)]
pub struct Sender {
    parameters: SenderParameters,
    state: SenderState,
    random: StdRng,
}

impl Sender {
    /// A new sender, or with the saved `state` the continuation of one that panicked.
    pub fn new(
        now: Instant,
        parameters: SenderParameters,
        state: Option<SenderState>,
        random: StdRng,
    ) -> Self {
        let _ = now;
        Self { parameters, state: state.unwrap_or_default(), random }
    }

    /// What was negotiated last.
    pub fn parameters(&self) -> &SenderParameters {
        &self.parameters
    }

    /// After a renegotiation. The SSRCs must be the same; a new SSRC needs a new sender.
    pub fn set_parameters(&mut self, parameters: SenderParameters) {
        self.parameters = parameters;
    }

    /// All that a restarted sender needs; to be saved before a lot leaves.
    pub fn state(&self) -> SenderState {
        self.state
    }

    /// The next packet of `generation` that decoding can start with takes over; until then the source before it
    /// keeps flowing. A generation that is not newer than the one asked for last is ignored.
    pub fn switch_source(&mut self, now: Instant, generation: u32) {
        let _ = (now, generation, &self.random);
    }

    /// Packets of the source were lost on the way here: video waits for the next key frame.
    pub fn mark_gap(&mut self) {}

    /// Turns a source's packet into this stream's, or drops it (`None`).
    pub fn forward(&mut self, now: Instant, packet: &RtpPacket, generation: u32) -> Option<OutgoingPacket> {
        let _ = (now, packet, generation);
        None
    }

    /// True once after each reason to ask the source for a key frame: start, switch, gap, PLI or FIR.
    pub fn wants_key_frame(&mut self) -> bool {
        false
    }

    /// Takes one packet of a decrypted compound; what concerns other streams is ignored. Retransmissions are
    /// pushed to `out`.
    pub fn handle_rtcp(&mut self, now: Instant, packet: &RtcpPacket<'_>, out: &mut Vec<OutgoingPacket>) {
        let _ = (now, packet, out);
    }

    /// The next time at which `handle_timeout` has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// Time has passed; follow with [`Sender::poll_transmit`].
    pub fn handle_timeout(&mut self, now: Instant) {
        let _ = now;
    }

    /// The next compound to send (plaintext): SR and SDES.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Bytes> {
        let _ = now;
        None
    }

    /// A last compound: SR, SDES and BYE.
    pub fn bye(&mut self, now: Instant) -> Bytes {
        let _ = now;
        Bytes::new()
    }

    /// The counters.
    pub fn statistics(&self) -> OutboundStatistics {
        OutboundStatistics::default()
    }
}
