//! `cargo xtask bench NAME`: measures, next to a floor measured on the same machine in the same minutes.

mod connect;
mod data;
mod flame_graph;
mod forward;
mod ice;

use std::path::{Path, PathBuf};

use anyhow::{Context, Error, Result, bail};
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::workspace::{Profile, Workspace};
use crate::{progress, shown};

#[derive(Clone, Copy, ValueEnum)]
enum Name {
    /// CPU, system calls, delay and memory of forwarding, beside Janus, str0m, webrtc-rs and the floor
    ///
    /// Builds the other stacks on demand into target/peers; as root it runs in a network namespace of its own.
    Forward,
    /// Pairs of connections by ICE alone, beside aioice
    Ice,
    /// Messages of 100 B to 64 KiB on one and ten data channels, beside aiortc, str0m, webrtc-rs and the floors
    ///
    /// Builds the other stacks on demand into target/peers; writes data.json and data.md to target/bench.
    Data,
    /// Connections per second, memory per peer, and many peers in one process, beside bare DTLS handshakes
    Connect,
}

#[derive(Args)]
pub(crate) struct Arguments {
    /// What to measure
    #[arg(value_enum)]
    name: Name,
    /// Also write the results to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// How often all subjects are measured in turn
    #[arg(long, visible_alias = "repetitions", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Shortened: shows that it runs, measures nothing (`forward` with the dev profile)
    #[arg(long)]
    quick: bool,
    /// What to measure, separated by commas; all without it
    #[arg(long, value_delimiter = ',', value_name = "SUBJECTS")]
    subjects: Vec<String>,
    /// Which cases, separated by commas; the usual ones without it
    #[arg(long, value_delimiter = ',', value_name = "CASES")]
    cases: Vec<String>,
    /// `forward` only: how long each measurement takes, in seconds; 5 without it
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=3_600))]
    seconds: Option<u32>,
    /// `forward` only: instead of measuring, draw where this project's server spends its time under one case (`1-to-50`
    /// if none is named), sampled with perf
    #[arg(long, value_name = "SVG", conflicts_with_all = ["quick", "subjects", "json"])]
    flame_graph: Option<PathBuf>,
    /// `connect` only: peers in one process at the end; 0 leaves that out
    #[arg(long, default_value_t = 10_000, value_name = "COUNT")]
    peers: u32,
}

/// What a bench found: the shape of its JSON.
#[derive(Serialize)]
pub(crate) struct Results {
    bench: &'static str,
    machine: String,
    cases: Vec<Case>,
}

/// One metric of one subject, over all rounds.
#[derive(Serialize)]
pub(crate) struct Case {
    case: String,
    /// `actix-rtc`, `floor`, or a peer's name.
    subject: &'static str,
    metric: &'static str,
    unit: &'static str,
    min: f64,
    median: f64,
    max: f64,
}

pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<bool> {
    let (results, passed) = match arguments.name {
        Name::Forward => match run_forward(workspace, arguments)? {
            Forwarded::Here(results) => (results, true),
            Forwarded::Inside { passed } => return Ok(passed),
        },
        Name::Ice => (run_ice(workspace, arguments)?, true),
        Name::Connect => (run_connect(workspace, arguments)?, true),
        Name::Data => run_data(workspace, arguments)?,
    };
    if let Some(path) = &arguments.json {
        results.write(path)?;
        progress(format!("results written to {}", shown(workspace, path)));
    }
    Ok(passed)
}

fn run_connect(workspace: &Workspace, arguments: &Arguments) -> Result<Results> {
    let plan = match arguments.quick {
        true => connect::Plan::quick(Profile::Dev),
        false => connect::Plan::full(arguments.rounds, arguments.peers),
    };
    build(workspace, plan.profile)?;
    let results = connect::run(workspace, &plan)?;
    results.print();
    Ok(results)
}

fn run_ice(workspace: &Workspace, arguments: &Arguments) -> Result<Results> {
    let plan =
        if arguments.quick { ice::Plan::smoke(Profile::Dev) } else { ice::Plan::full(arguments.rounds) };
    build(workspace, if arguments.quick { Profile::Dev } else { Profile::Release })?;
    let results = ice::run(workspace, &plan)?;
    results.print();
    Ok(results)
}

/// Where a bench of forwarding ran.
enum Forwarded {
    Here(Results),
    /// In a process of its own within a network namespace, which has printed and written the results.
    Inside {
        passed: bool,
    },
}

