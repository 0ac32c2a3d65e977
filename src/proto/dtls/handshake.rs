//! The handshake of one session: OpenSSL, told what to read and when to send again.
//!
//! When it is done, the session takes the keys and lets OpenSSL's connection go (see `protection`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use openssl::error::ErrorStack;
use openssl::ssl::{ErrorCode, SslStream};
use zeroize::Zeroizing;

use super::context::new_connection;
use super::datagram_io::DatagramIo;
use super::error::DtlsError;
use super::fingerprint::Fingerprint;
use super::inbound_flight::InboundFlight;
use super::openssl_timer::{self, Expiry};
use super::protection::RecordProtection;
use super::record::{ALERT, Record, records};
use super::retransmission::{Retransmission, Step};
use super::session::{CLOSE_NOTIFY, FATAL, MAXIMUM_DATA_LENGTH, Role, SessionConfig};
use crate::proto::srtp::{KeyingMaterial, Profile};

/// From `Session::new` to connected. ICE gives up on a silent path after as long (RFC 7675 §5.1).
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);
/// A fatal alert of the handshake isn't authenticated: it ends the handshake only if nothing else
/// arrives for so long.
const ALERT_GRACE: Duration = Duration::from_secs(2);
/// Hellos that OpenSSL may refuse before the session fails. A refused one may be forged, so it is
/// forgotten with all its consequences; each costs about a tenth of a millisecond.
const MAXIMUM_REFUSED_HELLOS: u32 = 32;

/// A handshake that has not ended yet.
pub(super) struct Handshake {
    config: SessionConfig,
    stream: SslStream<DatagramIo>,
    /// Something usable has arrived, or was sent.
    has_begun: bool,
    flight: InboundFlight,
    retransmission: Retransmission,
    /// The flight in the air as it was last sent.
    sent_flight: Vec<Bytes>,
    deadline: Instant,
    /// A fatal alert that arrived unauthenticated, and when it will be believed.
    alert: Option<(u8, Instant)>,
    /// Set by the certificate check inside OpenSSL.
    mismatch: Arc<AtomicBool>,
    refused_hellos: u32,
    /// Why the last hello was refused: the reason to give if no better one comes.
    refusal: Option<DtlsError>,
}

/// What a finished handshake leaves behind.
pub(super) struct Completed {
    /// The keys.
    pub(super) protection: RecordProtection,
    /// Profile and keys of SRTP, if both sides agreed on a profile.
    pub(super) srtp: Option<(Profile, KeyingMaterial)>,
    /// The peer's certificate, which matched.
    pub(super) remote_certificate: Vec<u8>,
    /// The IANA name of the cipher suite.
    pub(super) cipher_suite: Option<&'static str>,
    /// A server's last flight, in case the client misses it.
    pub(super) final_flight: Vec<Bytes>,
    /// Data that overtook Finished and that OpenSSL has decrypted.
    pub(super) early_data: Vec<Bytes>,
    /// Records that arrived with Finished and are still encrypted.
    pub(super) early_records: Vec<Bytes>,
}

/// `None` while it goes on.
type Progress = Result<Option<Box<Completed>>, DtlsError>;

impl Handshake {
    /// Makes the connection. A client has its hello to send at once.
    pub(super) fn new(now: Instant, config: SessionConfig) -> Result<Self, DtlsError> {
        let mismatch = Arc::new(AtomicBool::new(false));
        let stream = new_stream(&config, &mismatch)?;
        let mut handshake = Self {
            flight: InboundFlight::new(config.role),
            config,
            stream,
            has_begun: false,
            retransmission: Retransmission::default(),
            sent_flight: Vec::new(),
            deadline: now + HANDSHAKE_TIMEOUT,
            alert: None,
            mismatch,
            refused_hellos: 0,
            refusal: None,
        };
        if handshake.config.role == Role::Client {
            handshake.drive(now, &[])?;
        }
        Ok(handshake)
    }

    /// Whether something usable has arrived, or was sent.
    pub(super) fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Acts on what is due: retransmission, or giving up.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsError> {
        if let Some((description, believed_at)) = self.alert
            && believed_at <= now
        {
            return Err(DtlsError::PeerAlert { description });
        }
        if self.deadline <= now {
            return Err(self.refusal.take().unwrap_or(DtlsError::HandshakeTimeout));
        }
        match self.retransmission.take_due(now) {
            Some(Step::Retransmit) => self.retransmit()?,
            Some(Step::Copy) => self.stream.get_mut().queue_copies(&self.sent_flight),
            None => {}
        }
        Ok(())
    }

