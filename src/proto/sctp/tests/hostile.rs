//! A peer that does not keep to the rules, or to more of them than the crate knows (protocols.md 99,
//! 103, 104, A39-A43).

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use rand::{Rng, SeedableRng, rngs::StdRng};

use super::{
    super::{
        Association, Event, Message, SctpError,
        packet::{
            self, ABORT, Builder, Chunks, DATA, ERROR, FORWARD_TSN, HEARTBEAT, HEARTBEAT_ACK, RECONFIG, SACK,
        },
    },
    handshake::header,
    pair::{CLIENT, Network, Pair, SERVER, labelled},
};

/// A pair whose client side is replaced by crafted packets to the server.
struct Attack {
    pair: Pair,
    tsn: u32,
    ssn: std::collections::HashMap<u16, u16>,
}

impl Attack {
    fn new(seed: u64) -> Self {
        let mut pair = Pair::new(seed, Network::PERFECT);
        pair.records = true;
        pair.start();
        pair.run_until(|pair| pair.sides.iter().all(Association::is_connected));
        // The client's initial TSN is in its INIT.
        let init = Chunks::of(&pair.sent[0].1).next().expect("a chunk").expect("good").value.to_vec();
        let tsn = u32::from_be_bytes([init[12], init[13], init[14], init[15]]);
        pair.events = [Vec::new(), Vec::new()];
        Self { pair, tsn, ssn: std::collections::HashMap::new() }
    }

    fn builder(&self) -> Builder {
        Builder::new(header(self.pair.sides[SERVER].inbound.local_tag))
    }

    fn inject(&mut self, build: impl FnOnce(&mut Builder)) {
        let mut builder = self.builder();
        build(&mut builder);
        self.pair.inject(SERVER, builder.finish());
    }

    /// The value of a DATA chunk with the next TSN.
    fn data(&mut self, stream: u16, ppid: u32, data: &[u8]) -> Vec<u8> {
        let ssn = self.ssn.entry(stream).or_insert(0);
        let mut value = Vec::new();
        value.put_u32(self.tsn);
        value.put_u16(stream);
        value.put_u16(*ssn);
        value.put_u32(ppid);
        value.put_slice(data);
        self.tsn = self.tsn.wrapping_add(1);
        *ssn = ssn.wrapping_add(1);
        value
    }

    /// A whole message.
    fn message(&mut self, stream: u16, ppid: u32, data: &[u8]) {
        let value = self.data(stream, ppid, data);
        self.inject(|packet| packet.chunk(DATA, 3, &value));
    }

    /// The chunks that the server has sent since the last call, with their values.
    fn answers(&mut self) -> Vec<(u8, Vec<u8>)> {
        let mut answers = Vec::new();
        let server = &mut self.pair.sides[SERVER];
        while let Some(event) = server.poll_event() {
            self.pair.events[SERVER].push(event);
        }
        while let Some(packet) = server.poll_transmit(self.pair.now) {
            assert!(packet::checksum_matches(&packet));
            answers.extend(Chunks::of(&packet).map(|chunk| {
                let chunk = chunk.expect("what we send is well-formed");
                (chunk.kind, chunk.value.to_vec())
            }));
        }
        answers
    }

    fn answered(&mut self, kind: u8) -> bool {
        self.answers().iter().any(|(answer, _)| *answer == kind)
    }

    /// Lets the server alone act for a while.
    fn wait(&mut self, time: Duration) -> Vec<(u8, Vec<u8>)> {
        let limit = self.pair.now + time;
        let mut answers = self.answers();
        while let Some(due) = self.pair.sides[SERVER].poll_timeout().filter(|due| *due <= limit) {
            self.pair.now = due.max(self.pair.now);
            self.pair.sides[SERVER].handle_timeout(self.pair.now);
            answers.extend(self.answers());
        }
        self.pair.now = limit;
        answers
    }

    fn is_connected(&self) -> bool {
        self.pair.sides[SERVER].is_connected()
    }

