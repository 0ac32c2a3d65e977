//! Sending checks and consent checks, and everything that happens because time passes
//! (RFC 8445 sections 6.1.4.2, 7.2 and 14; RFC 7675; RFC 8863).

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::agent::Agent;
use super::candidate::ACTIVE_PORT;
use super::config::Role;
use super::pair::{Pair, PairId, PairState};
use super::path::Path;
use super::transaction::{Purpose, Request, Transaction};
use crate::proto::Protocol;
use crate::proto::stun::{Class, MessageBuilder, Method, TransactionId};

impl Agent {
    /// Does whatever is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.closed || self.failed {
            return;
        }
        self.advance_transactions(now);
        self.advance_consent(now);
        self.nominate_if_ready(now);
        self.check_next(now);
        self.fail_if_hopeless(now);
        self.update_state();
    }

    /// Starts the pacing when there is something to check and it is not running.
    pub(super) fn wake(&mut self, now: Instant) {
        if self.next_check.is_none() && self.list.has_check() {
            self.next_check = Some(now);
        }
    }

    /// One check per interval (RFC 8445 section 14.2), the first at once.
    fn check_next(&mut self, now: Instant) {
        let Some(at) = self.next_check else { return };
        if at > now {
            return;
        }
        if self.list.has_check()
            && let Err(at) = self.turn.take(self.pacer.as_deref(), now)
        {
            self.next_check = Some(at);
            return;
        }
        match self.list.next_check() {
            Some(id) => {
                self.next_check = Some(now + self.check_interval);
                self.check(now, id);
            }
            None => self.next_check = None,
        }
    }

    fn check(&mut self, now: Instant, id: PairId) {
        let use_candidate = self.role == Role::Controlling && self.nominating == Some(id);
        let Some(pair) = self.list.get_mut(id) else { return };
        if pair.state != PairState::Succeeded {
            pair.state = PairState::InProgress;
        }
        // RFC 8445 section 14.3: at least 500 ms, more when many checks are under way.
        let load = u32::try_from(self.list.load()).unwrap_or(u32::MAX);
        let retransmission = self.timings.retransmission.max(self.check_interval.saturating_mul(load));
        if let Some(request) = self.request(id, Purpose::Check { use_candidate }) {
            self.transactions.add(match request.path.protocol {
                Protocol::Udp => Transaction::check(request, now, retransmission),
                Protocol::Tcp => Transaction::reliable_check(request, now, self.timings.failure_patience),
            });
        }
    }

    fn consent_check(&mut self, now: Instant, id: PairId) {
        if let Some(request) = self.request(id, Purpose::Consent) {
            let wait = self.timings.consent_lifetime;
            self.transactions.add(Transaction::consent(request, now, wait));
        }
    }

    /// Builds, counts and sends a request on a pair (RFC 8445 section 7.2.2).
    fn request(&mut self, id: PairId, purpose: Purpose) -> Option<Request> {
        let transaction = TransactionId::random(&mut self.random);
        let (role, tie_breaker) = (self.role, self.tie_breaker);
        let generation = match &self.previous {
            Some(previous) if previous.pair.id == id => &previous.generation,
            _ => &self.generation,
        };
        let username = generation.outgoing_username()?;
        let key = generation.remote.as_ref()?.key.clone();
        let pair = self.pair_mut(id)?;
        let mut message = MessageBuilder::new(Class::Request, Method::BINDING, transaction)
            .username(&username)
            .priority(pair.check_priority);
        message = match role {
            Role::Controlling => message.ice_controlling(tie_breaker),
            Role::Controlled => message.ice_controlled(tie_breaker),
        };
        if purpose == (Purpose::Check { use_candidate: true }) {
            message = message.use_candidate();
        }
        let payload = message.integrity(&key).finish();
        pair.counters.requests_sent = pair.counters.requests_sent.saturating_add(1);
        if purpose == Purpose::Consent {
            pair.counters.consent_requests_sent = pair.counters.consent_requests_sent.saturating_add(1);
        }
        let path = pair.path();
        self.send(path, payload.clone());
        Some(Request { id: transaction, pair: id, purpose, path, role, payload })
    }

    fn advance_transactions(&mut self, now: Instant) {
        let mut resent = Vec::new();
        let given_up = self.transactions.advance(now, |transaction| {
            resent.push((transaction.pair, transaction.path, transaction.payload.clone()));
        });
        for (pair, path, payload) in resent {
            if let Some(pair) = self.pair_mut(pair) {
                pair.counters.requests_sent = pair.counters.requests_sent.saturating_add(1);
            }
            self.send(path, payload);
        }
        for transaction in given_up {
            // Unanswered consent checks are the business of `Consent`.
            if let Purpose::Check { .. } = transaction.purpose {
                self.check_failed(transaction.pair);
            }
        }
        self.wake(now);
    }

    /// A check was not answered, or answered so that the pair is ruled out (RFC 8445 section 7.2.5.2).
    pub(super) fn check_failed(&mut self, id: PairId) {
        let is_queued_again = self.transactions.is_checking(id);
        let is_selected =
            self.is_concluded() && self.selected.as_ref().is_some_and(|selected| selected.id == id);
        if self.nominating == Some(id) && !is_queued_again {
            self.nominating = None;
        }
        if let Some(pair) = self.list.get_mut(id)
            && !is_queued_again
            && !is_selected
        {
            pair.state = PairState::Failed;
            pair.nominated_by = None;
        }
    }

    /// The connection of a TCP pair is closed or could not be opened: its checks have failed. A selected pair is in
    /// doubt and keeps its consent, as one over UDP would; the connection may be opened again.
    pub fn path_lost(&mut self, now: Instant, protocol: Protocol, local: SocketAddr, remote: SocketAddr) {
        if self.closed || self.failed {
            return;
        }
        let path = Path { protocol, local, remote }.canonical();
        let selected = self.selected_list_pair().map(|pair| (pair.id, pair.path()));
        if let Some(pair) = self.list.on(path).map(|pair| pair.id)
            && selected.is_none_or(|(selected, _)| selected != pair)
        {
            self.transactions.abandon(pair);
            self.list.untrigger(pair);
            self.check_failed(pair);
            self.wake(now);
        }
        if let Some((id, _)) = selected.filter(|(_, selected)| selected.is_same(path)) {
            let is_news = self.selected.as_ref().is_some_and(|selected| !selected.consent.is_in_doubt());
            self.doubt();
            if is_news {
                self.nominate_again(now, id);
            }
        }
        self.fail_if_hopeless(now);
        self.update_state();
    }

    /// This host has lost an address, or the system says that nothing can be sent from it: if the selected pair
    /// leaves from there it is in doubt at once, long before its consent ends (RFC 7675 section 5.1).
    pub fn local_address_lost(&mut self, local: IpAddr) {
        let is_selected =
            self.selected_list_pair().is_some_and(|pair| pair.base.ip() == local.to_canonical());
        if is_selected && !self.closed && !self.failed {
            self.doubt();
            self.update_state();
        }
    }

    /// A connection that we had opened is gone: a new one has another port, so the peer must be told again that this
    /// is the pair. False if that is not ours to do.
    fn nominate_again(&mut self, now: Instant, id: PairId) -> bool {
        let opens = |pair: &Pair| pair.protocol == Protocol::Tcp && pair.base.port() == ACTIVE_PORT;
        let is_ours = self.role == Role::Controlling && !self.is_previous(id);
        if !is_ours || !self.list.get(id).is_some_and(opens) {
            return false;
        }
        self.nominating = Some(id);
        self.list.trigger_first(id);
        self.wake(now);
        true
    }

    fn doubt(&mut self) {
        if let Some(selected) = &mut self.selected {
            selected.consent.doubt();
        }
    }

    fn advance_consent(&mut self, now: Instant) {
        let Some(selected) = &mut self.selected else { return };
        if selected.consent.is_expired(now) {
            self.consent_expired();
            return;
        }
        selected.consent.handle_timeout(now);
        let id = selected.id;
        if selected.consent.take_check(now, &self.timings, &mut self.random)
            && !(selected.consent.is_in_doubt() && self.nominate_again(now, id))
        {
            self.consent_check(now, id);
        }
    }

    /// RFC 7675 section 5.1: sending stops, for good with these credentials. A restart that is under way
    /// has new ones and goes on.
    fn consent_expired(&mut self) {
        if self.previous.is_some() {
            let id = self.selected.as_ref().map(|selected| selected.id);
            self.transactions.retain(|transaction| Some(transaction.pair) != id);
            self.drop_selected();
        } else {
            self.fail();
        }
    }

    /// RFC 8863 section 4: not before the peer had the time of a whole transaction to reach us, and not
    /// while a pair may still succeed; RFC 8838 section 13: without end-of-candidates more may come, but
    /// not for ever.
    pub(super) fn fail_if_hopeless(&mut self, now: Instant) {
        let Some(since) = self.checking_since else { return };
        if self.selected.is_some() || self.failed || self.closed {
            return;
        }
        let waited = now.saturating_duration_since(since);
        let patience = self.timings.failure_patience;
        if waited >= patience * 2 || (waited >= patience && self.is_exhausted()) {
            self.fail();
        }
    }

    fn is_exhausted(&self) -> bool {
        let has_valid = self.list.pairs().iter().any(|pair| pair.state == PairState::Succeeded);
        !self.lite && self.end_of_remote_candidates && !self.list.is_open() && !has_valid
    }

    pub(super) fn failure_timeout(&self) -> Option<Instant> {
        if self.selected.is_some() {
            return None;
        }
        let patience: Duration = self.timings.failure_patience;
        let since = self.checking_since?;
        // When the first patience is over but checks run, their ends wake the agent too.
        Some(if self.is_exhausted() { since + patience } else { since + patience * 2 })
    }
}
