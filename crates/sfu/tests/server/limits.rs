//! What nobody may exceed, and what becomes of who does.

use serde_json::json;

use crate::{server::TestServer, socket::Socket, web};

#[test]
fn a_full_room_refuses_and_closes() {
    let server = TestServer::with(&["--max-participants", "1"]);
    let (_ann, _) = Socket::join(server.address, "demo", "Ann");
    let mut ben = Socket::open(server.address);
    let error = ben.refused(r#"{"type":"join","room":"demo","name":"Ben"}"#);
    assert_eq!(error["code"], "room-full");
    assert_eq!(ben.expect_close(), Some(1008));
}

#[test]
fn a_room_ends_with_its_last_member_and_makes_place_for_another() {
    let server = TestServer::with(&["--max-rooms", "1"]);
    let (mut ann, _) = Socket::join(server.address, "one", "Ann");
    let mut ben = Socket::open(server.address);
    let error = ben.refused(r#"{"type":"join","room":"two","name":"Ben"}"#);
    assert_eq!(error["code"], "too-many-rooms");
    ann.send(&json!({"type": "leave"}));
    ann.expect_close();
    Socket::join(server.address, "two", "Ben");
}

#[test]
fn a_message_beyond_the_limit_ends_that_connection_only() {
    let server = TestServer::with(&["--max-message-bytes", "2000"]);
    let (mut ann, _) = Socket::join(server.address, "demo", "Ann");
    let (mut ben, _) = Socket::join(server.address, "demo", "Ben");
    ann.expect("participant-joined");
    let error = ben.refused(&"x".repeat(3_000));
    assert_eq!(error["code"], "too-large");
    ann.expect("participant-left");
    assert!(ann.settle().is_empty());
}

#[test]
fn a_flood_of_messages_is_ended() {
    let server = TestServer::with(&["--max-messages-per-second", "5"]);
    let (mut socket, _) = Socket::join(server.address, "demo", "Flood");
    for _ in 0..100 {
        socket.send(&json!({"type": "ping"}));
    }
    assert_eq!(socket.expect("error")["code"], "rate-limited");
    assert_eq!(socket.expect_close(), Some(1008));
}

#[test]
fn who_does_not_join_in_time_is_sent_away() {
    let server = TestServer::with(&["--join-timeout", "0.2"]);
    let mut socket = Socket::open(server.address);
    assert_eq!(socket.expect("error")["code"], "timed-out");
    assert_eq!(socket.expect_close(), Some(1008));
}

#[test]
fn who_does_not_answer_pings_is_taken_for_gone() {
    // Longer than a busy machine keeps Ann from answering.
    let server = TestServer::with(&["--idle-timeout", "4"]);
    let (mut ann, _) = Socket::join(server.address, "demo", "Ann");
    let (mut silent, joined) = Socket::join(server.address, "demo", "Silent");
    // Waiting for messages answers pings, so Ann stays.
    assert_eq!(ann.expect("participant-left")["participant"], joined["participant"]);
    assert_eq!(silent.expect_close(), Some(1008));
}

#[test]
fn sessions_beyond_the_limit_are_told_to_come_back() {
    let server = TestServer::with(&["--max-sessions", "1"]);
    let _only = Socket::open(server.address);
    let refused = web::post_sdp(server.address, "/whip/demo", "v=0\r\n");
    assert_eq!((refused.status, refused.problem()["code"].as_str()), (503, Some("overloaded")));
    assert!(refused.header("retry-after").is_some());
}

#[test]
fn an_offer_with_too_many_sections_is_refused() {
    let server = TestServer::with(&["--max-sections", "3"]);
    let section = "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=rtpmap:111 opus/48000/2\r\n";
    let sdp = format!("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n{}", section.repeat(4));
    let (mut socket, _) = Socket::join(server.address, "demo", "");
    let error = socket.refused(&json!({"type": "offer", "id": 1, "sdp": sdp}).to_string());
    assert_eq!((error["code"].as_str(), error["field"].as_str()), (Some("invalid-sdp"), Some("sdp")));
}

#[test]
fn a_client_that_does_not_read_is_put_out_and_holds_nobody_up() {
    let server = TestServer::with(&["--max-messages-per-second", "100000"]);
    let (mut witness, _) = Socket::join(server.address, "demo", "Witness");
    let (mut deaf, joined) = Socket::join(server.address, "demo", "Deaf");
    witness.expect("participant-joined");
    // Each is answered with an error that repeats this; the kernel takes some megabytes of them.
    let wrong = json!({"type": "x".repeat(60)}).to_string();
    for _ in 0..200 {
        for _ in 0..1_000 {
            deaf.send_text(&wrong);
        }
        if let [left] = &witness.settle()[..] {
            assert_eq!(
                (&left["type"], &left["participant"]),
                (&json!("participant-left"), &joined["participant"])
            );
            return;
        }
    }
    panic!("somebody who does not read is still there");
}
