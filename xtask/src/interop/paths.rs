//! Ways between Chromium and our peer, case by case: TCP only, relay only, `.local` names. They need an interface
//! besides the loopback, since browsers look up and tell names on no other: a namespace of the run is given one.

use std::net::{IpAddr, UdpSocket};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};

use super::calls::calls;
use super::coturn::Coturn;
use crate::test::Stage;

/// Of the range for documentation (RFC 5737): nobody has it.
const ADDRESS: &str = "192.0.2.2";
const GATEWAY: &str = "192.0.2.1";
/// A pair of virtual interfaces; the second leads nowhere.
const INTERFACE: &str = "interop0";
const OTHER_END: &str = "interop1";

const CASES: &[&str] = &[
    "Chromium offers: over TCP only",
    "Chromium answers: over TCP only",
    "Chromium offers: its relay only, over UDP",
    "Chromium answers: its relay only, over UDP",
    "Chromium offers: its relay only, over TCP",
    "Chromium offers: its relay only, over TLS",
    "Chromium offers: our relay only, over UDP",
    "Chromium answers: our relay only, over TLS",
    "Chromium offers: both relays only, over UDP",
    "Chromium offers: its names instead of addresses",
    "Chromium answers: its names instead of addresses",
    "Chromium offers: our names instead of addresses",
    "Chromium answers: our names instead of addresses",
];

pub(super) fn run(stage: &mut Stage<'_>) -> Result<()> {
    let (workspace, tools) = (stage.workspace(), stage.tools());
    let needs = [&tools.playwright, &tools.chromium, &tools.turnserver];
    stage.group(CASES, &needs, |names, tell| {
        let node = tools.playwright.as_ref().map_err(|reason| anyhow!("{reason}"))?;
        let chromium = tools.chromium.as_ref().map_err(|reason| anyhow!("{reason}"))?;
        let turnserver = tools.turnserver.as_ref().map_err(|reason| anyhow!("{reason}"))?;
        let interface = Interface::find_or_make()?;
        let coturn = Coturn::start(workspace, turnserver, interface.address)?;
        let mut command = Command::new(node);
        command.args(["calls.mjs", "--set", "paths", "--turn", &coturn.plain(), "--turns", &coturn.tls()]);
        command.env("CHROMIUM", chromium).current_dir(workspace.browser_scripts());
        calls(workspace, "chromium-paths", CASES, names, command, tell)
    })
}

/// An interface with an IPv4 address that is not the loopback's.
struct Interface {
    address: IpAddr,
    is_ours: bool,
}

impl Interface {
    /// The one that leads outside where there is one; in a namespace that has none, one that leads nowhere.
    fn find_or_make() -> Result<Self> {
        if let Some(address) = outward() {
            return Ok(Self { address, is_ours: false });
        }
        let made = Self { address: ADDRESS.parse().context("the address")?, is_ours: true };
        ip(&["link", "add", INTERFACE, "type", "veth", "peer", "name", OTHER_END])?;
        ip(&["addr", "add", &format!("{ADDRESS}/24"), "dev", INTERFACE])?;
        ip(&["link", "set", INTERFACE, "up"])?;
        ip(&["link", "set", OTHER_END, "up"])?;
        ip(&["route", "add", "default", "via", GATEWAY])?;
        Ok(made)
    }
}

impl Drop for Interface {
    fn drop(&mut self) {
        if self.is_ours
            && let Err(error) = ip(&["link", "del", INTERFACE])
        {
            eprintln!("{error:#}");
        }
    }
}

/// The address that packets to the outside would have. Nothing is sent.
fn outward() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("203.0.113.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip())
}

fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(arguments).output().context("ip")?;
    if !output.status.success() {
        bail!("ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
