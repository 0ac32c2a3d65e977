//! Two associations and the network between them.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    time::{Duration, Instant},
};

use bytes::Bytes;
use rand::{Rng, SeedableRng, rngs::StdRng};

use super::super::{Association, AssociationConfig, ChannelKey, ChannelParameters, Event, Message};
use crate::proto::dtls::Role;

/// What the network does to each packet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Network {
    pub(super) loss: f64,
    pub(super) duplicate: f64,
    pub(super) delay: Duration,
    /// Added to the delay, at most; packets overtake each other by it.
    pub(super) jitter: Duration,
}

impl Network {
    pub(super) const PERFECT: Self =
        Self { loss: 0.0, duplicate: 0.0, delay: Duration::from_millis(10), jitter: Duration::ZERO };
}

pub(super) struct Pair {
    pub(super) now: Instant,
    /// The DTLS client, then the server.
    pub(super) sides: [Association; 2],
    /// Events that no test has taken.
    pub(super) events: [Vec<Event>; 2],
    pub(super) network: Network,
    /// Packets on their way: when they arrive, their number, and where.
    wire: BinaryHeap<Reverse<(Instant, u64, usize, Bytes)>>,
    number: u64,
    rng: StdRng,
    /// What a packet becomes on its way: of whom it is, and how it was sent.
    pub(super) rewrite: fn(usize, Bytes) -> Bytes,
    /// Every packet that was sent, by whom.
    pub(super) sent: Vec<(usize, Bytes)>,
    /// And when.
    pub(super) sent_at: Vec<Instant>,
    pub(super) records: bool,
}

pub(super) const CLIENT: usize = 0;
pub(super) const SERVER: usize = 1;

impl Pair {
    /// Two associations that are not started.
    pub(super) fn new(seed: u64, network: Network) -> Self {
        Self::with(seed, network, [AssociationConfig::default(); 2])
    }

    pub(super) fn with(seed: u64, network: Network, configs: [AssociationConfig; 2]) -> Self {
        Self {
            now: Instant::now(),
            sides: configs.map(Association::new),
            events: [Vec::new(), Vec::new()],
            network,
            wire: BinaryHeap::new(),
            number: 0,
            rng: StdRng::seed_from_u64(seed),
            rewrite: |_, packet| packet,
            sent: Vec::new(),
            sent_at: Vec::new(),
            records: false,
        }
    }

    /// Two associations that are connected.
    pub(super) fn connected(seed: u64, network: Network) -> Self {
        let mut pair = Self::new(seed, network);
        pair.start();
        pair.run_until(|pair| pair.sides.iter().all(Association::is_connected));
        pair.events = [Vec::new(), Vec::new()];
        pair
    }

    pub(super) fn start(&mut self) {
        let now = self.now;
        self.sides[CLIENT].start(now, Role::Client);
        self.sides[SERVER].start(now, Role::Server);
    }

    /// Opens a channel on one side; gives its keys on both.
    pub(super) fn open(&mut self, side: usize, parameters: ChannelParameters) -> (ChannelKey, ChannelKey) {
        let key = self.sides[side].open(parameters).expect("it can be opened");
        let other = 1 - side;
        let opened = |event: &Event| match event {
            Event::Opened { channel, .. } => Some(*channel),
            _ => None,
        };
        self.run_until(|pair| pair.events[other].iter().any(|event| opened(event).is_some()));
        let position = self.events[other].iter().position(|event| opened(event).is_some()).expect("found");
        let theirs = opened(&self.events[other].remove(position)).expect("found");
        (key, theirs)
    }

    /// Lets time pass until `done`, or fails after five minutes of it.
    pub(super) fn run_until(&mut self, done: impl Fn(&Self) -> bool) {
        let limit = self.now + Duration::from_secs(300);
        while !self.run_step(limit, &done) {
            assert!(self.now < limit, "it does not happen; events: {:?}", self.events);
        }
    }

    /// Lets time pass.
    pub(super) fn run_for(&mut self, time: Duration) {
        let limit = self.now + time;
        while self.now < limit {
            self.run_step(limit, &|_| false);
        }
    }

    /// Does what is due now, and moves on to what is due next, but not past `limit`.
    fn run_step(&mut self, limit: Instant, done: &impl Fn(&Self) -> bool) -> bool {
        self.settle();
        if done(self) {
            return true;
        }
        let arrival = self.wire.peek().map(|Reverse((due, ..))| *due);
        let timeouts = self.sides.iter().filter_map(Association::poll_timeout).min();
        let next = arrival.into_iter().chain(timeouts).min().unwrap_or(limit);
        // A deadline that stays in the past would be a busy loop of the owner.
        self.now = next.max(self.now).min(limit);
        while self.wire.peek().is_some_and(|Reverse((due, ..))| *due <= self.now) {
            if let Some(Reverse((_, _, to, packet))) = self.wire.pop() {
                self.sides[to].handle_packet(self.now, packet);
            }
        }
        for side in &mut self.sides {
            if side.poll_timeout().is_some_and(|due| due <= self.now) {
                side.handle_timeout(self.now);
            }
        }
        false
    }

    /// Takes events and packets until there are none.
    pub(super) fn settle(&mut self) {
        for side in [CLIENT, SERVER] {
            loop {
                let mut worked = false;
                // Packets first: making them can be an event.
                while let Some(packet) = self.sides[side].poll_transmit(self.now) {
                    self.transmit(side, packet);
                    worked = true;
                }
                while let Some(event) = self.sides[side].poll_event() {
                    self.events[side].push(event);
                    worked = true;
                }
                if !worked {
                    break;
                }
            }
        }
    }

    fn transmit(&mut self, from: usize, packet: Bytes) {
        let packet = (self.rewrite)(from, packet);
        if self.records {
            self.sent.push((from, packet.clone()));
            self.sent_at.push(self.now);
        }
        let network = self.network;
        let copies = 1 + usize::from(self.rng.random_bool(network.duplicate));
        for _ in 0..copies {
            if self.rng.random_bool(network.loss) {
                continue;
            }
            let jitter = network.jitter.mul_f64(self.rng.random());
            self.number += 1;
            let due = self.now + network.delay + jitter;
            self.wire.push(Reverse((due, self.number, 1 - from, packet.clone())));
        }
    }

    /// Gives `side` a packet as if it came from the other.
    pub(super) fn inject(&mut self, side: usize, packet: Bytes) {
        self.sides[side].handle_packet(self.now, packet);
    }

    /// The messages that `side` has received on a channel; forgets them.
    pub(super) fn messages(&mut self, side: usize, key: ChannelKey) -> Vec<Message> {
        let mut messages = Vec::new();
        self.events[side].retain(|event| match event {
            Event::Message(channel, message) if *channel == key => {
                messages.push(message.clone());
                false
            }
            _ => true,
        });
        messages
    }

    /// How many messages `side` has received on a channel.
    pub(super) fn count(&self, side: usize, key: ChannelKey) -> usize {
        self.events[side].iter().filter(|event| matches!(event, Event::Message(k, _) if *k == key)).count()
    }

    pub(super) fn send(&mut self, side: usize, key: ChannelKey, message: Message) {
        self.sides[side].send(self.now, key, message).expect("it is open");
    }

    pub(super) fn has(&self, side: usize, event: &Event) -> bool {
        self.events[side].contains(event)
    }
}

/// A channel with this label.
pub(super) fn labelled(label: &str) -> ChannelParameters {
    ChannelParameters { label: label.to_owned(), ..ChannelParameters::default() }
}
