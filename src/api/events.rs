//! The events of a connection as a stream (W3C webrtc-pc §4.4.1.7).

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::{Stream, StreamExt};

use super::{
    MediaStream, RtcDataChannel, RtcIceCandidateInit, RtcRtpReceiver, RtcRtpTransceiver,
    handle::{Core, Section},
};
use crate::{
    actors::kit::{self, LaneReceiver},
    messages::{
        ice::CandidateError,
        peer_connection::{
            PeerConnectionEvent, PeerSnapshot, RtcIceGatheringState, RtcPeerConnectionState, TrackEvent,
        },
        track::MediaStreamTrack,
    },
    proto::{ice, jsep::SignalingState},
};

/// What happened to a connection.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum RtcPeerConnectionEvent {
    /// W3C `negotiationneeded`: make an offer.
    NegotiationNeeded,
    /// W3C `icecandidate`: a candidate of ours to signal; with an empty text: its section has no more;
    /// `None`: no section has more.
    IceCandidate(Option<RtcIceCandidateInit>),
    /// W3C `icecandidateerror`: a server gave no candidate. Gathering goes on.
    IceCandidateError {
        /// The local address that the server was asked from, when one is known.
        address: Option<String>,
        /// The local port.
        port: Option<u16>,
        /// The server.
        url: String,
        /// The STUN error code (300–699), or 701 when the server can't be reached.
        error_code: u16,
        /// What the server said, or what is known.
        error_text: String,
    },
    /// W3C `signalingstatechange`.
    SignalingStateChange(SignalingState),
    /// W3C `icegatheringstatechange`.
    IceGatheringStateChange(RtcIceGatheringState),
    /// W3C `iceconnectionstatechange`.
    IceConnectionStateChange(ice::State),
    /// W3C `connectionstatechange`.
    ConnectionStateChange(RtcPeerConnectionState),
    /// W3C `track`: the peer sends media.
    Track {
        /// What it arrives at.
        receiver: RtcRtpReceiver,
        /// The media.
        track: MediaStreamTrack,
        /// The streams that the peer says it belongs to.
        streams: Vec<MediaStream>,
        /// The section that it arrives on.
        transceiver: RtcRtpTransceiver,
    },
    /// W3C `datachannel`: the peer has opened a channel.
    DataChannel(RtcDataChannel),
    /// Part of the connection failed; a sentence for people. Not in W3C.
    Failure(String),
}

/// The events of one connection, in order; ends when its actor has ended. Bounded to 256: an
/// application that does not read them loses the oldest (the getters always show the present state).
/// Dropping the stream loses those that were not taken.
#[derive(Debug)]
pub struct RtcEvents {
    core: Arc<Core>,
    lane: LaneReceiver<PeerConnectionEvent>,
    taken: Vec<PeerConnectionEvent>,
    next: VecDeque<RtcPeerConnectionEvent>,
}

impl RtcEvents {
    pub(crate) fn new(core: Arc<Core>, lane: LaneReceiver<PeerConnectionEvent>) -> Self {
        Self { core, lane, taken: Vec::new(), next: VecDeque::new() }
    }

    /// Waits for the connection to reach a state, passing over other events. `false` when it ended or
    /// failed first. Cancel-safe, but what was passed over is gone.
    pub async fn until(&mut self, state: RtcPeerConnectionState) -> bool {
        while let Some(event) = self.next().await {
            match event {
                RtcPeerConnectionEvent::ConnectionStateChange(reached) if reached == state => return true,
                RtcPeerConnectionEvent::ConnectionStateChange(
                    RtcPeerConnectionState::Failed | RtcPeerConnectionState::Closed,
                ) => return false,
                _ => {}
            }
        }
        false
    }
}

impl Stream for RtcEvents {
    type Item = RtcPeerConnectionEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { core, lane, taken, next } = &mut *self;
        if let Some(event) = next.pop_front() {
            return Poll::Ready(Some(event));
        }
        loop {
            lane.poll_take(cx, kit::now(), 1, taken);
            if taken.is_empty() {
                return if lane.is_abandoned() { Poll::Ready(None) } else { Poll::Pending };
            }
            let news = taken.drain(..).filter(|event| !is_outdated(core, event));
            next.extend(news.map(|event| with_handles(core, event)));
            if let Some(event) = next.pop_front() {
                return Poll::Ready(Some(event));
            }
        }
    }
}

/// A candidate that waited here while its transport was rolled back or restarted: the peer could only refuse
/// it. A browser's event loop shows none either.
fn is_outdated(core: &Core, event: &PeerConnectionEvent) -> bool {
    let PeerConnectionEvent::IceCandidate(Some(candidate)) = event else { return false };
    let Some(ufrag) = &candidate.username_fragment else { return false };
    let is_current = |snapshot: &PeerSnapshot| {
        let local = snapshot.transports.values().filter_map(|transport| transport.local_parameters.as_ref());
        local.into_iter().any(|local| local.ufrag == *ufrag)
    };
    !core.read(|snapshot| snapshot.closed || is_current(snapshot))
}

fn with_handles(core: &Arc<Core>, event: PeerConnectionEvent) -> RtcPeerConnectionEvent {
    match event {
        PeerConnectionEvent::NegotiationNeeded => RtcPeerConnectionEvent::NegotiationNeeded,
        PeerConnectionEvent::IceCandidate(candidate) => {
            RtcPeerConnectionEvent::IceCandidate(candidate.map(Into::into))
        }
        PeerConnectionEvent::IceCandidateError(CandidateError { address, url, code, text }) => {
            RtcPeerConnectionEvent::IceCandidateError {
                address: address.map(|address| address.ip().to_string()),
                port: address.map(|address| address.port()),
                url,
                error_code: code,
                error_text: text,
            }
        }
        PeerConnectionEvent::SignalingStateChange(state) => {
            core.update_streams();
            RtcPeerConnectionEvent::SignalingStateChange(state)
        }
        PeerConnectionEvent::IceGatheringStateChange(state) => {
            RtcPeerConnectionEvent::IceGatheringStateChange(state)
        }
        PeerConnectionEvent::IceConnectionStateChange(state) => {
            RtcPeerConnectionEvent::IceConnectionStateChange(state)
        }
        PeerConnectionEvent::ConnectionStateChange(state) => {
            RtcPeerConnectionEvent::ConnectionStateChange(state)
        }
        PeerConnectionEvent::Track(event) => track_event(core, event),
        PeerConnectionEvent::DataChannel(channel) => RtcPeerConnectionEvent::DataChannel(channel.into()),
        PeerConnectionEvent::Failure(sentence) => RtcPeerConnectionEvent::Failure(sentence),
    }
}

fn track_event(core: &Arc<Core>, event: TrackEvent) -> RtcPeerConnectionEvent {
    let TrackEvent { track, transceiver, stream_ids, .. } = event;
    let section = Section { core: Arc::clone(core), id: transceiver, kind: track.kind() };
    RtcPeerConnectionEvent::Track {
        receiver: section.receiver(),
        transceiver: section.transceiver(),
        streams: core.streams_of(&track, &stream_ids),
        track,
    }
}
