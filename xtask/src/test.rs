//! `cargo xtask test`: builds once, runs the areas asked for, prints one table.

mod browser;
mod cargo_areas;
mod datagrams;
mod hostile;
mod operations;
mod signalling;
mod stage;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::namespace::Namespace;
use crate::process::{Finished, Job};
use crate::report::{Outcome, Report};
use crate::setup::{self, Tools};
use crate::workspace::{Profile, Workspace};
use crate::{bench, interop, progress, shown};

pub(crate) use cargo_areas::{cargo, run_once};
pub(crate) use stage::{
    Stage, Tell, artifacts, result_of, script, with_program, with_server, with_server_told,
};

/// The first build includes OpenSSL: minutes on a small machine.
const BUILD_DEADLINE: Duration = Duration::from_secs(60 * 60);
/// Examples draw in the development dependencies, as tests do: both then share one set of features.
const PROGRAMS: &[&str] = &["--bins", "--examples"];
/// All areas that need a server, together.
const INSIDE_DEADLINE: Duration = Duration::from_secs(40 * 60);

/// A group of tests that need the same things.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub(crate) enum Area {
    /// Which layer may import what, and tidiness of the sources
    Layers,
    /// cargo test of all packages: libraries, binaries, examples, integration tests, documentation
    Unit,
    /// Two peers over a seeded network, in virtual time
    Sim,
    /// Chromium and bad input against the server
    E2e,
    /// Real peers that are no browser, through the server
    Interop,
    /// Every bench once, too short to measure anything
    BenchSmoke,
}

impl Area {
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Areas that start the server and run in a network of their own.
    fn starts_server(self) -> bool {
        matches!(self, Self::E2e | Self::Interop | Self::BenchSmoke)
    }
}

#[derive(Args)]
pub(crate) struct Arguments {
    /// Areas to run; none means all
    #[arg(value_enum)]
    areas: Vec<Area>,
    /// In the areas that start a server, run only the tests whose name contains this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Use the machine's own loopback even where a network namespace could be made
    #[arg(long)]
    no_namespace: bool,
    /// Fail when anything had to be skipped
    #[arg(long)]
    deny_skips: bool,
}

#[derive(Args)]
pub(crate) struct InsideArguments {
    /// The file that says what to run
    #[arg(long)]
    request: PathBuf,
    /// The file that the results go to
    #[arg(long)]
    results: PathBuf,
}

/// What the run outside hands to the run inside the namespace.
#[derive(Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) areas: Vec<Area>,
    pub(crate) only: Option<String>,
    pub(crate) tools: Tools,
}

pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<bool> {
    let report = run_areas(workspace, arguments)?;
    report.print();
    let incomplete = arguments.deny_skips && report.any_skipped();
    Ok(!report.any_failed() && !incomplete)
}

/// All areas, as `cargo xtask ci` runs them.
pub(crate) fn run_all(workspace: &Workspace) -> Result<Report> {
    let all = Arguments { areas: Vec::new(), only: None, no_namespace: false, deny_skips: false };
    run_areas(workspace, &all)
}

fn run_areas(workspace: &Workspace, arguments: &Arguments) -> Result<Report> {
    let areas: Vec<Area> = Area::value_variants()
        .iter()
        .copied()
        .filter(|area| arguments.areas.is_empty() || arguments.areas.contains(area))
        .collect();
    let tools = setup::install(workspace);
    let mut report = Report::default();
    if !build(workspace, &areas, &mut report)? {
        return Ok(report);
    }
    for area in areas.iter().copied().filter(|area| !area.starts_server()) {
        cargo_areas::run(workspace, area, &mut report)?;
    }
    if let (true, Err(reason)) = (areas.contains(&Area::Unit), &tools.turnserver) {
        // Those tests end early without their peer: that must not look like a pass.
        report.add("unit", "calls through coturn", Outcome::Skipped, reason, Duration::ZERO);
    }
    let served: Vec<Area> = areas.into_iter().filter(|area| area.starts_server()).collect();
    if !served.is_empty() {
        let request = Request { areas: served, only: arguments.only.clone(), tools };
        report.append(run_served(workspace, request, !arguments.no_namespace)?);
    }
    Ok(report)
}

/// Builds once what all areas use, with the same features, so that nothing is compiled twice.
fn build(workspace: &Workspace, areas: &[Area], report: &mut Report) -> Result<bool> {
    let has = |area: Area| areas.contains(&area);
    if !has(Area::Unit) && !areas.iter().any(|area| area.starts_server()) {
        return Ok(true);
    }
    let finished = build_targets(workspace, if has(Area::Unit) { &["--all-targets"] } else { PROGRAMS })?;
    if !finished.succeeded() {
        report.add("build", "cargo build", Outcome::Failed, &finished.ending(), finished.elapsed);
    }
    Ok(finished.succeeded())
}

/// Builds the server and the load generator as the tests use them.
pub(crate) fn build_programs(workspace: &Workspace) -> Result<()> {
    let finished = build_targets(workspace, PROGRAMS)?;
    if !finished.succeeded() {
        bail!("{}", finished.ending());
    }
    Ok(())
}

