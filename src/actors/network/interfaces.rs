//! Which addresses of this host may become host candidates (RFC 8445 §5.1.1.1).

use std::net::{IpAddr, SocketAddr};

use super::TlsTrust;

/// Which of the host's addresses are offered to peers.
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
            tls: TlsTrust::default(),
        }
    }
}

/// More addresses than this are not offered: each costs a candidate in every description, and a
/// peer pairs each with all of its own.
const MAX_HOST_ADDRESSES: usize = 16;

/// The host's addresses that `config` allows, best first, without duplicates.
///
/// # Errors
/// When the operating system refuses to list its interfaces.
pub fn host_addresses(config: &NetworkConfig) -> std::io::Result<Vec<IpAddr>> {
    let mut addresses = if config.advertise.is_empty() {
        if_addrs::get_if_addrs()?.into_iter().filter(|i| i.is_oper_up()).map(|i| i.ip()).collect()
    } else {
        config.advertise.clone()
    };
    addresses.retain(|address| config.advertise.contains(address) || is_offered(config, address));
    addresses.sort_by_key(preference);
    addresses.dedup();
    addresses.truncate(MAX_HOST_ADDRESSES);
    Ok(addresses)
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
        // Link-local IPv6 needs a scope that a candidate line can't carry.
        IpAddr::V6(address) => config.ipv6 && !address.is_unicast_link_local(),
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
    fn loopback_is_offered_only_on_request() {
        let without = host_addresses(&NetworkConfig::default()).unwrap();
        assert!(without.iter().all(|address| !address.is_loopback()));
        let config = NetworkConfig { include_loopback: true, ..NetworkConfig::default() };
        let with = host_addresses(&config).unwrap();
        assert!(with.contains(&IpAddr::from([127, 0, 0, 1])));
        assert!(with.last().is_some_and(IpAddr::is_loopback), "loopback comes last");
    }

    #[test]
    fn advertised_addresses_replace_the_interfaces() {
        let public: IpAddr = [203, 0, 113, 7].into();
        let config = NetworkConfig { advertise: vec![public, public], ..NetworkConfig::default() };
        assert_eq!(host_addresses(&config).unwrap(), vec![public]);
    }

    #[test]
    fn wildcard_sockets_report_the_address_a_datagram_came_to() {
        let wildcard: SocketAddr = "0.0.0.0:5000".parse().unwrap();
        assert_eq!(local_address(wildcard, Some([10, 0, 0, 1].into())), "10.0.0.1:5000".parse().unwrap());
        let bound: SocketAddr = "10.0.0.2:5000".parse().unwrap();
        assert_eq!(local_address(bound, Some([10, 0, 0, 1].into())), bound);
    }
}
