//! The agent itself: what it holds, what it tells, and the calls of its owner.
//!
//! The work is done in the files beside this one: [`super::candidates`] takes candidates in,
//! [`super::checks`] sends checks and keeps the timers, [`super::requests`] and [`super::responses`]
//! take datagrams in, [`super::nomination`] decides which pair is used.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use rand::{Rng, RngCore};
use serde::{Deserialize, Serialize};

use super::candidate::Candidate;
use super::check_list::CheckList;
use super::config::{AgentConfig, Role, Timings};
use super::consent::Consent;
use super::credentials::Credentials;
use super::error::IceError;
use super::generation::{Generation, Secret};
use super::pacer::{Pacer, Turn};
use super::pair::{Pair, PairId, PairStatistics, SelectedPair};
use super::path::Path;
use super::requests::{EarlyCheck, ErrorBudget};
use super::transaction::Transactions;
use crate::proto::Transmit;
use crate::proto::random::Random;
use crate::proto::stun::TransactionId;

/// Most datagrams waiting to be taken by [`Agent::poll_transmit`]. One call into the agent makes one,
/// a restart with queued checks none, a timeout one per outstanding transaction: more waits only when
/// nobody takes them, and then the oldest go, as they would in a network.
const MAX_TRANSMITS: usize = 256;

/// Most events waiting. The newest matter most: each carries the whole new value.
const MAX_EVENTS: usize = 64;

/// The state of the agent, as W3C names it (RTCIceTransportState).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// The peer's credentials are not known yet.
    New,
    /// Pairs are being checked, none is selected.
    Checking,
    /// A pair is selected; candidates may still come.
    Connected,
    /// A pair is selected and nothing more is to be done.
    Completed,
    /// The selected pair does not answer at the moment. Sending on it is still allowed.
    Disconnected,
    /// No pair works, or consent has expired. Only a restart helps.
    Failed,
    /// Closed by the owner.
    Closed,
}

/// What the owner of the agent must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The state is another one.
    StateChanged(State),
    /// From now on data goes over this pair. `None`: nothing may be sent any more (RFC 7675).
    SelectedPairChanged(Option<SelectedPair>),
    /// A role conflict was resolved by changing the role (RFC 8445 section 7.3.1.1).
    RoleChanged(Role),
}

/// The pair in use and its consent.
#[derive(Debug)]
pub(super) struct Selected {
    pub(super) id: PairId,
    pub(super) consent: Consent,
}

/// What stays of the generation before a restart until a new pair is nominated: the selected pair and
/// the credentials its consent checks need.
#[derive(Debug)]
pub(super) struct Previous {
    pub(super) generation: Generation,
    pub(super) pair: Pair,
}

/// An ICE agent for one component (RFC 8445), full or lite, with consent freshness (RFC 7675).
///
/// After every call that takes `now`, drain [`Agent::poll_transmit`] and [`Agent::poll_event`], then arm
/// one timer for [`Agent::poll_timeout`] and call [`Agent::handle_timeout`] when it is due.
#[derive(Debug)]
pub struct Agent {
    pub(super) role: Role,
    pub(super) component: u8,
    pub(super) tie_breaker: u64,
    /// The role that a conflict with the peer has taken from it.
    pub(super) given_up: Option<Role>,
    pub(super) lite: bool,
    pub(super) remote_lite: bool,
    pub(super) check_interval: std::time::Duration,
    pub(super) timings: Timings,
    pub(super) random: Random,

    state: State,
    pub(super) closed: bool,
    pub(super) failed: bool,
    /// Whether this is not the first generation.
    restarted: bool,
    /// The peer's half of the new generation came before the local one (see [`Agent::restart`]).
    remote_restarted_first: bool,

    pub(super) generation: Generation,
    pub(super) previous: Option<Box<Previous>>,
    /// Shared with whoever shows them.
    pub(super) local_candidates: Vec<Arc<Candidate>>,
    pub(super) remote_candidates: Vec<Candidate>,
    pub(super) end_of_local_candidates: bool,
    pub(super) end_of_remote_candidates: bool,
    /// Numbers peer-reflexive foundations.
    pub(super) discovered: u32,

