//! What an [`RtpSender`](super::RtpSender) does with packets: takes them from its track, numbers them, hands them to
//! the transport, and answers what the receivers report.

use std::{sync::Arc, time::Instant};

use super::encodings::Encodings;
use crate::{
    actors::{
        kit::{self, ActorKind, Doorbell, LaneKind, LaneReceiver, LaneSender, Metered, Work},
        lanes::{RtcpCompound, SharedLot, media_lane},
        lots,
        track_relay::{Tap, tap},
    },
    messages::{
        rtp::{AttachTransport, OutboundRtpSink, OutgoingLot, RtcpSink, SharedTones},
        track::{EncodingDemand, MediaStreamTrack, SubscriptionId, TrackRequest},
    },
    proto::{
        prefetch::Reach,
        rtcp::Compound,
        sender::{
            DtmfError, EncodingParameters, OutboundStatistics, OutgoingPacket, Sender, SenderParameters,
            ToneRequest,
        },
    },
};

/// The lanes of this section, as its bell names them.
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
pub struct OutgoingSection {
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

impl OutgoingSection {
    pub(super) fn new(
        bell: Doorbell,
        rtcp: LaneReceiver<RtcpCompound>,
        outbound_rtp: Arc<dyn OutboundRtpSink>,
        outbound_rtcp: LaneSender<RtcpCompound>,
    ) -> Self {
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
            outbound_rtp,
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

    fn take_media(&mut self, now: Instant) -> bool {
        let mut more = false;
        let mut has_ended = false;
        for is_next in [false, true] {
            let source = if is_next { &self.next } else { &self.current };
            let Some(source) = source.as_ref().filter(|_| !self.encodings.is_empty()) else { continue };
            let taken = source.lane.take(now, kit::INPUT_BUDGET, &mut self.inbox);
            more |= taken.more;
            has_ended |= taken.is_abandoned && !is_next;
            // What the next track loses before it takes over interrupts nothing.
            if taken.dropped > 0 && !is_next {
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
                has_ended = taken.is_abandoned;
            }
        }
        // W3C webrtc-pc §5.2: of a track that has ended, nothing is sent. Its own event says so.
        if has_ended {
            self.current = self.next.take();
        }
        more
    }

    fn take_rtcp(&mut self, now: Instant) -> bool {
        let more = self.rtcp.take(now, kit::INPUT_BUDGET, &mut self.inbox_rtcp).more;
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

    /// After a panic: everything anew, from what was saved.
    pub(super) fn restart(&mut self, now: Instant) {
        self.inbox.clear();
        self.inbox_rtcp.clear();
        self.outbox.clear();
        let source = self.next.as_ref().or(self.current.as_ref());
        self.encodings.rebuild(now, source.map(|source| source.generation));
        self.publish_tones();
    }

    pub(super) fn set_parameters(&mut self, now: Instant, parameters: Option<Arc<SenderParameters>>) {
        let are_others = self.encodings.set_parameters(now, parameters);
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

    pub(super) fn set_encodings(&mut self, wanted: Vec<EncodingParameters>) {
        if self.encodings.set_wanted(wanted) {
            self.request_key_frame();
        }
        self.tell_sources();
        self.publish_tones();
    }

    pub(super) fn swap_track(&mut self, now: Instant, track: Option<MediaStreamTrack>) {
        self.track = track;
        self.next = None;
        if self.track.is_none() {
            self.current = None;
        } else {
            self.open_source(now);
        }
        self.publish_tones();
    }

    pub(super) fn attach_transport(&mut self, transport: AttachTransport) {
        self.outbound_rtp = transport.outbound_rtp;
        self.outbound_rtcp = transport.outbound_rtcp;
    }

    pub(super) fn insert_dtmf(&mut self, now: Instant, tones: ToneRequest) -> Result<(), DtmfError> {
        if !self.can_insert_dtmf() {
            return Err(DtmfError::CannotInsert);
        }
        self.encodings.first_mut().ok_or(DtmfError::CannotInsert)?.insert_dtmf(now, tones)?;
        self.publish_tones();
        Ok(())
    }

    pub(super) fn report_tones(&mut self, tones: SharedTones) {
        self.tones = tones;
        self.publish_tones();
    }

    pub(super) fn statistics(&self) -> Vec<OutboundStatistics> {
        self.encodings.senders().map(Sender::statistics).collect()
    }

    /// Says goodbye for all streams.
    pub(super) fn stop(&mut self, now: Instant) {
        for sender in self.encodings.senders_mut() {
            self.outbound_rtcp.push(now, sender.bye(now));
        }
        self.silence();
        self.tones.set(false, String::new());
    }
}

impl Metered for OutgoingSection {
    const KIND: ActorKind = ActorKind::RtpSender;
}

impl Work for OutgoingSection {
    fn prefetch(&self, reach: Reach) {
        self.encodings.prefetch(reach);
    }

    fn take_input(&mut self, rung: u32, now: Instant) -> bool {
        self.rung |= rung;
        if self.rung != 0 && self.outbox.capacity() == 0 {
            self.outbox = lots::take();
        }
        let mut waiting = 0;
        if self.rung & rings::RTCP != 0 && self.take_rtcp(now) {
            waiting |= rings::RTCP;
        }
        if self.rung & rings::MEDIA != 0 && self.take_media(now) {
            waiting |= rings::MEDIA;
        }
        self.rung = waiting;
        waiting != 0
    }

    fn flush(&mut self, now: Instant) {
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

    fn handle_deadline(&mut self, now: Instant) {
        self.encodings.senders_mut().for_each(|sender| sender.handle_timeout(now));
    }
}
