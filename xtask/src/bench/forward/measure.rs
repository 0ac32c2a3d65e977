//! One measurement: a fresh server, the load, and the kernel's accounts at both ends of the measured window.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

use super::accounts::{Cpu, resident_kib, system_calls_per_second};
use super::cases::Case as Load;
use super::subject::{Started, Subject};
use super::{Inside, Plan};
use crate::bench::flame_graph::Recording;
use crate::metrics_text::Scrape;
use crate::process::{Job, Running};
use crate::setup::on_path;
use crate::workspace::{Profile, Workspace};
use crate::{progress, shown};

const LOAD_GENERATOR: &str = "actix-rtc-loadgen";
const SERVER_CORE: &str = "0";
const LOAD_CORE: &str = "1";
/// For perf to count system calls, after the window: counting costs CPU time.
const COUNTING: Duration = Duration::from_secs(1);
/// What every server can do, and the floor does.
const SRTP_PROFILE: &str = "AEAD_AES_128_GCM";
/// A load generator that is forgotten ends then: longer than the longest window.
const LOAD_MAX: Duration = Duration::from_secs(2 * 60 * 60);
/// A machine that connects fewer is too busy to measure on.
const PEERS_PER_SECOND_MIN: u32 = 20;
/// Of the load generator's video.
const FRAMES_PER_SECOND: f64 = 30.0;
/// How long the load goes on after the window: the counting and perf's own start.
const LINGER_SECONDS: &str = "2";
/// Send calls and the datagrams they took.
const SENDS: [&str; 2] = ["actix_rtc_socket_call_datagrams_total", "actix_rtc_socket_calls_total"];
/// What left the server: packets divided by lots is the mean size of a lot.
const LOTS: [&str; 2] = ["actix_rtc_lots_total", "actix_rtc_lot_packets_total"];

/// What one round found.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Measured {
    pub(super) cpu_us_per_packet: f64,
    pub(super) cpu_user_us_per_packet: Option<f64>,
    pub(super) cpu_system_us_per_packet: Option<f64>,
    pub(super) packets_per_second: f64,
    pub(super) cores_used: f64,
    /// What it would use if it had forwarded all that it should, at the same cost: more than it got, if others had
    /// its core too.
    pub(super) cores_wanted: f64,
    pub(super) syscalls_per_packet: Option<f64>,
    pub(super) lot_size: Option<f64>,
    pub(super) send_calls_per_packet: Option<f64>,
    /// What the server must have lost: without what may have been the load generator's fault.
    pub(super) lost_percent: Option<f64>,
    /// Packets of that.
    pub(super) lost_packets: Option<f64>,
    /// What may have been lost by the load generator's own full sockets.
    pub(super) lost_by_generator_percent: Option<f64>,
    pub(super) damaged: Option<f64>,
    pub(super) latency_p50_ms: Option<f64>,
    pub(super) latency_p99_ms: Option<f64>,
    pub(super) latency_max_ms: Option<f64>,
    /// From one socket of the load generator straight to another, in the same seconds.
    pub(super) direct_p99_ms: Option<f64>,
    /// What sending one frame to all of a room takes, by the CPU time of a packet.
    pub(super) burst_ms: Option<f64>,
    pub(super) subscribers: u32,
    /// Datagrams that came to full sockets of the server.
    pub(super) server_drops: Option<f64>,
    pub(super) memory_kib_per_peer: Option<f64>,
    pub(super) generator_cpu_percent: Option<f64>,
}

impl Measured {
    /// How much later packets come than without a server.
    pub(super) fn added_p99_ms(&self) -> Option<f64> {
        Some((self.latency_p99_ms? - self.direct_p99_ms?).max(0.0))
    }

    pub(super) fn summary(&self) -> String {
        let mut text = format!(
            "{:.2} µs per packet, {:.0} packets/s, {:.0} % of the core",
            self.cpu_us_per_packet,
            self.packets_per_second,
            100.0 * self.cores_used
        );
        if let (Some(lost), Some(p99)) = (self.lost_percent, self.latency_p99_ms) {
            text += &format!(", {lost:.2} % lost, p99 {p99:.1} ms");
        }
        if let Some(added) = self.added_p99_ms() {
            text += &format!(" ({added:.2} ms more than without a server)");
        }
        if let Some(lost) = self.lost_by_generator_percent.filter(|lost| *lost > 0.0) {
            text += &format!("; up to {lost:.2} % LOST BY THE GENERATOR's full sockets, not counted");
        }
        if let Some(drops) = self.server_drops.filter(|drops| *drops > 0.0) {
            text += &format!("; {drops:.0} datagrams came to full sockets of the server");
        }
        if let Some(cpu) = self.generator_cpu_percent.filter(|cpu| *cpu > 85.0) {
            text += &format!("; GENERATOR SATURATED ({cpu:.0} %)");
        }
        text
    }
}

