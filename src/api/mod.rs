//! The W3C-named asynchronous handles over the actors.
//!
//! A handle is cheap to clone and works from any task of any tokio runtime; the actors live on the
//! threads of an [`RtcEngine`]. Methods that W3C makes asynchronous are `async`; a future that is
//! dropped leaves its request with the actor, which still carries it out. Getters read the state that
//! the actor published last and never wait.

mod configuration;
mod data_channel;
mod description;
mod engine;
mod events;
mod media_stream_track;
mod peer_connection;
mod sctp_transport;
mod transceiver;

pub use configuration::RtcConfiguration;
pub use data_channel::{RtcDataChannel, RtcDataChannelEvents};
pub use description::{RtcIceCandidateInit, RtcSdpType, RtcSessionDescription};
pub use engine::{RtcEngine, RtcEngineConfig};
pub use events::RtcEvents;
pub use media_stream_track::{LocalTrackWriter, TrackPackets, local_track};
pub use peer_connection::RtcPeerConnection;
pub use sctp_transport::RtcSctpTransport;
pub use transceiver::RtcRtpTransceiver;

pub use crate::{
    actors::{network::NetworkConfig, shard::UdpMode},
    messages::{
        data_channel::{
            RtcDataChannelEvent, RtcDataChannelInit, RtcDataChannelMessage, RtcDataChannelState,
            RtcPriorityType, TrySendError,
        },
        error::RtcError,
        peer_connection::{
            PeerConnectionEvent as RtcPeerConnectionEvent, RtcIceGatheringState, RtcPeerConnectionState,
            TrackEvent as RtcTrackEvent,
        },
        sctp::RtcSctpTransportState,
        track::MediaStreamTrack,
    },
    proto::{
        dtls::{Certificate as RtcCertificate, KeyType},
        ice::State as RtcIceConnectionState,
        jsep::{
            Direction as RtcRtpTransceiverDirection, OfferOptions as RtcOfferOptions,
            SignalingState as RtcSignalingState, TransceiverId, TransceiverInit as RtcRtpTransceiverInit,
        },
        rtp::MediaKind,
    },
};
