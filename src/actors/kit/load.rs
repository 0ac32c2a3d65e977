//! How busy the thread of a shard is: the share of the last seconds that it spent on a core.
//!
//! The kernel knows, and says so in a file (Linux, `/proc/thread-self/schedstat`); where it does not, the polls of
//! actors that are timed anyway give an estimate.

use std::time::{Duration, Instant};

use super::stats::ShardStatistics;

/// The past that counts: longer than a burst of packets or a handshake, shorter than people take to join a meeting.
const MEMORY: Duration = Duration::from_secs(2);

/// What a thread has used, by whoever knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Kernel,
    TimedPolls,
}

/// Measures the thread that it is used on.
#[derive(Debug)]
pub(super) struct LoadMeter {
    source: Source,
    last: (Instant, Duration),
    share: f64,
}

impl LoadMeter {
    pub(super) fn new(now: Instant, statistics: &ShardStatistics) -> Self {
        let source = if kernel_time().is_some() { Source::Kernel } else { Source::TimedPolls };
        Self { source, last: (now, source.used(statistics)), share: 0.0 }
    }

    /// The busy share, from 0 to 1; to be asked for several times a second.
    pub(super) fn sample(&mut self, now: Instant, statistics: &ShardStatistics) -> f64 {
        let used = self.source.used(statistics);
        let elapsed = now.saturating_duration_since(self.last.0);
        if !elapsed.is_zero() {
            let share = used.saturating_sub(self.last.1).div_duration_f64(elapsed).min(1.0);
            let weight = elapsed.div_duration_f64(elapsed + MEMORY);
            self.share += (share - self.share) * weight;
            self.last = (now, used);
        }
        self.share
    }
}

impl Source {
    fn used(self, statistics: &ShardStatistics) -> Duration {
        match self {
            Self::Kernel => kernel_time().unwrap_or_default(),
            Self::TimedPolls => statistics.actors.iter().map(|(_, actor)| actor.busy()).sum(),
        }
    }
}

/// The current thread's time on a core, as the kernel counts it.
fn kernel_time() -> Option<Duration> {
    let line = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(Duration::from_nanos(line.split_ascii_whitespace().next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::kit::{ShardLabel, now};

    #[test]
    fn the_share_follows_what_was_used_within_seconds() {
        let statistics = ShardStatistics::new(ShardLabel::Other);
        let begin = now();
        let mut meter = LoadMeter { source: Source::TimedPolls, last: (begin, Duration::ZERO), share: 0.0 };
        let step = Duration::from_millis(250);
        // Half of each step; a poll in sixteen is timed.
        let mut at = begin;
        for _ in 0..40 {
            statistics.actors[crate::actors::kit::ActorKind::Probe].poll_time.record(step / 2 / 16);
            at += step;
            meter.sample(at, &statistics);
        }
        assert!((meter.share - 0.5).abs() < 0.02, "{}", meter.share);
        for _ in 0..12 {
            at += step;
            meter.sample(at, &statistics);
        }
        assert!(meter.share < 0.15, "three quiet seconds: {}", meter.share);
        assert!((0.0..=1.0).contains(&meter.sample(at, &statistics)), "twice at one time");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_kernel_counts_the_time_of_a_thread() {
        let before = kernel_time().unwrap();
        let mut number = 1_u64;
        while kernel_time().unwrap() < before + Duration::from_millis(20) {
            number = std::hint::black_box(number.wrapping_mul(3));
        }
    }
}
