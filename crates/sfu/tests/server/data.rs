//! Data channels between the participants of a room.

use std::time::Duration;

use actix_rtc::{
    RtcDataChannel, RtcDataChannelEvent, RtcDataChannelEvents, RtcDataChannelInit,
    RtcDataChannelMessage as Message, RtcDataChannelState, RtcEngine,
};
use futures_util::StreamExt;
use serde_json::{Value, json};

use crate::{
    peer::{Peer, engine, run},
    server::TestServer,
    socket::Socket,
    web::request,
};

fn reliable() -> RtcDataChannelInit {
    RtcDataChannelInit { protocol: "room.v1".to_owned(), ..RtcDataChannelInit::default() }
}

fn lossy() -> RtcDataChannelInit {
    RtcDataChannelInit { ordered: false, max_retransmits: Some(0), ..reliable() }
}

/// A channel and its events.
struct Line {
    channel: RtcDataChannel,
    events: RtcDataChannelEvents,
}

impl Line {
    async fn send(&self, message: Value) {
        self.channel.send(message.to_string()).await.unwrap();
    }

    async fn next(&mut self) -> Message {
        self.events.message().await.expect("the channel is open")
    }

    async fn next_json(&mut self) -> Value {
        match self.next().await {
            Message::Text(text) => serde_json::from_str(&text).unwrap(),
            Message::Binary(bytes) => panic!("{} bytes instead of text", bytes.len()),
        }
    }

    /// The next message, which must be an error.
    async fn error(&mut self) -> Value {
        let message = self.next_json().await;
        assert!(message["error"].is_object(), "{message}");
        message["error"].clone()
    }

    async fn refused(&mut self, message: Value) -> Value {
        self.send(message).await;
        self.error().await
    }

    async fn closed(&mut self) {
        while let Some(event) = self.events.next().await {
            if event == RtcDataChannelEvent::Close {
                return;
            }
        }
    }

    /// Waits until the server knows the channel: it answers what is wrong.
    async fn listening(&mut self) {
        let code = self.refused(json!({"to": "nobody", "data": 0})).await["code"].clone();
        assert_eq!(code, "no-such-participant");
    }
}

/// Somebody in a room with a connection.
struct Person {
    id: String,
    socket: Socket,
    peer: Peer,
}

impl Person {
    async fn join(server: &TestServer, engine: &RtcEngine, name: &str) -> Self {
        let (socket, joined) = Socket::join(server.address, "demo", name);
        let id = joined["participant"].as_str().unwrap().to_owned();
        Self { id, socket, peer: Peer::new(engine).await }
    }

    /// A channel, before or after the connection is there.
    async fn create(&self, label: &str, init: RtcDataChannelInit) -> Line {
        let channel = self.peer.connection.create_data_channel(label, init).await.unwrap();
        let events = channel.events();
        Line { channel, events }
    }

    async fn connect(&mut self) {
        self.peer.negotiate(&mut self.socket, 1, json!({})).await;
        self.peer.connected().await;
    }

    async fn opened(&self, line: &mut Line) {
        while line.channel.ready_state() == RtcDataChannelState::Connecting {
            line.events.next().await.unwrap();
        }
    }

    /// Comes with a channel `room` on which the server listens.
    async fn with_room(server: &TestServer, engine: &RtcEngine, name: &str) -> (Self, Line) {
        let mut person = Self::join(server, engine, name).await;
        let mut line = person.create("room", reliable()).await;
        person.connect().await;
        person.opened(&mut line).await;
        line.listening().await;
        (person, line)
    }

    async fn open(&self, label: &str, init: RtcDataChannelInit) -> Line {
        let mut line = self.create(label, init).await;
        self.opened(&mut line).await;
        line
    }
}

fn metric(server: &TestServer, series: &str) -> f64 {
    let text = request(server.address, "GET", "/metrics", None).body;
    let line =
        text.lines().find_map(|line| line.strip_prefix(series)).unwrap_or_else(|| panic!("no {series}"));
    line.trim().parse().unwrap()
}

