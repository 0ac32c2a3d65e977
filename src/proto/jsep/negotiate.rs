//! What offer and answer together mean for each transceiver, for the transport and for data channels.

use super::apply::Answerer;
use super::codecs::{common_codecs, is_rtx};
use super::config::SessionConfig;
use super::extensions::common_extensions;
use super::session::Session;
use super::stored::{effective_transport, tagged};
use super::transceiver::Transceiver;
use super::types::*;
use crate::proto::sdp::{MediaDescription, RidDirection, SessionDescription, Setup, SimulcastId};
use std::collections::{HashMap, HashSet};

/// RFC 8841 6.1: the largest message when the peer does not say.
const DEFAULT_MESSAGE_SIZE_MAX: u64 = 65_536;

impl Session {
    /// Works out the outcome of a (provisional) answer.
    pub(super) fn negotiate(
        &mut self,
        local: &SessionDescription,
        remote: &SessionDescription,
        answerer: Answerer,
    ) {
        let answer = match answerer {
            Answerer::Local => local,
            Answerer::Remote => remote,
        };
        if let Some(tagged) = tagged(answer) {
            let setup = effective_transport(answer, tagged).setup;
            // RFC 4145 4.1: an answer without the attribute is passive.
            self.shared.dtls_role = Some(match (answerer, setup == Some(Setup::Active)) {
                (Answerer::Local, true) | (Answerer::Remote, false) => DtlsRole::Client,
                (Answerer::Local, false) | (Answerer::Remote, true) => DtlsRole::Server,
            });
        }
        for transceiver in &mut self.transceivers {
            let Some(section) = transceiver.link.section else { continue };
            let (Some(ours), Some(theirs)) = (local.media.get(section), remote.media.get(section)) else {
                continue;
            };
            let exchange = Exchange { config: &self.config, local, remote, ours, theirs };
            exchange.settle(transceiver, answerer);
        }
        let Some(data) = &mut self.shared.data else { return };
        let Some(theirs) = remote.media.get(data.section) else { return };
        let open = local.media.get(data.section).is_some_and(|ours| !ours.rejected()) && !theirs.rejected();
        data.negotiated = open.then(|| DataParameters {
            mid: data.mid.clone(),
            transport: TransportId(0),
            local_port: self.config.sctp_port,
            remote_port: theirs.sctp_port.unwrap_or(5000),
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
    local: &'a SessionDescription,
    remote: &'a SessionDescription,
    ours: &'a MediaDescription,
    theirs: &'a MediaDescription,
}

impl Exchange<'_> {
    fn settle(&self, transceiver: &mut Transceiver, answerer: Answerer) {
        let remote = Direction::from(self.remote.direction_of(self.theirs));
        if answerer == Answerer::Remote {
            transceiver.link.note_remote(self.theirs, remote);
        }
        if self.ours.rejected() || self.theirs.rejected() {
            transceiver.link.send = None;
            transceiver.link.receive = None;
            transceiver.link.current_direction = Some(Direction::Inactive);
            return;
        }
        let offered = Direction::from(self.local.direction_of(self.ours));
        let direction = offered.intersection(remote.reversed());
        transceiver.link.current_direction = Some(direction);
        if transceiver.stopped() {
            return;
        }
        transceiver.link.send = direction.sends().then(|| self.send_parameters(transceiver));
        transceiver.link.receive = direction.receives().then(|| self.receive_parameters(transceiver));
        transceiver.has_sent |= direction.sends();
        // What was announced holds, even if the application has changed the track since.
        if let Some(send) = transceiver.link.send.as_ref().and_then(|send| send.encodings.first()) {
            transceiver.ssrc = send.ssrc;
            transceiver.rtx_ssrc = send.rtx_ssrc.unwrap_or(transceiver.rtx_ssrc);
        }
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
    fn send_parameters(&self, transceiver: &Transceiver) -> RtpSendParameters {
        let codecs = common_codecs(&self.theirs.codecs, &self.ours.codecs);
        // In the peer's order: it says what it likes best.
        let position = |payload_type| self.theirs.codecs.iter().position(|c| c.payload_type == payload_type);
        let mut codecs = codecs;
        codecs.sort_by_key(|codec| position(codec.payload_type));
        let announced = self.ours.sources.first().map(|source| source.ssrc);
        let repair = self.ours.source_groups.iter().find(|group| group.semantics == "FID");
        let repair = repair.and_then(|group| group.ssrcs.get(1).copied());
        let rtx_ssrc = repair.filter(|_| codecs.iter().any(is_rtx));
        let track_id = self.ours.msids.first().and_then(|msid| msid.track.clone());
        RtpSendParameters {
            codecs,
            extensions: common_extensions(self.ours, self.remote, self.theirs),
            extensions_mixed: self.extensions_mixed(),
            encodings: vec![EncodingSources {
                rid: None,
                ssrc: announced.unwrap_or(transceiver.ssrc),
                rtx_ssrc,
                paused: false,
            }],
            transport: TransportId(0),
            mid: self.ours.mid.clone().unwrap_or_default(),
            cname: self.config.cname.clone(),
            reduced_size: self.reduced_size(),
            stream_ids: self.ours.msids.iter().filter_map(|msid| msid.stream.clone()).collect(),
            track_id: track_id.unwrap_or_else(|| transceiver.track_id.clone()),
            bitrate_max: self.theirs.bitrate_max(),
        }
    }

    fn receive_parameters(&self, transceiver: &Transceiver) -> RtpReceiveParameters {
        RtpReceiveParameters {
            transport: TransportId(0),
            codecs: common_codecs(&self.ours.codecs, &self.theirs.codecs),
            extensions: common_extensions(self.ours, self.remote, self.theirs),
            ssrcs: sources(self.theirs),
            rids: self.layers(),
            mid: self.ours.mid.clone().unwrap_or_default(),
            reduced_size: self.reduced_size(),
            cname: self.config.cname.clone(),
            local_ssrc: transceiver.ssrc,
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
