//! One association, however it begins (protocols.md 98-102, 110, A37, A38).

use std::time::Duration;

use bytes::Bytes;

use super::{
    super::{
        Association, AssociationConfig, Event, Message, SctpError,
        packet::{self, Builder, Chunks, CommonHeader, INIT, INIT_ACK},
    },
    pair::{CLIENT, Network, Pair, SERVER, labelled},
};
use crate::proto::dtls::Role;

fn both_connected(pair: &Pair) -> bool {
    pair.sides.iter().all(Association::is_connected)
}

/// An INIT with this tag and these numbers, without parameters.
pub(super) fn init(tag: u32, window: u32, outbound: u16, inbound: u16) -> Vec<u8> {
    let mut value = Vec::new();
    value.extend(tag.to_be_bytes());
    value.extend(window.to_be_bytes());
    value.extend(outbound.to_be_bytes());
    value.extend(inbound.to_be_bytes());
    value.extend(7_u32.to_be_bytes());
    value
}

pub(super) fn init_packet(tag: u32) -> Bytes {
    let mut builder = Builder::new(header(0));
    builder.chunk(INIT, 0, &init(tag, 100_000, 10, 10));
    builder.finish()
}

pub(super) fn header(verification_tag: u32) -> CommonHeader {
    CommonHeader { source_port: 5000, destination_port: 5000, verification_tag }
}

fn kinds(packets: &[(usize, Bytes)], from: usize) -> Vec<u8> {
    let sent = packets.iter().filter(|(side, _)| *side == from);
    sent.flat_map(|(_, packet)| Chunks::of(packet).map(|chunk| chunk.expect("well-formed").kind)).collect()
}

#[test]
fn the_dtls_client_begins_and_one_init_is_enough() {
    let mut pair = Pair::new(1, Network::PERFECT);
    pair.records = true;
    pair.start();
    pair.run_until(both_connected);
    assert_eq!(kinds(&pair.sent, CLIENT), [INIT, packet::COOKIE_ECHO]);
    assert_eq!(kinds(&pair.sent, SERVER), [INIT_ACK, packet::COOKIE_ACK]);
    for side in [CLIENT, SERVER] {
        assert!(pair.has(side, &Event::Connected { max_channels: 65_535 }));
        assert_eq!(pair.sides[side].counters().handshakes, 1);
    }
}

/// protocols.md 110: either side may start; the other is a DTLS client that never does.
#[test]
fn a_dtls_server_begins_when_the_client_does_not_110() {
    let mut server = Association::new(AssociationConfig::default());
    let now = std::time::Instant::now();
    server.start(now, Role::Server);
    assert_eq!(server.poll_transmit(now), None, "it waits at first");
    let due = server.poll_timeout().expect("it has a plan");
    assert!(due <= now + Duration::from_millis(200));
    server.handle_timeout(due);
    let packet = server.poll_transmit(due).expect("its own INIT");
    assert_eq!(Chunks::of(&packet).next().expect("a chunk").expect("good").kind, INIT);
}

/// protocols.md 110: both sides start INIT with the same port; the collision is handled.
#[test]
fn simultaneous_inits_make_one_association_110() {
    for delay in [1, 50, 150, 250, 400, 900, 1_500] {
        let network = Network { delay: Duration::from_millis(delay), ..Network::PERFECT };
        let mut pair = Pair::new(delay, network);
        pair.records = true;
        pair.start();
        // The server does not wait: as a peer that always sends INIT at once.
        let now = pair.now;
        pair.sides[SERVER].handle_timeout(now + Duration::from_millis(200));
        pair.run_until(both_connected);
        assert!(kinds(&pair.sent, SERVER).contains(&INIT), "there was a collision");
        let (key, theirs) = pair.open(SERVER, labelled("after the collision"));
        pair.send(SERVER, key, Message::text("hello"));
        pair.run_until(|pair| pair.count(CLIENT, theirs) == 1);
        pair.run_for(Duration::from_secs(5));
        assert!(both_connected(&pair), "nothing late disturbs it (delay {delay} ms)");
    }
}

/// A peer of the DTLS server role that only ever answers to nobody's INIT but insists on its own.
#[test]
fn a_dtls_client_yields_to_a_server_that_ignores_its_init() {
    let mut client = Association::new(AssociationConfig::default());
    let mut now = std::time::Instant::now();
    client.start(now, Role::Client);
    while client.poll_transmit(now).is_some() {}
    client.handle_packet(now, init_packet(77));
    assert!(
        client.poll_transmit(now).is_none_or(|p| Chunks::of(&p).all(|c| c.is_ok_and(|c| c.kind == INIT)))
    );
    now += Duration::from_millis(1_100);
    client.handle_packet(now, init_packet(77));
    let answer = client.poll_transmit(now).expect("an answer");
    assert_eq!(Chunks::of(&answer).next().expect("a chunk").expect("good").kind, INIT_ACK);
}

