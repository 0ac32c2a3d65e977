//! Taking datagrams in, and answering the peer's checks (RFC 8445 section 7.3).
//!
//! Cheap things come first: the shape, then the ufrag, and only then the one HMAC. What is not
//! authenticated changes nothing here and is answered sparingly: never with more bytes than came, never
//! more often than [`ErrorBudget`] allows, and not at all when it is addressed to another ufrag.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::address;
use super::agent::Agent;
use super::config::Role;
use super::error::Rejected;
use super::pair::{PairId, PairState};
use super::path::Path;
use crate::proto::Protocol;
use crate::proto::stun::{Class, ErrorCode, IntegrityKey, Message, MessageBuilder, Method, TransactionId};

/// Most checks remembered until the peer's credentials come.
const MAX_EARLY_CHECKS: usize = 100;

/// A check that came before the peer's credentials (RFC 8445 section 7.3: answered at once, the
/// triggered check follows when it can be signed).
#[derive(Debug)]
pub(super) struct EarlyCheck {
    path: Path,
    priority: u32,
    nomination: Option<TransactionId>,
}

/// How many unauthenticated requests may be answered with an error: a burst, then one per second.
#[derive(Debug)]
pub(super) struct ErrorBudget {
    left: u8,
    refilled: Instant,
}

impl ErrorBudget {
    const BURST: u8 = 4;
    const REFILL: Duration = Duration::from_secs(1);

    pub(super) fn new(now: Instant) -> Self {
        Self { left: Self::BURST, refilled: now }
    }

    fn take(&mut self, now: Instant) -> bool {
        if now.saturating_duration_since(self.refilled) >= Self::REFILL && self.left < Self::BURST {
            self.left += 1;
            self.refilled = now;
        }
        let may = self.left > 0;
        self.left = self.left.saturating_sub(1);
        may
    }
}

impl Agent {
    /// Takes a datagram that arrived over UDP: see [`Agent::handle_packet_over`].
    pub fn handle_packet(
        &mut self,
        now: Instant,
        local: SocketAddr,
        remote: SocketAddr,
        bytes: &[u8],
    ) -> Result<(), Rejected> {
        self.handle_packet_over(now, Protocol::Udp, local, remote, bytes)
    }

    /// Takes a datagram that arrived at the socket `local` from `remote`; over a connection of an active TCP
    /// candidate `local` is the base of that candidate. An error says why it had no effect; a request may have
    /// been answered with an error response then.
    pub fn handle_packet_over(
        &mut self,
        now: Instant,
        protocol: Protocol,
        local: SocketAddr,
        remote: SocketAddr,
        bytes: &[u8],
    ) -> Result<(), Rejected> {
        if self.closed || self.failed {
            return Err(Rejected::NotRunning);
        }
        let message = Message::parse(bytes).map_err(|_| Rejected::Malformed)?;
        let path = Path { protocol, local, remote }.canonical();
        let result = match message.class() {
            Class::Request => self.handle_request(now, path, &message),
            Class::SuccessResponse | Class::ErrorResponse => self.handle_response(now, path, &message),
            // RFC 8445 section 11: a keepalive, not authenticated and never answered.
            Class::Indication => Ok(()),
        };
        self.update_state();
        result
    }

    fn handle_request(&mut self, now: Instant, path: Path, message: &Message<'_>) -> Result<(), Rejected> {
        let is_previous = self.authenticate(now, path, message)?;
        if self.local_candidate_with_base(path.protocol, path.local).is_none() {
            return Err(Rejected::UnknownLocalAddress);
        }
        if !address::is_endpoint(path.remote) || !address::can_pair(path.local, path.remote) {
            return Err(Rejected::ForbiddenAddress);
        }
        self.check_attributes(path, message, is_previous)?;
        if is_previous {
            self.answer(path, message, true);
            self.count_request(self.previous.as_ref().map(|previous| previous.pair.id));
            self.renew_observed(now, path);
            return Ok(());
        }
        self.resolve_role_conflict(path, message)?;
        self.answer(path, message, false);
        let check = EarlyCheck {
            path,
            priority: message.priority().ok_or(Rejected::MissingAttribute)?,
            nomination: message.use_candidate().then(|| message.transaction_id()),
        };
        if self.generation.remote.is_none() {
            return self.remember(check);
        }
        self.act_on_check(now, &check)
    }

