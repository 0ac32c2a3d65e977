//! Bench `forward`: what one forwarded packet costs the server process, next to the floor.
//!
//! The server runs on one core, the load generator on another. CPU time is read from the kernel's per-thread
//! accounting at the two ends of the measured window, which the load generator announces. The floor is a bare
//! loop that encrypts and sends the same packets with GSO, on the server's core, in turn with the server.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

use super::{Case, Results};
use crate::metrics_text::Scrape;
use crate::process::{Job, Running};
use crate::progress;
use crate::server::{Options, Server};
use crate::setup::on_path;
use crate::workspace::{Profile, Workspace};

const LOAD_GENERATOR: &str = "actix-rtc-loadgen";
const SERVER_CORE: &str = "0";
const LOAD_CORE: &str = "1";
/// Send calls and the datagrams they took.
const SENDS: [&str; 2] = ["actix_rtc_socket_call_datagrams_total", "actix_rtc_socket_calls_total"];
/// What left the server: packets divided by lots is the mean size of a lot.
const LOTS: [&str; 2] = ["actix_rtc_lots_total", "actix_rtc_lot_packets_total"];

/// How much to measure.
pub(super) struct Plan {
    pub(super) profile: Profile,
    rounds: u32,
    subscribers: u32,
    packet_bytes: u32,
    packets_per_second: u32,
    warmup_seconds: u32,
    seconds: u32,
    floor_seconds: u32,
}

impl Plan {
    pub(super) fn full(rounds: u32) -> Self {
        Self {
            profile: Profile::Release,
            rounds,
            subscribers: 50,
            packet_bytes: 1000,
            packets_per_second: 300,
            warmup_seconds: 2,
            seconds: 5,
            floor_seconds: 3,
        }
    }

    pub(super) fn smoke(profile: Profile) -> Self {
        Self {
            profile,
            rounds: 1,
            subscribers: 5,
            packets_per_second: 100,
            warmup_seconds: 1,
            seconds: 1,
            floor_seconds: 1,
            ..Self::full(1)
        }
    }

    fn case(&self) -> String {
        format!(
            "1 publisher, {} subscribers, {}-byte packets, {}/s",
            self.subscribers, self.packet_bytes, self.packets_per_second
        )
    }

    /// Connecting many peers takes its time in a dev build.
    fn deadline(&self) -> Duration {
        Duration::from_secs(u64::from(self.warmup_seconds + self.seconds) + 90)
    }
}

/// What one round found.
#[derive(Default)]
struct Round {
    cpu_us_per_packet: f64,
    packets_per_second: f64,
    cores_used: f64,
    lot_size: Option<f64>,
    send_calls_per_packet: Option<f64>,
    lost_percent: f64,
    latency_ms_p50: Option<f64>,
    latency_ms_p99: Option<f64>,
}

struct Floor {
    cpu_us_per_packet: f64,
    packets_per_second: f64,
}

pub(super) fn run(workspace: &Workspace, plan: &Plan) -> Result<Results> {
    let (mut rounds, mut floors) = (Vec::new(), Vec::new());
    for number in 1..=plan.rounds {
        progress(format!("round {number} of {}: the server", plan.rounds));
        let round = measure(workspace, plan)?;
        progress(format!(
            "{:.2} µs per forwarded packet, {:.0} packets/s, {:.2} % lost",
            round.cpu_us_per_packet, round.packets_per_second, round.lost_percent
        ));
        progress(format!("round {number} of {}: the floor", plan.rounds));
        let floor = floor(workspace, plan)?;
        progress(format!("{:.2} µs per packet", floor.cpu_us_per_packet));
        rounds.push(round);
        floors.push(floor);
    }
    Ok(Results::new("forward", cases(&plan.case(), &rounds, &floors)))
}

fn cases(name: &str, rounds: &[Round], floors: &[Floor]) -> Vec<Case> {
    let server = |metric, unit, value: fn(&Round) -> Option<f64>| {
        Case::new(name, "actix-rtc", metric, unit, rounds.iter().filter_map(value).collect())
    };
    let floor = |metric, unit, value: fn(&Floor) -> f64| {
        Case::new(name, "floor", metric, unit, floors.iter().map(value).collect())
    };
    let all = [
        server("cpu_us_per_packet", "us", |round| Some(round.cpu_us_per_packet)),
        floor("cpu_us_per_packet", "us", |floor| floor.cpu_us_per_packet),
        server("packets_per_second", "1/s", |round| Some(round.packets_per_second)),
        floor("packets_per_second", "1/s", |floor| floor.packets_per_second),
        server("cores_used", "cores", |round| Some(round.cores_used)),
        server("lot_size_mean", "packets", |round| round.lot_size),
        server("send_calls_per_packet", "calls", |round| round.send_calls_per_packet),
        server("lost", "percent", |round| Some(round.lost_percent)),
        server("latency_p50_ms", "ms", |round| round.latency_ms_p50),
        server("latency_p99_ms", "ms", |round| round.latency_ms_p99),
    ];
    all.into_iter().flatten().collect()
}

