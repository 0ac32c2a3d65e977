//! Outstanding STUN requests and their retransmission (RFC 8489 section 6.2.1, RFC 8445 section 14.3).

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::config::Role;
use super::pair::PairId;
use super::path::Path;
use crate::proto::stun::TransactionId;

/// Rc: how often a request is sent in all (RFC 8489 section 6.2.1).
const MAX_SENDS: u32 = 7;

/// Rm: how many first intervals are waited after the last sending (RFC 8489 section 6.2.1).
const LAST_WAIT: u32 = 16;

/// Most requests outstanding per pair: the one that runs, one that was cancelled but may still be
/// answered (RFC 8445 section 7.3.1.4), and the consent checks of one consent lifetime.
const MAX_PER_PAIR: usize = 10;

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Check { use_candidate: bool },
    Consent,
}

/// One outstanding request.
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) id: TransactionId,
    pub(super) pair: PairId,
    pub(super) purpose: Purpose,
    pub(super) path: Path,
    /// The role the request claimed: a 487 counts only if it is still ours.
    pub(super) role: Role,
    pub(super) sent_at: Instant,
    /// When to send again or to give up.
    pub(super) due: Instant,
    pub(super) sends: u32,
    max_sends: u32,
    /// Zero: never sent again.
    retransmission: Duration,
    pub(super) payload: Bytes,
}

impl Transaction {
    /// A check that was just sent and will be repeated.
    pub(super) fn check(request: Request, now: Instant, retransmission: Duration) -> Self {
        let due = now + retransmission;
        Self::new(request, now, due, retransmission)
    }

    /// A check over TCP, which repeats what is lost by itself: sent once, its answer may take as long as all the
    /// repetitions over UDP (Ti, RFC 8489 section 6.2.2).
    pub(super) fn reliable_check(request: Request, now: Instant, wait: Duration) -> Self {
        Self { max_sends: 1, ..Self::new(request, now, now + wait, wait) }
    }

    /// A consent check: sent once (RFC 7675 section 5.1), its answer counts for `wait`.
    pub(super) fn consent(request: Request, now: Instant, wait: Duration) -> Self {
        Self::new(request, now, now + wait, Duration::ZERO)
    }

    fn new(request: Request, now: Instant, due: Instant, retransmission: Duration) -> Self {
        let Request { id, pair, purpose, path, role, payload } = request;
        Self {
            id,
            pair,
            purpose,
            path,
            role,
            sent_at: now,
            due,
            sends: 1,
            max_sends: MAX_SENDS,
            retransmission,
            payload,
        }
    }

    /// Stops repeating it; an answer still counts until the transaction would have ended
    /// (RFC 8445 section 7.3.1.4).
    fn cancel(&mut self) {
        let left =
            (self.sends..self.max_sends).map(|sends| self.retransmission * (1 << sends)).sum::<Duration>();
        // The interval after the last sending is LAST_WAIT, not the next power of two: close enough
        // for a request nobody depends on.
        self.due += left.min(self.retransmission * LAST_WAIT);
        self.retransmission = Duration::ZERO;
    }

    /// What happens when `due` has come.
    fn expire(&mut self) -> Expiry {
        if self.retransmission.is_zero() || self.sends >= self.max_sends {
            return Expiry::GiveUp;
        }
        self.sends += 1;
        let wait = if self.sends == self.max_sends { LAST_WAIT } else { 1 << (self.sends - 1) };
        self.due += self.retransmission * wait;
        Expiry::Resend
    }

    fn is_repeated(&self) -> bool {
        !self.retransmission.is_zero()
    }
}

enum Expiry {
    Resend,
    GiveUp,
}

/// What a transaction is made of.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) id: TransactionId,
    pub(super) pair: PairId,
    pub(super) purpose: Purpose,
    pub(super) path: Path,
    pub(super) role: Role,
    pub(super) payload: Bytes,
}

/// The outstanding requests of an agent, oldest first.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    list: Vec<Transaction>,
}

impl Transactions {
    pub(super) fn add(&mut self, transaction: Transaction) {
        let pair = transaction.pair;
        if self.list.iter().filter(|other| other.pair == pair).count() >= MAX_PER_PAIR
            && let Some(oldest) = self.list.iter().position(|other| other.pair == pair)
        {
            self.list.remove(oldest);
        }
        self.list.push(transaction);
    }

    pub(super) fn get(&self, id: TransactionId) -> Option<&Transaction> {
        self.list.iter().find(|transaction| transaction.id == id)
    }

    pub(super) fn take(&mut self, id: TransactionId) -> Option<Transaction> {
        let index = self.list.iter().position(|transaction| transaction.id == id)?;
        let taken = self.list.remove(index);
        self.release();
        Some(taken)
    }

