//! One peer without threads, sockets or clock: ICE, DTLS and SRTP of the library, and media on top.
//!
//! Lighter than the library's connections on purpose: a generator that holds hundreds of peers must not cost
//! more than the server it measures. Lost packets are not asked for again: loss is a result here.

mod feedback;
mod header;

use std::{
    net::SocketAddr,
    time::{Duration, Instant, SystemTime},
};

use actix_rtc::proto::{
    demux::{PacketKind, classify},
    dtls::{self, Certificate, Fingerprint, HashAlgorithm, Session, SessionConfig},
    ice::{self, Agent, AgentConfig, Candidate, Credentials},
    sdp::Setup,
    srtp::{Inbound, KeyingMaterial, Outbound, Profile as SrtpProfile},
};
use bytes::BytesMut;
use rand::{SeedableRng, rngs::StdRng};
use tokio::sync::oneshot;

use self::header::Header;
use crate::{
    data_peer::Channel,
    description::{self, Remote, Section, Transport, Use},
    media::{self, Encoder, Kind, StreamId},
    repair::History,
    rtcp,
    tally::{Counts, Delays, Tally},
    world::nanoseconds_between,
};

/// Between two checks of one agent: many peers connect at once, each with one pair or two.
const CHECK_INTERVAL: Duration = Duration::from_millis(10);
/// There is one pair that works; waiting for a better one would only delay.
const NOMINATION_PATIENCE: Duration = Duration::from_millis(1);
/// Reports are sent at every second one, requests for key frames at each.
const FEEDBACK_INTERVAL: Duration = Duration::from_millis(500);
/// With `--repair`, so many looks for missing packets in that time.
const REPAIRS_PER_FEEDBACK: u32 = 10;
/// DTLS flights, without IP and UDP headers.
const MTU: usize = 1_200;
/// A publisher that is further behind than this leaves frames out.
const BACKLOG_MAX: Duration = Duration::from_millis(500);
/// Later than this, a frame counts as late: the generator is not keeping its rate.
const LATE: Duration = Duration::from_millis(10);
/// The profiles offered: every server measured has the first one, so all encrypt the same way.
const SRTP_PROFILES: [SrtpProfile; 2] = [SrtpProfile::AeadAes128Gcm, SrtpProfile::Aes128CmHmacSha1_80];

/// Where a peer's datagrams go.
pub(crate) trait Wire {
    /// Sends one datagram from the peer's address; what the kernel does not take is lost and counted.
    fn send(&mut self, remote: SocketAddr, datagram: &[u8]);
}

/// What a peer is handed with every call.
pub(crate) struct Context<'a> {
    pub(crate) wire: &'a mut dyn Wire,
    pub(crate) now: Instant,
    /// When the program started: stamps count from there.
    pub(crate) started: SystemTime,
    /// When the kernel got the datagram at hand, in nanoseconds since then.
    pub(crate) arrival: u64,
    /// Publishers send nothing for now.
    pub(crate) paused: bool,
    /// Lost packets are asked for, and sent, again.
    pub(crate) repair: bool,
    pub(crate) totals: &'a mut Totals,
    pub(crate) scratch: &'a mut Scratch,
}

impl Context<'_> {
    /// The time since the start, as stamps have it: of this very moment.
    fn nanoseconds(&self) -> u64 {
        nanoseconds_between(self.started, SystemTime::now())
    }
}

/// Buffers that all peers use in turn.
#[derive(Default)]
pub(crate) struct Scratch {
    packet: BytesMut,
    slab: Vec<u8>,
    lengths: Vec<usize>,
}

/// Counts over all peers.
#[derive(Clone, Default)]
pub(crate) struct Totals {
    pub(crate) counts: Counts,
    /// What went from a socket of this program straight to another.
    pub(crate) direct: Counts,
    /// RTP packets of publishers.
    pub(crate) sent: u64,
    /// Frames that left too late, for want of CPU time here.
    pub(crate) late_frames: u64,
    /// How late frames left.
    pub(crate) lateness: Delays,
    /// Key frames the server asked for.
    pub(crate) key_frame_requests: u64,
    /// Packets the server asked publishers to send again.
    pub(crate) retransmission_requests: u64,
    /// Of these, packets that were.
    pub(crate) retransmissions: u64,
    /// RTCP packets to subscribers and publishers.
    pub(crate) rtcp_received: u64,
    /// The SRTP profile that the last peer agreed on.
    pub(crate) srtp_profile: Option<SrtpProfile>,
}

