//! Bench `connect`: what it costs a server to get a subscriber from its offer to its first media, next to a bare
//! DTLS handshake of OpenSSL, and what a connected peer occupies.
//!
//! Subscribers of audio and video come as fast as the server takes them, a bounded number at a time. Connections per
//! second and core follow from the server process's CPU time between the first offer and the last first packet. Then
//! publishers fall silent, for what peers cost that only stay connected. The same of a server that is ICE-lite, and with
//! peers that have nothing but an idle data channel. At the end there are many subscribers in one process.

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
/// Looks at /metrics in that time.
const SCRAPES: usize = 7;
/// Participants of a room with data channels: everybody is told of everybody who comes.
const DATA_ROOM_PEERS: u32 = 10;
/// The server's open files besides a WebSocket for each peer with a data channel.
const OTHER_FILES: u32 = 512;
const OWN: &str = "actix-rtc";
const HANDSHAKE_FLOOR: &str = "floor";
/// The same at the rate at which subscribers came: one by one, with caches as cold as the server's.
const PACED_FLOOR: &str = "floor-paced";
/// Connections per second beside bare handshakes.
const RATE_GOAL: f64 = 0.6;
/// KiB per subscriber of audio and video.
const MEMORY_GOAL: f64 = 100.0;
/// KiB per peer with nothing but an idle data channel, its signalling included.
const DATA_MEMORY_GOAL: f64 = 60.0;

/// How much to measure.
pub(super) struct Plan {
    pub(super) profile: Profile,
    rounds: u32,
    round_peers: u32,
    /// Peers in one process, at the end; zero to leave that out.
    many: u32,
    floor_seconds: u32,
    /// How long the peers stay for the process to be looked at.
    linger_seconds: u32,
    /// How long peers are left alone.
    idle_seconds: u32,
    /// The same when there are many: several rounds of consent checks.
    many_idle_seconds: u32,
}

/// Who connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Receives audio and video, by WHEP.
    Subscriber,
    /// The same of a server that is ICE-lite, as one with a public address may be.
    SubscriberOfLite,
    /// Has a data channel and nothing else, by WebSocket.
    Data,
}

impl Plan {
    pub(super) fn full(rounds: u32, many: u32) -> Self {
        let (floor_seconds, linger_seconds, idle_seconds, many_idle_seconds) = (3, 5, 5, 30);
        let profile = Profile::Release;
        Self {
            profile,
            rounds,
            round_peers: ROUND_PEERS,
            many,
            floor_seconds,
            linger_seconds,
            idle_seconds,
            many_idle_seconds,
        }
    }

    pub(super) fn quick(profile: Profile) -> Self {
        let (floor_seconds, linger_seconds, idle_seconds, many_idle_seconds) = (1, 1, 1, 1);
        Self {
            profile,
            rounds: 1,
            round_peers: 5,
            many: 0,
            floor_seconds,
            linger_seconds,
            idle_seconds,
            many_idle_seconds,
        }
    }
}

/// What one server with so many peers showed.
#[derive(Clone, Debug)]
struct Round {
    peers: u32,
    failed: f64,
    cpu_ms_per_connection: f64,
    per_core_second: f64,
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    kib_per_peer: f64,
    resident_mib: f64,
    files: f64,
    scrapes_ms: Vec<f64>,
    /// Of its core, while peers only stay connected.
    idle_cpu_percent: f64,
    /// Of those that had connected.
    still_connected: f64,
    generator_percent: f64,
}

/// All that was measured; of each round one.
#[derive(Default)]
struct Seen {
    subscribers: Vec<Round>,
    of_lite: Vec<Round>,
    data: Vec<Round>,
    /// Handshakes per second and core.
    floors: Vec<f64>,
    /// The same at the pace of the subscribers.
    paced_floors: Vec<f64>,
    many: Option<Round>,
}

