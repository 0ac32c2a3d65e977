//! What our side does with data channels: it echoes, tells, or takes and pours in bulk.
//!
//! A channel of the subprotocol `tell` isn't echoed: texts are told to the script, which answers with `say`.
//!
//! A channel of the subprotocol `bulk` isn't echoed. Bytes that come are counted and hashed until `{"end": true}`
//! asks for the sum; `{"pour": BYTES, "chunk": BYTES}` asks for bytes, which are followed by their sum.

use std::sync::{Arc, Mutex, PoisonError};

use actix_rtc::{
    RtcDataChannel, RtcDataChannelEvent, RtcDataChannelInit, RtcDataChannelMessage as Message,
    RtcPeerConnection,
};
use anyhow::{Context, Result, anyhow};
use futures_util::StreamExt;
use openssl::sha::Sha256;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{outbox::Outbox, view};

const BULK: &str = "bulk";
const TELL: &str = "tell";

/// A channel that the script wants opened by our side; the names are those of W3C `RTCDataChannelInit`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ChannelOptions {
    label: String,
    #[serde(default = "yes")]
    ordered: bool,
    max_packet_life_time: Option<u16>,
    max_retransmits: Option<u16>,
    #[serde(default)]
    protocol: String,
    #[serde(default)]
    negotiated: bool,
    /// The stream identifier, for a negotiated channel.
    stream: Option<u16>,
}

fn yes() -> bool {
    true
}

/// All channels of a connection, those that are over included.
#[derive(Clone, Default)]
pub(crate) struct Channels {
    all: Arc<Mutex<Vec<RtcDataChannel>>>,
}

impl Channels {
    /// Opens a channel.
    pub(crate) async fn open(
        &self,
        connection: &RtcPeerConnection,
        options: ChannelOptions,
        outbox: &Outbox,
    ) -> Result<()> {
        let init = RtcDataChannelInit {
            ordered: options.ordered,
            max_packet_life_time: options.max_packet_life_time,
            max_retransmits: options.max_retransmits,
            protocol: options.protocol,
            negotiated: options.negotiated,
            id: options.stream,
            ..RtcDataChannelInit::default()
        };
        let channel = connection.create_data_channel(options.label, init).await?;
        self.serve(channel, outbox);
        Ok(())
    }

    /// Answers on a channel until it ends; what happens to it is told.
    pub(crate) fn serve(&self, channel: RtcDataChannel, outbox: &Outbox) {
        self.lock().push(channel.clone());
        let mut outbox = outbox.clone();
        actix_web::rt::spawn(async move {
            let mut events = channel.events();
            let mut bulk = Bulk::default();
            while let Some(event) = events.next().await {
                let label = json!(channel.label());
                match event {
                    RtcDataChannelEvent::Open => outbox.event("channelopen", label).await,
                    RtcDataChannelEvent::Close => outbox.event("channelclose", label).await,
                    RtcDataChannelEvent::Error(error) => {
                        outbox.event("channelerror", json!(format!("{}: {error}", channel.label()))).await;
                    }
                    RtcDataChannelEvent::Message(message) => {
                        // A channel that is closing takes no more: the close event follows.
                        let _ = match channel.protocol() {
                            BULK => bulk.take(&channel, message).await,
                            TELL => {
                                if let Message::Text(text) = message {
                                    outbox.event("message", json!([label, text])).await;
                                }
                                Ok(())
                            }
                            _ => channel.send(message).await.map_err(Into::into),
                        };
                    }
                    _ => {}
                }
            }
        });
    }

    pub(crate) fn close(&self, label: &str) -> Result<()> {
        self.newest(label)?.close();
        Ok(())
    }

    pub(crate) async fn say(&self, label: &str, text: String) -> Result<()> {
        let channel = self.newest(label)?;
        Ok(channel.send(text).await?)
    }

    fn newest(&self, label: &str) -> Result<RtcDataChannel> {
        let all = self.lock();
        let found = all.iter().rev().find(|channel| channel.label() == label);
        found.cloned().with_context(|| format!("there is no channel {label}"))
    }

    pub(crate) fn view(&self) -> Vec<Value> {
        self.lock().iter().map(view_of).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<RtcDataChannel>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A channel as both sides should see it.
pub(crate) fn view_of(channel: &RtcDataChannel) -> Value {
    json!({
        "label": channel.label(),
        "protocol": channel.protocol(),
        "id": channel.id(),
        "ordered": channel.ordered(),
        "maxPacketLifeTime": channel.max_packet_life_time(),
        "maxRetransmits": channel.max_retransmits(),
        "negotiated": channel.negotiated(),
        "readyState": view::words(channel.ready_state()),
    })
}

/// Sums of what came since the last sum.
#[derive(Default)]
struct Bulk {
    sum: Sha256State,
    bytes: u64,
}

struct Sha256State(Sha256);

impl Default for Sha256State {
    fn default() -> Self {
        Self(Sha256::new())
    }
}

impl Bulk {
    async fn take(&mut self, channel: &RtcDataChannel, message: Message) -> Result<()> {
        let text = match message {
            Message::Binary(bytes) => {
                self.sum.0.update(&bytes);
                self.bytes += bytes.len() as u64;
                return Ok(());
            }
            Message::Text(text) => text,
        };
        let asked: Value = serde_json::from_str(&text)?;
        let answer = match asked["pour"].as_u64() {
            Some(bytes) => {
                let chunk = asked["chunk"].as_u64().filter(|chunk| *chunk > 0);
                pour(channel, bytes, chunk.ok_or_else(|| anyhow!("no chunk"))?).await?
            }
            None => {
                let done = std::mem::take(self);
                json!({ "sha256": hexadecimal(done.sum.0), "bytes": done.bytes })
            }
        };
        Ok(channel.send(answer.to_string()).await?)
    }
}

/// Sends bytes that no compression could guess.
async fn pour(channel: &RtcDataChannel, bytes: u64, chunk: u64) -> Result<Value> {
    let mut sum = Sha256::new();
    let mut state = bytes ^ 0x9E37_79B9_7F4A_7C15;
    let mut left = bytes;
    while left > 0 {
        let length = left.min(chunk);
        let mut message = Vec::with_capacity(usize::try_from(length)? + 8);
        while (message.len() as u64) < length {
            // xorshift64
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            message.extend_from_slice(&state.to_le_bytes());
        }
        message.truncate(usize::try_from(length)?);
        sum.update(&message);
        channel.send(message).await?;
        left -= length;
    }
    Ok(json!({ "sha256": hexadecimal(sum), "bytes": bytes }))
}

fn hexadecimal(sum: Sha256) -> String {
    sum.finish().iter().map(|byte| format!("{byte:02x}")).collect()
}