#[test]
fn everybody_hears_what_is_said_to_all_and_by_whom() {
    let server = TestServer::start();
    run(async {
        let engine = engine().await;
        let (ann, mut to_ann) = Person::with_room(&server, &engine, "Ann").await;
        let (ben, mut to_ben) = Person::with_room(&server, &engine, "Ben").await;
        let (_chidi, mut to_chidi) = Person::with_room(&server, &engine, "Chidi").await;
        to_ann.send(json!({"data": {"text": "Grüße, 日本 👋"}})).await;
        for line in [&mut to_ben, &mut to_chidi] {
            let heard = line.next_json().await;
            assert_eq!(heard, json!({"from": ann.id, "data": {"text": "Grüße, 日本 👋"}}));
        }
        to_ben.channel.send(&b"\x00\x00\xff\x00bytes"[..]).await.unwrap();
        let expected = [b"\x00\x20", ben.id.as_bytes(), b"\xff\x00bytes"].concat();
        assert_eq!(to_ann.next().await, expected.clone().into(), "Ann did not hear herself before");
        assert_eq!(to_chidi.next().await, expected.into());
        assert_eq!(metric(&server, "actix_rtc_sfu_data_channels "), 3.0);
    });
}

#[test]
fn one_participant_can_be_talked_to_alone() {
    let server = TestServer::start();
    run(async {
        let engine = engine().await;
        let (ann, mut to_ann) = Person::with_room(&server, &engine, "Ann").await;
        let (ben, mut to_ben) = Person::with_room(&server, &engine, "Ben").await;
        let (_chidi, mut to_chidi) = Person::with_room(&server, &engine, "Chidi").await;
        to_ann.send(json!({"to": ben.id, "data": [1]})).await;
        assert_eq!(to_ben.next_json().await, json!({"from": ann.id, "to": ben.id, "data": [1]}));
        let header = |id: &str| [&[1, u8::try_from(id.len()).unwrap()], id.as_bytes()].concat();
        to_ben.channel.send([&header(&ann.id)[..], b"x"].concat()).await.unwrap();
        assert_eq!(to_ann.next().await, [&header(&ben.id)[..], b"x"].concat().into());
        to_ann.send(json!({"data": "for all"})).await;
        assert_eq!(to_chidi.next_json().await["data"], "for all", "Chidi heard nothing of it");

        let error = to_ann.refused(json!({"to": "nobody", "id": 7, "data": 1})).await;
        assert_eq!((&error["code"], &error["id"]), (&json!("no-such-participant"), &json!(7)));
        let mut topic = ann.open("room/topic", reliable()).await;
        let error = topic.refused(json!({"to": ben.id, "data": 1})).await;
        assert_eq!((&error["code"], &error["channel"]), (&json!("not-listening"), &json!("room/topic")));
        assert_eq!(error["to"], json!(ben.id));
    });
}

#[test]
fn channels_carry_what_is_sent_on_channels_of_the_same_label() {
    let server = TestServer::start();
    run(async {
        let engine = engine().await;
        let (ann, mut to_ann) = Person::with_room(&server, &engine, "Ann").await;
        let (ben, mut to_ben) = Person::with_room(&server, &engine, "Ben").await;
        let mut positions = (ann.open("room-lossy", lossy()).await, ben.open("room-lossy", lossy()).await);
        positions.0.listening().await;
        positions.1.listening().await;
        positions.0.send(json!({"data": {"x": 1}})).await;
        assert_eq!(positions.1.next_json().await, json!({"from": ann.id, "data": {"x": 1}}));
        to_ann.send(json!({"data": 1})).await;
        assert_eq!(to_ben.next_json().await["data"], 1);
        to_ben.send(json!({"data": 2})).await;
        assert_eq!(to_ann.next_json().await["data"], 2);
        assert!(positions.0.channel.max_retransmits() == Some(0) && !positions.0.channel.ordered());
    });
}

#[test]
fn a_wrong_message_is_answered_and_the_channel_goes_on() {
    let server = TestServer::with(&["--max-data-message-bytes", "1024"]);
    run(async {
        let engine = engine().await;
        let (_ann, mut to_ann) = Person::with_room(&server, &engine, "Ann").await;
        let (_ben, mut to_ben) = Person::with_room(&server, &engine, "Ben").await;
        to_ann.channel.send("hello").await.unwrap();
        let error = to_ann.error().await;
        assert_eq!((&error["code"], &error["line"]), (&json!("invalid-json"), &json!(1)));
        let error = to_ann.refused(json!({"to": 5, "data": 1})).await;
        assert_eq!((&error["code"], &error["field"]), (&json!("invalid-message"), &json!("to")));
        to_ann.channel.send(&b""[..]).await.unwrap();
        assert_eq!(to_ann.error().await["code"], "invalid-message");
        let error = to_ann.refused(json!({"data": "x".repeat(1_024)})).await;
        assert_eq!((&error["code"], &error["channel"]), (&json!("too-large"), &json!("room")));
        assert!(error["message"].as_str().unwrap().contains("1024"), "{error}");
        assert_eq!(metric(&server, "actix_rtc_sfu_data_refused_total{code=\"too-large\"} "), 1.0);
        to_ann.send(json!({"data": "ok"})).await;
        assert_eq!(to_ben.next_json().await["data"], "ok", "nothing of the above was handed on");
    });
}

