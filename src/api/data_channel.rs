//! `RtcDataChannel` (W3C webrtc-pc §6.2) and its events.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::Stream;

use crate::{
    messages::{
        data_channel::{
            DataChannel, RtcDataChannelEvent, RtcDataChannelMessage, RtcDataChannelState, RtcPriorityType,
            TrySendError,
        },
        error::RtcError,
    },
    proto::sctp::Reliability,
};

/// A bidirectional channel for messages. Clones are handles to the same channel.
///
/// It lives until it is closed or its connection ends, even when no handle is left. What the peer
/// sends waits for [`Self::events`], up to 1 MiB; then the peer has to wait.
#[derive(Debug, Clone, PartialEq)]
pub struct RtcDataChannel {
    channel: DataChannel,
}

impl From<DataChannel> for RtcDataChannel {
    fn from(channel: DataChannel) -> Self {
        Self { channel }
    }
}

impl RtcDataChannel {
    /// W3C `label`: what it was named.
    pub fn label(&self) -> &str {
        &self.channel.parameters().label
    }

    /// W3C `ordered`: messages arrive in the order in which they were sent.
    pub fn ordered(&self) -> bool {
        self.channel.parameters().ordered
    }

    /// W3C `maxPacketLifeTime`: milliseconds during which a message is sent and sent again.
    pub fn max_packet_life_time(&self) -> Option<u16> {
        match self.channel.parameters().reliability {
            Reliability::MaxLifetime(limit) => Some(u16::try_from(limit).unwrap_or(u16::MAX)),
            _ => None,
        }
    }

    /// W3C `maxRetransmits`: how often a message is sent again.
    pub fn max_retransmits(&self) -> Option<u16> {
        match self.channel.parameters().reliability {
            Reliability::MaxRetransmits(limit) => Some(u16::try_from(limit).unwrap_or(u16::MAX)),
            _ => None,
        }
    }

    /// W3C `protocol`: the subprotocol.
    pub fn protocol(&self) -> &str {
        &self.channel.parameters().protocol
    }

    /// W3C `negotiated`: the application has agreed on the channel by itself.
    pub fn negotiated(&self) -> bool {
        self.channel.parameters().negotiated.is_some()
    }

    /// W3C `id`: the stream identifier, known from the beginning if negotiated, else once the
    /// connection is there.
    pub fn id(&self) -> Option<u16> {
        self.channel.id()
    }

    /// W3C webrtc-priority §4.3 `priority`: its share of a congested connection.
    pub fn priority(&self) -> RtcPriorityType {
        self.channel.parameters().priority
    }

    /// W3C `readyState`.
    pub fn ready_state(&self) -> RtcDataChannelState {
        self.channel.state()
    }

    /// W3C `bufferedAmount`: bytes accepted by [`Self::send`] that were not given to the network yet.
    pub fn buffered_amount(&self) -> usize {
        self.channel.buffered_amount()
    }

    /// W3C `bufferedAmountLowThreshold`, 0 at first.
    pub fn buffered_amount_low_threshold(&self) -> usize {
        self.channel.buffered_amount_low_threshold()
    }

    /// Sets W3C `bufferedAmountLowThreshold`: when the buffered amount falls to it,
    /// [`RtcDataChannelEvent::BufferedAmountLow`] says so. No more than 1 MiB can be buffered, so that
    /// a threshold above 512 KiB works like one of 512 KiB.
    pub fn set_buffered_amount_low_threshold(&self, bytes: usize) {
        self.channel.set_buffered_amount_low_threshold(bytes);
    }

    /// W3C `send`, as soon as there is room: 1 MiB of messages can wait for the network. What was
    /// accepted is sent, in this order, unless the channel's limits or its end prevent it. Cancel-safe:
    /// a future that is dropped has sent nothing.
    ///
    /// # Errors
    /// [`RtcError::InvalidStateError`] unless open; [`RtcError::TypeError`] for a message larger than
    /// the peer accepts (`RtcSctpTransport::max_message_size`).
    pub async fn send(&self, message: impl Into<RtcDataChannelMessage>) -> Result<(), RtcError> {
        self.channel.send(message.into()).await
    }

    /// [`Self::send`] if there is room now; otherwise the message is given back.
    ///
    /// # Errors
    /// [`TrySendError::WouldBlock`] when there is no room, else as [`Self::send`].
    pub fn try_send(&self, message: impl Into<RtcDataChannelMessage>) -> Result<(), TrySendError> {
        self.channel.try_send(message.into())
    }

    /// W3C `close`: what was accepted is still sent, then both sides close.
    pub fn close(&self) {
        self.channel.close();
    }

    /// What happens on the channel, from its beginning. Meant for one reader: several take the events
    /// from each other.
    pub fn events(&self) -> RtcDataChannelEvents {
        RtcDataChannelEvents { channel: self.channel.clone() }
    }
}

/// The events of one channel, in order; ends after [`RtcDataChannelEvent::Close`], or when the
/// connection is closed here.
#[derive(Debug)]
pub struct RtcDataChannelEvents {
    channel: DataChannel,
}

impl RtcDataChannelEvents {
    /// The next message, past other events; `None` when none will come. Cancel-safe.
    pub async fn message(&mut self) -> Option<RtcDataChannelMessage> {
        loop {
            match std::future::poll_fn(|cx| self.channel.poll_event(cx)).await? {
                RtcDataChannelEvent::Message(message) => return Some(message),
                _ => continue,
            }
        }
    }
}

impl Stream for RtcDataChannelEvents {
    type Item = RtcDataChannelEvent;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.channel.poll_event(cx)
    }
}