    /// RFC 8489 section 9.1.3. Returns whether the request is addressed to the generation before a
    /// restart.
    fn authenticate(&mut self, now: Instant, path: Path, message: &Message<'_>) -> Result<bool, Rejected> {
        if message.method() != Method::BINDING {
            self.refuse(now, path, message, ErrorCode::BAD_REQUEST);
            return Err(Rejected::WrongMethod);
        }
        let Some(username) = message.username().filter(|_| message.has_integrity()) else {
            self.refuse(now, path, message, ErrorCode::BAD_REQUEST);
            return Err(Rejected::MissingCredentials);
        };
        let is_current = self.generation.is_addressed_by(username);
        let previous = self.previous.as_ref().map(|previous| &previous.generation);
        // Both generations share our ufrag while only the peer has restarted: its half decides then.
        let is_previous = previous.is_some_and(|previous| {
            previous.is_addressed_by(username) && (!is_current || previous.comes_from(username))
        });
        if !is_current && !is_previous {
            return Err(Rejected::UnknownUfrag);
        }
        if !message.verify_integrity(self.local_key(is_previous)) {
            self.refuse(now, path, message, ErrorCode::UNAUTHENTICATED);
            return Err(Rejected::BadIntegrity);
        }
        Ok(is_previous)
    }

    fn local_key(&self, is_previous: bool) -> &IntegrityKey {
        match &self.previous {
            Some(previous) if is_previous => &previous.generation.local.key,
            _ => &self.generation.local.key,
        }
    }

    /// Unknown required attributes (RFC 8489 section 6.3.1) and PRIORITY (RFC 8445 section 7.1.1).
    fn check_attributes(
        &mut self,
        path: Path,
        message: &Message<'_>,
        is_previous: bool,
    ) -> Result<(), Rejected> {
        if message.unknown_required_attributes().next().is_some() {
            // A datagram has at most a few hundred attributes, and the answer is authenticated traffic;
            // the first eight are enough to say what is wrong.
            let unknown = message.unknown_required_attributes().take(8);
            let response = response_to(message, Class::ErrorResponse)
                .error_code(ErrorCode::UNKNOWN_ATTRIBUTE)
                .unknown_attributes(unknown);
            self.reply(path, response, is_previous);
            return Err(Rejected::UnknownAttribute);
        }
        if message.priority().is_none() {
            let response = response_to(message, Class::ErrorResponse).error_code(ErrorCode::BAD_REQUEST);
            self.reply(path, response, is_previous);
            return Err(Rejected::MissingAttribute);
        }
        Ok(())
    }

    /// RFC 8445 section 7.3.1.1.
    fn resolve_role_conflict(&mut self, path: Path, message: &Message<'_>) -> Result<(), Rejected> {
        let theirs = match self.role {
            Role::Controlling => message.ice_controlling(),
            Role::Controlled => message.ice_controlled(),
        };
        let Some(theirs) = theirs else { return Ok(()) };
        let is_ours_larger = self.tie_breaker >= theirs;
        // The larger tie-breaker is controlling. A lite agent can't be, and facing one we must be.
        let keeps_role = match self.role {
            Role::Controlling => is_ours_larger || self.remote_lite,
            Role::Controlled => !is_ours_larger || self.lite,
        };
        if keeps_role {
            let response = response_to(message, Class::ErrorResponse).error_code(ErrorCode::ROLE_CONFLICT);
            self.reply(path, response, false);
            return Err(Rejected::RoleConflict);
        }
        self.switch_role();
        Ok(())
    }

    fn answer(&mut self, path: Path, message: &Message<'_>, is_previous: bool) {
        let response = response_to(message, Class::SuccessResponse).xor_mapped_address(path.remote);
        self.reply(path, response, is_previous);
    }

    /// Signs a response with the request's key (RFC 8489 section 9.1.3: and never with a USERNAME).
    fn reply(&mut self, path: Path, response: MessageBuilder, is_previous: bool) {
        let payload = response.integrity(self.local_key(is_previous)).finish();
        self.send(path, payload);
    }