/// What a peer does once connected.
pub(crate) enum Media {
    Publisher(Vec<Stream>),
    Subscriber(Box<Tally>),
    /// Sends to itself and receives that: what the way takes without a server.
    Direct {
        streams: Vec<Stream>,
        tally: Box<Tally>,
    },
    /// A data channel and nothing else.
    Data(Box<Channel>),
}

/// An encoder and when its next frame is due.
pub(crate) struct Stream {
    encoder: Encoder,
    due: Instant,
    history: History,
}

impl Media {
    /// `phase`, from 0 to 1, is where in an interval between frames, counted from `epoch`, this publisher sends.
    pub(crate) fn publisher(encoders: Vec<Encoder>, epoch: Instant, phase: f64) -> Self {
        let tracks = 1 + encoders.iter().map(Encoder::track).max().unwrap_or(0);
        let stream = |encoder: Encoder| {
            // Tracks take turns too; layers of one do not: an encoder yields them together.
            let phase = (phase + f64::from(encoder.track()) / f64::from(tracks)).fract();
            let due = epoch + encoder.interval().mul_f64(phase);
            Stream { encoder, due, history: History::default() }
        };
        Self::Publisher(encoders.into_iter().map(stream).collect())
    }

    /// One that subscribers of rooms are compared with.
    pub(crate) fn direct(encoders: Vec<Encoder>, epoch: Instant, phase: f64) -> Self {
        match Self::publisher(encoders, epoch, phase) {
            Self::Publisher(streams) => Self::Direct { streams, tally: Box::default() },
            other => other,
        }
    }

    /// What is sent, if anything.
    pub(crate) fn streams(&mut self) -> &mut [Stream] {
        match self {
            Self::Publisher(streams) | Self::Direct { streams, .. } => streams,
            Self::Subscriber(_) | Self::Data(_) => &mut [],
        }
    }

    /// What is counted, if anything.
    pub(crate) fn tally(&mut self) -> Option<&mut Tally> {
        match self {
            Self::Subscriber(tally) | Self::Direct { tally, .. } => Some(tally),
            Self::Publisher(_) | Self::Data(_) => None,
        }
    }
}

impl Stream {
    /// The phase stays, frames that would have been due are not owed.
    fn skip_to(&mut self, now: Instant) {
        let interval = self.encoder.interval();
        while self.due < now {
            self.due += interval;
        }
    }

    /// Which stream, and the number of the packet that comes next.
    pub(crate) fn next(&self) -> (StreamId, u64) {
        self.encoder.next()
    }
}

/// What the owner waits for.
#[derive(Default)]
pub(crate) struct Milestones {
    pub(crate) connected: Option<oneshot::Sender<Result<(), String>>>,
    pub(crate) first_media: Option<oneshot::Sender<()>>,
}

/// One peer.
pub(crate) struct Peer {
    address: SocketAddr,
    ssrc: u32,
    certificate: Certificate,
    agent: Agent,
    remote_fingerprints: Vec<Fingerprint>,
    dtls_role: dtls::Role,
    session: Option<Box<Session>>,
    srtp: Option<Box<(Outbound, Inbound)>>,
    remote: Option<SocketAddr>,
    /// Payload types of the sections that receive.
    kinds: Vec<(u8, Kind)>,
    pub(crate) media: Media,
    pub(crate) milestones: Milestones,
    /// Connected, and nothing has ended it since.
    is_alive: bool,
    feedback_due: Instant,
    feedback_rounds: u32,
}

