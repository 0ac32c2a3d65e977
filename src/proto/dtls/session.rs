//! One DTLS session: the handshake by OpenSSL, then records of application data by ourselves.
//!
//! ```text
//!   New ──first flight──▶ Connecting ──Finished, fingerprint matches──▶ Connected ──close_notify──▶ Closed
//!    └──────────────┬──────────┴───────────── fatal error ──────────────────┴──▶ Failed
//! ```

use std::collections::VecDeque;
use std::fmt;
use std::time::Instant;

use bytes::{Bytes, BytesMut};

use super::certificate::Certificate;
use super::datagram_io::MAXIMUM_QUEUED_DATAGRAMS;
use super::error::DtlsError;
use super::fingerprint::Fingerprint;
use super::handshake::{Completed, Handshake};
use super::protection::{RECORD_OVERHEAD, RecordProtection};
use super::record::{ALERT, APPLICATION_DATA, FINISHED, HANDSHAKE, records};
use crate::proto::srtp::{KeyingMaterial, Profile};

/// How often a connected server answers the client's repeated Finished with its own last flight, which was
/// lost then. A client gives up sooner.
const MAXIMUM_LATE_ANSWERS: u32 = 11;
/// Data that waits to be polled. More records than that don't fit into a datagram; whoever polls after
/// each one loses nothing.
const MAXIMUM_EVENTS: usize = 2048;
/// RFC 5246 §6.2.1: a record's plaintext.
pub(super) const MAXIMUM_DATA_LENGTH: usize = 1 << 14;
/// The MTU that OpenSSL can work with at least, and the largest record.
const MTU_RANGE: std::ops::RangeInclusive<usize> = 256..=1 << 14;
/// `AlertLevel` and `AlertDescription` (RFC 5246 §7.2).
const WARNING: u8 = 1;
pub(super) const FATAL: u8 = 2;
pub(super) const CLOSE_NOTIFY: u8 = 0;

/// Who starts the handshake (RFC 8842: `a=setup:active` is the client).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Sends the first hello.
    Client,
    /// Waits for it.
    Server,
}

/// What a session needs to know.
#[derive(Debug, Clone)]
pub struct SessionConfig {
    /// Ours.
    pub certificate: Certificate,
    /// Client or server.
    pub role: Role,
    /// From the peer's description. The peer's certificate must match one of them.
    pub remote_fingerprints: Vec<Fingerprint>,
    /// The largest datagram of the handshake, without IP and UDP headers. 1,200 suits every path.
    pub mtu: usize,
    /// Best first. A server picks the first of these that the client offers.
    pub srtp_profiles: Vec<Profile>,
}

/// `RTCDtlsTransportState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Nothing usable arrived yet (server).
    New,
    /// The handshake goes on.
    Connecting,
    /// The peer is who its fingerprint says.
    Connected,
    /// Ended by either side's close_notify.
    Closed,
    /// Ended by an error.
    Failed,
}

/// What happened in a session.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// The handshake is done and the certificate matched.
    Connected {
        /// Profile and keys, if both sides agreed on a profile. Without, no media can flow.
        srtp: Option<(Profile, KeyingMaterial)>,
    },
    /// One record of application data.
    ApplicationData(Bytes),
    /// The peer closed the session.
    Closed,
    /// The session ended with an error.
    Failed(DtlsError),
}

/// A DTLS session.
pub struct Session {
    role: Role,
    phase: Phase,
    events: VecDeque<Event>,
    outbound: VecDeque<Bytes>,
    /// The peer's, once connected.
    remote_certificate: Option<Box<[u8]>>,
    cipher_suite: Option<&'static str>,
    dropped: u64,
}

enum Phase {
    Handshaking(Box<Handshake>),
    Connected(Box<Connected>),
    Closed,
    Failed,
}

/// What is left of OpenSSL's work after the handshake.
struct Connected {
    protection: RecordProtection,
    /// A server's last flight, as it was sent.
    final_flight: Vec<Bytes>,
    late_answers: u32,
}

impl Session {
    /// How much longer a record is than the data in it.
    pub const RECORD_OVERHEAD: usize = RECORD_OVERHEAD;

