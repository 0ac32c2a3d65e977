//! What the server can be told: flags, environment variables, a TOML file, defaults, in this order of precedence.
//!
//! [`Arguments`] is what the command line and the environment say, [`Settings`] the same with the file and the
//! defaults filled in, and [`Config`] what the server runs with, checked.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use clap::Parser;
use figment::{
    Figment,
    providers::{Format, Serialized, Toml},
};
use serde::{Deserialize, Serialize};

use crate::placement::{Placement, RoomPlacement};

mod arguments;

pub use arguments::Arguments;

/// The workers of the HTTP server come and go without news.
const DEFAULT_LOG: &str = "info,actix_server=warn";

/// Why the server can't run with what it was told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A file or a value that can't be read.
    #[error("{0}")]
    Unreadable(Box<figment::Error>),
    /// Only one half of what HTTPS needs.
    #[error(
        "{given} is given without {missing}: HTTPS needs both, the certificate chain and its private key as PEM \
         files; leave both out for HTTP"
    )]
    HalfHttps {
        /// The flag that was given.
        given: &'static str,
        /// The flag that was not.
        missing: &'static str,
    },
    /// A number outside of what makes sense.
    #[error("{flag} is {value}, but must be {expected}")]
    OutOfRange {
        /// The flag.
        flag: &'static str,
        /// What it was set to.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
    /// An address that no peer could send to.
    #[error("--advertise {0} is not an address that peers can reach: name a public or local unicast address")]
    Unreachable(IpAddr),
    /// The ports of the shards go beyond 65535.
    #[error(
        "{flag} {port} leaves no room for {shards} shards, which take one port each: choose {highest} or less"
    )]
    PortsExhausted {
        /// The flag.
        flag: &'static str,
        /// The first port.
        port: u16,
        /// How many are needed.
        shards: usize,
        /// The highest first port that works.
        highest: u16,
    },
    /// The page and media want the same TCP port.
    #[error(
        "--tcp-port {port} and {shards} shards take the TCP port of --listen {listen}: choose another for one of them"
    )]
    PortsCollide {
        /// The first port for media.
        port: u16,
        /// How many are needed.
        shards: usize,
        /// Where the page is served.
        listen: SocketAddr,
    },
    /// The log filter can't be parsed.
    #[error("--log {filter:?}: {reason}; write for example \"info\" or \"info,actix_rtc=debug\"")]
    LogFilter {
        /// What was given.
        filter: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Everything that can be set, by the names that the file uses. All durations are in seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Settings {
    listen: SocketAddr,
    udp_port: u16,
    tcp: bool,
    tcp_port: Option<u16>,
    shards: usize,
    room_placement: RoomPlacement,
    room_members_per_shard: usize,
    advertise: Vec<IpAddr>,
    include_loopback: Option<bool>,
    ice_lite: bool,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    max_rooms: usize,
    max_participants: usize,
    max_viewers: usize,
    max_sessions: usize,
    max_pending: usize,
    max_pending_per_address: usize,
    max_tracks: usize,
    max_sections: usize,
    max_sdp_bytes: usize,
    max_message_bytes: usize,
    max_messages_per_second: u32,
    max_data_channels: usize,
    max_data_message_bytes: usize,
    max_data_messages_per_second: u32,
    max_data_bytes_per_second: u32,
    join_timeout: f64,
    idle_timeout: f64,
    connect_timeout: f64,
    shutdown_deadline: f64,
    log: Option<String>,
    #[cfg(feature = "fault-injection")]
    enable_fault_injection: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            udp_port: 0,
            tcp: true,
            tcp_port: None,
            shards: 0,
            room_placement: RoomPlacement::Spill,
            room_members_per_shard: 250,
            advertise: Vec::new(),
            include_loopback: None,
            ice_lite: false,
            certificate: None,
            key: None,
            max_rooms: 1_000,
            max_participants: 50,
            max_viewers: 1_000,
            max_sessions: 10_000,
            max_pending: 1_000,
            max_pending_per_address: 500,
            max_tracks: 16,
            max_sections: 256,
            max_sdp_bytes: 512 * 1024,
            max_message_bytes: 1024 * 1024,
            max_messages_per_second: 64,
            max_data_channels: 16,
            max_data_message_bytes: 64 * 1024,
            max_data_messages_per_second: 1_000,
            max_data_bytes_per_second: 8 * 1024 * 1024,
            join_timeout: 10.0,
            idle_timeout: 45.0,
            connect_timeout: 30.0,
            shutdown_deadline: 10.0,
            log: None,
            #[cfg(feature = "fault-injection")]
            enable_fault_injection: false,
        }
    }
}

