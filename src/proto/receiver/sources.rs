//! Who is heard: synchronization and contributing sources (W3C webrtc-pc §5.3, `getSynchronizationSources` and
//! `getContributingSources`).

use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::proto::rtp::AudioLevel;

/// W3C webrtc-pc §5.3: sources of the last ten seconds.
const HEARD_FOR: Duration = Duration::from_secs(10);

/// Contributing sources remembered. A packet names 15 at most; a conference with more speakers in ten seconds forgets
/// who was silent for the longest time.
const CONTRIBUTING_MAX: usize = 64;

/// When a source was heard last, and how loud it was (W3C `RTCRtpContributingSource`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RtpSource {
    /// Its SSRC or CSRC.
    pub source: u32,
    /// The RTP timestamp of its last packet.
    pub rtp_timestamp: u32,
    /// When that packet arrived.
    pub at: Instant,
    /// The level of the audio in it, if it said so (RFC 6464, for contributing sources RFC 6465).
    pub audio_level: Option<AudioLevel>,
}

impl RtpSource {
    /// W3C `audioLevel`: linear, 0 is silence and 1 the loudest (RFC 6464 §3: the level is in −dBov).
    pub fn linear_audio_level(&self) -> Option<f64> {
        self.audio_level.map(|audio| match audio.level & 0x7f {
            127 => 0.0,
            level => 10f64.powf(-f64::from(level) / 20.0),
        })
    }

    pub(super) fn is_recent(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.at) <= HEARD_FOR
    }
}

/// The contributing sources of a section.
#[derive(Debug, Default)]
pub(super) struct ContributingSources {
    sources: SmallVec<[RtpSource; 0]>,
}

impl ContributingSources {
    /// A packet named this source.
    pub(super) fn heard(&mut self, heard: RtpSource) {
        if let Some(known) = self.sources.iter_mut().find(|known| known.source == heard.source) {
            *known = heard;
            return;
        }
        if self.sources.len() == CONTRIBUTING_MAX
            && let Some(oldest) = (0..self.sources.len()).min_by_key(|at| self.sources[*at].at)
        {
            self.sources.swap_remove(oldest);
        }
        self.sources.push(heard);
    }

    /// Those of the last ten seconds, the latest first.
    pub(super) fn recent(&self, now: Instant) -> Vec<RtpSource> {
        latest_first(self.sources.iter().copied().filter(|source| source.is_recent(now)))
    }
}

pub(super) fn latest_first(sources: impl Iterator<Item = RtpSource>) -> Vec<RtpSource> {
    let mut sources: Vec<_> = sources.collect();
    sources.sort_by_key(|source| std::cmp::Reverse(source.at));
    sources
}