#[test]
fn the_handshake_survives_loss_in_every_packet() {
    for seed in 0..300 {
        let network =
            Network { loss: 0.3, duplicate: 0.1, jitter: Duration::from_millis(40), ..Network::PERFECT };
        let mut pair = Pair::new(seed, network);
        pair.start();
        pair.run_until(both_connected);
        pair.network = Network::PERFECT;
        pair.run_for(Duration::from_secs(20));
        assert!(both_connected(&pair), "seed {seed}: a late INIT disturbs nothing");
        let (key, theirs) = pair.open(CLIENT, labelled("x"));
        pair.send(CLIENT, key, Message::text("y"));
        pair.run_until(|pair| pair.count(SERVER, theirs) == 1);
    }
}

/// protocols.md 102: a duplicate INIT does not disturb an association.
#[test]
fn a_repeated_init_is_ignored_once_connected_102() {
    let mut pair = Pair::new(3, Network::PERFECT);
    pair.records = true;
    pair.start();
    pair.run_until(both_connected);
    let repeated = pair.sent[0].1.clone();
    pair.inject(SERVER, repeated);
    pair.inject(SERVER, init_packet(99));
    pair.run_for(Duration::from_secs(1));
    assert!(both_connected(&pair));
    assert_eq!(pair.sides[SERVER].counters().handshakes, 1);
}

/// protocols.md A37: 100,000 INITs with distinct tags make one association, before and after.
#[test]
fn a_hundred_thousand_inits_make_one_association_a37() {
    let mut pair = Pair::new(4, Network::PERFECT);
    let now = pair.now;
    pair.sides[SERVER].start(now, Role::Server);
    for tag in 1..=50_000 {
        pair.inject(SERVER, init_packet(tag));
        // One answer at most is left: each attempt replaces the one before.
        assert!(pair.sides[SERVER].poll_transmit(now).is_some());
        assert_eq!(pair.sides[SERVER].poll_transmit(now), None);
    }
    pair.sides[CLIENT].start(now, Role::Client);
    pair.run_until(both_connected);
    let handshakes = pair.sides[SERVER].counters().handshakes;
    for tag in 50_000..100_000 {
        pair.inject(SERVER, init_packet(tag));
        assert_eq!(pair.sides[SERVER].poll_transmit(now), None);
    }
    assert!(both_connected(&pair));
    assert_eq!(pair.sides[SERVER].counters().handshakes, handshakes);
}

/// protocols.md 101: INIT alone, tag not 0, a_rwnd of 1,500 at least, streams not 0.
#[test]
fn an_init_that_breaks_the_rules_has_no_effect_101() {
    let chunks: [(u32, Vec<u8>); 7] = [
        (0, init(0, 100_000, 1, 1)),
        (0, init(1, 1_499, 1, 1)),
        (0, init(1, 100_000, 0, 1)),
        (0, init(1, 100_000, 1, 0)),
        (1, init(1, 100_000, 1, 1)),
        (0, init(1, 100_000, 1, 1)[..15].to_vec()),
        // Host Name Address (RFC 9260 §3.3.2.1.4).
        (0, [init(1, 100_000, 1, 1), vec![0, 11, 0, 8, b'a', b'.', b'b', 0]].concat()),
    ];
    for (verification_tag, value) in chunks {
        let mut association = Association::new(AssociationConfig::default());
        let now = std::time::Instant::now();
        association.start(now, Role::Server);
        let mut builder = Builder::new(header(verification_tag));
        builder.chunk(INIT, 0, &value);
        association.handle_packet(now, builder.finish());
        assert_eq!(association.poll_transmit(now), None, "{value:?}");
        assert_eq!(association.counters().handshakes, 0);
    }
    let mut bundled = Builder::new(header(0));
    bundled.chunk(INIT, 0, &init(1, 100_000, 1, 1));
    bundled.chunk(packet::COOKIE_ACK, 0, &[]);
    let mut association = Association::new(AssociationConfig::default());
    let now = std::time::Instant::now();
    association.start(now, Role::Server);
    association.handle_packet(now, bundled.finish());
    assert_eq!(association.poll_transmit(now), None);
}

