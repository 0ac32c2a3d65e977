//! Permissions and channels of an allocation (RFC 8656 sections 9 to 12), and what waits for them.
//!
//! Both are leases: asked for, granted for a time, renewed as long as they are used. Times are counted from
//! when the request was first sent, so that a lease never ends earlier on the server than here.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::frame::CHANNEL_NUMBERS;

/// Most permissions: as many as ICE has pairs (RFC 8445 section 6.1.2.5).
const MAX_PERMISSIONS: usize = 100;

/// Most channels. They are for peers that get data, of which an ICE agent has one or two at a time; others
/// are reached by Send indications.
const MAX_CHANNELS: usize = 16;

/// Most datagrams that wait for permissions: the first checks of all pairs.
const MAX_HELD: usize = 100;

/// RFC 8656 section 9: a permission lasts 300 s.
const PERMISSION_LIFETIME: Duration = Duration::from_secs(300);

/// RFC 8656 section 12: a channel binding lasts 600 s.
const CHANNEL_LIFETIME: Duration = Duration::from_secs(600);

/// RFC 8656 section 12: a number may go to another peer 300 s after its binding ended. Here it never does,
/// but for so long it must be remembered that the peer's number is this one.
const CHANNEL_MEMORY: Duration = Duration::from_secs(300);

/// Leases are renewed so long before they end: time for a whole transaction (39.5 s).
const RENEWAL_MARGIN: Duration = Duration::from_secs(60);

/// How often it is looked whether an unused lease is used again.
const RENEWAL_RETRY: Duration = Duration::from_secs(5);

/// What a server has refused is not asked for again so soon.
const REFUSAL_MEMORY: Duration = Duration::from_secs(30);

/// A permission or a channel binding in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lease {
    /// The first request is under way.
    Asked,
    /// Usable.
    Granted { renew_at: Option<Instant>, until: Instant },
    /// The server said no, or nothing.
    Refused { until: Instant },
}

impl Lease {
    fn granted(asked_at: Instant, lifetime: Duration) -> Self {
        let until = asked_at + lifetime;
        Self::Granted { renew_at: Some(until - RENEWAL_MARGIN), until }
    }

    fn is_usable(self, now: Instant) -> bool {
        matches!(self, Self::Granted { until, .. } if until > now)
    }

    fn next_timeout(self) -> Option<Instant> {
        match self {
            Self::Asked => None,
            Self::Granted { renew_at, until } => Some(renew_at.map_or(until, |at| at.min(until))),
            Self::Refused { until } => Some(until),
        }
    }

    /// Whether it is to be renewed now; an unused one is looked at again later.
    fn take_renewal(&mut self, now: Instant, used: &mut bool) -> bool {
        let Self::Granted { renew_at, .. } = self else { return false };
        if renew_at.is_none_or(|at| at > now) {
            return false;
        }
        *renew_at = if *used { None } else { Some(now + RENEWAL_RETRY) };
        std::mem::take(used)
    }

    fn ends_at(self) -> Option<Instant> {
        match self {
            Self::Asked => None,
            Self::Granted { until, .. } | Self::Refused { until } => Some(until),
        }
    }
}

#[derive(Debug)]
struct Permission {
    ip: IpAddr,
    lease: Lease,
    used: bool,
}

#[derive(Debug)]
struct Channel {
    number: u16,
    peer: SocketAddr,
    lease: Lease,
    used: bool,
}

/// Whether something may be sent to a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// Now.
    Granted,
    /// The permission has been asked for.
    Pending,
    /// Nobody has asked: the caller must.
    Unknown,
    /// The server refuses, or the table is full.
    Refused,
}

/// The tables of one allocation.
#[derive(Debug)]
pub(super) struct Peers {
    permissions: Vec<Permission>,
    channels: Vec<Channel>,
    held: VecDeque<(SocketAddr, Bytes)>,
    /// The next number that was never bound; past the range when all were.
    next_number: u16,
}

impl Default for Peers {
    fn default() -> Self {
        Self {
            permissions: Vec::new(),
            channels: Vec::new(),
            held: VecDeque::new(),
            next_number: *CHANNEL_NUMBERS.start(),
        }
    }
}

impl Peers {
    /// Whether `ip` may be sent to; counts as use.
    pub(super) fn admit(&mut self, now: Instant, ip: IpAddr) -> Admission {
        let is_full = self.permissions.len() >= MAX_PERMISSIONS;
        match self.permissions.iter_mut().find(|known| known.ip == ip) {
            Some(permission) => {
                permission.used = true;
                match permission.lease {
                    Lease::Asked => Admission::Pending,
                    Lease::Granted { until, .. } if until > now => Admission::Granted,
                    Lease::Granted { .. } | Lease::Refused { .. } => Admission::Refused,
                }
            }
            None if is_full => Admission::Refused,
            None => Admission::Unknown,
        }
    }

    /// Whether data from `ip` may be believed: the server lets nothing else through. Counts as use.
    pub(super) fn is_permitted(&mut self, now: Instant, ip: IpAddr) -> bool {
        let known = self.permissions.iter_mut().find(|known| known.ip == ip && known.lease.is_usable(now));
        known.map(|permission| permission.used = true).is_some()
    }