    /// When `handle_timeout` must be called next.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let alert = self.alert.map(|(_, believed_at)| believed_at);
        [Some(self.deadline), self.retransmission.next(), alert].into_iter().flatten().min()
    }

    /// The next datagram to send.
    pub(super) fn poll_transmit(&mut self) -> Option<Bytes> {
        self.stream.get_mut().poll_outbound()
    }

    /// Takes a datagram of the peer.
    pub(super) fn handle_packet(&mut self, now: Instant, datagram: &[u8]) -> Progress {
        for record in records(datagram) {
            if record.content_type == ALERT && record.epoch == 0 {
                self.note_alert(now, &record);
            } else {
                self.flight.insert(&record);
            }
        }
        let Some(records) = self.flight.take_if_complete() else {
            return Ok(None);
        };
        if self.retransmission.is_running() {
            self.hold_timer()?;
        }
        for record in &records {
            self.stream.get_mut().push(record.clone());
        }
        self.drive(now, &records)
    }

    /// RFC 6347 §4.1.2.7: alerts of epoch 0 can be forged. The first fatal one is remembered.
    fn note_alert(&mut self, now: Instant, record: &Record<'_>) {
        if let &[level, description] = record.body
            && (level == FATAL || description == CLOSE_NOTIFY)
            && self.alert.is_none()
            // Before we sent anything there is nothing to complain about.
            && self.has_begun
        {
            self.alert = Some((description, now + ALERT_GRACE));
        }
    }

    /// Makes OpenSSL readable: see `openssl_timer`.
    fn hold_timer(&mut self) -> Result<(), DtlsError> {
        if !self.retransmission.can_expire() {
            return Err(DtlsError::HandshakeTimeout);
        }
        self.stream.get_mut().discard();
        match openssl_timer::hold(&mut self.stream) {
            Expiry::Resent => self.retransmission.count_expiry(),
            // Still held since an earlier flight that turned out to be none.
            Expiry::NotExpired => {}
            Expiry::Failed => return Err(DtlsError::Handshake(ErrorStack::get())),
        }
        Ok(())
    }

    /// Lets OpenSSL go on until it has written a flight, wants to read more, or is done. `shown` is what
    /// was put in front of it.
    fn drive(&mut self, now: Instant, shown: &[Bytes]) -> Progress {
        let queued = self.stream.get_ref().outbound_length();
        self.stream.get_mut().resume();
        let result = self.stream.do_handshake();
        let io = self.stream.get_mut();
        match result {
            Ok(()) => return self.finish(queued, shown).map(|completed| Some(Box::new(completed))),
            Err(error) if io.is_at_end_of_flight() || error.code() == ErrorCode::WANT_READ => {}
            Err(error) => return self.refuse(error_stack(&error)).map(|()| None),
        }
        io.clear_inbound();
        let progressed = io.wrote();
        if progressed {
            // A client's first flight answers nothing.
            if self.has_begun || self.config.role == Role::Server {
                self.flight.advance();
            }
            self.has_begun = true;
            self.alert = None;
            self.sent_flight = io.outbound_since(queued);
            self.retransmission.start(now);
        } else {
            // What looked complete wasn't the peer's flight. It will send it again.
            self.flight.clear();
        }
        Ok(None)
    }

    /// OpenSSL refused what it read.
    fn refuse(&mut self, errors: ErrorStack) -> Result<(), DtlsError> {
        let mismatch = self.mismatch.load(Ordering::Relaxed);
        let error = if mismatch { DtlsError::FingerprintMismatch } else { DtlsError::Handshake(errors) };
        let is_first_hello = !self.has_begun && self.config.role == Role::Server;
        self.refused_hellos += 1;
        if !is_first_hello || self.refused_hellos > MAXIMUM_REFUSED_HELLOS {
            return Err(error);
        }
        // A hello, from anyone who can send from the peer's address. Start over as if it hadn't been,
        // without the alert: the real peer would take it for its own.
        self.refusal = Some(error);
        self.flight = InboundFlight::new(self.config.role);
        self.stream = new_stream(&self.config, &self.mismatch)?;
        Ok(())
    }

    /// Takes from OpenSSL what is needed from here on.
    fn finish(&mut self, queued: usize, shown: &[Bytes]) -> Result<Completed, DtlsError> {
        let certificate = self.stream.ssl().peer_certificate().ok_or(DtlsError::NoPeerCertificate)?;
        let remote_certificate = certificate.to_der()?;
        // Checked in the handshake already; not believing that costs a hash.
        if !Fingerprint::any_matches(&self.config.remote_fingerprints, &remote_certificate) {
            return Err(DtlsError::FingerprintMismatch);
        }
        let io = self.stream.get_mut();
        io.pass();
        let final_flight =
            if self.config.role == Role::Server { io.outbound_since(queued) } else { Vec::new() };
        let early_records: Vec<Bytes> = std::iter::from_fn(|| io.take_inbound()).collect();
        // Both sides have sent Finished, which is encrypted.
        let last_sealed = io.last_sealed().ok_or(DtlsError::UnexpectedCipherSuite)?;
        let early_data = self.read_buffered();
        let ssl = self.stream.ssl();
        let mut protection = RecordProtection::take_over(ssl, self.config.role, last_sealed)?;
        // What OpenSSL has read must not be taken a second time: its numbers are marked by opening it.
        for record in &shown[..shown.len().saturating_sub(early_records.len())] {
            if records(record).any(|record| record.may_be_encrypted()) {
                protection.open(BytesMut::from(&record[..]))?;
            }
        }
        Ok(Completed {
            protection,
            srtp: self.export_srtp()?,
            remote_certificate,
            cipher_suite: ssl.current_cipher().and_then(|cipher| cipher.standard_name()),
            final_flight,
            early_data,
            early_records,
        })
    }

    /// Data that came before Finished, as OpenSSL kept it.
    fn read_buffered(&mut self) -> Vec<Bytes> {
        let mut data = Vec::new();
        let mut buffer = vec![0; MAXIMUM_DATA_LENGTH];
        while let Ok(length @ 1..) = self.stream.ssl_read(&mut buffer) {
            data.push(Bytes::copy_from_slice(&buffer[..length]));
        }
        clear_error_queue();
        data
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

    fn retransmit(&mut self) -> Result<(), DtlsError> {
        let queued = self.stream.get_ref().outbound_length();
        self.stream.get_mut().join();
        match openssl_timer::resend(&mut self.stream) {
            Expiry::Resent => {
                self.retransmission.count_expiry();
                self.sent_flight = self.stream.get_ref().outbound_since(queued);
            }
            // Held, after something that looked like the peer's flight but wasn't.
            Expiry::NotExpired => {}
            Expiry::Failed => return Err(DtlsError::Handshake(ErrorStack::get())),
        }
        Ok(())
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
