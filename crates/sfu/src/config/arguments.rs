//! The command line and the environment, with the texts of `--help`.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use clap::Parser;
use serde::Serialize;

use crate::placement::RoomPlacement;

/// A WebRTC server: people meet in rooms in their browsers, other peers publish by WHIP and watch by WHEP.
///
/// Without any option it serves its page to this machine, at http://127.0.0.1:8080/. Every option can also be
/// set by an environment variable (shown with each) and, under its long name without the dashes, in a TOML file.
/// A flag counts more than the environment, that more than the file.
#[derive(Debug, Clone, Parser, Serialize)]
#[command(name = "actix-rtc-sfu", version)]
#[serde(rename_all = "kebab-case")]
pub struct Arguments {
    /// TOML file to read settings from, for example `max-participants = 10`
    #[arg(long, env = "ACTIX_RTC_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub(super) config: Option<PathBuf>,

    /// Address and port of the page and its signalling; port 0 takes any free one [default: 127.0.0.1:8080]
    #[arg(long, env = "ACTIX_RTC_LISTEN", value_name = "ADDRESS:PORT", value_parser = socket_address)]
    #[serde(skip_serializing_if = "Option::is_none")]
    listen: Option<SocketAddr>,

    /// UDP port for media; each further shard takes the next one. 0 takes any free ones [default: 0]
    #[arg(long, env = "ACTIX_RTC_UDP_PORT", value_name = "PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    udp_port: Option<u16>,

    /// Offer TCP for media as well, below UDP, to peers whose networks let no UDP through [default: true]
    #[arg(long, env = "ACTIX_RTC_TCP", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    tcp: Option<bool>,

    /// TCP port for media; each further shard takes the next one. 0 takes any free ones [default: the number of
    /// --udp-port, or any free ones where the page's own port would be among them]
    #[arg(long, env = "ACTIX_RTC_TCP_PORT", value_name = "PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    tcp_port: Option<u16>,

    /// Threads that carry media; 0 means one per core [default: 0]
    #[arg(long, env = "ACTIX_RTC_SHARDS", value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    shards: Option<usize>,

    /// Which members of a room share a thread: all (single); all as long as their thread bears it, those who come
    /// later live on another one (spill); as few as possible (spread) [default: spill]
    #[arg(
        long,
        env = "ACTIX_RTC_ROOM_PLACEMENT",
        value_enum,
        value_name = "POLICY",
        hide_possible_values = true
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    room_placement: Option<RoomPlacement>,

    /// Members of one room that a thread carries before the room spills to another one; it also does when its
    /// thread is busy for more than 70 % of the time and another one for less than 50 % [default: 250]
    #[arg(long, env = "ACTIX_RTC_ROOM_MEMBERS_PER_SHARD", value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    room_members_per_shard: Option<usize>,

    /// Addresses to offer for media instead of this machine's own, separated by commas: for a server behind
    /// address translation, its public ones [default: those of the network interfaces]
    #[arg(long, env = "ACTIX_RTC_ADVERTISE", value_name = "IP", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    advertise: Vec<IpAddr>,

    /// Offer 127.0.0.1 and ::1 for media, so that peers on this machine need no network
    /// [default: true when listening on loopback]
    #[arg(long, env = "ACTIX_RTC_INCLUDE_LOOPBACK", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    include_loopback: Option<bool>,

    /// Only answer connectivity checks (RFC 8445 section 2.5): for a server that everybody can reach at its addresses.
    /// Peers then connect faster than the 150 a second to which the pace of own checks limits a process
    /// [default: false]
    #[arg(long, env = "ACTIX_RTC_ICE_LITE", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    ice_lite: Option<bool>,

    /// Certificate chain (PEM) to serve HTTPS with; browsers give cameras only to HTTPS pages and to localhost
    #[arg(long, env = "ACTIX_RTC_CERTIFICATE", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<PathBuf>,

    /// Private key (PEM) of the certificate
    #[arg(long, env = "ACTIX_RTC_KEY", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<PathBuf>,

    /// Rooms at one time [default: 1000]
    #[arg(long, env = "ACTIX_RTC_MAX_ROOMS", value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_rooms: Option<usize>,

    /// Participants in one room, WHIP publishers included [default: 50]
    #[arg(long, env = "ACTIX_RTC_MAX_PARTICIPANTS", value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_participants: Option<usize>,

