//! A call between two of our peers, each in its home, driven over their standard input and output.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};

use super::behaviour::Path as NetworkPath;
use super::world::{Side, World};
use crate::namespace::Namespace;
use crate::process::{Job, Running};
use crate::workspace::Workspace;

/// How long a peer may live: a cell takes seconds.
const LIFE_MAX: Duration = Duration::from_secs(180);
const ANSWER_PATIENCE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(5);
const CHANNEL: &str = "across";

/// What a peer has told.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) name: String,
    pub(super) detail: Value,
}

/// One of the two.
pub(super) struct Remote {
    running: Running,
    /// Lines read so far.
    read: usize,
    asked: u64,
    is_ending: bool,
    answers: Vec<Value>,
    pub(super) events: Vec<Event>,
}

/// Both, and the signalling between them.
pub(super) struct Call {
    left: Remote,
    right: Remote,
}

/// One candidate of a pair.
struct End {
    kind: NetworkPath,
    address: String,
}

impl End {
    /// Out of `candidate:1 1 udp 2130706431 192.0.2.1 4000 typ host`.
    fn of(candidate: &Value) -> Option<Self> {
        let words: Vec<&str> = candidate["candidate"].as_str()?.split_whitespace().collect();
        let kind = NetworkPath::of_candidate(words.get(7)?)?;
        Some(Self { kind, address: (*words.get(4)?).to_owned() })
    }
}

impl Remote {
    fn start(workspace: &Workspace, program: &Path, place: &Namespace, name: &str) -> Result<Self> {
        let mut command = place.command(program);
        command.arg("--stdio");
        let log = workspace.logs().join(format!("nat-{name}.log"));
        let running = Job::new(format!("the {name} peer"), command, LIFE_MAX).log(log).start()?;
        Ok(Self { running, read: 0, asked: 0, is_ending: false, answers: Vec::new(), events: Vec::new() })
    }

    /// Reads what is new; gives what the other peer is to get.
    fn read(&mut self) -> Result<Vec<Value>> {
        let mut signalling = Vec::new();
        while let Some(line) = self.running.line(self.read) {
            self.read += 1;
            let Ok(said) = serde_json::from_str::<Value>(&line) else { continue };
            if said.get("answer").is_some() {
                self.answers.push(said);
            } else if let Some(name) = said["event"].as_str() {
                // The first to hang up aborts the association: that is a failure for the other, and none here.
                if name == "error" || (name == "failure" && !self.is_ending) {
                    bail!("{said}");
                }
                self.events.push(Event { name: name.to_owned(), detail: said["detail"].clone() });
            } else if said.is_object() {
                signalling.push(said);
            }
        }
        if signalling.is_empty()
            && let Some(status) = self.running.poll()?
        {
            bail!("a peer ended by itself ({status})\n{}", self.running.tail(30));
        }
        Ok(signalling)
    }

    fn write(&mut self, message: &Value) -> Result<()> {
        self.running.write_line(&message.to_string())
    }

    fn has(&self, name: &str, detail: &Value) -> bool {
        self.events.iter().any(|event| event.name == name && event.detail == *detail)
    }
}

impl Call {
    pub(super) fn start(
        workspace: &Workspace,
        program: &Path,
        left: &Namespace,
        right: &Namespace,
    ) -> Result<Self> {
        let mut call = Self {
            left: Remote::start(workspace, program, left, "left")?,
            right: Remote::start(workspace, program, right, "right")?,
        };
        for (side, polite) in [(Side::Left, false), (Side::Right, true)] {
            let configuration = json!({ "iceServers": World::ice_servers() });
            call.ask(side, json!({ "do": "configure", "polite": polite, "configuration": configuration }))?;
        }
        Ok(call)
    }

    pub(super) fn peer(&mut self, side: Side) -> &mut Remote {
        match side {
            Side::Left => &mut self.left,
            Side::Right => &mut self.right,
        }
    }

    /// Has the left one call the right one, and waits until a text has come across each way.
    pub(super) fn connect(&mut self, patience: Duration) -> Result<()> {
        self.ask(Side::Left, json!({ "do": "channel", "label": CHANNEL, "protocol": "tell" }))?;
        let open = json!(CHANNEL);
        self.until(patience, "an open channel", |call| {
            call.left.has("channelopen", &open) && call.right.has("channelopen", &open)
        })?;
        self.talk("hello", patience)
    }