    /// Makes a session. A client has its hello to send at once, so make it when ICE has a pair: the
    /// handshake's 30 s begin now.
    pub fn new(now: Instant, config: SessionConfig) -> Result<Self, DtlsError> {
        if config.remote_fingerprints.is_empty() {
            return Err(DtlsError::NoFingerprint);
        }
        if !MTU_RANGE.contains(&config.mtu) {
            return Err(DtlsError::InvalidMtu(config.mtu));
        }
        let role = config.role;
        let handshake = Handshake::new(now, config)?;
        let mut session = Self {
            role,
            phase: Phase::Handshaking(Box::new(handshake)),
            events: VecDeque::new(),
            outbound: VecDeque::new(),
            remote_certificate: None,
            cipher_suite: None,
            dropped: 0,
        };
        session.take_flight();
        Ok(session)
    }

    /// Where the session stands.
    pub fn state(&self) -> State {
        match &self.phase {
            Phase::Handshaking(handshake) if handshake.has_begun() => State::Connecting,
            Phase::Handshaking(_) => State::New,
            Phase::Connected(_) => State::Connected,
            Phase::Closed => State::Closed,
            Phase::Failed => State::Failed,
        }
    }

    /// Client or server.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The peer's certificate, while connected.
    pub fn remote_certificate_der(&self) -> Option<&[u8]> {
        self.remote_certificate.as_deref().filter(|_| self.state() == State::Connected)
    }

