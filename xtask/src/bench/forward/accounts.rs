//! What the kernel says about a process: CPU time, memory, system calls.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::server::cpu_ns;
use crate::setup::on_path;

/// CPU time so far.
#[derive(Clone, Copy, Debug)]
pub(in crate::bench) struct Cpu {
    /// Of all threads, from the scheduler's own account.
    nanoseconds: u64,
    /// In user space and in the kernel, in ticks: only their relation counts.
    user: u64,
    system: u64,
}

/// CPU time between two moments, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(in crate::bench) struct CpuUsed {
    pub(in crate::bench) total_us: f64,
    pub(in crate::bench) user_us: f64,
    pub(in crate::bench) system_us: f64,
}

impl Cpu {
    pub(in crate::bench) fn read(id: u32) -> Result<Self> {
        let path = format!("/proc/{id}/stat");
        let stat = std::fs::read_to_string(&path).with_context(|| path.clone())?;
        let (user, system) = ticks(&stat).with_context(|| format!("{path} has another form"))?;
        Ok(Self { nanoseconds: cpu_ns(id)?, user, system })
    }

    pub(in crate::bench) fn since(self, before: Self) -> CpuUsed {
        let total_us = self.nanoseconds.saturating_sub(before.nanoseconds) as f64 / 1_000.0;
        let (user, system) = ((self.user - before.user) as f64, (self.system - before.system) as f64);
        let share = if user + system > 0.0 { user / (user + system) } else { f64::NAN };
        CpuUsed { total_us, user_us: total_us * share, system_us: total_us * (1.0 - share) }
    }
}

/// utime and stime of /proc/PID/stat (proc(5): the 14th and 15th field, the 2nd may hold blanks).
fn ticks(stat: &str) -> Option<(u64, u64)> {
    let fields: Vec<&str> = stat.get(stat.rfind(')')? + 1..)?.split_whitespace().collect();
    Some((fields.get(11)?.parse().ok()?, fields.get(12)?.parse().ok()?))
}

/// Resident memory in KiB.
pub(in crate::bench) fn resident_kib(id: u32) -> Result<f64> {
    let path = format!("/proc/{id}/status");
    let status = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.with_context(|| format!("{path} has no VmRSS"))
}

/// Open files of a process.
pub(in crate::bench) fn open_files(id: u32) -> Result<usize> {
    let path = format!("/proc/{id}/fd");
    Ok(std::fs::read_dir(&path).with_context(|| path.clone())?.count())
}

/// Counts a process's system calls for a while with perf; the reason if that can't be done.
pub(in crate::bench) fn system_calls_per_second(id: u32, period: Duration) -> Result<f64> {
    let perf = on_path("perf").context("perf is not installed (Debian package linux-perf)")?;
    // Inside a network namespace /sys is mounted anew, without the tracepoints.
    if !Path::new("/sys/kernel/tracing/events").exists() {
        let _ = Command::new("mount").args(["-t", "tracefs", "tracefs", "/sys/kernel/tracing"]).status();
    }
    let start = Instant::now();
    let output = Command::new(perf)
        .args(["stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "-p", &id.to_string(), "--", "sleep"])
        .arg(period.as_secs_f64().to_string())
        .output()?;
    let elapsed = start.elapsed().max(period);
    let text = String::from_utf8_lossy(&output.stderr);
    let Some(count) = text.lines().find_map(count_of) else {
        bail!("perf counts no system calls here: {}", text.trim());
    };
    // perf's own start is not part of the period, its `sleep` is.
    Ok(count / period.as_secs_f64().min(elapsed.as_secs_f64()))
}

/// `12345,,raw_syscalls:sys_enter,…`
fn count_of(line: &str) -> Option<f64> {
    line.contains("raw_syscalls:sys_enter").then(|| line.split(',').next()?.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_and_perf_s_lines_are_read() {
        let stat = "12 (a (b) c) S 1 2 3 0 -1 4 5 6 7 8 100 50 0 0 20 0";
        assert_eq!(ticks(stat), Some((100, 50)));
        assert_eq!(count_of("109,,raw_syscalls:sys_enter,548201,100.00,,"), Some(109.0));
        assert_eq!(count_of("<not supported>,,raw_syscalls:sys_enter,0,100.00,,"), None);
        assert_eq!(count_of("1,,cycles,0,100.00,,"), None);
    }

    #[test]
    fn this_process_has_memory_files_and_cpu_time() {
        let id = std::process::id();
        assert!(resident_kib(id).unwrap() > 100.0);
        assert!(open_files(id).unwrap() > 0);
        let before = Cpu::read(id).unwrap();
        assert!(Cpu::read(id).unwrap().since(before).total_us >= 0.0);
    }
}
