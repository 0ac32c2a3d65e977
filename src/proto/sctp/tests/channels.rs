//! Opening, sending, closing (protocols.md 105-109, 111; aiortc's channel rows).

use std::time::Duration;

use bytes::Bytes;

use super::{
    super::{
        Association, AssociationConfig, ChannelKey, ChannelParameters, Event, Message, OpenError, Priority,
        Reliability, SctpError, SendError,
    },
    pair::{CLIENT, Network, Pair, SERVER, labelled},
};

fn negotiated(id: u16) -> ChannelParameters {
    ChannelParameters { negotiated: Some(id), ..labelled("negotiated") }
}

fn is_closed(pair: &Pair, side: usize, key: ChannelKey) -> bool {
    pair.has(side, &Event::Closed { channel: key, error: None })
}

fn id_of(pair: &Pair, side: usize, key: ChannelKey) -> Option<u16> {
    pair.sides[side].channels.get(&key).and_then(|channel| channel.id)
}

/// protocols.md 105: DTLS client even, server odd.
#[test]
fn either_side_opens_channels_with_identifiers_of_its_parity_105() {
    let mut pair = Pair::connected(1, Network::PERFECT);
    for (side, ids) in [(CLIENT, [0, 2, 4]), (SERVER, [1, 3, 5])] {
        for id in ids {
            let (ours, theirs) = pair.open(side, labelled("x"));
            assert_eq!(id_of(&pair, side, ours), Some(id));
            assert_eq!(id_of(&pair, 1 - side, theirs), Some(id));
            assert!(pair.has(side, &Event::Identified { channel: ours, id }));
            assert!(pair.has(side, &Event::Open(ours)));
        }
    }
}

/// protocols.md 111: everything that a channel was opened with arrives, however it is spelled.
#[test]
fn the_other_side_learns_label_protocol_order_limits_and_priority_111() {
    let mut pair = Pair::connected(2, Network::PERFECT);
    pair.sides[CLIENT].configure(5000, 5000, 262_144);
    let all = [
        ChannelParameters {
            label: "日本語 🦀".to_owned(),
            protocol: "protocole é".to_owned(),
            ..labelled("")
        },
        ChannelParameters { ordered: false, ..labelled("unordered") },
        ChannelParameters { reliability: Reliability::MaxRetransmits(3), ..labelled("three") },
        ChannelParameters {
            reliability: Reliability::MaxLifetime(150),
            ordered: false,
            ..labelled("150 ms")
        },
        ChannelParameters { priority: Priority::High, ..labelled("") },
        ChannelParameters { priority: Priority::VeryLow, label: "x".repeat(65_535), ..labelled("") },
    ];
    for parameters in all {
        pair.sides[CLIENT].open(parameters.clone()).expect("possible");
        pair.run_until(|pair| pair.events[SERVER].iter().any(|event| matches!(event, Event::Opened { .. })));
        let opened = pair.events[SERVER].drain(..).find_map(|event| match event {
            Event::Opened { parameters, .. } => Some(parameters),
            _ => None,
        });
        assert_eq!(opened, Some(parameters));
    }
}

/// RFC 8841 §6 is about every message, also about this one.
#[test]
fn a_label_that_the_peer_can_not_receive_closes_its_channel() {
    let mut pair = Pair::connected(2, Network::PERFECT);
    let key = pair.sides[CLIENT].open(labelled(&"x".repeat(65_535))).expect("possible");
    pair.run_for(Duration::from_secs(1));
    let refused = |event: &Event| matches!(event, Event::Closed { channel, error: Some(SctpError::ChannelRefused(_)) } if *channel == key);
    assert!(pair.events[CLIENT].iter().any(refused), "{:?}", pair.events);
    pair.open(CLIENT, labelled("a sibling"));
}