    fn opened(&self) -> usize {
        self.pair.events[SERVER].iter().filter(|event| matches!(event, Event::Opened { .. })).count()
    }
}

fn open_message(label: &[u8]) -> Vec<u8> {
    let mut bytes = vec![3, 0, 1, 0, 0, 0, 0, 0];
    bytes.put_u16(label.len() as u16);
    bytes.put_u16(0);
    bytes.put_slice(label);
    bytes
}

fn heartbeat(builder: &mut Builder) {
    builder.chunk(HEARTBEAT, 0, &[0, 1, 0, 8, b'b', b'e', b'a', b't']);
}

/// protocols.md 99 (RFC 9260 §3.2), 103: chunks that nobody knows, around a HEARTBEAT.
#[test]
fn unknown_chunks_are_skipped_or_reported_as_their_type_says_99() {
    // PAD, ASCONF-ACK, ECNE, CWR, AUTH, ASCONF, I-DATA and numbers of nobody.
    for kind in [0x84, 0x80, 12, 13, 15, 0xC1, 0x40, 0xBF, 0xFF, 0x7F, 0x3F] {
        let (skips, reports) = (kind & 0x80 != 0, kind & 0x40 != 0);
        let mut attack = Attack::new(u64::from(kind));
        attack.inject(|packet| {
            heartbeat(packet);
            packet.chunk(kind, 0, b"whatever this is");
            heartbeat(packet);
        });
        let answers = attack.answers();
        let count = |wanted| answers.iter().filter(|(kind, _)| *kind == wanted).count();
        assert_eq!(count(HEARTBEAT_ACK), if skips { 2 } else { 1 }, "chunk type {kind:#x}");
        assert_eq!(count(ERROR), usize::from(reports), "chunk type {kind:#x}");
        if let Some((_, error)) = answers.iter().find(|(kind, _)| *kind == ERROR) {
            // Cause 6 with the chunk itself.
            assert_eq!(error[..2], [0, 6]);
            assert_eq!(error[4], kind);
            assert!(error.ends_with(b"whatever this is"));
        }
        assert!(attack.is_connected());
    }
}

/// protocols.md 103: also in one packet with padding, as peers probe for the MTU (RFC 8261 §6.2).
#[test]
fn bytes_that_are_no_packet_change_nothing() {
    let mut attack = Attack::new(40);
    for length in 0..64usize {
        for fill in [0x00, 0x01, 0xff] {
            attack.pair.inject(SERVER, Bytes::from(vec![fill; length]));
        }
    }
    assert!(attack.pair.sides.iter().all(Association::is_connected));
    assert!(attack.pair.events[SERVER].is_empty(), "{:?}", attack.pair.events[SERVER]);
}

#[test]
fn a_heartbeat_is_answered_103() {
    let mut attack = Attack::new(1);
    attack.inject(|packet| {
        heartbeat(packet);
        packet.chunk(0x84, 0, &[0; 1_000]);
    });
    let answers = attack.answers();
    assert_eq!(answers, [(HEARTBEAT_ACK, vec![0, 1, 0, 8, b'b', b'e', b'a', b't'])]);
    attack.inject(|packet| packet.chunk(HEARTBEAT_ACK, 0, &[0, 1, 0, 8, 1, 2, 3, 4]));
    attack.message(0, 50, &open_message(b"after an answer to nothing"));
    attack.answers();
    assert_eq!(attack.opened(), 1);
}

/// An ERROR says that the peer did not like something; the crate would end the association for it.
#[test]
fn an_error_chunk_ends_nothing() {
    let mut attack = Attack::new(2);
    attack.inject(|packet| packet.error(ERROR, 8, &[0x80, 0x01, 0, 4]));
    attack.inject(|packet| packet.error(ERROR, 6, b"?"));
    assert!(attack.answers().is_empty());
    assert!(attack.is_connected());
}

