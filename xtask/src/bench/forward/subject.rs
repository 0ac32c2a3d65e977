//! Who is measured: servers that forward the same load, started the same way.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use super::{cases::Case, janus::Janus};
use crate::metrics_text::Scrape;
use crate::server::{Options, Server};
use crate::workspace::{Profile, Workspace};

/// Limits of this project's server that the loads exceed; they bound what strangers may do, not what it can do.
pub(in crate::bench) const OWN_LIMITS: [&str; 16] = [
    "--max-rooms",
    "20000",
    "--max-participants",
    "1000",
    "--max-viewers",
    "20000",
    "--max-sessions",
    "20000",
    "--max-pending",
    "20000",
    "--max-pending-per-address",
    "20000",
    "--max-tracks",
    "1000",
    "--max-sections",
    "1000",
];

/// A server, or the floor beneath all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    Own,
    Janus,
    Str0m,
    WebrtcRs,
    /// A bare loop, as fast as it can.
    Floor,
    /// The same loop at the pace of the load.
    PacedFloor,
}

impl Subject {
    pub(super) const ALL: [Self; 6] =
        [Self::Own, Self::Janus, Self::Str0m, Self::WebrtcRs, Self::Floor, Self::PacedFloor];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Own => "actix-rtc",
            Self::Janus => "janus",
            Self::Str0m => "str0m",
            Self::WebrtcRs => "webrtc-rs",
            Self::Floor => "floor",
            Self::PacedFloor => "floor-paced",
        }
    }

    pub(super) fn is_floor(self) -> bool {
        matches!(self, Self::Floor | Self::PacedFloor)
    }

    /// Those named; without names, all.
    pub(super) fn select(names: &[String]) -> Result<Vec<Self>> {
        if names.is_empty() {
            return Ok(Self::ALL.to_vec());
        }
        let named = |name: &String| {
            let all = Self::ALL.map(Self::name).join(", ");
            Self::ALL
                .into_iter()
                .find(|subject| subject.name() == name)
                .with_context(|| format!("there is no subject {name}; there are {all}"))
        };
        names.iter().map(named).collect()
    }

    /// The package in benches/peers that holds this server.
    pub(super) fn peer_package(self) -> Option<&'static str> {
        match self {
            Self::Str0m => Some("sfu-str0m"),
            Self::WebrtcRs => Some("sfu-webrtc"),
            _ => None,
        }
    }

    /// Starts the server behind `prefix`, which pins it.
    pub(super) fn start(
        self,
        workspace: &Workspace,
        profile: Profile,
        prefix: &[&str],
        case: &Case,
        media_address: &str,
    ) -> Result<Started> {
        match self {
            Self::Own => {
                let options = Options { profile, name: "bench-forward", fault_injection: false, prefix };
                let arguments = [&OWN_LIMITS[..], case.own_server].concat();
                Ok(Started::Program(Server::start_with(workspace, &options, &arguments)?))
            }
            Self::Janus => Ok(Started::Janus(Janus::start(workspace, prefix)?)),
            Self::Str0m | Self::WebrtcRs => {
                let package = self.peer_package().unwrap_or_default();
                let program = peer_binary(workspace, package);
                let arguments = ["--media", media_address];
                let server = Server::start_program_behind(workspace, prefix, &program, &arguments, package);
                Ok(Started::Program(server?))
            }
            Self::Floor | Self::PacedFloor => bail!("the floor is no server"),
        }
    }
}

/// Where `cargo xtask bench` builds the other stacks.
pub(super) fn peer_binary(workspace: &Workspace, package: &str) -> PathBuf {
    workspace.target.join("peers/release").join(package)
}

/// A server that runs; dropping it ends it.
pub(super) enum Started {
    Program(Server),
    Janus(Janus),
}

impl Started {
    pub(super) fn id(&self) -> u32 {
        match self {
            Self::Program(server) => server.id(),
            Self::Janus(janus) => janus.id(),
        }
    }

    pub(super) fn url(&self) -> String {
        match self {
            Self::Program(server) => server.url(),
            Self::Janus(janus) => janus.url(),
        }
    }

    /// What the load generator has to speak.
    pub(super) fn protocol(&self) -> &'static str {
        match self {
            Self::Program(_) => "whip",
            Self::Janus(_) => "janus",
        }
    }

    /// The counters of this project's server; the others have none.
    pub(super) fn scrape(&self) -> Option<Scrape> {
        match self {
            Self::Program(server) => server.scrape().ok(),
            Self::Janus(_) => None,
        }
    }

    /// Datagrams that the kernel threw away because the server's sockets were full.
    pub(super) fn receive_drops(&self) -> Option<u64> {
        match self {
            Self::Program(server) => server.kernel_drops().ok(),
            Self::Janus(_) => None,
        }
    }

    pub(super) fn tail(&self, count: usize) -> String {
        match self {
            Self::Program(server) => server.tail(count),
            Self::Janus(janus) => janus.tail(count),
        }
    }
}
