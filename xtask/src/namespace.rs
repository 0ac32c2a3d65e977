//! A network of the run's own that holds a loopback and nothing else, so that browsers reach nobody.
//!
//! Made with `ip netns add`, which takes root; where that is not possible the tests run on the machine's own
//! loopback. The name carries this process's id, so that what a killed run left behind can be told apart.

use std::path::Path;
use std::process::Command;

use crate::process::signal;

const PREFIX: &str = "actix-rtc-";

/// A namespace that exists as long as this value.
pub(crate) struct Namespace {
    name: String,
}

impl Namespace {
    /// The error is the reason for a person to read.
    pub(crate) fn create() -> Result<Self, String> {
        if !is_root() {
            return Err("not root".to_owned());
        }
        remove_stale();
        let name = format!("{PREFIX}{}", std::process::id());
        ip(&["netns", "add", &name])?;
        let namespace = Self { name };
        ip(&["-n", &namespace.name, "link", "set", "lo", "up"])?;
        // `ip netns exec` mounts /sys anew, which some containers forbid: better to know now.
        ip(&["netns", "exec", &namespace.name, "true"])?;
        Ok(namespace)
    }

    /// A command that runs inside; its process id is that of the program itself.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.name);
    }
}

pub(crate) fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output();
    output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).trim() == "0")
}

/// Ends whatever still runs inside and removes the namespace.
fn remove(name: &str) {
    // Every process in there was started by the run that made the namespace.
    let pids = Command::new("ip").args(["netns", "pids", name]).output();
    let pids = pids.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let ids: Vec<u32> = pids.split_whitespace().filter_map(|id| id.parse().ok()).collect();
    signal(&ids, "KILL");
    if let Err(reason) = ip(&["netns", "del", name]) {
        eprintln!("the network namespace {name} could not be removed: {reason}");
    }
}

/// Removes the namespaces of runs that no longer exist.
fn remove_stale() {
    let Ok(output) = Command::new("ip").args(["netns", "list"]).output() else { return };
    let list = String::from_utf8_lossy(&output.stdout).into_owned();
    for name in list.lines().filter_map(|line| line.split_whitespace().next()) {
        let id = name.strip_prefix(PREFIX).and_then(|id| id.parse::<u32>().ok());
        if id.is_some_and(|id| !Path::new(&format!("/proc/{id}")).exists()) {
            remove(name);
        }
    }
}

fn ip(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(arguments).output().map_err(|error| format!("ip: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(format!("ip {}: {reason}", arguments.join(" ")))
}