    /// Answers an unauthenticated request with an unsigned error, if that can't amplify a flood.
    fn refuse(&mut self, now: Instant, path: Path, message: &Message<'_>, error: ErrorCode<'static>) {
        let payload = response_to(message, Class::ErrorResponse).error_code(error).finish();
        let is_endpoint = address::is_endpoint(path.remote);
        if is_endpoint && payload.len() <= message.as_bytes().len() && self.error_budget.take(now) {
            self.send(path, payload);
        }
    }

    fn remember(&mut self, check: EarlyCheck) -> Result<(), Rejected> {
        let known = self.early_checks.iter_mut().find(|known| known.path.is_same(check.path));
        if let Some(known) = known {
            // Repeated or nominated meanwhile.
            known.nomination = check.nomination.or(known.nomination);
            return Ok(());
        }
        if self.early_checks.len() >= MAX_EARLY_CHECKS {
            return Err(Rejected::TableFull);
        }
        self.early_checks.push(check);
        Ok(())
    }

    /// The peer's credentials have come: now the checks that waited for them count.
    pub(super) fn process_early_checks(&mut self, now: Instant) {
        for check in std::mem::take(&mut self.early_checks) {
            // A full table only costs this check; the peer repeats it.
            let _ = self.act_on_check(now, &check);
        }
    }

    /// What an authenticated, answered check leads to (RFC 8445 sections 7.3.1.3 to 7.3.1.5).
    fn act_on_check(&mut self, now: Instant, check: &EarlyCheck) -> Result<(), Rejected> {
        let path = check.path;
        let known = self.list.on(path).map(|pair| pair.id);
        if check.nomination.is_none() && (self.lite || self.is_concluded()) {
            // Nothing to learn: a lite agent sends no checks, and the decision has been made.
            self.count_request(known);
            self.renew_observed(now, path);
            return Ok(());
        }
        let id = self.pair_of_check(path, check.priority)?;
        self.count_request(Some(id));
        if self.lite {
            self.accept_nomination_lite(now, id, check.nomination);
            self.renew_observed(now, path);
            return Ok(());
        }
        self.trigger_check(now, id, check.nomination);
        Ok(())
    }

    fn accept_nomination_lite(&mut self, now: Instant, id: PairId, nomination: Option<TransactionId>) {
        if let Some(pair) = self.list.get_mut(id) {
            pair.state = PairState::Succeeded;
        }
        if let Some(transaction) = nomination {
            self.nominated_by_peer(now, id, transaction);
        }
    }

    /// RFC 8445 section 7.3.1.4: the peer reaches us on this pair, so it is checked now.
    fn trigger_check(&mut self, now: Instant, id: PairId, nomination: Option<TransactionId>) {
        let is_controlled = self.role == Role::Controlled;
        let lifetime = self.timings.consent_lifetime;
        let Some(pair) = self.list.get_mut(id) else { return };
        // An old answer gives no consent any more.
        let is_fresh = pair.last_response.is_some_and(|at| now.saturating_duration_since(at) < lifetime);
        match pair.state {
            PairState::Succeeded if is_fresh => {
                if let Some(transaction) = nomination.filter(|_| is_controlled) {
                    self.nominated_by_peer(now, id, transaction);
                }
                return;
            }
            PairState::InProgress => self.transactions.cancel(id),
            PairState::Succeeded | PairState::Frozen | PairState::Waiting | PairState::Failed => {}
        }
        pair.state = PairState::Waiting;
        if is_controlled && nomination.is_some() {
            pair.nominated_by = nomination;
        }
        self.list.trigger(id);
        self.wake(now);
    }

    fn count_request(&mut self, id: Option<PairId>) {
        if let Some(pair) = id.and_then(|id| self.pair_mut(id)) {
            pair.counters.requests_received = pair.counters.requests_received.saturating_add(1);
            pair.counters.responses_sent = pair.counters.responses_sent.saturating_add(1);
        }
    }

    /// In a lite agent an authenticated check on the selected pair renews its consent.
    fn renew_observed(&mut self, now: Instant, path: Path) {
        if self.lite
            && self.selected_list_pair().is_some_and(|pair| pair.is_on(path))
            && let Some(selected) = &mut self.selected
        {
            selected.consent.renew(now, &self.timings);
        }
    }
}

fn response_to(request: &Message<'_>, class: Class) -> MessageBuilder {
    MessageBuilder::new(class, request.method(), request.transaction_id())
}
