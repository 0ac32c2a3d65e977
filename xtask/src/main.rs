//! `cargo xtask`: every chore of the project behind one command, the same on a laptop and in CI.
//!
//! Invariants: needs nothing but a Rust toolchain to start; changes nothing outside `target/` and
//! `interop/browser/node_modules` except the Debian packages that `setup` names; ends only processes it
//! started, by their id; whatever could not be tested is reported as skipped, never as passed.

mod bench;
mod ci;
mod fuzz;
mod http;
mod interop;
mod metrics_text;
mod namespace;
mod process;
mod report;
mod server;
mod setup;
mod soak;
#[path = "../../tests/ice_servers/stalls.rs"]
mod stalls;
mod test;
mod websocket;
mod workspace;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// The project's chores: what CI runs and what a developer runs are the same commands.
#[derive(Parser)]
#[command(name = "xtask", bin_name = "cargo xtask", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what the tests need and say what could not be installed
    ///
    /// Debian packages (chromium, coturn, iproute2, nftables, openssl, python3-venv, nodejs, npm) when run as root,
    /// promtool taken out of its Debian package into target/tools, playwright-core from npm into interop/browser, aiortc
    /// from PyPI into target/venv. Does nothing, quickly, when everything is there.
    Setup(setup::Arguments),
    /// Run the tests: all areas, or those named
    Test(test::Arguments),
    /// Everything CI checks: fmt, clippy, rustdoc, then all tests
    Ci,
    /// Run the calls with one real peer
    Interop(interop::Arguments),
    /// Run the property tests with many more seeds
    Soak(soak::Arguments),
    /// Run the fuzz targets, where cargo-fuzz and a nightly toolchain are installed
    Fuzz(fuzz::Arguments),
    /// Measure, next to the floor on the same machine
    Bench(bench::Arguments),
    /// The part of `test` that runs inside the network namespace made for it
    #[command(hide = true)]
    Inside(test::InsideArguments),
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Returns whether everything that ran has passed.
fn run(task: Task) -> Result<bool> {
    let workspace = Workspace::locate()?;
    match task {
        Task::Setup(arguments) => setup::run(&workspace, &arguments),
        Task::Test(arguments) => test::run(&workspace, &arguments),
        Task::Ci => ci::run(&workspace),
        Task::Interop(arguments) => interop::run(&workspace, &arguments),
        Task::Soak(arguments) => soak::run(&workspace, &arguments),
        Task::Fuzz(arguments) => fuzz::run(&workspace, &arguments),
        Task::Bench(arguments) => bench::run(&workspace, &arguments),
        Task::Inside(arguments) => test::run_inside(&workspace, &arguments),
    }
}

/// Prints one progress line, told apart from the output of the tools that run.
fn progress(line: impl AsRef<str>) {
    println!("==> {}", line.as_ref());
}

/// The path as people type it: relative to the workspace where it lies inside.
fn shown(workspace: &Workspace, path: &std::path::Path) -> String {
    let relative: PathBuf = path.strip_prefix(&workspace.root).unwrap_or(path).to_path_buf();
    relative.display().to_string()
}
