//! Publishers and subscribers of one room.

use std::{
    cell::RefCell,
    rc::Rc,
    time::{Duration, Instant},
};

use actix_rtc::{
    LocalTrackWriter, MediaKind, MediaStreamTrack, NetworkConfig, RtcConfiguration, RtcEngine,
    RtcEngineConfig, RtcPeerConnection, RtcPeerConnectionEvent, RtcPeerConnectionState,
    RtcRtpTransceiverDirection, RtcRtpTransceiverInit, UdpMode, local_track,
};
use anyhow::{Context, bail};
use clap::Args;
use futures_util::StreamExt;
use serde::Serialize;
use tokio::task::LocalSet;

use crate::{
    media::{FRAMES_PER_SECOND, FrameSource, stamp_of},
    signalling,
    tally::Tally,
};

/// A peer that has not connected by then never will.
const CONNECT_DEADLINE: Duration = Duration::from_secs(20);

/// What to publish, and for whom.
#[derive(Args, Clone)]
pub(crate) struct Options {
    /// Address of the server, e.g. http://127.0.0.1:8080
    #[arg(long)]
    url: String,
    /// Room to publish to.
    #[arg(long, default_value = "bench")]
    room: String,
    /// Peers that publish one video track each.
    #[arg(long, default_value_t = 1)]
    publishers: usize,
    /// Peers that receive all that the publishers send.
    #[arg(long, default_value_t = 50)]
    subscribers: usize,
    /// RTP payload per packet, in bytes.
    #[arg(long, default_value_t = 1_000)]
    packet_bytes: usize,
    /// Packets per second of each publisher; sent as 30 frames per second.
    #[arg(long, default_value_t = 300)]
    packets_per_second: u32,
    /// Seconds before counting starts.
    #[arg(long, default_value_t = 2.0)]
    warmup: f64,
    /// Seconds that are counted.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Where JSON lines go; only `-`, the standard output, is supported.
    #[arg(long, default_value = "-")]
    json: String,
}

#[derive(Serialize)]
struct WindowEnd {
    event: &'static str,
    received: u64,
    sent: u64,
    lost: u64,
    damaged: u64,
    out_of_order: u64,
    seconds: f64,
    latency_ms_p50: f64,
    latency_ms_p99: f64,
    latency_ms_max: f64,
}

/// Runs the load and prints `window_start` and `window_end`.
pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    if options.json != "-" {
        bail!("--json {}: only - (standard output) is supported", options.json);
    }
    let mut config = RtcEngineConfig::default();
    config.shards.count = 1;
    config.shards.pin = false;
    // As with browsers: the server tells its peers apart by their addresses.
    config.udp = UdpMode::PerConnection;
    let mut network = NetworkConfig::default();
    network.include_loopback = true;
    config.network = network;
    let engine = RtcEngine::start(config).await?;
    LocalSet::new().run_until(load(&engine, &options)).await?;
    engine.shutdown(Duration::from_secs(2)).await?;
    Ok(())
}

async fn load(engine: &RtcEngine, options: &Options) -> anyhow::Result<()> {
    let started = Instant::now();
    let sent = Rc::new(RefCell::new(0));
    let mut connections = Vec::new();
    for number in 0..options.publishers {
        connections.push(publish(engine, options, number, started, Rc::clone(&sent)).await?);
    }
    let mut tallies = Vec::new();
    for number in 0..options.subscribers {
        let (connection, tally) = subscribe(engine, options, started).await?;
        connections.push(connection);
        tallies.push(tally);
        if (number + 1) % 10 == 0 {
            eprintln!("{} of {} subscribers connected", number + 1, options.subscribers);
        }
    }
    tokio::time::sleep(Duration::from_secs_f64(options.warmup)).await;
    tallies.iter().for_each(|tally| tally.borrow_mut().reset());
    *sent.borrow_mut() = 0;
    let window = Instant::now();
    println!("{}", serde_json::json!({"event": "window_start"}));
    tokio::time::sleep(Duration::from_secs_f64(options.seconds)).await;
    let mut total = Tally::default();
    tallies.iter().for_each(|tally| total.add(&tally.borrow()));
    let end = WindowEnd {
        event: "window_end",
        received: total.received,
        sent: *sent.borrow(),
        lost: total.missing,
        damaged: total.damaged,
        out_of_order: total.out_of_order,
        seconds: window.elapsed().as_secs_f64(),
        latency_ms_p50: total.delays.percentile_ms(0.5),
        latency_ms_p99: total.delays.percentile_ms(0.99),
        latency_ms_max: total.delays.max_ms(),
    };
    println!("{}", serde_json::to_string(&end)?);
    for connection in connections {
        connection.close().await;
    }
    Ok(())
}

