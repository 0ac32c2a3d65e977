//! A network in memory: seeded loss, delay, reordering and duplication, in virtual time.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use actix_rtc::proto::Transmit;
use rand::{Rng, rngs::StdRng};

/// How bad the network is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Conditions {
    /// Share of datagrams that vanish, 0–1.
    pub(crate) loss: f64,
    /// Share of datagrams that arrive twice, 0–1.
    pub(crate) duplication: f64,
    /// Shortest way, in milliseconds.
    pub(crate) delay_ms_min: u64,
    /// Longest way, in milliseconds: what lies between reorders.
    pub(crate) delay_ms_max: u64,
}

/// A datagram that has arrived.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Delivery {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) payload: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq)]
struct Flying {
    arrival: Instant,
    number: u64,
    delivery: Delivery,
}

impl Ord for Flying {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.arrival, self.number).cmp(&(other.arrival, other.number))
    }
}

impl PartialOrd for Flying {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// Everything that is under way.
pub(crate) struct Network {
    conditions: Conditions,
    random: StdRng,
    flying: BinaryHeap<Reverse<Flying>>,
    sent: u64,
    pub(crate) lost: u64,
}

impl Network {
    pub(crate) fn new(conditions: Conditions, random: StdRng) -> Self {
        Self { conditions, random, flying: BinaryHeap::new(), sent: 0, lost: 0 }
    }

    pub(crate) fn send(&mut self, now: Instant, transmit: &Transmit) {
        let copies = 1 + u64::from(self.random.random_bool(self.conditions.duplication));
        for _ in 0..copies {
            if self.random.random_bool(self.conditions.loss) {
                self.lost += 1;
                continue;
            }
            let range = self.conditions.delay_ms_min..=self.conditions.delay_ms_max;
            let delay = Duration::from_millis(self.random.random_range(range));
            self.sent += 1;
            self.flying.push(Reverse(Flying {
                arrival: now + delay,
                number: self.sent,
                delivery: Delivery {
                    from: transmit.local,
                    to: transmit.remote,
                    payload: transmit.payload.to_vec(),
                },
            }));
        }
    }

    pub(crate) fn next_arrival(&self) -> Option<Instant> {
        self.flying.peek().map(|Reverse(flying)| flying.arrival)
    }

    pub(crate) fn arrived(&mut self, now: Instant) -> Option<Delivery> {
        if self.next_arrival()? > now {
            return None;
        }
        self.flying.pop().map(|Reverse(flying)| flying.delivery)
    }
}
