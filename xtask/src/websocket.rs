//! As much of a WebSocket client (RFC 6455) as the signalling tests need, over plain TCP.
//!
//! Deliberately raw: a test has to be able to send what a well-behaved library refuses to send.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

/// The server's own messages are a few kilobytes.
const FRAME_MAX: u64 = 16 << 20;

/// For the connection and the server's answer, each.
const OPEN_PATIENCE: Duration = Duration::from_secs(20);

/// One frame from the server, with fragments joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    Text(String),
    Binary(Vec<u8>),
    /// The code, when one was sent, and the reason.
    Close(Option<u16>, String),
    /// The server ended the TCP connection.
    End,
}

/// An open connection.
pub(crate) struct WebSocket {
    stream: TcpStream,
    received: Vec<u8>,
    fragments: Vec<u8>,
    text: bool,
}

impl WebSocket {
    pub(crate) fn open(server: SocketAddr, path: &str) -> Result<Self> {
        let mut stream = TcpStream::connect_timeout(&server, OPEN_PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(Duration::from_secs(10)))?;
        // RFC 6455 §1.3: the key is a nonce against caches; a constant serves a test.
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {server}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
             Origin: http://{server}\r\n\r\n"
        );
        stream.write_all(request.as_bytes())?;
        let mut socket = Self { stream, received: Vec::new(), fragments: Vec::new(), text: true };
        let until = Instant::now() + OPEN_PATIENCE;
        let head = loop {
            if let Some(end) = socket.received.windows(4).position(|window| window == b"\r\n\r\n") {
                break socket.received.drain(..end + 4).collect::<Vec<u8>>();
            }
            if !socket.read_some(until)? {
                bail!("the server ended the connection during the WebSocket handshake");
            }
        };
        let head = String::from_utf8_lossy(&head).into_owned();
        if !head.starts_with("HTTP/1.1 101") {
            bail!("{path} is no WebSocket: {}", head.lines().next().unwrap_or_default());
        }
        Ok(socket)
    }

    pub(crate) fn send_text(&mut self, text: &str) -> Result<()> {
        self.send(1, text.as_bytes())
    }

    pub(crate) fn send_json(&mut self, value: &Value) -> Result<()> {
        self.send_text(&value.to_string())
    }

    pub(crate) fn send_binary(&mut self, bytes: &[u8]) -> Result<()> {
        self.send(2, bytes)
    }

    fn send(&mut self, opcode: u8, payload: &[u8]) -> Result<()> {
        // RFC 6455 §5.3 demands a mask from clients; all zeros leaves the payload as it is.
        let mut frame = vec![0x80 | opcode];
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
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(payload);
        self.stream.write_all(&frame).context("writing to the WebSocket")
    }

    /// The next frame, or `None` when none came in time. Pings are answered.
    pub(crate) fn receive(&mut self, patience: Duration) -> Result<Option<Frame>> {
        let until = Instant::now() + patience;
        loop {
            if let Some((last, opcode, payload)) = self.take_frame()? {
                match opcode {
                    8 => {
                        // RFC 6455 §5.5.1: a close frame is answered; the server may be gone already.
                        let _ = self.send(8, payload.get(..2).unwrap_or_default());
                        return Ok(Some(close(&payload)));
                    }
                    9 => self.send(10, &payload)?,
                    10 => {}
                    _ => {
                        if opcode != 0 {
                            self.text = opcode == 1;
                            self.fragments.clear();
                        }
                        self.fragments.extend_from_slice(&payload);
                        if last {
                            return Ok(Some(self.message()));
                        }
                    }
                }
                continue;
            }
            if Instant::now() >= until {
                return Ok(None);
            }
            if !self.read_some(until)? {
                return Ok(Some(Frame::End));
            }
        }
    }

    /// The next JSON message that `wanted` accepts; others are passed over.
    pub(crate) fn receive_json(
        &mut self,
        patience: Duration,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let until = Instant::now() + patience;
        loop {
            match self.receive(until.saturating_duration_since(Instant::now()))? {
                Some(Frame::Text(text)) => {
                    let value: Value = serde_json::from_str(&text).context("a message that is no JSON")?;
                    if wanted(&value) {
                        return Ok(value);
                    }
                }
                Some(Frame::Binary(bytes)) => bail!("a binary frame of {} bytes", bytes.len()),
                Some(other) => bail!("{other:?} came instead of {what}"),
                None => bail!("{what} did not come within {patience:?}"),
            }
        }
    }

    fn message(&mut self) -> Frame {
        let payload = std::mem::take(&mut self.fragments);
        if self.text {
            Frame::Text(String::from_utf8_lossy(&payload).into_owned())
        } else {
            Frame::Binary(payload)
        }
    }

    /// Takes one whole frame out of what has been received: (final fragment, opcode, payload).
    fn take_frame(&mut self) -> Result<Option<(bool, u8, Vec<u8>)>> {
        let bytes = &self.received;
        let (Some(&first), Some(&second)) = (bytes.first(), bytes.get(1)) else { return Ok(None) };
        if second & 0x80 != 0 {
            bail!("the server masked a frame, which RFC 6455 §5.1 forbids");
        }
        let (length, header) = match second {
            126 => match bytes.get(2..4).and_then(|field| field.try_into().ok()) {
                Some(field) => (u64::from(u16::from_be_bytes(field)), 4),
                None => return Ok(None),
            },
            127 => match bytes.get(2..10).and_then(|field| field.try_into().ok()) {
                Some(field) => (u64::from_be_bytes(field), 10),
                None => return Ok(None),
            },
            short => (u64::from(short), 2),
        };
        if length > FRAME_MAX {
            bail!("a frame of {length} bytes");
        }
        let end = header + usize::try_from(length)?;
        if bytes.len() < end {
            return Ok(None);
        }
        let payload = bytes[header..end].to_vec();
        self.received.drain(..end);
        Ok(Some((first & 0x80 != 0, first & 0x0f, payload)))
    }

    /// Reads what is there, waiting no longer than `until`; `false` at the end of the stream.
    fn read_some(&mut self, until: Instant) -> Result<bool> {
        let patience = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        self.stream.set_read_timeout(Some(patience))?;
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => Ok(false),
            Ok(length) => {
                self.received.extend_from_slice(&buffer[..length]);
                Ok(true)
            }
            Err(error) => match error.kind() {
                // Nothing came: the caller looks at its own deadline.
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => Ok(true),
                ErrorKind::ConnectionReset => Ok(false),
                _ => Err(anyhow!(error).context("reading from the WebSocket")),
            },
        }
    }
}