pub(super) fn run(workspace: &Workspace, plan: &Plan) -> Result<Results> {
    let mut seen = Seen::default();
    for number in 1..=plan.rounds {
        let shown = format!("round {number} of {}", plan.rounds);
        progress(format!("{shown}: {} subscribers", plan.round_peers));
        let round = measure(workspace, plan, Kind::Subscriber, plan.round_peers)?;
        progress(format!("{shown}: bare handshakes"));
        let floor = handshakes(workspace, plan, None)?;
        let paced = handshakes(workspace, plan, Some(round.per_second))?;
        progress(format!("{floor:.0} per second and core, {paced:.0} at the pace of the subscribers"));
        seen.subscribers.push(round);
        seen.floors.push(floor);
        seen.paced_floors.push(paced);
        progress(format!("{shown}: {} subscribers of an ICE-lite server", plan.round_peers));
        seen.of_lite.push(measure(workspace, plan, Kind::SubscriberOfLite, plan.round_peers)?);
        progress(format!("{shown}: {} peers with a data channel", plan.round_peers));
        seen.data.push(measure(workspace, plan, Kind::Data, plan.round_peers)?);
    }
    if plan.many > 0 {
        progress(format!("{} subscribers in one process", plan.many));
        seen.many = Some(measure(workspace, plan, Kind::Subscriber, plan.many)?);
    }
    Ok(seen.into_results(plan))
}

impl Seen {
    fn into_results(self, plan: &Plan) -> Results {
        let beside = |rounds: &[Round], floors: &[f64]| -> Vec<f64> {
            rounds.iter().zip(floors).map(|(round, floor)| round.per_core_second / floor).collect()
        };
        let ratio = |case: &str, metric, ratios| Case::new(case, OWN, metric, "ratio", ratios);
        let floor = |case: &str, subject, floors| {
            Case::new(case, subject, "connections_per_core_second", "1/s", floors)
        };
        let (full, lite) = (beside(&self.subscribers, &self.floors), beside(&self.of_lite, &self.floors));
        print_goals(&self.subscribers, &self.data, &full, &lite, self.many.as_ref());
        let case = format!("{}-subscribers", plan.round_peers);
        let mut all = cases(&case, Kind::Subscriber, &self.subscribers);
        all.extend(ratio(&case, "rate_ratio_to_floor", full));
        all.extend(ratio(&case, "rate_ratio_to_paced_floor", beside(&self.subscribers, &self.paced_floors)));
        all.extend(floor(&case, HANDSHAKE_FLOOR, self.floors));
        all.extend(floor(&case, PACED_FLOOR, self.paced_floors));
        let case = format!("{}-subscribers-ice-lite", plan.round_peers);
        all.extend(cases(&case, Kind::SubscriberOfLite, &self.of_lite));
        all.extend(ratio(&case, "rate_ratio_to_floor", lite));
        all.extend(cases(&format!("{}-data-peers", plan.round_peers), Kind::Data, &self.data));
        if let Some(round) = self.many {
            all.extend(cases(&format!("{}-subscribers", plan.many), Kind::Subscriber, &[round]));
        }
        Results::new("connect", all)
    }
}

fn cases(name: &str, kind: Kind, rounds: &[Round]) -> Vec<Case> {
    let case = |metric, unit, value: fn(&Round) -> f64| {
        Case::new(name, OWN, metric, unit, rounds.iter().map(value).collect())
    };
    let memory = match kind {
        Kind::Subscriber | Kind::SubscriberOfLite => "memory_kib_per_peer",
        Kind::Data => "memory_kib_per_data_peer",
    };
    let scrapes = rounds.iter().flat_map(|round| round.scrapes_ms.iter().copied()).collect();
    let all = [
        case("connections_per_core_second", "1/s", |round| round.per_core_second),
        case("cpu_ms_per_connection", "ms", |round| round.cpu_ms_per_connection),
        case("connections_per_second", "1/s", |round| round.per_second),
        case("offer_to_media_p50_ms", "ms", |round| round.p50_ms),
        case("offer_to_media_p99_ms", "ms", |round| round.p99_ms),
        case("failed", "peers", |round| round.failed),
        case(memory, "KiB", |round| round.kib_per_peer),
        case("resident_mib", "MiB", |round| round.resident_mib),
        case("open_files", "files", |round| round.files),
        Case::new(name, OWN, "scrape_ms", "ms", scrapes),
        case("idle_cpu", "percent", |round| round.idle_cpu_percent),
        case("still_connected", "peers", |round| round.still_connected),
        case("generator_cpu", "percent", |round| round.generator_percent),
    ];
    all.into_iter().flatten().collect()
}

