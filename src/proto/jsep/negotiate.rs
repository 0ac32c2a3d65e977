//! What offer and answer together mean for each transceiver, for the transport and for data channels.

use super::answer::each_lead;
use super::apply::Answerer;
use super::codecs::{common_codecs, is_rtx};
use super::config::SessionConfig;
use super::extensions::common_extensions;
use super::placement::Leads;
use super::session::{RemoteSection, Session};
use super::stored::effective_transport;
use super::transceiver::{Source, Transceiver};
use super::types::*;
use crate::proto::sdp::{MediaDescription, RidDirection, SessionDescription, Setup, SimulcastId};
use std::collections::{HashMap, HashSet};

/// RFC 8841 6.1: the largest message when the peer does not say.
const DEFAULT_MESSAGE_SIZE_MAX: u64 = 65_536;

/// Port of SCTP when neither the modern nor the old attribute says (RFC 8841 5).
const DEFAULT_SCTP_PORT: u16 = 5000;

impl Session {
    /// Works out the outcome of a (provisional) answer. The placement is the answer's already.
    pub(super) fn negotiate(
        &mut self,
        local: &SessionDescription,
        remote: &SessionDescription,
        answerer: Answerer,
        leads: &Leads,
    ) {
        let answer = match answerer {
            Answerer::Local => local,
            Answerer::Remote => remote,
        };
        let described: Vec<_> = each_lead(leads, &self.shared.placement).collect();
        for (section, id) in described {
            let Some(transport) = self.shared.transport_mut(id) else { continue };
            let setup = effective_transport(answer, section).setup;
            // RFC 4145 4.1: an answer without the attribute is passive.
            transport.dtls_role = Some(match (answerer, setup == Some(Setup::Active)) {
                (Answerer::Local, true) | (Answerer::Remote, false) => DtlsRole::Client,
                (Answerer::Local, false) | (Answerer::Remote, true) => DtlsRole::Server,
            });
            transport.remote = Some(RemoteSection { pending: true, section });
        }
        for transceiver in &mut self.transceivers {
            let Some(section) = transceiver.link.section else { continue };
            let (Some(ours), Some(theirs)) = (local.media.get(section), remote.media.get(section)) else {
                continue;
            };
            let transport = self.shared.placement.get(section).copied().flatten();
            let (config, default_stream) = (&self.config, self.default_stream.as_str());
            let exchange = Exchange { config, default_stream, local, remote, ours, theirs, transport };
            exchange.settle(transceiver, answerer);
        }
        let transport = self
            .shared
            .data
            .as_ref()
            .and_then(|data| self.shared.placement.get(data.section).copied().flatten());
        let Some(data) = &mut self.shared.data else { return };
        let Some(theirs) = remote.media.get(data.section) else { return };
        let legacy_port = theirs.sctp_map.as_ref().map(|map| map.port);
        data.negotiated = transport.map(|transport| DataParameters {
            mid: data.mid.clone(),
            transport,
            local_port: self.config.sctp_port,
            remote_port: theirs.sctp_port.or(legacy_port).unwrap_or(DEFAULT_SCTP_PORT),
            message_size_max: match theirs.max_message_size.unwrap_or(DEFAULT_MESSAGE_SIZE_MAX) {
                0 => None,
                size => Some(size),
            },
        });
    }
}

/// One section of both descriptions.
struct Exchange<'a> {
    config: &'a SessionConfig,
    /// See [`Session`].
    default_stream: &'a str,
    local: &'a SessionDescription,
    remote: &'a SessionDescription,
    ours: &'a MediaDescription,
    theirs: &'a MediaDescription,
    /// `None` when the section is rejected.
    transport: Option<TransportId>,
}