/// What the server runs with.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// Where HTTP is served; port 0: any.
    pub listen: SocketAddr,
    /// UDP port of the first shard, the next one has the next; 0: any.
    pub udp_port: u16,
    /// TCP port of the first shard, likewise; `None`: no TCP.
    pub tcp_port: Option<u16>,
    /// Threads that carry media.
    pub shards: usize,
    /// Which of them carries whom.
    pub placement: Placement,
    /// Addresses to offer instead of those of the interfaces.
    pub advertise: Vec<IpAddr>,
    /// Whether loopback addresses are offered.
    pub include_loopback: bool,
    /// Whether to only answer connectivity checks.
    pub ice_lite: bool,
    /// Certificate chain and key, to serve HTTPS.
    pub https: Option<Https>,
    /// The bounds.
    pub limits: Limits,
    /// The patience.
    pub timeouts: Timeouts,
    /// Which events are logged.
    pub log: String,
    /// Whether `POST /debug/panic` is served.
    #[cfg(feature = "fault-injection")]
    pub enable_fault_injection: bool,
}

/// PEM files for HTTPS.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Https {
    /// The certificate chain, the server's own first.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// What nobody may exceed.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Limits {
    /// Rooms at one time.
    pub rooms: usize,
    /// Participants in one room.
    pub participants: usize,
    /// WHEP viewers in one room.
    pub viewers: usize,
    /// WebSockets, WHIP and WHEP sessions at one time.
    pub sessions: usize,
    /// WHIP and WHEP sessions that are not connected yet.
    pub pending: usize,
    /// The same from one address.
    pub pending_per_address: usize,
    /// Tracks that one participant publishes.
    pub tracks: usize,
    /// Sections in one offer.
    pub sections: usize,
    /// Bytes of one offer.
    pub sdp_bytes: usize,
    /// Bytes of one WebSocket message.
    pub message_bytes: usize,
    /// WebSocket messages of one client per second, on average.
    pub messages_per_second: u32,
    /// Data channels.
    pub data: DataLimits,
}

/// What one participant may not exceed on its data channels, all together.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct DataLimits {
    /// Channels at one time; 0: none.
    pub channels: usize,
    /// Bytes of one message, with its envelope.
    pub message_bytes: usize,
    /// Messages sent per second, on average.
    pub messages_per_second: u32,
    /// Bytes sent per second, on average.
    pub bytes_per_second: u32,
}

/// How long the server waits for what.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Timeouts {
    /// From the WebSocket's opening to its `join`.
    pub join: Duration,
    /// A WebSocket that says nothing, not even a pong, for so long is dead.
    pub idle: Duration,
    /// WHIP and WHEP sessions must be connected by then; a lost connection is kept so long.
    pub connect: Duration,
    /// From the signal to the end.
    pub shutdown: Duration,
}

impl Config {
    /// Reads the command line, the environment and the file they name. Ends the process for `--help`,
    /// `--version` and what clap refuses.
    ///
    /// # Errors
    /// When the file or a value can't be used.
    pub fn load() -> Result<Self, ConfigError> {
        Settings::load(&Arguments::parse())?.check()
    }

