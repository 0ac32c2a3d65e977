//! Many peers from one process: load for SFUs, every packet checked on arrival.
//!
//! `forward` publishes and subscribes through a server; `floor` measures what the machine charges for the same
//! packets without any server, `handshake` what OpenSSL does for a connection. All print JSON lines.

mod data;
mod data_floor;
mod data_peer;
mod description;
mod floor;
mod forward;
mod handshake;
mod ice;
mod limits;
mod media;
mod peer;
mod progress;
mod repair;
mod rtcp;
mod signalling;
mod tally;
mod usage;
mod world;

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
    /// Shake hands by DTLS in a bare loop: the least that connecting can cost here.
    Handshake(handshake::Options),
    /// Encrypt and send the same packets in a bare loop: the least that forwarding can cost here.
    Floor(floor::Options),
    /// Connect pairs by ICE alone, and keep some: what one costs and holds.
    Ice(ice::Options),
    /// One end of a bench of data channels: commands on standard input, reports on standard output.
    Data,
    /// One part of a data channel alone: the least that it can cost here.
    DataFloor(data_floor::Options),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Forward(options) => forward::run(options).await,
        Command::Handshake(options) => handshake::run(&options),
        Command::Floor(options) => floor::run(&options),
        Command::Ice(options) => ice::run(options).await,
        Command::Data => data::run().await,
        Command::DataFloor(options) => data_floor::run(&options),
    }
}
