//! Networks of the run's own: one that holds a loopback and nothing else, so that browsers reach nobody, and those
//! that `interop nat` joins to a small internet.
//!
//! Made with `ip netns add`, which takes root; where that is not possible the tests run on the machine's own
//! loopback. The name carries this process's id, so that what a killed run left behind can be told apart.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

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
        Self::add(format!("{PREFIX}{}", std::process::id()))
    }

    /// One of several, told apart by what follows the process's id in their names.
    pub(crate) fn create_named(suffix: &str) -> Result<Self, String> {
        Self::add(format!("{PREFIX}{}-{suffix}", std::process::id()))
    }

    fn add(name: String) -> Result<Self, String> {
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

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// `ip` with arguments as they are typed, in this namespace.
    pub(crate) fn ip(&self, arguments: &str) -> Result<(), String> {
        let words: Vec<&str> = ["-n", &self.name].into_iter().chain(arguments.split_whitespace()).collect();
        ip(&words)
    }

    /// Writes a setting of the kernel: `net/ipv4/ip_forward`.
    pub(crate) fn set(&self, setting: &str, value: &str) -> Result<(), String> {
        let mut command = self.command(Path::new("sh"));
        command.args(["-c", &format!("echo {value} > /proc/sys/{setting}")]);
        ended_well(setting, command.output())
    }

    /// Loads rules of nftables.
    pub(crate) fn rules(&self, nft: &Path, rules: &str) -> Result<(), String> {
        let mut command = self.command(nft);
        command.args(["-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = command.spawn().and_then(|mut child| {
            if let Some(mut stdin) = child.stdin.take() {
                stdin.write_all(rules.as_bytes())?;
            }
            child.wait_with_output()
        });
        ended_well("nft", output)
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
pub(crate) fn remove_stale() {
    let Ok(output) = Command::new("ip").args(["netns", "list"]).output() else { return };
    let list = String::from_utf8_lossy(&output.stdout).into_owned();
    for name in list.lines().filter_map(|line| line.split_whitespace().next()) {
        let id = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        if id.is_some_and(|id| !Path::new(&format!("/proc/{id}")).exists()) {
            remove(name);
        }
    }
}

fn ip(arguments: &[&str]) -> Result<(), String> {
    ended_well(&format!("ip {}", arguments.join(" ")), Command::new("ip").args(arguments).output())
}

fn ended_well(what: &str, output: std::io::Result<Output>) -> Result<(), String> {
    let output = output.map_err(|error| format!("{what}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{what}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}
