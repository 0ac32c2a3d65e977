//! One round with two processes of one stack: connects them, lets one send to the other, and counts.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{Plan, Shape};
use crate::process::Running;

const CONNECT_DEADLINE: Duration = Duration::from_secs(30);
/// An event loop that is busy answers late.
const ANSWER_DEADLINE: Duration = Duration::from_secs(20);
/// What was sent and not yet received, at the slowest.
const DRAIN_STEPS: u64 = 200;
const DRAIN_STEP: Duration = Duration::from_millis(50);
/// The round trip is measured with small messages, whatever the case sends otherwise.
const PING_BYTES: usize = 100;

/// Counters of one process, all of one instant.
struct Sample {
    at: f64,
    bytes: f64,
    messages: u64,
    damaged: u64,
    /// All, user, system.
    cpu: [f64; 3],
}

struct Driver {
    running: Running,
    asked: u64,
}

/// The metrics of a round.
pub(super) fn measure(
    plan: &Plan,
    shape: Shape,
    pair: [Running; 2],
) -> Result<Vec<(&'static str, &'static str, f64)>> {
    let [mut sender, mut receiver] = pair.map(|running| Driver { running, asked: 0 });
    let result = round(plan, shape, &mut sender, &mut receiver);
    result.map_err(|error| {
        // What a driver says in JSON is long, and no reason.
        let tails = [sender.running.tail(40), receiver.running.tail(40)].concat();
        let words: Vec<&str> = tails.lines().filter(|line| !line.starts_with(['{', '-', ' '])).collect();
        if words.is_empty() { error } else { error.context(words.join("; ")) }
    })
}

fn round(
    plan: &Plan,
    shape: Shape,
    sender: &mut Driver,
    receiver: &mut Driver,
) -> Result<Vec<(&'static str, &'static str, f64)>> {
    connect(shape, sender, receiver)?;
    sender.say(&json!({"do": "send", "size": shape.size}))?;
    std::thread::sleep(plan.warmup);
    let before = [sender.sample()?, receiver.sample()?];
    std::thread::sleep(plan.window);
    let after = [sender.sample()?, receiver.sample()?];
    sender.say(&json!({"do": "stop"}))?;
    let stopped = sender.hear("stopped", ANSWER_DEADLINE)?;
    let sent = stopped["sent"].as_u64().context("stopped without a number")?;
    drain(receiver, sent)?;
    sender.say(&json!({"do": "ping", "count": plan.pings, "size": PING_BYTES}))?;
    let pong = sender.hear("pong", ANSWER_DEADLINE + Duration::from_millis(20 * plan.pings as u64))?;
    let number = |field: &str| pong[field].as_f64().with_context(|| format!("no {field}: {pong}"));

    let [_, receiver_time] = [0, 1].map(|end: usize| after[end].at - before[end].at);
    let bytes = after[1].bytes - before[1].bytes;
    if bytes <= 0.0 || receiver_time <= 0.0 {
        bail!("nothing arrived in the window");
    }
    let per_second = bytes / receiver_time;
    // The windows of both ends are of slightly different length: rates are what can be added up.
    let cpu = |kind: usize| -> f64 {
        let rate = |end: usize| {
            let seconds = (after[end].at - before[end].at).max(1e-9);
            (after[end].cpu[kind] - before[end].cpu[kind]) / seconds
        };
        (rate(0) + rate(1)) / (per_second / 1e9)
    };
    Ok(vec![
        ("mb_per_s", "MB/s", per_second / 1e6),
        ("cpu_s_per_gb", "s/GB", cpu(0)),
        ("cpu_user_s_per_gb", "s/GB", cpu(1)),
        ("cpu_system_s_per_gb", "s/GB", cpu(2)),
        ("rtt_p50_us", "us", number("p50_us")?),
        ("rtt_p99_us", "us", number("p99_us")?),
    ])
}

fn connect(shape: Shape, sender: &mut Driver, receiver: &mut Driver) -> Result<()> {
    sender.say(&json!({"do": "offer", "channels": shape.channels}))?;
    let offer = sender.description("offer")?;
    receiver.say(&json!({"do": "answer", "sdp": offer, "channels": shape.channels}))?;
    let answer = receiver.description("answer")?;
    sender.say(&json!({"do": "accept", "sdp": answer}))?;
    sender.hear("open", CONNECT_DEADLINE)?;
    receiver.hear("open", CONNECT_DEADLINE)?;
    Ok(())
}

/// Waits until everything has arrived, and checks that it was whole and in order.
fn drain(receiver: &mut Driver, sent: u64) -> Result<()> {
    let mut messages = 0;
    for _ in 0..DRAIN_STEPS {
        let sample = receiver.sample()?;
        if sample.damaged > 0 {
            bail!("{} messages were damaged or out of order", sample.damaged);
        }
        messages = sample.messages;
        if messages == sent {
            return Ok(());
        }
        std::thread::sleep(DRAIN_STEP);
    }
    bail!("of {sent} messages {messages} arrived")
}

impl Driver {
    fn say(&mut self, command: &Value) -> Result<()> {
        self.running.write_line(&command.to_string())
    }

    fn hear(&mut self, event: &str, patience: Duration) -> Result<Value> {
        self.running.wait_for_line(patience, event, |line| {
            let value: Value = serde_json::from_str(line).ok()?;
            (value["event"] == event).then_some(value)
        })
    }

    fn description(&mut self, event: &str) -> Result<String> {
        let found = self.hear(event, CONNECT_DEADLINE)?;
        Ok(on_loopback(found["sdp"].as_str().with_context(|| format!("{event} without a description"))?))
    }

    fn sample(&mut self) -> Result<Sample> {
        self.asked += 1;
        let id = self.asked;
        self.say(&json!({"do": "sample", "id": id}))?;
        let found = self.running.wait_for_line(ANSWER_DEADLINE, "a sample", |line| {
            let value: Value = serde_json::from_str(line).ok()?;
            (value["event"] == "sample" && value["id"] == id).then_some(value)
        })?;
        let number = |field: &str| found[field].as_f64().with_context(|| format!("no {field}: {found}"));
        let count = |field: &str| found[field].as_u64().with_context(|| format!("no {field}: {found}"));
        Ok(Sample {
            at: number("at")?,
            bytes: number("bytes")?,
            messages: count("messages")?,
            damaged: count("damaged")?,
            cpu: [number("cpu")?, number("cpu_user")?, number("cpu_system")?],
        })
    }
}

/// The description without candidates of other addresses: all stacks use the same path.
fn on_loopback(description: &str) -> String {
    let elsewhere = |line: &&str| line.starts_with("a=candidate") && !line.contains(" 127.0.0.1 ");
    description.split_inclusive('\n').filter(|line| !elsewhere(line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_candidates_on_loopback_are_told() {
        let all = "v=0\r\na=candidate:1 1 udp 1 10.0.0.1 9 typ host\r\na=candidate:2 1 udp 1 127.0.0.1 9 typ host\r\n";
        assert_eq!(on_loopback(all), "v=0\r\na=candidate:2 1 udp 1 127.0.0.1 9 typ host\r\n");
    }
}