impl Round {
    fn summary(&self) -> String {
        let slowest = self.scrapes_ms.iter().copied().fold(0.0, f64::max);
        format!(
            "{:.2} ms of CPU per connection: {:.0} per second and core; {:.0} KiB per peer, {:.0} MiB in all, \
             {:.0} files, scraped in {slowest:.1} ms at most; idle {:.1} % of the core; {:.0} failed, {:.0} of {} \
             still connected",
            self.cpu_ms_per_connection,
            self.per_core_second,
            self.kib_per_peer,
            self.resident_mib,
            self.files,
            self.idle_cpu_percent,
            self.failed,
            self.still_connected,
            self.peers
        )
    }
}

fn print_goals(subscribers: &[Round], data: &[Round], full: &[f64], lite: &[f64], many: Option<&Round>) {
    let median = |values: Vec<f64>| Case::new("", "", "", "", values).map_or(f64::NAN, |case| case.median);
    let memory_of = |rounds: &[Round]| median(rounds.iter().map(|round| round.kib_per_peer).collect());
    let line = |reached: bool, what: String| {
        println!("  {:<12} {what}", if reached { "reached" } else { "NOT REACHED" });
    };
    println!("\ngoals");
    for (mode, ratios) in [("full ICE", full), ("ICE-lite", lite)] {
        let rate = median(ratios.to_vec());
        let what = format!("connections per second and core beside bare handshakes, {mode}");
        line(rate >= RATE_GOAL, format!("{what}: {rate:.2}× (goal: at least {RATE_GOAL}×)"));
    }
    for (what, memory, goal) in [
        ("memory per subscriber of audio and video", memory_of(subscribers), MEMORY_GOAL),
        ("memory per peer with an idle data channel", memory_of(data), DATA_MEMORY_GOAL),
    ] {
        line(memory <= goal, format!("{what}: {memory:.0} KiB (goal: at most {goal} KiB)"));
    }
    if let Some(round) = many {
        let (failed, peers) = (round.failed, f64::from(round.peers));
        let all = failed == 0.0 && round.still_connected >= peers;
        let still = round.still_connected;
        line(
            all,
            format!("{peers} peers in one process: {failed} failed, {still} still connected at the end"),
        );
    }
}

fn measure(workspace: &Workspace, plan: &Plan, kind: Kind, peers: u32) -> Result<Round> {
    let mut prefix = pinned(SERVER_CORE);
    if kind == Kind::Data {
        prefix = [files_raised(peers + OTHER_FILES), prefix].concat();
    }
    let prefix: Vec<&str> = prefix.iter().map(String::as_str).collect();
    let options =
        Options { profile: plan.profile, name: "bench-connect", fault_injection: false, prefix: &prefix };
    let mut flags = OWN_LIMITS.to_vec();
    if kind == Kind::SubscriberOfLite {
        flags.push("--ice-lite");
    }
    let server = Server::start_with(workspace, &options, &flags)?;
    let mut words = pinned(LOAD_CORE);
    words.push(load_generator_path(workspace, plan.profile)?);
    let is_many = peers == plan.many && kind == Kind::Subscriber;
    let idle = if is_many { plan.many_idle_seconds } else { plan.idle_seconds };
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).args(["forward", "--url", &server.url()]).args(arguments(kind, peers));
    command.args(["--subscribers", &peers.to_string(), "--ramp", "100000", "--in-flight", IN_FLIGHT]);
    command.args([
        "--first-media",
        "--warmup",
        "0",
        "--seconds",
        "1",
        "--linger",
        &plan.linger_seconds.to_string(),
    ]);
    command.args(["--idle", &idle.to_string()]);
    let log = workspace.logs().join("bench-connect.load.log");
    let mut job = Job::new("loadgen connect", command, patience(peers)).log(log);
    if is_many {
        // Its bar: this takes minutes.
        job = job.echo();
    }
    let mut load = job.start()?;
    let round = observe(&server, &mut load, peers);
    let round = round.inspect_err(|_| eprintln!("{}\n{}", server.tail(30), load.tail(30)))?;
    progress(round.summary());
    Ok(round)
}

