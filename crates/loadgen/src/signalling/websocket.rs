//! This project's signalling (SIGNALLING.md): JSON over a WebSocket (RFC 6455), which stays open as long as the peer.
//!
//! As much of a client as that takes: text frames, and answers to the server's pings.

use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
};

use super::host_of;

/// For an answer and its candidates to come.
const PATIENCE: Duration = Duration::from_secs(30);
/// The server's messages are a few hundred kilobytes at most.
const FRAME_MAX: u64 = 16 << 20;
/// RFC 6455 §5.2.
const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// An open WebSocket whose peer is in a room.
pub(crate) struct Joined {
    socket: WebSocket,
    /// The own id.
    pub(crate) participant: String,
    /// What the others publish: id and kind, in the order of the participants.
    pub(crate) tracks: Vec<(String, String)>,
}

/// A published or subscribed peer; dropping it leaves the room.
pub(crate) struct Presence {
    _leave: oneshot::Sender<()>,
}

struct WebSocket {
    stream: TcpStream,
    received: Vec<u8>,
}

/// Opens a WebSocket and enters the room.
pub(crate) async fn join(url: &str, room: &str) -> anyhow::Result<Joined> {
    let mut socket = WebSocket::open(url).await?;
    socket.send_json(&json!({"type": "join", "room": room, "name": ""})).await?;
    let joined = socket.until("joined").await?;
    let empty = Vec::new();
    let lists = joined["participants"].as_array().unwrap_or(&empty).iter();
    let tracks = lists.flat_map(|participant| participant["tracks"].as_array().unwrap_or(&empty));
    let name = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let tracks = tracks.map(|track| (name(&track["id"]), name(&track["kind"]))).collect();
    let participant = name(&joined["participant"]);
    Ok(Joined { socket, participant, tracks })
}

impl Joined {
    /// Offers; returns the answer with all candidates in its first section, and what keeps the peer in the room.
    pub(crate) async fn offer(
        mut self,
        sdp: String,
        subscriptions: Value,
    ) -> anyhow::Result<(String, Vec<String>, Presence)> {
        let offer = json!({"type": "offer", "id": 1, "sdp": sdp, "subscriptions": subscriptions});
        self.socket.send_json(&offer).await?;
        let (mut answer, mut candidates, mut complete) = (None, Vec::new(), false);
        while answer.is_none() || !complete {
            let message = self.socket.receive().await?;
            match message["type"].as_str() {
                Some("answer") => answer = message["sdp"].as_str().map(str::to_owned),
                Some("candidate") => match message["candidate"].as_str() {
                    Some(candidate) => candidates.push(candidate.to_owned()),
                    None => complete = true,
                },
                Some("error" | "closing") => bail!("the server refuses the offer: {message}"),
                _ => {}
            }
        }
        let (leave, left) = oneshot::channel();
        tokio::task::spawn_local(stay(self.socket, left));
        Ok((answer.unwrap_or_default(), candidates, Presence { _leave: leave }))
    }
}

/// Answers pings until the peer leaves.
async fn stay(mut socket: WebSocket, mut left: oneshot::Receiver<()>) {
    loop {
        tokio::select! {
            // Sending never happens: the other end is dropped.
            _ = &mut left => break,
            message = socket.next_message() => if message.is_err() { return },
        }
    }
    // The server may be gone already.
    let _ = socket.send_json(&json!({"type": "leave"})).await;
}

impl WebSocket {
    async fn open(url: &str) -> anyhow::Result<Self> {
        let host = host_of(url)?;
        let mut stream = TcpStream::connect(host).await.with_context(|| format!("connecting to {host}"))?;
        stream.set_nodelay(true)?;
        // RFC 6455 §1.3: the key is a nonce against caches, of which there are none here.
        let request = format!(
            "GET /ws HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
             Origin: http://{host}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut socket = Self { stream, received: Vec::new() };
        loop {
            if let Some(end) = socket.received.windows(4).position(|window| window == b"\r\n\r\n") {
                let head: Vec<u8> = socket.received.drain(..end + 4).collect();
                if !head.starts_with(b"HTTP/1.1 101") {
                    bail!("{url}/ws is no WebSocket: {}", String::from_utf8_lossy(&head));
                }
                return Ok(socket);
            }
            socket.read_some().await?;
        }
    }

    async fn read_some(&mut self) -> anyhow::Result<()> {
        if self.stream.read_buf(&mut self.received).await? == 0 {
            bail!("the server closed the WebSocket");
        }
        Ok(())
    }

    async fn send_json(&mut self, value: &Value) -> anyhow::Result<()> {
        self.send(TEXT, value.to_string().as_bytes()).await
    }

    async fn send(&mut self, opcode: u8, payload: &[u8]) -> anyhow::Result<()> {
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
        Ok(self.stream.write_all(&frame).await?)
    }

    async fn until(&mut self, wanted: &str) -> anyhow::Result<Value> {
        loop {
            let message = self.receive().await?;
            match message["type"].as_str() {
                Some(kind) if kind == wanted => return Ok(message),
                Some("error" | "closing") => bail!("the server does not let the peer in: {message}"),
                _ => {}
            }
        }
    }

    async fn receive(&mut self) -> anyhow::Result<Value> {
        let message = tokio::time::timeout(PATIENCE, self.next_message()).await;
        message.with_context(|| format!("the server said nothing for {PATIENCE:?}"))?
    }

    /// Nothing is lost when this is cancelled while it waits: what came is kept.
    async fn next_message(&mut self) -> anyhow::Result<Value> {
        loop {
            while let Some((opcode, payload)) = self.take_frame()? {
                match opcode {
                    TEXT => return Ok(serde_json::from_slice(&payload)?),
                    PING => self.send(PONG, &payload).await?,
                    CLOSE => bail!("the server closed the WebSocket"),
                    _ => {}
                }
            }
            self.read_some().await?;
        }
    }

    /// One whole frame of what has been received. The server does not split messages.
    fn take_frame(&mut self) -> anyhow::Result<Option<(u8, Vec<u8>)>> {
        let bytes = &self.received;
        let (Some(&first), Some(&second)) = (bytes.first(), bytes.get(1)) else { return Ok(None) };
        let wide = match second {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let Some(field) = bytes.get(2..2 + wide) else { return Ok(None) };
        let length = match wide {
            0 => u64::from(second),
            _ => field.iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
        };
        if length > FRAME_MAX {
            bail!("a frame of {length} bytes");
        }
        let (start, end) = (2 + wide, 2 + wide + length as usize);
        if bytes.len() < end {
            return Ok(None);
        }
        let payload = bytes[start..end].to_vec();
        self.received.drain(..end);
        Ok(Some((first & 0x0f, payload)))
    }
}
