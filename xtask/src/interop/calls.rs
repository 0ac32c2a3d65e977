//! Calls between one real peer and our own under remote control (`interop/peer`), case by case.
//!
//! The names are held here and in the script that runs them: so a case whose peer is missing is counted as
//! skipped, and one that only one of the two knows fails.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

use crate::process::{Job, Running};
use crate::progress;
use crate::server::Server;
use crate::test::{Stage, Tell, artifacts, with_program};
use crate::workspace::{Profile, Workspace};

const PEER: &str = "interop-peer";
/// A case ends by itself long before: its waits are limited. This is for a script that hangs.
const CASE_PATIENCE: Duration = Duration::from_secs(120);
/// All cases of one peer.
const SCRIPT_DEADLINE: Duration = Duration::from_secs(20 * 60);

const CHROMIUM: &[&str] = &[
    "Chromium offers: audio and video",
    "Chromium answers: audio and video",
    "Chromium offers: without trickle",
    "Chromium answers: without trickle",
    "Chromium offers: ten times it adds and removes a picture",
    "Chromium answers: ten times it adds and removes a picture",
    "Chromium offers: ten times we add and remove a picture",
    "Chromium answers: ten times we add and remove a picture",
    "Chromium offers: it restarts ICE",
    "Chromium offers: we restart ICE",
    "Chromium answers: it restarts ICE",
    "Chromium answers: we restart ICE",
    "Chromium offers: offers cross, it gives way",
    "Chromium offers: offers cross, we give way",
    "Chromium answers: offers cross, it gives way",
    "Chromium answers: offers cross, we give way",
    "Chromium and we offer at once: it gives way",
    "Chromium and we offer at once: we give way",
    "Chromium offers: H264 only",
    "Chromium answers: H264 only",
    "Chromium offers: VP8 only",
    "Chromium answers: VP8 only",
    "Chromium offers: its bundle policy is balanced",
    "Chromium answers: its bundle policy is balanced",
    "Chromium offers: our bundle policy is balanced",
    "Chromium answers: our bundle policy is balanced",
    "Chromium offers: its bundle policy is max-compat",
    "Chromium answers: its bundle policy is max-compat",
    "Chromium offers: our bundle policy is max-compat",
    "Chromium answers: our bundle policy is max-compat",
    "Chromium offers: its bundle policy is max-bundle",
    "Chromium answers: its bundle policy is max-bundle",
    "Chromium offers: our bundle policy is max-bundle",
    "Chromium answers: our bundle policy is max-bundle",
    "Chromium offers: without a BUNDLE group",
    "Chromium answers: without a BUNDLE group",
    "Chromium offers: unknown codecs",
    "Chromium answers: unknown codecs",
    "Chromium offers: data channels of every mode",
    "Chromium answers: data channels of every mode",
    "Chromium offers: messages of every size",
    "Chromium answers: messages of every size",
    "Chromium offers: a thousand data channels",
    "Chromium answers: a thousand data channels",
    "Chromium offers: 128 MiB each way",
    "Chromium answers: 16 MiB each way",
    "Chromium offers: data beside media",
    "Chromium answers: data beside media",
];

const AIORTC: &[&str] = &[
    "aiortc offers: audio and video",
    "aiortc answers: audio and video",
    "aiortc offers: without trickle",
    "aiortc answers: without trickle",
    "aiortc offers: ten times it adds and removes a picture",
    "aiortc answers: ten times it adds and removes a picture",
    "aiortc offers: ten times we add and remove a picture",
    "aiortc answers: ten times we add and remove a picture",
    "aiortc offers: offers cross, we give way",
    "aiortc and we offer at once: we give way",
    "aiortc offers: H264 only",
    "aiortc answers: H264 only",
    "aiortc offers: VP8 only",
    "aiortc answers: VP8 only",
    "aiortc offers: our bundle policy is balanced",
    "aiortc answers: our bundle policy is balanced",
    "aiortc offers: its bundle policy is balanced",
    "aiortc answers: its bundle policy is balanced",
    "aiortc offers: our bundle policy is max-compat",
    "aiortc answers: our bundle policy is max-compat",
    "aiortc offers: its bundle policy is max-compat",
    "aiortc answers: its bundle policy is max-compat",
    "aiortc offers: our bundle policy is max-bundle",
    "aiortc answers: our bundle policy is max-bundle",
    "aiortc offers: its bundle policy is max-bundle",
    "aiortc answers: its bundle policy is max-bundle",
    "aiortc offers: unknown codecs",
    "aiortc answers: unknown codecs",
    "aiortc offers: data channels of every mode",
    "aiortc answers: data channels of every mode",
    "aiortc offers: messages of every size",
    "aiortc answers: messages of every size",
    "aiortc offers: a thousand data channels",
    "aiortc answers: a thousand data channels",
    "aiortc offers: 16 MiB each way",
    "aiortc answers: 16 MiB each way",
    "aiortc offers: data through a bad network",
    "aiortc answers: data through a bad network",
    "aiortc offers: data beside media",
    "aiortc offers: we restart ICE",
    "aiortc answers: we restart ICE",
];

