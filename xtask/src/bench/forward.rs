//! Bench `forward`: what one forwarded packet costs a server process, next to other servers and to the floor.
//!
//! The servers run on one core, one at a time and in turn; the load generator runs on another. CPU time and
//! memory are the kernel's own accounts of the server process. The floor is a bare loop that encrypts and sends
//! the same packets with segmentation offload, on the servers' core.

pub(super) mod accounts;
mod cases;
mod goals;
mod janus;
pub(super) mod measure;
mod network;
pub(super) mod subject;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use self::cases::Case as Load;
use self::measure::Measured;
use self::subject::Subject;
use super::{Case, Results};
use crate::progress;
use crate::workspace::{Profile, Workspace};

pub(super) use self::network::{Inside, run_inside};

/// Each look for a wanted load, and how many there are at most.
const CALIBRATION_SECONDS: u32 = 5;
const CALIBRATIONS_MAX: u32 = 4;

/// How much to measure.
#[derive(Clone)]
pub(super) struct Plan {
    pub(super) profile: Profile,
    rounds: u32,
    loads: Vec<Load>,
    subjects: Vec<Subject>,
    warmup_seconds: u32,
    seconds: u32,
    floor_seconds: u32,
    /// Scales the number of peers down, for a run that only shows that everything works.
    peers_max: u32,
    /// Where a flame graph is drawn to.
    flame_graph: Option<PathBuf>,
}

impl Plan {
    pub(super) fn full(rounds: u32, cases: &[String], subjects: &[String]) -> Result<Self> {
        Ok(Self {
            profile: Profile::Release,
            rounds,
            loads: Load::select(cases)?,
            subjects: Subject::select(subjects)?,
            warmup_seconds: 2,
            seconds: 5,
            floor_seconds: 2,
            peers_max: u32::MAX,
            flame_graph: None,
        })
    }

    /// Measures for so long each time, instead of a few seconds.
    pub(super) fn lasting(self, seconds: Option<u32>) -> Self {
        Self { seconds: seconds.unwrap_or(self.seconds), ..self }
    }

    /// Draws this project's server under one case, if there is a file to draw to; measures nothing then.
    pub(super) fn drawing(self, svg: Option<&Path>) -> Result<Self> {
        let Some(svg) = svg else { return Ok(self) };
        // Without names all usual cases are selected, and the first of them is the one to look at.
        let loads = if self.loads == Load::select(&[])? { vec![self.loads[0]] } else { self.loads };
        if loads.len() > 1 {
            bail!("a flame graph shows one case");
        }
        Ok(Self { rounds: 1, loads, subjects: vec![Subject::Own], flame_graph: Some(svg.to_owned()), ..self })
    }

    /// One short round with few peers; measures nothing.
    pub(super) fn quick(profile: Profile, cases: &[String], subjects: &[String]) -> Result<Self> {
        let (warmup_seconds, seconds, floor_seconds) = (1, 1, 1);
        let full = Self::full(1, cases, subjects)?;
        Ok(Self { profile, warmup_seconds, seconds, floor_seconds, peers_max: 5, ..full })
    }

    /// What CI runs: this project's server and the floor, one case.
    pub(super) fn smoke(profile: Profile) -> Result<Self> {
        Self::quick(profile, &["1-to-50".to_owned()], &["actix-rtc".to_owned(), "floor".to_owned()])
    }

    /// The packages of benches/peers that this run needs.
    pub(super) fn peer_packages(&self) -> Vec<&'static str> {
        self.subjects.iter().filter_map(|subject| subject.peer_package()).collect()
    }

    /// Leaves out what can't be measured here, and says so.
    fn drop_missing(&mut self, inside: &Inside) {
        let reason = janus::missing().or_else(|| inside.lacks_interface());
        if let Some(reason) = reason
            && self.subjects.contains(&Subject::Janus)
        {
            progress(format!("NOT MEASURED  janus: {reason}"));
            self.subjects.retain(|subject| *subject != Subject::Janus);
        }
    }
}

/// What one subject showed under one load, in all rounds.
pub(super) struct Series {
    load: Load,
    subject: Subject,
    rounds: Vec<Measured>,
}

