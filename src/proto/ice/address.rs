//! Which transport addresses may be used and which may be paired (RFC 8445 sections 5.1.1.1 and 6.1.2.2).
//!
//! Candidates come from the peer, so without a policy anybody could make this host send datagrams to
//! its own services or to a cloud's metadata address.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};

/// The metadata service of the large clouds: never a peer.
const CLOUD_METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

/// One spelling per address: IPv4-mapped IPv6 becomes IPv4, the flow label goes, and the scope stays
/// only where it selects the interface.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(_) => address,
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(ip) => SocketAddr::new(ip.into(), v6.port()),
            None => {
                let scope = if v6.ip().is_unicast_link_local() { v6.scope_id() } else { 0 };
                SocketAddrV6::new(*v6.ip(), v6.port(), 0, scope).into()
            }
        },
    }
}

/// Whether two canonical addresses are the same, whatever the interface scope: candidates in
/// signalling carry none, datagrams do.
pub(super) fn same(a: SocketAddr, b: SocketAddr) -> bool {
    a.port() == b.port() && a.ip() == b.ip()
}

/// Whether the address can be one of an endpoint at all.
pub(super) fn is_endpoint(address: SocketAddr) -> bool {
    let ip = address.ip();
    address.port() != 0
        && !ip.is_unspecified()
        && !ip.is_multicast()
        && match ip {
            IpAddr::V4(v4) => !v4.is_broadcast() && v4 != CLOUD_METADATA && v4.octets()[0] != 0,
            // RFC 8445 section 5.1.1.1: no deprecated site-local (fec0::/10), no IPv4-compatible.
            IpAddr::V6(v6) => v6.segments()[0] & 0xFFC0 != 0xFEC0 && !is_ipv4_compatible(v6.segments()),
        }
}

/// `::a.b.c.d`, deprecated by RFC 4291 section 2.5.5.1; `::1` is not one of them.
fn is_ipv4_compatible(segments: [u16; 8]) -> bool {
    segments[..6] == [0; 6] && (segments[6] != 0 || segments[7] > 1)
}

/// Whether a *signalled* candidate's port is one a media endpoint would have. Like libwebrtc: of the
/// ports below 1024 only 80 and 443, and those only on public addresses.
pub(super) fn is_signalled_port_allowed(address: SocketAddr) -> bool {
    match address.port() {
        1024.. => true,
        80 | 443 => !is_private(address.ip()),
        _ => false,
    }
}

fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private() || ip.is_loopback() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

/// Whether datagrams from a base can be meant to reach a remote address: same family, link-local only
/// with link-local (RFC 8445 section 6.1.2.2), loopback only with loopback.
pub(super) fn can_pair(base: SocketAddr, remote: SocketAddr) -> bool {
    let (local, remote) = (base.ip(), remote.ip());
    local.is_ipv4() == remote.is_ipv4()
        && is_link_local(local) == is_link_local(remote)
        && local.is_loopback() == remote.is_loopback()
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

/// Gives a link-local remote address the interface of the base it is paired with.
pub(super) fn with_scope_of(remote: SocketAddr, base: SocketAddr) -> SocketAddr {
    match (remote, base) {
        (SocketAddr::V6(to), SocketAddr::V6(from))
            if to.ip().is_unicast_link_local() && to.scope_id() == 0 =>
        {
            SocketAddrV6::new(*to.ip(), to.port(), 0, from.scope_id()).into()
        }
        _ => remote,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn mapped_addresses_are_judged_by_their_ipv4_address() {
        assert_eq!(canonical(address("[::ffff:127.0.0.1]:5000")), address("127.0.0.1:5000"));
        assert_eq!(canonical(address("[2001:db8::1]:5000")), address("[2001:db8::1]:5000"));
        assert!(same(canonical(address("[fe80::1%3]:5000")), address("[fe80::1]:5000")));
    }

    #[test]
    fn addresses_that_are_no_endpoints_are_refused() {
        for text in [
            "0.0.0.0:5000",
            "0.1.2.3:5000",
            "[::]:5000",
            "169.254.169.254:5000",
            "224.0.0.251:5353",
            "255.255.255.255:5000",
            "[ff02::fb]:5353",
            "[fec0::1]:5000",
            "[::10.0.0.1]:5000",
            "192.0.2.1:0",
        ] {
            assert!(!is_endpoint(address(text)), "{text}");
        }
        for text in ["192.0.2.1:5000", "127.0.0.1:5000", "[::1]:5000", "[2001:db8::1]:1", "[fe80::1]:5000"] {
            assert!(is_endpoint(address(text)), "{text}");
        }
    }

    #[test]
    fn low_ports_are_refused_except_those_of_the_web_on_public_addresses() {
        for (text, allowed) in [
            ("192.0.2.1:1024", true),
            ("192.0.2.1:443", true),
            ("192.0.2.1:80", true),
            ("192.0.2.1:53", false),
            ("10.0.0.1:443", false),
            ("127.0.0.1:80", false),
            ("[fd00::1]:443", false),
        ] {
            assert_eq!(is_signalled_port_allowed(address(text)), allowed, "{text}");
        }
    }

    #[test]
    fn only_like_pairs_with_like() {
        for (base, remote, expected) in [
            ("192.0.2.1:1", "198.51.100.1:1", true),
            ("192.0.2.1:1", "[2001:db8::1]:1", false),
            ("[fe80::1]:1", "[fe80::2]:1", true),
            ("[fe80::1]:1", "[2001:db8::1]:1", false),
            ("[2001:db8::2]:1", "[fe80::1]:1", false),
            ("127.0.0.1:1", "127.0.0.1:2", true),
            ("192.0.2.1:1", "127.0.0.1:2", false),
            ("192.0.2.1:1", "169.254.1.1:2", false),
        ] {
            assert_eq!(can_pair(address(base), address(remote)), expected, "{base} {remote}");
        }
    }
}
