//! Candidates: what they are and how they rank (RFC 8445 sections 5.1.1 to 5.1.3).

use std::net::SocketAddr;
use std::sync::Arc;

use super::address;
use super::server_url::ServerUrl;
pub use crate::proto::Protocol as TransportProtocol;

/// How a candidate was obtained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CandidateKind {
    /// An address of the host itself.
    Host,
    /// The host's address as a STUN server sees it.
    ServerReflexive,
    /// An address learned from a connectivity check.
    PeerReflexive,
    /// An address on a TURN server.
    Relayed,
}

impl CandidateKind {
    /// The type preferences RFC 8445 section 5.1.2.2 recommends. RFC 6544 section 4.2 wants those of TCP lower than
    /// those of UDP; these are below all of UDP that is not relayed, as in libwebrtc.
    fn preference(self, protocol: TransportProtocol) -> u32 {
        match (protocol, self) {
            (TransportProtocol::Udp, Self::Host) => 126,
            (TransportProtocol::Udp, Self::PeerReflexive) => 110,
            (TransportProtocol::Udp, Self::ServerReflexive) => 100,
            (TransportProtocol::Tcp, Self::Host) => 90,
            (TransportProtocol::Tcp, Self::PeerReflexive) => 80,
            (TransportProtocol::Tcp, Self::ServerReflexive) => 70,
            (_, Self::Relayed) => 0,
        }
    }

    /// The token of a candidate line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::ServerReflexive => "srflx",
            Self::PeerReflexive => "prflx",
            Self::Relayed => "relay",
        }
    }
}

/// Who opens the connection of a TCP candidate (RFC 6544 section 4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TcpType {
    /// This side connects.
    Active,
    /// This side listens.
    Passive,
    /// Both sides connect at once.
    SimultaneousOpen,
}

impl TcpType {
    /// The direction preference of RFC 6544 section 4.2.
    fn direction_preference(self, kind: CandidateKind) -> u16 {
        match (kind, self) {
            (CandidateKind::Host | CandidateKind::Relayed, Self::Active) => 6,
            (CandidateKind::Host | CandidateKind::Relayed, Self::Passive) => 4,
            (CandidateKind::Host | CandidateKind::Relayed, Self::SimultaneousOpen) => 2,
            (_, Self::SimultaneousOpen) => 6,
            (_, Self::Active) => 4,
            (_, Self::Passive) => 2,
        }
    }
}

/// The port of active candidates (RFC 6544 section 4.5): their connections have others.
pub const ACTIVE_PORT: u16 = 9;

/// The bits of a TCP candidate's local preference that rank the addresses of one host (RFC 6544 section 4.2).
const OTHER_PREFERENCE_BITS: u32 = 13;

/// Where a candidate is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CandidateAddress {
    /// An address and a port.
    Ip(SocketAddr),
    /// A host name, such as the `.local` name of an obfuscated candidate.
    Name {
        /// The name as it was written.
        host: String,
        /// The port.
        port: u16,
    },
}

impl CandidateAddress {
    /// The address, unless it is a name.
    pub fn ip(&self) -> Option<SocketAddr> {
        match self {
            Self::Ip(address) => Some(*address),
            Self::Name { .. } => None,
        }
    }
}

/// A candidate, local or remote. `FromStr` reads and `Display` writes the `candidate:` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Equal for candidates of the same kind, base address and server: 1 to 32 ice-chars.
    pub foundation: String,
    /// The component: 1 for RTP and everything multiplexed with it.
    pub component: u8,
    /// The transport protocol.
    pub protocol: TransportProtocol,
    /// The priority (RFC 8445 section 5.1.2).
    pub priority: u32,
    /// The transport address.
    pub address: CandidateAddress,
    /// How it was obtained.
    pub kind: CandidateKind,
    /// The related address (`raddr`, `rport`): diagnostics, never sent to.
    pub related: Option<SocketAddr>,
    /// The TCP type, for TCP candidates.
    pub tcp_type: Option<TcpType>,
    /// The `generation` extension, which aioice and libwebrtc write: read and written, never looked at.
    pub generation: Option<u32>,
    /// The username fragment it belongs to (RFC 8839 `ufrag` extension).
    pub ufrag: Option<String>,
    /// For a local candidate: the socket it is sent from, if that has another address.
    pub base: Option<SocketAddr>,
    /// For a local candidate: the STUN or TURN server it was obtained from. Its URL and its transport are
    /// W3C's `url` and `relayProtocol`; neither is signalled.
    pub server: Option<Arc<ServerUrl>>,
}