impl Exchange<'_> {
    fn settle(&self, transceiver: &mut Transceiver, answerer: Answerer) {
        let remote = Direction::from(self.remote.direction_of(self.theirs));
        if answerer == Answerer::Remote {
            transceiver.link.note_remote(self.theirs, remote, self.default_stream);
        }
        let Some(transport) = self.transport else {
            transceiver.link.send = None;
            transceiver.link.receive = None;
            transceiver.link.current_direction = Some(Direction::Inactive);
            return;
        };
        let offered = Direction::from(self.local.direction_of(self.ours));
        let direction = offered.intersection(remote.reversed());
        transceiver.link.current_direction = Some(direction);
        if transceiver.stopped() {
            return;
        }
        self.settle_layers(transceiver);
        transceiver.link.send = direction.sends().then(|| self.send_parameters(transceiver, transport));
        transceiver.link.receive =
            direction.receives().then(|| self.receive_parameters(transceiver, transport));
        transceiver.has_sent |= direction.sends();
        // What was announced holds, even if the application has changed the track since.
        if let Some(send) = &transceiver.link.send {
            for (source, sent) in transceiver.sources.iter_mut().zip(&send.encodings) {
                source.ssrc = sent.ssrc;
                source.rtx_ssrc = sent.rtx_ssrc.unwrap_or(source.rtx_ssrc);
            }
        }
    }

    /// Layers that the exchange does not have are gone for good (W3C 4.4.1.5): all but the first when there is no
    /// simulcast, which then needs no name.
    fn settle_layers(&self, transceiver: &mut Transceiver) {
        if !transceiver.link.proposed.is_empty() {
            transceiver.sources = std::mem::take(&mut transceiver.link.proposed);
        }
        let accepted = self.layers_sent();
        let named = |source: &Source| {
            source.rid.as_deref().is_some_and(|rid| accepted.iter().any(|(known, _)| *known == rid))
        };
        if transceiver.sources.iter().any(named) {
            transceiver.sources.retain(named);
        } else if let Some(first) = transceiver.sources.first_mut() {
            first.rid = None;
            transceiver.sources.truncate(1);
        }
    }

    /// Layers that both sides name: this side as sent, the peer as received; each with whether it begins paused.
    fn layers_sent(&self) -> Vec<(&str, bool)> {
        let (Some(ours), Some(theirs)) = (&self.ours.simulcast, &self.theirs.simulcast) else {
            return Vec::new();
        };
        let declared: HashSet<&str> = self
            .theirs
            .rids
            .iter()
            .filter(|rid| rid.direction == RidDirection::Recv)
            .map(|rid| rid.id.as_str())
            .collect();
        let wanted: HashMap<&str, bool> =
            theirs.recv.iter().flatten().map(|id| (id.rid.as_str(), id.paused)).collect();
        let sent = ours.send.iter().flatten().map(|id| id.rid.as_str());
        sent.filter(|rid| declared.contains(rid)).filter_map(|rid| Some((rid, *wanted.get(rid)?))).collect()
    }

    fn reduced_size(&self) -> bool {
        self.ours.rtcp_reduced_size && self.theirs.rtcp_reduced_size
    }

    fn extensions_mixed(&self) -> bool {
        let allows = |sdp: &SessionDescription, section: &MediaDescription| {
            sdp.extmap_allow_mixed || section.extmap_allow_mixed
        };
        allows(self.local, self.ours) && allows(self.remote, self.theirs)
    }

    /// The truth about what is announced is in the local description: the application may have changed its mind
    /// since that was created.
    fn send_parameters(&self, transceiver: &Transceiver, transport: TransportId) -> RtpSendParameters {
        let codecs = common_codecs(&self.theirs.codecs, &self.ours.codecs);
        // In the peer's order: it says what it likes best.
        let position = |payload_type| self.theirs.codecs.iter().position(|c| c.payload_type == payload_type);
        let mut codecs = codecs;
        codecs.sort_by_key(|codec| position(codec.payload_type));
        let track_id = self.ours.msids.first().and_then(|msid| msid.track.clone());
        RtpSendParameters {
            encodings: self.encodings(transceiver, codecs.iter().any(is_rtx)),
            codecs,
            extensions: common_extensions(self.ours, self.remote, self.theirs),
            extensions_mixed: self.extensions_mixed(),
            transport,
            mid: self.ours.mid.clone().unwrap_or_default(),
            cname: self.config.cname.clone(),
            reduced_size: self.reduced_size(),
            stream_ids: self.ours.msids.iter().filter_map(|msid| msid.stream.clone()).collect(),
            track_id: track_id.unwrap_or_else(|| transceiver.track_id.clone()),
            bitrate_max: self.remote.bitrate_max_of(self.theirs),
            packet_time: self.theirs.packet_time,
            packet_time_max: self.theirs.packet_time_max,
        }
    }

    fn encodings(&self, transceiver: &Transceiver, rtx: bool) -> Vec<EncodingSources> {
        let announced = self.ours.sources.first().map(|source| source.ssrc);
        let repair = self.ours.source_groups.iter().find(|group| group.semantics == "FID");
        let repair = repair.and_then(|group| group.ssrcs.get(1).copied());
        let layers = self.layers_sent();
        let paused = |rid: &str| layers.iter().any(|(known, paused)| *known == rid && *paused);
        let encoding = |source: &Source| match announced {
            Some(ssrc) => {
                EncodingSources { rid: None, ssrc, rtx_ssrc: repair.filter(|_| rtx), paused: false }
            }
            // Layers are not announced by number.
            None => EncodingSources {
                rid: source.rid.clone(),
                ssrc: source.ssrc,
                rtx_ssrc: rtx.then_some(source.rtx_ssrc),
                paused: source.rid.as_deref().is_some_and(paused),
            },
        };
        transceiver.sources.iter().map(encoding).collect()
    }

    fn receive_parameters(&self, transceiver: &Transceiver, transport: TransportId) -> RtpReceiveParameters {
        RtpReceiveParameters {
            transport,
            codecs: common_codecs(&self.ours.codecs, &self.theirs.codecs),
            extensions: common_extensions(self.ours, self.remote, self.theirs),
            ssrcs: sources(self.theirs),
            rids: self.layers(),
            mid: self.ours.mid.clone().unwrap_or_default(),
            reduced_size: self.reduced_size(),
            cname: self.config.cname.clone(),
            local_ssrc: transceiver.first_ssrc(),
        }
    }

    /// Layers that both sides name: the peer as sent, this side as received.
    fn layers(&self) -> Vec<String> {
        let (Some(ours), Some(theirs)) = (&self.ours.simulcast, &self.theirs.simulcast) else {
            return Vec::new();
        };
        let wanted: HashSet<&str> = ours.recv.iter().flatten().map(|id| id.rid.as_str()).collect();
        let sends = |id: &&SimulcastId| {
            let declared =
                self.theirs.rids.iter().any(|r| r.id == id.rid && r.direction == RidDirection::Send);
            declared && wanted.contains(id.rid.as_str())
        };
        theirs.send.iter().flatten().filter(sends).map(|id| id.rid.clone()).collect()
    }
}

/// Sources that a section announces, each with its retransmission source (RFC 5576 4.2 `FID` groups).
fn sources(section: &MediaDescription) -> Vec<(u32, Option<u32>)> {
    let mut repairs = HashMap::new();
    let mut repairing = HashSet::new();
    for group in section.source_groups.iter().filter(|group| group.semantics == "FID") {
        if let [source, repair] = group.ssrcs[..] {
            repairs.insert(source, repair);
            repairing.insert(repair);
        }
    }
    let mut seen = HashSet::new();
    let all = section.sources.iter().map(|source| source.ssrc).filter(|&ssrc| seen.insert(ssrc));
    all.filter(|ssrc| !repairing.contains(ssrc)).map(|ssrc| (ssrc, repairs.get(&ssrc).copied())).collect()
}
