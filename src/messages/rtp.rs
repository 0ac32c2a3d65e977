//! The conversations of `RtpReceiver` and `RtpSender` with `DtlsActor` and `PeerConnection`.

use std::{
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use actix::Message;
use bytes::Bytes;
use tokio::sync::broadcast;

use super::track::MediaStreamTrack;
use crate::proto::{
    receiver::{InboundStatistics, ReceiverParameters, RtpSource},
    rtp::Rid,
    sender::{
        DtmfError, EncodingParameters, OutboundStatistics, OutgoingPacket, SenderParameters, ToneChange,
        ToneRequest,
    },
};

/// Tone changes that wait for an application: more than a dialling string makes in a minute. One that
/// does not read them misses the oldest.
const TONE_CHANGES_MAX: usize = 64;

/// A decrypted RTP packet, routed to its section.
#[derive(Debug, Clone)]
pub struct ReceivedRtp {
    /// The packet, header included.
    pub packet: Bytes,
    /// The simulcast layer it belongs to.
    pub rid: Option<Rid>,
    /// It repairs another stream (RTX).
    pub repaired: bool,
}

/// `DtlsActor` → `RtpReceiver`. Class: media.
pub trait RtpSink: Send + Sync {
    /// Takes packets in order; never blocks; drops its oldest when full.
    fn push_all(&self, now: Instant, packets: &mut dyn Iterator<Item = ReceivedRtp>);
}

/// `DtlsActor` → `RtpReceiver` or `RtpSender`. Class: feedback.
pub trait RtcpSink: Send + Sync {
    /// Takes one decrypted compound packet.
    fn push(&self, now: Instant, compound: Bytes);
}

/// Packets that leave together, in order.
#[derive(Debug, Clone, Default)]
pub struct OutgoingLot(pub Vec<OutgoingPacket>);

/// `RtpSender` → `DtlsActor`. Class: media.
pub trait OutboundRtpSink: Send + Sync {
    /// Takes a lot; never blocks; drops its oldest when full.
    fn push(&self, now: Instant, lot: OutgoingLot);

    /// Names where the lots go: what several senders put there, one after the other, can leave in one call. 0: not known.
    fn destination(&self) -> u64 {
        0
    }
}

/// `PeerConnection` → `RtpSender` or `RtpReceiver`, control: its section is on this transport from now
/// on. Bundling may move a section (RFC 9143 §7.3.2).
#[derive(Clone, Message)]
#[rtype(result = "()")]
pub struct AttachTransport {
    /// Takes packets to be encrypted; receivers ignore it.
    pub outbound_rtp: Arc<dyn OutboundRtpSink>,
    /// Takes reports and feedback to be encrypted.
    pub outbound_rtcp: Arc<dyn RtcpSink>,
}

/// `PeerConnection` → `RtpReceiver`, control: the outcome of a negotiation.
#[derive(Message)]
#[rtype(result = "()")]
pub struct SetReceiveParameters(pub ReceiverParameters);

/// `PeerConnection` → `RtpReceiver`, control: the negotiated direction does not receive for now. Its
/// track is muted (W3C webrtc-pc §5.3), and goes on with the first packet after the next
/// [`SetReceiveParameters`].
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct PauseReceiver;

/// `PeerConnection` → `RtpReceiver`, control: the transceiver was stopped, or the connection closed; its
/// track ends.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct StopReceiver;

/// `PeerConnection` → `RtpReceiver`, control: the round trip to the peer, for the pace of NACKs.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct SetRoundTripTime(pub Duration);

/// `PeerConnection` → `RtpSender`, control: the outcome of a negotiation. `None`: nothing is sent
/// until the next one.
#[derive(Message)]
#[rtype(result = "()")]
pub struct SetSendParameters(pub Option<Arc<SenderParameters>>);

/// `PeerConnection` → `RtpSender`, control: take media from this track from its next key frame on
/// (W3C `replaceTrack`); the old one keeps flowing until then. `None` falls silent at once.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct SwapTrack(pub Option<MediaStreamTrack>);

/// `PeerConnection` → `RtpSender`, control: say BYE and stop.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct StopSender;

/// `PeerConnection` → `RtpSender`, control: what the application asks of its encodings (W3C
/// `setParameters`), by `rid`. One that is not mentioned keeps what it had.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct SetEncodings(pub Vec<EncodingParameters>);

/// `PeerConnection` → `RtpSender`, control: W3C `insertDTMF`.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), DtmfError>")]
pub struct InsertDtmf(pub ToneRequest);

/// `RtpSender` → W3C `tonechange`, report.
pub type DtmfToneChange = ToneChange;

/// `PeerConnection` → `RtpSender`, control: write what happens to tones here from now on.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ReportTones(pub SharedTones);

/// The state of a DTMF sender as handles see it (W3C `RTCDTMFSender`). Clones are handles to the same.
#[derive(Debug, Clone, Default)]
pub struct SharedTones(Arc<Tones>);

#[derive(Debug, Default)]
struct Tones {
    state: Mutex<ToneState>,
    /// Made for the first who listens: its ring is allocated at once, and hardly any sender is asked for tones.
    changes: OnceLock<broadcast::Sender<DtmfToneChange>>,
}

#[derive(Debug, Default)]
struct ToneState {
    can_insert: bool,
    buffer: String,
}

impl SharedTones {
    /// W3C `canInsertDTMF`.
    pub fn can_insert(&self) -> bool {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner).can_insert
    }

    /// W3C `toneBuffer`: the keys that wait.
    pub fn tone_buffer(&self) -> String {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner).buffer.clone()
    }

    /// W3C `tonechange` from now on. Bounded to 64: a slow reader misses the oldest.
    pub fn changes(&self) -> broadcast::Receiver<DtmfToneChange> {
        self.0.changes.get_or_init(|| broadcast::Sender::new(TONE_CHANGES_MAX)).subscribe()
    }

    /// For the sender: how it is now.
    pub(crate) fn set(&self, can_insert: bool, buffer: String) {
        *self.0.state.lock().unwrap_or_else(PoisonError::into_inner) = ToneState { can_insert, buffer };
    }

    /// For the sender: what has changed.
    pub(crate) fn report(&self, change: DtmfToneChange) {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner).buffer.clone_from(&change.tone_buffer);
        if let Some(changes) = self.0.changes.get() {
            // Nobody may be listening any more.
            let _ = changes.send(change);
        }
    }
}