    /// The negotiated cipher suite's IANA name, while connected.
    pub fn cipher_suite(&self) -> Option<&'static str> {
        self.cipher_suite.filter(|_| self.state() == State::Connected)
    }

    /// Encrypted records dropped since the last call: forged, replayed, or more than are polled.
    pub fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    /// Takes a datagram of the peer, from an address that ICE has validated.
    pub fn handle_packet(&mut self, now: Instant, datagram: &[u8]) {
        match &mut self.phase {
            Phase::Handshaking(handshake) => match handshake.handle_packet(now, datagram) {
                Ok(None) => self.take_flight(),
                Ok(Some(completed)) => self.finish_handshake(*completed),
                Err(error) => self.fail(error),
            },
            Phase::Connected(_) => self.handle_records(BytesMut::from(datagram)),
            Phase::Closed | Phase::Failed => {}
        }
    }

    /// [`handle_packet`](Self::handle_packet) that decrypts in place: what it delivers are parts of `datagram`.
    pub fn handle_owned_packet(&mut self, now: Instant, datagram: BytesMut) {
        match &self.phase {
            Phase::Connected(_) => self.handle_records(datagram),
            _ => self.handle_packet(now, &datagram),
        }
    }

    /// Acts on what is due: retransmission, or giving up.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let Phase::Handshaking(handshake) = &mut self.phase {
            match handshake.handle_timeout(now) {
                Ok(()) => self.take_flight(),
                Err(error) => self.fail(error),
            }
        }
    }

    /// When `handle_timeout` must be called next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Handshaking(handshake) => handshake.poll_timeout(),
            _ => None,
        }
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Bytes> {
        self.outbound.pop_front()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Encrypts data into one record, to be polled.
    ///
    /// # Errors
    /// Unless connected; for more than 16,384 bytes; when too many datagrams wait to be polled.
    pub fn send_application_data(&mut self, data: &[u8]) -> Result<(), DtlsError> {
        if self.outbound.len() >= MAXIMUM_QUEUED_DATAGRAMS {
            return Err(DtlsError::QueueFull);
        }
        let mut record = BytesMut::zeroed(data.len() + RECORD_OVERHEAD);
        let length = self.seal_application_data(data, &mut record)?;
        if length > 0 {
            self.outbound.push_back(record.freeze());
        }
        Ok(())
    }

    /// Encrypts data into one record at the front of `buffer`, which must be [`Self::RECORD_OVERHEAD`] bytes
    /// longer than that, and returns its length; 0 for no data, which nothing above DTLS sends.
    ///
    /// # Errors
    /// Unless connected; for more than 16,384 bytes, or than there is room for.
    pub fn seal_application_data(&mut self, data: &[u8], buffer: &mut [u8]) -> Result<usize, DtlsError> {
        let Phase::Connected(connected) = &mut self.phase else {
            return Err(DtlsError::NotConnected);
        };
        if data.len() > MAXIMUM_DATA_LENGTH {
            return Err(DtlsError::TooLarge(data.len()));
        }
        if data.is_empty() {
            return Ok(0);
        }
        connected.protection.seal(APPLICATION_DATA, data, buffer)
    }

    /// Ends the session: tells the peer if there is one. Nothing is reported.
    pub fn close(&mut self) {
        match self.phase {
            Phase::Connected(_) => self.send_close_notify(),
            Phase::Handshaking(_) => {}
            Phase::Closed | Phase::Failed => return,
        }
        self.phase = Phase::Closed;
    }

    /// Queues what the handshake has to send.
    fn take_flight(&mut self) {
        let Phase::Handshaking(handshake) = &mut self.phase else { return };
        while let Some(datagram) = handshake.poll_transmit() {
            if self.outbound.len() < MAXIMUM_QUEUED_DATAGRAMS {
                self.outbound.push_back(datagram);
            }
        }
    }

    fn finish_handshake(&mut self, completed: Completed) {
        self.take_flight();
        let Completed { protection, final_flight, .. } = completed;
        // OpenSSL's connection goes here, with its buffers.
        self.phase = Phase::Connected(Box::new(Connected { protection, final_flight, late_answers: 0 }));
        self.remote_certificate = Some(completed.remote_certificate.into());
        self.cipher_suite = completed.cipher_suite;
        self.events.push_back(Event::Connected { srtp: completed.srtp });
        for data in completed.early_data {
            self.deliver(data);
        }
        for record in completed.early_records {
            self.handle_records(BytesMut::from(&record[..]));
        }
    }

    /// Once connected, only encrypted records count: hellos and alerts of epoch 0 are anybody's.
    fn handle_records(&mut self, mut datagram: BytesMut) {
        loop {
            let next = records(&datagram).next();
            let Some((length, may_be_encrypted)) =
                next.map(|record| (record.bytes.len(), record.may_be_encrypted()))
            else {
                return;
            };
            let record = datagram.split_to(length);
            if may_be_encrypted {
                self.read_record(record);
            }
        }
    }

    fn read_record(&mut self, record: BytesMut) {
        let Phase::Connected(connected) = &mut self.phase else { return };
        match connected.protection.open(record) {
            Ok(Some((APPLICATION_DATA, data))) => self.deliver(data.freeze()),
            Ok(Some((ALERT, alert))) => self.handle_alert(&alert),
            Ok(Some((HANDSHAKE, message))) => self.handle_late_handshake(&message),
            Ok(Some(_)) => {}
            Ok(None) => self.dropped += 1,
            Err(error) => self.fail(error.into()),
        }
    }

    fn deliver(&mut self, data: Bytes) {
        if self.events.len() < MAXIMUM_EVENTS {
            self.events.push_back(Event::ApplicationData(data));
        } else {
            self.dropped += 1;
        }
    }

    /// RFC 5246 §7.2.1: a close_notify is answered with one.
    fn handle_alert(&mut self, alert: &[u8]) {
        match *alert {
            [_, CLOSE_NOTIFY] => {
                self.send_close_notify();
                self.phase = Phase::Closed;
                self.events.push_back(Event::Closed);
            }
            [FATAL, description] => self.fail(DtlsError::PeerAlert { description }),
            _ => {}
        }
    }

    /// RFC 6347 §4.2.4: who sent the last flight answers repetitions of the one before. Renegotiation, the
    /// other thing a handshake message could want, is refused by silence.
    fn handle_late_handshake(&mut self, message: &[u8]) {
        let Phase::Connected(connected) = &mut self.phase else { return };
        if message.first() != Some(&FINISHED) || connected.late_answers >= MAXIMUM_LATE_ANSWERS {
            return;
        }
        connected.late_answers += 1;
        // The client misses it, so the same bytes are no replay to it. Lost again: two copies have a better
        // chance.
        let copies = if connected.late_answers > 1 { 2 } else { 1 };
        for datagram in std::iter::repeat_n(&connected.final_flight, copies).flatten() {
            if self.outbound.len() < MAXIMUM_QUEUED_DATAGRAMS {
                self.outbound.push_back(datagram.clone());
            }
        }
    }

    fn send_close_notify(&mut self) {
        let Phase::Connected(connected) = &mut self.phase else { return };
        let alert = [WARNING, CLOSE_NOTIFY];
        let mut record = BytesMut::zeroed(alert.len() + RECORD_OVERHEAD);
        // What can go wrong doesn't matter any more.
        if connected.protection.seal(ALERT, &alert, &mut record).is_ok() {
            self.outbound.push_back(record.freeze());
        }
    }

    fn fail(&mut self, error: DtlsError) {
        // The alert that says why must still leave.
        self.take_flight();
        self.phase = Phase::Failed;
        self.events.push_back(Event::Failed(error));
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Session")
            .field("role", &self.role)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
