//! `RtpSender`: one outgoing stream. It owns SSRC, sequence numbers and timestamps; a track only
//! supplies media, so tracks can be exchanged while packets flow.
//!
//! Restarts after a panic from its saved [`SenderState`], which is written before a packet leaves: a
//! restarted sender may leave a gap, but never uses a packet index twice.

use std::{
    sync::Arc,
    task::Context as TaskContext,
    time::{Duration, Instant},
};

use actix::prelude::*;
use rand::{SeedableRng, rngs::StdRng};

use crate::{
    actors::{
        kit::{
            self, ActorKind, Driven, DropReason, LaneKind, LaneReceiver, LaneSender, Metered, MeteredContext,
            Policy,
        },
        lanes::{RtcpCompound, SharedLot, media_lane},
    },
    messages::{
        rtp::{
            AttachTransport, CollectOutbound, InsertDtmf, OutboundRtpSink, ReportTones, RtcpSink,
            SetEncodings, SetSendParameters, SharedTones, StopSender, SwapTrack,
        },
        track::{MediaStreamTrack, SubscriptionId, TrackRequest},
    },
    proto::{
        rtcp::Compound,
        sender::{
            DtmfError, EncodingParameters, OutboundStatistics, OutgoingPacket, Sender, SenderParameters,
            SenderState,
        },
    },
};

/// How often a sender may be rebuilt after a panic.
pub const RTP_SENDER_POLICY: Policy = Policy::restarts(5, Duration::from_secs(10));

/// Packets the outbox has room for between bursts: two full lots.
const OUTBOX_KEPT: usize = 2 * kit::INPUT_BUDGET;

/// A track this sender takes media from.
struct Source {
    generation: u32,
    track: MediaStreamTrack,
    subscription: SubscriptionId,
    lane: LaneReceiver<SharedLot>,
}

impl Drop for Source {
    fn drop(&mut self) {
        self.lane.close();
        self.track.request(TrackRequest::Unsubscribe(self.subscription));
    }
}

/// One outgoing stream.
pub struct RtpSender {
    sender: Option<Sender>,
    parameters: Option<SenderParameters>,
    /// With the SSRC it belongs to: another stream must not continue from it.
    saved: Option<(u32, SenderState)>,
    /// What is asked for, also while nothing is negotiated.
    track: Option<MediaStreamTrack>,
    generation: u32,
    current: Option<Source>,
    next: Option<Source>,
    rtcp: LaneReceiver<RtcpCompound>,
    outbound_rtp: Arc<dyn OutboundRtpSink>,
    outbound_rtcp: Arc<dyn RtcpSink>,
    encodings: Vec<EncodingParameters>,
    tones: Option<SharedTones>,
    inbox: Vec<SharedLot>,
    inbox_rtcp: Vec<RtcpCompound>,
    outbox: Vec<OutgoingPacket>,
}

impl RtpSender {
    /// A silent sender: [`SetSendParameters`] and [`SwapTrack`] give it a voice.
    pub fn new(
        rtcp: LaneReceiver<RtcpCompound>,
        outbound_rtp: LaneSender<OutgoingPacket>,
        outbound_rtcp: LaneSender<RtcpCompound>,
    ) -> Self {
        Self {
            sender: None,
            parameters: None,
            saved: None,
            track: None,
            generation: 0,
            current: None,
            next: None,
            rtcp,
            outbound_rtp: Arc::new(outbound_rtp),
            outbound_rtcp: Arc::new(outbound_rtcp),
            encodings: Vec::new(),
            tones: None,
            inbox: Vec::new(),
            inbox_rtcp: Vec::new(),
            outbox: Vec::new(),
        }
    }

    /// Opens the lane of the next generation. The track before it keeps flowing until the new one can
    /// be decoded from.
    fn open_source(&mut self, now: Instant) {
        let (Some(sender), Some(track)) = (&mut self.sender, &self.track) else { return };
        self.generation += 1;
        sender.switch_source(now, self.generation);
        let (lane_sender, lane) = media_lane(LaneKind::SenderMedia);
        let subscription = SubscriptionId::next();
        track.request(TrackRequest::Subscribe { id: subscription, sink: Arc::new(lane_sender) });
        let source = Source { generation: self.generation, track: track.clone(), subscription, lane };
        if self.current.is_none() {
            self.current = Some(source);
        } else {
            self.next = Some(source);
        }
    }