impl Candidate {
    /// A host candidate: `address` is a local socket. `local_preference` ranks the addresses of one
    /// host; a host with a single address passes 65,535 (RFC 8445 section 5.1.2.1).
    pub fn host(address: SocketAddr, local_preference: u16) -> Self {
        Self::new(CandidateKind::Host, address, None, local_preference)
    }

    /// A host candidate behind a static one-to-one translation: the peer is told `public`, the socket
    /// is bound to `base`.
    pub fn mapped_host(public: SocketAddr, base: SocketAddr, local_preference: u16) -> Self {
        Self::new(CandidateKind::Host, public, Some(base), local_preference)
    }

    /// A TCP candidate of the host (RFC 6544 section 4.1): for a passive one `address` is the listener, for an active
    /// one only the IP counts. `local_preference` ranks the addresses of one host as for [`Candidate::host`]; of it
    /// the 13 lower bits count.
    pub fn tcp_host(tcp_type: TcpType, mut address: SocketAddr, local_preference: u16) -> Self {
        if tcp_type == TcpType::Active {
            address.set_port(ACTIVE_PORT);
        }
        Self::new(CandidateKind::Host, address, None, local_preference).over_tcp(tcp_type, local_preference)
    }

    /// A TCP candidate behind a static translation: the peer is told `public`, a listener is at `base`.
    pub fn tcp_mapped(
        kind: CandidateKind,
        tcp_type: TcpType,
        mut public: SocketAddr,
        mut base: SocketAddr,
        local_preference: u16,
    ) -> Self {
        if tcp_type == TcpType::Active {
            public.set_port(ACTIVE_PORT);
            base.set_port(ACTIVE_PORT);
        }
        let mut candidate = Self::new(kind, public, Some(base), local_preference);
        candidate.related = (kind != CandidateKind::Host).then_some(base);
        candidate.over_tcp(tcp_type, local_preference)
    }

    fn over_tcp(mut self, tcp_type: TcpType, other_preference: u16) -> Self {
        let other = other_preference & ((1 << OTHER_PREFERENCE_BITS) - 1);
        let direction = tcp_type.direction_preference(self.kind) << OTHER_PREFERENCE_BITS;
        self.protocol = TransportProtocol::Tcp;
        self.tcp_type = Some(tcp_type);
        self.priority = priority_over(self.protocol, self.kind, direction | other, self.component);
        if let Some(base) = self.base() {
            self.foundation = foundation(self.kind, base, self.protocol);
        }
        self
    }

    /// Whether a check may be sent from here to a candidate of the peer without it having come to us first: over TCP
    /// only from an active candidate to a passive one (RFC 6544 section 6.2 prunes the pairs of passive ones, and
    /// simultaneous opens are not offered here).
    pub(super) fn may_open(&self, remote: &Self) -> bool {
        match self.protocol {
            TransportProtocol::Udp => true,
            TransportProtocol::Tcp => {
                self.tcp_type == Some(TcpType::Active) && remote.tcp_type == Some(TcpType::Passive)
            }
        }
    }

    /// A server-reflexive candidate: `address` as a STUN server saw the socket `base`.
    pub fn server_reflexive(address: SocketAddr, base: SocketAddr, local_preference: u16) -> Self {
        let mut candidate = Self::new(CandidateKind::ServerReflexive, address, Some(base), local_preference);
        candidate.related = Some(base);
        candidate
    }

    /// A relayed candidate: its base is the relayed address itself. `mapped` is the client's address
    /// as the TURN server saw it.
    pub fn relayed(address: SocketAddr, mapped: SocketAddr, local_preference: u16) -> Self {
        let mut candidate = Self::new(CandidateKind::Relayed, address, None, local_preference);
        candidate.related = Some(mapped);
        candidate
    }

    /// The same candidate, obtained from this server: part of the foundation (RFC 8445 section 5.1.1.3).
    pub fn from_server(mut self, server: Arc<ServerUrl>) -> Self {
        if let Some(base) = self.base() {
            let seed = format!("{} {} {} {server}", self.kind.as_str(), base.ip(), self.address_family());
            self.foundation = crc32fast::hash(seed.as_bytes()).to_string();
        }
        self.server = Some(server);
        self
    }

    /// The same candidate without related address, where the peer must not learn it: the line then has the
    /// unspecified address and port 9 (RFC 8839 section 5.1).
    pub fn without_related_address(mut self) -> Self {
        self.related = None;
        self
    }

