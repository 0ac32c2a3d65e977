//! `RtpSender`: one outgoing section. It owns SSRCs, sequence numbers and timestamps; a track only
//! supplies media, so tracks can be exchanged while packets flow. With simulcast there are several
//! encodings, each a stream of its own, and the track's packets say which they belong to.
//!
//! Media is encoded when it comes here, and is not transcoded: limits of bit rate, frame rate and size
//! are handed to the source of the track ([`TrackRequest::Demand`](crate::messages::track::TrackRequest::Demand)),
//! and nothing is dropped for them.
//!
//! Restarts after a panic from its saved states, which are written before a packet leaves: a restarted
//! sender may leave a gap, but never uses a packet index twice.

use std::{sync::Arc, time::Duration};

use actix::prelude::*;

pub use self::section::OutgoingSection;
use crate::{
    actors::{
        kit::{
            self, ActorKind, Doorbell, LaneReceiver, LaneSender, Metered, MeteredContext, Policy, Station,
            Stationed,
        },
        lanes::RtcpCompound,
    },
    messages::rtp::{
        AttachTransport, CollectOutbound, InsertDtmf, OutboundRtpSink, ReportTones, SetEncodings,
        SetSendParameters, StopSender, SwapTrack,
    },
    proto::sender::{DtmfError, OutboundStatistics},
};

mod encodings;
mod section;

/// How often a sender may be rebuilt after a panic.
pub const RTP_SENDER_POLICY: Policy = Policy::restarts(5, Duration::from_secs(10));

/// One outgoing section.
pub struct RtpSender {
    station: Station<OutgoingSection>,
}

impl RtpSender {
    /// A silent sender: [`SetSendParameters`] and [`SwapTrack`] give it a voice.
    pub fn new(
        rtcp: LaneReceiver<RtcpCompound>,
        outbound_rtp: Arc<dyn OutboundRtpSink>,
        outbound_rtcp: LaneSender<RtcpCompound>,
    ) -> Self {
        let bell = Doorbell::default();
        let destination = outbound_rtp.destination();
        let section = OutgoingSection::new(bell.clone(), rtcp, outbound_rtp, outbound_rtcp);
        let station = Station::new(&bell, section);
        station.feeds(destination);
        Self { station }
    }
}

impl Metered for RtpSender {
    const KIND: ActorKind = ActorKind::RtpSender;
}

impl Actor for RtpSender {
    type Context = MeteredContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.station.open::<Self>(ctx);
    }
}

impl Stationed for RtpSender {
    type Work = OutgoingSection;

    fn station(&self) -> &Station<OutgoingSection> {
        &self.station
    }
}

impl Supervised for RtpSender {
    fn restarting(&mut self, _: &mut Self::Context) {
        self.station.work().restart(kit::now());
    }
}

impl Handler<SetSendParameters> for RtpSender {
    type Result = ();

    fn handle(&mut self, message: SetSendParameters, _: &mut Self::Context) {
        self.station.work().set_parameters(kit::now(), message.0);
    }
}

impl Handler<SetEncodings> for RtpSender {
    type Result = ();

    fn handle(&mut self, message: SetEncodings, _: &mut Self::Context) {
        self.station.work().set_encodings(message.0);
    }
}

impl Handler<SwapTrack> for RtpSender {
    type Result = ();

    fn handle(&mut self, message: SwapTrack, _: &mut Self::Context) {
        self.station.work().swap_track(kit::now(), message.0);
    }
}

impl Handler<AttachTransport> for RtpSender {
    type Result = ();

    fn handle(&mut self, message: AttachTransport, _: &mut Self::Context) {
        self.station.feeds(message.outbound_rtp.destination());
        self.station.work().attach_transport(message);
    }
}

impl Handler<InsertDtmf> for RtpSender {
    type Result = Result<(), DtmfError>;

    fn handle(&mut self, message: InsertDtmf, _: &mut Self::Context) -> Self::Result {
        self.station.work().insert_dtmf(kit::now(), message.0)
    }
}

impl Handler<ReportTones> for RtpSender {
    type Result = ();

    fn handle(&mut self, message: ReportTones, _: &mut Self::Context) {
        self.station.work().report_tones(message.0);
    }
}

impl Handler<CollectOutbound> for RtpSender {
    type Result = Vec<OutboundStatistics>;

    fn handle(&mut self, _: CollectOutbound, _: &mut Self::Context) -> Self::Result {
        self.station.work().statistics()
    }
}

impl Handler<StopSender> for RtpSender {
    type Result = ();

    fn handle(&mut self, _: StopSender, ctx: &mut Self::Context) {
        self.station.work().stop(kit::now());
        ctx.stop();
    }
}

#[cfg(feature = "fault-injection")]
crate::actors::fault_injection::impl_boom!(RtpSender);
