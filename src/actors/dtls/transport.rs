//! The keys of one peer at work: decrypts what comes in, encrypts what goes out.

use std::{cell::RefCell, rc::Rc, sync::Arc, time::Instant};

use bytes::Bytes;

use crate::{
    actors::{
        kit::{
            self, ActorKind, Doorbell, DropReason, DtlsLabel, Gauge, LaneKind, LaneReceiver, LaneSender,
            Metered, TrackedGauge, Work,
        },
        lanes::{RtcpCompound, data_lane},
        network::{Egress, Inbound, Route, SocketSet},
        sections::Sections,
        traffic::TrafficCounters,
    },
    messages::{
        dtls::{DtlsEvent, StartDtls},
        ice::SelectedRoute,
        rtp::OutgoingLot,
        sctp::SctpSink,
        statistics::DtlsStatistics,
    },
    proto::{
        demux::{self, PacketKind},
        dtls::{Certificate, Event, Fingerprint, Role, Session, SessionConfig},
        prefetch::Reach,
        srtp,
    },
};

/// Datagram size that reaches every peer, also through tunnels (RFC 8261 §4 advises 1,200 bytes).
const DTLS_MTU: usize = 1_200;

/// SCTP packets that wait for an association: INIT and its repetitions. A peer that knows of none on our side
/// sends nothing else.
const EARLY_DATA: usize = 16;

/// What the actor needs from its surroundings.
pub struct DtlsEnvironment {
    /// Our certificate.
    pub certificate: Certificate,
    /// The shard's send queue.
    pub egress: Rc<RefCell<Egress>>,
    /// Sockets a route may name.
    pub sockets: SocketSet,
    /// Hears about the handshake. Holds its owner weakly: a child does not keep its parent alive.
    pub report: Rc<dyn Fn(DtlsEvent)>,
    /// Handshake and data records.
    pub dtls: LaneReceiver<Inbound>,
    /// Protected RTP and RTCP of the peer.
    pub media: LaneReceiver<Inbound>,
    /// RTP of our senders.
    pub outbound_rtp: LaneReceiver<OutgoingLot>,
    /// RTCP of our senders and receivers.
    pub outbound_rtcp: LaneReceiver<RtcpCompound>,
}

/// The lanes of this actor, as its bell names them.
pub(super) mod rings {
    pub(in super::super) const DTLS: u32 = 1;
    pub(in super::super) const MEDIA: u32 = 1 << 1;
    pub(in super::super) const OUTBOUND_RTP: u32 = 1 << 2;
    pub(in super::super) const OUTBOUND_RTCP: u32 = 1 << 3;
    pub(in super::super) const OUTBOUND_SCTP: u32 = 1 << 4;
}

pub(super) struct Keys {
    inbound: srtp::Inbound,
    pub(super) outbound: srtp::Outbound,
}

enum Phase {
    /// The peer's fingerprints are not known yet.
    New,
    /// The remote description is applied; the handshake waits for a route.
    Ready { role: Role, fingerprints: Vec<Fingerprint> },
    /// The handshake runs, or has run.
    Running(Box<Session>),
    /// Over.
    Closed,
}

/// One peer's security context.
pub struct SecureTransport {
    pub(super) environment: DtlsEnvironment,
    /// Lanes that may have something.
    pub(super) rung: u32,
    /// The session may have something to say: packets, events or another deadline.
    is_session_touched: bool,
    /// When the session wants to be called.
    session_deadline: Option<Instant>,
    phase: Phase,
    pub(super) keys: Option<Keys>,
    gauge: TrackedGauge,
    pub(super) route: Option<Route>,
    sections: Sections,
    pub(super) traffic: TrafficCounters,
    inbox: Vec<Inbound>,
    pub(super) outgoing: Vec<OutgoingLot>,
    pub(super) outgoing_rtcp: Vec<RtcpCompound>,
    /// Where application data goes.
    sctp: Option<Arc<dyn SctpSink>>,
    /// SCTP packets to encrypt, and the way in.
    outbound_sctp: (LaneSender<Bytes>, LaneReceiver<Bytes>),
    /// SCTP packets of this turn, each way.
    data: Vec<Bytes>,
    /// What came before there was an association: the peer's may be quicker.
    early_data: Vec<Bytes>,
}

