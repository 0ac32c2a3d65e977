//! The lanes between the actors of a peer: their bounds, and the sink traits of the message layer
//! that they implement.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;

use crate::{
    actors::kit::{LaneKind, LaneReceiver, LaneSender, Weight, lane},
    messages::{
        rtp::{OutboundRtpSink, OutgoingLot, ReceivedRtp, RtcpSink, RtpSink},
        sctp::SctpSink,
        track::{MediaLot, MediaSink},
    },
    proto::prefetch::Reach,
};

/// A second of video at 5 Mbit/s, far more than [`MEDIA_AGE`] lets wait.
const MEDIA_PACKETS: usize = 512;
/// Media that waited longer is late for a conversation: better a gap than growing delay.
const MEDIA_AGE: Duration = Duration::from_millis(100);
/// STUN, DTLS and RTCP repeat themselves: the newest matter.
const CONTROL_PACKETS: usize = 64;
/// SCTP packets that one wake-up of the socket, or of the association, can bring, several times over.
/// Beyond it the oldest are lost, which to SCTP is congestion: it slows down.
const DATA_PACKETS: usize = 1_024;

impl Weight for ReceivedRtp {
    fn weight(&self) -> usize {
        1
    }
}

impl Weight for OutgoingLot {
    fn weight(&self) -> usize {
        self.0.len()
    }
}

/// A decrypted or not yet encrypted compound RTCP packet.
#[derive(Debug, Clone)]
pub struct RtcpCompound(pub Bytes);

impl Weight for RtcpCompound {
    fn weight(&self) -> usize {
        1
    }
}

/// A lot on its way to one consumer.
#[derive(Debug, Clone)]
pub struct SharedLot(pub Arc<MediaLot>);

impl Weight for SharedLot {
    fn weight(&self) -> usize {
        self.0.packets.len()
    }
}

/// A lane for media: bounded in packets and in age.
pub fn media_lane<T: Weight>(kind: LaneKind) -> (LaneSender<T>, LaneReceiver<T>) {
    lane(kind, MEDIA_PACKETS, Some(MEDIA_AGE))
}

/// A lane whose packets must not age out, because nothing repeats them before they are of use: RTP
/// that arrives before the handshake is done, or what a sender has already numbered.
pub fn patient_media_lane<T: Weight>(kind: LaneKind) -> (LaneSender<T>, LaneReceiver<T>) {
    lane(kind, MEDIA_PACKETS, None)
}

/// A small lane for packets that are repeated when lost.
pub fn control_lane<T: Weight>(kind: LaneKind) -> (LaneSender<T>, LaneReceiver<T>) {
    lane(kind, CONTROL_PACKETS, None)
}

/// A lane for SCTP packets: each way between DTLS and the association, and for the records that carry
/// them from the socket.
pub fn data_lane<T: Weight>(kind: LaneKind) -> (LaneSender<T>, LaneReceiver<T>) {
    lane(kind, DATA_PACKETS, None)
}

impl SctpSink for LaneSender<Bytes> {
    fn push_all(&self, now: Instant, packets: &mut dyn Iterator<Item = Bytes>) {
        Self::push_all(self, now, packets);
    }
}

impl RtpSink for LaneSender<ReceivedRtp> {
    fn push_all(&self, now: Instant, packets: &mut dyn Iterator<Item = ReceivedRtp>) {
        Self::push_all(self, now, packets);
    }
}

impl OutboundRtpSink for LaneSender<OutgoingLot> {
    fn push(&self, now: Instant, lot: OutgoingLot) {
        Self::push(self, now, lot);
    }
}

impl RtcpSink for LaneSender<RtcpCompound> {
    fn push(&self, now: Instant, compound: Bytes) {
        Self::push(self, now, RtcpCompound(compound));
    }
}

impl MediaSink for LaneSender<SharedLot> {
    fn push(&self, now: Instant, lot: Arc<MediaLot>) -> bool {
        Self::push(self, now, SharedLot(lot))
    }

    fn is_closed(&self) -> bool {
        Self::is_closed(self)
    }

    fn prefetch(&self, reach: Reach) {
        Self::prefetch(self, reach);
    }
}
