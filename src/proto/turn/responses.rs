//! The server's answers (RFC 8656 sections 7.3, 7.4, 8.3, 10.3 and 12.3; RFC 8489 section 9.2.5).

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use smallvec::SmallVec;

use super::client::{Allocation, Client, Event, Families, Phase, schedule};
use super::error::{Failure, Rejected};
use super::transaction::{Request, Transaction};
use crate::proto::stun::{AttributeType, Class, ErrorCode, Message};

/// How often one request may be sent back with a new nonce. A server whose nonces never please is given up.
const MAX_CHALLENGES: u8 = 4;

/// 437: the server knows no such allocation, or knows another (RFC 8656 section 18.13).
const ALLOCATION_MISMATCH: u16 = 437;

/// What coturn answers instead of 437 to CreatePermission and ChannelBind where it has no allocation. It may also
/// mean what it says.
const BAD_REQUEST: u16 = 400;

/// 440: no address of that family (RFC 8656 section 18.13).
const ADDRESS_FAMILY_NOT_SUPPORTED: u16 = 440;

impl Client {
    pub(super) fn handle_response(&mut self, now: Instant, message: &Message<'_>) -> Result<(), Rejected> {
        let index = self
            .transactions
            .iter()
            .position(|transaction| {
                transaction.id == message.transaction_id() && transaction.request.method() == message.method()
            })
            .ok_or(Rejected::UnknownTransaction)?;
        let is_success = message.class() == Class::SuccessResponse;
        // RFC 8489 section 9.2.5: what fails the check was never received. Errors may lack the attribute,
        // since a server that doesn't know the user can't sign; they can only make a request fail.
        let must_be_signed = is_success && self.transactions[index].is_signed;
        if message.has_integrity() || must_be_signed {
            let is_right = self.credentials.key().is_some_and(|key| message.verify_integrity(key));
            if !is_right && (must_be_signed || self.credentials.key().is_some()) {
                return Err(Rejected::BadIntegrity);
            }
        }
        let transaction = self.transactions.swap_remove(index);
        if is_success {
            self.handle_success(now, &transaction, message);
        } else {
            self.handle_error(now, &transaction, message);
        }
        Ok(())
    }

    fn handle_success(&mut self, now: Instant, transaction: &Transaction, message: &Message<'_>) {
        match transaction.request {
            Request::Allocate => self.allocated(now, transaction, message),
            Request::Refresh => self.refreshed(transaction, message),
            Request::Delete => self.end(Event::Closed),
            Request::Permission(ip) => self.permitted(now, ip, transaction.sent_at),
            Request::Channel(number, peer) => {
                self.peers.channel_bound(number, transaction.sent_at);
                // RFC 8656 section 12: this installs the permission as well.
                self.permitted(now, peer.ip(), transaction.sent_at);
            }
        }
    }

    /// RFC 8656 section 7.3.
    fn allocated(&mut self, now: Instant, transaction: &Transaction, message: &Message<'_>) {
        let lifetime = message.lifetime().filter(|seconds| *seconds > 0);
        let mut relayed: SmallVec<[SocketAddr; 2]> = SmallVec::new();
        for address in message.xor_addresses(AttributeType::XOR_RELAYED_ADDRESS) {
            let is_of_new_family = relayed.iter().all(|known| known.is_ipv4() != address.is_ipv4());
            if is_of_new_family && is_relayable(address) {
                relayed.push(address);
            }
        }
        let (Some(lifetime), Some(mapped), false) =
            (lifetime, message.xor_mapped_address(), relayed.is_empty())
        else {
            return self.end(Event::Failed(Failure::Unusable));
        };
        let (until, refresh_at) = schedule(transaction.sent_at, lifetime);
        let was_closed = matches!(self.phase, Phase::Closing { .. });
        self.phase =
            Phase::Allocated(Allocation { relayed: relayed.clone(), until, refresh_at: Some(refresh_at) });
        if was_closed {
            return self.close(now);
        }
        self.events.push_back(Event::Allocated { relayed, mapped });
    }

    fn refreshed(&mut self, transaction: &Transaction, message: &Message<'_>) {
        let Some(lifetime) = message.lifetime().filter(|seconds| *seconds > 0) else {
            return self.end(Event::Failed(Failure::Unusable));
        };
        if let Phase::Allocated(allocation) = &mut self.phase {
            let (until, refresh_at) = schedule(transaction.sent_at, lifetime);
            (allocation.until, allocation.refresh_at) = (until, Some(refresh_at));
            self.events.push_back(Event::Refreshed);
        }
    }