#[test]
fn who_sends_too_much_is_told_and_slowed_down() {
    let server = TestServer::with(&["--max-data-messages-per-second", "20"]);
    run(async {
        let engine = engine().await;
        let (_ann, mut to_ann) = Person::with_room(&server, &engine, "Ann").await;
        let (_ben, mut to_ben) = Person::with_room(&server, &engine, "Ben").await;
        for number in 0..200 {
            to_ann.send(json!({"data": number})).await;
        }
        let error = to_ann.error().await;
        assert_eq!((&error["code"], &error["count"]), (&json!("rate-limited"), &json!(1)));
        // Its later messages were refused as well, in which case that is told with their number, or came later.
        let mut told = 1;
        while told < 10 {
            told += to_ann.error().await["count"].as_u64().unwrap();
        }
        let refused = metric(&server, "actix_rtc_sfu_data_refused_total{code=\"rate-limited\"} ");
        assert!(refused >= told as f64, "{refused} refused, {told} told");
        // Four seconds' worth at once, less the message that told of the channel.
        for number in 0..79 {
            assert_eq!(to_ben.next_json().await["data"], number);
        }
    });
}

#[test]
fn bytes_are_limited_as_well() {
    let server =
        TestServer::with(&["--max-data-bytes-per-second", "2048", "--max-data-message-bytes", "65536"]);
    run(async {
        let engine = engine().await;
        let (_ann, mut to_ann) = Person::with_room(&server, &engine, "Ann").await;
        let (_ben, mut to_ben) = Person::with_room(&server, &engine, "Ben").await;
        to_ann.send(json!({"data": "x".repeat(50_000)})).await;
        to_ben.next().await;
        let error = to_ann.refused(json!({"data": "x".repeat(50_000)})).await;
        assert_eq!(error["code"], "rate-limited");
        assert!(error["message"].as_str().unwrap().contains("2048"), "{error}");
    });
}

#[test]
fn channels_that_are_none_of_a_rooms_are_refused_and_closed() {
    let server = TestServer::with(&["--max-data-channels", "2"]);
    run(async {
        let engine = engine().await;
        let (ann, _to_ann) = Person::with_room(&server, &engine, "Ann").await;
        let other = RtcDataChannelInit { protocol: "chat".to_owned(), ..reliable() };
        let unordered = RtcDataChannelInit { ordered: false, ..reliable() };
        for (label, init, code) in [
            ("chat", reliable(), "unknown-channel"),
            ("room/other", other, "unknown-channel"),
            ("room/other", lossy(), "unknown-channel"),
            ("room/other", unordered, "unknown-channel"),
            ("room-lossy", reliable(), "unknown-channel"),
            ("room", reliable(), "channel-in-use"),
        ] {
            let mut line = ann.open(label, init).await;
            let error = line.error().await;
            assert_eq!((&error["code"], &error["channel"]), (&json!(code), &json!(label)), "{error}");
            line.closed().await;
        }
        let mut second = ann.open("room/2", reliable()).await;
        second.listening().await;
        let mut third = ann.open("room/3", reliable()).await;
        assert_eq!(third.error().await["code"], "too-many-channels");
        third.closed().await;
        // A channel that is closed makes place for another, and for its own name.
        second.channel.close();
        second.closed().await;
        let mut again = ann.open("room/2", reliable()).await;
        again.listening().await;
    });
}

