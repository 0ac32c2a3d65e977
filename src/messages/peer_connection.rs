//! The conversation between the API's handles and a `PeerConnection` actor.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use actix::Message;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::{
    data_channel::{DataChannel, RtcDataChannelInit},
    dtls::DtlsTransportState,
    error::RtcError,
    ice::{CandidateError, CandidatePair, IceServers},
    rtp::{SharedTones, SourcesSnapshot},
    sctp::SharedSctpSnapshot,
    track::MediaStreamTrack,
};
use crate::proto::{
    dtls::Certificate,
    ice::{self, Candidate},
    jsep::{
        AppliedDescription, BundlePolicy, CandidateInit, Description, Direction, IceParameters, OfferOptions,
        RtpReceiveParameters, RtpSendParameters, SignalingState, TransceiverId, TransceiverInit, TransportId,
    },
    rtp::{CodecParameters, MediaKind},
};

pub use crate::proto::sender::{EncodingParameters, Priority};

/// What every request answers.
pub type Reply<T> = Result<T, RtcError>;

/// What an application may choose for a connection (W3C webrtc-pc §4.2.1 `RTCConfiguration`).
#[derive(Debug, Clone, Default)]
pub struct Configuration {
    /// Who is asked for candidates, and which are used.
    pub ice: IceServers,
    /// How many transports an offer begins with. Can't be changed.
    pub bundle_policy: BundlePolicy,
    /// What the peer is shown: the first one. Can't be changed.
    pub certificates: Vec<Certificate>,
    /// How many transports gather before there is a description; can't be changed after the first local
    /// description.
    pub ice_candidate_pool_size: u8,
    /// Every offer has a section for data channels, and a first one if there are other sections.
    pub always_negotiate_data_channels: bool,
}

/// Handle → `PeerConnection`, control: W3C webrtc-pc §4.4.2 `createOffer`.
#[derive(Debug, Message)]
#[rtype(result = "Reply<Description>")]
pub struct CreateOffer(pub OfferOptions);

/// Handle → `PeerConnection`, control: `createAnswer`.
#[derive(Debug, Message)]
#[rtype(result = "Reply<Description>")]
pub struct CreateAnswer;

/// Handle → `PeerConnection`, control: `setLocalDescription`; `None` makes the description that the
/// signalling state asks for.
#[derive(Debug, Message)]
#[rtype(result = "Reply<()>")]
pub struct SetLocalDescription(pub Option<Description>);

/// Handle → `PeerConnection`, control: `setRemoteDescription`.
#[derive(Debug, Message)]
#[rtype(result = "Reply<()>")]
pub struct SetRemoteDescription(pub Description);

/// Handle → `PeerConnection`, control: `addIceCandidate`; `None` or an empty candidate ends them.
#[derive(Debug, Message)]
#[rtype(result = "Reply<()>")]
pub struct AddIceCandidate(pub Option<CandidateInit>);

/// Handle → `PeerConnection`, control: `addTransceiver`.
#[derive(Debug, Message)]
#[rtype(result = "Reply<TransceiverId>")]
pub struct AddTransceiver {
    /// Audio or video.
    pub kind: MediaKind,
    /// What to send from the start.
    pub track: Option<MediaStreamTrack>,
    /// Direction and streams.
    pub init: TransceiverInit,
    /// What is sent, best last as for simulcast; empty: one encoding with the defaults.
    pub send_encodings: Vec<EncodingParameters>,
}

/// Handle → `PeerConnection`, control: `addTrack`.
#[derive(Debug, Message)]
#[rtype(result = "Reply<TransceiverId>")]
pub struct AddTrack {
    /// What to send.
    pub track: MediaStreamTrack,
    /// The streams it is said to belong to.
    pub stream_ids: Vec<String>,
}

/// Handle → `PeerConnection`, control: the wanted direction of a transceiver.
#[derive(Debug, Message)]
#[rtype(result = "Reply<()>")]
pub struct SetDirection {
    /// Which one.
    pub id: TransceiverId,
    /// Takes effect with the next negotiation.
    pub direction: Direction,
}

