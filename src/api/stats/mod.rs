//! Statistics (W3C webrtc-pc §8 and webrtc-stats): [`RtcStatsReport`] and what is in it.
//!
//! Every member that webrtc-pc §8.6 makes mandatory is there, but for those that belong to codecs, and
//! those of chains of certificates:
//!
//! | type | member | why not |
//! |---|---|---|
//! | `inbound-rtp` | `framesDecoded`, `framesDropped` | nothing is decoded: frames are handed on as they came |
//! | `inbound-rtp` | `totalAudioEnergy`, `totalSamplesDuration` | they are sums over decoded samples |
//! | `outbound-rtp` | `framesEncoded` | nothing is encoded: `framesSent` counts the frames |
//! | `media-source` | `totalAudioEnergy`, `totalSamplesDuration` | tracks carry encoded audio |
//! | `media-source` | `width`, `height`, `framesPerSecond` | tracks carry encoded video; its producer knows |
//! | `certificate` | `issuerCertificateId` | certificates are self-signed, chains of one |
//!
//! Some are there only when they have a meaning: `codecId` once a packet went through, `remoteId` and the
//! `remote-…` objects once the peer has reported, `channels` for audio, `sdpFmtpLine` for codecs with
//! parameters, `url` for candidates that a server gave, `currentRoundTripTime` once a check was answered.
//!
//! Ids are the same in every report of a connection, and timestamps never run backwards, even when the
//! wall clock is set.

mod compose;
mod rtp;
mod transport;
mod types;

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

pub use types::{
    RtcCertificateStats, RtcCodecStats, RtcDataChannelStats, RtcIceCandidatePairStats, RtcIceCandidateStats,
    RtcInboundRtpStreamStats, RtcMediaSourceStats, RtcOutboundRtpStreamStats, RtcPeerConnectionStats,
    RtcRemoteInboundRtpStreamStats, RtcRemoteOutboundRtpStreamStats, RtcStatsIceCandidatePairState,
    RtcTransportStats,
};

use super::handle::Core;
use crate::messages::{
    error::RtcError,
    statistics::{GetStatistics, StatisticsSelector},
};

/// One object of a report (W3C `RTCStats` with its `type`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum RtcStats {
    /// A codec in use.
    Codec(RtcCodecStats),
    /// A stream that is received.
    InboundRtp(RtcInboundRtpStreamStats),
    /// A stream that is sent.
    OutboundRtp(RtcOutboundRtpStreamStats),
    /// What the peer says of a stream that is sent.
    RemoteInboundRtp(RtcRemoteInboundRtpStreamStats),
    /// What the peer says of a stream that is received.
    RemoteOutboundRtp(RtcRemoteOutboundRtpStreamStats),
    /// A track that is sent.
    MediaSource(RtcMediaSourceStats),
    /// The connection.
    PeerConnection(RtcPeerConnectionStats),
    /// A data channel.
    DataChannel(RtcDataChannelStats),
    /// A transport.
    Transport(RtcTransportStats),
    /// A pair of candidates.
    CandidatePair(RtcIceCandidatePairStats),
    /// A candidate of ours.
    LocalCandidate(RtcIceCandidateStats),
    /// A candidate of the peer.
    RemoteCandidate(RtcIceCandidateStats),
    /// A certificate.
    Certificate(RtcCertificateStats),
}

impl RtcStats {
    /// Names it in its report.
    pub fn id(&self) -> &str {
        match self {
            Self::Codec(stats) => &stats.id,
            Self::InboundRtp(stats) => &stats.id,
            Self::OutboundRtp(stats) => &stats.id,
            Self::RemoteInboundRtp(stats) => &stats.id,
            Self::RemoteOutboundRtp(stats) => &stats.id,
            Self::MediaSource(stats) => &stats.id,
            Self::PeerConnection(stats) => &stats.id,
            Self::DataChannel(stats) => &stats.id,
            Self::Transport(stats) => &stats.id,
            Self::CandidatePair(stats) => &stats.id,
            Self::LocalCandidate(stats) | Self::RemoteCandidate(stats) => &stats.id,
            Self::Certificate(stats) => &stats.id,
        }
    }

    /// When its values were taken, in milliseconds since 1970.
    pub fn timestamp(&self) -> f64 {
        match self {
            Self::Codec(stats) => stats.timestamp,
            Self::InboundRtp(stats) => stats.timestamp,
            Self::OutboundRtp(stats) => stats.timestamp,
            Self::RemoteInboundRtp(stats) => stats.timestamp,
            Self::RemoteOutboundRtp(stats) => stats.timestamp,
            Self::MediaSource(stats) => stats.timestamp,
            Self::PeerConnection(stats) => stats.timestamp,
            Self::DataChannel(stats) => stats.timestamp,
            Self::Transport(stats) => stats.timestamp,
            Self::CandidatePair(stats) => stats.timestamp,
            Self::LocalCandidate(stats) | Self::RemoteCandidate(stats) => stats.timestamp,
            Self::Certificate(stats) => stats.timestamp,
        }
    }

