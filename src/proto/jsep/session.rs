//! The session: its state, and the queries on it. What changes it is in the neighbouring files.

use super::applied::AppliedDescription;
use super::config::SessionConfig;
use super::error::JsepError;
use super::placement::{Carrier, Leads, Placement};
use super::stored::Stored;
use super::transceiver::Transceiver;
use super::types::*;
use crate::proto::random::Random;
use crate::proto::sdp::SessionDescription;
use rand::{Rng, RngCore};
use std::collections::HashMap;
use std::sync::Arc;

/// The signalling half of one peer connection (RFC 8829).
///
/// ```text
///                 set local offer ┌──────┐ set remote offer
///              ┌─────────────────▶│stable│◀──────────────────┐ answers and rollbacks
///              ▼                  └──────┘                   ▼ lead back to stable
///       have-local-offer                             have-remote-offer
///              │ set remote pranswer                         │ set local pranswer
///              ▼                                             ▼
///       have-remote-pranswer                         have-local-pranswer
/// ```
pub struct Session {
    pub(super) config: SessionConfig,
    pub(super) random: Random,
    pub(super) state: SignalingState,
    pub(super) transceivers: Vec<Transceiver>,
    pub(super) next_id: u32,
    pub(super) slots: Slots,
    /// W3C `[[LastCreatedOffer]]`: only this offer can be set locally, until an answer completes an exchange.
    pub(super) created_offer: Option<Box<Created>>,
    /// W3C `[[LastCreatedAnswer]]`.
    pub(super) created_answer: Option<Box<Created>>,
    /// `o=` session id, the same for the life of the session (RFC 8829 5.2.1).
    pub(super) session_id: u64,
    /// Stream of remote tracks whose description names none (RFC 9429 5.10).
    pub(super) default_stream: String,
    /// `o=` version of the last local description applied; `None` before the first.
    pub(super) version: Option<u64>,
    /// The text of that description, to see whether the next one differs.
    pub(super) last_local: Option<Arc<str>>,
    /// The negotiated state that belongs to no transceiver.
    pub(super) shared: Shared,
    /// `shared` of the last stable state while an exchange is in progress.
    pub(super) stable: Option<Shared>,
    /// Whether the application wants a section for data channels.
    pub(super) data_wanted: bool,
    /// W3C `[[LocalIceCredentialsToReplace]]`: the fragments that `restart_ice` wants replaced.
    pub(super) ice_to_replace: Vec<String>,
    /// Transports that no applied description uses yet: those of the pool, and those of descriptions created only.
    pub(super) spare: Vec<(TransportId, IceParameters)>,
    pub(super) next_transport: u32,
    /// What `transports` shows.
    pub(super) transports: Vec<Transport>,
}

/// The four description slots of W3C 4.7. Boxed: most of the time, most of them are empty.
#[derive(Debug, Default)]
pub(super) struct Slots {
    pub(super) current_local: Option<Box<Stored>>,
    pub(super) current_remote: Option<Box<Stored>>,
    pub(super) pending_local: Option<Box<Stored>>,
    pub(super) pending_remote: Option<Box<Stored>>,
}

impl Slots {
    pub(super) fn local(&self) -> Option<&Stored> {
        self.pending_local.as_deref().or(self.current_local.as_deref())
    }

    pub(super) fn remote(&self) -> Option<&Stored> {
        self.pending_remote.as_deref().or(self.current_remote.as_deref())
    }

    /// The answer of the last complete exchange, whoever made it.
    pub(super) fn current_answer(&self) -> Option<&Stored> {
        let current = [self.current_local.as_deref(), self.current_remote.as_deref()];
        current.into_iter().flatten().find(|stored| stored.kind == SdpType::Answer)
    }
}