    /// Counts what the sender refused since `before`, by reason.
    fn count_refused(before: &OutboundStatistics, after: &OutboundStatistics) {
        let refused = after.packets_dropped - before.packets_dropped;
        if refused == 0 {
            return;
        }
        let without_codec = after.packets_without_codec - before.packets_without_codec;
        let replaced = after.packets_of_replaced_source - before.packets_of_replaced_source;
        let statistics = kit::statistics();
        statistics.drop(DropReason::NoCodec, without_codec);
        statistics.drop(DropReason::StaleGeneration, replaced);
        // The rest waits for a key frame, or came too late to be placed before one.
        statistics.drop(DropReason::AwaitingKeyFrame, refused - without_codec - replaced);
    }

    fn take_media(&mut self, cx: &mut TaskContext<'_>, now: Instant) -> bool {
        let mut more = false;
        for is_next in [false, true] {
            let source = if is_next { &self.next } else { &self.current };
            let (Some(source), Some(sender)) = (source, &mut self.sender) else { continue };
            more |= source.lane.poll_take(cx, now, kit::INPUT_BUDGET, &mut self.inbox);
            // What the next track loses before it takes over interrupts nothing.
            if source.lane.take_dropped() > 0 && !is_next {
                sender.mark_gap();
            }
            if self.inbox.is_empty() {
                continue;
            }
            let generation = source.generation;
            let (before, counted) = (self.outbox.len(), sender.statistics());
            for SharedLot(lot) in self.inbox.drain(..) {
                if lot.gap && !is_next {
                    sender.mark_gap();
                }
                for packet in &lot.packets {
                    self.outbox.extend(sender.forward(now, packet, generation));
                }
            }
            Self::count_refused(&counted, &sender.statistics());
            if is_next && self.outbox.len() > before {
                // The new track has taken over: the old one is told by its drop.
                self.current = self.next.take();
            }
        }
        more
    }

    fn take_rtcp(&mut self, cx: &mut TaskContext<'_>, now: Instant) -> bool {
        let more = self.rtcp.poll_take(cx, now, kit::INPUT_BUDGET, &mut self.inbox_rtcp);
        for RtcpCompound(compound) in self.inbox_rtcp.drain(..) {
            let Some(sender) = &mut self.sender else { continue };
            for packet in Compound::parse(&compound) {
                sender.handle_rtcp(now, &packet, &mut self.outbox);
            }
        }
        more
    }

    /// Saves the state, then lets the packets leave: in this order, whatever happens in between.
    fn release(&mut self, now: Instant) {
        let Some(sender) = &mut self.sender else { return };
        if !self.outbox.is_empty() {
            self.saved = Some((sender.parameters().ssrc, sender.state()));
            self.outbound_rtp.push_all(now, &mut self.outbox.drain(..));
            // A burst of retransmissions must not keep its memory.
            self.outbox.shrink_to(OUTBOX_KEPT);
        }
        if sender.wants_key_frame()
            && let Some(source) = self.next.as_ref().or(self.current.as_ref())
        {
            source.track.request(TrackRequest::KeyFrame);
        }
    }

    fn rebuild(&mut self, now: Instant) {
        let Some(parameters) = self.parameters.clone() else { return };
        let saved = self.saved.filter(|(ssrc, _)| *ssrc == parameters.ssrc).map(|(_, state)| state);
        let mut sender = Sender::new(now, parameters, saved, StdRng::from_os_rng());
        if let Some(source) = self.next.as_ref().or(self.current.as_ref()) {
            sender.switch_source(now, source.generation);
        }
        self.sender = Some(sender);
    }
}

impl Metered for RtpSender {
    const KIND: ActorKind = ActorKind::RtpSender;
}

