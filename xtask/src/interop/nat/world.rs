//! A small internet of network namespaces: one public network with coturn on it, and homes behind NATs.
//!
//! | place | addresses |
//! |---|---|
//! | public, with coturn | 203.0.113.1, 2001:db8::1; a second network 198.51.100.1 |
//! | home N without NAT | 203.0.113.(10+N), 2001:db8::(10+N) |
//! | home N behind a NAT | 10.N.0.2; with IPv6, which nobody translates, 2001:db8:N::2 |
//!
//! The NATs are nftables rules. Linux tracks connections, so a masquerade filters by address and port of the peer; it
//! keeps ports, and so maps alike for all, unless it is told to draw them at random. A datagram that nobody asked for
//! must be dropped before it is tracked: otherwise it holds the mapping that the answer to it would get.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use serde_json::{Value, json};

use super::behaviour::Nat;
use crate::namespace::{Namespace, remove_stale};
use crate::process::{Job, Running};
use crate::setup::Tools;
use crate::workspace::Workspace;

const TURN_PATIENCE: Duration = Duration::from_secs(20);
/// Longer than all cells together.
const LIFE_MAX: Duration = Duration::from_secs(20 * 60);

/// Which of two peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    Left,
    Right,
}

/// Which addresses a home has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    Ipv4,
    Dual,
}

/// Where one peer runs.
pub(super) struct Home {
    pub(super) inside: Namespace,
    /// The router that translates. Held, because a namespace ends with its value.
    _router: Option<Namespace>,
}

/// Everything; it ends with this value.
pub(super) struct World {
    // Processes end before the namespaces they run in.
    turn: Running,
    homes: BTreeMap<(Side, &'static str, Family), Rc<Home>>,
    public: Namespace,
    nft: PathBuf,
}

impl World {
    pub(super) fn create(workspace: &Workspace, tools: &Tools) -> Result<Self> {
        let nft = tools.nft.clone().map_err(|reason| anyhow!(reason))?;
        let turnserver = tools.turnserver.clone().map_err(|reason| anyhow!(reason))?;
        remove_stale();
        let public = named("public")?;
        join(
            &public,
            &["link add br0 type bridge mcast_snooping 0", "link add br1 type bridge mcast_snooping 0"],
        )?;
        for (bridge, addresses) in
            [("br0", &["203.0.113.1/24", "2001:db8::1/64 nodad"][..]), ("br1", &["198.51.100.1/24"])]
        {
            for address in addresses {
                ip(&public, &format!("addr add {address} dev {bridge}"))?;
            }
            ip(&public, &format!("link set {bridge} up"))?;
        }
        // As on the internet, what has nowhere to go is lost and not refused: coturn ends the session of a client for
        // whom it gets "Network is unreachable".
        let nowhere = "203.0.113.254";
        ip(&public, &format!("neigh add {nowhere} lladdr 02:00:00:00:00:01 dev br0 nud permanent"))?;
        ip(&public, &format!("route add default via {nowhere}"))?;
        forward(&public)?;
        let turn = coturn(workspace, &public, &turnserver)?;
        Ok(Self { turn, homes: BTreeMap::new(), public, nft })
    }

    /// The servers as every peer is told of them.
    pub(super) fn ice_servers() -> Value {
        json!([
            { "urls": "stun:203.0.113.1:3478" },
            {
                "urls": ["turn:203.0.113.1:3478", "turn:203.0.113.1:3478?transport=tcp"],
                "username": "user",
                "credential": "secret",
            },
        ])
    }

    pub(super) fn turn_log(&self) -> String {
        self.turn.tail(60)
    }

    /// The home of a side behind a kind of NAT: the same one each time.
    pub(super) fn home(&mut self, side: Side, nat: Nat, family: Family) -> Result<Rc<Home>> {
        let key = (side, nat.code(), family);
        if let Some(home) = self.homes.get(&key) {
            return Ok(Rc::clone(home));
        }
        let number = self.homes.len() + 1;
        let home = match nat {
            Nat::None => self.open_home(number, family),
            _ => self.closed_home(number, nat, family),
        };
        let home = Rc::new(home.with_context(|| format!("the home behind {}", nat.name()))?);
        self.homes.insert(key, Rc::clone(&home));
        Ok(home)
    }

