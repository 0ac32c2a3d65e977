//! Chromium in rooms: what people see, and what an injected panic does to it.

use std::time::Duration;

use anyhow::{Result, bail};

use super::stage::{Stage, result_of, script, with_server, with_server_told};
use crate::shown;

const SCRIPT_DEADLINE: Duration = Duration::from_secs(300);
const RESTARTS: &str = "actix_rtc_actor_restarts_total";
const TAKEN: &str = "actix_rtc_lane_packets_taken_total";
/// A room whose members live on two threads.
const SPREAD: [&str; 4] = ["--shards", "2", "--room-placement", "spread"];

pub(crate) fn run(stage: &mut Stage<'_>) -> Result<()> {
    let (workspace, tools) = (stage.workspace(), stage.tools());
    let needs = [&tools.playwright, &tools.chromium];
    stage.case("three in a room", &needs, || {
        with_server_told(workspace, "three-in-a-room", &SPREAD, |server| {
            let finished =
                script(workspace, &tools, "three_in_a_room.mjs", server, SCRIPT_DEADLINE)?.run()?;
            result_of(&finished)?;
            if server.scrape()?.sum(TAKEN, &[("lane", "relay")]) == 0.0 {
                bail!("no packet went from one thread to the other");
            }
            Ok(format!("screenshots in {}", shown(workspace, &workspace.artifacts().join("three_in_a_room"))))
        })
    })?;
    stage.case("chat and a file in a room", &needs, || {
        with_server(workspace, "room-data", false, |server| {
            let finished = script(workspace, &tools, "room_data.mjs", server, SCRIPT_DEADLINE)?.run()?;
            let seen = result_of(&finished)?;
            Ok(format!("{} bytes in {} s, equal SHA-256", seen["fileBytes"], seen["fileSeconds"]))
        })
    })?;
    stage.case("a panic in a sender heals", &needs, || {
        with_server(workspace, "panic-in-sender", true, |server| {
            let before = server.scrape()?.sum(RESTARTS, &[]);
            let finished =
                script(workspace, &tools, "panic_in_sender.mjs", server, SCRIPT_DEADLINE)?.run()?;
            result_of(&finished)?;
            let scrape = server.scrape()?;
            let restarts = scrape.sum(RESTARTS, &[]) - before;
            if restarts != 1.0 {
                bail!("{RESTARTS} grew by {restarts} instead of 1: {:?}", scrape.by_label(RESTARTS, "actor"));
            }
            Ok("one restart counted, viewers keep decoding".to_owned())
        })
    })
}
