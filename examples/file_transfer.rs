//! Sends a file over a data channel, from one terminal to another, with a checksum; goes on where it stopped when
//! the connection was lost, or when either program was started again.
//!
//! ```sh
//! cargo run --example file_transfer -- receive copy.bin --signaling tcp-socket    # first terminal
//! cargo run --example file_transfer -- send original.bin --signaling tcp-socket   # second terminal
//! ```
//!
//! | from | message | means |
//! |---|---|---|
//! | sender | `{"name", "size"}` | what comes |
//! | receiver | `{"offset", "sha256"}` | how much it has, and the checksum of that |
//! | sender | `{"offset"}` | where it begins: there, or at 0 when what the receiver has is something else |
//! | sender | binary | the next bytes |
//! | sender | `{"sha256"}` | of the whole file |
//! | receiver | `{"ok"}` | whether it has got the same |
//!
//! With `--plain` it speaks the protocol of aiortc's `datachannel-filexfer`, which has none of this but chunks and
//! an empty message at the end. The receiver tells the two apart by the channel's subprotocol.

mod signaling;

use std::{
    fs::{File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use actix_rtc::{
    RtcConfiguration, RtcDataChannel, RtcDataChannelEvent, RtcDataChannelEvents, RtcDataChannelInit,
    RtcDataChannelMessage as Message, RtcEngine, RtcPeerConnection, RtcPeerConnectionEvent,
    RtcPeerConnectionState,
};
use anyhow::{Context, Result, bail, ensure};
use clap::{Parser, Subcommand};
use futures_util::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use openssl::sha::Sha256;
use serde_json::{Value, json};
use signaling::{Signaling, SignalingArguments};

/// The subprotocol of the table above.
const PROTOCOL: &str = "actix-rtc-file";
const LABEL: &str = "filexfer";
const CHUNK_BYTES: usize = 64 * 1024;
/// What every WebRTC implementation takes.
const PLAIN_CHUNK_BYTES: usize = 16 * 1024;

/// How often the state of the connection is looked at.
const STATE_INTERVAL: Duration = Duration::from_millis(200);
/// For a sender that vanishes at the very end.
const HANG_UP_PATIENCE: Duration = Duration::from_secs(5);

/// Sends a file over a data channel, or receives one.
#[derive(Parser)]
#[command(about)]
struct Arguments {
    #[command(subcommand)]
    role: Role,
    #[command(flatten)]
    signaling: SignalingArguments,
}

#[derive(Subcommand)]
enum Role {
    /// Send a file: makes the offer
    Send {
        file: PathBuf,
        /// Speak the protocol of aiortc's example: no checksum, no resuming
        #[arg(long)]
        plain: bool,
    },
    /// Receive a file: makes the answer
    Receive { file: PathBuf },
}

/// How one connection ended.
enum End {
    Done,
    /// It can be tried again.
    Lost(&'static str),
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let engine = signaling::engine().await?;
    let mut signaling = Signaling::new(arguments.signaling);
    loop {
        let connection = RtcPeerConnection::on(&engine, RtcConfiguration::default()).await?;
        let end = match &arguments.role {
            Role::Send { file, plain } => send(&connection, &mut signaling, file, *plain).await,
            Role::Receive { file } => receive(&connection, &mut signaling, file).await,
        };
        connection.close().await;
        signaling.close().await;
        match end? {
            End::Done => return shut_down(&engine).await,
            End::Lost(what) => println!("{what}; waiting for the other side"),
        }
    }
}

async fn shut_down(engine: &RtcEngine) -> Result<()> {
    Ok(engine.shutdown(Duration::from_secs(5)).await?)
}

async fn send(
    connection: &RtcPeerConnection,
    signaling: &mut Signaling,
    path: &Path,
    plain: bool,
) -> Result<End> {
    let mut file = File::open(path).with_context(|| path.display().to_string())?;
    let protocol = if plain { String::new() } else { PROTOCOL.to_owned() };
    let init = RtcDataChannelInit { protocol, ..RtcDataChannelInit::default() };
    let channel = connection.create_data_channel(LABEL, init).await?;
    signaling::offer(connection, signaling).await?;
    if plain {
        send_plain(&channel, &mut file).await?;
        // aiortc's receiver says goodbye when it has everything.
        signaling.gone().await;
        return Ok(End::Done);
    }
    tokio::select! {
        end = send_checked(&channel, &mut file, path) => end,
        () = lost(connection, signaling) => Ok(End::Lost("the connection was lost")),
    }
}

async fn send_plain(channel: &RtcDataChannel, file: &mut File) -> Result<()> {
    ensure!(opens(&mut channel.events()).await, "no connection came about");
    let size = file.metadata()?.len();
    send_chunks(channel, file, size, 0, PLAIN_CHUNK_BYTES).await?;
    Ok(channel.send(Message::Text(String::new())).await?)
}

async fn send_checked(channel: &RtcDataChannel, file: &mut File, path: &Path) -> Result<End> {
    let mut events = channel.events();
    if !opens(&mut events).await {
        return Ok(End::Lost("no connection came about"));
    }
    let size = file.metadata()?.len();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    channel.send(json!({ "name": name, "size": size }).to_string()).await?;
    let Some(has) = text(&mut events).await? else { return Ok(End::Lost("the connection was lost")) };
    let offset = agreed_offset(file, size, &has)?;
    channel.send(json!({ "offset": offset }).to_string()).await?;
    if send_chunks(channel, file, size, offset, CHUNK_BYTES).await.is_err() {
        return Ok(End::Lost("the connection was lost"));
    }
    let sum = checksum(file, size)?;
    if channel.send(json!({ "sha256": sum }).to_string()).await.is_err() {
        return Ok(End::Lost("the connection was lost"));
    }
    let Some(result) = text(&mut events).await? else { return Ok(End::Lost("the connection was lost")) };
    ensure!(result["ok"] == true, "the other side got something else: {result}");
    println!("sent {size} bytes, sha256 {sum}");
    Ok(End::Done)
}

/// Waits until nothing more can come of this connection: it has failed, or the other program has gone.
async fn lost(connection: &RtcPeerConnection, signaling: &mut Signaling) {
    let ended = async {
        while !matches!(
            connection.connection_state(),
            RtcPeerConnectionState::Failed | RtcPeerConnectionState::Closed
        ) {
            tokio::time::sleep(STATE_INTERVAL).await;
        }
    };
    tokio::select! {
        () = ended => {}
        () = signaling.gone() => {}
    }
}

/// What the receiver has counts if it is the beginning of our file.
fn agreed_offset(file: &mut File, size: u64, has: &Value) -> Result<u64> {
    let offset = has["offset"].as_u64().context("the other side did not say how much it has")?;
    let same = offset <= size && checksum(file, offset)? == has["sha256"];
    Ok(if same { offset } else { 0 })
}

async fn send_chunks(
    channel: &RtcDataChannel,
    file: &mut File,
    size: u64,
    offset: u64,
    chunk_bytes: usize,
) -> Result<()> {
    let progress = bar(size, offset);
    file.seek(SeekFrom::Start(offset))?;
    loop {
        let mut chunk = vec![0; chunk_bytes];
        let length = file.read(&mut chunk)?;
        if length == 0 {
            progress.finish();
            return Ok(());
        }
        chunk.truncate(length);
        // Waits while too much is under way.
        channel.send(chunk).await?;
        progress.inc(length as u64);
    }
}

async fn receive(connection: &RtcPeerConnection, signaling: &mut Signaling, path: &Path) -> Result<End> {
    let mut events = connection.events().context("the events were taken")?;
    signaling::answer(connection, signaling).await?;
    let channel = loop {
        match events.next().await {
            Some(RtcPeerConnectionEvent::DataChannel(channel)) => break channel,
            Some(RtcPeerConnectionEvent::ConnectionStateChange(
                RtcPeerConnectionState::Failed | RtcPeerConnectionState::Closed,
            ))
            | None => return Ok(End::Lost("no connection came about")),
            Some(_) => {}
        }
    };
    let mut messages = channel.events();
    if channel.protocol() != PROTOCOL {
        return receive_plain(&mut messages, path, signaling).await;
    }
    let end = tokio::select! {
        end = receive_checked(&channel, &mut messages, path) => end,
        () = lost(connection, signaling) => Ok(End::Lost("the connection was lost")),
    };
    if matches!(end, Ok(End::Done)) {
        // The sender hangs up when it has read that all is well.
        let hung_up = async { while messages.message().await.is_some() {} };
        let _ = tokio::time::timeout(HANG_UP_PATIENCE, hung_up).await;
    }
    end
}

async fn receive_checked(
    channel: &RtcDataChannel,
    messages: &mut RtcDataChannelEvents,
    path: &Path,
) -> Result<End> {
    let Some(header) = text(messages).await? else { return Ok(End::Lost("the connection was lost")) };
    let size = header["size"].as_u64().context("the other side did not say how much will come")?;
    println!("receiving {} ({size} bytes)", header["name"]);
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    let has = file.metadata()?.len();
    channel.send(json!({ "offset": has, "sha256": checksum(&mut file, has)? }).to_string()).await?;
    let Some(begin) = text(messages).await? else { return Ok(End::Lost("the connection was lost")) };
    let offset = begin["offset"].as_u64().context("the other side did not say where it begins")?;
    if offset > 0 {
        println!("resumed at {offset}");
    }
    file.set_len(offset)?;
    let Some(expected) = receive_chunks(messages, &mut file, size, offset).await? else {
        return Ok(End::Lost("the connection was lost"));
    };
    let sum = checksum(&mut file, size)?;
    let is_same = expected["sha256"] == sum;
    channel.send(json!({ "ok": is_same }).to_string()).await?;
    ensure!(is_same, "the checksum is {sum} instead of {}", expected["sha256"]);
    println!("received {size} bytes, sha256 {sum}");
    Ok(End::Done)
}

/// Writes what comes; returns the text behind it, or nothing when the connection was lost.
async fn receive_chunks(
    messages: &mut RtcDataChannelEvents,
    file: &mut File,
    size: u64,
    offset: u64,
) -> Result<Option<Value>> {
    let progress = bar(size, offset);
    file.seek(SeekFrom::Start(offset))?;
    loop {
        match messages.message().await {
            Some(Message::Binary(bytes)) => {
                file.write_all(&bytes)?;
                progress.inc(bytes.len() as u64);
            }
            Some(Message::Text(text)) => {
                progress.finish();
                return Ok(Some(serde_json::from_str(&text)?));
            }
            None => return Ok(None),
        }
    }
}

async fn receive_plain(
    messages: &mut RtcDataChannelEvents,
    path: &Path,
    signaling: &mut Signaling,
) -> Result<End> {
    let mut file = File::create(path)?;
    let (started, mut size) = (Instant::now(), 0);
    while let Some(message) = messages.message().await {
        match message {
            Message::Binary(bytes) if !bytes.is_empty() => {
                file.write_all(&bytes)?;
                size += bytes.len();
            }
            // aiortc's sender ends with an empty message, of whichever kind.
            _ if message.is_empty() => {
                let rate = size as f64 * 8.0 / 1e6 / started.elapsed().as_secs_f64();
                println!("received {size} bytes, {rate:.1} Mbit/s");
                signaling.send(&signaling::Message::Bye).await?;
                return Ok(End::Done);
            }
            _ => bail!("the other side sent text"),
        }
    }
    bail!("the connection was lost")
}

/// Whether messages can be sent; otherwise it ended first.
async fn opens(events: &mut RtcDataChannelEvents) -> bool {
    while let Some(event) = events.next().await {
        match event {
            RtcDataChannelEvent::Open => return true,
            RtcDataChannelEvent::Error(_) | RtcDataChannelEvent::Close => return false,
            _ => {}
        }
    }
    false
}

async fn text(events: &mut RtcDataChannelEvents) -> Result<Option<Value>> {
    match events.message().await {
        Some(Message::Text(text)) => Ok(Some(serde_json::from_str(&text)?)),
        Some(Message::Binary(_)) => bail!("the other side sent bytes where text was due"),
        None => Ok(None),
    }
}

/// SHA-256 of the first `size` bytes, in hexadecimal.
fn checksum(file: &mut File, size: u64) -> Result<String> {
    file.seek(SeekFrom::Start(0))?;
    let mut sum = Sha256::new();
    let mut rest = file.take(size);
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match rest.read(&mut chunk)? {
            0 => break,
            length => sum.update(&chunk[..length]),
        }
    }
    Ok(sum.finish().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn bar(size: u64, offset: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
    ProgressBar::new(size)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        .with_position(offset)
}