#[test]
fn a_slow_reader_loses_its_channel_and_holds_nobody_up() {
    let server = TestServer::with(&[
        "--max-data-bytes-per-second",
        "1000000000",
        "--max-data-messages-per-second",
        "1000000",
    ]);
    run(async {
        let engine = engine().await;
        let (_ann, to_ann) = Person::with_room(&server, &engine, "Ann").await;
        let (_ben, mut to_ben) = Person::with_room(&server, &engine, "Ben").await;
        let (mut deaf, mut to_deaf) = Person::with_room(&server, &engine, "Deaf").await;
        let mut sent = 0_u32;
        // The deaf one reads nothing: its own queues fill, then the server's.
        while metric(&server, "actix_rtc_sfu_data_slow_channels_total ") == 0.0 {
            for _ in 0..16 {
                to_ann.send(json!({"data": [sent, "x".repeat(60_000)]})).await;
                assert_eq!(to_ben.next_json().await["data"][0], sent, "somebody who reads misses nothing");
                sent += 1;
            }
            assert!(sent < 1_000, "60 MB wait for somebody who does not read");
        }
        let told = deaf.socket.expect("error");
        assert_eq!((&told["code"], &told["channel"]), (&json!("slow"), &json!("room")));
        // What was queued still comes, without a gap, and then the end.
        let mut expected = 0;
        while let Some(message) = to_deaf.events.message().await {
            let Message::Text(text) = message else { panic!("bytes") };
            let message: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(message["data"][0], expected);
            expected += 1;
        }
        assert!(expected > 10 && expected < sent, "{expected} of {sent}");
        let mut again = deaf.open("room", reliable()).await;
        again.listening().await;
        to_ann.send(json!({"data": "back"})).await;
        assert_eq!(again.next_json().await["data"], "back");
    });
}

#[test]
fn a_lossy_channel_drops_what_its_reader_does_not_take() {
    let server = TestServer::with(&[
        "--max-data-bytes-per-second",
        "1000000000",
        "--max-data-messages-per-second",
        "1000000",
    ]);
    run(async {
        let engine = engine().await;
        let (ann, _to_ann) = Person::with_room(&server, &engine, "Ann").await;
        let (ben, _to_ben) = Person::with_room(&server, &engine, "Ben").await;
        let from_ann = ann.open("room-lossy", lossy()).await;
        let mut to_ben = ben.open("room-lossy", lossy()).await;
        to_ben.listening().await;
        const DROPPED: &str = "actix_rtc_sfu_data_dropped_total{reason=\"no_room\"} ";
        let mut sent = 0_u32;
        while metric(&server, DROPPED) == 0.0 {
            for _ in 0..16 {
                from_ann.send(json!({"data": [sent, "x".repeat(60_000)]})).await;
                sent += 1;
            }
            assert!(sent < 2_000, "120 MB wait for somebody who does not read");
        }
        // Its channel is as before: when it reads, it hears what comes from then on.
        let last = tokio::time::timeout(Duration::from_secs(20), async {
            loop {
                let message = to_ben.next_json().await;
                if message["data"] == "end" {
                    break message;
                }
                from_ann.send(json!({"data": "end"})).await;
            }
        });
        assert_eq!(last.await.expect("the channel lives")["from"], ann.id);
        assert_eq!(metric(&server, "actix_rtc_sfu_data_slow_channels_total "), 0.0);
    });
}

#[test]
fn who_leaves_takes_its_channels_along() {
    let server = TestServer::start();
    run(async {
        let engine = engine().await;
        let (_ann, mut to_ann) = Person::with_room(&server, &engine, "Ann").await;
        let (mut ben, mut to_ben) = Person::with_room(&server, &engine, "Ben").await;
        let (_chidi, mut to_chidi) = Person::with_room(&server, &engine, "Chidi").await;
        to_ben.send(json!({"data": "bye"})).await;
        assert_eq!(to_ann.next_json().await["data"], "bye");
        assert_eq!(to_chidi.next_json().await["data"], "bye");
        ben.socket.send(&json!({"type": "leave"}));
        assert_eq!(ben.socket.expect_close(), Some(1000));
        to_ben.closed().await;
        let error = to_ann.refused(json!({"to": ben.id, "data": 1})).await;
        assert_eq!(error["code"], "no-such-participant");
        to_ann.send(json!({"data": "still here"})).await;
        assert_eq!(to_chidi.next_json().await["data"], "still here");
        assert_eq!(metric(&server, "actix_rtc_sfu_data_channels "), 2.0);
    });
}

#[test]
fn a_whip_publisher_is_told_that_it_can_have_no_channels() {
    use crate::peer::Source;
    let server = TestServer::start();
    run(async {
        let engine = engine().await;
        let kind = actix_rtc::MediaKind::Audio;
        let audio = Source::start(&engine, kind, 1).await;
        let mut publisher = Peer::new(&engine).await;
        publisher.add(kind, Some(&audio.track)).await;
        let channel = publisher.connection.create_data_channel("room", reliable()).await.unwrap();
        let mut line = Line { events: channel.events(), channel };
        assert_eq!(publisher.call(server.address, "/whip/demo").await.status, 201);
        publisher.connected().await;
        assert_eq!(line.error().await["code"], "unknown-channel");
        line.closed().await;
    });
}
