//! This process's own CPU time: a generator without any left measures itself.

use std::time::Instant;

use anyhow::Context;

/// Above this share of a core the generator's own delays and losses show in the results.
pub(crate) const SATURATED_PERCENT: f64 = 85.0;

/// CPU time since a moment.
pub(crate) struct Usage {
    since: Instant,
    cpu_seconds: f64,
}

impl Usage {
    pub(crate) fn start() -> anyhow::Result<Self> {
        Ok(Self { since: Instant::now(), cpu_seconds: process_cpu_seconds()? })
    }

    /// Share of one core that all threads together used since.
    pub(crate) fn percent(&self) -> anyhow::Result<f64> {
        let used = process_cpu_seconds()? - self.cpu_seconds;
        Ok(100.0 * used / self.since.elapsed().as_secs_f64())
    }
}

fn process_cpu_seconds() -> anyhow::Result<f64> {
    let threads = std::fs::read_dir("/proc/self/task").context("/proc: only Linux is supported")?;
    let of_thread = |folder: std::path::PathBuf| {
        let text = std::fs::read_to_string(folder.join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    };
    let nanoseconds: u64 = threads.flatten().filter_map(|thread| of_thread(thread.path())).sum();
    Ok(nanoseconds as f64 / 1e9)
}
