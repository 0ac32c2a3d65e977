//! `RtpSender`: one outgoing section. It owns SSRCs, sequence numbers and timestamps; a track only
//! supplies media, so tracks can be exchanged while packets flow. With simulcast there are several
//! encodings, each a stream of its own, and the track's packets say which they belong to.
//!
//! Media is encoded when it comes here, and is not transcoded: limits of bit rate, frame rate and size
//! are handed to the source of the track ([`TrackRequest::Demand`]), and nothing is dropped for them.
//!
//! Restarts after a panic from its saved states, which are written before a packet leaves: a restarted
//! sender may leave a gap, but never uses a packet index twice.

use std::{
    sync::Arc,
    task::Context as TaskContext,
    time::{Duration, Instant},
};

use actix::prelude::*;

use self::encodings::Encodings;
use crate::{
    actors::{
        kit::{
            self, ActorKind, Doorbell, Driven, LaneKind, LaneReceiver, LaneSender, Metered, MeteredContext,
            Policy,
        },
        lanes::{RtcpCompound, SharedLot, media_lane},
        lots,
        track_relay::{Tap, tap},
    },
    messages::{
        rtp::{
            AttachTransport, CollectOutbound, InsertDtmf, OutboundRtpSink, OutgoingLot, ReportTones,
            RtcpSink, SetEncodings, SetSendParameters, SharedTones, StopSender, SwapTrack,
        },
        track::{EncodingDemand, MediaStreamTrack, SubscriptionId, TrackRequest},
    },
    proto::{
        rtcp::Compound,
        sender::{DtmfError, OutboundStatistics, OutgoingPacket, Sender},
    },
};

mod encodings;

/// How often a sender may be rebuilt after a panic.
pub const RTP_SENDER_POLICY: Policy = Policy::restarts(5, Duration::from_secs(10));

/// The lanes of this actor, as its bell names them.
mod rings {
    /// Of the track that flows, and of the one that is to follow it.
    pub(super) const MEDIA: u32 = 1;
    pub(super) const RTCP: u32 = 1 << 1;
}

/// A track this sender takes media from.
struct Source {
    generation: u32,
    tap: Tap,
    subscription: SubscriptionId,
    lane: LaneReceiver<SharedLot>,
    /// What the track was told last.
    told: Vec<EncodingDemand>,
}

impl Source {
    fn tell(&mut self, demand: &[EncodingDemand]) {
        if self.told != demand {
            self.told = demand.to_vec();
            self.tap.request(TrackRequest::Demand(self.subscription, self.told.clone()));
        }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.lane.close();
        self.tap.request(TrackRequest::Unsubscribe(self.subscription));
    }
}

/// One outgoing section.
pub struct RtpSender {
    encodings: Encodings,
    /// What is asked for, also while nothing is negotiated.
    track: Option<MediaStreamTrack>,
    generation: u32,
    current: Option<Source>,
    next: Option<Source>,
    bell: Doorbell,
    /// Lanes that may have something.
    rung: u32,
    rtcp: LaneReceiver<RtcpCompound>,
    outbound_rtp: Arc<dyn OutboundRtpSink>,
    outbound_rtcp: Arc<dyn RtcpSink>,
    tones: SharedTones,
    inbox: Vec<SharedLot>,
    inbox_rtcp: Vec<RtcpCompound>,
    outbox: Vec<OutgoingPacket>,
}

impl RtpSender {
    /// A silent sender: [`SetSendParameters`] and [`SwapTrack`] give it a voice.
    pub fn new(
        rtcp: LaneReceiver<RtcpCompound>,
        outbound_rtp: LaneSender<OutgoingLot>,
        outbound_rtcp: LaneSender<RtcpCompound>,
    ) -> Self {
        let bell = Doorbell::default();
        rtcp.rings(&bell, rings::RTCP);
        Self {
            encodings: Encodings::default(),
            track: None,
            generation: 0,
            current: None,
            next: None,
            bell,
            rung: 0,
            rtcp,
            outbound_rtp: Arc::new(outbound_rtp),
            outbound_rtcp: Arc::new(outbound_rtcp),
            tones: SharedTones::default(),
            inbox: Vec::new(),
            inbox_rtcp: Vec::new(),
            outbox: Vec::new(),
        }
    }

