//! Which addresses of this host may become host candidates (RFC 8445 §5.1.1.1).

use std::{
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
};

use super::TlsTrust;

/// Which interfaces and addresses of the host are used. What is empty asks for nothing; all that is not empty must
/// hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct InterfaceFilter {
    /// Only the interfaces of these names, such as `eth0`.
    pub names: Vec<String>,
    /// Not the interfaces of these names, such as `docker0`.
    pub excluded_names: Vec<String>,
    /// Only these addresses.
    pub addresses: Vec<IpAddr>,
}

impl InterfaceFilter {
    fn admits(&self, name: &str, address: IpAddr) -> bool {
        let is_named = self.names.is_empty() || self.names.iter().any(|known| known == name);
        let is_excluded = self.excluded_names.iter().any(|known| known == name);
        is_named && !is_excluded && (self.addresses.is_empty() || self.addresses.contains(&address))
    }
}

/// A static translation of an address of this host, by a NAT or a load balancer in front of it: what is sent to
/// `external` reaches the same port of `internal` (RFC 8445 appendix B.3 calls it the base).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct AddressMapping {
    /// The address of the host.
    pub internal: IpAddr,
    /// The address that peers are told, of the same family.
    pub external: IpAddr,
    /// How they are told.
    pub kind: MappedCandidate,
}

impl AddressMapping {
    /// The mapping of `internal` to `external`.
    pub fn new(internal: IpAddr, external: IpAddr, kind: MappedCandidate) -> Self {
        Self { internal, external, kind }
    }
}

/// How a mapped address is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "an address is offered instead of another or besides it")]
pub enum MappedCandidate {
    /// As a host candidate, instead of the internal address: the peer never learns that one.
    Host,
    /// As a server-reflexive candidate, besides the internal address.
    ServerReflexive,
}

/// Which ways over TCP are offered (RFC 6544). They rank below all of UDP but relays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum TcpMode {
    /// None.
    #[default]
    Off,
    /// Connections to passive candidates of the peer are opened: what a client behind a firewall without UDP needs.
    Active,
    /// Connections of the peer are accepted: for a server.
    Passive {
        /// The port to listen on; 0 takes any, of the port range if there is one. With shared sockets the second
        /// shard takes the next port, and so on.
        port: u16,
    },
    /// Both.
    ActiveAndPassive {
        /// As above.
        port: u16,
    },
}

impl TcpMode {
    /// Whether connections are opened.
    pub fn is_active(self) -> bool {
        matches!(self, Self::Active | Self::ActiveAndPassive { .. })
    }

    /// The port to listen on, if connections are accepted.
    pub fn passive_port(self) -> Option<u16> {
        match self {
            Self::Off | Self::Active => None,
            Self::Passive { port } | Self::ActiveAndPassive { port } => Some(port),
        }
    }
}

/// Which of the host's addresses and ports are offered to peers, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NetworkConfig {
    /// Offer IPv4 addresses. Default: true.
    pub ipv4: bool,
    /// Offer IPv6 addresses. Default: true.
    pub ipv6: bool,
    /// Offer 127.0.0.1 and ::1, which RFC 8445 §5.1.1.1 forbids outside of one machine: for tests
    /// and for a server that is tried out locally. Default: false.
    pub include_loopback: bool,
    /// When not empty, only these addresses are offered, whatever the interfaces say: for a host
    /// behind a 1:1 NAT, whose public address is on none of its interfaces. Default: empty.
    pub advertise: Vec<IpAddr>,
    /// Which interfaces are used. Default: all.
    pub interfaces: InterfaceFilter,
    /// Ports of own sockets, both ends included, for firewalls: UDP sockets and TCP listeners that have no port of
    /// their own are bound within. Sockets towards TURN servers are not. Default: any port.
    pub port_range: Option<RangeInclusive<u16>>,
    /// Addresses that are translated on the way. Default: none.
    pub address_mapping: Vec<AddressMapping>,
    /// Which ways over TCP are offered. Default: none.
    pub tcp: TcpMode,
    /// Offer `.local` names instead of own addresses (draft-ietf-mmusic-mdns-ice-candidates): only peers on the
    /// same links can look them up. Default: false.
    pub hide_host_addresses: bool,
    /// Which certificates of TURN servers over TLS are believed. Default: those of the system's authorities.
    pub tls: TlsTrust,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self {
            ipv4: true,
            ipv6: true,
            include_loopback: false,
            advertise: Vec::new(),
            interfaces: InterfaceFilter::default(),
            port_range: None,
            address_mapping: Vec::new(),
            tcp: TcpMode::default(),
            hide_host_addresses: false,
            tls: TlsTrust::default(),
        }
    }
}