    /// The same candidate for another component, whose number is part of the priority (RFC 8445 section
    /// 5.1.2.1).
    #[must_use]
    pub fn for_component(mut self, component: u8) -> Self {
        if component != self.component {
            self.component = component.max(1);
            self.priority = (self.priority & !0xFF) | (256 - u32::from(self.component));
        }
        self
    }

    /// Whether checks between the two make sense: same component, same transport, same address family
    /// (RFC 8445 section 6.1.2.2). False while an address is a name that nobody has looked up.
    pub fn can_pair_with(&self, other: &Self) -> bool {
        let families = self.address.ip().zip(other.address.ip());
        self.component == other.component
            && self.protocol == other.protocol
            && families.is_some_and(|(ours, theirs)| ours.is_ipv4() == theirs.is_ipv4())
    }

    fn address_family(&self) -> &'static str {
        if self.address.ip().is_some_and(|address| address.is_ipv6()) { "ip6" } else { "ip4" }
    }

    fn new(
        kind: CandidateKind,
        address: SocketAddr,
        base: Option<SocketAddr>,
        local_preference: u16,
    ) -> Self {
        Self {
            foundation: foundation(kind, base.unwrap_or(address), TransportProtocol::Udp),
            component: 1,
            protocol: TransportProtocol::Udp,
            priority: priority(kind, local_preference, 1),
            address: CandidateAddress::Ip(address),
            kind,
            related: None,
            tcp_type: None,
            generation: None,
            ufrag: None,
            base,
            server: None,
        }
    }

    /// A peer-reflexive candidate (RFC 8445 section 7.3.1.3) of a component; the number makes its
    /// foundation unique.
    pub(super) fn peer_reflexive(
        protocol: TransportProtocol,
        address: SocketAddr,
        base: Option<SocketAddr>,
        priority: u32,
        (component, number): (u8, u32),
    ) -> Self {
        Self {
            foundation: format!("prflx{number}"),
            component,
            protocol,
            priority,
            address: CandidateAddress::Ip(address),
            kind: CandidateKind::PeerReflexive,
            related: None,
            // Whoever is seen from the other end of a connection has opened it.
            tcp_type: (protocol == TransportProtocol::Tcp).then_some(TcpType::Active),
            generation: None,
            ufrag: None,
            base,
            server: None,
        }
    }

    /// The local socket a local candidate is sent from. `None` only if the address is a name.
    pub fn base(&self) -> Option<SocketAddr> {
        self.base.or_else(|| self.address.ip())
    }

    /// Whether this is its transport address.
    pub fn is_at(&self, protocol: TransportProtocol, address: SocketAddr) -> bool {
        self.protocol == protocol && self.address.ip().is_some_and(|known| address::same(known, address))
    }

    /// Whether this is the base it is sent from.
    pub fn has_base(&self, protocol: TransportProtocol, base: SocketAddr) -> bool {
        self.protocol == protocol && self.base().is_some_and(|known| address::same(known, base))
    }

    /// The PRIORITY of checks sent from this candidate: the priority a peer-reflexive candidate
    /// discovered by them would have (RFC 8445 section 7.1.1).
    pub(super) fn check_priority(&self) -> u32 {
        (CandidateKind::PeerReflexive.preference(self.protocol) << 24) | (self.priority & 0x00FF_FFFF)
    }
}

/// The priority formula of RFC 8445 section 5.1.2.1, for UDP.
pub fn priority(kind: CandidateKind, local_preference: u16, component: u8) -> u32 {
    priority_over(TransportProtocol::Udp, kind, local_preference, component)
}

fn priority_over(
    protocol: TransportProtocol,
    kind: CandidateKind,
    local_preference: u16,
    component: u8,
) -> u32 {
    let component = 256 - u32::from(component.max(1));
    (kind.preference(protocol) << 24) | (u32::from(local_preference) << 8) | component
}

