//! `cargo xtask bench NAME`: measures, next to a floor measured on the same machine in the same minutes.

mod forward;
mod ice;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::workspace::{Profile, Workspace};
use crate::{progress, shown};

#[derive(Clone, Copy, ValueEnum)]
enum Name {
    /// One publisher at 1,000-byte packets to 50 subscribers, SRTP both ways, through real sockets
    Forward,
    /// Pairs of connections by ICE alone, beside aioice
    Ice,
}

#[derive(Args)]
pub(crate) struct Arguments {
    /// What to measure
    #[arg(value_enum)]
    name: Name,
    /// Also write the results to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// How often the server and the floor are measured in turn
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Shortened, with the dev profile: shows that it runs, measures nothing
    #[arg(long)]
    quick: bool,
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
    build(workspace, if arguments.quick { Profile::Dev } else { Profile::Release })?;
    let results = match (arguments.name, arguments.quick) {
        (Name::Forward, true) => forward::run(workspace, &forward::Plan::smoke(Profile::Dev))?,
        (Name::Forward, false) => forward::run(workspace, &forward::Plan::full(arguments.rounds))?,
        (Name::Ice, true) => ice::run(workspace, &ice::Plan::smoke(Profile::Dev))?,
        (Name::Ice, false) => ice::run(workspace, &ice::Plan::full(arguments.rounds))?,
    };
    results.print();
    if let Some(path) = &arguments.json {
        results.write(path)?;
        progress(format!("results written to {}", shown(workspace, path)));
    }
    Ok(true)
}

/// Runs every bench once, briefly, with programs that are built already.
pub(crate) fn smoke(workspace: &Workspace, profile: Profile, json: &Path) -> Result<()> {
    let results = forward::run(workspace, &forward::Plan::smoke(profile))?;
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
        println!(
            "{:<10}  {:<width$}  {:>12}  {:>12}  {:>12}  unit",
            "subject", "metric", "min", "median", "max"
        );
        for case in &self.cases {
            println!(
                "{:<10}  {:<width$}  {:>12.3}  {:>12.3}  {:>12.3}  {}",
                case.subject, case.metric, case.min, case.median, case.max, case.unit
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