pub(super) fn measure(
    workspace: &Workspace,
    plan: &Plan,
    inside: &Inside,
    subject: Subject,
    load: &Load,
) -> Result<Measured> {
    if subject.is_floor() {
        return floor(workspace, plan, subject, load);
    }
    let prefix = pinned(SERVER_CORE);
    let prefix: Vec<&str> = prefix.iter().map(String::as_str).collect();
    let server = subject.start(workspace, plan.profile, &prefix, load, inside.media_address())?;
    let idle_kib = resident_kib(server.id())?;
    let (publishers, subscribers) = peers(plan, load);
    let arguments = [
        ("--url", server.url()),
        ("--protocol", server.protocol().to_owned()),
        ("--publishers", publishers.to_string()),
        ("--subscribers", subscribers.to_string()),
        ("--rooms", load.rooms.min(publishers).to_string()),
        ("--profile", load.profile.to_owned()),
        ("--first-address", inside.first_address().to_owned()),
        ("--warmup", plan.warmup_seconds.to_string()),
        ("--seconds", plan.seconds.to_string()),
        ("--linger", LINGER_SECONDS.to_owned()),
        ("--json", "-".to_owned()),
        ("--direct", String::new()),
    ];
    let job = load_generator(workspace, plan, &pinned(LOAD_CORE), "forward", &arguments)?;
    let mut generator = job.start()?;
    let measured = window(workspace, &server, &mut generator, plan, load);
    let mut measured = measured.inspect_err(|_| eprintln!("{}\n{}", server.tail(30), generator.tail(30)))?;
    measured.subscribers = subscribers;
    let per_room = f64::from(subscribers) / f64::from(load.rooms);
    measured.burst_ms = measured.burst_ms.map(|packets_per_frame| {
        packets_per_frame / f64::from(publishers) * per_room * measured.cpu_us_per_packet / 1e3
    });
    let grown = measured.memory_kib_per_peer.map(|kib| kib - idle_kib);
    measured.memory_kib_per_peer = grown.map(|kib| kib / f64::from(publishers + subscribers));
    Ok(measured)
}

fn peers(plan: &Plan, load: &Load) -> (u32, u32) {
    (load.publishers.min(plan.peers_max), load.subscribers.min(plan.peers_max))
}

/// Fills everything but memory per peer, which is the whole process's yet, and the burst, which is packets per
/// frame's interval of all publishers yet.
fn window(
    workspace: &Workspace,
    server: &Started,
    generator: &mut Running,
    plan: &Plan,
    load: &Load,
) -> Result<Measured> {
    let patience = deadline(plan, load);
    event(generator, patience, "window_start")?;
    let sampled = Duration::from_secs(u64::from(plan.seconds));
    let recording = plan.flame_graph.as_ref().map(|_| Recording::start(workspace, server.id(), sampled));
    let recording = recording.transpose()?;
    let (start, cpu_start, before) = (Instant::now(), Cpu::read(server.id())?, server.scrape());
    let drops_before = server.receive_drops();
    event(generator, patience, "window_closed")?;
    let (elapsed, used) = (start.elapsed().as_secs_f64(), Cpu::read(server.id())?.since(cpu_start));
    let after = server.scrape();
    let drops_after = server.receive_drops();
    let memory = resident_kib(server.id())?;
    let end = event(generator, patience, "window_end")?;
    if let (Some(recording), Some(svg)) = (recording, &plan.flame_graph) {
        recording.draw(svg, &format!("actix-rtc, {}", load.name))?;
        progress(format!("drawn to {}", shown(workspace, svg)));
    }
    if end["srtp_profile"] != SRTP_PROFILE {
        bail!("it encrypts with {}, the others with {SRTP_PROFILE}", end["srtp_profile"]);
    }
    let number = |field: &str| end[field].as_f64();
    let received = number("received").context("the load generator did not say what it received")?;
    if received < 1.0 {
        bail!("no packet was forwarded: {end}");
    }
    let seconds = number("seconds").unwrap_or(elapsed);
    let packets_per_second = received / seconds;
    let calls = system_calls_per_second(server.id(), COUNTING);
    let calls = calls.inspect_err(|error| progress(format!("system calls not counted: {error:#}")));
    let counters = before.as_ref().zip(after.as_ref());
    let missing = number("lost").unwrap_or(0.0) + number("hidden_loss").unwrap_or(0.0);
    let lost_here = number("lost_here_max").unwrap_or(0.0);
    let lost = (missing - lost_here).max(0.0);
    Ok(Measured {
        cpu_us_per_packet: used.total_us / received,
        cpu_user_us_per_packet: Some(used.user_us / received),
        cpu_system_us_per_packet: Some(used.system_us / received),
        packets_per_second,
        cores_used: used.total_us / 1e6 / elapsed,
        cores_wanted: used.total_us / received * (received + missing) / 1e6 / elapsed,
        syscalls_per_packet: calls.ok().map(|calls| calls / packets_per_second),
        lot_size: counters.and_then(|(before, after)| outgoing_ratio(before, after, LOTS)),
        send_calls_per_packet: counters.and_then(|(before, after)| outgoing_ratio(before, after, SENDS)),
        lost_percent: Some(100.0 * lost / (received + missing)),
        lost_packets: Some(lost),
        lost_by_generator_percent: Some(100.0 * lost_here / (received + missing)),
        damaged: number("damaged"),
        latency_p50_ms: number("latency_ms_p50"),
        latency_p99_ms: number("latency_ms_p99"),
        latency_max_ms: number("latency_ms_max"),
        direct_p99_ms: number("direct_ms_p99"),
        burst_ms: number("sent").map(|sent| sent / seconds / FRAMES_PER_SECOND),
        subscribers: 0,
        server_drops: drops_before
            .zip(drops_after)
            .map(|(before, after)| after.saturating_sub(before) as f64),
        memory_kib_per_peer: Some(memory),
        generator_cpu_percent: number("generator_cpu_percent"),
    })
}