async fn publish(
    engine: &RtcEngine,
    options: &Options,
    number: usize,
    started: Instant,
    sent: Rc<RefCell<u64>>,
) -> anyhow::Result<RtcPeerConnection> {
    let connection = RtcPeerConnection::on(engine, RtcConfiguration::on_shard(0)).await?;
    let (track, writer) = local_track(engine, 0, format!("video-{number}"), MediaKind::Video).await?;
    let init = RtcRtpTransceiverInit {
        direction: RtcRtpTransceiverDirection::Sendonly,
        streams: vec![format!("publisher-{number}")],
        ..RtcRtpTransceiverInit::default()
    };
    connection.add_transceiver(track, init).await?;
    signalling::call(&connection, &format!("{}/whip/{}", options.url, options.room)).await?;
    wait_connected(&connection).await.with_context(|| format!("publisher {number}"))?;
    let packets_per_frame = (options.packets_per_second / FRAMES_PER_SECOND).max(1) as usize;
    let source = FrameSource::new(started, options.packet_bytes, packets_per_frame);
    tokio::task::spawn_local(send_frames(source, writer, sent));
    Ok(connection)
}

async fn send_frames(mut source: FrameSource, writer: LocalTrackWriter, sent: Rc<RefCell<u64>>) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / FRAMES_PER_SECOND);
    let mut key_frame = true;
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                let packets = source.frame(Instant::now(), std::mem::take(&mut key_frame));
                *sent.borrow_mut() += packets.len() as u64;
                writer.write_all(packets.into_iter());
            }
            () = writer.key_frame_wanted() => key_frame = true,
        }
    }
}

async fn subscribe(
    engine: &RtcEngine,
    options: &Options,
    started: Instant,
) -> anyhow::Result<(RtcPeerConnection, Rc<RefCell<Tally>>)> {
    let connection = RtcPeerConnection::on(engine, RtcConfiguration::on_shard(0)).await?;
    for _ in 0..options.publishers {
        let init = RtcRtpTransceiverInit {
            direction: RtcRtpTransceiverDirection::Recvonly,
            ..RtcRtpTransceiverInit::default()
        };
        connection.add_transceiver(MediaKind::Video, init).await?;
    }
    let mut events = connection.events().context("events were taken")?;
    signalling::call(&connection, &format!("{}/whep/{}", options.url, options.room)).await?;
    let tally = Rc::new(RefCell::new(Tally::default()));
    let counted = Rc::clone(&tally);
    let (connected, is_connected) = tokio::sync::oneshot::channel();
    tokio::task::spawn_local(async move {
        let mut connected = Some(connected);
        while let Some(event) = events.next().await {
            match event {
                RtcPeerConnectionEvent::Track { track, .. } => {
                    tokio::task::spawn_local(count(track, started, Rc::clone(&counted)));
                }
                RtcPeerConnectionEvent::ConnectionStateChange(RtcPeerConnectionState::Connected) => {
                    // The receiver is gone only when the caller has given up.
                    let _ = connected.take().map(|connected| connected.send(()));
                }
                _ => {}
            }
        }
    });
    tokio::time::timeout(CONNECT_DEADLINE, is_connected).await.context("subscriber did not connect")??;
    Ok((connection, tally))
}

async fn count(track: MediaStreamTrack, started: Instant, tally: Rc<RefCell<Tally>>) {
    let mut lots = track.packets();
    while let Some(lot) = lots.next().await {
        let now = started.elapsed().as_nanos() as u64;
        let mut tally = tally.borrow_mut();
        for packet in &lot.packets {
            match stamp_of(&packet.payload) {
                Some(stamp) => tally.arrived(stamp.number, now.saturating_sub(stamp.nanoseconds) / 1_000),
                None => tally.damaged += 1,
            }
        }
    }
}

async fn wait_connected(connection: &RtcPeerConnection) -> anyhow::Result<()> {
    let mut events = connection.events().context("events were taken")?;
    let connected = events.until(RtcPeerConnectionState::Connected);
    if !tokio::time::timeout(CONNECT_DEADLINE, connected).await.context("did not connect in time")? {
        bail!("the connection failed");
    }
    Ok(())
}
