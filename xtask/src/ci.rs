//! `cargo xtask ci`: what has to hold before a change lands.

use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::process::Job;
use crate::progress;
use crate::report::{Outcome, Report};
use crate::test;
use crate::workspace::Workspace;

const STEP_DEADLINE: Duration = Duration::from_secs(60 * 60);

pub(crate) fn run(workspace: &Workspace) -> Result<bool> {
    let mut report = Report::default();
    let format = workspace.cargo(&["fmt", "--all", "--check"]);
    step(workspace, &mut report, "fmt", format)?;
    let mut clippy = test::cargo(workspace, "clippy")?;
    clippy.args(["--all-targets", "--", "-D", "warnings"]);
    step(workspace, &mut report, "clippy", clippy)?;
    let xtask = ["clippy", "--package", "xtask", "--locked", "--all-targets", "--", "-D", "warnings"];
    step(workspace, &mut report, "clippy of xtask", workspace.cargo(&xtask))?;
    // What the feature leaves out must not be missed by what stays.
    let library = ["clippy", "--package", "actix-rtc", "--locked", "--no-default-features"];
    let mut bare = workspace.cargo(&library);
    bare.args(["--features", "vendored-openssl", "--", "-D", "warnings"]);
    step(workspace, &mut report, "clippy without metrics", bare)?;
    let mut rustdoc = test::cargo(workspace, "doc")?;
    rustdoc.arg("--no-deps").env("RUSTDOCFLAGS", "-D warnings");
    step(workspace, &mut report, "rustdoc", rustdoc)?;
    // What fails above is quickly mended; the tests are run all the same, to tell everything at once.
    report.append(test::run_all(workspace)?);
    report.print();
    Ok(!report.any_failed())
}

fn step(workspace: &Workspace, report: &mut Report, name: &str, command: Command) -> Result<()> {
    progress(name);
    let log = workspace.logs().join(format!("ci-{}.log", name.replace(' ', "-")));
    let finished = Job::new(name, command, STEP_DEADLINE).log(log).echo().run()?;
    let (outcome, detail) = match finished.succeeded() {
        true => (Outcome::Passed, String::new()),
        false => (Outcome::Failed, finished.ending()),
    };
    report.add("ci", name, outcome, &detail, finished.elapsed);
    Ok(())
}
