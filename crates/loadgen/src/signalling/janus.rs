//! Janus' VideoRoom over its HTTP API: requests as JSON, events by long polls, one session and handle per peer.
//!
//! A publisher offers in `join` and `configure`; a subscriber joins with the feeds it wants, is offered all of them
//! in one connection, and answers with `start`. Afterwards nobody polls: configure Janus with a `session_timeout`
//! that is longer than the run.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use serde_json::{Value, json};

use super::{Session, agent};

/// The room of a run.
const ROOM: u64 = 1234;
/// How long an answer to a request may take.
const EVENT_PATIENCE: Duration = Duration::from_secs(30);
/// Feeds of one publisher's kind, as many as Janus may have.
const PUBLISHERS_MAX: u32 = 1_000;
/// What publishers are told to send at most: more than any profile does.
const BITRATE_MAX: u32 = 10_000_000;

/// One peer's session and handle.
pub(crate) struct Handle {
    agent: ureq::Agent,
    /// `http://…/janus/SESSION`
    session_url: String,
    handle_url: String,
    /// Events that came while another was waited for.
    stored: Vec<Value>,
}

/// A publisher's offer was answered.
pub(crate) struct Published {
    pub(crate) answer: String,
    /// By which subscribers name this publisher.
    pub(crate) feed: u64,
    pub(crate) handle: Handle,
}

/// A subscriber was offered what it asked for.
pub(crate) struct Offered {
    pub(crate) offer: String,
    pub(crate) handle: Handle,
}

/// Enters the room and offers.
pub(crate) async fn publish(url: String, offer: String) -> anyhow::Result<Published> {
    let publish = move || {
        let mut handle = Handle::attach(&url)?;
        handle.create_room()?;
        let join = json!({"request": "join", "ptype": "publisher", "room": ROOM});
        let joined = handle.message(&join, None)?;
        let feed = joined["plugindata"]["data"]["id"].as_u64().context("the publisher got no id")?;
        let configure = json!({"request": "configure", "bitrate": BITRATE_MAX});
        let jsep = json!({"type": "offer", "sdp": offer});
        let configured = handle.message(&configure, Some(&jsep))?;
        let answer = sdp_of(&configured)?;
        Ok(Published { answer, feed, handle })
    };
    tokio::task::spawn_blocking(publish).await?
}

/// Asks for feeds.
pub(crate) async fn subscribe(url: String, feeds: Vec<u64>) -> anyhow::Result<Offered> {
    let subscribe = move || {
        let mut handle = Handle::attach(&url)?;
        let streams: Vec<Value> = feeds.iter().map(|feed| json!({"feed": feed})).collect();
        let join = json!({"request": "join", "ptype": "subscriber", "room": ROOM, "streams": streams});
        let attached = handle.message(&join, None)?;
        Ok(Offered { offer: sdp_of(&attached)?, handle })
    };
    tokio::task::spawn_blocking(subscribe).await?
}

/// Answers what was offered.
pub(crate) async fn start(mut handle: Handle, answer: String) -> anyhow::Result<Session> {
    let start = move || {
        let jsep = json!({"type": "answer", "sdp": answer});
        handle.message(&json!({"request": "start"}), Some(&jsep))?;
        Ok(Session::Janus(Box::new(handle)))
    };
    tokio::task::spawn_blocking(start).await?
}

/// Ends a peer's session.
pub(crate) async fn destroy(handle: Handle) -> anyhow::Result<()> {
    let destroy = move || {
        let request = json!({"janus": "destroy", "transaction": transaction()});
        handle.post(&handle.session_url, &request).map(drop)
    };
    tokio::task::spawn_blocking(destroy).await?
}

fn sdp_of(event: &Value) -> anyhow::Result<String> {
    let sdp = event["jsep"]["sdp"].as_str();
    sdp.map(str::to_owned).with_context(|| format!("Janus sent no description: {event}"))
}

/// Unique within the run, as the API wants it.
fn transaction() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed).to_string()
}

impl Handle {
    fn attach(url: &str) -> anyhow::Result<Self> {
        let base = format!("{}/janus", url.trim_end_matches('/'));
        let mut handle =
            Self { agent: agent(), session_url: base.clone(), handle_url: String::new(), stored: Vec::new() };
        let created = handle.post(&base, &json!({"janus": "create", "transaction": transaction()}))?;
        handle.session_url = format!("{base}/{}", id_of(&created)?);
        let attach =
            json!({"janus": "attach", "plugin": "janus.plugin.videoroom", "transaction": transaction()});
        let attached = handle.post(&handle.session_url, &attach)?;
        handle.handle_url = format!("{}/{}", handle.session_url, id_of(&attached)?);
        Ok(handle)
    }

    /// Makes the room; that it exists already is the usual case.
    fn create_room(&mut self) -> anyhow::Result<()> {
        let body = json!({
            "request": "create", "room": ROOM, "publishers": PUBLISHERS_MAX, "bitrate": BITRATE_MAX,
            "videocodec": "vp8", "audiocodec": "opus", "fir_freq": 0,
            // What this program does not send, and others in this bench do not do either.
            "transport_wide_cc_ext": false, "audiolevel_ext": false,
        });
        let request = json!({"janus": "message", "transaction": transaction(), "body": body});
        self.post(&self.handle_url, &request).map(drop)
    }

    /// Sends a request of the plugin and waits for its event.
    fn message(&mut self, body: &Value, jsep: Option<&Value>) -> anyhow::Result<Value> {
        let transaction = transaction();
        let mut request = json!({"janus": "message", "transaction": transaction, "body": body});
        if let Some(jsep) = jsep {
            request["jsep"] = jsep.clone();
        }
        let reply = self.post(&self.handle_url, &request)?;
        if reply["janus"] == "error" {
            bail!("Janus refuses {}: {reply}", body["request"]);
        }
        let event = self.event(&transaction)?;
        let data = &event["plugindata"]["data"];
        if data["error"].is_string() {
            bail!("Janus refuses {}: {data}", body["request"]);
        }
        Ok(event)
    }

    /// Polls until the event of this transaction comes.
    fn event(&mut self, transaction: &str) -> anyhow::Result<Value> {
        let until = Instant::now() + EVENT_PATIENCE;
        let wanted = |event: &Value| event["transaction"] == transaction && event["janus"] == "event";
        loop {
            if let Some(found) = self.stored.iter().position(wanted) {
                return Ok(self.stored.swap_remove(found));
            }
            if Instant::now() >= until {
                bail!("Janus did not answer within {EVENT_PATIENCE:?}");
            }
            let polled = poll(&self.agent, &self.session_url)?;
            self.stored.extend(polled);
        }
    }

    fn post(&self, url: &str, request: &Value) -> anyhow::Result<Value> {
        let mut response = self
            .agent
            .post(url)
            .header("content-type", "application/json")
            .send(request.to_string())
            .with_context(|| format!("POST {url}"))?;
        Ok(serde_json::from_str(&response.body_mut().read_to_string()?)?)
    }
}

fn id_of(reply: &Value) -> anyhow::Result<u64> {
    reply["data"]["id"].as_u64().with_context(|| format!("Janus gave no id: {reply}"))
}

/// One long poll: the events it brings.
fn poll(agent: &ureq::Agent, session_url: &str) -> anyhow::Result<Vec<Value>> {
    let url = format!("{session_url}?maxev=10");
    let mut response = agent.get(&url).call().with_context(|| format!("GET {url}"))?;
    let value: Value = serde_json::from_str(&response.body_mut().read_to_string()?)?;
    Ok(match value {
        Value::Array(events) => events,
        event => vec![event],
    })
}
