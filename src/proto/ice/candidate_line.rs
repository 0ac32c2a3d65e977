//! The `candidate:` line (RFC 8839 section 5.1, RFC 6544 section 4.5).
//!
//! ```text
//! candidate:<foundation> <component> <transport> <priority> <address> <port> typ <type>
//!     [raddr <address> rport <port>] *(<name> <value>)
//! ```
//!
//! Reading is total; unknown extensions are ignored, unknown transports and types are named errors so
//! that the caller can skip the line.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::candidate::{Candidate, CandidateAddress, CandidateKind, TcpType, TransportProtocol};
use super::credentials::is_ice_char;
use super::error::IceError;

/// Longest line that is read: eight fields, two addresses and some extensions stay far below.
const MAX_LINE_LENGTH: usize = 2_048;

/// Longest DNS name (RFC 1035 section 2.3.4).
const MAX_NAME_LENGTH: usize = 255;

impl FromStr for Candidate {
    type Err = IceError;

    /// Reads the line with or without `a=` and with or without `candidate:`.
    fn from_str(line: &str) -> Result<Self, IceError> {
        if line.len() > MAX_LINE_LENGTH {
            return Err(IceError::MalformedCandidate);
        }
        let line = line.trim();
        let line = line.strip_prefix("a=").unwrap_or(line);
        let line = line.strip_prefix("candidate:").unwrap_or(line);
        let mut tokens = line.split_ascii_whitespace();
        let mut next = || tokens.next().ok_or(IceError::MalformedCandidate);

        let foundation = next()?;
        if foundation.len() > 32 || !foundation.bytes().all(is_ice_char) {
            return Err(IceError::MalformedCandidate);
        }
        let component: u16 = number(next()?)?;
        let transport = next()?;
        let priority = number(next()?)?;
        let host = next()?;
        let port = number(next()?)?;
        if next()? != "typ" {
            return Err(IceError::MalformedCandidate);
        }
        let kind = parse_kind(next()?)?;
        let mut candidate = Self {
            foundation: foundation.to_owned(),
            component: u8::try_from(component).map_err(|_| IceError::WrongComponent)?,
            protocol: parse_transport(transport)?,
            priority,
            address: parse_address(host, port)?,
            kind,
            related: None,
            tcp_type: None,
            generation: None,
            ufrag: None,
            base: None,
            server: None,
        };
        candidate.read_extensions(tokens)?;
        Ok(candidate)
    }
}

impl Candidate {
    fn read_extensions<'a>(&mut self, mut tokens: impl Iterator<Item = &'a str>) -> Result<(), IceError> {
        let (mut related, mut related_port) = (None, None);
        // A name without a value ends the line: nothing can follow it.
        while let (Some(name), Some(value)) = (tokens.next(), tokens.next()) {
            match name {
                "raddr" => related = value.parse::<IpAddr>().ok(),
                "rport" => related_port = Some(number::<u16>(value)?),
                "tcptype" => self.tcp_type = parse_tcp_type(value),
                "generation" => self.generation = number(value).ok(),
                "ufrag" => self.ufrag = Some(value.to_owned()),
                _ => {}
            }
        }
        self.related = related.zip(related_port).map(|(ip, port)| SocketAddr::new(ip, port));
        Ok(())
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let transport = match self.protocol {
            TransportProtocol::Udp => "udp",
            TransportProtocol::Tcp => "tcp",
        };
        write!(f, "candidate:{} {} {transport} {} ", self.foundation, self.component, self.priority)?;
        match &self.address {
            CandidateAddress::Ip(address) => write!(f, "{} {}", address.ip(), address.port())?,
            CandidateAddress::Name { host, port } => write!(f, "{host} {port}")?,
        }
        write!(f, " typ {}", self.kind.as_str())?;
        if self.kind != CandidateKind::Host {
            // RFC 8839 section 5.1: present for all but host candidates; a hidden one is written as
            // the unspecified address and port 9.
            let related = self.related.unwrap_or_else(|| hidden_address(&self.address));
            write!(f, " raddr {} rport {}", related.ip(), related.port())?;
        }
        if let Some(tcp_type) = self.tcp_type {
            f.write_str(match tcp_type {
                TcpType::Active => " tcptype active",
                TcpType::Passive => " tcptype passive",
                TcpType::SimultaneousOpen => " tcptype so",
            })?;
        }
        if let Some(generation) = self.generation {
            write!(f, " generation {generation}")?;
        }
        if let Some(ufrag) = &self.ufrag {
            write!(f, " ufrag {ufrag}")?;
        }
        Ok(())
    }
}

