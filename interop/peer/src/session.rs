//! One script: commands in, answers, signalling and events out, one after the other.

use std::{pin::pin, time::Duration};

use actix_rtc::{RtcEvents, RtcIceCandidateInit, RtcPeerConnection};
use actix_rtc::{RtcPeerConnectionEvent as Event, RtcSdpType, RtcSessionDescription, RtcSignalingState};
use actix_rtc_impair::Impairment;
use actix_ws::{AggregatedMessage, AggregatedMessageStream};
use anyhow::{Context, Result, bail};
use futures_util::{Stream, StreamExt};
use serde_json::{Value, json};

use crate::{
    Engines,
    command::{Command, Incoming, Options},
    data::{self, Channels},
    negotiation::Negotiation,
    outbox::Outbox,
    view,
};

struct Session {
    engines: Engines,
    outbox: Outbox,
    negotiation: Option<Negotiation>,
    channels: Channels,
    events: Option<RtcEvents>,
}

/// What a session waits for.
enum Wake {
    Text(String),
    Ping(Vec<u8>),
    /// A frame that means nothing here.
    Other,
    Event(Event),
    /// The connection has ended and has no more events.
    Quiet,
    Gone,
}

/// Serves one script over its WebSocket until it goes, then hangs up.
pub(crate) async fn run(engines: Engines, socket: actix_ws::Session, frames: AggregatedMessageStream) {
    let texts = frames.map(|frame| match frame {
        Ok(AggregatedMessage::Text(text)) => Wake::Text(text.to_string()),
        Ok(AggregatedMessage::Ping(bytes)) => Wake::Ping(bytes.to_vec()),
        Ok(AggregatedMessage::Pong(_) | AggregatedMessage::Binary(_)) => Wake::Other,
        Ok(AggregatedMessage::Close(_)) | Err(_) => Wake::Gone,
    });
    serve(engines, Outbox::new(socket), texts).await;
}

/// Serves the script that wrote to standard input, a text per line, until its end.
pub(crate) async fn run_lines(engines: Engines) {
    let (sender, lines) = tokio::sync::mpsc::unbounded_channel();
    // Standard input can't be polled: a thread reads it, and ends with it.
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    let texts = futures_util::stream::unfold(lines, |mut lines| async move {
        let line = lines.recv().await?;
        Some((Wake::Text(line), lines))
    });
    serve(engines, Outbox::lines(), texts).await;
}

async fn serve(engines: Engines, outbox: Outbox, script: impl Stream<Item = Wake>) {
    let mut script = pin!(script);
    let mut session =
        Session { engines, outbox, negotiation: None, channels: Channels::default(), events: None };
    loop {
        match wake(&mut script, &mut session.events).await {
            Wake::Text(text) => session.text(&text).await,
            Wake::Ping(bytes) => session.outbox.pong(&bytes).await,
            Wake::Other => {}
            Wake::Event(event) => session.event(event).await,
            Wake::Quiet => session.events = None,
            Wake::Gone => break,
        }
    }
    if let Some(negotiation) = session.negotiation {
        negotiation.connection.close().await;
    }
    session.outbox.close().await;
}