/// `PeerConnection` → `RtpReceiver`, control: which sources were heard in the last ten seconds.
#[derive(Debug, Message)]
#[rtype(result = "SourcesSnapshot")]
pub struct CollectSources;

/// The sources of a receiver (W3C webrtc-pc §5.3), the latest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SourcesSnapshot {
    /// W3C `getSynchronizationSources`.
    pub synchronization: Vec<RtpSource>,
    /// W3C `getContributingSources`.
    pub contributing: Vec<RtpSource>,
}

/// The longest delay that W3C webrtc-pc §5.3 lets an application ask for.
pub const JITTER_BUFFER_TARGET_MAX: Duration = Duration::from_millis(4000);

/// `PeerConnection` → `RtpReceiver`, control: W3C `jitterBufferTarget`, at most
/// [`JITTER_BUFFER_TARGET_MAX`] (more is taken as that). Nothing is delayed here: consumers of the
/// track read it from there.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct SetJitterBufferTarget(pub Option<Duration>);

/// `PeerConnection` → `RtpReceiver`, control: the counters of every source.
#[derive(Debug, Message)]
#[rtype(result = "Vec<InboundStatistics>")]
pub struct CollectInbound;

/// `PeerConnection` → `RtpSender`, control: the counters of every encoding.
#[derive(Debug, Message)]
#[rtype(result = "Vec<OutboundStatistics>")]
pub struct CollectOutbound;