/// A description created but not applied yet.
#[derive(Debug, Clone)]
pub(super) struct Created {
    pub(super) kind: SdpType,
    pub(super) text: String,
    /// In an answer, the text of the offer that it answers.
    pub(super) answers: Option<String>,
    pub(super) sdp: SessionDescription,
    /// Transceiver of each section.
    pub(super) sections: Vec<Option<TransceiverId>>,
    pub(super) placement: Placement,
    /// The leads, in an answer.
    pub(super) leads: Option<Leads>,
    pub(super) credentials: Vec<(TransportId, IceParameters)>,
    pub(super) carriers: Vec<Carrier>,
}

/// Negotiated state of the transports and of data channels, saved as a whole for rollback.
#[derive(Debug, Clone, Default)]
pub(super) struct Shared {
    /// In order of creation.
    pub(super) transports: Vec<LocalTransport>,
    /// By index of the m-line.
    pub(super) placement: Placement,
    pub(super) data: Option<DataLink>,
}

impl Shared {
    pub(super) fn transport(&self, id: TransportId) -> Option<&LocalTransport> {
        self.transports.iter().find(|transport| transport.id == id)
    }

    pub(super) fn transport_mut(&mut self, id: TransportId) -> Option<&mut LocalTransport> {
        self.transports.iter_mut().find(|transport| transport.id == id)
    }
}

/// This side of a transport.
#[derive(Debug, Clone)]
pub(super) struct LocalTransport {
    pub(super) id: TransportId,
    pub(super) ice: IceParameters,
    /// Local candidates of these credentials.
    pub(super) candidates: Vec<Arc<str>>,
    pub(super) end_of_candidates: bool,
    pub(super) dtls_role: Option<DtlsRole>,
    /// Where the peer's end is described.
    pub(super) remote: Option<RemoteSection>,
}

impl LocalTransport {
    pub(super) fn new(id: TransportId, ice: IceParameters) -> Self {
        Self { id, ice, candidates: Vec::new(), end_of_candidates: false, dtls_role: None, remote: None }
    }

    /// Other credentials have other candidates.
    pub(super) fn set_ice(&mut self, ice: &IceParameters) {
        if self.ice != *ice {
            self.ice = ice.clone();
            self.candidates.clear();
            self.end_of_candidates = false;
        }
    }
}

/// A section of a remote description that describes a transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RemoteSection {
    /// Whether it is in the pending description; else in the current one.
    pub(super) pending: bool,
    pub(super) section: usize,
}

/// The section for data channels.
#[derive(Debug, Clone)]
pub(super) struct DataLink {
    pub(super) section: usize,
    pub(super) mid: String,
    pub(super) negotiated: Option<DataParameters>,
}

/// Without descriptions and configuration: they hold passwords.
impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("state", &self.state)
            .field("transceivers", &self.transceivers)
            .finish_non_exhaustive()
    }
}

impl Session {
    /// A session in state stable, without transceivers.
    pub fn new(config: SessionConfig, random: impl RngCore + 'static) -> Self {
        let mut random = Random::new(random);
        let pool = config.ice_pool.iter().cloned().zip(0u32..);
        let spare: Vec<_> = pool
            .map(|(ice, number)| (TransportId(number), IceParameters { lite: config.ice_lite, ..ice }))
            .collect();
        // RFC 8829 5.2.1: 63 bits, so that no parser takes it for negative.
        let session_id = random.random::<u64>() >> 1;
        let default_stream = format!("{:032x}", random.random::<u128>());
        Self {
            config,
            random,
            state: SignalingState::Stable,
            transceivers: Vec::new(),
            next_id: 0,
            slots: Slots::default(),
            created_offer: None,
            created_answer: None,
            session_id,
            default_stream,
            version: None,
            last_local: None,
            shared: Shared::default(),
            stable: None,
            data_wanted: false,
            ice_to_replace: Vec::new(),
            next_transport: spare.len() as u32,
            spare,
            transports: Vec::new(),
        }
    }

    /// Where the exchange stands.
    pub fn signaling_state(&self) -> SignalingState {
        self.state
    }

    /// The pending, or else the current, local description with all candidates known by now.
    pub fn local_description(&self) -> Option<Description> {
        self.slots.local().map(Stored::description)
    }

