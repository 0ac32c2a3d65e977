//! Tests of senders, receivers and tracks as actors, in virtual time and without a network.

mod receiver;
mod sender;
mod tones;

use std::{future::Future, sync::Arc, time::Duration};

use actix::prelude::*;
use bytes::Bytes;
use tokio::sync::{Notify, watch};

use crate::{
    actors::{
        kit::{self, LaneKind, LaneReceiver, LaneSender, Policy},
        lanes::{RtcpCompound, control_lane, media_lane, patient_media_lane},
        rtp_sender::RtpSender,
        track::LocalTrack,
    },
    messages::{
        rtp::OutgoingLot,
        track::{EncodingDemand, MediaStreamTrack, TrackSource},
    },
    proto::{
        rtcp::{ClockAnchor, Compound, NtpTime, RtcpPacket},
        rtp::{CodecParameters, ExtensionMap, Extensions, MediaKind, Rid, RtpHeader, RtpPacket},
        sender::{OutgoingPacket, SenderParameters},
    },
};

/// Runs a test where actors can be started and time passes only when nothing else is left to do.
fn paused<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    let runtime = runtime.expect("the system has room for one more runtime");
    tokio::task::LocalSet::new().block_on(&runtime, test)
}

/// Lets time pass, and everything that is due run.
async fn pass(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}

/// What is in a lane now.
async fn take<T: kit::Weight>(lane: &LaneReceiver<T>) -> Vec<T> {
    let mut out = Vec::new();
    std::future::poll_fn(|cx| {
        while lane.poll_take(cx, kit::now(), kit::INPUT_BUDGET, &mut out) {}
        std::task::Poll::Ready(())
    })
    .await;
    out
}

fn codec(payload_type: u8, name: &str, clock_rate: u32) -> CodecParameters {
    CodecParameters {
        payload_type,
        name: name.to_owned(),
        clock_rate,
        channels: None,
        parameters: Vec::new(),
        feedback: vec!["nack".to_owned(), "nack pli".to_owned()],
    }
}

/// A track that the test feeds.
struct Source {
    track: MediaStreamTrack,
    writer: LaneSender<RtpPacket>,
    key_frame_wanted: Arc<Notify>,
    demand: watch::Receiver<Vec<EncodingDemand>>,
    kind: MediaKind,
    next: u64,
}

impl Source {
    fn new(kind: MediaKind) -> Self {
        let (writer, lane) = media_lane(LaneKind::SenderMedia);
        let key_frame_wanted = Arc::new(Notify::new());
        let wanted = Arc::clone(&key_frame_wanted);
        let (demand_sender, demand) = watch::channel(Vec::new());
        let source = TrackSource::new(kind, false);
        let handle = source.handle();
        let actor = LocalTrack::new(lane, wanted, demand_sender, source);
        let address = kit::start(Policy::never(), |_| {}, |_| actor);
        let track = MediaStreamTrack::of_source("source", "a test", &handle, address.recipient());
        Self { track, writer, key_frame_wanted, demand, kind, next: 1000 }
    }

    fn packet(&mut self, rid: Option<&str>, key_frame: bool) -> RtpPacket {
        self.next += 1;
        let (codec, step) = match self.kind {
            MediaKind::Audio => (codec(111, "opus", 48_000), 960),
            MediaKind::Video => (codec(96, "VP8", 90_000), 3000),
        };
        RtpPacket {
            arrival: kit::now(),
            // Each encoding is a stream of its own.
            ssrc: rid.map_or(1, |rid| u32::from(rid.as_bytes()[0])),
            rid: rid.and_then(Rid::new),
            codec: codec.key(),
            payload_type: codec.payload_type,
            marker: true,
            sequence_number: self.next,
            timestamp: (self.next as u32).wrapping_mul(step),
            clock: None,
            extensions: Extensions::default(),
            payload: Bytes::from_static(if key_frame { &[0x10, 0, 7] } else { &[0x10, 1, 7] }),
            key_frame,
        }
    }

    /// Supplies a packet, and lets it arrive.
    async fn write(&mut self, rid: Option<&str>, key_frame: bool) {
        let packet = self.packet(rid, key_frame);
        self.writer.push(kit::now(), packet);
        pass(1).await;
    }

    /// Whether a key frame was asked for since the last time.
    async fn was_asked_for_key_frame(&self) -> bool {
        tokio::time::timeout(Duration::from_millis(1), self.key_frame_wanted.notified()).await.is_ok()
    }
}

/// What left a sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sent {
    ssrc: u32,
    number: u16,
    payload_type: u8,
}

/// A sender and the ends of its lanes.
struct Sending {
    actor: Addr<RtpSender>,
    rtcp: LaneSender<RtcpCompound>,
    outbound: LaneReceiver<OutgoingLot>,
    outbound_rtcp: LaneReceiver<RtcpCompound>,
}

impl Sending {
    fn new() -> Self {
        let (rtcp, rtcp_receiver) = control_lane(LaneKind::SenderRtcp);
        let (outbound_sender, outbound) = patient_media_lane(LaneKind::Outbound);
        let (outbound_rtcp_sender, outbound_rtcp) = control_lane(LaneKind::OutboundRtcp);
        let sender = RtpSender::new(rtcp_receiver, Arc::new(outbound_sender), outbound_rtcp_sender);
        let actor = kit::start(Policy::never(), |_| {}, |_| sender);
        Self { actor, rtcp, outbound, outbound_rtcp }
    }

    async fn sent(&self) -> Vec<Sent> {
        pass(1).await;
        take(&self.outbound).await.iter().flat_map(|lot| &lot.0).map(seen).collect()
    }

    async fn goodbyes(&self) -> Vec<u32> {
        pass(1).await;
        let mut ssrcs = Vec::new();
        for RtcpCompound(compound) in take(&self.outbound_rtcp).await {
            for packet in Compound::parse(&compound) {
                if let RtcpPacket::Goodbye(goodbye) = packet {
                    ssrcs.extend(goodbye.ssrcs());
                }
            }
        }
        ssrcs
    }
}

fn seen(packet: &OutgoingPacket) -> Sent {
    let mut bytes = vec![0; packet.len()];
    packet.write_to(&mut bytes);
    let header = RtpHeader::parse(&bytes).expect("a packet");
    Sent { ssrc: header.ssrc(), number: header.sequence_number(), payload_type: header.payload_type() }
}

fn send_parameters(kind: MediaKind) -> SenderParameters {
    SenderParameters {
        kind,
        ssrc: 0xa,
        rtx_ssrc: None,
        rid: None,
        encodings: Vec::new(),
        bitrate_max: None,
        codecs: vec![
            codec(120, "VP8", 90_000),
            codec(111, "opus", 48_000),
            codec(110, "telephone-event", 48_000),
        ],
        extensions: ExtensionMap::default(),
        mid: None,
        cname: "name".to_owned(),
        reduced_size: true,
        clock: ClockAnchor { instant: kit::now(), ntp: NtpTime(1000 << 32) },
    }
}