impl SecureTransport {
    /// Without a session: [`SecureTransport::start`] and a route begin the handshake.
    pub(super) fn new(bell: &Doorbell, environment: DtlsEnvironment) -> Self {
        let outbound_sctp = data_lane(LaneKind::OutboundSctp);
        environment.dtls.rings(bell, rings::DTLS);
        environment.media.rings(bell, rings::MEDIA);
        environment.outbound_rtp.rings(bell, rings::OUTBOUND_RTP);
        environment.outbound_rtcp.rings(bell, rings::OUTBOUND_RTCP);
        outbound_sctp.1.rings(bell, rings::OUTBOUND_SCTP);
        Self {
            environment,
            rung: 0,
            is_session_touched: false,
            session_deadline: None,
            phase: Phase::New,
            keys: None,
            gauge: kit::statistics().track(Gauge::DtlsState(DtlsLabel::New)),
            route: None,
            sections: Sections::default(),
            traffic: TrafficCounters::default(),
            inbox: Vec::new(),
            outgoing: Vec::new(),
            outgoing_rtcp: Vec::new(),
            sctp: None,
            outbound_sctp,
            data: Vec::new(),
            early_data: Vec::new(),
        }
    }

    /// The way out for an association: its packets become records of this session.
    pub(super) fn sctp_sink(&self) -> Arc<dyn SctpSink> {
        Arc::new(self.outbound_sctp.0.clone())
    }

    /// The handshake begins when both are there: fingerprints to check against, and a pair with
    /// consent to send over.
    fn start_when_ready(&mut self, now: Instant) {
        if self.route.is_none() {
            return;
        }
        let Phase::Ready { role, fingerprints } = &mut self.phase else { return };
        let config = SessionConfig {
            certificate: self.environment.certificate.clone(),
            role: *role,
            remote_fingerprints: std::mem::take(fingerprints),
            mtu: DTLS_MTU,
            srtp_profiles: srtp::Profile::PREFERENCE.to_vec(),
        };
        match Session::new(now, config) {
            Ok(session) => {
                self.phase = Phase::Running(Box::new(session));
                self.is_session_touched = true;
                // What came before waits in its lane: a client's first flight often overtakes the answer.
                self.rung |= rings::DTLS;
                self.gauge.set(Gauge::DtlsState(DtlsLabel::Connecting));
            }
            Err(error) => self.fail(error.to_string()),
        }
    }

    fn fail(&mut self, reason: String) {
        self.end(DtlsLabel::Failed);
        self.report(DtlsEvent::Failed(reason));
    }

    fn report(&self, event: DtlsEvent) {
        (self.environment.report)(event);
    }

    /// Nothing is decrypted, encrypted or sent any more.
    fn end(&mut self, state: DtlsLabel) {
        self.phase = Phase::Closed;
        self.keys = None;
        // What waits for keys that never come, and what still comes, is dropped and counted now.
        self.environment.dtls.close();
        self.environment.media.close();
        self.environment.outbound_rtp.close();
        self.environment.outbound_rtcp.close();
        self.outbound_sctp.1.close();
        self.gauge.set(Gauge::DtlsState(state));
    }

    /// Looks at a lane only if it has rung; `take` says whether more waits there.
    fn answer(&mut self, ring: u32, now: Instant, take: impl FnOnce(&mut Self, Instant) -> bool) -> bool {
        if self.rung & ring == 0 {
            return false;
        }
        let more = take(self, now);
        if !more {
            self.rung &= !ring;
        }
        more
    }

    fn take_dtls(&mut self, now: Instant) -> bool {
        let Phase::Running(session) = &mut self.phase else {
            return false;
        };
        self.is_session_touched = true;
        let more = self.environment.dtls.take(now, kit::INPUT_BUDGET, &mut self.inbox).more;
        for inbound in self.inbox.drain(..) {
            self.traffic.received(now, inbound.route(), inbound.payload.len());
            session.handle_owned_packet(now, inbound.payload);
        }
        kit::statistics().drop(DropReason::DtlsUnexpected, session.take_dropped());
        more
    }

    /// Encrypts what the association sends: one record, one datagram, per packet.
    fn take_sctp(&mut self, now: Instant) -> bool {
        let more = self.outbound_sctp.1.take(now, kit::INPUT_BUDGET, &mut self.data).more;
        if self.data.is_empty() {
            return more;
        }
        // The last flight of the handshake goes first.
        self.send_records();
        let statistics = kit::statistics();
        let (Phase::Running(session), Some(route)) = (&mut self.phase, &self.route) else {
            statistics.drop(DropReason::NoRoute, self.data.drain(..).len() as u64);
            return more;
        };
        let mut egress = self.environment.egress.borrow_mut();
        let (mut packets, mut bytes, mut refused, mut full) = (0, 0, 0, 0);
        for packet in self.data.drain(..) {
            let written = egress.write(route, packet.len() + Session::RECORD_OVERHEAD, |buffer| {
                // Refused: not connected yet or any more.
                session.seal_application_data(&packet, buffer).ok()
            });
            match written {
                Ok(Some(length)) => {
                    packets += 1;
                    bytes += length as u64;
                }
                Ok(None) => refused += 1,
                Err(_) => full += 1,
            }
        }
        statistics.drop(DropReason::SctpRefused, refused);
        statistics.drop(DropReason::SendQueueFull, full);
        if packets > 0 {
            statistics.packets_out(PacketKind::Dtls, packets, bytes);
            self.traffic.sent(now, packets, bytes);
        }
        more
    }

