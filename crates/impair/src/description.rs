//! Session descriptions (RFC 8839 §5.1) that lead through the relay.

use std::net::{IpAddr, SocketAddr};

/// Makes a description say that its author is at `address`, and nowhere else: one UDP candidate is left in each
/// section. Says where the author really is, for [`Relay::set_peer`](crate::Relay::set_peer).
///
/// The one on loopback is taken if there is one, otherwise the first. `None` if there is no host candidate of IPv4
/// over UDP: its author has not gathered.
pub fn route_through(description: &str, address: SocketAddr) -> Option<(String, SocketAddr)> {
    let mut candidates = description.lines().filter_map(host_candidate);
    let first = candidates.next()?;
    let on_loopback = std::iter::once(first).chain(candidates).find(|real| real.ip().is_loopback());
    let real = on_loopback.unwrap_or(first);
    let mut routed = String::with_capacity(description.len());
    for line in description.lines() {
        if !line.starts_with("a=candidate:") {
            routed.push_str(line);
        } else if host_candidate(line) == Some(real) {
            let mut fields: Vec<&str> = line.split(' ').collect();
            let (ip, port) = (address.ip().to_string(), address.port().to_string());
            (fields[4], fields[5]) = (&ip, &port);
            routed.push_str(&fields.join(" "));
        } else {
            continue;
        }
        routed.push_str("\r\n");
    }
    Some((routed, real))
}

/// The address of a host candidate of IPv4 over UDP.
fn host_candidate(line: &str) -> Option<SocketAddr> {
    let fields: Vec<&str> = line.strip_prefix("a=candidate:")?.split(' ').collect();
    let &[_, _, transport, _, ip, port, "typ", "host", ..] = &fields[..] else { return None };
    let ip: IpAddr = ip.parse().ok().filter(IpAddr::is_ipv4)?;
    transport.eq_ignore_ascii_case("udp").then(|| Some(SocketAddr::new(ip, port.parse().ok()?)))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_candidate_is_left_and_leads_to_the_relay() {
        let description = "v=0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n\
            a=candidate:1 1 udp 2130706431 192.0.2.7 1111 typ host\r\n\
            a=candidate:2 1 udp 2130706175 127.0.0.1 2222 typ host generation 0\r\n\
            a=candidate:3 1 tcp 2130706175 127.0.0.1 2222 typ host tcptype passive\r\n\
            a=candidate:4 1 udp 2130706175 ::1 3333 typ host\r\na=end-of-candidates\r\n";
        let (routed, real) = route_through(description, "127.0.0.1:9".parse().unwrap()).unwrap();
        assert_eq!(real, "127.0.0.1:2222".parse().unwrap());
        let lines: Vec<&str> = routed.lines().collect();
        assert_eq!(
            lines[2..],
            ["a=candidate:2 1 udp 2130706175 127.0.0.1 9 typ host generation 0", "a=end-of-candidates"]
        );
        let elsewhere = description.replace("127.0.0.1", "192.0.2.8");
        assert_eq!(route_through(&elsewhere, real).unwrap().1, "192.0.2.7:1111".parse().unwrap());
        assert_eq!(route_through("v=0\r\n", real), None);
    }
}
