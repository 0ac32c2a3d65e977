//! `RtpReceiver`: what one media section receives, and the track it becomes.
//!
//! Restarts after a panic with its subscribers, loses what it knew of the streams, and asks for a key
//! frame.

use std::{
    sync::Arc,
    task::Context as TaskContext,
    time::{Duration, Instant},
};

use actix::prelude::*;
use rand::{SeedableRng, rngs::StdRng};

use crate::{
    actors::{
        fan_out::FanOut,
        kit::{
            self, ActorKind, DownReason, Driven, DropReason, LaneReceiver, LaneSender, Metered,
            MeteredContext, Policy,
        },
        lanes::RtcpCompound,
    },
    messages::{
        rtp::{
            AttachTransport, CollectInbound, CollectSources, JITTER_BUFFER_TARGET_MAX, PauseReceiver,
            ReceivedRtp, RtcpSink, SetJitterBufferTarget, SetReceiveParameters, SetRoundTripTime,
            SourcesSnapshot, StopReceiver,
        },
        track::{MediaLot, MediaStreamTrack, TrackRequest, TrackSource},
    },
    proto::{
        receiver::{InboundStatistics, ReceiveError, Receiver, ReceiverEvent, ReceiverParameters},
        rtcp::Compound,
        rtp::{MediaKind, Rid, RtpPacket},
    },
};

/// How often a receiver may be rebuilt after a panic.
pub const RTP_RECEIVER_POLICY: Policy = Policy::restarts(5, Duration::from_secs(10));

/// A simulcast encoding that was silent for so long has been switched off by its publisher.
const ENCODING_SILENCE: Duration = Duration::from_millis(500);

/// One media section's receiving half.
pub struct RtpReceiver {
    receiver: Receiver,
    parameters: ReceiverParameters,
    rtp: LaneReceiver<ReceivedRtp>,
    rtcp: LaneReceiver<RtcpCompound>,
    feedback: Arc<dyn RtcpSink>,
    fan_out: FanOut,
    /// Ends the tracks when this actor ends, however it does.
    source: TrackSource,
    /// As [`Self::source`] says, for a quick look at every lot.
    muted: bool,
    /// The negotiated direction does not receive.
    paused: bool,
    inbox: Vec<ReceivedRtp>,
    inbox_rtcp: Vec<RtcpCompound>,
    lot: Vec<RtpPacket>,
    /// Of several simulcast encodings, the one that is handed out, and when it was heard last.
    encoding: Option<(Rid, Instant)>,
    /// Survives a restart, unlike what the receiver knows of its streams.
    round_trip_time: Option<Duration>,
}

impl RtpReceiver {
    /// A receiver that reads from its lanes and sends its feedback through `feedback`.
    pub fn new(
        parameters: ReceiverParameters,
        rtp: LaneReceiver<ReceivedRtp>,
        rtcp: LaneReceiver<RtcpCompound>,
        feedback: LaneSender<RtcpCompound>,
    ) -> Self {
        Self {
            // W3C webrtc-pc §5.3: muted until something arrives.
            source: TrackSource::new(parameters.kind, true),
            muted: true,
            paused: false,
            receiver: Receiver::new(kit::now(), parameters.clone(), StdRng::from_os_rng()),
            parameters,
            rtp,
            rtcp,
            feedback: Arc::new(feedback),
            fan_out: FanOut::default(),
            inbox: Vec::new(),
            inbox_rtcp: Vec::new(),
            lot: Vec::new(),
            encoding: None,
            round_trip_time: None,
        }
    }

    /// Starts a receiver, and makes the track it becomes, which can be taken at once. `down` is called
    /// when it has ended for good.
    pub fn start(
        self,
        track_id: &str,
        down: impl FnOnce(DownReason) + 'static,
    ) -> (Addr<Self>, MediaStreamTrack) {
        self.source.settle();
        let source = self.source.handle();
        let address = kit::start(RTP_RECEIVER_POLICY, down, |_| self);
        let track = MediaStreamTrack::of_source(track_id, "", &source, address.clone().recipient());
        (address, track)
    }