/// Handle → `PeerConnection`, control: `replaceTrack`, with the streams and the identifier that the
/// next description will name (W3C `setStreams`) when given.
#[derive(Debug, Message)]
#[rtype(result = "Reply<()>")]
pub struct ReplaceTrack {
    /// Which sender.
    pub id: TransceiverId,
    /// What it sends from the next key frame on.
    pub track: Option<MediaStreamTrack>,
    /// The streams the track is said to belong to.
    pub stream_ids: Option<Vec<String>>,
}

/// Handle → `PeerConnection`, control: stop a transceiver for good.
#[derive(Debug, Message)]
#[rtype(result = "Reply<()>")]
pub struct StopTransceiver(pub TransceiverId);

/// Handle → `PeerConnection`, control: `removeTrack`: the sender of this transceiver falls silent, and its
/// direction loses its sending half.
#[derive(Debug, Message)]
#[rtype(result = "Reply<()>")]
pub struct RemoveTrack(pub TransceiverId);

/// Handle → `PeerConnection`, control: `setStreams` of a sender.
#[derive(Debug, Message)]
#[rtype(result = "Reply<()>")]
pub struct SetStreams {
    /// Which sender.
    pub id: TransceiverId,
    /// The streams its track is said to belong to, from the next description on.
    pub stream_ids: Vec<String>,
}

/// Handle → `PeerConnection`, control: `setCodecPreferences`.
#[derive(Debug, Message)]
#[rtype(result = "Reply<()>")]
pub struct SetCodecPreferences {
    /// Which transceiver.
    pub id: TransceiverId,
    /// In order of preference; empty: what this side is capable of.
    pub codecs: Vec<CodecParameters>,
}

/// Handle → `PeerConnection`, control: the `encodings` of `setParameters`. In force at once; rids can't be
/// added, removed or renamed.
#[derive(Debug, Message)]
#[rtype(result = "Reply<()>")]
pub struct SetSendEncodings {
    /// Which sender.
    pub id: TransceiverId,
    /// As many as there were, in the same order.
    pub encodings: Vec<EncodingParameters>,
}

/// Handle → `PeerConnection`, control: `jitterBufferTarget` of a receiver.
#[derive(Debug, Message)]
#[rtype(result = "Reply<()>")]
pub struct SetJitterBufferTarget {
    /// Which receiver.
    pub id: TransceiverId,
    /// How long media shall wait at least; at most 4 s. `None`: as short as the network allows.
    pub target: Option<Duration>,
}

/// Handle → `PeerConnection`, control: `getSynchronizationSources` and `getContributingSources` of a receiver.
#[derive(Debug, Message)]
#[rtype(result = "Reply<SourcesSnapshot>")]
pub struct GetSources(pub TransceiverId);

/// Handle → `PeerConnection`, control: `insertDTMF` (W3C webrtc-pc §7.2): replaces what is still to be sent.
#[derive(Debug, Message)]
#[rtype(result = "Reply<()>")]
pub struct InsertDtmf {
    /// Whose sender.
    pub id: TransceiverId,
    /// `0-9A-D#*` and `,` for a pause of two seconds; empty: stop.
    pub tones: String,
    /// Length of a tone, 40 ms to 6 s.
    pub duration: Duration,
    /// Silence between tones, at least 30 ms.
    pub gap: Duration,
}

/// Handle → `PeerConnection`, control: `createDataChannel`, before and after the connection is there.
#[derive(Debug, Message)]
#[rtype(result = "Reply<DataChannel>")]
pub struct CreateDataChannel {
    /// Named by the application.
    pub label: String,
    /// What else it wants.
    pub init: RtcDataChannelInit,
}

/// Handle → `PeerConnection`, control: `getConfiguration`.
#[derive(Debug, Message)]
#[rtype(result = "Reply<Configuration>")]
pub struct GetConfiguration;

/// Handle → `PeerConnection`, control: `setConfiguration`. Servers and policies of ICE take effect with
/// the next gathering.
#[derive(Debug, Message)]
#[rtype(result = "Reply<()>")]
pub struct SetConfiguration(pub Configuration);

/// Handle → `PeerConnection`, control: `restartIce`.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct RequestIceRestart;

/// Handle → `PeerConnection`, control: BYE, close_notify, and the end. Answers when both are queued.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Close;