    /// Hands the application data of this turn to the association, as one lot.
    fn hand_over_data(&mut self, now: Instant) {
        if self.data.is_empty() {
            return;
        }
        match &self.sctp {
            Some(sctp) => sctp.push_all(now, &mut self.data.drain(..)),
            None => {
                let room = EARLY_DATA.saturating_sub(self.early_data.len()).min(self.data.len());
                self.early_data.extend(self.data.drain(..room));
                kit::statistics().drop(DropReason::DtlsUnexpected, self.data.drain(..).len() as u64);
            }
        }
    }

    fn take_media(&mut self, now: Instant) -> bool {
        // RFC 5764 §5.1: no SRTP is processed before the handshake ends; it waits in its lane.
        let Some(keys) = &mut self.keys else {
            return false;
        };
        let more = self.environment.media.take(now, kit::INPUT_BUDGET, &mut self.inbox).more;
        let statistics = kit::statistics();
        if !self.inbox.is_empty() {
            statistics.lot_in(self.inbox.len() as u64);
        }
        for inbound in self.inbox.drain(..) {
            self.traffic.received(now, inbound.route(), inbound.payload.len());
            let mut packet = inbound.payload;
            let result = match demux::classify(&packet) {
                PacketKind::Rtcp => keys.inbound.unprotect_rtcp(&mut packet).map(|()| {
                    self.sections.take_rtcp(now, packet.freeze());
                }),
                _ => keys.inbound.unprotect_rtp(&mut packet).map(|()| {
                    self.sections.take_rtp(packet.freeze());
                }),
            };
            if let Err(error) = result {
                statistics.drop(drop_reason(&error), 1);
            }
        }
        self.sections.hand_over(now);
        more
    }

    /// Sends what the session wants sent. Without a route it stays there: it is repeated by its timer.
    fn send_records(&mut self) {
        let Phase::Running(session) = &mut self.phase else { return };
        let Some(route) = &self.route else { return };
        let mut egress = self.environment.egress.borrow_mut();
        while let Some(record) = session.poll_transmit() {
            let written = egress.write(route, record.len(), |buffer| {
                buffer.copy_from_slice(&record);
                Some(record.len())
            });
            match written {
                Ok(_) => {
                    kit::statistics().packets_out(PacketKind::Dtls, 1, record.len() as u64);
                    self.traffic.sent(kit::now(), 1, record.len() as u64);
                }
                Err(_) => kit::statistics().drop(DropReason::SendQueueFull, 1),
            }
        }
    }

    /// Hands on what the session has produced, if anything happened to it.
    fn settle_session(&mut self, now: Instant) {
        if !std::mem::take(&mut self.is_session_touched) {
            return;
        }
        self.take_events();
        self.hand_over_data(now);
        self.session_deadline = match &self.phase {
            Phase::Running(session) => session.poll_timeout(),
            _ => None,
        };
    }

    fn take_events(&mut self) {
        // Records first: an alert that explains the end must leave before the session goes.
        self.send_records();
        while let Phase::Running(session) = &mut self.phase {
            let Some(event) = session.poll_event() else { return };
            match event {
                Event::Connected { srtp } => {
                    let certificate = session.remote_certificate_der().map(Bytes::copy_from_slice);
                    self.connected(srtp, certificate.into_iter().collect());
                }
                Event::ApplicationData(packet) => self.data.push(packet),
                Event::Closed => {
                    self.end(DtlsLabel::Closed);
                    self.report(DtlsEvent::Closed);
                }
                Event::Failed(error) => self.fail(error.to_string()),
            }
        }
    }