    pub(super) list: CheckList,
    pub(super) transactions: Transactions,
    /// Checks that came before the peer's credentials, already answered (RFC 8445 section 7.3).
    pub(super) early_checks: Vec<EarlyCheck>,
    pub(super) error_budget: ErrorBudget,
    /// The pacing: no check before this.
    pub(super) next_check: Option<Instant>,
    pub(super) pacer: Option<Arc<Pacer>>,
    pub(super) turn: Turn,
    /// Since when the generation could be checked: start of the patience of RFC 8863.
    pub(super) checking_since: Option<Instant>,

    pub(super) selected: Option<Selected>,
    /// The pair whose check with USE-CANDIDATE is under way.
    pub(super) nominating: Option<PairId>,
    /// The last nomination of a pair that ranks below the selected one.
    pub(super) renomination: Option<(PairId, TransactionId)>,

    transmits: VecDeque<Transmit>,
    events: VecDeque<Event>,
}

impl Agent {
    /// A new agent. `random` must be seeded from the operating system outside tests.
    pub fn new(now: Instant, config: AgentConfig, random: impl RngCore + 'static) -> Self {
        let mut random = Random::new(random);
        Self {
            role: if config.lite { Role::Controlled } else { config.role },
            component: config.component.max(1),
            given_up: None,
            tie_breaker: config.tie_breaker.unwrap_or_else(|| random.random()),
            lite: config.lite,
            remote_lite: false,
            check_interval: config.check_interval,
            timings: config.timings,
            random,
            state: State::New,
            closed: false,
            failed: false,
            restarted: false,
            remote_restarted_first: false,
            generation: Generation::new(config.credentials),
            previous: None,
            local_candidates: Vec::new(),
            remote_candidates: Vec::new(),
            end_of_local_candidates: false,
            end_of_remote_candidates: false,
            discovered: 0,
            list: CheckList::new(config.max_pairs),
            transactions: Transactions::default(),
            early_checks: Vec::new(),
            error_budget: ErrorBudget::new(now),
            next_check: None,
            pacer: config.pacer,
            turn: Turn::default(),
            checking_since: None,
            selected: None,
            nominating: None,
            renomination: None,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// The role.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The component that its candidates are of.
    pub fn component(&self) -> u8 {
        self.component
    }

    /// Whether this agent is ICE-lite.
    pub fn is_lite(&self) -> bool {
        self.lite
    }

    /// The state.
    pub fn state(&self) -> State {
        self.state
    }

    /// The local credentials of the current generation.
    pub fn local_credentials(&self) -> &Credentials {
        &self.generation.local.credentials
    }

    /// The peer's credentials of the current generation, once they are known.
    pub fn remote_credentials(&self) -> Option<&Credentials> {
        self.generation.remote.as_ref().map(|remote| &remote.credentials)
    }

    /// The local candidates, with the peer-reflexive ones that checks discovered.
    pub fn local_candidates(&self) -> &[Arc<Candidate>] {
        &self.local_candidates
    }

    /// The remote candidates of the current generation, signalled and discovered.
    pub fn remote_candidates(&self) -> &[Candidate] {
        &self.remote_candidates
    }

    /// The pair data goes over.
    pub fn selected_pair(&self) -> Option<SelectedPair> {
        self.selected.as_ref()?;
        self.selected_list_pair().map(Pair::selected)
    }

    /// Statistics of all pairs, including the selected one of the generation before a restart.
    pub fn pairs(&self) -> impl Iterator<Item = PairStatistics> + '_ {
        let previous = self.previous.as_ref().map(|previous| &previous.pair);
        previous.into_iter().chain(self.list.pairs()).map(Pair::statistics)
    }

    /// Whether an inbound Binding request with this local ufrag is for this agent. During a restart
    /// that is true for both generations.
    pub fn is_addressed_by(&self, ufrag: &str) -> bool {
        let previous = self.previous.as_ref().map(|previous| &previous.generation);
        previous
            .into_iter()
            .chain([&self.generation])
            .any(|generation| generation.local.credentials.ufrag == ufrag)
    }

    /// Sets the role that signalling determined, but for one that the agent has given up in a conflict with the peer:
    /// a check may come before what is signalled, and has decided then.
    pub fn set_signalled_role(&mut self, role: Role) {
        if self.given_up != Some(role) {
            self.set_role(role);
        }
    }

    /// Sets the role, whatever it was before. A lite agent stays controlled.
    pub fn set_role(&mut self, role: Role) {
        self.given_up = None;
        if !self.lite && role != self.role {
            self.role = role;
            self.list.prioritise(role);
            self.nominating = None;
        }
    }

    /// Says whether the peer is lite. A full agent facing a lite one is controlling (RFC 8445
    /// section 6.1.1).
    pub fn set_remote_lite(&mut self, lite: bool) {
        self.remote_lite = lite;
        if lite {
            self.set_role(Role::Controlling);
        }
    }

    /// Sets the peer's credentials. Others than the current ones mean that the peer has restarted: its
    /// candidates are forgotten, and the selected pair stays until a new one is nominated.
    pub fn set_remote_credentials(&mut self, now: Instant, credentials: Credentials) -> Result<(), IceError> {
        if self.closed {
            return Err(IceError::Closed);
        }
        credentials.check()?;
        match self.remote_credentials() {
            Some(current) if *current == credentials => return Ok(()),
            Some(_) => {
                let local = self.generation.local.credentials.clone();
                self.begin_generation(local);
                self.remote_restarted_first = true;
            }
            None => {}
        }
        self.generation.remote = Some(Secret::new(credentials));
        self.checking_since = Some(now);
        let ufrag = self.remote_credentials().map(|remote| remote.ufrag.clone());
        self.remote_candidates.retain(|candidate| candidate.ufrag.is_none() || candidate.ufrag == ufrag);
        self.pair_all(now);
        self.process_early_checks(now);
        self.update_state();
        Ok(())
    }

    /// Begins a new generation (RFC 8445 section 9) with new local credentials.
    ///
    /// The selected pair and its consent stay until the new generation has nominated a pair. Local
    /// candidates stay: add new ones as they are found. When the peer restarted first and its new
    /// credentials are already here, they and its candidates are kept.
    pub fn restart(&mut self, now: Instant, credentials: Credentials) -> Result<(), IceError> {
        if self.closed {
            return Err(IceError::Closed);
        }
        credentials.check()?;
        // A selected pair of the peer's new and our old credentials is kept like any other.
        let remote = self.remote_credentials().filter(|_| self.remote_restarted_first).cloned();
        let remote = remote.map(|remote| {
            (remote, std::mem::take(&mut self.remote_candidates), self.end_of_remote_candidates)
        });
        self.begin_generation(credentials);
        if let Some((credentials, candidates, is_complete)) = remote {
            self.generation.remote = Some(Secret::new(credentials));
            self.remote_candidates = candidates;
            self.end_of_remote_candidates = is_complete;
            self.checking_since = Some(now);
            self.pair_all(now);
        }
        for candidate in &mut self.local_candidates {
            Arc::make_mut(candidate).ufrag = Some(self.generation.local.credentials.ufrag.clone());
        }
        self.update_state();
        Ok(())
    }

    fn begin_generation(&mut self, local: Credentials) {
        let old = std::mem::replace(&mut self.generation, Generation::new(local));
        if self.previous.is_none()
            && let Some(selected) = &self.selected
        {
            self.previous =
                self.list.remove(selected.id).map(|pair| Box::new(Previous { generation: old, pair }));
        }
        let kept = self.previous.as_ref().map(|previous| previous.pair.id);
        self.transactions.retain(|transaction| Some(transaction.pair) == kept);
        self.list.clear();
        self.remote_candidates.clear();
        self.early_checks = Vec::new();
        self.local_candidates.retain(|candidate| candidate.kind != super::CandidateKind::PeerReflexive);
        self.end_of_remote_candidates = false;
        self.remote_restarted_first = false;
        self.restarted = true;
        self.failed = false;
        self.tie_breaker = self.random.random();
        self.next_check = None;
        self.checking_since = None;
        self.nominating = None;
        self.renomination = None;
    }

    /// Stops for good: no checks, no answers, no consent.
    pub fn close(&mut self) {
        if self.closed {
            return;
        }
        self.closed = true;
        self.drop_selected();
        self.forget_checks();
        self.transmits = VecDeque::new();
        self.update_state();
    }

    /// The earliest time something is to be done.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.closed || self.failed {
            return None;
        }
        let consent = self.selected.as_ref().map(|selected| selected.consent.next_timeout());
        let check = self.next_check.filter(|_| self.list.has_check());
        [self.transactions.next_timeout(), consent, check, self.nomination_timeout(), self.failure_timeout()]
            .into_iter()
            .flatten()
            .min()
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        take_next(&mut self.transmits)
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        take_next(&mut self.events)
    }

    pub(super) fn send(&mut self, path: Path, payload: Bytes) {
        if self.transmits.len() >= MAX_TRANSMITS {
            self.transmits.pop_front();
        }
        let Path { protocol, local, remote } = path;
        self.transmits.push_back(Transmit { protocol, local, remote, payload });
    }

    pub(super) fn emit(&mut self, event: Event) {
        if self.events.len() >= MAX_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    /// The selected pair, in whichever generation it is.
    pub(super) fn selected_list_pair(&self) -> Option<&Pair> {
        let selected = self.selected.as_ref()?;
        match &self.previous {
            Some(previous) => Some(&previous.pair),
            None => self.list.get(selected.id),
        }
    }

    /// A pair by id, in whichever generation it is.
    pub(super) fn pair_mut(&mut self, id: PairId) -> Option<&mut Pair> {
        match &mut self.previous {
            Some(previous) if previous.pair.id == id => Some(&mut previous.pair),
            _ => self.list.get_mut(id),
        }
    }

    /// Whether the pair is the one kept from before a restart.
    pub(super) fn is_previous(&self, id: PairId) -> bool {
        self.previous.as_ref().is_some_and(|previous| previous.pair.id == id)
    }

    /// Whether a pair of the current generation is selected.
    pub(super) fn is_concluded(&self) -> bool {
        self.selected.is_some() && self.previous.is_none()
    }

    /// Nothing is sent to the selected pair from here on.
    pub(super) fn drop_selected(&mut self) {
        self.previous = None;
        if self.selected.take().is_some() {
            self.emit(Event::SelectedPairChanged(None));
        }
    }

    /// Frees what checking needs.
    pub(super) fn forget_checks(&mut self) {
        self.transactions.retain(|_| false);
        self.list.clear();
        self.early_checks = Vec::new();
        self.nominating = None;
        self.next_check = None;
    }

    /// Gives up this generation; only a restart helps.
    pub(super) fn fail(&mut self) {
        self.failed = true;
        self.drop_selected();
        self.forget_checks();
    }

    /// Derives the state from what holds and reports it if it is new.
    pub(super) fn update_state(&mut self) {
        let state = self.derive_state();
        if state != self.state {
            self.state = state;
            self.emit(Event::StateChanged(state));
        }
    }

    fn derive_state(&self) -> State {
        if self.closed {
            return State::Closed;
        }
        if self.failed {
            return State::Failed;
        }
        match &self.selected {
            Some(selected) if selected.consent.is_in_doubt() => State::Disconnected,
            Some(_) if self.is_completed() => State::Completed,
            Some(_) => State::Connected,
            None if self.generation.remote.is_some() || self.restarted => State::Checking,
            None => State::New,
        }
    }

    fn is_completed(&self) -> bool {
        // A lite agent neither waits for candidates nor checks any.
        let candidates_known = self.lite || (self.end_of_local_candidates && self.end_of_remote_candidates);
        self.is_concluded() && candidates_known && !self.list.is_open()
    }
}

/// Takes the first one. An agent is silent for seconds: no memory is kept for what comes then.
fn take_next<T>(queue: &mut VecDeque<T>) -> Option<T> {
    let next = queue.pop_front();
    if queue.is_empty() {
        *queue = VecDeque::new();
    }
    next
}