pub(super) fn run(stage: &mut Stage<'_>) -> Result<()> {
    let (workspace, tools) = (stage.workspace(), stage.tools());
    let needs = [&tools.playwright, &tools.chromium];
    stage.group(CHROMIUM, &needs, |names, tell| {
        let node = tools.playwright.as_ref().map_err(|reason| anyhow!("{reason}"))?;
        let chromium = tools.chromium.as_ref().map_err(|reason| anyhow!("{reason}"))?;
        let mut command = Command::new(node);
        command.arg("calls.mjs").env("CHROMIUM", chromium).current_dir(workspace.browser_scripts());
        calls(workspace, "chromium-calls", CHROMIUM, names, command, tell)
    })?;
    stage.group(AIORTC, &[&tools.aiortc], |names, tell| {
        let python = tools.aiortc.as_ref().map_err(|reason| anyhow!("{reason}"))?;
        let mut command = Command::new(python);
        // Nothing is to be written beside the sources.
        command.args(["-B", "calls.py"]).current_dir(workspace.aiortc_scripts());
        calls(workspace, "aiortc-calls", AIORTC, names, command, tell)
    })
}

/// Starts our peer and the script, and passes on what the script says of each case.
pub(super) fn calls(
    workspace: &Workspace,
    name: &str,
    known: &[&str],
    names: &[&str],
    mut command: Command,
    tell: Tell<'_>,
) -> Result<()> {
    let peer = workspace.binary(PEER, Profile::Dev);
    let run = |server: &mut Server| {
        command.args(["--url", &server.url()]).arg("--out").arg(artifacts(workspace, name)?);
        command.args(["--known", &serde_json::to_string(known)?, "--cases", &serde_json::to_string(names)?]);
        progress(format!("{name}: {} cases", names.len()));
        let log = workspace.logs().join(format!("{name}.script.log"));
        let mut script = Job::new(name, command, SCRIPT_DEADLINE).log(log).start()?;
        for case in names {
            if let Err(error) = pass_on(&mut script, case, tell) {
                eprintln!("{}", script.tail(30));
                return Err(error);
            }
        }
        let finished = script.finish()?;
        if finished.status.is_none() {
            bail!("{}", finished.ending());
        }
        Ok(String::new())
    };
    with_program(workspace, name, &peer, run).map(drop)
}

/// Waits for what the script says of one case.
pub(super) fn pass_on(script: &mut Running, case: &str, tell: Tell<'_>) -> Result<()> {
    let of_case = |line: &str| {
        let said: Value = serde_json::from_str(line).ok()?;
        if said["script"].is_string() && said["ok"] == false {
            // The script itself has failed: nothing more will come.
            return Some(Err(said["reason"].as_str().unwrap_or("no reason").to_owned()));
        }
        (said["case"] == case).then_some(Ok(said))
    };
    let said = script.wait_for_line(CASE_PATIENCE, &format!("a result of “{case}”"), of_case)?;
    let said = said.map_err(|reason| anyhow!(reason))?;
    let detail = said["detail"].as_str().context("a result without detail")?.to_owned();
    let seconds = Duration::from_secs_f64(said["seconds"].as_f64().unwrap_or(0.0).max(0.0));
    let result = if said["ok"] == true { Ok(detail) } else { Err(anyhow!(detail)) };
    tell(case, result, seconds);
    Ok(())
}
