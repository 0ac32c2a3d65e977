//! Many peers from one process: load for SFUs, every packet checked on arrival.
//!
//! `forward` publishes and subscribes through a server that speaks WHIP and WHEP; `floor` measures
//! what the machine charges for the same packets without any server. Both print JSON lines.

mod floor;
mod forward;
mod ice;
mod media;
mod signalling;
mod tally;

use clap::{Parser, Subcommand};

/// Load for SFUs over real sockets, with ICE, DTLS and SRTP.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Publish to a server and subscribe to it, and check what arrives.
    Forward(forward::Options),
    /// Encrypt and send the same packets in a bare loop: the least that forwarding can cost here.
    Floor(floor::Options),
    /// Connect pairs by ICE alone, and keep some: what one costs and holds.
    Ice(ice::Options),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Forward(options) => forward::run(options).await,
        Command::Floor(options) => floor::run(&options),
        Command::Ice(options) => ice::run(options).await,
    }
}