    /// Sends a text each way.
    pub(super) fn talk(&mut self, text: &str, patience: Duration) -> Result<()> {
        for (from, to) in [(Side::Left, Side::Right), (Side::Right, Side::Left)] {
            self.ask(from, json!({ "do": "say", "label": CHANNEL, "text": text }))?;
            let message = json!([CHANNEL, text]);
            self.until(patience, "a text of the other peer", |call| call.peer(to).has("message", &message))?;
        }
        Ok(())
    }

    /// Passes signalling on until `holds`.
    pub(super) fn until(
        &mut self,
        patience: Duration,
        what: &str,
        mut holds: impl FnMut(&mut Self) -> bool,
    ) -> Result<()> {
        let until = Instant::now() + patience;
        loop {
            for message in self.left.read().context("left")? {
                self.right.write(&message)?;
            }
            for message in self.right.read().context("right")? {
                self.left.write(&message)?;
            }
            if holds(self) {
                return Ok(());
            }
            if Instant::now() >= until {
                bail!("{what} did not come within {patience:?}: {}", self.last_events());
            }
            thread::sleep(POLL);
        }
    }

    /// Lets the peers go on for a while.
    pub(super) fn settle(&mut self, time: Duration) -> Result<()> {
        let until = Instant::now() + time;
        self.until(time * 2, "the end of a pause", |_| Instant::now() >= until)
    }

    /// ICE restart, by an offer that follows from it.
    pub(super) fn restart(&mut self, side: Side) -> Result<()> {
        self.ask(side, json!({ "do": "restart_ice" })).map(drop)
    }

    /// Has one peer do something.
    pub(super) fn ask(&mut self, side: Side, mut command: Value) -> Result<Value> {
        let peer = self.peer(side);
        peer.asked += 1;
        let id = peer.asked;
        command["id"] = json!(id);
        peer.write(&command)?;
        let mut answer = Value::Null;
        self.until(ANSWER_PATIENCE, "an answer", |call| {
            let found = call.peer(side).answers.iter().find(|said| said["answer"] == id);
            found.is_some_and(|found| {
                answer = found.clone();
                true
            })
        })
        .with_context(|| command.to_string())?;
        match answer["error"].as_str() {
            Some(error) => Err(anyhow!("{command}: {error}")),
            None => Ok(answer["value"].clone()),
        }
    }

    /// The pair that a side uses.
    pub(super) fn pair(&mut self, side: Side) -> Result<Value> {
        let state = self.ask(side, json!({ "do": "state" }))?;
        Ok(state["pairs"][0].clone())
    }

    /// How packets go now, and what both say of it.
    pub(super) fn path(&mut self) -> Result<(NetworkPath, String)> {
        let (left, right) = (self.pair(Side::Left)?, self.pair(Side::Right)?);
        let ends = [&left["local"], &left["remote"], &right["local"], &right["remote"]].map(End::of);
        let mut worst = NetworkPath::Host;
        let mut words = Vec::new();
        for end in ends {
            let end = end.ok_or_else(|| anyhow!("no pair yet: {left} {right}"))?;
            worst = worst.worse(end.kind);
            words.push(format!("{} {}", end.kind.name(), end.address));
        }
        Ok((worst, format!("left {} → {}; right {} → {}", words[0], words[1], words[2], words[3])))
    }

    fn last_events(&self) -> String {
        let of = |peer: &Remote| {
            let from = peer.events.len().saturating_sub(6);
            let words = peer.events[from..].iter().map(|event| format!("{} {}", event.name, event.detail));
            words.collect::<Vec<_>>().join(", ")
        };
        format!("left: {}; right: {}", of(&self.left), of(&self.right))
    }

    /// Hangs up on both sides and waits until they have given back what they hold.
    pub(super) fn end(mut self) -> Result<()> {
        (self.left.is_ending, self.right.is_ending) = (true, true);
        for side in [Side::Left, Side::Right] {
            self.ask(side, json!({ "do": "close" }))?;
        }
        for peer in [self.left, self.right] {
            let finished = peer.running.finish()?;
            if !finished.succeeded() {
                bail!("{}\n{}", finished.ending(), finished.tail(20));
            }
        }
        Ok(())
    }
}
