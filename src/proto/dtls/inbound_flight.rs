//! Collects the records of the handshake flight that is awaited, until it is complete.
//!
//! OpenSSL is shown a flight once, whole and in order. That keeps it from reading while its timer is
//! expired (see `openssl_timer`), and it makes the handshake indifferent to reordering, duplicates,
//! garbage and unauthenticated alerts. Nothing kept here is authenticated, so everything is bounded; where
//! two fragments contradict each other, the newer one wins, so that a forged one doesn't stay.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::record::{
    ALERT, APPLICATION_DATA, CERTIFICATE, CERTIFICATE_VERIFY, CHANGE_CIPHER_SPEC, CLIENT_HELLO,
    CLIENT_KEY_EXCHANGE, Fragment, HANDSHAKE, HELLO_VERIFY_REQUEST, Record, SERVER_HELLO_DONE, fragments,
};
use super::session::Role;

/// The longest handshake message: RSA-4096 certificates with a chain fit four times.
const MAXIMUM_MESSAGE_LENGTH: usize = 16 * 1024;
/// No flight has more messages; OpenSSL looks ten ahead as well.
const MAXIMUM_MESSAGES: u16 = 10;
/// Records of one flight. A hello of 2 kB in pieces of 16 bytes fits.
const MAXIMUM_RECORDS: usize = 256;
/// Bytes of one flight. When either bound is hit the collection starts over: the peer sends again.
const MAXIMUM_BYTES: usize = 64 * 1024;
/// A certificate message with an empty list is these three bytes (RFC 5246 §7.4.6).
const EMPTY_CERTIFICATE_LENGTH: usize = 3;

/// Whose turn it was, and so what completes the flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    /// Server: a whole ClientHello.
    ClientHello,
    /// Client: everything up to ServerHelloDone, or a HelloVerifyRequest.
    ServerHelloDone,
    /// Server: key exchange, certificate proof, ChangeCipherSpec, Finished.
    ClientFinished,
    /// Client: ChangeCipherSpec, Finished.
    ServerFinished,
}

/// Where a record stands in its flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Message { sequence: u16, offset: usize },
    ChangeCipherSpec,
    Encrypted { sequence_number: u64 },
}

#[derive(Debug)]
struct Message {
    message_type: u8,
    length: usize,
    /// Disjoint and ordered byte ranges that arrived.
    covered: Vec<(usize, usize)>,
}

impl Message {
    fn is_complete(&self) -> bool {
        self.length == 0 || self.covered.first().is_some_and(|&(start, end)| start == 0 && end == self.length)
    }

    /// Adds a range; false if all of it was there.
    fn cover(&mut self, start: usize, end: usize) -> bool {
        if self.covered.iter().any(|&(from, to)| from <= start && end <= to) {
            // An empty message has one empty range: new the first time only.
            return false;
        }
        self.covered.push((start, end));
        self.covered.sort_unstable();
        let mut merged: Vec<(usize, usize)> = Vec::with_capacity(self.covered.len());
        for &(from, to) in &self.covered {
            match merged.last_mut() {
                Some(last) if from <= last.1 => last.1 = last.1.max(to),
                _ => merged.push((from, to)),
            }
        }
        self.covered = merged;
        true
    }
}

/// The flight that is awaited, as far as it arrived.
#[derive(Debug)]
pub(super) struct InboundFlight {
    awaited: Awaited,
    /// Sequence number of the first message of the flight.
    first_message: u16,
    messages: BTreeMap<u16, Message>,
    records: Vec<(Place, Bytes)>,
    bytes: usize,
    change_cipher_spec: bool,
    finished: bool,
}

impl InboundFlight {
    pub(super) fn new(role: Role) -> Self {
        let awaited = match role {
            Role::Client => Awaited::ServerHelloDone,
            Role::Server => Awaited::ClientHello,
        };
        Self {
            awaited,
            first_message: 0,
            messages: BTreeMap::new(),
            records: Vec::new(),
            bytes: 0,
            change_cipher_spec: false,
            finished: false,
        }
    }

    /// Keeps a record if the flight can use it.
    pub(super) fn insert(&mut self, record: &Record<'_>) {
        let place = match (record.content_type, record.epoch) {
            (HANDSHAKE, 0) => self.place_of_message(record),
            (CHANGE_CIPHER_SPEC, 0) if !self.change_cipher_spec => {
                self.change_cipher_spec = true;
                Some(Place::ChangeCipherSpec)
            }
            (HANDSHAKE | APPLICATION_DATA | ALERT, _) => self.place_of_encrypted(record),
            _ => None,
        };
        let Some(place) = place else {
            return;
        };
        if self.records.len() >= MAXIMUM_RECORDS || self.bytes + record.bytes.len() > MAXIMUM_BYTES {
            self.clear();
            return;
        }
        self.bytes += record.bytes.len();
        self.records.push((place, Bytes::copy_from_slice(record.bytes)));
    }