/// RFC 9260 §6.2, protocols.md section 1.3.
#[test]
fn data_without_user_data_is_answered_by_abort() {
    let mut attack = Attack::new(3);
    attack.message(0, 53, b"");
    let answers = attack.answers();
    assert_eq!(answers.len(), 1);
    assert_eq!((answers[0].0, &answers[0].1[..2]), (ABORT, &[0, 9][..]), "cause 9: No User Data");
    let error = SctpError::ProtocolViolation("DATA without user data");
    assert!(attack.pair.has(SERVER, &Event::Ended { error: Some(error) }));
}

/// RFC 9260 §3.2: the receiver ignores what padding contains.
#[test]
fn padding_may_contain_anything() {
    let mut attack = Attack::new(4);
    let value = attack.data(0, 50, &open_message(b"padded"));
    let mut builder = attack.builder();
    builder.chunk(DATA, 3, &value);
    let mut packet = builder.finish().to_vec();
    assert_ne!(value.len() % 4, 0);
    let last = packet.len() - 1;
    packet[last] = 0xAA;
    attack.pair.inject(SERVER, with_checksum(&packet));
    attack.answers();
    assert_eq!(attack.opened(), 1);
}

/// A packet with its checksum set right.
fn with_checksum(bytes: &[u8]) -> Bytes {
    let mut builder = Builder::new(packet::CommonHeader::parse(bytes).expect("a header"));
    builder.raw(&bytes[packet::COMMON_HEADER..]);
    builder.finish()
}

/// protocols.md A39: chunk lengths of 0, 1, 3 and 65,535, in every kind of chunk and parameter.
#[test]
fn impossible_chunk_lengths_are_survived_a39() {
    for kind in 0..=255_u8 {
        for length in [0_u16, 1, 3, 4, 5, 15, 16, 17, 65_535] {
            let mut attack_packet = BytesMut::new();
            attack_packet.put_u8(kind);
            attack_packet.put_u8(3);
            attack_packet.put_u16(length);
            attack_packet.put_slice(&[0; 40]);
            let mut association = connected_server();
            let mut builder = Builder::new(header(association.inbound.local_tag));
            builder.raw(&attack_packet);
            association.handle_packet(std::time::Instant::now(), builder.finish());
        }
    }
}

/// A server that has exchanged cookies with a client that is gone.
fn connected_server() -> Association {
    thread_local! {
        static SEED: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
    }
    let mut pair = Pair::connected(SEED.replace(SEED.get() + 1), Network::PERFECT);
    std::mem::replace(&mut pair.sides[SERVER], Association::new(super::super::AssociationConfig::default()))
}

/// protocols.md A39-A41: mutated packets of real associations, with right tag and checksum.
#[test]
fn mutated_packets_are_survived_a39() {
    let mut rng = StdRng::seed_from_u64(5);
    let mut pair = Pair::new(5, Network { loss: 0.1, ..Network::PERFECT });
    pair.records = true;
    pair.start();
    pair.run_until(|pair| pair.sides.iter().all(Association::is_connected));
    let (ours, theirs) = pair.open(CLIENT, labelled("x"));
    for _ in 0..30 {
        pair.send(CLIENT, ours, Message::binary(vec![1; 3_000]));
        pair.send(SERVER, theirs, Message::text("y"));
    }
    pair.sides[CLIENT].close(ours);
    pair.run_for(Duration::from_secs(3));
    let corpus: Vec<_> =
        pair.sent.iter().filter(|(side, _)| *side == CLIENT).map(|(_, p)| p.clone()).collect();
    for _ in 0..400 {
        let mut server = connected_server();
        for _ in 0..50 {
            let mut bytes = corpus[rng.random_range(0..corpus.len())].to_vec();
            for _ in 0..rng.random_range(1..6) {
                let position = rng.random_range(0..bytes.len());
                bytes[position] = rng.random();
            }
            bytes.truncate(rng.random_range(12..=bytes.len()));
            let tag = if bytes.get(12) == Some(&packet::INIT) { 0 } else { server.inbound.local_tag };
            bytes[..4].copy_from_slice(&[0x13, 0x88, 0x13, 0x88]);
            bytes[4..8].copy_from_slice(&tag.to_be_bytes());
            server.handle_packet(pair.now, with_checksum(&bytes));
            while server.poll_event().is_some() {}
            while server.poll_transmit(pair.now).is_some() {}
            if let Some(due) = server.poll_timeout() {
                server.handle_timeout(due);
            }
        }
    }
}