    fn set_muted(&mut self, muted: bool) {
        if std::mem::replace(&mut self.muted, muted) != muted {
            self.source.set_muted(muted);
        }
    }

    fn request_key_frame(&mut self, now: Instant) {
        if self.parameters.kind == MediaKind::Video {
            self.receiver.request_key_frame(now, None);
        }
    }

    fn take_rtp(&mut self, cx: &mut TaskContext<'_>, now: Instant) -> bool {
        let more = self.rtp.poll_take(cx, now, kit::INPUT_BUDGET, &mut self.inbox);
        let gap = self.rtp.take_dropped() > 0;
        if gap {
            self.request_key_frame(now);
        }
        if self.paused {
            self.inbox.clear();
        }
        // Exactly: most lots are of a few packets, and all of one go on together.
        self.lot.reserve_exact(self.inbox.len());
        for ReceivedRtp { packet, rid, repaired } in self.inbox.drain(..) {
            if let Err(error) = self.receiver.handle_rtp(now, packet, rid, repaired, &mut self.lot) {
                kit::statistics().drop(drop_reason(&error), 1);
            }
        }
        if !self.lot.is_empty() {
            self.set_muted(false);
            self.keep_one_encoding(now);
            let packets = std::mem::take(&mut self.lot);
            if !packets.is_empty() {
                self.fan_out.push(now, MediaLot::new(packets, gap));
            }
        }
        more
    }

    /// Of several encodings the first that arrived is handed out, until it falls silent.
    fn keep_one_encoding(&mut self, now: Instant) {
        let Some(arrived) = self.lot.iter().find_map(|packet| packet.rid) else { return };
        let (rid, heard) = self.encoding.get_or_insert((arrived, now));
        if self.lot.iter().any(|packet| packet.rid == Some(*rid)) {
            *heard = now;
        } else if now.saturating_duration_since(*heard) > ENCODING_SILENCE {
            (*rid, *heard) = (arrived, now);
            self.receiver.request_key_frame(now, None);
        }
        let rid = *rid;
        self.lot.retain(|packet| packet.rid.is_none_or(|arrived| arrived == rid));
    }

    fn take_rtcp(&mut self, cx: &mut TaskContext<'_>, now: Instant) -> bool {
        let more = self.rtcp.poll_take(cx, now, kit::INPUT_BUDGET, &mut self.inbox_rtcp);
        for RtcpCompound(compound) in self.inbox_rtcp.drain(..) {
            for packet in Compound::parse(&compound) {
                self.receiver.handle_rtcp(now, &packet);
            }
        }
        more
    }
}

fn drop_reason(error: &ReceiveError) -> DropReason {
    match error {
        ReceiveError::Malformed(_) => DropReason::RtpMalformed,
        ReceiveError::Duplicate | ReceiveError::TooOld => DropReason::RtpDuplicate,
        ReceiveError::SequenceJump => DropReason::RtpJump,
        _ => DropReason::UnknownStream,
    }
}

impl Metered for RtpReceiver {
    const KIND: ActorKind = ActorKind::RtpReceiver;
}

impl Actor for RtpReceiver {
    type Context = MeteredContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        kit::drive::<Self>(ctx);
    }
}

impl Supervised for RtpReceiver {
    fn restarting(&mut self, _: &mut Self::Context) {
        let now = kit::now();
        self.receiver = Receiver::new(now, self.parameters.clone(), StdRng::from_os_rng());
        if let Some(round_trip_time) = self.round_trip_time {
            self.receiver.set_round_trip_time(round_trip_time);
        }
        self.inbox.clear();
        self.inbox_rtcp.clear();
        self.lot.clear();
        self.request_key_frame(now);
    }
}

