//! What an association tells its owner.

use super::channel::{ChannelKey, ChannelParameters, Message};

/// Why an association, or a channel, has ended otherwise than by its closing procedure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SctpError {
    /// The peer sent ABORT: W3C `close` of its connection does that.
    #[error("the peer has aborted the association")]
    AbortedByPeer,
    /// The peer broke a rule of the protocol.
    #[error("the peer violated the protocol: {0}")]
    ProtocolViolation(&'static str),
    /// Incomplete messages have filled the receive buffer.
    #[error("incomplete messages have filled the receive buffer")]
    OutOfResource,
    /// Nothing was acknowledged for too long.
    #[error("the peer has acknowledged nothing for too long")]
    Stalled,
    /// The transport below has ended.
    #[error("the transport below has ended")]
    TransportLost,
    /// The peer has reset the stream because of what we sent, or we did because of what it sent.
    #[error("the channel was refused: {0}")]
    ChannelRefused(&'static str),
    /// There is no stream identifier left for it, or fewer than it asks for.
    #[error("there is no stream identifier for the channel")]
    NoStream,
}

/// What happened in an association.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The association is set up.
    Connected {
        /// W3C `maxChannels`: how many streams both sides allow.
        max_channels: u16,
    },
    /// The peer has opened a channel. It is open.
    Opened {
        /// Names it from now on.
        channel: ChannelKey,
        /// Its stream identifier.
        id: u16,
        /// What it was opened with.
        parameters: ChannelParameters,
    },
    /// A channel of ours has got its stream identifier.
    Identified {
        /// Which channel.
        channel: ChannelKey,
        /// Its stream identifier.
        id: u16,
    },
    /// A channel of ours is open: messages can be sent.
    Open(ChannelKey),
    /// A message.
    Message(ChannelKey, Message),
    /// Some of what was accepted for sending has been given to the network for the first time, or has
    /// been given up.
    Sent {
        /// Which channel.
        channel: ChannelKey,
        /// Bytes of messages (W3C `bufferedAmount` falls by that).
        bytes: usize,
        /// The same plus 1 for each empty message: what it took up.
        room: usize,
    },
    /// The peer has begun to close a channel: nothing can be sent any more.
    Closing(ChannelKey),
    /// A channel is closed for good; `error` says if it was not by its closing procedure.
    Closed {
        /// Which channel.
        channel: ChannelKey,
        /// What went wrong.
        error: Option<SctpError>,
    },
    /// The association has ended. Its channels were told before.
    Ended {
        /// What went wrong; nothing after an orderly shutdown or our own end.
        error: Option<SctpError>,
    },
}