impl Peer {
    /// A peer at `address`, number `index` of this run; it offers if `offers`.
    pub(crate) fn new(
        now: Instant,
        address: SocketAddr,
        index: u32,
        offers: bool,
        certificate: Certificate,
        media: Media,
    ) -> anyhow::Result<Self> {
        let mut random = StdRng::from_os_rng();
        let credentials = Credentials::generate(&mut random);
        let role = if offers { ice::Role::Controlling } else { ice::Role::Controlled };
        let mut config = AgentConfig::new(role, credentials);
        config.check_interval = CHECK_INTERVAL;
        config.timings.nomination_patience = NOMINATION_PATIENCE;
        let mut agent = Agent::new(now, config, random);
        agent.add_local_candidate(now, Candidate::host(address, u16::MAX))?;
        agent.end_of_local_candidates();
        Ok(Self {
            address,
            ssrc: 0x2000_0000 + index,
            certificate,
            agent,
            remote_fingerprints: Vec::new(),
            dtls_role: dtls::Role::Client,
            session: None,
            srtp: None,
            remote: None,
            kinds: Vec::new(),
            media,
            milestones: Milestones::default(),
            is_alive: false,
            feedback_due: now + FEEDBACK_INTERVAL,
            feedback_rounds: 0,
        })
    }

    /// Whether a subscriber has received anything yet, or a data channel has carried a message.
    pub(crate) fn has_media(&self) -> bool {
        match &self.media {
            Media::Subscriber(tally) => !tally.sources.is_empty(),
            Media::Data(channel) => channel.is_proven(),
            Media::Publisher(_) | Media::Direct { .. } => false,
        }
    }

    /// Whether the server still answers, and has not said goodbye.
    pub(crate) fn is_alive(&self) -> bool {
        self.is_alive && matches!(self.agent.state(), ice::State::Connected | ice::State::Completed)
    }

    /// Makes this a peer that sends to itself, with keys of its own, and needs no connection.
    pub(crate) fn loop_back(&mut self, now: Instant) -> anyhow::Result<()> {
        let profile = SrtpProfile::AeadAes128Gcm;
        let (key, salt) = ([0x5a; 16], [0xa5; 12]);
        let contexts = (Outbound::new(profile, &key, &salt)?, Inbound::new(profile, &key, &salt)?);
        self.srtp = Some(Box::new(contexts));
        self.remote = Some(self.address);
        self.kinds = vec![(media::VP8, Kind::Video), (media::OPUS, Kind::Audio)];
        self.agent.close();
        self.media.streams().iter_mut().for_each(|stream| stream.skip_to(now));
        Ok(())
    }

    /// The own description, with these sections.
    pub(crate) fn describe(
        &mut self,
        context: &Context<'_>,
        sections: &[Section],
        setup: Setup,
    ) -> anyhow::Result<String> {
        self.kinds = sections.iter().filter_map(received_kind).collect();
        let fingerprint = self.certificate.fingerprint(HashAlgorithm::Sha256)?;
        let transport = Transport {
            credentials: self.agent.local_credentials(),
            fingerprint: &fingerprint,
            address: self.address,
            setup,
            estimates: context.repair,
        };
        Ok(description::write(sections, &transport))
    }

    /// Applies the other side's description.
    pub(crate) fn accept(&mut self, context: &mut Context<'_>, remote: Remote) -> anyhow::Result<()> {
        let now = context.now;
        self.dtls_role = match remote.setup {
            Setup::Active => dtls::Role::Server,
            _ => dtls::Role::Client,
        };
        self.remote_fingerprints = remote.fingerprints;
        if remote.lite {
            self.agent.set_remote_lite(true);
        }
        self.agent.set_remote_credentials(now, remote.credentials)?;
        for candidate in remote.candidates {
            self.agent.add_remote_candidate(now, candidate)?;
        }
        self.agent.end_of_remote_candidates(now);
        if self.dtls_role == dtls::Role::Server {
            self.start_session(now);
        }
        self.drive(context);
        Ok(())
    }

