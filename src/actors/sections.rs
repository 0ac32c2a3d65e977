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

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;
    use crate::proto::rtcp::CompoundBuilder;

    /// A lane's end that keeps what it gets.
    #[derive(Default)]
    struct Kept(Mutex<Vec<Bytes>>);

    impl RtcpSink for Kept {
        fn push(&self, _: Instant, compound: Bytes) {
            self.0.lock().push(compound);
        }
    }

    impl RtpSink for Kept {
        fn push_all(&self, _: Instant, packets: &mut dyn Iterator<Item = ReceivedRtp>) {
            self.0.lock().extend(packets.map(|packet| packet.packet));
        }
    }

    impl Kept {
        fn took(&self) -> usize {
            self.0.lock().drain(..).len()
        }
    }

    /// Two receivers and two senders: their SSRCs are 1 and 2, 11 and 12.
    fn sections() -> (Sections, [Arc<Kept>; 4]) {
        let kept: [Arc<Kept>; 4] = Default::default();
        let mut sections = Sections::default();
        for index in 0..2_u32 {
            sections.attach_receiver(AttachReceiver {
                mid: index.to_string(),
                payload_types: vec![96 + index as u8],
                ssrcs: vec![(1 + index, None)],
                rids: Vec::new(),
                extensions: Vec::new(),
                rtp: kept[index as usize].clone(),
                rtcp: kept[index as usize].clone(),
            });
            let rtcp = kept[2 + index as usize].clone();
            sections.attach_sender(&AttachSender { ssrcs: vec![11 + index], rtcp });
        }
        (sections, kept)
    }

    fn routed(build: impl Fn(&mut CompoundBuilder) -> &mut CompoundBuilder) -> [usize; 4] {
        let (mut sections, kept) = sections();
        let mut builder = CompoundBuilder::new();
        build(&mut builder);
        sections.take_rtcp(kit::now(), builder.build().expect("a compound"));
        kept.map(|kept| kept.took())
    }

    fn block(ssrc: u32) -> crate::proto::rtcp::ReportBlock {
        crate::proto::rtcp::ReportBlock { ssrc, ..Default::default() }
    }

    /// aiortc `test_route_rtcp`: a compound reaches the senders and receivers that it speaks of, once,
    /// and no others.
    #[test]
    fn a_compound_reaches_those_it_speaks_of_and_no_others() {
        assert_eq!(routed(|compound| compound.receiver_report(1, [block(11)])), [0, 0, 1, 0]);
        assert_eq!(routed(|compound| compound.receiver_report(1, [block(11), block(12)])), [0, 0, 1, 1]);
        assert_eq!(routed(|compound| compound.receiver_report(1, [block(99)])), [0; 4], "of nobody");
        assert_eq!(routed(|compound| compound.goodbye([2])), [0, 1, 0, 0]);
        assert_eq!(routed(|compound| compound.goodbye([1, 2])), [1, 1, 0, 0]);
        assert_eq!(routed(|compound| compound.picture_loss_indication(1, 12)), [0, 0, 0, 1]);
        let twice = routed(|compound| {
            compound.receiver_report(1, [block(11)]).picture_loss_indication(1, 11).goodbye([1])
        });
        assert_eq!(twice, [1, 0, 1, 0], "once to each");
    }

    #[test]
    fn who_was_detached_gets_nothing() {
        let (mut sections, kept) = sections();
        sections.detach_sender(&[11]);
        sections.detach_receiver("0");
        let compound = CompoundBuilder::new().receiver_report(1, [block(11)]).goodbye([1]).build();
        sections.take_rtcp(kit::now(), compound.expect("a compound"));
        assert_eq!(kept.map(|kept| kept.took()), [0; 4]);
    }
}
