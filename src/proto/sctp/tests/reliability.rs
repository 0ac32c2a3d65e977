//! Loss, reordering and duplicates; slow readers (protocols.md 103, 104, A42, A44).

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use bytes::Bytes;
use rand::{Rng, SeedableRng, rngs::StdRng};

use super::{
    super::{
        Association, AssociationConfig, ChannelKey, ChannelParameters, Event, Message, Reliability,
        SctpError,
        packet::{self, Builder, Chunks, CommonHeader, FORWARD_TSN, INIT, INIT_ACK},
    },
    pair::{CLIENT, Network, Pair, SERVER, labelled},
};

/// Seeds of the big simulation, unless `ACTIX_RTC_SEEDS` says otherwise, and messages of each over all
/// its channels.
const SEEDS: u64 = 2_000;
const MESSAGES: usize = 1_000;

fn lossy(rng: &mut StdRng) -> Network {
    Network {
        loss: rng.random_range(0.0..0.1),
        duplicate: rng.random_range(0.0..0.05),
        delay: Duration::from_millis(rng.random_range(1..60)),
        jitter: Duration::from_millis(rng.random_range(0..40)),
    }
}

fn mode(number: usize) -> ChannelParameters {
    let reliability = match number % 5 {
        3 => Reliability::MaxRetransmits(1),
        4 => Reliability::MaxLifetime(100),
        _ => Reliability::Reliable,
    };
    ChannelParameters { ordered: number.is_multiple_of(2), reliability, ..labelled("x") }
}

/// A message that says which it is, of a size that the seed chooses.
fn numbered(rng: &mut StdRng, number: usize) -> Message {
    let size = match rng.random_range(0..10) {
        0 => 8_000,
        1..4 => 1_500,
        _ => 50,
    };
    let mut data = vec![0; 4 + rng.random_range(0..size)];
    data[..4].copy_from_slice(&(number as u32).to_be_bytes());
    Message::binary(data)
}

fn number(message: &Message) -> usize {
    u32::from_be_bytes([message.data[0], message.data[1], message.data[2], message.data[3]]) as usize
}

/// Sends over five channels of five modes in both directions, and checks what each mode promises. Says
/// how many bytes were sent.
fn exchange(seed: u64, messages: usize) -> u64 {
    let mut rng = StdRng::seed_from_u64(seed);
    let network = lossy(&mut rng);
    let mut pair = Pair::connected(seed, network);
    let mut sent: HashMap<(usize, ChannelKey), (ChannelParameters, Vec<Message>)> = HashMap::new();
    let mut ways = Vec::new();
    for index in 0..5 {
        let side = rng.random_range(0..2);
        let keys = pair.open(side, mode(index));
        let keys = if side == CLIENT { [keys.0, keys.1] } else { [keys.1, keys.0] };
        let to = rng.random_range(0..2);
        ways.push((1 - to, keys[1 - to], to, keys[to]));
        sent.insert((to, keys[to]), (mode(index), Vec::new()));
    }
    let mut bytes = 0;
    for count in 0..messages {
        let (from, key, to, their_key) = ways[rng.random_range(0..ways.len())];
        let message = numbered(&mut rng, count);
        bytes += message.data.len() as u64;
        pair.send(from, key, message.clone());
        sent.get_mut(&(to, their_key)).expect("known").1.push(message);
        if rng.random_bool(0.2) {
            pair.run_for(Duration::from_millis(rng.random_range(0..50)));
        }
    }
    pair.run_until(|pair| {
        let done = |side: &Association| side.loaded == 0 && side.scheduler.is_empty();
        pair.sides.iter().all(done)
    });
    pair.run_for(Duration::from_secs(3));
    for ((side, key), (parameters, expected)) in sent {
        let mut got = pair.messages(side, key);
        let context = format!("seed {seed}, {parameters:?}");
        if parameters.ordered {
            assert!(got.windows(2).all(|two| number(&two[0]) < number(&two[1])), "{context}: order");
        }
        got.sort_by_key(number);
        got.dedup_by_key(|message| number(message));
        if parameters.reliability == Reliability::Reliable {
            assert_eq!(got, expected, "{context}: everything");
        } else {
            let known: HashMap<usize, &Message> = expected.iter().map(|m| (number(m), m)).collect();
            assert!(got.iter().all(|m| known.get(&number(m)) == Some(&m)), "{context}: only what was sent");
        }
    }
    bytes
}

