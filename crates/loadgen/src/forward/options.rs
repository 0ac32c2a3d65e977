//! What `forward` can be told.

use std::{net::Ipv4Addr, path::PathBuf};

use anyhow::bail;
use clap::Args;

use crate::{media::Profile, signalling::Protocol};

/// What to publish, and for whom.
#[derive(Args, Clone)]
pub(crate) struct Options {
    /// Address of the server, e.g. http://127.0.0.1:8080
    #[arg(long)]
    pub(super) url: String,
    /// Room to publish to
    #[arg(long, default_value = "bench")]
    pub(super) room: String,
    /// What the server speaks
    #[arg(long, value_enum, default_value = "whip")]
    pub(super) protocol: Protocol,
    /// Peers that publish
    #[arg(long, default_value_t = 1)]
    pub(super) publishers: usize,
    /// Peers that receive all that the publishers of their room send; with profile data, peers with a data channel
    #[arg(long, default_value_t = 50)]
    pub(super) subscribers: usize,
    /// Rooms over which publishers and subscribers are dealt out evenly; more than one is called ROOM-0, ROOM-1, …
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) rooms: u32,
    /// What each publisher sends
    #[arg(long, value_enum, default_value = "video")]
    pub(super) profile: Profile,
    /// RTP payload per packet, in bytes (profile synthetic)
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u16).range(64..=1_200))]
    pub(super) packet_bytes: u16,
    /// Packets per second of each publisher, in 30 frames (profile synthetic)
    #[arg(long, default_value_t = 300)]
    pub(super) packets_per_second: u32,
    /// Peers that begin to connect per second
    #[arg(long, default_value_t = 100.0, value_parser = positive)]
    pub(super) ramp: f64,
    /// Peers that may be connecting at once
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) in_flight: u32,
    /// Count a subscriber as connected only when media has come
    #[arg(long)]
    pub(super) first_media: bool,
    /// Subscribers that leave per second, each replaced by a new one
    #[arg(long, default_value_t = 0.0)]
    pub(super) churn: f64,
    /// Ask for lost packets again, estimate the bandwidth, and answer such requests: not for measuring loss
    #[arg(long)]
    pub(super) repair: bool,
    /// One more publisher sends straight to a socket of this program: what the way takes without a server
    #[arg(long)]
    pub(super) direct: bool,
    /// Seconds before counting starts
    #[arg(long, default_value_t = 2.0)]
    pub(super) warmup: f64,
    /// Seconds that are counted
    #[arg(long, default_value_t = 5.0)]
    pub(super) seconds: f64,
    /// Seconds that the load goes on after the result, for whoever still wants to look at the server
    #[arg(long, default_value_t = 0.0)]
    pub(super) linger: f64,
    /// Seconds after that in which publishers are silent: what peers cost that only stay connected
    #[arg(long, default_value_t = 0.0)]
    pub(super) idle: f64,
    /// IPv4 address of the first peer; the others follow. All must be local to this machine, as 127.0.0.0/8 always is
    #[arg(long, default_value = "127.1.0.1")]
    pub(super) first_address: Ipv4Addr,
    /// Where the JSON result goes: a file, or - for standard output, with a line at the window's start too
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub(super) json: PathBuf,
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value.is_finite() => Ok(value),
        _ => Err("a positive number is needed".to_owned()),
    }
}

impl Options {
    /// What clap can't see.
    ///
    /// # Errors
    /// When two options contradict each other.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        if self.profile == Profile::Data && (self.protocol != Protocol::Websocket || self.publishers > 0) {
            bail!(
                "profile data has no publishers and its own signalling: --protocol websocket --publishers 0"
            );
        }
        let rooms = self.rooms as usize;
        if self.profile != Profile::Data && self.publishers < rooms {
            bail!("{rooms} rooms need as many publishers, but there are {}", self.publishers);
        }
        Ok(())
    }

    /// Number `index` of so many.
    pub(super) fn room_name(&self, index: usize) -> String {
        match self.rooms {
            1 => self.room.clone(),
            _ => format!("{}-{index}", self.room),
        }
    }
}