#[test]
fn channels_opened_before_the_association_open_with_it() {
    let mut pair = Pair::new(3, Network::PERFECT);
    let early: Vec<_> =
        (0..20).map(|_| pair.sides[SERVER].open(labelled("early")).expect("possible")).collect();
    let later = pair.sides[SERVER].open(labelled("closed before it was open")).expect("possible");
    pair.sides[SERVER].close(later);
    assert_eq!(pair.sides[SERVER].send(pair.now, early[0], Message::text("x")), Err(SendError::NotOpen));
    pair.start();
    pair.run_until(|pair| early.iter().all(|key| pair.has(SERVER, &Event::Open(*key))));
    pair.run_for(Duration::from_millis(100));
    let opened = pair.events[CLIENT].iter().filter(|event| matches!(event, Event::Opened { .. })).count();
    assert_eq!(opened, 20);
    assert!(is_closed(&pair, SERVER, later));
}

#[test]
fn messages_of_every_size_and_kind_arrive_in_both_directions() {
    let mut pair = Pair::connected(4, Network::PERFECT);
    pair.sides.iter_mut().for_each(|side| side.configure(5000, 5000, 262_144));
    let (ours, theirs) = pair.open(CLIENT, labelled("x"));
    let mut messages =
        vec![Message::text(""), Message::binary(""), Message::text("é 日本"), Message::binary("x")];
    for size in [1_147, 1_148, 1_149, 4_096, 65_535, 65_536, 262_143, 262_144] {
        messages.push(Message::binary(vec![size as u8; size]));
        messages.push(Message::text("t".repeat(size)));
        messages.push(Message::text(""));
    }
    for (side, from, to) in [(CLIENT, ours, theirs), (SERVER, theirs, ours)] {
        for message in &messages {
            pair.send(side, from, message.clone());
        }
        pair.run_until(|pair| pair.count(1 - side, to) == messages.len());
        assert_eq!(pair.messages(1 - side, to), messages);
    }
}

/// protocols.md 107, CRATES.md: an empty write blocks an ordered stream of the crate for good.
#[test]
fn empty_messages_travel_as_one_byte_and_block_nothing_107() {
    let mut pair = Pair::connected(5, Network::PERFECT);
    let (ours, theirs) = pair.open(CLIENT, labelled("x"));
    pair.records = true;
    pair.send(CLIENT, ours, Message::text(""));
    pair.send(CLIENT, ours, Message::binary(""));
    pair.send(CLIENT, ours, Message::text("behind"));
    pair.run_until(|pair| pair.count(SERVER, theirs) == 3);
    assert_eq!(
        pair.messages(SERVER, theirs),
        [Message::text(""), Message::binary(""), Message::text("behind")]
    );
    let mut seen = Vec::new();
    for (side, packet) in &pair.sent {
        for chunk in super::super::packet::Chunks::of(packet).flatten() {
            if *side == CLIENT && chunk.kind == super::super::packet::DATA {
                let data = chunk.data().expect("DATA");
                seen.push((data.ppid, data.length));
            }
        }
    }
    assert_eq!(seen, [(56, 1), (57, 1), (51, 6)]);
    // W3C bufferedAmount counts no byte for them, the queue does.
    let sent: (usize, usize) = pair.events[CLIENT].iter().fold((0, 0), |sum, event| match event {
        Event::Sent { bytes, room, .. } => (sum.0 + bytes, sum.1 + room),
        _ => sum,
    });
    assert_eq!(sent, (6, 8));
}

/// protocols.md 108: the peer's limit, 64 KiB when there is none, any size when it is 0.
#[test]
fn messages_beyond_the_limit_of_the_peer_are_refused_108() {
    let mut pair = Pair::connected(6, Network::PERFECT);
    let (ours, theirs) = pair.open(CLIENT, labelled("x"));
    let now = pair.now;
    assert_eq!(pair.sides[CLIENT].max_message_size(), 65_536);
    let too_large = Message::binary(vec![0; 65_537]);
    assert_eq!(pair.sides[CLIENT].send(now, ours, too_large.clone()), Err(SendError::TooLarge));
    pair.sides[CLIENT].configure(5000, 5000, 100_000);
    pair.send(CLIENT, ours, too_large);
    pair.sides[CLIENT].configure(5000, 5000, 0);
    assert_eq!(pair.sides[CLIENT].max_message_size(), u64::MAX);
    pair.send(CLIENT, ours, Message::binary(vec![0; 262_144]));
    pair.run_until(|pair| pair.count(SERVER, theirs) == 2);
}