/// What the load generator is told for this kind of peers.
fn arguments(kind: Kind, peers: u32) -> Vec<String> {
    let words: &[&str] = match kind {
        Kind::Subscriber | Kind::SubscriberOfLite => &["--profile", "trickle"],
        Kind::Data => &["--profile", "data", "--protocol", "websocket", "--publishers", "0", "--rooms"],
    };
    let mut words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    if kind == Kind::Data {
        words.push(peers.div_ceil(DATA_ROOM_PEERS).to_string());
    }
    words
}

/// The words that let a command open so many files, or end it with the advice how.
fn files_raised(count: u32) -> Vec<String> {
    let script = format!(
        "[ \"$(ulimit -n)\" = unlimited ] || [ \"$(ulimit -n)\" -ge {count} ] || ulimit -n {count} || \
         {{ echo \"{count} open files are needed: ulimit -n {count} (as root), or fewer peers\" >&2; exit 1; }}; \
         exec \"$@\""
    );
    ["sh", "-c", &script, "sh"].map(str::to_owned).to_vec()
}

fn observe(server: &Server, load: &mut Running, peers: u32) -> Result<Round> {
    event(load, patience(peers), "connecting")?;
    let (cpu_before, idle_kib) = (Cpu::read(server.id())?, resident_kib(server.id())?);
    let connected = event(load, patience(peers), "connected")?;
    let used = Cpu::read(server.id())?.since(cpu_before);
    let number = |from: &Value, field: &str| {
        from[field].as_f64().with_context(|| format!("the load generator did not say {field}"))
    };
    event(load, patience(peers), "window_end")?;
    let (resident, files) = (resident_kib(server.id())?, open_files(server.id())? as f64);
    let scrapes_ms = (0..SCRAPES).map(|_| scrape_ms(server)).collect::<Result<Vec<_>>>()?;
    event(load, patience(peers), "idle_start")?;
    let (idle_start, cpu_idle) = (Instant::now(), Cpu::read(server.id())?);
    let idle = event(load, patience(peers), "idle_end")?;
    let idle_us = Cpu::read(server.id())?.since(cpu_idle).total_us;
    let count = number(&connected, "subscribers")?;
    Ok(Round {
        peers,
        failed: number(&connected, "failed")?,
        cpu_ms_per_connection: used.total_us / 1e3 / count,
        per_core_second: count * 1e6 / used.total_us,
        per_second: number(&connected, "connections_per_second")?,
        p50_ms: number(&connected, "connect_ms_p50")?,
        p99_ms: number(&connected, "connect_ms_p99")?,
        kib_per_peer: (resident - idle_kib) / count,
        resident_mib: resident / 1024.0,
        files,
        scrapes_ms,
        idle_cpu_percent: idle_us / 1e4 / idle_start.elapsed().as_secs_f64(),
        still_connected: number(&idle, "connected")?,
        generator_percent: number(&connected, "generator_cpu_percent")?,
    })
}

fn scrape_ms(server: &Server) -> Result<f64> {
    let start = Instant::now();
    server.metrics_text()?;
    Ok(start.elapsed().as_secs_f64() * 1e3)
}

/// Handshakes of OpenSSL alone, per second of the server side's CPU time; at a pace, or as fast as they go.
fn handshakes(workspace: &Workspace, plan: &Plan, pace: Option<f64>) -> Result<f64> {
    let mut words = pinned(SERVER_CORE);
    let mut cores = Vec::new();
    if let Some(last) = words.last_mut() {
        *last = format!("{SERVER_CORE},{LOAD_CORE}");
        cores = vec!["--server-core", SERVER_CORE, "--client-core", LOAD_CORE];
    }
    words.push(load_generator_path(workspace, plan.profile)?);
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).args(["handshake", "--seconds", &plan.floor_seconds.to_string()]).args(cores);
    if let Some(pace) = pace {
        command.args(["--per-second", &pace.to_string()]);
    }
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