    /// Opens the lane of the next generation. The track before it keeps flowing until the new one can
    /// be decoded from, unless that one has nothing to say.
    fn open_source(&mut self, now: Instant) {
        let Some(track) = self.track.clone().filter(|_| !self.encodings.is_empty()) else { return };
        self.generation += 1;
        self.encodings.switch_source(now, self.generation);
        let (lane_sender, lane) = media_lane(LaneKind::SenderMedia);
        lane.rings(&self.bell, rings::MEDIA);
        let subscription = SubscriptionId::next();
        let tap = tap(&track);
        tap.request(TrackRequest::Subscribe { id: subscription, sink: Arc::new(lane_sender) });
        if !track.enabled() || !track.is_live() {
            self.current = None;
        }
        let source = Source { generation: self.generation, tap, subscription, lane, told: Vec::new() };
        if self.current.is_none() {
            self.current = Some(source);
        } else {
            self.next = Some(source);
        }
        self.tell_sources();
    }

    /// Tells the tracks what their encoders should know, if that has changed.
    fn tell_sources(&mut self) {
        if self.current.is_none() {
            return;
        }
        let demand = self.encodings.demand();
        for source in self.current.iter_mut().chain(&mut self.next) {
            source.tell(&demand);
        }
    }

    fn take_media(&mut self, cx: &mut TaskContext<'_>, now: Instant) -> bool {
        let mut more = false;
        for is_next in [false, true] {
            let source = if is_next { &self.next } else { &self.current };
            let Some(source) = source.as_ref().filter(|_| !self.encodings.is_empty()) else { continue };
            more |= source.lane.poll_take(cx, now, kit::INPUT_BUDGET, &mut self.inbox);
            // What the next track loses before it takes over interrupts nothing.
            if source.lane.take_dropped() > 0 && !is_next {
                self.encodings.senders_mut().for_each(Sender::mark_gap);
            }
            if self.inbox.is_empty() {
                continue;
            }
            let (generation, enabled) = (source.generation, source.tap.track().enabled());
            for SharedLot(lot) in self.inbox.drain(..) {
                if !enabled {
                    self.encodings.withhold(&lot);
                    continue;
                }
                if lot.gap && !is_next {
                    self.encodings.senders_mut().for_each(Sender::mark_gap);
                }
                self.encodings.forward(now, &lot, generation, &mut self.outbox);
            }
            if is_next && (!enabled || self.encodings.has_taken_over(now, generation)) {
                // The new track has taken over: the old one is told by its drop.
                self.current = self.next.take();
            }
        }
        // W3C webrtc-pc §5.2: of a track that has ended, nothing is sent. Its own event says so.
        if self.current.as_ref().is_some_and(|source| source.lane.is_abandoned()) {
            self.current = self.next.take();
        }
        more
    }

    fn take_rtcp(&mut self, cx: &mut TaskContext<'_>, now: Instant) -> bool {
        let more = self.rtcp.poll_take(cx, now, kit::INPUT_BUDGET, &mut self.inbox_rtcp);
        if self.inbox_rtcp.is_empty() {
            return more;
        }
        for RtcpCompound(compound) in self.inbox_rtcp.drain(..) {
            for packet in Compound::parse(&compound) {
                for sender in self.encodings.senders_mut() {
                    sender.handle_rtcp(now, &packet, &mut self.outbox);
                }
            }
        }
        self.tell_sources();
        more
    }

    /// Plays what is due of tones, and says what has changed.
    fn play_tones(&mut self, now: Instant) {
        let Some(sender) = self.encodings.first_mut() else { return };
        sender.poll_dtmf(now, &mut self.outbox);
        while let Some(change) = sender.poll_tone_change() {
            self.tones.report(change);
        }
    }

    /// W3C webrtc-pc §7.3, "determine if DTMF can be sent".
    fn can_insert_dtmf(&self) -> bool {
        self.track.is_some()
            && self.encodings.is_first_active()
            && self.encodings.senders().next().is_some_and(Sender::can_insert_dtmf)
    }

    fn publish_tones(&self) {
        let buffer = self.encodings.senders().next().map(Sender::tone_buffer);
        self.tones.set(self.can_insert_dtmf(), buffer.unwrap_or_default());
    }

    /// Saves the state, then lets the packets leave: in this order, whatever happens in between.
    fn release(&mut self, now: Instant) {
        if !self.outbox.is_empty() {
            self.encodings.save();
            // A burst of retransmissions is more than one turn of the transport.
            while self.outbox.len() > kit::INPUT_BUDGET {
                let rest = self.outbox.split_off(kit::INPUT_BUDGET);
                let lot = std::mem::replace(&mut self.outbox, rest);
                self.outbound_rtp.push(now, OutgoingLot(lot));
            }
            self.outbound_rtp.push(now, OutgoingLot(std::mem::take(&mut self.outbox)));
        }
        let wanted =
            self.encodings.senders_mut().fold(false, |wanted, sender| wanted | sender.wants_key_frame());
        if wanted {
            self.request_key_frame();
        }
    }

