//! The W3C-named asynchronous handles over the actors.
//!
//! A handle is cheap to clone and works from any task of any tokio runtime; the actors live on the
//! threads of an [`RtcEngine`]. Methods that W3C makes asynchronous are `async`; a future that is
//! dropped leaves its request with the actor, which still carries it out. Getters read the state that
//! the actor published last and never wait.

mod capabilities;
mod certificate;
mod configuration;
mod data_channel;
mod description;
mod dtls_transport;
mod dtmf_sender;
mod engine;
mod events;
mod handle;
pub mod ice;
mod ice_candidate;
mod ice_server;
mod ice_transport;
mod media_stream;
mod media_stream_track;
pub mod ortc;
mod peer_connection;
mod receiver;
mod remote_streams;
mod rtp_parameters;
mod sctp_transport;
mod send_parameters;
mod sender;
pub mod stats;
mod transceiver;
mod transport_parameters;

pub use certificate::{RtcCertificate, RtcCertificatePem};
pub use configuration::{
    DEFAULT_MAX_MESSAGE_SIZE, RtcBundlePolicy, RtcConfiguration, RtcIceServer, RtcIceTransportPolicy,
    RtcRtcpMuxPolicy,
};
pub use data_channel::{RtcDataChannel, RtcDataChannelEvents};
pub use description::{RtcIceCandidateInit, RtcSdpType, RtcSessionDescription};
pub use dtls_transport::RtcDtlsTransport;
pub use dtmf_sender::{RtcDtmfSender, RtcDtmfToneChanges};
pub use engine::{RtcEngine, RtcEngineConfig};
pub use events::{RtcEvents, RtcPeerConnectionEvent};
pub use ice_candidate::{RtcIceCandidate, RtcIceCandidateType, RtcIceProtocol, RtcIceTcpCandidateType};
pub use ice_transport::{RtcIceCandidatePair, RtcIceComponent, RtcIceRole, RtcIceTransport};
pub use media_stream::{MediaStream, MediaStreamEvent};
pub use media_stream_track::{LocalTrackWriter, TrackEvents, TrackPackets, local_track};
pub use peer_connection::RtcPeerConnection;
pub use receiver::RtcRtpReceiver;
pub use rtp_parameters::{
    RtcPriorityType, RtcRtcpFeedback, RtcRtcpParameters, RtcRtpCapabilities, RtcRtpCodecCapability,
    RtcRtpCodecParameters, RtcRtpContributingSource, RtcRtpEncodingParameters,
    RtcRtpHeaderExtensionCapability, RtcRtpHeaderExtensionParameters, RtcRtpParameters,
    RtcRtpReceiveParameters, RtcRtpSendParameters, RtcRtpSynchronizationSource,
};
pub use sctp_transport::RtcSctpTransport;
pub use sender::RtcRtpSender;
pub use stats::RtcStatsReport;
pub use transceiver::{RtcRtpTransceiver, RtcRtpTransceiverInit, TrackOrKind};
pub use transport_parameters::{
    RtcDataChannelParameters, RtcDtlsFingerprint, RtcDtlsParameters, RtcDtlsRole, RtcIceParameters,
    RtcSctpCapabilities,
};

pub use crate::{
    actors::{
        network::{AddressMapping, InterfaceFilter, MappedCandidate, NetworkConfig, TcpMode, TlsTrust},
        shard::UdpMode,
    },
    messages::{
        data_channel::{
            RtcDataChannelEvent, RtcDataChannelInit, RtcDataChannelMessage, RtcDataChannelState, TrySendError,
        },
        dtls::DtlsTransportState as RtcDtlsTransportState,
        error::RtcError,
        peer_connection::{RtcIceGatheringState, RtcPeerConnectionState},
        rtp::DtmfToneChange as RtcDtmfToneChange,
        sctp::RtcSctpTransportState,
        track::{EncodingDemand, MediaStreamTrack, MediaStreamTrackEvent, MediaStreamTrackState},
    },
    proto::{
        dtls::KeyType,
        ice::{State as RtcIceConnectionState, State as RtcIceTransportState},
        jsep::{
            Direction as RtcRtpTransceiverDirection, OfferOptions as RtcOfferOptions,
            SignalingState as RtcSignalingState, TransceiverId, TransportId,
        },
        rtp::MediaKind,
    },
};
