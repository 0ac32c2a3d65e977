//! URLs of STUN and TURN servers (RFC 7064, RFC 7065).
//!
//! ```text
//! stun:<host>[:<port>]      stuns:<host>[:<port>]
//! turn:<host>[:<port>][?transport=udp|tcp]      turns: likewise
//! ```
//!
//! Reading is total; every refusal has a name. A host is a DNS name, an IPv4 address or an IPv6 address in
//! brackets; user names inside of the URL, paths and `//` are no part of these schemes.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// Longest DNS name (RFC 1035 section 2.3.4).
const MAX_NAME_LENGTH: usize = 255;

/// Default port of `stun:` and `turn:` (RFC 7064 section 3.2, RFC 7065 section 3.2).
const DEFAULT_PORT: u16 = 3478;

/// Default port of `stuns:` and `turns:`.
const DEFAULT_SECURE_PORT: u16 = 5349;

/// What a server does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ServerKind {
    /// Tells the address requests come from (RFC 8489).
    Stun,
    /// Relays (RFC 8656).
    Turn,
}

/// How a server is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ServerTransport {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
    /// TLS over TCP.
    Tls,
    /// DTLS over UDP: read, and not spoken by this agent.
    Dtls,
}

impl ServerTransport {
    /// The word W3C's `RTCIceServerTransportProtocol` and log lines use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Dtls => "dtls",
        }
    }
}

/// The host of a URL.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ServerHost {
    /// An address.
    Ip(IpAddr),
    /// A name, to be looked up.
    Name(String),
}

impl fmt::Display for ServerHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V4(ip)) => write!(f, "{ip}"),
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// A server's URL, read. `FromStr` reads and `Display` writes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ServerUrl {
    /// What the server does.
    pub kind: ServerKind,
    /// How it is reached.
    pub transport: ServerTransport,
    /// Its host.
    pub host: ServerHost,
    /// Its port; the default of the scheme if the URL has none.
    pub port: u16,
}

impl ServerUrl {
    /// Whether the scheme is `stuns` or `turns`.
    pub fn is_secure(&self) -> bool {
        matches!(self.transport, ServerTransport::Tls | ServerTransport::Dtls)
    }
}

/// Why a URL can't be read. The application is to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServerUrlError {
    /// The scheme is none of stun, stuns, turn and turns.
    #[error("the scheme of the server's URL is none of stun, stuns, turn and turns")]
    UnknownScheme,
    /// There is no host.
    #[error("the server's URL has no host")]
    MissingHost,
    /// The host is neither a DNS name nor an IPv4 address nor an IPv6 address in brackets.
    #[error("the host of the server's URL is neither a name nor an address")]
    InvalidHost,
    /// The port is no number from 1 to 65535.
    #[error("the port of the server's URL is no number from 1 to 65535")]
    InvalidPort,
    /// A `stun:` or `stuns:` URL has a query (RFC 7064 section 3.1 knows none).
    #[error("a stun URL has no query")]
    UnexpectedQuery,
    /// The query is not `transport=udp` or `transport=tcp`.
    #[error("the query of a turn URL is transport=udp or transport=tcp")]
    InvalidQuery,
}

impl FromStr for ServerUrl {
    type Err = ServerUrlError;

    fn from_str(url: &str) -> Result<Self, ServerUrlError> {
        let (scheme, rest) = url.split_once(':').ok_or(ServerUrlError::UnknownScheme)?;
        let (kind, is_secure) = match scheme.to_ascii_lowercase().as_str() {
            "stun" => (ServerKind::Stun, false),
            "stuns" => (ServerKind::Stun, true),
            "turn" => (ServerKind::Turn, false),
            "turns" => (ServerKind::Turn, true),
            _ => return Err(ServerUrlError::UnknownScheme),
        };
        let (authority, query) = match rest.split_once('?') {
            Some((authority, query)) => (authority, Some(query)),
            None => (rest, None),
        };
        if query.is_some() && kind == ServerKind::Stun {
            return Err(ServerUrlError::UnexpectedQuery);
        }
        let is_udp = match query {
            None => !is_secure,
            Some(query) => parse_transport(query)?,
        };
        let transport = match (is_udp, is_secure) {
            (true, false) => ServerTransport::Udp,
            (false, false) => ServerTransport::Tcp,
            (false, true) => ServerTransport::Tls,
            (true, true) => ServerTransport::Dtls,
        };
        let (host, port) = parse_authority(authority)?;
        let default = if is_secure { DEFAULT_SECURE_PORT } else { DEFAULT_PORT };
        Ok(Self { kind, transport, host, port: port.unwrap_or(default) })
    }
}

/// True for UDP.
fn parse_transport(query: &str) -> Result<bool, ServerUrlError> {
    let value = query.strip_prefix("transport=").ok_or(ServerUrlError::InvalidQuery)?;
    if value.eq_ignore_ascii_case("udp") {
        Ok(true)
    } else if value.eq_ignore_ascii_case("tcp") {
        Ok(false)
    } else {
        Err(ServerUrlError::InvalidQuery)
    }
}