/// More addresses than this are not offered: each costs a candidate in every description, and a
/// peer pairs each with all of its own.
const MAX_HOST_ADDRESSES: usize = 16;

/// An address of this host, and how peers are told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostAddress {
    /// On an interface of this host: sockets are reached by it.
    pub internal: IpAddr,
    /// What peers are told instead or besides.
    pub mapping: Option<(IpAddr, MappedCandidate)>,
}

/// An address of an interface that is up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct InterfaceAddress {
    pub(super) name: String,
    pub(super) ip: IpAddr,
}

/// What the interfaces have at this moment.
pub(super) fn list_interfaces() -> std::io::Result<Vec<InterfaceAddress>> {
    let up = if_addrs::get_if_addrs()?.into_iter().filter(|interface| interface.is_oper_up());
    Ok(up.map(|interface| InterfaceAddress { ip: interface.ip(), name: interface.name }).collect())
}

/// The host's addresses that `config` allows, best first, without duplicates.
///
/// # Errors
/// When the operating system refuses to list its interfaces.
pub fn host_addresses(config: &NetworkConfig) -> std::io::Result<Vec<HostAddress>> {
    Ok(admitted(config, &list_interfaces()?))
}

/// What `config` allows of these.
pub(super) fn admitted(config: &NetworkConfig, listed: &[InterfaceAddress]) -> Vec<HostAddress> {
    let admitted = listed.iter().filter(|address| config.interfaces.admits(&address.name, address.ip));
    select(config, admitted.map(|address| address.ip).collect())
}

/// What is offered of the addresses that the interfaces have.
fn select(config: &NetworkConfig, mut addresses: Vec<IpAddr>) -> Vec<HostAddress> {
    addresses.sort_by_key(preference);
    addresses.dedup();
    let mut offered = Vec::new();
    for internal in &addresses {
        let mapped = config.address_mapping.iter().find(|mapping| {
            mapping.internal == *internal && mapping.external.is_ipv4() == internal.is_ipv4()
        });
        let mapping = mapped.map(|mapping| (mapping.external, mapping.kind));
        let is_advertised = config.advertise.contains(internal);
        if is_advertised || (config.advertise.is_empty() && is_offered(config, internal)) {
            offered.push(HostAddress { internal: *internal, mapping });
        }
    }
    // Advertised addresses that no interface has: somebody in front of this host translates them, to which of its
    // addresses is not said. Sockets accept them all, and the peer is told each once.
    for external in config.advertise.iter().filter(|address| !addresses.contains(address)) {
        let mapping = Some((*external, MappedCandidate::Host));
        let of_family = addresses.iter().filter(|internal| internal.is_ipv4() == external.is_ipv4());
        let behind =
            of_family.filter(|internal| is_offered(config, internal) && !config.advertise.contains(internal));
        offered.extend(behind.map(|internal| HostAddress { internal: *internal, mapping }));
    }
    offered.truncate(MAX_HOST_ADDRESSES);
    offered
}

fn is_offered(config: &NetworkConfig, address: &IpAddr) -> bool {
    if address.is_unspecified() || address.is_multicast() {
        return false;
    }
    if address.is_loopback() && !config.include_loopback {
        return false;
    }
    match address {
        IpAddr::V4(address) => config.ipv4 && !address.is_link_local(),
        // Link-local IPv6 needs a scope that a candidate line can't carry; RFC 8445 §5.1.1.1 forbids site-local
        // and IPv4-mapped addresses.
        IpAddr::V6(address) => {
            let is_site_local = address.segments()[0] & 0xFFC0 == 0xFEC0;
            config.ipv6
                && !address.is_unicast_link_local()
                && !is_site_local
                && address.to_ipv4_mapped().is_none()
        }
    }
}

/// RFC 8421 §4: IPv6 and IPv4 interleave; here the family most servers are reached by goes first,
/// and loopback last.
fn preference(address: &IpAddr) -> (bool, bool, IpAddr) {
    (address.is_loopback(), address.is_ipv6(), *address)
}

/// The local preference of RFC 8445 §5.1.2.1 for the `index`-th address: distinct per address, so
/// that no two host candidates share a priority.
pub(crate) fn local_preference(index: usize) -> u16 {
    u16::MAX.saturating_sub(u16::try_from(index).unwrap_or(u16::MAX))
}