    /// Hands the flight over once it is complete, in the order OpenSSL wants: messages,
    /// ChangeCipherSpec, then what is encrypted.
    pub(super) fn take_if_complete(&mut self) -> Option<Vec<Bytes>> {
        if !self.is_complete() {
            return None;
        }
        let mut records = std::mem::take(&mut self.records);
        // Stable: of two records at one place the older one stays first.
        records.sort_by_key(|(place, _)| *place);
        Some(records.into_iter().map(|(_, bytes)| bytes).collect())
    }

    /// The flight was accepted and answered; the next one is awaited.
    pub(super) fn advance(&mut self) {
        let complete = self.complete_messages();
        let verify_request = complete == 1 && self.has(HELLO_VERIFY_REQUEST, complete);
        self.first_message += complete;
        self.awaited = match self.awaited {
            Awaited::ServerHelloDone if verify_request => Awaited::ServerHelloDone,
            Awaited::ServerHelloDone | Awaited::ServerFinished => Awaited::ServerFinished,
            Awaited::ClientHello | Awaited::ClientFinished => Awaited::ClientFinished,
        };
        self.clear();
    }

    /// Forgets what arrived.
    pub(super) fn clear(&mut self) {
        self.messages.clear();
        self.records.clear();
        self.bytes = 0;
        self.change_cipher_spec = false;
        self.finished = false;
    }

    /// Several records may have one sequence number: OpenSSL will find out which one is the peer's.
    fn place_of_encrypted(&mut self, record: &Record<'_>) -> Option<Place> {
        let is_repeated = || self.records.iter().any(|(_, held)| held == record.bytes);
        if !record.may_be_encrypted() || is_repeated() {
            return None;
        }
        let place = Place::Encrypted { sequence_number: record.sequence_number };
        // The only encrypted handshake message is Finished. Whether this is one shows when it is read.
        self.finished |= record.content_type == HANDSHAKE;
        Some(place)
    }

    /// The place of a record by its first fragment, if any fragment brings something new.
    fn place_of_message(&mut self, record: &Record<'_>) -> Option<Place> {
        let mut place = None;
        let mut is_new = false;
        for fragment in fragments(record.body) {
            let ahead = fragment.message_sequence.checked_sub(self.first_message);
            let in_flight = ahead.is_some_and(|ahead| ahead < MAXIMUM_MESSAGES);
            if !in_flight || fragment.message_length > MAXIMUM_MESSAGE_LENGTH {
                continue;
            }
            is_new |= self.cover(&fragment);
            place = place
                .or(Some(Place::Message { sequence: fragment.message_sequence, offset: fragment.offset }));
        }
        place.filter(|_| is_new)
    }

    fn cover(&mut self, fragment: &Fragment<'_>) -> bool {
        let sequence = fragment.message_sequence;
        let contradicts = self.messages.get(&sequence).is_some_and(|message| {
            message.message_type != fragment.message_type || message.length != fragment.message_length
        });
        if contradicts {
            self.forget(sequence);
        }
        let message = self.messages.entry(sequence).or_insert_with(|| Message {
            message_type: fragment.message_type,
            length: fragment.message_length,
            covered: Vec::new(),
        });
        message.cover(fragment.offset, fragment.end())
    }

    /// Drops a message and the records that start with it.
    fn forget(&mut self, sequence: u16) {
        self.messages.remove(&sequence);
        self.records.retain(
            |(place, _)| !matches!(place, Place::Message { sequence: held, .. } if *held == sequence),
        );
        self.bytes = self.records.iter().map(|(_, bytes)| bytes.len()).sum();
    }

    /// How many messages are complete, counted from the first of the flight without a gap.
    fn complete_messages(&self) -> u16 {
        let mut count = 0;
        while self.message(count).is_some_and(Message::is_complete) {
            count += 1;
        }
        count
    }

    fn message(&self, index: u16) -> Option<&Message> {
        self.messages.get(&self.first_message.checked_add(index)?)
    }

    /// Whether a message of this type is among the first `count`.
    fn has(&self, message_type: u8, count: u16) -> bool {
        self.find(message_type, count).is_some()
    }

    fn find(&self, message_type: u8, count: u16) -> Option<&Message> {
        (0..count)
            .filter_map(|index| self.message(index))
            .find(|message| message.message_type == message_type)
    }

    fn is_complete(&self) -> bool {
        let count = self.complete_messages();
        let ended = self.change_cipher_spec && self.finished;
        match self.awaited {
            Awaited::ClientHello => {
                self.message(0).is_some_and(|m| m.message_type == CLIENT_HELLO) && count > 0
            }
            Awaited::ServerHelloDone => {
                self.has(SERVER_HELLO_DONE, count) || (count == 1 && self.has(HELLO_VERIFY_REQUEST, count))
            }
            Awaited::ClientFinished => {
                // RFC 5246 §7.4.8: the proof follows a certificate, and there is none to prove if the
                // client has none.
                let certificate = self.find(CERTIFICATE, count);
                let proves = certificate.is_some_and(|message| message.length > EMPTY_CERTIFICATE_LENGTH);
                let proven = !proves || self.has(CERTIFICATE_VERIFY, count);
                ended && self.has(CLIENT_KEY_EXCHANGE, count) && proven
            }
            Awaited::ServerFinished => ended,
        }
    }
}
