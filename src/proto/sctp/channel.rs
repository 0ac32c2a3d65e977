//! What a data channel is to its association: parameters, messages, states.

use bytes::Bytes;

pub use crate::proto::{Priority, dcep::Reliability};

/// Names a channel within its association, for as long as the association exists. Unlike stream
/// identifiers, keys are never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelKey(pub(super) u64);

impl std::fmt::Display for ChannelKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
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
