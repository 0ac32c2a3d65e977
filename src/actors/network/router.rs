//! Whose a datagram is: by the ufrag of a connectivity check, else by the address it came from.
//!
//! Invariants: DTLS and media are accepted only from an address that ICE has authenticated for that
//! peer (RFC 7675 §5.1, and it keeps forged hellos away from a handshake); STUN requests find their
//! peer by ufrag alone, so an address that changes hands (a reloaded page) never sticks to the old
//! peer; every table has a bound per peer.

use std::{collections::HashMap, net::SocketAddr};

use bytes::BytesMut;
use smallvec::SmallVec;

use crate::{
    actors::kit::{DropReason, LaneSender, Weight},
    messages::ice::SelectedRoute,
    proto::{
        Protocol,
        demux::PacketKind,
        stun::{self, TransactionId},
    },
};

/// Authenticated addresses one peer may have: candidates times address changes. A peer that
/// authenticates more forgets its oldest.
const MAX_ADDRESSES_PER_PEER: usize = 64;
/// Addresses one peer may send checks to: the pair limit of RFC 8445 §6.1.2.5.
const MAX_EXPECTED_PER_PEER: usize = 100;
/// Requests to STUN servers one peer may have under way: what its gathering starts at most.
const MAX_ANSWERS_PER_PEER: usize = 64;
/// Peers of one shard that may check the same remote address: several hosts behind different NATs
/// share private addresses.
const MAX_PEERS_PER_EXPECTED: usize = 16;

/// A datagram on its way to the actors of its peer.
#[derive(Debug)]
pub struct Inbound {
    /// What carried it.
    pub protocol: Protocol,
    /// The local address it came to.
    pub local: SocketAddr,
    /// Where it came from.
    pub remote: SocketAddr,
    /// The datagram; the only owner, so it can be decrypted in place. Empty: the connection has ended.
    pub payload: BytesMut,
}

impl Inbound {
    /// A connection has ended: nothing comes any more on this way.
    pub fn end(protocol: Protocol, local: SocketAddr, remote: SocketAddr) -> Self {
        Self { protocol, local, remote, payload: BytesMut::new() }
    }

    /// Whether this is no datagram, but the end of a connection.
    pub fn is_end(&self) -> bool {
        self.payload.is_empty()
    }

    /// The way it came.
    pub fn route(&self) -> SelectedRoute {
        SelectedRoute { protocol: self.protocol, local: self.local, remote: self.remote }
    }
}

impl Weight for Inbound {
    fn weight(&self) -> usize {
        1
    }
}

/// Names a peer among those that share a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerKey(pub u64);

/// Where the datagrams of one peer go.
#[derive(Clone)]
pub struct PeerLanes {
    /// To its `IceAgent`.
    pub stun: LaneSender<Inbound>,
    /// Handshake and data records to its `DtlsActor`.
    pub dtls: LaneSender<Inbound>,
    /// RTP and RTCP to its `DtlsActor`.
    pub media: LaneSender<Inbound>,
    /// Nothing but ICE is spoken here: every datagram that is not STUN goes to `media`, whatever its first byte.
    pub is_raw: bool,
}

impl PeerLanes {
    /// Where a datagram of this peer goes; `None` if it is of no protocol that is spoken here.
    pub fn lane(&self, kind: PacketKind, datagram: &[u8]) -> Option<&LaneSender<Inbound>> {
        match kind {
            PacketKind::Stun if !self.is_raw || stun::is_stun(datagram) => Some(&self.stun),
            _ if self.is_raw => Some(&self.media),
            PacketKind::Dtls => Some(&self.dtls),
            PacketKind::Rtp | PacketKind::Rtcp => Some(&self.media),
            PacketKind::Stun | PacketKind::TurnChannel | PacketKind::Unknown => None,
        }
    }
}

#[derive(Default)]
struct Peer {
    lanes: Option<PeerLanes>,
    ufrags: SmallVec<[String; 2]>,
    authenticated: Vec<SocketAddr>,
    expected: Vec<SocketAddr>,
    answers: Vec<TransactionId>,
}

/// The table of one socket (or of all sockets that share one port).
#[derive(Default)]
pub struct Router {
    peers: HashMap<PeerKey, Peer>,
    by_ufrag: HashMap<String, PeerKey>,
    by_address: HashMap<SocketAddr, PeerKey>,
    by_expected: HashMap<SocketAddr, SmallVec<[PeerKey; 1]>>,
    by_transaction: HashMap<TransactionId, PeerKey>,
}

/// How much a router knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RouterSize {
    /// Peers.
    pub peers: usize,
    /// Username fragments that lead to one.
    pub ufrags: usize,
    /// Authenticated addresses.
    pub addresses: usize,
    /// Addresses from which responses are expected.
    pub expected: usize,
}

impl Router {
    /// How much it knows.
    pub fn size(&self) -> RouterSize {
        RouterSize {
            peers: self.peers.len(),
            ufrags: self.by_ufrag.len(),
            addresses: self.by_address.len(),
            expected: self.by_expected.len(),
        }
    }

