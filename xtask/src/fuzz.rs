//! `cargo xtask fuzz`: every fuzz target for a while, where cargo-fuzz and a nightly toolchain are installed.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::process::Job;
use crate::progress;
use crate::report::{Outcome, Report};
use crate::workspace::Workspace;

/// The first build compiles everything for the sanitizer.
const BUILD_PATIENCE: Duration = Duration::from_secs(30 * 60);

#[derive(Args)]
pub(crate) struct Arguments {
    /// Seconds for each target
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Targets to run; none means all
    targets: Vec<String>,
}

pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<bool> {
    let known = targets(&workspace.root.join("fuzz/fuzz_targets"))?;
    if let Some(unknown) = arguments.targets.iter().find(|target| !known.contains(target)) {
        bail!("there is no target {unknown}; there are {}", known.join(", "));
    }
    let wanted = if arguments.targets.is_empty() { &known } else { &arguments.targets };
    let mut report = Report::default();
    if let Some(missing) = missing() {
        for target in wanted {
            report.skip("fuzz", target, &missing);
        }
        report.print();
        return Ok(false);
    }
    for target in wanted {
        progress(format!("fuzzing {target} for {} s", arguments.seconds));
        let mut command = nightly();
        command.args(["fuzz", "run", target, "--", &format!("-max_total_time={}", arguments.seconds)]);
        command.current_dir(&workspace.root);
        let deadline = BUILD_PATIENCE + Duration::from_secs(arguments.seconds * 2);
        let log = workspace.logs().join(format!("fuzz-{target}.log"));
        let finished = Job::new(format!("fuzz {target}"), command, deadline).log(log).run()?;
        let (outcome, detail) = match finished.succeeded() {
            true => (Outcome::Passed, format!("{} s without a crash", arguments.seconds)),
            false => {
                eprintln!("{}", finished.tail(40));
                (Outcome::Failed, finished.ending())
            }
        };
        report.add("fuzz", target, outcome, &detail, finished.elapsed);
    }
    report.print();
    Ok(!report.any_failed())
}

fn targets(folder: &Path) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let sources = entries.flatten().map(|entry| entry.path());
    let sources = sources.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let mut names: Vec<String> =
        sources.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    Ok(names)
}

/// What has to be installed first, as the commands that do it.
fn missing() -> Option<String> {
    let works = |arguments: &[&str]| {
        let output = nightly().args(arguments).output();
        output.is_ok_and(|output| output.status.success())
    };
    if !works(&["--version"]) {
        return Some("no nightly toolchain; run: rustup toolchain install nightly".to_owned());
    }
    if !works(&["fuzz", "--version"]) {
        return Some("no cargo-fuzz; run: cargo install cargo-fuzz".to_owned());
    }
    None
}

/// rustup's cargo, told which toolchain: what runs this program has set another one.
fn nightly() -> Command {
    let mut command = Command::new("cargo");
    command.arg("+nightly").env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO").env_remove("RUSTC");
    command
}
