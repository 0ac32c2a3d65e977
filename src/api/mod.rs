//! The W3C-named asynchronous handles over the actors.
//!
//! A handle is cheap to clone and works from any task of any tokio runtime; the actors live on the
//! threads of an [`RtcEngine`]. Methods that W3C makes asynchronous are `async`; a future that is
//! dropped leaves its request with the actor, which still carries it out. Getters read the state that
//! the actor published last and never wait.

mod configuration;
mod description;
mod engine;
mod events;
mod media_stream;
mod media_stream_track;
mod peer_connection;
mod transceiver;

pub use configuration::RtcConfiguration;
pub use description::{RtcIceCandidateInit, RtcSdpType, RtcSessionDescription};
pub use engine::{RtcEngine, RtcEngineConfig};
pub use events::RtcEvents;
pub use media_stream::{MediaStream, MediaStreamEvent};
pub use media_stream_track::{LocalTrackWriter, TrackEvents, TrackPackets, local_track};
pub use peer_connection::RtcPeerConnection;
pub use transceiver::RtcRtpTransceiver;

pub use crate::{
    actors::{network::NetworkConfig, shard::UdpMode},
    messages::{
        error::RtcError,
        peer_connection::{
            PeerConnectionEvent as RtcPeerConnectionEvent, RtcIceGatheringState, RtcPeerConnectionState,
            TrackEvent as RtcTrackEvent,
        },
        track::{EncodingDemand, MediaStreamTrack, MediaStreamTrackEvent, MediaStreamTrackState},
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
