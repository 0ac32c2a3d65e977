//! Bench `connect`: what it costs a server to get a subscriber from its offer to its first media, next to a bare
//! DTLS handshake of OpenSSL, and what a connected peer occupies.
//!
//! Subscribers of audio and video come as fast as the server takes them, a bounded number at a time. Connections per
//! second and core follow from the server process's CPU time between the first offer and the last first packet.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

use super::forward::accounts::{Cpu, open_files, resident_kib};
use super::forward::measure::{event, load_generator_path, pinned};
use super::forward::subject::OWN_LIMITS;
use super::{Case, Results};
use crate::process::{Job, Running};
use crate::progress;
use crate::server::{Options, Server};
use crate::workspace::{Profile, Workspace};

const SERVER_CORE: &str = "0";
const LOAD_CORE: &str = "1";
/// Offers that the server works on at once.
const IN_FLIGHT: &str = "128";
/// Subscribers of the timed rounds.
const ROUND_PEERS: u32 = 500;
/// How long the peers stay for the process to be looked at.
const LINGER_SECONDS: &str = "5";
const OWN: &str = "actix-rtc";
const HANDSHAKE_FLOOR: &str = "floor";
/// Connections per second beside bare handshakes.
const RATE_GOAL: f64 = 0.6;
/// KiB per subscriber of audio and video.
const MEMORY_GOAL: f64 = 100.0;

/// How much to measure.
pub(super) struct Plan {
    pub(super) profile: Profile,
    rounds: u32,
    round_peers: u32,
    /// Peers in one process, at the end; zero to leave that out.
    many: u32,
    floor_seconds: u32,
}

impl Plan {
    pub(super) fn full(rounds: u32, many: u32) -> Self {
        Self { profile: Profile::Release, rounds, round_peers: ROUND_PEERS, many, floor_seconds: 3 }
    }

    pub(super) fn quick(profile: Profile) -> Self {
        Self { profile, rounds: 1, round_peers: 5, many: 0, floor_seconds: 1 }
    }
}

/// What one server with so many peers showed.
#[derive(Clone, Copy, Debug)]
struct Round {
    cpu_ms_per_connection: f64,
    per_core_second: f64,
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    kib_per_peer: f64,
    resident_mib: f64,
    files: f64,
    scrape_ms: f64,
    generator_percent: f64,
}

pub(super) fn run(workspace: &Workspace, plan: &Plan) -> Result<Results> {
    let (mut rounds, mut floors) = (Vec::new(), Vec::new());
    for number in 1..=plan.rounds {
        progress(format!("round {number} of {}: {} subscribers", plan.rounds, plan.round_peers));
        let round = measure(workspace, plan, plan.round_peers)?;
        progress(round.summary());
        rounds.push(round);
        progress(format!("round {number} of {}: bare handshakes", plan.rounds));
        let floor = floor(workspace, plan)?;
        progress(format!("{floor:.0} handshakes per second and core"));
        floors.push(floor);
    }
    let many = match plan.many {
        0 => None,
        count => {
            progress(format!("{count} subscribers in one process"));
            let round = measure(workspace, plan, count)?;
            progress(round.summary());
            Some(round)
        }
    };
    let ratios: Vec<f64> =
        rounds.iter().zip(&floors).map(|(round, floor)| round.per_core_second / floor).collect();
    print_goals(&rounds, &ratios);
    let mut cases = cases(&format!("{}-subscribers", plan.round_peers), &rounds);
    let case = format!("{}-subscribers", plan.round_peers);
    cases.extend(Case::new(&case, HANDSHAKE_FLOOR, "connections_per_core_second", "1/s", floors));
    cases.extend(Case::new(&case, OWN, "rate_ratio_to_floor", "ratio", ratios));
    if let Some(round) = many {
        cases.extend(self::cases(&format!("{}-subscribers", plan.many), &[round]));
    }
    Ok(Results::new("connect", cases))
}

fn cases(name: &str, rounds: &[Round]) -> Vec<Case> {
    let case = |metric, unit, value: fn(&Round) -> f64| {
        Case::new(name, OWN, metric, unit, rounds.iter().map(value).collect())
    };
    let all = [
        case("connections_per_core_second", "1/s", |round| round.per_core_second),
        case("cpu_ms_per_connection", "ms", |round| round.cpu_ms_per_connection),
        case("connections_per_second", "1/s", |round| round.per_second),
        case("offer_to_media_p50_ms", "ms", |round| round.p50_ms),
        case("offer_to_media_p99_ms", "ms", |round| round.p99_ms),
        case("memory_kib_per_peer", "KiB", |round| round.kib_per_peer),
        case("resident_mib", "MiB", |round| round.resident_mib),
        case("open_files", "files", |round| round.files),
        case("scrape_ms", "ms", |round| round.scrape_ms),
        case("generator_cpu", "percent", |round| round.generator_percent),
    ];
    all.into_iter().flatten().collect()
}