impl Actor for RtpSender {
    type Context = MeteredContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        kit::drive::<Self>(ctx);
    }
}

impl Supervised for RtpSender {
    fn restarting(&mut self, _: &mut Self::Context) {
        self.inbox.clear();
        self.inbox_rtcp.clear();
        self.outbox.clear();
        self.rebuild(kit::now());
    }
}

impl Driven for RtpSender {
    fn take_input(&mut self, cx: &mut TaskContext<'_>, now: Instant, _: &mut Self::Context) -> bool {
        let more = self.take_rtcp(cx, now) | self.take_media(cx, now);
        self.release(now);
        more
    }

    fn flush(&mut self, now: Instant, _: &mut Self::Context) {
        self.release(now);
        let Some(sender) = &mut self.sender else { return };
        while let Some(compound) = sender.poll_transmit(now) {
            self.outbound_rtcp.push(now, compound);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.sender.as_ref()?.poll_timeout()
    }

    fn handle_deadline(&mut self, now: Instant, _: &mut Self::Context) {
        if let Some(sender) = &mut self.sender {
            sender.handle_timeout(now);
        }
    }
}

impl Handler<SetSendParameters> for RtpSender {
    type Result = ();

    fn handle(&mut self, message: SetSendParameters, _: &mut Self::Context) {
        let now = kit::now();
        let known = self.parameters.as_ref().map(|p| p.ssrc);
        let wanted = message.0.as_ref().map(|p| p.ssrc);
        self.parameters = message.0;
        match (&mut self.sender, &self.parameters) {
            (Some(sender), Some(parameters)) if known == wanted => sender.set_parameters(parameters.clone()),
            (_, None) => {
                // The section no longer sends. The state stays: it may send again with the same SSRC.
                self.current = None;
                self.next = None;
                self.sender = None;
            }
            (_, Some(_)) => {
                self.current = None;
                self.next = None;
                self.rebuild(now);
                self.open_source(now);
            }
        }
    }
}

impl Handler<SwapTrack> for RtpSender {
    type Result = ();

    fn handle(&mut self, message: SwapTrack, _: &mut Self::Context) {
        let now = kit::now();
        self.track = message.0;
        self.next = None;
        if self.track.is_none() {
            self.current = None;
        } else {
            self.open_source(now);
        }
    }
}

impl Handler<AttachTransport> for RtpSender {
    type Result = ();

    fn handle(&mut self, message: AttachTransport, _: &mut Self::Context) {
        self.outbound_rtp = message.outbound_rtp;
        self.outbound_rtcp = message.outbound_rtcp;
    }
}

impl Handler<SetEncodings> for RtpSender {
    type Result = ();

    fn handle(&mut self, message: SetEncodings, _: &mut Self::Context) {
        self.encodings = message.0;
    }
}

impl Handler<InsertDtmf> for RtpSender {
    type Result = Result<(), DtmfError>;

    fn handle(&mut self, message: InsertDtmf, _: &mut Self::Context) -> Self::Result {
        self.sender.as_mut().ok_or(DtmfError::CannotInsert)?.insert_dtmf(kit::now(), message.0)
    }
}

impl Handler<ReportTones> for RtpSender {
    type Result = ();

    fn handle(&mut self, message: ReportTones, _: &mut Self::Context) {
        self.tones = Some(message.0);
    }
}

impl Handler<CollectOutbound> for RtpSender {
    type Result = Vec<OutboundStatistics>;

    fn handle(&mut self, _: CollectOutbound, _: &mut Self::Context) -> Self::Result {
        self.sender.iter().map(Sender::statistics).collect()
    }
}

impl Handler<StopSender> for RtpSender {
    type Result = ();

    fn handle(&mut self, _: StopSender, ctx: &mut Self::Context) {
        let now = kit::now();
        if let Some(sender) = &mut self.sender {
            self.outbound_rtcp.push(now, sender.bye(now));
        }
        self.current = None;
        self.next = None;
        ctx.stop();
    }
}

#[cfg(feature = "fault-injection")]
crate::actors::fault_injection::impl_boom!(RtpSender);