async fn wake(script: &mut (impl Stream<Item = Wake> + Unpin), events: &mut Option<RtcEvents>) -> Wake {
    let event = async {
        match events {
            Some(events) => events.next().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        // In order of arrival as far as that can be known: what the connection says is older than a new command.
        biased;
        event = event => event.map_or(Wake::Quiet, Wake::Event),
        text = script.next() => text.unwrap_or(Wake::Gone),
    }
}

impl Session {
    async fn text(&mut self, text: &str) {
        let incoming = match Incoming::parse(text) {
            Ok(incoming) => incoming,
            Err(error) => return self.outbox.event("error", json!(format!("{error}: {text}"))).await,
        };
        let result = match incoming {
            Incoming::Command(id, command) => {
                let result = self.command(command).await;
                return self.outbox.answer(id, result).await;
            }
            Incoming::Description(description) => self.description(description).await,
            Incoming::Candidate(candidate) => self.candidate(candidate).await,
        };
        if let Err(error) = result {
            self.outbox.event("error", json!(format!("{error:#}"))).await;
        }
    }

    fn negotiation(&mut self) -> Result<(&mut Negotiation, &mut Outbox)> {
        let negotiation = self.negotiation.as_mut().context("nothing is configured yet")?;
        Ok((negotiation, &mut self.outbox))
    }

    async fn description(&mut self, description: RtcSessionDescription) -> Result<()> {
        let (negotiation, outbox) = self.negotiation()?;
        negotiation.take_description(description, outbox).await
    }

    async fn candidate(&mut self, candidate: Option<RtcIceCandidateInit>) -> Result<()> {
        self.negotiation()?.0.take_candidate(candidate).await
    }

    async fn command(&mut self, command: Command) -> Result<Value> {
        if let Command::Configure(options) = command {
            return self.configure(options).await;
        }
        let channels = self.channels.clone();
        let (negotiation, outbox) = self.negotiation()?;
        let connection = negotiation.connection.clone();
        match command {
            Command::Configure(_) => {}
            Command::Add { kind, direction, copy_of } => negotiation.add(&kind, &direction, copy_of).await?,
            Command::Direct { mid, direction } => negotiation.direct(&mid, &direction).await?,
            Command::Stop { mid } => negotiation.by_mid(&mid)?.stop().await?,
            Command::RestartIce => connection.restart_ice().await?,
            Command::Offer => negotiation.describe(outbox).await?,
            Command::Rollback => {
                let rollback = RtcSessionDescription { kind: RtcSdpType::Rollback, sdp: String::new() };
                connection.set_local_description(Some(rollback)).await?;
            }
            Command::Channel(options) => channels.open(&connection, options, outbox).await?,
            Command::CloseChannel { label } => channels.close(&label)?,
            Command::Impair { loss, delay } => negotiation.impair(Impairment {
                loss,
                delay: Duration::from_millis(delay),
                ..Impairment::default()
            })?,
            Command::Say { label, text } => channels.say(&label, text).await?,
            Command::Close => connection.close().await,
            Command::State => {
                let mut state = view::state(&connection);
                state["channels"] = json!(channels.view());
                state["lost"] = negotiation.lost();
                return Ok(state);
            }
        }
        Ok(json!(null))
    }

    async fn configure(&mut self, options: Options) -> Result<Value> {
        if self.negotiation.is_some() {
            bail!("this session has its connection");
        }
        let engine = if options.hide_host_addresses { &self.engines.hidden } else { &self.engines.open };
        let connection = RtcPeerConnection::on(engine, options.configuration.clone()).await?;
        self.events = connection.events();
        self.negotiation = Some(Negotiation::new(connection, options)?);
        Ok(json!(null))
    }

    async fn event(&mut self, event: Event) {
        let (name, detail) = match event {
            Event::NegotiationNeeded => {
                if let Err(error) = self.negotiate().await {
                    self.outbox.event("error", json!(format!("{error:#}"))).await;
                }
                ("negotiationneeded", json!(null))
            }
            Event::IceCandidate(candidate) => {
                if self.negotiation.as_ref().is_some_and(Negotiation::trickles) {
                    self.outbox.send(json!({ "candidate": candidate })).await;
                }
                return;
            }
            Event::SignalingStateChange(state) => ("signalingstatechange", json!(view::words(state))),
            Event::IceGatheringStateChange(state) => ("icegatheringstatechange", json!(view::words(state))),
            Event::IceConnectionStateChange(state) => ("iceconnectionstatechange", json!(view::words(state))),
            Event::ConnectionStateChange(state) => ("connectionstatechange", json!(state.as_str())),
            Event::Track { track, transceiver, .. } => {
                ("track", json!({ "mid": transceiver.mid(), "kind": view::words(track.kind()) }))
            }
            Event::DataChannel(channel) => {
                let detail = data::view_of(&channel);
                self.channels.serve(channel, &self.outbox);
                ("datachannel", detail)
            }
            Event::Failure(reason) => ("failure", json!(reason)),
            other => ("other", json!(format!("{other:?}"))),
        };
        self.outbox.event(name, detail).await;
    }

    async fn negotiate(&mut self) -> Result<()> {
        let (negotiation, outbox) = self.negotiation()?;
        // The event may have waited while a command made an offer, or the peer's came: another will follow.
        let stable = negotiation.connection.signaling_state() == RtcSignalingState::Stable;
        if !negotiation.negotiates_by_itself() || !stable {
            return Ok(());
        }
        negotiation.describe(outbox).await
    }
}