/// The crate drops an INIT for its flags, or for parameters of other extensions; peers send both.
#[test]
fn an_init_with_flags_and_foreign_parameters_is_answered() {
    let mut value = init(9, 100_000, 1_024, 2_048);
    // IPv4 address, cookie preservative, zero checksum, and one of nobody.
    for (kind, content) in [(5_u16, 4), (9, 4), (0x8001, 4), (0x3FFF, 8)] {
        value.extend(kind.to_be_bytes());
        value.extend((4 + content as u16).to_be_bytes());
        value.extend(vec![1; content]);
    }
    let mut builder = Builder::new(header(0));
    builder.chunk(INIT, 0xFF, &value);
    let mut association = Association::new(AssociationConfig::default());
    let now = std::time::Instant::now();
    association.start(now, Role::Server);
    association.handle_packet(now, builder.finish());
    let answer = association.poll_transmit(now).expect("INIT ACK");
    assert_eq!(Chunks::of(&answer).next().expect("a chunk").expect("good").kind, INIT_ACK);
}

/// protocols.md 98: the checksum is checked first.
#[test]
fn a_packet_with_a_wrong_checksum_has_no_effect_98() {
    let mut pair = Pair::new(5, Network::PERFECT);
    let now = pair.now;
    pair.sides[SERVER].start(now, Role::Server);
    let mut damaged = init_packet(1).to_vec();
    damaged[9] ^= 1;
    pair.inject(SERVER, damaged.into());
    assert_eq!(pair.sides[SERVER].poll_transmit(now), None);

    let mut pair = Pair::connected(5, Network::PERFECT);
    for (kind, value) in
        [(packet::ABORT, vec![]), (packet::DATA, vec![0; 12]), (packet::SHUTDOWN, vec![0; 4])]
    {
        let mut builder = Builder::new(header(pair.sides[SERVER].inbound.local_tag));
        builder.chunk(kind, 3, &value);
        let mut damaged = builder.finish().to_vec();
        damaged[8] ^= 0x80;
        pair.inject(SERVER, damaged.into());
    }
    pair.settle();
    assert!(both_connected(&pair));
}

/// protocols.md 100: a wrong verification tag; an ABORT out of the blue is dropped silently.
#[test]
fn packets_with_a_foreign_verification_tag_have_no_effect_100() {
    let mut pair = Pair::connected(6, Network::PERFECT);
    for kind in
        [packet::ABORT, packet::SHUTDOWN, packet::HEARTBEAT, packet::COOKIE_ECHO, packet::DATA, packet::ERROR]
    {
        let mut builder = Builder::new(header(pair.sides[SERVER].inbound.local_tag.wrapping_add(1)));
        builder.chunk(kind, 0, &[0; 12]);
        pair.inject(SERVER, builder.finish());
        assert_eq!(pair.sides[SERVER].poll_transmit(pair.now), None);
    }
    assert!(both_connected(&pair));
}

/// protocols.md 100, RFC 9260 §8.5.1: an ABORT with the T bit carries the tag of its receiver's peer.
#[test]
fn a_reflected_abort_is_believed_100() {
    let mut pair = Pair::connected(7, Network::PERFECT);
    let reflected = pair.sides[SERVER].inbound.outward.verification_tag;
    let mut builder = Builder::new(header(reflected));
    builder.chunk(packet::ABORT, 1, &[]);
    pair.inject(SERVER, builder.finish());
    pair.settle();
    assert!(pair.has(SERVER, &Event::Ended { error: Some(SctpError::AbortedByPeer) }));
}

/// protocols.md A38: bad and huge cookies.
#[test]
fn cookies_that_are_not_ours_do_not_connect_a38() {
    for cookie in [vec![], vec![0; 32], vec![0xFF; 65_000]] {
        let mut association = Association::new(AssociationConfig::default());
        let now = std::time::Instant::now();
        association.start(now, Role::Server);
        association.handle_packet(now, init_packet(8));
        while association.poll_transmit(now).is_some() {}
        let mut builder = Builder::new(header(association.inbound.local_tag));
        builder.chunk(packet::COOKIE_ECHO, 0, &cookie);
        association.handle_packet(now, builder.finish());
        assert!(!association.is_connected());
        assert_eq!(association.poll_transmit(now), None);
    }
}