    /// Takes a datagram that came to this peer's address.
    pub(crate) fn handle_datagram(
        &mut self,
        context: &mut Context<'_>,
        remote: SocketAddr,
        datagram: &[u8],
    ) -> bool {
        match classify(datagram) {
            PacketKind::Rtp => {
                self.handle_rtp(context, datagram);
                return false;
            }
            PacketKind::Rtcp => {
                self.handle_rtcp(context, datagram);
                return false;
            }
            PacketKind::Stun => {
                // What is not for this agent is dropped, as by any peer.
                let _ = self.agent.handle_packet(context.now, self.address, remote, datagram);
            }
            PacketKind::Dtls => {
                self.remote.get_or_insert(remote);
                if let Some(session) = &mut self.session {
                    session.handle_packet(context.now, datagram);
                }
            }
            _ => return false,
        }
        self.drive(context);
        true
    }

    /// Does what is due.
    pub(crate) fn handle_timeout(&mut self, context: &mut Context<'_>) {
        let now = context.now;
        if self.agent.poll_timeout().is_some_and(|due| due <= now) {
            self.agent.handle_timeout(now);
        }
        if let Some(session) = &mut self.session
            && session.poll_timeout().is_some_and(|due| due <= now)
        {
            session.handle_timeout(now);
        }
        if let Media::Data(channel) = &mut self.media {
            channel.handle_timeout(now);
        }
        self.drive(context);
        if self.srtp.is_some() {
            self.send_frames(context);
            if self.feedback_due <= now {
                self.feedback_due = now + feedback_interval(context);
                self.send_feedback(context);
            }
        }
    }