    /// A host on the public network.
    fn open_home(&self, number: usize, family: Family) -> Result<Home> {
        let inside = self.host(number, family)?;
        self.connect(&inside, "eth0", "br0", &format!("h{number}"))?;
        ip(&inside, &format!("addr add 203.0.113.{}/24 dev eth0", 10 + number))?;
        ip(&inside, "route add default via 203.0.113.1")?;
        if family == Family::Dual {
            ip(&inside, &format!("addr add 2001:db8::{}/64 dev eth0 nodad", 10 + number))?;
            ip(&inside, "route add default via 2001:db8::1")?;
        }
        Ok(Home { inside, _router: None })
    }

    /// A host on a network of its own, and the router between the two networks.
    fn closed_home(&self, number: usize, nat: Nat, family: Family) -> Result<Home> {
        let (inside, router) = (self.host(number, family)?, named(&format!("r{number}"))?);
        self.connect(&router, "wan", "br0", &format!("h{number}"))?;
        let (inner, outer) = (inside.name(), router.name());
        ip(&router, &format!("link add lan type veth peer name eth0 netns {inner}"))
            .with_context(|| format!("{outer} and {inner}"))?;
        join(
            &router,
            &[
                &format!("addr add 203.0.113.{}/24 dev wan", 10 + number),
                &format!("addr add 10.{number}.0.1/24 dev lan"),
                "link set lan up",
                // Private addresses lead nowhere, as on the internet.
                "route add blackhole 10.0.0.0/8",
                "route add default via 203.0.113.1",
            ],
        )?;
        let address = format!("addr add 10.{number}.0.2/24 dev eth0");
        join(&inside, &[&address, "link set eth0 up", &format!("route add default via 10.{number}.0.1")])?;
        if family == Family::Dual {
            let network = format!("2001:db8:{number}:");
            ip(&router, &format!("addr add 2001:db8::{}/64 dev wan nodad", 10 + number))?;
            ip(&router, "route add default via 2001:db8::1")?;
            ip(&router, &format!("addr add {network}:1/64 dev lan nodad"))?;
            ip(&inside, &format!("addr add {network}:2/64 dev eth0 nodad"))?;
            ip(&inside, &format!("route add default via {network}:1"))?;
            ip(&self.public, &format!("route add {network}:/64 via 2001:db8::{}", 10 + number))?;
        }
        forward(&router)?;
        router.rules(&self.nft, &rules(nat)).map_err(|reason| anyhow!(reason))?;
        Ok(Home { inside, _router: Some(router) })
    }

    /// A host with two interfaces, each in a network of its own, the second for when the first is gone.
    pub(super) fn two_legged(&mut self) -> Result<Home> {
        let number = self.homes.len() + 101;
        let inside = self.host(number, Family::Ipv4)?;
        self.connect(&inside, "eth0", "br0", &format!("h{number}a"))?;
        self.connect(&inside, "eth1", "br1", &format!("h{number}b"))?;
        join(
            &inside,
            &[
                &format!("addr add 203.0.113.{number}/24 dev eth0"),
                &format!("addr add 198.51.100.{number}/24 dev eth1"),
                "route add default via 203.0.113.1 metric 100",
                "route add default via 198.51.100.1 metric 200",
                // What has the second address leaves by the second interface, also while the first is there.
                "route add default via 198.51.100.1 table 2",
                &format!("rule add from 198.51.100.{number} lookup 2"),
            ],
        )?;
        Ok(Home { inside, _router: None })
    }

    fn host(&self, number: usize, family: Family) -> Result<Namespace> {
        let inside = named(&format!("h{number}"))?;
        if family == Family::Ipv4 {
            inside.set("net/ipv6/conf/all/disable_ipv6", "1").map_err(|reason| anyhow!(reason))?;
        }
        Ok(inside)
    }