/// protocols.md A38: every bit of a real cookie.
#[test]
fn a_cookie_with_a_flipped_bit_does_not_connect_a38() {
    for bit in 0..64 {
        let mut pair = Pair::new(bit, Network::PERFECT);
        pair.start();
        pair.records = true;
        while !kinds(&pair.sent, CLIENT).contains(&packet::COOKIE_ECHO) {
            let before = pair.now;
            pair.run_for(Duration::from_millis(1));
            assert!(pair.now > before);
        }
        let cookie = pair.sent.iter().rev().find(|(side, _)| *side == CLIENT).expect("sent").1.clone();
        let chunk = Chunks::of(&cookie).next().expect("a chunk").expect("good");
        let mut value = chunk.value.to_vec();
        let position = bit as usize * 4 % (value.len() * 8);
        value[position / 8] ^= 1 << (position % 8);
        let mut builder = Builder::new(CommonHeader::parse(&cookie).expect("a header"));
        builder.chunk(packet::COOKIE_ECHO, 0, &value);
        pair.inject(SERVER, builder.finish());
        assert!(!pair.sides[SERVER].is_connected());
        pair.run_until(both_connected);
    }
}

/// Channels are possible up to what both sides allow.
/// RFC 9260 §5.1.5, §5.2.6: the cookie comes back after its minute is over. A new handshake makes one
/// association of it all the same.
#[test]
fn a_stale_cookie_is_refused_and_leads_to_a_new_handshake() {
    for held_back in [50, 70] {
        let mut pair = Pair::new(5, Network::PERFECT);
        pair.records = true;
        pair.start();
        // INIT ACK is on its way back; then nothing arrives for long.
        pair.run_for(Duration::from_millis(15));
        pair.network.loss = 1.0;
        pair.run_for(Duration::from_secs(held_back));
        pair.network.loss = 0.0;
        pair.run_until(both_connected);
        let is_stale = held_back > 60;
        assert_eq!(kinds(&pair.sent, SERVER).contains(&packet::ERROR), is_stale, "{held_back} s");
        // The crate sets the timer of an INIT by the real clock: here it is due at once, once more.
        let inits = kinds(&pair.sent, CLIENT).iter().filter(|kind| **kind == INIT).count();
        assert_eq!(inits > 1, is_stale, "{held_back} s: {inits}");
        let (ours, theirs) = pair.open(CLIENT, labelled("x"));
        pair.send(CLIENT, ours, Message::text("at last"));
        pair.run_until(|pair| pair.count(SERVER, theirs) == 1);
    }
}

#[test]
fn the_number_of_channels_is_the_least_of_both_sides() {
    for limited in [CLIENT, SERVER] {
        let mut configs = [AssociationConfig::default(), AssociationConfig::default()];
        configs[limited].streams = 100;
        let mut pair = Pair::with(8, Network::PERFECT, configs);
        pair.start();
        pair.run_until(both_connected);
        for side in [CLIENT, SERVER] {
            assert!(pair.has(side, &Event::Connected { max_channels: 100 }));
        }
    }
}

/// RFC 9260 9.2: whichever of its packets are lost, they are sent again or given up.
#[test]
fn a_shutdown_ends_whatever_of_it_is_lost() {
    for seed in 0..20 {
        let mut pair = Pair::connected(seed, Network { loss: 0.4, ..Network::PERFECT });
        let now = pair.now;
        pair.sides[CLIENT].shutdown(now);
        pair.run_until(|pair| pair.sides.iter().all(Association::has_ended));
    }
}

#[test]
fn shutdown_waits_until_everything_is_acknowledged() {
    let mut pair = Pair::connected(9, Network { loss: 0.1, ..Network::PERFECT });
    let (key, theirs) = pair.open(CLIENT, labelled("last words"));
    for _ in 0..50 {
        pair.send(CLIENT, key, Message::binary(vec![1; 10_000]));
    }
    let now = pair.now;
    pair.sides[CLIENT].shutdown(now);
    pair.run_until(|pair| pair.sides.iter().all(Association::has_ended));
    pair.settle();
    assert_eq!(pair.messages(SERVER, theirs).len(), 50);
    for (side, key) in [(CLIENT, key), (SERVER, theirs)] {
        assert!(pair.has(side, &Event::Closed { channel: key, error: None }), "{:?}", pair.events[side]);
        assert!(pair.has(side, &Event::Ended { error: None }));
    }
}

#[test]
fn an_abort_reports_the_loss_to_every_channel_of_the_other_side() {
    let mut pair = Pair::connected(10, Network::PERFECT);
    let channels: Vec<_> = (0..5).map(|_| pair.open(CLIENT, labelled("x"))).collect();
    pair.sides[CLIENT].abort();
    pair.run_until(|pair| pair.sides[SERVER].has_ended());
    pair.settle();
    for (ours, theirs) in channels {
        assert!(pair.has(CLIENT, &Event::Closed { channel: ours, error: None }));
        let error = Some(SctpError::AbortedByPeer);
        assert!(pair.has(SERVER, &Event::Closed { channel: theirs, error }));
    }
    assert_eq!(pair.sides[SERVER].poll_timeout(), None);
}
