//! A data channel between two terminals: one side pings once per second, the other answers.
//!
//! ```sh
//! cargo run --example data_channel -- answer --signaling tcp-socket     # first terminal
//! cargo run --example data_channel -- offer --signaling tcp-socket      # second terminal
//! ```
//!
//! Without `--signaling` each side prints a line to paste into the other. aiortc's `datachannel-cli` speaks the
//! same protocol and can be either side.

mod signaling;

use std::time::{Duration, Instant};

use actix_rtc::{
    RtcConfiguration, RtcDataChannel, RtcDataChannelEvent, RtcDataChannelInit, RtcDataChannelMessage,
    RtcPeerConnection, RtcPeerConnectionEvent, RtcPeerConnectionState,
};
use anyhow::{Context, Result, bail};
use clap::{Parser, ValueEnum};
use futures_util::StreamExt;
use signaling::{Signaling, SignalingArguments};

/// Pings over a data channel and shows the round-trip time.
#[derive(Parser)]
#[command(about)]
struct Arguments {
    /// Which side to be
    #[arg(value_enum)]
    role: Role,
    /// End after this many answers; 0: never
    #[arg(long, default_value_t = 0)]
    count: u64,
    /// Milliseconds between pings
    #[arg(long, default_value_t = 1_000)]
    interval: u64,
    #[command(flatten)]
    signaling: SignalingArguments,
}

#[derive(Clone, Copy, ValueEnum)]
enum Role {
    Offer,
    Answer,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let engine = signaling::engine().await?;
    let connection = RtcPeerConnection::on(&engine, RtcConfiguration::default()).await?;
    let mut signaling = Signaling::new(arguments.signaling.clone());
    let result = match arguments.role {
        Role::Offer => ping(&connection, &mut signaling, &arguments).await,
        Role::Answer => pong(&connection, &mut signaling).await,
    };
    connection.close().await;
    signaling.close().await;
    result
}

async fn ping(
    connection: &RtcPeerConnection,
    signaling: &mut Signaling,
    arguments: &Arguments,
) -> Result<()> {
    let channel = connection.create_data_channel("chat", RtcDataChannelInit::default()).await?;
    signaling::offer(connection, signaling).await?;
    let started = Instant::now();
    let mut events = channel.events();
    let mut ticks = tokio::time::interval(Duration::from_millis(arguments.interval.max(1)));
    let (mut is_open, mut answers) = (false, 0);
    loop {
        tokio::select! {
            _ = ticks.tick(), if is_open => {
                let message = format!("ping {}", started.elapsed().as_micros());
                println!("channel(chat) > {message}");
                channel.send(message).await?;
            }
            event = events.next() => match event.context("the connection has ended")? {
                RtcDataChannelEvent::Open => is_open = true,
                RtcDataChannelEvent::Message(RtcDataChannelMessage::Text(text)) => {
                    println!("channel(chat) < {text}");
                    let Some(sent) = text.strip_prefix("pong ") else { continue };
                    let round_trip = started.elapsed().as_micros().saturating_sub(sent.parse()?);
                    println!(" RTT {:.2} ms", round_trip as f64 / 1_000.0);
                    answers += 1;
                    if answers == arguments.count {
                        return Ok(());
                    }
                }
                RtcDataChannelEvent::Error(error) => return Err(error.into()),
                RtcDataChannelEvent::Close => bail!("the other side has closed the channel"),
                _ => {}
            }
        }
    }
}

/// Answers until the other side hangs up.
async fn pong(connection: &RtcPeerConnection, signaling: &mut Signaling) -> Result<()> {
    let mut events = connection.events().context("the events were taken")?;
    signaling::answer(connection, signaling).await?;
    loop {
        tokio::select! {
            () = signaling.gone() => return Ok(()),
            event = events.next() => match event {
                Some(RtcPeerConnectionEvent::DataChannel(channel)) => {
                    println!("channel({}) was opened by the other side", channel.label());
                    tokio::spawn(answer_pings(channel));
                }
                Some(RtcPeerConnectionEvent::ConnectionStateChange(
                    RtcPeerConnectionState::Closed | RtcPeerConnectionState::Failed,
                ))
                | None => return Ok(()),
                Some(_) => {}
            }
        }
    }
}

async fn answer_pings(channel: RtcDataChannel) {
    let mut events = channel.events();
    while let Some(message) = events.message().await {
        let RtcDataChannelMessage::Text(text) = message else { continue };
        println!("channel({}) < {text}", channel.label());
        let Some(rest) = text.strip_prefix("ping") else { continue };
        let answer = format!("pong{rest}");
        println!("channel({}) > {answer}", channel.label());
        if channel.send(answer).await.is_err() {
            break;
        }
    }
}
