//! RFC 6455 as far as the server reads it by itself: how a connection becomes a WebSocket, and messages in parts.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use crate::{
    server::TestServer,
    socket::{Frame, Socket, frame},
};

const TEXT: u8 = 1;
const CONTINUATION: u8 = 0;
const PING: u8 = 9;
const LAST: u8 = 0x80;

#[test]
fn what_comes_together_with_the_request_is_read() {
    let server = TestServer::start();
    let join = br#"{"type":"join","room":"demo","name":"Ann"}"#;
    let mut ann = Socket::open_with(server.address, &frame(LAST | TEXT, join));
    assert_eq!(ann.expect("joined")["room"], "demo");
}

#[test]
fn a_message_in_several_frames_is_one_message() {
    let server = TestServer::start();
    let mut ann = Socket::open(server.address);
    ann.send_part(TEXT, br#"{"type":"join","room":"de"#);
    ann.send_part(CONTINUATION, br#"mo","name":"A"#);
    // RFC 6455 §5.4: control frames may come in between.
    ann.send_part(LAST | PING, b"still there?");
    ann.send_part(LAST | CONTINUATION, br#"nn"}"#);
    assert_eq!(ann.receive(), Frame::Pong("still there?".to_owned()));
    assert_eq!(ann.expect("joined")["room"], "demo");
}

#[test]
fn parts_beyond_the_limit_of_a_message_end_the_connection() {
    let server = TestServer::with(&["--max-message-bytes", "2000"]);
    let (mut ann, _) = Socket::join(server.address, "demo", "Ann");
    ann.send_part(TEXT, &[b'x'; 1_500]);
    ann.send_part(CONTINUATION, &[b'x'; 1_500]);
    assert_eq!(ann.expect("error")["code"], "too-large");
    assert_eq!(ann.expect_close(), Some(1009));
}

#[test]
fn text_that_is_not_utf8_is_refused_and_the_connection_goes_on() {
    let server = TestServer::start();
    let (mut ann, _) = Socket::join(server.address, "demo", "Ann");
    ann.send_part(LAST | TEXT, &[0xff, 0xfe]);
    assert_eq!(ann.expect("error")["code"], "invalid-json");
    ann.send_text(r#"{"type":"ping"}"#);
    ann.expect("pong");
}

#[test]
fn a_frame_that_breaks_the_protocol_is_answered_with_a_close() {
    let server = TestServer::start();
    let (mut ann, _) = Socket::join(server.address, "demo", "Ann");
    ann.send_part(LAST | CONTINUATION, b"of nothing");
    assert_eq!(ann.expect_close(), Some(1002));
}

#[test]
fn a_request_to_upgrade_anything_else_is_answered_and_the_connection_ends() {
    let server = TestServer::start();
    for (path, version, status) in [("/nowhere", "13", "404"), ("/ws", "12", "426")] {
        let mut stream = TcpStream::connect(server.address).unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: {version}\r\n\r\n",
            server.address
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(answer.contains("\r\nconnection: close"), "{answer}");
    }
}

#[test]
fn what_the_client_sends_after_a_break_in_the_network_is_not_waited_for() {
    let server = TestServer::start();
    let (mut ann, _) = Socket::join(server.address, "demo", "Ann");
    let (ben, _) = Socket::join(server.address, "demo", "Ben");
    ann.expect("participant-joined");
    // Without a close frame.
    drop(ben);
    ann.expect("participant-left");
}
