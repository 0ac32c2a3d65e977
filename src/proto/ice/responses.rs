//! Taking the answers to our checks in (RFC 8445 section 7.2.5).
//!
//! A response counts only if a transaction waits for it and its MESSAGE-INTEGRITY is right. Anything
//! else is as if it had never come, and the transaction lives on (RFC 8489 section 9.1.4).

use std::net::SocketAddr;
use std::time::Instant;

use super::agent::Agent;
use super::config::Role;
use super::error::Rejected;
use super::pair::{PairId, PairState};
use super::path::Path;
use super::transaction::{Purpose, Transaction};
use crate::proto::stun::{Class, ErrorCode, Message};

impl Agent {
    pub(super) fn handle_response(
        &mut self,
        now: Instant,
        path: Path,
        message: &Message<'_>,
    ) -> Result<(), Rejected> {
        let id = message.transaction_id();
        let transaction = self.transactions.get(id).ok_or(Rejected::UnknownTransaction)?;
        let generation = match &self.previous {
            Some(previous) if previous.pair.id == transaction.pair => &previous.generation,
            _ => &self.generation,
        };
        let remote_key = generation.remote.as_ref().map(|secret| &secret.key);
        if !remote_key.is_some_and(|key| message.verify_integrity(key)) {
            return Err(Rejected::BadIntegrity);
        }
        let is_symmetric = transaction.path.is_same(path);
        if !is_symmetric && transaction.purpose == Purpose::Consent {
            // RFC 7675 section 5.1: only an answer on the same 5-tuple counts.
            return Err(Rejected::AsymmetricResponse);
        }
        let transaction = self.transactions.take(id).ok_or(Rejected::UnknownTransaction)?;
        if !is_symmetric {
            // RFC 8445 section 7.2.5.2.1: the pair is ruled out.
            self.check_failed(transaction.pair);
            return Err(Rejected::AsymmetricResponse);
        }
        if message.unknown_required_attributes().next().is_some() {
            // RFC 8489 section 6.3.3: discarded, and the transaction has failed.
            self.rule_out(&transaction);
            return Err(Rejected::UnknownAttribute);
        }
        match message.class() {
            Class::SuccessResponse => self.handle_success(now, &transaction, message),
            _ => self.handle_error(now, &transaction, message),
        }
    }

    fn handle_success(
        &mut self,
        now: Instant,
        transaction: &Transaction,
        message: &Message<'_>,
    ) -> Result<(), Rejected> {
        let Some(mapped) = message.xor_mapped_address() else {
            self.rule_out(transaction);
            return Err(Rejected::MissingAttribute);
        };
        let id = transaction.pair;
        let Some(pair) = self.pair_mut(id) else { return Err(Rejected::UnknownTransaction) };
        pair.last_response = Some(now);
        pair.counters.responses_received = pair.counters.responses_received.saturating_add(1);
        if transaction.sends == 1 {
            // Karn's rule: an answer to a repeated request tells no round trip.
            pair.measured(now.saturating_duration_since(transaction.sent_at));
        }
        if let Some(selected) = self.selected.as_mut().filter(|selected| selected.id == id) {
            selected.consent.renew(now, &self.timings);
        }
        if self.is_previous(id) || transaction.purpose == Purpose::Consent {
            return Ok(());
        }
        self.pair_is_valid(now, transaction, mapped);
        Ok(())
    }

    /// RFC 8445 section 7.2.5.3.
    fn pair_is_valid(&mut self, now: Instant, transaction: &Transaction, mapped: SocketAddr) {
        let id = transaction.pair;
        let Some(pair) = self.list.get_mut(id) else { return };
        pair.state = PairState::Succeeded;
        let (path, priority, foundation) = (pair.path(), pair.check_priority, pair.foundation);
        let nominated_by = pair.nominated_by;
        self.discover_local(mapped, path, priority);
        self.list.unfreeze(foundation);
        if self.nominating != Some(id) {
            // Whatever else was to be checked on this pair is settled.
            self.list.untrigger(id);
        }
        match self.role {
            Role::Controlling => {
                if transaction.purpose == (Purpose::Check { use_candidate: true }) && !self.is_concluded() {
                    self.select(now, id);
                } else {
                    self.nominate_if_ready(now);
                }
            }
            Role::Controlled => {
                if let Some(nomination) = nominated_by {
                    self.nominated_by_peer(now, id, nomination);
                }
            }
        }
        self.wake(now);
    }

    fn handle_error(
        &mut self,
        now: Instant,
        transaction: &Transaction,
        message: &Message<'_>,
    ) -> Result<(), Rejected> {
        let Some(error) = message.error_code() else {
            self.rule_out(transaction);
            return Err(Rejected::MissingAttribute);
        };
        if error.code == ErrorCode::ROLE_CONFLICT.code {
            self.handle_role_conflict(now, transaction);
        } else {
            // RFC 8445 section 7.2.5.2.4: any other error rules the pair out.
            self.rule_out(transaction);
        }
        Ok(())
    }

    /// RFC 8445 section 7.2.5.1: change the role, change the tie-breaker, check again.
    fn handle_role_conflict(&mut self, now: Instant, transaction: &Transaction) {
        let may_switch = !self.remote_lite && !self.is_previous(transaction.pair);
        if transaction.role == self.role && may_switch {
            self.switch_role();
            self.tie_breaker = rand::Rng::random(&mut self.random);
        }
        self.recheck(now, transaction.pair);
    }

    fn recheck(&mut self, now: Instant, id: PairId) {
        let Some(pair) = self.list.get_mut(id) else { return };
        if pair.state != PairState::Succeeded {
            pair.state = PairState::Waiting;
        }
        self.list.trigger(id);
        self.wake(now);
    }

    /// The answer shows that the pair can't be used. Consent just goes unanswered.
    fn rule_out(&mut self, transaction: &Transaction) {
        if transaction.purpose != Purpose::Consent {
            self.check_failed(transaction.pair);
        }
    }
}