    /// When something is due next.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let session = self.session.as_ref().and_then(|session| session.poll_timeout());
        let mut next = [self.agent.poll_timeout(), session].into_iter().flatten().min();
        if self.srtp.is_some() {
            next = Some(next.map_or(self.feedback_due, |next| next.min(self.feedback_due)));
        }
        match &self.media {
            Media::Publisher(streams) | Media::Direct { streams, .. } if self.srtp.is_some() => {
                streams.iter().map(|stream| stream.due).chain(next).min()
            }
            Media::Data(channel) => channel.poll_timeout().into_iter().chain(next).min(),
            _ => next,
        }
    }

    /// Says goodbye.
    pub(crate) fn close(&mut self, context: &mut Context<'_>) {
        if let Some(session) = &mut self.session {
            session.close();
        }
        self.drive(context);
        self.agent.close();
        self.srtp = None;
    }

    /// Hands on whatever the state machines have to say.
    fn drive(&mut self, context: &mut Context<'_>) {
        while let Some(transmit) = self.agent.poll_transmit() {
            context.wire.send(transmit.remote, &transmit.payload);
        }
        while let Some(event) = self.agent.poll_event() {
            match event {
                ice::Event::SelectedPairChanged(Some(pair)) => {
                    self.remote = Some(pair.remote);
                    if self.session.is_none() {
                        self.start_session(context.now);
                    }
                }
                ice::Event::StateChanged(ice::State::Failed) => self.failed("ICE found no pair that works"),
                _ => {}
            }
        }
        while let Some(event) = self.session.as_mut().and_then(|session| session.poll_event()) {
            match event {
                dtls::Event::Connected { srtp } => self.connected(context, srtp),
                dtls::Event::ApplicationData(packet) => {
                    if let Media::Data(channel) = &mut self.media {
                        channel.handle_packet(context.now, packet);
                    }
                }
                dtls::Event::Failed(error) => self.failed(&format!("DTLS: {error}")),
                dtls::Event::Closed => self.failed("closed by the server"),
                _ => {}
            }
        }
        self.drive_channel(context.now);
        let Some(session) = &mut self.session else { return };
        while let Some(datagram) = session.poll_transmit() {
            if let Some(remote) = self.remote {
                context.wire.send(remote, &datagram);
            }
        }
    }

    /// Puts what the data channel has to send into records.
    fn drive_channel(&mut self, now: Instant) {
        let (Media::Data(channel), Some(session)) = (&mut self.media, &mut self.session) else { return };
        let result = channel.drive(now, session);
        let is_proven = channel.is_proven();
        if let Err(error) = result {
            self.failed(&format!("data channel: {error:#}"));
        } else if is_proven && let Some(first) = self.milestones.first_media.take() {
            // Nobody waits any more when the deadline has passed.
            let _ = first.send(());
        }
    }

    fn start_session(&mut self, now: Instant) {
        let config = SessionConfig {
            certificate: self.certificate.clone(),
            role: self.dtls_role,
            remote_fingerprints: self.remote_fingerprints.clone(),
            mtu: MTU,
            srtp_profiles: match self.media {
                Media::Data(_) => Vec::new(),
                _ => SRTP_PROFILES.to_vec(),
            },
        };
        match Session::new(now, config) {
            Ok(session) => self.session = Some(Box::new(session)),
            Err(error) => self.failed(&format!("DTLS: {error}")),
        }
    }

    fn connected(&mut self, context: &mut Context<'_>, srtp: Option<(SrtpProfile, KeyingMaterial)>) {
        self.is_alive = true;
        if let Some((profile, keys)) = srtp {
            context.totals.srtp_profile = Some(profile);
            match keys.into_contexts(profile) {
                Ok(contexts) => self.srtp = Some(Box::new(contexts)),
                Err(error) => return self.failed(&format!("SRTP: {error}")),
            }
        }
        self.media.streams().iter_mut().for_each(|stream| stream.skip_to(context.now));
        if let Media::Data(channel) = &mut self.media {
            channel.start(context.now, self.dtls_role);
        }
        self.feedback_due = context.now + FEEDBACK_INTERVAL;
        if let Some(connected) = self.milestones.connected.take() {
            // Nobody waits any more when the deadline has passed.
            let _ = connected.send(Ok(()));
        }
    }

    fn failed(&mut self, reason: &str) {
        self.is_alive = false;
        self.srtp = None;
        if let Some(connected) = self.milestones.connected.take() {
            let _ = connected.send(Err(reason.to_owned()));
        }
    }

    fn handle_rtp(&mut self, context: &mut Context<'_>, datagram: &[u8]) {
        let Some(srtp) = &mut self.srtp else { return };
        let counts = match self.media {
            Media::Direct { .. } => &mut context.totals.direct,
            _ => &mut context.totals.counts,
        };
        let packet = &mut context.scratch.packet;
        packet.clear();
        packet.extend_from_slice(datagram);
        if srtp.1.unprotect_rtp(packet).is_err() {
            counts.damaged += 1;
            return;
        }
        let Some(tally) = self.media.tally() else { return };
        let Some(header) = Header::read(packet) else {
            counts.damaged += 1;
            return;
        };
        let payload = &packet[header.payload.clone()];
        if payload.is_empty() {
            // Padding alone, which probes for bandwidth.
            return;
        }
        let kind = self.kinds.iter().find(|(payload_type, _)| *payload_type == header.payload_type);
        let Some(received) = kind.and_then(|(_, kind)| media::check(*kind, payload)) else {
            counts.damaged += 1;
            return;
        };
        counts.bytes += payload.len() as u64;
        let microseconds = context.arrival.saturating_sub(received.stamp.nanoseconds) / 1_000;
        tally.arrived(counts, (header.ssrc, header.sequence), &received.stamp, microseconds);
        if received.decodable
            && let Some(source) = tally.sources.get_mut(&header.ssrc)
        {
            source.decodable = true;
        }
        if let Some(first) = self.milestones.first_media.take() {
            let _ = first.send(());
        }
    }

    fn handle_rtcp(&mut self, context: &mut Context<'_>, datagram: &[u8]) {
        let Some(srtp) = &mut self.srtp else { return };
        let packet = &mut context.scratch.packet;
        packet.clear();
        packet.extend_from_slice(datagram);
        if srtp.1.unprotect_rtcp(packet).is_err() {
            context.totals.counts.damaged += 1;
            return;
        }
        context.totals.rtcp_received += 1;
        let Media::Publisher(streams) = &mut self.media else { return };
        for request in rtcp::requests(packet) {
            match request {
                rtcp::Request::KeyFrame(ssrc) => {
                    context.totals.key_frame_requests += 1;
                    let of_ssrc = |stream: &&mut Stream| ssrc == 0 || stream.encoder.ssrc == ssrc;
                    streams.iter_mut().filter(of_ssrc).for_each(|stream| stream.encoder.want_key_frame());
                }
                rtcp::Request::Retransmission { ssrc, sequences } => {
                    context.totals.retransmission_requests += sequences.len() as u64;
                    let stream = streams.iter().find(|stream| stream.encoder.ssrc == ssrc);
                    let (Some(stream), Some(remote)) = (stream, self.remote) else { continue };
                    for packet in sequences.iter().filter_map(|sequence| stream.history.packet(*sequence)) {
                        context.wire.send(remote, packet);
                        context.totals.retransmissions += 1;
                    }
                }
            }
        }
    }

    fn send_frames(&mut self, context: &mut Context<'_>) {
        let now = context.now;
        let (Some(srtp), Some(remote)) = (&mut self.srtp, self.remote) else { return };
        let is_direct = matches!(self.media, Media::Direct { .. });
        for stream in self.media.streams() {
            if stream.due > now {
                continue;
            }
            if context.paused {
                stream.skip_to(now + Duration::from_nanos(1));
                continue;
            }
            let nanoseconds = context.nanoseconds();
            let interval = stream.encoder.interval();
            let behind = now - stream.due;
            context.totals.late_frames += u64::from(behind > LATE);
            context.totals.lateness.record(behind.as_micros() as u64);
            stream.due = if behind > BACKLOG_MAX { now + interval } else { stream.due + interval };
            let Scratch { slab, lengths, .. } = &mut *context.scratch;
            slab.clear();
            lengths.clear();
            let overhead = srtp.0.rtp_overhead();
            let mut sequence = stream.encoder.sequence();
            stream.encoder.frame(nanoseconds, overhead, slab, lengths);
            let mut at = 0;
            for length in &*lengths {
                let end = at + length + overhead;
                // The sequence number is always the next one: this can't fail but by a bug of the library.
                if let Ok(total) = srtp.0.protect_rtp(&mut slab[at..end], *length) {
                    context.wire.send(remote, &slab[at..at + total]);
                    context.totals.sent += u64::from(!is_direct);
                    if context.repair {
                        stream.history.keep(sequence, &slab[at..at + total]);
                    }
                }
                sequence = sequence.wrapping_add(1);
                at = end;
            }
        }
    }

    fn send_feedback(&mut self, context: &mut Context<'_>) {
        self.feedback_rounds += 1;
        let every = if context.repair { REPAIRS_PER_FEEDBACK } else { 1 };
        let is_full = self.feedback_rounds.is_multiple_of(every);
        let reports = self.feedback_rounds.is_multiple_of(2 * every);
        let mut compounds = Vec::new();
        match &self.media {
            Media::Publisher(streams) if reports => {
                compounds = streams.iter().map(|stream| feedback::sender_report(&stream.encoder)).collect();
            }
            Media::Publisher(_) | Media::Direct { .. } | Media::Data(_) => {}
            Media::Subscriber(tally) => {
                if is_full {
                    compounds.extend(feedback::of_subscriber(self.ssrc, tally, &self.kinds, reports));
                }
                if context.repair {
                    compounds.extend(feedback::repair(self.ssrc, tally));
                }
            }
        }
        let (Some(srtp), Some(remote)) = (&mut self.srtp, self.remote) else { return };
        for mut compound in compounds {
            let length = compound.len();
            compound.resize(length + srtp.0.rtcp_overhead(), 0);
            if let Ok(total) = srtp.0.protect_rtcp(&mut compound, length) {
                context.wire.send(remote, &compound[..total]);
            }
        }
    }
}

fn received_kind(section: &Section) -> Option<(u8, Kind)> {
    match section.purpose {
        Use::Receive { kind, payload_type } => Some((payload_type, kind)),
        _ => None,
    }
}

fn feedback_interval(context: &Context<'_>) -> Duration {
    if context.repair { FEEDBACK_INTERVAL / REPAIRS_PER_FEEDBACK } else { FEEDBACK_INTERVAL }
}
