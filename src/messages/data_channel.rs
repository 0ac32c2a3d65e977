//! What a data channel is to an application: W3C's dictionaries, messages and events. The channel itself,
//! with its two ends, is in `ends`.

mod ends;

use serde::{Deserialize, Serialize};

use super::error::RtcError;
use crate::proto::sctp::{ChannelParameters, Message, MessageKind, Reliability};

pub use self::ends::{ChannelEnd, DataChannel, Outgoing, SEND_HIGH_WATER, UNREAD_HIGH_WATER, channel};
pub use crate::proto::sctp::Priority as RtcPriorityType;

/// W3C webrtc-pc §6.1: 65535 is not an identifier of a stream that can be used.
const MAX_ID: u16 = 65_534;

/// W3C `RTCDataChannelState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RtcDataChannelState {
    /// Not usable yet.
    #[default]
    Connecting,
    /// Messages can be sent.
    Open,
    /// What was accepted is still sent; nothing more is accepted.
    Closing,
    /// Over.
    Closed,
}

/// W3C `RTCDataChannelInit`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RtcDataChannelInit {
    /// Messages arrive in the order in which they were sent.
    pub ordered: bool,
    /// Milliseconds during which a message is sent and sent again. Not together with
    /// `max_retransmits`.
    pub max_packet_life_time: Option<u16>,
    /// How often a message is sent again. Not together with `max_packet_life_time`.
    pub max_retransmits: Option<u16>,
    /// Subprotocol.
    pub protocol: String,
    /// The other side opens the same channel by itself.
    pub negotiated: bool,
    /// Stream identifier, needed when `negotiated`, ignored otherwise.
    pub id: Option<u16>,
    /// The share of a congested association.
    pub priority: RtcPriorityType,
}

impl Default for RtcDataChannelInit {
    fn default() -> Self {
        Self {
            ordered: true,
            max_packet_life_time: None,
            max_retransmits: None,
            protocol: String::new(),
            negotiated: false,
            id: None,
            priority: RtcPriorityType::Low,
        }
    }
}

impl RtcDataChannelInit {
    /// Checks what W3C `createDataChannel` checks before it looks at the connection.
    ///
    /// # Errors
    /// [`RtcError::TypeError`] for a label or protocol of more than 65,535 bytes, for both limits at
    /// once, for `negotiated` without `id`, and for the identifier 65535.
    pub fn to_parameters(&self, label: &str) -> Result<ChannelParameters, RtcError> {
        let refuse = |sentence: &str| Err(RtcError::TypeError(sentence.to_owned()));
        if label.len() > usize::from(u16::MAX) {
            return refuse("the label is longer than 65,535 bytes");
        }
        if self.protocol.len() > usize::from(u16::MAX) {
            return refuse("the protocol is longer than 65,535 bytes");
        }
        let reliability = match (self.max_packet_life_time, self.max_retransmits) {
            (Some(_), Some(_)) => {
                return refuse("max_packet_life_time and max_retransmits exclude each other");
            }
            (Some(limit), None) => Reliability::MaxLifetime(limit.into()),
            (None, Some(limit)) => Reliability::MaxRetransmits(limit.into()),
            (None, None) => Reliability::Reliable,
        };
        let negotiated = match (self.negotiated, self.id) {
            (false, _) => None,
            (true, None) => return refuse("a negotiated channel needs an id"),
            (true, Some(id)) if id > MAX_ID => return refuse("the id 65535 can't be used"),
            (true, Some(id)) => Some(id),
        };
        Ok(ChannelParameters {
            label: label.to_owned(),
            protocol: self.protocol.clone(),
            ordered: self.ordered,
            reliability,
            priority: self.priority,
            negotiated,
        })
    }
}

/// A message: W3C has strings and bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RtcDataChannelMessage {
    /// A string.
    Text(String),
    /// Bytes.
    Binary(bytes::Bytes),
}

impl RtcDataChannelMessage {
    /// Length in bytes (of UTF-8, for text).
    pub fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(data) => data.len(),
        }
    }

    /// Whether there is nothing in it, which is a message all the same.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl From<&str> for RtcDataChannelMessage {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for RtcDataChannelMessage {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<bytes::Bytes> for RtcDataChannelMessage {
    fn from(data: bytes::Bytes) -> Self {
        Self::Binary(data)
    }
}

impl From<Vec<u8>> for RtcDataChannelMessage {
    fn from(data: Vec<u8>) -> Self {
        Self::Binary(data.into())
    }
}

impl From<&[u8]> for RtcDataChannelMessage {
    fn from(data: &[u8]) -> Self {
        Self::Binary(bytes::Bytes::copy_from_slice(data))
    }
}

impl From<RtcDataChannelMessage> for Message {
    fn from(message: RtcDataChannelMessage) -> Self {
        match message {
            RtcDataChannelMessage::Text(text) => Self::text(text),
            RtcDataChannelMessage::Binary(data) => Self::binary(data),
        }
    }
}

impl From<Message> for RtcDataChannelMessage {
    /// Text of a peer that does not keep to UTF-8 is decoded as W3C does it, with U+FFFD.
    fn from(message: Message) -> Self {
        match message.kind {
            MessageKind::Binary => Self::Binary(message.data),
            MessageKind::Text => Self::Text(
                String::from_utf8(message.data.into())
                    .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
            ),
        }
    }
}

/// What happens on a channel: W3C `onopen`, `onmessage`, `onbufferedamountlow`, `onerror`, `onclosing`
/// and `onclose`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RtcDataChannelEvent {
    /// Messages can be sent.
    Open,
    /// A message has come.
    Message(RtcDataChannelMessage),
    /// The buffered amount has fallen to its low threshold.
    BufferedAmountLow,
    /// The channel ends otherwise than by closing.
    Error(RtcError),
    /// The peer has begun to close it.
    Closing,
    /// Over. Nothing follows.
    Close,
}

/// Counters of one channel (W3C webrtc-stats §8.9).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DataChannelStatistics {
    /// W3C `label`.
    pub label: String,
    /// W3C `protocol`.
    pub protocol: String,
    /// W3C `dataChannelIdentifier`, once there is one.
    pub id: Option<u16>,
    /// W3C `state`.
    pub state: RtcDataChannelState,
    /// Messages accepted for sending.
    pub messages_sent: u64,
    /// Their bytes.
    pub bytes_sent: u64,
    /// Messages handed to the application's queue.
    pub messages_received: u64,
    /// Their bytes.
    pub bytes_received: u64,
}

/// Why a message was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrySendError {
    /// There is no room now; the message is given back.
    #[error("the send queue of the channel is full")]
    WouldBlock(RtcDataChannelMessage),
    /// It can't be sent at all.
    #[error(transparent)]
    Failed(#[from] RtcError),
}