fn parse_authority(authority: &str) -> Result<(ServerHost, Option<u16>), ServerUrlError> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (ip, after) = rest.split_once(']').ok_or(ServerUrlError::InvalidHost)?;
        let ip: Ipv6Addr = ip.parse().map_err(|_| ServerUrlError::InvalidHost)?;
        let port = match after.strip_prefix(':') {
            Some(port) => Some(parse_port(port)?),
            None if after.is_empty() => None,
            None => return Err(ServerUrlError::InvalidPort),
        };
        return Ok((ServerHost::Ip(ip.into()), port));
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(parse_port(port)?)),
        None => (authority, None),
    };
    Ok((parse_host(host)?, port))
}

fn parse_host(host: &str) -> Result<ServerHost, ServerUrlError> {
    if host.is_empty() {
        return Err(ServerUrlError::MissingHost);
    }
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(ServerHost::Ip(ip));
    }
    let is_name = host.len() <= MAX_NAME_LENGTH
        && host.split('.').rev().skip_while(|label| label.is_empty()).all(|label| !label.is_empty())
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
        && host.bytes().any(|byte| byte != b'.');
    if is_name { Ok(ServerHost::Name(host.to_owned())) } else { Err(ServerUrlError::InvalidHost) }
}

fn parse_port(port: &str) -> Result<u16, ServerUrlError> {
    // `u16::from_str` would also take a plus sign.
    if !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ServerUrlError::InvalidPort);
    }
    port.parse().ok().filter(|port| *port != 0).ok_or(ServerUrlError::InvalidPort)
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match (self.kind, self.is_secure()) {
            (ServerKind::Stun, false) => "stun",
            (ServerKind::Stun, true) => "stuns",
            (ServerKind::Turn, false) => "turn",
            (ServerKind::Turn, true) => "turns",
        };
        write!(f, "{scheme}:{}:{}", self.host, self.port)?;
        match (self.kind, self.transport) {
            (ServerKind::Turn, ServerTransport::Udp | ServerTransport::Dtls) => f.write_str("?transport=udp"),
            (ServerKind::Turn, ServerTransport::Tcp | ServerTransport::Tls) => f.write_str("?transport=tcp"),
            (ServerKind::Stun, _) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> ServerUrl {
        url.parse().unwrap_or_else(|error| panic!("{url}: {error}"))
    }

    #[test]
    fn reads_every_scheme_with_its_defaults() {
        use ServerKind::{Stun, Turn};
        use ServerTransport::{Dtls, Tcp, Tls, Udp};
        for (url, kind, transport, port) in [
            ("stun:example.org", Stun, Udp, 3478),
            ("STUN:example.org:19302", Stun, Udp, 19302),
            ("stuns:example.org", Stun, Tls, 5349),
            ("turn:example.org", Turn, Udp, 3478),
            ("turn:example.org?transport=udp", Turn, Udp, 3478),
            ("turn:example.org:80?transport=TCP", Turn, Tcp, 80),
            ("turns:example.org", Turn, Tls, 5349),
            ("turns:example.org:443?transport=tcp", Turn, Tls, 443),
            ("turns:example.org?transport=udp", Turn, Dtls, 5349),
        ] {
            let read = read(url);
            assert_eq!((read.kind, read.transport, read.port), (kind, transport, port), "{url}");
            assert_eq!(read.host, ServerHost::Name("example.org".into()), "{url}");
            assert_eq!(read.to_string().parse(), Ok(read), "{url}");
        }
    }

    #[test]
    fn hosts_are_names_or_addresses() {
        assert_eq!(read("stun:192.0.2.1:1").host, ServerHost::Ip([192, 0, 2, 1].into()));
        let v6 = read("turn:[2001:db8::1]:5000");
        assert_eq!((v6.host.to_string(), v6.port), ("[2001:db8::1]".into(), 5000));
        assert_eq!(read("turn:[::1]").port, 3478);
        assert_eq!(read("stun:example.org.").host, ServerHost::Name("example.org.".into()));
    }

    #[test]
    fn refusals_have_names() {
        use ServerUrlError::*;
        for (url, error) in [
            ("", UnknownScheme),
            ("example.org", UnknownScheme),
            ("http:example.org", UnknownScheme),
            ("stun:", MissingHost),
            ("stun::3478", MissingHost),
            ("stun://example.org", InvalidHost),
            ("stun:user@example.org", InvalidHost),
            ("stun:exa mple.org", InvalidHost),
            ("stun:a..b", InvalidHost),
            ("stun:.", InvalidHost),
            ("stun:[::1", InvalidHost),
            ("stun:[zz]", InvalidHost),
            ("stun:2001:db8::1", InvalidPort),
            ("stun:[::1]x", InvalidPort),
            ("stun:example.org:", InvalidPort),
            ("stun:example.org:0", InvalidPort),
            ("stun:example.org:65536", InvalidPort),
            ("stun:example.org:+1", InvalidPort),
            ("stun:example.org?transport=udp", UnexpectedQuery),
            ("turn:example.org?transport=sctp", InvalidQuery),
            ("turn:example.org?", InvalidQuery),
            ("turn:example.org?tcp", InvalidQuery),
        ] {
            assert_eq!(url.parse::<ServerUrl>(), Err(error), "{url}");
        }
        assert_eq!(format!("stun:{}", "a".repeat(256)).parse::<ServerUrl>(), Err(InvalidHost));
    }
}