    /// WHEP viewers in one room [default: 1000]
    #[arg(long, env = "ACTIX_RTC_MAX_VIEWERS", value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_viewers: Option<usize>,

    /// WebSockets, WHIP and WHEP sessions at one time, all together [default: 10000]
    #[arg(long, env = "ACTIX_RTC_MAX_SESSIONS", value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_sessions: Option<usize>,

    /// WHIP and WHEP sessions that have not connected yet [default: 1000]
    #[arg(long, env = "ACTIX_RTC_MAX_PENDING", value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_pending: Option<usize>,

    /// WHIP and WHEP sessions from one address that have not connected yet [default: 500]
    #[arg(long, env = "ACTIX_RTC_MAX_PENDING_PER_ADDRESS", value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_pending_per_address: Option<usize>,

    /// Tracks that one participant may publish [default: 16]
    #[arg(long, env = "ACTIX_RTC_MAX_TRACKS", value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tracks: Option<usize>,

    /// Media sections in one offer [default: 256]
    #[arg(long, env = "ACTIX_RTC_MAX_SECTIONS", value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_sections: Option<usize>,

    /// Bytes of one offer [default: 524288]
    #[arg(long, env = "ACTIX_RTC_MAX_SDP_BYTES", value_name = "BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_sdp_bytes: Option<usize>,

    /// Bytes of one WebSocket message [default: 1048576]
    #[arg(long, env = "ACTIX_RTC_MAX_MESSAGE_BYTES", value_name = "BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_message_bytes: Option<usize>,

    /// WebSocket messages that one client may send per second, on average over some seconds [default: 64]
    #[arg(long, env = "ACTIX_RTC_MAX_MESSAGES_PER_SECOND", value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_messages_per_second: Option<u32>,

    /// Data channels that one participant may have at one time; 0 refuses them [default: 16]
    #[arg(long, env = "ACTIX_RTC_MAX_DATA_CHANNELS", value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_data_channels: Option<usize>,

    /// Bytes of one data channel message, with its envelope [default: 65536]
    #[arg(long, env = "ACTIX_RTC_MAX_DATA_MESSAGE_BYTES", value_name = "BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_data_message_bytes: Option<usize>,

    /// Data channel messages that one participant may send per second, on average over some seconds [default: 1000]
    #[arg(long, env = "ACTIX_RTC_MAX_DATA_MESSAGES_PER_SECOND", value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_data_messages_per_second: Option<u32>,

    /// Bytes that one participant may send over data channels per second, on average over some seconds
    /// [default: 8388608]
    #[arg(long, env = "ACTIX_RTC_MAX_DATA_BYTES_PER_SECOND", value_name = "BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_data_bytes_per_second: Option<u32>,

    /// Time from the opening of a WebSocket to its join message [default: 10]
    #[arg(long, env = "ACTIX_RTC_JOIN_TIMEOUT", value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    join_timeout: Option<f64>,

    /// A WebSocket from which nothing comes for so long, not even the answer to a ping, is closed [default: 45]
    #[arg(long, env = "ACTIX_RTC_IDLE_TIMEOUT", value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    idle_timeout: Option<f64>,

    /// Time for a WHIP or WHEP session to connect, and for any lost media connection to come back [default: 30]
    #[arg(long, env = "ACTIX_RTC_CONNECT_TIMEOUT", value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    connect_timeout: Option<f64>,

    /// Time from SIGTERM or SIGINT to the end of the process, in which calls are ended in order [default: 10]
    #[arg(long, env = "ACTIX_RTC_SHUTDOWN_DEADLINE", value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    shutdown_deadline: Option<f64>,

    /// What to log on standard error, for example "debug" or "info,actix_rtc=trace"
    /// [default: the environment variable RUST_LOG, or info]
    #[arg(long, env = "ACTIX_RTC_LOG", value_name = "FILTER")]
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<String>,

    /// Serve POST /debug/panic, which makes an actor panic: never on a server that others use [default: false]
    #[cfg(feature = "fault-injection")]
    #[arg(long, env = "ACTIX_RTC_ENABLE_FAULT_INJECTION", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    enable_fault_injection: Option<bool>,
}

fn socket_address(text: &str) -> Result<SocketAddr, String> {
    let hint = "write an IP address and a port, such as 0.0.0.0:8080 for all addresses, or [::1]:8080";
    text.parse().map_err(|_| hint.to_owned())
}
