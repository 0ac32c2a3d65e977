//! Which section a decrypted packet belongs to: the routing table of a `DtlsActor`.
//!
//! RTP goes to the one receiver of its section (RFC 9143 §9.2); a compound RTCP packet goes once to
//! every sender it gives feedback to and to every receiver it describes.

use std::{collections::HashMap, sync::Arc, time::Instant};

use bytes::Bytes;
use smallvec::SmallVec;

use crate::{
    actors::kit::{self, DropReason},
    messages::{
        dtls::{AttachReceiver, AttachSender},
        rtp::{ReceivedRtp, RtcpSink, RtpSink},
    },
    proto::{
        rtcp::{Compound, RtcpPacket},
        rtp::{Demultiplexer, ExtensionMap, Extensions, Mid, Rid, RouteError, Section},
    },
};

struct Receiving {
    section: Section,
    extensions: Vec<(u8, String)>,
    rtp: Arc<dyn RtpSink>,
    rtcp: Arc<dyn RtcpSink>,
    /// Packets of the lot that is being taken, handed over at its end.
    waiting: Vec<ReceivedRtp>,
}

/// The receivers and senders of one peer, by what their packets carry.
#[derive(Default)]
pub(crate) struct Sections {
    demultiplexer: Demultiplexer,
    receiving: Vec<Receiving>,
    senders: HashMap<u32, Arc<dyn RtcpSink>>,
}

impl Sections {
    pub(crate) fn attach_receiver(&mut self, message: AttachReceiver) {
        let section = Section {
            index: 0,
            mid: Mid::new(&message.mid),
            payload_types: message.payload_types,
            ssrcs: message.ssrcs,
            rids: message.rids.iter().filter_map(Rid::new).collect(),
        };
        let receiving = Receiving {
            section,
            extensions: message.extensions,
            rtp: message.rtp,
            rtcp: message.rtcp,
            waiting: Vec::new(),
        };
        match self.receiving.iter_mut().find(|known| known.section.mid == receiving.section.mid) {
            Some(known) => *known = receiving,
            None => self.receiving.push(receiving),
        }
        self.rebuild();
    }

    pub(crate) fn detach_receiver(&mut self, mid: &str) {
        let mid = Mid::new(mid);
        self.receiving.retain(|known| known.section.mid != mid);
        self.rebuild();
    }

    pub(crate) fn attach_sender(&mut self, message: &AttachSender) {
        for ssrc in &message.ssrcs {
            self.senders.insert(*ssrc, Arc::clone(&message.rtcp));
        }
    }

    pub(crate) fn detach_sender(&mut self, ssrcs: &[u32]) {
        for ssrc in ssrcs {
            self.senders.remove(ssrc);
        }
    }

    fn rebuild(&mut self) {
        for (index, receiving) in self.receiving.iter_mut().enumerate() {
            receiving.section.index = index;
        }
        let sections = self.receiving.iter().map(|r| r.section.clone()).collect();
        // RFC 9143 §9.1: an id means the same in every section of a bundle, so one map serves all.
        let negotiated = self.receiving.iter().flat_map(|r| &r.extensions).map(|(id, uri)| (*id, uri));
        self.demultiplexer.set_sections(sections, ExtensionMap::new(negotiated, false));
    }

    /// Routes one decrypted RTP packet; it is handed over by [`Self::hand_over`].
    pub(crate) fn take_rtp(&mut self, packet: Bytes) {
        match self.demultiplexer.route_packet(&packet) {
            Ok(route) => {
                let Some(receiving) = self.receiving.get_mut(route.section) else { return };
                receiving.waiting.push(ReceivedRtp { packet, rid: route.rid, repaired: route.repaired });
            }
            Err(RouteError::Malformed(_)) => kit::statistics().drop(DropReason::RtpMalformed, 1),
            Err(_) => kit::statistics().drop(DropReason::UnknownStream, 1),
        }
    }

    /// Hands every receiver what was taken for it, as one lot.
    pub(crate) fn hand_over(&mut self, now: Instant) {
        for receiving in &mut self.receiving {
            if !receiving.waiting.is_empty() {
                receiving.rtp.push_all(now, &mut receiving.waiting.drain(..));
            }
        }
    }

    /// Routes one decrypted compound.
    pub(crate) fn take_rtcp(&mut self, now: Instant, compound: Bytes) {
        let mut sinks: SmallVec<[Arc<dyn RtcpSink>; 4]> = SmallVec::new();
        let mut add = |sink: &Arc<dyn RtcpSink>| {
            if !sinks.iter().any(|known| Arc::ptr_eq(known, sink)) {
                sinks.push(Arc::clone(sink));
            }
        };
        let mut understood = false;
        for packet in Compound::parse(&compound) {
            understood = true;
            for ssrc in media_sources(&packet) {
                if let Some(sink) = self.senders.get(&ssrc) {
                    add(sink);
                }
            }
            for ssrc in reporting_sources(&packet) {
                // The payload type of a section never routes a report: only what was learned does.
                let route = self.demultiplexer.route(ssrc, u8::MAX, &Extensions::default());
                if let Some(receiving) = route.ok().and_then(|route| self.receiving.get(route.section)) {
                    add(&receiving.rtcp);
                }
            }
        }
        if !understood {
            kit::statistics().drop(DropReason::RtcpMalformed, 1);
        }
        for sink in sinks {
            sink.push(now, compound.clone());
        }
    }
}

/// The streams of ours that a packet speaks about.
fn media_sources(packet: &RtcpPacket<'_>) -> SmallVec<[u32; 8]> {
    match packet {
        RtcpPacket::SenderReport(report) => report.blocks().map(|block| block.ssrc).collect(),
        RtcpPacket::ReceiverReport(report) => report.blocks().map(|block| block.ssrc).collect(),
        RtcpPacket::Nack(nack) => SmallVec::from_slice(&[nack.media_ssrc]),
        RtcpPacket::PictureLossIndication(pli) => SmallVec::from_slice(&[pli.media_ssrc]),
        RtcpPacket::FullIntraRequest(fir) => fir.entries().map(|entry| entry.ssrc).collect(),
        RtcpPacket::TemporaryMaximumBitrateRequest(request) => {
            request.entries().map(|entry| entry.ssrc).collect()
        }
        RtcpPacket::ReceiverEstimatedMaximumBitrate(remb) => remb.ssrcs().collect(),
        _ => SmallVec::new(),
    }
}

/// The peer's streams that a packet describes.
fn reporting_sources(packet: &RtcpPacket<'_>) -> SmallVec<[u32; 8]> {
    match packet {
        RtcpPacket::SenderReport(report) => SmallVec::from_slice(&[report.ssrc]),
        RtcpPacket::Goodbye(goodbye) => goodbye.ssrcs().collect(),
        _ => SmallVec::new(),
    }
}
