//! Counts what goes through a transport, in all and over each pair of addresses (W3C webrtc-stats,
//! `RTCTransportStats` and `RTCIceCandidatePairStats`).

use std::time::Instant;

use crate::{
    messages::{ice::SelectedRoute, statistics::Traffic},
    proto::prefetch::prefetch,
};

/// Pairs that are told apart. A connection changes its pair a few times in its life; when there are more,
/// the one that was used the longest time ago is forgotten.
const ROUTES_MAX: usize = 16;

/// The counters of one transport.
#[derive(Debug, Default)]
pub(super) struct TrafficCounters {
    total: Traffic,
    /// The one used last is at the end.
    routes: Vec<(SelectedRoute, Traffic)>,
    selected: Option<SelectedRoute>,
    changes: u64,
}

impl TrafficCounters {
    /// From now on datagrams are sent over this pair.
    pub(super) fn select(&mut self, route: Option<SelectedRoute>) {
        if route.is_some() && route != self.selected {
            self.changes += 1;
        }
        self.selected = route;
    }

    /// Datagrams were sent over the selected pair.
    pub(super) fn sent(&mut self, now: Instant, packets: u64, bytes: u64) {
        if packets == 0 {
            return;
        }
        let add = |traffic: &mut Traffic| {
            traffic.packets_sent += packets;
            traffic.bytes_sent += bytes;
            traffic.last_sent = Some(now);
        };
        add(&mut self.total);
        if let Some(route) = self.selected {
            add(self.route(route));
        }
    }

    /// Datagrams are to be sent soon.
    pub(super) fn prefetch(&self) {
        self.routes.last().into_iter().for_each(prefetch);
    }

    /// A datagram was received.
    pub(super) fn received(&mut self, now: Instant, route: SelectedRoute, bytes: usize) {
        let add = |traffic: &mut Traffic| {
            traffic.packets_received += 1;
            traffic.bytes_received += bytes as u64;
            traffic.last_received = Some(now);
        };
        add(&mut self.total);
        add(self.route(route));
    }

    pub(super) fn total(&self) -> Traffic {
        self.total
    }

    pub(super) fn routes(&self) -> Vec<(SelectedRoute, Traffic)> {
        self.routes.clone()
    }

    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    fn route(&mut self, route: SelectedRoute) -> &mut Traffic {
        let last = self.routes.len().saturating_sub(1);
        let at = match self.routes.iter().rposition(|(known, _)| *known == route) {
            // Nearly always.
            Some(at) if at == last => last,
            Some(at) => {
                self.routes[at..].rotate_left(1);
                last
            }
            None => {
                if self.routes.len() == ROUTES_MAX {
                    self.routes.remove(0);
                }
                // Nearly always there is one.
                self.routes.reserve_exact(1);
                self.routes.push((route, Traffic::default()));
                self.routes.len() - 1
            }
        };
        &mut self.routes[at].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::Protocol;

    fn route(port: u16) -> SelectedRoute {
        let protocol = Protocol::Udp;
        SelectedRoute {
            protocol,
            local: ([192, 0, 2, 1], 5_000).into(),
            remote: ([198, 51, 100, 1], port).into(),
        }
    }

    #[test]
    fn each_pair_has_its_own_share_of_the_total() {
        let now = Instant::now();
        let mut counters = TrafficCounters::default();
        counters.sent(now, 1, 10);
        counters.select(Some(route(1)));
        counters.select(Some(route(1)));
        counters.sent(now, 2, 20);
        counters.received(now, route(2), 7);
        counters.select(Some(route(2)));
        counters.sent(now, 3, 30);
        counters.sent(now, 0, 0);
        let of = |port| counters.routes().into_iter().find(|(known, _)| *known == route(port)).unwrap().1;
        assert_eq!((of(1).packets_sent, of(1).bytes_sent, of(1).packets_received), (2, 20, 0));
        assert_eq!((of(2).packets_sent, of(2).bytes_sent, of(2).bytes_received), (3, 30, 7));
        assert_eq!((counters.total().packets_sent, counters.total().bytes_sent), (6, 60));
        assert_eq!(counters.changes(), 2);
    }

    #[test]
    fn the_pairs_used_last_are_remembered() {
        let now = Instant::now();
        let mut counters = TrafficCounters::default();
        for port in 1..100 {
            counters.received(now, route(port), 1);
            counters.received(now, route(7), 1);
        }
        let routes = counters.routes();
        assert_eq!(routes.len(), ROUTES_MAX);
        assert_eq!(routes.last().unwrap().0, route(7));
        assert_eq!(counters.total().packets_received, 198);
    }
}