/// RFC 8445 section 5.1.1.3: same kind, same base address (the port does not matter), same protocol.
fn foundation(kind: CandidateKind, base: SocketAddr, protocol: TransportProtocol) -> String {
    let protocol = match protocol {
        TransportProtocol::Udp => "udp",
        TransportProtocol::Tcp => "tcp",
    };
    crc32fast::hash(format!("{} {} {protocol}", kind.as_str(), base.ip()).as_bytes()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_are_those_of_rfc_8445() {
        use CandidateKind::{Host, PeerReflexive, Relayed, ServerReflexive};
        for (kind, component, expected) in [
            (Host, 1, 2_130_706_431),
            (Host, 2, 2_130_706_430),
            (ServerReflexive, 1, 1_694_498_815),
            (PeerReflexive, 1, 1_862_270_975),
            (Relayed, 1, 16_777_215),
        ] {
            assert_eq!(priority(kind, 65_535, component), expected, "{kind:?} {component}");
        }
    }

    #[test]
    fn like_pairs_with_like() {
        let read = |line: &str| line.parse::<Candidate>().unwrap();
        let udp = read("1 1 udp 1 192.0.2.1 5000 typ host");
        assert!(udp.can_pair_with(&read("2 1 UDP 1 192.0.2.2 5000 typ srflx raddr 10.0.0.1 rport 1")));
        let ipv6 = read("1 1 udp 1 2001:db8::1 5000 typ host");
        assert!(ipv6.can_pair_with(&read("1 1 udp 1 2001:db8::2 5000 typ host")));
        for other in [
            ipv6,
            read("2 2 udp 1 192.0.2.2 5000 typ host"),
            read("2 1 tcp 1 192.0.2.2 9 typ host tcptype active"),
            read("2 1 udp 1 0b0a4c52-5bc0-4b0d-8e4b-0f6c1c5f0001.local 5000 typ host"),
        ] {
            assert!(!udp.can_pair_with(&other) && !other.can_pair_with(&udp), "{other}");
        }
    }

    #[test]
    fn tcp_ranks_below_udp_and_active_above_passive() {
        let address = "192.0.2.1:5000".parse().unwrap();
        let active = Candidate::tcp_host(TcpType::Active, address, 65_535);
        let passive = Candidate::tcp_host(TcpType::Passive, address, 65_535);
        assert_eq!(active.priority, (90 << 24) | (0xDFFF << 8) | 255);
        assert_eq!(passive.priority, (90 << 24) | (0x9FFF << 8) | 255);
        assert!(Candidate::server_reflexive(address, address, 0).priority > active.priority);
        assert!(passive.priority > Candidate::relayed(address, address, 65_535).priority);
        assert_eq!(active.address.ip(), Some("192.0.2.1:9".parse().unwrap()), "RFC 6544 section 4.5");
        assert_eq!(passive.address.ip(), Some(address));
        assert_eq!(active.check_priority() >> 24, 80);
        assert_eq!(active.foundation, passive.foundation);
        assert_ne!(active.foundation, Candidate::host(address, 65_535).foundation);
        let mapped =
            Candidate::tcp_mapped(CandidateKind::ServerReflexive, TcpType::Passive, address, address, 65_535);
        assert_eq!(mapped.priority, (70 << 24) | (0x5FFF << 8) | 255);
    }

    #[test]
    fn item_38_only_active_candidates_open_and_only_to_passive_ones() {
        let local: SocketAddr = "192.0.2.1:5000".parse().unwrap();
        let of = |tcp_type| Candidate::tcp_host(tcp_type, local, 1);
        let (active, passive, both) =
            (of(TcpType::Active), of(TcpType::Passive), of(TcpType::SimultaneousOpen));
        for (from, to, may) in [
            (&active, &passive, true),
            (&active, &active, false),
            (&active, &both, false),
            (&passive, &active, false),
            (&passive, &passive, false),
            (&passive, &both, false),
        ] {
            assert_eq!(from.may_open(to), may, "{:?} {:?}", from.tcp_type, to.tcp_type);
        }
    }

    #[test]
    fn another_component_has_another_priority_and_the_same_foundation() {
        let first = Candidate::host("192.0.2.1:5000".parse().unwrap(), 65_535);
        let second = first.clone().for_component(2);
        assert_eq!(second.priority, priority(CandidateKind::Host, 65_535, 2));
        assert_eq!((second.component, &second.foundation), (2, &first.foundation));
        assert_eq!(second.for_component(1), first);
    }

    #[test]
    fn checks_carry_the_peer_reflexive_priority() {
        let host = Candidate::host("192.0.2.1:5000".parse().unwrap(), 65_535);
        assert_eq!(host.check_priority(), priority(CandidateKind::PeerReflexive, 65_535, 1));
    }

    #[test]
    fn foundations_depend_on_kind_and_base_address_only() {
        let (a, b) = ("192.0.2.1:5000".parse().unwrap(), "192.0.2.1:6000".parse().unwrap());
        assert_eq!(Candidate::host(a, 1).foundation, Candidate::host(b, 2).foundation);
        let reflexive = Candidate::server_reflexive("198.51.100.1:7000".parse().unwrap(), a, 1);
        assert_ne!(reflexive.foundation, Candidate::host(a, 1).foundation);
        assert_eq!(reflexive.base(), Some(a));
    }
}