/// Connecting many peers takes its time in a dev build, and on a busy machine.
fn deadline(plan: &Plan, load: &Load) -> Duration {
    let (publishers, subscribers) = peers(plan, load);
    let connecting = (publishers + subscribers) / PEERS_PER_SECOND_MIN;
    Duration::from_secs(u64::from(plan.warmup_seconds + plan.seconds + connecting) + 90)
}

/// Waits for one of the load generator's announcements.
pub(in crate::bench) fn event(load: &mut Running, patience: Duration, name: &str) -> Result<Value> {
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

fn floor(workspace: &Workspace, plan: &Plan, subject: Subject, load: &Load) -> Result<Measured> {
    let (publishers, subscribers) = peers(plan, load);
    let mut arguments = vec![
        ("--profile", load.profile.to_owned()),
        ("--publishers", publishers.to_string()),
        ("--destinations", subscribers.to_string()),
        ("--seconds", plan.floor_seconds.to_string()),
        ("--json", "-".to_owned()),
    ];
    if subject == Subject::PacedFloor {
        arguments.push(("--paced", "true".to_owned()));
    }
    let mut prefix = pinned(SERVER_CORE);
    if let Some(cores) = prefix.last_mut() {
        // The receiving thread moves to the other core by itself, as the load generator does.
        *cores = format!("{SERVER_CORE},{LOAD_CORE}");
        arguments.push(("--send-core", SERVER_CORE.to_owned()));
        arguments.push(("--drain-core", LOAD_CORE.to_owned()));
    }
    let job = load_generator(workspace, plan, &prefix, "floor", &arguments)?;
    let finished = job.run()?;
    if !finished.succeeded() {
        eprintln!("{}", finished.tail(30));
        bail!("the floor: {}", finished.ending());
    }
    let result = finished.json().ok_or_else(|| anyhow!("the floor printed no result"))?;
    let number = |field: &str| result[field].as_f64().with_context(|| format!("the floor has no {field}"));
    Ok(Measured {
        cpu_us_per_packet: number("cpu_us_per_packet")?,
        packets_per_second: number("packets_per_second")?,
        cores_used: number("cores_used")?,
        syscalls_per_packet: number("send_calls_per_packet").ok(),
        send_calls_per_packet: number("send_calls_per_packet").ok(),
        ..Measured::default()
    })
}

fn load_generator(
    workspace: &Workspace,
    plan: &Plan,
    prefix: &[String],
    subcommand: &str,
    arguments: &[(&str, String)],
) -> Result<Job> {
    let mut words = prefix.to_vec();
    words.push(load_generator_path(workspace, plan.profile)?);
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).arg(subcommand);
    for (name, value) in arguments {
        // A flag has no value.
        command.arg(name).args((!value.is_empty()).then_some(value));
    }
    let log = workspace.logs().join(format!("bench-{subcommand}.load.log"));
    // Nothing waits for it as long as that.
    Ok(Job::new(format!("{LOAD_GENERATOR} {subcommand}"), command, LOAD_MAX).log(log))
}

pub(in crate::bench) fn load_generator_path(workspace: &Workspace, profile: Profile) -> Result<String> {
    let binary = workspace.binary(LOAD_GENERATOR, profile);
    if !binary.is_file() {
        bail!("{} is not built", binary.display());
    }
    Ok(binary.display().to_string())
}

/// The words that pin a command to one core, where that is possible and makes sense.
pub(in crate::bench) fn pinned(core: &str) -> Vec<String> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    match on_path("taskset") {
        Some(taskset) if cores >= 2 => vec![taskset.display().to_string(), "-c".to_owned(), core.to_owned()],
        _ => Vec::new(),
    }
}