/// One round: a fresh server, the load, and the server's own accounts at both ends of the window.
fn measure(workspace: &Workspace, plan: &Plan) -> Result<Round> {
    let prefix = pinned(SERVER_CORE);
    let prefix: Vec<&str> = prefix.iter().map(String::as_str).collect();
    let options =
        Options { profile: plan.profile, name: "bench-forward", fault_injection: false, prefix: &prefix };
    let server = Server::start(workspace, &options)?;
    let arguments = [
        ("--url", server.url()),
        ("--publishers", "1".to_owned()),
        ("--subscribers", plan.subscribers.to_string()),
        ("--packet-bytes", plan.packet_bytes.to_string()),
        ("--packets-per-second", plan.packets_per_second.to_string()),
        ("--warmup", plan.warmup_seconds.to_string()),
        ("--seconds", plan.seconds.to_string()),
        ("--json", "-".to_owned()),
    ];
    let mut load = load_generator(workspace, plan, LOAD_CORE, "forward", &arguments)?.start()?;
    window(&server, &mut load, plan).inspect_err(|_| eprintln!("{}\n{}", server.tail(30), load.tail(30)))
}

fn window(server: &Server, load: &mut Running, plan: &Plan) -> Result<Round> {
    event(load, plan.deadline(), "window_start")?;
    let (start, cpu_start, before) = (Instant::now(), server.cpu_ns()?, server.scrape()?);
    let end = event(load, plan.deadline(), "window_end")?;
    let (elapsed, cpu_end) = (start.elapsed().as_secs_f64(), server.cpu_ns()?);
    let after = server.scrape()?;
    let number = |field: &str| end[field].as_f64();
    let received = number("received").context("the load generator did not say what it received")?;
    if received < 1.0 {
        bail!("no packet was forwarded: {end}");
    }
    let cpu_us = cpu_end.saturating_sub(cpu_start) as f64 / 1000.0;
    let lost = number("lost").unwrap_or(0.0);
    Ok(Round {
        cpu_us_per_packet: cpu_us / received,
        packets_per_second: received / elapsed,
        cores_used: cpu_us / 1e6 / elapsed,
        lot_size: outgoing_ratio(&before, &after, LOTS),
        send_calls_per_packet: outgoing_ratio(&before, &after, SENDS),
        lost_percent: 100.0 * lost / (received + lost),
        latency_ms_p50: number("latency_ms_p50"),
        latency_ms_p99: number("latency_ms_p99"),
    })
}

/// Waits for one of the load generator's announcements.
fn event(load: &mut Running, patience: Duration, name: &str) -> Result<Value> {
    load.wait_for_line(patience, name, |line| {
        let value: Value = serde_json::from_str(line).ok()?;
        (value["event"] == name).then_some(value)
    })
}

/// The growth of the second counter for each one of the first, towards the network.
fn outgoing_ratio(before: &Scrape, after: &Scrape, names: [&str; 2]) -> Option<f64> {
    let out = [("direction", "out")];
    let growth = |name: &str| after.sum(name, &out) - before.sum(name, &out);
    let [ones, others] = names.map(growth);
    (ones > 0.0).then(|| others / ones)
}

fn floor(workspace: &Workspace, plan: &Plan) -> Result<Floor> {
    let arguments = [
        ("--packet-bytes", plan.packet_bytes.to_string()),
        ("--destinations", plan.subscribers.to_string()),
        ("--seconds", plan.floor_seconds.to_string()),
        ("--json", "-".to_owned()),
    ];
    let finished = load_generator(workspace, plan, SERVER_CORE, "floor", &arguments)?.run()?;
    if !finished.succeeded() {
        eprintln!("{}", finished.tail(30));
        bail!("the floor: {}", finished.ending());
    }
    let result = finished.json().ok_or_else(|| anyhow!("the floor printed no result"))?;
    let number = |field: &str| result[field].as_f64().with_context(|| format!("the floor has no {field}"));
    Ok(Floor {
        cpu_us_per_packet: number("cpu_us_per_packet")?,
        packets_per_second: number("packets_per_second")?,
    })
}

fn load_generator(
    workspace: &Workspace,
    plan: &Plan,
    core: &str,
    subcommand: &str,
    arguments: &[(&str, String)],
) -> Result<Job> {
    let binary = workspace.binary(LOAD_GENERATOR, plan.profile);
    if !binary.is_file() {
        bail!("{} is not built", binary.display());
    }
    let mut words = pinned(core);
    words.push(binary.display().to_string());
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).arg(subcommand);
    for (name, value) in arguments {
        command.args([name, value.as_str()]);
    }
    let log = workspace.logs().join(format!("bench-{subcommand}.load.log"));
    Ok(Job::new(format!("{LOAD_GENERATOR} {subcommand}"), command, plan.deadline()).log(log))
}

/// The words that pin a command to one core, where that is possible and makes sense.
fn pinned(core: &str) -> Vec<String> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    match on_path("taskset") {
        Some(taskset) if cores >= 2 => vec![taskset.display().to_string(), "-c".to_owned(), core.to_owned()],
        _ => Vec::new(),
    }
}