impl Round {
    fn summary(&self) -> String {
        format!(
            "{:.2} ms of CPU per connection: {:.0} per second and core; {:.0} KiB per peer, {:.0} MiB in all, \
             {:.0} files, scraped in {:.1} ms",
            self.cpu_ms_per_connection,
            self.per_core_second,
            self.kib_per_peer,
            self.resident_mib,
            self.files,
            self.scrape_ms
        )
    }
}

fn print_goals(rounds: &[Round], ratios: &[f64]) {
    let median = |values: Vec<f64>| Case::new("", "", "", "", values).map_or(f64::NAN, |case| case.median);
    let verdict = |reached| if reached { "reached" } else { "NOT REACHED" };
    let rate = median(ratios.to_vec());
    let memory = median(rounds.iter().map(|round| round.kib_per_peer).collect());
    println!("\ngoals");
    println!(
        "  {:<12} connections per second and core beside bare handshakes: {rate:.2}× (goal: at least {RATE_GOAL}×)",
        verdict(rate >= RATE_GOAL)
    );
    println!(
        "  {:<12} memory per subscriber of audio and video: {memory:.0} KiB (goal: at most {MEMORY_GOAL} KiB)",
        verdict(memory <= MEMORY_GOAL)
    );
}

fn measure(workspace: &Workspace, plan: &Plan, peers: u32) -> Result<Round> {
    let prefix = pinned(SERVER_CORE);
    let prefix: Vec<&str> = prefix.iter().map(String::as_str).collect();
    let options =
        Options { profile: plan.profile, name: "bench-connect", fault_injection: false, prefix: &prefix };
    let server = Server::start_with(workspace, &options, &OWN_LIMITS)?;
    let mut words = pinned(LOAD_CORE);
    words.push(load_generator_path(workspace, plan.profile)?);
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).args(["forward", "--url", &server.url(), "--profile", "trickle"]);
    command.args(["--subscribers", &peers.to_string(), "--ramp", "100000", "--in-flight", IN_FLIGHT]);
    command.args(["--first-media", "--warmup", "0", "--seconds", "1", "--linger", LINGER_SECONDS]);
    let log = workspace.logs().join("bench-connect.load.log");
    let mut load = Job::new("loadgen connect", command, patience(peers)).log(log).start()?;
    let round = observe(&server, &mut load, peers);
    round.inspect_err(|_| eprintln!("{}\n{}", server.tail(30), load.tail(30)))
}

fn observe(server: &Server, load: &mut Running, peers: u32) -> Result<Round> {
    event(load, patience(peers), "connecting")?;
    let (cpu_before, idle_kib) = (Cpu::read(server.id())?, resident_kib(server.id())?);
    let connected = event(load, patience(peers), "connected")?;
    let used = Cpu::read(server.id())?.since(cpu_before);
    let number = |field: &str| {
        connected[field].as_f64().with_context(|| format!("the load generator did not say {field}"))
    };
    event(load, patience(peers), "window_end")?;
    let resident = resident_kib(server.id())?;
    let scrape = Instant::now();
    server.metrics_text()?;
    let scrape_ms = scrape.elapsed().as_secs_f64() * 1e3;
    let count = f64::from(peers);
    Ok(Round {
        cpu_ms_per_connection: used.total_us / 1e3 / count,
        per_core_second: count * 1e6 / used.total_us,
        per_second: number("connections_per_second")?,
        p50_ms: number("connect_ms_p50")?,
        p99_ms: number("connect_ms_p99")?,
        kib_per_peer: (resident - idle_kib) / count,
        resident_mib: resident / 1024.0,
        files: open_files(server.id())? as f64,
        scrape_ms,
        generator_percent: number("generator_cpu_percent")?,
    })
}

/// Handshakes of OpenSSL alone, per second of the server side's CPU time.
fn floor(workspace: &Workspace, plan: &Plan) -> Result<f64> {
    let mut words = pinned(SERVER_CORE);
    let mut cores = Vec::new();
    if let Some(last) = words.last_mut() {
        *last = format!("{SERVER_CORE},{LOAD_CORE}");
        cores = vec!["--server-core", SERVER_CORE, "--client-core", LOAD_CORE];
    }
    words.push(load_generator_path(workspace, plan.profile)?);
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).args(["handshake", "--seconds", &plan.floor_seconds.to_string()]).args(cores);
    let finished = Job::new("loadgen handshake", command, Duration::from_secs(60)).run()?;
    if !finished.succeeded() {
        bail!("{}\n{}", finished.ending(), finished.tail(10));
    }
    let result: Value = finished.json().ok_or_else(|| anyhow!("no result of the handshakes"))?;
    result["handshakes_per_core_second"].as_f64().context("the handshakes have no rate")
}

/// A busy machine connects a few dozen peers a second.
fn patience(peers: u32) -> Duration {
    Duration::from_secs(60 + u64::from(peers / 20))
}
