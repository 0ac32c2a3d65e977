//! A network that goes away under a call: the peer must notice, and an ICE restart must lead over the one that is left.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use super::behaviour::Nat;
use super::call::Call;
use super::world::{Family, Side, World};
use crate::workspace::Workspace;

/// How long a peer may take to call itself disconnected: five seconds are usual, and a busy machine takes its time.
const NOTICED_WITHIN: Duration = Duration::from_secs(12);
const PATIENCE: Duration = Duration::from_secs(40);

/// How the network goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Yank {
    /// The cable is pulled, or somebody sets the interface down.
    LinkDown,
    /// The interface stays and loses its address, as after a change of networks.
    AddressRemoved,
}

impl Yank {
    pub(super) const ALL: [Self; 2] = [Self::LinkDown, Self::AddressRemoved];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::LinkDown => "the interface in use goes down, a restart takes the other",
            Self::AddressRemoved => "the address in use is removed, a restart takes the other",
        }
    }

    pub(super) fn run(self, workspace: &Workspace, program: &Path, world: &mut World) -> Result<String> {
        // A home of its own: its interface does not come back.
        let left = world.two_legged()?;
        let right = world.home(Side::Right, Nat::None, Family::Ipv4)?;
        let mut call = Call::start(workspace, program, &left.inside, &right.inside)?;
        call.connect(PATIENCE)?;
        call.settle(Duration::from_secs(1))?;
        let used = local_address(&mut call)?;
        let interface = if used.starts_with("203.0.113.") { "eth0" } else { "eth1" };
        let command = match self {
            Self::LinkDown => format!("link set {interface} down"),
            Self::AddressRemoved => format!("addr del {used}/24 dev {interface}"),
        };
        let events = call.peer(Side::Left).events.len();
        left.inside.ip(&command).map_err(|reason| anyhow!(reason))?;
        let yanked = Instant::now();
        let became = |call: &mut Call, from: usize, states: &[&str]| {
            let new = &call.peer(Side::Left).events[from..];
            new.iter().any(|event| {
                event.name == "iceconnectionstatechange" && states.iter().any(|s| event.detail == *s)
            })
        };
        call.until(PATIENCE, "“disconnected”", |call| became(call, events, &["disconnected"]))?;
        let noticed = yanked.elapsed();
        let restarted = Instant::now();
        call.restart(Side::Left)?;
        let events = call.peer(Side::Left).events.len();
        call.until(PATIENCE, "a connection again", |call| became(call, events, &["connected", "completed"]))?;
        call.talk("from the other interface", PATIENCE).context("after the restart")?;
        let recovered = restarted.elapsed();
        let now = local_address(&mut call)?;
        if now == used {
            bail!("after the restart packets still leave from {used}");
        }
        call.end()?;
        let detail = format!(
            "from {used} to {now}: disconnected after {:.1} s, restarted in {:.1} s",
            noticed.as_secs_f64(),
            recovered.as_secs_f64()
        );
        if noticed > NOTICED_WITHIN {
            bail!("too late: {detail}");
        }
        Ok(detail)
    }
}

fn local_address(call: &mut Call) -> Result<String> {
    let pair = call.pair(Side::Left)?;
    let candidate = pair["local"]["candidate"].as_str().context("no pair")?;
    Ok(candidate.split_whitespace().nth(4).context("a candidate without address")?.to_owned())
}
