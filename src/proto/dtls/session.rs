//! One DTLS session: the handshake, then records of application data.
//!
//! ```text
//!   New ──first flight──▶ Connecting ──Finished, fingerprint matches──▶ Connected ──close_notify──▶ Closed
//!    └──────────────┬──────────┴───────────── fatal error ──────────────────┴──▶ Failed
//! ```

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use openssl::error::ErrorStack;
use openssl::ssl::{ErrorCode, SslStream};
use zeroize::Zeroizing;

use super::certificate::Certificate;
use super::context::new_connection;
use super::datagram_io::DatagramIo;
use super::error::DtlsError;
use super::fingerprint::Fingerprint;
use super::inbound_flight::InboundFlight;
use super::openssl_timer::{self, Expiry};
use super::record::{ALERT, APPLICATION_DATA, HANDSHAKE, Record, records};
use super::retransmission::{Retransmission, Step};
use crate::proto::srtp::{KeyingMaterial, Profile};

/// From `Session::new` to connected. ICE gives up on a silent path after as long (RFC 7675 §5.1).
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);
/// A fatal alert of the handshake isn't authenticated: it ends the handshake only if nothing else
/// arrives for so long.
const ALERT_GRACE: Duration = Duration::from_secs(2);
/// Hellos that OpenSSL may refuse before the session fails. A refused one may be forged, so it is
/// forgotten with all its consequences; each costs about a tenth of a millisecond.
const MAXIMUM_REFUSED_HELLOS: u32 = 32;
/// How often a connected server answers handshake records: to the client's Finished with its own last
/// flight, which was lost then. OpenSSL ends the session at the 13th, so it sees fewer.
const MAXIMUM_LATE_ANSWERS: u32 = 11;
/// Data that waits to be polled. More records than that don't fit into a datagram; whoever polls after
/// each one loses nothing.
const MAXIMUM_EVENTS: usize = 2048;
/// RFC 5246 §6.2.1: a record's plaintext.
const MAXIMUM_DATA_LENGTH: usize = 1 << 14;
/// The MTU that OpenSSL can work with at least, and the largest record.
const MTU_RANGE: std::ops::RangeInclusive<usize> = 256..=1 << 14;
/// `AlertLevel.fatal` and `AlertDescription.close_notify` (RFC 5246 §7.2).
const FATAL: u8 = 2;
const CLOSE_NOTIFY: u8 = 0;

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
    config: SessionConfig,
    stream: SslStream<DatagramIo>,
    state: State,
    events: VecDeque<Event>,
    flight: InboundFlight,
    retransmission: Retransmission,
    /// The flight in the air as it was last sent.
    sent_flight: Vec<Bytes>,
    handshake_deadline: Instant,
    /// A fatal alert that arrived unauthenticated, and when it will be believed.
    alert: Option<(u8, Instant)>,
    /// Set by the certificate check inside OpenSSL.
    mismatch: Arc<AtomicBool>,
    refused_hellos: u32,
    /// Why the last hello was refused: the reason to give if no better one comes.
    refusal: Option<DtlsError>,
    late_answers: u32,
}

impl Session {
    /// Makes a session. A client has its hello to send at once, so make it when ICE has a pair: the
    /// handshake's 30 s begin now.
    pub fn new(now: Instant, config: SessionConfig) -> Result<Self, DtlsError> {
        if config.remote_fingerprints.is_empty() {
            return Err(DtlsError::NoFingerprint);
        }
        if !MTU_RANGE.contains(&config.mtu) {
            return Err(DtlsError::InvalidMtu(config.mtu));
        }
        let mismatch = Arc::new(AtomicBool::new(false));
        let stream = new_stream(&config, &mismatch)?;
        let mut session = Self {
            flight: InboundFlight::new(config.role),
            config,
            stream,
            state: State::New,
            events: VecDeque::new(),
            retransmission: Retransmission::default(),
            sent_flight: Vec::new(),
            handshake_deadline: now + HANDSHAKE_TIMEOUT,
            alert: None,
            mismatch,
            refused_hellos: 0,
            refusal: None,
            late_answers: 0,
        };
        if session.config.role == Role::Client {
            session.drive_handshake(now);
        }
        Ok(session)
    }

    /// Where the session stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// Client or server.
    pub fn role(&self) -> Role {
        self.config.role
    }