/// protocols.md A40: FORWARD-TSN by 2^31, SACK gaps up to 65,535, reconfigurations of 65,535 streams.
#[test]
fn jumps_and_huge_lists_are_bounded_a40() {
    let mut attack = Attack::new(6);
    let jump = attack.tsn.wrapping_add(0x7FFF_FFFF);
    attack.inject(|packet| packet.chunk(FORWARD_TSN, 0, &jump.to_be_bytes()));
    attack.answers();

    let mut attack = Attack::new(7);
    let mut sack = Vec::new();
    sack.put_u32(0);
    sack.put_u32(100_000);
    sack.put_u16(10_000);
    sack.put_u16(0);
    for _ in 0..10_000 {
        sack.put_u16(65_535);
        sack.put_u16(65_535);
    }
    attack.inject(|packet| packet.chunk(SACK, 0, &sack));
    attack.answers();

    let mut attack = Attack::new(8);
    attack.message(0, 50, &open_message(b"x"));
    attack.answers();
    let mut request = Vec::new();
    let last = attack.tsn.wrapping_sub(1);
    request.put_u16(13);
    request.put_u16((16 + 2 * 30_000) as u16);
    // The first request's number is the initial TSN; twice the same.
    request.put_u32(last);
    request.put_u32(0);
    request.put_u32(last);
    (0..30_000_u16).for_each(|stream| request.put_u16(stream));
    for _ in 0..2 {
        attack.inject(|packet| packet.chunk(RECONFIG, 0, &request));
    }
    assert!(attack.answered(RECONFIG));
    let closing =
        attack.pair.events[SERVER].iter().filter(|event| matches!(event, Event::Closing(_))).count();
    assert_eq!(closing, 1, "a repeated request does nothing");
    assert!(attack.is_connected());
}

/// protocols.md 104: requests that are not supported are denied; the crate would end the association.
#[test]
fn other_reconfigurations_are_denied_104() {
    let mut attack = Attack::new(9);
    for kind in [14_u16, 15, 17, 18] {
        let mut request = Vec::new();
        request.put_u16(kind);
        request.put_u16(12);
        request.put_u32(0xABCD);
        request.put_u32(5);
        attack.inject(|packet| packet.chunk(RECONFIG, 0, &request));
        let answers = attack.answers();
        assert_eq!(answers, [(RECONFIG, vec![0, 16, 0, 12, 0, 0, 0xAB, 0xCD, 0, 0, 0, 2])], "kind {kind}");
    }
    assert!(attack.is_connected());
}

/// RFC 6525 §5.2.7: the peer denies our reset. The channel is closed for us; its stream can't be used
/// again, because the peer goes on with it.
#[test]
fn a_denied_reset_closes_the_channel_and_retires_its_identifier() {
    let mut attack = Attack::new(10);
    let key = attack.pair.sides[SERVER].open(labelled("x")).expect("possible");
    let open = attack.answers();
    let data = open.iter().find(|(kind, _)| *kind == DATA).expect("DCEP OPEN").1.clone();
    let mut sack = data[..4].to_vec();
    sack.put_u32(100_000);
    sack.put_u32(0);
    attack.inject(|packet| packet.chunk(SACK, 0, &sack));
    attack.pair.sides[SERVER].close(key);
    let request = attack.answers().into_iter().find(|(kind, _)| *kind == RECONFIG).expect("a request").1;
    assert_eq!(request[..2], [0, 13], "outgoing reset");
    let mut response = vec![0, 16, 0, 12];
    response.put_slice(&request[4..8]);
    response.put_u32(2);
    attack.inject(|packet| packet.chunk(RECONFIG, 0, &response));
    attack.answers();
    assert!(attack.pair.has(SERVER, &Event::Closed { channel: key, error: None }));
    // It goes on as if nothing had been said.
    attack.message(1, 51, b"still here");
    attack.answers();
    let next = attack.pair.sides[SERVER].open(labelled("y")).expect("possible");
    attack.answers();
    assert!(attack.pair.has(SERVER, &Event::Identified { channel: next, id: 3 }));
    let said = attack.pair.events[SERVER].iter().any(|event| matches!(event, Event::Message(..)));
    assert!(!said && attack.is_connected());
}