    /// Stops repeating the checks of a pair. An earlier cancelled one is forgotten.
    pub(super) fn cancel(&mut self, pair: PairId) {
        self.list.retain(|transaction| {
            transaction.pair != pair || transaction.is_repeated() || transaction.purpose == Purpose::Consent
        });
        for transaction in self.list.iter_mut().filter(|transaction| transaction.pair == pair) {
            if transaction.is_repeated() {
                transaction.cancel();
            }
        }
    }

    /// The way of these checks is gone. Consent checks may still be answered if it comes back.
    pub(super) fn abandon(&mut self, pair: PairId) {
        self.list.retain(|transaction| transaction.pair != pair || transaction.purpose == Purpose::Consent);
        self.release();
    }

    /// Whether a check of the pair is still being repeated.
    pub(super) fn is_checking(&self, pair: PairId) -> bool {
        self.list.iter().any(|transaction| transaction.pair == pair && transaction.is_repeated())
    }

    pub(super) fn retain(&mut self, keep: impl Fn(&Transaction) -> bool) {
        self.list.retain(keep);
        self.release();
    }

    /// Repeats what is due through `resend` and takes out what has run out of time.
    pub(super) fn advance(&mut self, now: Instant, mut resend: impl FnMut(&Transaction)) -> Vec<Transaction> {
        let mut given_up = Vec::new();
        let mut index = 0;
        while let Some(transaction) = self.list.get_mut(index) {
            if transaction.due > now {
                index += 1;
                continue;
            }
            match transaction.expire() {
                Expiry::Resend => {
                    // After a long sleep one repetition is enough: the next is counted from now.
                    transaction.due = transaction.due.max(now);
                    resend(transaction);
                    index += 1;
                }
                Expiry::GiveUp => given_up.push(self.list.remove(index)),
            }
        }
        if !given_up.is_empty() {
            self.release();
        }
        given_up
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.list.iter().map(|transaction| transaction.due).min()
    }

    /// An agent is idle for hours after seconds of checking: keep no room for those seconds.
    fn release(&mut self) {
        if self.list.is_empty() {
            self.list = Vec::new();
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::Protocol;

    fn request(id: u8, purpose: Purpose) -> Request {
        Request {
            id: TransactionId([id; 12]),
            pair: PairId(1),
            purpose,
            path: Path {
                protocol: Protocol::Udp,
                local: ([192, 0, 2, 1], 1).into(),
                remote: ([192, 0, 2, 2], 2).into(),
            },
            role: Role::Controlling,
            payload: Bytes::new(),
        }
    }

    const CHECK: Purpose = Purpose::Check { use_candidate: false };

    #[test]
    fn a_check_is_sent_seven_times_and_ends_after_39_5_seconds() {
        let start = Instant::now();
        let mut transactions = Transactions::default();
        transactions.add(Transaction::check(request(1, CHECK), start, Duration::from_millis(500)));
        let mut sent = vec![0];
        let mut ended = None;
        while let Some(due) = transactions.next_timeout() {
            let at = (due - start).as_millis();
            if !transactions.advance(due, |_| sent.push(at)).is_empty() {
                ended = Some(at);
            }
        }
        assert_eq!(sent, [0, 500, 1_500, 3_500, 7_500, 15_500, 31_500]);
        assert_eq!(ended, Some(39_500));
    }

    #[test]
    fn a_consent_check_is_sent_once() {
        let start = Instant::now();
        let mut transactions = Transactions::default();
        transactions.add(Transaction::consent(request(1, Purpose::Consent), start, Duration::from_secs(30)));
        let due = transactions.next_timeout().unwrap();
        assert_eq!(due - start, Duration::from_secs(30));
        assert_eq!(transactions.advance(due, |_| panic!("repeated")).len(), 1);
    }

    #[test]
    fn a_cancelled_check_is_not_repeated_but_may_still_be_answered() {
        let start = Instant::now();
        let mut transactions = Transactions::default();
        transactions.add(Transaction::check(request(1, CHECK), start, Duration::from_millis(500)));
        transactions.cancel(PairId(1));
        assert!(transactions.advance(start + Duration::from_secs(2), |_| panic!("repeated")).is_empty());
        assert!(transactions.take(TransactionId([1; 12])).is_some());
    }

    #[test]
    fn a_pair_has_few_requests_outstanding_whatever_happens() {
        let start = Instant::now();
        let mut transactions = Transactions::default();
        for id in 0..=255 {
            transactions.cancel(PairId(1));
            transactions.add(Transaction::check(request(id, CHECK), start, Duration::from_millis(500)));
            transactions.add(Transaction::consent(
                request(id, Purpose::Consent),
                start,
                Duration::from_secs(30),
            ));
        }
        assert!(transactions.len() <= MAX_PER_PAIR, "{}", transactions.len());
    }
}