fn close(payload: &[u8]) -> Frame {
    let code = payload.get(..2).and_then(|field| field.try_into().ok()).map(u16::from_be_bytes);
    Frame::Close(code, String::from_utf8_lossy(payload.get(2..).unwrap_or_default()).into_owned())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// A server that accepts the handshake and writes the given bytes.
    fn scripted(bytes: &'static [u8]) -> WebSocket {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).unwrap();
            stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\n\r\n").unwrap();
            stream.write_all(bytes).unwrap();
        });
        WebSocket::open(address, "/ws").unwrap()
    }

    #[test]
    fn fragments_are_joined_and_the_close_code_is_read() {
        let mut socket = scripted(b"\x01\x02he\x80\x03llo\x88\x05\x03\xe9bye");
        let patience = Duration::from_secs(10);
        assert_eq!(socket.receive(patience).unwrap(), Some(Frame::Text("hello".to_owned())));
        assert_eq!(socket.receive(patience).unwrap(), Some(Frame::Close(Some(1001), "bye".to_owned())));
        assert_eq!(socket.receive(patience).unwrap(), Some(Frame::End));
    }

    #[test]
    fn a_masked_frame_from_the_server_is_an_error() {
        let mut socket = scripted(b"\x81\x81\0\0\0\0a");
        assert!(socket.receive(Duration::from_secs(10)).is_err());
    }
}