/// protocols.md A41: beginnings of messages that never end, on one stream and on all of them.
#[test]
fn messages_that_never_end_fill_a_bounded_buffer_and_end_in_abort_a41() {
    let mut attack = Attack::new(10);
    let mut packets = 0_u32;
    while attack.is_connected() {
        let stream = (packets % 1_000) as u16 * 2;
        let value = attack.data(stream, 53, &[0; 1_100]);
        // A beginning, each with its own sequence number.
        attack.inject(|packet| packet.chunk(DATA, 2, &value));
        packets += 1;
        assert!(packets <= 10_000, "the window of 8 MiB holds");
        if packets.is_multiple_of(100) {
            attack.answers();
        }
    }
    assert!(packets >= 7_000);
    assert!(attack.answered(ABORT));
}

#[test]
fn a_message_in_countless_fragments_ends_in_abort_a41() {
    let mut attack = Attack::new(11);
    let mut fragments = 0;
    let ssn = 0_u16;
    while attack.is_connected() {
        let mut value = Vec::new();
        value.put_u32(attack.tsn);
        value.put_u16(0);
        value.put_u16(ssn);
        value.put_u32(53);
        value.put_u8(0);
        attack.tsn = attack.tsn.wrapping_add(1);
        let flags = if fragments == 0 { 2 } else { 0 };
        attack.inject(|packet| packet.chunk(DATA, flags, &value));
        fragments += 1;
        assert!(fragments < 3_000);
    }
    assert!(attack.answered(ABORT));
}

/// protocols.md A41: 65,535 streams with a byte each.
#[test]
fn streams_without_channels_are_bounded_a41() {
    let mut attack = Attack::new(12);
    let mut streams = 0_u16;
    while attack.is_connected() && streams < 65_534 {
        attack.message(streams, 53, b"x");
        streams += 1;
        if streams.is_multiple_of(64) {
            attack.answers();
        }
        let side = &attack.pair.sides[SERVER];
        assert!(side.streams.len() <= 16_385);
    }
    assert!(!attack.is_connected());
    assert!(attack.answered(ABORT));
}

/// protocols.md A43: each costs its own channel, the association and its sibling live.
#[test]
fn malformed_dcep_closes_only_its_own_channel_a43() {
    let mut bad: Vec<Vec<u8>> = vec![
        vec![],
        vec![3],
        vec![0x77; 20],
        open_message(b"\xC3\x28"),
        // An ACK without an OPEN.
        vec![2],
        // A label that is shorter than it says.
        open_message(b"label")[..14].to_vec(),
    ];
    bad[0] = vec![0];
    for (index, dcep) in bad.iter().enumerate() {
        let mut attack = Attack::new(index as u64);
        attack.message(0, 50, &open_message(b"sibling"));
        attack.message(2, 50, dcep);
        attack.message(0, 51, b"alive");
        let answers = attack.wait(Duration::from_secs(1));
        let resets: Vec<_> = answers
            .iter()
            .filter(|(kind, value)| *kind == RECONFIG && value[..2] == [0, 13])
            .map(|(_, value)| u16::from_be_bytes([value[16], value[17]]))
            .collect();
        assert_eq!(resets[0], 2, "case {index}: the stream is reset");
        assert!(resets.iter().all(|stream| *stream == 2));
        assert_eq!(attack.opened(), 1);
        assert!(attack.pair.events[SERVER].iter().any(|event| matches!(event, Event::Message(..))));
        assert!(attack.is_connected());
    }
}

