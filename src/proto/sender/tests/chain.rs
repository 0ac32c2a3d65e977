//! A publisher, a receiver, a sender and a subscriber in virtual time, over links that lose, delay, reorder and
//! duplicate in both directions.

use std::collections::{BTreeMap, BinaryHeap, HashMap};

use rand::Rng;

use super::*;
use crate::proto::receiver::{Receiver, ReceiverParameters};

const PUBLISHER_RTX: u32 = 0x1112;
const PACKETS: u16 = 600;

/// A datagram under way, ordered by time of arrival (earliest first in the heap).
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct UnderWay {
    arrival: std::cmp::Reverse<(Instant, u64)>,
    to: Node,
    bytes: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Node {
    Publisher,
    Server,
    Subscriber,
}

struct Network {
    random: StdRng,
    under_way: BinaryHeap<UnderWay>,
    count: u64,
    loss: f64,
}

impl Network {
    fn send(&mut self, now: Instant, to: Node, bytes: Vec<u8>) {
        if self.random.random_bool(self.loss) {
            return;
        }
        let copies = if self.random.random_bool(0.02) { 2 } else { 1 };
        for _ in 0..copies {
            let delay = Duration::from_micros(self.random.random_range(10_000..25_000));
            self.count += 1;
            let arrival = std::cmp::Reverse((now + delay, self.count));
            self.under_way.push(UnderWay { arrival, to, bytes: bytes.clone() });
        }
    }

    fn arrived(&mut self, now: Instant) -> Option<(Node, Vec<u8>)> {
        let next = self.under_way.peek()?;
        if next.arrival.0.0 > now {
            return None;
        }
        self.under_way.pop().map(|under_way| (under_way.to, under_way.bytes))
    }
}

fn rtp(ssrc: u32, payload_type: u8, number: u16, timestamp: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x80, payload_type];
    bytes.extend_from_slice(&number.to_be_bytes());
    bytes.extend_from_slice(&timestamp.to_be_bytes());
    bytes.extend_from_slice(&ssrc.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

fn receiver(now: Instant, ssrcs: Vec<(u32, Option<u32>)>, seed: u64) -> Receiver {
    let now_parameters = parameters(now, MediaKind::Video);
    let parameters = ReceiverParameters {
        kind: MediaKind::Video,
        codecs: now_parameters.codecs,
        extensions: now_parameters.extensions,
        ssrcs,
        local_ssrc: 0x7777,
        cname: "receiver".to_owned(),
        reduced_size: true,
    };
    Receiver::new(now, parameters, StdRng::seed_from_u64(seed))
}

struct Call {
    now: Instant,
    network: Network,
    published: HashMap<u16, (u32, Vec<u8>)>,
    publisher_rtx: u16,
    server_in: Receiver,
    server_out: Sender,
    subscriber: Receiver,
    seen: BTreeMap<u64, RtpPacket>,
}

impl Call {
    fn new(seed: u64) -> Self {
        let now = Instant::now();
        let random = StdRng::seed_from_u64(seed);
        Self {
            now,
            network: Network { random, under_way: BinaryHeap::new(), count: 0, loss: 0.0 },
            published: HashMap::new(),
            publisher_rtx: 65_000,
            server_in: receiver(now, vec![(SOURCE, Some(PUBLISHER_RTX))], seed),
            server_out: Sender::new(
                now,
                parameters(now, MediaKind::Video),
                None,
                StdRng::seed_from_u64(seed),
            ),
            subscriber: receiver(now, vec![(SSRC, Some(RTX_SSRC))], seed),
            seen: BTreeMap::new(),
        }
    }

    fn publish(&mut self, number: u16, timestamp: u32, payload: &[u8], is_padding: bool) {
        let mut bytes = rtp(SOURCE, 120, number, timestamp, payload);
        if is_padding {
            bytes[0] |= 0x20;
        } else {
            self.published.insert(number, (timestamp, payload.to_vec()));
        }
        self.network.send(self.now, Node::Server, bytes);
    }

    fn run(&mut self, milliseconds: u64) {
        for _ in 0..milliseconds {
            self.now += Duration::from_millis(1);
            while let Some((to, bytes)) = self.network.arrived(self.now) {
                match to {
                    Node::Publisher => self.at_publisher(&bytes),
                    Node::Server => self.at_server(bytes),
                    Node::Subscriber => self.at_subscriber(bytes),
                }
            }
            while let Some(compound) = self.server_in.poll_transmit(self.now) {
                self.network.send(self.now, Node::Publisher, compound.to_vec());
            }
            while let Some(compound) = self.server_out.poll_transmit(self.now) {
                self.network.send(self.now, Node::Subscriber, compound.to_vec());
            }
            while let Some(compound) = self.subscriber.poll_transmit(self.now) {
                self.network.send(self.now, Node::Server, compound.to_vec());
            }
        }
    }

    fn at_publisher(&mut self, bytes: &[u8]) {
        for packet in Compound::parse(bytes) {
            let RtcpPacket::Nack(nack) = packet else { continue };
            for number in nack.sequence_numbers() {
                // Padding is not kept.
                let Some((timestamp, payload)) = self.published.get(&number) else { continue };
                let payload = [&number.to_be_bytes()[..], payload].concat();
                self.publisher_rtx = self.publisher_rtx.wrapping_add(1);
                let bytes = rtp(PUBLISHER_RTX, 121, self.publisher_rtx, *timestamp, &payload);
                self.network.send(self.now, Node::Server, bytes);
            }
        }
    }

    fn at_server(&mut self, bytes: Vec<u8>) {
        let mut outgoing = Vec::new();
        if (192..=223).contains(&bytes[1]) {
            for packet in Compound::parse(&bytes) {
                self.server_out.handle_rtcp(self.now, &packet, &mut outgoing);
            }
        } else {
            let repaired = bytes[1] & 0x7f == 121;
            let mut received = Vec::new();
            let _ = self.server_in.handle_rtp(self.now, bytes.into(), None, repaired, &mut received);
            let lot = Arc::new(MediaLot::new(received, false));
            let indices = 0..lot.packets.len();
            outgoing.extend(indices.filter_map(|at| self.server_out.forward(self.now, &lot, at, 1)));
        }
        for packet in outgoing {
            let mut bytes = vec![0; packet.len()];
            packet.write_to(&mut bytes);
            self.network.send(self.now, Node::Subscriber, bytes);
        }
    }

    fn at_subscriber(&mut self, bytes: Vec<u8>) {
        if (192..=223).contains(&bytes[1]) {
            for packet in Compound::parse(&bytes) {
                self.subscriber.handle_rtcp(self.now, &packet);
            }
            return;
        }
        let repaired = bytes[1] & 0x7f == 121;
        let mut received = Vec::new();
        let _ = self.subscriber.handle_rtp(self.now, bytes.into(), None, repaired, &mut received);
        for packet in received {
            let number = packet.sequence_number;
            assert!(self.seen.insert(number, packet).is_none(), "number {number} twice");
        }
    }
}

fn scene(seed: u64, lost_padding: bool) {
    let mut call = Call::new(seed);
    let start: u16 = call.network.random.random();
    let mut media = Vec::new();
    for index in 0..PACKETS {
        let is_edge = index < 2 || index + 20 > PACKETS;
        let is_padding = !is_edge && call.network.random.random_bool(0.1);
        call.network.loss = if is_edge || is_padding && !lost_padding { 0.0 } else { 0.1 };
        let timestamp = (u32::MAX - 300_000).wrapping_add(u32::from(index) * 3000);
        let [high, low] = index.to_be_bytes();
        let payload = [0x10, u8::from(index > 0), high, low];
        if is_padding {
            call.publish(start.wrapping_add(index), timestamp, &[0, 0, 3], true);
        } else {
            call.publish(start.wrapping_add(index), timestamp, &payload, false);
            media.push(payload);
        }
        // The first packets must get through: what was before the first one that arrives is not missed.
        let pause = if index == 1 { 100 } else { call.network.random.random_range(0..12) };
        call.run(pause);
    }
    call.network.loss = 0.0;
    call.run(1500);
    let seen: Vec<&[u8]> = call
        .seen
        .values()
        .map(|packet| packet.payload.as_ref())
        .filter(|payload| !payload.is_empty())
        .collect();
    assert_eq!(seen, media, "seed {seed}: all media, in order");
    let (first, last) = (call.seen.keys().next(), call.seen.keys().last());
    let span = last.zip(first).map(|(last, first)| last - first + 1);
    if !lost_padding {
        assert_eq!(span, Some(call.seen.len() as u64), "seed {seed}: no hole");
    }
    let timestamps: Vec<u32> = call.seen.values().map(|packet| packet.timestamp).collect();
    assert!(timestamps.windows(2).all(|pair| (pair[1].wrapping_sub(pair[0]) as i32) > 0), "seed {seed}");
}

#[test]
fn all_media_arrive_in_order_and_padding_leaves_no_hole() {
    for seed in 0..60 {
        scene(seed, false);
    }
}

#[test]
fn padding_that_is_lost_costs_no_media() {
    for seed in 1000..1060 {
        scene(seed, true);
    }
}
