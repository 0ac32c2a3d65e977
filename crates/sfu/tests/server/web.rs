//! As much of an HTTP client as the tests need.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::Value;

pub(crate) const SDP: &str = "application/sdp";

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// The reason in the body of a refusal.
    pub(crate) fn problem(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON reason: {self:?}"))
    }
}

pub(crate) fn get(server: SocketAddr, path: &str) -> Response {
    request(server, "GET", path, None)
}

pub(crate) fn post_sdp(server: SocketAddr, path: &str, sdp: &str) -> Response {
    request(server, "POST", path, Some((SDP, sdp.as_bytes())))
}

/// Sends one request over a connection of its own; `body` is (content type, bytes).
pub(crate) fn request(server: SocketAddr, method: &str, path: &str, body: Option<(&str, &[u8])>) -> Response {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut bytes =
        format!("{method} {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n").into_bytes();
    let (kind, content) = body.unwrap_or_default();
    if !kind.is_empty() {
        bytes.extend(format!("Content-Type: {kind}\r\nContent-Length: {}\r\n", content.len()).bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(content);
    // A server that refuses a large body may have closed before all of it was written.
    let _ = stream.write_all(&bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) =
        answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer to {method} {path}: {answer:?}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
    Response { status, head: head.to_owned(), body: body.to_owned() }
}
