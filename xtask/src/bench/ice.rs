//! Bench `ice`: what a connection of ICE alone costs to make, and what an idle one holds, beside aioice.
//!
//! Both connect pairs within one process over loopback, one after the other in every round, on one core. CPU time
//! and memory are the processes' own accounts; sockets in the kernel are in neither.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

use super::{Case, Results};
use crate::process::Job;
use crate::progress;
use crate::setup::{self, on_path};
use crate::workspace::{Profile, Workspace};

const LOAD_GENERATOR: &str = "actix-rtc-loadgen";
const CORE: &str = "0";
/// The process pace (RFC 8445 §14.2) allows 200 checks a second, and aioice is slower.
const DEADLINE: Duration = Duration::from_secs(300);

/// How much to measure.
pub(super) struct Plan {
    pub(super) profile: Profile,
    rounds: u32,
    pairs: u32,
    idle_pairs: u32,
    settle_seconds: u32,
}

impl Plan {
    pub(super) fn full(rounds: u32) -> Self {
        Self { profile: Profile::Release, rounds, pairs: 200, idle_pairs: 1_000, settle_seconds: 3 }
    }

    pub(super) fn smoke(profile: Profile) -> Self {
        Self { profile, rounds: 1, pairs: 5, idle_pairs: 10, settle_seconds: 0 }
    }

    fn case(&self) -> String {
        format!("pairs on loopback, {} idle connections", 2 * self.idle_pairs)
    }
}

/// Name, unit, and how it follows from what a subject prints.
type Metric = (&'static str, &'static str, fn(&Value) -> Option<f64>);

const METRICS: [Metric; 4] = [
    ("connects_per_second_and_core", "1/s", |line| Some(1e3 / line["cpu_ms_per_connect"].as_f64()?)),
    ("cpu_ms_per_connect", "ms", |line| line["cpu_ms_per_connect"].as_f64()),
    ("connects_per_second", "1/s", |line| line["connects_per_second"].as_f64()),
    ("kib_per_idle_connection", "KiB", |line| Some(line["bytes_per_idle_connection"].as_f64()? / 1024.0)),
];

pub(super) fn run(workspace: &Workspace, plan: &Plan) -> Result<Results> {
    let python = setup::install(workspace).aiortc.map_err(|reason| anyhow!(reason))?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for number in 1..=plan.rounds {
        progress(format!("round {number} of {}: actix-rtc", plan.rounds));
        let program = workspace.binary(LOAD_GENERATOR, plan.profile);
        ours.push(measure(workspace, plan, "actix-rtc", &[&program.display().to_string(), "ice"])?);
        progress(format!("round {number} of {}: aioice", plan.rounds));
        let script = workspace.aioice_scripts().join("bench.py");
        let words = [python.display().to_string(), "-B".to_owned(), script.display().to_string()];
        theirs.push(measure(workspace, plan, "aioice", &[&words[0], &words[1], &words[2]])?);
    }
    Ok(Results::new("ice", cases(&plan.case(), &ours, &theirs)))
}

fn cases(name: &str, ours: &[Value], theirs: &[Value]) -> Vec<Case> {
    let subjects = [("actix-rtc", ours), ("aioice", theirs)];
    let of_metric = |(metric, unit, value): &Metric| {
        subjects.map(|(subject, lines)| {
            Case::new(name, subject, metric, unit, lines.iter().filter_map(value).collect())
        })
    };
    let mut all: Vec<Case> = METRICS.iter().flat_map(of_metric).flatten().collect();
    // Of the same round, since the machine is not equally quick in all of them.
    for (metric, value) in [("cpu_ratio", METRICS[1].2), ("memory_ratio", METRICS[3].2)] {
        let ratios = ours.iter().zip(theirs).filter_map(|(ours, theirs)| Some(value(theirs)? / value(ours)?));
        all.extend(Case::new(name, "aioice", metric, "times ours", ratios.collect()));
    }
    all
}

/// One subject's turn: what it printed.
fn measure(workspace: &Workspace, plan: &Plan, subject: &str, words: &[&str]) -> Result<Value> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut command = match on_path("taskset") {
        Some(taskset) if cores >= 2 => {
            let mut command = Command::new(taskset);
            command.args(["-c", CORE]).args(words);
            command
        }
        _ => {
            let mut command = Command::new(words.first().context("no program")?);
            command.args(words.iter().skip(1));
            command
        }
    };
    command.args(["--pairs", &plan.pairs.to_string(), "--idle-pairs", &plan.idle_pairs.to_string()]);
    command.args(["--settle-seconds", &plan.settle_seconds.to_string(), "--json", "-"]);
    let log = workspace.logs().join(format!("bench-ice-{subject}.log"));
    let finished = Job::new(format!("bench ice {subject}"), command, DEADLINE).log(log).run()?;
    if !finished.succeeded() {
        eprintln!("{}", finished.tail(30));
        bail!("{subject}: {}", finished.ending());
    }
    let line = finished.json().ok_or_else(|| anyhow!("{subject} printed no result"))?;
    progress(format!("{subject}: {line}"));
    Ok(line)
}