    /// Adds a peer: connectivity checks for `ufrag` reach it from now on.
    pub fn add_peer(&mut self, key: PeerKey, ufrag: &str, lanes: PeerLanes) {
        self.peers.entry(key).or_default().lanes = Some(lanes);
        self.add_ufrag(key, ufrag);
    }

    /// An ICE restart: the peer is reached by its new ufrag and, while it switches, by its last one.
    pub fn add_ufrag(&mut self, key: PeerKey, ufrag: &str) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        if peer.ufrags.iter().any(|known| known == ufrag) {
            return;
        }
        if peer.ufrags.len() == 2 {
            let oldest = peer.ufrags.remove(0);
            self.by_ufrag.remove(&oldest);
        }
        peer.ufrags.push(ufrag.to_owned());
        self.by_ufrag.insert(ufrag.to_owned(), key);
    }

    /// A check was sent to `remote`: its response may come from there.
    pub fn expect_response(&mut self, key: PeerKey, remote: SocketAddr) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        if peer.expected.contains(&remote) {
            return;
        }
        if peer.expected.len() >= MAX_EXPECTED_PER_PEER {
            // The oldest is of a generation before a restart, or has not answered for long.
            let oldest = peer.expected.remove(0);
            Self::forget_expected(&mut self.by_expected, key, oldest);
        }
        let waiting = self.by_expected.entry(remote).or_default();
        if waiting.len() < MAX_PEERS_PER_EXPECTED {
            waiting.push(key);
            peer.expected.push(remote);
        }
    }

    /// The requests to STUN servers whose answers `key` waits for, at this moment. All peers of a socket may
    /// ask the same server, so its address says nothing.
    pub fn expect_answers(&mut self, key: PeerKey, ids: impl Iterator<Item = TransactionId>) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        for id in peer.answers.drain(..) {
            self.by_transaction.remove(&id);
        }
        for id in ids.take(MAX_ANSWERS_PER_PEER) {
            self.by_transaction.insert(id, key);
            peer.answers.push(id);
        }
    }

    /// ICE has authenticated `remote`: DTLS and media from there belong to this peer now, even if
    /// another peer had that address before.
    pub fn authenticate(&mut self, key: PeerKey, remote: SocketAddr) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        if self.by_address.insert(remote, key) == Some(key) {
            return;
        }
        if peer.authenticated.len() == MAX_ADDRESSES_PER_PEER {
            let oldest = peer.authenticated.remove(0);
            if self.by_address.get(&oldest) == Some(&key) {
                self.by_address.remove(&oldest);
            }
        }
        peer.authenticated.push(remote);
    }

    /// Forgets a peer and everything that led to it.
    pub fn remove_peer(&mut self, key: PeerKey) {
        let Some(peer) = self.peers.remove(&key) else { return };
        for ufrag in &peer.ufrags {
            if self.by_ufrag.get(ufrag) == Some(&key) {
                self.by_ufrag.remove(ufrag);
            }
        }
        for address in &peer.authenticated {
            if self.by_address.get(address) == Some(&key) {
                self.by_address.remove(address);
            }
        }
        for id in &peer.answers {
            self.by_transaction.remove(id);
        }
        for address in &peer.expected {
            Self::forget_expected(&mut self.by_expected, key, *address);
        }
    }

    fn forget_expected(
        by_expected: &mut HashMap<SocketAddr, SmallVec<[PeerKey; 1]>>,
        key: PeerKey,
        address: SocketAddr,
    ) {
        if let Some(waiting) = by_expected.get_mut(&address) {
            waiting.retain(|waiting| *waiting != key);
            if waiting.is_empty() {
                by_expected.remove(&address);
            }
        }
    }

    /// The lanes of the peer with this ufrag.
    pub fn lanes_of(&self, ufrag: &str) -> Option<&PeerLanes> {
        self.peers.get(self.by_ufrag.get(ufrag)?)?.lanes.as_ref()
    }

    /// The lanes of the peer(s) a datagram is for; more than one only for a STUN response from an
    /// address that several peers are checking (each ignores what it did not ask).
    ///
    /// # Errors
    /// Why nobody gets it.
    pub fn route(
        &self,
        kind: PacketKind,
        remote: SocketAddr,
        datagram: &[u8],
    ) -> Result<SmallVec<[&PeerLanes; 1]>, DropReason> {
        let keys: SmallVec<[PeerKey; 1]> = match kind {
            PacketKind::Stun => match self.raw_peer(remote) {
                Some(key) if !stun::is_stun(datagram) => SmallVec::from_iter([key]),
                _ => self.route_stun(remote, datagram)?,
            },
            PacketKind::Dtls | PacketKind::Rtp | PacketKind::Rtcp => {
                SmallVec::from_iter(self.by_address.get(&remote).copied())
            }
            PacketKind::TurnChannel | PacketKind::Unknown => {
                SmallVec::from_iter([self.raw_peer(remote).ok_or(DropReason::UnknownProtocol)?])
            }
        };
        let lanes: SmallVec<[&PeerLanes; 1]> =
            keys.iter().filter_map(|key| self.peers.get(key)?.lanes.as_ref()).collect();
        if lanes.is_empty() { Err(DropReason::UnknownPeer) } else { Ok(lanes) }
    }

    /// Where RTP and RTCP from `remote` go: the same for all of it, until the next change of this table.
    pub fn media_lane(&self, remote: SocketAddr) -> Option<&LaneSender<Inbound>> {
        let key = self.by_address.get(&remote)?;
        Some(&self.peers.get(key)?.lanes.as_ref()?.media)
    }

    /// The peer that has authenticated `remote`, if it takes every datagram.
    fn raw_peer(&self, remote: SocketAddr) -> Option<PeerKey> {
        let key = self.by_address.get(&remote)?;
        let lanes = self.peers.get(key)?.lanes.as_ref()?;
        lanes.is_raw.then_some(*key)
    }

    fn route_stun(&self, remote: SocketAddr, datagram: &[u8]) -> Result<SmallVec<[PeerKey; 1]>, DropReason> {
        // RFC 8489 §5: the class bits of the message type; 0 is a request.
        let &[high, low, ..] = datagram else { return Err(DropReason::MalformedStun) };
        if high & 0x01 == 0 && low & 0x10 == 0 {
            let ufrag = stun::ufrag_of(datagram).ok_or(DropReason::MalformedStun)?;
            return Ok(SmallVec::from_iter(self.by_ufrag.get(ufrag).copied()));
        }
        if !self.by_transaction.is_empty()
            && let Some(id) = datagram.get(8..20).and_then(|id| <[u8; 12]>::try_from(id).ok())
            && let Some(key) = self.by_transaction.get(&TransactionId(id))
        {
            return Ok(SmallVec::from_iter([*key]));
        }
        let mut keys: SmallVec<[PeerKey; 1]> = self.by_expected.get(&remote).cloned().unwrap_or_default();
        if let Some(key) = self.by_address.get(&remote).filter(|key| !keys.contains(key)) {
            keys.push(*key);
        }
        Ok(keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::{kit::LaneKind, lanes::control_lane};

    fn address(n: usize) -> SocketAddr {
        SocketAddr::from(([10, 0, (n >> 8) as u8, n as u8], 1000))
    }

    fn lanes() -> PeerLanes {
        let lane = || control_lane(LaneKind::Stun).0;
        PeerLanes { stun: lane(), dtls: lane(), media: lane(), is_raw: false }
    }

    const RESPONSE: [u8; 20] = [1; 20];

    #[test]
    fn answers_of_a_stun_server_find_who_asked_however_many_ask_it() {
        let mut router = Router::default();
        for n in 0..100u8 {
            router.add_peer(PeerKey(n.into()), &format!("ufrag{n}"), lanes());
            router.expect_answers(PeerKey(n.into()), [TransactionId([n; 12])].into_iter());
        }
        let answer = |n: u8| [vec![1, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42], vec![n; 12]].concat();
        assert_eq!(router.route_stun(address(1), &answer(77)).unwrap()[..], [PeerKey(77)]);
        router.expect_answers(PeerKey(77), std::iter::empty());
        assert!(router.route_stun(address(1), &answer(77)).unwrap().is_empty());
        router.remove_peer(PeerKey(78));
        assert!(router.route_stun(address(1), &answer(78)).unwrap().is_empty());
        assert_eq!(router.by_transaction.len(), 98);
    }

    #[test]
    fn responses_to_new_checks_arrive_however_many_checks_there_were_before() {
        let mut router = Router::default();
        let key = PeerKey(1);
        router.add_peer(key, "abcd", lanes());
        for n in 0..3 * MAX_EXPECTED_PER_PEER {
            router.expect_response(key, address(n));
            assert!(router.route(PacketKind::Stun, address(n), &RESPONSE).is_ok());
        }
        assert_eq!(router.size().expected, MAX_EXPECTED_PER_PEER);
        assert!(router.route(PacketKind::Stun, address(0), &RESPONSE).is_err());
    }

    #[test]
    fn tables_are_bounded_and_empty_once_the_peers_are_gone() {
        let mut router = Router::default();
        for key in [PeerKey(1), PeerKey(2)] {
            router.add_peer(key, &format!("first{}", key.0), lanes());
            for n in 0..2 * MAX_ADDRESSES_PER_PEER {
                router.add_ufrag(key, &format!("{}-{n}", key.0));
                // The same addresses for both: each takes over from the other.
                router.authenticate(key, address(n));
                router.expect_response(key, address(n));
            }
        }
        let size = router.size();
        assert_eq!((size.peers, size.ufrags), (2, 4));
        assert!(size.addresses <= 2 * MAX_ADDRESSES_PER_PEER);
        router.remove_peer(PeerKey(1));
        assert_eq!(
            router.size().addresses,
            MAX_ADDRESSES_PER_PEER,
            "the second peer keeps what it took over"
        );
        router.remove_peer(PeerKey(2));
        assert_eq!(router.size(), RouterSize::default());
    }
}
