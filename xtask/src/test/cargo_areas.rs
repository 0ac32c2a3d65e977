//! The areas that are plain `cargo test` runs.
//!
//! Everything is built with `--workspace` and the same features (fault injection included), so that tests,
//! the server and the load generator share one set of artefacts. xtask itself is tested by a run of its own.

use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::Area;
use super::stage::MANY;
use crate::process::{Finished, Job};
use crate::progress;
use crate::report::{Outcome, Report, Row};
use crate::workspace::Workspace;

const TEST_DEADLINE: Duration = Duration::from_secs(40 * 60);
/// Lines of a failed test's output in the report.
const SAID_LINES: usize = 30;
/// The feature that lets a test make an actor panic; packages that have it are built with it.
const FAULT_INJECTION: &str = "fault-injection";
/// Integration tests with an area of their own.
const OWN_AREA: [&str; 2] = ["simulation", "layers"];

/// A cargo command over all packages but this one, with the features of the tests.
pub(crate) fn cargo(workspace: &Workspace, subcommand: &str) -> Result<Command> {
    let mut command = workspace.cargo(&[subcommand, "--workspace", "--exclude", "xtask", "--locked"]);
    let packages = workspace.packages()?;
    let with = packages.iter().filter(|package| package.features.iter().any(|f| f == FAULT_INJECTION));
    let features: Vec<String> = with.map(|package| format!("{}/{FAULT_INJECTION}", package.name)).collect();
    if !features.is_empty() {
        command.args(["--features", &features.join(",")]);
    }
    Ok(command)
}

pub(crate) fn run(workspace: &Workspace, area: Area, report: &mut Report) -> Result<()> {
    match area {
        Area::Layers => integration_test(workspace, report, area, "layers"),
        Area::Sim => integration_test(workspace, report, area, "simulation"),
        Area::Unit => unit(workspace, report),
        Area::E2e | Area::Interop | Area::BenchSmoke => Ok(()),
    }
}

fn unit(workspace: &Workspace, report: &mut Report) -> Result<()> {
    let mut command = cargo(workspace, "test")?;
    command.args(["--no-fail-fast", "--lib", "--bins", "--examples"]);
    for test in workspace.packages()?.iter().flat_map(|package| &package.tests) {
        if !OWN_AREA.contains(&test.as_str()) {
            command.args(["--test", test]);
        }
    }
    run_tests(workspace, report, "unit", "libraries and programs", command)?;
    let mut command = cargo(workspace, "test")?;
    command.args(["--no-fail-fast", "--doc"]);
    run_tests(workspace, report, "unit", "documentation", command)?;
    let command = workspace.cargo(&["test", "--package", "xtask", "--locked"]);
    run_tests(workspace, report, "unit", "xtask", command)
}

fn integration_test(workspace: &Workspace, report: &mut Report, area: Area, name: &str) -> Result<()> {
    let exists = workspace.packages()?.iter().any(|package| package.tests.iter().any(|test| test == name));
    if !exists {
        let detail = format!("tests/{name}.rs is missing");
        report.add(&area.name(), name, Outcome::Failed, &detail, Duration::ZERO);
        return Ok(());
    }
    let mut command = cargo(workspace, "test")?;
    command.args(["--no-fail-fast", "--test", name]);
    run_tests(workspace, report, &area.name(), name, command)
}

/// Runs one `cargo test` and adds its row. A few tests that fail are run once more, by themselves: see
/// [`Stage::case`](super::Stage::case).
fn run_tests(
    workspace: &Workspace,
    report: &mut Report,
    area: &str,
    name: &str,
    command: Command,
) -> Result<()> {
    let mut once_more = copy(&command);
    let (mut row, finished) = run_once(workspace, area, name, command, TEST_DEADLINE)?;
    let failures = failed_tests(&finished);
    // What failed without a name, a process that crashed for one, can't be run by itself.
    if (1..=MANY).contains(&failures.len()) && failures.len() as u64 == row.failed {
        once_more.args(["--", "--exact"]).args(&failures);
        let again = format!("{name}, once more");
        let (second, _) = run_once(workspace, area, &again, once_more, TEST_DEADLINE)?;
        // Tests of other programs may have the same name: they have run as well.
        if second.outcome == Outcome::Passed && second.passed >= row.failed {
            row.passed += row.failed;
            (row.failed, row.outcome) = (0, Outcome::Passed);
            row.repeated = failures.iter().map(|test| said_of(test, &finished.lines)).collect();
            row.detail = format!("{} tests, {} of them when run again", row.passed, failures.len());
        }
    }
    report.push(row);
    Ok(())
}

