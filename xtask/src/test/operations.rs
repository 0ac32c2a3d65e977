//! What an operator relies on: health endpoints, metrics that Prometheus accepts, an orderly end.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::json;

use super::stage::{Stage, with_server};
use crate::http;
use crate::process::Job;
use crate::server::{Options, Server};
use crate::websocket::{Frame, WebSocket};
use crate::workspace::Profile;

/// SIGTERM to the end of the process, with calls to be closed on the way.
const STOP_DEADLINE: Duration = Duration::from_secs(20);
const JOIN_PATIENCE: Duration = Duration::from_secs(20);
/// RFC 6455 §7.4.1: the server is going away.
const GOING_AWAY: u16 = 1001;

pub(crate) fn run(stage: &mut Stage<'_>) -> Result<()> {
    let (workspace, tools) = (stage.workspace(), stage.tools());
    stage.case("page and health endpoints", &[], || {
        with_server(workspace, "health", false, |server| {
            for path in ["/healthz", "/readyz"] {
                let response = http::get(server.address, path)?;
                if response.status != 200 {
                    bail!("{path} answered {}: {}", response.status, response.body);
                }
            }
            let page = http::get(server.address, "/")?;
            let kind = page.header("content-type").unwrap_or_default().to_owned();
            if page.status != 200 || !kind.starts_with("text/html") {
                bail!("the page answered {} with {kind:?}", page.status);
            }
            let missing = http::get(server.address, "/no-such-path")?;
            if missing.status != 404 {
                bail!("a path that does not exist answered {}", missing.status);
            }
            Ok("page, /healthz and /readyz answer 200".to_owned())
        })
    })?;
    let promtool = tools.promtool.clone();
    stage.case("metrics format", &[&tools.promtool], || {
        with_server(workspace, "metrics", false, |server| {
            let promtool = promtool.clone().map_err(|reason| anyhow!(reason))?;
            // A participant makes the series of rooms and peers appear.
            let mut participant = join(server.address, "metrics", "Ann")?;
            let text = server.metrics_text()?;
            let samples = check_metrics(&promtool, &text)?;
            participant.send_json(&json!({"type": "leave"}))?;
            Ok(format!("promtool accepts {samples} samples"))
        })
    })?;
    stage.case("SIGTERM ends the server in order", &[], || {
        let options = Options { profile: Profile::Dev, name: "sigterm", fault_injection: false, prefix: &[] };
        let mut server = Server::start(workspace, &options)?;
        ends_in_order(&mut server).inspect_err(|_| eprintln!("{}", server.tail(40)))
    })
}

/// Joins a room as the page does, without media.
pub(crate) fn join(server: SocketAddr, room: &str, name: &str) -> Result<WebSocket> {
    let mut socket = WebSocket::open(server, "/ws")?;
    socket.send_json(&json!({"type": "join", "room": room, "name": name}))?;
    socket.receive_json(JOIN_PATIENCE, "the joined message", |m| m["type"] == "joined")?;
    Ok(socket)
}

/// Feeds a scrape to `promtool check metrics`; returns how many samples it held.
fn check_metrics(promtool: &Path, text: &str) -> Result<usize> {
    let samples = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).count();
    if samples == 0 {
        bail!("/metrics is empty");
    }
    let mut command = Command::new(promtool);
    command.args(["check", "metrics"]);
    let mut running = Job::new("promtool", command, Duration::from_secs(60)).start()?;
    for line in text.lines() {
        running.write_line(line)?;
    }
    let finished = running.finish()?;
    if !finished.succeeded() {
        bail!("promtool refuses /metrics: {}", finished.lines.join("; "));
    }
    Ok(samples)
}

/// The participant is told, its WebSocket is closed with 1001, and the process ends by itself.
fn ends_in_order(server: &mut Server) -> Result<String> {
    let mut participant = join(server.address, "shutdown", "Ann")?;
    let started = Instant::now();
    server.terminate();
    let announced = participant
        .receive_json(STOP_DEADLINE, "the closing message", |message| message["type"] == "closing")
        .context("the server said nothing before it closed")?;
    if announced["reason"] != "shutdown" {
        bail!("the closing message gives another reason: {announced}");
    }
    match participant.receive(STOP_DEADLINE)? {
        Some(Frame::Close(Some(GOING_AWAY), _)) => {}
        other => bail!("the WebSocket ended with {other:?} instead of close code {GOING_AWAY}"),
    }
    let status = server.wait(STOP_DEADLINE.saturating_sub(started.elapsed()))?;
    let status = status.ok_or_else(|| anyhow!("the server still runs {STOP_DEADLINE:?} after SIGTERM"))?;
    if !status.success() {
        bail!("after SIGTERM the server ended with {status}");
    }
    Ok(format!("ended after {:.1} s, WebSocket closed with 1001", started.elapsed().as_secs_f64()))
}