    /// The pending, or else the current, remote description with all candidates known by now.
    pub fn remote_description(&self) -> Option<Description> {
        self.slots.remote().map(Stored::description)
    }

    /// Whether an exchange was ever completed.
    pub fn has_current_local_description(&self) -> bool {
        self.slots.current_local.is_some()
    }

    /// The local description of the last complete exchange.
    pub fn current_local_description(&self) -> Option<Description> {
        self.slots.current_local.as_deref().map(Stored::description)
    }

    /// The remote description of the last complete exchange.
    pub fn current_remote_description(&self) -> Option<Description> {
        self.slots.current_remote.as_deref().map(Stored::description)
    }

    /// The local description of the exchange in progress.
    pub fn pending_local_description(&self) -> Option<Description> {
        self.slots.pending_local.as_deref().map(Stored::description)
    }

    /// The remote description of the exchange in progress.
    pub fn pending_remote_description(&self) -> Option<Description> {
        self.slots.pending_remote.as_deref().map(Stored::description)
    }

    /// The current and the pending local description, to be put together when they are asked for.
    pub fn applied_local(&self) -> [Option<AppliedDescription>; 2] {
        applied([&self.slots.current_local, &self.slots.pending_local])
    }

    /// The current and the pending remote description, to be put together when they are asked for.
    pub fn applied_remote(&self) -> [Option<AppliedDescription>; 2] {
        applied([&self.slots.current_remote, &self.slots.pending_remote])
    }

    /// All transceivers that are not gone, in order of creation.
    pub fn transceivers(&self) -> &[Transceiver] {
        &self.transceivers
    }

    /// One transceiver.
    pub fn transceiver(&self, id: TransceiverId) -> Option<&Transceiver> {
        self.transceivers.iter().find(|transceiver| transceiver.id == id)
    }

    /// The transceiver of the section with this identification tag.
    pub fn transceiver_by_mid(&self, mid: &str) -> Option<&Transceiver> {
        self.transceivers.iter().find(|transceiver| transceiver.mid() == Some(mid))
    }

    pub(super) fn transceiver_of(&self, section: usize) -> Option<&Transceiver> {
        self.transceivers.iter().find(|transceiver| transceiver.link.section == Some(section))
    }

    /// The transceivers by the index of their section.
    pub(super) fn transceiver_sections(&self) -> HashMap<usize, &Transceiver> {
        self.transceivers.iter().filter_map(|t| Some((t.link.section?, t))).collect()
    }

    /// What was negotiated for data channels; `None` while there is no accepted section for them.
    pub fn data_parameters(&self) -> Option<&DataParameters> {
        self.shared.data.as_ref().and_then(|data| data.negotiated.as_ref())
    }

    /// The transports in use and those that the exchange in progress proposes, in order of creation.
    pub fn transports(&self) -> &[Transport] {
        &self.transports
    }

    /// The configuration in force.
    pub fn config(&self) -> &SessionConfig {
        &self.config
    }

    /// Changes the configuration (W3C `setConfiguration`). Identity and bundle policy can't change, and `ice_pool`
    /// counts only at construction.
    pub fn set_configuration(&mut self, config: SessionConfig) -> Result<(), JsepError> {
        self.check_open()?;
        let fixed = self.config.fingerprints == config.fingerprints
            && self.config.ice_lite == config.ice_lite
            && self.config.cname == config.cname
            && self.config.bundle_policy == config.bundle_policy;
        if !fixed {
            return Err(JsepError::InvalidConfiguration);
        }
        self.config = config;
        Ok(())
    }

    /// Ends the session; every later change is an error.
    pub fn close(&mut self) {
        self.state = SignalingState::Closed;
        self.forget_created();
        for transceiver in &mut self.transceivers {
            transceiver.end();
        }
    }
}

fn applied(slots: [&Option<Box<Stored>>; 2]) -> [Option<AppliedDescription>; 2] {
    slots.map(|slot| slot.as_ref().map(|stored| stored.applied().clone()))
}
