//! Bad input on the media port while a call is running: counted by reason, and the call does not notice.

use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};

use super::datagrams::{self, Random};
use super::stage::{Stage, result_of, script, with_server};
use crate::metrics_text::Scrape;
use crate::process::Running;
use crate::progress;
use crate::server::Server;
use crate::setup::Tools;
use crate::workspace::Workspace;

const DROPPED: &str = "actix_rtc_packets_dropped_total";
const DATAGRAMS: usize = 100_000;
/// In batches: 8,000 a second leave room for the call on a small machine.
const BATCH: usize = 80;
const BATCH_INTERVAL: Duration = Duration::from_millis(10);
/// Sending stops here even when the machine is too slow to keep the pace.
const SENDING_MAX: Duration = Duration::from_secs(60);
/// Strangers have many addresses, and a table of them is what an attacker would try to fill.
const SENDERS: usize = 16;

pub(crate) fn run(stage: &mut Stage<'_>) -> Result<()> {
    let (workspace, tools) = (stage.workspace(), stage.tools());
    stage.case("hostile datagrams during a call", &[&tools.playwright, &tools.chromium], || {
        with_server(workspace, "hostile-datagrams", false, |server| {
            let call = Call::start(workspace, &tools, server)?;
            let seen = bombard(server)?;
            call.finish()?;
            Ok(format!("{seen}; call unaffected"))
        })
    })?;
    stage.case("hostile datagrams without a call", &[], || {
        with_server(workspace, "hostile-idle", false, bombard)
    })
}

/// A call between two browsers that runs until it is told to stop, and then says whether it was disturbed.
pub(crate) struct Call {
    script: Running,
}

impl Call {
    pub(crate) fn start(workspace: &Workspace, tools: &Tools, server: &Server) -> Result<Self> {
        let job = script(workspace, tools, "call_unaffected.mjs", server, Duration::from_secs(300))?;
        let mut script = job.start()?;
        let ready = |line: &str| (line.trim() == "READY").then_some(());
        script
            .wait_for_line(Duration::from_secs(90), "READY", ready)
            .inspect_err(|_| eprintln!("{}", script.tail(40)))?;
        Ok(Self { script })
    }

    pub(crate) fn finish(mut self) -> Result<()> {
        self.script.write_line("stop")?;
        let result = result_of(&self.script.finish()?)?;
        // The least of every stream's packets per second: without it the script has watched nothing.
        let watched = result["leastPerSecond"].as_object().is_some_and(|streams| !streams.is_empty());
        if !watched {
            bail!("the call was not watched: {result}");
        }
        Ok(())
    }
}

/// Sends the datagrams and holds the server's counters against what was sent.
fn bombard(server: &mut Server) -> Result<String> {
    let targets = server.media_addresses()?;
    let (before, lost_before) = (server.scrape()?, server.kernel_drops()?);
    let seed = seed();
    progress(format!("sending {DATAGRAMS} datagrams to {targets:?} (seed {seed})"));
    let (sent, elapsed) = send_all(&targets, seed)?;
    // The last ones are still in the socket's buffer.
    let mut scrape = server.scrape()?;
    for _ in 0..20 {
        thread::sleep(Duration::from_millis(100));
        let next = server.scrape()?;
        let settled = next.sum(DROPPED, &[]) == scrape.sum(DROPPED, &[]);
        scrape = next;
        if settled {
            break;
        }
    }
    let lost = server.kernel_drops()?.saturating_sub(lost_before);
    judge(&before, &scrape, sent, lost, elapsed)
}

fn judge(before: &Scrape, after: &Scrape, sent: usize, lost: u64, elapsed: Duration) -> Result<String> {
    let (old, new) = (before.by_label(DROPPED, "reason"), after.by_label(DROPPED, "reason"));
    let grown: Vec<(String, f64)> = new
        .into_iter()
        .map(|(reason, count)| {
            let growth = count - old.get(&reason).copied().unwrap_or(0.0);
            (reason, growth)
        })
        .filter(|(_, growth)| *growth > 0.0)
        .collect();
    let total: f64 = grown.iter().map(|(_, growth)| growth).sum();
    let list: Vec<String> = grown.iter().map(|(reason, growth)| format!("{reason} {growth}")).collect();
    progress(format!("dropped by reason: {}; lost in the kernel: {lost}", list.join(", ")));
    if grown.len() < 3 {
        bail!("only {} reasons were counted in {DROPPED}: {}", grown.len(), list.join(", "));
    }
    // Nobody knows a key: hardly any datagram may have been taken for a peer's.
    let accounted = total + lost as f64;
    if accounted < sent as f64 * 0.9 {
        bail!("of {sent} datagrams only {accounted} are accounted for: {}", list.join(", "));
    }
    Ok(format!("{total} of {sent} counted under {} reasons in {:.0} s", grown.len(), elapsed.as_secs_f64()))
}

/// Returns how many were sent and how long that took.
fn send_all(targets: &[SocketAddr], seed: u64) -> Result<(usize, Duration)> {
    let mut senders = Vec::new();
    for number in 0..SENDERS {
        let target = targets[number % targets.len()];
        let any: SocketAddr =
            if target.is_ipv4() { ([127, 0, 0, 1], 0).into() } else { "[::1]:0".parse()? };
        senders.push((UdpSocket::bind(any).context("a sender's socket")?, target));
    }
    let mut random = Random::new(seed);
    let started = Instant::now();
    let (mut sent, mut batch) = (0, 0_u32);
    while sent < DATAGRAMS && started.elapsed() < SENDING_MAX {
        for _ in 0..BATCH.min(DATAGRAMS - sent) {
            let (socket, target) = &senders[random.below(SENDERS)];
            let datagram = datagrams::next(&mut random);
            socket.send_to(&datagram, target).context("the media port refuses datagrams")?;
            sent += 1;
        }
        batch += 1;
        thread::sleep((BATCH_INTERVAL * batch).saturating_sub(started.elapsed()));
    }
    if sent < DATAGRAMS {
        bail!("only {sent} of {DATAGRAMS} datagrams could be sent within {SENDING_MAX:?}");
    }
    Ok((sent, started.elapsed()))
}

/// From XTASK_SEED, to repeat a run; otherwise from the clock.
fn seed() -> u64 {
    let given = std::env::var("XTASK_SEED").ok().and_then(|seed| seed.parse().ok());
    let clock = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_nanos() as u64);
    given.unwrap_or_else(clock)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrape(counts: &[(&str, u64)]) -> Scrape {
        let lines =
            counts.iter().map(|(reason, count)| format!("{DROPPED}{{reason=\"{reason}\"}} {count}\n"));
        Scrape::parse(&lines.collect::<String>())
    }

    #[test]
    fn datagrams_that_nobody_counted_are_a_failure() {
        let before = scrape(&[("a", 5)]);
        let good = scrape(&[("a", 35), ("b", 30), ("c", 30)]);
        assert!(judge(&before, &good, 100, 10, Duration::ZERO).is_ok());
        assert!(judge(&before, &good, 200, 10, Duration::ZERO).is_err());
        let one_reason = scrape(&[("a", 105)]);
        assert!(judge(&before, &one_reason, 100, 0, Duration::ZERO).is_err());
    }
}
