//! Connections of ICE alone, in pairs within this process: what connecting one costs, and what an idle one holds.
//!
//! A connect is everything from a new connection to a datagram that has arrived: gathering, candidates and
//! credentials exchanged by function calls, checks, nomination. CPU time is this process's, all threads.
//! `interop/aioice/bench.py` does the same with aioice, and prints the same line.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use actix_rtc::{
    NetworkConfig, RtcEngine, RtcEngineConfig,
    ice::{IceConnection, IceConnectionConfig, IceRole},
};
use anyhow::{Context, Result};
use clap::Args;
use futures_util::{StreamExt, stream};

/// How many connections.
#[derive(Args)]
pub(crate) struct Options {
    /// Pairs to connect, use once, and close.
    #[arg(long, default_value_t = 200)]
    pairs: usize,
    /// Pairs to connect and keep, for their memory.
    #[arg(long, default_value_t = 1_000)]
    idle_pairs: usize,
    /// Pairs that are connecting at the same time.
    #[arg(long, default_value_t = 20)]
    concurrency: usize,
    /// How long the idle ones are kept before memory is read.
    #[arg(long, default_value_t = 3.0)]
    settle_seconds: f64,
    /// Where JSON goes; only `-`, the standard output, is supported.
    #[arg(long, default_value = "-")]
    json: String,
}

/// Connects, closes, connects and keeps; prints one JSON line.
pub(crate) async fn run(options: Options) -> Result<()> {
    let mut config = RtcEngineConfig::default();
    config.shards.count = 1;
    config.shards.pin = false;
    let mut network = NetworkConfig::default();
    network.include_loopback = true;
    network.ipv6 = false;
    network.advertise = vec![Ipv4Addr::LOCALHOST.into()];
    config.network = network;
    let engine = RtcEngine::start(config).await?;

    // What the first connections of a process load and allocate is not theirs alone.
    drop(pairs(&engine, options.concurrency, options.concurrency).await?);
    let (cpu, started) = (process_cpu_seconds()?, Instant::now());
    let mut connected = stream::iter(0..options.pairs)
        .map(|_| async {
            let (one, other) = pair(&engine).await?;
            tokio::join!(one.close(), other.close());
            anyhow::Ok(())
        })
        .buffer_unordered(options.concurrency);
    while let Some(done) = connected.next().await {
        done?;
    }
    let (cpu, wall) = (process_cpu_seconds()? - cpu, started.elapsed());

    let before = resident_bytes()?;
    let kept = pairs(&engine, options.idle_pairs, options.concurrency).await?;
    tokio::time::sleep(Duration::from_secs_f64(options.settle_seconds)).await;
    let grown = resident_bytes()?.saturating_sub(before);
    let connects = 2 * options.pairs;
    let line = serde_json::json!({
        "connects": connects,
        "cpu_ms_per_connect": cpu * 1e3 / connects as f64,
        "connects_per_second": connects as f64 / wall.as_secs_f64(),
        "idle_connections": 2 * kept.len(),
        "bytes_per_idle_connection": grown as f64 / (2 * kept.len()).max(1) as f64,
    });
    println!("{line}");
    Ok(())
}

async fn pairs(
    engine: &RtcEngine,
    count: usize,
    concurrency: usize,
) -> Result<Vec<(IceConnection, IceConnection)>> {
    let connecting = stream::iter(0..count).map(|_| pair(engine)).buffer_unordered(concurrency);
    connecting.collect::<Vec<_>>().await.into_iter().collect()
}

/// Two connections that have exchanged a datagram each way.
async fn pair(engine: &RtcEngine) -> Result<(IceConnection, IceConnection)> {
    let one = IceConnection::new(engine, IceConnectionConfig::new(IceRole::Controlling)).await?;
    let other = IceConnection::new(engine, IceConnectionConfig::new(IceRole::Controlled)).await?;
    tokio::try_join!(one.gather(), other.gather())?;
    for (from, to) in [(&one, &other), (&other, &one)] {
        to.set_remote_credentials(from.local_credentials()).await?;
        for candidate in from.local_candidates() {
            to.add_remote_candidate(Some(candidate)).await?;
        }
        to.add_remote_candidate(None).await?;
    }
    tokio::try_join!(one.connect(), other.connect())?;
    for (from, to) in [(&one, &other), (&other, &one)] {
        from.send("howdee").await?;
        anyhow::ensure!(to.recv().await? == "howdee", "another datagram arrived");
    }
    Ok((one, other))
}

/// CPU time of all threads of this process, user and system.
fn process_cpu_seconds() -> Result<f64> {
    let mut nanoseconds = 0;
    for task in std::fs::read_dir("/proc/self/task").context("CPU time is read on Linux only")? {
        // A thread may end meanwhile.
        let Ok(text) = std::fs::read_to_string(task?.path().join("schedstat")) else { continue };
        nanoseconds += text.split_whitespace().next().context("schedstat is empty")?.parse::<u64>()?;
    }
    Ok(nanoseconds as f64 / 1e9)
}

fn resident_bytes() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kibibytes * 1024)
}
