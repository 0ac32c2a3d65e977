//! What a data channel is to its association: parameters, messages, states.

use bytes::Bytes;

pub use crate::proto::dcep::Reliability;

/// Names a channel within its association, for as long as the association exists. Unlike stream
/// identifiers, keys are never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelKey(pub(super) u64);

/// How much of a congested association a channel gets (RFC 8831 §6.4, W3C webrtc-priority §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Priority {
    /// Half of low.
    VeryLow,
    /// The W3C default.
    #[default]
    Low,
    /// Twice low.
    Medium,
    /// Four times low.
    High,
}

impl Priority {
    /// The number in DATA_CHANNEL_OPEN (RFC 8831 §6.4): also the weight against other channels.
    pub const fn weight(self) -> u16 {
        match self {
            Self::VeryLow => 128,
            Self::Low => 256,
            Self::Medium => 512,
            Self::High => 1024,
        }
    }

    /// What a number in DATA_CHANNEL_OPEN means: W3C webrtc-priority §4.2, by the nearest below.
    pub const fn from_weight(weight: u16) -> Self {
        match weight {
            0..=128 => Self::VeryLow,
            129..=256 => Self::Low,
            257..=512 => Self::Medium,
            _ => Self::High,
        }
    }
}

/// What a channel is opened with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelParameters {
    /// Named by the application; at most 65,535 bytes.
    pub label: String,
    /// Subprotocol; at most 65,535 bytes.
    pub protocol: String,
    /// Messages arrive in the order in which they were sent.
    pub ordered: bool,
    /// How hard delivery is tried.
    pub reliability: Reliability,
    /// The share of the association.
    pub priority: Priority,
    /// Both applications open it by themselves with this stream identifier; nothing is sent for that.
    pub negotiated: Option<u16>,
}

impl Default for ChannelParameters {
    fn default() -> Self {
        Self {
            label: String::new(),
            protocol: String::new(),
            ordered: true,
            reliability: Reliability::Reliable,
            priority: Priority::Low,
            negotiated: None,
        }
    }
}

/// Whether a message is text or bytes: its PPID says so (RFC 8831 §8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageKind {
    /// UTF-8, as far as the sender keeps its word.
    Text,
    /// Anything.
    Binary,
}

/// One message of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Text or bytes.
    pub kind: MessageKind,
    /// The content; may be empty.
    pub data: Bytes,
}

impl Message {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self { kind: MessageKind::Text, data: Bytes::from(text.into()) }
    }

    /// Bytes.
    pub fn binary(data: impl Into<Bytes>) -> Self {
        Self { kind: MessageKind::Binary, data: data.into() }
    }
}