    /// The same from the given words, the first of which names the program; the environment counts too.
    ///
    /// # Errors
    /// When the file or a value can't be used.
    ///
    /// # Panics
    /// When clap refuses the words.
    pub fn from_words<I: IntoIterator<Item = &'static str>>(words: I) -> Result<Self, ConfigError> {
        let arguments = Arguments::try_parse_from(words).unwrap_or_else(|error| panic!("{error}"));
        Settings::load(&arguments)?.check()
    }

    /// `https` or `http`.
    pub fn scheme(&self) -> &'static str {
        if self.https.is_some() { "https" } else { "http" }
    }
}

impl Settings {
    fn load(arguments: &Arguments) -> Result<Self, ConfigError> {
        let mut figment = Figment::from(Serialized::defaults(Self::default()));
        if let Some(file) = &arguments.config {
            figment = figment.merge(Toml::file_exact(file));
        }
        figment
            .merge(Serialized::defaults(arguments))
            .extract()
            .map_err(|error| ConfigError::Unreadable(Box::new(error)))
    }

    fn check(self) -> Result<Config, ConfigError> {
        let shards = match self.shards {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            count => in_range("--shards", count, 1, 1_024, "0 (one per core) to 1024")?,
        };
        check_ports("--udp-port", self.udp_port, shards)?;
        let tcp_port = self.tcp_port(shards)?;
        if let Some(unreachable) = self.advertise.iter().find(|ip| ip.is_unspecified() || ip.is_multicast()) {
            return Err(ConfigError::Unreachable(*unreachable));
        }
        let placement = Placement {
            rooms: self.room_placement,
            members_per_shard: in_range(
                "--room-members-per-shard",
                self.room_members_per_shard,
                1,
                1_000_000,
                "1 to 1000000",
            )?,
        };
        let is_local = self.listen.ip().is_loopback();
        let limits = self.limits()?;
        let timeouts = self.timeouts()?;
        let log = self.log.unwrap_or_else(default_log);
        check_log(&log)?;
        Ok(Config {
            listen: self.listen,
            udp_port: self.udp_port,
            tcp_port,
            shards,
            placement,
            advertise: self.advertise,
            include_loopback: self.include_loopback.unwrap_or(is_local),
            ice_lite: self.ice_lite,
            https: https(self.certificate, self.key)?,
            limits,
            timeouts,
            log,
            #[cfg(feature = "fault-injection")]
            enable_fault_injection: self.enable_fault_injection,
        })
    }

    /// The TCP port of the first shard, if there is to be one.
    fn tcp_port(&self, shards: usize) -> Result<Option<u16>, ConfigError> {
        if !self.tcp {
            return Ok(None);
        }
        let port = self.tcp_port.unwrap_or(self.udp_port);
        check_ports("--tcp-port", port, shards)?;
        let page = usize::from(self.listen.port());
        let is_taken = port != 0 && (usize::from(port)..usize::from(port) + shards).contains(&page);
        match self.tcp_port {
            Some(port) if is_taken => Err(ConfigError::PortsCollide { port, shards, listen: self.listen }),
            None if is_taken => Ok(Some(0)),
            _ => Ok(Some(port)),
        }
    }

    fn limits(&self) -> Result<Limits, ConfigError> {
        let count = |flag, value| in_range(flag, value, 1, 1_000_000, "1 to 1000000");
        let bytes = |flag, value| in_range(flag, value, 1_024, 1 << 20, "1024 to 1048576");
        let message_bytes = bytes("--max-message-bytes", self.max_message_bytes)?;
        Ok(Limits {
            rooms: count("--max-rooms", self.max_rooms)?,
            participants: count("--max-participants", self.max_participants)?,
            viewers: count("--max-viewers", self.max_viewers)?,
            sessions: count("--max-sessions", self.max_sessions)?,
            pending: count("--max-pending", self.max_pending)?,
            pending_per_address: count("--max-pending-per-address", self.max_pending_per_address)?,
            tracks: in_range("--max-tracks", self.max_tracks, 1, 1_000, "1 to 1000")?,
            sections: in_range("--max-sections", self.max_sections, 1, 1_000, "1 to 1000")?,
            sdp_bytes: bytes("--max-sdp-bytes", self.max_sdp_bytes)?,
            message_bytes,
            messages_per_second: in_range(
                "--max-messages-per-second",
                self.max_messages_per_second,
                1,
                100_000,
                "1 to 100000",
            )?,
            data: self.data_limits()?,
        })
    }