    /// A cable from an interface of `place` to a bridge of the public network.
    fn connect(&self, place: &Namespace, interface: &str, bridge: &str, port: &str) -> Result<()> {
        ip(place, &format!("link add {interface} type veth peer name {port} netns {}", self.public.name()))?;
        join(&self.public, &[&format!("link set {port} master {bridge}"), &format!("link set {port} up")])?;
        ip(place, &format!("link set {interface} up"))
    }
}

fn named(suffix: &str) -> Result<Namespace> {
    let place =
        Namespace::create_named(suffix).map_err(|reason| anyhow!("no network namespace: {reason}"))?;
    // Else an address, and a router with it, is of no use for the second in which it looks for its double.
    for which in ["all", "default"] {
        place.set(&format!("net/ipv6/conf/{which}/accept_dad"), "0").map_err(|reason| anyhow!(reason))?;
    }
    Ok(place)
}

fn ip(place: &Namespace, arguments: &str) -> Result<()> {
    place.ip(arguments).map_err(|reason| anyhow!(reason))
}

fn join(place: &Namespace, all: &[&str]) -> Result<()> {
    all.iter().try_for_each(|arguments| ip(place, arguments))
}

fn forward(place: &Namespace) -> Result<()> {
    for setting in ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"] {
        place.set(setting, "1").map_err(|reason| anyhow!(reason))?;
    }
    Ok(())
}

/// The router's rules. `wan` is the interface to the public network, `lan` the one to the host.
fn rules(nat: Nat) -> String {
    let unasked =
        "chain unasked { type filter hook input priority filter; iifname \"wan\" meta l4proto udp drop; }";
    let post = "chain post { type nat hook postrouting priority srcnat; oifname \"wan\"";
    let body = match nat {
        Nat::None => String::new(),
        // What leaves opens its port for everybody. One host is behind it, so its ports are the router's.
        Nat::FullCone => format!(
            "map opened {{ type inet_service : ipv4_addr . inet_service; flags dynamic,timeout; timeout 5m; }}\n\
             chain out {{ type filter hook forward priority filter; \
             oifname \"wan\" meta l4proto udp update @opened {{ udp sport : ip saddr . udp sport }}; }}\n\
             chain pre {{ type nat hook prerouting priority dstnat; \
             iifname \"wan\" dnat to udp dport map @opened; }}\n\
             {unasked}\n{post} masquerade; }}"
        ),
        Nat::PortRestricted => format!("{unasked}\n{post} masquerade; }}"),
        Nat::Symmetric => format!("{unasked}\n{post} masquerade fully-random; }}"),
        Nat::NoUdp => format!(
            "chain out {{ type filter hook forward priority filter; meta l4proto udp drop; }}\n\
             {unasked}\n{post} masquerade; }}"
        ),
    };
    format!("table ip home {{\n{body}\n}}\n")
}

/// STUN and TURN for everybody.
fn coturn(workspace: &Workspace, public: &Namespace, turnserver: &Path) -> Result<Running> {
    let folder = workspace.artifacts().join("nat-coturn");
    std::fs::create_dir_all(&folder)?;
    let at = |name: &str| folder.join(name).display().to_string();
    let configuration = format!(
        "listening-ip=203.0.113.1\nlistening-ip=2001:db8::1\nrelay-ip=203.0.113.1\nrelay-ip=2001:db8::1\n\
         listening-port=3478\nuserdb={}\npidfile={}\nlog-file=stdout\nsimple-log\nverbose\nno-cli\nno-tls\nno-dtls\n\
         lt-cred-mech\nuser=user:secret\nrealm=example.org\n",
        at("users.db"),
        at("pid"),
    );
    std::fs::write(folder.join("turnserver.conf"), configuration)?;
    let mut command = public.command(turnserver);
    command.args(["-c", &at("turnserver.conf")]);
    let job = Job::new("coturn", command, LIFE_MAX).log(workspace.logs().join("nat-coturn.log"));
    let mut running = job.start()?;
    let listens = |line: &str| line.contains("TCP listener opened on : 203.0.113.1:3478").then_some(());
    running.wait_for_line(TURN_PATIENCE, "that it listens", listens).map_err(|error| {
        // Its log says why.
        anyhow!("{error:#}\n{}", running.tail(20))
    })?;
    Ok(running)
}
