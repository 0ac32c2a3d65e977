//! The Data Channel Establishment Protocol (RFC 8832): one message to open a channel, one to agree.
//!
//! Parsing is total. Lengths on the wire are bytes of UTF-8, not characters. A message that can't be
//! parsed costs its own channel only; that decision is the caller's.

use bytes::{BufMut, Bytes, BytesMut};

/// RFC 8832 §8.2.1: message types.
const DATA_CHANNEL_ACK: u8 = 0x02;
const DATA_CHANNEL_OPEN: u8 = 0x03;
/// Length of DATA_CHANNEL_OPEN without label and protocol (RFC 8832 §5.1).
const OPEN_HEADER_LENGTH: usize = 12;
/// RFC 8832 §5.1: this bit of the channel type says "unordered".
const UNORDERED: u8 = 0x80;
const RELIABLE: u8 = 0x00;
const PARTIAL_RELIABLE_REXMIT: u8 = 0x01;
const PARTIAL_RELIABLE_TIMED: u8 = 0x02;

/// How hard delivery is tried (RFC 8831 §6.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Reliability {
    /// Until it succeeds.
    #[default]
    Reliable,
    /// At most so many retransmissions of each message.
    MaxRetransmits(u32),
    /// For so many milliseconds since the message was handed over.
    MaxLifetime(u32),
}

/// RFC 8832 §5.1: DATA_CHANNEL_OPEN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// Messages arrive in the order in which they were sent.
    pub ordered: bool,
    /// How hard delivery is tried.
    pub reliability: Reliability,
    /// RFC 8831 §6.4: 128 below normal, 256 normal, 512 high, 1024 extra high.
    pub priority: u16,
    /// Named by the application.
    pub label: String,
    /// Subprotocol, as registered for WebSockets.
    pub protocol: String,
}

/// A message of the protocol; carried with PPID 50, ordered and reliably.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Open a channel on this stream.
    Open(Open),
    /// The channel is open on the other side too.
    Ack,
}

/// Why a message can't be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DcepError {
    /// Nothing in it, or less than its header or its lengths say.
    #[error("the message is shorter than it says")]
    TooShort,
    /// More bytes follow than the lengths say.
    #[error("the message is longer than it says")]
    TooLong,
    /// Neither OPEN nor ACK.
    #[error("message type {0} is unknown")]
    UnknownMessage(u8),
    /// A channel type that RFC 8832 §8.2.2 does not list.
    #[error("channel type {0:#04x} is unknown")]
    UnknownChannelType(u8),
    /// Label or protocol is not UTF-8.
    #[error("label or protocol is not UTF-8")]
    NotUtf8,
}

impl Message {
    /// Reads one message.
    ///
    /// # Errors
    /// Says what is wrong; nothing of a bad message is used.
    pub fn parse(bytes: &[u8]) -> Result<Self, DcepError> {
        match bytes.first() {
            None => Err(DcepError::TooShort),
            // RFC 8832 §5.2: one byte. What follows is no reason to refuse the channel.
            Some(&DATA_CHANNEL_ACK) => Ok(Self::Ack),
            Some(&DATA_CHANNEL_OPEN) => Open::parse(bytes).map(Self::Open),
            Some(&other) => Err(DcepError::UnknownMessage(other)),
        }
    }

    /// Writes one message.
    ///
    /// # Errors
    /// [`DcepError::TooLong`] when label or protocol are longer than 65,535 bytes.
    pub fn serialise(&self) -> Result<Bytes, DcepError> {
        match self {
            Self::Ack => Ok(Bytes::from_static(&[DATA_CHANNEL_ACK])),
            Self::Open(open) => open.serialise(),
        }
    }
}

impl Open {
    fn parse(bytes: &[u8]) -> Result<Self, DcepError> {
        let (header, text) = bytes.split_at_checked(OPEN_HEADER_LENGTH).ok_or(DcepError::TooShort)?;
        let parameter = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
        let reliability = match header[1] & !UNORDERED {
            // RFC 8832 §5.1: the reliability parameter is ignored then.
            RELIABLE => Reliability::Reliable,
            PARTIAL_RELIABLE_REXMIT => Reliability::MaxRetransmits(parameter),
            PARTIAL_RELIABLE_TIMED => Reliability::MaxLifetime(parameter),
            _ => return Err(DcepError::UnknownChannelType(header[1])),
        };
        let label_length = usize::from(u16::from_be_bytes([header[8], header[9]]));
        let protocol_length = usize::from(u16::from_be_bytes([header[10], header[11]]));
        let (label, rest) = text.split_at_checked(label_length).ok_or(DcepError::TooShort)?;
        let (protocol, rest) = rest.split_at_checked(protocol_length).ok_or(DcepError::TooShort)?;
        if !rest.is_empty() {
            return Err(DcepError::TooLong);
        }
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| DcepError::NotUtf8);
        Ok(Self {
            ordered: header[1] & UNORDERED == 0,
            reliability,
            priority: u16::from_be_bytes([header[2], header[3]]),
            label: text(label)?,
            protocol: text(protocol)?,
        })
    }

    fn serialise(&self) -> Result<Bytes, DcepError> {
        let length = |text: &str| u16::try_from(text.len()).map_err(|_| DcepError::TooLong);
        let (label_length, protocol_length) = (length(&self.label)?, length(&self.protocol)?);
        let (channel_type, parameter) = match self.reliability {
            Reliability::Reliable => (RELIABLE, 0),
            Reliability::MaxRetransmits(limit) => (PARTIAL_RELIABLE_REXMIT, limit),
            Reliability::MaxLifetime(limit) => (PARTIAL_RELIABLE_TIMED, limit),
        };
        let unordered = if self.ordered { 0 } else { UNORDERED };
        let mut bytes = BytesMut::with_capacity(OPEN_HEADER_LENGTH + self.label.len() + self.protocol.len());
        bytes.put_u8(DATA_CHANNEL_OPEN);
        bytes.put_u8(channel_type | unordered);
        bytes.put_u16(self.priority);
        bytes.put_u32(parameter);
        bytes.put_u16(label_length);
        bytes.put_u16(protocol_length);
        bytes.put_slice(self.label.as_bytes());
        bytes.put_slice(self.protocol.as_bytes());
        Ok(bytes.freeze())
    }
}

#[cfg(test)]
mod tests;