/// protocols.md 108: what exceeds our own limit ends the association instead of filling memory.
#[test]
fn a_message_beyond_our_own_limit_ends_the_association_108() {
    let mut pair = Pair::connected(7, Network::PERFECT);
    let (ours, theirs) = pair.open(CLIENT, labelled("x"));
    pair.sides[CLIENT].configure(5000, 5000, 0);
    pair.send(CLIENT, ours, Message::binary(vec![0; 262_145]));
    pair.run_until(|pair| pair.sides.iter().all(Association::has_ended));
    pair.settle();
    let violated = |event: &Event| matches!(event, Event::Closed { channel, error: Some(SctpError::ProtocolViolation(_)) } if *channel == theirs);
    assert!(pair.events[SERVER].iter().any(violated), "{:?}", pair.events[SERVER]);
    assert!(pair.has(CLIENT, &Event::Closed { channel: ours, error: Some(SctpError::AbortedByPeer) }));
}

/// aiortc: negotiated channels need no message, and meet whoever opens them first.
#[test]
fn negotiated_channels_meet_on_their_identifier() {
    let mut pair = Pair::new(8, Network::PERFECT);
    let ours = pair.sides[CLIENT].open(negotiated(100)).expect("free");
    assert_eq!(pair.sides[CLIENT].open(negotiated(100)), Err(OpenError::IdTaken(100)));
    pair.start();
    pair.run_until(|pair| pair.has(CLIENT, &Event::Open(ours)));
    // The peer has not opened it yet: what comes waits for it.
    pair.send(CLIENT, ours, Message::text("early"));
    pair.send(CLIENT, ours, Message::text("bird"));
    pair.run_for(Duration::from_millis(100));
    let theirs = pair.sides[SERVER].open(negotiated(100)).expect("free");
    pair.send(SERVER, theirs, Message::text("worm"));
    pair.run_until(|pair| pair.count(CLIENT, ours) == 1 && pair.count(SERVER, theirs) == 2);
    assert_eq!(pair.messages(SERVER, theirs), [Message::text("early"), Message::text("bird")]);
    assert!(!pair.events[SERVER].iter().any(|event| matches!(event, Event::Opened { .. })));
}

#[test]
fn identifiers_in_use_are_refused_and_those_beyond_the_peers_streams() {
    let configs =
        [AssociationConfig { streams: 16, ..AssociationConfig::default() }, AssociationConfig::default()];
    let mut pair = Pair::with(9, Network::PERFECT, configs);
    let doomed = pair.sides[SERVER].open(negotiated(40)).expect("nobody knows yet");
    pair.start();
    pair.run_until(|pair| pair.sides.iter().all(Association::is_connected));
    pair.settle();
    assert!(pair.has(SERVER, &Event::Closed { channel: doomed, error: Some(SctpError::NoStream) }));
    assert_eq!(
        pair.sides[SERVER].open(negotiated(16)),
        Err(OpenError::IdTooLarge { id: 16, max_channels: 16 })
    );
    for _ in 0..8 {
        pair.open(SERVER, labelled("x"));
    }
    assert_eq!(pair.sides[SERVER].open(labelled("one too many")), Err(OpenError::NoStream));
    // An own channel that has got an identifier holds it like a negotiated one.
    assert_eq!(pair.sides[SERVER].open(negotiated(3)), Err(OpenError::IdTaken(3)));
}

/// An automatic identifier never meets a negotiated one of the same side.
#[test]
fn negotiated_identifiers_are_passed_over() {
    let mut pair = Pair::new(10, Network::PERFECT);
    for id in [0, 2, 6] {
        pair.sides[CLIENT].open(negotiated(id)).expect("free");
        pair.sides[SERVER].open(negotiated(id)).expect("free");
    }
    pair.start();
    pair.run_until(|pair| pair.sides.iter().all(Association::is_connected));
    let (a, _) = pair.open(CLIENT, labelled("a"));
    let (b, _) = pair.open(CLIENT, labelled("b"));
    assert_eq!((id_of(&pair, CLIENT, a), id_of(&pair, CLIENT, b)), (Some(4), Some(8)));
}