    /// W3C `RTCStatsType`.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Codec(_) => "codec",
            Self::InboundRtp(_) => "inbound-rtp",
            Self::OutboundRtp(_) => "outbound-rtp",
            Self::RemoteInboundRtp(_) => "remote-inbound-rtp",
            Self::RemoteOutboundRtp(_) => "remote-outbound-rtp",
            Self::MediaSource(_) => "media-source",
            Self::PeerConnection(_) => "peer-connection",
            Self::DataChannel(_) => "data-channel",
            Self::Transport(_) => "transport",
            Self::CandidatePair(_) => "candidate-pair",
            Self::LocalCandidate(_) => "local-candidate",
            Self::RemoteCandidate(_) => "remote-candidate",
            Self::Certificate(_) => "certificate",
        }
    }

    /// The ids of the objects that it refers to.
    fn references(&self) -> Vec<&String> {
        let references: [Option<&String>; 4] = match self {
            Self::Codec(stats) => [Some(&stats.transport_id), None, None, None],
            Self::InboundRtp(stats) => {
                [stats.transport_id.as_ref(), stats.codec_id.as_ref(), stats.remote_id.as_ref(), None]
            }
            Self::OutboundRtp(stats) => [
                stats.transport_id.as_ref(),
                stats.codec_id.as_ref(),
                stats.remote_id.as_ref(),
                stats.media_source_id.as_ref(),
            ],
            Self::RemoteInboundRtp(stats) => {
                [stats.transport_id.as_ref(), stats.codec_id.as_ref(), stats.local_id.as_ref(), None]
            }
            Self::RemoteOutboundRtp(stats) => {
                [stats.transport_id.as_ref(), stats.codec_id.as_ref(), stats.local_id.as_ref(), None]
            }
            Self::Transport(stats) => [
                stats.selected_candidate_pair_id.as_ref(),
                stats.local_certificate_id.as_ref(),
                stats.remote_certificate_id.as_ref(),
                None,
            ],
            Self::CandidatePair(stats) => [
                Some(&stats.transport_id),
                Some(&stats.local_candidate_id),
                Some(&stats.remote_candidate_id),
                None,
            ],
            Self::LocalCandidate(stats) | Self::RemoteCandidate(stats) => {
                [Some(&stats.transport_id), None, None, None]
            }
            Self::Certificate(stats) => [stats.issuer_certificate_id.as_ref(), None, None, None],
            Self::MediaSource(_) | Self::PeerConnection(_) | Self::DataChannel(_) => [None; 4],
        };
        references.into_iter().flatten().collect()
    }
}

/// Statistics objects by their ids (W3C webrtc-pc §8.3 `RTCStatsReport`). In JSON it is one object with
/// the ids as names.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RtcStatsReport {
    objects: BTreeMap<String, RtcStats>,
}

impl RtcStatsReport {
    /// The object with this id.
    pub fn get(&self, id: &str) -> Option<&RtcStats> {
        self.objects.get(id)
    }

    /// All objects, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &RtcStats> {
        self.objects.values()
    }

    /// Those of one W3C type, such as `inbound-rtp`.
    pub fn of_type(&self, type_name: &str) -> impl Iterator<Item = &RtcStats> {
        self.iter().filter(move |stats| stats.type_name() == type_name)
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    fn insert(&mut self, stats: RtcStats) {
        self.objects.insert(stats.id().to_owned(), stats);
    }

    /// W3C webrtc-pc §8.5, the stats selection algorithm: the streams, and all that they refer to.
    fn select(mut self, selector: StatisticsSelector) -> Self {
        let is_selected = |stats: &RtcStats| match selector {
            StatisticsSelector::All => true,
            StatisticsSelector::Sender(_) => matches!(stats, RtcStats::OutboundRtp(_)),
            StatisticsSelector::Receiver(_) => matches!(stats, RtcStats::InboundRtp(_)),
        };
        // Those of other transceivers were not asked for in the first place.
        let mut selected: Vec<String> =
            self.iter().filter(|stats| is_selected(stats)).map(|stats| stats.id().to_owned()).collect();
        let mut report = Self::default();
        while let Some(id) = selected.pop() {
            // What was taken before is gone: circles end here.
            let Some(stats) = self.objects.remove(&id) else { continue };
            selected.extend(stats.references().into_iter().cloned());
            report.insert(stats);
        }
        report
    }

    /// Asks the connection. One that was closed is asked no more: its last full report is given again.
    pub(crate) async fn collect(core: &Arc<Core>, selector: StatisticsSelector) -> Result<Self, RtcError> {
        match core.ask(GetStatistics(selector)).await {
            Ok(statistics) => {
                let report = compose::report(&statistics).select(selector);
                if selector == StatisticsSelector::All {
                    core.last_report().clone_from(&report);
                }
                Ok(report)
            }
            Err(_) if core.check_open().is_err() => Ok(core.last_report().clone()),
            Err(error) => Err(error),
        }
    }
}

impl<'a> IntoIterator for &'a RtcStatsReport {
    type Item = &'a RtcStats;
    type IntoIter = std::collections::btree_map::Values<'a, String, RtcStats>;

    fn into_iter(self) -> Self::IntoIter {
        self.objects.values()
    }
}