    fn request_key_frame(&self) {
        if let Some(source) = self.next.as_ref().or(self.current.as_ref()) {
            source.tap.request(TrackRequest::KeyFrame);
        }
    }

    fn silence(&mut self) {
        self.current = None;
        self.next = None;
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
        let source = self.next.as_ref().or(self.current.as_ref());
        self.encodings.rebuild(kit::now(), source.map(|source| source.generation));
        self.publish_tones();
    }
}

impl Driven for RtpSender {
    fn take_input(&mut self, cx: &mut TaskContext<'_>, now: Instant, _: &mut Self::Context) -> bool {
        self.rung |= self.bell.answer(cx);
        if self.rung != 0 && self.outbox.capacity() == 0 {
            self.outbox = lots::take();
        }
        let mut waiting = 0;
        if self.rung & rings::RTCP != 0 && self.take_rtcp(cx, now) {
            waiting |= rings::RTCP;
        }
        if self.rung & rings::MEDIA != 0 && self.take_media(cx, now) {
            waiting |= rings::MEDIA;
        }
        self.rung = waiting;
        waiting != 0
    }

    fn flush(&mut self, now: Instant, _: &mut Self::Context) {
        self.play_tones(now);
        self.release(now);
        for sender in self.encodings.senders_mut() {
            while let Some(compound) = sender.poll_transmit(now) {
                self.outbound_rtcp.push(now, compound);
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.encodings.senders().filter_map(Sender::poll_timeout).min()
    }

    fn handle_deadline(&mut self, now: Instant, _: &mut Self::Context) {
        self.encodings.senders_mut().for_each(|sender| sender.handle_timeout(now));
    }
}

impl Handler<SetSendParameters> for RtpSender {
    type Result = ();

    fn handle(&mut self, message: SetSendParameters, _: &mut Self::Context) {
        let now = kit::now();
        let are_others = self.encodings.set_parameters(now, message.0);
        if self.encodings.is_empty() {
            // The section no longer sends. The states stay: it may send again with the same SSRCs.
            self.silence();
        } else if are_others {
            self.silence();
            self.open_source(now);
        }
        self.tell_sources();
        self.publish_tones();
    }
}

impl Handler<SetEncodings> for RtpSender {
    type Result = ();

    fn handle(&mut self, message: SetEncodings, _: &mut Self::Context) {
        if self.encodings.set_wanted(message.0) {
            self.request_key_frame();
        }
        self.tell_sources();
        self.publish_tones();
    }
}

impl Handler<SwapTrack> for RtpSender {
    type Result = ();

    fn handle(&mut self, message: SwapTrack, _: &mut Self::Context) {
        self.track = message.0;
        self.next = None;
        if self.track.is_none() {
            self.current = None;
        } else {
            self.open_source(kit::now());
        }
        self.publish_tones();
    }
}

impl Handler<AttachTransport> for RtpSender {
    type Result = ();

    fn handle(&mut self, message: AttachTransport, _: &mut Self::Context) {
        self.outbound_rtp = message.outbound_rtp;
        self.outbound_rtcp = message.outbound_rtcp;
    }
}

impl Handler<InsertDtmf> for RtpSender {
    type Result = Result<(), DtmfError>;

    fn handle(&mut self, message: InsertDtmf, _: &mut Self::Context) -> Self::Result {
        if !self.can_insert_dtmf() {
            return Err(DtmfError::CannotInsert);
        }
        self.encodings.first_mut().ok_or(DtmfError::CannotInsert)?.insert_dtmf(kit::now(), message.0)?;
        self.publish_tones();
        Ok(())
    }
}

impl Handler<ReportTones> for RtpSender {
    type Result = ();

    fn handle(&mut self, message: ReportTones, _: &mut Self::Context) {
        self.tones = message.0;
        self.publish_tones();
    }
}

impl Handler<CollectOutbound> for RtpSender {
    type Result = Vec<OutboundStatistics>;

    fn handle(&mut self, _: CollectOutbound, _: &mut Self::Context) -> Self::Result {
        self.encodings.senders().map(Sender::statistics).collect()
    }
}

impl Handler<StopSender> for RtpSender {
    type Result = ();

    fn handle(&mut self, _: StopSender, ctx: &mut Self::Context) {
        let now = kit::now();
        for sender in self.encodings.senders_mut() {
            self.outbound_rtcp.push(now, sender.bye(now));
        }
        self.silence();
        self.tones.set(false, String::new());
        ctx.stop();
    }
}

#[cfg(feature = "fault-injection")]
crate::actors::fault_injection::impl_boom!(RtpSender);