/// protocols.md A43: an OPEN with our parity, and an OPEN on an open channel.
#[test]
fn opens_that_collide_are_refused_a43() {
    let mut attack = Attack::new(13);
    attack.message(1, 50, &open_message(b"server's parity"));
    attack.answers();
    assert_eq!(attack.opened(), 0);
    attack.message(4, 50, &open_message(b"first"));
    attack.answers();
    assert_eq!(attack.opened(), 1);
    attack.message(4, 50, &open_message(b"second"));
    attack.answers();
    assert_eq!(attack.opened(), 1);
    assert!(attack.pair.events[SERVER].iter().any(|event| matches!(event, Event::Closing(_))));
    assert!(attack.is_connected());
}

/// protocols.md A43: 65k OPENs, 64 KiB labels.
#[test]
fn opens_are_bounded_in_number_a43() {
    let mut attack = Attack::new(14);
    for stream in 0..6_000_u16 {
        attack.message(stream * 2, 50, &open_message(b"one more"));
        if stream.is_multiple_of(50) {
            attack.answers();
        }
    }
    attack.answers();
    assert_eq!(attack.opened(), 4_096);
    assert!(attack.is_connected());
    let mut attack = Attack::new(15);
    let label = vec![b'x'; 65_535];
    let open = open_message(&label);
    for (index, part) in open.chunks(1_100).enumerate() {
        let mut value = Vec::new();
        value.put_u32(attack.tsn);
        value.put_u32(0);
        value.put_u32(50);
        value.put_slice(part);
        attack.tsn = attack.tsn.wrapping_add(1);
        let is_last = index == open.len().div_ceil(1_100) - 1;
        let flags = u8::from(is_last) | if index == 0 { 2 } else { 0 };
        attack.inject(|packet| packet.chunk(DATA, flags, &value));
    }
    attack.answers();
    assert_eq!(attack.opened(), 1);
}

/// A channel that we close goes on being sent to: what comes costs a byte of the window, and all of it
/// is acknowledged.
#[test]
fn what_comes_on_a_channel_that_we_closed_does_not_fill_the_window() {
    let mut pair = Pair::connected(16, Network::PERFECT);
    let (ours, theirs) = pair.open(CLIENT, labelled("x"));
    // 20 MiB are on their way: more than twice the window.
    for _ in 0..320 {
        pair.send(CLIENT, ours, Message::binary(vec![0; 65_536]));
    }
    pair.run_for(Duration::from_millis(500));
    // Only the server's half: the client's stream lives on as with a peer that sends all it has first.
    pair.sides[SERVER].set_reading(theirs, false);
    pair.run_for(Duration::from_millis(500));
    pair.sides[SERVER].close(theirs);
    pair.run_until(|pair| {
        pair.has(CLIENT, &Event::Closed { channel: ours, error: None })
            && pair.has(SERVER, &Event::Closed { channel: theirs, error: None })
    });
    assert!(pair.sides.iter().all(Association::is_connected));
    let (ours, theirs) = pair.open(CLIENT, labelled("next"));
    pair.send(CLIENT, ours, Message::text("goes on"));
    pair.run_until(|pair| pair.count(SERVER, theirs) == 1);
}

/// RFC 8831 §8 knows six identifiers; others are not ours to interpret.
#[test]
fn messages_of_other_protocols_are_ignored() {
    let mut attack = Attack::new(17);
    attack.message(0, 50, &open_message(b"x"));
    for ppid in [0, 52, 54, 60, u32::MAX] {
        attack.message(0, ppid, b"what is this");
    }
    attack.message(0, 51, b"known");
    attack.answers();
    let messages: Vec<_> =
        attack.pair.events[SERVER].iter().filter(|event| matches!(event, Event::Message(..))).collect();
    assert_eq!(messages.len(), 1);
}
