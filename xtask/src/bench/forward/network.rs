//! Where the bench runs: as root in a network of its own, so that every server has an interface that is not
//! loopback (Janus insists on one) and peers have addresses from a range that is nobody's; otherwise on loopback.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, anyhow};

use crate::namespace::Namespace;
use crate::process::Job;
use crate::progress;
use crate::workspace::Workspace;

/// Tells the program that it runs inside the network made for it.
const VARIABLE: &str = "ACTIX_RTC_BENCH_INSIDE";
/// RFC 2544's range for benchmarks: the peers'.
const PEER_RANGE: &str = "198.18.0.0/15";
const DEADLINE: Duration = Duration::from_secs(60 * 60);

/// The network that the bench runs in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::bench) enum Inside {
    /// One that holds a second interface.
    Namespace,
    /// The machine's loopback, for this reason.
    Loopback(&'static str),
}

impl Inside {
    /// Whether this program was started inside already.
    pub(in crate::bench) fn detect() -> Option<Self> {
        std::env::var_os(VARIABLE).is_some().then_some(Self::Namespace)
    }

    /// The first peer's address.
    pub(super) fn first_address(self) -> &'static str {
        match self {
            Self::Namespace => "198.18.0.1",
            Self::Loopback(_) => "127.1.0.1",
        }
    }

    /// Where servers that are told so receive media.
    pub(super) fn media_address(self) -> &'static str {
        match self {
            Self::Namespace => "192.0.2.2",
            Self::Loopback(_) => "127.0.0.1",
        }
    }

    pub(super) fn lacks_interface(self) -> Option<String> {
        match self {
            Self::Namespace => None,
            Self::Loopback(reason) => Some(format!("it needs a network namespace, and {reason}")),
        }
    }
}

/// Runs this very command again inside a new network. `None` where none can be made: then it runs here.
pub(in crate::bench) fn run_inside(workspace: &Workspace) -> Result<Option<bool>> {
    let namespace = match Namespace::create() {
        Ok(namespace) => namespace,
        Err(reason) => {
            progress(format!("no network of its own ({reason}): the bench runs on loopback, without janus"));
            return Ok(None);
        }
    };
    if let Err(reason) = add_interface(&namespace) {
        progress(format!(
            "no interface in the network ({reason}): the bench runs on loopback, without janus"
        ));
        return Ok(None);
    }
    let mut command = namespace.command(Path::new(&workspace.xtask));
    command.args(std::env::args_os().skip(1)).env(VARIABLE, "1");
    let finished = Job::new("bench", command, DEADLINE).echo().run()?;
    match finished.status {
        Some(status) => Ok(Some(status.success())),
        None => Err(anyhow!(finished.ending())),
    }
}

/// A pair of interfaces whose other end leads nowhere, and the peers' range as local addresses of the first: Janus
/// ties its sockets to that interface. Packets travel over loopback nevertheless.
fn add_interface(namespace: &Namespace) -> Result<(), String> {
    let steps: [&[&str]; 6] = [
        &["link", "add", "bench0", "type", "veth", "peer", "name", "bench1"],
        &["link", "set", "bench0", "up"],
        &["link", "set", "bench1", "up"],
        &["address", "add", "192.0.2.2/24", "dev", "bench0"],
        &["route", "add", "default", "via", "192.0.2.1"],
        &["route", "add", "local", PEER_RANGE, "dev", "bench0"],
    ];
    for arguments in steps {
        let mut command: Command = namespace.command(Path::new("ip"));
        let output = command.args(arguments).output().map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        }
    }
    Ok(())
}