/// protocols.md 109: both directions are reset, then the identifier is free.
#[test]
fn closing_resets_both_directions_and_frees_the_identifier_109() {
    for closer in [CLIENT, SERVER] {
        let mut pair = Pair::connected(11, Network::PERFECT);
        let (ours, theirs) = pair.open(CLIENT, labelled("x"));
        let keys = [ours, theirs];
        pair.sides[closer].close(keys[closer]);
        assert_eq!(
            pair.sides[closer].send(pair.now, keys[closer], Message::text("x")),
            Err(SendError::NotOpen)
        );
        pair.run_until(|pair| is_closed(pair, CLIENT, ours) && is_closed(pair, SERVER, theirs));
        // Who did not close is told before.
        assert!(pair.has(1 - closer, &Event::Closing(keys[1 - closer])));
        assert!(!pair.has(closer, &Event::Closing(keys[closer])));
        for side in &pair.sides {
            assert!(side.streams.is_empty() && side.taken.is_empty() && side.resets_outstanding == 0);
        }
        // Both can use it again, with a fresh sequence.
        let again = [CLIENT, SERVER].map(|side| pair.sides[side].open(negotiated(0)).expect("free"));
        pair.send(CLIENT, again[CLIENT], Message::text("again"));
        pair.run_until(|pair| pair.count(SERVER, again[SERVER]) == 1);
    }
}

/// protocols.md 109: what was accepted is sent before.
#[test]
fn closing_sends_what_was_accepted_before_109() {
    for seed in 0..50 {
        let network = Network { loss: 0.1, jitter: Duration::from_millis(20), ..Network::PERFECT };
        let mut pair = Pair::connected(seed, network);
        let (ours, theirs) = pair.open(CLIENT, labelled("x"));
        for number in 0..100_u8 {
            pair.send(CLIENT, ours, Message::binary(vec![number; 3_000]));
        }
        pair.sides[CLIENT].close(ours);
        pair.run_until(|pair| is_closed(pair, CLIENT, ours) && is_closed(pair, SERVER, theirs));
        let messages = pair.messages(SERVER, theirs);
        assert_eq!(messages.len(), 100, "seed {seed}");
        assert!(messages.iter().enumerate().all(|(n, message)| message.data[0] == n as u8));
    }
}

/// aiortc: close before the ACK, and message and close in one breath, by both sides.
#[test]
fn a_channel_can_be_closed_in_the_breath_in_which_it_was_opened() {
    for seed in 0..100 {
        let network = Network { loss: 0.2, jitter: Duration::from_millis(30), ..Network::PERFECT };
        let mut pair = Pair::connected(seed, network);
        let key = pair.sides[CLIENT].open(labelled("short")).expect("possible");
        pair.send(CLIENT, key, Message::text("hello and goodbye"));
        pair.sides[CLIENT].close(key);
        pair.run_until(|pair| is_closed(pair, CLIENT, key));
        pair.run_until(|pair| pair.events[SERVER].iter().any(|event| matches!(event, Event::Closed { .. })));
        let messages = pair.events[SERVER].iter().filter(|event| matches!(event, Event::Message(..))).count();
        assert_eq!(messages, 1, "seed {seed}");
    }
}

#[test]
fn both_sides_can_close_at_once() {
    for seed in 0..100 {
        let network = Network { loss: 0.2, jitter: Duration::from_millis(30), ..Network::PERFECT };
        let mut pair = Pair::connected(seed, network);
        let (ours, theirs) = pair.open(CLIENT, labelled("x"));
        pair.sides[CLIENT].close(ours);
        pair.sides[SERVER].close(theirs);
        pair.run_until(|pair| is_closed(pair, CLIENT, ours) && is_closed(pair, SERVER, theirs));
        assert!(pair.sides.iter().all(|side| side.streams.is_empty()), "seed {seed}");
    }
}

