//! What arrives on one media section: loss, NACK, jitter, reports, key frame requests.
//!
//! One [`Receiver`] serves one m-section and holds the state of every source (SSRC) that sends in it. Its output
//! are [`RtpPacket`]s in order of arrival: no jitter buffer, a forwarder must not add delay.

mod error;
mod event;
mod parameters;
mod statistics;

use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::rngs::StdRng;

pub use error::ReceiveError;
pub use event::ReceiverEvent;
pub use parameters::ReceiverParameters;
pub use statistics::InboundStatistics;

use crate::proto::rtcp::RtcpPacket;
use crate::proto::rtp::{Rid, RtpPacket};

/// The inbound half of one media section.
#[derive(Debug)]
pub struct Receiver {
    parameters: ReceiverParameters,
    random: StdRng,
}

impl Receiver {
    /// A receiver that has seen nothing yet.
    pub fn new(now: Instant, parameters: ReceiverParameters, random: StdRng) -> Self {
        let _ = now;
        Self { parameters, random }
    }

    /// What was negotiated last.
    pub fn parameters(&self) -> &ReceiverParameters {
        &self.parameters
    }

    /// After a renegotiation; running streams go on.
    pub fn set_parameters(&mut self, parameters: ReceiverParameters) {
        self.parameters = parameters;
    }

    /// The round trip time to the publisher (from ICE), for the pace of NACKs.
    pub fn set_round_trip_time(&mut self, round_trip_time: Duration) {
        let _ = (round_trip_time, &self.random);
    }

    /// Takes a decrypted packet that the demultiplexer routed here. `rid` and `repaired` are from its route.
    /// Pushes zero or one packet.
    pub fn handle_rtp(
        &mut self,
        now: Instant,
        packet: Bytes,
        rid: Option<Rid>,
        repaired: bool,
        out: &mut Vec<RtpPacket>,
    ) -> Result<(), ReceiveError> {
        let _ = (now, packet, rid, repaired, out);
        Ok(())
    }

    /// Takes one packet of a decrypted compound; what concerns other sections is ignored.
    pub fn handle_rtcp(&mut self, now: Instant, packet: &RtcpPacket<'_>) {
        let _ = (now, packet);
    }

    /// Asks the publisher for a key frame: of one source, or of all (`None`). Coalesced; repeated until one comes.
    pub fn request_key_frame(&mut self, now: Instant, ssrc: Option<u32>) {
        let _ = (now, ssrc);
    }

    /// The next time at which `handle_timeout` has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// Time has passed; follow with [`Receiver::poll_transmit`].
    pub fn handle_timeout(&mut self, now: Instant) {
        let _ = now;
    }

    /// The next compound to send (plaintext), if any.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Bytes> {
        let _ = now;
        None
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<ReceiverEvent> {
        None
    }

    /// The counters of every source.
    pub fn statistics(&self) -> Vec<InboundStatistics> {
        Vec::new()
    }
}
