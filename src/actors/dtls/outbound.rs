//! Media and RTCP on their way out of a [`SecureTransport`]: encrypted straight into the send queue of the thread.

use std::time::Instant;

use super::transport::{SecureTransport, rings};
use crate::{
    actors::{
        kit::{self, Door, DropReason, LaneSender},
        lanes::RtcpCompound,
        lots,
        network::{Egress, Full, Route},
    },
    messages::rtp::{OutboundRtpSink, OutgoingLot},
    proto::{demux::PacketKind, sender::OutgoingPacket, srtp},
};

/// The way out for senders of media: through the door of the transport, so that a lot is encrypted while it is in the
/// cache. The keys stay where they are, and a panic there is the `DtlsActor`'s. Where the door is shut (the actor has not
/// started yet) the lane takes it.
#[derive(Debug, Clone)]
pub struct MediaExit {
    pub(super) door: Door<SecureTransport>,
    /// Holds nothing in steady state.
    pub(super) lane: LaneSender<OutgoingLot>,
}

impl OutboundRtpSink for MediaExit {
    fn push(&self, now: Instant, lot: OutgoingLot) {
        let mut lot = Some(lot);
        self.door.enter(|transport| lot.take().map(|lot| transport.send_rtp(now, lot)));
        if let Some(lot) = lot {
            self.lane.push(now, lot);
        }
    }

    fn destination(&self) -> u64 {
        self.door.number()
    }
}

impl SecureTransport {
    /// Encrypts and sends what waits in the lanes. True: more waits.
    pub(super) fn take_outbound(&mut self, now: Instant) -> bool {
        let mut more = false;
        if self.rung & rings::OUTBOUND_RTP != 0 {
            more |= self.environment.outbound_rtp.take(now, kit::INPUT_BUDGET, &mut self.outgoing).more;
            let mut lots = std::mem::take(&mut self.outgoing);
            lots.drain(..).for_each(|lot| self.send_rtp(now, lot));
            self.outgoing = lots;
        }
        if self.rung & rings::OUTBOUND_RTCP != 0 {
            let waiting = &self.environment.outbound_rtcp;
            more |= waiting.take(now, kit::INPUT_BUDGET, &mut self.outgoing_rtcp).more;
            self.send_rtcp(now);
        }
        more
    }

    fn send_rtp(&mut self, now: Instant, OutgoingLot(lot): OutgoingLot) {
        let statistics = kit::statistics();
        let (Some(keys), Some(route)) = (&mut self.keys, &self.route) else {
            return statistics.drop(DropReason::NoRoute, lot.len() as u64);
        };
        let mut egress = self.environment.egress.borrow_mut();
        let (mut packets, mut bytes, mut failures, mut full) = (0, 0, 0, 0);
        for packet in &lot {
            match write_rtp(&mut egress, route, &mut keys.outbound, packet) {
                Ok(Some(length)) => {
                    packets += 1;
                    bytes += length as u64;
                }
                Ok(None) => failures += 1,
                Err(_) => full += 1,
            }
        }
        lots::give_back(lot);
        if packets > 0 {
            statistics.lot_out(packets);
            statistics.packets_out(PacketKind::Rtp, packets, bytes);
            self.traffic.sent(now, packets, bytes);
        }
        if failures + full > 0 {
            statistics.drop(DropReason::SrtpOther, failures);
            statistics.drop(DropReason::SendQueueFull, full);
        }
    }

    fn send_rtcp(&mut self, now: Instant) {
        let statistics = kit::statistics();
        let (Some(keys), Some(route)) = (&mut self.keys, &self.route) else {
            return statistics.drop(DropReason::NoRoute, self.outgoing_rtcp.drain(..).len() as u64);
        };
        let mut egress = self.environment.egress.borrow_mut();
        let (mut failures, mut full) = (0, 0);
        for RtcpCompound(compound) in self.outgoing_rtcp.drain(..) {
            let length = compound.len();
            let written = egress.write(route, length + keys.outbound.rtcp_overhead(), |buffer| {
                buffer[..length].copy_from_slice(&compound);
                keys.outbound.protect_rtcp(buffer, length).ok()
            });
            match written {
                Ok(Some(length)) => {
                    statistics.packets_out(PacketKind::Rtcp, 1, length as u64);
                    self.traffic.sent(now, 1, length as u64);
                }
                Ok(None) => failures += 1,
                Err(_) => full += 1,
            }
        }
        if failures + full > 0 {
            statistics.drop(DropReason::SrtpOther, failures);
            statistics.drop(DropReason::SendQueueFull, full);
        }
    }
}

/// Header and shared payload to the send queue, encrypted there. `None`: refused by SRTP.
fn write_rtp(
    egress: &mut Egress,
    route: &Route,
    keys: &mut srtp::Outbound,
    packet: &OutgoingPacket,
) -> Result<Option<usize>, Full> {
    let length = packet.len();
    egress.write(route, length + keys.rtp_overhead(), |buffer| {
        packet.write_to(buffer);
        if packet.is_retransmission() {
            keys.protect_rtp_again(buffer, length).ok()
        } else {
            keys.protect_rtp(buffer, length).ok()
        }
    })
}