/// protocols.md 109, A45: rapid opening and closing, identifiers recycled, on a bad network.
#[test]
fn identifiers_are_recycled_while_channels_come_and_go_a45() {
    for seed in 0..10 {
        let network = Network { loss: 0.05, jitter: Duration::from_millis(20), ..Network::PERFECT };
        let config = AssociationConfig { streams: 8, ..AssociationConfig::default() };
        let mut pair = Pair::with(seed, network, [config; 2]);
        pair.start();
        pair.run_until(|pair| pair.sides.iter().all(Association::is_connected));
        for round in 0..30 {
            let side = (seed as usize + round) % 2;
            let (ours, theirs) = pair.open(side, labelled("short"));
            let text = format!("message {round}");
            pair.send(side, ours, Message::text(text.clone()));
            pair.sides[side].close(ours);
            pair.run_until(|pair| is_closed(pair, side, ours) && is_closed(pair, 1 - side, theirs));
            assert_eq!(pair.messages(1 - side, theirs), [Message::text(text)], "seed {seed} round {round}");
            // The lowest of its parity, each time: both directions were reset before.
            assert!(pair.has(side, &Event::Identified { channel: ours, id: side as u16 }));
        }
        for side in &pair.sides {
            assert!(side.streams.is_empty() && side.taken.is_empty() && side.resets_outstanding == 0);
        }
    }
}

/// protocols.md 109: one direction is reset, the other is not: the identifier is not free.
#[test]
fn an_identifier_is_not_free_before_both_directions_are_reset_109() {
    let mut pair = Pair::connected(14, Network::PERFECT);
    let (first, _) = pair.open(CLIENT, labelled("first"));
    pair.sides[CLIENT].close(first);
    pair.settle();
    let second = pair.sides[CLIENT].open(labelled("second")).expect("possible");
    pair.settle();
    assert_eq!(id_of(&pair, CLIENT, second), Some(2));
    pair.run_until(|pair| is_closed(pair, CLIENT, first));
    let third = pair.sides[CLIENT].open(labelled("third")).expect("possible");
    pair.settle();
    assert_eq!(id_of(&pair, CLIENT, third), Some(0));
}

/// Issue 5: thousands of channels, closed all at once; no packet is too large for that.
#[test]
fn two_thousand_channels_open_carry_a_message_each_and_close() {
    let mut pair = Pair::connected(12, Network::PERFECT);
    pair.records = true;
    let ours: Vec<_> =
        (0..2_000).map(|_| pair.sides[CLIENT].open(labelled("x")).expect("possible")).collect();
    for key in &ours {
        pair.send(CLIENT, *key, Message::text("one of many"));
    }
    let count = |pair: &Pair, side: usize, wanted: fn(&Event) -> bool| {
        pair.events[side].iter().filter(|event| wanted(event)).count()
    };
    pair.run_until(|pair| count(pair, SERVER, |event| matches!(event, Event::Message(..))) == 2_000);
    for key in ours {
        pair.sides[CLIENT].close(key);
    }
    for side in [CLIENT, SERVER] {
        pair.run_until(|pair| count(pair, side, |event| matches!(event, Event::Closed { .. })) == 2_000);
    }
    assert!(pair.sides.iter().all(|side| side.streams.is_empty() && side.resets_outstanding == 0));
    let largest = pair.sent.iter().map(|(_, packet)| packet.len()).max().expect("packets");
    assert!(largest <= 1_232 - 37, "{largest} bytes do not fit into IPv6's smallest packet as a DTLS record");
}

/// protocols.md 106: DCEP is ordered and reliable with PPID 50; user data is ordered until the ACK.
#[test]
fn user_data_is_ordered_until_the_peer_has_agreed_106() {
    let mut pair = Pair::connected(13, Network::PERFECT);
    pair.records = true;
    let key =
        pair.sides[CLIENT].open(ChannelParameters { ordered: false, ..labelled("x") }).expect("possible");
    pair.send(CLIENT, key, Message::text("before"));
    pair.run_for(Duration::from_millis(500));
    pair.send(CLIENT, key, Message::text("after"));
    pair.run_for(Duration::from_millis(500));
    let mut seen = Vec::new();
    for (side, packet) in &pair.sent {
        for chunk in super::super::packet::Chunks::of(packet).flatten() {
            if chunk.kind == super::super::packet::DATA {
                let unordered = chunk.flags & 4 != 0;
                seen.push((*side, chunk.data().expect("DATA").ppid, unordered));
            }
        }
    }
    assert_eq!(seen, [(CLIENT, 50, false), (CLIENT, 51, false), (SERVER, 50, false), (CLIENT, 51, true)]);
}

