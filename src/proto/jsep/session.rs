//! The session: public calls, and what they may do in which signalling state.

use super::config::SessionConfig;
use super::error::JsepError;
use super::transceiver::Transceiver;
use super::types::*;
use crate::proto::rtp::CodecParameters;
use rand::rngs::StdRng;

/// The signalling half of one peer connection.
#[derive(Debug)]
pub struct Session {
    config: SessionConfig,
    transceivers: Vec<Transceiver>,
}

impl Session {
    /// A session in state stable, without transceivers.
    pub fn new(config: SessionConfig, random: StdRng) -> Self {
        let _ = random;
        Self { config, transceivers: Vec::new() }
    }

    /// Adds a transceiver that waits for a section (W3C `addTransceiver`).
    pub fn add_transceiver(
        &mut self,
        kind: MediaKind,
        init: TransceiverInit,
    ) -> Result<TransceiverId, JsepError> {
        let _ = (kind, init);
        Err(JsepError::TooManyTransceivers)
    }

    /// Finds or makes a transceiver that sends this track (W3C `addTrack`).
    pub fn add_track(
        &mut self,
        kind: MediaKind,
        stream_ids: Vec<String>,
        track_id: Option<String>,
    ) -> Result<TransceiverId, JsepError> {
        let _ = (kind, stream_ids, track_id);
        Err(JsepError::TooManyTransceivers)
    }

    /// Says which way media shall flow; in force after the next exchange.
    pub fn set_direction(&mut self, id: TransceiverId, direction: Direction) -> Result<(), JsepError> {
        let _ = direction;
        Err(JsepError::UnknownTransceiver(id))
    }

    /// Names what is sent: `a=msid` of the next description. A fresh SSRC is chosen when the track is another one
    /// and nothing is being sent.
    pub fn set_sending_track(
        &mut self,
        id: TransceiverId,
        stream_ids: Vec<String>,
        track_id: Option<String>,
    ) -> Result<(), JsepError> {
        let _ = (stream_ids, track_id);
        Err(JsepError::UnknownTransceiver(id))
    }

    /// Ends sending and receiving at once; the section is rejected in the next exchange (W3C `stop`).
    pub fn stop(&mut self, id: TransceiverId) -> Result<(), JsepError> {
        Err(JsepError::UnknownTransceiver(id))
    }

    /// Chooses and orders codecs (W3C `setCodecPreferences`); an empty list returns to the capabilities.
    pub fn set_codec_preferences(
        &mut self,
        id: TransceiverId,
        codecs: Vec<CodecParameters>,
    ) -> Result<(), JsepError> {
        let _ = codecs;
        Err(JsepError::UnknownTransceiver(id))
    }

    /// ICE credentials in force on this side: those of the last local description applied, or the first ones.
    /// When they change, the ICE agent must restart with them.
    pub fn local_ice(&self) -> &IceParameters {
        &self.config.ice
    }

    /// Replaces the local ICE credentials (an ICE agent that had to begin anew): an ICE restart in the next offer.
    pub fn set_local_ice(&mut self, ice: IceParameters) {
        self.config.ice = ice;
    }

    /// Asks for new ICE credentials in the next offer (W3C `restartIce`).
    pub fn restart_ice(&mut self) {}

    /// Records a candidate of the local credentials in force, `candidate:..`; later descriptions carry it.
    pub fn add_local_candidate(&mut self, candidate: &str) -> Result<(), JsepError> {
        let _ = candidate;
        Ok(())
    }

    /// Says that there are no more local candidates for the credentials in force.
    pub fn end_of_local_candidates(&mut self) {}

    /// Creates an offer (RFC 8829 5.2).
    pub fn create_offer(&mut self, options: OfferOptions) -> Result<Description, JsepError> {
        let _ = options;
        Err(JsepError::InvalidModification)
    }

    /// Creates an answer to the remote offer (RFC 8829 5.3).
    pub fn create_answer(&mut self) -> Result<Description, JsepError> {
        Err(JsepError::InvalidModification)
    }

    /// Applies a description created here, or rolls back. Empty text means the one created last, or a new one.
    pub fn set_local_description(&mut self, description: Description) -> Result<(), JsepError> {
        let _ = description;
        Err(JsepError::InvalidModification)
    }

    /// Applies the peer's description, or rolls back. A remote offer rolls a pending local one back (glare).
    pub fn set_remote_description(&mut self, description: Description) -> Result<(), JsepError> {
        let _ = description;
        Err(JsepError::InvalidModification)
    }

    /// Records a trickled candidate.
    pub fn add_remote_candidate(&mut self, candidate: &CandidateInit) -> Result<CandidateUse, JsepError> {
        let _ = candidate;
        Err(JsepError::UnknownSection)
    }

    /// Ends the session; every later change is an error.
    pub fn close(&mut self) {}

    /// Where the exchange stands.
    pub fn signaling_state(&self) -> SignalingState {
        SignalingState::Stable
    }

    /// The pending, or else the current, local description with all candidates known by now.
    pub fn local_description(&self) -> Option<Description> {
        None
    }

    /// The pending, or else the current, remote description with all candidates known by now.
    pub fn remote_description(&self) -> Option<Description> {
        None
    }

    /// The local description of the last complete exchange.
    pub fn current_local_description(&self) -> Option<Description> {
        None
    }

    /// The remote description of the last complete exchange.
    pub fn current_remote_description(&self) -> Option<Description> {
        None
    }

    /// The local description of the exchange in progress.
    pub fn pending_local_description(&self) -> Option<Description> {
        None
    }

    /// The remote description of the exchange in progress.
    pub fn pending_remote_description(&self) -> Option<Description> {
        None
    }

    /// Whether an exchange is needed to make the wanted state the negotiated one (W3C 4.7.3). Only ever true in
    /// state stable.
    pub fn negotiation_needed(&self) -> bool {
        false
    }

    /// All transceivers that are not gone, in order of creation.
    pub fn transceivers(&self) -> &[Transceiver] {
        &self.transceivers
    }

    /// One transceiver.
    pub fn transceiver(&self, id: TransceiverId) -> Option<&Transceiver> {
        self.transceivers.iter().find(|transceiver| transceiver.id() == id)
    }

    /// The transceiver of the section with this identification tag.
    pub fn transceiver_by_mid(&self, mid: &str) -> Option<&Transceiver> {
        self.transceivers.iter().find(|transceiver| transceiver.mid() == Some(mid))
    }

    /// The peer's end of the one transport: that of the last answered exchange, or of the first offer while it
    /// waits for its answer. `None` before any remote description, or when every section was rejected.
    pub fn transport(&self) -> Option<RemoteTransport> {
        None
    }

    /// The configuration it was made with; `ice` there is the first one, see [`Self::local_ice`].
    pub fn config(&self) -> &SessionConfig {
        &self.config
    }
}
