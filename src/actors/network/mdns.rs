//! Asks the links of this host for the address of a `.local` name (RFC 6762), never the unicast DNS.
//!
//! A socket per question, which shares port 5353 with whatever else of the host speaks multicast DNS: there are
//! few questions, each is over in three seconds, and nothing is left behind.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use socket2::{Domain, Protocol, Type};
use tokio::{net::UdpSocket, sync::Semaphore, time::timeout};

use crate::actors::kit::{self, DropReason};
use crate::proto::mdns::{GROUP_V4, GROUP_V6, PORT, address_in, query};

/// Between the first asking and the second (RFC 6762 section 5.2: at least one second).
const REPEAT_AFTER: Duration = Duration::from_secs(1);
/// How long an answer to the second asking may take.
const LAST_WAIT: Duration = Duration::from_secs(2);
/// Links that are asked.
const MAX_LINKS: usize = 16;
/// RFC 6762 section 17: a message fits a jumbo frame.
pub(super) const MAX_MESSAGE_LENGTH: usize = 9_000;

/// Names of this process that are looked up at one time, whoever asks: each takes two sockets for three seconds. Who
/// comes when there are so many is told at once that nobody knows the name.
const MAX_LOOKUPS: usize = 64;

static LOOKUPS: Semaphore = Semaphore::const_new(MAX_LOOKUPS);

/// The address of `name`. Cancelled by dropping the future.
///
/// # Errors
/// When nobody answers in three seconds, the name is not one a candidate may have, port 5353 can't be shared, or too
/// many names are being looked up.
pub async fn resolve(name: &str) -> io::Result<IpAddr> {
    resolve_within(&LOOKUPS, name).await
}

async fn resolve_within(lookups: &Semaphore, name: &str) -> io::Result<IpAddr> {
    let query = query(name).ok_or(io::ErrorKind::InvalidInput)?;
    let Ok(_permit) = lookups.try_acquire() else {
        kit::statistics().drop(DropReason::RateLimited, 1);
        return Err(io::ErrorKind::ResourceBusy.into());
    };
    // Either family may be missing on a host.
    resolve_over(join_v4().and_then(Joined::listen), join_v6().and_then(Joined::listen), name, &query).await
}

