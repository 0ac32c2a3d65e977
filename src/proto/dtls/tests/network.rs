//! A client and a server, and a network between them that can lose, delay, repeat and rewrite.

use std::collections::BinaryHeap;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;

/// How bad the network is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quality {
    pub(super) loss: f64,
    pub(super) repetition: f64,
    /// Smallest and largest one-way delay; a wide range reorders.
    pub(super) delay_ms: (u64, u64),
}

pub(super) const PERFECT: Quality = Quality { loss: 0.0, repetition: 0.0, delay_ms: (10, 10) };

/// May change or drop a datagram; told who sent it.
type Filter = Box<dyn FnMut(Role, &[u8]) -> Option<Vec<u8>>>;

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct InFlight {
    /// Reversed: the heap gives the earliest.
    at: std::cmp::Reverse<(Instant, u64)>,
    to_client: bool,
    datagram: Bytes,
}

pub(super) struct Pair {
    pub(super) client: Session,
    pub(super) server: Session,
    pub(super) client_events: Vec<Event>,
    pub(super) server_events: Vec<Event>,
    pub(super) now: Instant,
    started: Instant,
    connected_at: Option<Instant>,
    /// Everything that was sent, lost or not.
    pub(super) sent: Vec<(Role, Bytes)>,
    pub(super) filter: Option<Filter>,
    quality: Quality,
    random: StdRng,
    in_flight: BinaryHeap<InFlight>,
    count: u64,
}

impl Pair {
    pub(super) fn new(client: SessionConfig, server: SessionConfig) -> Self {
        Self::over(client, server, PERFECT, 0)
    }

    pub(super) fn over(client: SessionConfig, server: SessionConfig, quality: Quality, seed: u64) -> Self {
        // The only look at a clock: an Instant can't be made from nothing.
        let now = Instant::now();
        Self {
            client: Session::new(now, client).unwrap(),
            server: Session::new(now, server).unwrap(),
            client_events: Vec::new(),
            server_events: Vec::new(),
            now,
            started: now,
            connected_at: None,
            sent: Vec::new(),
            filter: None,
            quality,
            random: StdRng::seed_from_u64(seed),
            in_flight: BinaryHeap::new(),
            count: 0,
        }
    }

    /// Runs until nothing is left to happen, or for a time, or until both have left the handshake and
    /// the network is empty.
    pub(super) fn run(&mut self, limit: Duration) {
        let end = self.now + limit;
        loop {
            self.drain();
            let timers = [self.client.poll_timeout(), self.server.poll_timeout()];
            let arrival = self.in_flight.peek().map(|packet| packet.at.0.0);
            let next = timers.into_iter().chain([arrival]).flatten().min();
            let Some(next) = next.filter(|next| *next <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(next);
            self.client.handle_timeout(self.now);
            self.server.handle_timeout(self.now);
            while self.in_flight.peek().is_some_and(|packet| packet.at.0.0 <= self.now) {
                let packet = self.in_flight.pop().unwrap();
                let to = if packet.to_client { &mut self.client } else { &mut self.server };
                to.handle_packet(self.now, &packet.datagram);
            }
            let states = (self.client.state(), self.server.state());
            if states == (State::Connected, State::Connected) && self.connected_at.is_none() {
                self.connected_at = Some(self.now);
            }
        }
    }

    pub(super) fn drain(&mut self) {
        while let Some(datagram) = self.client.poll_transmit() {
            self.send(Role::Client, datagram);
        }
        while let Some(datagram) = self.server.poll_transmit() {
            self.send(Role::Server, datagram);
        }
        while let Some(event) = self.client.poll_event() {
            self.client_events.push(event);
        }
        while let Some(event) = self.server.poll_event() {
            self.server_events.push(event);
        }
    }

    fn send(&mut self, from: Role, datagram: Bytes) {
        self.sent.push((from, datagram.clone()));
        let datagram = match &mut self.filter {
            Some(filter) => filter(from, &datagram).map(Bytes::from),
            None => Some(datagram),
        };
        let Some(datagram) = datagram else {
            return;
        };
        let copies = 1 + u32::from(self.random.random_bool(self.quality.repetition));
        for _ in 0..copies {
            if self.random.random_bool(self.quality.loss) {
                continue;
            }
            let (least, most) = self.quality.delay_ms;
            let at = self.now + Duration::from_millis(self.random.random_range(least..=most));
            self.count += 1;
            self.in_flight.push(InFlight {
                at: std::cmp::Reverse((at, self.count)),
                to_client: from == Role::Server,
                datagram: datagram.clone(),
            });
        }
    }

    pub(super) fn assert_connected(&self) {
        assert_eq!(
            (self.client.state(), self.server.state()),
            (State::Connected, State::Connected),
            "client {:?}, server {:?}",
            self.client_events,
            self.server_events
        );
    }

    /// When both were connected, from the start.
    pub(super) fn connected_after(&self) -> Duration {
        self.connected_at.expect("connected") - self.started
    }

    pub(super) fn client_srtp(&self) -> Option<(Profile, crate::proto::srtp::KeyingMaterial)> {
        srtp(&self.client_events)
    }

    pub(super) fn server_srtp(&self) -> Option<(Profile, crate::proto::srtp::KeyingMaterial)> {
        srtp(&self.server_events)
    }
}

fn srtp(events: &[Event]) -> Option<(Profile, crate::proto::srtp::KeyingMaterial)> {
    events.iter().find_map(|event| match event {
        Event::Connected { srtp } => srtp.clone(),
        _ => None,
    })
}

/// The application data among events.
pub(super) fn data(events: &[Event]) -> Vec<Bytes> {
    let data = |event: &Event| match event {
        Event::ApplicationData(data) => Some(data.clone()),
        _ => None,
    };
    events.iter().filter_map(data).collect()
}

/// The error among events.
pub(super) fn failure(events: &[Event]) -> Option<DtlsError> {
    events.iter().find_map(|event| match event {
        Event::Failed(error) => Some(error.clone()),
        _ => None,
    })
}