fn hidden_address(address: &CandidateAddress) -> SocketAddr {
    match address.ip() {
        Some(SocketAddr::V6(_)) => (Ipv6Addr::UNSPECIFIED, 9).into(),
        _ => (Ipv4Addr::UNSPECIFIED, 9).into(),
    }
}

/// Digits only: `u32::from_str` would also take a plus sign.
fn number<T: FromStr>(text: &str) -> Result<T, IceError> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(IceError::MalformedCandidate);
    }
    text.parse().map_err(|_| IceError::MalformedCandidate)
}

fn parse_transport(text: &str) -> Result<TransportProtocol, IceError> {
    if text.eq_ignore_ascii_case("udp") {
        Ok(TransportProtocol::Udp)
    } else if text.eq_ignore_ascii_case("tcp") {
        Ok(TransportProtocol::Tcp)
    } else {
        Err(IceError::UnsupportedTransport)
    }
}

fn parse_kind(text: &str) -> Result<CandidateKind, IceError> {
    match text {
        "host" => Ok(CandidateKind::Host),
        "srflx" => Ok(CandidateKind::ServerReflexive),
        "prflx" => Ok(CandidateKind::PeerReflexive),
        "relay" => Ok(CandidateKind::Relayed),
        _ => Err(IceError::UnknownCandidateType),
    }
}

fn parse_tcp_type(text: &str) -> Option<TcpType> {
    match text {
        "active" => Some(TcpType::Active),
        "passive" => Some(TcpType::Passive),
        "so" => Some(TcpType::SimultaneousOpen),
        _ => None,
    }
}

