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

/// Datagrams that the kernel threw away because one of these IPv4 sockets was full: loss that is the generator's own.
pub(crate) fn overflows(ports: &[u16]) -> u64 {
    let table = std::fs::read_to_string("/proc/self/net/udp").unwrap_or_default();
    table.lines().skip(1).filter_map(|line| drops(line, ports)).sum()
}

/// One line of the table: the local address is its second field, the drops are its thirteenth.
fn drops(line: &str, ports: &[u16]) -> Option<u64> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (_, port) = fields.get(1)?.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    if !ports.contains(&port) {
        return None;
    }
    fields.get(12)?.parse().ok()
}

/// Packets that the kernel threw away on the whole machine before they reached any socket, because a core's queue of
/// arriving packets was full: nobody's loss, but loss.
pub(crate) fn backlog_drops() -> u64 {
    let table = std::fs::read_to_string("/proc/net/softnet_stat").unwrap_or_default();
    table.lines().filter_map(backlog_drops_of).sum()
}

/// One core's line: numbers in hexadecimal, the second is what was dropped.
fn backlog_drops_of(line: &str) -> Option<u64> {
    u64::from_str_radix(line.split_whitespace().nth(1)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_of_a_core_are_its_second_number() {
        assert_eq!(backlog_drops_of("02440eba 0000001f 00000000"), Some(31));
        assert_eq!(backlog_drops_of(""), None);
    }

    #[test]
    fn drops_are_those_of_the_own_ports() {
        let line = "  123: 00000000:1F90 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 \
                    987654 2 0000000000000000 17";
        assert_eq!(drops(line, &[0x1f90]), Some(17));
        assert_eq!(drops(line, &[1]), None);
    }
}