    fn data_limits(&self) -> Result<DataLimits, ConfigError> {
        // The library reassembles no larger messages.
        let (least, most) = (1_024, 256 * 1_024);
        Ok(DataLimits {
            channels: in_range("--max-data-channels", self.max_data_channels, 0, 1_000, "0 to 1000")?,
            message_bytes: in_range(
                "--max-data-message-bytes",
                self.max_data_message_bytes,
                least,
                most,
                "1024 to 262144",
            )?,
            messages_per_second: in_range(
                "--max-data-messages-per-second",
                self.max_data_messages_per_second,
                1,
                1_000_000,
                "1 to 1000000",
            )?,
            bytes_per_second: in_range(
                "--max-data-bytes-per-second",
                self.max_data_bytes_per_second,
                1_024,
                1 << 30,
                "1024 to 1073741824",
            )?,
        })
    }

    fn timeouts(&self) -> Result<Timeouts, ConfigError> {
        Ok(Timeouts {
            join: seconds("--join-timeout", self.join_timeout)?,
            idle: seconds("--idle-timeout", self.idle_timeout)?,
            connect: seconds("--connect-timeout", self.connect_timeout)?,
            shutdown: seconds("--shutdown-deadline", self.shutdown_deadline)?,
        })
    }
}

fn in_range<T: PartialOrd + ToString>(
    flag: &'static str,
    value: T,
    least: T,
    most: T,
    expected: &'static str,
) -> Result<T, ConfigError> {
    if value < least || value > most {
        return Err(ConfigError::OutOfRange { flag, value: value.to_string(), expected });
    }
    Ok(value)
}

fn seconds(flag: &'static str, value: f64) -> Result<Duration, ConfigError> {
    // Written so that a number that is none (NaN) is refused as well.
    if !(0.01..=86_400.0).contains(&value) {
        let expected = "seconds, from 0.01 to 86400";
        return Err(ConfigError::OutOfRange { flag, value: value.to_string(), expected });
    }
    Ok(Duration::from_secs_f64(value))
}

fn check_ports(flag: &'static str, port: u16, shards: usize) -> Result<(), ConfigError> {
    let needed = u16::try_from(shards).unwrap_or(u16::MAX);
    let highest = u16::MAX - (needed - 1);
    if port > highest {
        return Err(ConfigError::PortsExhausted { flag, port, shards, highest });
    }
    Ok(())
}

fn https(certificate: Option<PathBuf>, key: Option<PathBuf>) -> Result<Option<Https>, ConfigError> {
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(Some(Https { certificate, key })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(ConfigError::HalfHttps { given: "--certificate", missing: "--key" }),
        (None, Some(_)) => Err(ConfigError::HalfHttps { given: "--key", missing: "--certificate" }),
    }
}

/// What every program with this kind of log obeys, if nothing more specific was said.
fn default_log() -> String {
    std::env::var("RUST_LOG")
        .ok()
        .filter(|filter| !filter.is_empty())
        .unwrap_or_else(|| DEFAULT_LOG.to_owned())
}

fn check_log(filter: &str) -> Result<(), ConfigError> {
    tracing_subscriber::EnvFilter::try_new(filter)
        .map(|_| ())
        .map_err(|error| ConfigError::LogFilter { filter: filter.to_owned(), reason: error.to_string() })
}

#[cfg(test)]
mod tests;
