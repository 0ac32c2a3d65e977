//! `RtcIceTransport` (W3C webrtc-pc §5.6): how packets reach the peer.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{RtcIceCandidate, RtcIceParameters, handle::Core};
use crate::{
    messages::peer_connection::{RtcIceGatheringState, TransportSnapshot},
    proto::{
        ice::{self, Role, State},
        jsep::{IceParameters, TransportId},
    },
};

/// How packets reach the peer (W3C `RTCIceTransport`). Clones are handles to the same one; those that are
/// not in use any more keep their last state.
#[derive(Clone)]
pub struct RtcIceTransport {
    core: Arc<Core>,
    id: TransportId,
}

/// Who decides which pair is used (W3C webrtc-pc §5.6.7 `RTCIceRole`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(clippy::exhaustive_enums, reason = "W3C has three values")]
pub enum RtcIceRole {
    /// Not known yet.
    #[default]
    Unknown,
    /// This side.
    Controlling,
    /// The peer.
    Controlled,
}

/// What a transport carries (W3C webrtc-pc §5.6.8 `RTCIceComponent`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(clippy::exhaustive_enums, reason = "W3C has two values")]
pub enum RtcIceComponent {
    /// RTP, and everything multiplexed with it: always.
    #[default]
    Rtp,
    /// RTCP on a port of its own: never.
    Rtcp,
}

/// Two candidates (W3C webrtc-pc §5.6.2 `RTCIceCandidatePair`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RtcIceCandidatePair {
    /// Ours.
    pub local: RtcIceCandidate,
    /// The peer's.
    pub remote: RtcIceCandidate,
}

impl std::fmt::Debug for RtcIceTransport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RtcIceTransport").field("id", &self.id).field("state", &self.state()).finish()
    }
}

impl PartialEq for RtcIceTransport {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && Arc::ptr_eq(&self.core, &other.core)
    }
}

impl RtcIceTransport {
    pub(crate) fn new(core: Arc<Core>, id: TransportId) -> Self {
        Self { core, id }
    }

    pub(crate) fn read<T>(&self, read: impl FnOnce(&TransportSnapshot) -> T) -> Option<T> {
        self.core.transport(self.id, read)
    }

    pub(crate) async fn until(&self, wanted: impl Fn(&TransportSnapshot) -> bool) {
        let id = self.id;
        let done = |snapshot: &crate::messages::peer_connection::PeerSnapshot| {
            snapshot.ended || snapshot.transports.get(&id).is_none_or(|transport| wanted(transport))
        };
        self.core.snapshot.until(done).await;
    }

    /// Names it within its connection. Not in W3C.
    pub fn id(&self) -> TransportId {
        self.id
    }

    /// W3C `role`.
    pub fn role(&self) -> RtcIceRole {
        match self.read(|transport| transport.ice_role).flatten() {
            None => RtcIceRole::Unknown,
            Some(Role::Controlling) => RtcIceRole::Controlling,
            Some(Role::Controlled) => RtcIceRole::Controlled,
        }
    }

    /// W3C `component`: RTP, with which everything is multiplexed.
    pub fn component(&self) -> RtcIceComponent {
        RtcIceComponent::Rtp
    }

    /// W3C `state`.
    pub fn state(&self) -> State {
        match self.read(|transport| transport.ice_state) {
            Some(state) => state.unwrap_or(State::New),
            None => State::Closed,
        }
    }

    /// Waits for another state than the present one (W3C `statechange`). Cancel-safe.
    pub async fn state_change(&self) -> State {
        let before = self.state();
        self.until(|transport| transport.ice_state.unwrap_or(State::New) != before).await;
        self.state()
    }

    /// W3C `gatheringState`.
    pub fn gathering_state(&self) -> RtcIceGatheringState {
        self.read(|transport| transport.gathering_state).unwrap_or_default()
    }

    /// W3C `getLocalCandidates`: those that were found with the credentials in force.
    pub fn get_local_candidates(&self) -> Vec<RtcIceCandidate> {
        self.read(|transport| shown(transport.local_candidates.iter().map(AsRef::as_ref))).unwrap_or_default()
    }

    /// W3C `getRemoteCandidates`: those that the peer has signalled.
    pub fn get_remote_candidates(&self) -> Vec<RtcIceCandidate> {
        self.read(|transport| shown(transport.remote_candidates.iter())).unwrap_or_default()
    }

    /// W3C `getSelectedCandidatePair`: where packets go now.
    pub fn get_selected_candidate_pair(&self) -> Option<RtcIceCandidatePair> {
        self.read(|transport| {
            let pair = transport.selected_pair.as_ref()?;
            Some(RtcIceCandidatePair {
                local: RtcIceCandidate::from(&pair.local),
                remote: RtcIceCandidate::from(&pair.remote),
            })
        })
        .flatten()
    }

    /// W3C `getLocalParameters`: our credentials, once a local description has them.
    pub fn get_local_parameters(&self) -> Option<RtcIceParameters> {
        self.read(|transport| transport.local_parameters.as_ref().map(Into::into)).flatten()
    }

    /// W3C `getRemoteParameters`: the peer's credentials, once a remote description has them.
    pub fn get_remote_parameters(&self) -> Option<RtcIceParameters> {
        self.read(|transport| transport.remote_parameters.as_ref().map(Into::into)).flatten()
    }
}

fn shown<'a>(candidates: impl IntoIterator<Item = &'a ice::Candidate>) -> Vec<RtcIceCandidate> {
    candidates.into_iter().map(RtcIceCandidate::from).collect()
}

impl From<&IceParameters> for RtcIceParameters {
    fn from(parameters: &IceParameters) -> Self {
        Self {
            username_fragment: parameters.ufrag.clone(),
            password: parameters.password.clone(),
            ice_lite: parameters.lite,
        }
    }
}
