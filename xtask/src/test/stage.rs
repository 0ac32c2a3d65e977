//! Where one test of the served areas runs: skipping, timing, and telling what went wrong.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use serde_json::Value;

use super::{Area, Request};
use crate::process::{Finished, Job};
use crate::progress;
use crate::report::{Outcome, Report};
use crate::server::{Options, Server};
use crate::setup::{Found, Tools};
use crate::stalls::Stalls;
use crate::workspace::{Profile, Workspace};

/// How often a test is run where the machine stands still each time.
const ATTEMPTS: usize = 3;
/// More of a group that fail are broken: running them again would only take time.
pub(super) const MANY: usize = 5;

/// Takes what is told of one test of a group: its name, what was seen, how long it took.
pub(crate) type Tell<'a> = &'a mut dyn FnMut(&str, Result<String>, Duration);

/// A test of a group that failed.
struct Failure<'n> {
    name: &'n str,
    error: anyhow::Error,
    elapsed: Duration,
    /// Its own failure, not that of what the group shares before it had its turn.
    is_own: bool,
}

/// One run over the areas that start a server.
pub(crate) struct Stage<'a> {
    workspace: &'a Workspace,
    tools: Tools,
    only: Option<String>,
    area: String,
    report: Report,
}

impl<'a> Stage<'a> {
    pub(crate) fn new(workspace: &'a Workspace, request: &Request) -> Self {
        Self {
            workspace,
            tools: request.tools.clone(),
            only: request.only.clone(),
            area: String::new(),
            report: Report::default(),
        }
    }

    pub(crate) fn workspace(&self) -> &'a Workspace {
        self.workspace
    }

    pub(crate) fn tools(&self) -> Tools {
        self.tools.clone()
    }

    pub(crate) fn enter(&mut self, area: Area) {
        self.area = area.name();
    }

    pub(crate) fn into_report(self) -> Report {
        self.report
    }

    /// Runs one test, unless something it needs is missing. `Ok` holds what was seen, for the table.
    ///
    /// One that fails is run once more, and again where the machine stood still meanwhile: a browser that is held up
    /// keeps no limit of time. That is told in the report, for it may as well be a defect that shows now and then.
    pub(crate) fn case(
        &mut self,
        name: &str,
        needs: &[&Found],
        body: impl Fn() -> Result<String>,
    ) -> Result<()> {
        if !self.is_wanted(name) || self.is_skipped(name, needs) {
            return Ok(());
        }
        progress(format!("{}: {name}", self.area));
        let started = Instant::now();
        let mut failures = Vec::new();
        let result = loop {
            let stalls = Stalls::watch();
            match body() {
                Err(error) if may_repeat(failures.len(), stalls.happened()) => {
                    progress(format!("{name}: once more, for it failed: {error:#}"));
                    failures.push(format!("{error:#}"));
                }
                ended => break ended,
            }
        };
        self.add(name, &result, failures, started.elapsed());
        Ok(())
    }

    /// Runs tests that share what takes long to start. `body` gets the names that are wanted and tells of each
    /// as it ends; one that it never tells of has failed, for the reason that `body` ended with. A few that fail are run
    /// again as [`Self::case`] does.
    pub(crate) fn group(
        &mut self,
        names: &[&str],
        needs: &[&Found],
        mut body: impl FnMut(&[&str], Tell<'_>) -> Result<()>,
    ) -> Result<()> {
        let wanted: Vec<&str> = names.iter().copied().filter(|name| self.is_wanted(name)).collect();
        let mut open: Vec<&str> = wanted.into_iter().filter(|name| !self.is_skipped(name, needs)).collect();
        let mut before: HashMap<&str, Vec<String>> = HashMap::new();
        for attempt in 0.. {
            if open.is_empty() {
                break;
            }
            let stalls = Stalls::watch();
            let failed = self.attempt(&open, &mut before, &mut body);
            let own = failed.iter().filter(|failure| failure.is_own).count();
            let repeat = own <= MANY && may_repeat(attempt, stalls.happened());
            open.clear();
            for Failure { name, error, elapsed, .. } in failed {
                if repeat {
                    progress(format!("{name}: once more, for it failed: {error:#}"));
                    before.entry(name).or_default().push(format!("{error:#}"));
                    open.push(name);
                } else {
                    self.add(name, &Err(error), Vec::new(), elapsed);
                }
            }
        }
        Ok(())
    }

    /// Runs a group once, adds what passed, and returns what failed. `before` are the failures of earlier attempts.
    fn attempt<'n>(
        &mut self,
        asked: &[&'n str],
        before: &mut HashMap<&'n str, Vec<String>>,
        body: &mut impl FnMut(&[&str], Tell<'_>) -> Result<()>,
    ) -> Vec<Failure<'n>> {
        let started = Instant::now();
        let mut open = asked.to_vec();
        let mut failed = Vec::new();
        let ended = body(asked, &mut |name, result, elapsed| {
            let Some(index) = open.iter().position(|other| *other == name) else { return };
            let name = open.remove(index);
            match result {
                Ok(_) => self.add(name, &result, before.remove(name).unwrap_or_default(), elapsed),
                Err(error) => failed.push(Failure { name, error, elapsed, is_own: true }),
            }
        });
        let elapsed = started.elapsed();
        let reason = match ended {
            Ok(()) => anyhow!("nothing was told of it"),
            Err(error) if open.is_empty() => {
                // All cases ended, and then something else went wrong: that must not get lost.
                self.add("what these cases share", &Err(error), Vec::new(), elapsed);
                return failed;
            }
            Err(error) => error,
        };
        failed.extend(open.into_iter().map(|name| Failure {
            name,
            error: anyhow!("{reason:#}"),
            elapsed,
            is_own: false,
        }));
        failed
    }

    fn is_wanted(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| name.contains(only.as_str()))
    }

    fn is_skipped(&mut self, name: &str, needs: &[&Found]) -> bool {
        let missing = needs.iter().find_map(|found| found.as_ref().err());
        if let Some(reason) = missing {
            self.report.skip(&self.area, name, reason);
        }
        missing.is_some()
    }

    fn add(&mut self, name: &str, result: &Result<String>, failures: Vec<String>, elapsed: Duration) {
        match result {
            Ok(detail) => self.report.add_repeated(&self.area, name, detail, failures, elapsed),
            Err(error) => {
                // The whole chain of causes; a backtrace would say where in here it was noticed.
                let detail = format!("{error:#}");
                eprintln!("{detail}");
                self.report.add(&self.area, name, Outcome::Failed, &detail, elapsed);
            }
        }
    }
}

