//! The conversation around `SctpAssoc`, which holds the association that carries all data channels of
//! a peer connection (RFC 8831, RFC 8261).
//!
//! ```text
//!   PeerConnection ──OpenDataChannel──▶ SctpAssoc ──SctpEvent (by closure)──▶ PeerConnection
//!        │  ConfigureSctp, when a description is applied      ▲ │
//!        │  StartSctp, when DTLS is connected                 │ ▼  packets, in lots (SctpSink)
//!        └──AttachSctp──────────────────────────────────▶ DtlsActor
//! ```

use std::{sync::Arc, time::Instant};

use actix::Message;
use bytes::Bytes;
use parking_lot::Mutex;

use super::{
    data_channel::{DataChannel, DataChannelStatistics, RtcDataChannelInit},
    error::RtcError,
};
use crate::proto::{dtls::Role, sctp::ChannelKey};

/// W3C `RTCSctpTransportState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum RtcSctpTransportState {
    /// The association is being set up, or waits for DTLS.
    #[default]
    Connecting,
    /// Channels can open.
    Connected,
    /// Ended, by either side or by an error. It never comes back.
    Closed,
}

/// What `RTCSctpTransport` shows (W3C webrtc-pc §6.1). Published by `SctpAssoc`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SctpSnapshot {
    /// Where the association stands.
    pub state: RtcSctpTransportState,
    /// The largest message that may be sent, in bytes; `u64::MAX` when the peer sets no limit.
    pub max_message_size: u64,
    /// How many channels can be open at once; known once connected.
    pub max_channels: Option<u16>,
}

/// A snapshot that handles of any thread read.
pub type SharedSctpSnapshot = Arc<Mutex<SctpSnapshot>>;

/// `DtlsActor` ↔ `SctpAssoc`. Class: data. One call is one lot.
pub trait SctpSink: Send + Sync {
    /// Takes SCTP packets in order; never blocks. What falls out of it is repeated by SCTP.
    fn push_all(&self, now: Instant, packets: &mut dyn Iterator<Item = Bytes>);
}

/// `PeerConnection` → `DtlsActor`, control: where application data goes from now on.
#[derive(Message)]
#[rtype(result = "()")]
pub struct AttachSctp {
    /// The association's lane for packets.
    pub inbound: Arc<dyn SctpSink>,
}

/// `PeerConnection` → `SctpAssoc`, control: what the descriptions said (RFC 8841). May come again: the
/// peer's message size is taken over, ports only until the association is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct ConfigureSctp {
    /// Our `a=sctp-port`.
    pub local_port: u16,
    /// The peer's `a=sctp-port`.
    pub remote_port: u16,
    /// The peer's `a=max-message-size`: 0 means any size, `None` the default of 65,536.
    pub remote_max_message_size: Option<u64>,
}

/// `PeerConnection` → `SctpAssoc`, control: DTLS is connected; set the association up. Only the first
/// one counts: there is one association per DTLS session.
#[derive(Message)]
#[rtype(result = "()")]
pub struct StartSctp {
    /// Our DTLS role: it decides the parity of stream identifiers (RFC 8832 §6).
    pub role: Role,
    /// The way to `DtlsActor`.
    pub outbound: Arc<dyn SctpSink>,
}

/// `PeerConnection` → `SctpAssoc`, control: W3C `createDataChannel`, at any time.
#[derive(Debug, Message)]
#[rtype(result = "Result<DataChannel, RtcError>")]
pub struct OpenDataChannel {
    /// Named by the application.
    pub label: String,
    /// What else it wants.
    pub init: RtcDataChannelInit,
}

/// `PeerConnection` → `SctpAssoc`, control: end everything and stop. The answer comes when the last
/// packet is in the lane to `DtlsActor`, so that it leaves before close_notify.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub enum CloseSctp {
    /// W3C `RTCPeerConnection.close`: ABORT; channels are closed without an event here.
    Abort,
    /// The transport below is gone: nothing is sent, channels close with an error.
    TransportLost,
}

/// Anyone → `SctpAssoc`, control: the counters.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "SctpStatistics")]
pub struct CollectSctpStatistics;

/// Counters of one association and its channels (W3C webrtc-stats §8.8, §8.9).
#[derive(Debug, Clone, Default, PartialEq, actix::MessageResponse)]
pub struct SctpStatistics {
    /// Each channel that is not closed yet, by what names it for ever.
    pub channels: Vec<(ChannelKey, DataChannelStatistics)>,
    /// W3C `dataChannelsOpened`.
    pub channels_opened: u64,
    /// W3C `dataChannelsClosed`.
    pub channels_closed: u64,
    /// SCTP packets sent.
    pub packets_sent: u64,
    /// SCTP packets received, bad ones included.
    pub packets_received: u64,
    /// User data chunks that were sent again.
    pub retransmissions: u64,
    /// How often reading had to stop because an application did not take its messages.
    pub reader_stalls: u64,
}

/// `SctpAssoc` → `PeerConnection`, control; told by the closure it was made with.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum SctpEvent {
    /// The association's state changed.
    StateChanged(RtcSctpTransportState),
    /// The peer has opened a channel. It is open when this is told.
    DataChannel(DataChannel),
    /// The association was lost; every channel has been told. [`Self::StateChanged`] follows.
    Failed(String),
}