fn run_forward(workspace: &Workspace, arguments: &Arguments) -> Result<Forwarded> {
    let (cases, subjects) = (&arguments.cases, &arguments.subjects);
    let plan = match arguments.quick {
        true => forward::Plan::quick(Profile::Dev, cases, subjects)?,
        false => {
            let full = forward::Plan::full(arguments.rounds, cases, subjects)?.lasting(arguments.seconds);
            full.drawing(arguments.flame_graph.as_deref())?
        }
    };
    let inside = forward::Inside::detect();
    if inside.is_none() {
        build(workspace, plan.profile)?;
        forward::build_peers(workspace, &plan)?;
        if let Some(passed) = forward::run_inside(workspace)? {
            return Ok(Forwarded::Inside { passed });
        }
    }
    let inside = inside.unwrap_or(forward::Inside::Loopback("none could be made"));
    let results = forward::run(workspace, plan, &inside)?;
    if arguments.flame_graph.is_none() {
        results.print();
    }
    Ok(Forwarded::Here(results))
}

fn run_data(workspace: &Workspace, arguments: &Arguments) -> Result<(Results, bool)> {
    let subjects = arguments.subjects.iter().map(|name| data::Subject::from_str(name, true));
    let subjects = &subjects.collect::<Result<Vec<_>, _>>().map_err(Error::msg)?;
    let cases = arguments.cases.iter().map(|name| name.parse::<data::Shape>());
    let cases = &cases.collect::<Result<Vec<_>, _>>().map_err(Error::msg)?;
    let plan = match arguments.quick {
        true => data::Plan::quick(subjects, cases),
        false => data::Plan::full(arguments.rounds, subjects, cases),
    };
    data::build(workspace, &plan)?;
    data::run(workspace, &plan)
}

/// Runs the bench of ICE alone once, briefly, with programs that are built already.
pub(crate) fn smoke_ice(workspace: &Workspace, profile: Profile, json: &Path) -> Result<()> {
    let results = ice::run(workspace, &ice::Plan::smoke(profile))?;
    results.print();
    results.write(json)
}

/// Runs the bench of data channels once, briefly, without other stacks and with programs that are built already.
pub(crate) fn smoke_data(workspace: &Workspace, profile: Profile, json: &Path) -> Result<()> {
    let (results, passed) = data::run(workspace, &data::Plan::smoke(profile))?;
    if !passed {
        bail!("a round of data channels failed");
    }
    results.write(json)
}

/// Runs the bench of forwarding once, briefly, with programs that are built already.
pub(crate) fn smoke(workspace: &Workspace, profile: Profile, json: &Path) -> Result<()> {
    let inside = forward::Inside::Loopback("this is a smoke test");
    let results = forward::run(workspace, forward::Plan::smoke(profile)?, &inside)?;
    results.print();
    results.write(json)
}

fn build(workspace: &Workspace, profile: Profile) -> Result<()> {
    progress("building the server and the load generator");
    let mut arguments =
        vec!["build", "--locked", "--package", "actix-rtc-sfu", "--package", "actix-rtc-loadgen"];
    if profile == Profile::Release {
        arguments.push("--release");
    }
    let status = workspace.cargo(&arguments).status().context("cargo build did not start")?;
    if !status.success() {
        bail!("cargo build ended with {status}");
    }
    Ok(())
}

impl Results {
    pub(crate) fn new(bench: &'static str, cases: Vec<Case>) -> Self {
        Self { bench, machine: machine(), cases }
    }

    fn print(&self) {
        println!("\nbench {} on {}", self.bench, self.machine);
        let width = self.cases.iter().map(|case| case.metric.len()).max().unwrap_or(0);
        let names = self.cases.iter().map(|case| case.case.len()).max().unwrap_or(0);
        println!(
            "| {:<names$} | {:<11} | {:<width$} | {:>10} | {:>10} | {:>10} | unit |",
            "case", "subject", "metric", "min", "median", "max"
        );
        println!("|{}|", ["---"; 7].join("|"));
        for case in &self.cases {
            println!(
                "| {:<names$} | {:<11} | {:<width$} | {:>10.3} | {:>10.3} | {:>10.3} | {} |",
                case.case, case.subject, case.metric, case.min, case.median, case.max, case.unit
            );
        }
    }

    fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(path, text + "\n").with_context(|| format!("writing {}", path.display()))
    }
}

impl Case {
    /// `None` when no round yielded a value.
    pub(crate) fn new(
        case: &str,
        subject: &'static str,
        metric: &'static str,
        unit: &'static str,
        mut values: Vec<f64>,
    ) -> Option<Self> {
        values.retain(|value| value.is_finite());
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = match values.len() % 2 {
            1 => values[middle],
            _ => f64::midpoint(values[middle - 1], values[middle]),
        };
        Some(Self { case: case.to_owned(), subject, metric, unit, min, median, max })
    }
}

/// The processor, its cores and the kernel: what a number means nothing without.
fn machine() -> String {
    let cpu_info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu_info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, model)| model.trim());
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{model}, {cores} cores, Linux {}", kernel.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_of_rounds_lies_between_the_middle_two() {
        let case = Case::new("c", "floor", "m", "us", vec![4.0, 1.0, f64::NAN, 2.0, 9.0]).unwrap();
        assert_eq!((case.min, case.median, case.max), (1.0, 3.0, 9.0));
        assert!(Case::new("c", "floor", "m", "us", vec![]).is_none());
    }
}
