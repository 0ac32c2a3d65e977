//! Transports with their candidates, pairs and certificates in the terms of webrtc-stats.

use super::{
    RtcStats, RtcStatsReport,
    compose::{milliseconds, seconds},
    types::{
        RtcCertificateStats, RtcIceCandidatePairStats, RtcIceCandidateStats, RtcStatsIceCandidatePairState,
        RtcTransportStats,
    },
};
use crate::{
    api::{RtcDtlsRole, RtcIceCandidate, RtcIceCandidateType, RtcIceRole},
    messages::ice::SelectedRoute,
    messages::statistics::{DtlsStatistics, IceStatistics, Statistics, Traffic, TransportStatistics},
    proto::{
        dtls::{self, Fingerprint, HashAlgorithm},
        ice::{Candidate, PairState, PairStatistics, Role, TransportProtocol},
        jsep::TransportId,
    },
};

/// RFC 6347 §4.1: DTLS 1.2, the only version that is spoken.
const DTLS_1_2: &str = "FEFD";

/// The id of a transport's object.
pub(super) fn transport_id(id: TransportId) -> String {
    format!("T{id}")
}

pub(super) fn add(report: &mut RtcStatsReport, statistics: &Statistics, timestamp: f64) {
    let local_certificate = add_certificate(report, statistics.certificate.der(), timestamp);
    for transport in &statistics.transports {
        let remote = transport.state.remote_certificates.iter().map(|der| &der[..]);
        let remote: Vec<_> = remote.map(|der| add_certificate(report, der, timestamp)).collect();
        let selected = match &transport.ice {
            Some(ice) => add_ice(report, statistics, transport, ice, timestamp),
            None => None,
        };
        report.insert(RtcStats::Transport(RtcTransportStats {
            selected_candidate_pair_id: selected,
            local_certificate_id: local_certificate.clone(),
            remote_certificate_id: remote.into_iter().flatten().next(),
            ..described(transport, timestamp)
        }));
    }
}

fn described(transport: &TransportStatistics, timestamp: f64) -> RtcTransportStats {
    let nothing = DtlsStatistics::default();
    let dtls = transport.dtls.as_ref().unwrap_or(&nothing);
    let Traffic { packets_sent, bytes_sent, packets_received, bytes_received, .. } = dtls.traffic;
    let role = transport.ice.as_ref().map(|ice| ice.role).or(transport.state.ice_role);
    let local = transport.state.local_parameters.as_ref();
    RtcTransportStats {
        id: transport_id(transport.id),
        timestamp,
        dtls_state: transport.state.dtls_state,
        packets_sent: Some(packets_sent),
        packets_received: Some(packets_received),
        bytes_sent: Some(bytes_sent),
        bytes_received: Some(bytes_received),
        // Before a description came from the peer the agent's role is only a guess.
        ice_role: Some(match role.filter(|_| transport.state.ice_role.is_some()) {
            None => RtcIceRole::Unknown,
            Some(Role::Controlling) => RtcIceRole::Controlling,
            Some(Role::Controlled) => RtcIceRole::Controlled,
        }),
        ice_local_username_fragment: local.map(|parameters| parameters.ufrag.clone()),
        ice_state: transport.state.ice_state,
        selected_candidate_pair_id: None,
        local_certificate_id: None,
        remote_certificate_id: None,
        tls_version: dtls.cipher_suite.map(|_| DTLS_1_2.to_owned()),
        dtls_cipher: dtls.cipher_suite.map(str::to_owned),
        dtls_role: dtls.role.map(|role| match role {
            dtls::Role::Client => RtcDtlsRole::Client,
            dtls::Role::Server => RtcDtlsRole::Server,
        }),
        srtp_cipher: dtls.srtp_profile.map(|profile| profile.name().to_owned()),
        selected_candidate_pair_changes: Some(dtls.route_changes),
    }
}

/// Candidates and pairs; answers the id of the selected pair.
fn add_ice(
    report: &mut RtcStatsReport,
    statistics: &Statistics,
    transport: &TransportStatistics,
    ice: &IceStatistics,
    timestamp: f64,
) -> Option<String> {
    for candidate in &ice.local {
        report.insert(RtcStats::LocalCandidate(described_candidate(
            transport.id,
            candidate,
            true,
            timestamp,
        )));
    }
    for candidate in &ice.remote {
        report.insert(RtcStats::RemoteCandidate(described_candidate(
            transport.id,
            candidate,
            false,
            timestamp,
        )));
    }
    for pair in &ice.pairs {
        let is_local = |c: &&Candidate| c.kind == pair.local_kind && c.has_base(pair.protocol, pair.local);
        let is_remote = |c: &&Candidate| c.kind == pair.remote_kind && c.is_at(pair.protocol, pair.remote);
        // A pair of names that were looked up: the candidate shows the name.
        let (Some(local), Some(remote)) =
            (ice.local.iter().find(is_local), ice.remote.iter().find(is_remote))
        else {
            continue;
        };
        let mut described = described_pair(statistics, transport, pair, timestamp);
        described.local_candidate_id = candidate_id(transport.id, local, true);
        described.remote_candidate_id = candidate_id(transport.id, remote, false);
        if ice.selected == Some(pair.id) {
            described.available_outgoing_bitrate = available_bitrate(statistics, transport.id);
        }
        report.insert(RtcStats::CandidatePair(described));
    }
    let selected = ice.pairs.iter().find(|pair| Some(pair.id) == ice.selected)?;
    Some(pair_id(transport.id, selected)).filter(|id| report.get(id).is_some())
}