/// Runs one `cargo test` and makes its row.
pub(crate) fn run_once(
    workspace: &Workspace,
    area: &str,
    name: &str,
    command: Command,
    deadline: Duration,
) -> Result<(Row, Finished)> {
    progress(format!("{area}: {name}"));
    let log = workspace.logs().join(format!("{area}-{}.log", name.replace(' ', "-")));
    let finished = Job::new(format!("cargo test ({name})"), command, deadline).log(log).echo().run()?;
    Ok((row(area, name, &finished), finished))
}

/// The same command anew, for a job takes its own with it.
fn copy(command: &Command) -> Command {
    let mut copy = Command::new(command.get_program());
    copy.args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => copy.env(name, value),
            None => copy.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        copy.current_dir(folder);
    }
    copy
}

fn failed_tests(finished: &Finished) -> Vec<String> {
    finished.lines.iter().filter_map(|line| failed_test(line)).map(str::to_owned).collect()
}

/// What a test printed before it failed, as libtest repeats it at the end, but for the backtrace.
fn said_of(test: &str, lines: &[String]) -> String {
    let heading = format!("---- {test} stdout ----");
    let said = lines.iter().skip_while(|line| **line != heading).skip(1);
    let is_end = |line: &str| line.starts_with("---- ") || line == "failures:" || line == "stack backtrace:";
    let said = said.take_while(|line| !is_end(line)).take(SAID_LINES);
    let said: Vec<&str> = said.map(String::as_str).filter(|line| !line.is_empty()).collect();
    format!("{test}\n{}", said.join("\n"))
}

fn row(area: &str, name: &str, finished: &Finished) -> Row {
    let counts = Counts::of(&finished.lines);
    let failures = failed_tests(finished);
    // Documentation may hold no example; any other run without a test is a broken run.
    let empty = counts.passed + counts.failed == 0 && name != "documentation";
    let good = finished.succeeded() && counts.failed == 0 && !empty;
    let detail = match (good, empty, failures.is_empty()) {
        (true, ..) if counts.ignored > 0 => format!("{} tests, {} ignored", counts.passed, counts.ignored),
        (true, ..) => format!("{} tests", counts.passed),
        (false, _, false) => format!("failed: {}", failures.join(", ")),
        (false, true, _) if finished.succeeded() => "no test ran".to_owned(),
        (false, ..) => finished.ending(),
    };
    Row {
        area: area.to_owned(),
        test: name.to_owned(),
        outcome: if good { Outcome::Passed } else { Outcome::Failed },
        detail,
        seconds: finished.elapsed.as_secs_f64(),
        passed: counts.passed,
        // A run that did not even build has failed once.
        failed: if good { 0 } else { counts.failed.max(1) },
        skipped: counts.ignored,
        repeated: Vec::new(),
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Counts {
    /// Adds up the closing lines: `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
    fn of(lines: &[String]) -> Self {
        let mut counts = Self::default();
        for line in lines.iter().filter_map(|line| line.strip_prefix("test result: ")) {
            let parts = line.split_once(". ").map(|(_, rest)| rest).unwrap_or_default();
            for part in parts.split("; ") {
                let Some((number, what)) = part.split_once(' ') else { continue };
                let number = number.parse().unwrap_or(0);
                match what {
                    "passed" => counts.passed += number,
                    "failed" => counts.failed += number,
                    "ignored" => counts.ignored += number,
                    _ => {}
                }
            }
        }
        counts
    }
}

fn failed_test(line: &str) -> Option<&str> {
    line.strip_prefix("test ")?.strip_suffix(" ... FAILED")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_are_added_up() {
        let lines = [
            "test a::b ... FAILED",
            "test result: FAILED. 3 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.1s",
            "test result: ok. 4 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s",
        ]
        .map(str::to_owned);
        assert_eq!(Counts::of(&lines), Counts { passed: 7, failed: 1, ignored: 2 });
        assert_eq!(failed_test(&lines[0]), Some("a::b"));
    }

    #[test]
    fn what_a_failed_test_said_is_kept() {
        let lines = [
            "failures:",
            "",
            "---- a::b stdout ----",
            "",
            "no frame",
            "stack backtrace:",
            "   0: x",
            "---- c stdout ----",
        ];
        assert_eq!(said_of("a::b", &lines.map(str::to_owned)), "a::b\nno frame");
    }
}