    /// The peer's certificate, once connected.
    pub fn remote_certificate_der(&self) -> Option<Vec<u8>> {
        if self.state != State::Connected {
            return None;
        }
        self.stream.ssl().peer_certificate()?.to_der().ok()
    }

    /// The negotiated cipher suite's IANA name, once connected.
    pub fn cipher_suite(&self) -> Option<&'static str> {
        if self.state != State::Connected {
            return None;
        }
        self.stream.ssl().current_cipher()?.standard_name()
    }

    /// Takes a datagram of the peer, from an address that ICE has validated.
    pub fn handle_packet(&mut self, now: Instant, datagram: &[u8]) {
        self.handle_datagram(now, &Bytes::copy_from_slice(datagram));
    }

    /// The same, without a copy.
    pub fn handle_datagram(&mut self, now: Instant, datagram: &Bytes) {
        match self.state {
            State::New | State::Connecting => self.handle_handshake_packet(now, datagram),
            State::Connected => self.handle_connected_packet(datagram),
            State::Closed | State::Failed => {}
        }
    }

    /// Acts on what is due: retransmission, or giving up.
    pub fn handle_timeout(&mut self, now: Instant) {
        if !matches!(self.state, State::New | State::Connecting) {
            return;
        }
        if let Some((description, believed_at)) = self.alert
            && believed_at <= now
        {
            return self.fail(DtlsError::PeerAlert { description });
        }
        if self.handshake_deadline <= now {
            let error = self.refusal.take().unwrap_or(DtlsError::HandshakeTimeout);
            return self.fail(error);
        }
        match self.retransmission.take_due(now) {
            Some(Step::Retransmit) => self.retransmit(),
            Some(Step::Copy) => self.stream.get_mut().queue_copies(&self.sent_flight),
            None => {}
        }
    }

    /// When `handle_timeout` must be called next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if !matches!(self.state, State::New | State::Connecting) {
            return None;
        }
        let alert = self.alert.map(|(_, believed_at)| believed_at);
        [Some(self.handshake_deadline), self.retransmission.next(), alert].into_iter().flatten().min()
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Bytes> {
        self.stream.get_mut().poll_outbound()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Encrypts data into one record.
    pub fn send_application_data(&mut self, data: &[u8]) -> Result<(), DtlsError> {
        if self.state != State::Connected {
            return Err(DtlsError::NotConnected);
        }
        if data.len() > MAXIMUM_DATA_LENGTH {
            return Err(DtlsError::TooLarge(data.len()));
        }
        if self.stream.get_ref().is_outbound_full() {
            return Err(DtlsError::QueueFull);
        }
        if data.is_empty() {
            // OpenSSL has no empty records, and nothing above DTLS sends any.
            return Ok(());
        }
        clear_error_queue();
        match self.stream.ssl_write(data) {
            Ok(_) => Ok(()),
            Err(error) => {
                let error = DtlsError::Session(error_stack(&error));
                self.fail(error.clone());
                Err(error)
            }
        }
    }

    /// Ends the session: tells the peer if there is one. Nothing is reported.
    pub fn close(&mut self) {
        match self.state {
            State::Connected => {
                self.send_close_notify();
                self.state = State::Closed;
            }
            State::New | State::Connecting => self.state = State::Closed,
            State::Closed | State::Failed => {}
        }
    }

    fn handle_handshake_packet(&mut self, now: Instant, datagram: &[u8]) {
        for record in records(datagram) {
            if record.content_type == ALERT && record.epoch == 0 {
                self.note_alert(now, &record);
            } else {
                self.flight.insert(&record);
            }
        }
        let Some(records) = self.flight.take_if_complete() else {
            return;
        };
        if self.retransmission.is_running() && !self.hold_timer() {
            return;
        }
        for record in records {
            self.stream.get_mut().push(record);
        }
        self.drive_handshake(now);
    }

    /// RFC 6347 §4.1.2.7: alerts of epoch 0 can be forged. The first fatal one is remembered.
    fn note_alert(&mut self, now: Instant, record: &Record<'_>) {
        if let &[level, description] = record.body
            && (level == FATAL || description == CLOSE_NOTIFY)
            && self.alert.is_none()
            // Before we sent anything there is nothing to complain about.
            && self.state == State::Connecting
        {
            self.alert = Some((description, now + ALERT_GRACE));
        }
    }

    /// Makes OpenSSL readable: see `openssl_timer`.
    fn hold_timer(&mut self) -> bool {
        if !self.retransmission.can_expire() {
            self.fail(DtlsError::HandshakeTimeout);
            return false;
        }
        self.stream.get_mut().discard();
        match openssl_timer::hold(&mut self.stream) {
            Expiry::Resent => self.retransmission.count_expiry(),
            // Still held since an earlier flight that turned out to be none.
            Expiry::NotExpired => {}
            Expiry::Failed => {
                self.fail(DtlsError::Handshake(ErrorStack::get()));
                return false;
            }
        }
        true
    }

    /// Lets OpenSSL go on until it has written a flight, wants to read more, or is done.
    fn drive_handshake(&mut self, now: Instant) {
        let queued = self.stream.get_ref().outbound_length();
        self.stream.get_mut().resume();
        let result = self.stream.do_handshake();
        let io = self.stream.get_mut();
        match result {
            Ok(()) => return self.finish_handshake(),
            Err(error) if io.is_at_end_of_flight() || error.code() == ErrorCode::WANT_READ => {}
            Err(error) => return self.refuse(error_stack(&error)),
        }
        io.clear_inbound();
        let progressed = io.wrote();
        if progressed {
            // A client's first flight answers nothing.
            if self.state == State::Connecting || self.config.role == Role::Server {
                self.flight.advance();
            }
            self.state = State::Connecting;
            self.alert = None;
            self.sent_flight = io.outbound_since(queued);
            self.retransmission.start(now);
        } else {
            // What looked complete wasn't the peer's flight. It will send it again.
            self.flight.clear();
        }
    }

    /// OpenSSL refused what it read.
    fn refuse(&mut self, errors: ErrorStack) {
        let mismatch = self.mismatch.load(Ordering::Relaxed);
        let error = if mismatch { DtlsError::FingerprintMismatch } else { DtlsError::Handshake(errors) };
        let is_first_hello = self.state == State::New && self.config.role == Role::Server;
        self.refused_hellos += 1;
        if !is_first_hello || self.refused_hellos > MAXIMUM_REFUSED_HELLOS {
            return self.fail(error);
        }
        // A hello, from anyone who can send from the peer's address. Start over as if it hadn't been,
        // without the alert: the real peer would take it for its own.
        self.refusal = Some(error);
        self.flight = InboundFlight::new(self.config.role);
        match new_stream(&self.config, &self.mismatch) {
            Ok(stream) => self.stream = stream,
            Err(error) => self.fail(error),
        }
    }

    fn finish_handshake(&mut self) {
        self.retransmission.stop();
        self.sent_flight = Vec::new();
        self.flight = InboundFlight::new(self.config.role);
        self.stream.get_mut().pass();
        let verified = self.stream.ssl().peer_certificate().ok_or(DtlsError::NoPeerCertificate);
        let verified = verified.and_then(|certificate| {
            // Checked in the handshake already; not believing that costs a hash.
            let matches = Fingerprint::any_matches(&self.config.remote_fingerprints, &certificate.to_der()?);
            if matches { Ok(()) } else { Err(DtlsError::FingerprintMismatch) }
        });
        match verified.and_then(|()| self.export_srtp()) {
            Ok(srtp) => {
                self.state = State::Connected;
                self.alert = None;
                self.refusal = None;
                self.events.push_back(Event::Connected { srtp });
                // Data may have overtaken Finished.
                while let Some(record) = self.stream.get_mut().take_inbound() {
                    self.read_record(record);
                }
            }
            Err(error) => self.fail(error),
        }
    }

    /// RFC 5764 §4.2.
    fn export_srtp(&self) -> Result<Option<(Profile, KeyingMaterial)>, DtlsError> {
        let ssl = self.stream.ssl();
        let profile = ssl
            .selected_srtp_profile()
            .and_then(|selected| u16::try_from(selected.id().as_raw()).ok())
            .and_then(Profile::from_id);
        let Some(profile) = profile else {
            return Ok(None);
        };
        let mut exported = Zeroizing::new(vec![0; KeyingMaterial::exported_length(profile)]);
        ssl.export_keying_material(&mut exported, KeyingMaterial::EXPORTER_LABEL, None)?;
        let is_client = self.config.role == Role::Client;
        // The length is the one asked for, so cutting can't fail.
        Ok(KeyingMaterial::from_exported(profile, is_client, &exported).ok().map(|keys| (profile, keys)))
    }

    /// Once connected, only encrypted records count: hellos and alerts of epoch 0 are anybody's.
    fn handle_connected_packet(&mut self, datagram: &Bytes) {
        for record in records(datagram).filter(Record::may_be_encrypted) {
            let bytes = datagram.slice_ref(record.bytes);
            match record.content_type {
                APPLICATION_DATA | ALERT => self.read_record(bytes),
                // RFC 6347 §4.2.4: who sent the last flight answers repetitions of the one before.
                HANDSHAKE if self.config.role == Role::Server => self.read_late_handshake_record(bytes),
                _ => {}
            }
        }
    }

    fn read_late_handshake_record(&mut self, record: Bytes) {
        if self.late_answers >= MAXIMUM_LATE_ANSWERS {
            return;
        }
        let queued = self.stream.get_ref().outbound_length();
        self.stream.get_mut().join();
        self.read_record(record);
        self.stream.get_mut().pass();
        let answer = self.stream.get_ref().outbound_since(queued);
        if answer.is_empty() {
            // Forged records have no answer, so they don't count.
            return;
        }
        self.late_answers += 1;
        if self.late_answers > 1 {
            // Lost again: two copies have a better chance.
            self.stream.get_mut().queue_copies(&answer);
        }
    }

    /// Has OpenSSL read one record. A plaintext is shorter than its record, so one read takes all of it.
    fn read_record(&mut self, record: Bytes) {
        if self.state != State::Connected {
            return;
        }
        let mut buffer = BytesMut::zeroed(record.len().min(MAXIMUM_DATA_LENGTH));
        self.stream.get_mut().push(record);
        clear_error_queue();
        match self.stream.ssl_read(&mut buffer) {
            Ok(length) => {
                buffer.truncate(length);
                if self.events.len() < MAXIMUM_EVENTS {
                    self.events.push_back(Event::ApplicationData(buffer.freeze()));
                }
            }
            Err(error) => match error.code() {
                ErrorCode::WANT_READ => {}
                ErrorCode::ZERO_RETURN => self.closed_by_peer(),
                _ => self.fail(DtlsError::Session(error_stack(&error))),
            },
        }
    }

    /// RFC 5246 §7.2.1: a close_notify is answered with one.
    fn closed_by_peer(&mut self) {
        self.send_close_notify();
        self.state = State::Closed;
        self.events.push_back(Event::Closed);
    }

    fn send_close_notify(&mut self) {
        // What can go wrong doesn't matter any more; the library's error queue must be emptied though.
        if self.stream.shutdown().is_err() {
            clear_error_queue();
        }
    }

    fn retransmit(&mut self) {
        let queued = self.stream.get_ref().outbound_length();
        self.stream.get_mut().join();
        match openssl_timer::resend(&mut self.stream) {
            Expiry::Resent => {
                self.retransmission.count_expiry();
                self.sent_flight = self.stream.get_ref().outbound_since(queued);
            }
            // Held, after something that looked like the peer's flight but wasn't.
            Expiry::NotExpired => {}
            Expiry::Failed => self.fail(DtlsError::Handshake(ErrorStack::get())),
        }
    }

    fn fail(&mut self, error: DtlsError) {
        if matches!(self.state, State::Closed | State::Failed) {
            return;
        }
        self.state = State::Failed;
        self.retransmission.stop();
        self.events.push_back(Event::Failed(error));
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Session")
            .field("role", &self.config.role)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

fn new_stream(
    config: &SessionConfig,
    mismatch: &Arc<AtomicBool>,
) -> Result<SslStream<DatagramIo>, DtlsError> {
    let connection = new_connection(config, mismatch)?;
    let mut stream = SslStream::new(connection, DatagramIo::new(config.role, config.mtu))?;
    openssl_timer::install(&mut stream);
    Ok(stream)
}

/// OpenSSL takes any error in the thread's queue, whoever left it, for one of the next call.
fn clear_error_queue() {
    ErrorStack::get();
}

/// What OpenSSL said about a failure; its queue is emptied if it wasn't.
fn error_stack(error: &openssl::ssl::Error) -> ErrorStack {
    error.ssl_error().cloned().unwrap_or_else(ErrorStack::get)
}
