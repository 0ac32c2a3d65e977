//! What is wrong is told to its sender, with its place; the call goes on.

use serde_json::json;

use crate::{
    server::TestServer,
    socket::{Frame, Socket},
};

fn offer(sdp: &str) -> String {
    json!({"type": "offer", "id": 7, "sdp": sdp, "subscriptions": {}}).to_string()
}

#[test]
fn broken_json_and_wrong_messages_are_named_and_others_unaffected() {
    let server = TestServer::start();
    let (mut bystander, _) = Socket::join(server.address, "room", "Bystander");
    let (mut socket, _) = Socket::join(server.address, "room", "Offender");
    bystander.expect("participant-joined");
    let error = socket.refused("{\"type\":\n \"ping\",,}");
    assert_eq!((error["code"].as_str(), error["line"].as_u64()), (Some("invalid-json"), Some(2)));
    let error = socket.refused("");
    assert_eq!((error["code"].as_str(), error["line"].as_u64()), (Some("invalid-json"), Some(1)));
    socket.send_frame(2, b"{}");
    assert_eq!(socket.expect("error")["code"], "invalid-json");
    let error = socket.refused(r#"{"type":"offer","id":7}"#);
    assert_eq!((error["code"].as_str(), error["field"].as_str()), (Some("invalid-message"), Some("sdp")));
    assert_eq!(error["id"], 7);
    assert!(socket.settle().is_empty());
    assert!(bystander.settle().is_empty());
}

#[test]
fn broken_sdp_is_named_by_its_line_and_its_offer() {
    let server = TestServer::start();
    let (mut socket, _) = Socket::join(server.address, "room", "");
    let session = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n";
    for (sdp, line) in [
        ("this is no SDP\r\n".to_owned(), 1),
        (format!("{session}m=audio noport UDP/TLS/RTP/SAVPF 111\r\n"), 5),
        (String::new(), 1),
    ] {
        let error = socket.refused(&offer(&sdp));
        assert_eq!(error["code"], "invalid-sdp", "{error}");
        assert_eq!((error["line"].as_u64(), error["id"].as_u64()), (Some(line), Some(7)), "{error}");
        assert!(!error["message"].as_str().unwrap().is_empty());
    }
}

#[test]
fn joining_comes_first_and_only_once() {
    let server = TestServer::start();
    let mut socket = Socket::open(server.address);
    assert_eq!(socket.refused(&offer("v=0\r\n"))["code"], "not-joined");
    assert_eq!(socket.refused(r#"{"type":"leave"}"#)["code"], "not-joined");
    assert!(socket.settle().is_empty(), "a ping is answered before joining");
    socket.send(&json!({"type": "join", "room": "room", "name": "Ann"}));
    socket.expect("joined");
    let again = socket.refused(r#"{"type":"join","room":"room","name":"Ann"}"#);
    assert_eq!(again["code"], "already-joined");
}

#[test]
fn a_candidate_without_an_offer_is_refused_and_the_call_goes_on() {
    let server = TestServer::start();
    let (mut socket, _) = Socket::join(server.address, "room", "");
    let error = socket.refused(r#"{"type":"candidate","candidate":"candidate:nonsense","sdpMid":"0"}"#);
    let named = (error["code"].as_str(), error["field"].as_str());
    assert_eq!(named, (Some("invalid-candidate"), Some("candidate")));
    assert!(socket.settle().is_empty());
}

#[test]
fn a_client_that_leaves_is_answered_with_a_close() {
    let server = TestServer::start();
    let (mut socket, _) = Socket::join(server.address, "room", "");
    socket.send(&json!({"type": "leave"}));
    assert_eq!(socket.expect_close(), Some(1000));
}

#[test]
fn shutting_down_is_announced_and_closes_with_going_away() {
    let mut server = TestServer::start();
    let (mut joined, _) = Socket::join(server.address, "room", "");
    let mut waiting = Socket::open(server.address);
    server.begin_shutdown();
    assert_eq!(joined.expect("closing")["reason"], "shutdown");
    assert_eq!(joined.receive(), Frame::Close(Some(1001)));
    assert_eq!(waiting.expect_close(), Some(1001), "who has not joined is told as well");
    server.wait();
}
