//! `RtcSctpTransport` (W3C webrtc-pc §6.1): the association under all data channels of a connection.

use super::RtcDtlsTransport;
use crate::messages::sctp::{RtcSctpTransportState, SctpSnapshot, SharedSctpSnapshot};

/// What carries the data channels. Clones are handles to the same association.
#[derive(Debug, Clone)]
pub struct RtcSctpTransport {
    snapshot: SharedSctpSnapshot,
    transport: RtcDtlsTransport,
}

impl RtcSctpTransport {
    /// A handle that reads what the association publishes.
    pub(super) fn new(snapshot: SharedSctpSnapshot, transport: RtcDtlsTransport) -> Self {
        Self { snapshot, transport }
    }

    /// W3C `transport`: what encrypts it.
    pub fn transport(&self) -> RtcDtlsTransport {
        self.transport.clone()
    }

    fn read(&self) -> SctpSnapshot {
        *self.snapshot.lock()
    }

    /// W3C `state`.
    pub fn state(&self) -> RtcSctpTransportState {
        self.read().state
    }

    /// W3C `maxMessageSize`: the largest message that can be sent, in bytes; `None` (W3C: Infinity)
    /// when the peer accepts any size.
    pub fn max_message_size(&self) -> Option<u64> {
        Some(self.read().max_message_size).filter(|size| *size < u64::MAX)
    }

    /// W3C `maxChannels`: how many channels can be open at once; `None` until connected.
    pub fn max_channels(&self) -> Option<u16> {
        self.read().max_channels
    }
}