fn build_targets(workspace: &Workspace, targets: &[&str]) -> Result<Finished> {
    progress("building the workspace");
    let mut command = cargo(workspace, "build")?;
    command.args(targets);
    let job = Job::new("cargo build", command, BUILD_DEADLINE).echo();
    job.log(workspace.logs().join("build.log")).run()
}

/// Runs areas in a network namespace where one can be made, otherwise on the machine's loopback.
pub(crate) fn run_served(workspace: &Workspace, request: Request, isolate: bool) -> Result<Report> {
    let namespace = if isolate { Namespace::create() } else { Err("as asked".to_owned()) };
    match namespace {
        Ok(namespace) => {
            progress("running in a network namespace that holds only a loopback");
            run_in(workspace, &namespace, &request)
        }
        Err(reason) => {
            progress(format!("running on the machine's own loopback: {reason}"));
            run_request(workspace, request)
        }
    }
}

/// Starts this program again inside the namespace and takes over its results.
fn run_in(workspace: &Workspace, namespace: &Namespace, request: &Request) -> Result<Report> {
    let folder = workspace.logs();
    std::fs::create_dir_all(&folder)?;
    let (asked, answered) = (folder.join("inside-request.json"), folder.join("inside-results.json"));
    std::fs::write(&asked, serde_json::to_vec_pretty(request)?)?;
    let _ = std::fs::remove_file(&answered);
    let mut command = namespace.command(&workspace.xtask);
    command.args(["inside", "--request"]).arg(&asked).arg("--results").arg(&answered);
    command.current_dir(&workspace.root);
    let finished = Job::new("the tests inside the namespace", command, INSIDE_DEADLINE).echo().run()?;
    let read = std::fs::read(&answered).map_err(anyhow::Error::from);
    match read.and_then(|bytes| Ok(serde_json::from_slice::<Report>(&bytes)?)) {
        Ok(report) => Ok(report),
        Err(error) => {
            let mut report = Report::default();
            let detail = format!("{} without results: {error}", finished.ending());
            report.add("e2e", "network namespace", Outcome::Failed, &detail, finished.elapsed);
            Ok(report)
        }
    }
}

pub(crate) fn run_inside(workspace: &Workspace, arguments: &InsideArguments) -> Result<bool> {
    let bytes = std::fs::read(&arguments.request).context("the request")?;
    let request: Request = serde_json::from_slice(&bytes).context("the request")?;
    let report = run_request(workspace, request)?;
    std::fs::write(&arguments.results, serde_json::to_vec_pretty(&report)?)?;
    Ok(!report.any_failed())
}

fn run_request(workspace: &Workspace, request: Request) -> Result<Report> {
    let mut stage = Stage::new(workspace, &request);
    for area in &request.areas {
        stage.enter(*area);
        match area {
            Area::E2e => run_e2e(&mut stage)?,
            Area::Interop => interop::run_all(&mut stage)?,
            Area::BenchSmoke => run_bench_smoke(&mut stage)?,
            Area::Layers | Area::Unit | Area::Sim => {}
        }
    }
    progress(format!("logs of servers and scripts are in {}", shown(workspace, &workspace.logs())));
    Ok(stage.into_report())
}

fn run_e2e(stage: &mut Stage<'_>) -> Result<()> {
    // The cheap ones first: a server that does not start is then told of at once.
    operations::run(stage)?;
    signalling::run(stage)?;
    browser::run(stage)?;
    hostile::run(stage)
}

fn run_bench_smoke(stage: &mut Stage<'_>) -> Result<()> {
    let (workspace, tools) = (stage.workspace().clone(), stage.tools());
    stage.case("bench ice, shortened", &[&tools.aiortc], || {
        let started = Instant::now();
        let json = workspace.logs().join("bench-ice-smoke.json");
        bench::smoke_ice(&workspace, Profile::Dev, &json)?;
        Ok(format!("JSON in {} after {:.1} s", shown(&workspace, &json), started.elapsed().as_secs_f64()))
    })?;
    let workspace = stage.workspace().clone();
    stage.case("bench forward, shortened", &[], || {
        let started = Instant::now();
        let json = workspace.logs().join("bench-forward-smoke.json");
        bench::smoke(&workspace, Profile::Dev, &json)?;
        Ok(format!("JSON in {} after {:.1} s", shown(&workspace, &json), started.elapsed().as_secs_f64()))
    })?;
    let workspace = stage.workspace().clone();
    stage.case("bench connect, shortened", &[], || {
        let started = Instant::now();
        let json = workspace.logs().join("bench-connect-smoke.json");
        bench::smoke_connect(&workspace, Profile::Dev, &json)?;
        Ok(format!("JSON in {} after {:.1} s", shown(&workspace, &json), started.elapsed().as_secs_f64()))
    })?;
    let workspace = stage.workspace().clone();
    stage.case("bench data, shortened", &[], || {
        let started = Instant::now();
        let json = workspace.logs().join("bench-data-smoke.json");
        bench::smoke_data(&workspace, Profile::Dev, &json)?;
        Ok(format!("JSON in {} after {:.1} s", shown(&workspace, &json), started.elapsed().as_secs_f64()))
    })
}
