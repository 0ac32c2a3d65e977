//! As much of a WebSocket client (RFC 6455) as the tests need: it can also send what a good one would not.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, PartialEq)]
pub(crate) enum Frame {
    Text(String),
    Ping,
    Pong(String),
    /// With its code.
    Close(Option<u16>),
    /// The connection has ended.
    End,
}

pub(crate) struct Socket {
    stream: TcpStream,
    /// What was received while something else was awaited.
    passed: Vec<Value>,
}

impl Socket {
    pub(crate) fn open(server: SocketAddr) -> Self {
        Self::open_with(server, &[])
    }

    /// Opens a connection and sends these bytes together with the request, before there is an answer.
    pub(crate) fn open_with(server: SocketAddr, early: &[u8]) -> Self {
        let mut stream = TcpStream::connect(server).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = format!(
            "GET /ws HTTP/1.1\r\nHost: {server}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
        stream.write_all(&[request.as_bytes(), early].concat()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        Self { stream, passed: Vec::new() }
    }

    /// Opens a connection and joins; answers the `joined` message too.
    pub(crate) fn join(server: SocketAddr, room: &str, name: &str) -> (Self, Value) {
        let mut socket = Self::open(server);
        socket.send(&json!({"type": "join", "room": room, "name": name}));
        let joined = socket.expect("joined");
        (socket, joined)
    }

    pub(crate) fn send(&mut self, message: &Value) {
        self.send_text(&message.to_string());
    }

    pub(crate) fn send_text(&mut self, text: &str) {
        self.send_frame(1, text.as_bytes());
    }

    pub(crate) fn send_frame(&mut self, opcode: u8, payload: &[u8]) {
        self.send_part(0x80 | opcode, payload);
    }

    /// A frame whose first byte says what it is, and whether it is the last of its message.
    pub(crate) fn send_part(&mut self, first: u8, payload: &[u8]) {
        // The server may have closed already; what it said is read all the same.
        let _ = self.stream.write_all(&frame(first, payload));
    }
    /// The next frame; the tests' server never splits messages. Pings are left to the caller.
    pub(crate) fn receive(&mut self) -> Frame {
        let Some([opcode, length]) = self.read() else { return Frame::End };
        let length = match length {
            126 => self.read().map_or(0, |bytes: [u8; 2]| u64::from(u16::from_be_bytes(bytes))),
            127 => self.read().map_or(0, u64::from_be_bytes),
            length => u64::from(length),
        };
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        if self.stream.read_exact(&mut payload).is_err() {
            return Frame::End;
        }
        match opcode & 0xf {
            1 => Frame::Text(String::from_utf8(payload).unwrap()),
            8 => Frame::Close(payload.first_chunk().map(|code| u16::from_be_bytes(*code))),
            9 => Frame::Ping,
            10 => Frame::Pong(String::from_utf8(payload).unwrap()),
            other => panic!("a frame of type {other}"),
        }
    }

    fn read<const N: usize>(&mut self) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        match self.stream.read_exact(&mut bytes) {
            Ok(()) => Some(bytes),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("nothing came in time"),
            Err(_) => None,
        }
    }

    /// The next message of this type; others are kept for later.
    pub(crate) fn expect(&mut self, kind: &str) -> Value {
        self.expect_where(kind, |_| true)
    }

    pub(crate) fn expect_where(&mut self, kind: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let fits = |message: &Value| message["type"] == kind && wanted(message);
        if let Some(index) = self.passed.iter().position(fits) {
            return self.passed.remove(index);
        }
        loop {
            match self.receive() {
                Frame::Text(text) => {
                    let message: Value = serde_json::from_str(&text).unwrap();
                    if fits(&message) {
                        return message;
                    }
                    self.passed.push(message);
                }
                Frame::Ping => self.send_frame(10, b""),
                end => panic!("{kind} was awaited, and {end:?} came after {:?}", self.passed),
            }
        }
    }

    /// The code with which the server closes; messages before that are passed over.
    pub(crate) fn expect_close(&mut self) -> Option<u16> {
        loop {
            match self.receive() {
                Frame::Close(code) => return code,
                Frame::End => panic!("the connection ended without a close frame"),
                Frame::Text(_) | Frame::Ping | Frame::Pong(_) => {}
            }
        }
    }

    /// Sends something wrong and returns the error.
    pub(crate) fn refused(&mut self, text: &str) -> Value {
        self.send_text(text);
        self.expect("error")
    }

    /// Everything that was sent before has been handled, and nothing else came than what is returned.
    pub(crate) fn settle(&mut self) -> Vec<Value> {
        self.send(&json!({"type": "ping"}));
        self.expect("pong");
        std::mem::take(&mut self.passed)
    }
}

/// One frame of a client.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..=125 => frame.push(0x80 | length as u8),
        length @ 126..=0xffff => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    // RFC 6455 §5.3 demands a mask; all zeros leaves the payload as it is.
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}