async fn resolve_over(
    v4: io::Result<Links>,
    v6: io::Result<Links>,
    name: &str,
    query: &[u8],
) -> io::Result<IpAddr> {
    if let (Err(error), Err(_)) = (&v4, &v6) {
        return Err(io::Error::new(error.kind(), error.to_string()));
    }
    for wait in [REPEAT_AFTER, LAST_WAIT] {
        if let Ok(link) = &v4 {
            link.send(query).await;
        }
        if let Ok(link) = &v6 {
            link.send(query).await;
        }
        let heard = async {
            tokio::select! {
                address = answer(v4.as_ref().ok(), name) => address,
                address = answer(v6.as_ref().ok(), name) => address,
            }
        };
        if let Ok(address) = timeout(wait, heard).await {
            return Ok(address);
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

/// One family's socket that has joined the links of this host: what they say from now on waits in it.
pub(super) struct Joined {
    socket: std::net::UdpSocket,
    v4: Vec<Ipv4Addr>,
    v6: Vec<u32>,
}

impl Joined {
    /// Needs the runtime that is to wait for what arrives.
    pub(super) fn listen(self) -> io::Result<Links> {
        let Self { socket, v4, v6 } = self;
        Ok(Links { socket: UdpSocket::from_std(socket)?, v4, v6 })
    }
}

/// The same for one who waits.
pub(super) struct Links {
    pub(super) socket: UdpSocket,
    v4: Vec<Ipv4Addr>,
    v6: Vec<u32>,
}

impl Links {
    /// Whether the sockets have joined the same links.
    pub(super) fn are_those_of(&self, other: &Self) -> bool {
        self.v4 == other.v4 && self.v6 == other.v6
    }

    /// A link that can't be sent to is not asked: others may be.
    pub(super) async fn send(&self, query: &[u8]) {
        let socket = socket2::SockRef::from(&self.socket);
        for link in &self.v4 {
            if socket.set_multicast_if_v4(link).is_ok() {
                let _ = self.socket.send_to(query, (GROUP_V4, PORT)).await;
            }
        }
        for link in &self.v6 {
            if socket.set_multicast_if_v6(*link).is_ok() {
                let _ = self.socket.send_to(query, (GROUP_V6, PORT)).await;
            }
        }
    }
}

/// Waits for an answer; for ever without a socket.
pub(super) async fn answer(links: Option<&Links>, name: &str) -> IpAddr {
    let Some(links) = links else { return std::future::pending().await };
    let mut buffer = vec![0; MAX_MESSAGE_LENGTH];
    loop {
        // Errors of a socket here are those of earlier sends.
        let Ok((length, from)) = links.socket.recv_from(&mut buffer).await else { continue };
        // RFC 6762 section 6: answers come from port 5353.
        if from.port() == PORT
            && let Some(address) = address_in(&buffer[..length], name)
        {
            return address;
        }
    }
}

pub(super) fn join_v4() -> io::Result<Joined> {
    let socket = open(Domain::IPV4, (Ipv4Addr::UNSPECIFIED, PORT).into())?;
    let mut v4: Vec<Ipv4Addr> = if_addrs::get_if_addrs()?
        .into_iter()
        .filter_map(|interface| match interface.ip() {
            IpAddr::V4(ip) => Some(ip),
            IpAddr::V6(_) => None,
        })
        .take(MAX_LINKS)
        .collect();
    v4.retain(|link| socket.join_multicast_v4(&GROUP_V4, link).is_ok());
    Ok(Joined { socket, v4, v6: Vec::new() })
}

pub(super) fn join_v6() -> io::Result<Joined> {
    let socket = open(Domain::IPV6, (Ipv6Addr::UNSPECIFIED, PORT).into())?;
    let mut v6: Vec<u32> = if_addrs::get_if_addrs()?
        .into_iter()
        .filter(|interface| interface.ip().is_ipv6())
        .filter_map(|interface| interface.index)
        .take(MAX_LINKS)
        .collect();
    v6.sort_unstable();
    v6.dedup();
    v6.retain(|link| socket.join_multicast_v6(&GROUP_V6, *link).is_ok());
    Ok(Joined { socket, v4: Vec::new(), v6 })
}

/// Port 5353, shared with other resolvers and responders of this host.
fn open(domain: Domain, address: SocketAddr) -> io::Result<std::net::UdpSocket> {
    let socket = socket2::Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    #[cfg(unix)]
    socket.set_reuse_port(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::network::HiddenName;

    /// An address of either family, asked for over either group alone.
    #[test]
    fn names_are_resolved_over_the_ipv4_and_the_ipv6_group() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let missing = || Err(io::ErrorKind::Unsupported.into());
            for address in ["192.0.2.78", "2001:db8::78"] {
                let address: IpAddr = address.parse().unwrap();
                let hidden = HiddenName::new(address).unwrap();
                let question = query(hidden.name()).unwrap();
                let v4 = join_v4().and_then(Joined::listen);
                let over_v4 = resolve_over(v4, missing(), hidden.name(), &question).await;
                assert_eq!(over_v4.unwrap(), address, "over 224.0.0.251");
                let v6 = join_v6().and_then(Joined::listen);
                let over_v6 = resolve_over(missing(), v6, hidden.name(), &question).await;
                assert_eq!(over_v6.unwrap(), address, "over ff02::fb");
            }
        });
    }

    #[test]
    fn a7_names_that_no_candidate_has_are_not_asked_for() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let long = format!("{}.local", "a".repeat(300));
            for name in ["example.org", "localhost", "", "a.b.local", &long] {
                assert_eq!(resolve(name).await.unwrap_err().kind(), io::ErrorKind::InvalidInput, "{name}");
            }
        });
    }

    #[test]
    fn a7_so_many_names_are_looked_up_at_one_time_and_no_more() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let refused = resolve_within(&Semaphore::const_new(0), "nobody.local").await.unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::ResourceBusy);
        });
    }
}
