//! ICE alone: one connection, driven by lines of JSON on the standard input, for `interop/aioice`.
//!
//! Commands have a number and are carried out beside each other, since connecting and receiving wait; each is
//! answered by a line with its number. The connection ends with the input.

use std::{io::BufRead, time::Duration};

use actix_rtc::{
    NetworkConfig, RtcEngine, RtcEngineConfig,
    ice::{IceConnection, IceConnectionConfig, IceCredentials, IceRole},
};
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// Commands that wait while the runtime is busy: a script has a few under way.
const COMMANDS_MAX: usize = 64;

#[derive(Debug, Deserialize)]
struct Line {
    id: u64,
    #[serde(flatten)]
    command: Command,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
enum Command {
    /// Makes the connection: has to come first, once.
    New {
        controlling: bool,
        #[serde(default)]
        lite: bool,
        #[serde(default = "one")]
        components: u8,
        /// Fail after this, instead of after 39.5 s.
        patience_ms: Option<u64>,
    },
    /// Answers our candidates.
    Gather,
    /// The peer's credentials.
    Remote {
        ufrag: String,
        password: String,
        #[serde(default)]
        lite: bool,
    },
    /// A candidate of the peer; none: there are no more.
    Candidate {
        candidate: Option<String>,
    },
    /// Answers which components are connected, and in which role.
    Connect,
    /// Sends a text.
    Send {
        component: u8,
        text: String,
    },
    /// Answers the next text and its component.
    Receive,
    /// What it looks like now.
    State,
    Close,
}

fn one() -> u8 {
    1
}

/// Serves the script until it closes the standard input.
pub(crate) async fn run() -> Result<()> {
    let mut config = RtcEngineConfig::default();
    let mut network = NetworkConfig::default();
    network.include_loopback = true;
    network.advertise = vec![[127, 0, 0, 1].into()];
    network.ipv6 = false;
    config.network = network;
    config.shards.count = 1;
    let engine = RtcEngine::start(config).await?;
    let (lines, mut commands) = mpsc::channel(COMMANDS_MAX);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if lines.blocking_send(line).is_err() {
                break;
            }
        }
    });
    let mut connection = None;
    while let Some(text) = commands.recv().await {
        let line: Line = serde_json::from_str(&text).with_context(|| format!("not a command: {text}"))?;
        match (line.command, &connection) {
            (command @ Command::New { .. }, None) => {
                let made = open(&engine, command).await;
                answer(line.id, made.as_ref().map(credentials).map_err(|error| format!("{error:#}")));
                connection = made.ok();
            }
            (command, Some(connection)) => {
                let connection = connection.clone();
                actix_web::rt::spawn(async move {
                    let result = execute(&connection, command).await;
                    answer(line.id, result.map_err(|error| format!("{error:#}")));
                });
            }
            (_, None) => answer(line.id, Err("there is no connection".to_owned())),
        }
    }
    if let Some(connection) = connection {
        connection.close().await;
    }
    Ok(())
}

fn answer(id: u64, result: Result<Value, String>) {
    let line = match result {
        Ok(value) => json!({ "answer": id, "value": value }),
        Err(error) => json!({ "answer": id, "error": error }),
    };
    println!("{line}");
}

fn credentials(connection: &IceConnection) -> Value {
    let credentials = connection.local_credentials();
    json!({ "ufrag": credentials.ufrag, "password": credentials.password })
}

async fn open(engine: &RtcEngine, command: Command) -> Result<IceConnection> {
    let Command::New { controlling, lite, components, patience_ms } = command else {
        bail!("not the command that makes a connection");
    };
    let role = if controlling { IceRole::Controlling } else { IceRole::Controlled };
    let mut config = IceConnectionConfig::new(role);
    (config.lite, config.components) = (lite, components);
    if let Some(patience) = patience_ms {
        config.timings.failure_patience = Duration::from_millis(patience);
    }
    Ok(IceConnection::new(engine, config).await?)
}

async fn execute(connection: &IceConnection, command: Command) -> Result<Value> {
    match command {
        Command::New { .. } => bail!("the connection is there already"),
        Command::Gather => {
            connection.gather().await?;
            let candidates = connection.local_candidates();
            Ok(json!(candidates.iter().map(ToString::to_string).collect::<Vec<_>>()))
        }
        Command::Remote { ufrag, password, lite } => {
            connection.set_remote_lite(lite).await?;
            connection.set_remote_credentials(IceCredentials::new(ufrag, password)?).await?;
            Ok(Value::Null)
        }
        Command::Candidate { candidate } => {
            let candidate = candidate.map(|line| line.parse()).transpose()?;
            connection.add_remote_candidate(candidate).await?;
            Ok(Value::Null)
        }
        Command::Connect => {
            connection.connect().await?;
            state(connection)
        }
        Command::Send { component, text } => {
            connection.send_to(text, component).await?;
            Ok(Value::Null)
        }
        Command::Receive => {
            let (datagram, component) = connection.recv_from().await?;
            Ok(json!({ "component": component, "text": String::from_utf8_lossy(&datagram) }))
        }
        Command::State => state(connection),
        Command::Close => {
            connection.close().await;
            Ok(Value::Null)
        }
    }
}

fn state(connection: &IceConnection) -> Result<Value> {
    let components = connection.components();
    let kind = |component: &u8| connection.selected_pair(*component).map(|pair| pair.remote.kind.as_str());
    Ok(json!({
        "state": format!("{:?}", connection.state()),
        "controlling": connection.role() == IceRole::Controlling,
        "components": components,
        "remote_kinds": components.iter().map(kind).collect::<Vec<_>>(),
    }))
}