/// A large message of one channel does not keep the others waiting for more than itself.
#[test]
fn channels_share_the_association_fairly() {
    let mut pair = Pair::connected(14, Network::PERFECT);
    pair.sides[CLIENT].configure(5000, 5000, 262_144);
    let bulk: Vec<_> = (0..3).map(|_| pair.open(CLIENT, labelled("bulk"))).collect();
    let (chat, chat_there) = pair.open(CLIENT, labelled("chat"));
    for (key, _) in &bulk {
        for _ in 0..40 {
            pair.send(CLIENT, *key, Message::binary(vec![0; 65_536]));
        }
    }
    pair.run_for(Duration::from_millis(200));
    let before = pair.events[SERVER].len();
    let in_flight = pair.sides[CLIENT].loaded;
    pair.send(CLIENT, chat, Message::text("quick"));
    pair.run_until(|pair| pair.count(SERVER, chat_there) == 1);
    let quick = |event: &Event| matches!(event, Event::Message(key, _) if *key == chat_there);
    let meanwhile = pair.events[SERVER].iter().skip(before).position(quick).expect("it came");
    // What was on its way already, and a message of each that was in turn.
    assert!(meanwhile <= in_flight / 65_536 + 4, "{meanwhile} messages of others came before");
    let counts: Vec<_> = bulk.iter().map(|(_, key)| pair.count(SERVER, *key)).collect();
    let spread = counts.iter().max().expect("some") - counts.iter().min().expect("some");
    assert!(spread <= 2, "{counts:?}");
}

/// W3C bufferedAmount: everything that was accepted is told as sent once, no more and no less.
#[test]
fn every_accepted_byte_is_told_as_sent_once() {
    for seed in 0..20 {
        let network =
            Network { loss: 0.1, duplicate: 0.05, jitter: Duration::from_millis(15), ..Network::PERFECT };
        let mut pair = Pair::connected(seed, network);
        let modes = [Reliability::Reliable, Reliability::MaxRetransmits(0), Reliability::MaxLifetime(30)];
        let keys = modes.map(|reliability| {
            pair.open(
                CLIENT,
                ChannelParameters { reliability, ordered: seed.is_multiple_of(2), ..labelled("x") },
            )
            .0
        });
        let mut accepted = [0; 3];
        for size in 1..=200 {
            for (key, accepted) in keys.iter().zip(&mut accepted) {
                pair.send(CLIENT, *key, Message::binary(vec![1; size * 20]));
                *accepted += size * 20;
            }
        }
        pair.run_until(|pair| pair.sides[CLIENT].loaded == 0 && pair.sides[CLIENT].scheduler.is_empty());
        for (key, accepted) in keys.iter().zip(accepted) {
            let sent: usize = pair.events[CLIENT]
                .iter()
                .map(|event| match event {
                    Event::Sent { channel, bytes, .. } if channel == key => *bytes,
                    _ => 0,
                })
                .sum();
            assert_eq!(sent, accepted, "seed {seed}");
        }
        assert_eq!(pair.sides[CLIENT].unsent, 0);
    }
}

/// A peer that never resets its half costs the identifier, not the channel.
#[test]
fn a_peer_that_does_not_close_its_half_is_not_waited_for_for_ever() {
    let mut pair = Pair::connected(15, Network::PERFECT);
    let ours = pair.sides[CLIENT].open(negotiated(7)).expect("free");
    pair.send(CLIENT, ours, Message::text("to nobody"));
    pair.run_for(Duration::from_secs(1));
    // The other side has no such channel, and holds the message for one.
    pair.network.loss = 1.0;
    pair.sides[CLIENT].close(ours);
    pair.run_until(|pair| is_closed(pair, CLIENT, ours));
    assert_eq!(pair.sides[CLIENT].resets_outstanding, 0);
}

#[test]
fn text_that_is_not_utf_8_is_handed_on_as_it_is() {
    let mut pair = Pair::connected(16, Network::PERFECT);
    let (ours, theirs) = pair.open(CLIENT, labelled("x"));
    let bytes = Bytes::from_static(b"\xC3\x28");
    let message = Message { kind: super::super::MessageKind::Text, data: bytes };
    pair.send(CLIENT, ours, message.clone());
    pair.run_until(|pair| pair.count(SERVER, theirs) == 1);
    assert_eq!(pair.messages(SERVER, theirs), [message]);
}
