//! The conversation between the API's handles and a `PeerConnection` actor.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix::Message;
use tokio::sync::Notify;

use super::{error::RtcError, track::MediaStreamTrack};
use crate::proto::{
    ice,
    jsep::{
        CandidateInit, Description, Direction, OfferOptions, SignalingState, TransceiverId, TransceiverInit,
    },
    rtp::MediaKind,
};

/// What every request answers.
pub type Reply<T> = Result<T, RtcError>;

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

/// Handle → `PeerConnection`, control: `restartIce`.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct RequestIceRestart;

/// Handle → `PeerConnection`, control: BYE, close_notify, and the end. Answers when both are queued.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Close;

/// The state of a connection (W3C webrtc-pc §4.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
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
pub enum RtcPeerConnectionEvent {
    /// A new negotiation is needed (W3C webrtc-pc §4.7.3).
    NegotiationNeeded,
    /// A local candidate to signal; `None`: there are no more.
    IceCandidate(Option<CandidateInit>),
    /// The signalling state changed.
    SignalingStateChange(SignalingState),
    /// The gathering state changed.
    IceGatheringStateChange(RtcIceGatheringState),
    /// The ICE state changed.
    IceConnectionStateChange(ice::State),
    /// The state of the whole connection changed.
    ConnectionStateChange(RtcPeerConnectionState),
    /// The peer sends media.
    Track(RtcTrackEvent),
    /// Part of the connection failed; a sentence for people.
    Failure(String),
}

/// A track of the peer (W3C webrtc-pc §5.7).
#[derive(Debug, Clone)]
pub struct RtcTrackEvent {
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
    /// W3C `localDescription`, with the candidates gathered so far.
    pub local_description: Option<Description>,
    /// W3C `remoteDescription`.
    pub remote_description: Option<Description>,
    /// The actor has ended: nothing changes any more.
    pub ended: bool,
    /// All transceivers in order of creation.
    pub transceivers: Vec<TransceiverSnapshot>,
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
