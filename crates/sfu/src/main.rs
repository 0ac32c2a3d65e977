//! The program `actix-rtc-sfu`; everything it does is in the library of the same name.
//!
//! Standard output has two lines, for people and for programs that start it: the page's address and the media
//! ports. Everything else goes to standard error.

use std::{
    io::{IsTerminal, Write},
    process::ExitCode,
};

use actix_rtc_sfu::{config::Config, server::Server, shutdown::Signals};
use anyhow::Context;
use mimalloc::MiMalloc;
use tracing_subscriber::EnvFilter;

/// Making a connection allocates some thousand times, and this allocator saves a fifth of its CPU time beside glibc's,
/// OpenSSL's allocations included. It is the program's choice: the library makes none.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[actix_web::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("actix-rtc-sfu: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> anyhow::Result<()> {
    let config = Config::load()?;
    let filter = EnvFilter::try_new(&config.log).context("the log filter can't be used")?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    // Before anything is announced, so that a signal right after the start is not lost.
    let mut signals = Signals::watch().context("signals can't be watched")?;
    let server = Server::start(config).await?;
    announce(&server).context("standard output is closed")?;
    signals.next().await;
    tracing::info!("shutting down");
    // Further signals change nothing: the deadline bounds this.
    server.shutdown().await?;
    Ok(())
}

fn list(ports: &[u16]) -> String {
    ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ")
}

fn announce(server: &Server) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "actix-rtc-sfu is ready: {}", server.url())?;
    write!(out, "media: udp port(s) {}", list(server.media_ports()))?;
    match server.media_tcp_ports() {
        [] => writeln!(out)?,
        ports => writeln!(out, ", tcp port(s) {}", list(ports))?,
    }
    out.flush()
}
