//! `cargo xtask interop NAME`, and the area `interop` of the tests: calls with real peers.

mod aioice;
mod calls;
mod coturn;
mod examples;
mod nat;
mod paths;

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use clap::{Args, ValueEnum};

use crate::process::{Finished, Job};
use crate::progress;
use crate::server::Server;
use crate::setup::{self, Tools};
use crate::test::{
    self, Area, Request, Stage, artifacts, result_of, script, with_program, with_server, with_server_told,
};
use crate::workspace::{Profile, Workspace};

const SCRIPT_DEADLINE: Duration = Duration::from_secs(180);
/// Named so that `--only` can pick them; the first part is the peer.
const AIORTC_BOTH_WAYS: &str = "aiortc publishes and subscribes";
const AIORTC_ECHO: &str = "aiortc and the echo example";
const CHROMIUM_ECHO: &str = "Chromium and the echo example";
const AIORTC_AND_CHROMIUM: &str = "aiortc and Chromium in one room";
const OF_ICE_LITE: &str = "aiortc and Chromium at an ICE-lite server";

/// A peer to call.
#[derive(Clone, Copy, ValueEnum)]
enum Peer {
    /// aiortc from PyPI: call by call, by WHIP and WHEP, and in a room with Chromium
    Aiortc,
    /// Chromium, headless: call by call
    Chromium,
    /// aioice from PyPI: ICE alone
    Aioice,
    /// Two of our own, behind every combination of NATs and with an interface that goes away, in network
    /// namespaces: needs root. Leaves its table in target/test-artifacts/nat, as Markdown and JSON
    Nat,
}

#[derive(Args)]
pub(crate) struct Arguments {
    /// The peer
    #[arg(value_enum)]
    name: Peer,
    /// Use the machine's own loopback even where a network namespace could be made
    #[arg(long)]
    no_namespace: bool,
    /// Of `nat`, run only the cells whose name contains this: "symmetric ×"
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Of `nat`, don't build first
    #[arg(long)]
    no_build: bool,
}

pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<bool> {
    let tools = setup::install(workspace);
    if !arguments.no_build {
        test::build_programs(workspace)?;
    }
    let only = match arguments.name {
        Peer::Aiortc => "aiortc",
        Peer::Chromium => "Chromium",
        Peer::Aioice => "aioice",
        Peer::Nat => return nat::run(workspace, &tools, arguments.only.as_deref()),
    };
    let request = Request { areas: vec![Area::Interop], only: Some(only.to_owned()), tools };
    let report = test::run_served(workspace, request, !arguments.no_namespace)?;
    report.print();
    Ok(!report.any_failed())
}

pub(crate) fn run_all(stage: &mut Stage<'_>) -> Result<()> {
    let (workspace, tools) = (stage.workspace(), stage.tools());
    stage.case(AIORTC_BOTH_WAYS, &[&tools.aiortc], || {
        with_server(workspace, "aiortc", false, |server| {
            let finished = python(workspace, &tools, "publish_subscribe.py", server)?;
            let seen = result_of(&finished)?;
            let (frames, samples) = (&seen["subscriber"]["frames"], &seen["subscriber"]["audio_samples"]);
            if frames.as_u64().unwrap_or(0) == 0 {
                bail!("no frame arrived: {seen}");
            }
            Ok(format!("{frames} frames and {samples} audio samples arrived"))
        })
    })?;
    stage.case(AIORTC_ECHO, &[&tools.aiortc], || {
        let example = workspace.target.join(Profile::Dev.folder()).join("examples/echo");
        with_program(workspace, "aiortc-echo", &example, |server| {
            let seen = result_of(&python(workspace, &tools, "echo.py", server)?)?;
            Ok(format!("{} frames and {} audio samples came back", seen["frames"], seen["audio_samples"]))
        })
    })?;
    stage.case(CHROMIUM_ECHO, &[&tools.playwright, &tools.chromium], || {
        let example = workspace.target.join(Profile::Dev.folder()).join("examples/echo");
        with_program(workspace, "chromium-echo", &example, |server| {
            let seen = result_of(&script(workspace, &tools, "echo.mjs", server, SCRIPT_DEADLINE)?.run()?)?;
            Ok(format!(
                "{} frames came back; pings of its page took {}",
                seen["byPost"]["frames"], seen["byPage"]
            ))
        })
    })?;
    nat::run_short(stage)?;
    examples::run(stage)?;
    calls::run(stage)?;
    aioice::run(stage)?;
    paths::run(stage)?;
    let needs = [&tools.aiortc, &tools.playwright, &tools.chromium];
    for (name, flags) in [(AIORTC_AND_CHROMIUM, &[][..]), (OF_ICE_LITE, &["--ice-lite"][..])] {
        stage.case(name, &needs, || {
            with_server_told(workspace, "aiortc-and-chromium", flags, |server| {
                let seen = result_of(&python(workspace, &tools, "with_chromium.py", server)?)?;
                if seen["ice_lite"] != !flags.is_empty() {
                    bail!("the server was told {flags:?} and said otherwise: {seen}");
                }
                Ok(format!(
                    "Chromium decoded {} frames of aiortc, aiortc {} of Chromium",
                    seen["chromium"]["frames"], seen["aiortc"]["frames"]
                ))
            })
        })?;
    }
    Ok(())
}

fn python(workspace: &Workspace, tools: &Tools, name: &str, server: &Server) -> Result<Finished> {
    let python = tools.aiortc.clone().map_err(|reason| anyhow!(reason))?;
    let stem = name.trim_end_matches(".py");
    let mut command = Command::new(python);
    command.arg(workspace.aiortc_scripts().join(name)).args(["--url", &format!("{}/", server.url())]);
    command.arg("--out").arg(artifacts(workspace, stem)?);
    if let (Ok(node), Ok(chromium)) = (&tools.playwright, &tools.chromium) {
        command.env("NODE", node).env("CHROMIUM", chromium);
    }
    // Nothing is to be written beside the sources.
    command.env("PYTHONDONTWRITEBYTECODE", "1").current_dir(workspace.aiortc_scripts());
    progress(format!("interop/aiortc/{name}"));
    Job::new(name, command, SCRIPT_DEADLINE).log(workspace.logs().join(format!("{stem}.script.log"))).run()
}