    fn connected(
        &mut self,
        srtp: Option<(srtp::Profile, srtp::KeyingMaterial)>,
        remote_certificates: Vec<Bytes>,
    ) {
        let profile = srtp.as_ref().map(|(profile, _)| *profile);
        if let Some((profile, keying)) = srtp {
            let contexts =
                srtp::Inbound::new(profile, keying.remote_key(), keying.remote_salt()).and_then(|inbound| {
                    let outbound = srtp::Outbound::new(profile, keying.local_key(), keying.local_salt())?;
                    Ok(Keys { inbound, outbound })
                });
            match contexts {
                Ok(keys) => {
                    self.keys = Some(keys);
                    self.rung |= rings::MEDIA;
                }
                Err(error) => return self.fail(error.to_string()),
            }
        }
        self.gauge.set(Gauge::DtlsState(DtlsLabel::Connected));
        self.report(DtlsEvent::Connected { profile, remote_certificates });
    }

    /// The peer's fingerprints and our role are known.
    pub(super) fn start(&mut self, now: Instant, start: StartDtls) {
        if matches!(self.phase, Phase::New) {
            self.phase = Phase::Ready { role: start.role, fingerprints: start.fingerprints };
            self.start_when_ready(now);
        }
    }

    pub(super) fn change_route(&mut self, now: Instant, selected: Option<SelectedRoute>) {
        self.traffic.select(selected);
        self.route = selected.and_then(|selected| {
            let socket = self.environment.sockets.find(selected.protocol, selected.local)?;
            Some(Route { socket, source: Some(selected.local.ip()), destination: selected.remote })
        });
        // Records that waited for a way leave now.
        self.is_session_touched = true;
        self.start_when_ready(now);
    }

    pub(super) fn sections(&mut self) -> &mut Sections {
        &mut self.sections
    }

    pub(super) fn attach_sctp(&mut self, now: Instant, inbound: Arc<dyn SctpSink>) {
        inbound.push_all(now, &mut std::mem::take(&mut self.early_data).into_iter());
        self.sctp = Some(inbound);
    }

    pub(super) fn statistics(&self) -> DtlsStatistics {
        let session = match &self.phase {
            Phase::Running(session) => Some(session),
            _ => None,
        };
        DtlsStatistics {
            role: session.map(|session| session.role()),
            cipher_suite: session.and_then(|session| session.cipher_suite()),
            srtp_profile: self.keys.as_ref().map(|keys| keys.outbound.profile()),
            traffic: self.traffic.total(),
            routes: self.traffic.routes(),
            route_changes: self.traffic.changes(),
        }
    }

    /// Sends what waits, says that it ends, and ends.
    pub(super) fn close(&mut self, now: Instant) {
        // BYEs of the senders wait in the lane: they leave before the keys go.
        self.rung |= rings::OUTBOUND_RTP | rings::OUTBOUND_RTCP;
        self.take_outbound(now);
        // And so do the ABORT of the association and what it had still to say.
        while self.take_sctp(now) {}
        if let Phase::Running(session) = &mut self.phase {
            session.close();
        }
        self.send_records();
        self.end(DtlsLabel::Closed);
    }
}

fn drop_reason(error: &srtp::SrtpError) -> DropReason {
    match error {
        srtp::SrtpError::AuthenticationFailed => DropReason::SrtpAuthentication,
        srtp::SrtpError::Replayed | srtp::SrtpError::TooOld => DropReason::SrtpReplay,
        _ => DropReason::SrtpOther,
    }
}

impl Metered for SecureTransport {
    const KIND: ActorKind = ActorKind::Dtls;
}

impl Work for SecureTransport {
    fn prefetch(&self, reach: Reach) {
        if reach == Reach::Referred {
            self.keys.iter().for_each(|keys| keys.outbound.prefetch());
            self.traffic.prefetch();
        }
    }

    fn take_input(&mut self, rung: u32, now: Instant) -> bool {
        self.rung |= rung;
        let mut more = self.answer(rings::DTLS, now, Self::take_dtls);
        self.settle_session(now);
        more |= self.answer(rings::MEDIA, now, Self::take_media);
        more |= self.answer(rings::OUTBOUND_RTP | rings::OUTBOUND_RTCP, now, Self::take_outbound);
        more |= self.answer(rings::OUTBOUND_SCTP, now, Self::take_sctp);
        more
    }

    fn flush(&mut self, now: Instant) {
        self.settle_session(now);
    }

    fn deadline(&self) -> Option<Instant> {
        self.session_deadline
    }

    fn handle_deadline(&mut self, now: Instant) {
        if let Phase::Running(session) = &mut self.phase {
            session.handle_timeout(now);
            self.is_session_touched = true;
        }
        // The one that is due is done with, also if the session has ended.
        self.session_deadline = None;
        self.settle_session(now);
    }
}