/// What the peer says it can take, by all encodings of the transport's senders.
fn available_bitrate(statistics: &Statistics, transport: TransportId) -> Option<f64> {
    let is_here = |id| {
        let transceiver = statistics.transceivers.iter().find(|transceiver| transceiver.id == id);
        transceiver.is_some_and(|transceiver| transceiver.transport == Some(transport))
    };
    let streams =
        statistics.senders.iter().filter(|(id, _)| is_here(*id)).flat_map(|(_, streams)| streams.iter());
    // REMB is about the path: each stream that it names shows the same number.
    streams.filter_map(|stream| stream.available_bitrate).max().map(|bitrate| bitrate as f64)
}

fn described_pair(
    statistics: &Statistics,
    transport: &TransportStatistics,
    pair: &PairStatistics,
    timestamp: f64,
) -> RtcIceCandidatePairStats {
    let routes = transport.dtls.iter().flat_map(|dtls| &dtls.routes);
    let way = SelectedRoute { protocol: pair.protocol, local: pair.local, remote: pair.remote };
    let mut of_pair = routes.filter(|(route, _)| *route == way);
    let traffic = of_pair.next().map(|(_, traffic)| *traffic).unwrap_or_default();
    let counters = &pair.counters;
    let checks = counters.requests_sent.saturating_sub(counters.consent_requests_sent);
    RtcIceCandidatePairStats {
        id: pair_id(transport.id, pair),
        timestamp,
        transport_id: transport_id(transport.id),
        local_candidate_id: String::new(),
        remote_candidate_id: String::new(),
        state: match pair.state {
            PairState::Frozen => RtcStatsIceCandidatePairState::Frozen,
            PairState::Waiting => RtcStatsIceCandidatePairState::Waiting,
            PairState::InProgress => RtcStatsIceCandidatePairState::InProgress,
            PairState::Succeeded => RtcStatsIceCandidatePairState::Succeeded,
            PairState::Failed => RtcStatsIceCandidatePairState::Failed,
        },
        nominated: Some(pair.nominated),
        packets_sent: Some(traffic.packets_sent),
        packets_received: Some(traffic.packets_received),
        bytes_sent: Some(traffic.bytes_sent),
        bytes_received: Some(traffic.bytes_received),
        last_packet_sent_timestamp: traffic.last_sent.map(|at| milliseconds(&statistics.clock, at)),
        last_packet_received_timestamp: traffic.last_received.map(|at| milliseconds(&statistics.clock, at)),
        total_round_trip_time: Some(seconds(counters.total_round_trip)),
        current_round_trip_time: counters.current_round_trip.map(seconds),
        available_outgoing_bitrate: None,
        requests_received: Some(counters.requests_received.into()),
        requests_sent: Some(checks.into()),
        responses_received: Some(counters.responses_received.into()),
        responses_sent: Some(counters.responses_sent.into()),
        consent_requests_sent: Some(counters.consent_requests_sent.into()),
    }
}

fn pair_id(transport: TransportId, pair: &PairStatistics) -> String {
    format!("CP{transport}_{}", pair.id)
}

/// The same candidate has the same id, also after an ICE restart.
fn candidate_id(transport: TransportId, candidate: &Candidate, is_local: bool) -> String {
    let side = if is_local { 'L' } else { 'R' };
    let shown = RtcIceCandidate::from(candidate);
    let (address, port) = (shown.address.unwrap_or_default(), shown.port.unwrap_or_default());
    let base = candidate.base.filter(|_| is_local).map(|base| format!("_{base}")).unwrap_or_default();
    let protocol = match candidate.protocol {
        TransportProtocol::Udp => "udp",
        TransportProtocol::Tcp => "tcp",
    };
    format!("I{transport}{side}_{}_{protocol}_{address}_{port}{base}", candidate.kind.as_str())
}

fn described_candidate(
    transport: TransportId,
    candidate: &Candidate,
    is_local: bool,
    timestamp: f64,
) -> RtcIceCandidateStats {
    let shown = RtcIceCandidate::from(candidate);
    RtcIceCandidateStats {
        id: candidate_id(transport, candidate, is_local),
        timestamp,
        transport_id: transport_id(transport),
        candidate_type: RtcIceCandidateType::from(candidate.kind),
        address: shown.address,
        port: shown.port,
        protocol: shown.protocol,
        priority: shown.priority,
        url: shown.url,
        relay_protocol: shown.relay_protocol,
        foundation: shown.foundation,
        related_address: shown.related_address,
        related_port: shown.related_port,
        username_fragment: shown.username_fragment,
        tcp_type: shown.tcp_type,
    }
}

/// Answers its id; `None` when it can't be hashed, which OpenSSL always can.
fn add_certificate(report: &mut RtcStatsReport, der: &[u8], timestamp: f64) -> Option<String> {
    let fingerprint = Fingerprint::of_certificate(HashAlgorithm::Sha256, der).ok()?.to_string();
    let (algorithm, value) = fingerprint.split_once(' ')?;
    let id = format!("CF{value}");
    report.insert(RtcStats::Certificate(RtcCertificateStats {
        id: id.clone(),
        timestamp,
        fingerprint: value.to_owned(),
        fingerprint_algorithm: algorithm.to_owned(),
        base64_certificate: dtls::base64(der),
        issuer_certificate_id: None,
    }));
    Some(id)
}