/// Whether what has failed so often before is to be run again.
fn may_repeat(failures: usize, stalled: bool) -> bool {
    failures == 0 || (stalled && failures + 1 < ATTEMPTS)
}

/// Starts a server for one test, runs it, and adds the server's last words to a failure.
pub(crate) fn with_server(
    workspace: &Workspace,
    name: &str,
    fault_injection: bool,
    body: impl FnOnce(&mut Server) -> Result<String>,
) -> Result<String> {
    let options = Options { profile: Profile::Dev, name, fault_injection, prefix: &[] };
    watched(Server::start(workspace, &options)?, body)
}

/// The same with a server that is told more by flags.
pub(crate) fn with_server_told(
    workspace: &Workspace,
    name: &str,
    flags: &[&str],
    body: impl FnOnce(&mut Server) -> Result<String>,
) -> Result<String> {
    let options = Options { profile: Profile::Dev, name, fault_injection: false, prefix: &[] };
    watched(Server::start_with(workspace, &options, flags)?, body)
}

/// The same with another program that listens where it is told and prints the address of its page.
pub(crate) fn with_program(
    workspace: &Workspace,
    name: &str,
    program: &Path,
    body: impl FnOnce(&mut Server) -> Result<String>,
) -> Result<String> {
    watched(Server::start_program(workspace, program, &[], name)?, body)
}

fn watched(mut server: Server, body: impl FnOnce(&mut Server) -> Result<String>) -> Result<String> {
    let result = body(&mut server);
    let result = match (result, server.is_running()) {
        (Ok(_), Ok(false)) => Err(anyhow!("the server ended by itself")),
        (result, _) => result,
    };
    result.inspect_err(|_| eprintln!("{}", server.tail(40)))
}

/// A browser script with its arguments and the environment it needs.
pub(crate) fn script(
    workspace: &Workspace,
    tools: &Tools,
    name: &str,
    server: &Server,
    deadline: Duration,
) -> Result<Job> {
    let needed = |found: &Found| found.clone().map_err(|reason| anyhow!(reason));
    let (node, chromium) = (needed(&tools.playwright)?, needed(&tools.chromium)?);
    let path = workspace.browser_scripts().join(name);
    if !path.is_file() {
        bail!("interop/browser/{name} is missing");
    }
    let out = artifacts(workspace, name.trim_end_matches(".mjs"))?;
    let mut command = Command::new(node);
    command.arg(path).args(["--url", &format!("{}/", server.url())]).arg("--out").arg(out);
    command.env("CHROMIUM", chromium).current_dir(workspace.browser_scripts());
    let log = workspace.logs().join(format!("{}.script.log", name.trim_end_matches(".mjs")));
    Ok(Job::new(name, command, deadline).log(log))
}

/// An empty folder for what a test leaves behind.
pub(crate) fn artifacts(workspace: &Workspace, name: &str) -> Result<PathBuf> {
    let folder = workspace.artifacts().join(name);
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// The result a script printed: it must have ended well and have said what it saw.
pub(crate) fn result_of(finished: &Finished) -> Result<Value> {
    let json = finished.json();
    if !finished.succeeded() {
        eprintln!("{}", finished.tail(40));
        let said = json.as_ref().and_then(|json| json["error"].as_str().or_else(|| json["reason"].as_str()));
        bail!("{}{}", said.map(|said| format!("{said}; ")).unwrap_or_default(), finished.ending());
    }
    let json = json.ok_or_else(|| anyhow!("{} printed no result", finished.name))?;
    if json["ok"] == false || json["passed"] == false {
        bail!("{} says: {json}", finished.name);
    }
    Ok(json)
}