impl Driven for RtpReceiver {
    fn take_input(&mut self, cx: &mut TaskContext<'_>, now: Instant, _: &mut Self::Context) -> bool {
        self.take_rtcp(cx, now) | self.take_rtp(cx, now)
    }

    fn flush(&mut self, now: Instant, _: &mut Self::Context) {
        while let Some(compound) = self.receiver.poll_transmit(now) {
            self.feedback.push(now, compound);
        }
        while let Some(event) = self.receiver.poll_event() {
            // W3C webrtc-pc §5.3: a goodbye mutes; only the end of the transceiver ends the track.
            if matches!(event, ReceiverEvent::StreamEnded { .. }) && !self.receiver.is_heard() {
                self.set_muted(true);
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.receiver.poll_timeout()
    }

    fn handle_deadline(&mut self, now: Instant, _: &mut Self::Context) {
        self.receiver.handle_timeout(now);
    }
}

impl Handler<TrackRequest> for RtpReceiver {
    type Result = ();

    fn handle(&mut self, message: TrackRequest, _: &mut Self::Context) {
        match message {
            TrackRequest::Subscribe { id, sink } => self.fan_out.subscribe(id, sink),
            TrackRequest::Unsubscribe(id) => self.fan_out.unsubscribe(id),
            TrackRequest::KeyFrame => self.request_key_frame(kit::now()),
            // What one consumer can take is no reason to throttle a publisher for all others, and a
            // track that nobody takes any more is received on: its transceiver decides (W3C §5.3).
            TrackRequest::Demand(..) | TrackRequest::Stop => {}
        }
    }
}

impl Handler<SetReceiveParameters> for RtpReceiver {
    type Result = ();

    fn handle(&mut self, message: SetReceiveParameters, _: &mut Self::Context) {
        self.paused = false;
        self.parameters = message.0.clone();
        self.receiver.set_parameters(message.0);
    }
}

impl Handler<SetRoundTripTime> for RtpReceiver {
    type Result = ();

    fn handle(&mut self, message: SetRoundTripTime, _: &mut Self::Context) {
        self.round_trip_time = Some(message.0);
        self.receiver.set_round_trip_time(message.0);
    }
}

impl Handler<PauseReceiver> for RtpReceiver {
    type Result = ();

    fn handle(&mut self, _: PauseReceiver, _: &mut Self::Context) {
        self.paused = true;
        self.set_muted(true);
    }
}

impl Handler<AttachTransport> for RtpReceiver {
    type Result = ();

    fn handle(&mut self, message: AttachTransport, _: &mut Self::Context) {
        self.feedback = message.outbound_rtcp;
    }
}

impl Handler<SetJitterBufferTarget> for RtpReceiver {
    type Result = ();

    fn handle(&mut self, message: SetJitterBufferTarget, _: &mut Self::Context) {
        self.source.set_jitter_buffer_target(message.0.map(|target| target.min(JITTER_BUFFER_TARGET_MAX)));
    }
}

impl Handler<CollectSources> for RtpReceiver {
    type Result = MessageResult<CollectSources>;

    fn handle(&mut self, _: CollectSources, _: &mut Self::Context) -> Self::Result {
        let now = kit::now();
        MessageResult(SourcesSnapshot {
            synchronization: self.receiver.synchronization_sources(now),
            contributing: self.receiver.contributing_sources(now),
        })
    }
}

impl Handler<CollectInbound> for RtpReceiver {
    type Result = Vec<InboundStatistics>;

    fn handle(&mut self, _: CollectInbound, _: &mut Self::Context) -> Self::Result {
        self.receiver.statistics()
    }
}

impl Handler<StopReceiver> for RtpReceiver {
    type Result = ();

    fn handle(&mut self, _: StopReceiver, ctx: &mut Self::Context) {
        self.source.end();
        ctx.stop();
    }
}

#[cfg(feature = "fault-injection")]
crate::actors::fault_injection::impl_boom!(RtpReceiver);
