//! Signalling for two terminals: lines of JSON by copy and paste, over TCP, or over a Unix socket.
//!
//! The lines are those of aiortc's `contrib.signaling`: `{"type": "offer", "sdp": …}`, `{"type": "answer", …}`,
//! `{"type": "candidate", …}` and `{"type": "bye"}`. So a program of aiortc's can be at the other end. As there,
//! whoever sends first listens, and whoever receives first connects; here it tries until somebody listens.
//!
//! Reading and writing block, so each has a thread or is short: none of tokio's I/O features are needed.

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    time::Duration,
};

use actix_rtc::{
    NetworkConfig, RtcEngine, RtcEngineConfig, RtcIceCandidateInit, RtcPeerConnection, RtcSdpType,
    RtcSessionDescription,
};
use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// How often an address where nobody listens yet is tried.
const RETRY: Duration = Duration::from_millis(100);
/// For how long.
const PATIENCE: Duration = Duration::from_secs(120);
/// Lines that were read and not asked for yet; a peer sends a handful.
const LINES_MAX: usize = 64;

/// Which way descriptions travel.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Way {
    CopyAndPaste,
    TcpSocket,
    UnixSocket,
}

/// The part of the command line that says how descriptions travel.
#[derive(Clone, Args)]
pub(crate) struct SignalingArguments {
    /// How offers and answers travel
    #[arg(short, long, value_enum, default_value = "copy-and-paste")]
    signaling: Way,
    /// Host for tcp-socket
    #[arg(long, default_value = "127.0.0.1")]
    signaling_host: String,
    /// Port for tcp-socket
    #[arg(long, default_value_t = 1234)]
    signaling_port: u16,
    /// Path for unix-socket
    #[arg(long, default_value = "aiortc.socket")]
    signaling_path: PathBuf,
}

/// One line.
#[derive(Debug)]
pub(crate) enum Message {
    Description(RtcSessionDescription),
    Candidate(RtcIceCandidateInit),
    Bye,
}

/// A way to the other side; made by the first message in either direction.
pub(crate) struct Signaling {
    arguments: SignalingArguments,
    link: Option<Link>,
}

struct Link {
    lines: mpsc::Receiver<String>,
    writer: Box<dyn Write + Send>,
}

impl Signaling {
    pub(crate) fn new(arguments: SignalingArguments) -> Self {
        Self { arguments, link: None }
    }

    /// Sends one message; waits for the other side if there is none yet.
    pub(crate) async fn send(&mut self, message: &Message) -> Result<()> {
        let mut line = format_line(message);
        line.push('\n');
        let pasted = self.arguments.signaling == Way::CopyAndPaste;
        let link = self.link(true).await?;
        if pasted {
            println!("-- Please send this message to the remote party --");
        }
        link.writer.write_all(line.as_bytes()).context("the other side has gone")?;
        link.writer.flush().context("the other side has gone")
    }

    /// The next message; `None` when the other side has gone.
    pub(crate) async fn receive(&mut self) -> Result<Option<Message>> {
        if self.arguments.signaling == Way::CopyAndPaste {
            println!("-- Please enter a message from remote party --");
        }
        let link = self.link(false).await?;
        match link.lines.recv().await {
            Some(line) => Ok(Some(parse_line(&line)?)),
            None => Ok(None),
        }
    }

    /// Waits for the other side to say goodbye or to vanish. Nobody notices that of who copies and pastes.
    pub(crate) async fn gone(&mut self) {
        let Some(link) = self.link.as_mut() else { return };
        while let Some(line) = link.lines.recv().await {
            if matches!(parse_line(&line), Ok(Message::Bye)) {
                return;
            }
        }
        if self.arguments.signaling == Way::CopyAndPaste {
            std::future::pending().await
        }
    }

    /// Says goodbye and forgets the way: the next message makes a new one.
    pub(crate) async fn close(&mut self) {
        if self.link.is_some() {
            // It may have gone already.
            let _ = self.send(&Message::Bye).await;
        }
        self.link = None;
    }

    async fn link(&mut self, listens: bool) -> Result<&mut Link> {
        let link = match self.link.take() {
            Some(link) => link,
            None => {
                let arguments = self.arguments.clone();
                tokio::task::spawn_blocking(move || open(&arguments, listens)).await??
            }
        };
        Ok(self.link.insert(link))
    }
}