    fn permitted(&mut self, now: Instant, ip: IpAddr, asked_at: Instant) {
        for (peer, payload) in self.peers.permission_granted(ip, asked_at) {
            self.bind_for(now, peer, &payload);
            let indication = self.send_indication(peer, &payload);
            self.transmit(now, indication);
        }
    }

    fn handle_error(&mut self, now: Instant, transaction: &Transaction, message: &Message<'_>) {
        let Some(error) = message.error_code() else {
            return self.refused(now, transaction.request, Failure::Unusable);
        };
        let is_challenge = match error.code {
            // RFC 8489 section 9.2.5: signed already, so the credentials are wrong.
            code if code == ErrorCode::UNAUTHENTICATED.code => !transaction.is_signed,
            code => code == ErrorCode::STALE_NONCE.code,
        };
        if is_challenge {
            return self.challenged(now, transaction, message, error);
        }
        if error.code == ErrorCode::TRY_ALTERNATE.code && transaction.request == Request::Allocate {
            return self.end(Event::Failed(alternate(message)));
        }
        if error.code == ADDRESS_FAMILY_NOT_SUPPORTED
            && transaction.request == Request::Allocate
            && self.config.families == Families::Both
        {
            // RFC 8656 section 7.4: perhaps the server has IPv6 alone.
            self.config.families = Families::Ipv6;
            return self.request(now, Request::Allocate, transaction.challenges);
        }
        self.refused(now, transaction.request, refusal(error));
    }

    /// 401 and 438: again, with what the server wants to see.
    fn challenged(
        &mut self,
        now: Instant,
        transaction: &Transaction,
        message: &Message<'_>,
        error: ErrorCode<'_>,
    ) {
        if !self.credentials.exist() {
            return self.refused(now, transaction.request, Failure::CredentialsMissing);
        }
        let is_new = self.credentials.take_challenge(message);
        // Several requests are challenged with the same nonce when it changes: for all but the first of
        // them it is no news, but they were signed with the old one.
        let may_help = is_new || self.credentials.key().is_some();
        if !may_help || transaction.challenges >= MAX_CHALLENGES {
            return self.refused(now, transaction.request, refusal(error));
        }
        self.request(now, transaction.request, transaction.challenges + 1);
    }

    fn refused(&mut self, now: Instant, request: Request, failure: Failure) {
        let is_lost = matches!(&failure, Failure::Refused { code: ALLOCATION_MISMATCH, .. });
        let is_doubtful = matches!(&failure, Failure::Refused { code: BAD_REQUEST, .. });
        match request {
            Request::Allocate | Request::Refresh => self.end(Event::Failed(failure)),
            Request::Delete => self.end(Event::Closed),
            Request::Permission(_) | Request::Channel(..) if is_lost => self.end(Event::Failed(failure)),
            Request::Permission(ip) => self.peers.permission_refused(now, ip),
            Request::Channel(number, _) => self.peers.channel_refused(now, number),
        }
        if is_doubtful {
            self.suspect(now);
        }
    }
}

fn refusal(error: ErrorCode<'_>) -> Failure {
    let mut end = error.reason.len().min(Failure::MAX_REASON_LENGTH);
    while !error.reason.is_char_boundary(end) {
        end -= 1;
    }
    // The words of a stranger: nothing that could forge a log line.
    let reason = error.reason[..end].chars().filter(|c| !c.is_control()).collect();
    Failure::Refused { code: error.code, reason }
}

/// RFC 8489 section 10.
fn alternate(message: &Message<'_>) -> Failure {
    let domain =
        message.attribute(AttributeType::ALTERNATE_DOMAIN).and_then(|name| std::str::from_utf8(name).ok());
    match message.address(AttributeType::ALTERNATE_SERVER) {
        Some(server) => Failure::Alternate { server, domain: domain.map(str::to_owned) },
        None => Failure::Unusable,
    }
}

/// An address that could be a relay's. Whether it may be one of this host is for the owner to say.
fn is_relayable(address: SocketAddr) -> bool {
    let ip = address.ip();
    let is_broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    address.port() != 0 && !ip.is_unspecified() && !ip.is_multicast() && !is_broadcast
}
