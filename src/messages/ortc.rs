//! The conversation between the handles of a transport that an application wires by hand (ORTC) and the
//! actor behind them.

use actix::Message;

use super::{
    dtls::DtlsTransportState, peer_connection::TransportSnapshot, sctp::SharedSctpSnapshot,
    track::MediaStreamTrack,
};
use crate::{
    messages::{data_channel::DataChannel, error::RtcError},
    proto::{
        dtls::Fingerprint,
        ice::Role,
        jsep::{DtlsRole, IceParameters},
        receiver::ReceiverParameters,
        sender::SenderParameters,
    },
};

/// What every request answers.
type Reply<T> = Result<T, RtcError>;

/// What getters read: written by the actor after every change.
#[derive(Debug, Clone, Default)]
pub struct OrtcSnapshot {
    /// ICE and DTLS.
    pub transport: TransportSnapshot,
    /// The association, once it was started.
    pub sctp: Option<SharedSctpSnapshot>,
    /// Stopped, or lost: nothing changes any more.
    pub ended: bool,
}

impl OrtcSnapshot {
    /// The state of the security context.
    pub fn dtls_state(&self) -> DtlsTransportState {
        if self.ended { DtlsTransportState::Closed } else { self.transport.dtls_state }
    }
}

/// Handle → `OrtcTransport`, control: ORTC §2.3 `gather`.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct BeginGathering;

/// Handle → `OrtcTransport`, control: ORTC §3.3 `start` of ICE.
#[derive(Debug, Message)]
#[rtype(result = "Reply<()>")]
pub struct StartIce {
    /// The peer's credentials.
    pub remote: IceParameters,
    /// Our role.
    pub role: Role,
}

/// Handle → `OrtcTransport`, control: a candidate of the peer, as text; `None`: there are no more.
#[derive(Debug, Message)]
#[rtype(result = "Reply<()>")]
pub struct AddCandidate(pub Option<String>);

/// Handle → `OrtcTransport`, control: ORTC §4.3 `start` of DTLS.
#[derive(Debug, Message)]
#[rtype(result = "Reply<()>")]
pub struct BeginDtls {
    /// Our side of the handshake; `None`: the controlled side of ICE begins.
    pub role: Option<DtlsRole>,
    /// The peer's certificate must match one of them.
    pub fingerprints: Vec<Fingerprint>,
}

/// Handle → `OrtcTransport`, control: the largest message we accept, in bytes; 0: of any size. Before
/// anything else is said about data channels.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Reply<()>")]
pub struct MakeSctp {
    /// Our port.
    pub local_port: u16,
    /// The largest message accepted.
    pub max_message_size: u64,
}

/// Handle → `OrtcTransport`, control: ORTC §11.2 `start` of SCTP.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Reply<()>")]
pub struct BeginSctp {
    /// The peer's port.
    pub remote_port: u16,
    /// The largest message the peer accepts, in bytes; 0: of any size.
    pub remote_max_message_size: u64,
}

/// Handle → `OrtcTransport`, control: send a track, from when DTLS is connected on.
#[derive(Message)]
#[rtype(result = "Reply<()>")]
pub struct SendTrack {
    /// Which one.
    pub track: MediaStreamTrack,
    /// How.
    pub parameters: SenderParameters,
}

/// Handle → `OrtcTransport`, control: receive what the parameters describe.
#[derive(Message)]
#[rtype(result = "Reply<MediaStreamTrack>")]
pub struct ReceiveTrack {
    /// What to call the track.
    pub track_id: String,
    /// How.
    pub parameters: ReceiverParameters,
    /// The value of the MID header extension; empty: told apart by payload type.
    pub mux_id: String,
    /// Header extensions: id and URI.
    pub extensions: Vec<(u8, String)>,
}

/// Handle → `OrtcTransport`, control: end everything, in order.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct StopTransport;

/// `OrtcTransport` → handle: bounded, oldest dropped.
#[derive(Debug)]
pub enum OrtcEvent {
    /// The peer has opened a channel.
    DataChannel(DataChannel),
    /// Part of it failed; a sentence for people.
    Failure(String),
}