/// Issue 5: 2,000 seeds of 1,000 messages each over channels of all modes, on all cores.
#[test]
fn reliable_channels_lose_nothing_over_two_thousand_seeds() {
    let seeds = std::env::var("ACTIX_RTC_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(SEEDS);
    let next = AtomicU64::new(0);
    let bytes = AtomicU64::new(0);
    let begin = Instant::now();
    let work = || {
        loop {
            let seed = next.fetch_add(1, Relaxed);
            if seed >= seeds {
                return;
            }
            bytes.fetch_add(exchange(seed, MESSAGES), Relaxed);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let (time, bytes) = (begin.elapsed(), bytes.into_inner() as f64 / 1e6);
    println!("{seeds} seeds of {MESSAGES} messages: {bytes:.0} MB in {time:?}");
}

/// protocols.md 111, aiortc: what exceeds its limits is given up, and the rest goes on.
#[test]
fn partially_reliable_channels_give_up_within_their_limits() {
    for reliability in [Reliability::MaxRetransmits(0), Reliability::MaxLifetime(20)] {
        for ordered in [true, false] {
            let mut pair = Pair::connected(1, Network::PERFECT);
            let (ours, theirs) =
                pair.open(CLIENT, ChannelParameters { reliability, ordered, ..labelled("x") });
            pair.network.loss = 0.3;
            for count in 0..300 {
                let mut data = vec![0; 1_000];
                data[..4].copy_from_slice(&(count as u32).to_be_bytes());
                pair.send(CLIENT, ours, Message::binary(data));
                pair.run_for(Duration::from_millis(5));
            }
            pair.network.loss = 0.0;
            pair.run_for(Duration::from_secs(5));
            pair.send(CLIENT, ours, Message::binary(vec![0xFF; 4]));
            pair.run_until(|pair| {
                pair.events[SERVER].iter().any(
                    |event| matches!(event, Event::Message(key, m) if *key == theirs && m.data[0] == 0xFF),
                )
            });
            pair.run_for(Duration::from_secs(1));
            let got = pair.messages(SERVER, theirs).len();
            assert!((100..300).contains(&got), "{got} of 301 with {reliability:?}, ordered {ordered}");
            assert_eq!(pair.sides[CLIENT].loaded, 0);
        }
    }
}

/// Every transmission of the client's user data: when, its TSN, and the number of its message.
fn transmissions(pair: &Pair) -> Vec<(Instant, u32, usize)> {
    let mut all = Vec::new();
    for (at, (_, packet)) in pair.sent_at.iter().zip(&pair.sent).filter(|(_, (side, _))| *side == CLIENT) {
        for chunk in Chunks::of(packet).map(|chunk| chunk.expect("well-formed")) {
            let Some(data) = chunk.data().filter(|_| chunk.kind == packet::DATA) else { continue };
            if data.ppid == 53 {
                let number = u32::from_be_bytes([12, 13, 14, 15].map(|index| chunk.value[index]));
                all.push((*at, data.tsn, number as usize));
            }
        }
    }
    all
}

/// A limit is kept packet by packet: nothing is sent more often, or later, than its channel says.
#[test]
fn nothing_is_sent_more_often_or_later_than_its_channel_allows() {
    let limits = [0, 1, 3].map(Reliability::MaxRetransmits);
    for reliability in limits.into_iter().chain([20, 150, 600].map(Reliability::MaxLifetime)) {
        for seed in 0..10 {
            let network = Network { loss: 0.25, jitter: Duration::from_millis(15), ..Network::PERFECT };
            let mut pair = Pair::connected(seed, Network::PERFECT);
            let parameters = ChannelParameters { reliability, ordered: seed % 2 == 0, ..labelled("x") };
            let (ours, _) = pair.open(CLIENT, parameters);
            pair.network = network;
            pair.records = true;
            let mut accepted = Vec::new();
            for count in 0..200_u32 {
                let mut data = vec![0; 600];
                data[..4].copy_from_slice(&count.to_be_bytes());
                accepted.push(pair.now);
                pair.send(CLIENT, ours, Message::binary(data));
                pair.run_for(Duration::from_millis(4));
            }
            pair.run_for(Duration::from_secs(10));
            let mut times: HashMap<u32, u32> = HashMap::new();
            for (at, tsn, number) in transmissions(&pair) {
                let times = times.entry(tsn).or_default();
                *times += 1;
                let context = format!("seed {seed}, message {number}, {reliability:?}");
                match reliability {
                    Reliability::MaxRetransmits(limit) => assert!(*times <= limit + 1, "{context}"),
                    Reliability::MaxLifetime(limit) => {
                        let age = at - accepted[number];
                        assert!(age <= Duration::from_millis(u64::from(limit) + 1), "{context}: {age:?}");
                    }
                    Reliability::Reliable => {}
                }
            }
            assert!(times.len() > 50, "seed {seed}: most were sent");
        }
    }
}

/// Takes a parameter out of an INIT or INIT ACK.
fn without_parameter(packet: &Bytes, unwanted: impl Fn(u16) -> bool) -> Bytes {
    let header = CommonHeader::parse(packet).expect("a header");
    let mut builder = Builder::new(header);
    for chunk in Chunks::of(packet).map(|chunk| chunk.expect("well-formed")) {
        if !matches!(chunk.kind, INIT | INIT_ACK) {
            return packet.clone();
        }
        let (fixed, rest) = chunk.value.split_at(16);
        let mut value = fixed.to_vec();
        for (kind, parameter) in packet::parameters(rest).filter(|(kind, _)| !unwanted(*kind)) {
            value.resize(value.len().next_multiple_of(4), 0);
            value.extend(kind.to_be_bytes());
            value.extend((parameter.len() as u16 + 4).to_be_bytes());
            value.extend(parameter);
        }
        builder.chunk(chunk.kind, chunk.flags, &value);
    }
    builder.finish()
}

/// RFC 3758 §3.3: a peer that does not know FORWARD-TSN never sees one, and what was sent to it once
/// is sent until it arrives, whatever the channel's limits are. What expires before is not sent.
#[test]
fn a_peer_without_forward_tsn_gets_everything_that_was_sent_once() {
    for reliability in [Reliability::MaxRetransmits(0), Reliability::MaxLifetime(50)] {
        for ordered in [true, false] {
            let mut pair = Pair::new(12, Network::PERFECT);
            pair.rewrite = |from, packet| match from {
                SERVER => without_parameter(&packet, |kind| {
                    matches!(kind, packet::SUPPORTED_EXTENSIONS | packet::FORWARD_TSN_SUPPORTED)
                }),
                _ => packet,
            };
            pair.start();
            pair.run_until(|pair| pair.sides.iter().all(Association::is_connected));
            pair.records = true;
            let parameters = ChannelParameters { reliability, ordered, ..labelled("x") };
            let (ours, theirs) = pair.open(CLIENT, parameters);
            pair.network.loss = 0.3;
            for number in 0..200_u8 {
                pair.send(CLIENT, ours, Message::binary(vec![number; 500]));
                pair.run_for(Duration::from_millis(5));
            }
            pair.run_until(|pair| pair.sides[CLIENT].loaded == 0 && pair.sides[CLIENT].scheduler.is_empty());
            pair.network.loss = 0.0;
            pair.run_for(Duration::from_secs(1));
            let expired = pair.sides[CLIENT].counters().messages_expired as usize;
            let got = pair.messages(SERVER, theirs).len();
            assert_eq!(got + expired, 200, "{reliability:?}, ordered {ordered}");
            let mut chunks = pair.sent.iter().flat_map(|(_, packet)| Chunks::of(packet));
            assert!(chunks.all(|chunk| chunk.expect("well-formed").kind != FORWARD_TSN));
        }
    }
}

/// RFC 3758 §3.1: the parameter of its own says it too, without a list of extensions.
#[test]
fn forward_tsn_is_understood_from_either_parameter() {
    for unwanted in [packet::SUPPORTED_EXTENSIONS, packet::FORWARD_TSN_SUPPORTED] {
        let mut pair = Pair::new(13, Network::PERFECT);
        pair.rewrite = match unwanted {
            packet::SUPPORTED_EXTENSIONS => {
                |_, packet| without_parameter(&packet, |kind| kind == packet::SUPPORTED_EXTENSIONS)
            }
            _ => |_, packet| without_parameter(&packet, |kind| kind == packet::FORWARD_TSN_SUPPORTED),
        };
        pair.start();
        pair.run_until(|pair| pair.sides.iter().all(Association::is_connected));
        pair.records = true;
        let parameters = ChannelParameters { reliability: Reliability::MaxRetransmits(0), ..labelled("x") };
        let (ours, theirs) = pair.open(CLIENT, parameters);
        pair.network.loss = 1.0;
        pair.send(CLIENT, ours, Message::text("lost"));
        pair.run_for(Duration::from_millis(100));
        pair.network.loss = 0.0;
        pair.send(CLIENT, ours, Message::text("not lost"));
        pair.run_until(|pair| pair.count(SERVER, theirs) == 1);
        let mut chunks = pair.sent.iter().flat_map(|(_, packet)| Chunks::of(packet));
        let announces = chunks.any(|chunk| chunk.expect("well-formed").kind == FORWARD_TSN);
        assert!(announces, "without parameter {unwanted:#x}");
    }
}

/// A lifetime counts from when the message was accepted, wherever it waits.
#[test]
fn a_lifetime_ends_in_the_queue_too() {
    let mut pair = Pair::connected(2, Network::PERFECT);
    let timed = ChannelParameters { reliability: Reliability::MaxLifetime(300), ..labelled("timed") };
    let (ours, theirs) = pair.open(CLIENT, timed);
    pair.network.loss = 1.0;
    for _ in 0..1_000 {
        pair.send(CLIENT, ours, Message::binary(vec![0; 1_000]));
    }
    pair.run_for(Duration::from_secs(1));
    let expired = pair.sides[CLIENT].counters().messages_expired;
    assert!(expired > 900, "{expired} expired");
    assert!(pair.sides[CLIENT].scheduler.is_empty());
    pair.network.loss = 0.0;
    pair.send(CLIENT, ours, Message::text("alive"));
    pair.run_until(|pair| pair.count(SERVER, theirs) >= 1);
}

/// A path that is slower than what is sent keeps the queue of a timed channel short.
#[test]
fn a_lifetime_of_zero_still_allows_an_attempt() {
    let mut pair = Pair::connected(3, Network::PERFECT);
    let timed = ChannelParameters { reliability: Reliability::MaxLifetime(0), ..labelled("now") };
    let (ours, theirs) = pair.open(CLIENT, timed);
    pair.send(CLIENT, ours, Message::text("now"));
    pair.run_until(|pair| pair.count(SERVER, theirs) == 1);
}

/// protocols.md 103, issue 5 "a slow reader": the sender's memory stays under its bound, other
/// channels go on, and everything arrives in the end.
#[test]
fn a_slow_reader_stops_its_own_channel_only_and_loses_nothing_103() {
    let mut pair = Pair::connected(4, Network::PERFECT);
    let (slow, slow_there) = pair.open(CLIENT, labelled("slow"));
    let (quick, quick_there) = pair.open(CLIENT, labelled("quick"));
    pair.sides[SERVER].set_reading(slow_there, false);
    // 4 MiB, half of the window.
    for _ in 0..64 {
        pair.send(CLIENT, slow, Message::binary(vec![0; 65_536]));
    }
    pair.run_for(Duration::from_secs(5));
    assert_eq!(pair.count(SERVER, slow_there), 0);
    for _ in 0..10 {
        pair.send(CLIENT, quick, Message::text("still here"));
    }
    pair.run_until(|pair| pair.count(SERVER, quick_there) == 10);
    assert_eq!(pair.sides[SERVER].counters().reader_stalls, 0);
    // 12 MiB more: the window closes, for everybody.
    for _ in 0..192 {
        pair.send(CLIENT, slow, Message::binary(vec![0; 65_536]));
    }
    pair.send(CLIENT, quick, Message::text("has to wait"));
    pair.run_for(Duration::from_secs(60));
    assert_eq!(pair.sides[SERVER].counters().reader_stalls, 1, "it is counted");
    assert!(pair.sides[CLIENT].loaded <= (8 << 20) + (65_536 + (64 << 10)));
    assert!(pair.sides.iter().all(Association::is_connected), "60 s are no reason to give up");
    let opened = pair.now;
    pair.sides[SERVER].set_reading(slow_there, true);
    pair.run_until(|pair| pair.count(SERVER, slow_there) == 256 && pair.count(SERVER, quick_there) == 11);
    // The sender is told at once; what it sent into the closed window is repeated by its timer.
    assert!(pair.now - opened < Duration::from_secs(6), "{:?}", pair.now - opened);
}

/// protocols.md A44: small messages that nobody reads are bounded by number, not only by bytes.
#[test]
fn a_flood_of_one_byte_messages_is_bounded_and_none_is_lost_a44() {
    let mut pair = Pair::connected(5, Network::PERFECT);
    let (ours, theirs) = pair.open(CLIENT, labelled("x"));
    pair.sides[SERVER].set_reading(theirs, false);
    for _ in 0..300_000 {
        pair.send(CLIENT, ours, Message::binary(vec![1]));
    }
    pair.run_for(Duration::from_secs(60));
    // What waits there costs more than its bytes, and the window counts that.
    let held = pair.sides[SERVER].held;
    assert!((7 << 20..(8 << 20) + (64 << 10)).contains(&held), "{held} bytes wait for the reader");
    let waiting = pair.sides[CLIENT].channels[&ours].queue.len();
    assert!(waiting > 10_000, "{waiting} of 300,000 have not left");
    pair.sides[SERVER].set_reading(theirs, true);
    pair.run_until(|pair| pair.count(SERVER, theirs) == 300_000);
}

/// protocols.md A42: a window of 0 for ever: bounded, then given up.
#[test]
fn a_peer_that_never_reads_is_given_up_after_minutes_a42() {
    let mut pair = Pair::connected(6, Network::PERFECT);
    let (ours, theirs) = pair.open(CLIENT, labelled("x"));
    pair.sides[SERVER].set_reading(theirs, false);
    for _ in 0..400 {
        pair.send(CLIENT, ours, Message::binary(vec![0; 65_536]));
    }
    pair.run_for(Duration::from_secs(250));
    assert!(pair.sides[CLIENT].is_connected());
    assert!(pair.sides[CLIENT].loaded <= 16 << 20);
    pair.run_until(|pair| pair.sides[CLIENT].has_ended());
    assert!(pair.has(CLIENT, &Event::Closed { channel: ours, error: Some(SctpError::Stalled) }));
}

/// aiortc "broken transport": nothing arrives any more.
#[test]
fn a_dead_path_is_given_up_by_its_transport_not_by_sctp() {
    let mut pair = Pair::connected(7, Network::PERFECT);
    let (ours, _) = pair.open(CLIENT, labelled("x"));
    pair.network.loss = 1.0;
    pair.send(CLIENT, ours, Message::text("into the void"));
    pair.run_for(Duration::from_secs(100));
    assert!(pair.sides[CLIENT].is_connected(), "consent and DTLS say when it is over");
    pair.sides[CLIENT].transport_lost();
    pair.settle();
    assert!(pair.has(CLIENT, &Event::Closed { channel: ours, error: Some(SctpError::TransportLost) }));
    assert_eq!(pair.sides[CLIENT].poll_transmit(pair.now), None);
}

/// The path is back after 20 s: SCTP goes on within seconds, because its back-off is bounded.
#[test]
fn an_outage_of_twenty_seconds_loses_nothing() {
    let mut pair = Pair::connected(8, Network::PERFECT);
    let (ours, theirs) = pair.open(CLIENT, labelled("x"));
    pair.network.loss = 1.0;
    for _ in 0..10 {
        pair.send(CLIENT, ours, Message::binary(vec![0; 10_000]));
    }
    pair.run_for(Duration::from_secs(20));
    pair.network.loss = 0.0;
    let back = pair.now;
    pair.run_until(|pair| pair.count(SERVER, theirs) == 10);
    assert!(pair.now - back < Duration::from_secs(6), "{:?}", pair.now - back);
}

/// What was received before the peer hung up is delivered, although its reader was slow.
#[test]
fn messages_that_wait_for_a_slow_reader_survive_the_peers_abort() {
    let mut pair = Pair::connected(9, Network::PERFECT);
    let (ours, theirs) = pair.open(CLIENT, labelled("x"));
    pair.sides[SERVER].set_reading(theirs, false);
    for _ in 0..10 {
        pair.send(CLIENT, ours, Message::text("take your time"));
    }
    pair.run_for(Duration::from_secs(1));
    pair.sides[CLIENT].abort();
    pair.run_until(|pair| pair.sides[SERVER].has_ended());
    pair.settle();
    assert_eq!(pair.count(SERVER, theirs), 10);
}

/// Gap blocks fit into packets on a network that loses every other one.
#[test]
fn every_packet_fits_into_the_smallest_path_whatever_is_lost_112() {
    let config = AssociationConfig { max_message_size: 262_144, ..AssociationConfig::default() };
    let network = Network { loss: 0.0, jitter: Duration::from_millis(300), ..Network::PERFECT };
    let mut pair = Pair::with(10, network, [config; 2]);
    pair.start();
    pair.run_until(|pair| pair.sides.iter().all(Association::is_connected));
    pair.sides[CLIENT].configure(5000, 5000, 262_144);
    let (ours, theirs) = pair.open(CLIENT, labelled("x"));
    pair.records = true;
    for size in (0..40).map(|count| 1 + count * 6_000) {
        pair.send(CLIENT, ours, Message::binary(vec![0; size]));
        pair.send(CLIENT, ours, Message::binary(vec![0; 570]));
    }
    pair.run_until(|pair| pair.count(SERVER, theirs) == 80);
    let largest = pair.sent.iter().map(|(_, packet)| packet.len()).max().expect("packets");
    assert!(largest <= 1_232 - 37, "{largest}");
}