/// The state of a connection (W3C webrtc-pc §4.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RtcPeerConnectionState {
    /// Nothing has been tried.
    #[default]
    New,
    /// ICE or DTLS is under way.
    Connecting,
    /// Media can flow.
    Connected,
    /// Connectivity is in doubt; may recover by itself.
    Disconnected,
    /// Over, unless ICE is restarted.
    Failed,
    /// Closed by us.
    Closed,
}

impl RtcPeerConnectionState {
    /// The W3C name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Disconnected => "disconnected",
            Self::Failed => "failed",
            Self::Closed => "closed",
        }
    }
}

/// The state of gathering (W3C webrtc-pc §4.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RtcIceGatheringState {
    /// Not begun.
    #[default]
    New,
    /// Candidates may still come.
    Gathering,
    /// All candidates are known.
    Complete,
}

/// What happened to a connection. `PeerConnection` → handle; bounded, oldest dropped.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum PeerConnectionEvent {
    /// A new negotiation is needed (W3C webrtc-pc §4.7.3).
    NegotiationNeeded,
    /// A local candidate to signal, with an empty text when its section has no more; `None`: no section has
    /// more (W3C webrtc-pc §4.8.1.1).
    IceCandidate(Option<CandidateInit>),
    /// A server gave no candidate; gathering goes on.
    IceCandidateError(CandidateError),
    /// The signalling state changed.
    SignalingStateChange(SignalingState),
    /// The gathering state changed.
    IceGatheringStateChange(RtcIceGatheringState),
    /// The ICE state changed.
    IceConnectionStateChange(ice::State),
    /// The state of the whole connection changed.
    ConnectionStateChange(RtcPeerConnectionState),
    /// The peer sends media.
    Track(TrackEvent),
    /// The peer has opened a channel.
    DataChannel(DataChannel),
    /// Part of the connection failed; a sentence for people.
    Failure(String),
}

/// A track of the peer (W3C webrtc-pc §5.7).
#[derive(Debug, Clone)]
pub struct TrackEvent {
    /// The media.
    pub track: MediaStreamTrack,
    /// The transceiver it arrives on.
    pub transceiver: TransceiverId,
    /// The `a=mid` of its section.
    pub mid: Option<String>,
    /// The streams the peer says it belongs to.
    pub stream_ids: Vec<String>,
}

/// A transceiver as getters see it.
#[derive(Debug, Clone)]
pub struct TransceiverSnapshot {
    /// Names it within its connection.
    pub id: TransceiverId,
    /// `a=mid`, once negotiated.
    pub mid: Option<String>,
    /// Audio or video.
    pub kind: MediaKind,
    /// What is wanted.
    pub direction: Direction,
    /// What is negotiated.
    pub current_direction: Option<Direction>,
    /// What the peer wants, from its last description.
    pub remote_direction: Option<Direction>,
    /// Over.
    pub stopped: bool,
    /// What the peer sends on it.
    pub receiver_track: Option<MediaStreamTrack>,
    /// What is sent on it.
    pub sender_track: Option<MediaStreamTrack>,
    /// The streams that the sender's track is said to belong to.
    pub stream_ids: Vec<String>,
    /// The transport it uses, once there is one (W3C `sender.transport`, `receiver.transport`).
    pub transport: Option<TransportId>,
    /// What the sender sends.
    pub send_encodings: Vec<EncodingParameters>,
    /// What was negotiated for sending.
    pub send_parameters: Option<Arc<RtpSendParameters>>,
    /// What was negotiated for receiving.
    pub receive_parameters: Option<Arc<RtpReceiveParameters>>,
    /// W3C `jitterBufferTarget`.
    pub jitter_buffer_target: Option<Duration>,
    /// The streams the peer says its track belongs to.
    pub remote_stream_ids: Vec<String>,
    /// W3C `sender.dtmf`: what is being played.
    pub tones: SharedTones,
}