fn open(arguments: &SignalingArguments, listens: bool) -> Result<Link> {
    match arguments.signaling {
        Way::CopyAndPaste => Ok(link(BufReader::new(std::io::stdin()), std::io::stdout())),
        Way::TcpSocket => {
            let address = (arguments.signaling_host.as_str(), arguments.signaling_port);
            let stream = if listens {
                let listener = TcpListener::bind(address).with_context(|| format!("{address:?}"))?;
                listener.accept()?.0
            } else {
                connect(|| TcpStream::connect(address)).with_context(|| format!("{address:?}"))?
            };
            Ok(link(BufReader::new(stream.try_clone()?), stream))
        }
        Way::UnixSocket => {
            let path = &arguments.signaling_path;
            let stream = if listens {
                let listener = UnixListener::bind(path).with_context(|| path.display().to_string())?;
                let accepted = listener.accept();
                // The name has served; what it leads to stays.
                std::fs::remove_file(path)?;
                accepted?.0
            } else {
                connect(|| UnixStream::connect(path)).with_context(|| path.display().to_string())?
            };
            Ok(link(BufReader::new(stream.try_clone()?), stream))
        }
    }
}

/// Tries until somebody listens.
fn connect<T>(attempt: impl Fn() -> std::io::Result<T>) -> std::io::Result<T> {
    let attempts = PATIENCE.as_millis() / RETRY.as_millis();
    for _ in 0..attempts {
        if let Ok(stream) = attempt() {
            return Ok(stream);
        }
        std::thread::sleep(RETRY);
    }
    attempt()
}

/// The thread ends with its input, or with the first line that nobody wants any more.
fn link(reader: impl BufRead + Send + 'static, writer: impl Write + Send + 'static) -> Link {
    let (sender, lines) = mpsc::channel(LINES_MAX);
    std::thread::spawn(move || {
        for line in reader.lines().map_while(Result::ok).filter(|line| !line.trim().is_empty()) {
            if sender.blocking_send(line).is_err() {
                break;
            }
        }
    });
    Link { lines, writer: Box::new(writer) }
}

fn format_line(message: &Message) -> String {
    match message {
        Message::Description(description) => json!(description).to_string(),
        Message::Candidate(candidate) => json!({
            "type": "candidate",
            "candidate": candidate.candidate,
            "id": candidate.sdp_mid,
            "label": candidate.sdp_m_line_index,
        })
        .to_string(),
        Message::Bye => json!({ "type": "bye" }).to_string(),
    }
}

fn parse_line(line: &str) -> Result<Message> {
    let value: Value = serde_json::from_str(line).context("the message is no JSON")?;
    Ok(match value["type"].as_str() {
        Some("bye") => Message::Bye,
        Some("candidate") => Message::Candidate(RtcIceCandidateInit {
            candidate: value["candidate"].as_str().unwrap_or_default().to_owned(),
            sdp_mid: value["id"].as_str().map(str::to_owned),
            sdp_m_line_index: value["label"].as_u64().and_then(|index| index.try_into().ok()),
            ..RtcIceCandidateInit::default()
        }),
        Some("offer" | "answer") => Message::Description(serde_json::from_value(value)?),
        _ => bail!("the message has an unknown type"),
    })
}

/// An engine for a program with one connection, which may be to the same machine.
pub(crate) async fn engine() -> Result<RtcEngine> {
    let mut network = NetworkConfig::default();
    network.include_loopback = true;
    let mut config = RtcEngineConfig::default();
    config.network = network;
    Ok(RtcEngine::start(config).await?)
}

/// Makes the offer and waits for the answer; candidates are in both.
pub(crate) async fn offer(connection: &RtcPeerConnection, signaling: &mut Signaling) -> Result<()> {
    describe(connection, signaling).await?;
    take_description(connection, signaling, RtcSdpType::Answer).await
}

/// Waits for an offer and answers it.
pub(crate) async fn answer(connection: &RtcPeerConnection, signaling: &mut Signaling) -> Result<()> {
    take_description(connection, signaling, RtcSdpType::Offer).await?;
    describe(connection, signaling).await
}

async fn describe(connection: &RtcPeerConnection, signaling: &mut Signaling) -> Result<()> {
    connection.set_local_description(None).await?;
    connection.gathering_complete().await?;
    let description = connection.local_description().context("the connection was closed")?;
    signaling.send(&Message::Description(description)).await
}

async fn take_description(
    connection: &RtcPeerConnection,
    signaling: &mut Signaling,
    wanted: RtcSdpType,
) -> Result<()> {
    loop {
        match signaling.receive().await? {
            Some(Message::Description(description)) if description.kind == wanted => {
                return Ok(connection.set_remote_description(description).await?);
            }
            Some(Message::Description(_)) => bail!("both sides have the same role"),
            Some(Message::Candidate(candidate)) => connection.add_ice_candidate(Some(candidate)).await?,
            Some(Message::Bye) | None => bail!("the other side has gone"),
        }
    }
}