pub(super) fn run(workspace: &Workspace, mut plan: Plan, inside: &Inside) -> Result<Results> {
    plan.drop_missing(inside);
    let mut series: Vec<Series> = Vec::new();
    for load in &plan.loads {
        for subject in &plan.subjects {
            if load.own_server.is_empty() || matches!(subject, Subject::Own) {
                series.push(Series { load: *load, subject: *subject, rounds: Vec::new() });
            }
        }
    }
    for one in &mut series {
        one.load = calibrated(workspace, &plan, inside, one)?;
    }
    for round in 1..=plan.rounds {
        for one in &mut series {
            let name = one.subject.name();
            progress(format!("round {round} of {}, {}: {name}", plan.rounds, one.load.name));
            match measure::measure(workspace, &plan, inside, one.subject, &one.load) {
                Ok(measured) => {
                    progress(measured.summary());
                    one.rounds.push(measured);
                }
                // Another project's server that fails under a load is a result, not the end of the bench.
                Err(error) if !matches!(one.subject, Subject::Own | Subject::Floor) => {
                    progress(format!("NOT MEASURED  {name}, {}: {error:#}", one.load.name));
                }
                Err(error) => return Err(error.context(format!("{name}, {}", one.load.name))),
            }
        }
    }
    if series.iter().all(|one| one.rounds.is_empty()) {
        bail!("nothing was measured");
    }
    let mut cases: Vec<Case> = series.iter().flat_map(cases_of).collect();
    cases.extend(goals::ratios(&series));
    goals::print(&series);
    Ok(Results::new("forward", cases))
}

/// The load with as many subscribers as bring the server to the wanted share of its core, found in short runs.
fn calibrated(workspace: &Workspace, plan: &Plan, inside: &Inside, series: &Series) -> Result<Load> {
    let mut load = series.load;
    if load.wanted_load.is_none() || plan.peers_max < load.subscribers {
        return Ok(load);
    }
    let short = Plan { seconds: CALIBRATION_SECONDS, ..plan.clone() };
    for attempt in 1..=CALIBRATIONS_MAX {
        let measured = measure::measure(workspace, &short, inside, series.subject, &load)?;
        let (subscribers, share) = (load.subscribers, measured.cores_wanted);
        progress(format!(
            "looking for the load, {attempt}: {subscribers} subscribers, {}",
            measured.summary()
        ));
        if load.is_at_load(share) || load.scaled(share) == load {
            break;
        }
        load = load.scaled(share);
    }
    Ok(load)
}

fn cases_of(series: &Series) -> Vec<Case> {
    let case = |metric, unit, value: fn(&Measured) -> Option<f64>| {
        let values = series.rounds.iter().filter_map(value).collect();
        Case::new(series.load.name, series.subject.name(), metric, unit, values)
    };
    let all = [
        case("cpu_us_per_packet", "us", |m| Some(m.cpu_us_per_packet)),
        case("cpu_user_us_per_packet", "us", |m| m.cpu_user_us_per_packet),
        case("cpu_system_us_per_packet", "us", |m| m.cpu_system_us_per_packet),
        case("syscalls_per_packet", "calls", |m| m.syscalls_per_packet),
        case("lot_size_mean", "packets", |m| m.lot_size),
        case("send_calls_per_packet", "calls", |m| m.send_calls_per_packet),
        case("packets_per_second", "1/s", |m| Some(m.packets_per_second)),
        case("cores_used", "cores", |m| Some(m.cores_used)),
        case("lost", "percent", |m| m.lost_percent),
        case("lost_packets", "packets", |m| m.lost_packets),
        case("lost_by_generator_max", "percent", |m| m.lost_by_generator_percent),
        case("server_receive_drops", "datagrams", |m| m.server_drops),
        case("damaged", "packets", |m| m.damaged),
        case("latency_p50_ms", "ms", |m| m.latency_p50_ms),
        case("latency_p99_ms", "ms", |m| m.latency_p99_ms),
        case("latency_max_ms", "ms", |m| m.latency_max_ms),
        case("latency_direct_p99_ms", "ms", |m| m.direct_p99_ms),
        case("latency_added_p99_ms", "ms", Measured::added_p99_ms),
        case("burst_ms", "ms", |m| m.burst_ms),
        case("subscribers", "peers", |m| (m.subscribers > 0).then(|| f64::from(m.subscribers))),
        case("memory_kib_per_peer", "KiB", |m| m.memory_kib_per_peer),
        case("generator_cpu", "percent", |m| m.generator_cpu_percent),
    ];
    all.into_iter().flatten().collect()
}

/// Builds the other stacks that a run needs.
pub(super) fn build_peers(workspace: &Workspace, plan: &Plan) -> Result<()> {
    let packages = plan.peer_packages();
    if packages.is_empty() {
        return Ok(());
    }
    progress(format!("building {} in target/peers", packages.join(" and ")));
    let manifest = workspace.root.join("benches/peers/Cargo.toml").display().to_string();
    let target = workspace.target.join("peers").display().to_string();
    let mut arguments = vec!["build", "--release", "--locked", "--manifest-path", &manifest];
    arguments.extend(["--target-dir", &target]);
    packages.iter().for_each(|package| arguments.extend(["--package", *package]));
    let status = workspace.cargo(&arguments).status().context("cargo build did not start")?;
    if !status.success() {
        bail!("cargo build of benches/peers ended with {status}");
    }
    Ok(())
}