/// A transport as getters see it (W3C `RTCDtlsTransport` and its `RTCIceTransport`).
#[derive(Debug, Clone, Default)]
pub struct TransportSnapshot {
    /// Our role by RFC 8445 §6.1.1, once there is a remote description.
    pub ice_role: Option<ice::Role>,
    /// The state of its agent.
    pub ice_state: Option<ice::State>,
    /// Whether candidates may still come.
    pub gathering_state: RtcIceGatheringState,
    /// Ours of the credentials in force.
    pub local_candidates: Vec<Arc<Candidate>>,
    /// The peer's, as signalled.
    pub remote_candidates: Arc<Vec<Candidate>>,
    /// The pair in use.
    pub selected_pair: Option<CandidatePair>,
    /// Our credentials.
    pub local_parameters: Option<IceParameters>,
    /// The peer's credentials.
    pub remote_parameters: Option<IceParameters>,
    /// The state of its security context.
    pub dtls_state: DtlsTransportState,
    /// What the peer has shown, DER.
    pub remote_certificates: Vec<Bytes>,
}

/// The association as getters see it (W3C `RTCSctpTransport`).
#[derive(Debug, Clone)]
pub struct SctpTransportSnapshot {
    /// The transport it runs over.
    pub transport: TransportId,
    /// What the association publishes.
    pub association: SharedSctpSnapshot,
}

/// A connection as getters see it: written by its actor after every change.
#[derive(Debug, Clone, Default)]
pub struct PeerSnapshot {
    /// W3C `connectionState`.
    pub connection_state: RtcPeerConnectionState,
    /// W3C `iceConnectionState`.
    pub ice_connection_state: Option<ice::State>,
    /// W3C `iceGatheringState`.
    pub ice_gathering_state: RtcIceGatheringState,
    /// W3C `signalingState`.
    pub signaling_state: Option<SignalingState>,
    /// W3C `currentLocalDescription`.
    pub current_local_description: Option<AppliedDescription>,
    /// W3C `currentRemoteDescription`.
    pub current_remote_description: Option<AppliedDescription>,
    /// W3C `pendingLocalDescription`.
    pub pending_local_description: Option<AppliedDescription>,
    /// W3C `pendingRemoteDescription`.
    pub pending_remote_description: Option<AppliedDescription>,
    /// W3C `canTrickleIceCandidates`: whether the peer's description said so; `None` before there is one.
    pub can_trickle_ice_candidates: Option<bool>,
    /// `close` was called: operations fail with `InvalidStateError`, getters keep their values.
    pub closed: bool,
    /// The actor has ended: nothing changes any more.
    pub ended: bool,
    /// All transceivers in order of creation.
    pub transceivers: Vec<TransceiverSnapshot>,
    /// The transports in use. One that is not here was taken away by bundling or a rollback: it is closed.
    pub transports: BTreeMap<TransportId, Arc<TransportSnapshot>>,
    /// W3C `sctp`: the association, once data was negotiated.
    pub sctp: Option<SctpTransportSnapshot>,
}

impl PeerSnapshot {
    /// W3C `localDescription`, with the candidates gathered so far: the pending one, if there is one.
    pub fn local_description(&self) -> Option<&AppliedDescription> {
        self.pending_local_description.as_ref().or(self.current_local_description.as_ref())
    }

    /// W3C `remoteDescription`.
    pub fn remote_description(&self) -> Option<&AppliedDescription> {
        self.pending_remote_description.as_ref().or(self.current_remote_description.as_ref())
    }
}

/// The snapshot shared by an actor and its handles.
#[derive(Debug, Clone, Default)]
pub struct SharedSnapshot(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    snapshot: Mutex<PeerSnapshot>,
    changed: Notify,
}

impl SharedSnapshot {
    /// Looks at it, or changes it.
    pub fn lock(&self) -> MutexGuard<'_, PeerSnapshot> {
        // A writer that panicked leaves a snapshot that is at worst one change old.
        self.0.snapshot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells those who wait in [`Self::until`] that it has changed.
    pub fn notify(&self) {
        self.0.changed.notify_waiters();
    }

    /// Waits until it is as `wanted`. Cancel-safe.
    pub async fn until(&self, wanted: impl Fn(&PeerSnapshot) -> bool) {
        loop {
            let changed = self.0.changed.notified();
            tokio::pin!(changed);
            // Enabled before the look, so that no change in between is missed.
            changed.as_mut().enable();
            if wanted(&self.lock()) {
                return;
            }
            changed.await;
        }
    }
}