    /// A permission is asked for.
    pub(super) fn permission_asked(&mut self, ip: IpAddr) {
        if !self.permissions.iter().any(|known| known.ip == ip) {
            self.permissions.push(Permission { ip, lease: Lease::Asked, used: true });
        }
    }

    /// A permission is granted; what waited for it may go.
    pub(super) fn permission_granted(&mut self, ip: IpAddr, asked_at: Instant) -> Vec<(SocketAddr, Bytes)> {
        if let Some(permission) = self.permissions.iter_mut().find(|known| known.ip == ip) {
            permission.lease = Lease::granted(asked_at, PERMISSION_LIFETIME);
        }
        self.release(ip)
    }

    /// A permission is refused; what waited for it is lost.
    pub(super) fn permission_refused(&mut self, now: Instant, ip: IpAddr) {
        if let Some(permission) = self.permissions.iter_mut().find(|known| known.ip == ip) {
            permission.lease = Lease::Refused { until: now + REFUSAL_MEMORY };
        }
        self.release(ip);
    }

    fn release(&mut self, ip: IpAddr) -> Vec<(SocketAddr, Bytes)> {
        let (released, kept) =
            std::mem::take(&mut self.held).into_iter().partition(|(peer, _)| peer.ip() == ip);
        self.held = kept;
        released.into()
    }

    /// Keeps a datagram until its permission is there. The oldest goes when there are too many: ICE
    /// repeats its checks.
    pub(super) fn hold(&mut self, peer: SocketAddr, payload: Bytes) {
        if self.held.len() >= MAX_HELD {
            self.held.pop_front();
        }
        self.held.push_back((peer, payload));
    }

    /// The channel to use for a peer; counts as use.
    pub(super) fn channel_to(&mut self, now: Instant, peer: SocketAddr) -> Option<u16> {
        let known =
            self.channels.iter_mut().find(|known| known.peer == peer && known.lease.is_usable(now))?;
        known.used = true;
        Some(known.number)
    }

    /// The number to bind for a peer that has no channel and may have one. The same peer keeps its number,
    /// and no number ever goes to another.
    pub(super) fn number_to_bind(&mut self, now: Instant, peer: SocketAddr) -> Option<u16> {
        if let Some(known) = self.channels.iter_mut().find(|known| known.peer == peer) {
            let is_over = known.lease.ends_at().is_some_and(|until| until <= now);
            return is_over.then(|| {
                known.lease = Lease::Asked;
                known.number
            });
        }
        if self.channels.len() >= MAX_CHANNELS || !CHANNEL_NUMBERS.contains(&self.next_number) {
            return None;
        }
        let number = self.next_number;
        self.next_number += 1;
        self.channels.push(Channel { number, peer, lease: Lease::Asked, used: true });
        Some(number)
    }

    /// A channel is bound, or bound again. This installs the permission too (RFC 8656 section 12).
    pub(super) fn channel_bound(&mut self, number: u16, asked_at: Instant) {
        if let Some(channel) = self.channels.iter_mut().find(|known| known.number == number) {
            channel.lease = Lease::granted(asked_at, CHANNEL_LIFETIME);
        }
    }

    /// A channel can't be bound: Send indications do.
    pub(super) fn channel_refused(&mut self, now: Instant, number: u16) {
        if let Some(channel) = self.channels.iter_mut().find(|known| known.number == number) {
            channel.lease = Lease::Refused { until: now + REFUSAL_MEMORY };
        }
    }

    /// Whose a channel is. A binding whose request is under way counts: the server may have it already.
    pub(super) fn peer_of(&mut self, now: Instant, number: u16) -> Option<SocketAddr> {
        let channel = self.channels.iter_mut().find(|known| known.number == number)?;
        let is_bound = channel.lease == Lease::Asked || channel.lease.is_usable(now);
        channel.used |= is_bound;
        is_bound.then_some(channel.peer)
    }

    /// Forgets what has ended.
    pub(super) fn expire(&mut self, now: Instant) {
        self.permissions.retain(|known| known.lease.ends_at().is_none_or(|until| until > now));
        self.channels.retain(|known| known.lease.ends_at().is_none_or(|until| until + CHANNEL_MEMORY > now));
    }

    /// A permission to be renewed now.
    pub(super) fn take_permission_renewal(&mut self, now: Instant) -> Option<IpAddr> {
        self.permissions
            .iter_mut()
            .find_map(|known| known.lease.take_renewal(now, &mut known.used).then_some(known.ip))
    }

    /// A channel to be renewed now.
    pub(super) fn take_channel_renewal(&mut self, now: Instant) -> Option<(u16, SocketAddr)> {
        self.channels.iter_mut().find_map(|known| {
            known.lease.take_renewal(now, &mut known.used).then_some((known.number, known.peer))
        })
    }

    pub(super) fn next_timeout(&self, now: Instant) -> Option<Instant> {
        let permissions = self.permissions.iter().filter_map(|known| known.lease.next_timeout());
        let channels = self.channels.iter().filter_map(|known| {
            // A channel that has ended is only remembered.
            let next = known.lease.next_timeout()?;
            Some(if next <= now { known.lease.ends_at()? + CHANNEL_MEMORY } else { next })
        });
        permissions.chain(channels).min()
    }

    #[cfg(test)]
    pub(super) fn sizes(&self) -> (usize, usize, usize) {
        (self.permissions.len(), self.channels.len(), self.held.len())
    }
}
