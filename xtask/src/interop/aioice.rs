//! aioice, the ICE agent of aiortc, against our ICE alone (`interop/peer --ice`), case by case.
//!
//! As with calls, the names are held here and in the script.

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};

use super::calls::pass_on;
use crate::process::Job;
use crate::progress;
use crate::setup::Tools;
use crate::test::{Stage, Tell};
use crate::workspace::{Profile, Workspace};

/// All cases: each ends by itself within half a minute.
const DEADLINE: Duration = Duration::from_secs(8 * 60);

const CASES: &[&str] = &[
    "aioice controls: one component",
    "aioice is controlled: one component",
    "aioice controls: two components",
    "aioice is controlled: two components",
    "aioice controls: candidates trickle",
    "aioice is controlled: candidates trickle",
    "aioice controls: two components, candidates trickle",
    "aioice is controlled: two components, candidates trickle",
    "aioice controls: we are lite",
    "aioice controls: we are lite, two components",
    "aioice has two components, we have one",
    "aioice has one component, we have two",
    "aioice and we both control",
    "aioice and we are both controlled",
    "aioice controls: our candidates are not told",
    "aioice is controlled: its candidates are not told",
    "we are told a wrong password",
    "aioice is told a wrong password",
    "aioice closes, and we notice",
];

pub(super) fn run(stage: &mut Stage<'_>) -> Result<()> {
    let (workspace, tools) = (stage.workspace(), stage.tools());
    stage.group(CASES, &[&tools.aiortc], |names, tell| script(workspace, &tools, names, tell))
}

fn script(workspace: &Workspace, tools: &Tools, names: &[&str], tell: Tell<'_>) -> Result<()> {
    let python = tools.aiortc.as_ref().map_err(|reason| anyhow!("{reason}"))?;
    let peer = workspace.binary("interop-peer", Profile::Dev);
    let mut command = Command::new(python);
    // Nothing is to be written beside the sources.
    command.args(["-B", "connections.py"]).arg("--peer").arg(peer);
    command.args(["--known", &serde_json::to_string(CASES)?, "--cases", &serde_json::to_string(names)?]);
    command.current_dir(workspace.aioice_scripts());
    progress(format!("aioice: {} cases", names.len()));
    let log = workspace.logs().join("aioice.script.log");
    let mut script = Job::new("aioice", command, DEADLINE).log(log).start()?;
    for case in names {
        if let Err(error) = pass_on(&mut script, case, tell) {
            eprintln!("{}", script.tail(30));
            return Err(error);
        }
    }
    let finished = script.finish()?;
    if !finished.succeeded() {
        bail!("{}", finished.ending());
    }
    Ok(())
}