fn parse_address(host: &str, port: u16) -> Result<CandidateAddress, IceError> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(CandidateAddress::Ip(SocketAddr::new(ip, port)));
    }
    let is_name = host.len() <= MAX_NAME_LENGTH
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
    if is_name {
        Ok(CandidateAddress::Name { host: host.to_owned(), port })
    } else {
        Err(IceError::MalformedCandidate)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_browsers_write() {
        let line = "candidate:842163049 1 udp 1677729535 203.0.113.7 46154 typ srflx raddr 10.0.0.2 rport 40000 \
             generation 0 ufrag EEtu network-id 3 network-cost 10";
        let candidate: Candidate = line.parse().unwrap();
        assert_eq!(candidate.foundation, "842163049");
        assert_eq!(candidate.priority, 1_677_729_535);
        assert_eq!(candidate.kind, CandidateKind::ServerReflexive);
        assert_eq!(candidate.address, CandidateAddress::Ip("203.0.113.7:46154".parse().unwrap()));
        assert_eq!(candidate.related, Some("10.0.0.2:40000".parse().unwrap()));
        assert_eq!(candidate.ufrag.as_deref(), Some("EEtu"));
        assert_eq!(format!("a={line}\r\n").parse(), Ok(candidate));
    }

    #[test]
    fn reads_names_tcp_and_ipv6() {
        let name: Candidate =
            "candidate:1 1 UDP 2113937151 9b36eaac-bb2e-49bb-bb78-21c41c499900.local 55296 typ host"
                .parse()
                .unwrap();
        assert_eq!(
            name.address,
            CandidateAddress::Name {
                host: "9b36eaac-bb2e-49bb-bb78-21c41c499900.local".into(),
                port: 55_296
            }
        );
        let tcp: Candidate =
            "candidate:2 1 tcp 1518280447 2001:db8::1 9 typ host tcptype active".parse().unwrap();
        assert_eq!(tcp.tcp_type, Some(TcpType::Active));
        assert_eq!(tcp.protocol, TransportProtocol::Tcp);
        assert_eq!(tcp.address.ip(), Some("[2001:db8::1]:9".parse().unwrap()));
    }

    #[test]
    fn lines_of_aioice_survive_word_for_word() {
        for line in [
            "6815297761 1 udp 659136 192.0.2.1 31102 typ host generation 0",
            "6815297761 1 udp 659136 192.0.2.1 31102 typ host",
            "1 2 udp 659136 192.0.2.1 31102 typ srflx raddr 10.0.0.1 rport 49152 generation 0",
            "1 1 tcp 659136 192.0.2.1 9 typ host tcptype active generation 0",
        ] {
            let candidate: Candidate = line.parse().unwrap();
            assert_eq!(candidate.generation.is_some(), line.contains("generation"));
            assert_eq!(candidate.to_string(), format!("candidate:{line}"));
        }
    }

    #[test]
    fn refuses_what_rfc_8839_does_not_allow() {
        use IceError::{MalformedCandidate, UnknownCandidateType, UnsupportedTransport, WrongComponent};
        for (line, error) in [
            ("", MalformedCandidate),
            ("candidate:", MalformedCandidate),
            ("candidate:1 1 udp 1 192.0.2.1 5000 typ", MalformedCandidate),
            ("candidate:1 1 udp 1 192.0.2.1 5000 xxx host", MalformedCandidate),
            ("candidate:1 1 udp 1 192.0.2.1 65536 typ host", MalformedCandidate),
            ("candidate:1 1 udp -1 192.0.2.1 5000 typ host", MalformedCandidate),
            ("candidate:1 1 udp +1 192.0.2.1 5000 typ host", MalformedCandidate),
            ("candidate:1 x udp 1 192.0.2.1 5000 typ host", MalformedCandidate),
            ("candidate:1 1 udp 4294967296 192.0.2.1 5000 typ host", MalformedCandidate),
            ("candidate:a%b 1 udp 1 192.0.2.1 5000 typ host", MalformedCandidate),
            ("candidate:1 1 udp 1 192.0.2.1\u{7f} 5000 typ host", MalformedCandidate),
            (
                "candidate:123456789012345678901234567890123 1 udp 1 192.0.2.1 5000 typ host",
                MalformedCandidate,
            ),
            ("candidate:1 256 udp 1 192.0.2.1 5000 typ host", WrongComponent),
            ("candidate:1 1 sctp 1 192.0.2.1 5000 typ host", UnsupportedTransport),
            ("candidate:1 1 udp 1 192.0.2.1 5000 typ future", UnknownCandidateType),
        ] {
            assert_eq!(line.parse::<Candidate>().unwrap_err(), error, "{line}");
        }
        let long = format!("candidate:1 1 udp 1 {} 5000 typ host", "a".repeat(256));
        assert_eq!(long.parse::<Candidate>().unwrap_err(), MalformedCandidate);
    }

    #[test]
    fn hidden_related_addresses_are_still_written() {
        let mut relay = Candidate::relayed(
            "192.0.2.9:50000".parse().unwrap(),
            "198.51.100.4:4000".parse().unwrap(),
            65_535,
        );
        relay.related = None;
        assert!(relay.to_string().ends_with("192.0.2.9 50000 typ relay raddr 0.0.0.0 rport 9"), "{relay}");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(line in "\\PC{0,120}") {
            let _ = line.parse::<Candidate>();
        }

        #[test]
        fn what_is_written_is_read_back(
            address in any::<(IpAddr, u16)>(),
            base in any::<(IpAddr, u16)>(),
            preference in any::<u16>(),
            ufrag in proptest::option::of("[a-zA-Z0-9+/]{4,32}"),
            kind in 0..3,
        ) {
            let (address, base) = (SocketAddr::from(address), SocketAddr::from(base));
            let mut candidate = match kind {
                0 => Candidate::host(address, preference),
                1 => Candidate::server_reflexive(address, base, preference),
                _ => Candidate::relayed(address, base, preference),
            };
            candidate.ufrag = ufrag;
            let mut read: Candidate = candidate.to_string().parse().unwrap();
            // The base is ours alone: it is not on the wire.
            read.base = candidate.base;
            prop_assert_eq!(read, candidate);
        }
    }
}