/// The address a datagram came to: the socket's own, or for a socket bound to every address the one
/// that the kernel reported.
pub(crate) fn local_address(bound: SocketAddr, destination: Option<IpAddr>) -> SocketAddr {
    match destination {
        Some(ip) if bound.ip().is_unspecified() => SocketAddr::new(ip.to_canonical(), bound.port()),
        _ => bound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn item_13_addresses_that_no_peer_may_be_told_are_not_offered() {
        for address in
            ["127.0.0.1", "::1", "fec0::1", "fe80::1", "::ffff:192.0.2.1", "::", "0.0.0.0", "169.254.1.1"]
        {
            assert!(!is_offered(&NetworkConfig::default(), &address.parse().unwrap()), "{address}");
        }
        for address in ["192.0.2.1", "10.0.0.1", "2001:db8::1", "fd00::1"] {
            assert!(is_offered(&NetworkConfig::default(), &address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn loopback_is_offered_only_on_request() {
        let without = host_addresses(&NetworkConfig::default()).unwrap();
        assert!(without.iter().all(|address| !address.internal.is_loopback()));
        let config = NetworkConfig { include_loopback: true, ..NetworkConfig::default() };
        let with = host_addresses(&config).unwrap();
        let loopback = HostAddress { internal: IpAddr::from([127, 0, 0, 1]), mapping: None };
        assert!(with.contains(&loopback));
        assert!(with.last().is_some_and(|address| address.internal.is_loopback()), "loopback comes last");
    }

    #[test]
    fn advertised_addresses_replace_the_interfaces() {
        let public: IpAddr = [203, 0, 113, 7].into();
        let config = NetworkConfig { advertise: vec![public], ..NetworkConfig::default() };
        let own = ip("10.0.0.1");
        let mapping = Some((public, MappedCandidate::Host));
        let addresses = vec![ip("127.0.0.1"), own, ip("2001:db8::1")];
        let expected = HostAddress { internal: own, mapping };
        assert_eq!(select(&config, addresses), [expected], "behind a translation");
        let offered = select(&config, vec![own, public]);
        assert_eq!(offered, [HostAddress { internal: public, mapping: None }], "on an interface");
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn mapped_addresses_are_offered_for_the_one_they_lead_to() {
        let host = AddressMapping::new(ip("10.0.0.1"), ip("203.0.113.7"), MappedCandidate::Host);
        let reflexive =
            AddressMapping::new(ip("10.0.0.2"), ip("203.0.113.8"), MappedCandidate::ServerReflexive);
        let mixed = AddressMapping::new(ip("10.0.0.3"), ip("2001:db8::1"), MappedCandidate::Host);
        let config =
            NetworkConfig { address_mapping: vec![host, reflexive, mixed], ..NetworkConfig::default() };
        let offered = select(&config, vec![ip("10.0.0.1"), ip("10.0.0.2"), ip("10.0.0.3")]);
        let mappings: Vec<_> = offered.iter().map(|address| address.mapping).collect();
        let expected = [
            Some((ip("203.0.113.7"), MappedCandidate::Host)),
            Some((ip("203.0.113.8"), MappedCandidate::ServerReflexive)),
            None,
        ];
        assert_eq!(mappings, expected);
    }

    #[test]
    fn interfaces_are_chosen_by_name_and_by_address() {
        let of = |names: &[&str], excluded: &[&str], addresses: &[&str]| InterfaceFilter {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            excluded_names: excluded.iter().map(|name| (*name).to_owned()).collect(),
            addresses: addresses.iter().map(|address| ip(address)).collect(),
        };
        for (filter, expected) in [
            (of(&[], &[], &[]), true),
            (of(&["eth0", "eth1"], &[], &[]), true),
            (of(&["eth1"], &[], &[]), false),
            (of(&[], &["eth0"], &[]), false),
            (of(&[], &["docker0"], &[]), true),
            (of(&[], &[], &["10.0.0.1"]), true),
            (of(&[], &[], &["10.0.0.2"]), false),
            (of(&["eth0"], &[], &["10.0.0.2"]), false),
        ] {
            assert_eq!(filter.admits("eth0", ip("10.0.0.1")), expected, "{filter:?}");
        }
        let none =
            InterfaceFilter { names: vec!["nothing-is-called-so".to_owned()], ..InterfaceFilter::default() };
        let config = NetworkConfig { interfaces: none, include_loopback: true, ..NetworkConfig::default() };
        assert_eq!(host_addresses(&config).unwrap(), []);
    }

    #[test]
    fn wildcard_sockets_report_the_address_a_datagram_came_to() {
        let wildcard: SocketAddr = "0.0.0.0:5000".parse().unwrap();
        assert_eq!(local_address(wildcard, Some([10, 0, 0, 1].into())), "10.0.0.1:5000".parse().unwrap());
        let bound: SocketAddr = "10.0.0.2:5000".parse().unwrap();
        assert_eq!(local_address(bound, Some([10, 0, 0, 1].into())), bound);
    }
}
