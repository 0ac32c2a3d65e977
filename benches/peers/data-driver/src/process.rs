//! CPU time of this process, as `getrusage` would tell it, out of `/proc`: no foreign function has to be called.

use anyhow::{Context, Result};
use serde::Serialize;

/// Ticks in `/proc/self/stat`: the same on every Linux, whatever the kernel's own.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU seconds since the process began.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct CpuTime {
    /// All, exact to the microsecond.
    pub cpu: f64,
    /// In user space, exact to a tick of 10 ms.
    pub cpu_user: f64,
    /// In the kernel, exact to a tick of 10 ms.
    pub cpu_system: f64,
}

impl CpuTime {
    /// Of all threads that live; threads that have ended count as ticks only.
    ///
    /// # Errors
    /// Without Linux' `/proc`.
    pub fn of_this_process() -> Result<Self> {
        let mut nanoseconds = 0;
        for task in std::fs::read_dir("/proc/self/task").context("/proc/self/task")? {
            // A thread may end between listing and reading.
            let Ok(text) = std::fs::read_to_string(task?.path().join("schedstat")) else { continue };
            let first = text.split_whitespace().next().context("an empty schedstat")?;
            nanoseconds += first.parse::<u64>().context("schedstat")?;
        }
        let stat = std::fs::read_to_string("/proc/self/stat").context("/proc/self/stat")?;
        // The second field is the name, in parentheses; it may hold anything.
        let fields: Vec<&str> =
            stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default();
        let ticks = |index: usize| -> Result<f64> {
            Ok(fields.get(index).context("a short stat")?.parse::<f64>()? / TICKS_PER_SECOND)
        };
        Ok(Self { cpu: nanoseconds as f64 / 1e9, cpu_user: ticks(11)?, cpu_system: ticks(12)? })
    }
}
