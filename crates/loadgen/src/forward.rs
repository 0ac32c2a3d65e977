//! `forward`: publishers and subscribers of one room or several, for a while, and what arrived.

mod options;
mod room;
mod window;

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::Context;
use tokio::task::LocalSet;

pub(crate) use self::options::Options;
use self::{
    room::{Role, Room},
    window::WindowEnd,
};
use crate::{
    limits::raise_open_files, progress::Bar, signalling::Protocol, usage::Usage, world::Layout, world::World,
};

/// Peers that share a socket: the more, the fewer wake-ups; the fewer, the more room in socket buffers.
const PEERS_PER_SOCKET: usize = 32;
/// For whoever measures to see the server as it is before anybody connects: a hundred peers are there in no time.
const LOOK: Duration = Duration::from_millis(250);
/// What has not come so long after the window counts as lost.
const SETTLING: Duration = Duration::from_millis(500);

/// Runs the load and prints `connecting`, `connected`, `window_start`, `window_closed`, `window_end` and, with
/// `--idle`, `idle_start` and `idle_end`.
pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    options.check()?;
    LocalSet::new().run_until(load(&options)).await
}

async fn load(options: &Options) -> anyhow::Result<()> {
    let peers = options.publishers + options.subscribers;
    let sockets = peers.div_ceil(PEERS_PER_SOCKET);
    // A WebSocket is a connection for as long as the peer; requests are in flight for a moment.
    let connections = if options.protocol == Protocol::Websocket { peers } else { 0 };
    raise_open_files((sockets + connections + 2 * options.in_flight as usize) as u64)?;
    let world =
        World::start(&Layout { first_address: options.first_address, sockets, repair: options.repair })?;
    let room = Rc::new(Room::new(options, world));
    room.connect_all(options.publishers, "publishers", Role::Publisher).await?;
    if options.direct {
        room.add_direct()?;
    }
    room.announce(&serde_json::json!({"event": "connecting"}));
    tokio::time::sleep(LOOK).await;
    let (start, usage) = (Instant::now(), Usage::start()?);
    room.connect_all(options.subscribers, "subscribers", Role::Subscriber).await?;
    room.announce(&room.connected(start, &usage)?);
    tokio::time::sleep(Duration::from_secs_f64(options.warmup)).await;
    let churn = (options.churn > 0.0).then(|| tokio::task::spawn_local(room::churn(Rc::clone(&room))));
    measure(options, &room).await?;
    tokio::time::sleep(Duration::from_secs_f64(options.linger)).await;
    if let Some(churn) = churn {
        churn.abort();
    }
    if options.idle > 0.0 {
        idle(options, &room).await?;
    }
    room.end_all().await;
    Ok(())
}

async fn measure(options: &Options, room: &Rc<Room>) -> anyhow::Result<()> {
    room.start_window();
    let (start, usage) = (Instant::now(), Usage::start()?);
    room.announce(&serde_json::json!({"event": "window_start"}));
    wait(options.seconds).await;
    let closed = room.close_window(start, &usage)?;
    room.announce(&serde_json::json!({"event": "window_closed"}));
    tokio::time::sleep(SETTLING).await;
    report(options, &room.window_end(closed))
}

/// Nothing but what keeps connections alive.
async fn idle(options: &Options, room: &Rc<Room>) -> anyhow::Result<()> {
    room.pause(true);
    // What is under way arrives.
    tokio::time::sleep(SETTLING).await;
    let usage = Usage::start()?;
    room.announce(&serde_json::json!({"event": "idle_start", "connected": room.alive()}));
    tokio::time::sleep(Duration::from_secs_f64(options.idle)).await;
    room.announce(&serde_json::json!({
        "event": "idle_end",
        "connected": room.alive(),
        "generator_cpu_percent": usage.percent()?,
    }));
    room.pause(false);
    Ok(())
}

async fn wait(seconds: f64) {
    let mut bar = Bar::new("seconds", seconds.ceil() as usize);
    let start = Instant::now();
    while start.elapsed().as_secs_f64() < seconds {
        bar.set(start.elapsed().as_secs() as usize);
        let left = seconds - start.elapsed().as_secs_f64();
        tokio::time::sleep(Duration::from_secs_f64(left.clamp(0.0, 1.0))).await;
    }
    bar.set(seconds.ceil() as usize);
}

fn report(options: &Options, end: &WindowEnd) -> anyhow::Result<()> {
    end.warn();
    let line = serde_json::to_string(end)?;
    if options.json.as_os_str() == "-" {
        println!("{line}");
        return Ok(());
    }
    std::fs::write(&options.json, line + "\n").with_context(|| options.json.display().to_string())
}
